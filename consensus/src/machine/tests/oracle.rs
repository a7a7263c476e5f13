//! A second opinion on money: who must own what, from the records and the events alone, by plain arithmetic on the
//! registry's mantissas and exponents. Shares no code with rates, ledger or booking.

use std::collections::{BTreeMap, BTreeSet};

use wirebook_matcher::abi::{Event, EventKind, Side};

use crate::ledger::Posting;
use crate::machine::{Books, Sink};
use crate::record::{Action, Asset, Chain, Fee, Instrument, Payload, Record, Registry, Rounding};

/// See the module.
#[derive(Default)]
pub(crate) struct Oracle {
    assets: BTreeMap<u16, Asset>,
    instruments: BTreeMap<u16, Instrument>,
    fees: BTreeMap<u16, Fee>,
    transfers: BTreeSet<u128>,
    /// Until when each pend can be posted or voided, and its amount.
    pends: BTreeMap<u128, (u64, i128)>,
    /// Available and reserved together.
    totals: BTreeMap<(u32, u16), i128>,
    /// Account and side by slot, of live orders.
    holders: BTreeMap<u32, (u32, Side, u16)>,
    pub fills: u64,
}

/// What one record brought about.
#[derive(Default)]
pub(crate) struct Gathered {
    pub events: Vec<(Event, Option<u64>)>,
    pub postings: Vec<Posting>,
}

impl Sink for Gathered {
    fn event(&mut self, _: &Record<'_>, event: &Event, match_number: Option<u64>, _: &Books) {
        self.events.push((*event, match_number));
    }

    fn posting(&mut self, posting: &Posting) {
        self.postings.push(*posting);
    }
}

/// `digits * 10^exponent` as a fraction.
fn fraction(digits: i128, exponent: i32) -> (i128, i128) {
    let power = 10i128.pow(exponent.unsigned_abs());
    if exponent >= 0 { (digits * power, 1) } else { (digits, power) }
}

impl Oracle {
    /// Follows one record that applied; says what differs from the books.
    pub fn follow(&mut self, record: &Record<'_>, gathered: &Gathered, books: &Books) -> Result<(), String> {
        match record.payload {
            Payload::Registry(Registry::Asset(asset)) => drop(self.assets.insert(asset.id, asset)),
            Payload::Registry(Registry::Instrument(new)) => drop(self.instruments.insert(new.id, new)),
            Payload::Registry(Registry::Fee(fee)) => drop(self.fees.insert(fee.instrument, fee)),
            Payload::Transfer(transfer) if self.transfers.insert(transfer.id) => {
                self.add(transfer.from, transfer.asset, -transfer.amount);
                self.add(transfer.to, transfer.asset, transfer.amount);
            }
            Payload::Chain(chain) => self.chain(record.header.time_ns, &chain)?,
            Payload::Order(order) if order.command.kind == 1 => {
                let account = books.registry().session(record.header.session).expect("it applied").account;
                let command = order.command;
                if !gathered.events.iter().any(|(event, _)| event.kind == EventKind::Rejected) {
                    self.holders.insert(command.slot, (account, command.side(), command.instrument));
                }
            }
            _ => {}
        }
        for (event, match_number) in &gathered.events {
            self.happened(event, *match_number)?;
        }
        self.compare(books, gathered)
    }

    /// All legs of a chain happen, or it repeats one that did.
    fn chain(&mut self, now: u64, chain: &Chain<'_>) -> Result<(), String> {
        let legs: Vec<_> = chain.legs().collect();
        let repeated = |leg: &crate::record::Leg| self.transfers.contains(&leg.transfer.id);
        if legs[0].action != Action::Expire && repeated(&legs[0]) {
            return if legs.iter().all(repeated) { Ok(()) } else { Err("a chain is repeated in part".to_owned()) };
        }
        for leg in legs {
            let transfer = leg.transfer;
            let moved = match leg.action {
                Action::Book => true,
                Action::Pend => {
                    let until = if leg.expires_ns == 0 { u64::MAX } else { leg.expires_ns };
                    self.pends.insert(transfer.id, (until, transfer.amount));
                    false
                }
                Action::Post | Action::Void | Action::Expire => {
                    let Some((until, held)) = self.pends.remove(&leg.pending) else {
                        return Err(format!("{leg:?} ends what does not pend"));
                    };
                    if (leg.action == Action::Expire) != (until <= now) || transfer.amount > held {
                        return Err(format!("{leg:?} at {now}, until {until} of {held}"));
                    }
                    leg.action == Action::Post
                }
            };
            if leg.action != Action::Expire && !self.transfers.insert(transfer.id) {
                return Err(format!("{leg:?} was booked before"));
            }
            if moved {
                self.add(transfer.from, transfer.asset, -transfer.amount);
                self.add(transfer.to, transfer.asset, transfer.amount);
            }
        }
        Ok(())
    }

