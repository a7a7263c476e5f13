//! The journal's bytes: segments and commit blocks.
//!
//! A journal is a directory of *segments* `NNNNNNNNNN.wbj`, numbered from 1 without a gap. A segment is a file of
//! fixed length, filled with zeros before it is used. Its first 4 KiB hold the [`SegmentHeader`](super::SegmentHeader); then follow *commit
//! blocks*, each one group commit: a [`BlockHeader`](super::BlockHeader) of 128 bytes, whole records, zeros up to a multiple of 4 KiB.
//! All integers are little-endian.
//!
//! | segment header | at | | block header | at |
//! |---|---|---|---|---|
//! | magic `WBJSEG\r\n` | 0 | | magic `WBJB` | 0 |
//! | format version u32 | 8 | | epoch u16, shard u16 | 4, 6 |
//! | shard u16, epoch u16 | 12, 14 | | segment u64 | 8 |
//! | segment u64 | 16 | | number u64 | 16 |
//! | file length u64 | 24 | | life u64 | 24 |
//! | life u64 | 32 | | first seq, last seq u64 | 32, 40 |
//! | number of the next block u64 | 40 | | records u32 | 48 |
//! | last seq before this segment u64 | 48 | | payload length u32 | 52 |
//! | zero u64 | 56 | | zero u32 | 56 |
//! | ABI hash, hash of the last block | 64, 96 | | CRC32C u32 | 60 |
//! | zeros | 128 | | hash of the previous block | 64 |
//! | CRC32C u32 | 4092 | | hash of this block | 96 |
//!
//! **Why each part is there.** The CRC is seeded with epoch, segment and *life*, and covers every byte of the block,
//! padding too, so a torn, stale or misplaced block does not verify. The hash (BLAKE3 of header, previous hash and
//! payload) chains blocks across segments and epochs: a segment's header names the hash that it continues, and so
//! bears witness to where the segment before it ended. *Life* is a random number drawn by each start of the writer:
//! bytes of an earlier life with the same epoch and segment, or a block that a client smuggled into a payload, cannot
//! be taken for a block of this one.
//!
//! Limits: a block is at most [`MAX_BLOCK`] bytes, so a record at most [`MAX_RECORD`]; a segment at most
//! [`MAX_SEGMENT_LEN`], because the reader holds one in memory.

use thiserror::Error;

/// The unit of alignment of everything on disk, in bytes: what `O_DIRECT` asks for.
pub const ALIGN: usize = 4096;
/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"WBJSEG\r\n";
/// First bytes of a commit block.
pub const BLOCK_MAGIC: [u8; 4] = *b"WBJB";
/// The version of everything that this module defines.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of a block before its payload.
pub const BLOCK_HEADER: usize = 128;
/// The longest commit block, in bytes, header and padding included.
pub const MAX_BLOCK: usize = 1 << 20;
/// The longest record, in bytes, header and padding included.
pub const MAX_RECORD: usize = MAX_BLOCK - BLOCK_HEADER;
/// The longest segment, in bytes.
pub const MAX_SEGMENT_LEN: u64 = 256 << 20;
/// A record's header, in bytes.
pub const RECORD_HEADER: usize = 32;
/// The bits of a seq below its epoch.
pub const COUNTER_BITS: u32 = 48;

