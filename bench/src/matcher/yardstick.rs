//! The yardstick: the book that a good programmer writes on a free afternoon, and does not tune.
//!
//! An array of price levels for each side, three levels of bitmap to find the best of them, orders in a slab that are linked
//! into their level by 32-bit indexes, and an array from order id to slab index. One instrument; orders do not know their owner's
//! other orders.

use wirebook_matcher::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, Side, TimeInForce, event_flags};

use super::engine::{Answer, Engine, Names};
use super::workload::Workload;

const NIL: u32 = u32::MAX;

/// Which ticks of a side have orders: bits, a bit for each word of those, and a bit for each word of these.
struct Bitmap {
    levels: [Vec<u64>; 3],
}

impl Bitmap {
    fn new(ticks: usize) -> Self {
        let words = |bits: usize| vec![0u64; bits.div_ceil(64)];
        let ticks = words(ticks);
        let words_of_ticks = words(ticks.len());
        let top = words(words_of_ticks.len());
        Self { levels: [ticks, words_of_ticks, top] }
    }

    #[inline]
    fn set(&mut self, tick: u32) {
        let mut at = tick as usize;
        for level in &mut self.levels {
            level[at / 64] |= 1 << (at % 64);
            at /= 64;
        }
    }

    #[inline]
    fn clear(&mut self, tick: u32) {
        let mut at = tick as usize;
        for level in &mut self.levels {
            level[at / 64] &= !(1 << (at % 64));
            if level[at / 64] != 0 {
                break;
            }
            at /= 64;
        }
    }

    #[inline]
    fn lowest(&self) -> Option<u32> {
        let top = self.levels[2].iter().position(|word| *word != 0)?;
        let middle = top * 64 + self.levels[2][top].trailing_zeros() as usize;
        let word = middle * 64 + self.levels[1][middle].trailing_zeros() as usize;
        Some((word * 64) as u32 + self.levels[0][word].trailing_zeros())
    }

    #[inline]
    fn highest(&self) -> Option<u32> {
        let top = self.levels[2].iter().rposition(|word| *word != 0)?;
        let middle = top * 64 + 63 - self.levels[2][top].leading_zeros() as usize;
        let word = middle * 64 + 63 - self.levels[1][middle].leading_zeros() as usize;
        Some((word * 64) as u32 + 63 - self.levels[0][word].leading_zeros())
    }
}

#[derive(Clone, Copy)]
struct Level {
    head: u32,
    tail: u32,
}

#[derive(Clone, Copy)]
struct Order {
    id: u32,
    owner: u16,
    side: Side,
    tick: u32,
    leaves: u32,
    prev: u32,
    next: u32,
}

struct BookSide {
    levels: Vec<Level>,
    bitmap: Bitmap,
    side: Side,
    /// The highest bid, or the lowest ask.
    best: Option<u32>,
}

impl BookSide {
    fn new(side: Side, ticks: u32) -> Self {
        let empty = Level { head: NIL, tail: NIL };
        Self { levels: vec![empty; ticks as usize], bitmap: Bitmap::new(ticks as usize), side, best: None }
    }

    /// A level has its first order.
    #[inline]
    fn opened(&mut self, tick: u32) {
        self.bitmap.set(tick);
        let better = match (self.side, self.best) {
            (_, None) => true,
            (Side::Buy, Some(best)) => tick > best,
            (Side::Sell, Some(best)) => tick < best,
        };
        if better {
            self.best = Some(tick);
        }
    }

    /// A level has lost its last order.
    #[inline]
    fn closed(&mut self, tick: u32) {
        self.bitmap.clear(tick);
        if self.best == Some(tick) {
            self.best = if self.side == Side::Buy { self.bitmap.highest() } else { self.bitmap.lowest() };
        }
    }
}

/// The yardstick's book.
pub struct Yardstick {
    /// Bids, then asks.
    sides: [BookSide; 2],
    orders: Vec<Order>,
    free: Vec<u32>,
    /// Slab index by order id; `NIL` when the order is not live.
    by_id: Vec<u32>,
    ticks: u32,
}

