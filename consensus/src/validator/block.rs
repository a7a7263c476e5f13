//! A block: what validators agree on. It carries one batch, or none.
//!
//! A block without a batch is rare. It finalizes what its ancestors left open after a crash, and lets the engine forget the views of a
//! long idle time (see [`super::application`]); it moves settlement nowhere.
//!
//! Encoding: parent's digest (32), height (varint), number of the last batch settled by this block and its ancestors (8), length of
//! the batch (varint; 0 for none), the batch. A batch has one encoding, hence so has a block.

use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, ReadExt, Write};
use commonware_consensus::types::Height;
use commonware_consensus::{Heightable, marshal};
use commonware_cryptography::blake3::{Blake3, Digest};
use commonware_cryptography::{Digestible, Hasher};

use crate::batch::{Batch, MAX_BATCH_BYTES};

/// Hashed ahead of a block's content, so that its digest is never taken for one of something else.
const DIGEST_CONTEXT: &[u8] = b"wirebook consensus block 1";

/// The most bytes that a varint takes here.
const MAX_VARINT_BYTES: usize = 10;

/// One block of the chain that validators agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    parent: Digest,
    height: Height,
    settled: u64,
    batch: Option<Batch>,
}

impl Block {
    /// The block that every validator starts from.
    pub(super) fn genesis() -> Self {
        Self { parent: Digest::from([0; 32]), height: Height::zero(), settled: 0, batch: None }
    }

    /// A child of `parent` that settles `batch`, or nothing.
    pub(super) fn child(parent: &impl ParentBlock, batch: Option<Batch>) -> Self {
        let settled = batch.as_ref().map_or(parent.settled(), Batch::number);
        Self { parent: parent.digest(), height: parent.height().next(), settled, batch }
    }

    /// Number of the last batch that this block and its ancestors settle.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// The batch that this block settles.
    pub(super) fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }

    /// Whether the block settles what a child of `parent` may settle: the next batch, or nothing.
    pub(super) fn follows(&self, parent: &Block) -> bool {
        match &self.batch {
            None => self.settled == parent.settled,
            Some(batch) => parent.settled.checked_add(1) == Some(batch.number()) && self.settled == batch.number(),
        }
    }
}

/// What a child must know of its parent.
pub(super) trait ParentBlock: Heightable + Digestible<Digest = Digest> {
    /// As for [`Block::settled`].
    fn settled(&self) -> u64;
}

impl ParentBlock for Block {
    fn settled(&self) -> u64 {
        self.settled
    }
}

impl ParentBlock for commonware_cryptography::Digested<Block> {
    fn settled(&self) -> u64 {
        self.inner().settled
    }
}

impl Write for Block {
    fn write(&self, buffer: &mut impl BufMut) {
        self.parent.write(buffer);
        self.height.write(buffer);
        self.settled.write(buffer);
        self.batch_bytes().len().write(buffer);
        buffer.put_slice(self.batch_bytes());
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        let batch = self.batch_bytes();
        self.parent.encode_size()
            + self.height.encode_size()
            + self.settled.encode_size()
            + batch.len().encode_size()
            + batch.len()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buffer: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let parent = Digest::read(buffer)?;
        let height = Height::read(buffer)?;
        let settled = u64::read(buffer)?;
        let bytes = Bytes::read_cfg(buffer, &RangeCfg::from(0..=MAX_BATCH_BYTES))?;
        let batch = if bytes.is_empty() {
            None
        } else {
            Some(Batch::decode(&bytes).map_err(|error| Error::Wrapped("batch", Box::new(error)))?)
        };
        if batch.as_ref().is_some_and(|batch| batch.number() != settled) {
            return Err(Error::Invalid("Block", "the batch is not the one that the block says it settles"));
        }
        Ok(Self { parent, height, settled, batch })
    }
}

impl Block {
    fn batch_bytes(&self) -> &[u8] {
        self.batch.as_ref().map_or(&[], Batch::as_bytes)
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        // The batch's digest stands for all its bytes but the signature.
        let (digest, signature): (&[u8], &[u8]) = match &self.batch {
            Some(batch) => (batch.digest(), batch.signature()),
            None => (&[], &[]),
        };
        let (height, settled) = (self.height.get().to_le_bytes(), self.settled.to_le_bytes());
        Blake3::hash(&[DIGEST_CONTEXT, self.parent.as_ref(), &height, &settled, digest, signature])
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        self.height
    }
}

impl commonware_consensus::Block for Block {
    fn parent(&self) -> Digest {
        self.parent
    }
}

impl commonware_consensus::BoundedBlock for Block {
    fn max_encode_size((): &()) -> usize {
        32 + MAX_VARINT_BYTES + 8 + MAX_VARINT_BYTES + MAX_BATCH_BYTES
    }
}

/// The digested form in which marshal hands blocks around.
pub(super) type DigestedBlock = commonware_cryptography::Digested<Block>;

/// What marshal reports.
pub(super) type Update = marshal::Update<Block>;

#[cfg(test)]
mod tests {
    use super::super::testing::Gateway;
    use super::*;
    use commonware_codec::{DecodeExt, Encode};

    #[test]
    fn blocks_read_back_and_every_flipped_byte_changes_or_refuses_them() {
        let mut gateway = Gateway::new();
        let genesis = Block::genesis();
        let first = Block::child(&genesis, Some(gateway.next_plain()));
        let empty = Block::child(&first, None);
        assert!(first.follows(&genesis) && empty.follows(&first));
        assert_eq!((first.settled(), empty.settled()), (1, 1));
        for block in [genesis, first, empty] {
            let bytes = block.encode();
            assert_eq!(bytes.len(), block.encode_size());
            assert_eq!(Block::decode(bytes.clone()).expect("its own encoding"), block);
            for at in 0..bytes.len() {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1;
                if let Ok(read) = Block::decode(Bytes::from(flipped)) {
                    assert_ne!(read.digest(), block.digest(), "byte {at} is not covered by the digest");
                }
            }
        }
    }

    #[test]
    fn only_the_next_batch_follows() {
        let mut gateway = Gateway::new();
        let (one, two) = (gateway.next_plain(), gateway.next_plain());
        let genesis = Block::genesis();
        let first = Block::child(&genesis, Some(one.clone()));
        assert!(!Block::child(&genesis, Some(two)).follows(&genesis), "a gap");
        assert!(!Block::child(&first, Some(one)).follows(&first), "the same again");
        let jump = Block { settled: 5, ..Block::child(&first, None) };
        assert!(!jump.follows(&first), "settled without a batch");
    }
}
