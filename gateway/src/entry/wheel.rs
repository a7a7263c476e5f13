//! When orders expire: a wheel of seconds.
//!
//! OUCH counts an order's time to live in whole seconds below a day, so each second has a list of the slots that expire in it,
//! threaded through two arrays: entering, leaving and expiring an order take constant time, and nothing is allocated after
//! [`Wheel::new`]. Within a second, orders leave in the order in which they came in. An instant is rounded up to its second:
//! nothing expires early, and everything within a second of its time, provided that [`Wheel::pop`] is called that often.

/// No slot.
const NONE: u32 = u32::MAX;
/// Seconds around the wheel: more than a day, so that a second's list holds (in practice) no other second's orders.
const SECONDS: u32 = 1 << 17;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Node {
    previous: u32,
    next: u32,
    /// The second in which it expires; [`NOT_IN`] when the slot is not in the wheel.
    second: u64,
}

const NOT_IN: u64 = u64::MAX;

/// Slots by the second in which they expire.
#[derive(Clone, Debug)]
pub struct Wheel {
    heads: Box<[u32]>,
    tails: Box<[u32]>,
    nodes: Box<[Node]>,
    /// Every second before it has been popped empty.
    cursor: u64,
    count: u32,
}

impl Wheel {
    /// For this many slots.
    pub fn new(slots: u32) -> Self {
        let node = Node { previous: NONE, next: NONE, second: NOT_IN };
        Self {
            heads: vec![NONE; SECONDS as usize].into_boxed_slice(),
            tails: vec![NONE; SECONDS as usize].into_boxed_slice(),
            nodes: vec![node; slots as usize].into_boxed_slice(),
            cursor: 0,
            count: 0,
        }
    }

    /// Puts a slot in, to expire at `time_ns`; it leaves the place that it had.
    pub fn insert(&mut self, slot: u32, time_ns: u64) {
        self.remove(slot);
        let second = time_ns.div_ceil(NANOS_PER_SECOND);
        self.cursor = if self.count == 0 { second } else { self.cursor.min(second) };
        let bucket = bucket(second);
        let previous = std::mem::replace(&mut self.tails[bucket], slot);
        self.nodes[slot as usize] = Node { previous, next: NONE, second };
        match previous {
            NONE => self.heads[bucket] = slot,
            previous => self.nodes[previous as usize].next = slot,
        }
        self.count += 1;
    }

    /// Takes a slot out, if it is in.
    #[inline]
    pub fn remove(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        if node.second == NOT_IN {
            return;
        }
        let bucket = bucket(node.second);
        match node.previous {
            NONE => self.heads[bucket] = node.next,
            previous => self.nodes[previous as usize].next = node.next,
        }
        match node.next {
            NONE => self.tails[bucket] = node.previous,
            next => self.nodes[next as usize].previous = node.previous,
        }
        self.nodes[slot as usize].second = NOT_IN;
        self.count -= 1;
    }

    /// Takes out one slot that has expired by `now_ns`; `None` when there is none (any more).
    #[inline]
    pub fn pop(&mut self, now_ns: u64) -> Option<u32> {
        let now = now_ns / NANOS_PER_SECOND;
        if self.count == 0 || self.cursor > now {
            return None;
        }
        // However long nobody asked: once around finds everything.
        for _ in 0..=SECONDS {
            let mut slot = self.heads[bucket(self.cursor)];
            while slot != NONE {
                let node = self.nodes[slot as usize];
                if node.second <= now {
                    self.remove(slot);
                    return Some(slot);
                }
                slot = node.next;
            }
            if self.cursor == now {
                break;
            }
            self.cursor += 1;
        }
        self.cursor = now;
        None
    }

    /// How many slots are in.
    #[cfg(test)]
    pub fn len(&self) -> u32 {
        self.count
    }
}

fn bucket(second: u64) -> usize {
    (second % u64::from(SECONDS)) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_795_257_000 * NANOS_PER_SECOND + 1;

    #[test]
    fn expires_never_early_and_within_its_second() {
        let mut wheel = Wheel::new(4);
        wheel.insert(2, START);
        assert_eq!(wheel.pop(START), None, "the second is not over");
        assert_eq!(wheel.pop(START + NANOS_PER_SECOND - 2), None);
        assert_eq!(wheel.pop(START + NANOS_PER_SECOND - 1), Some(2));
        assert_eq!(wheel.pop(START + NANOS_PER_SECOND), None);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn nothing_is_lost_when_nobody_asked_for_days() {
        let mut wheel = Wheel::new(3);
        wheel.insert(0, START + 5 * NANOS_PER_SECOND);
        wheel.insert(1, START + (5 + u64::from(SECONDS)) * NANOS_PER_SECOND);
        wheel.insert(2, START);
        let later = START + 10 * u64::from(SECONDS) * NANOS_PER_SECOND;
        assert_eq!([wheel.pop(later), wheel.pop(later)], [Some(2), Some(0)]);
        assert_eq!([wheel.pop(later), wheel.pop(later)], [Some(1), None]);
        wheel.insert(0, later + NANOS_PER_SECOND);
        assert_eq!(wheel.pop(later + 3 * NANOS_PER_SECOND), Some(0));
    }

    proptest! {
        /// Against a map from slot to second: the same slots expire, ordered by second, and by entry within it.
        #[test]
        fn behaves_as_a_sorted_map(steps in proptest::collection::vec((0u8..4, 0u32..40, 0u64..90), 1..300)) {
            let mut wheel = Wheel::new(40);
            let mut model: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
            let mut now = START;
            for (step, (what, slot, seconds)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        let time = now + seconds * NANOS_PER_SECOND / 2;
                        wheel.insert(slot, time);
                        model.insert(slot, (time.div_ceil(NANOS_PER_SECOND), step));
                    }
                    2 => {
                        wheel.remove(slot);
                        model.remove(&slot);
                    }
                    _ => {
                        now += seconds * NANOS_PER_SECOND / 7;
                        let mut due: Vec<_> = model.iter().filter(|(_, (second, _))| *second <= now / NANOS_PER_SECOND)
                            .map(|(slot, key)| (*key, *slot)).collect();
                        due.sort_unstable();
                        for (_, slot) in due {
                            prop_assert_eq!(wheel.pop(now), Some(slot));
                            model.remove(&slot);
                        }
                        prop_assert_eq!(wheel.pop(now), None);
                    }
                }
                prop_assert_eq!(wheel.len() as usize, model.len());
            }
        }
    }
}
