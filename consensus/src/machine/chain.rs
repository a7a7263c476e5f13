//! The running digest of all event beats.
//!
//! Beats are gathered into blocks of 31 and each block is hashed behind the digest of those before it: 1024 bytes, which
//! is BLAKE3's chunk, so that a beat costs half a compression. Unlike a hasher's inside, digest and gathered beats can
//! stand in a snapshot.

use wirebook_matcher::abi::{BEAT_BYTES, Event};

/// Beats of a block.
const BLOCK_EVENTS: usize = 31;

/// The running digest of all event beats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventChain {
    /// Digest of the full blocks.
    blocks: [u8; 32],
    /// Beats of the block that is not full yet.
    tail: Vec<u8>,
}

impl EventChain {
    /// Takes the next beat.
    #[inline]
    pub fn push(&mut self, event: &Event) {
        self.tail.extend_from_slice(&event.to_bytes());
        if self.tail.len() == BLOCK_EVENTS * BEAT_BYTES {
            self.blocks = self.digest();
            self.tail.clear();
        }
    }

    /// Digest of all beats so far.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.blocks);
        hasher.update(&self.tail);
        *hasher.finalize().as_bytes()
    }

    /// The digest of the full blocks, and the beats of the one that is not: a snapshot of it.
    pub fn parts(&self) -> (&[u8; 32], &[u8]) {
        (&self.blocks, &self.tail)
    }

    /// The chain of a snapshot; `None` when the tail is no run of beats, or a full block.
    pub fn from_parts(blocks: [u8; 32], tail: &[u8]) -> Option<Self> {
        let whole = tail.len().is_multiple_of(BEAT_BYTES) && tail.len() < BLOCK_EVENTS * BEAT_BYTES;
        whole.then(|| Self { blocks, tail: tail.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::done;

    #[test]
    fn every_beat_and_their_order_changes_the_digest_and_parts_continue_it() {
        let mut chain = EventChain::default();
        let mut seen = std::collections::BTreeSet::from([chain.digest()]);
        for seq in 1..=200 {
            let (blocks, tail) = chain.parts();
            let mut continued = EventChain::from_parts(*blocks, tail).unwrap();
            chain.push(&done(seq));
            continued.push(&done(seq));
            assert_eq!(continued, chain);
            assert!(seen.insert(chain.digest()), "beat {seq}");
        }
        let mut swapped = EventChain::default();
        (1..=200).for_each(|seq| swapped.push(&done(if seq < 3 { 3 - seq } else { seq })));
        assert_ne!(swapped.digest(), chain.digest());
    }

    #[test]
    fn a_tail_that_is_no_run_of_beats_is_refused() {
        assert!(EventChain::from_parts([0; 32], &[0; 31]).is_none());
        assert!(EventChain::from_parts([0; 32], &[0; 31 * 32]).is_none());
        assert!(EventChain::from_parts([0; 32], &[0; 30 * 32]).is_some());
    }
}
