//! What a command does: checked once, then carried out without a branch on the side.
//!
//! Whether a command may be carried out is asked first, of everything at once; only when it may not is it asked again, in the
//! order that the ABI gives, what the matter is. Kind, flags and reserved bits are one number of 32 bits, so that one
//! comparison tells a common command with nothing odd about it from all others.

use super::book::Book;
use super::cross::{Answer, Taker};
use super::terms::{POST_ONLY, POST_ONLY_AT, RELATIVE, SELF_TRADE, SIDE, SIDE_AT, TIF_AT, TIME_IN_FORCE};
use super::{Band, Software};
use crate::abi::{Command, Event, EventKind, Kind, Limits, NO_SLOT, Reason, event_flags};

/// What a control word may have besides its kind.
const NEW_MAY: u32 = SIDE | TIME_IN_FORCE | SELF_TRADE | POST_ONLY;
const REPLACE_MAY: u32 = NEW_MAY | RELATIVE;
const OTHERS_MAY: u32 = SIDE;

const NEW: u32 = Kind::New as u32;
const CANCEL: u32 = Kind::Cancel as u32;
const REDUCE: u32 = Kind::Reduce as u32;
const REPLACE: u32 = Kind::Replace as u32;
const NOP: u32 = Kind::Nop as u32;

/// Times in force that go together with post-only (plus 4) or without, as bits.
const NEW_GOES: u32 = 0b1_0111;
const REPLACE_GOES: u32 = 0b1_0011;

impl Software {
    /// Executes one command.
    #[inline(always)]
    pub(super) fn run(&mut self, command: &Command, sink: impl FnMut(Event)) {
        let mut answer = Answer { seq: command.seq, index: 0, sink };
        let control = command.control();
        let done = if control & !NEW_MAY == NEW {
            self.new_order(command, control, &mut answer)
        } else if control & !OTHERS_MAY == CANCEL {
            self.cancel(command, &mut answer)
        } else if control & !REPLACE_MAY == REPLACE {
            self.replace(command, control, &mut answer)
        } else if control & !OTHERS_MAY == REDUCE {
            self.reduce(command, &mut answer)
        } else if control & !OTHERS_MAY == NOP {
            answer.tell(EventKind::Done, 0, NO_SLOT, 0, 0, Reason::None, 0, true);
            true
        } else {
            false
        };
        if !done {
            let reason = self.why_not(command);
            answer.tell(EventKind::Rejected, command.slot, NO_SLOT, command.tick, command.qty, reason, 0, true);
        }
    }

    #[inline(always)]
    fn new_order(&mut self, command: &Command, control: u32, answer: &mut Answer<impl FnMut(Event)>) -> bool {
        let Self { limits, bands, book } = self;
        let Some(band) = bands.get(usize::from(command.instrument)) else { return false };
        if !goes(NEW_GOES, control) || command.slot >= limits.slots {
            return false;
        }
        let live = book.leaves(book.links_of(command.slot)) != 0;
        if live || command.tick >= band.ticks || beyond(limits.max_qty, command.qty) {
            return false;
        }
        let taker = Taker {
            slot: command.slot,
            owner: command.owner,
            side: side(control),
            tick: command.tick,
            leaves: command.qty,
            terms: control,
        };
        book.enter(band, taker, answer);
        true
    }

