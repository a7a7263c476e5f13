//! A commit block: one group of records, sealed by a checksum and a hash. The table stands in [`super::format`].

use super::format::{
    ALIGN, BLOCK_HEADER, BLOCK_MAGIC, Defect, MAX_BLOCK, MAX_RECORD, block_len, hash_at, is_zero, put, seed, u16_at,
    u32_at, u64_at,
};

const BLOCK_CRC_AT: usize = 60;

const BLOCK_HASH_AT: usize = 96;

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
        let crc = crc32c::crc32c_append(seed(self.epoch, self.segment, self.life), &block[..BLOCK_CRC_AT]);
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
            return Err(Defect::Length { found: bytes.len() as u64, most: MAX_BLOCK as u64 });
        }
        if bytes[..4] != BLOCK_MAGIC {
            return Err(if is_zero(&bytes[..ALIGN]) { Defect::Zeros } else { Defect::Magic });
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
            return Err(Defect::Length { found: u64::from(header.payload), most: most as u64 });
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
