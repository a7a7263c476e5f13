//! The two mixes whose cancels name any live order: a calm market of some ten thousand orders, and a million of them.
//!
//! 47% passive orders, 43% cancels, 5% replaces, 5% immediate-or-cancel orders that reach across, once as many orders live as
//! shall. Where that would let the book grow or shrink for good, passive orders and cancels change places.

use super::super::ids::Ids;
use super::super::orders::{Op, OrderLine};
use super::super::random::Random;
use super::{Book, TICK_SIZE};
use crate::abi::Side;

/// Ticks of the band.
pub(super) const TICKS: u32 = 4096;
/// Ticks across the middle to which takers reach.
const ACROSS: i64 = 3;

/// How many orders live, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Orders that live, about.
    pub(super) live: u32,
    /// Ticks behind the middle of the farthest order.
    pub(super) farthest: u64,
    /// Whether orders lie anywhere up to the farthest; otherwise they thin out, 30 ticks behind the middle on average.
    pub(super) even: bool,
    /// Ticks from the band's middle to where its walk turns back.
    pub(super) leash: i64,
}

/// Makes the lines of one mix.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    size: Size,
    /// Live ids in no order that means anything, and where each stands there.
    live: Vec<u64>,
    at: Ids,
    sent: u64,
    middle: i64,
    full: bool,
}

impl Mix {
    pub(super) fn new(size: Size) -> Self {
        let middle = i64::from(TICKS / 2);
        Self { size, live: Vec::new(), at: Ids::default(), sent: 0, middle, full: false }
    }

    /// The next line.
    pub(super) fn choose(&mut self, random: &mut Random, book: &Book) -> OrderLine {
        if random.chance(1, 1000) {
            let middle = self.middle + if random.chance(1, 2) { 1 } else { -1 };
            let centre = i64::from(TICKS / 2);
            self.middle = middle.clamp(centre - self.size.leash, centre + self.size.leash);
        }
        let (live, wanted) = (self.live.len() as u64, u64::from(self.size.live));
        self.full |= live >= wanted;
        if !self.full || live == 0 {
            return self.passive(random);
        }
        match random.below(100) {
            0..43 if live * 10 < wanted * 9 => self.passive(random),
            0..43 => self.cancel(random, book),
            43..90 if live > wanted && random.chance(1, 10) => self.cancel(random, book),
            43..90 => self.passive(random),
            90..95 => self.replace(random, book),
            _ => self.aggressive(random),
        }
    }

    /// An order has come to rest.
    pub(super) fn rested(&mut self, id: u64) {
        if self.at.get(id).is_none() {
            self.at.insert(id, self.live.len() as u32);
            self.live.push(id);
        }
    }

    /// An order is dead; it may never have rested.
    pub(super) fn died(&mut self, id: u64) {
        if let Some(at) = self.at.remove(id) {
            self.live.swap_remove(at as usize);
            if let Some(moved) = self.live.get(at as usize) {
                self.at.insert(*moved, at);
            }
        }
    }

    fn passive(&mut self, random: &mut Random) -> OrderLine {
        let side = *random.pick(&Side::ALL);
        let price = self.behind(side, random);
        self.enter(Op::Limit, side, price, random.between(1, 100) as u32)
    }

    fn aggressive(&mut self, random: &mut Random) -> OrderLine {
        let side = *random.pick(&Side::ALL);
        let price = self.price(side, ACROSS);
        self.enter(Op::ImmediateOrCancel, side, price, random.between(1, 60) as u32)
    }

    fn enter(&mut self, op: Op, side: Side, price: i64, qty: u32) -> OrderLine {
        self.sent += 1;
        OrderLine { op, id: self.sent, side, price, qty }
    }

    fn cancel(&self, random: &mut Random, book: &Book) -> OrderLine {
        let id = *random.pick(&self.live);
        let order = book.order(id).expect("it is live");
        OrderLine { op: Op::Cancel, id, side: order.side, price: order.price, qty: order.leaves }
    }

    fn replace(&self, random: &mut Random, book: &Book) -> OrderLine {
        let id = *random.pick(&self.live);
        let side = book.order(id).expect("it is live").side;
        let price = self.behind(side, random);
        OrderLine { op: Op::Replace, id, side, price, qty: random.between(1, 100) as u32 }
    }

    /// A price behind the middle, as seen from a side.
    fn behind(&self, side: Side, random: &mut Random) -> i64 {
        let Size { farthest, even, .. } = self.size;
        let ticks = if even { random.between(1, farthest) } else { 1 + random.run(29, 30, farthest - 1) };
        self.price(side, -(ticks as i64))
    }

    fn price(&self, side: Side, across: i64) -> i64 {
        let tick = match side {
            Side::Buy => self.middle + across,
            Side::Sell => self.middle - across,
        };
        assert!((1..=i64::from(TICKS)).contains(&tick), "the leash keeps tick {tick} in the band");
        tick * TICK_SIZE
    }
}
