//! What an engine is to this laboratory, and where all of them put their events.
//!
//! An engine takes 32-byte commands from a slice, one after another, and hands 32-byte events to a sink. Orders are named in one of
//! two ways, as the engine's own interface has it: by a host's slot, or by the number of the order (its id, made dense: what an
//! engine that takes ids has to look up). Prices are ticks of the band, for everyone.

use wirebook_matcher::abi::{Command, Event, EventKind, NO_SLOT, Reason, event_flags};
use wirebook_matcher::{Software, Twin};

use super::workload::Workload;

/// How an engine's commands name orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// By the slot that a host has chosen; a replacement gets another.
    Slots,
    /// By the order's number, from 0 in the order of entry; a replacement keeps it.
    Numbers,
}

/// A matching engine.
pub trait Engine: Sized {
    /// How its commands name orders.
    const NAMES: Names;

    /// An empty book that is large enough for this workload.
    fn new(work: &Workload) -> Self;

    /// Executes one command.
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event));

    /// Executes commands, one after another.
    #[inline]
    fn execute_all(&mut self, commands: &[Command], mut sink: impl FnMut(Event)) {
        for command in commands {
            self.execute(command, &mut sink);
        }
    }

    /// `commands[at]` comes next: what it and those behind it will touch may be fetched.
    #[inline]
    fn look_ahead(&self, _commands: &[Command], _at: usize) {}
}

/// Numbers the events of one command and hands them on.
pub struct Answer<F> {
    seq: u64,
    index: u32,
    sink: F,
}

impl<F: FnMut(Event)> Answer<F> {
    /// To this command.
    #[inline]
    pub const fn new(command: &Command, sink: F) -> Self {
        Self { seq: command.seq, index: 0, sink }
    }

    /// Any event.
    #[inline]
    pub fn tell(
        &mut self,
        kind: EventKind,
        taker: u32,
        maker: u32,
        tick: u32,
        qty: u32,
        reason: Reason,
        freed: u8,
        last: bool,
    ) {
        let Self { seq, index, sink } = self;
        sink(Event { seq: *seq, taker, maker, tick, qty, index: *index, kind, reason, freed, last });
        *index += 1;
    }

    /// An order that lives no longer.
    #[inline]
    pub fn cancelled(&mut self, id: u32, tick: u32, qty: u32, reason: Reason) {
        self.tell(EventKind::Cancelled, id, NO_SLOT, tick, qty, reason, event_flags::TAKER_FREE, true);
    }

    /// A command that does nothing.
    pub fn rejected(&mut self, command: &Command, reason: Reason) {
        self.tell(EventKind::Rejected, command.slot, NO_SLOT, command.tick, command.qty, reason, 0, true);
    }
}

/// Events that the ring holds; it stays in the second-level cache, as a ring between two threads does.
pub const RING_EVENTS: usize = 1 << 12;

const _: () = assert!(size_of::<Event>() == 32 && size_of::<Command>() == 32, "beats are 32 bytes");

/// The ring into which events go while time is taken: linear writes, nobody waits for a reader.
#[derive(Debug)]
pub struct Ring {
    beats: Box<[Event; RING_EVENTS]>,
    next: usize,
}

impl Ring {
    /// An empty ring.
    pub fn new() -> Self {
        let beats = vec![Event::BLANK; RING_EVENTS].into_boxed_slice();
        Self { beats: beats.try_into().expect("as many as there are"), next: 0 }
    }

    /// Writes an event behind the last.
    #[inline(always)]
    pub fn push(&mut self, event: Event) {
        self.beats[self.next % RING_EVENTS] = event;
        self.next = self.next.wrapping_add(1);
    }

    /// How many events were written.
    pub const fn written(&self) -> usize {
        self.next
    }
}

/// The software twin, one command at a time.
pub struct Twins(Software);

impl Engine for Twins {
    const NAMES: Names = Names::Slots;

    fn new(work: &Workload) -> Self {
        Self(Software::new(work.limits.clone()))
    }

    #[inline]
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        self.0.execute(command, sink);
    }
}

/// The software twin, which looks ahead at the commands that follow.
pub struct LookingAhead(Software);

impl Engine for LookingAhead {
    const NAMES: Names = Names::Slots;

    fn new(work: &Workload) -> Self {
        Self(Software::new(work.limits.clone()))
    }

    #[inline]
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        self.0.execute(command, sink);
    }

    #[inline]
    fn execute_all(&mut self, commands: &[Command], sink: impl FnMut(Event)) {
        self.0.execute_all(commands, sink);
    }

    #[inline]
    fn look_ahead(&self, commands: &[Command], at: usize) {
        self.0.look_ahead(commands, at);
    }
}
