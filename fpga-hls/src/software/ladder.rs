//! Where the sides of a book have orders: for each a bitmap of its ticks in levels of 64, best first.
//!
//! A bit of the lowest level says that a tick has orders, a bit of each level above that the word below it is not zero.
//! The best tick is three `trailing_zeros` away; setting or clearing one touches at most three words. Bids are stored
//! flipped (`tick ^ flip`), so that the best of either side is the lowest *key* and the side never decides a branch. The highest
//! level is one word, here; the others lie in an array, the two sides' words in turn. A band of more than 2^18 ticks has a fourth
//! level, enough for 2^24.

use std::hint::select_unpredictable;

/// Bits of a word.
const WORD: u32 = u64::BITS;
/// log2 of [`WORD`].
const SHIFT: u32 = WORD.ilog2();
/// Sides of a band.
pub(super) const SIDES: usize = 2;
/// No level of that number.
const ABSENT: u32 = u32::MAX;

/// No tick has orders: above every key.
pub(super) const NONE: u32 = u32::MAX;

/// The ladders of one band. Side 0 buys, 1 sells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladders {
    /// `tick ^ flip` is the key of a side's tick. Read, not computed: the compiler would make a branch of it.
    flip: [u32; SIDES],
    leaf: u32,
    middle: u32,
    upper: u32,
    top: [u64; SIDES],
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

/// The index of a side's word.
#[inline(always)]
const fn at(level: u32, word: u32, side: u32) -> usize {
    (level + word * SIDES as u32 + side) as usize
}

/// Clears a bit of a word when it is `gone`, without a branch. Whether the word is 0 now.
#[inline(always)]
fn clear_bit(word: &mut u64, of: u32, gone: bool) -> bool {
    *word &= !select_unpredictable(gone, bit(of), 0);
    *word == 0
}

impl Ladders {
    /// Words of each level of one side in the array: ticks are rounded up to a power of two, so that a flip stays inside.
    const fn levels(ticks: u32) -> [u32; 3] {
        let leaves = ticks.next_power_of_two().div_ceil(WORD);
        let middles = leaves.div_ceil(WORD);
        let uppers = middles.div_ceil(WORD);
        [leaves, middles, if uppers > 1 { uppers } else { 0 }]
    }

    /// Words of a band in the array.
    pub(super) const fn words(ticks: u32) -> usize {
        let [leaves, middles, uppers] = Self::levels(ticks);
        (leaves + middles + uppers) as usize * SIDES
    }

    /// The empty ladders of a band whose words in the array begin at `start`.
    pub(super) const fn new(ticks: u32, start: u32) -> Self {
        let [leaves, middles, uppers] = Self::levels(ticks);
        let middle = start + leaves * SIDES as u32;
        let upper = if uppers > 0 { middle + middles * SIDES as u32 } else { ABSENT };
        Self { flip: [ticks.next_power_of_two() - 1, 0], leaf: start, middle, upper, top: [0; SIDES] }
    }

    /// The key of a tick, and the tick of a key.
    #[inline(always)]
    pub(super) const fn flip(&self, tick_or_key: u32, side: u32) -> u32 {
        tick_or_key ^ self.flip[side as usize % SIDES]
    }

    /// The lowest key that is set, or [`NONE`].
    #[inline(always)]
    pub(super) fn best(&self, words: &[u64], side: u32) -> u32 {
        let top = self.top[side as usize % SIDES];
        if top == 0 {
            return NONE;
        }
        let mut middle = lowest(top);
        if self.upper != ABSENT {
            middle = middle << SHIFT | lowest(words[at(self.upper, middle, side)]);
        }
        let leaf = middle << SHIFT | lowest(words[at(self.middle, middle, side)]);
        leaf << SHIFT | lowest(words[at(self.leaf, leaf, side)])
    }

    /// Sets a key, which may be set already.
    #[inline(always)]
    pub(super) fn set(&mut self, words: &mut [u64], key: u32, side: u32) {
        let leaf = key >> SHIFT;
        let word = &mut words[at(self.leaf, leaf, side)];
        let was_empty = *word == 0;
        *word |= bit(key);
        if was_empty {
            let mut middle = key >> (2 * SHIFT);
            words[at(self.middle, middle, side)] |= bit(leaf);
            if self.upper != ABSENT {
                let upper = middle >> SHIFT;
                words[at(self.upper, upper, side)] |= bit(middle);
                middle = upper;
            }
            self.top[side as usize % SIDES] |= bit(middle);
        }
    }

