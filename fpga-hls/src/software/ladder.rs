//! Where one side of a book has orders: a bitmap of its ticks in three levels, best first.
//!
//! A bit of the lowest level says that a tick has orders, a bit of each level above that the word below it is not zero.
//! The best tick is three `trailing_zeros` away; setting or clearing one touches at most three words. Bids are stored
//! flipped (`tick ^ flip`), so that the best of either side is the lowest *key* and the side never decides a branch. A band
//! of more than 2^18 ticks has a fourth level, one word, which is 2^24.

/// Bits of a word.
const WORD: u32 = u64::BITS;
/// log2 of [`WORD`].
const SHIFT: u32 = WORD.ilog2();

/// No tick has orders: above every key.
pub(super) const NONE: u32 = u32::MAX;

/// The place of one side's words within the bitmap of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder {
    /// `tick ^ flip` is the key, and `key ^ flip` the tick.
    pub(super) flip: u32,
    leaf: u32,
    middle: u32,
    top: u32,
    /// The word above the top's, when that has more than one.
    summit: Option<std::num::NonZeroU32>,
}

/// The number of the lowest bit of a word that is not 0. (Of 0 it is 63; told that there is a bit, the compiler looks no further.)
#[inline(always)]
const fn lowest(word: u64) -> u32 {
    (word | 1 << (WORD - 1)).trailing_zeros()
}

#[inline(always)]
const fn bit(of: u32) -> u64 {
    1 << (of % WORD)
}

impl Ladder {
    /// Words of each level of a band, lowest first: its ticks are rounded up to a power of two, so that a flip stays inside.
    const fn levels(ticks: u32) -> [u32; 4] {
        let leaves = ticks.next_power_of_two().div_ceil(WORD);
        let middles = leaves.div_ceil(WORD);
        let tops = middles.div_ceil(WORD);
        [leaves, middles, tops, if tops > 1 { 1 } else { 0 }]
    }

    /// Words of one side of a band.
    pub(super) const fn words(ticks: u32) -> usize {
        let [leaves, middles, tops, summit] = Self::levels(ticks);
        (leaves + middles + tops + summit) as usize
    }

    /// The side of a band whose words begin at `start`.
    pub(super) const fn new(ticks: u32, start: u32, flipped: bool) -> Self {
        let [leaves, middles, tops, summit] = Self::levels(ticks);
        let (middle, top) = (start + leaves, start + leaves + middles);
        Self {
            flip: if flipped { ticks.next_power_of_two() - 1 } else { 0 },
            leaf: start,
            middle,
            top,
            summit: if summit == 1 { std::num::NonZeroU32::new(top + tops) } else { None },
        }
    }

    /// The lowest key that is set, or [`NONE`].
    #[inline(always)]
    pub(super) fn best(&self, words: &[u64]) -> u32 {
        let first = match self.summit {
            None => 0,
            Some(summit) => match words[summit.get() as usize] {
                0 => return NONE,
                word => lowest(word),
            },
        };
        let top = words[(self.top + first) as usize];
        if top == 0 {
            return NONE;
        }
        let middle = first << SHIFT | lowest(top);
        let leaf = middle << SHIFT | lowest(words[(self.middle + middle) as usize]);
        leaf << SHIFT | lowest(words[(self.leaf + leaf) as usize])
    }

    /// Sets a key.
    #[inline(always)]
    pub(super) fn set(&self, words: &mut [u64], key: u32) {
        let leaf = key >> SHIFT;
        let word = &mut words[(self.leaf + leaf) as usize];
        let was_empty = *word == 0;
        *word |= bit(key);
        if was_empty {
            self.set_above(words, leaf);
        }
    }

    /// A word of the lowest level has got its first bit.
    fn set_above(&self, words: &mut [u64], leaf: u32) {
        let (middle, top) = (leaf >> SHIFT, leaf >> (2 * SHIFT));
        words[(self.middle + middle) as usize] |= bit(leaf);
        words[(self.top + top) as usize] |= bit(middle);
        if let Some(summit) = self.summit {
            words[summit.get() as usize] |= bit(top);
        }
    }

    /// Clears a key.
    #[inline(always)]
    pub(super) fn clear(&self, words: &mut [u64], key: u32) {
        let leaf = key >> SHIFT;
        let word = &mut words[(self.leaf + leaf) as usize];
        *word &= !bit(key);
        if *word == 0 {
            self.clear_above(words, leaf);
        }
    }