/// Why bytes are not what the journal would have written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Defect {
    /// Nothing was ever written here.
    #[error("only zeros, nothing was written here")]
    Zeros,
    /// Something else than a header.
    #[error("no magic number, so no header")]
    Magic,
    /// Made by another version of the journal.
    #[error("format version {found}, this program reads {FORMAT_VERSION}")]
    Version {
        /// The version in the header.
        found: u32,
    },
    /// A length that no writer gives, or that leaves the file.
    #[error("impossible length {found} (at most {most})")]
    Length {
        /// The length in the header, in bytes.
        found: u64,
        /// The most that is possible here, in bytes.
        most: u64,
    },
    /// Bytes that must be zero are not.
    #[error("bytes that must be zero are not")]
    NotZero,
    /// The checksum differs: torn, stale, or damaged.
    #[error("CRC32C {computed:#010x} where the header says {stored:#010x}")]
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes found.
        computed: u32,
    },
    /// The checksum is right and the hash is not: altered with care.
    #[error("the block's hash differs from its bytes")]
    Hash,
    /// A whole block, but not the one that belongs here.
    #[error("{field} is {found} where {wanted} belongs")]
    Chain {
        /// Which field.
        field: &'static str,
        /// What it holds.
        found: u64,
        /// What continues the chain.
        wanted: u64,
    },
    /// A whole block that continues another block than the one before it.
    #[error("the hash of the previous block differs")]
    PreviousHash,
    /// A record inside a whole block that is not a record.
    #[error("record at byte {at} of the block: {what}")]
    Record {
        /// Offset in the block, in bytes.
        at: u32,
        /// What is wrong.
        what: &'static str,
    },
}

/// The file name of a segment.
#[must_use]
pub fn segment_name(segment: u64) -> String {
    format!("{segment:010}.wbj")
}

/// The number in a segment's file name; `None` for any other file.
#[must_use]
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wbj")?;
    if digits.len() < 10 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    (number > 0 && segment_name(number) == name).then_some(number)
}

/// The length on disk of a block with `payload` bytes of records.
#[must_use]
pub fn block_len(payload: usize) -> usize {
    (BLOCK_HEADER + payload).next_multiple_of(ALIGN)
}

/// The length of a record with `payload` bytes, header and padding included.
#[must_use]
pub fn record_len(payload: usize) -> usize {
    RECORD_HEADER + payload.next_multiple_of(8)
}

/// The epoch of a seq.
#[must_use]
pub fn epoch_of(seq: u64) -> u16 {
    (seq >> COUNTER_BITS) as u16
}

/// The seq that must follow `last` in `epoch`: the next counter, or 1 when `last` is of an earlier epoch.
#[must_use]
pub fn seq_after(last: u64, epoch: u16) -> u64 {
    if epoch_of(last) == epoch && last != 0 { last + 1 } else { u64::from(epoch) << COUNTER_BITS | 1 }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

pub(crate) fn hash_at(bytes: &[u8], at: usize) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[at..at + 32]);
    hash
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Whether every byte is zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ALIGN).all(|chunk| chunk.iter().fold(0, |any, byte| any | byte) == 0)
}

/// The CRC's seed: bytes of another epoch, segment or life cannot have the right checksum.
pub(super) fn seed(epoch: u16, segment: u64, life: u64) -> u32 {
    let mut key = [0; 18];
    put(&mut key, 0, &epoch.to_le_bytes());
    put(&mut key, 2, &segment.to_le_bytes());
    put(&mut key, 10, &life.to_le_bytes());
    crc32c::crc32c(&key)
}

/// The length of the record that starts at `payload[at]`, checked against what stands around it.
pub fn record_at(payload: &[u8], at: usize, seq: u64, shard: u16) -> Result<usize, Defect> {
    let defect = |what| Defect::Record { at: (BLOCK_HEADER + at) as u32, what };
    let rest = payload.get(at..).unwrap_or_default();
    if rest.len() < RECORD_HEADER {
        return Err(defect("shorter than a record's header"));
    }
    let body = u32_at(rest, 20) as usize;
    if body > MAX_RECORD {
        return Err(defect("longer than any record may be"));
    }
    let len = record_len(body);
    if len > rest.len() {
        return Err(defect("ends outside its block"));
    }
    if u64_at(rest, 0) != seq {
        return Err(defect("its seq does not follow the one before"));
    }
    if u16_at(rest, 24) != shard {
        return Err(defect("belongs to another shard"));
    }
    if !is_zero(&rest[RECORD_HEADER + body..len]) {
        return Err(defect("its padding is not zero"));
    }
    Ok(len)
}
