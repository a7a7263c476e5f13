//! What a command does: checked once, then carried out without a branch on the side.

use super::ladder::Ladder;
use super::{Band, EMPTY, Level, NIL, Order, Software, Tag};
use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, SelfTrade, Side, TimeInForce, event_flags};

/// The time-in-force bits of the side byte.
const TIF_BITS: u8 = 0b110;

/// An order on its way into the book.
struct Taker {
    slot: u32,
    tag: Tag,
    side: Side,
    tick: u32,
    leaves: u32,
    time_in_force: TimeInForce,
    /// `Off` also when the owner is exempt.
    self_trade: SelfTrade,
    post_only: bool,
}

/// Numbers and hands out the events of one command.
struct Answer<F> {
    seq: u64,
    index: u32,
    sink: F,
}

impl<F: FnMut(Event)> Answer<F> {
    #[inline(always)]
    fn tell(
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
    fn cancelled(&mut self, slot: u32, tick: u32, qty: u32, reason: Reason) {
        self.tell(EventKind::Cancelled, slot, NO_SLOT, tick, qty, reason, event_flags::TAKER_FREE, true);
    }
}

impl Software {
    /// Executes one command.
    #[inline]
    pub(super) fn run(&mut self, command: &Command, sink: impl FnMut(Event)) {
        let mut answer = Answer { seq: command.seq, index: 0, sink };
        if let Err(reason) = self.carry_out(command, &mut answer) {
            answer.tell(EventKind::Rejected, command.slot, NO_SLOT, command.tick, command.qty, reason, 0, true);
        }
    }

    #[inline]
    fn carry_out(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        let kind = Kind::from_byte(command.kind).ok_or(Reason::BadKind)?;
        let reserved =
            command.side_tif & Command::SIDE_RESERVED | command.flags & Command::FLAGS_RESERVED | command.ring;
        refuse_if(reserved != 0, Reason::ReservedBits)?;
        match kind {
            Kind::New => self.new_order(command, answer),
            Kind::Cancel => self.cancel(command, answer),
            Kind::Reduce => self.reduce(command, answer),
            Kind::Replace => self.replace(command, answer),
            Kind::Nop => {
                refuse_if(has_any_flag(command), Reason::BadFlags)?;
                answer.tell(EventKind::Done, 0, NO_SLOT, 0, 0, Reason::None, 0, true);
                Ok(())
            }
        }
    }

    #[inline]
    fn new_order(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        let time_in_force = command.time_in_force().ok_or(Reason::BadFlags)?;
        let kept_on = command.post_only() && time_in_force != TimeInForce::Gtc;
        refuse_if(kept_on || command.relative(), Reason::BadFlags)?;
        let band = self.band(command)?;
        let place = self.orders.get(command.slot as usize).ok_or(Reason::SlotRange)?;
        refuse_if(place.leaves != 0, Reason::SlotLive)?;
        refuse_if(command.tick >= band.ticks, Reason::TickRange)?;
        refuse_if(self.beyond_limit(command.qty), Reason::QtyRange)?;
        let taker = Taker {
            slot: command.slot,
            tag: Tag { instrument: command.instrument, owner: command.owner },
            side: command.side(),
            tick: command.tick,
            leaves: command.qty,
            time_in_force,
            self_trade: mode(command, command.owner),
            post_only: command.post_only(),
        };
        self.enter(band, taker, answer);
        Ok(())
    }

    #[inline]
    fn cancel(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        refuse_if(has_any_flag(command), Reason::BadFlags)?;
        let (band, order) = self.target(command, false)?;
        self.unlink(&band, &order, command.slot);
        answer.cancelled(command.slot, order.tick(), order.leaves, Reason::User);
        Ok(())
    }

    #[inline]
    fn reduce(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        refuse_if(has_any_flag(command), Reason::BadFlags)?;
        let (band, order) = self.target(command, false)?;
        refuse_if(self.beyond_limit(command.qty), Reason::QtyRange)?;
        if command.qty >= order.leaves {
            self.unlink(&band, &order, command.slot);
            answer.cancelled(command.slot, order.tick(), order.leaves, Reason::User);
        } else {
            self.orders[command.slot as usize].leaves -= command.qty;
            answer.tell(EventKind::Reduced, command.slot, NO_SLOT, order.tick(), command.qty, Reason::None, 0, true);
        }
        Ok(())
    }

