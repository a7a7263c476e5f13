//! What a command does: checked once, then carried out without a branch on the side.

use super::book::{Answer, Book, Order, Tag, Taker};
use super::{Band, Software};
use crate::abi::{Command, Event, EventKind, Kind, Limits, NO_SLOT, Reason, SelfTrade, TimeInForce, event_flags};

/// The time-in-force bits of the side byte.
const TIF_BITS: u8 = 0b110;

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
        let Self { limits, bands, book } = self;
        let time_in_force = command.time_in_force().ok_or(Reason::BadFlags)?;
        let kept_on = command.post_only() && time_in_force != TimeInForce::Gtc;
        refuse_if(kept_on || command.relative(), Reason::BadFlags)?;
        let band = band(bands, command)?;
        let place = book.orders.get(command.slot as usize).ok_or(Reason::SlotRange)?;
        refuse_if(place.leaves != 0, Reason::SlotLive)?;
        refuse_if(command.tick >= band.ticks, Reason::TickRange)?;
        refuse_if(beyond(limits, command.qty), Reason::QtyRange)?;
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
        book.enter(band, taker, answer);
        Ok(())
    }

    #[inline]
    fn cancel(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        let Self { bands, book, .. } = self;
        refuse_if(has_any_flag(command), Reason::BadFlags)?;
        let band = band(bands, command)?;
        let order = book.target(command)?;
        book.unlink(band, &order, command.slot);
        answer.cancelled(command.slot, order.tick(), order.leaves, Reason::User);
        Ok(())
    }

    #[inline]
    fn reduce(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        let Self { limits, bands, book } = self;
        refuse_if(has_any_flag(command), Reason::BadFlags)?;
        let band = band(bands, command)?;
        let order = book.target(command)?;
        refuse_if(beyond(limits, command.qty), Reason::QtyRange)?;
        if command.qty >= order.leaves {
            book.unlink(band, &order, command.slot);
            answer.cancelled(command.slot, order.tick(), order.leaves, Reason::User);
        } else {
            book.orders[command.slot as usize].leaves -= command.qty;
            answer.tell(EventKind::Reduced, command.slot, NO_SLOT, order.tick(), command.qty, Reason::None, 0, true);
        }
        Ok(())
    }

    #[inline]
    fn replace(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Result<(), Reason> {
        let Self { limits, bands, book } = self;
        let time_in_force = command.time_in_force().ok_or(Reason::BadFlags)?;
        let kept_on = command.post_only() && time_in_force != TimeInForce::Gtc;
        refuse_if(kept_on || time_in_force == TimeInForce::Fok, Reason::BadFlags)?;
        let band = band(bands, command)?;
        let old = book.target(command)?;
        let taken = command.slot2 == command.slot || book.orders[command.slot2 as usize].leaves != 0;
        refuse_if(taken, Reason::SlotLive)?;
        refuse_if(command.tick >= band.ticks, Reason::TickRange)?;
        let leaves = if command.relative() {
            i64::from(old.leaves) + i64::from(command.qty.cast_signed())
        } else {
            refuse_if(command.qty == 0, Reason::QtyRange)?;
            i64::from(command.qty)
        };
        refuse_if(leaves > i64::from(limits.max_qty), Reason::QtyRange)?;

        let tag = book.tags[command.slot as usize];
        book.unlink(band, &old, command.slot);
        if leaves <= 0 {
            answer.cancelled(command.slot, old.tick(), old.leaves, Reason::User);
            return Ok(());
        }
        if command.post_only() && book.crosses(band, old.side(), command.tick) {
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
        book.enter(band, taker, answer);
        Ok(())
    }
}

impl Book {
    /// The live order that a cancel, a reduce or a replace names.
    #[inline]
    fn target(&self, command: &Command) -> Result<Order, Reason> {
        let order = *self.orders.get(command.slot as usize).ok_or(Reason::SlotRange)?;
        let is_replace = command.kind == Kind::Replace as u8;
        refuse_if(is_replace && command.slot2 as usize >= self.orders.len(), Reason::SlotRange)?;
        refuse_if(order.leaves == 0, Reason::NoOrder)?;
        let tag = Tag { instrument: command.instrument, owner: command.owner };
        refuse_if(self.tags[command.slot as usize] != tag, Reason::NotYours)?;
        Ok(order)
    }
}

#[inline]
fn band<'a>(bands: &'a [Band], command: &Command) -> Result<&'a Band, Reason> {
    bands.get(usize::from(command.instrument)).ok_or(Reason::UnknownInstrument)
}

#[inline]
const fn beyond(limits: &Limits, qty: u32) -> bool {
    qty.wrapping_sub(1) >= limits.max_qty
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
