//! Which small number an id has now: an open-addressing table from 64-bit ids, whose size follows the live ones.
//!
//! Looked up, entered and removed, never walked: no order of its places can decide anything, which is what a hash map of the
//! standard library could not promise. Linear probing at a load of at most one half; a removal closes its gap, so that nothing
//! is left of the dead. Ids that were chosen to collide make it slow, and never wrong.

/// A value that no id may have: marks a free place.
const FREE: u32 = u32::MAX;
/// Places of an empty table.
const FIRST_PLACES: usize = 64;

/// From id to number.
#[derive(Clone, Debug)]
pub struct Ids {
    places: Vec<(u64, u32)>,
    /// Places by which a 64-bit hash is shifted: what is left is a place.
    shift: u32,
    used: usize,
}

impl Default for Ids {
    fn default() -> Self {
        Self::with_places(FIRST_PLACES)
    }
}

impl Ids {
    fn with_places(places: usize) -> Self {
        Self { places: vec![(0, FREE); places], shift: 64 - places.trailing_zeros(), used: 0 }
    }

    /// How many ids have a number.
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether none has.
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Where an id would stand if nobody stood there.
    #[inline]
    fn home(&self, id: u64) -> usize {
        let mixed = u128::from(id ^ 0x2545_f491_4f6c_dd1d) * 0x9e37_79b9_7f4a_7c15;
        (((mixed >> 64) as u64 ^ mixed as u64) >> self.shift) as usize
    }

    /// The place of an id, or the free place where the search for it ends.
    #[inline]
    fn place(&self, id: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut at = self.home(id);
        while self.places[at].1 != FREE && self.places[at].0 != id {
            at = (at + 1) & mask;
        }
        at
    }

    /// The number of an id.
    #[inline]
    pub fn get(&self, id: u64) -> Option<u32> {
        let (_, number) = self.places[self.place(id)];
        (number != FREE).then_some(number)
    }

    /// Gives an id a number, instead of the one that it may have.
    ///
    /// # Panics
    /// When the number is `u32::MAX`.
    pub fn insert(&mut self, id: u64, number: u32) {
        assert_ne!(number, FREE, "id {id}: every number but this one");
        if (self.used + 1) * 2 > self.places.len() {
            let mut wider = Self::with_places(self.places.len() * 2);
            for (id, number) in self.places.iter().filter(|(_, number)| *number != FREE) {
                wider.insert(*id, *number);
            }
            *self = wider;
        }
        let at = self.place(id);
        self.used += usize::from(self.places[at].1 == FREE);
        self.places[at] = (id, number);
    }

    /// Takes an id's number away, and says which it was.
    pub fn remove(&mut self, id: u64) -> Option<u32> {
        let mask = self.places.len() - 1;
        let mut gap = self.place(id);
        let (_, number) = self.places[gap];
        if number == FREE {
            return None;
        }
        self.used -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            if self.places[at].1 == FREE {
                break;
            }
            // Whoever stands behind the gap moves into it, unless that is before its home.
            let behind_home = at.wrapping_sub(self.home(self.places[at].0)) & mask;
            if behind_home >= at.wrapping_sub(gap) & mask {
                self.places[gap] = self.places[at];
                gap = at;
            }
        }
        self.places[gap] = (0, FREE);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_answers_like_a_map_whatever_comes_and_goes() {
        let mut random = Random::new(3);
        let (mut ids, mut map) = (Ids::default(), BTreeMap::new());
        for step in 0..400_000u32 {
            // Few ids, so that they come and go, and some at the ends of the range.
            let id = match random.below(10) {
                0 => u64::MAX - random.below(20),
                1 => random.below(20) << 32,
                _ => random.below(if step < 200_000 { 3000 } else { 40 }),
            };
            if random.chance(1, 2) {
                ids.insert(id, step);
                map.insert(id, step);
            } else {
                assert_eq!(ids.remove(id), map.remove(&id), "step {step}");
            }
            let other = random.below(3000);
            assert_eq!(ids.get(other), map.get(&other).copied(), "step {step}");
            assert_eq!((ids.len(), ids.is_empty()), (map.len(), map.is_empty()));
        }
        for (id, number) in &map {
            assert_eq!(ids.get(*id), Some(*number));
        }
        assert!(ids.places.len() <= 16_384, "{} places for what was never more than 3040", ids.places.len());
    }
}
