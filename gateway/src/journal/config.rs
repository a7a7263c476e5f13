//! How a journal is written, and why it refuses or stops.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use thiserror::Error;

use super::format::{ALIGN, Defect, MAX_BLOCK, MAX_SEGMENT_LEN};
use super::recovered::Recovered;
use super::storage::StorageError;

/// The length of a segment unless configured, in bytes.
pub const DEFAULT_SEGMENT_LEN: u64 = 64 << 20;

/// Why a journal does not take, or not keep, a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JournalError {
    /// Back-pressure: the group is full and the one before it is not durable yet. Poll, then try again.
    #[error("the journal's group is full: poll until it is handed to the disk")]
    Full,
    /// A record that no block can hold.
    #[error("a record of {len} bytes, and a block holds {most}")]
    TooLong {
        /// The record's length, in bytes.
        len: usize,
        /// The most, in bytes.
        most: usize,
    },
    /// Bytes that are not a record, or not the next one.
    #[error("not the next record ({wanted:#018x}): {defect}")]
    NotNext {
        /// The seq that is next.
        wanted: u64,
        /// What is wrong.
        defect: Defect,
    },
    /// A configuration that cannot work.
    #[error("journal configuration: {0}")]
    Config(&'static str),
    /// Every epoch has been used.
    #[error("this shard has had its 65,535 epochs: start a new journal from a snapshot")]
    EpochsUsed,
    /// The disk failed. Sticky: nothing is acknowledged any more.
    #[error("the journal stopped, nothing after seq {durable:#018x} is acknowledged: {cause}")]
    Stopped {
        /// The last seq that is durable, 0 for none.
        durable: u64,
        /// What failed.
        cause: StorageError,
    },
}

/// How a journal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalConfig {
    /// The shard.
    pub shard: u16,
    /// The hash of the beats' definition that this program was built with.
    pub abi_hash: [u8; 32],
    /// The length of a new segment, in bytes: a multiple of 4 KiB.
    pub segment_len: u64,
    /// The longest block, in bytes: a multiple of 4 KiB, at most [`MAX_BLOCK`].
    pub max_block: usize,
    /// A random number for this start, never the one of the start before.
    pub life: u64,
}

impl JournalConfig {
    /// Segments of 64 MiB, blocks up to 1 MiB, a random life.
    #[must_use]
    pub fn new(shard: u16, abi_hash: [u8; 32]) -> JournalConfig {
        // The standard library seeds these keys from the system's randomness.
        let life = RandomState::new().build_hasher().finish();
        JournalConfig { shard, abi_hash, segment_len: DEFAULT_SEGMENT_LEN, max_block: MAX_BLOCK, life }
    }

    pub(super) fn check(&self, after: &Recovered) -> Result<(), JournalError> {
        let whole = self.segment_len.is_multiple_of(ALIGN as u64) && self.max_block.is_multiple_of(ALIGN);
        if !whole || !(ALIGN..=MAX_BLOCK).contains(&self.max_block) {
            return Err(JournalError::Config(
                "segment_len and max_block are multiples of 4096, max_block at most 1 MiB",
            ));
        }
        if self.segment_len > MAX_SEGMENT_LEN || self.segment_len < (ALIGN + self.max_block) as u64 {
            return Err(JournalError::Config("segment_len is at most 256 MiB and holds at least a header and a block"));
        }
        if after.last_epoch != 0 && after.last_life == self.life {
            return Err(JournalError::Config("life is the one of the start before"));
        }
        Ok(())
    }
}

/// A durable block: what a snapshot names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMark {
    /// The seq of its last record.
    pub seq: u64,
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
}
