//! A balance in a block that a quorum has signed.
//!
//! Bytes: magic `WBSP`, layout version u16 (1), 2 zeros, length of the balance proof u32, length of the certificate u32, the balance
//! proof, the [`prefix`](super::prefix) (length u16, levels u16, chunk, siblings), the certificate as the engine encodes it.
//!
//! What a block's digest covers begins with [`BLOCK_CONTEXT`], the parent's digest (32), the height (8), the number of the batch that
//! it settles (8); the batch follows, and begins with its header. A block without a batch ends there.

use super::balance::BalanceProof;
use super::prefix::PrefixProof;
use super::{Cursor, ProofError};
use crate::batch::{HEADER_BYTES, Header};
use crate::ledger::tree::Digest;

/// What the engine hashes ahead of a block's content.
pub const BLOCK_CONTEXT: &[u8] = b"wirebook consensus block 1";

const MAGIC: [u8; 4] = *b"WBSP";
const VERSION: u16 = 1;

/// Bytes of a block ahead of its batch, context included.
const BLOCK_HEAD: usize = BLOCK_CONTEXT.len() + 32 + 8 + 8;

/// What an account has after a batch, that batch's header within its block, and the certificate of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledProof {
    /// The balance.
    pub balance: BalanceProof,
    /// The block's first bytes.
    pub block: PrefixProof,
    /// The engine's certificate: a quorum's signatures over the block's digest.
    pub certificate: Vec<u8>,
}

/// What a proof that holds has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The block's height.
    pub height: u64,
    /// The batch that it settles.
    pub header: Header,
}

impl SettledProof {
    /// Checks everything: that the balance leads to the root that the batch claims, that the batch stands in the block, and by
    /// `certified` (the block's digest, the certificate) that a quorum has signed the block.
    ///
    /// # Errors
    /// Which link does not hold.
    pub fn verify(&self, certified: impl FnOnce(&Digest, &[u8]) -> bool) -> Result<Settled, ProofError> {
        let chunk = self.block.chunk();
        if chunk.get(..BLOCK_CONTEXT.len()) != Some(BLOCK_CONTEXT) {
            return Err(ProofError::NoBatch("it does not begin as a block does"));
        }
        let Some(header) = chunk.get(BLOCK_HEAD..BLOCK_HEAD + HEADER_BYTES) else {
            return Err(ProofError::NoBatch("it ends before a batch's header does"));
        };
        let header = Header::parse(header).map_err(|_| ProofError::NoBatch("what follows is no batch's header"))?;
        let number = |at: usize| u64::from_le_bytes(chunk[at..at + 8].try_into().expect("eight bytes"));
        let (height, settles) = (number(BLOCK_HEAD - 16), number(BLOCK_HEAD - 8));
        if settles != header.number {
            return Err(ProofError::NoBatch("its number is another than the block settles"));
        }
        if self.balance.root() != header.next_root {
            return Err(ProofError::Root);
        }
        if !certified(&self.block.digest(), &self.certificate) {
            return Err(ProofError::NotCertified);
        }
        Ok(Settled { height, header })
    }

    /// The proof's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let balance = self.balance.encode();
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(balance.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.certificate.len() as u32).to_le_bytes());
        out.extend_from_slice(&balance);
        self.block.encode_into(&mut out);
        out.extend_from_slice(&self.certificate);
        out
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// Whatever is not the one encoding of some proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut from = Cursor::new(bytes);
        let head = (from.array("magic")?, u16::from_le_bytes(from.array("version")?), from.array("reserved")?);
        if head != (MAGIC, VERSION, [0; 2]) {
            return Err(ProofError::Encoding { what: "magic and version", at: 0 });
        }
        let length = u32::from_le_bytes(from.array("length of the balance proof")?) as usize;
        let certificate = u32::from_le_bytes(from.array("length of the certificate")?) as usize;
        let balance = BalanceProof::decode(from.slice("balance proof", length)?)?;
        let block = PrefixProof::decode(&mut from)?;
        let certificate = from.slice("certificate", certificate)?.to_vec();
        from.end()?;
        Ok(Self { balance, block, certificate })
    }
}
