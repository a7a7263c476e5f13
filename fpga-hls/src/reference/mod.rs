//! The reference matcher: plain and obviously right, for tests and oracles.
//!
//! A side of a book is a `BTreeMap` from tick to the queue of the slots that rest there, oldest first; an order is what
//! [`Twin::order`] hands out. Nothing is indexed, cached or linked, so that each rule stands in one place and reads like
//! `The beats`: [`checks`] says what is refused, this file what an accepted command does. It is slow where queues are long
//! (a cancel searches its queue), and it allocates as it goes.
//!
//! [`Fault`] breaks one rule at a time, so that whatever compares a matcher with this one can show that it would notice.

mod checks;
mod consistency;
mod fault;

use std::collections::{BTreeMap, VecDeque};

use crate::abi::{Command, Event, EventKind, Kind, Limits, NO_SLOT, Reason, SelfTrade, Side, TimeInForce, event_flags};
use crate::consistency::Broken;
use crate::matcher::{Resting, RestoreError, Twin};

pub use fault::Fault;

/// One side of a book: the slots at each tick, oldest first. No queue is empty.
type Levels = BTreeMap<u32, VecDeque<u32>>;

/// The books of one instrument.
#[derive(Clone, Debug, Default)]
struct Book {
    bids: Levels,
    asks: Levels,
}

impl Book {
    fn side(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The best tick of a side: the highest bid, the lowest ask.
    fn best(&self, side: Side) -> Option<u32> {
        match side {
            Side::Buy => self.bids.keys().next_back().copied(),
            Side::Sell => self.asks.keys().next().copied(),
        }
    }

    /// The levels of a side, best first.
    fn best_first(&self, side: Side) -> Box<dyn Iterator<Item = (u32, &VecDeque<u32>)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(|(tick, queue)| (*tick, queue))),
            Side::Sell => Box::new(self.asks.iter().map(|(tick, queue)| (*tick, queue))),
        }
    }
}

/// An order on its way into the book.
#[derive(Clone, Copy, Debug)]
struct Taker {
    slot: u32,
    instrument: u16,
    owner: u16,
    side: Side,
    tick: u32,
    leaves: u32,
    time_in_force: TimeInForce,
    self_trade: SelfTrade,
    post_only: bool,
}

impl Taker {
    /// Whether the taker's limit reaches a maker at this tick.
    fn reaches(&self, tick: u32) -> bool {
        match self.side {
            Side::Buy => tick <= self.tick,
            Side::Sell => tick >= self.tick,
        }
    }
}

/// One side of the command's dialogue: numbers its events.
struct Answer<F> {
    seq: u64,
    index: u32,
    sink: F,
}

impl<F: FnMut(Event)> Answer<F> {
    fn tell(&mut self, kind: EventKind, taker: u32, maker: u32, tick: u32, qty: u32) -> Event {
        let index = self.index;
        self.index += 1;
        Event { seq: self.seq, taker, maker, tick, qty, index, kind, reason: Reason::None, freed: 0, last: false }
    }

    /// `rejected`: the last event of its command.
    fn rejected(&mut self, command: &Command, reason: Reason) {
        let event = self.tell(EventKind::Rejected, command.slot, NO_SLOT, command.tick, command.qty);
        (self.sink)(Event { reason, last: true, ..event });
    }

    /// `cancelled` of the order that the command is about: the last event of its command.
    fn cancelled(&mut self, slot: u32, tick: u32, qty: u32, reason: Reason) {
        let event = self.tell(EventKind::Cancelled, slot, NO_SLOT, tick, qty);
        (self.sink)(Event { reason, freed: event_flags::TAKER_FREE, last: true, ..event });
    }
}

/// The reference matcher.
#[derive(Clone, Debug)]
pub struct Reference {
    limits: Limits,
    books: Vec<Book>,
    orders: Vec<Option<Resting>>,
    fault: Option<Fault>,
}

