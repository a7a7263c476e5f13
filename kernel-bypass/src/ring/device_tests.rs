//! A device's write as PCIe delivers it: in pieces.
//!
//! The PCI Express base specification ("Update Ordering and Granularity Observed by a Write Transaction") says that the data of one
//! write without relaxed ordering becomes visible in the order of increasing addresses, and leaves the granularity open. So the model
//! delivers each 32-byte beat as eight pieces of 4 bytes in increasing order, and lets any number of them arrive before each single
//! load of the host. Each of the host's 64-bit loads is one access; the acquire keeps the other three behind the phase word's.
//! (In which order those three come does not matter: in a ring that is right, everything has arrived by then.)
//!
//! The real [`Consumer`] runs over this model through every schedule. With the phase in the last word no schedule shows a torn beat.
//! With the phase in any other word, or with relaxed ordering (pieces in any order), some schedule does: the model can fail.

use super::storage::Storage;
use super::{Beat, Consumer, PHASE_BIT};
use std::cell::{Cell, RefCell};

const PIECES: usize = 8;
/// Loads in one look at a beat: the phase word, and three more.
const LOADS: usize = 4;

/// Memory of two slots, and a device that is writing one beat into the slot of index `AT`.
struct Device<'a, const PHASE: usize> {
    pieces: RefCell<[[u32; PIECES]; 2]>,
    /// The beat as the device sends it.
    sent: [u32; PIECES],
    order: &'a [usize; PIECES],
    /// How many pieces arrive before each load.
    arrivals: &'a [usize],
    loads: Cell<usize>,
    arrived: Cell<usize>,
    credits: Cell<u64>,
}

const AT: u64 = 2;

/// What lies in the slot from the lap before, and what the device writes: every 4-byte piece differs.
const OLD: Beat = [0x1111_1111_2222_2222, 0x3333_3333_4444_4444, 0x5555_5555_6666_6666, 0x7777_7777_0888_8888];
const NEW: Beat = [0x1a1a_1a1a_2b2b_2b2b, 0x3c3c_3c3c_4d4d_4d4d, 0x5e5e_5e5e_6f6f_6f6f, 0x7171_7171_0282_8282];

fn pieces(beat: &Beat, phase_word: usize, phase: bool) -> [u32; PIECES] {
    let mut beat = *beat;
    beat[phase_word] &= !PHASE_BIT;
    beat[phase_word] |= if phase { PHASE_BIT } else { 0 };
    std::array::from_fn(|piece| (beat[piece / 2] >> (32 * (piece % 2))) as u32)
}

impl<'a, const PHASE: usize> Device<'a, PHASE> {
    fn new(order: &'a [usize; PIECES], arrivals: &'a [usize]) -> Self {
        Self {
            // Lap 0 has phase 1, lap 1 phase 0.
            pieces: RefCell::new([pieces(&OLD, PHASE, true); 2]),
            sent: pieces(&NEW, PHASE, false),
            order,
            arrivals,
            loads: Cell::new(0),
            arrived: Cell::new(0),
            credits: Cell::new(AT),
        }
    }

    fn load_after_arrivals(&self, index: u64, word: usize) -> u64 {
        let load = self.loads.replace(self.loads.get() + 1);
        let count = self.arrivals.get(load).copied().unwrap_or(PIECES);
        let until = (self.arrived.get() + count).min(PIECES);
        let mut slots = self.pieces.borrow_mut();
        for &piece in &self.order[self.arrived.get()..until] {
            slots[(AT % 2) as usize][piece] = self.sent[piece];
        }
        self.arrived.set(until);
        let slot = &slots[(index % 2) as usize];
        u64::from(slot[2 * word]) | u64::from(slot[2 * word + 1]) << 32
    }
}

impl<const PHASE: usize> Storage for &Device<'_, PHASE> {
    type Beat = Beat;
    const WORDS: usize = 4;
    const PHASE_WORD: usize = PHASE;

    fn capacity(&self) -> usize {
        2
    }
    fn load(&self, index: u64, word: usize) -> u64 {
        self.load_after_arrivals(index, word)
    }
    fn load_phase(&self, index: u64) -> u64 {
        self.load_after_arrivals(index, PHASE)
    }
    fn store(&self, _: u64, _: usize, _: u64) {
        unreachable!("the device is the producer");
    }
    fn store_phase(&self, _: u64, _: u64) {
        unreachable!("the device is the producer");
    }
    fn credits(&self) -> u64 {
        self.credits.get()
    }
    fn publish_credits(&self, index: u64) {
        self.credits.set(index);
    }
}

/// Every way in which the pieces can arrive before the first `loads` loads; what is left arrives after them.
fn arrivals(loads: usize, left: usize, prefix: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
    if prefix.len() == loads {
        visit(prefix);
        return;
    }
    for count in 0..=left {
        prefix.push(count);
        arrivals(loads, left - count, prefix, visit);
        prefix.pop();
    }
}

/// Runs the consumer through every schedule of this order: schedules run, and beats that were torn.
fn torn<const PHASE: usize>(order: &[usize; PIECES]) -> (usize, usize) {
    let (mut runs, mut bad) = (0, 0);
    // Two looks that miss and one that hits would be 12 loads; a look that misses is one load, so 6 cover two misses and a hit.
    arrivals(LOADS + 2, PIECES, &mut Vec::new(), &mut |schedule| {
        let device = Device::<PHASE>::new(order, schedule);
        let mut consumer = Consumer::attach(&device);
        let mut expected = NEW;
        expected[PHASE] &= !PHASE_BIT;
        let mut got = None;
        for _ in 0..=schedule.len() {
            got = consumer.pop();
            if got.is_some() {
                break;
            }
        }
        runs += 1;
        bad += usize::from(got != Some(expected));
    });
    (runs, bad)
}

const INCREASING: [usize; PIECES] = [0, 1, 2, 3, 4, 5, 6, 7];

#[test]
fn the_last_word_is_safe_in_every_order_that_pcie_permits() {
    let (runs, bad) = torn::<3>(&INCREASING);
    assert_eq!(runs, 3003, "8 pieces over 6 loads and the time after them");
    assert_eq!(bad, 0);
}

#[test]
fn a_phase_in_any_other_word_is_torn() {
    for (word, (_, bad)) in
        [torn::<0>(&INCREASING), torn::<1>(&INCREASING), torn::<2>(&INCREASING)].into_iter().enumerate()
    {
        assert!(bad > 0, "phase in word {word} must be seen to fail");
    }
}

#[test]
fn relaxed_ordering_is_torn_exactly_when_the_phase_can_come_early() {
    // Where the phase's piece is last, the others may come in any order: it is the last piece that matters.
    let (_, bad) = torn::<3>(&[6, 4, 2, 0, 1, 3, 5, 7]);
    assert_eq!(bad, 0);
    // With relaxed ordering nothing keeps it last.
    for place in 0..PIECES - 1 {
        let mut order = INCREASING;
        order[place..].rotate_right(1);
        assert_eq!(order[place], 7);
        let (_, bad) = torn::<3>(&order);
        assert!(bad > 0, "phase as piece {place} must be seen to fail");
    }
}
