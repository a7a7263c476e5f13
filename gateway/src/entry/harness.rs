//! A venue in a test: entry, sequencer, books, a matcher and the publisher, with as much lag between them as the test wants.

use std::collections::VecDeque;

use wirebook_matcher::abi::{Event, abi_hash};
use wirebook_matcher::{Software, Twin};
use wirebook_settlement::machine::{Books, Machine, Sink};
use wirebook_settlement::record::{
    Account, Asset, DayPhase, EpochOpen, Fee, Instrument, Payload, Record, Registry, RiskLimits, Rounding, Scaled,
    SessionLogin, State, Transfer, records,
};

use super::{Entry, Verdict};
use crate::publish::Publisher;
use crate::sequencer::{Opening, SealPolicy, Sequencer};
use crate::session::Alpha;
use crate::session::ouch::inbound::{EnterOrder, Inbound, ReplaceOrder};
use crate::session::ouch::outbound::Outbound;
use crate::session::ouch::{
    Appendage, AppendageBuilder, Capacity, ClOrdId, CrossType, Display, Price, Side, TagValue, TimeInForce, YesNo,
};
use crate::session::soup::History;

pub const SLOTS: u32 = 4096;
pub const MAX_QTY: u32 = 1_000_000;
/// 2026-11-21, 09:30 UTC.
pub const START: u64 = 1_795_253_400_000_000_000;
/// Accounts of the test venue; sessions 1 to 3 are theirs, session 4 is a second one of the first.
pub const ACCOUNTS: [u32; 3] = [2, 3, 4];
pub const SESSIONS: [u32; 4] = [1, 2, 3, 4];
pub const SYMBOLS: [&str; 2] = ["AAPL", "BTCUSD"];
/// The venue's assets: two things and the money.
pub const ASSETS: u16 = 3;

pub struct Venue {
    pub entry: Entry,
    pub seq: Sequencer,
    pub books: Books,
    twin: Option<Software>,
    twin_version: u64,
    pub publisher: Publisher,
    /// All record bytes so far.
    pub journal: Vec<u8>,
    /// Records that the books have not seen yet.
    queued: VecDeque<Vec<u8>>,
    /// Events that entry has not heard of yet.
    pub unheard: VecDeque<Event>,
    pub now: u64,
}

pub fn epoch(previous_end: u64) -> EpochOpen {
    EpochOpen {
        previous_end,
        previous_digest: [0; 32],
        abi_hash: abi_hash(),
        slots: SLOTS,
        max_qty: MAX_QTY,
        capabilities: wirebook_matcher::abi::Capabilities::ALL.0,
        clean: true,
    }
}

fn name<const N: usize>(text: &str) -> [u8; N] {
    Alpha::<N>::new(text).expect("a short name").0
}

/// The test venue's registry.
pub fn registry() -> Vec<Registry> {
    let asset = |id, text, exponent| Registry::Asset(Asset { id, name: name(text), exponent });
    let instrument = |id, text, lot, rounding| {
        Registry::Instrument(Instrument {
            id,
            symbol: name(text),
            base: id,
            quote: 2,
            tick: Scaled { mantissa: 1, exponent: -2 },
            lot,
            multiplier: 1,
            band_base: 9_000,
            band_ticks: 2_001,
            rounding,
            needs: 0,
        })
    };
    let account = |id, owner, self_trade| Registry::Account(Account { id, owner, name: name("someone"), self_trade });
    let session = |id, account, cancel_on_disconnect| {
        Registry::Session(SessionLogin { id, account, username: name("trader"), cancel_on_disconnect })
    };
    vec![
        asset(0, "AAPL", 0),
        asset(1, "BTC", -8),
        asset(2, "USD", -6),
        instrument(0, "AAPL", Scaled { mantissa: 1, exponent: 0 }, Rounding::HalfEven),
        instrument(1, "BTCUSD", Scaled { mantissa: 1, exponent: -3 }, Rounding::Up),
        Registry::Fee(Fee { instrument: 0, maker_ppm: -150, taker_ppm: 333 }),
        Registry::Fee(Fee { instrument: 1, maker_ppm: 77, taker_ppm: 201 }),
        account(2, 7, 1),
        account(3, 8, 2),
        account(4, 7, 3),
        session(1, 2, true),
        session(2, 3, false),
        session(3, 4, true),
        session(4, 2, false),
    ]
}

impl Venue {
    /// An open venue: registered, funded, day open, everyone logged in.
    pub fn open() -> Self {
        let mut venue = Self::closed(SealPolicy { records: 50, ..SealPolicy::default() });
        for (number, account) in ACCOUNTS.into_iter().enumerate() {
            for asset in 0..ASSETS {
                let id = (number * usize::from(ASSETS)) as u128 + u128::from(asset);
                let amount = if asset == 0 { 50_000 } else { 60_000_000_000 };
                venue.submit(&Payload::Transfer(Transfer { id, from: 0, to: account, asset, amount }));
            }
        }
        venue.day(DayPhase::Open, 20_261_121);
        for session in SESSIONS {
            venue.entry.login(session, venue.now, &mut venue.seq);
        }
        venue.settle();
        venue
    }

