//! A model gateway: writes random records, most of them valid, from what the books say. Also a small venue to start from.

use wirebook_matcher::abi::{Capabilities, Command, Kind, SelfTrade, Side, TimeInForce, abi_hash};
use wirebook_matcher::flow::Random;

use crate::machine::Books;
use crate::record::{
    Account, Act, Action, Answer, Asset, Ceiling, Chain, DayPhase, EpochOpen, Fee, HaltMode, Instrument, Leg, Order,
    Origin, Payload, Protocol, Record, Registry, Reject, Restriction, RiskLimits, Rounding, Scaled, Seal, Seq,
    SessionAct, SessionLogin, State, Transfer,
};

pub(super) const SLOTS: u32 = 96;
pub(super) const MAX_QTY: u32 = 500;
const BAND: u32 = 24;
const EXTRA_TICKS: u64 = 2;
/// How often each time in force comes: in place of a weight, as often as it stands here.
const TIMES: [TimeInForce; 8] = {
    use TimeInForce::{Fok, Gtc, Ioc};
    [Gtc, Gtc, Gtc, Gtc, Gtc, Gtc, Ioc, Fok]
};

/// The epoch record's payload.
pub(super) fn epoch(previous_end: u64) -> Payload<'static> {
    Payload::Epoch(EpochOpen {
        previous_end,
        previous_digest: [0; 32],
        abi_hash: abi_hash(),
        slots: SLOTS,
        max_qty: MAX_QTY,
        capabilities: Capabilities::ALL.0,
        clean: true,
    })
}

pub(super) fn instrument(id: u16, base: u16, quote: u16, rounding: Rounding) -> Instrument {
    Instrument {
        id,
        symbol: [b'A' + id as u8; 8],
        base,
        quote,
        tick: Scaled { mantissa: 5, exponent: -1 },
        lot: Scaled { mantissa: 2, exponent: 0 },
        multiplier: 3,
        band_base: 7,
        band_ticks: BAND,
        rounding,
        needs: Capabilities::REPLACE.0,
    }
}

/// Three assets, three instruments, six accounts (2 and 3 of one owner, 4 exempt), nine sessions, and money.
pub(super) fn venue() -> Vec<Payload<'static>> {
    let mut all = vec![epoch(0)];
    for (id, exponent) in [(0, 0), (1, -2), (2, -1)] {
        all.push(Payload::Registry(Registry::Asset(Asset { id, name: [b'a' + id as u8; 8], exponent })));
    }
    let instruments = [
        instrument(0, 0, 1, Rounding::HalfEven),
        instrument(1, 2, 1, Rounding::Up),
        instrument(2, 0, 2, Rounding::Down),
    ];
    let fees = [(-2_000, 3_500), (40_001, 70_003), (0, 0)];
    for (instrument, (maker_ppm, taker_ppm)) in instruments.into_iter().zip(fees) {
        let fee = Fee { instrument: instrument.id, maker_ppm, taker_ppm };
        all.push(Payload::Registry(Registry::Instrument(instrument)));
        all.push(Payload::Registry(Registry::Fee(fee)));
    }
    for id in 2..8 {
        let owner = [7, 7, 0, 9, 10, 11][id as usize - 2];
        all.push(Payload::Registry(Registry::Account(Account { id, owner, name: [b'n'; 16], self_trade: 0 })));
        for asset in 0..3u16 {
            let transfer = Transfer {
                id: u128::from(id) << 64 | u128::from(asset),
                from: 0,
                to: id,
                asset,
                amount: if asset == 1 { 9_000_000 } else { 6_000 },
            };
            all.push(Payload::Transfer(transfer));
        }
    }
    for id in 1..=9u32 {
        let account = 2 + (id - 1) % 6;
        let login = SessionLogin { id, account, username: [b'u'; 6], cancel_on_disconnect: false };
        all.push(Payload::Registry(Registry::Session(login)));
    }
    all
}

