//! A flow of orders like that of a lively stock, for demos and load: endless, seeded, the same on every machine.
//!
//! One instrument. A fair price walks; makers place and pull orders around it, takers reach across, and now and then a burst
//! moves the price and drains a side. The flow matches itself on a twin of its own, so it knows at each line what lives, what
//! it has left and what it has traded: it never names an order that is dead, and whoever speaks in totals (as OUCH does) finds
//! them in [`Generated`]. What it says of an order is exact as long as its lines are executed in this order, and nothing else.

use std::collections::VecDeque;

use super::band::Band;
use super::offline::{Offline, OrderState};
use super::orders::{Op, OrderLine};
use super::random::Random;
use crate::abi::Side;
use crate::software::Software;

/// Lots of an ordinary order.
const ROUND_LOT: u32 = 100;
/// Ticks between the middle and the end of the band, unless one asks for others.
const HALF_BAND: u32 = 6000;
/// Ticks behind the fair price at which the farthest order is placed.
const FARTHEST: u64 = 80;
/// How many of the latest orders most changes are about.
const RECENT: usize = 64;
/// An order that has traded so much is not replaced any more: totals stay below what OUCH can say (999,999).
const MOST_EXECUTED: u64 = 900_000;

/// What the flow is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealisticConfig {
    /// Another seed, another flow.
    pub seed: u64,
    /// The price around which it begins; a multiple of the tick size, and more than `half_band` of them.
    pub mid: i64,
    /// Ticks between the middle and either end of the band, at least [`RealisticConfig::LEAST_HALF_BAND`]. The fair price is held within two
    /// thirds of them.
    pub half_band: u32,
    /// The distance of two prices.
    pub tick_size: i64,
    /// How many orders live, about.
    pub live: u32,
}

impl RealisticConfig {
    /// The narrowest half of a band: the farthest order is placed within the third that the fair price leaves.
    pub const LEAST_HALF_BAND: u32 = 4 * FARTHEST as u32;

    /// Ticks from the middle at which the fair price is pushed back.
    const fn leash(&self) -> i64 {
        self.half_band as i64 * 2 / 3
    }
}

impl Default for RealisticConfig {
    /// 100.00 dollars in steps of a cent, at four decimals, 60 dollars up and down, and some 500 orders.
    fn default() -> Self {
        Self { seed: 1, mid: 1_000_000, half_band: HALF_BAND, tick_size: 100, live: 500 }
    }
}

/// A line, and what it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The line.
    pub line: OrderLine,
    /// The order just before the line: `Some`, and live, for `R`, `C` and `U`; `None` for the others.
    pub before: Option<OrderState>,
    /// How many fills the line makes.
    pub fills: u32,
    /// The order just after the line; `None` when it is dead.
    pub after: Option<OrderState>,
    /// Lots that the id has traded over its whole life, after the line, dead or alive.
    pub executed: u64,
}

/// What the market does at present.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Makers come and go.
    Calm,
    /// Takers of this side push the price, for so many more lines.
    Burst { side: Side, lines: u64 },
}

/// The endless flow: an iterator over [`Generated`].
#[derive(Clone, Debug)]
pub struct Realistic {
    config: RealisticConfig,
    random: Random,
    offline: Offline<Software>,
    /// Fair price, in ticks from the middle.
    fair: i64,
    mood: Mood,
    next_id: u64,
    /// Ids that rested once; the dead are removed when they are met.
    rested: Vec<u64>,
    recent: VecDeque<u64>,
}

impl Realistic {
    /// The flow of a configuration, at its start.
    ///
    /// # Panics
    /// When the tick size is not positive, the band is too narrow or its prices do not fit, or `live` is 0 or above 2^20.
    pub fn new(config: RealisticConfig) -> Self {
        let (half_band, least) = (config.half_band, RealisticConfig::LEAST_HALF_BAND);
        assert!(half_band >= least, "half_band: found {half_band}, allowed {least} and more");
        assert!((1..=1 << 20).contains(&config.live), "live: found {}, allowed 1 to 2^20", config.live);
        let half = i64::from(half_band).checked_mul(config.tick_size).expect("the tick size fits the prices");
        let (low, high) = (config.mid.checked_sub(half), config.mid.checked_add(half));
        let (low, high) = (low.expect("the band fits the prices"), high.expect("the band fits the prices"));
        let band = Band::new(low, high, config.tick_size).unwrap_or_else(|error| panic!("{error}"));
        Self {
            random: Random::new(config.seed),
            offline: Offline::new(band, config.live * 2 + 64),
            fair: 0,
            mood: Mood::Calm,
            next_id: 1,
            rested: Vec::new(),
            recent: VecDeque::with_capacity(RECENT + 1),
            config,
        }
    }

    /// The configuration.
    pub const fn config(&self) -> &RealisticConfig {
        &self.config
    }

    /// Every price of the flow lies in this band.
    pub const fn band(&self) -> Band {
        self.offline.band()
    }

