//! Reads one segment from memory: block after block, for as long as each is whole and continues the one before.
//!
//! The reader never writes, never panics on any bytes whatever, and gives out no record of a block before all of the
//! block has been checked: checksum, hash, place in the chain, and every record's length and seq. Where the blocks
//! end, it looks at all that follows for another block of the same epoch and life ([`Walk::later`]): whether there is
//! one decides between a torn tail and damage, see [`super::recover`](mod@super::recover).

use super::block::{BlockHeader, Verify};
use super::format::{ALIGN, BLOCK_HEADER, Defect, epoch_of, is_zero, record_at, seq_after};
use super::segment::SegmentHeader;

/// What the next block must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The shard of every record.
    pub shard: u16,
    /// The epoch of the segment.
    pub epoch: u16,
    /// The segment.
    pub segment: u64,
    /// The life of the segment.
    pub life: u64,
    /// The number of the next block.
    pub next_block: u64,
    /// The last seq so far, 0 for none.
    pub last_seq: u64,
    /// The hash of the last block so far.
    pub hash: [u8; 32],
}

impl Chain {
    /// The chain where a segment begins, as its header tells it.
    #[must_use]
    pub fn of(header: &SegmentHeader) -> Chain {
        Chain {
            shard: header.shard,
            epoch: header.epoch,
            segment: header.segment,
            life: header.life,
            next_block: header.next_block,
            last_seq: header.last_seq,
            hash: header.prev_hash,
        }
    }

    /// The seq of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        seq_after(self.last_seq, self.epoch)
    }

    /// Whether a whole block is the next one.
    fn admits(&self, block: &BlockHeader) -> Result<(), Defect> {
        let fields = [
            ("epoch", u64::from(block.epoch), u64::from(self.epoch)),
            ("shard", u64::from(block.shard), u64::from(self.shard)),
            ("segment", block.segment, self.segment),
            ("life", block.life, self.life),
            ("block number", block.number, self.next_block),
            ("first seq", block.first_seq, self.next_seq()),
        ];
        for (field, found, wanted) in fields {
            if found != wanted {
                return Err(Defect::Chain { field, found, wanted });
            }
        }
        if block.prev_hash != self.hash { Err(Defect::PreviousHash) } else { Ok(()) }
    }

    /// Moves past a block.
    pub fn advance(&mut self, block: &BlockHeader) {
        self.next_block += 1;
        self.last_seq = block.last_seq;
        self.hash = block.hash;
    }
}

/// A record, with where it stands.
#[derive(Debug, Clone, Copy)]
pub struct RecordAt<'a> {
    /// Header, payload and padding.
    pub bytes: &'a [u8],
    /// Its seq.
    pub seq: u64,
    /// Its segment.
    pub segment: u64,
    /// Its offset in the segment's file, in bytes.
    pub offset: u64,
    /// The hash of its block.
    pub block_hash: &'a [u8; 32],
}

/// A block that has passed every check.
#[derive(Debug, Clone, Copy)]
pub struct BlockAt<'a> {
    /// Its header.
    pub header: BlockHeader,
    /// Its offset in the segment's file, in bytes.
    pub offset: u64,
    payload: &'a [u8],
}

impl BlockAt<'_> {
    /// Its records, in order.
    pub fn records(&self) -> impl Iterator<Item = RecordAt<'_>> {
        let mut at = 0;
        let mut seq = self.header.first_seq;
        std::iter::from_fn(move || {
            // The block was checked, so its records end exactly where it ends.
            let len = record_at(self.payload, at, seq, self.header.shard).ok()?;
            let record = RecordAt {
                bytes: &self.payload[at..at + len],
                seq,
                segment: self.header.segment,
                offset: self.offset + (BLOCK_HEADER + at) as u64,
                block_hash: &self.header.hash,
            };
            at += len;
            seq += 1;
            Some(record)
        })
    }
}

