//! Where one side of a book has orders: a bitmap of its ticks in three levels, best first.
//!
//! A bit of the lowest level says that a tick has orders, a bit of each level above that the word below it is not zero.
//! The best tick is three `trailing_zeros` away; setting or clearing one touches at most three words. Bids are stored
//! flipped (`tick ^ flip`), so that the best of either side is the lowest *key* and the side never decides a branch. Up to
//! 2^18 ticks the top is one word; above, its words (64 of them at 2^24 ticks) are looked at in turn.

/// Bits of a word.
const WORD: usize = 64;

/// No tick has orders: above every key.
pub(super) const NONE: u32 = u32::MAX;

/// The place of one side's words within the bitmap of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder {
    /// `tick ^ flip` is the key, and `key ^ flip` the tick.
    pub(super) flip: u32,
    leaf: usize,
    middle: usize,
    top: usize,
    tops: usize,
}

impl Ladder {
    /// Keys of a band: its ticks rounded up to a power of two, so that a flip stays inside.
    const fn keys(ticks: u32) -> usize {
        (ticks as usize).next_power_of_two()
    }

    /// Words of one side of a band.
    pub(super) const fn words(ticks: u32) -> usize {
        let leaves = Self::keys(ticks).div_ceil(WORD);
        let middles = leaves.div_ceil(WORD);
        leaves + middles + middles.div_ceil(WORD)
    }

    /// The side of a band whose words begin at `start`.
    pub(super) const fn new(ticks: u32, start: usize, flipped: bool) -> Self {
        let keys = Self::keys(ticks);
        let leaves = keys.div_ceil(WORD);
        let middles = leaves.div_ceil(WORD);
        Self {
            flip: if flipped { keys as u32 - 1 } else { 0 },
            leaf: start,
            middle: start + leaves,
            top: start + leaves + middles,
            tops: middles.div_ceil(WORD),
        }
    }

    /// The lowest key that is set, or [`NONE`].
    #[inline]
    pub(super) fn best(&self, words: &[u64]) -> u32 {
        for (at, word) in words[self.top..self.top + self.tops].iter().enumerate() {
            if *word != 0 {
                let middle = at * WORD + word.trailing_zeros() as usize;
                let leaf = middle * WORD + words[self.middle + middle].trailing_zeros() as usize;
                return (leaf * WORD) as u32 + words[self.leaf + leaf].trailing_zeros();
            }
        }
        NONE
    }

    /// Sets a key.
    #[inline]
    pub(super) fn set(&self, words: &mut [u64], key: u32) {
        let leaf = key as usize / WORD;
        let middle = leaf / WORD;
        let word = &mut words[self.leaf + leaf];
        let was_empty = *word == 0;
        *word |= 1 << (key as usize % WORD);
        if was_empty {
            words[self.middle + middle] |= 1 << (leaf % WORD);
            words[self.top + middle / WORD] |= 1 << (middle % WORD);
        }
    }

    /// Clears a key.
    #[inline]
    pub(super) fn clear(&self, words: &mut [u64], key: u32) {
        let leaf = key as usize / WORD;
        let middle = leaf / WORD;
        let word = &mut words[self.leaf + leaf];
        *word &= !(1 << (key as usize % WORD));
        if *word == 0 {
            let word = &mut words[self.middle + middle];
            *word &= !(1 << (leaf % WORD));
            if *word == 0 {
                words[self.top + middle / WORD] &= !(1 << (middle % WORD));
            }
        }
    }

    /// The lowest set key at or above `key`, or [`NONE`]: for walks that change nothing, off the hot path.
    pub(super) fn at_or_above(&self, words: &[u64], key: u32) -> u32 {
        let leaves = self.middle - self.leaf;
        let mut leaf = key as usize / WORD;
        if leaf >= leaves {
            return NONE;
        }
        let mut word = words[self.leaf + leaf] & (u64::MAX << (key as usize % WORD));
        while word == 0 {
            leaf += 1;
            // Skip whole middle words that are empty.
            while leaf < leaves && leaf.is_multiple_of(WORD) && words[self.middle + leaf / WORD] == 0 {
                leaf += WORD;
            }
            if leaf >= leaves {
                return NONE;
            }
            word = words[self.leaf + leaf];
        }
        (leaf * WORD) as u32 + word.trailing_zeros()
    }

    /// Whether a key is set.
    pub(super) fn has(&self, words: &[u64], key: u32) -> bool {
        words[self.leaf + key as usize / WORD] >> (key as usize % WORD) & 1 == 1
    }

    /// Whether each bit of the upper levels says what the word below it is.
    pub(super) fn agrees(&self, words: &[u64]) -> bool {
        let level = |below: &[u64], above: &[u64]| {
            above.iter().enumerate().all(|(at, word)| {
                (0..WORD).all(|bit| {
                    let set = below.get(at * WORD + bit).is_some_and(|w| *w != 0);
                    (*word >> bit & 1 == 1) == set
                })
            })
        };
        level(&words[self.leaf..self.middle], &words[self.middle..self.top])
            && level(&words[self.middle..self.top], &words[self.top..self.top + self.tops])
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
            let ladder = Ladder::new(ticks, start, true);
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
