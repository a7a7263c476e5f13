//! A snapshot: the state after a batch, that batch, and what makes it final.
//!
//! With it a validator goes on from there without the batches before: its own at a start, a peer's when it is further behind than its peers
//! remember. Nobody is believed for it: a quorum has signed the block with the batch, and the image, entered anew, must have the root that the
//! batch claims.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic `WBSN` |
//! | 4..6 | layout version u16, 1 |
//! | 6..8 | reserved, 0 |
//! | 8..12 | length of the anchor u32 |
//! | 12..16 | length of the batch u32 |
//! | 16..24 | length of the image u64 |
//! | 24.. | the anchor, the batch, the image |
//! | last 32 | BLAKE3 of everything above |
//!
//! Little-endian. The image is the state machine's own form, whose version it carries itself.

use crate::batch::{Batch, BatchError, Digest32, MAX_BATCH_BYTES, VerifyingKey};
use crate::proof::ProofError;
use crate::proof::anchor::Anchor;
use crate::proof::block::BlockHead;

use super::executor::Executor;

/// The longest snapshot.
pub const MAX_SNAPSHOT_BYTES: usize = 1 << 30;

/// Batches and certificates that a snapshot without an image has at most: far more than any anchor.
const MAX_ANCHOR_BYTES: usize = 1 << 20;
const HEAD: usize = 24;
const MAGIC: [u8; 4] = *b"WBSN";
const VERSION: u16 = 1;

/// Why bytes are no snapshot, or one is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum SnapshotError {
    #[error("not a snapshot of this version: {0}")]
    Layout(&'static str),
    #[error("its bytes do not have the digest that it carries: damaged on the way or on disk")]
    Digest,
    #[error("its batch: {0}")]
    Batch(#[from] BatchError),
    #[error("what makes it final: {0}")]
    Proof(#[from] ProofError),
    #[error("its batch is another than the one that is final")]
    OtherBatch,
    #[error("it is of shard {found}")]
    Shard { found: u16 },
    #[error("its image: {0}")]
    Image(String),
    #[error("its image has another root than its batch")]
    Root,
}

/// The state after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What makes the batch final.
    pub anchor: Anchor,
    /// The batch.
    pub batch: Batch,
    /// The state after it.
    pub image: Vec<u8>,
}

impl Snapshot {
    /// Number of the batch.
    pub fn number(&self) -> u64 {
        self.batch.number()
    }

    /// The snapshot's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let anchor = self.anchor.encode();
        let batch = self.batch.as_bytes();
        let mut out = Vec::with_capacity(HEAD + anchor.len() + batch.len() + self.image.len() + 32);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(anchor.len() as u32).to_le_bytes());
        out.extend_from_slice(&(batch.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.image.len() as u64).to_le_bytes());
        for part in [&anchor[..], batch, &self.image] {
            out.extend_from_slice(part);
        }
        let digest = blake3::hash(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    /// Reads a snapshot; whether to believe it is [`Snapshot::check`]'s to say.
    ///
    /// # Errors
    /// What is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let layout = SnapshotError::Layout;
        let (content, digest) = bytes.split_last_chunk::<32>().ok_or(layout("it is too short"))?;
        let head = content.first_chunk::<HEAD>().ok_or(layout("it is too short"))?;
        if head[..4] != MAGIC || head[4..8] != [VERSION as u8, 0, 0, 0] {
            return Err(layout("it begins otherwise"));
        }
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
        let image = u64::from_le_bytes(head[16..24].try_into().expect("eight bytes"));
        let (anchor, batch) = (number(8), number(12));
        let possible = anchor <= MAX_ANCHOR_BYTES && batch <= MAX_BATCH_BYTES && image <= MAX_SNAPSHOT_BYTES as u64;
        if !possible || content.len() != HEAD + anchor + batch + image as usize {
            return Err(layout("its lengths do not add up"));
        }
        if *blake3::hash(content).as_bytes() != *digest {
            return Err(SnapshotError::Digest);
        }
        let (anchor, rest) = content[HEAD..].split_at(anchor);
        let (batch, image) = rest.split_at(batch);
        Ok(Self { anchor: Anchor::decode(anchor)?, batch: Batch::decode(batch)?, image: image.to_vec() })
    }

    /// Checks that the batch is the gateway's and final, by `certified` (a block's digest, a certificate).
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(
        &self,
        shard: u16,
        gateway: &VerifyingKey,
        certified: impl FnOnce(&Digest32, &[u8]) -> bool,
    ) -> Result<(), SnapshotError> {
        self.anchor.verify(certified)?;
        if self.batch.header().shard != shard {
            return Err(SnapshotError::Shard { found: self.batch.header().shard });
        }
        self.batch.verify_signature(gateway)?;
        if is_newest(&self.anchor, &self.batch)? { Ok(()) } else { Err(SnapshotError::OtherBatch) }
    }

    /// Another state machine of this kind, after the batch.
    ///
    /// # Errors
    /// An image that is none, or has another root than the batch.
    pub fn restore(&self, like: &dyn Executor) -> Result<Box<dyn Executor>, SnapshotError> {
        let no = || SnapshotError::Image("this state machine has no images".into());
        let mut state = like.fork().ok_or_else(no)?;
        state.restore(self.number(), &self.image).map_err(SnapshotError::Image)?;
        if state.root() != self.batch.header().next_root || state.height() != self.number() {
            return Err(SnapshotError::Root);
        }
        Ok(state)
    }
}

/// Whether a batch, all its bytes, is the newest that an anchor leads to.
///
/// # Errors
/// An anchor whose blocks are none.
pub fn is_newest(anchor: &Anchor, batch: &Batch) -> Result<bool, ProofError> {
    for block in &anchor.chain {
        if let (head, Some(_)) = BlockHead::of(block)? {
            return Ok(head.settles == batch.number() && head.prove(batch.as_bytes()) == *block);
        }
    }
    Ok(false)
}