impl Reference {
    /// A reference in which one rule is broken on purpose.
    ///
    /// # Panics
    /// When the limits do not validate.
    pub fn planted(limits: Limits, fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::new(limits) }
    }

    /// Looks for a contradiction within the book.
    ///
    /// # Errors
    /// Names the first one.
    pub fn check(&self) -> Result<(), Broken> {
        consistency::check(self)
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn live(&self, slot: u32) -> &Resting {
        self.orders[slot as usize].as_ref().expect("a slot in a queue holds a live order")
    }

    fn book_mut(&mut self, instrument: u16) -> &mut Book {
        &mut self.books[usize::from(instrument)]
    }

    /// Puts an order at the tail of its price.
    fn push(&mut self, order: Resting) {
        let place = &mut self.orders[order.slot as usize];
        assert!(place.is_none() && order.leaves > 0, "slot {} is free and gets something", order.slot);
        *place = Some(order);
        self.book_mut(order.instrument).side_mut(order.side).entry(order.tick).or_default().push_back(order.slot);
    }

    /// Takes an order out of the book.
    fn remove(&mut self, slot: u32) -> Resting {
        let order = self.orders[slot as usize].take().expect("only a live order is removed");
        let levels = self.book_mut(order.instrument).side_mut(order.side);
        let queue = levels.get_mut(&order.tick).expect("a live order has a level");
        let before = queue.len();
        queue.retain(|other| *other != slot);
        assert_eq!(queue.len() + 1, before, "slot {slot} stands in its queue once");
        if queue.is_empty() {
            levels.remove(&order.tick);
        }
        order
    }

    /// Takes `amount`, less than all, off an order, which keeps its place.
    fn lessen(&mut self, slot: u32, amount: u32) {
        let order = self.orders[slot as usize].as_mut().expect("only a live order is lessened");
        assert!(amount < order.leaves, "something is left of slot {slot}");
        order.leaves -= amount;
    }

    /// The order that a taker would meet next: the oldest at the best price, if the limit reaches it.
    fn next_maker(&self, taker: &Taker) -> Option<Resting> {
        let book = &self.books[usize::from(taker.instrument)];
        let tick = book.best(taker.side.opposite())?;
        if !taker.reaches(tick) && !self.has(Fault::ThroughTheLimit) {
            return None;
        }
        let queue = &book.side(taker.side.opposite())[&tick];
        let slot = if self.has(Fault::LastInFirstOut) { queue.back() } else { queue.front() };
        Some(*self.live(*slot.expect("no queue is empty")))
    }

    /// Whether self-trade prevention keeps the two from trading.
    fn prevented(&self, taker: &Taker, maker: &Resting) -> bool {
        let exempt = taker.owner == 0 && !self.has(Fault::OwnerZeroCompared);
        taker.self_trade != SelfTrade::Off && taker.owner == maker.owner && !exempt
    }

    /// Whether a fill-or-kill order can fill: enough stands within its limit that it may trade with.
    fn can_fill(&self, taker: &Taker) -> bool {
        let mut found = 0u64;
        let book = &self.books[usize::from(taker.instrument)];
        for (tick, queue) in book.best_first(taker.side.opposite()) {
            if !taker.reaches(tick) {
                break;
            }
            for maker in queue.iter().map(|slot| self.live(*slot)) {
                if self.prevented(taker, maker) && !self.has(Fault::FillOrKillCountsOwn) {
                    match taker.self_trade {
                        SelfTrade::CancelOldest => continue,
                        _ if self.has(Fault::FillOrKillLooksPastOwn) => continue,
                        _ => return found >= u64::from(taker.leaves),
                    }
                }
                found += u64::from(maker.leaves);
            }
        }
        found >= u64::from(taker.leaves)
    }

    /// A new order, or the second half of a replace: trades what it can, and rests or goes.
    fn enter(&mut self, mut taker: Taker, answer: &mut Answer<impl FnMut(Event)>) {
        if taker.post_only && self.would_cross(&taker) {
            return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::PostOnly);
        }
        let kills = taker.time_in_force == TimeInForce::Fok && !self.has(Fault::FillOrKillFillsPartly);
        if kills && !self.can_fill(&taker) {
            return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::FillOrKill);
        }
        let mut first_tick = None;
        while let Some(maker) = self.next_maker(&taker) {
            if self.has(Fault::OneLevelOnly) && *first_tick.get_or_insert(maker.tick) != maker.tick {
                break;
            }
            if self.prevented(&taker, &maker) {
                if self.self_trade(&taker, &maker, answer) {
                    return;
                }
            } else {
                self.fill(&mut taker, &maker, answer);
                if taker.leaves == 0 {
                    return;
                }
            }
        }
        if taker.time_in_force != TimeInForce::Gtc && !self.has(Fault::RemainderRests) {
            return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::ImmediateOrCancel);
        }
        let Taker { slot, instrument, owner, side, tick, leaves, .. } = taker;
        self.push(Resting { slot, instrument, owner, side, tick, leaves });
        let event = answer.tell(EventKind::Rested, slot, NO_SLOT, tick, leaves);
        (answer.sink)(Event { last: true, ..event });
    }

    /// Whether a post-only order would cross; self-trade does not matter.
    fn would_cross(&self, taker: &Taker) -> bool {
        match self.next_maker(taker) {
            Some(maker) => !(self.has(Fault::PostOnlyAfterSelfTrade) && self.prevented(taker, &maker)),
            None => false,
        }
    }

    /// Trades what both have. The price is the maker's; a maker that is not complete stays first.
    fn fill(&mut self, taker: &mut Taker, maker: &Resting, answer: &mut Answer<impl FnMut(Event)>) {
        let qty = taker.leaves.min(maker.leaves);
        taker.leaves -= qty;
        let mut freed = 0;
        if qty == maker.leaves {
            self.remove(maker.slot);
            if !self.has(Fault::MakerNotFreed) {
                freed |= event_flags::MAKER_FREE;
            }
        } else {
            self.lessen(maker.slot, qty);
            if self.has(Fault::PartialFillLosesPriority) {
                let rest = self.remove(maker.slot);
                self.push(rest);
            }
        }
        if taker.leaves == 0 {
            freed |= event_flags::TAKER_FREE;
        }
        let tick = if self.has(Fault::TakersPrice) { taker.tick } else { maker.tick };
        let event = answer.tell(EventKind::Fill, taker.slot, maker.slot, tick, qty);
        (answer.sink)(Event { freed, last: taker.leaves == 0, ..event });
    }

    /// What the taker's mode does to a fill with its own owner. Whether the taker is gone.
    fn self_trade(&mut self, taker: &Taker, maker: &Resting, answer: &mut Answer<impl FnMut(Event)>) -> bool {
        let (maker_goes, taker_goes) = match taker.self_trade {
            SelfTrade::Off => unreachable!("a fill is prevented only with a mode"),
            SelfTrade::CancelNewest => (false, true),
            SelfTrade::CancelOldest => (true, false),
            SelfTrade::CancelBoth => (true, !self.has(Fault::BothSparesTheTaker)),
        };
        if maker_goes {
            self.remove(maker.slot);
            let event = answer.tell(EventKind::Cancelled, taker.slot, maker.slot, maker.tick, maker.leaves);
            (answer.sink)(Event { reason: Reason::SelfTrade, freed: event_flags::MAKER_FREE, ..event });
        }
        if taker_goes {
            answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::SelfTrade);
        }
        taker_goes
    }

    fn cancel(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let order = self.remove(command.slot);
        answer.cancelled(order.slot, order.tick, order.leaves, Reason::User);
    }

    fn reduce(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let order = *self.live(command.slot);
        if command.qty >= order.leaves {
            return self.cancel(command, answer);
        }
        self.lessen(command.slot, command.qty);
        if self.has(Fault::ReduceLosesPriority) {
            let rest = self.remove(command.slot);
            self.push(rest);
        }
        let event = answer.tell(EventKind::Reduced, order.slot, NO_SLOT, order.tick, command.qty);
        (answer.sink)(Event { last: true, ..event });
    }

    /// The old order leaves the book first, then the new one enters it, with the side and the owner of the old.
    fn replace(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) {
        let old = *self.live(command.slot);
        let leaves = checks::replaced_leaves(command, &old);
        if leaves <= 0 {
            return self.cancel(command, answer);
        }
        let taker = Taker {
            slot: command.slot2,
            instrument: old.instrument,
            owner: old.owner,
            side: old.side,
            tick: command.tick,
            leaves: u32::try_from(leaves).expect("checked against the limit"),
            time_in_force: command.time_in_force().expect("checked"),
            self_trade: command.self_trade(),
            post_only: command.post_only(),
        };
        if taker.post_only && self.would_cross(&taker) {
            self.remove(old.slot);
            return answer.cancelled(old.slot, old.tick, old.leaves, Reason::PostOnly);
        }
        let place =
            self.books[usize::from(old.instrument)].side(old.side)[&old.tick].iter().position(|s| *s == old.slot);
        self.remove(old.slot);
        let event = answer.tell(EventKind::Replaced, taker.slot, old.slot, taker.tick, taker.leaves);
        (answer.sink)(Event { freed: event_flags::MAKER_FREE, ..event });
        self.enter(taker, answer);
        if self.has(Fault::ReplaceKeepsPriority) && taker.tick == old.tick && self.orders[taker.slot as usize].is_some()
        {
            let queue = self.book_mut(old.instrument).side_mut(old.side).get_mut(&old.tick).expect("it rests there");
            let slot = queue.pop_back().expect("it rests at the tail");
            queue.insert(place.expect("it rested there"), slot);
        }
    }
}

