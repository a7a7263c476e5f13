//! What an order that enters does: it trades with the best, oldest first, then rests or goes.

use super::Band;
use super::book::Book;
use super::ladder::Ladder;
use super::terms::{FOK, POST_ONLY, SELF_TRADE, SELF_TRADE_AT, TIME_IN_FORCE};
use crate::abi::{Event, EventKind, NO_SLOT, Reason, SelfTrade, event_flags};

/// An order on its way into the book.
pub(super) struct Taker {
    pub(super) slot: u32,
    pub(super) owner: u16,
    pub(super) side: usize,
    pub(super) tick: u32,
    pub(super) leaves: u32,
    /// Side, time in force, self-trade mode and post-only, where [`terms`](super::terms) says.
    pub(super) terms: u32,
}

impl Taker {
    /// The self-trade mode in force: owner 0 is exempt.
    #[inline(always)]
    const fn self_trade(&self) -> SelfTrade {
        match (self.terms & SELF_TRADE) >> SELF_TRADE_AT {
            _ if self.owner == 0 => SelfTrade::Off,
            0 => SelfTrade::Off,
            1 => SelfTrade::CancelNewest,
            2 => SelfTrade::CancelOldest,
            _ => SelfTrade::CancelBoth,
        }
    }
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

impl Book {
    /// Trades what can be traded; what is left rests or goes.
    #[inline(always)]
    pub(super) fn enter(&mut self, band: &Band, mut taker: Taker, answer: &mut Answer<impl FnMut(Event)>) {
        let makers = &band.ladders[taker.side ^ 1];
        let limit = taker.tick ^ makers.flip;
        let best = makers.best(&self.words);
        if best <= limit && self.trade(band, makers, best, limit, &mut taker, answer) {
            return;
        }
        if taker.terms & TIME_IN_FORCE == 0 {
            self.rest(band, taker.slot, taker.owner, taker.side, taker.tick, taker.leaves);
            answer.tell(EventKind::Rested, taker.slot, NO_SLOT, taker.tick, taker.leaves, Reason::None, 0, true);
        } else {
            // A fill-or-kill order gets here when nothing crosses.
            let reason = if taker.terms & FOK == 0 { Reason::ImmediateOrCancel } else { Reason::FillOrKill };
            answer.cancelled(taker.slot, taker.tick, taker.leaves, reason);
        }
    }

    /// What an order does that meets the other side. Whether it is gone.
    #[inline(always)]
    fn trade(
        &mut self,
        band: &Band,
        makers: &Ladder,
        best: u32,
        limit: u32,
        taker: &mut Taker,
        answer: &mut Answer<impl FnMut(Event)>,
    ) -> bool {
        let mode = taker.self_trade();
        if taker.terms & (POST_ONLY | FOK) != 0 {
            if taker.terms & POST_ONLY != 0 {
                answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::PostOnly);
                return true;
            }
            if !self.can_fill(band, makers, taker, mode, limit) {
                answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::FillOrKill);
                return true;
            }
        }
        let mut key = best;
        while key <= limit {
            if self.sweep_level(band, makers, key, mode, taker, answer) {
                return true;
            }
            key = makers.best(&self.words);
        }
        false
    }

    /// Matches the taker with the queue at one tick, oldest first. Whether the taker is gone.
    #[inline(always)]
    fn sweep_level(
        &mut self,
        band: &Band,
        makers: &Ladder,
        key: u32,
        mode: SelfTrade,
        taker: &mut Taker,
        answer: &mut Answer<impl FnMut(Event)>,
    ) -> bool {
        let tick = key ^ makers.flip;
        let level = band.levels + tick;
        let mut links = self.next(level);
        while links != level {
            let (next, leaves) = (self.next(links), self.leaves(links));
            let slot = self.slot_of(links);
            if mode != SelfTrade::Off && self.owners[slot as usize] == taker.owner {
                let oldest_goes = mode != SelfTrade::CancelNewest;
                if oldest_goes {
                    self.set_leaves(links, 0);
                    let (reason, freed) = (Reason::SelfTrade, event_flags::MAKER_FREE);
                    answer.tell(EventKind::Cancelled, taker.slot, slot, tick, leaves, reason, freed, false);
                    links = next;
                }
                if mode != SelfTrade::CancelOldest {
                    self.behead(makers, level, key, links);
                    answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::SelfTrade);
                    return true;
                }
                continue;
            }
            if taker.leaves < leaves {
                self.set_leaves(links, leaves - taker.leaves);
                self.behead(makers, level, key, links);
                let freed = event_flags::TAKER_FREE;
                answer.tell(EventKind::Fill, taker.slot, slot, tick, taker.leaves, Reason::None, freed, true);
                return true;
            }
            self.set_leaves(links, 0);
            taker.leaves -= leaves;
            let done = taker.leaves == 0;
            let freed = event_flags::MAKER_FREE | if done { event_flags::TAKER_FREE } else { 0 };
            answer.tell(EventKind::Fill, taker.slot, slot, tick, leaves, Reason::None, freed, done);
            links = next;
            if done {
                self.behead(makers, level, key, links);
                return true;
            }
        }
        self.behead(makers, level, key, level);
        false
    }

    /// Makes `head` the oldest order of a level (the level itself: none): what stood before it is gone.
    #[inline(always)]
    fn behead(&mut self, makers: &Ladder, level: u32, key: u32, head: u32) {
        self.cells[level as usize].next = head;
        self.cells[head as usize].prev = level;
        if head == level {
            makers.clear(&mut self.words, key);
        }
    }

    /// Whether enough stands within the limit that a fill-or-kill order may trade with. Walks what it would take.
    fn can_fill(&self, band: &Band, makers: &Ladder, taker: &Taker, mode: SelfTrade, limit: u32) -> bool {
        let mut wanted = taker.leaves;
        let mut key = makers.best(&self.words);
        while key <= limit {
            let level = band.levels + (key ^ makers.flip);
            let mut links = self.next(level);
            while links != level {
                let own = mode != SelfTrade::Off && self.owners[self.slot_of(links) as usize] == taker.owner;
                if own && mode != SelfTrade::CancelOldest {
                    return false;
                }
                if !own {
                    let leaves = self.leaves(links);
                    if leaves >= wanted {
                        return true;
                    }
                    wanted -= leaves;
                }
                links = self.next(links);
            }
            key = makers.at_or_above(&self.words, key + 1);
        }
        false
    }
}