    fn happened(&mut self, event: &Event, match_number: Option<u64>) -> Result<(), String> {
        if event.kind == EventKind::Replaced {
            let holder = self.holders[&event.maker];
            self.holders.insert(event.taker, holder);
        }
        if event.kind == EventKind::Fill {
            self.fills += 1;
            self.trade(event);
        }
        let expected = (event.kind == EventKind::Fill).then_some(self.fills);
        if match_number != expected {
            return Err(format!("match number {match_number:?}, expected {expected:?}"));
        }
        if event.maker_free() {
            self.holders.remove(&event.maker);
        }
        if event.taker_free() {
            self.holders.remove(&event.taker);
        }
        Ok(())
    }

    fn trade(&mut self, event: &Event) {
        let (taker, side, id) = self.holders[&event.taker];
        let (maker, ..) = self.holders[&event.maker];
        let i = self.instruments[&id];
        let (base, quote) = (self.assets[&i.base], self.assets[&i.quote]);
        let qty = i128::from(event.qty);
        let price = i128::from(i.band_base + u64::from(event.tick));
        let digits = price * i128::from(i.tick.mantissa) * i128::from(i.lot.mantissa) * i128::from(i.multiplier) * qty;
        let exponent = i32::from(i.tick.exponent) + i32::from(i.lot.exponent) - i32::from(quote.exponent);
        let (value, one) = fraction(digits, exponent);
        assert_eq!(value % one, 0);
        let value = value / one;
        let (lots, one) =
            fraction(i128::from(i.lot.mantissa) * qty, i32::from(i.lot.exponent) - i32::from(base.exponent));
        let lots = lots / one;
        let (buyer, seller) = if side == Side::Buy { (taker, maker) } else { (maker, taker) };
        self.add(buyer, i.quote, -value);
        self.add(seller, i.quote, value);
        self.add(seller, i.base, -lots);
        self.add(buyer, i.base, lots);
        let fee = self.fees.get(&id).copied().unwrap_or(Fee { instrument: id, maker_ppm: 0, taker_ppm: 0 });
        for (account, ppm) in [(maker, fee.maker_ppm), (taker, fee.taker_ppm)] {
            let product = value * i128::from(ppm);
            let (floor, rest) = (product.abs() / 1_000_000, product.abs() % 1_000_000);
            let up = match i.rounding {
                Rounding::Down => false,
                Rounding::Up => rest != 0,
                Rounding::HalfEven => 2 * rest > 1_000_000 || 2 * rest == 1_000_000 && floor % 2 == 1,
            };
            let fee = (floor + i128::from(up)) * product.signum();
            self.add(account, i.quote, -fee);
            self.add(1, i.quote, fee);
        }
    }

    fn add(&mut self, account: u32, asset: u16, amount: i128) {
        *self.totals.entry((account, asset)).or_default() += amount;
    }

    fn compare(&mut self, books: &Books, gathered: &Gathered) -> Result<(), String> {
        self.totals.retain(|_, total| *total != 0);
        let found: BTreeMap<_, _> = books
            .ledger()
            .balances()
            .map(|(account, asset, balance)| ((account, asset), balance.total()))
            .filter(|(_, total)| *total != 0)
            .collect();
        if found != self.totals {
            return Err(format!("balances {found:?}, expected {:?}", self.totals));
        }
        if gathered.postings.iter().any(|posting| posting.amount <= 0 || posting.seq != books.last_seq()) {
            return Err(format!("postings {:?}", gathered.postings));
        }
        if books.ledger().pending.iter().map(|leg| leg.transfer.id).ne(self.pends.keys().copied()) {
            return Err(format!("pends {:?}, expected {:?}", books.ledger().pending, self.pends));
        }
        if books.fills() != self.fills {
            return Err(format!("{} fills, expected {}", books.fills(), self.fills));
        }
        Ok(())
    }
}
