//! From a batch's header to a quorum's signatures, and from a number that a reader has drawn to such signatures.
//!
//! An **anchor** is a chain of blocks, newest first, each of which names the next by its digest. A quorum has signed the first: so it has
//! agreed on all of them. The last carries a batch and the others none: that batch is the newest that is final at the first block. Most anchors
//! have one block. One that is final only through another that follows it (its leader failed while it was signed) makes a longer one.
//!
//! A **barrier** is such a chain whose last block has a note in it: 32 random bytes. That block was proposed after the note was drawn, and
//! whatever was final then is in it or before it, so that it settles all of that, and says up to which batch. A reader who finds the note
//! that he has just drawn, and an anchor of that batch or of a later one, reads nothing that was stale when he asked, whoever answers.
//!
//! Bytes of an anchor: layout version u8 (2), number of blocks u8, length of the certificate u16, the certificate as the engine encodes it, the
//! blocks ([`prefix`](super::prefix): length u16, levels u16, chunk, siblings). Of a barrier: number of notes u16, the notes, the chain as
//! an anchor's. Little-endian.

use super::block::{BlockHead, MAX_NOTES, Note, notes_digest};
use super::prefix::PrefixProof;
use super::{Cursor, ProofError};
use crate::batch::Header;
use crate::ledger::tree::Digest;

/// The most blocks of an anchor.
pub const MAX_CHAIN: usize = 64;

/// The longest certificate in bytes: that of the largest committee has 64 signatures.
pub const MAX_CERTIFICATE: usize = 8 << 10;

const VERSION: u8 = 2;

/// Blocks, newest first, and a quorum's signatures over the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The blocks' first bytes.
    pub chain: Vec<PrefixProof>,
    /// The engine's certificate of the first: a quorum's signatures over its digest.
    pub certificate: Vec<u8>,
}

/// What an anchor that holds has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// Height of the block that the quorum has signed.
    pub height: u64,
    /// The newest batch that is final at that block.
    pub header: Header,
}

impl Anchor {
    /// Checks that the last block carries a batch and no other does, that the blocks follow one another, and by `certified` (the first
    /// block's digest, the certificate) that a quorum has signed the first.
    ///
    /// # Errors
    /// Which link does not hold.
    pub fn verify(&self, certified: impl FnOnce(&Digest, &[u8]) -> bool) -> Result<Anchored, ProofError> {
        let blocks = self.blocks(certified)?;
        let Some((_, above)) = blocks.split_last() else { return Err(ProofError::NoBlock("there is none")) };
        if above.iter().any(|(_, header)| header.is_some()) {
            return Err(ProofError::NoBlock("a block above the batch carries another"));
        }
        let (_, header) = blocks[blocks.len() - 1];
        Ok(Anchored { height: blocks[0].0.height, header: header.ok_or(ProofError::NoBlock("it carries no batch"))? })
    }

    /// The blocks, of which a quorum has signed the first, and each of which was built on the next.
    fn blocks(
        &self,
        certified: impl FnOnce(&Digest, &[u8]) -> bool,
    ) -> Result<Vec<(BlockHead, Option<Header>)>, ProofError> {
        let Some(first) = self.chain.first() else { return Err(ProofError::NoBlock("there is none")) };
        if !certified(&first.digest(), &self.certificate) {
            return Err(ProofError::NotCertified);
        }
        let mut blocks: Vec<(BlockHead, Option<Header>)> = Vec::with_capacity(self.chain.len());
        for block in &self.chain {
            let (head, header) = BlockHead::of(block)?;
            if let Some((above, _)) = blocks.last()
                && !follows(above, &head, block)
            {
                return Err(ProofError::Link { height: head.height });
            }
            blocks.push((head, header));
        }
        Ok(blocks)
    }

    /// Height of the first block, if there is one and it is one.
    pub fn height(&self) -> Option<u64> {
        self.chain.first().and_then(|block| BlockHead::of(block).ok()).map(|(head, _)| head.height)
    }

    /// The anchor's bytes.
    ///
    /// # Panics
    /// For one that is longer than anchors can be.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.chain.len() <= MAX_CHAIN && self.certificate.len() <= MAX_CERTIFICATE);
        let mut out = vec![VERSION, self.chain.len() as u8];
        out.extend_from_slice(&(self.certificate.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.certificate);
        self.chain.iter().for_each(|block| block.encode_into(&mut out));
        out
    }

    /// Reads an anchor that fills `bytes`.
    ///
    /// # Errors
    /// Whatever is not the one encoding of some anchor.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut from = Cursor::new(bytes);
        let anchor = Self::take(&mut from)?;
        from.end()?;
        Ok(anchor)
    }

    pub(super) fn take(from: &mut Cursor<'_>) -> Result<Self, ProofError> {
        let at = from.at;
        let [version, blocks] = from.array("head of the chain")?;
        let blocks = usize::from(blocks);
        let certificate = usize::from(u16::from_le_bytes(from.array("length of the certificate")?));
        if version != VERSION || blocks > MAX_CHAIN || certificate > MAX_CERTIFICATE {
            return Err(ProofError::Encoding { what: "head of the chain", at });
        }
        let certificate = from.slice("certificate", certificate)?.to_vec();
        let chain = (0..blocks).map(|_| PrefixProof::decode(from)).collect::<Result<_, _>>()?;
        Ok(Self { chain, certificate })
    }
}

/// Whether a block is the one that the block above it was built on.
fn follows(above: &BlockHead, head: &BlockHead, block: &PrefixProof) -> bool {
    above.parent == block.digest() && head.height.checked_add(1) == Some(above.height) && head.settles <= above.settles
}

/// A chain of blocks, and the notes of the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The blocks, and who has signed the first.
    pub blocks: Anchor,
    /// All notes of the last.
    pub notes: Vec<Note>,
}

/// What a barrier that holds has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Height of the block that the note stands in.
    pub height: u64,
    /// The last batch that is final at that block.
    pub settles: u64,
}

impl Barrier {
    /// Checks that the note stands in the last block, that the blocks follow one another, and by `certified` that a quorum has signed the
    /// first.
    ///
    /// # Errors
    /// Which link does not hold.
    pub fn verify(&self, note: &Note, certified: impl FnOnce(&Digest, &[u8]) -> bool) -> Result<Behind, ProofError> {
        let blocks = self.blocks.blocks(certified)?;
        let (last, _) = blocks.last().ok_or(ProofError::NoBarrier)?;
        if notes_digest(&self.notes) != last.notes || !self.notes.contains(note) {
            return Err(ProofError::NoBarrier);
        }
        Ok(Behind { height: last.height, settles: last.settles })
    }

    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        assert!(self.notes.len() <= MAX_NOTES);
        out.extend_from_slice(&(self.notes.len() as u16).to_le_bytes());
        out.extend_from_slice(self.notes.as_flattened());
        out.extend_from_slice(&self.blocks.encode());
    }

    pub(super) fn take(from: &mut Cursor<'_>) -> Result<Self, ProofError> {
        let at = from.at;
        let notes = usize::from(u16::from_le_bytes(from.array("number of notes")?));
        if notes > MAX_NOTES {
            return Err(ProofError::Encoding { what: "number of notes", at });
        }
        let notes = (0..notes).map(|_| from.array("note")).collect::<Result<_, _>>()?;
        Ok(Self { notes, blocks: Anchor::take(from)? })
    }
}
