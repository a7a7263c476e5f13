//! The newest settled blocks, as far as readers need them: which block follows which, what each settles and notes, and who has signed it.
//!
//! Bounded to [`KEPT`] blocks. Blocks come in the order of their heights; some come again after a start, when the engine first says what it
//! remembers and then settles once more what it does not know to be settled.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::batch::Digest32;
use crate::proof::anchor::MAX_CHAIN;
use crate::proof::block::{BlockHead, Note, notes_digest};

use super::replica::lock;

/// Blocks that are kept.
const KEPT: usize = 256;

/// A settled block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its first bytes.
    pub head: BlockHead,
    /// Its digest.
    pub digest: Digest32,
    /// Whether it carries the batch that it settles; `None`: not known.
    pub carries: Option<bool>,
    /// Its notes.
    pub notes: Vec<Note>,
    /// A quorum's signatures over its digest, if there are any of this very block.
    pub certificate: Option<Vec<u8>>,
}

impl Settled {
    /// A block from its parts.
    pub fn new(
        (height, settles): (u64, u64),
        (parent, digest): (Digest32, Digest32),
        notes: &[Note],
        certificate: Option<&[u8]>,
        carries: Option<bool>,
    ) -> Self {
        let head = BlockHead { parent, height, settles, notes: notes_digest(notes) };
        Self { head, digest, carries, notes: notes.to_vec(), certificate: certificate.map(<[u8]>::to_vec) }
    }
}

/// The newest settled blocks.
#[derive(Debug, Default)]
pub struct Recent {
    blocks: Mutex<VecDeque<Settled>>,
    changed: Condvar,
}

impl Recent {
    /// A block more, or one that is known already and of which more is known now.
    pub fn add(&self, mut block: Settled) {
        let mut blocks = lock(&self.blocks);
        if let Some(known) = blocks.iter_mut().find(|known| known.head.height == block.head.height) {
            debug_assert_eq!(known.digest, block.digest, "two blocks at one height");
            known.carries = known.carries.or(block.carries);
            known.certificate = known.certificate.take().or(block.certificate);
        } else {
            let last = blocks.back().map(|last| last.head);
            if last.is_some_and(|last| last.height + 1 != block.head.height) {
                // There is a gap: nothing leads over it.
                blocks.clear();
            } else if let Some(last) = last {
                block.carries = block.carries.or(Some(block.head.settles > last.settles));
            } else if block.head.height == 1 {
                block.carries = block.carries.or(Some(block.head.settles == 1));
            }
            if blocks.len() >= KEPT {
                blocks.pop_front();
            }
            blocks.push_back(block);
        }
        drop(blocks);
        self.changed.notify_all();
    }

    /// An anchor's blocks, newest first, of the newest batch from `settled` to `stored` that has one: from the nearest block above the batch
    /// that is signed itself down to the one that carries it.
    pub fn anchor(&self, settled: u64, stored: u64) -> Option<Vec<Settled>> {
        let blocks = lock(&self.blocks);
        let serves = |settles: u64| settles >= settled.max(1) && settles <= stored;
        let signed = |block: &&Settled| block.certificate.is_some() && serves(block.head.settles);
        let newest = blocks.iter().rfind(signed)?.head.settles;
        let top = blocks.iter().position(|block| block.certificate.is_some() && block.head.settles == newest)?;
        let mut chain = Vec::new();
        for block in blocks.range(..=top).rev().take(MAX_CHAIN) {
            chain.push(block.clone());
            if block.carries? {
                return Some(chain);
            }
        }
        None
    }

    /// A barrier's blocks, newest first: from the nearest block above height `barrier` that is signed itself down to the one at that height.
    pub fn barrier(&self, barrier: u64) -> Option<Vec<Settled>> {
        let blocks = lock(&self.blocks);
        let top = blocks.iter().position(|block| block.certificate.is_some() && block.head.height >= barrier)?;
        let chain: Vec<Settled> =
            blocks.range(..=top).rev().take_while(|block| block.head.height >= barrier).cloned().collect();
        let whole = chain.len() <= MAX_CHAIN && chain.last().is_some_and(|block| block.head.height == barrier);
        whole.then_some(chain)
    }

    /// The newest block that carries a batch and is signed itself.
    pub fn newest_signed(&self) -> Option<Settled> {
        let signed = |block: &&Settled| block.carries == Some(true) && block.certificate.is_some();
        lock(&self.blocks).iter().rfind(signed).cloned()
    }

    /// Waits until something has changed, or for a while.
    pub fn wait(&self, at_most: Duration) {
        let blocks = lock(&self.blocks);
        drop(self.changed.wait_timeout(blocks, at_most).unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(height: u64, settles: u64, signed: bool, carries: Option<bool>) -> Settled {
        let certificate = signed.then_some(&b"signed"[..]);
        let digests = ([(height - 1) as u8; 32], [height as u8; 32]);
        Settled::new((height, settles), digests, &[[height as u8; 32]], certificate, carries)
    }

    fn heights(chain: Option<Vec<Settled>>) -> Option<Vec<u64>> {
        chain.map(|chain| chain.iter().map(|block| block.head.height).collect())
    }

    #[test]
    fn chains_lead_from_signatures_to_the_batch_and_to_the_barrier() {
        let recent = Recent::default();
        assert_eq!(recent.anchor(1, 9), None);
        recent.add(block(1, 1, true, Some(true)));
        recent.add(block(2, 2, false, Some(true)));
        assert_eq!(heights(recent.anchor(1, 9)), Some(vec![1]), "the second is not signed");
        assert_eq!((recent.anchor(2, 9), recent.barrier(2)), (None, None));
        recent.add(block(3, 2, true, Some(false)));
        for height in 4..200 {
            recent.add(block(height, 2, true, Some(false)));
        }
        assert_eq!(heights(recent.anchor(1, 9)), Some(vec![3, 2]), "the nearest above it, however many follow");
        assert_eq!(heights(recent.barrier(2)), Some(vec![3, 2]));
        assert_eq!(heights(recent.barrier(150)), Some(vec![150]));
        recent.add(block(200, 3, true, Some(true)));
        assert_eq!(heights(recent.anchor(2, 2)), Some(vec![3, 2]));
        assert_eq!(heights(recent.anchor(1, 9)), Some(vec![200]));
        assert_eq!(recent.barrier(201), None, "not settled yet");
    }

    #[test]
    fn what_is_remembered_is_told_again_and_nothing_leads_over_a_gap() {
        let recent = Recent::default();
        recent.add(block(7, 4, false, None));
        recent.add(block(8, 5, true, None));
        assert_eq!(heights(recent.anchor(1, 5)), Some(vec![8]));
        recent.add(block(7, 4, true, Some(true)));
        assert_eq!(heights(recent.anchor(4, 4)), Some(vec![7]), "more is known of it now");
        recent.add(block(12, 9, true, Some(false)));
        assert_eq!(recent.anchor(1, 9), None);
        for height in 13..13 + 2 * KEPT as u64 {
            recent.add(block(height, 9, true, Some(false)));
        }
        assert!(lock(&recent.blocks).len() <= KEPT);
    }
}
