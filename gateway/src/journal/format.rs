//! The journal's bytes: segments and commit blocks.
//!
//! A journal is a directory of *segments* `NNNNNNNNNN.wbj`, numbered from 1 without a gap. A segment is a file of
//! fixed length, filled with zeros before it is used. Its first 4 KiB hold the [`SegmentHeader`]; then follow *commit
//! blocks*, each one group commit: a [`BlockHeader`] of 128 bytes, whole records, zeros up to a multiple of 4 KiB.
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

const SEGMENT_CRC_AT: usize = ALIGN - 4;
const SEGMENT_USED: usize = 128;
const BLOCK_CRC_AT: usize = 60;
const BLOCK_HASH_AT: usize = 96;

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

/// The first 4 KiB of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The shard whose records these are.
    pub shard: u16,
    /// The epoch whose records these are: a segment holds one.
    pub epoch: u16,
    /// The segment's number, from 1: also its file's name.
    pub segment: u64,
    /// The file's length, in bytes.
    pub length: u64,
    /// The random number of the writer's start.
    pub life: u64,
    /// The number of the first block of this segment.
    pub next_block: u64,
    /// The last seq before this segment, 0 for none.
    pub last_seq: u64,
    /// The hash of the beats' definition that the writer was built with.
    pub abi_hash: [u8; 32],
    /// The hash of the last block before this segment, zeros for none.
    pub prev_hash: [u8; 32],
}

/// The first 128 bytes of a commit block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// The epoch of all its records.
    pub epoch: u16,
    /// The shard of all its records.
    pub shard: u16,
    /// The segment that it was written to.
    pub segment: u64,
    /// Its place in the journal, counted from 0 over all segments.
    pub number: u64,
    /// The random number of the writer's start.
    pub life: u64,
    /// The seq of its first record.
    pub first_seq: u64,
    /// The seq of its last record.
    pub last_seq: u64,
    /// How many records it holds.
    pub records: u32,
    /// The bytes of its records.
    pub payload: u32,
    /// The hash of the block before it.
    pub prev_hash: [u8; 32],
    /// Its own hash, which covers the one before.
    pub hash: [u8; 32],
}

/// How much of a block is believed without a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Nothing is.
    Full,
    /// A planted bug for tests: whatever has a header's shape is taken, torn or not.
    #[cfg(test)]
    SkipDigests,
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
    if epoch_of(last) == epoch && last != 0 {
        last + 1
    } else {
        u64::from(epoch) << COUNTER_BITS | 1
    }
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
    bytes
        .chunks(ALIGN)
        .all(|chunk| chunk.iter().fold(0, |any, byte| any | byte) == 0)
}

/// The CRC's seed: bytes of another epoch, segment or life cannot have the right checksum.
fn seed(epoch: u16, segment: u64, life: u64) -> u32 {
    let mut key = [0; 18];
    put(&mut key, 0, &epoch.to_le_bytes());
    put(&mut key, 2, &segment.to_le_bytes());
    put(&mut key, 10, &life.to_le_bytes());
    crc32c::crc32c(&key)
}

impl SegmentHeader {
    fn crc(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(
            seed(self.epoch, self.segment, self.life),
            &bytes[..SEGMENT_CRC_AT],
        )
    }

    /// Writes the header over the first [`ALIGN`] bytes of `bytes`.
    ///
    /// # Panics
    /// When `bytes` is shorter than [`ALIGN`].
    pub fn encode(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..ALIGN];
        bytes.fill(0);
        put(bytes, 0, &SEGMENT_MAGIC);
        put(bytes, 8, &FORMAT_VERSION.to_le_bytes());
        put(bytes, 12, &self.shard.to_le_bytes());
        put(bytes, 14, &self.epoch.to_le_bytes());
        put(bytes, 16, &self.segment.to_le_bytes());
        put(bytes, 24, &self.length.to_le_bytes());
        put(bytes, 32, &self.life.to_le_bytes());
        put(bytes, 40, &self.next_block.to_le_bytes());
        put(bytes, 48, &self.last_seq.to_le_bytes());
        put(bytes, 64, &self.abi_hash);
        put(bytes, 96, &self.prev_hash);
        let crc = self.crc(bytes);
        put(bytes, SEGMENT_CRC_AT, &crc.to_le_bytes());
    }

    /// Reads a header from the start of a segment's bytes and checks that it is whole.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, Defect> {
        if bytes.len() < ALIGN {
            return Err(Defect::Length {
                found: bytes.len() as u64,
                most: MAX_SEGMENT_LEN,
            });
        }
        let bytes = &bytes[..ALIGN];
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(if is_zero(bytes) {
                Defect::Zeros
            } else {
                Defect::Magic
            });
        }
        let header = SegmentHeader {
            shard: u16_at(bytes, 12),
            epoch: u16_at(bytes, 14),
            segment: u64_at(bytes, 16),
            length: u64_at(bytes, 24),
            life: u64_at(bytes, 32),
            next_block: u64_at(bytes, 40),
            last_seq: u64_at(bytes, 48),
            abi_hash: hash_at(bytes, 64),
            prev_hash: hash_at(bytes, 96),
        };
        let (stored, computed) = (u32_at(bytes, SEGMENT_CRC_AT), header.crc(bytes));
        if stored != computed {
            return Err(Defect::Crc { stored, computed });
        }
        // Only now: a damaged version would else read as 'made by another version'.
        let found = u32_at(bytes, 8);
        if found != FORMAT_VERSION {
            return Err(Defect::Version { found });
        }
        if u64_at(bytes, 56) != 0 || !is_zero(&bytes[SEGMENT_USED..SEGMENT_CRC_AT]) {
            return Err(Defect::NotZero);
        }
        Ok(header)
    }
}

