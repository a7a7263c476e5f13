//! Records from any bytes, and the machine over any records.
//!
//! The first byte chooses. *Raw*: the rest is decoded as a run of records; what decodes must encode to the same bytes, and what does
//! not must name a place within them. *Planned*: the rest is a plan of payloads for a small venue. Each gets a header that continues
//! the sequence (now and then one that does not), so that the fuzzer need not guess eight bytes of seq. Whatever decodes is
//! applied: the machine must not panic, a refused record must leave the root as it was, and no twin may be found lying.
#![no_main]


use libfuzzer_sys::fuzz_target;
use wirebook_matcher::Software;
use wirebook_matcher::abi::{Capabilities, Command, Kind, SelfTrade, Side, TimeInForce, abi_hash};
use wirebook_settlement::machine::{Machine, Refusal};
use wirebook_settlement::record::{
    Account, Asset, DayPhase, EpochOpen, Fee, HEADER_BYTES, Instrument, MAX_PAYLOAD, Order, Origin, Payload, Protocol,
    Record, RecordKind, Registry, RiskLimits, Rounding, Scaled, Seq, SessionLogin, State, Transfer, VERSION, records,
};

/// Slots of the venue, and ticks of its band: few, so that a fuzzer's orders meet.
const SLOTS: u8 = 16;
const BAND: u8 = 16;
/// When the planted panic strikes.
const PLANTED_FILLS: u64 = 3;
const PLANTED_LIVE: u32 = 1;
/// Steps of a plan that are taken: after each a copy of the books is kept, to see that what is refused leaves no trace.
const STEPS: usize = 200;

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode % 4 == 0 { raw(rest) } else { planned(rest) }
});

/// Canonical and total.
fn raw(bytes: &[u8]) {
    let (mut at, mut broken) = (0, false);
    for item in records(bytes) {
        assert!(!broken, "something came after an error");
        match item {
            Ok((offset, record)) => {
                assert_eq!(offset, at, "records stand one behind another");
                let encoded = record.to_vec();
                assert_eq!(encoded, bytes[at..at + encoded.len()], "encoding gives other bytes");
                assert_eq!(encoded.len(), record.encoded_len());
                assert!(Record::decode(&encoded[..encoded.len() - 1]).is_err(), "a byte less is a record too");
                assert!(!record.describe().is_empty());
                at += encoded.len();
            }
            Err(error) => {
                assert!((at..=bytes.len()).contains(&error.offset), "{error}: outside of {at}..{}", bytes.len());
                broken = true;
            }
        }
    }
    assert!(broken || at == bytes.len(), "the iterator ended early");
}

/// A venue of two accounts of one owner and one of another, all with money, one instrument, an open day.
fn venue() -> Machine<Software> {
    thread_local!(static VENUE: Machine<Software> = begin());
    VENUE.with(Clone::clone)
}

fn begin() -> Machine<Software> {
    let mut machine = Machine::new(0);
    let epoch = EpochOpen {
        previous_end: 0,
        previous_digest: [0; 32],
        abi_hash: abi_hash(),
        slots: u32::from(SLOTS),
        max_qty: 100,
        capabilities: Capabilities::ALL.0,
        clean: true,
    };
    let one = Scaled { mantissa: 1, exponent: 0 };
    let instrument = Instrument {
        id: 0,
        symbol: *b"AAPL    ",
        base: 1,
        quote: 0,
        tick: one,
        lot: one,
        multiplier: 1,
        band_base: 3,
        band_ticks: u32::from(BAND),
        rounding: Rounding::HalfEven,
        needs: Capabilities::REPLACE.0,
    };
    let mut all = vec![
        Payload::Epoch(epoch),
        Payload::Registry(Registry::Asset(Asset { id: 0, name: *b"USD     ", exponent: 0 })),
        Payload::Registry(Registry::Asset(Asset { id: 1, name: *b"AAPL    ", exponent: 0 })),
        Payload::Registry(Registry::Instrument(instrument)),
        Payload::Registry(Registry::Fee(Fee { instrument: 0, maker_ppm: -20_000, taker_ppm: 30_000 })),
    ];
    for account in 2..5u32 {
        let owner = if account == 4 { 9 } else { 7 };
        all.push(Payload::Registry(Registry::Account(Account { id: account, owner, name: [b'n'; 16], self_trade: 0 })));
        all.push(Payload::Registry(Registry::Limits(RiskLimits {
            account,
            max_order_qty: 100,
            max_notional: 1 << 40,
            max_open_orders: 16,
            collar_ticks: 0,
            messages_per_second: 0,
            duplicates_per_second: 0,
        })));
        let session = SessionLogin { id: account - 1, account, username: *b"user  ", cancel_on_disconnect: false };
        all.push(Payload::Registry(Registry::Session(session)));
        for asset in 0..2u16 {
            let id = u128::from(account) << 8 | u128::from(asset);
            all.push(Payload::Transfer(Transfer { id, from: 0, to: account, asset, amount: 2_000 }));
        }
    }
    all.push(Payload::State(State::Day { date: 20_261_121, phase: DayPhase::Open, session_name: *b"2026112101" }));
    for (n, payload) in all.into_iter().enumerate() {
        let record = Record::new(Seq::make(1, n as u64 + 1), 1_000, 0, 0, payload);
        machine.apply(&record, &mut ()).expect("the venue's own records apply");
    }
    machine
}

/// The fuzzer's bytes, then zeros.
struct Plan<'a>(&'a [u8]);

impl<'a> Plan<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        first
    }
}

