//! The one fold from records and their events to what each session is told.
//!
//! The publisher runs it live, a replay runs it over the journal, and both get the same bytes: it knows nothing but the records
//! and events that it was handed, and its own state made of them. Messages about an order go to the session that
//! entered it, or last replaced it; an answer to a request goes to the session that asked.
//!
//! | record | event | told |
//! |---|---|---|
//! | new order | rejected | `J` processing error: risk let through what the matcher does not take |
//! | new order | first of any other | `A`, always live: what becomes of it at once follows as its own message, with its reason |
//! | any | fill | `E` to both, the taker's first; liquidity R and A; the match number is the machine's count of fills |
//! | any | rested | nothing |
//! | any | cancelled | `C`: see [`why`]; by self-trade prevention `D` |
//! | cancel | reduced | `C` with what was taken off |
//! | modify | reduced, done | `M` with what is open |
//! | replacement | replaced | `U` with what is open |
//! | replacement | rejected | `J` processing error; cancelled before it was replaced: `C` of the original |
//! | cancel, modify | rejected | nothing: it came too late |
//! | refusal | done | `J`, `P`, `I` |
//! | query, mass cancel, disable, enable | done | `Q`, `X`, `G`, `K` |
//! | day | done | `S` to every session; live orders when a day opens: `R` with what is open, the price, the reference number |
//!
//! OUCH's order state 'dead' is never used: it would not say why. What a record itself says is told when the record comes, for the
//! books have admitted it then and its event can only be `done`.
//!
//! Timestamps are nanoseconds since midnight UTC of the record's time; an order's reference number is the seq of its record.
//! `D` says in its strategy N (cancel newest), O (oldest) or B (both). The price at which a taker would have met itself is the
//! maker's where the maker's end is told too, and else the taker's own limit: the matcher does not say what stopped a newest.

use wirebook_matcher::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, SelfTrade};
use wirebook_settlement::record::{
    Act, Answer, DayPhase, Instrument, Order, Origin, Payload, Record, Registry, Reject, SessionAct, State,
};

use super::echo;
use crate::entry::used_number;
use crate::risk::Wire;
use crate::session::Alpha;
use crate::session::ouch::inbound::{EnterOrder, Inbound};
use crate::session::ouch::outbound::{
    AccountQueryResponse, AiqCanceled, Canceled, Executed, Modified, Outbound, Restated, SystemEvent,
};
use crate::session::ouch::{
    self, Appendage, AppendageBuilder, CancelReason, Code, EventCode, LiquidityFlag, Price, RejectReason,
    RestateReason, Symbol,
};
use crate::session::soup::MAX_PAYLOAD;

const NANOS_PER_DAY: u64 = 86_400_000_000_000;

/// A live order, as far as its messages need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub session: u32,
    pub user_ref: u32,
    pub instrument: u16,
    pub side: Code<ouch::Side>,
    pub capacity: Code<ouch::Capacity>,
    pub tick: u32,
    pub leaves: u32,
    /// Of the record that it stems from.
    pub seq: u64,
}

/// What is said about an instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traded {
    pub entry: Instrument,
    wire: Wire,
}

impl Traded {
    /// `None`: it cannot be traded over OUCH.
    pub(super) fn new(entry: &Instrument) -> Option<Self> {
        let wire = Wire::new(entry.tick, entry.lot, entry.band_base, entry.band_ticks)?;
        Some(Self { entry: *entry, wire })
    }
}

/// The fold's state.
#[derive(Clone, Debug)]
pub struct Fold {
    pub(super) orders: Box<[Option<Known>]>,
    pub(super) instruments: Vec<Option<Traded>>,
    /// By session: its account.
    pub(super) sessions: Vec<Option<u32>>,
    /// By account: the highest number used today.
    pub(super) last_refs: Vec<u32>,
    /// The last day that was opened.
    pub(super) date: u32,
    /// Where and how much the maker of the record's last self-trade would have traded.
    prevented: Option<(u32, u32)>,
    buffer: Box<[u8]>,
}

impl Fold {
    /// For a shard with this many slots.
    pub fn new(slots: u32) -> Self {
        Self {
            orders: vec![None; slots as usize].into_boxed_slice(),
            instruments: Vec::new(),
            sessions: Vec::new(),
            last_refs: Vec::new(),
            date: 0,
            prevented: None,
            buffer: vec![0; MAX_PAYLOAD].into_boxed_slice(),
        }
    }