impl Twin for Reference {
    fn new(limits: Limits) -> Self {
        limits.validate().unwrap_or_else(|error| panic!("{error}"));
        let books = vec![Book::default(); limits.ticks.len()];
        let orders = vec![None; limits.slots as usize];
        Self { limits, books, orders, fault: None }
    }

    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        let mut answer = Answer { seq: command.seq, index: 0, sink };
        let kind = match self.refusal(command) {
            Ok(kind) => kind,
            Err(reason) => return answer.rejected(command, reason),
        };
        match kind {
            Kind::Nop => {
                let event = answer.tell(EventKind::Done, 0, NO_SLOT, 0, 0);
                (answer.sink)(Event { last: true, ..event });
            }
            Kind::New => {
                let taker = Taker {
                    slot: command.slot,
                    instrument: command.instrument,
                    owner: command.owner,
                    side: command.side(),
                    tick: command.tick,
                    leaves: command.qty,
                    time_in_force: command.time_in_force().expect("checked"),
                    self_trade: command.self_trade(),
                    post_only: command.post_only(),
                };
                self.enter(taker, &mut answer);
            }
            Kind::Cancel => self.cancel(command, &mut answer),
            Kind::Reduce => self.reduce(command, &mut answer),
            Kind::Replace => self.replace(command, &mut answer),
        }
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn order(&self, slot: u32) -> Option<Resting> {
        self.orders.get(slot as usize).copied().flatten()
    }

