//! The committed bytes: `vectors/records.hex`, one record a line with its description above it.
//!
//! Made again by `WIREBOOK_WRITE_VECTORS=1 cargo nextest run -p wirebook-settlement golden`; a difference that nobody meant
//! is a broken journal, so read the diff.

use std::sync::LazyLock;

use wirebook_matcher::abi::{Command, Kind, SelfTrade, Side, TimeInForce};

use super::super::*;

const TIME: u64 = 1_795_257_000_123_456_789;

fn record(counter: u64, session: u32, payload: Payload<'static>) -> Record<'static> {
    Record::new(Seq::make(1, counter), TIME + counter, session, 0, payload)
}

/// A client's order: the message is OUCH's, as far as this layer cares.
pub(super) fn order() -> Record<'static> {
    let command = Command {
        seq: Seq::make(1, 20),
        instrument: 3,
        owner: 77,
        slot: 1000,
        slot2: 0,
        tick: 250,
        qty: 12,
        kind: Kind::New as u8,
        side_tif: Command::side_tif(Side::Sell, TimeInForce::Ioc),
        flags: Command::flags(SelfTrade::CancelOldest, false, false),
        ring: 0,
    };
    let message = b"O.24 bytes of a message!";
    record(20, 5, Payload::Order(Order { command, origin: Origin::Client, protocol: Protocol::Ouch50, message }))
}

/// A reject whose message leaves padding.
pub(super) fn reject() -> Record<'static> {
    let message = b"\x00\xff\"";
    record(22, 5, Payload::Reject(Reject { answer: Answer::Rejected, reason: 6, protocol: Protocol::Ouch50, message }))
}

fn all() -> Vec<Record<'static>> {
    let replace = Command {
        seq: Seq::make(1, 21),
        instrument: 3,
        owner: 77,
        slot: 1000,
        slot2: 1001,
        tick: 251,
        qty: (-4i32).cast_unsigned(),
        kind: Kind::Replace as u8,
        side_tif: 0,
        flags: Command::flags(SelfTrade::Off, true, true),
        ring: 0,
    };
    let cancel = Command { seq: Seq::make(1, 24), slot: 1001, kind: Kind::Cancel as u8, ..Command::default() };
    let registry = [
        Registry::Asset(Asset { id: 1, name: *b"USD     ", exponent: -4 }),
        Registry::Instrument(Instrument {
            id: 0,
            symbol: *b"AAPL    ",
            base: 0,
            quote: 1,
            tick: Scaled { mantissa: 1, exponent: -2 },
            lot: Scaled { mantissa: 1, exponent: 0 },
            multiplier: 1,
            band_base: 40_000,
            band_ticks: 4096,
            rounding: Rounding::HalfEven,
            needs: 0x0f,
        }),
        Registry::Account(Account { id: 2, owner: 77, name: *b"alpha           ", self_trade: 1 }),
        Registry::Session(SessionLogin { id: 5, account: 2, username: *b"user01", cancel_on_disconnect: true }),
        Registry::Limits(RiskLimits {
            account: 2,
            max_order_qty: 10_000,
            max_notional: 1 << 70,
            max_open_orders: 500,
            collar_ticks: 200,
            messages_per_second: 1000,
            duplicates_per_second: 5,
        }),
        Registry::Fee(Fee { instrument: 0, maker_ppm: -20, taker_ppm: 30 }),
        Registry::Restrict(Restriction { account: 2, instrument: 0, restricted: true }),
    ];
    let state = [
        State::Day { date: 20_261_121, phase: DayPhase::Open, session_name: *b"20261121A " },
        State::Halt { instrument: 3, mode: HaltMode::Frozen },
        State::Mark { instrument: 3, price_ticks: 40_250 },
        State::Kill { account: ALL_ACCOUNTS, on: true },
    ];
    let mut all = vec![record(
        1,
        0,
        Payload::Epoch(EpochOpen {
            previous_end: 0,
            previous_digest: [0; 32],
            abi_hash: core::array::from_fn(|at| at as u8),
            slots: 65_536,
            max_qty: 1_000_000,
            capabilities: 0x7f,
            clean: true,
        }),
    )];
    all.extend((2..).zip(registry).map(|(counter, entry)| record(counter, 0, Payload::Registry(entry))));
    let transfer = Transfer { id: 0x0102_0304 << 96, from: 0, to: 2, asset: 1, amount: 1_000_000_000_000 };
    all.push(record(10, 0, Payload::Transfer(transfer)));
    all.extend((11..).zip(state).map(|(counter, entry)| record(counter, 0, Payload::State(entry))));
    let login = SessionAct { act: Act::Login, protocol: Protocol::None, message: &[] };
    all.push(record(19, 5, Payload::Session(login)));
    all.push(order());
    let origin = Origin::Client;
    let protocol = Protocol::Ouch50;
    all.push(record(21, 5, Payload::Order(Order { command: replace, origin, protocol, message: b"U" })));
    all.push(reject());
    all.push(record(23, 5, Payload::Session(SessionAct { act: Act::MassCancel, protocol, message: b"C" })));
    let (origin, protocol) = (Origin::MassCancel, Protocol::None);
    all.push(record(24, 5, Payload::Order(Order { command: cancel, origin, protocol, message: &[] })));
    let ceiling = Ceiling { account: 2, asset: 1, most: 5_000_000_000_000 };
    all.push(record(25, 0, Payload::Registry(Registry::Ceiling(ceiling))));
    all.push(record(26, 0, Payload::Chain(Chain::from_bytes(&CHAIN).expect("made by a test beside it"))));
    all.push(record(27, 0, Payload::Seal(Seal { number: 1, first_seq: Seq::make(1, 1), records: 27 })));
    all
}