fn planned(bytes: &[u8]) {
    let mut plan = Plan(bytes);
    let mut machine = venue();
    let mut kept = machine.books.clone();
    for _ in 0..STEPS {
        if plan.0.is_empty() {
            break;
        }
        let bytes = step(&mut plan, machine.last_seq(), machine.books.last_time_ns());
        let Ok((record, taken)) = Record::decode(&bytes) else { continue };
        assert_eq!(record.to_vec(), bytes[..taken], "encoding gives other bytes");
        match machine.apply(&record, &mut ()) {
            Ok(()) => {
                assert_eq!(machine.last_seq(), record.header.seq);
                kept.clone_from(&machine.books);
            }
            Err(Refusal::Matcher(fault)) => panic!("the twin or the books are wrong: {fault}"),
            Err(Refusal::NoLast { seq }) => panic!("{seq:#x}: no last event"),
            Err(refusal) => {
                assert!(!refusal.to_string().is_empty());
                assert_eq!(machine.books, kept, "{refusal}: it left a trace");
            }
        }
        let (fills, live) = (machine.books.fills(), machine.books.live());
        assert!(!(cfg!(feature = "planted") && fills == PLANTED_FILLS && live == PLANTED_LIVE), "planted");
    }
    balanced(&machine);
    let again = Machine::<Software>::from_image(&machine.image()).expect("its own image");
    assert_eq!(again.root(), machine.root(), "an image is of another machine");
}

/// Double entry: every asset sums to nothing over all accounts.
fn balanced(machine: &Machine<Software>) {
    let books = &machine.books;
    let registered = books.registry().accounts().filter_map(|entry| entry.account.map(|account| account.id));
    let mut accounts: Vec<u32> = registered.chain([0, 1]).collect();
    accounts.sort_unstable();
    accounts.dedup();
    for asset in books.registry().assets() {
        let sum: i128 = accounts
            .iter()
            .map(|account| books.balance(*account, asset.id))
            .map(|balance| balance.available + balance.reserved)
            .sum();
        assert_eq!(sum, 0, "asset {} does not balance", asset.id);
    }
}

/// The next record's bytes.
fn step(plan: &mut Plan<'_>, last: u64, time_ns: u64) -> Vec<u8> {
    let kind = plan.byte();
    let twist = plan.byte();
    let seq = match twist {
        0xF0 => last,
        0xF1 => last + 2,
        0xF2 => Seq::make(Seq::epoch(last).wrapping_add(1), 1),
        _ => last.wrapping_add(1),
    };
    let time_ns = if twist == 0xF3 { time_ns.wrapping_sub(1) } else { time_ns + u64::from(twist % 4) };
    let session = u32::from(plan.byte() % 5);
    if kind >= 0x40 {
        let command = command(plan, seq);
        let order = Order { command, origin: Origin::Client, protocol: Protocol::Ouch50, message: b"m" };
        return Record::new(seq, time_ns, session, 0, Payload::Order(order)).to_vec();
    }
    let kind = RecordKind::ALL[usize::from(kind) % RecordKind::ALL.len()];
    let seq = if kind == RecordKind::Epoch { Seq::make(Seq::epoch(last).wrapping_add(1), 1) } else { seq };
    let count = usize::from(plan.byte());
    let mut payload = plan.bytes(count.min(MAX_PAYLOAD)).to_vec();
    mend(kind, seq, last, &mut payload);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + 8);
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&time_ns.to_le_bytes());
    bytes.extend_from_slice(&session.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&u16::from(twist == 0xF4).to_le_bytes());
    bytes.extend_from_slice(&[kind as u8, VERSION, 0, 0, 0, 0]);
    bytes.append(&mut payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// What no fuzzer guesses, and what would only cost memory: the rest of a payload is the fuzzer's own.
fn mend(kind: RecordKind, seq: u64, last: u64, payload: &mut [u8]) {
    match kind {
        RecordKind::Order if payload.len() >= 8 => payload[..8].copy_from_slice(&seq.to_le_bytes()),
        RecordKind::Epoch if payload.len() >= 88 => {
            payload[..8].copy_from_slice(&last.to_le_bytes());
            payload[40..72].copy_from_slice(&abi_hash());
            payload[73..76].fill(0);
        }
        // A band of at most 65,535 ticks.
        RecordKind::Registry if payload.len() >= 64 => payload[50..52].fill(0),
        _ => {}
    }
}

/// An order of few slots and ticks, mostly one that makes sense.
fn command(plan: &mut Plan<'_>, seq: u64) -> Command {
    let (shape, slots, tick, qty) = (plan.byte(), plan.byte(), plan.byte(), plan.byte());
    let kind = match shape % 16 {
        0 => Kind::Nop as u8,
        1 | 2 => Kind::Cancel as u8,
        3 => Kind::Reduce as u8,
        4 | 5 => Kind::Replace as u8,
        6 => qty,
        _ => Kind::New as u8,
    };
    let side = Side::ALL[usize::from(shape >> 4) % 2];
    let times = TimeInForce::ALL;
    let time = times[usize::from(shape >> 5) % times.len()];
    let modes = SelfTrade::ALL;
    let mode = modes[usize::from(tick >> 6) % modes.len()];
    let owner = if slots & 0x80 == 0 { 7 } else { 9 };
    Command {
        seq,
        instrument: u16::from(tick & 0x30 == 0x30),
        owner,
        slot: u32::from(slots % (SLOTS + 1)),
        slot2: u32::from(qty % (SLOTS + 1)),
        tick: u32::from(tick % (BAND + 1)),
        qty: u32::from(qty % 128),
        kind,
        side_tif: Command::side_tif(side, time),
        flags: Command::flags(mode, tick & 0x20 != 0 && time == TimeInForce::Gtc, qty & 0x80 != 0),
        ..Command::default()
    }
}
