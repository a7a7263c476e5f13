//! From the hot path to settlement: a byte ring that is allowed to lose.
//!
//! The hot path must never wait for settlement, so a full ring drops what does not fit. Nothing is lost by that: the
//! journal has every record, seqs have no gaps, and the other end sees the first record that does not follow and reads
//! what is missing from the journal's files.

use wirebook_bypass::ring::RingError;
use wirebook_bypass::ring::bytes::{self, Corrupt, Heap};
use wirebook_settlement::record::Record;

/// Bytes of the ring: some 80,000 orders.
const CAPACITY: usize = 8 << 20;

/// Bytes handed over at a time, at most: small against the ring, large against a record.
pub(crate) const CHUNK: usize = 64 << 10;

/// A feed and its other end.
///
/// # Errors
/// When the memory is not to be had.
pub fn feed() -> Result<(Feed, FeedEnd), RingError> {
    let (producer, consumer) = bytes::heap(CAPACITY)?;
    Ok((Feed { ring: producer, dropped: 0 }, FeedEnd { ring: consumer }))
}

/// The hot path's end.
pub struct Feed {
    ring: bytes::Producer<Heap>,
    dropped: u64,
}

impl Feed {
    /// Hands over whole records, as many as there is room for; never waits.
    pub fn push(&mut self, records: &[u8]) {
        let mut from = 0;
        while from < records.len() {
            let to = whole_records(&records[from..]) + from;
            if self.ring.push(&records[from..to]).is_err() {
                self.dropped += 1;
            }
            from = to;
        }
    }

    /// Chunks that found the ring full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Settlement's end.
pub struct FeedEnd {
    ring: bytes::Consumer<Heap>,
}

impl FeedEnd {
    /// Hands the next chunk of whole records to `take`; `None` when there is none.
    ///
    /// # Errors
    /// Never over heap memory; the type is that of shared rings.
    pub fn pop<R>(&mut self, take: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Corrupt> {
        self.ring.pop_with(take)
    }
}

/// Length of the longest run of whole records that fits a chunk; at least one record.
pub(crate) fn whole_records(records: &[u8]) -> usize {
    if records.len() <= CHUNK {
        return records.len();
    }
    let mut end = 0;
    while let Ok((_, length)) = Record::decode(&records[end..]) {
        if end > 0 && end + length > CHUNK {
            break;
        }
        end += length;
    }
    // Bytes that do not decode are handed over as they are: the other end says so, and the hot path's own decode has.
    if end == 0 { records.len() } else { end }
}