impl BlockHeader {
    /// The length on disk, in bytes.
    #[must_use]
    pub fn len_on_disk(&self) -> usize {
        block_len(self.payload as usize)
    }

    /// The hash over header, previous hash and payload; `block` starts at the header.
    fn digest(&self, block: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&block[..BLOCK_CRC_AT]);
        hasher.update(&block[BLOCK_CRC_AT + 4..BLOCK_HASH_AT]);
        hasher.update(&block[BLOCK_HEADER..BLOCK_HEADER + self.payload as usize]);
        *hasher.finalize().as_bytes()
    }

    /// The checksum over every byte of the block but its own four.
    fn crc(&self, block: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(
            seed(self.epoch, self.segment, self.life),
            &block[..BLOCK_CRC_AT],
        );
        crc32c::crc32c_append(crc, &block[BLOCK_CRC_AT + 4..])
    }

    /// Completes a block whose records already stand at [`BLOCK_HEADER`]: header, padding, hash and checksum.
    /// Returns the block's length on disk. The field `hash` is computed, not read.
    ///
    /// # Panics
    /// When `buffer` is shorter than the block.
    pub fn seal(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.len_on_disk();
        let block = &mut buffer[..len];
        block[..BLOCK_HEADER].fill(0);
        block[BLOCK_HEADER + self.payload as usize..].fill(0);
        put(block, 0, &BLOCK_MAGIC);
        put(block, 4, &self.epoch.to_le_bytes());
        put(block, 6, &self.shard.to_le_bytes());
        put(block, 8, &self.segment.to_le_bytes());
        put(block, 16, &self.number.to_le_bytes());
        put(block, 24, &self.life.to_le_bytes());
        put(block, 32, &self.first_seq.to_le_bytes());
        put(block, 40, &self.last_seq.to_le_bytes());
        put(block, 48, &self.records.to_le_bytes());
        put(block, 52, &self.payload.to_le_bytes());
        put(block, 64, &self.prev_hash);
        self.hash = self.digest(block);
        put(block, BLOCK_HASH_AT, &self.hash);
        let crc = self.crc(block);
        put(block, BLOCK_CRC_AT, &crc.to_le_bytes());
        len
    }

    /// Reads the block that starts at `bytes[0]` and checks that it is whole: length, checksum, hash. Whether it
    /// belongs here is the reader's question.
    pub fn decode(bytes: &[u8], verify: Verify) -> Result<BlockHeader, Defect> {
        if bytes.len() < ALIGN {
            return Err(Defect::Length {
                found: bytes.len() as u64,
                most: MAX_BLOCK as u64,
            });
        }
        if bytes[..4] != BLOCK_MAGIC {
            return Err(if is_zero(&bytes[..ALIGN]) {
                Defect::Zeros
            } else {
                Defect::Magic
            });
        }
        let header = BlockHeader {
            epoch: u16_at(bytes, 4),
            shard: u16_at(bytes, 6),
            segment: u64_at(bytes, 8),
            number: u64_at(bytes, 16),
            life: u64_at(bytes, 24),
            first_seq: u64_at(bytes, 32),
            last_seq: u64_at(bytes, 40),
            records: u32_at(bytes, 48),
            payload: u32_at(bytes, 52),
            prev_hash: hash_at(bytes, 64),
            hash: hash_at(bytes, BLOCK_HASH_AT),
        };
        let most = bytes.len().min(MAX_BLOCK);
        if header.payload as usize > MAX_RECORD || header.len_on_disk() > most {
            return Err(Defect::Length {
                found: u64::from(header.payload),
                most: most as u64,
            });
        }
        let block = &bytes[..header.len_on_disk()];
        if verify == Verify::Full {
            let (stored, computed) = (u32_at(block, BLOCK_CRC_AT), header.crc(block));
            if stored != computed {
                return Err(Defect::Crc { stored, computed });
            }
            if header.digest(block) != header.hash {
                return Err(Defect::Hash);
            }
        }
        if u32_at(block, 56) != 0 || !is_zero(&block[BLOCK_HEADER + header.payload as usize..]) {
            return Err(Defect::NotZero);
        }
        Ok(header)
    }
}

/// The length of the record that starts at `payload[at]`, checked against what stands around it.
pub fn record_at(payload: &[u8], at: usize, seq: u64, shard: u16) -> Result<usize, Defect> {
    let defect = |what| Defect::Record {
        at: (BLOCK_HEADER + at) as u32,
        what,
    };
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