    /// A venue whose registry is filled, and nothing else.
    pub fn closed(policy: SealPolicy) -> Self {
        let opening =
            Opening { shard: 0, epoch: 1, last_time_ns: 0, next_batch: 1, open_first_seq: 0, open_records: 0, policy };
        let mut venue = Self {
            entry: Entry::new(SLOTS, MAX_QTY),
            seq: Sequencer::open(opening, START, &epoch(0), 1 << 16),
            books: Books::new(0),
            twin: None,
            twin_version: 0,
            publisher: Publisher::new(SLOTS),
            journal: Vec::new(),
            queued: VecDeque::new(),
            unheard: VecDeque::new(),
            now: START,
        };
        for entry in registry() {
            venue.submit(&Payload::Registry(entry));
        }
        venue.settle();
        venue
    }

    pub fn submit(&mut self, payload: &Payload<'_>) -> u64 {
        self.entry.submit(payload, self.now, &mut self.seq).unwrap_or_else(|refused| panic!("{payload:?}: {refused}"))
    }

    pub fn day(&mut self, phase: DayPhase, date: u32) {
        self.submit(&Payload::State(State::Day { date, phase, session_name: name("DAY") }));
    }

    pub fn limits(&mut self, limits: RiskLimits) {
        self.submit(&Payload::Registry(Registry::Limits(limits)));
    }

    /// A client's message, handed to entry alone.
    pub fn say(&mut self, session: u32, message: &Inbound<'_>) -> Verdict {
        let mut bytes = [0; 1024];
        let length = message.encode(&mut bytes).expect("room for a message");
        self.entry.message(session, &bytes[..length], self.now, &mut self.seq)
    }

    /// A client's message and all that comes of it.
    pub fn send(&mut self, session: u32, message: &Inbound<'_>) -> Verdict {
        let verdict = self.say(session, message);
        self.settle();
        verdict
    }

    /// Everything in flight lands.
    pub fn settle(&mut self) {
        self.carry(usize::MAX);
        self.hear(usize::MAX);
    }

    /// The books, the matcher and the publisher take up to `count` records.
    pub fn carry(&mut self, count: usize) {
        let burst = self.seq.take();
        self.journal.extend_from_slice(burst);
        for item in records(burst) {
            let (_, record) = item.expect("the sequencer's own bytes");
            self.queued.push_back(record.to_vec());
        }
        for _ in 0..count {
            let Some(bytes) = self.queued.pop_front() else { break };
            let (record, _) = Record::decode(&bytes).expect("the sequencer's own bytes");
            self.execute(&record);
        }
    }

    fn execute(&mut self, record: &Record<'_>) {
        let command = self.books.admit(record).unwrap_or_else(|refusal| panic!("{record:?}: {refusal}"));
        if self.books.limits_version() != self.twin_version {
            let mut fresh = Software::new(self.books.limits().expect("an epoch is open"));
            if let Some(old) = &self.twin {
                old.orders(|order| fresh.restore(&order).expect("the same order"));
            }
            self.twin = Some(fresh);
            self.twin_version = self.books.limits_version();
        }
        self.publisher.record(record);
        let mut events = Vec::new();
        self.twin.as_mut().expect("made above").execute(&command, |event| events.push(event));
        for event in events {
            let number = self.books.event(&event, &mut |_| {}).unwrap_or_else(|fault| panic!("{record:?}: {fault:?}"));
            self.publisher.event(record, &event, number);
            self.unheard.push_back(event);
        }
        self.publisher.release(record.header.seq);
    }

    /// Entry hears of up to `count` events.
    pub fn hear(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.unheard.pop_front() else { break };
            self.entry.event(&event);
        }
    }

    /// Risk is never laxer than the books; with nothing in flight both are equal.
    pub fn check_funds(&self) {
        let idle = self.queued.is_empty() && self.unheard.is_empty() && self.seq.is_empty();
        for account in 0..5 {
            for asset in 0..ASSETS {
                let (risk, books) =
                    (self.entry.available(account, asset), self.books.balance(account, asset).available);
                // The outside world owes: what it may owe is no one's limit.
                assert!(risk <= books || account == 0, "account {account}, asset {asset}: {risk} > {books}");
                assert!(!idle || risk == books, "account {account}, asset {asset}: {risk} is not {books}");
            }
        }
        if idle {
            assert_eq!(self.entry.live(), self.books.live(), "live orders");
            assert_eq!(self.entry.in_flight(), 0);
        }
    }

    /// All that a session was told so far.
    pub fn told(&self, session: u32) -> Vec<Vec<u8>> {
        let stream = self.publisher.streams().history(session);
        (1..stream.next_sequence()).map(|sequence| stream.generated(sequence).expect("no gaps").to_vec()).collect()
    }

    /// What a session was told since `from` messages, in short: type and what matters.
    pub fn heard(&self, session: u32, from: usize) -> Vec<String> {
        self.told(session)[from..].iter().map(|bytes| short(bytes)).collect()
    }
}

