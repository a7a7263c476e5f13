//! Which transfers were booked: the same id again moves nothing.
//!
//! Ids are kept through the day in which they were booked and the day after, and then forgotten: whoever repeats a
//! transfer later than that must look first whether it was booked. That, and [`MAX_IDS_PER_DAY`], bound the memory.
//! Each day has a digest of its legs in the order in which they were booked, so that a root costs nothing for them.

use std::collections::BTreeMap;

use crate::record::{LEG_BYTES, Leg};

/// Most transfers of a day; more are refused until the next day opens.
pub const MAX_IDS_PER_DAY: usize = 1 << 20;

/// What is known of a leg's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen, or forgotten.
    New,
    /// Booked, and the same in every field.
    Same,
    /// Booked as this other leg.
    Other(Leg),
    /// Never seen, and there is no room to remember it today.
    Full,
}

/// The legs of one day, by id and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct DayIds {
    legs: BTreeMap<u128, Leg>,
    order: Vec<u128>,
    digest: [u8; 32],
}

impl DayIds {
    /// Whether the id was new.
    fn push(&mut self, leg: &Leg) -> bool {
        let previous = self.legs.insert(leg.transfer.id, *leg);
        self.order.push(leg.transfer.id);
        self.digest = link(&self.digest, 0, leg);
        previous.is_none()
    }

    fn legs(&self) -> impl Iterator<Item = &Leg> + '_ {
        self.order.iter().map(|id| &self.legs[id])
    }
}

/// The legs of this day and the day before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferIds {
    today: DayIds,
    before: DayIds,
}

/// How far [`TransferIds`] had come: what a chain that fails in the middle goes back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    len: usize,
    digest: [u8; 32],
}

impl TransferIds {
    /// What is known of this leg's id.
    pub fn known(&self, leg: &Leg) -> Known {
        match self.find(leg.transfer.id) {
            Some(booked) if booked == leg => Known::Same,
            Some(booked) => Known::Other(*booked),
            None if self.today.legs.len() >= MAX_IDS_PER_DAY => Known::Full,
            None => Known::New,
        }
    }

    /// The leg of this id, while it is remembered.
    pub fn find(&self, id: u128) -> Option<&Leg> {
        self.today.legs.get(&id).or_else(|| self.before.legs.get(&id))
    }

    /// Whether a leg of this id is remembered.
    pub fn contains(&self, id: u128) -> bool {
        self.find(id).is_some()
    }

    /// Remembers a leg that was booked.
    pub(crate) fn insert(&mut self, leg: &Leg) {
        let new = self.today.push(leg);
        debug_assert!(new, "an id is booked once");
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.today.order.len(), digest: self.today.digest }
    }

    /// Forgets what was inserted since the mark. Only of today: no day may have turned in between.
    pub(crate) fn rewind(&mut self, mark: &Mark) {
        for id in self.today.order.drain(mark.len..) {
            self.today.legs.remove(&id);
        }
        self.today.digest = mark.digest;
    }

    /// A later day opens.
    pub(crate) fn turn(&mut self) {
        self.before = core::mem::take(&mut self.today);
    }

    /// This day's legs, as they were booked.
    pub fn today(&self) -> impl Iterator<Item = &Leg> + '_ {
        self.today.legs()
    }

    /// The legs of the day before, as they were booked.
    pub fn before(&self) -> impl Iterator<Item = &Leg> + '_ {
        self.before.legs()
    }

    /// What a snapshot remembers; `None` when an id stands twice in it.
    pub(crate) fn restore(today: &[Leg], before: &[Leg]) -> Option<Self> {
        let day = |legs: &[Leg]| {
            let mut day = DayIds::default();
            legs.iter().all(|leg| day.push(leg)).then_some(day)
        };
        Some(Self { today: day(today)?, before: day(before)? })
    }

    /// Digest of both days.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for day in [&self.before, &self.today] {
            hasher.update(&(day.order.len() as u64).to_le_bytes());
            hasher.update(&day.digest);
        }
        *hasher.finalize().as_bytes()
    }
}

/// The next link of a chain of legs.
pub(super) fn link(previous: &[u8; 32], seq: u64, leg: &Leg) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(LEG_BYTES);
    leg.encode_into(&mut bytes);
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous).update(&seq.to_le_bytes()).update(&bytes);
    *hasher.finalize().as_bytes()
}
