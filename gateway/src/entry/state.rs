//! What entry knows, as a function of records and events: the only place that changes it.
//!
//! Live, a record is absorbed when it is made, and its events come later; in a replay they follow at once. Both must end in the
//! same state. So a record never reads what events change, except to hold more than is needed until its own event comes; and
//! what must not come before the event of a record (money that arrives, a mark price) waits for it as a [`Flight`].

use wirebook_matcher::abi::{Command, Event, EventKind, Kind, NO_SLOT, Side};
use wirebook_settlement::record::{
    Act, Answer, DayPhase, HaltMode, Order as OrderRecord, Payload, Record, Registry, Reject, SessionAct, SessionLogin,
    State as Venue, Transfer,
};

use super::facts::{Facts, fingerprint, used_number};
use super::orders::{Order, State};
use super::{Entry, Session};
use crate::risk::{Ask, FINGERPRINT_BYTES, Need, Part, RegistryRefused};
use crate::session::ouch::inbound::{Inbound, ReplaceOrder};
use crate::session::ouch::{self, RejectReason};

/// Number, time and origin of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub seq: u64,
    pub time_ns: u64,
    pub session: u32,
    pub account: u32,
}

/// A record whose last event entry waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub seq: u64,
    pub cargo: Cargo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    /// A new order in this slot.
    New(u32),
    /// A replacement in `slot2` of the order in `slot`; `done` once the matcher has replaced it.
    Replace { slot: u32, slot2: u32, done: bool },
    /// Money that arrives.
    Credit(u32, Need),
    /// An instrument's mark price.
    Mark(u16, u64),
}

impl Entry {
    /// Absorbs a record of the journal; its events follow through [`Entry::event`].
    pub fn replay(&mut self, record: &Record<'_>) {
        let header = &record.header;
        self.made = header.seq;
        let account = self.account(header.session).unwrap_or(0);
        let at = At { seq: header.seq, time_ns: header.time_ns, session: header.session, account };
        match &record.payload {
            Payload::Order(order) => self.absorb_order(&at, order),
            Payload::Reject(reject) => self.absorb_reject(&at, reject),
            Payload::Session(act) => self.absorb_act(&at, act),
            Payload::Registry(entry) => {
                // What the machine has admitted, risk takes too: both ask the same registry.
                let taken = self.absorb_registry(at.seq, entry);
                debug_assert!(taken.is_ok(), "an admitted registry record is refused: {taken:?}");
            }
            Payload::Transfer(transfer) => self.absorb_transfer(&at, transfer),
            Payload::Chain(chain) => self.absorb_chain(&at, chain),
            Payload::State(state) => {
                let taken = self.absorb_state(&at, state);
                debug_assert!(taken.is_ok(), "an admitted state record is refused: {taken:?}");
            }
            Payload::Epoch(epoch) => self.risk.set_capabilities(epoch.capabilities),
            Payload::Seal(_) => {}
        }
    }

    fn absorb_order(&mut self, at: &At, order: &OrderRecord<'_>) {
        let command = &order.command;
        match (Kind::from_byte(command.kind), Inbound::decode(order.message)) {
            (Some(Kind::New), Ok(Inbound::Enter(message))) => {
                self.place(at, command, &Facts::of_order(&message), fingerprint(order.message));
            }
            (Some(Kind::Replace), Ok(Inbound::Replace(message))) => self.substitute(at, command, &message),
            (Some(Kind::Cancel), message) => {
                if let Ok(Inbound::Replace(_)) = message {
                    self.risk.count_message(at.session, at.account, at.time_ns, None);
                }
                self.close(command.slot);
            }
            (Some(Kind::Reduce), message) => {
                self.shrink(command.slot, command.qty);
                if let Ok(Inbound::Modify(message)) = message {
                    self.resell(command.slot, message.side.get());
                }
            }
            (Some(Kind::Nop), Ok(Inbound::Modify(message))) => self.resell(command.slot, message.side.get()),
            _ => debug_assert!(false, "record {}: a beat that its message does not explain", at.seq),
        }
    }

