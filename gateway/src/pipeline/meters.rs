//! What the pipeline counts: named counters in a shared-memory file, that any process may read while it runs.
//!
//! Each counter has one writer, the pipeline's thread; writing one is a store. A reader sees each value whole, but not all
//! of them at one moment.

use std::path::Path;

use wirebook_bypass::counters::{Counter, Counters, CountersError};

/// Slots of the file: what is counted today, and room for more.
const SLOTS: usize = 64;

/// The pipeline's counters.
pub struct Meters {
    /// Bursts dispatched.
    pub bursts: Counter,
    /// Records sequenced.
    pub records: Counter,
    /// Bytes of records.
    pub bytes: Counter,
    /// Fills.
    pub fills: Counter,
    /// Seq of the last record that is matched and booked.
    pub booked: Counter,
    /// Seq of the last record that is durable.
    pub durable: Counter,
    /// Live orders.
    pub live: Counter,
    /// Open connections, at the last burst.
    pub connections: Counter,
    /// Chunks that settlement's feed had no room for, and reads from the journal instead.
    pub dropped: Counter,
    /// Takeovers by the software twin from a device.
    pub takeovers: Counter,
}

impl Meters {
    /// Makes the file anew; what an earlier life counted is gone.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, CountersError> {
        let _ = std::fs::remove_file(path);
        Self::of(&Counters::create(path, SLOTS)?)
    }

    fn of(counters: &Counters) -> Result<Self, CountersError> {
        Ok(Self {
            bursts: counters.add("bursts dispatched")?,
            records: counters.add("records sequenced")?,
            bytes: counters.add("record bytes")?,
            fills: counters.add("fills")?,
            booked: counters.add("last seq booked")?,
            durable: counters.add("last seq durable")?,
            live: counters.add("live orders")?,
            connections: counters.add("connections")?,
            dropped: counters.add("settlement feed chunks dropped")?,
            takeovers: counters.add("takeovers from the device")?,
        })
    }
}