impl Engine for Yardstick {
    const NAMES: Names = Names::Numbers;

    fn new(work: &Workload) -> Self {
        let ticks = work.limits.ticks[0];
        Self {
            sides: Side::ALL.map(|side| BookSide::new(side, ticks)),
            orders: Vec::with_capacity(work.limits.slots as usize),
            free: Vec::new(),
            by_id: vec![NIL; work.numbers()],
            ticks,
        }
    }

    #[inline]
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        let mut answer = Answer::new(command, sink);
        match Kind::from_byte(command.kind) {
            Some(Kind::New) => self.new_order(command, &mut answer),
            Some(Kind::Cancel) => self.cancel(command, &mut answer),
            Some(Kind::Reduce) => self.reduce(command, &mut answer),
            Some(Kind::Replace) => self.replace(command, &mut answer),
            Some(Kind::Nop) => answer.tell(EventKind::Done, 0, NO_SLOT, 0, 0, Reason::None, 0, true),
            None => answer.rejected(command, Reason::BadKind),
        }
    }
}

impl Yardstick {
    #[inline]
    fn new_order(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let Some(time_in_force) = command.time_in_force() else {
            return answer.rejected(command, Reason::BadFlags);
        };
        match self.by_id.get(command.slot as usize) {
            None => return answer.rejected(command, Reason::SlotRange),
            Some(index) if *index != NIL => return answer.rejected(command, Reason::SlotLive),
            Some(_) => {}
        }
        if command.instrument != 0 || command.tick >= self.ticks {
            return answer.rejected(command, Reason::TickRange);
        }
        if command.qty == 0 {
            return answer.rejected(command, Reason::QtyRange);
        }
        let order = Order {
            id: command.slot,
            owner: command.owner,
            side: command.side(),
            tick: command.tick,
            leaves: command.qty,
            prev: NIL,
            next: NIL,
        };
        if command.post_only() && self.crosses(&order) {
            return answer.cancelled(order.id, order.tick, order.leaves, Reason::PostOnly);
        }
        if time_in_force == TimeInForce::Fok && !self.can_fill(&order) {
            return answer.cancelled(order.id, order.tick, order.leaves, Reason::FillOrKill);
        }
        self.enter(order, time_in_force, answer);
    }

    #[inline]
    fn cancel(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let Some(index) = self.live(command) else {
            return answer.rejected(command, Reason::NoOrder);
        };
        let Order { id, tick, leaves, .. } = self.orders[index as usize];
        self.remove(index);
        answer.cancelled(id, tick, leaves, Reason::User);
    }

    fn reduce(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let Some(index) = self.live(command) else {
            return answer.rejected(command, Reason::NoOrder);
        };
        let Order { id, tick, leaves, .. } = self.orders[index as usize];
        if command.qty >= leaves {
            self.remove(index);
            return answer.cancelled(id, tick, leaves, Reason::User);
        }
        self.orders[index as usize].leaves -= command.qty;
        answer.tell(EventKind::Reduced, id, NO_SLOT, tick, command.qty, Reason::None, 0, true);
    }

    fn replace(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let Some(index) = self.live(command) else {
            return answer.rejected(command, Reason::NoOrder);
        };
        if command.tick >= self.ticks || command.qty == 0 {
            return answer.rejected(command, Reason::TickRange);
        }
        let Order { id, owner, side, .. } = self.orders[index as usize];
        self.remove(index);
        let (tick, qty) = (command.tick, command.qty);
        answer.tell(EventKind::Replaced, id, id, tick, qty, Reason::None, event_flags::MAKER_FREE, false);
        let order = Order { id, owner, side, tick, leaves: qty, prev: NIL, next: NIL };
        self.enter(order, TimeInForce::Gtc, answer);
    }

