//! Each rule that a record can break, by name, and that nothing of it stays.

use wirebook_matcher::Software;
use wirebook_matcher::abi::{Capabilities, Command, Kind, Side, TimeInForce};

use super::gateway::{MAX_QTY, SLOTS, epoch, instrument, venue};
use crate::machine::{Machine, Refusal};
use crate::record::{
    Account, Asset, DayPhase, EpochOpen, Fee, Instrument, Order, Origin, Payload, Protocol, Record, RecordKind,
    Registry, Rounding, Scaled, Seal, Seq, SessionLogin, State, Transfer,
};

type Venue = Machine<Software>;

fn opened() -> Venue {
    let mut machine = Venue::new(0);
    for payload in venue() {
        apply(&mut machine, 0, payload).unwrap();
    }
    machine
}

/// Applies what would be the next record; when it is refused, sees to it that it left no trace.
fn apply(machine: &mut Venue, session: u32, payload: Payload<'_>) -> Result<(), Refusal> {
    let last = machine.last_seq();
    let seq = match payload {
        Payload::Epoch(_) => Seq::make(Seq::epoch(last) + 1, 1),
        _ => last + 1,
    };
    let payload = match payload {
        Payload::Order(order) => Payload::Order(Order { command: Command { seq, ..order.command }, ..order }),
        other => other,
    };
    raw(machine, &Record::new(seq, machine.books.last_time_ns(), session, 0, payload))
}

fn raw(machine: &mut Venue, record: &Record<'_>) -> Result<(), Refusal> {
    let (books, root) = (machine.books.clone(), machine.root());
    let answer = machine.apply(record, &mut ());
    if let Err(refusal) = &answer {
        assert_eq!(machine.books, books, "{refusal}");
        assert_eq!(machine.root(), root, "{refusal}");
        assert!(!refusal.to_string().contains('\n'));
    }
    answer
}

fn registry(machine: &mut Venue, entry: Registry) -> Result<(), Refusal> {
    apply(machine, 0, Payload::Registry(entry))
}

/// Session 4 trades for account 5, owner 9.
fn new(slot: u32, side: Side, tick: u32, qty: u32) -> Command {
    let side_tif = Command::side_tif(side, TimeInForce::Gtc);
    Command { owner: 9, slot, tick, qty, kind: Kind::New as u8, side_tif, ..Command::default() }
}

fn order(machine: &mut Venue, session: u32, origin: Origin, command: Command) -> Result<(), Refusal> {
    apply(machine, session, Payload::Order(Order { command, origin, protocol: Protocol::None, message: &[] }))
}

fn client(machine: &mut Venue, command: Command) -> Result<(), Refusal> {
    order(machine, 4, Origin::Client, command)
}

