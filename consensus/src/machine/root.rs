//! The root: one digest of all that decides what further records bring about, of all records and of all events so far.

/// What a root is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootParts {
    /// The last record's seq.
    pub last_seq: u64,
    /// [`crate::ledger::Ledger::root`].
    pub ledger: [u8; 32],
    /// Digest of all records' bytes.
    pub records: [u8; 32],
    /// Digest of all event beats.
    pub events: [u8; 32],
    /// Digest of the matcher's book.
    pub twin: [u8; 32],
    /// Digest of the registry and of the venue's state.
    pub registry: [u8; 32],
    /// Digest of what is in none of the others: time, sizes, fills, the run to seal, whose each live order is.
    pub books: [u8; 32],
}

impl RootParts {
    /// `blake3("wirebook root v2" | last seq | ledger root | records | events | twin | registry | books)`.
    pub fn root(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"wirebook root v2");
        hasher.update(&self.last_seq.to_le_bytes());
        for part in [&self.ledger, &self.records, &self.events, &self.twin, &self.registry, &self.books] {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}
