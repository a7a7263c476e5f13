//! What an order that enters does: it trades with the best, oldest first, then rests or goes.
//!
//! There are few places that tell an event, so that the compiler keeps the sink in line at each: one that it calls instead keeps
//! everything in memory.

use std::hint::select_unpredictable;

use super::Band;
use super::book::Book;
use super::ladder::SIDES;
use super::terms::{FOK, POST_ONLY, SELF_TRADE, SELF_TRADE_AT, TIME_IN_FORCE};
use crate::abi::{Event, EventKind, NO_SLOT, Reason, SelfTrade, event_flags};

/// An order on its way into the book.
#[derive(Clone, Copy)]
pub(super) struct Taker {
    pub(super) slot: u32,
    pub(super) owner: u16,
    pub(super) side: u32,
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

/// What became of an order that met the other side.
enum Met {
    /// It trades no further, and something is left.
    Left,
    /// It is complete.
    Filled,
    /// What is left goes.
    Goes(Reason),
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

    /// The last event of an order of which nothing is left.
    #[inline(always)]
    pub(super) fn cancelled(&mut self, slot: u32, tick: u32, qty: u32, reason: Reason) {
        self.tell(EventKind::Cancelled, slot, NO_SLOT, tick, qty, reason, event_flags::TAKER_FREE, true);
    }
}

/// Orders of both sides meet here.
struct Meeting {
    /// The makers' side.
    side: u32,
    /// The worst key that the taker trades at.
    limit: u32,
    mode: SelfTrade,
}

impl Book {
    /// Trades what can be traded; what is left rests or goes.
    #[inline(always)]
    pub(super) fn enter(&mut self, band: &mut Band, mut taker: Taker, answer: &mut Answer<impl FnMut(Event)>) {
        let makers = taker.side ^ 1;
        let limit = band.ladders.flip(taker.tick, makers);
        let mut reason = None;
        // Nearly every order that rests is told so by the bound alone.
        if band.bound[makers as usize % SIDES] <= limit {
            let best = band.best(&self.words, makers);
            if best <= limit {
                let meeting = Meeting { side: makers, limit, mode: taker.self_trade() };
                match self.trade(band, &meeting, best, &mut taker, answer) {
                    Met::Left => {}
                    Met::Filled => return,
                    Met::Goes(why) => reason = Some(why),
                }
            }
        }
        if taker.terms & TIME_IN_FORCE == 0 && reason.is_none() {
            self.rest(band, taker.slot, taker.owner, taker.side, taker.tick, taker.leaves);
            answer.tell(EventKind::Rested, taker.slot, NO_SLOT, taker.tick, taker.leaves, Reason::None, 0, true);
            return;
        }
        // A fill-or-kill order gets here when nothing crosses.
        let by_term = if taker.terms & FOK == 0 { Reason::ImmediateOrCancel } else { Reason::FillOrKill };
        answer.cancelled(taker.slot, taker.tick, taker.leaves, reason.unwrap_or(by_term));
    }

    /// What an order does that meets the other side, whose best key is given.
    #[inline(always)]
    fn trade(
        &mut self,
        band: &mut Band,
        meeting: &Meeting,
        best: u32,
        taker: &mut Taker,
        answer: &mut Answer<impl FnMut(Event)>,
    ) -> Met {
        if taker.terms & (POST_ONLY | FOK) != 0 {
            if taker.terms & POST_ONLY != 0 {
                return Met::Goes(Reason::PostOnly);
            }
            if !self.can_fill(band, meeting, taker.owner, taker.leaves) {
                return Met::Goes(Reason::FillOrKill);
            }
        }
        let mut key = best;
        while key <= meeting.limit {
            match self.sweep_level(band, meeting, key, taker, answer) {
                Met::Left => key = band.best(&self.words, meeting.side),
                met => return met,
            }
        }
        Met::Left
    }

    /// Matches the taker with the queue at one tick, oldest first, until the taker is gone or the queue empty.
    #[inline(always)]
    fn sweep_level(
        &mut self,
        band: &mut Band,
        meeting: &Meeting,
        key: u32,
        taker: &mut Taker,
        answer: &mut Answer<impl FnMut(Event)>,
    ) -> Met {
        let tick = band.ladders.flip(key, meeting.side);
        let level = band.levels + tick;
        let mut links = self.next(level);
        let mut met = Met::Left;
        while links != level {
            let (next, leaves) = (self.next(links), self.leaves(links));
            let maker = self.slot_of(links);
            if meeting.mode != SelfTrade::Off && self.owners[maker as usize] == taker.owner {
                if meeting.mode != SelfTrade::CancelNewest {
                    self.set_leaves(links, 0);
                    let (reason, freed) = (Reason::SelfTrade, event_flags::MAKER_FREE);
                    answer.tell(EventKind::Cancelled, taker.slot, maker, tick, leaves, reason, freed, false);
                    links = next;
                }
                if meeting.mode != SelfTrade::CancelOldest {
                    met = Met::Goes(Reason::SelfTrade);
                    break;
                }
                continue;
            }
            let traded = leaves.min(taker.leaves);
            self.set_leaves(links, leaves - traded);
            taker.leaves -= traded;
            let done = taker.leaves == 0;
            let complete = traded == leaves;
            let freed = (u8::from(complete) * event_flags::MAKER_FREE) | (u8::from(done) * event_flags::TAKER_FREE);
            answer.tell(EventKind::Fill, taker.slot, maker, tick, traded, Reason::None, freed, done);
            links = select_unpredictable(complete, next, links);
            if done {
                met = Met::Filled;
                break;
            }
        }
        // What stood before `links` is gone; the level itself: all.
        self.cells[level as usize].next = links;
        self.cells[links as usize].prev = level;
        if links == level {
            band.ladders.clear_if(&mut self.words, key, meeting.side, true);
        }
        met
    }

    /// Whether enough stands within the limit that a fill-or-kill order may trade with. Walks what it would take.
    fn can_fill(&self, band: &Band, meeting: &Meeting, owner: u16, mut wanted: u32) -> bool {
        let mut key = band.ladders.best(&self.words, meeting.side);
        while key <= meeting.limit {
            let level = band.levels + band.ladders.flip(key, meeting.side);
            let mut links = self.next(level);
            while links != level {
                let own = meeting.mode != SelfTrade::Off && self.owners[self.slot_of(links) as usize] == owner;
                if own && meeting.mode != SelfTrade::CancelOldest {
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
            key = band.ladders.at_or_above(&self.words, key + 1, meeting.side);
        }
        false
    }
}