    /// Takes a record that the books have admitted, before its events; `out` gets each message with its session.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>, out: &mut impl FnMut(u32, &[u8])) {
        let (session, timestamp) = (record.header.session, of_day(record.header.time_ns));
        if let Some(number) = used_number(&record.payload) {
            self.use_number(session, number);
        }
        match &record.payload {
            Payload::Reject(reject) => self.refused(session, timestamp, reject, out),
            Payload::Session(act) => self.answered(session, timestamp, act, out),
            Payload::Registry(entry) => self.registered(entry),
            Payload::State(State::Day { phase, date, .. }) => self.day(timestamp, *phase, *date, out),
            Payload::Epoch(_) | Payload::Order(_) | Payload::State(_) | Payload::Seal(_) => {}
            Payload::Transfer(_) | Payload::Chain(_) => {}
        }
    }

    /// Takes an event of the record, in order; `match_number` is the books', of a fill.
    #[inline]
    pub fn event(
        &mut self,
        record: &Record<'_>,
        event: &Event,
        match_number: Option<u64>,
        out: &mut impl FnMut(u32, &[u8]),
    ) {
        let Payload::Order(order) = &record.payload else { return };
        let timestamp = of_day(record.header.time_ns);
        if event.index == 0 {
            self.prevented = None;
            let kind = Kind::from_byte(order.command.kind);
            if event.kind == EventKind::Rejected {
                if let Some(Kind::New | Kind::Replace) = kind {
                    let rejected = echo::rejected(timestamp, order.message, RejectReason::ProcessingError as u16);
                    tell(&mut self.buffer, record.header.session, &Outbound::Rejected(rejected), out);
                }
                return;
            }
            if kind == Some(Kind::New) {
                self.accepted(record, &order.command, order.message, out);
            }
        }
        match event.kind {
            EventKind::Fill => {
                let number = match_number.unwrap_or(0);
                self.executed(event.taker, timestamp, event, LiquidityFlag::Removed, number, out);
                self.executed(event.maker, timestamp, event, LiquidityFlag::Added, number, out);
            }
            EventKind::Cancelled => self.cancelled(timestamp, order, event, out),
            EventKind::Reduced => self.reduced(timestamp, order, event, out),
            EventKind::Replaced => self.replaced(record, order.message, event, out),
            EventKind::Done => self.modified(timestamp, order.command.slot, order.message, out),
            EventKind::Rested | EventKind::Rejected => {}
        }
    }

    /// A day opens or closes. Where orders are live when it opens, the venue was cut off within the day: each is restated, because the new
    /// streams do not tell of it.
    fn day(&mut self, timestamp: u64, phase: DayPhase, date: u32, out: &mut impl FnMut(u32, &[u8])) {
        let code = match phase {
            DayPhase::Open => EventCode::StartOfDay,
            DayPhase::Close => EventCode::EndOfDay,
        };
        for session in 0..self.sessions.len() {
            if self.sessions[session].is_some() {
                let event = SystemEvent { timestamp, event_code: code.into() };
                tell(&mut self.buffer, session as u32, &Outbound::SystemEvent(event), out);
            }
        }
        if phase == DayPhase::Close {
            return;
        }
        if date > self.date {
            self.date = date;
            self.last_refs.fill(0);
        }
        for slot in 0..self.orders.len() {
            let Some(known) = self.orders[slot] else { continue };
            let (shares, price) =
                (self.shares(known.instrument, known.leaves), self.price(known.instrument, known.tick));
            let mut options = AppendageBuilder::new();
            echo::restatement(&mut options, known.seq, shares, price);
            let reason = RestateReason::Refreshed.into();
            let restated = Restated { timestamp, user_ref_num: known.user_ref, reason, appendage: options.appendage() };
            tell(&mut self.buffer, known.session, &Outbound::Restated(restated), out);
        }
    }

    fn accepted(&mut self, record: &Record<'_>, command: &Command, message: &[u8], out: &mut impl FnMut(u32, &[u8])) {
        let Ok(order) = EnterOrder::decode(message) else { return };
        let session = record.header.session;
        if let Some(known) = self.orders.get_mut(command.slot as usize) {
            *known = Some(Known {
                session,
                user_ref: order.user_ref_num,
                instrument: command.instrument,
                side: order.side,
                capacity: order.capacity,
                tick: command.tick,
                leaves: command.qty,
                seq: record.header.seq,
            });
        }
        let accepted = echo::accepted(of_day(record.header.time_ns), record.header.seq, &order);
        tell(&mut self.buffer, session, &Outbound::Accepted(accepted), out);
    }

    fn executed(
        &mut self,
        slot: u32,
        timestamp: u64,
        event: &Event,
        liquidity: LiquidityFlag,
        match_number: u64,
        out: &mut impl FnMut(u32, &[u8]),
    ) {
        let Some(known) = self.known_mut(slot) else { return };
        known.leaves = known.leaves.saturating_sub(event.qty);
        let known = *known;
        let executed = Executed {
            timestamp,
            user_ref_num: known.user_ref,
            quantity: self.shares(known.instrument, event.qty),
            price: self.price(known.instrument, event.tick),
            liquidity_flag: liquidity.into(),
            match_number,
            appendage: Appendage::EMPTY,
        };
        tell(&mut self.buffer, known.session, &Outbound::Executed(executed), out);
        if known.leaves == 0 {
            self.orders[slot as usize] = None;
        }
    }

    fn cancelled(&mut self, timestamp: u64, order: &Order<'_>, event: &Event, out: &mut impl FnMut(u32, &[u8])) {
        let maker = event.maker != NO_SLOT;
        let slot = if maker { event.maker } else { event.taker };
        let Some(known) = self.known_mut(slot).copied() else { return };
        self.orders[slot as usize] = None;
        let (user_ref_num, quantity) = (known.user_ref, self.shares(known.instrument, event.qty));
        if event.reason != Reason::SelfTrade {
            let reason = why(event.reason, order.origin).into();
            let canceled = Canceled { timestamp, user_ref_num, quantity, reason };
            tell(&mut self.buffer, known.session, &Outbound::Canceled(canceled), out);
            return;
        }
        let (tick, prevented) = if maker {
            let taker = self.known_mut(event.taker).map_or(event.qty, |taker| taker.leaves);
            *self.prevented.insert((event.tick, event.qty.min(taker)))
        } else {
            self.prevented.unwrap_or((event.tick, event.qty))
        };
        let canceled = AiqCanceled {
            timestamp,
            user_ref_num,
            decrement_shares: quantity,
            reason: CancelReason::SelfMatchPrevention.into(),
            quantity_prevented_from_trading: self.shares(known.instrument, prevented),
            execution_price: self.price(known.instrument, tick),
            liquidity_flag: if maker { LiquidityFlag::Added } else { LiquidityFlag::Removed }.into(),
            aiq_strategy: strategy(order.command.self_trade()),
        };
        tell(&mut self.buffer, known.session, &Outbound::AiqCanceled(canceled), out);
    }

    fn reduced(&mut self, timestamp: u64, order: &Order<'_>, event: &Event, out: &mut impl FnMut(u32, &[u8])) {
        let slot = event.taker;
        let Some(known) = self.known_mut(slot) else { return };
        known.leaves = known.leaves.saturating_sub(event.qty);
        let known = *known;
        if let Some(b'M') = order.message.first() {
            return self.modified(timestamp, slot, order.message, out);
        }
        let quantity = self.shares(known.instrument, event.qty);
        let reason = why(Reason::User, order.origin).into();
        let canceled = Canceled { timestamp, user_ref_num: known.user_ref, quantity, reason };
        tell(&mut self.buffer, known.session, &Outbound::Canceled(canceled), out);
    }

    fn modified(&mut self, timestamp: u64, slot: u32, message: &[u8], out: &mut impl FnMut(u32, &[u8])) {
        let Ok(Inbound::Modify(modify)) = Inbound::decode(message) else { return };
        let Some(known) = self.known_mut(slot) else { return };
        known.side = modify.side;
        let known = *known;
        let quantity = self.shares(known.instrument, known.leaves);
        let modified = Modified { timestamp, user_ref_num: known.user_ref, side: known.side, quantity };
        tell(&mut self.buffer, known.session, &Outbound::Modified(modified), out);
    }

    fn replaced(&mut self, record: &Record<'_>, message: &[u8], event: &Event, out: &mut impl FnMut(u32, &[u8])) {
        let Ok(Inbound::Replace(replace)) = Inbound::decode(message) else { return };
        let Some(old) = self.known_mut(event.maker).copied() else { return };
        self.orders[event.maker as usize] = None;
        let session = record.header.session;
        let (user_ref, seq) = (replace.user_ref_num, record.header.seq);
        let new = Known { session, user_ref, tick: event.tick, leaves: event.qty, seq, ..old };
        if let Some(known) = self.orders.get_mut(event.taker as usize) {
            *known = Some(new);
        }
        let symbol = self.instrument(old.instrument).map_or(Symbol::BLANK, |traded| Alpha(traded.entry.symbol));
        let quantity = self.shares(old.instrument, event.qty);
        let replaced =
            echo::replaced(of_day(record.header.time_ns), record.header.seq, &replace, &old, symbol, quantity);
        tell(&mut self.buffer, session, &Outbound::Replaced(replaced), out);
    }

    fn refused(&mut self, session: u32, timestamp: u64, reject: &Reject<'_>, out: &mut impl FnMut(u32, &[u8])) {
        let answer = match reject.answer {
            Answer::Rejected => Outbound::Rejected(echo::rejected(timestamp, reject.message, reject.reason)),
            Answer::CancelPending => Outbound::CancelPending(echo::cancel_pending(timestamp, reject.message)),
            Answer::CancelReject => Outbound::CancelReject(echo::cancel_reject(timestamp, reject.message)),
        };
        tell(&mut self.buffer, session, &answer, out);
    }

    fn answered(&mut self, session: u32, timestamp: u64, act: &SessionAct<'_>, out: &mut impl FnMut(u32, &[u8])) {
        let answer = match (act.act, Inbound::decode(act.message)) {
            (Act::Query, Ok(_)) => {
                let next_user_ref_num = self.last_ref(session).saturating_add(1);
                Some(Outbound::AccountQueryResponse(AccountQueryResponse { timestamp, next_user_ref_num }))
            }
            (_, Ok(request)) => echo::answer(timestamp, &request),
            (_, Err(_)) => None,
        };
        if let Some(answer) = answer {
            tell(&mut self.buffer, session, &answer, out);
        }
    }

    fn registered(&mut self, entry: &Registry) {
        match entry {
            Registry::Instrument(instrument) => {
                let index = usize::from(instrument.id);
                if self.instruments.len() <= index {
                    self.instruments.resize(index + 1, None);
                }
                self.instruments[index] = Traded::new(instrument);
            }
            Registry::Account(account) => {
                let needed = self.last_refs.len().max(account.id as usize + 1);
                self.last_refs.resize(needed, 0);
            }
            Registry::Session(session) => {
                let needed = self.sessions.len().max(session.id as usize + 1);
                self.sessions.resize(needed, None);
                self.sessions[session.id as usize] = Some(session.account);
            }
            _ => {}
        }
    }

    fn use_number(&mut self, session: u32, number: u32) {
        let account = self.sessions.get(session as usize).copied().flatten();
        if let Some(last) = account.and_then(|account| self.last_refs.get_mut(account as usize)) {
            *last = number.max(*last);
        }
    }

    fn last_ref(&self, session: u32) -> u32 {
        let account = self.sessions.get(session as usize).copied().flatten();
        account.and_then(|account| self.last_refs.get(account as usize)).copied().unwrap_or(0)
    }

    #[inline]
    fn known_mut(&mut self, slot: u32) -> Option<&mut Known> {
        self.orders.get_mut(slot as usize)?.as_mut()
    }

    #[inline]
    fn instrument(&self, instrument: u16) -> Option<&Traded> {
        self.instruments.get(usize::from(instrument))?.as_ref()
    }

    #[inline]
    fn shares(&self, instrument: u16, lots: u32) -> u32 {
        self.instrument(instrument).map_or(lots, |traded| traded.wire.shares(lots))
    }

    #[inline]
    fn price(&self, instrument: u16, tick: u32) -> Price {
        self.instrument(instrument).map_or(Price(0), |traded| traded.wire.price(tick))
    }
}

