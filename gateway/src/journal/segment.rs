//! The first 4 KiB of a segment: whose it is, and what it continues. The table stands in [`super::format`].

use super::format::{
    ALIGN, Defect, FORMAT_VERSION, MAX_SEGMENT_LEN, SEGMENT_MAGIC, hash_at, is_zero, put, seed, u16_at, u32_at, u64_at,
};

const SEGMENT_CRC_AT: usize = ALIGN - 4;

const SEGMENT_USED: usize = 128;

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

impl SegmentHeader {
    fn crc(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(seed(self.epoch, self.segment, self.life), &bytes[..SEGMENT_CRC_AT])
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
            return Err(Defect::Length { found: bytes.len() as u64, most: MAX_SEGMENT_LEN });
        }
        let bytes = &bytes[..ALIGN];
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(if is_zero(bytes) { Defect::Zeros } else { Defect::Magic });
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
