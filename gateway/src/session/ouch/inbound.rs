//! What a client says to the exchange. Carried in SoupBinTCP unsequenced packets.

use super::code::{Capacity, Code, CrossType, Display, Side, TimeInForce, YesNo};
use super::error::{DecodeError, Fault, NoRoom};
use super::wire::{APPENDAGE_LENGTH_BYTES, Field, Layout, Price, message};
use super::{Appendage, ClOrdId, Firm, Symbol};

message! {
    /// A new order.
    EnterOrder<'a>, "Enter Order", b'O', 47 {
        /// The account's number for the order, strictly increasing over the day.
        1 user_ref_num: u32,
        /// Buy, or which kind of sell.
        5 side: Code<Side>,
        /// Shares, 1 to 999,999.
        6 quantity: u32,
        /// The instrument.
        10 symbol: Symbol,
        /// The limit.
        18 price: Price,
        /// How long it lives.
        26 time_in_force: Code<TimeInForce>,
        /// How it is shown.
        27 display: Code<Display>,
        /// In what role the firm acts.
        28 capacity: Code<Capacity>,
        /// Whether it is an intermarket sweep order.
        29 inter_market_sweep_eligibility: Code<YesNo>,
        /// The cross it takes part in.
        30 cross_type: Code<CrossType>,
        /// The client's own name of the order.
        31 cl_ord_id: ClOrdId,
    }
}

message! {
    /// Another price, quantity or kind for a live order; it loses its priority.
    ReplaceOrder<'a>, "Replace Order Request", b'U', 40 {
        /// The order, or its last replacement.
        1 orig_user_ref_num: u32,
        /// The replacement's own number.
        5 user_ref_num: u32,
        /// Shares that the whole chain may execute, with those already executed.
        9 quantity: u32,
        /// The limit.
        13 price: Price,
        /// How long it lives.
        21 time_in_force: Code<TimeInForce>,
        /// How it is shown.
        22 display: Code<Display>,
        /// Whether it is an intermarket sweep order.
        23 inter_market_sweep_eligibility: Code<YesNo>,
        /// The client's own name of the replacement.
        24 cl_ord_id: ClOrdId,
    }
}

message! {
    /// Fewer shares, or none, for a live order; it keeps its priority.
    CancelOrder, "Cancel Order Request", b'X', 9 {
        /// The order.
        1 user_ref_num: u32,
        /// Shares that may execute in all, with those already executed; 0 cancels what is open.
        5 quantity: u32,
    }
}

message! {
    /// Another kind of sell, or fewer shares, for a live order; it keeps its priority.
    ModifyOrder, "Modify Order Request", b'M', 10 {
        /// The order.
        1 user_ref_num: u32,
        /// The kind of sell it shall be.
        5 side: Code<Side>,
        /// Shares that may execute in all, with those already executed; 0 cancels what is open.
        6 quantity: u32,
    }
}

message! {
    /// Cancels many orders.
    MassCancel<'a>, "Mass Cancel Request", b'C', 19 {
        /// The request's own number.
        1 user_ref_num: u32,
        /// Only this firm's orders; spaces for the account's default.
        5 firm: Firm,
        /// Only in this instrument; spaces for all.
        9 symbol: Symbol,
    }
}

message! {
    /// No more orders are to be taken from this account.
    DisableOrderEntry<'a>, "Disable Order Entry Request", b'D', 11 {
        /// The request's own number.
        1 user_ref_num: u32,
        /// Only this firm; spaces for the account's default.
        5 firm: Firm,
    }
}

message! {
    /// Orders are to be taken again.
    EnableOrderEntry<'a>, "Enable Order Entry Request", b'E', 11 {
        /// The request's own number.
        1 user_ref_num: u32,
        /// Only this firm; spaces for the account's default.
        5 firm: Firm,
    }
}

/// Asks for the next number that an order may have. One byte; newer clients let options follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountQuery<'a> {
    /// The options; `None` in the one-byte form, which has not even their length.
    pub appendage: Option<Appendage<'a>>,
}