/// Why shares were taken off: the matcher's reason, and whose wish it was where it was a wish.
fn why(reason: Reason, origin: Origin) -> CancelReason {
    match reason {
        // What fills at once or not at all is immediate-or-cancel too: OUCH has no reason of its own.
        Reason::ImmediateOrCancel | Reason::FillOrKill => CancelReason::ImmediateOrCancel,
        // All orders here are displayed.
        Reason::PostOnly => CancelReason::PostOnlyContra,
        Reason::SelfTrade => CancelReason::SelfMatchPrevention,
        _ => match origin {
            Origin::Client | Origin::MassCancel | Origin::Released => CancelReason::UserRequested,
            Origin::Disconnect => CancelReason::System,
            Origin::Expiry | Origin::DayEnd => CancelReason::Expired,
            Origin::KillSwitch | Origin::Supervisor => CancelReason::Supervisory,
        },
    }
}

fn strategy(mode: SelfTrade) -> u8 {
    match mode {
        SelfTrade::Off => b' ',
        SelfTrade::CancelNewest => b'N',
        SelfTrade::CancelOldest => b'O',
        SelfTrade::CancelBoth => b'B',
    }
}

/// Nanoseconds since midnight UTC.
#[inline]
fn of_day(time_ns: u64) -> u64 {
    time_ns % NANOS_PER_DAY
}

#[inline]
fn tell(buffer: &mut [u8], session: u32, message: &Outbound<'_>, out: &mut impl FnMut(u32, &[u8])) {
    match message.encode(buffer) {
        Ok(length) => out(session, &buffer[..length]),
        // Entry lets no message through whose echo is longer than a packet.
        Err(no_room) => debug_assert!(false, "session {session}: {no_room}"),
    }
}
