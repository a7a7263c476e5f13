//! Queues and ladders: what an order that enters does to them, and what one that leaves.

use super::Band;
use super::ladder::{Ladder, NONE};
use crate::abi::{Event, EventKind, NO_SLOT, Reason, SelfTrade, Side, TimeInForce, event_flags};
use crate::matcher::Resting;

/// The end of a queue: no slot.
pub(super) const NIL: u32 = u32::MAX;

/// The queue at one tick: its oldest and its youngest order, [`NIL`] both when there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) head: u32,
    pub(super) tail: u32,
}

pub(super) const EMPTY: Level = Level { head: NIL, tail: NIL };

/// What a match reads and writes of an order. A slot is free when its `leaves` are 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    pub(super) next: u32,
    pub(super) prev: u32,
    pub(super) leaves: u32,
    /// Twice the tick, plus the side.
    place: u32,
}

impl Order {
    const fn place(tick: u32, side: Side) -> u32 {
        tick << 1 | side as u32
    }

    pub(super) const fn tick(&self) -> u32 {
        self.place >> 1
    }

    pub(super) const fn side(&self) -> Side {
        if self.place & 1 == 0 { Side::Buy } else { Side::Sell }
    }
}

/// What checks read of an order: whose it is, and of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) instrument: u16,
    pub(super) owner: u16,
}

/// An order on its way into the book.
pub(super) struct Taker {
    pub(super) slot: u32,
    pub(super) tag: Tag,
    pub(super) side: Side,
    pub(super) tick: u32,
    pub(super) leaves: u32,
    pub(super) time_in_force: TimeInForce,
    /// `Off` also when the owner is exempt.
    pub(super) self_trade: SelfTrade,
    pub(super) post_only: bool,
}

/// Numbers and hands out the events of one command.
pub(super) struct Answer<F> {
    pub(super) seq: u64,
    pub(super) index: u32,
    pub(super) sink: F,
}

impl<F: FnMut(Event)> Answer<F> {
    #[inline(always)]
    pub(super) fn tell(
        &mut self,
        kind: EventKind,
        taker: u32,
        maker: u32,
        tick: u32,
        qty: u32,
        reason: Reason,
        freed: u8,
        last: bool,
    ) {
        let index = self.index;
        self.index = index + 1;
        (self.sink)(Event { seq: self.seq, taker, maker, tick, qty, index, kind, reason, freed, last });
    }

    #[inline(always)]
    pub(super) fn cancelled(&mut self, slot: u32, tick: u32, qty: u32, reason: Reason) {
        self.tell(EventKind::Cancelled, slot, NO_SLOT, tick, qty, reason, event_flags::TAKER_FREE, true);
    }
}

/// The levels, ladders and orders of all instruments.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) levels: Vec<Level>,
    pub(super) words: Vec<u64>,
    pub(super) orders: Vec<Order>,
    pub(super) tags: Vec<Tag>,
}

impl Book {
    /// Whether an order of this side and price would trade.
    #[inline]
    pub(super) fn crosses(&self, band: &Band, side: Side, tick: u32) -> bool {
        let makers = &band.ladders[side.opposite() as usize];
        makers.best(&self.words) <= tick ^ makers.flip
    }

    /// The live order in a slot, for whoever looks from outside.
    pub(super) fn resting(&self, slot: u32) -> Resting {
        let (order, tag) = (&self.orders[slot as usize], self.tags[slot as usize]);
        Resting {
            slot,
            instrument: tag.instrument,
            owner: tag.owner,
            side: order.side(),
            tick: order.tick(),
            leaves: order.leaves,
        }
    }

    /// Hands over the orders of a side, best price first, oldest first.
    pub(super) fn walk(&self, band: &Band, ladder: &Ladder, mut sink: impl FnMut(Resting)) {
        let mut key = ladder.best(&self.words);
        while key != NONE {
            let mut slot = self.levels[band.levels + (key ^ ladder.flip) as usize].head;
            while slot != NIL {
                sink(self.resting(slot));
                slot = self.orders[slot as usize].next;
            }
            key = ladder.at_or_above(&self.words, key + 1);
        }
    }

