//! What the exchange says to a client. Carried in SoupBinTCP sequenced packets.

use super::code::{
    BrokenTradeReason, CancelReason, Capacity, Code, CrossType, Display, EventCode, LiquidityFlag, OrderState,
    RestateReason, Side, TimeInForce, YesNo,
};
use super::error::{DecodeError, Fault, NoRoom};
use super::reason::ReasonCode;
use super::wire::{APPENDAGE_LENGTH_BYTES, Field, Layout, Price, message};
use super::{Appendage, ClOrdId, Firm, Symbol};

message! {
    /// The day starts or ends.
    SystemEvent, "System Event", b'S', 10 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// Which.
        9 event_code: Code<EventCode>,
    }
}

message! {
    /// An order is taken, as it stands here.
    Accepted<'a>, "Order Accepted", b'A', 64 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Buy, or which kind of sell.
        13 side: Code<Side>,
        /// Shares.
        14 quantity: u32,
        /// The instrument.
        18 symbol: Symbol,
        /// The limit; may be better than entered.
        26 price: Price,
        /// How long it lives.
        34 time_in_force: Code<TimeInForce>,
        /// How it is shown.
        35 display: Code<Display>,
        /// The exchange's number of the order, unique over the day; market data has the same.
        36 order_reference_number: u64,
        /// In what role the firm acts.
        44 capacity: Code<Capacity>,
        /// Whether it is an intermarket sweep order.
        45 inter_market_sweep_eligibility: Code<YesNo>,
        /// The cross it takes part in.
        46 cross_type: Code<CrossType>,
        /// Live, or dead at once.
        47 order_state: Code<OrderState>,
        /// The client's own name of the order.
        48 cl_ord_id: ClOrdId,
    }
}

message! {
    /// A replacement is taken, as it stands here.
    Replaced<'a>, "Order Replaced", b'U', 68 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order replaced.
        9 orig_user_ref_num: u32,
        /// The replacement.
        13 user_ref_num: u32,
        /// Buy, or which kind of sell.
        17 side: Code<Side>,
        /// Shares left to execute: those asked for less those executed.
        18 quantity: u32,
        /// The instrument.
        22 symbol: Symbol,
        /// The limit.
        30 price: Price,
        /// How long it lives.
        38 time_in_force: Code<TimeInForce>,
        /// How it is shown.
        39 display: Code<Display>,
        /// The exchange's number of the replacement.
        40 order_reference_number: u64,
        /// In what role the firm acts.
        48 capacity: Code<Capacity>,
        /// Whether it is an intermarket sweep order.
        49 inter_market_sweep_eligibility: Code<YesNo>,
        /// The cross it takes part in.
        50 cross_type: Code<CrossType>,
        /// Live, or dead at once.
        51 order_state: Code<OrderState>,
        /// The client's own name of the replacement.
        52 cl_ord_id: ClOrdId,
    }
}

message! {
    /// Shares were taken off an order; it may live on with others.
    Canceled, "Order Canceled", b'C', 18 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Shares taken off.
        13 quantity: u32,
        /// Why.
        17 reason: Code<CancelReason>,
    }
}

message! {
    /// Shares were taken off an order because it would have met one of the same owner.
    AiqCanceled, "AIQ Canceled", b'D', 32 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Shares taken off.
        13 decrement_shares: u32,
        /// Always self-match prevention.
        17 reason: Code<CancelReason>,
        /// Shares that would have traded.
        18 quantity_prevented_from_trading: u32,
        /// Where they would have traded.
        22 execution_price: Price,
        /// As what they would have traded.
        30 liquidity_flag: Code<LiquidityFlag>,
        /// The port's rule for such orders, as a character.
        31 aiq_strategy: u8,
    }
}

message! {
    /// Shares were executed.
    Executed<'a>, "Order Executed", b'E', 36 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Shares executed.
        13 quantity: u32,
        /// At this price.
        17 price: Price,
        /// As what.
        25 liquidity_flag: Code<LiquidityFlag>,
        /// The trade's number, the same for both sides and in market data.
        26 match_number: u64,
    }
}

message! {
    /// A trade is taken back.
    BrokenTrade, "Broken Trade", b'B', 36 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// The trade.
        13 match_number: u64,
        /// Why.
        21 reason: Code<BrokenTradeReason>,
        /// The client's own name of the order.
        22 cl_ord_id: ClOrdId,
    }
}

message! {
    /// An order or a replacement is refused; its number is used up.
    Rejected, "Rejected", b'J', 29 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Why.
        13 reason: ReasonCode,
        /// The client's own name of the order.
        15 cl_ord_id: ClOrdId,
    }
}

message! {
    /// A cancel waits: the order is in a cross.
    CancelPending, "Cancel Pending", b'P', 13 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
    }
}

message! {
    /// A cancel is refused.
    CancelReject, "Cancel Reject", b'I', 13 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
    }
}

message! {
    /// An order has a new place in the book.
    PriorityUpdate, "Order Priority Update", b'T', 30 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Its price now.
        13 price: Price,
        /// How it is shown now.
        21 display: Code<Display>,
        /// Its number at the exchange from now on.
        22 order_reference_number: u64,
    }
}

message! {
    /// A modification was done.
    Modified, "Order Modified", b'M', 18 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Its side now.
        13 side: Code<Side>,
        /// Shares that are open now.
        14 quantity: u32,
    }
}

message! {
    /// The exchange changed how an order is shown.
    Restated<'a>, "Order Restated", b'R', 16 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The order.
        9 user_ref_num: u32,
        /// Why.
        13 reason: Code<RestateReason>,
    }
}

