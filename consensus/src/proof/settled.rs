//! A balance at a block that a quorum has signed, in answer to a question.
//!
//! Bytes: magic `WBSP`, layout version u16 (2), with a barrier u8 (0 or 1), a zero, length of the balance proof u32, the balance proof, the
//! [`anchor`](super::anchor), the barrier if there is one.

use super::anchor::{Anchor, Barrier, Behind};
use super::balance::BalanceProof;
use super::block::Note;
use super::{Cursor, ProofError};
use crate::batch::Header;
use crate::ledger::tree::Digest;

const MAGIC: [u8; 4] = *b"WBSP";
const VERSION: u16 = 2;

/// What a reader has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of which ledger.
    pub shard: u16,
    /// Whose balance.
    pub account: u32,
    /// Of what.
    pub asset: u16,
    /// The number that he has drawn for this question, if he wants to read all that was final when he asked.
    pub note: Option<Note>,
    /// The oldest batch that he takes an answer of.
    pub at_least: u64,
}

/// What an account has after a batch, and what makes that batch final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledProof {
    /// The balance.
    pub balance: BalanceProof,
    /// From the batch to a quorum's signatures.
    pub anchor: Anchor,
    /// From the reader's note to a quorum's signatures.
    pub barrier: Option<Barrier>,
}

/// What a proof that holds has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Height of the block that a quorum has signed.
    pub height: u64,
    /// The batch after which the balance is what it is.
    pub header: Header,
    /// Where the reader's note stands, if he has drawn one.
    pub barrier: Option<Behind>,
}

impl SettledProof {
    /// Checks everything: that this is what was asked for, that the balance leads to the root that the batch claims, that the batch is the
    /// newest at the block, as new as was asked for and as the barrier wants, and by `certified` (the block's digest, the certificate) that a quorum has signed the
    /// block.
    ///
    /// # Errors
    /// Which link does not hold.
    pub fn verify(
        &self,
        question: &Question,
        certified: impl Fn(&Digest, &[u8]) -> bool,
    ) -> Result<Settled, ProofError> {
        if (self.balance.account, self.balance.asset) != (question.account, question.asset) {
            return Err(ProofError::OtherBalance { account: self.balance.account, asset: self.balance.asset });
        }
        let anchored = self.anchor.verify(&certified)?;
        let barrier = match &question.note {
            Some(note) => Some(self.barrier.as_ref().ok_or(ProofError::NoBarrier)?.verify(note, &certified)?),
            None => None,
        };
        if anchored.header.shard != question.shard {
            return Err(ProofError::OtherShard { found: anchored.header.shard });
        }
        let wanted = barrier.map_or(0, |behind| behind.settles).max(question.at_least);
        if anchored.header.number < wanted {
            return Err(ProofError::Stale { found: anchored.header.number, wanted });
        }
        if self.balance.root() != anchored.header.next_root {
            return Err(ProofError::Root);
        }
        Ok(Settled { height: anchored.height, header: anchored.header, barrier })
    }

    /// The proof's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let balance = self.balance.encode();
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[self.barrier.is_some().into(), 0]);
        out.extend_from_slice(&(balance.len() as u32).to_le_bytes());
        out.extend_from_slice(&balance);
        out.extend_from_slice(&self.anchor.encode());
        if let Some(barrier) = &self.barrier {
            barrier.encode_into(&mut out);
        }
        out
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// Whatever is not the one encoding of some proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut from = Cursor::new(bytes);
        let head = (from.array("magic")?, u16::from_le_bytes(from.array("version")?));
        let [with, zero] = from.array("with a barrier")?;
        if head != (MAGIC, VERSION) || with > 1 || zero != 0 {
            return Err(ProofError::Encoding { what: "magic and version", at: 0 });
        }
        let length = u32::from_le_bytes(from.array("length of the balance proof")?) as usize;
        let balance = BalanceProof::decode(from.slice("balance proof", length)?)?;
        let anchor = Anchor::take(&mut from)?;
        let barrier = if with == 1 { Some(Barrier::take(&mut from)?) } else { None };
        from.end()?;
        Ok(Self { balance, anchor, barrier })
    }
}
