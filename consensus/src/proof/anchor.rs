//! From a batch's header to a quorum's signatures, and from a number that a reader has drawn to the same signatures.
//!
//! An anchor is a chain of blocks, newest first, each of which names the next by its digest. A quorum has signed the first: so it has
//! agreed on all of them. The newest batch among them is the newest that is final at the first block, for the blocks before it in the chain
//! carry none. Most anchors have one block. A block that is final only through one that follows it (its leader failed while it was signed)
//! makes a longer one; so does a **barrier**.
//!
//! A barrier is a note of 32 random bytes in one of the blocks. That block was proposed after the note was drawn, and whatever was final
//! then is in it, below it in the chain, or in front of it: a reader who finds the note that he has just drawn reads nothing that was stale
//! when he asked, whoever answers.
//!
//! Bytes: layout version u8 (1), number of blocks u8, place of the block with the notes u8 (255: no notes are shown), zero u8, number of
//! those notes u16, length of the certificate u16, the notes, the certificate as the engine encodes it, the blocks
//! ([`prefix`](super::prefix): length u16, levels u16, chunk, siblings). Little-endian.

use super::block::{BlockHead, MAX_NOTES, Note, notes_digest};
use super::prefix::PrefixProof;
use super::{Cursor, ProofError};
use crate::batch::Header;
use crate::ledger::tree::Digest;

/// The most blocks of an anchor.
pub const MAX_CHAIN: usize = 64;

/// The longest certificate in bytes: that of the largest committee has 64 signatures.
pub const MAX_CERTIFICATE: usize = 8 << 10;

const VERSION: u8 = 1;
const NO_NOTES: u8 = u8::MAX;

/// Blocks, newest first, and a quorum's signatures over the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The blocks' first bytes.
    pub chain: Vec<PrefixProof>,
    /// The engine's certificate of the first: a quorum's signatures over its digest.
    pub certificate: Vec<u8>,
    /// All notes of one of the blocks, and which: 0 is the first.
    pub noted: Option<(u8, Vec<Note>)>,
}

/// What an anchor that holds has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// Height of the block that the quorum has signed.
    pub height: u64,
    /// The newest batch that is final at that block.
    pub header: Header,
    /// Height of the block that the note stands in, if one was asked for.
    pub barrier: Option<u64>,
}

impl Anchor {
    /// Checks everything: that the blocks follow one another, that the last or an earlier one carries a batch, that the note that was asked
    /// for stands in one of them, and by `certified` (the first block's digest, the certificate) that a quorum has signed the first.
    ///
    /// # Errors
    /// Which link does not hold.
    pub fn verify(
        &self,
        note: Option<&Note>,
        certified: impl FnOnce(&Digest, &[u8]) -> bool,
    ) -> Result<Anchored, ProofError> {
        let Some(first) = self.chain.first() else { return Err(ProofError::NoBlock("there is none")) };
        if !certified(&first.digest(), &self.certificate) {
            return Err(ProofError::NotCertified);
        }
        let (top, _) = BlockHead::of(first)?;
        let (mut newest, mut heads) = (None, Vec::with_capacity(self.chain.len()));
        for block in &self.chain {
            let (head, header) = BlockHead::of(block)?;
            if let Some(above) = heads.last()
                && !follows(above, &head, block)
            {
                return Err(ProofError::Link { height: head.height });
            }
            newest = newest.or(header);
            heads.push(head);
        }
        let header = newest.ok_or(ProofError::NoBlock("none of them carries a batch"))?;
        let barrier = note.map(|note| self.barrier(note, &heads)).transpose()?;
        Ok(Anchored { height: top.height, header, barrier })
    }

    /// Height of the block that the note stands in.
    fn barrier(&self, note: &Note, heads: &[BlockHead]) -> Result<u64, ProofError> {
        let (at, notes) = self.noted.as_ref().ok_or(ProofError::NoBarrier)?;
        let head = heads.get(usize::from(*at)).ok_or(ProofError::NoBarrier)?;
        if notes_digest(notes) != head.notes || !notes.contains(note) {
            return Err(ProofError::NoBarrier);
        }
        Ok(head.height)
    }

    /// The anchor's bytes.
    ///
    /// # Panics
    /// For one that is longer than anchors can be.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.chain.len() <= MAX_CHAIN && self.certificate.len() <= MAX_CERTIFICATE);
        let none = (NO_NOTES, Vec::new());
        let (at, notes) = self.noted.as_ref().unwrap_or(&none);
        assert!(notes.len() <= MAX_NOTES);
        let mut out = vec![VERSION, self.chain.len() as u8, *at, 0];
        out.extend_from_slice(&(notes.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.certificate.len() as u16).to_le_bytes());
        out.extend_from_slice(notes.as_flattened());
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
        let begun = from.at;
        let [version, blocks, at, zero] = from.array("head of the anchor")?;
        let notes = usize::from(u16::from_le_bytes(from.array("number of notes")?));
        let certificate = usize::from(u16::from_le_bytes(from.array("length of the certificate")?));
        let noted = if at == NO_NOTES { notes == 0 } else { at < blocks && notes <= MAX_NOTES };
        let blocks = usize::from(blocks);
        if version != VERSION || zero != 0 || !noted || blocks > MAX_CHAIN || certificate > MAX_CERTIFICATE {
            return Err(ProofError::Encoding { what: "head of the anchor", at: begun });
        }
        let notes = (0..notes).map(|_| from.array("note")).collect::<Result<_, _>>()?;
        let certificate = from.slice("certificate", certificate)?.to_vec();
        let chain = (0..blocks).map(|_| PrefixProof::decode(from)).collect::<Result<_, _>>()?;
        Ok(Self { chain, certificate, noted: (at != NO_NOTES).then_some((at, notes)) })
    }
}

/// Whether a block is the one that the block above it was built on.
fn follows(above: &BlockHead, head: &BlockHead, block: &PrefixProof) -> bool {
    above.parent == block.digest() && head.height.checked_add(1) == Some(above.height) && head.settles <= above.settles
}