message! {
    /// Answers an account query.
    AccountQueryResponse, "Account Query Response", b'Q', 13 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The lowest number that an order may have.
        9 next_user_ref_num: u32,
    }
}

message! {
    /// A mass cancel was taken.
    MassCancelResponse<'a>, "Mass Cancel Response", b'X', 27 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The request.
        9 user_ref_num: u32,
        /// As requested.
        13 firm: Firm,
        /// As requested.
        17 symbol: Symbol,
    }
}

message! {
    /// Orders are taken no more.
    DisableResponse<'a>, "Disable Order Entry Response", b'G', 19 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The request.
        9 user_ref_num: u32,
        /// As requested.
        13 firm: Firm,
    }
}

message! {
    /// Orders are taken again.
    EnableResponse<'a>, "Enable Order Entry Response", b'K', 19 {
        /// Nanoseconds since midnight.
        1 timestamp: u64,
        /// The request.
        9 user_ref_num: u32,
        /// As requested.
        13 firm: Firm,
    }
}

/// Any message of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound<'a> {
    /// `S`.
    SystemEvent(SystemEvent),
    /// `A`.
    Accepted(Accepted<'a>),
    /// `U`.
    Replaced(Replaced<'a>),
    /// `C`.
    Canceled(Canceled),
    /// `D`.
    AiqCanceled(AiqCanceled),
    /// `E`.
    Executed(Executed<'a>),
    /// `B`.
    BrokenTrade(BrokenTrade),
    /// `J`.
    Rejected(Rejected),
    /// `P`.
    CancelPending(CancelPending),
    /// `I`.
    CancelReject(CancelReject),
    /// `T`.
    PriorityUpdate(PriorityUpdate),
    /// `M`.
    Modified(Modified),
    /// `R`.
    Restated(Restated<'a>),
    /// `Q`.
    AccountQueryResponse(AccountQueryResponse),
    /// `X`.
    MassCancelResponse(MassCancelResponse<'a>),
    /// `G`.
    DisableResponse(DisableResponse<'a>),
    /// `K`.
    EnableResponse(EnableResponse<'a>),
}

impl<'a> Outbound<'a> {
    /// The message that `bytes` are, all of them. An error is structural: the peer does not speak OUCH 5.0.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&SystemEvent::TYPE) => SystemEvent::decode_as(bytes, Self::SystemEvent),
            Some(&Accepted::TYPE) => Accepted::decode_as(bytes, Self::Accepted),
            Some(&Replaced::TYPE) => Replaced::decode_as(bytes, Self::Replaced),
            Some(&Canceled::TYPE) => Canceled::decode_as(bytes, Self::Canceled),
            Some(&AiqCanceled::TYPE) => AiqCanceled::decode_as(bytes, Self::AiqCanceled),
            Some(&Executed::TYPE) => Executed::decode_as(bytes, Self::Executed),
            Some(&BrokenTrade::TYPE) => BrokenTrade::decode_as(bytes, Self::BrokenTrade),
            Some(&Rejected::TYPE) => Rejected::decode_as(bytes, Self::Rejected),
            Some(&CancelPending::TYPE) => CancelPending::decode_as(bytes, Self::CancelPending),
            Some(&CancelReject::TYPE) => CancelReject::decode_as(bytes, Self::CancelReject),
            Some(&PriorityUpdate::TYPE) => PriorityUpdate::decode_as(bytes, Self::PriorityUpdate),
            Some(&Modified::TYPE) => Modified::decode_as(bytes, Self::Modified),
            Some(&Restated::TYPE) => Restated::decode_as(bytes, Self::Restated),
            Some(&AccountQueryResponse::TYPE) => AccountQueryResponse::decode_as(bytes, Self::AccountQueryResponse),
            Some(&MassCancelResponse::TYPE) => MassCancelResponse::decode_as(bytes, Self::MassCancelResponse),
            Some(&DisableResponse::TYPE) => DisableResponse::decode_as(bytes, Self::DisableResponse),
            Some(&EnableResponse::TYPE) => EnableResponse::decode_as(bytes, Self::EnableResponse),
            found => Err(DecodeError {
                message: "an exchange's message",
                field: "type",
                offset: 0,
                fault: found.map_or(Fault::Empty, |&found| Fault::UnknownType {
                    found,
                    allowed: "S, A, U, C, D, E, B, J, P, I, T, M, R, Q, X, G, K",
                }),
            }),
        }
    }

    /// Writes the message to the start of `out`; answers its length in bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Self::SystemEvent(message) => message.encode(out),
            Self::Accepted(message) => message.encode(out),
            Self::Replaced(message) => message.encode(out),
            Self::Canceled(message) => message.encode(out),
            Self::AiqCanceled(message) => message.encode(out),
            Self::Executed(message) => message.encode(out),
            Self::BrokenTrade(message) => message.encode(out),
            Self::Rejected(message) => message.encode(out),
            Self::CancelPending(message) => message.encode(out),
            Self::CancelReject(message) => message.encode(out),
            Self::PriorityUpdate(message) => message.encode(out),
            Self::Modified(message) => message.encode(out),
            Self::Restated(message) => message.encode(out),
            Self::AccountQueryResponse(message) => message.encode(out),
            Self::MassCancelResponse(message) => message.encode(out),
            Self::DisableResponse(message) => message.encode(out),
            Self::EnableResponse(message) => message.encode(out),
        }
    }
}
