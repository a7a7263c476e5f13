//! Order entry: from a client's OUCH message to records, for all sessions.
//!
//! A message is decoded, held against the account's numbers, risk and the live orders; what comes of it is a record (an order's
//! beat, a refusal, a session's act), several (a mass cancel), or nothing at all: OUCH ignores in silence what is superfluous.
//!
//! # Two halves
//! *Deciding* reads the state and makes records. *Absorbing* (`state`) changes the state, by a record that was made or
//! by an event that came back, and by nothing else. So the state is a function of records and events: recovery replays
//! the journal through [`Entry::replay`] and [`Entry::event`], and goes on exactly as the venue that stopped. Events lag behind
//! records while the venue runs, and follow them at once in a replay; both end in the same state, because what a record and an
//! event do commutes, or waits for the event.
//!
//! # Numbers
//! An account's UserRefNums grow strictly over the day; a message with a used or lower one is a retransmission and is ignored.
//! A number is used up by an order, accepted or rejected; by a replacement that is sent or rejected (not by one that is ignored, or
//! of which the details are invalid: that cancels the original); by mass cancel, disable and enable. A replacement that
//! the matcher answers with the end of the original, because fills were faster, has used its number.
//!
//! # Totals
//! OUCH's quantities are totals that include what was executed, and fills may be in flight when a client sends one. So entry never
//! says how many lots shall be left: it sends the difference to the total asked for before, as a reduction or a relative replacement.

mod change;
#[cfg(test)]
pub(crate) mod chaos;
mod enter;
mod facts;
#[cfg(test)]
mod golden;
#[cfg(test)]
pub(crate) mod harness;
mod image;
mod names;
mod orders;
mod pends;
pub(crate) mod plain;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod venue;
mod wheel;

use std::collections::{BTreeSet, VecDeque};

use thiserror::Error;
use wirebook_matcher::abi::{Command, Kind};
use wirebook_settlement::record::{Answer, Order as OrderRecord, Origin, Payload, Protocol, Reject};

pub use self::facts::used_number;
use self::orders::{NONE, Order, Orders, State};
pub use self::plain::ImageError;
use self::state::{At, Flight};
pub use self::venue::Refused;
use crate::risk::Risk;
use crate::sequencer::Sequencer;
use crate::session::ouch::inbound::{CancelOrder, Inbound};
use crate::session::ouch::{DecodeError, RejectReason};

/// Commands in flight that there is room for from the start.
const IN_FLIGHT: usize = 1 << 16;

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Records were made.
    Handled,
    /// It is superfluous, or a retransmission: nothing happens, nobody is told.
    Ignored,
    /// The client does not speak OUCH: end its connection.
    Disconnect(Garbage),
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Garbage {
    /// The bytes are no message.
    #[error("no OUCH message: {0}")]
    Undecodable(DecodeError),
    /// No such session is registered, or its account is not.
    #[error("session {0} is not registered with an account")]
    UnknownSession(u32),
}

/// A session of the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Session {
    known: bool,
    account: u32,
    cancel_on_disconnect: bool,
    logged_in: bool,
}

/// Numbers of transfers done: each is done once within two days, as in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Transfers {
    today: BTreeSet<u128>,
    before: BTreeSet<u128>,
}

impl Transfers {
    fn contains(&self, id: u128) -> bool {
        self.today.contains(&id) || self.before.contains(&id)
    }

    fn insert(&mut self, id: u128) {
        self.today.insert(id);
    }

    fn turn(&mut self) {
        self.before = std::mem::take(&mut self.today);
    }
}

/// Order entry.
#[derive(Clone, Debug)]
pub struct Entry {
    risk: Risk,
    orders: Orders,
    sessions: Vec<Session>,
    /// By account: the highest number used today.
    last_refs: Vec<u32>,
    flights: VecDeque<Flight>,
    transfers: Transfers,
    pends: pends::Pends,
    /// The last day that was opened.
    date: u32,
    /// Seq of the last record that was absorbed, and of the last whose events are all back.
    made: u64,
    heard: u64,
}

impl Entry {
    /// For a shard with this many slots, whose matcher takes orders of up to `max_qty` lots: as its epoch record says.
    pub fn new(slots: u32, max_qty: u32) -> Self {
        Self {
            risk: Risk::new(max_qty),
            orders: Orders::new(slots),
            sessions: Vec::new(),
            last_refs: Vec::new(),
            flights: VecDeque::with_capacity(IN_FLIGHT),
            transfers: Transfers::default(),
            pends: pends::Pends::new(),
            date: 0,
            made: 0,
            heard: 0,
        }
    }

    /// Takes one OUCH message of a session that is logged in.
    pub fn message(&mut self, session: u32, bytes: &[u8], now_ns: u64, seq: &mut Sequencer) -> Verdict {
        let Some(account) = self.account(session) else { return Verdict::Disconnect(Garbage::UnknownSession(session)) };
        let inbound = match Inbound::decode(bytes) {
            Ok(inbound) => inbound,
            Err(error) => return Verdict::Disconnect(Garbage::Undecodable(error)),
        };
        let from = From { session, account, time_ns: seq.clock(now_ns), bytes };
        let handled = match &inbound {
            Inbound::Enter(order) => self.enter(&from, order, seq),
            Inbound::Replace(order) => self.replace(&from, order, seq),
            Inbound::Cancel(order) => self.cancel(&from, order, seq),
            Inbound::Modify(order) => self.modify(&from, order, seq),
            Inbound::Query(_) => self.query(&from, seq),
            Inbound::MassCancel(request) => self.mass_cancel(&from, request, seq),
            Inbound::Disable(request) => self.switch(&from, request.user_ref_num, false, seq),
            Inbound::Enable(request) => self.switch(&from, request.user_ref_num, true, seq),
        };
        if handled { Verdict::Handled } else { Verdict::Ignored }
    }

