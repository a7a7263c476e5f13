//! Finds a live order by its account's number for it.
//!
//! A table of chains, as large as the slots ask for from the start: nothing is allocated, moved or faulted in while orders come
//! and go, however many came before. Numbers that follow one another, as clients give them, stand side by side: [`RUN`] of them share
//! a few cache lines, and where a run stands nobody outside can tell, since the multiplier is drawn at start: no client can pick
//! numbers that all meet in one chain. The index only finds; nothing depends on where something stands.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::orders::NONE;

/// Numbers in a row that are neighbours, a power of two.
const RUN: u64 = 64;

/// What an order is found by: the account, and its number for the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The account.
    pub account: u32,
    /// Its number.
    pub user_ref: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    name: Name,
    /// The next slot of the chain.
    next: u32,
}

/// Names of live orders, each of which stands in a slot.
#[derive(Clone, Debug)]
pub struct Names {
    /// First slot of each chain.
    chains: Box<[u32]>,
    /// By slot.
    links: Box<[Link]>,
    multiplier: u64,
}

impl Names {
    /// For orders in so many slots.
    pub fn new(slots: u32) -> Self {
        let chains = (slots as usize).next_power_of_two().max(RUN as usize);
        // The standard library seeds these keys from the system's randomness.
        let multiplier = RandomState::new().build_hasher().finish() | 1;
        Self {
            chains: vec![NONE; chains].into_boxed_slice(),
            links: vec![Link { name: Name { account: NONE, user_ref: NONE }, next: NONE }; slots as usize]
                .into_boxed_slice(),
            multiplier,
        }
    }

    /// Where a name's chain begins.
    #[inline]
    fn chain(&self, name: Name) -> usize {
        let run = (u64::from(name.account) << 32) | (u64::from(name.user_ref) / RUN);
        // The product's upper half depends on all of the run.
        let place = run.wrapping_mul(self.multiplier) >> 32;
        (place * RUN + u64::from(name.user_ref) % RUN) as usize & (self.chains.len() - 1)
    }

    /// The slot of this name.
    #[inline]
    pub fn get(&self, name: Name) -> Option<u32> {
        let mut slot = self.chains[self.chain(name)];
        while slot != NONE {
            let link = &self.links[slot as usize];
            if link.name == name {
                return Some(slot);
            }
            slot = link.next;
        }
        None
    }

    /// Gives the name to this slot, whoever had it. The slot must have no other name.
    #[inline]
    pub fn insert(&mut self, name: Name, slot: u32) {
        if let Some(before) = self.get(name) {
            self.remove(name, before);
        }
        let chain = self.chain(name);
        self.links[slot as usize] = Link { name, next: self.chains[chain] };
        self.chains[chain] = slot;
    }

    /// Takes the name from this slot; nothing happens if another has it, or none.
    #[inline]
    pub fn remove(&mut self, name: Name, slot: u32) {
        let chain = self.chain(name);
        let mut before = NONE;
        let mut at = self.chains[chain];
        while at != NONE {
            let link = self.links[at as usize];
            if at == slot {
                if link.name != name {
                    return;
                }
                match before {
                    NONE => self.chains[chain] = link.next,
                    before => self.links[before as usize].next = link.next,
                }
                return;
            }
            (before, at) = (at, link.next);
        }
    }

    /// Every name and its slot, in their order.
    #[cfg(test)]
    pub fn sorted(&self) -> Vec<(Name, u32)> {
        let mut all = Vec::new();
        for &first in &self.chains {
            let mut slot = first;
            while slot != NONE {
                let link = &self.links[slot as usize];
                all.push((link.name, slot));
                slot = link.next;
            }
        }
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = 100;

    proptest! {
        /// As a map from names to slots, in which a slot has one name at most.
        #[test]
        fn is_a_map(steps in prop::collection::vec((0..4u8, 0..3u32, 0..200u32, 0..SLOTS), 1..400)) {
            let mut names = Names::new(SLOTS);
            let mut map = BTreeMap::new();
            for (step, account, user_ref, slot) in steps {
                let name = Name { account, user_ref };
                match step {
                    0..2 => {
                        let other = map.iter().find(|&(_, &held)| held == slot).map(|(&other, _)| other);
                        if let Some(other) = other {
                            names.remove(other, slot);
                            map.remove(&other);
                        }
                        names.insert(name, slot);
                        map.insert(name, slot);
                    }
                    2 => {
                        names.remove(name, slot);
                        if map.get(&name) == Some(&slot) {
                            map.remove(&name);
                        }
                    }
                    _ => prop_assert_eq!(names.get(name), map.get(&name).copied()),
                }
            }
            prop_assert_eq!(names.sorted(), map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn numbers_that_follow_one_another_are_neighbours() {
        let names = Names::new(1 << 16);
        let at = |user_ref| names.chain(Name { account: 7, user_ref });
        for user_ref in 0..1_000 {
            let next = user_ref + 1;
            assert!(next % 64 == 0 || at(next) == at(user_ref) + 1, "{user_ref}");
        }
    }

    /// Numbers that a plain table of this size would put into one chain.
    #[test]
    fn picked_numbers_do_not_meet() {
        const COUNT: u32 = 1 << 14;
        let mut names = Names::new(COUNT);
        for slot in 0..COUNT {
            names.insert(Name { account: 1, user_ref: slot << 14 }, slot);
        }
        let length = |first: u32| {
            let mut length = 0;
            let mut slot = first;
            while slot != NONE {
                length += 1;
                slot = names.links[slot as usize].next;
            }
            length
        };
        let longest = names.chains.iter().map(|&first| length(first)).max().unwrap();
        // Of 64 numbers each only one is used: a chain in 64 holds them all, some 64 each, were they spread at random.
        assert!(longest < 2_000, "a chain of {longest}");
    }
}
