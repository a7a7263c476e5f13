//! Pends that wait for their post, their void or their expiry.
//!
//! What a pend holds stands in its payer's `reserved`, and so is nobody's to spend. At most [`MAX_PENDING`] wait at a time.

use std::collections::BTreeMap;

use crate::record::Leg;

/// Most pends that wait at a time.
pub const MAX_PENDING: usize = 1 << 14;

/// The pends that wait, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    open: BTreeMap<u128, Leg>,
}

impl Pending {
    /// The pend of this id, while it waits.
    pub fn find(&self, id: u128) -> Option<&Leg> {
        self.open.get(&id)
    }

    /// All that wait, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Leg> + '_ {
        self.open.values()
    }

    /// Whether one more fits.
    pub fn is_full(&self) -> bool {
        self.open.len() >= MAX_PENDING
    }

    pub(crate) fn open(&mut self, leg: &Leg) {
        let previous = self.open.insert(leg.transfer.id, *leg);
        debug_assert!(previous.is_none(), "an id pends once");
    }

    pub(crate) fn close(&mut self, id: u128) {
        let closed = self.open.remove(&id);
        debug_assert!(closed.is_some(), "only what pends is closed");
    }

    /// Digest of all that wait.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.open.values().for_each(|leg| leg.encode_into(&mut bytes));
        *blake3::hash(&bytes).as_bytes()
    }
}