    /// What risk sees an account have available of an asset, in its smallest unit.
    pub fn available(&self, account: u32, asset: u16) -> i128 {
        self.risk.available(account, asset)
    }

    /// The orders of an account, those on their way in or out counted.
    pub fn open_orders(&self, account: u32) -> u32 {
        self.orders.count(account)
    }

    /// The slots that are taken.
    pub fn live(&self) -> u32 {
        self.orders.taken()
    }

    /// Commands whose last event is not back yet, as far as entry waits for it.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The highest number that an account used today; 0 for none.
    pub fn last_ref(&self, account: u32) -> u32 {
        self.last_refs.get(account as usize).copied().unwrap_or(0)
    }

    /// The account of a session.
    pub fn account(&self, session: u32) -> Option<u32> {
        let session = self.sessions.get(session as usize).filter(|session| session.known)?;
        ((session.account as usize) < self.last_refs.len()).then_some(session.account)
    }

    /// The first part in which two differ; what only says how far a search had come is left out.
    #[cfg(test)]
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let parts = [
            ("sessions", self.sessions == other.sessions),
            ("numbers", self.last_refs == other.last_refs),
            ("flights", self.flights == other.flights),
            ("transfers", self.transfers == other.transfers),
            ("pends", self.pends == other.pends),
        ];
        let part = parts.iter().find(|(_, same)| !same).map(|(part, _)| (*part).to_owned());
        part.or_else(|| self.risk.difference(&other.risk)).or_else(|| self.orders.difference(&other.orders))
    }

    /// Makes an order's record; absorbing it is the caller's.
    fn push_order(
        &mut self,
        session: u32,
        command: Command,
        origin: Origin,
        message: &[u8],
        seq: &mut Sequencer,
    ) -> At {
        let protocol = if message.is_empty() { Protocol::None } else { Protocol::Ouch50 };
        let number = seq.push(session, &Payload::Order(OrderRecord { command, origin, protocol, message }));
        self.made = number;
        At { seq: number, time_ns: seq.last_time_ns(), session, account: self.account(session).unwrap_or(0) }
    }

    /// Makes a refusal's record and absorbs it.
    fn push_answer(&mut self, session: u32, answer: Answer, reason: u16, message: &[u8], seq: &mut Sequencer) {
        let reject = Reject { answer, reason, protocol: Protocol::Ouch50, message };
        let number = seq.push(session, &Payload::Reject(reject));
        self.made = number;
        let account = self.account(session).unwrap_or(0);
        self.absorb_reject(&At { seq: number, time_ns: seq.last_time_ns(), session, account }, &reject);
    }

    /// Rejects an order or a request of a client.
    fn reject(&mut self, from: &From<'_>, reason: RejectReason, seq: &mut Sequencer) {
        self.push_answer(from.session, Answer::Rejected, reason as u16, from.bytes, seq);
    }

    /// The beat of this kind about a live order.
    fn beat(&self, kind: Kind, slot: u32, order: &Order) -> Command {
        let (owner, _) = self.risk.self_trade(order.account);
        Command { instrument: order.instrument, owner, slot, kind: kind as u8, ..Command::default() }
    }

    /// Sends a cancel of an order that is not on its way out already; while its instrument is frozen the cancel waits.
    /// Answers whether a record was made.
    fn take_out(&mut self, slot: u32, origin: Origin, seq: &mut Sequencer) -> bool {
        let Some(order) = self.orders.get(slot).copied() else { return false };
        let waits = self.frozen(order.instrument) && origin != Origin::DayEnd;
        match order.state {
            // A cancel that waits for fewer lots to go than all becomes one for all.
            State::Open | State::Pending(1..) if waits => {
                let mut message = [0; CancelOrder::BYTES];
                let cancel = CancelOrder { user_ref_num: order.user_ref, quantity: 0 };
                cancel.encode(&mut message).expect("the buffer has a cancel's size");
                self.push_answer(order.session, Answer::CancelPending, 0, &message, seq);
            }
            State::Open | State::Pending(_) if !waits => {
                let cancel = self.beat(Kind::Cancel, slot, &order);
                self.push_order(order.session, cancel, origin, &[], seq);
                self.close(slot);
            }
            _ => return false,
        }
        true
    }

    /// Sends cancels of all orders of an account for which `named` holds, oldest first.
    fn take_out_all(&mut self, account: u32, origin: Origin, seq: &mut Sequencer, named: impl Fn(&Order) -> bool) {
        let mut slot = self.orders.first(account);
        while slot != NONE {
            if self.orders.get(slot).is_some_and(&named) {
                self.take_out(slot, origin, seq);
            }
            slot = self.orders.next(slot);
        }
    }
}

/// Where a message comes from.
struct From<'a> {
    session: u32,
    account: u32,
    time_ns: u64,
    bytes: &'a [u8],
}