/// What comes next: session and payload.
pub(super) type Next = (u32, Payload<'static>);

/// See the module.
pub(crate) struct Gateway {
    pub random: Random,
    date: u32,
    transfer_id: u128,
}

impl Gateway {
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), date: 20_261_121, transfer_id: 1 }
    }

    /// The record that carries this payload next.
    pub fn record(&mut self, books: &Books, (session, payload): Next) -> Record<'static> {
        let last = books.last_seq();
        let seq = match payload {
            Payload::Epoch(_) => Seq::make(Seq::epoch(last) + 1 + self.random.below(2) as u16, 1),
            _ => last + 1,
        };
        let payload = match payload {
            Payload::Order(order) => Payload::Order(Order { command: Command { seq, ..order.command }, ..order }),
            Payload::Seal(seal) if seal.first_seq == 0 => Payload::Seal(Seal { first_seq: seq, ..seal }),
            other => other,
        };
        Record::new(seq, books.last_time_ns() + self.random.below(1000), session, books.shard(), payload)
    }

    /// Thinks of something to happen.
    pub fn next(&mut self, books: &Books) -> Next {
        match self.random.below(1000) {
            0..630 if books.live() > SLOTS - SLOTS / 4 => self.change(books, Kind::Cancel),
            0..630 => self.new_order(books),
            630..690 => self.change(books, Kind::Cancel),
            690..740 => self.change(books, Kind::Reduce),
            740..850 => self.change(books, Kind::Replace),
            850..865 => self.garbage(books),
            865..885 => (0, self.transfer()),
            885..905 => (0, self.chain(books)),
            905..925 => (self.session(), self.message()),
            925..950 => (0, Payload::State(self.state())),
            950..975 => (0, Payload::Registry(self.registry(books))),
            975..990 => (0, self.seal(books)),
            _ => (0, epoch(books.last_seq())),
        }
    }

    fn session(&mut self) -> u32 {
        1 + self.random.below(9) as u32
    }

    fn any_slot(&mut self, books: &Books, live: bool) -> u32 {
        let slots: Vec<u32> = (0..SLOTS).filter(|slot| books.order(*slot).is_some() == live).collect();
        if slots.is_empty() || self.random.chance(1, 40) {
            return self.random.below(u64::from(SLOTS) + 1) as u32;
        }
        *self.random.pick(&slots)
    }

    /// Buyers bid low and sellers ask high, with some in common; a few anywhere, and beyond the band.
    fn tick(&mut self, side: Side) -> u32 {
        match self.random.below(60) {
            0 => self.random.below(u64::from(BAND) + EXTRA_TICKS) as u32,
            _ => match side {
                Side::Buy => self.random.between(3, 13) as u32,
                Side::Sell => self.random.between(8, 19) as u32,
            },
        }
    }

    fn qty(&mut self) -> u32 {
        match self.random.below(80) {
            0 => 0,
            1 => MAX_QTY + 1,
            2..8 => self.random.between(1, u64::from(MAX_QTY)) as u32,
            _ => self.random.between(1, 20) as u32,
        }
    }

    fn order(&mut self, books: &Books, session: u32, command: Command) -> Next {
        let owner = books.registry().session(session).and_then(|login| books.registry().account(login.account));
        let owner = owner.and_then(|entry| entry.account).map_or(0, |account| account.owner);
        let owner = if self.random.chance(1, 200) { owner + 1 } else { owner };
        let command = Command { owner, ..command };
        let (origin, protocol) = (Origin::Client, Protocol::Ouch50);
        (session, Payload::Order(Order { command, origin, protocol, message: b"a message" }))
    }

    fn new_order(&mut self, books: &Books) -> Next {
        let session = self.session();
        let side = *self.random.pick(&Side::ALL);
        let tif = *self.random.pick(&TIMES);
        let self_trade = *self.random.pick(&SelfTrade::ALL);
        let post_only = tif == TimeInForce::Gtc && self.random.chance(1, 5);
        let command = Command {
            instrument: self.random.below(books.registry().instruments().len() as u64) as u16,
            slot: self.any_slot(books, false),
            tick: self.tick(side),
            qty: self.qty(),
            kind: Kind::New as u8,
            side_tif: Command::side_tif(side, tif),
            flags: Command::flags(self_trade, post_only, false),
            ..Command::default()
        };
        self.order(books, session, command)
    }

    fn change(&mut self, books: &Books, kind: Kind) -> Next {
        let slot = self.any_slot(books, true);
        let mut command = Command { slot, kind: kind as u8, ..Command::default() };
        let mut session = self.session();
        if let Some(order) = books.order(slot) {
            command.instrument = order.instrument;
            if !self.random.chance(1, 20) {
                session = order.session;
            }
        }
        if self.random.chance(1, 50) {
            command.instrument = self.random.below(4) as u16;
        }
        match kind {
            Kind::Reduce => command.qty = self.qty(),
            Kind::Replace => {
                command.slot2 = self.any_slot(books, false);
                command.tick = self.tick(books.order(slot).map_or(Side::Buy, |order| order.side));
                let relative = self.random.chance(1, 2);
                command.qty = match relative {
                    true => self.random.between(0, 30).wrapping_sub(15) as u32,
                    false => self.qty(),
                };
                let tif = if self.random.chance(1, 6) { TimeInForce::Ioc } else { TimeInForce::Gtc };
                command.side_tif = Command::side_tif(Side::Buy, tif);
                let post_only = tif == TimeInForce::Gtc && self.random.chance(1, 6);
                command.flags = Command::flags(*self.random.pick(&SelfTrade::ALL), post_only, relative);
            }
            _ => {}
        }
        let (session, payload) = self.order(books, session, command);
        if kind != Kind::Cancel || !self.random.chance(1, 3) {
            return (session, payload);
        }
        // The venue itself cancels, for the session or on its own.
        let owner = books.order(slot).map_or(0, |order| order.owner);
        let command = Command { owner, ..command };
        let session = if self.random.chance(1, 2) { 0 } else { session };
        let (origin, protocol) = (*self.random.pick(&Origin::ALL[1..]), Protocol::None);
        (session, Payload::Order(Order { command, origin, protocol, message: &[] }))
    }

    fn garbage(&mut self, books: &Books) -> Next {
        let (session, payload) = self.new_order(books);
        let Payload::Order(order) = payload else { return (session, payload) };
        let mut command = order.command;
        match self.random.below(4) {
            0 => command.kind = self.random.below(256) as u8,
            1 => command.side_tif = self.random.below(9) as u8,
            2 => command.flags = self.random.below(17) as u8,
            _ => command.ring = self.random.below(128) as u8,
        }
        (session, Payload::Order(Order { command, ..order }))
    }

    fn transfer(&mut self) -> Payload<'static> {
        if !self.random.chance(1, 4) {
            self.transfer_id += 1;
        }
        // The same id means the same transfer, mostly.
        let mut once = Random::new(self.transfer_id as u64);
        let id = self.transfer_id;
        let (from, to) = (once.below(9) as u32, once.below(9) as u32);
        let amount = i128::from(once.below(2000)) - i128::from(self.random.chance(1, 10));
        Payload::Transfer(Transfer { id, from, to, asset: once.below(3) as u16, amount })
    }

    /// A chain: mostly one that may apply, of legs that begin something, or end what pends.
    fn chain(&mut self, books: &Books) -> Payload<'static> {
        let legs: Vec<Leg> = (0..self.random.between(1, 4)).map(|_| self.leg(books)).collect();
        let mut bytes = Vec::new();
        match Chain::new(&legs, &mut bytes).is_some() {
            // A payload lives as long as the test; there are a few thousand of these at most.
            true => Payload::Chain(Chain::from_bytes(bytes.leak()).expect("just encoded")),
            false => Payload::Transfer(legs[0].transfer),
        }
    }

    fn leg(&mut self, books: &Books) -> Leg {
        let pends = books.ledger().pending.iter();
        let pick = self.random.below(pends.len().max(1) as u64) as usize;
        if !self.random.chance(1, 9) {
            self.transfer_id += 1;
        }
        let id = self.transfer_id;
        if let Some(pend) = books.ledger().pending.iter().nth(pick).filter(|_| self.random.chance(2, 3)) {
            let action = *self.random.pick(&[Action::Post, Action::Void, Action::Expire]);
            let mut transfer = Transfer { id, ..pend.transfer };
            match action {
                Action::Post => transfer.amount -= i128::from(self.random.below(20)) - 1,
                Action::Expire => transfer.id = pend.transfer.id,
                _ => {}
            }
            if self.random.chance(1, 12) {
                transfer.to = self.random.below(9) as u32;
            }
            return Leg { action, transfer, pending: pend.transfer.id, expires_ns: 0 };
        }
        let (from, to) = (self.random.between(2, 7) as u32, self.random.below(9) as u32);
        let amount = i128::from(self.random.below(200));
        let transfer = Transfer { id, from, to, asset: self.random.below(3) as u16, amount };
        match self.random.below(3) {
            0 => Leg::book(transfer),
            1 => Leg { action: Action::Pend, transfer, pending: 0, expires_ns: 0 },
            _ => {
                let expires_ns = books.last_time_ns() + self.random.below(200_000);
                Leg { action: Action::Pend, transfer, pending: 0, expires_ns }
            }
        }
    }

    fn message(&mut self) -> Payload<'static> {
        let protocol = Protocol::Ouch50;
        if self.random.chance(1, 2) {
            return Payload::Reject(Reject { answer: Answer::Rejected, reason: 3, protocol, message: b"?" });
        }
        Payload::Session(SessionAct { act: *self.random.pick(&Act::ALL), protocol, message: b"!" })
    }

    fn state(&mut self) -> State {
        let instrument = self.random.below(3) as u16;
        match self.random.below(5) {
            0 => State::Day { date: self.date, phase: DayPhase::Close, session_name: [b'd'; 10] },
            1 => {
                self.date += self.random.below(2) as u32;
                State::Day { date: self.date, phase: DayPhase::Open, session_name: [b'o'; 10] }
            }
            2 => State::Halt { instrument, mode: *self.random.pick(&HaltMode::ALL) },
            3 => State::Mark { instrument, price_ticks: self.random.below(99) },
            _ => State::Kill { account: self.random.below(9) as u32, on: self.random.chance(1, 2) },
        }
    }

    fn registry(&mut self, books: &Books) -> Registry {
        let id = self.random.below(3) as u16;
        let account = 2 + self.random.below(6) as u32;
        match self.random.below(9) {
            8 => {
                let most = i128::from(self.random.below(4)) * 5_000;
                let most = if self.random.chance(1, 2) { i128::MAX } else { most };
                Registry::Ceiling(Ceiling { account, asset: id, most })
            }
            0..3 => Registry::Fee(Fee {
                instrument: id,
                maker_ppm: self.random.below(9_000) as i32 - 4_000,
                taker_ppm: self.random.below(9_000) as i32 - 500,
            }),
            3 => Registry::Limits(RiskLimits {
                account,
                max_order_qty: 9,
                max_notional: 1,
                max_open_orders: 3,
                collar_ticks: 2,
                messages_per_second: 1,
                duplicates_per_second: 1,
            }),
            4 => {
                let restricted = self.random.chance(1, 2);
                Registry::Restrict(Restriction { account, instrument: id, restricted })
            }
            5 => {
                let owner = self.random.between(7, 11) as u16;
                Registry::Account(Account { id: account, owner, name: [b'm'; 16], self_trade: 1 })
            }
            6 => {
                let entry = books.registry().instruments()[usize::from(id)].instrument;
                Registry::Instrument(Instrument { band_base: 5 + self.random.below(5), ..entry })
            }
            _ => {
                let id = books.registry().instruments().len() as u16;
                Registry::Instrument(instrument(id.min(4), 2, 1, Rounding::HalfEven))
            }
        }
    }

    fn seal(&mut self, books: &Books) -> Payload<'static> {
        let run = books.seal();
        Payload::Seal(Seal { number: run.number + 1, first_seq: run.first_seq, records: run.records + 1 })
    }
}
