//! Which slots are free.
//!
//! [`Slots::lowest`] always names the lowest free slot. So the choice depends on the set of free slots alone, not on the order
//! in which they became free: an allocator rebuilt from the journal goes on exactly as the one that wrote it. Low slots are
//! also warm slots. A tree of 64-bit words finds the lowest in one step per level: three for a quarter of a million slots.
//!
//! A slot is claimed when its record is made, and freed only when the terminal event of its order has been processed.

const WORD_BITS: u32 = u64::BITS;

/// The free slots of a shard. Allocates only in [`Slots::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Level 0 has one bit per slot, set while it is free; a bit of level n + 1 is set while its word of level n is not 0.
    levels: Vec<Box<[u64]>>,
    count: u32,
    free: u32,
}

impl Slots {
    /// `count` slots, all free.
    ///
    /// # Panics
    /// When `count` is 0: a venue without slots takes no order.
    pub fn new(count: u32) -> Self {
        assert!(count > 0, "found 0 slots, allowed 1 and more");
        let mut levels = Vec::new();
        let mut bits = count;
        loop {
            let words = bits.div_ceil(WORD_BITS);
            let mut level = vec![u64::MAX; words as usize].into_boxed_slice();
            if let (Some(last), 1..) = (level.last_mut(), bits % WORD_BITS) {
                *last = (1 << (bits % WORD_BITS)) - 1;
            }
            levels.push(level);
            if words == 1 {
                break;
            }
            bits = words;
        }
        Self { levels, count, free: count }
    }

    /// The lowest free slot, not taken by asking; `None` when all are taken.
    #[inline]
    pub fn lowest(&self) -> Option<u32> {
        let mut index = 0;
        for level in self.levels.iter().rev() {
            let word = level[index];
            if word == 0 {
                return None;
            }
            index = index * WORD_BITS as usize + word.trailing_zeros() as usize;
        }
        Some(index as u32)
    }

    /// Takes a slot. Answers whether it was free.
    #[inline]
    pub fn claim(&mut self, slot: u32) -> bool {
        if !self.is_free(slot) {
            return false;
        }
        self.free -= 1;
        let mut index = slot as usize;
        for level in &mut self.levels {
            let word = &mut level[index / WORD_BITS as usize];
            *word &= !(1 << (index % WORD_BITS as usize));
            if *word != 0 {
                break;
            }
            index /= WORD_BITS as usize;
        }
        true
    }

    /// Gives a slot back. Answers whether it was taken.
    #[inline]
    pub fn release(&mut self, slot: u32) -> bool {
        if slot >= self.count || self.is_free(slot) {
            return false;
        }
        self.free += 1;
        let mut index = slot as usize;
        for level in &mut self.levels {
            let word = &mut level[index / WORD_BITS as usize];
            let had_free = *word != 0;
            *word |= 1 << (index % WORD_BITS as usize);
            if had_free {
                break;
            }
            index /= WORD_BITS as usize;
        }
        true
    }

    /// Whether the slot exists and is free.
    #[inline]
    pub fn is_free(&self, slot: u32) -> bool {
        slot < self.count && self.levels[0][(slot / WORD_BITS) as usize] >> (slot % WORD_BITS) & 1 == 1
    }

    /// How many are taken.
    pub fn taken(&self) -> u32 {
        self.count - self.free
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_slot_is_given_once_lowest_first() {
        for count in [1, 63, 64, 65, 4095, 4096, 4097, 300_000] {
            let mut slots = Slots::new(count);
            for expected in 0..count {
                let slot = slots.lowest();
                assert_eq!(slot, Some(expected));
                assert!(slots.claim(expected) && !slots.claim(expected));
            }
            assert_eq!((slots.lowest(), slots.taken()), (None, count));
            assert!(!slots.claim(count) && !slots.release(count), "a slot beyond the last does not exist");
            assert!(slots.release(count - 1));
            assert_eq!(slots.lowest(), Some(count - 1));
        }
    }

    proptest! {
        /// Against an ordered set, whatever is claimed and released.
        #[test]
        fn behaves_as_an_ordered_set(count in 1u32..9000, steps in proptest::collection::vec((any::<u32>(), 0u8..3), 0..400)) {
            let mut slots = Slots::new(count);
            let mut free: BTreeSet<u32> = (0..count).collect();
            for (number, what) in steps {
                let slot = number % count;
                match what {
                    0 => prop_assert_eq!(slots.claim(slot), free.remove(&slot)),
                    1 => prop_assert_eq!(slots.release(slot), free.insert(slot)),
                    _ => {
                        // Takes a run, so that whole words and levels empty.
                        for _ in 0..number % 200 {
                            let lowest = slots.lowest();
                            prop_assert_eq!(lowest, free.first().copied());
                            let Some(lowest) = lowest else { break };
                            slots.claim(lowest);
                            free.remove(&lowest);
                        }
                    }
                }
                prop_assert_eq!(slots.lowest(), free.first().copied());
                prop_assert_eq!(slots.taken(), count - free.len() as u32);
            }
        }
    }
}
