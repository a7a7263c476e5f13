//! What reading a whole journal gives: its contents and its end, or why it cannot be used.

use std::error::Error as StdError;
use std::fmt;

use thiserror::Error;

use super::config::JournalError;
use super::format::{Defect, segment_name};
use super::storage::StorageError;

/// Why a caller refuses a record.
pub type VisitError = Box<dyn StdError + Send + Sync>;

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// A file could not be read.
    #[error("cannot read the journal: {0}")]
    Storage(#[from] StorageError),
    /// Bytes that were written whole once, and are not now.
    #[error(
        "journal damaged: {file} at byte {offset}: {defect}; {proof}. Acknowledged records stood here, so nothing was \
         changed and nothing may be cut. Restore this file from a copy, or start from a snapshot on another disk; \
         `wirebook journal dump` shows what can still be read"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        defect: Defect,
        /// Why it cannot be a torn tail.
        proof: String,
    },
    /// A segment between others is not there.
    #[error("journal incomplete: {file} is missing between other segments. Restore it from a copy")]
    Missing {
        /// The file.
        file: String,
    },
    /// A whole journal, but not this gateway's.
    #[error(
        "{file} belongs elsewhere: {what}. Point the configuration at the right directory, or use the program that made it"
    )]
    Foreign {
        /// The file.
        file: String,
        /// What differs.
        what: String,
    },
    /// The caller refused a record.
    #[error("{file} at byte {offset}: record {seq:#018x} cannot be applied: {source}")]
    Refused {
        /// The file.
        file: String,
        /// Where the record stands, in bytes from the file's start.
        offset: u64,
        /// Its seq.
        seq: u64,
        /// The caller's reason.
        source: VisitError,
    },
}

/// Where a journal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// There is nothing yet.
    Empty,
    /// The last block is followed by zeros only.
    Clean {
        /// The last segment used.
        segment: u64,
        /// Where its blocks end, in bytes.
        offset: u64,
    },
    /// The last block is followed by the remains of a write that was never acknowledged.
    Cut {
        /// The last segment used.
        segment: u64,
        /// Where its blocks end, in bytes.
        offset: u64,
        /// Why what follows is no block.
        defect: Defect,
    },
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tail::Empty => write!(f, "empty journal"),
            Tail::Clean { segment, offset } => write!(f, "clean end in {} at byte {offset}", segment_name(*segment)),
            Tail::Cut { segment, offset, defect } => write!(
                f,
                "torn tail cut in {} at byte {offset}: {defect}; it was never acknowledged",
                segment_name(*segment)
            ),
        }
    }
}

/// One segment that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub segment: u64,
    /// Its epoch.
    pub epoch: u16,
    /// The seq of its last record, or of the last one before it when it holds none.
    pub last_seq: u64,
    /// How many records it holds.
    pub records: u64,
}

/// The piece of file that the last life wrote last: at most this is not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite {
    /// The segment.
    pub segment: u64,
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// How long, in bytes.
    pub len: u64,
}

/// What a journal holds, all of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The last epoch opened, 0 for none; it may hold no record.
    pub last_epoch: u16,
    /// The seq of the last record, 0 for none.
    pub last_seq: u64,
    /// How many records were read.
    pub records: u64,
    /// How many blocks the journal has had, removed segments included: the next one's number.
    pub blocks: u64,
    /// The hash of the last block, zeros for none.
    pub last_hash: [u8; 32],
    /// The last seq before the first segment, 0 unless segments were removed: a snapshot must reach it.
    pub base_seq: u64,
    /// The segments in use, in order.
    pub segments: Vec<SegmentInfo>,
    /// Files that a writer may remove: segments made ahead and never used, or never finished.
    pub leftovers: Vec<String>,
    /// Where it ends.
    pub tail: Tail,
    /// The life of the last segment.
    pub last_life: u64,
    /// What may not be durable yet.
    pub last_write: Option<LastWrite>,
}

impl Recovered {
    /// The epoch that the next start opens.
    pub fn next_epoch(&self) -> Result<u16, JournalError> {
        self.last_epoch.checked_add(1).ok_or(JournalError::EpochsUsed)
    }
}
