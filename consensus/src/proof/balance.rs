//! From a balance, or its absence, to the root.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic `WBBP` |
//! | 4..6 | layout version, 1 |
//! | 6..8 | asset u16 |
//! | 8..12 | account u32 |
//! | 12..16 | which siblings are written, a bit each, the leaf's own lowest; the others are empty subtrees |
//! | 16..32 | available i128 |
//! | 32..48 | reserved i128 |
//! | 48..56 | seq of the last record u64 |
//! | 56..312 | digests: history, ids, pending, records, events, matcher, registry, books |
//! | 312.. | siblings, 32 bytes each |
//!
//! Little-endian; one proof has one encoding. An account or asset that nobody registered has nothing, and that is proven alike.

use wirebook_matcher::Twin;

use super::{Cursor, ProofError};
use crate::ledger::tree::{DEPTH, Digest, climb, empty, leaf};
use crate::ledger::{Balance, LedgerParts, MAX_ACCOUNTS, MAX_ASSETS};
use crate::machine::{Machine, RootParts};

const MAGIC: [u8; 4] = *b"WBBP";
const VERSION: u16 = 1;

/// What an account has of an asset, and the hashes that lead from there to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceProof {
    /// Whose.
    pub account: u32,
    /// Of what.
    pub asset: u16,
    /// How much; nothing is proven as well.
    pub balance: Balance,
    siblings: [Digest; DEPTH],
    /// All but the balances' own root, which follows from the siblings.
    ledger: LedgerParts,
    /// All but the ledger's root, which follows from the above.
    state: RootParts,
}

impl BalanceProof {
    /// Proves what an account has where a machine stands now.
    ///
    /// `None` when account or asset is beyond the limits: of those there never is any.
    pub fn of<T: Twin>(machine: &Machine<T>, account: u32, asset: u16) -> Option<Self> {
        if account >= MAX_ACCOUNTS || asset >= MAX_ASSETS {
            return None;
        }
        let ledger = machine.books.ledger();
        let (balance, siblings) = (ledger.balance(account, asset), ledger.path(account, asset));
        let (ledger, state) = (ledger.parts(), machine.root_parts());
        Some(Self { account, asset, balance, siblings, ledger, state })
    }

    /// The root that this balance leads to. It proves something once that root is known to be settled.
    pub fn root(&self) -> Digest {
        let leaf = leaf(self.account, self.asset, &self.balance);
        let balances = climb(self.account, self.asset, leaf, &self.siblings);
        let ledger = LedgerParts { balances, ..self.ledger }.root();
        RootParts { ledger, ..self.state }.root()
    }

    /// The proof's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let written: Vec<usize> = (0..DEPTH).filter(|height| self.siblings[*height] != *empty(*height)).collect();
        let bits = written.iter().fold(0u32, |bits, height| bits | 1 << height);
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.asset.to_le_bytes());
        out.extend_from_slice(&self.account.to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(&self.balance.available.to_le_bytes());
        out.extend_from_slice(&self.balance.reserved.to_le_bytes());
        out.extend_from_slice(&self.state.last_seq.to_le_bytes());
        let LedgerParts { history, ids, pending, .. } = &self.ledger;
        let RootParts { records, events, twin, registry, books, .. } = &self.state;
        let digests = [history, ids, pending, records, events, twin, registry, books];
        digests.iter().for_each(|digest| out.extend_from_slice(*digest));
        written.iter().for_each(|height| out.extend_from_slice(&self.siblings[*height]));
        out
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// Whatever is not the one encoding of some proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut from = Cursor::new(bytes);
        let bad = |what, at| Err(ProofError::Encoding { what, at });
        if from.array("magic")? != MAGIC || u16::from_le_bytes(from.array("version")?) != VERSION {
            return bad("magic and version", 0);
        }
        let asset = u16::from_le_bytes(from.array("asset")?);
        let account = u32::from_le_bytes(from.array("account")?);
        let bits = u32::from_le_bytes(from.array("siblings that are written")?);
        if account >= MAX_ACCOUNTS || asset >= MAX_ASSETS {
            return bad("account and asset", 6);
        }
        if bits >> DEPTH != 0 {
            return bad("siblings that are written", 12);
        }
        let available = i128::from_le_bytes(from.array("available")?);
        let reserved = i128::from_le_bytes(from.array("reserved")?);
        let last_seq = u64::from_le_bytes(from.array("last seq")?);
        let mut digest = |what| from.array::<32>(what);
        let ledger = LedgerParts {
            balances: [0; 32],
            history: digest("history")?,
            ids: digest("ids")?,
            pending: digest("pending")?,
        };
        let (records, events, twin) = (digest("records")?, digest("events")?, digest("matcher")?);
        let (registry, books) = (digest("registry")?, digest("books")?);
        let state = RootParts { last_seq, ledger: [0; 32], records, events, twin, registry, books };
        let mut siblings = [[0; 32]; DEPTH];
        for (height, sibling) in siblings.iter_mut().enumerate() {
            *sibling = *empty(height);
            if bits >> height & 1 == 1 {
                let at = from.at;
                *sibling = from.array("sibling")?;
                if sibling == empty(height) {
                    return bad("a sibling that is empty", at);
                }
            }
        }
        from.end()?;
        let proof = Self { account, asset, balance: Balance { available, reserved }, siblings, ledger, state };
        Ok(proof.settle())
    }

    /// Fills in the two roots that follow from the rest, so that equal proofs are equal.
    fn settle(mut self) -> Self {
        let leaf = leaf(self.account, self.asset, &self.balance);
        self.ledger.balances = climb(self.account, self.asset, leaf, &self.siblings);
        self.state.ledger = self.ledger.root();
        self
    }
}