/// A pend, and a posting of half of it.
static CHAIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let transfer = Transfer { id: 0x0a0b, from: 2, to: 3, asset: 1, amount: 1_000 };
    let pend = Leg { action: Action::Pend, transfer, pending: 0, expires_ns: TIME + 1_000_000 };
    let half = Transfer { id: 0x0a0c, amount: 500, ..transfer };
    let post = Leg { action: Action::Post, transfer: half, pending: transfer.id, expires_ns: 0 };
    let mut bytes = Vec::new();
    Chain::new(&[pend, post], &mut bytes).expect("two legs");
    bytes
});

fn text(records: &[Record<'_>]) -> String {
    let mut text = String::from("# Records, version 1. A line that begins with # describes the bytes below it.\n");
    for record in records {
        let bytes: String = record.to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("# {record}\n{bytes}\n"));
    }
    text
}

#[test]
fn golden_records_are_byte_for_byte_what_is_committed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/records.hex");
    let made = text(&all());
    if std::env::var_os("WIREBOOK_WRITE_VECTORS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    for (at, (committed, made)) in committed.lines().zip(made.lines()).enumerate() {
        assert_eq!(committed, made, "line {} of {path}", at + 1);
    }
    assert_eq!(committed.len(), made.len(), "{path}");
}

#[test]
fn the_layout_of_an_order_is_as_the_table_says() {
    let bytes = order().to_vec();
    assert_eq!(bytes.len(), 32 + 40 + 24);
    assert_eq!(bytes[0..8], [20, 0, 0, 0, 0, 0, 1, 0], "seq: counter below epoch");
    assert_eq!(bytes[16..32], [5, 0, 0, 0, 64, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0]);
    assert_eq!(bytes[32..64], order_command().to_bytes());
    assert_eq!(bytes[64..72], [0, 5, 24, 0, 0, 0, 0, 0]);
    assert_eq!(&bytes[72..], b"O.24 bytes of a message!");
}

fn order_command() -> Command {
    match order().payload {
        Payload::Order(order) => order.command,
        _ => unreachable!("an order was made above"),
    }
}
