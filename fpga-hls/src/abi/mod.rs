//! The beats: what goes to a matcher and what comes back, and every constant of both.
//!
//! This module is the only source of the ABI. The hardware's packages are generated from it, journals are stamped with
//! [`abi_hash`], and each twin answers each 32-byte pattern whatever in exactly the way written here.
//!
//! A beat is 32 bytes, little-endian: two to a cache line, one AXI4-Stream transfer each. The top bit of the last byte
//! belongs to the ring; it is 0 in journals, hashes and vectors, and a matcher masks it.
//!
//! # What is checked, in this order
//!
//! The first check that fails answers one `rejected` with its reason and changes nothing.
//!
//! | check | applies to | reason |
//! |---|---|---|
//! | the kind is known | all | [`Reason::BadKind`] |
//! | reserved bits of the side, flags and ring bytes are 0 | all | [`Reason::ReservedBits`] |
//! | time in force, flags go together and with the kind | all | [`Reason::BadFlags`] |
//! | the instrument exists | all but nop | [`Reason::UnknownInstrument`] |
//! | slots are in range (slot; slot2 for replace) | all but nop | [`Reason::SlotRange`] |
//! | the slot is free | new | [`Reason::SlotLive`] |
//! | the slot is live | cancel, reduce, replace | [`Reason::NoOrder`] |
//! | instrument and owner equal the live order's | cancel, reduce, replace | [`Reason::NotYours`] |
//! | slot2 is free and not slot | replace | [`Reason::SlotLive`] |
//! | the tick is in the band | new, replace | [`Reason::TickRange`] |
//! | 1 <= qty <= limit (any, when relative) | new, reduce, replace | [`Reason::QtyRange`] |
//! | the new leaves stay within the limit | relative replace | [`Reason::QtyRange`] |
//!
//! 'Flags go together': time in force is 0..=2; post-only needs GTC; relative needs replace; replace refuses FOK;
//! cancel, reduce and nop take no time in force, no self-trade mode, no post-only. The side bit is read by `new` alone
//! (a replace keeps its order's side) and ignored elsewhere. Fields that a kind does not name are ignored.

mod beat;
mod codes;
mod command;
pub mod contract;
mod event;
mod limits;

pub use beat::{BEAT_BYTES, RING_BIT};
pub use codes::{EventKind, Kind, Reason, SelfTrade, Side, TimeInForce, event_flags};
pub use command::Command;
pub use event::{Event, NO_SLOT};
pub use limits::{Capabilities, Limits, LimitsError};

/// Version of the ABI; a change of any meaning above changes it.
pub const ABI_VERSION: u16 = 1;

/// Names this ABI in journals, snapshots and batches: bytes written under another ABI are refused, not reinterpreted.
pub fn abi_hash() -> [u8; 32] {
    let mut text = String::from("wirebook beats ");
    text.push_str(&ABI_VERSION.to_string());
    for kind in Kind::ALL {
        text.push_str(&format!(" {kind:?}={}", kind as u8));
    }
    for kind in EventKind::ALL {
        text.push_str(&format!(" {kind:?}={}", kind as u8));
    }
    for reason in Reason::ALL {
        text.push_str(&format!(" {reason:?}={}", reason as u8));
    }
    *blake3::hash(text.as_bytes()).as_bytes()
}
