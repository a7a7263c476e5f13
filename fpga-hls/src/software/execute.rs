//! What a command does: checked once, then carried out without a branch on the side.
//!
//! Whether a command may be carried out is asked first, of everything at once; only when it may not is it asked again, in the
//! order that the ABI gives, what the matter is. Kind, flags and reserved bits are one number of 32 bits, so that one
//! comparison tells a common command with nothing odd about it from all others.

use super::book::Book;
use super::cross::{Answer, Taker};
use super::terms::{POST_ONLY, POST_ONLY_AT, RELATIVE, SELF_TRADE, SIDE, SIDE_AT, TIF_AT, TIME_IN_FORCE};
use super::{Band, Software};
use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, event_flags};

/// What a control word may have besides its kind.
const NEW_MAY: u32 = SIDE | TIME_IN_FORCE | SELF_TRADE | POST_ONLY;
/// What goes together whatever it is.
const NEW_PLAIN: u32 = SIDE | 1 << TIF_AT | SELF_TRADE;
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
        if self.carry_out(command, &mut answer).is_none() {
            let (reason, Command { slot, tick, qty, .. }) = (self.why_not(command), *command);
            answer.tell(EventKind::Rejected, slot, NO_SLOT, tick, qty, reason, 0, true);
        }
    }

    /// `None`, and nothing changed, when a check fails.
    #[inline(always)]
    fn carry_out(&mut self, command: &Command, answer: &mut Answer<impl FnMut(Event)>) -> Option<()> {
        let Self { limits, bands, book, .. } = self;
        let control = command.control();
        let slot = command.slot;
        let (band, taker) = if control & !NEW_PLAIN == NEW || control & !NEW_MAY == NEW && goes(NEW_GOES, control) {
            let band = bands.get_mut(usize::from(command.instrument))?;
            book.owners.get(slot as usize)?;
            let live = book.leaves(book.links_of(slot)) != 0;
            if live || command.tick >= band.ticks || beyond(limits.max_qty, command.qty) {
                return None;
            }
            let taker = Taker {
                slot,
                owner: command.owner,
                side: side(control),
                tick: command.tick,
                leaves: command.qty,
                terms: control,
            };
            (band, taker)
        } else if control & !OTHERS_MAY == CANCEL {
            let (band, order) = book.target(bands, command)?;
            book.unlink(band, order.links, order.tick, order.side);
            answer.cancelled(slot, order.tick, order.leaves, Reason::User);
            return Some(());
        } else if control & !REPLACE_MAY == REPLACE && goes(REPLACE_GOES, control) {
            let (band, old) = book.target(bands, command)?;
            let new_slot = command.slot2;
            book.owners.get(new_slot as usize)?;
            let leaves = new_leaves(command, control, old.leaves);
            let taken = new_slot == slot || book.leaves(book.links_of(new_slot)) != 0;
            let nothing = leaves == 0 && control & RELATIVE == 0;
            if taken || command.tick >= band.ticks || leaves > i64::from(limits.max_qty) || nothing {
                return None;
            }
            book.unlink(band, old.links, old.tick, old.side);
            let crosses = control & POST_ONLY != 0 && book.crosses(band, old.side, command.tick);
            if leaves <= 0 || crosses {
                let reason = if leaves <= 0 { Reason::User } else { Reason::PostOnly };
                answer.cancelled(slot, old.tick, old.leaves, reason);
                return Some(());
            }
            let (tick, leaves, freed) = (command.tick, leaves as u32, event_flags::MAKER_FREE);
            answer.tell(EventKind::Replaced, new_slot, slot, tick, leaves, Reason::None, freed, false);
            let terms = control & !POST_ONLY;
            (band, Taker { slot: new_slot, owner: command.owner, side: old.side, tick, leaves, terms })
        } else if control & !OTHERS_MAY == REDUCE {
            let (band, order) = book.target(bands, command)?;
            let (tick, qty) = (order.tick, command.qty);
            if beyond(limits.max_qty, qty) {
                return None;
            }
            if qty >= order.leaves {
                book.unlink(band, order.links, tick, order.side);
                answer.cancelled(slot, tick, order.leaves, Reason::User);
            } else {
                book.set_leaves(order.links, order.leaves - qty);
                answer.tell(EventKind::Reduced, slot, NO_SLOT, tick, qty, Reason::None, 0, true);
            }
            return Some(());
        } else if control & !OTHERS_MAY == NOP {
            answer.tell(EventKind::Done, 0, NO_SLOT, 0, 0, Reason::None, 0, true);
            return Some(());
        } else {
            return None;
        };
        book.enter(band, taker, answer);
        Some(())
    }

    #[inline(never)]
    fn why_not(&self, command: &Command) -> Reason {
        match self.check_in_order(command) {
            Err(reason) => reason,
            Ok(()) => unreachable!("{command:?} is refused without a reason"),
        }
    }

    fn check_in_order(&self, command: &Command) -> Result<(), Reason> {
        let Self { limits, bands, book, .. } = self;
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
            let level = book.place(book.links_of(command.slot)).0;
            let other = level.wrapping_sub(band.levels) >= band.ticks;
            refuse_if(other || book.owners[command.slot as usize] != command.owner, Reason::NotYours)?;
        }
        refuse_if(is_replace && (command.slot2 == command.slot || is_live(command.slot2)), Reason::SlotLive)?;
        refuse_if((is_new || is_replace) && command.tick >= band.ticks, Reason::TickRange)?;
        if !is_replace {
            return refuse_if(kind != Kind::Cancel && beyond(limits.max_qty, command.qty), Reason::QtyRange);
        }
        let leaves = new_leaves(command, control, book.leaves(book.links_of(command.slot)));
        let nothing = !command.relative() && leaves == 0;
        refuse_if(nothing || leaves > i64::from(limits.max_qty), Reason::QtyRange)
    }
}

/// A live order that a command names.
struct Target {
    links: u32,
    tick: u32,
    side: u32,
    leaves: u32,
}

impl Book {
    /// The live order that a cancel, a reduce or a replace names, when it is the order of who names it.
    #[inline(always)]
    fn target<'a>(&self, bands: &'a mut [Band], command: &Command) -> Option<(&'a mut Band, Target)> {
        let band = bands.get_mut(usize::from(command.instrument))?;
        let owner = *self.owners.get(command.slot as usize)?;
        let links = self.links_of(command.slot);
        let (leaves, (level, side)) = (self.leaves(links), self.place(links));
        let tick = level.wrapping_sub(band.levels);
        if leaves == 0 || tick >= band.ticks || owner != command.owner {
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
fn new_leaves(command: &Command, control: u32, old: u32) -> i64 {
    if control & RELATIVE != 0 { i64::from(old) + i64::from(command.qty.cast_signed()) } else { i64::from(command.qty) }
}

/// Whether time in force and post-only go together.
#[inline(always)]
const fn goes(which: u32, control: u32) -> bool {
    let case = (control & TIME_IN_FORCE) >> TIF_AT | (control & POST_ONLY) >> (POST_ONLY_AT - 2);
    which >> case & 1 == 1
}

#[inline(always)]
const fn side(control: u32) -> u32 {
    (control & SIDE) >> SIDE_AT
}

#[inline]
fn refuse_if(condition: bool, reason: Reason) -> Result<(), Reason> {
    if condition { Err(reason) } else { Ok(()) }
}