    fn orders(&self, mut sink: impl FnMut(Resting)) {
        for book in &self.books {
            for side in Side::ALL {
                for (_, queue) in book.best_first(side) {
                    queue.iter().for_each(|slot| sink(*self.live(*slot)));
                }
            }
        }
    }

    fn restore(&mut self, order: &Resting) -> Result<(), RestoreError> {
        let refuse = |reason| Err(RestoreError { slot: order.slot, reason });
        let Some(book) = self.books.get(usize::from(order.instrument)) else {
            return refuse("no such instrument");
        };
        match self.orders.get(order.slot as usize) {
            None => return refuse("the slot is out of range"),
            Some(Some(_)) => return refuse("the slot is live"),
            Some(None) => {}
        }
        if order.tick >= self.limits.ticks[usize::from(order.instrument)] {
            return refuse("the tick is outside the band");
        }
        if order.leaves == 0 || order.leaves > self.limits.max_qty {
            return refuse("the leaves are 0 or beyond the limit");
        }
        let crosses = book.best(order.side.opposite()).is_some_and(|best| match order.side {
            Side::Buy => best <= order.tick,
            Side::Sell => best >= order.tick,
        });
        if crosses {
            return refuse("it would cross the book");
        }
        self.push(*order);
        Ok(())
    }
}
