//! What a client says about orders that it has: cancel, modify, mass cancel; the account's own switch; its next number.

use wirebook_matcher::abi::Kind;
use wirebook_settlement::record::{Act, Answer, Origin, Payload, Protocol, SessionAct};

use super::orders::{Order, State};
use super::state::At;
use super::{Entry, From};
use crate::sequencer::Sequencer;
use crate::session::ouch::inbound::{CancelOrder, MassCancel, ModifyOrder};
use crate::session::ouch::{self, RejectReason};

impl Entry {
    /// `X`. Answers whether a record was made: what is superfluous is ignored.
    pub(super) fn cancel(&mut self, from: &From<'_>, message: &CancelOrder, seq: &mut Sequencer) -> bool {
        let Some(slot) = self.orders.find(from.account, message.user_ref_num) else { return false };
        let Some(order) = self.orders.get(slot).copied() else { return false };
        self.lower(from, slot, &order, message.quantity, seq)
    }

    /// `M`. Answers whether a record was made: an increase is ignored, and so is a side that the order cannot change to.
    pub(super) fn modify(&mut self, from: &From<'_>, message: &ModifyOrder, seq: &mut Sequencer) -> bool {
        let Some(slot) = self.orders.find(from.account, message.user_ref_num) else { return false };
        let Some(order) = self.orders.get(slot).copied() else { return false };
        let Ok(kind) = message.validate() else { return false };
        // From one kind of sell to another, either way.
        let allowed = kind == order.kind || kind != ouch::Side::Buy && order.kind != ouch::Side::Buy;
        let Some(wire) = self.risk.wire(order.instrument).filter(|_| allowed) else { return false };
        let total = wire.lots_within(message.quantity);
        if total != order.total {
            return total < order.total && self.lower(from, slot, &order, message.quantity, seq);
        }
        if kind == order.kind || matches!(order.state, State::Pending(_)) {
            return false;
        }
        let nop = self.beat(Kind::Nop, slot, &order);
        self.push_order(from.session, nop, Origin::Client, from.bytes, seq);
        self.resell(slot, Some(kind));
        true
    }

    /// Lowers an order's total to what `shares` are, by the client's message.
    fn lower(&mut self, from: &From<'_>, slot: u32, order: &Order, shares: u32, seq: &mut Sequencer) -> bool {
        let Some(wire) = self.risk.wire(order.instrument) else { return false };
        let total = wire.lots_within(shares);
        if let State::Pending(_) = order.state {
            self.push_answer(from.session, Answer::CancelReject, 0, from.bytes, seq);
            return true;
        }
        if total >= order.total {
            return false;
        }
        if self.frozen(order.instrument) {
            self.push_answer(from.session, Answer::CancelPending, 0, from.bytes, seq);
            return true;
        }
        self.send_lower(from.session, slot, order, total, Origin::Client, from.bytes, seq);
        if let Some(&ModifyOrder::TYPE) = from.bytes.first()
            && let Ok(message) = ModifyOrder::decode(from.bytes)
        {
            self.resell(slot, message.side.get());
        }
        true
    }

    /// Sends what lowers an order's total to `total` lots: a reduction, or a cancel when nothing can be left.
    pub(super) fn send_lower(
        &mut self,
        session: u32,
        slot: u32,
        order: &Order,
        total: u32,
        origin: Origin,
        message: &[u8],
        seq: &mut Sequencer,
    ) {
        debug_assert!(total < order.total, "slot {slot}: from {} lots to {total} is no reduction", order.total);
        if total <= order.executed {
            let cancel = self.beat(Kind::Cancel, slot, order);
            self.push_order(session, cancel, origin, message, seq);
            self.close(slot);
        } else {
            let qty = order.total - total;
            let command = wirebook_matcher::abi::Command { qty, ..self.beat(Kind::Reduce, slot, order) };
            self.push_order(session, command, origin, message, seq);
            self.shrink(slot, qty);
        }
    }

    /// `Q`. A port that asks more often than it may send is not answered.
    pub(super) fn query(&mut self, from: &From<'_>, seq: &mut Sequencer) -> bool {
        if self.risk.port(from.session, from.account, from.time_ns, None).is_err() {
            return false;
        }
        self.push_act(from.session, Act::Query, from.bytes, seq);
        true
    }

    /// `C`: the request, then a cancel for each order that it names.
    pub(super) fn mass_cancel(&mut self, from: &From<'_>, request: &MassCancel<'_>, seq: &mut Sequencer) -> bool {
        if request.user_ref_num <= self.last_ref(from.account) {
            return false;
        }
        let scope = match request.validate() {
            Ok(scope) => scope,
            Err(invalid) => {
                self.reject(from, invalid.reason, seq);
                return true;
            }
        };
        let instrument = match scope.symbol.map(|symbol| self.risk.instrument(&symbol)) {
            None => None,
            Some(Some((instrument, _))) => Some(instrument),
            Some(None) => {
                self.reject(from, RejectReason::InvalidSymbol, seq);
                return true;
            }
        };
        self.push_act(from.session, Act::MassCancel, from.bytes, seq);
        let firm = Some(request.firm).filter(|firm| !firm.is_blank());
        self.take_out_all(from.account, Origin::MassCancel, seq, |order| {
            instrument.is_none_or(|instrument| instrument == order.instrument)
                && scope.side.is_none_or(|side| side == order.kind)
                && scope.group_id.is_none_or(|group| group == order.group)
                && firm.is_none_or(|firm| firm == order.firm)
        });
        true
    }

    /// `D` and `E`: whether orders are taken from the account.
    pub(super) fn switch(&mut self, from: &From<'_>, number: u32, enable: bool, seq: &mut Sequencer) -> bool {
        if number <= self.last_ref(from.account) {
            return false;
        }
        self.push_act(from.session, if enable { Act::Enable } else { Act::Disable }, from.bytes, seq);
        true
    }

    /// Makes the record of a session's act and absorbs it.
    pub(super) fn push_act(&mut self, session: u32, act: Act, message: &[u8], seq: &mut Sequencer) {
        let protocol = if message.is_empty() { Protocol::None } else { Protocol::Ouch50 };
        let act = SessionAct { act, protocol, message };
        let number = seq.push(session, &Payload::Session(act));
        self.made = number;
        let account = self.account(session).unwrap_or(0);
        self.absorb_act(&At { seq: number, time_ns: seq.last_time_ns(), session, account }, &act);
    }
}