    /// No quantity of the flow is larger.
    pub const fn max_qty(&self) -> u32 {
        50 * ROUND_LOT
    }

    /// The flow's own book.
    pub const fn offline(&self) -> &Offline<Software> {
        &self.offline
    }

    /// The next line and what it meets. The flow has no end.
    pub fn next_line(&mut self) -> Generated {
        self.walk();
        let line = self.choose();
        let before = self.offline.order(line.id);
        let (mut fills, mut traded) = (0, 0);
        let done = self.offline.apply(&line, |fill| {
            fills += 1;
            traded += u64::from(fill.qty);
        });
        assert_eq!(done, Ok(()), "the flow refuses its own {line:?}");
        let after = self.offline.order(line.id);
        if line.op.enters() && after.is_some() {
            self.rested.push(line.id);
            self.recent.push_back(line.id);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
        }
        let executed = before.map_or(0, |order| order.executed) + traded;
        Generated { line, before, fills, after, executed }
    }

    /// Moves the fair price, and the mood.
    fn walk(&mut self) {
        self.mood = match self.mood {
            Mood::Calm if self.random.chance(1, 600) => {
                let side = if self.random.chance(1, 2) { Side::Buy } else { Side::Sell };
                Mood::Burst { side, lines: self.random.between(30, 200) }
            }
            Mood::Burst { side, lines } if lines > 0 => Mood::Burst { side, lines: lines - 1 },
            _ => Mood::Calm,
        };
        let (moves, up) = match self.mood {
            Mood::Calm => (self.random.chance(1, 25), self.random.chance(1, 2)),
            Mood::Burst { side, .. } => (self.random.chance(1, 4), self.random.chance(4, 5) == (side == Side::Buy)),
        };
        if moves {
            self.fair += if up { 1 } else { -1 };
        }
        let leash = self.config.leash();
        self.fair = self.fair.clamp(-leash, leash);
    }

    /// The next line: what kind it is depends on the mood, and on how many orders live.
    fn choose(&mut self) -> OrderLine {
        let live = self.offline.summary().live;
        let target = u64::from(self.config.live);
        if live < target / 4 || live == 0 {
            return self.maker();
        }
        if live > target * 2 {
            return self.cancel();
        }
        let dice = self.random.below(100);
        match self.mood {
            Mood::Burst { side, .. } => match dice {
                0..40 => self.taker(side),
                40..75 => self.cancel(),
                75..85 => self.replace(),
                _ => self.maker(),
            },
            Mood::Calm => match dice {
                0..8 => {
                    let side = if self.random.chance(1, 2) { Side::Buy } else { Side::Sell };
                    self.taker(side)
                }
                8..15 => self.replace(),
                15..19 => self.reduce(),
                19..56 if live > target * 3 / 4 => self.cancel(),
                19..40 => self.cancel(),
                _ => self.maker(),
            },
        }
    }

    /// An order that is meant to rest: at the fair price's own side, near more often than far.
    fn maker(&mut self) -> OrderLine {
        let side = if self.random.chance(1, 2) { Side::Buy } else { Side::Sell };
        let op = if self.random.chance(1, 10) { Op::PostOnly } else { Op::Limit };
        let behind = 1 + self.random.run(5, 6, FARTHEST) as i64;
        let price = self.price(side, -behind);
        let qty = self.size();
        self.enter(op, side, price, qty)
    }

    /// An order that is meant to trade: some ticks across the fair price.
    fn taker(&mut self, side: Side) -> OrderLine {
        let (op, across) = match self.random.below(20) {
            0..3 => (Op::FillOrKill, 2),
            3..6 => (Op::Limit, 1),
            _ => (Op::ImmediateOrCancel, 1 + self.random.run(1, 2, 6) as i64),
        };
        let large = matches!(self.mood, Mood::Burst { .. }) && self.random.chance(1, 4);
        let qty = if large { (self.size() * 5).min(self.max_qty()) } else { self.size() };
        let price = self.price(side, across);
        self.enter(op, side, price, qty)
    }

    fn enter(&mut self, op: Op, side: Side, price: i64, qty: u32) -> OrderLine {
        let id = self.next_id;
        self.next_id += 1;
        OrderLine { op, id, side, price, qty }
    }

    fn cancel(&mut self) -> OrderLine {
        let (id, order) = self.target();
        OrderLine { op: Op::Cancel, id, side: order.side, price: order.price, qty: order.leaves }
    }

    fn reduce(&mut self) -> OrderLine {
        let (id, order) = self.target();
        let OrderState { side, price, leaves, .. } = order;
        if leaves == 1 {
            return OrderLine { op: Op::Cancel, id, side, price, qty: leaves };
        }
        let qty = if self.random.chance(1, 20) { leaves } else { self.random.between(1, u64::from(leaves) / 2) as u32 };
        OrderLine { op: Op::Reduce, id, side, price, qty }
    }