/// A walk over the blocks of one segment.
#[derive(Debug)]
pub struct Walk<'a> {
    image: &'a [u8],
    at: usize,
    chain: Chain,
    verify: Verify,
}

impl<'a> Walk<'a> {
    /// Starts behind the segment's header.
    #[must_use]
    pub fn new(image: &'a [u8], header: &SegmentHeader, verify: Verify) -> Walk<'a> {
        Walk { image, at: ALIGN.min(image.len()), chain: Chain::of(header), verify }
    }

    /// The chain so far.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where the next block would begin, in bytes from the start of the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at as u64
    }

    /// The next block, or why there is none here. The walk stays where it is after a defect.
    pub fn next_block(&mut self) -> Result<BlockAt<'a>, Defect> {
        let rest = &self.image[self.at..];
        if rest.is_empty() {
            return Err(Defect::Zeros);
        }
        let header = BlockHeader::decode(rest, self.verify)?;
        self.chain.admits(&header)?;
        let payload = &rest[BLOCK_HEADER..BLOCK_HEADER + header.payload as usize];
        self.check_records(&header, payload)?;
        let block = BlockAt { header, offset: self.at as u64, payload };
        self.chain.advance(&header);
        self.at += header.len_on_disk();
        Ok(block)
    }

    fn check_records(&self, header: &BlockHeader, payload: &[u8]) -> Result<(), Defect> {
        let defect = |at: usize, what| Defect::Record { at: (BLOCK_HEADER + at) as u32, what };
        let (mut at, mut seq, mut records) = (0, header.first_seq, 0u32);
        while at < payload.len() {
            at += record_at(payload, at, seq, self.chain.shard)?;
            if epoch_of(seq) != self.chain.epoch {
                return Err(defect(at, "its epoch is not the segment's"));
            }
            seq = seq.wrapping_add(1);
            records += 1;
        }
        if records == 0 || records != header.records {
            return Err(defect(at, "the block holds another number of records than its header says"));
        }
        if seq.wrapping_sub(1) != header.last_seq {
            return Err(defect(at, "the last seq is not the one in the block's header"));
        }
        Ok(())
    }

    /// Whether only zeros follow.
    #[must_use]
    pub fn rest_is_zero(&self) -> bool {
        is_zero(&self.image[self.at..])
    }

    /// The offset of a whole block of this epoch and life at or behind the place where the walk stands.
    #[must_use]
    pub fn later(&self) -> Option<u64> {
        whole_block(self.image, self.at, |b| b.epoch == self.chain.epoch && b.life == self.chain.life)
    }
}

/// The offset of the first whole block from `from` on that `which` accepts, whatever segment it was made for.
pub fn whole_block(image: &[u8], from: usize, which: impl Fn(&BlockHeader) -> bool) -> Option<u64> {
    let aligned = from.next_multiple_of(ALIGN);
    (aligned..image.len())
        .step_by(ALIGN)
        .find(|at| BlockHeader::decode(&image[*at..], Verify::Full).is_ok_and(|block| which(&block)))
        .map(|at| at as u64)
}

/// What one segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// How many whole blocks.
    pub blocks: u64,
    /// How many records.
    pub records: u64,
    /// Where the blocks end, in bytes from the start of the file.
    pub end: u64,
    /// Why no block stands there.
    pub defect: Defect,
    /// The offset of a whole block behind the end: then this is damage, not a tail.
    pub later: Option<u64>,
}

/// Reads a whole segment from memory, on its own: what a fuzzer drives, and a first look at a single file.
pub fn check_bytes(image: &[u8]) -> Result<Contents, Defect> {
    let header = SegmentHeader::decode(image)?;
    let mut walk = Walk::new(image, &header, Verify::Full);
    let (mut blocks, mut records) = (0, 0);
    let defect = loop {
        match walk.next_block() {
            Ok(block) => {
                blocks += 1;
                records += block.records().count() as u64;
            }
            Err(defect) => break defect,
        }
    };
    Ok(Contents { blocks, records, end: walk.offset(), defect, later: walk.later() })
}