    #[inline(always)]
    fn cancel(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> bool {
        let Self { limits, bands, book } = self;
        let Some((band, order)) = book.target(limits, bands, command) else { return false };
        book.unlink(band, order.links, order.tick, order.side);
        answer.cancelled(command.slot, order.tick, order.leaves, Reason::User);
        true
    }

    #[inline(always)]
    fn reduce(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> bool {
        let Self { limits, bands, book } = self;
        let Some((band, order)) = book.target(limits, bands, command) else { return false };
        if beyond(limits.max_qty, command.qty) {
            return false;
        }
        if command.qty >= order.leaves {
            book.unlink(band, order.links, order.tick, order.side);
            answer.cancelled(command.slot, order.tick, order.leaves, Reason::User);
        } else {
            book.set_leaves(order.links, order.leaves - command.qty);
            answer.tell(EventKind::Reduced, command.slot, NO_SLOT, order.tick, command.qty, Reason::None, 0, true);
        }
        true
    }

    #[inline(always)]
    fn replace(&mut self, command: &Command, control: u32, answer: &mut Answer<impl FnMut(Event)>) -> bool {
        let Self { limits, bands, book } = self;
        let Some((band, old)) = book.target(limits, bands, command) else { return false };
        if !goes(REPLACE_GOES, control) || command.slot2 >= limits.slots || command.slot2 == command.slot {
            return false;
        }
        let live = book.leaves(book.links_of(command.slot2)) != 0;
        let leaves = new_leaves(command, old.leaves);
        if live || command.tick >= band.ticks || leaves > i64::from(limits.max_qty) {
            return false;
        }
        let relative = control & RELATIVE != 0;
        if leaves == 0 && !relative {
            return false;
        }
        book.unlink(band, old.links, old.tick, old.side);
        if leaves <= 0 {
            answer.cancelled(command.slot, old.tick, old.leaves, Reason::User);
            return true;
        }
        if control & POST_ONLY != 0 && book.crosses(band, old.side, command.tick) {
            answer.cancelled(command.slot, old.tick, old.leaves, Reason::PostOnly);
            return true;
        }
        let taker = Taker {
            slot: command.slot2,
            owner: command.owner,
            side: old.side,
            tick: command.tick,
            leaves: leaves as u32,
            terms: control & !POST_ONLY,
        };
        let (new_slot, freed) = (command.slot2, event_flags::MAKER_FREE);
        answer.tell(EventKind::Replaced, new_slot, command.slot, taker.tick, taker.leaves, Reason::None, freed, false);
        book.enter(band, taker, answer);
        true
    }

    /// The first check of the ABI's that a command fails.
    #[cold]
    #[inline(never)]
    fn why_not(&self, command: &Command) -> Reason {
        match self.check_in_order(command) {
            Err(reason) => reason,
            Ok(()) => unreachable!("{command:?} is refused without a reason"),
        }
    }

    fn check_in_order(&self, command: &Command) -> Result<(), Reason> {
        let Self { limits, bands, book } = self;
        let kind = Kind::from_byte(command.kind).ok_or(Reason::BadKind)?;
        let reserved =
            command.side_tif & Command::SIDE_RESERVED | command.flags & Command::FLAGS_RESERVED | command.ring;
        refuse_if(reserved != 0, Reason::ReservedBits)?;
        let control = command.control();
        let (may, goes_with) = match kind {
            Kind::New => (NEW_MAY, NEW_GOES),
            Kind::Replace => (REPLACE_MAY, REPLACE_GOES),
            Kind::Cancel | Kind::Reduce | Kind::Nop => (OTHERS_MAY, 1),
        };
        refuse_if(control & !may != kind as u32 || !goes(goes_with, control), Reason::BadFlags)?;
        let band = bands.get(usize::from(command.instrument)).ok_or(Reason::UnknownInstrument)?;
        let (is_new, is_replace) = (kind == Kind::New, kind == Kind::Replace);
        let is_live = |slot: u32| book.leaves(book.links_of(slot)) != 0;
        refuse_if(command.slot >= limits.slots, Reason::SlotRange)?;
        refuse_if(is_replace && command.slot2 >= limits.slots, Reason::SlotRange)?;
        if is_new {
            refuse_if(is_live(command.slot), Reason::SlotLive)?;
        } else {
            refuse_if(!is_live(command.slot), Reason::NoOrder)?;
            refuse_if(book.target(limits, bands, command).is_none(), Reason::NotYours)?;
        }
        refuse_if(is_replace && (command.slot2 == command.slot || is_live(command.slot2)), Reason::SlotLive)?;
        refuse_if((is_new || is_replace) && command.tick >= band.ticks, Reason::TickRange)?;
        if !is_replace {
            return refuse_if(kind != Kind::Cancel && beyond(limits.max_qty, command.qty), Reason::QtyRange);
        }
        let leaves = new_leaves(command, book.leaves(book.links_of(command.slot)));
        let nothing = !command.relative() && leaves == 0;
        refuse_if(nothing || leaves > i64::from(limits.max_qty), Reason::QtyRange)
    }
}

/// A live order that a command names.
struct Target {
    links: u32,
    tick: u32,
    side: usize,
    leaves: u32,
}

impl Book {
    /// The live order that a cancel, a reduce or a replace names, when it is the order of who names it.
    #[inline(always)]
    fn target<'a>(&self, limits: &Limits, bands: &'a [Band], command: &Command) -> Option<(&'a Band, Target)> {
        let band = bands.get(usize::from(command.instrument))?;
        if command.slot >= limits.slots {
            return None;
        }
        let links = self.links_of(command.slot);
        let (leaves, (level, side)) = (self.leaves(links), self.place(links));
        let tick = level.wrapping_sub(band.levels);
        if leaves == 0 || tick >= band.ticks || self.owners[command.slot as usize] != command.owner {
            return None;
        }
        Some((band, Target { links, tick, side, leaves }))
    }
}

#[inline(always)]
const fn beyond(limit: u32, qty: u32) -> bool {
    qty.wrapping_sub(1) >= limit
}

/// What a replace would leave.
#[inline(always)]
fn new_leaves(command: &Command, old: u32) -> i64 {
    if command.relative() { i64::from(old) + i64::from(command.qty.cast_signed()) } else { i64::from(command.qty) }
}

/// Whether time in force and post-only go together.
#[inline(always)]
const fn goes(which: u32, control: u32) -> bool {
    let case = (control & TIME_IN_FORCE) >> TIF_AT | (control & POST_ONLY) >> (POST_ONLY_AT - 2);
    which >> case & 1 == 1
}

#[inline(always)]
const fn side(control: u32) -> usize {
    ((control & SIDE) >> SIDE_AT) as usize
}

#[inline]
fn refuse_if(condition: bool, reason: Reason) -> Result<(), Reason> {
    if condition { Err(reason) } else { Ok(()) }
}
