//! OUCH 5.0: the messages of an order-entry port, typed, without allocation.
//!
//! Source: the OUCH 5.0 document of April 2023; mass cancel and the order-entry switch are later additions. Integers are
//! big-endian; text is ASCII padded with spaces; a price is a u64 with four implied decimals.
//!
//! Two kinds of fault are kept apart. A **structural** one, a wrong length, an unknown type, options that do not add up, means
//! that the two sides do not speak the same language: decoding answers [`DecodeError`], and the gateway ends the connection. A
//! **wrong value** in a sound message decodes: coded fields are [`Code`]s that hold whatever byte came, and
//! [`validate`](inbound::EnterOrder::validate) answers [`InvalidField`] with the reason for an OUCH `Rejected`.

mod appendage;
mod code;
mod error;
pub mod inbound;
pub mod outbound;
mod reason;
mod validate;
mod wire;

#[cfg(test)]
mod tests;

pub use appendage::{Appendage, AppendageBuilder, MAX_BUILT_APPENDAGE, TagValue, TagValues};
pub use code::{
    BboWeight, BrokenTradeReason, CancelReason, Capacity, Code, Coded, CrossType, CustomerType, Display, EventCode,
    HandleInst, LiquidityFlag, OrderState, PostOnly, PriceType, RestateReason, Side, TimeInForce, YesNo,
};
pub use error::{DecodeError, Fault, Found, InvalidField, NoRoom};
pub use inbound::Inbound;
pub use outbound::Outbound;
pub use reason::{ReasonCode, RejectReason};
pub use validate::{MassCancelScope, NewOrder, Options, Replacement};
pub use wire::{Layout, Price};

use crate::session::Alpha;

/// An instrument's symbol.
pub type Symbol = Alpha<8>;
/// The client's own name of an order; echoed, never checked.
pub type ClOrdId = Alpha<14>;
/// A firm within an account.
pub type Firm = Alpha<4>;

/// The largest quantity of an order, and the most that a chain of replacements may execute, in shares.
pub const MAX_QUANTITY: u32 = 999_999;
