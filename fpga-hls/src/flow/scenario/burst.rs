//! The five scenarios in the spirit of the public matching-engine benchmark (arXiv 2606.01183): short-lived orders that
//! arrive in no order of price.
//!
//! Every order is placed on its own side of the middle as it stands at a random point of the scenario's path, as if a whole
//! day's orders had been shuffled: neighbours in time lie far apart in price wherever the path does. How deep it lies behind the
//! middle follows a power law (exponent 2.23) with a hump about 8 ticks out. 15% are immediate-or-cancel. Of the others 20% are
//! replaced once, one lot larger and mostly one tick nearer, and 95% are cancelled a few orders after they came, so that nearly
//! every cancel names an order just sent; the rest stand until they trade. Orders cross where the path lets them.
//!
//! A cancel of what has traded meanwhile is not sent: a gateway knows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::super::orders::{Op, OrderLine};
use super::super::random::Random;
use super::path::{POINTS, Shape, path};
use super::{Book, TICK_SIZE};
use crate::abi::Side;

/// Orders live at most; beyond it the one that stands longest is cancelled. A million orders do not get there.
pub(super) const MOST_LIVE: u64 = 60_000;
/// Ticks behind the middle beyond which an order lies deep, and lives longer.
const DEEP: u32 = 16;

/// What is to be done to an order that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Replace,
    Cancel,
}

/// Makes the lines of one scenario.
#[derive(Clone, Debug)]
pub(super) struct Burst {
    /// The middle along the path, by side.
    paths: [Vec<u32>; 2],
    /// Orders sent.
    sent: u64,
    /// Changes by the number of orders after which they are due.
    due: BinaryHeap<Reverse<(u64, u64, Change)>>,
    /// Orders that nothing is planned for, oldest first; the dead are dropped when they are met.
    standing: VecDeque<u64>,
    /// Ticks behind the middle of the order on its way.
    depth: u32,
}

impl Burst {
    pub(super) fn new(shape: Shape, random: &mut Random) -> Self {
        let paths = Side::ALL.map(|side| path(shape, side, random));
        Self { paths, sent: 0, due: BinaryHeap::new(), standing: VecDeque::new(), depth: 0 }
    }

    /// The next line: a change that is due, or an order.
    pub(super) fn choose(&mut self, random: &mut Random, book: &Book) -> OrderLine {
        while book.summary().live > MOST_LIVE {
            let oldest = self.standing.pop_front().expect("what nothing is planned for is most of what lives");
            if let Some(line) = Self::cancel(oldest, book) {
                return line;
            }
        }
        while let Some(Reverse((_, id, change))) = self.due.peek().copied().filter(|due| due.0.0 <= self.sent) {
            self.due.pop();
            let line = match change {
                Change::Replace => Self::replace(id, random, book),
                Change::Cancel => Self::cancel(id, book),
            };
            if let Some(line) = line {
                return line;
            }
        }
        self.enter(random)
    }

    /// Plans what becomes of an order that has come to rest.
    pub(super) fn rested(&mut self, id: u64, random: &mut Random) {
        let mut at = self.sent;
        if random.chance(1, 5) {
            at += random.run(1, 4, 20);
            self.due.push(Reverse((at, id, Change::Replace)));
        }
        if random.chance(95, 100) {
            at += if self.depth > DEEP { random.run(2, 3, 60) } else { random.run(1, 4, 20) };
            self.due.push(Reverse((at, id, Change::Cancel)));
        } else {
            self.standing.push_back(id);
        }
    }

    fn enter(&mut self, random: &mut Random) -> OrderLine {
        self.sent += 1;
        self.depth = depth(random);
        let side = if random.chance(1, 2) { Side::Buy } else { Side::Sell };
        let op = if random.chance(15, 100) { Op::ImmediateOrCancel } else { Op::Limit };
        let middle = self.paths[side as usize][random.below(POINTS as u64) as usize];
        let tick = match side {
            Side::Buy => middle - self.depth,
            Side::Sell => middle + self.depth,
        };
        let qty = random.between(1, 100) as u32;
        OrderLine { op, id: self.sent, side, price: i64::from(tick) * TICK_SIZE, qty }
    }

    fn replace(id: u64, random: &mut Random, book: &Book) -> Option<OrderLine> {
        let order = book.order(id)?;
        let nearer = if random.chance(4, 5) { TICK_SIZE } else { 0 };
        let price = match order.side {
            Side::Buy => order.price + nearer,
            Side::Sell => order.price - nearer,
        };
        Some(OrderLine { op: Op::Replace, id, side: order.side, price, qty: order.leaves + 1 })
    }

    fn cancel(id: u64, book: &Book) -> Option<OrderLine> {
        let order = book.order(id)?;
        Some(OrderLine { op: Op::Cancel, id, side: order.side, price: order.price, qty: order.leaves })
    }
}

/// Ticks behind the middle: half in a hump from 1 to 15, half by a power law, of which each doubling of the distance is
/// 2^-1.23 times as likely as the one before.
fn depth(random: &mut Random) -> u32 {
    if random.chance(1, 2) {
        return 1 + (random.below(8) + random.below(8)) as u32;
    }
    let octave = random.run(426, 1000, 9);
    ((1 << octave) + random.below(1 << octave)) as u32
}