    fn replace(&mut self) -> OrderLine {
        let (id, order) = self.target();
        let OrderState { side, price, leaves, executed } = order;
        if executed > MOST_EXECUTED {
            return OrderLine { op: Op::Cancel, id, side, price, qty: leaves };
        }
        let qty = if self.random.chance(1, 2) { leaves } else { self.size() };
        let toward = if self.random.chance(1, 15) { 1 } else { -1 - self.random.run(3, 4, FARTHEST) as i64 };
        OrderLine { op: Op::Replace, id, side, price: self.price(side, toward), qty }
    }

    /// A live order: one of the latest more often than not.
    fn target(&mut self) -> (u64, OrderState) {
        if self.random.chance(3, 5) {
            let at = self.random.below(self.recent.len() as u64) as usize;
            if let Some(found) = self.recent.get(at).and_then(|id| Some((*id, self.offline.order(*id)?))) {
                return found;
            }
        }
        loop {
            let at = self.random.below(self.rested.len() as u64) as usize;
            let id = *self.rested.get(at).expect("an order lives, and so rested");
            if let Some(order) = self.offline.order(id) {
                return (id, order);
            }
            self.rested.swap_remove(at);
        }
    }

    /// A price so many ticks across the fair price, as seen from a side; behind it when negative.
    fn price(&self, side: Side, across: i64) -> i64 {
        let ticks = match side {
            Side::Buy => self.fair + across,
            Side::Sell => self.fair - across,
        };
        self.config.mid + ticks * self.config.tick_size
    }

    /// A size: mostly a round lot or a few, some odd, few large.
    fn size(&mut self) -> u32 {
        let lots = match self.random.below(100) {
            0..15 => return self.random.between(1, u64::from(ROUND_LOT) - 1) as u32,
            15..70 => 1,
            70..90 => self.random.between(2, 4),
            90..99 => self.random.between(5, 10),
            _ => self.random.between(10, 40),
        };
        lots as u32 * ROUND_LOT
    }
}

impl Iterator for Realistic {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        Some(self.next_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    #[test]
    fn the_same_seed_gives_the_same_flow_and_another_seed_another() {
        let flow = |seed| Realistic::new(RealisticConfig { seed, ..RealisticConfig::default() }).take(5000);
        assert!(flow(7).eq(flow(7)));
        assert!(!flow(7).eq(flow(8)));
    }

    /// What a line says of its order holds on a book that was fed the lines alone, and totals can be made of it.
    #[test]
    fn what_is_told_of_each_order_is_exact() {
        let mut flow = Realistic::new(RealisticConfig { seed: 3, live: 200, ..RealisticConfig::default() });
        let mut book = Offline::<Reference>::new(flow.band(), 1000);
        let mut by_op = [0u32; Op::ALL.len()];
        let (mut filled, mut widest) = (0, 0);
        for told in flow.by_ref().take(60_000) {
            let Generated { line, before, fills, after, executed } = told;
            assert_eq!(book.order(line.id), before, "{told:?}");
            assert_eq!(before.is_none(), line.op.enters(), "{told:?}: changes are about live orders");
            let mut count = 0;
            book.apply(&line, |_| count += 1).unwrap();
            assert_eq!((count, book.order(line.id)), (fills, after), "{told:?}");
            if let Some(after) = after {
                assert_eq!(after.executed, executed, "{told:?}");
                widest = widest.max(flow_distance(line.price));
            }
            if line.op == Op::Reduce {
                assert!(line.qty <= before.unwrap().leaves, "{told:?}: the new total is not below what is executed");
            }
            assert!((1..=5000).contains(&line.qty), "{told:?}");
            by_op[Op::ALL.iter().position(|op| *op == line.op).unwrap()] += 1;
            filled += u32::from(fills > 0);
        }
        assert!(by_op.iter().all(|count| *count > 250), "{by_op:?}");
        assert!(filled > 3000, "{filled} lines trade");
        assert!(widest > 100, "the price walks: {widest}");
        let live = book.summary().live;
        assert!((50..=400).contains(&live), "{live} orders live");
    }

    fn flow_distance(price: i64) -> i64 {
        (price - 1_000_000).abs() / 100
    }

    /// However far the price would walk, and however far behind it an order is placed: a flow never leaves its band.
    #[test]
    fn a_narrow_band_holds_its_flow() {
        let half_band = RealisticConfig::LEAST_HALF_BAND;
        let mut flow = Realistic::new(RealisticConfig { seed: 5, half_band, ..RealisticConfig::default() });
        assert_eq!(flow.band().ticks(), 2 * half_band + 1);
        let farthest = flow.by_ref().take(200_000).map(|told| flow_distance(told.line.price)).max().unwrap();
        assert!((200..=i64::from(half_band)).contains(&farthest), "{farthest} ticks from the middle");
    }

    #[test]
    fn a_small_and_a_large_book_run_too() {
        for live in [1, 2, 20_000] {
            let mut flow = Realistic::new(RealisticConfig { live, ..RealisticConfig::default() });
            let orders = flow.by_ref().take(100_000).filter(|told| told.line.op.enters()).count();
            assert!(orders > 20_000, "{orders} of {live}");
        }
    }
}
