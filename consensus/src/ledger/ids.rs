//! Which transfers were booked: the same id again moves nothing.
//!
//! Ids are kept through the day in which they were booked and the day after, and then forgotten: whoever repeats a
//! transfer later than that must look first whether it was booked. That, and [`MAX_IDS_PER_DAY`], bound the memory.

use std::collections::BTreeMap;

use crate::record::Transfer;

/// Most transfers of a day; more are refused until the next day opens.
pub const MAX_IDS_PER_DAY: usize = 1 << 20;

/// What is known of a transfer's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen, or forgotten.
    New,
    /// Booked, and the same in every field.
    Same,
    /// Booked as this other transfer.
    Other(Transfer),
    /// Never seen, and there is no room to remember it today.
    Full,
}

/// The transfers of this day and the day before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferIds {
    today: BTreeMap<u128, Transfer>,
    before: BTreeMap<u128, Transfer>,
}

impl TransferIds {
    /// What is known of this transfer's id.
    pub fn known(&self, transfer: &Transfer) -> Known {
        match self.today.get(&transfer.id).or_else(|| self.before.get(&transfer.id)) {
            Some(booked) if booked == transfer => Known::Same,
            Some(booked) => Known::Other(*booked),
            None if self.today.len() >= MAX_IDS_PER_DAY => Known::Full,
            None => Known::New,
        }
    }

    /// Whether a transfer of this id is remembered.
    pub fn contains(&self, id: u128) -> bool {
        self.today.contains_key(&id) || self.before.contains_key(&id)
    }

    /// Remembers a transfer that was booked.
    pub(crate) fn insert(&mut self, transfer: &Transfer) {
        let previous = self.today.insert(transfer.id, *transfer);
        debug_assert!(previous.is_none(), "an id is booked once");
    }

    /// A later day opens.
    pub(crate) fn turn(&mut self) {
        self.before = core::mem::take(&mut self.today);
    }

    /// This day's transfers, by id.
    pub fn today(&self) -> impl Iterator<Item = &Transfer> + '_ {
        self.today.values()
    }

    /// The transfers of the day before, by id.
    pub fn before(&self) -> impl Iterator<Item = &Transfer> + '_ {
        self.before.values()
    }

    pub(crate) fn restore(today: &[Transfer], before: &[Transfer]) -> Self {
        let map = |transfers: &[Transfer]| transfers.iter().map(|transfer| (transfer.id, *transfer)).collect();
        Self { today: map(today), before: map(before) }
    }

    pub(super) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for day in [&self.before, &self.today] {
            hasher.update(&(day.len() as u64).to_le_bytes());
            for transfer in day.values() {
                let mut row = [0; 48];
                row[0..16].copy_from_slice(&transfer.id.to_le_bytes());
                row[16..32].copy_from_slice(&transfer.amount.to_le_bytes());
                row[32..36].copy_from_slice(&transfer.from.to_le_bytes());
                row[36..40].copy_from_slice(&transfer.to.to_le_bytes());
                row[40..42].copy_from_slice(&transfer.asset.to_le_bytes());
                hasher.update(&row);
            }
        }
    }
}
