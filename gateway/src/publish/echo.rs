//! Outbound messages that repeat what an inbound one said.

use super::fold::Known;
use crate::session::ouch::inbound::{EnterOrder, Inbound, ReplaceOrder};
use crate::session::ouch::outbound::{
    Accepted, CancelPending, CancelReject, DisableResponse, EnableResponse, MassCancelResponse, Outbound, Rejected,
    Replaced,
};
use crate::session::ouch::{AppendageBuilder, ClOrdId, CrossType, OrderState, Price, ReasonCode, Symbol, TagValue};

/// `A`: the order as it came, its options as they came.
pub(super) fn accepted<'a>(timestamp: u64, seq: u64, order: &EnterOrder<'a>) -> Accepted<'a> {
    Accepted {
        timestamp,
        user_ref_num: order.user_ref_num,
        side: order.side,
        quantity: order.quantity,
        symbol: order.symbol,
        price: order.price,
        time_in_force: order.time_in_force,
        display: order.display,
        order_reference_number: seq,
        capacity: order.capacity,
        inter_market_sweep_eligibility: order.inter_market_sweep_eligibility,
        cross_type: order.cross_type,
        order_state: OrderState::Live.into(),
        cl_ord_id: order.cl_ord_id,
        appendage: order.appendage,
    }
}

/// `U`: the replacement as it came, with what it keeps of the original.
pub(super) fn replaced<'a>(
    timestamp: u64,
    seq: u64,
    order: &ReplaceOrder<'a>,
    original: &Known,
    symbol: Symbol,
    quantity: u32,
) -> Replaced<'a> {
    Replaced {
        timestamp,
        orig_user_ref_num: order.orig_user_ref_num,
        user_ref_num: order.user_ref_num,
        side: original.side,
        quantity,
        symbol,
        price: order.price,
        time_in_force: order.time_in_force,
        display: order.display,
        order_reference_number: seq,
        capacity: original.capacity,
        inter_market_sweep_eligibility: order.inter_market_sweep_eligibility,
        cross_type: CrossType::Continuous.into(),
        order_state: OrderState::Live.into(),
        cl_ord_id: order.cl_ord_id,
        appendage: order.appendage,
    }
}

/// `J` of whatever has a number.
pub(super) fn rejected(timestamp: u64, message: &[u8], reason: u16) -> Rejected {
    let (user_ref_num, cl_ord_id) = match Inbound::decode(message) {
        Ok(Inbound::Enter(order)) => (order.user_ref_num, order.cl_ord_id),
        Ok(Inbound::Replace(order)) => (order.user_ref_num, order.cl_ord_id),
        other => (number(&other), ClOrdId::BLANK),
    };
    Rejected { timestamp, user_ref_num, reason: ReasonCode(reason), cl_ord_id }
}

/// `P` of a cancel or modify.
pub(super) fn cancel_pending(timestamp: u64, message: &[u8]) -> CancelPending {
    CancelPending { timestamp, user_ref_num: number(&Inbound::decode(message)) }
}

/// `I` of a cancel or modify.
pub(super) fn cancel_reject(timestamp: u64, message: &[u8]) -> CancelReject {
    CancelReject { timestamp, user_ref_num: number(&Inbound::decode(message)) }
}

/// `X`, `G`, `K`.
pub(super) fn answer<'a>(timestamp: u64, request: &Inbound<'a>) -> Option<Outbound<'a>> {
    Some(match request {
        Inbound::MassCancel(request) => Outbound::MassCancelResponse(MassCancelResponse {
            timestamp,
            user_ref_num: request.user_ref_num,
            firm: request.firm,
            symbol: request.symbol,
            appendage: request.appendage,
        }),
        Inbound::Disable(request) => Outbound::DisableResponse(DisableResponse {
            timestamp,
            user_ref_num: request.user_ref_num,
            firm: request.firm,
            appendage: request.appendage,
        }),
        Inbound::Enable(request) => Outbound::EnableResponse(EnableResponse {
            timestamp,
            user_ref_num: request.user_ref_num,
            firm: request.firm,
            appendage: request.appendage,
        }),
        _ => return None,
    })
}

/// The options of `R`: what is open, where, and the order's reference number.
pub(super) fn restatement(options: &mut AppendageBuilder, seq: u64, shares: u32, price: Price) {
    for option in [TagValue::DisplayQuantity(shares), TagValue::DisplayPrice(price), TagValue::SecondaryOrdRefNum(seq)]
    {
        options.push(option).expect("three options fit an empty builder");
    }
}

fn number<E>(message: &Result<Inbound<'_>, E>) -> u32 {
    match message {
        Ok(Inbound::Cancel(cancel)) => cancel.user_ref_num,
        Ok(Inbound::Modify(modify)) => modify.user_ref_num,
        Ok(Inbound::MassCancel(request)) => request.user_ref_num,
        Ok(Inbound::Disable(request)) => request.user_ref_num,
        Ok(Inbound::Enable(request)) => request.user_ref_num,
        _ => 0,
    }
}
