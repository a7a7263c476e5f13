//! The floor: what any engine does at least. Reads the command, touches one line of memory that it cannot foresee, writes an event.

use wirebook_matcher::abi::{Command, Event, EventKind, NO_SLOT, Reason};

use super::engine::{Engine, Names};
use super::workload::Workload;

/// Words of a cache line.
const LINE_WORDS: usize = 8;

/// The floor.
pub struct Floor {
    lines: Vec<[u64; LINE_WORDS]>,
    mask: usize,
}

impl Engine for Floor {
    const NAMES: Names = Names::Slots;

    fn new(work: &Workload) -> Self {
        let lines = work.floor_bytes() / (LINE_WORDS * 8);
        assert!(lines.is_power_of_two(), "the floor's memory is a power of two");
        Self { lines: vec![[1; LINE_WORDS]; lines], mask: lines - 1 }
    }

    #[inline]
    fn execute(&mut self, command: &Command, mut sink: impl FnMut(Event)) {
        // Any line, by a multiplication of the command's number: no branch to predict, no pattern to prefetch.
        let at = (command.seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.mask;
        let word = &mut self.lines[at][0];
        *word = word.wrapping_add(u64::from(command.qty));
        sink(Event {
            seq: command.seq,
            taker: command.slot,
            maker: NO_SLOT,
            tick: command.tick,
            qty: *word as u32,
            index: 0,
            kind: EventKind::Done,
            reason: Reason::None,
            freed: 0,
            last: true,
        });
    }
}