    /// Slab index of the live order that a command names, if it is the same owner's.
    #[inline]
    fn live(&self, command: &Command) -> Option<u32> {
        let index = self.by_id.get(command.slot as usize).copied().filter(|index| *index != NIL)?;
        (self.orders[index as usize].owner == command.owner && command.instrument == 0).then_some(index)
    }

    /// The best price of the other side, when the order's limit reaches it.
    #[inline]
    fn best_for(&self, order: &Order) -> Option<u32> {
        let best = self.sides[order.side.opposite() as usize].best?;
        let reaches = if order.side == Side::Buy { best <= order.tick } else { best >= order.tick };
        reaches.then_some(best)
    }

    fn crosses(&self, order: &Order) -> bool {
        self.best_for(order).is_some()
    }

    fn can_fill(&self, order: &Order) -> bool {
        let Some(best) = self.best_for(order) else { return false };
        let makers = &self.sides[order.side.opposite() as usize].levels;
        let makers = match order.side {
            Side::Buy => &makers[best as usize..=order.tick as usize],
            Side::Sell => &makers[order.tick as usize..=best as usize],
        };
        let mut found = 0;
        makers.iter().any(|level| {
            let mut index = level.head;
            while index != NIL && found < u64::from(order.leaves) {
                let maker = &self.orders[index as usize];
                found += u64::from(maker.leaves);
                index = maker.next;
            }
            found >= u64::from(order.leaves)
        })
    }

    /// Trades what can be traded; what is left rests or goes.
    #[inline]
    fn enter(&mut self, mut order: Order, time_in_force: TimeInForce, answer: &mut Answer<impl FnMut(Event)>) {
        while let Some(tick) = self.best_for(&order) {
            let index = self.sides[order.side.opposite() as usize].levels[tick as usize].head;
            let maker = &mut self.orders[index as usize];
            let qty = maker.leaves.min(order.leaves);
            order.leaves -= qty;
            maker.leaves -= qty;
            let (maker_id, maker_done) = (maker.id, maker.leaves == 0);
            let mut freed = 0;
            if maker_done {
                freed |= event_flags::MAKER_FREE;
                self.remove(index);
            }
            let done = order.leaves == 0;
            if done {
                freed |= event_flags::TAKER_FREE;
            }
            answer.tell(EventKind::Fill, order.id, maker_id, tick, qty, Reason::None, freed, done);
            if done {
                return;
            }
        }
        if time_in_force == TimeInForce::Gtc {
            self.rest(order);
            answer.tell(EventKind::Rested, order.id, NO_SLOT, order.tick, order.leaves, Reason::None, 0, true);
        } else {
            answer.cancelled(order.id, order.tick, order.leaves, Reason::ImmediateOrCancel);
        }
    }

    /// Puts an order at the tail of its level.
    #[inline]
    fn rest(&mut self, order: Order) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.orders.push(order);
            self.orders.len() as u32 - 1
        });
        let side = &mut self.sides[order.side as usize];
        let level = &mut side.levels[order.tick as usize];
        let tail = level.tail;
        level.tail = index;
        if tail == NIL {
            level.head = index;
            side.opened(order.tick);
        } else {
            self.orders[tail as usize].next = index;
        }
        self.orders[index as usize] = Order { prev: tail, next: NIL, ..order };
        self.by_id[order.id as usize] = index;
    }

    /// Takes an order out of its level, and frees its place.
    #[inline]
    fn remove(&mut self, index: u32) {
        let Order { id, side, tick, prev, next, .. } = self.orders[index as usize];
        let side = &mut self.sides[side as usize];
        let level = &mut side.levels[tick as usize];
        if prev == NIL {
            level.head = next;
        } else {
            self.orders[prev as usize].next = next;
        }
        if next == NIL {
            level.tail = prev;
        } else {
            self.orders[next as usize].prev = prev;
        }
        if level.head == NIL {
            side.closed(tick);
        }
        self.by_id[id as usize] = NIL;
        self.free.push(index);
    }
}