    /// Trades what can be traded; what is left rests or goes.
    #[inline]
    pub(super) fn enter(&mut self, band: &Band, mut taker: Taker, answer: &mut Answer<impl FnMut(Event)>) {
        let makers = &band.ladders[taker.side.opposite() as usize];
        let limit = taker.tick ^ makers.flip;
        let mut key = makers.best(&self.words);
        if key <= limit {
            if taker.post_only {
                return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::PostOnly);
            }
            if taker.time_in_force == TimeInForce::Fok && !self.can_fill(band, makers, &taker, limit) {
                return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::FillOrKill);
            }
            while key <= limit {
                if self.sweep_level(band, makers, key, &mut taker, answer) {
                    return;
                }
                key = makers.best(&self.words);
            }
        }
        match taker.time_in_force {
            TimeInForce::Gtc => {
                self.rest(band, taker.slot, taker.tag, taker.side, taker.tick, taker.leaves);
                answer.tell(EventKind::Rested, taker.slot, NO_SLOT, taker.tick, taker.leaves, Reason::None, 0, true);
            }
            TimeInForce::Ioc => answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::ImmediateOrCancel),
            // Nothing crosses: otherwise `can_fill` has decided.
            TimeInForce::Fok => answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::FillOrKill),
        }
    }

    /// Matches the taker with the queue at one tick, oldest first. Whether the taker is gone.
    #[inline]
    fn sweep_level(
        &mut self,
        band: &Band,
        makers: &Ladder,
        key: u32,
        taker: &mut Taker,
        answer: &mut Answer<impl FnMut(Event)>,
    ) -> bool {
        let tick = key ^ makers.flip;
        let level = band.levels + tick as usize;
        let mut slot = self.levels[level].head;
        while slot != NIL {
            let maker = &mut self.orders[slot as usize];
            let (next, leaves) = (maker.next, maker.leaves);
            if taker.self_trade != SelfTrade::Off && self.tags[slot as usize].owner == taker.tag.owner {
                let oldest_goes = taker.self_trade != SelfTrade::CancelNewest;
                if oldest_goes {
                    maker.leaves = 0;
                    let (reason, freed) = (Reason::SelfTrade, event_flags::MAKER_FREE);
                    answer.tell(EventKind::Cancelled, taker.slot, slot, tick, leaves, reason, freed, false);
                    slot = next;
                }
                if taker.self_trade != SelfTrade::CancelOldest {
                    self.behead(makers, level, key, slot);
                    answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::SelfTrade);
                    return true;
                }
                continue;
            }
            if taker.leaves < leaves {
                maker.leaves = leaves - taker.leaves;
                self.behead(makers, level, key, slot);
                let freed = event_flags::TAKER_FREE;
                answer.tell(EventKind::Fill, taker.slot, slot, tick, taker.leaves, Reason::None, freed, true);
                return true;
            }
            maker.leaves = 0;
            taker.leaves -= leaves;
            let done = taker.leaves == 0;
            let freed = event_flags::MAKER_FREE | if done { event_flags::TAKER_FREE } else { 0 };
            answer.tell(EventKind::Fill, taker.slot, slot, tick, leaves, Reason::None, freed, done);
            slot = next;
            if done {
                self.behead(makers, level, key, slot);
                return true;
            }
        }
        self.behead(makers, level, key, NIL);
        false
    }

    /// Makes `head` the oldest order of a level: what stood before it is gone.
    #[inline]
    fn behead(&mut self, makers: &Ladder, level: usize, key: u32, head: u32) {
        if head == NIL {
            self.levels[level] = EMPTY;
            makers.clear(&mut self.words, key);
        } else {
            self.levels[level].head = head;
            self.orders[head as usize].prev = NIL;
        }
    }

    /// Whether enough stands within the limit that a fill-or-kill order may trade with. Walks what it would take.
    fn can_fill(&self, band: &Band, makers: &Ladder, taker: &Taker, limit: u32) -> bool {
        let mut wanted = taker.leaves;
        let mut key = makers.best(&self.words);
        while key <= limit {
            let mut slot = self.levels[band.levels + (key ^ makers.flip) as usize].head;
            while slot != NIL {
                let maker = &self.orders[slot as usize];
                let own = taker.self_trade != SelfTrade::Off && self.tags[slot as usize].owner == taker.tag.owner;
                if own && taker.self_trade != SelfTrade::CancelOldest {
                    return false;
                }
                if !own {
                    if maker.leaves >= wanted {
                        return true;
                    }
                    wanted -= maker.leaves;
                }
                slot = maker.next;
            }
            key = makers.at_or_above(&self.words, key + 1);
        }
        false
    }

    /// Puts an order at the tail of its price.
    #[inline]
    pub(super) fn rest(&mut self, band: &Band, slot: u32, tag: Tag, side: Side, tick: u32, leaves: u32) {
        debug_assert!(leaves > 0 && self.orders[slot as usize].leaves == 0, "slot {slot} is free, and gets something");
        let level = &mut self.levels[band.levels + tick as usize];
        let tail = level.tail;
        *level = Level { head: if tail == NIL { slot } else { level.head }, tail: slot };
        if tail == NIL {
            let ladder = &band.ladders[side as usize];
            ladder.set(&mut self.words, tick ^ ladder.flip);
        } else {
            self.orders[tail as usize].next = slot;
        }
        self.orders[slot as usize] = Order { next: NIL, prev: tail, leaves, place: Order::place(tick, side) };
        self.tags[slot as usize] = tag;
    }

    /// Takes an order (a copy of which is given) out of its queue, and frees its slot.
    #[inline]
    pub(super) fn unlink(&mut self, band: &Band, order: &Order, slot: u32) {
        let level = band.levels + order.tick() as usize;
        if order.prev == NIL {
            self.levels[level].head = order.next;
        } else {
            self.orders[order.prev as usize].next = order.next;
        }
        if order.next == NIL {
            self.levels[level].tail = order.prev;
        } else {
            self.orders[order.next as usize].prev = order.prev;
        }
        if order.prev == NIL && order.next == NIL {
            let ladder = &band.ladders[order.side() as usize];
            ladder.clear(&mut self.words, order.tick() ^ ladder.flip);
        }
        self.orders[slot as usize].leaves = 0;
    }
}
