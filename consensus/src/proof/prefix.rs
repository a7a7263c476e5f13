//! From the first kilobyte of something to the digest of all of it.
//!
//! BLAKE3 hashes chunks of 1,024 bytes and joins them pairwise in a tree whose left halves are full. The first chunk's value and
//! the value of the right half at each level above it give the digest: at most twelve of them for four megabytes. See the
//! BLAKE3 paper, section 2.1; the subtree functions are the crate's own `hazmat`.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::{Cursor, ProofError};
use crate::ledger::tree::Digest;

/// Bytes of a chunk.
pub const CHUNK: usize = blake3::CHUNK_LEN;

/// Most levels above a chunk: those of 2^24 bytes, four times the largest block.
const MAX_LEVELS: usize = 14;

/// The first chunk, and what joins it on the way to the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixProof {
    chunk: Vec<u8>,
    siblings: Vec<ChainingValue>,
}

impl PrefixProof {
    /// Proves the first [`CHUNK`] bytes, or all if there are fewer.
    ///
    /// # Panics
    /// Beyond 16 MiB: no block is that large.
    pub fn of(bytes: &[u8]) -> Self {
        let chunk = bytes[..bytes.len().min(CHUNK)].to_vec();
        let mut siblings = Vec::new();
        let mut covered = CHUNK;
        while covered < bytes.len() {
            let end = bytes.len().min(2 * covered);
            let mut right = blake3::Hasher::new();
            right.set_input_offset(covered as u64).update(&bytes[covered..end]);
            siblings.push(right.finalize_non_root());
            covered *= 2;
        }
        assert!(siblings.len() <= MAX_LEVELS, "{} bytes", bytes.len());
        Self { chunk, siblings }
    }

    /// The bytes that are proven.
    pub fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    /// Whether the chunk is all there is.
    pub fn is_whole(&self) -> bool {
        self.siblings.is_empty()
    }

    /// The digest of whatever begins with this chunk.
    pub fn digest(&self) -> Digest {
        let Some((last, below)) = self.siblings.split_last() else {
            return *blake3::hash(&self.chunk).as_bytes();
        };
        let first = blake3::Hasher::new().update(&self.chunk).finalize_non_root();
        let left = below.iter().fold(first, |left, right| merge_subtrees_non_root(&left, right, Mode::Hash));
        *merge_subtrees_root(&left, last, Mode::Hash).as_bytes()
    }

    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.chunk.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.siblings.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.chunk);
        self.siblings.iter().for_each(|sibling| out.extend_from_slice(sibling));
    }

    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<Self, ProofError> {
        let at = from.at;
        let length = usize::from(u16::from_le_bytes(from.array("length of the chunk")?));
        let levels = usize::from(u16::from_le_bytes(from.array("levels above the chunk")?));
        // Only the one chunk of something short is shorter than a chunk.
        if length > CHUNK || levels > MAX_LEVELS || (levels != 0 && length != CHUNK) {
            return Err(ProofError::Encoding { what: "length and levels of the chunk", at });
        }
        let chunk = from.slice("chunk", length)?.to_vec();
        let siblings = (0..levels).map(|_| from.array("sibling of the chunk")).collect::<Result<_, _>>()?;
        Ok(Self { chunk, siblings })
    }
}
