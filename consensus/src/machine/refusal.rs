//! Why a record does not apply, and how a matcher can be caught lying.

use wirebook_matcher::abi::Event;

use crate::record::{Leg, RecordKind, Seq};

/// Why a record was refused. A refused record leaves no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum Refusal {
    #[error("seq {}: the record before it, {}, still waits for events", Dotted(*seq), Dotted(*waiting))]
    Unfinished { seq: u64, waiting: u64 },
    #[error("seq {}: shard {found}, this is shard {expected}", Dotted(*seq))]
    Shard { seq: u64, found: u16, expected: u16 },
    #[error("seq {} does not follow {}", Dotted(*found), Dotted(*last))]
    SeqGap { found: u64, last: u64 },
    #[error("seq {}: an epoch begins with an epoch record, found {}", Dotted(*seq), kind.name())]
    NoEpoch { seq: u64, kind: RecordKind },
    #[error("seq {}: time {found} ns is before the last record's {last}", Dotted(*seq))]
    TimeBack { seq: u64, found: u64, last: u64 },
    #[error("seq {}: session {session} is not registered", Dotted(*seq))]
    UnknownSession { seq: u64, session: u32 },
    #[error("seq {}: a {} record is the venue's own (session 0), found session {session}", Dotted(*seq), kind.name())]
    VenueOnly { seq: u64, kind: RecordKind, session: u32 },
    #[error("epoch {}: {field} is {found}, allowed {allowed}", Seq::epoch(*seq))]
    Epoch { seq: u64, field: &'static str, found: u64, allowed: u64 },
    #[error("epoch {}: made for another ABI of the beats", Seq::epoch(*seq))]
    Abi { seq: u64 },
    #[error("seq {}: owner {found} is not the account's {expected}", Dotted(*seq))]
    Owner { seq: u64, found: u16, expected: u16 },
    #[error("seq {}: the order in slot {slot} is account {holder}'s, not account {account}'s", Dotted(*seq))]
    NotYours { seq: u64, slot: u32, holder: u32, account: u32 },
    #[error("seq {}: slot {slot} is not free", Dotted(*seq))]
    SlotLive { seq: u64, slot: u32 },
    #[error("seq {}: slot {slot} is beyond the {slots} slots", Dotted(*seq))]
    SlotRange { seq: u64, slot: u32, slots: u32 },
    #[error("seq {}: account {account} has {available} of asset {asset} available, the order needs {needed}", Dotted(*seq))]
    Unfunded { seq: u64, account: u32, asset: u16, needed: i128, available: i128 },
    #[error("seq {}: {what} {id} is not registered", Dotted(*seq))]
    Unknown { seq: u64, what: &'static str, id: u64 },
    #[error("seq {}: {what}: found {found}, allowed {allowed}", Dotted(*seq))]
    Registry { seq: u64, what: &'static str, found: i128, allowed: i128 },
    #[error("seq {}: {what} of {id} cannot change while {live} orders are live", Dotted(*seq))]
    LiveOrders { seq: u64, what: &'static str, id: u64, live: u32 },
    #[error("seq {}: {what} of {id} never changes", Dotted(*seq))]
    Immutable { seq: u64, what: &'static str, id: u64 },
    #[error("seq {}: instrument {instrument}: {what} is no whole number of {asset}'s smallest unit, or beyond 2^62", Dotted(*seq))]
    NotWhole { seq: u64, instrument: u16, what: &'static str, asset: u16 },
    #[error("seq {}: instrument {instrument} needs capabilities {needs:#x}, the matcher has {has:#x}", Dotted(*seq))]
    Capability { seq: u64, instrument: u16, needs: u32, has: u32 },
    #[error("seq {}: transfer {id:#x} of {amount}: account {from} has {available}", Dotted(*seq))]
    TransferFunds { seq: u64, id: u128, from: u32, amount: i128, available: i128 },
    #[error("seq {}: transfer {:#x} was booked as {booked:?}", Dotted(*seq), booked.transfer.id)]
    TransferId { seq: u64, booked: Leg },
    #[error("seq {}: transfer {id:#x}: {field} is {found}, allowed {allowed}", Dotted(*seq))]
    Leg { seq: u64, id: u128, field: &'static str, found: i128, allowed: i128 },
    #[error("seq {}: transfer {id:#x}: {pending:#x} pends no more, or never did", Dotted(*seq))]
    NotPending { seq: u64, id: u128, pending: u128 },
    #[error("seq {}: transfer {id:#x}: too many transfers are pending, allowed {}", Dotted(*seq), crate::ledger::MAX_PENDING)]
    PendingFull { seq: u64, id: u128 },
    #[error("seq {}: transfer {id:#x}: account {account} would have {found} of asset {asset}, its ceiling is {allowed}", Dotted(*seq))]
    Ceiling { seq: u64, id: u128, account: u32, asset: u16, found: i128, allowed: i128 },
    #[error("seq {}: transfer {id:#x} of a chain is {}, its first is {}", Dotted(*seq), told(*known), told(!*known))]
    ChainInPart { seq: u64, id: u128, known: bool },
    #[error("seq {}: no more transfers can be remembered today", Dotted(*seq))]
    TransferIdsFull { seq: u64 },
    #[error("seq {}: day {date} cannot {what} while day {current} is {}", Dotted(*seq), if *open { "open" } else { "closed" })]
    Day { seq: u64, what: &'static str, date: u32, current: u32, open: bool },
    #[error("seq {}: seal: {field} is {found}, allowed {allowed}", Dotted(*seq))]
    Seal { seq: u64, field: &'static str, found: u64, allowed: u64 },
    #[error("seq {}: the matcher gave no last event", Dotted(*seq))]
    NoLast { seq: u64 },
    #[error("the matcher is at fault: {0}")]
    Matcher(Fault),
}

/// An event that no correct matcher gives. The books are as they were before it, and refuse what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: found {found:?}{}", expected.map(|event| format!(", expected {event:?}")).unwrap_or_default())]
pub struct Fault {
    /// What is wrong.
    pub what: &'static str,
    /// The event.
    pub found: Event,
    /// The only one that would have been right, where there is only one.
    pub expected: Option<Event>,
}

fn told(known: bool) -> &'static str {
    if known { "booked already" } else { "new" }
}

/// A seq as epoch and counter.
struct Dotted(u64);

impl core::fmt::Display for Dotted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", Seq::epoch(self.0), Seq::counter(self.0))
    }
}