/// The refusal has this shape.
macro_rules! refused {
    ($answer:expr, $pattern:pat) => {
        match $answer {
            Err($pattern) => {}
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
}

#[test]
fn a_sequence_begins_with_an_epoch_and_has_no_gap() {
    let seal = Payload::Seal(Seal { number: 1, first_seq: 1, records: 1 });
    let mut empty = Venue::new(0);
    let at = |seq, time, shard, payload| Record::new(seq, time, 0, shard, payload);
    refused!(raw(&mut empty, &at(Seq::make(1, 1), 0, 0, seal)), Refusal::NoEpoch { kind: RecordKind::Seal, .. });
    refused!(raw(&mut empty, &at(Seq::make(1, 2), 0, 0, epoch(0))), Refusal::SeqGap { .. });
    refused!(raw(&mut empty, &at(Seq::make(1, 1), 0, 7, epoch(0))), Refusal::Shard { found: 7, expected: 0, .. });
    raw(&mut empty, &at(Seq::make(3, 1), 50, 0, epoch(0))).unwrap();
    let seal = Payload::Seal(Seal { number: 1, first_seq: Seq::make(3, 1), records: 2 });
    refused!(raw(&mut empty, &at(Seq::make(3, 3), 50, 0, seal)), Refusal::SeqGap { .. });
    refused!(raw(&mut empty, &at(Seq::make(3, 1), 50, 0, seal)), Refusal::SeqGap { .. });
    refused!(raw(&mut empty, &at(Seq::make(3, 2), 50, 0, epoch(Seq::make(3, 1)))), Refusal::NoEpoch { .. });
    refused!(raw(&mut empty, &at(Seq::make(3, 2), 49, 0, seal)), Refusal::TimeBack { found: 49, last: 50, .. });
    refused!(raw(&mut empty, &at(Seq::make(2, 1), 50, 0, epoch(Seq::make(3, 1)))), Refusal::SeqGap { .. });
    raw(&mut empty, &at(Seq::make(3, 2), 50, 0, seal)).unwrap();
}

#[test]
fn an_epoch_fits_what_lives() {
    let mut machine = opened();
    client(&mut machine, new(SLOTS - 1, Side::Buy, 3, 9)).unwrap();
    let Payload::Epoch(good) = epoch(machine.last_seq()) else { unreachable!("epoch makes one") };
    let bad = [
        EpochOpen { previous_end: 1, ..good },
        EpochOpen { slots: 0, ..good },
        EpochOpen { slots: u32::MAX, ..good },
        EpochOpen { slots: SLOTS - 1, ..good },
        EpochOpen { max_qty: 0, ..good },
        EpochOpen { max_qty: 8, ..good },
        EpochOpen { max_qty: u32::MAX, ..good },
        EpochOpen { capabilities: 0x80, ..good },
    ];
    for epoch in bad {
        refused!(apply(&mut machine, 0, Payload::Epoch(epoch)), Refusal::Epoch { .. });
    }
    let other = EpochOpen { abi_hash: [1; 32], ..good };
    refused!(apply(&mut machine, 0, Payload::Epoch(other)), Refusal::Abi { .. });
    let less = EpochOpen { capabilities: Capabilities::ALL.0 & !Capabilities::REPLACE.0, ..good };
    refused!(apply(&mut machine, 0, Payload::Epoch(less)), Refusal::Capability { .. });
    apply(&mut machine, 0, Payload::Epoch(EpochOpen { max_qty: 9, ..good })).unwrap();
    assert_eq!(machine.books.order(SLOTS - 1).unwrap().leaves, 9, "the order lives on");
}

#[test]
fn an_order_is_its_sessions_own_in_slots_that_are_free() {
    let mut machine = opened();
    refused!(order(&mut machine, 99, Origin::Client, new(1, Side::Buy, 3, 9)), Refusal::UnknownSession { .. });
    refused!(order(&mut machine, 0, Origin::Client, new(1, Side::Buy, 3, 9)), Refusal::UnknownSession { .. });
    refused!(order(&mut machine, 0, Origin::Supervisor, new(1, Side::Buy, 3, 9)), Refusal::UnknownSession { .. });
    refused!(client(&mut machine, Command { owner: 8, ..new(1, Side::Buy, 3, 9) }), Refusal::Owner { .. });
    let elsewhere = Command { instrument: 3, ..new(1, Side::Buy, 3, 9) };
    refused!(client(&mut machine, elsewhere), Refusal::Unknown { what: "instrument", .. });
    refused!(client(&mut machine, new(SLOTS, Side::Buy, 3, 9)), Refusal::SlotRange { .. });
    client(&mut machine, new(1, Side::Buy, 3, 9)).unwrap();
    refused!(client(&mut machine, new(1, Side::Buy, 3, 9)), Refusal::SlotLive { slot: 1, .. });
    let replace = Command { kind: Kind::Replace as u8, slot2: 1, side_tif: 0, ..new(1, Side::Buy, 3, 9) };
    refused!(client(&mut machine, replace), Refusal::SlotLive { slot: 1, .. });
    refused!(client(&mut machine, Command { slot2: SLOTS, ..replace }), Refusal::SlotRange { .. });
    let cancel = Command { kind: Kind::Cancel as u8, slot: 1, owner: 9, ..Command::default() };
    let stranger = Command { owner: 10, ..cancel };
    refused!(order(&mut machine, 5, Origin::Client, stranger), Refusal::NotYours { holder: 5, account: 6, .. });
    order(&mut machine, 0, Origin::Supervisor, cancel).unwrap();
    assert_eq!(machine.books.live(), 0, "the venue may cancel anything");
    client(&mut machine, cancel).unwrap();
    client(&mut machine, new(1, Side::Buy, 3, MAX_QTY + 1)).unwrap();
    assert_eq!(machine.books.live(), 0, "what the matcher rejects is admitted, and comes to nothing");
}

#[test]
fn an_order_is_funded_to_its_last_lot_and_fee() {
    let mut machine = opened();
    // Instrument 1: one lot at tick 13 is worth (7 + 13) * 0.5 * 2 * 3 = 60.00, and at most 7.0003 percent of fee.
    let buy = Command { instrument: 1, ..new(1, Side::Buy, 13, 1) };
    let each = 6000 + 421;
    assert_eq!(machine.books.registry().instrument(1).unwrap().rates.reserve_per_lot(Side::Buy, 13), each);
    let available = machine.books.balance(5, 1).available;
    let spare = available - 2 * i128::from(each) + 1;
    let out = |id, amount| Payload::Transfer(Transfer { id, from: 5, to: 0, asset: 1, amount });
    apply(&mut machine, 0, out(1, spare)).unwrap();
    refused!(client(&mut machine, Command { qty: 2, ..buy }), Refusal::Unfunded { account: 5, asset: 1, .. });
    client(&mut machine, buy).unwrap();
    assert_eq!(machine.books.balance(5, 1).reserved, i128::from(each));
    let replace = Command { kind: Kind::Replace as u8, slot2: 2, qty: 2, side_tif: 0, ..buy };
    refused!(client(&mut machine, replace), Refusal::Unfunded { .. });
    let relative = Command { qty: 1, flags: 1 << 3, ..replace };
    refused!(client(&mut machine, relative), Refusal::Unfunded { .. });
    refused!(apply(&mut machine, 0, out(2, i128::from(each))), Refusal::TransferFunds { .. });
    client(&mut machine, Command { qty: 2, tick: 6, ..replace }).unwrap();
    assert_eq!(machine.books.balance(5, 1).reserved, 2 * (3900 + 274), "a lower price needs less");
    let sell = new(5, Side::Sell, 20, MAX_QTY);
    let position = machine.books.balance(5, 0).available;
    apply(&mut machine, 0, Payload::Transfer(Transfer { id: 3, from: 5, to: 0, asset: 0, amount: position - 999 }))
        .unwrap();
    refused!(client(&mut machine, sell), Refusal::Unfunded { account: 5, asset: 0, needed: 1000, available: 999, .. });
}

#[test]
fn venue_records_are_the_venues_own() {
    let mut machine = opened();
    let kill = Payload::State(State::Kill { account: 2, on: true });
    refused!(apply(&mut machine, 4, kill), Refusal::VenueOnly { kind: RecordKind::State, session: 4, .. });
    apply(&mut machine, 0, kill).unwrap();
    assert!(machine.books.registry().killed(2) && !machine.books.registry().killed(3));
    refused!(apply(&mut machine, 0, Payload::State(State::Kill { account: 1, on: true })), Refusal::Unknown { .. });
}

#[test]
fn transfers_are_between_accounts_that_are_and_once() {
    let mut machine = opened();
    let good = Transfer { id: 77, from: 2, to: 3, asset: 1, amount: 50 };
    let mut pay = |transfer| apply(&mut machine, 0, Payload::Transfer(transfer));
    refused!(pay(Transfer { to: 8, ..good }), Refusal::Unknown { what: "account", id: 8, .. });
    refused!(pay(Transfer { asset: 3, ..good }), Refusal::Unknown { what: "asset", id: 3, .. });
    refused!(pay(Transfer { to: 2, ..good }), Refusal::TransferFunds { .. });
    for amount in [0, -1, i128::MIN, i128::MAX, 1 << 100] {
        refused!(pay(Transfer { amount, ..good }), Refusal::TransferFunds { .. });
    }
    pay(good).unwrap();
    pay(good).unwrap();
    refused!(pay(Transfer { amount: 51, ..good }), Refusal::TransferId { .. });
    refused!(pay(Transfer { id: 78, from: 0, amount: 1 << 120, ..good }), Refusal::TransferFunds { .. });
    assert_eq!(machine.books.balance(3, 1).available - machine.books.balance(2, 1).available, 100, "once");
}

#[test]
fn the_registry_refuses_what_does_not_hold_together() {
    let mut machine = opened();
    let good = instrument(3, 0, 1, Rounding::Up);
    let mut enter = |new: Instrument| registry(&mut machine, Registry::Instrument(new));
    refused!(enter(Instrument { id: 4, ..good }), Refusal::Registry { what: "instrument id", .. });
    refused!(enter(Instrument { base: 9, ..good }), Refusal::Unknown { what: "asset", .. });
    refused!(enter(Instrument { base: 1, ..good }), Refusal::Registry { .. });
    refused!(enter(Instrument { band_ticks: 0, ..good }), Refusal::Registry { .. });
    refused!(enter(Instrument { band_ticks: u32::MAX, ..good }), Refusal::Registry { .. });
    refused!(enter(Instrument { tick: Scaled { mantissa: 1, exponent: -9 }, ..good }), Refusal::NotWhole { .. });
    refused!(enter(Instrument { needs: 0x80, ..good }), Refusal::Capability { .. });
    refused!(enter(Instrument { id: 0, quote: 2, ..good }), Refusal::Immutable { .. });
    let asset = Asset { id: 0, name: [b'z'; 8], exponent: 1 };
    refused!(registry(&mut machine, Registry::Asset(asset)), Refusal::Immutable { .. });
    refused!(registry(&mut machine, Registry::Asset(Asset { id: 9, ..asset })), Refusal::Registry { .. });
    for id in [0, 1, 65_536] {
        let account = Account { id, owner: 0, name: [0; 16], self_trade: 0 };
        refused!(registry(&mut machine, Registry::Account(account)), Refusal::Registry { .. });
        let login =
            SessionLogin { id: if id == 1 { 0 } else { id }, account: 2, username: [0; 6], cancel_on_disconnect: true };
        refused!(registry(&mut machine, Registry::Session(login)), Refusal::Registry { .. });
    }
    let login = SessionLogin { id: 4, account: 2, username: [0; 6], cancel_on_disconnect: true };
    refused!(registry(&mut machine, Registry::Session(login)), Refusal::Immutable { .. });
    for (maker_ppm, taker_ppm) in [(-2, 1), (i32::MIN, i32::MAX), (0, 1_000_001), (i32::MAX, i32::MAX)] {
        let fee = Fee { instrument: 0, maker_ppm, taker_ppm };
        refused!(registry(&mut machine, Registry::Fee(fee)), Refusal::Registry { .. });
    }
}

#[test]
fn what_live_orders_stand_on_does_not_change() {
    let mut machine = opened();
    client(&mut machine, new(1, Side::Buy, 3, 9)).unwrap();
    let fee = |instrument| Registry::Fee(Fee { instrument, maker_ppm: 1, taker_ppm: 1 });
    refused!(registry(&mut machine, fee(0)), Refusal::LiveOrders { live: 1, .. });
    registry(&mut machine, fee(1)).unwrap();
    let same = instrument(0, 0, 1, Rounding::HalfEven);
    registry(&mut machine, Registry::Instrument(same)).unwrap();
    let moved = Registry::Instrument(Instrument { band_base: 8, ..same });
    refused!(registry(&mut machine, moved), Refusal::LiveOrders { .. });
    let account = Account { id: 5, owner: 12, name: [b'n'; 16], self_trade: 0 };
    refused!(registry(&mut machine, Registry::Account(account)), Refusal::LiveOrders { .. });
    client(&mut machine, Command { kind: Kind::Cancel as u8, slot: 1, owner: 9, ..Command::default() }).unwrap();
    registry(&mut machine, moved).unwrap();
    registry(&mut machine, Registry::Account(account)).unwrap();
    registry(&mut machine, fee(0)).unwrap();
}

#[test]
fn days_open_in_order_and_close_once_and_seals_count() {
    let mut machine = opened();
    let mut day =
        |date, phase| apply(&mut machine, 0, Payload::State(State::Day { date, phase, session_name: [b'd'; 10] }));
    refused!(day(20_261_121, DayPhase::Close), Refusal::Day { what: "close", .. });
    day(20_261_121, DayPhase::Open).unwrap();
    day(20_261_121, DayPhase::Open).unwrap();
    refused!(day(20_261_122, DayPhase::Open), Refusal::Day { what: "open", open: true, .. });
    refused!(day(20_261_120, DayPhase::Close), Refusal::Day { .. });
    day(20_261_121, DayPhase::Close).unwrap();
    refused!(day(20_261_121, DayPhase::Close), Refusal::Day { .. });
    refused!(day(20_261_120, DayPhase::Open), Refusal::Day { open: false, .. });
    day(20_261_122, DayPhase::Open).unwrap();
    let run = machine.books.seal();
    let good = Seal { number: 1, first_seq: run.first_seq, records: run.records + 1 };
    let mut seal = |seal| apply(&mut machine, 0, Payload::Seal(seal));
    refused!(seal(Seal { number: 2, ..good }), Refusal::Seal { field: "number", .. });
    refused!(seal(Seal { first_seq: 0, ..good }), Refusal::Seal { field: "first_seq", .. });
    refused!(seal(Seal { records: run.records, ..good }), Refusal::Seal { field: "records", .. });
    seal(good).unwrap();
    let empty = Seal { number: 2, first_seq: machine.last_seq() + 1, records: 1 };
    apply(&mut machine, 0, Payload::Seal(empty)).unwrap();
}
