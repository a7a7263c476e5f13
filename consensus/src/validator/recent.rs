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

    /// The blocks of an answer, newest first: from one that is signed itself and settles batch `settled` or a later one, but no later than
    /// `stored`, down to the one that carries the batch, and to the one at height `barrier`. Of those that would do, the oldest if a barrier
    /// is asked for, else the newest.
    pub fn chain(&self, settled: u64, stored: u64, barrier: Option<u64>) -> Option<Vec<Settled>> {
        let blocks = lock(&self.blocks);
        let serves = |block: &&Settled| {
            let (height, settles) = (block.head.height, block.head.settles);
            let new = settles >= settled.max(1) && settles <= stored && barrier.is_none_or(|least| height >= least);
            new && block.certificate.is_some()
        };
        let top = match barrier {
            Some(_) => blocks.iter().find(serves)?,
            None => blocks.iter().rfind(serves)?,
        };
        let mut chain = Vec::new();
        let mut carried = false;
        for block in blocks.iter().rev().skip_while(|block| block.head.height > top.head.height) {
            carried |= block.carries?;
            chain.push(block.clone());
            if carried && barrier.is_none_or(|least| block.head.height <= least) {
                return Some(chain);
            }
            if chain.len() >= MAX_CHAIN {
                return None;
            }
        }
        None
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
    fn a_chain_leads_from_signatures_to_the_batch_and_to_the_barrier() {
        let recent = Recent::default();
        assert_eq!(recent.chain(1, 9, None), None);
        recent.add(block(1, 1, true, Some(true)));
        recent.add(block(2, 2, false, Some(true)));
        assert_eq!(heights(recent.chain(1, 9, None)), Some(vec![1]), "the second is not signed");
        assert_eq!(recent.chain(2, 9, None), None);
        recent.add(block(3, 2, true, Some(false)));
        recent.add(block(4, 3, true, Some(true)));
        assert_eq!(heights(recent.chain(2, 2, None)), Some(vec![3, 2]), "over the third");
        assert_eq!(heights(recent.chain(1, 9, None)), Some(vec![4]));
        assert_eq!(heights(recent.chain(1, 9, Some(3))), Some(vec![3, 2]), "the oldest behind the barrier");
        assert_eq!(heights(recent.chain(3, 9, Some(2))), Some(vec![4, 3, 2]), "down to the barrier");
        assert_eq!(recent.chain(1, 9, Some(5)), None, "not settled yet");
    }

    #[test]
    fn what_is_remembered_is_told_again_and_nothing_leads_over_a_gap() {
        let recent = Recent::default();
        recent.add(block(7, 4, false, None));
        recent.add(block(8, 5, true, None));
        assert_eq!(heights(recent.chain(1, 5, None)), Some(vec![8]));
        recent.add(block(7, 4, true, Some(true)));
        assert_eq!(heights(recent.chain(4, 4, None)), Some(vec![7]), "more is known of it now");
        recent.add(block(12, 9, true, Some(false)));
        assert_eq!(recent.chain(1, 9, None), None);
        for height in 13..13 + 2 * KEPT as u64 {
            recent.add(block(height, 9, true, Some(false)));
        }
        assert!(lock(&recent.blocks).len() <= KEPT);
    }
}