    /// A word of the lowest level has lost its last bit.
    fn clear_above(&self, words: &mut [u64], leaf: u32) {
        let (middle, top) = (leaf >> SHIFT, leaf >> (2 * SHIFT));
        let word = &mut words[(self.middle + middle) as usize];
        *word &= !bit(leaf);
        if *word == 0 {
            let word = &mut words[(self.top + top) as usize];
            *word &= !bit(middle);
            if let (0, Some(summit)) = (*word, self.summit) {
                words[summit.get() as usize] &= !bit(top);
            }
        }
    }

    /// The lowest set key at or above `key`, or [`NONE`]: for walks that change nothing, off the hot path.
    pub(super) fn at_or_above(&self, words: &[u64], key: u32) -> u32 {
        let leaves = self.middle - self.leaf;
        let mut leaf = key >> SHIFT;
        if leaf >= leaves {
            return NONE;
        }
        let mut word = words[(self.leaf + leaf) as usize] & (u64::MAX << (key % WORD));
        while word == 0 {
            leaf += 1;
            // Skip whole middle words that are empty.
            while leaf < leaves && leaf.is_multiple_of(WORD) && words[(self.middle + (leaf >> SHIFT)) as usize] == 0 {
                leaf += WORD;
            }
            if leaf >= leaves {
                return NONE;
            }
            word = words[(self.leaf + leaf) as usize];
        }
        leaf << SHIFT | word.trailing_zeros()
    }

    /// Whether a key is set.
    pub(super) fn has(&self, words: &[u64], key: u32) -> bool {
        words[(self.leaf + (key >> SHIFT)) as usize] & bit(key) != 0
    }

    /// Whether each bit of the upper levels says what the word below it is.
    pub(super) fn agrees(&self, words: &[u64]) -> bool {
        let level = |below: &[u64], above: &[u64]| {
            above.iter().enumerate().all(|(at, word)| {
                (0..WORD as usize).all(|bit| {
                    let set = below.get(at * WORD as usize + bit).is_some_and(|w| *w != 0);
                    (*word >> bit & 1 == 1) == set
                })
            })
        };
        let [leaf, middle, top] = [self.leaf, self.middle, self.top].map(|at| at as usize);
        let tops = (middle - leaf).div_ceil((WORD * WORD) as usize);
        let summit = self.summit.map_or(0..0, |at| at.get() as usize..at.get() as usize + 1);
        level(&words[leaf..middle], &words[middle..top])
            && level(&words[middle..top], &words[top..top + tops])
            && (summit.is_empty() || level(&words[top..top + tops], &words[summit]))
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Random sets, clears and questions against a `BTreeSet`, for bands of every depth.
    #[test]
    fn a_ladder_is_an_ordered_set() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |n: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % u64::from(n)) as u32
        };
        for ticks in [1, 2, 63, 64, 65, 4096, 4097, 100_000, 1 << 18, (1 << 18) + 1, 1 << 22, 1 << 24] {
            let start = 7;
            let ladder = Ladder::new(ticks, start as u32, true);
            let mut words = vec![0u64; start + Ladder::words(ticks)];
            let mut set = BTreeSet::new();
            for round in 0..4000 {
                let tick = random(ticks);
                let key = tick ^ ladder.flip;
                // Fill in the first half, and empty in the second, so that both ends are reached.
                if (random(3) == 0) == (round < 2000) {
                    let first = set.first().copied();
                    let key = first.filter(|_| random(2) == 0).unwrap_or(key);
                    ladder.clear(&mut words, key);
                    set.remove(&key);
                } else {
                    ladder.set(&mut words, key);
                    set.insert(key);
                }
                assert_eq!(ladder.best(&words), set.first().copied().unwrap_or(NONE), "{ticks} ticks, round {round}");
                let from = random(ticks) ^ ladder.flip;
                let next = set.range(from..).next().copied().unwrap_or(NONE);
                assert_eq!(ladder.at_or_above(&words, from), next, "{ticks} ticks, from {from}, round {round}");
                assert_eq!(ladder.has(&words, from), set.contains(&from));
            }
            assert!(ladder.agrees(&words), "{ticks} ticks");
            words[start] ^= 1;
            words[start + 1] ^= 1;
            assert!(ticks <= 64 || !ladder.agrees(&words) || set.len() > 2, "a wrong leaf is seen");
        }
    }
}
