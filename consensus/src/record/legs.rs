//! Transfers in more than one step, and several that happen together or not at all.
//!
//! A transfer record holds either one plain [`Transfer`], or 1 to [`MAX_LEGS`] legs: a *chain*. The legs of a chain apply in
//! order, each seeing what those before it did, and all of them or none. A leg is 80 bytes:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..16 | id | u128, names the leg: the same leg again moves nothing |
//! | 16..32 | amount | i128, above 0 |
//! | 32..48 | pending | u128, the pend that is posted, voided or expired; 0 otherwise |
//! | 48..56 | expires_ns | u64, of a pend: from this record time on it can only expire; 0 never, and for other actions |
//! | 56..60 | from | u32 |
//! | 60..64 | to | u32 |
//! | 64..66 | asset | u16 |
//! | 66 | action | [`Action`] |
//! | 67..80 | - | 0 |
//!
//! The two forms never overlap: a chain of one plain booking is not written as a chain.

use super::error::{Allowed, RecordError};
use super::payload::Transfer;
use super::wire::{Reader, byte_enum};

/// Bytes of a leg.
pub const LEG_BYTES: usize = 80;

/// Most legs of a chain.
pub const MAX_LEGS: usize = 16;

byte_enum! {
    /// What a leg does.
    Action("action", "0 to 4") {
        /// Moves the amount now.
        Book = 0 => "book",
        /// Holds the amount at the payer, for a post, a void or its expiry.
        Pend = 1 => "pend",
        /// Moves what a pend holds, or less; the rest is the payer's again.
        Post = 2 => "post",
        /// Gives what a pend holds back to the payer.
        Void = 3 => "void",
        /// As void, by the venue, once the pend's time is over.
        Expire = 4 => "expire",
    }
}

/// One step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// What it does.
    pub action: Action,
    /// Whose money, and the leg's own id. Of a post, void or expiry: parties and asset are the pend's.
    pub transfer: Transfer,
    /// The pend that it ends; 0 for those that end none.
    pub pending: u128,
    /// When a pend's time is over, in record time; 0: never.
    pub expires_ns: u64,
}

impl Leg {
    /// A transfer that moves now.
    pub const fn book(transfer: Transfer) -> Self {
        Self { action: Action::Book, transfer, pending: 0, expires_ns: 0 }
    }

    /// Appends the leg's bytes: also what the ledger's history is made of.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let Transfer { id, from, to, asset, amount } = self.transfer;
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&amount.to_le_bytes());
        out.extend_from_slice(&self.pending.to_le_bytes());
        out.extend_from_slice(&self.expires_ns.to_le_bytes());
        out.extend_from_slice(&from.to_le_bytes());
        out.extend_from_slice(&to.to_le_bytes());
        out.extend_from_slice(&asset.to_le_bytes());
        out.push(self.action as u8);
        out.extend_from_slice(&[0; 13]);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, RecordError> {
        let (id, amount) = (r.u128("leg id")?, r.i128("leg amount")?);
        let (pending, expires_ns) = (r.u128("pending")?, r.u64("expires_ns")?);
        let (from, to, asset) = (r.u32("from")?, r.u32("to")?, r.u16("asset")?);
        let action = Action::read(r)?;
        r.zeros("leg reserved", 13)?;
        Ok(Self { action, transfer: Transfer { id, from, to, asset, amount }, pending, expires_ns })
    }
}

/// The legs of a chain, as their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    legs: &'a [u8],
}

impl<'a> Chain<'a> {
    /// Writes legs into `bytes`, which the chain borrows. `None` when they are none, too many, or a single plain booking,
    /// which is a transfer.
    pub fn new(legs: &[Leg], bytes: &'a mut Vec<u8>) -> Option<Self> {
        bytes.clear();
        legs.iter().for_each(|leg| leg.encode_into(bytes));
        let plain = matches!(legs, [leg] if leg.action == Action::Book);
        ((1..=MAX_LEGS).contains(&legs.len()) && !plain).then_some(Self { legs: bytes })
    }

    /// The chain of these bytes.
    ///
    /// # Errors
    /// Names the first field that is not what [`Chain::new`] makes; the offset counts from `bytes`.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::decode(&mut Reader::new(bytes, 0), bytes.len())
    }

    /// The legs, first to last.
    pub fn legs(&self) -> impl ExactSizeIterator<Item = Leg> + use<'a> {
        self.legs.chunks_exact(LEG_BYTES).map(|bytes| {
            Leg::decode(&mut Reader::new(bytes, 0)).expect("every leg was decoded, or encoded, when the chain was made")
        })
    }

    /// The legs' bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.legs
    }

    pub(super) fn decode(r: &mut Reader<'a>, length: usize) -> Result<Self, RecordError> {
        let count = length / LEG_BYTES;
        let start = r.at();
        let bad = |offset, found: usize, allowed| RecordError {
            offset,
            field: "length of a transfer",
            found: found as i128,
            allowed: Allowed::Text(allowed),
        };
        if !length.is_multiple_of(LEG_BYTES) || !(1..=MAX_LEGS).contains(&count) {
            return Err(bad(start, length, "48, or 80 for each of 1 to 16 legs"));
        }
        let mut plain = false;
        let mut ahead = r.ahead();
        for _ in 0..count {
            plain = Leg::decode(&mut ahead)?.action == Action::Book;
        }
        if count == 1 && plain {
            return Err(bad(start, length, "48 for a plain transfer"));
        }
        Ok(Self { legs: r.slice("legs", length)? })
    }
}