    /// A new order is on its way.
    pub(super) fn place(
        &mut self,
        at: &At,
        command: &Command,
        facts: &Facts,
        fingerprint: Option<&[u8; FINGERPRINT_BYTES]>,
    ) {
        self.use_number(at.account, facts.user_ref);
        self.risk.count_message(at.session, at.account, at.time_ns, fingerprint);
        let side = command.side();
        let ask =
            Ask { account: at.account, instrument: command.instrument, side, tick: command.tick, qty: command.qty };
        let need = self.risk.need(&ask);
        self.risk.take(at.account, need);
        self.track(at, command, command.slot, facts, side, command.qty, need.amount, 0);
        self.flights.push_back(Flight { seq: at.seq, cargo: Cargo::New(command.slot) });
    }

    /// A replacement is on its way.
    pub(super) fn substitute(&mut self, at: &At, command: &Command, message: &ReplaceOrder<'_>) {
        self.use_number(at.account, message.user_ref_num);
        self.risk.count_message(at.session, at.account, at.time_ns, None);
        let (slot, slot2) = (command.slot, command.slot2);
        // In a replay the original may have ended by now, when fills were faster: the replacement gets its refusal next.
        let original = self.orders.get(slot).copied().unwrap_or(Order { account: at.account, ..Order::FREE });
        let change = command.qty as i32;
        let total = original.total.saturating_add_signed(change);
        let mut hold = 0;
        if original.state != State::Free {
            let ask = Ask {
                account: at.account,
                instrument: command.instrument,
                side: original.side,
                tick: command.tick,
                qty: 0,
            };
            let leaves = original.total.saturating_sub(original.executed);
            let need = self.risk.need_more(&ask, original.tick, leaves, change.into());
            self.risk.take(at.account, need);
            hold = need.amount;
            self.orders.hide(slot);
            if let Some(order) = self.orders.get_mut(slot) {
                order.state = State::Replacing(slot2);
            }
        }
        let facts = Facts::of_replacement(message, &original);
        self.track(at, command, slot2, &facts, original.side, total, hold, original.executed);
        self.flights.push_back(Flight { seq: at.seq, cargo: Cargo::Replace { slot, slot2, done: false } });
    }

    #[inline]
    fn track(
        &mut self,
        at: &At,
        command: &Command,
        slot: u32,
        facts: &Facts,
        side: Side,
        total: u32,
        hold: i128,
        executed: u32,
    ) {
        let order = Order {
            state: State::Open,
            account: at.account,
            session: at.session,
            user_ref: facts.user_ref,
            instrument: command.instrument,
            group: facts.group,
            firm: facts.firm,
            side,
            kind: facts.kind,
            tick: command.tick,
            total,
            executed,
            hold,
            expires_ns: facts.expires_ns(at.time_ns),
            ..Order::FREE
        };
        let free = self.orders.insert(slot, order);
        debug_assert!(free, "record {}: slot {slot} is taken", at.seq);
        self.risk.count_order(command.instrument, true);
    }

    /// A cancel is on its way.
    pub(super) fn close(&mut self, slot: u32) {
        if let Some(order) = self.orders.get_mut(slot) {
            order.state = State::Closing;
            self.orders.hide(slot);
        }
    }

    /// A reduction is on its way.
    pub(super) fn shrink(&mut self, slot: u32, lots: u32) {
        if let Some(order) = self.orders.get_mut(slot) {
            order.total = order.total.saturating_sub(lots);
            if let State::Pending(_) = order.state {
                order.state = State::Open;
            }
        }
    }

    /// An order becomes another kind of sell.
    pub(super) fn resell(&mut self, slot: u32, kind: Option<ouch::Side>) {
        if let (Some(order), Some(kind)) = (self.orders.get_mut(slot), kind) {
            order.kind = kind;
        }
    }

