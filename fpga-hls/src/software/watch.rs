//! In builds with debug assertions, the book is looked into after every command.
//!
//! After each, what the command named and its events told: those orders and their neighbours, their bits of the ladders, both bests.
//! And each time that as many commands have passed as the book has ticks and slots, all of it ([`consistency::check`]): so the
//! price of a command is the same in any book. Lots are counted along: what rests is what rested before, plus what entered, less
//! what left, by the events. A contradiction is a bug of the matcher, and panics.

use super::{Software, consistency};
use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT};
use crate::matcher::Twin;

/// What was seen of one command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// Leaves of the order that the command names, before.
    before: u32,
    /// Lots that entered the book for good, less those that left it, by the events.
    rested: i128,
    /// A maker that was met last, if any.
    maker: u32,
    last: Option<EventKind>,
}

impl Watch {
    /// Before a command.
    pub(super) fn new(twin: &Software, command: &Command) -> Self {
        let before = twin.order(command.slot).map_or(0, |order| order.leaves);
        Self { before, rested: 0, maker: NO_SLOT, last: None }
    }

    /// One event of the command.
    pub(super) fn see(&mut self, command: &Command, event: &Event) {
        assert!(self.last.is_none(), "{command:?}: {event:?} comes after the last");
        let qty = i128::from(event.qty);
        let is_change = command.kind != Kind::New as u8;
        match event.kind {
            EventKind::Rested => self.rested += qty,
            EventKind::Fill => self.rested -= qty,
            EventKind::Cancelled if event.maker != NO_SLOT => self.rested -= qty,
            // An order that rested goes; what a taker has left never rested.
            EventKind::Cancelled if is_change && event.index == 0 => self.rested -= qty,
            EventKind::Reduced => self.rested -= qty,
            EventKind::Replaced => self.rested -= i128::from(self.before),
            EventKind::Cancelled | EventKind::Done | EventKind::Rejected => {}
        }
        self.maker = if event.maker == NO_SLOT { self.maker } else { event.maker };
        self.last = event.last.then_some(event.kind);
    }

    /// After the command.
    ///
    /// # Panics
    /// When the book contradicts itself or the events.
    pub(super) fn end(self, twin: &mut Software, command: &Command) {
        assert!(self.last.is_some(), "{command:?} has no last event");
        twin.resting += self.rested;
        let around = [command.slot, command.slot2, self.maker]
            .into_iter()
            .try_for_each(|slot| consistency::check_around(twin, slot))
            .and_then(|()| consistency::check_bests(twin, usize::from(command.instrument)));
        twin.unseen += 1;
        let size = twin.book.cells.len() as u64;
        let found = if twin.unseen < size { around } else { around.and_then(|()| consistency::check(twin)) };
        twin.unseen %= size;
        if let Err(broken) = found {
            panic!("after {command:?}: {broken}");
        }
    }
}