    #[inline]
    fn replace(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        let time_in_force = command.time_in_force().ok_or(Reason::BadFlags)?;
        let kept_on = command.post_only() && time_in_force != TimeInForce::Gtc;
        refuse_if(kept_on || time_in_force == TimeInForce::Fok, Reason::BadFlags)?;
        let (band, old) = self.target(command, true)?;
        let taken = command.slot2 == command.slot || self.orders[command.slot2 as usize].leaves != 0;
        refuse_if(taken, Reason::SlotLive)?;
        refuse_if(command.tick >= band.ticks, Reason::TickRange)?;
        let leaves = if command.relative() {
            i64::from(old.leaves) + i64::from(command.qty.cast_signed())
        } else {
            refuse_if(command.qty == 0, Reason::QtyRange)?;
            i64::from(command.qty)
        };
        refuse_if(leaves > i64::from(self.limits.max_qty), Reason::QtyRange)?;

        let tag = self.tags[command.slot as usize];
        self.unlink(&band, &old, command.slot);
        if leaves <= 0 {
            answer.cancelled(command.slot, old.tick(), old.leaves, Reason::User);
            return Ok(());
        }
        let makers = &band.ladders[old.side().opposite() as usize];
        if command.post_only() && makers.best(&self.words) <= command.tick ^ makers.flip {
            answer.cancelled(command.slot, old.tick(), old.leaves, Reason::PostOnly);
            return Ok(());
        }
        let taker = Taker {
            slot: command.slot2,
            tag,
            side: old.side(),
            tick: command.tick,
            leaves: leaves as u32,
            time_in_force,
            self_trade: mode(command, tag.owner),
            post_only: false,
        };
        let (new_slot, freed) = (command.slot2, event_flags::MAKER_FREE);
        answer.tell(EventKind::Replaced, new_slot, command.slot, taker.tick, taker.leaves, Reason::None, freed, false);
        self.enter(band, taker, answer);
        Ok(())
    }

    /// The live order that a cancel, a reduce or a replace names, and its band.
    #[inline]
    fn target(&self, command: &Command, two_slots: bool) -> Result<(Band, Order), Reason> {
        let band = self.band(command)?;
        let order = *self.orders.get(command.slot as usize).ok_or(Reason::SlotRange)?;
        refuse_if(two_slots && command.slot2 >= self.limits.slots, Reason::SlotRange)?;
        refuse_if(order.leaves == 0, Reason::NoOrder)?;
        let tag = Tag { instrument: command.instrument, owner: command.owner };
        refuse_if(self.tags[command.slot as usize] != tag, Reason::NotYours)?;
        Ok((band, order))
    }

    #[inline]
    fn band(&self, command: &Command) -> Result<Band, Reason> {
        self.bands.get(usize::from(command.instrument)).copied().ok_or(Reason::UnknownInstrument)
    }

    #[inline]
    const fn beyond_limit(&self, qty: u32) -> bool {
        qty.wrapping_sub(1) >= self.limits.max_qty
    }

    /// Trades what can be traded; what is left rests or goes.
    #[inline]
    fn enter(&mut self, band: Band, mut taker: Taker, answer: &mut Answer<impl FnMut(Event)>) {
        let makers = band.ladders[taker.side.opposite() as usize];
        let limit = taker.tick ^ makers.flip;
        let mut key = makers.best(&self.words);
        if key <= limit {
            if taker.post_only {
                return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::PostOnly);
            }
            if taker.time_in_force == TimeInForce::Fok && !self.can_fill(&band, &makers, &taker, limit) {
                return answer.cancelled(taker.slot, taker.tick, taker.leaves, Reason::FillOrKill);
            }
            while key <= limit {
                if self.sweep_level(&band, &makers, key, &mut taker, answer) {
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
    pub(super) fn rest(&mut self, band: Band, slot: u32, tag: Tag, side: Side, tick: u32, leaves: u32) {
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
    fn unlink(&mut self, band: &Band, order: &Order, slot: u32) {
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

/// The self-trade mode in force: owner 0 is exempt.
#[inline]
const fn mode(command: &Command, owner: u16) -> SelfTrade {
    if owner == 0 { SelfTrade::Off } else { command.self_trade() }
}

/// Whether a command carries any of what cancel, reduce and nop do not take.
#[inline]
const fn has_any_flag(command: &Command) -> bool {
    command.side_tif & TIF_BITS != 0 || command.flags != 0
}

#[inline]
fn refuse_if(condition: bool, reason: Reason) -> Result<(), Reason> {
    if condition { Err(reason) } else { Ok(()) }
}