    /// A refusal was recorded.
    pub(super) fn absorb_reject(&mut self, at: &At, reject: &Reject<'_>) {
        match reject.answer {
            Answer::Rejected => {
                if let Some(number) = used_number(&Payload::Reject(*reject)) {
                    self.use_number(at.account, number);
                }
                // What the rate refused takes no token: a port that keeps sending gets in what its rate allows.
                let refused_by_rate = reject.reason == RejectReason::RiskPortMessageRate as u16
                    || reject.reason == RejectReason::RiskDuplicateMessageRate as u16;
                if !refused_by_rate {
                    let fingerprint = fingerprint(reject.message);
                    self.risk.count_message(at.session, at.account, at.time_ns, fingerprint);
                }
            }
            Answer::CancelPending => {
                let (number, shares) = match Inbound::decode(reject.message) {
                    Ok(Inbound::Cancel(cancel)) => (cancel.user_ref_num, cancel.quantity),
                    Ok(Inbound::Modify(modify)) => (modify.user_ref_num, modify.quantity),
                    _ => return,
                };
                let Some(slot) = self.orders.find(at.account, number) else { return };
                let Some(order) = self.orders.get_mut(slot) else { return };
                let lots = self.risk.wire(order.instrument).map_or(0, |wire| wire.lots_within(shares));
                order.state = State::Pending(lots);
                if lots == 0 {
                    // It ends when its instrument is released, whatever the clock says.
                    self.orders.stop_clock(slot);
                }
            }
            Answer::CancelReject => {}
        }
    }

    /// A session did something.
    pub(super) fn absorb_act(&mut self, at: &At, act: &SessionAct<'_>) {
        if let Some(number) = used_number(&Payload::Session(*act)) {
            self.use_number(at.account, number);
        }
        match act.act {
            Act::Login => self.set_logged_in(at.session, true),
            Act::Logout | Act::Disconnect => self.set_logged_in(at.session, false),
            Act::Disable => self.risk.set_disabled(at.account, true),
            Act::Enable => self.risk.set_disabled(at.account, false),
            Act::Query => self.risk.count_message(at.session, at.account, at.time_ns, None),
            Act::MassCancel | Act::CancelOnDisconnect => {}
        }
    }

    fn set_logged_in(&mut self, session: u32, logged_in: bool) {
        if let Some(session) = self.sessions.get_mut(session as usize) {
            session.logged_in = logged_in;
        }
    }