/// A message in a few characters.
pub fn short(bytes: &[u8]) -> String {
    match Outbound::decode(bytes).expect("a message") {
        Outbound::SystemEvent(m) => format!("S {:?}", m.event_code),
        Outbound::Accepted(m) => format!("A {} {:?} {} @{}", m.user_ref_num, m.side, m.quantity, m.price.0),
        Outbound::Replaced(m) => format!("U {}->{} {} @{}", m.orig_user_ref_num, m.user_ref_num, m.quantity, m.price.0),
        Outbound::Canceled(m) => format!("C {} {} {:?}", m.user_ref_num, m.quantity, m.reason),
        Outbound::AiqCanceled(m) => format!(
            "D {} {} prevented {} @{} {:?} {}",
            m.user_ref_num,
            m.decrement_shares,
            m.quantity_prevented_from_trading,
            m.execution_price.0,
            m.liquidity_flag,
            char::from(m.aiq_strategy)
        ),
        Outbound::Executed(m) => {
            format!("E {} {} @{} {:?} #{}", m.user_ref_num, m.quantity, m.price.0, m.liquidity_flag, m.match_number)
        }
        Outbound::Rejected(m) => format!("J {} {:?}", m.user_ref_num, m.reason),
        Outbound::CancelPending(m) => format!("P {}", m.user_ref_num),
        Outbound::CancelReject(m) => format!("I {}", m.user_ref_num),
        Outbound::Modified(m) => format!("M {} {:?} {}", m.user_ref_num, m.side, m.quantity),
        Outbound::AccountQueryResponse(m) => format!("Q {}", m.next_user_ref_num),
        Outbound::MassCancelResponse(m) => format!("X {}", m.user_ref_num),
        Outbound::DisableResponse(m) => format!("G {}", m.user_ref_num),
        Outbound::EnableResponse(m) => format!("K {}", m.user_ref_num),
        Outbound::Restated(m) => format!("R {} {:?}", m.user_ref_num, m.appendage),
        other => format!("{other:?}"),
    }
}

/// An order of AAPL, day, visible.
pub fn order(user_ref_num: u32, side: Side, quantity: u32, price: u64) -> EnterOrder<'static> {
    EnterOrder {
        user_ref_num,
        side: side.into(),
        quantity,
        symbol: Alpha(name(SYMBOLS[0])),
        price: Price(price),
        time_in_force: TimeInForce::Day.into(),
        display: Display::Visible.into(),
        capacity: Capacity::Principal.into(),
        inter_market_sweep_eligibility: YesNo::No.into(),
        cross_type: CrossType::Continuous.into(),
        cl_ord_id: ClOrdId::new("CLORD").expect("short"),
        appendage: Appendage::EMPTY,
    }
}

/// A replacement, day, visible.
pub fn replacement(orig_user_ref_num: u32, user_ref_num: u32, quantity: u32, price: u64) -> ReplaceOrder<'static> {
    ReplaceOrder {
        orig_user_ref_num,
        user_ref_num,
        quantity,
        price: Price(price),
        time_in_force: TimeInForce::Day.into(),
        display: Display::Visible.into(),
        inter_market_sweep_eligibility: YesNo::No.into(),
        cl_ord_id: ClOrdId::new("CLREPL").expect("short"),
        appendage: Appendage::EMPTY,
    }
}

/// Options, kept for the test's life.
pub fn options(values: &[TagValue<'_>]) -> Appendage<'static> {
    let mut builder = AppendageBuilder::new();
    for value in values {
        builder.push(*value).expect("room");
    }
    let bytes: &'static [u8] = Box::leak(builder.appendage().as_bytes().to_vec().into_boxed_slice());
    Appendage::new(bytes).expect("sound")
}

/// Re-executes the journal with a fresh machine, and hands each record with its events to `each`.
pub fn re_execute(journal: &[u8], mut each: impl FnMut(&Record<'_>, &[(Event, Option<u64>)])) -> Machine<Software> {
    struct Collect(Vec<(Event, Option<u64>)>);
    impl Sink for Collect {
        fn event(&mut self, _: &Record<'_>, event: &Event, match_number: Option<u64>, _: &Books) {
            self.0.push((*event, match_number));
        }
    }
    let mut machine = Machine::new(0);
    for item in records(journal) {
        let (_, record) = item.expect("the journal's bytes");
        let mut sink = Collect(Vec::new());
        machine.apply(&record, &mut sink).unwrap_or_else(|refusal| panic!("{record:?}: {refusal}"));
        each(&record, &sink.0);
    }
    machine
}
