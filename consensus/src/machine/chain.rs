//! Running digests: of all event beats, and of all records' bytes.
//!
//! What is pushed is gathered into blocks of 992 bytes or a little more, and each block is hashed behind the digest of those
//! before it: 31 beats and that digest are 1024 bytes, BLAKE3's chunk, so that a beat costs half a compression. Unlike a
//! hasher's inside, digest and gathered bytes can stand in a snapshot.

use wirebook_matcher::abi::BEAT_BYTES;

/// Bytes from which on a block is full.
const BLOCK: usize = 31 * BEAT_BYTES;

/// A running digest of everything pushed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashChain {
    /// Digest of the full blocks.
    blocks: [u8; 32],
    /// Bytes of the block that is not full yet.
    tail: Vec<u8>,
}

impl HashChain {
    /// Takes what comes next.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.extend(|tail| tail.extend_from_slice(bytes));
    }

    /// Takes what `write` appends.
    #[inline]
    pub fn extend(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.tail);
        if self.tail.len() >= BLOCK {
            self.blocks = self.digest();
            self.tail.clear();
        }
    }

    /// Digest of everything so far.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.blocks);
        hasher.update(&self.tail);
        *hasher.finalize().as_bytes()
    }

    /// The digest of the full blocks, and the bytes of the one that is not: a snapshot of it.
    pub fn parts(&self) -> (&[u8; 32], &[u8]) {
        (&self.blocks, &self.tail)
    }

    /// The chain of a snapshot; `None` when the tail is a full block.
    pub fn from_parts(blocks: [u8; 32], tail: &[u8]) -> Option<Self> {
        (tail.len() < BLOCK).then(|| Self { blocks, tail: tail.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::done;

    #[test]
    fn every_beat_and_their_order_changes_the_digest_and_parts_continue_it() {
        let mut chain = HashChain::default();
        let mut seen = std::collections::BTreeSet::from([chain.digest()]);
        for seq in 1..=200 {
            let (blocks, tail) = chain.parts();
            let mut continued = HashChain::from_parts(*blocks, tail).unwrap();
            chain.push(&done(seq).to_bytes());
            continued.push(&done(seq).to_bytes());
            assert_eq!(continued, chain);
            assert!(seen.insert(chain.digest()), "beat {seq}");
        }
        let mut swapped = HashChain::default();
        (1..=200).for_each(|seq| swapped.push(&done(if seq < 3 { 3 - seq } else { seq }).to_bytes()));
        assert_ne!(swapped.digest(), chain.digest());
    }

    #[test]
    fn a_tail_that_is_a_full_block_is_refused() {
        assert!(HashChain::from_parts([0; 32], &[0; 31 * 32]).is_none());
        assert!(HashChain::from_parts([0; 32], &[0; 31 * 32 - 1]).is_some());
    }
}