    pub(super) fn absorb_registry(&mut self, seq: u64, entry: &Registry) -> Result<(), RegistryRefused> {
        if let Registry::Account(account) = entry
            && self.risk.owner(account.id).is_some_and(|owner| owner != account.owner)
            && let open @ 1.. = self.orders.count(account.id)
        {
            return Err(RegistryRefused::LiveOrders { what: "account", id: account.id, open });
        }
        self.risk.register(seq, entry)?;
        match *entry {
            Registry::Account(account) => {
                self.orders.add_account(account.id);
                let needed = self.last_refs.len().max(account.id as usize + 1);
                self.last_refs.resize(needed, 0);
            }
            Registry::Session(SessionLogin { id, account, cancel_on_disconnect, .. }) => {
                let needed = self.sessions.len().max(id as usize + 1);
                self.sessions.resize(needed, Session::default());
                let logged_in = self.sessions[id as usize].logged_in;
                self.sessions[id as usize] = Session { known: true, account, cancel_on_disconnect, logged_in };
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn absorb_transfer(&mut self, at: &At, transfer: &Transfer) {
        // The same transfer again is admitted, and moves nothing.
        if self.transfers.contains(transfer.id) {
            return;
        }
        self.transfers.insert(transfer.id);
        let need = Need { asset: transfer.asset, amount: transfer.amount };
        self.risk.take(transfer.from, need);
        self.flights.push_back(Flight { seq: at.seq, cargo: Cargo::Credit(transfer.to, need) });
    }

    pub(super) fn absorb_state(&mut self, at: &At, state: &Venue) -> Result<(), RegistryRefused> {
        self.risk.set_state(at.seq, state)?;
        match *state {
            Venue::Day { phase: DayPhase::Open, date, .. } => {
                // The same day opened again, after a crash, goes on with its numbers.
                if date > self.date {
                    self.date = date;
                    self.last_refs.fill(0);
                    self.transfers.turn();
                }
                self.risk.set_day_open(true);
            }
            Venue::Day { phase: DayPhase::Close, .. } => self.risk.set_day_open(false),
            Venue::Halt { instrument, mode } => self.risk.set_mode(instrument, mode),
            Venue::Mark { instrument, price_ticks } => {
                self.flights.push_back(Flight { seq: at.seq, cargo: Cargo::Mark(instrument, price_ticks) });
            }
            Venue::Kill { account, on } => self.risk.set_killed(account, on),
        }
        Ok(())
    }

    #[inline]
    fn use_number(&mut self, account: u32, number: u32) {
        if let Some(last) = self.last_refs.get_mut(account as usize) {
            *last = number.max(*last);
        }
    }

    /// Takes an event, in order, once books and fold have it.
    pub fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::Fill => {
                self.filled(event.maker, event, true, event.maker_free());
                self.filled(event.taker, event, false, event.taker_free());
            }
            EventKind::Cancelled if event.maker == NO_SLOT => self.gone(event.taker),
            EventKind::Cancelled => self.gone(event.maker),
            EventKind::Reduced => self.reduced(event.taker, event.qty),
            EventKind::Replaced => self.replaced(event),
            EventKind::Done | EventKind::Rested | EventKind::Rejected => {}
        }
        if event.last {
            self.heard = event.seq;
            self.land(event);
        }
    }

    fn filled(&mut self, slot: u32, event: &Event, maker: bool, free: bool) {
        let Some(order) = self.orders.get_mut(slot) else { return };
        order.executed += event.qty;
        let Order { account, instrument, side, tick: limit, .. } = *order;
        if maker {
            self.risk.traded(instrument, event.tick);
        }
        let held = self.risk.fill(&Part { account, instrument, side, limit, tick: event.tick, qty: event.qty, maker });
        if let Some(order) = self.orders.get_mut(slot) {
            order.hold -= held;
        }
        if free {
            self.gone(slot);
        }
    }

    /// An order has ended: what is still held for it is free, and so is its slot.
    fn gone(&mut self, slot: u32) {
        let Some(order) = self.orders.remove(slot) else { return };
        self.give_back(&order, order.hold);
        self.risk.count_order(order.instrument, false);
    }

    fn reduced(&mut self, slot: u32, lots: u32) {
        let Some(order) = self.orders.get(slot).copied() else { return };
        let freed = self.risk.reserve(order.instrument, order.side, order.tick, lots).amount;
        self.give_back(&order, freed);
        if let Some(order) = self.orders.get_mut(slot) {
            order.hold -= freed;
        }
    }

    fn replaced(&mut self, event: &Event) {
        let Some(old) = self.orders.remove(event.maker) else { return };
        self.risk.count_order(old.instrument, false);
        if let Some(Flight { cargo: Cargo::Replace { done, .. }, .. }) =
            self.flights.front_mut().filter(|flight| flight.seq == event.seq)
        {
            *done = true;
        }
        let Some(new) = self.orders.get(event.taker).copied() else { return };
        let needed = self.risk.reserve(new.instrument, new.side, new.tick, event.qty).amount;
        self.give_back(&new, old.hold + new.hold - needed);
        if let Some(order) = self.orders.get_mut(event.taker) {
            order.hold = needed;
            order.executed = old.executed;
        }
    }

    fn give_back(&mut self, order: &Order, amount: i128) {
        let asset = self.risk.reserve(order.instrument, order.side, order.tick, 0).asset;
        self.risk.give(order.account, Need { asset, amount });
    }

    /// A record has its last event.
    fn land(&mut self, event: &Event) {
        // A chain of transfers has a flight for each credit.
        while let Some(flight) = self.flights.front().copied().filter(|flight| flight.seq == event.seq) {
            self.flights.pop_front();
            self.unload(flight.cargo, event);
        }
    }

    fn unload(&mut self, cargo: Cargo, event: &Event) {
        match cargo {
            Cargo::New(slot) if event.kind == EventKind::Rejected => self.gone(slot),
            Cargo::New(_) | Cargo::Replace { done: true, .. } => {}
            Cargo::Replace { slot, slot2, done: false } => {
                self.gone(slot2);
                // The original lives on only where the matcher refused to touch it.
                let still = self.orders.get_mut(slot).filter(|order| order.state == State::Replacing(slot2));
                if let Some(order) = still {
                    order.state = State::Open;
                    self.orders.show(slot);
                }
            }
            Cargo::Credit(account, need) => self.risk.give(account, need),
            Cargo::Mark(instrument, price) => self.risk.mark(instrument, price),
        }
    }

    /// Whether cancels of an instrument's orders have to wait.
    pub(super) fn frozen(&self, instrument: u16) -> bool {
        self.risk.mode(instrument) == HaltMode::Frozen
    }
}