    /// Clears a key when it is `gone`.
    #[inline(always)]
    pub(super) fn clear_if(&mut self, words: &mut [u64], key: u32, side: u32, gone: bool) {
        let leaf = key >> SHIFT;
        if clear_bit(&mut words[at(self.leaf, leaf, side)], key, gone) {
            let mut middle = key >> (2 * SHIFT);
            let mut gone = clear_bit(&mut words[at(self.middle, middle, side)], leaf, true);
            if self.upper != ABSENT {
                let upper = middle >> SHIFT;
                gone = clear_bit(&mut words[at(self.upper, upper, side)], middle, gone);
                middle = upper;
            }
            clear_bit(&mut self.top[side as usize % SIDES], middle, gone);
        }
    }

    /// The lowest set key at or above `key`, or [`NONE`]: for walks that change nothing, off the hot path.
    pub(super) fn at_or_above(&self, words: &[u64], key: u32, side: u32) -> u32 {
        let leaves = (self.middle - self.leaf) / SIDES as u32;
        let mut leaf = key >> SHIFT;
        if leaf >= leaves {
            return NONE;
        }
        let mut word = words[at(self.leaf, leaf, side)] & (u64::MAX << (key % WORD));
        while word == 0 {
            leaf += 1;
            // Skip whole middle words that are empty.
            while leaf < leaves && leaf.is_multiple_of(WORD) && words[at(self.middle, leaf >> SHIFT, side)] == 0 {
                leaf += WORD;
            }
            if leaf >= leaves {
                return NONE;
            }
            word = words[at(self.leaf, leaf, side)];
        }
        leaf << SHIFT | word.trailing_zeros()
    }

    /// Whether a key is set.
    pub(super) fn has(&self, words: &[u64], key: u32, side: u32) -> bool {
        words[at(self.leaf, key >> SHIFT, side)] & bit(key) != 0
    }

    /// Whether each bit of the upper levels says what the word below it is.
    pub(super) fn agrees(&self, words: &[u64], side: u32) -> bool {
        let says = |above: u64, of: u32, below: u32, count: u32| {
            (above & bit(of) != 0) == (of < count && words[at(below, of, side)] != 0)
        };
        let level = |above: u32, below: u32, count: u32| {
            (0..count.next_multiple_of(WORD)).all(|of| says(words[at(above, of >> SHIFT, side)], of, below, count))
        };
        let leaves = (self.middle - self.leaf) / SIDES as u32;
        let middles = leaves.div_ceil(WORD);
        let top = self.top[side as usize % SIDES];
        level(self.middle, self.leaf, leaves)
            && if self.upper == ABSENT {
                (0..WORD).all(|of| says(top, of, self.middle, middles))
            } else {
                level(self.upper, self.middle, middles)
                    && (0..WORD).all(|of| says(top, of, self.upper, middles.div_ceil(WORD)))
            }
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
            let side = ticks % 2;
            let mut ladder = Ladders::new(ticks, start as u32);
            let mut words = vec![0u64; start + Ladders::words(ticks)];
            let mut set = BTreeSet::new();
            for round in 0..4000 {
                let tick = random(ticks);
                let key = ladder.flip(tick, side);
                // Fill in the first half, and empty in the second, so that both ends are reached.
                if (random(3) == 0) == (round < 2000) {
                    let first = set.first().copied();
                    let key = first.filter(|_| random(2) == 0).unwrap_or(key);
                    ladder.clear_if(&mut words, key, side, false);
                    ladder.clear_if(&mut words, key, side, true);
                    set.remove(&key);
                } else {
                    ladder.set(&mut words, key, side);
                    set.insert(key);
                }
                assert_eq!(
                    ladder.best(&words, side),
                    set.first().copied().unwrap_or(NONE),
                    "{ticks} ticks, round {round}"
                );
                let from = ladder.flip(random(ticks), side);
                let next = set.range(from..).next().copied().unwrap_or(NONE);
                assert_eq!(ladder.at_or_above(&words, from, side), next, "{ticks} ticks, from {from}, round {round}");
                assert_eq!(ladder.has(&words, from, side), set.contains(&from));
            }
            assert!(ladder.agrees(&words, side), "{ticks} ticks");
            assert!(ladder.agrees(&words, 1 - side), "{ticks} ticks: the other side is empty");
            let wrong = at(ladder.leaf, ladder.flip(random(ticks), side) >> SHIFT, side);
            words[wrong] = if words[wrong] == 0 { 1 } else { 0 };
            assert!(!ladder.agrees(&words, side), "a wrong leaf is seen");
        }
    }
}
