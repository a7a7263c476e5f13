//! What a block's digest covers, as a reader without the consensus engine sees it.
//!
//! | bytes | field |
//! |---|---|
//! | 0..26 | [`BLOCK_CONTEXT`] |
//! | 26..58 | digest of the block before it |
//! | 58..66 | height u64 |
//! | 66..74 | number of the last batch that it and the blocks before it settle u64 |
//! | 74..106 | digest of its notes: `H("wirebook notes 1" \| notes)`, 32 zeros if there are none |
//! | 106.. | the batch, whose number is that at 66; nothing in a block without a batch |
//!
//! Little-endian; `consensus/engine` makes these bytes, and a test there and one here hold both to them.

use super::prefix::PrefixProof;
use super::{Cursor, ProofError};
use crate::batch::{HEADER_BYTES, Header};
use crate::ledger::tree::Digest;

/// What the engine hashes ahead of a block's content.
pub const BLOCK_CONTEXT: &[u8; 26] = b"wirebook consensus block 2";

/// Hashed ahead of notes.
const NOTES_CONTEXT: &[u8; 16] = b"wirebook notes 1";

/// Bytes of a block ahead of its batch.
pub const BLOCK_HEAD: usize = BLOCK_CONTEXT.len() + 32 + 8 + 8 + 32;

/// The most notes of one block.
pub const MAX_NOTES: usize = 128;

/// 32 bytes that somebody wanted to see in a final block.
pub type Note = [u8; 32];

/// A block ahead of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Digest of the block before it.
    pub parent: Digest,
    /// Its height.
    pub height: u64,
    /// Number of the last batch that it and the blocks before it settle.
    pub settles: u64,
    /// Digest of its notes.
    pub notes: Digest,
}

impl BlockHead {
    /// The head's bytes.
    pub fn encode(&self) -> [u8; BLOCK_HEAD] {
        let mut bytes = [0; BLOCK_HEAD];
        bytes[..26].copy_from_slice(BLOCK_CONTEXT);
        bytes[26..58].copy_from_slice(&self.parent);
        bytes[58..66].copy_from_slice(&self.height.to_le_bytes());
        bytes[66..74].copy_from_slice(&self.settles.to_le_bytes());
        bytes[74..].copy_from_slice(&self.notes);
        bytes
    }

    /// Proves a block's first bytes, and through them all of it; `batch` is what it carries, or nothing.
    pub fn prove(&self, batch: &[u8]) -> PrefixProof {
        PrefixProof::of(&[&self.encode()[..], batch].concat())
    }

    /// Reads the head of a block that is proven, and the header of the batch in it, if there is one.
    ///
    /// # Errors
    /// What is not a block, or carries something that is no batch.
    pub fn of(block: &PrefixProof) -> Result<(Self, Option<Header>), ProofError> {
        let chunk = block.chunk();
        if chunk.get(..BLOCK_CONTEXT.len()) != Some(BLOCK_CONTEXT) {
            return Err(ProofError::NoBlock("it does not begin as a block does"));
        }
        let mut from = Cursor::new(&chunk[BLOCK_CONTEXT.len()..]);
        let parent = from.array("parent of a block")?;
        let height = u64::from_le_bytes(from.array("height of a block")?);
        let settles = u64::from_le_bytes(from.array("batches that a block settles")?);
        let head = Self { parent, height, settles, notes: from.array("notes of a block")? };
        let content = &chunk[BLOCK_HEAD..];
        if content.is_empty() && block.is_whole() {
            return Ok((head, None));
        }
        let header =
            content.get(..HEADER_BYTES).ok_or(ProofError::NoBlock("it ends before its batch's header does"))?;
        let header = Header::parse(header).map_err(|_| ProofError::NoBlock("what it carries is no batch"))?;
        if header.number != settles {
            return Err(ProofError::NoBlock("its batch has another number than it settles"));
        }
        Ok((head, Some(header)))
    }
}

/// The digest of notes, as it stands in a block.
pub fn notes_digest(notes: &[Note]) -> Digest {
    if notes.is_empty() {
        return [0; 32];
    }
    *blake3::Hasher::new().update(NOTES_CONTEXT).update(notes.as_flattened()).finalize().as_bytes()
}

#[cfg(all(test, feature = "engine"))]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_the_engine_hashes_them() {
        assert_eq!(MAX_NOTES, wirebook_engine::block::MAX_NOTES);
        for notes in [vec![], vec![[4; 32]], vec![[5; 32]; MAX_NOTES]] {
            let head = BlockHead { parent: [1; 32], height: 7, settles: 5, notes: notes_digest(&notes) };
            assert_eq!(head.encode(), wirebook_engine::block::head(&[1; 32], 7, 5, &notes));
        }
    }
}