impl<'a> AccountQuery<'a> {
    /// The type byte.
    pub const TYPE: u8 = b'Q';
    /// Bytes of the short form.
    pub const BYTES: usize = 1;
    /// The shape of the short form.
    pub const LAYOUT: Layout =
        Layout { message: "Account Query Request", kind: b'Q', bytes: 1, appended: false, fields: &[] };
    const LONG: Layout = Layout { bytes: 1 + APPENDAGE_LENGTH_BYTES, appended: true, ..Self::LAYOUT };

    /// The message that `bytes` are, all of them.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() <= Self::BYTES {
            Self::LAYOUT.fixed::<1>(bytes)?;
            return Ok(Self { appendage: None });
        }
        Self::LONG.fixed::<{ 1 + APPENDAGE_LENGTH_BYTES }>(bytes)?;
        Ok(Self { appendage: Some(Self::LONG.appendage(bytes)?) })
    }

    /// Writes the message to the start of `out`; answers its length in bytes.
    #[inline]
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let tail = self.appendage.map(|appendage| appendage.as_bytes());
        let needed = Self::BYTES + tail.map_or(0, |tail| APPENDAGE_LENGTH_BYTES + tail.len());
        let room = out.len();
        let (kind, rest) = out.get_mut(..needed).ok_or(NoRoom { needed, room })?.split_at_mut(Self::BYTES);
        kind[0] = Self::TYPE;
        if let Some(tail) = tail {
            let (length, options) = rest.split_at_mut(APPENDAGE_LENGTH_BYTES);
            let bytes = u16::try_from(tail.len()).expect("an appendage is no longer than its length field says");
            bytes.write(length);
            options.copy_from_slice(tail);
        }
        Ok(needed)
    }
}

/// Any message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// `O`.
    Enter(EnterOrder<'a>),
    /// `U`.
    Replace(ReplaceOrder<'a>),
    /// `X`.
    Cancel(CancelOrder),
    /// `M`.
    Modify(ModifyOrder),
    /// `Q`.
    Query(AccountQuery<'a>),
    /// `C`.
    MassCancel(MassCancel<'a>),
    /// `D`.
    Disable(DisableOrderEntry<'a>),
    /// `E`.
    Enable(EnableOrderEntry<'a>),
}

impl<'a> Inbound<'a> {
    /// The message that `bytes` are, all of them. An error is structural: the peer does not speak OUCH 5.0.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&EnterOrder::TYPE) => EnterOrder::decode_as(bytes, Self::Enter),
            Some(&ReplaceOrder::TYPE) => ReplaceOrder::decode_as(bytes, Self::Replace),
            Some(&CancelOrder::TYPE) => CancelOrder::decode_as(bytes, Self::Cancel),
            Some(&ModifyOrder::TYPE) => ModifyOrder::decode_as(bytes, Self::Modify),
            Some(&AccountQuery::TYPE) => AccountQuery::decode(bytes).map(Self::Query),
            Some(&MassCancel::TYPE) => MassCancel::decode_as(bytes, Self::MassCancel),
            Some(&DisableOrderEntry::TYPE) => DisableOrderEntry::decode_as(bytes, Self::Disable),
            Some(&EnableOrderEntry::TYPE) => EnableOrderEntry::decode_as(bytes, Self::Enable),
            found => Err(DecodeError {
                message: "a client's message",
                field: "type",
                offset: 0,
                fault: found
                    .map_or(Fault::Empty, |&found| Fault::UnknownType { found, allowed: "O, U, X, M, Q, C, D, E" }),
            }),
        }
    }

    /// Writes the message to the start of `out`; answers its length in bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Self::Enter(message) => message.encode(out),
            Self::Replace(message) => message.encode(out),
            Self::Cancel(message) => message.encode(out),
            Self::Modify(message) => message.encode(out),
            Self::Query(message) => message.encode(out),
            Self::MassCancel(message) => message.encode(out),
            Self::Disable(message) => message.encode(out),
            Self::Enable(message) => message.encode(out),
        }
    }
}
