//! Proofs that a client checks alone: what an account has, with nothing but the validators' public keys and a few kilobytes.
//!
//! ```text
//! balance ── path ──► root of balances ─┐
//!        history, ids, pending ─────────┴─► ledger root ─┐
//!        records, events, matcher, registry, books ──────┴─► root ── stands in ──► batch header
//! batch header ── is in the first bytes of ──► block ── prefix ──► block digest ◄── signed by ── certificate
//! ```
//!
//! - [`balance`]: from a balance, or its absence, to the root that a batch claims.
//! - [`prefix`]: from a block's first kilobyte, where the batch's header stands, to the block's digest. BLAKE3 is itself a tree,
//!   so that needs neither the records nor another hash.
//! - [`block`]: what that kilobyte holds. [`anchor`]: from there to the block that a quorum has signed, and the barrier by which a
//!   reader knows that nothing newer was final when he asked.
//! - [`settled`]: all together, in answer to a question. What is left is that a quorum has signed a block's digest; that is the consensus
//!   engine's to check, and [`settled::SettledProof::verify`] asks for it.

pub mod anchor;
pub mod balance;
pub mod block;
pub mod prefix;
pub mod settled;
#[cfg(test)]
mod tests;

/// Why bytes are no proof, or a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ProofError {
    #[error("{what} at byte {at}: the proof is cut, or not the one encoding of anything")]
    Encoding { what: &'static str, at: usize },
    #[error("what is proven is no block with a batch: {0}")]
    NoBlock(&'static str),
    #[error("the block at height {height} is not the one that the block above it was built on")]
    Link { height: u64 },
    #[error("the number that was drawn for this question stands in none of the blocks: the answer may be stale")]
    NoBarrier,
    #[error("the answer is of batch {found}, one of batch {wanted} or later was asked for: it is stale")]
    Stale { found: u64, wanted: u64 },
    #[error("the answer is of account {account}, asset {asset}, which was not asked for")]
    OtherBalance { account: u32, asset: u16 },
    #[error("the answer is of shard {found}, which was not asked for")]
    OtherShard { found: u16 },
    #[error("the balance leads to another root than the batch claims")]
    Root,
    #[error("no quorum of the validators has signed this block")]
    NotCertified,
}

/// Takes fixed pieces off a proof's bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn slice(&mut self, what: &'static str, length: usize) -> Result<&'a [u8], ProofError> {
        let at = self.at;
        let slice = at.checked_add(length).and_then(|end| self.bytes.get(at..end));
        self.at += length;
        slice.ok_or(ProofError::Encoding { what, at })
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ProofError> {
        Ok(self.slice(what, N)?.try_into().expect("as many bytes were taken"))
    }

    fn end(&self) -> Result<(), ProofError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(ProofError::Encoding { what: "the end", at: self.at }) }
    }
}
