//! The software twin: the same answers as the reference, fast.
//!
//! A tick is an index: each instrument has an array of levels (the two ends of a queue), shared by both sides, as a tick
//! at rest never has bids and asks. A `Ladder` per side finds the best tick. An order lives where its slot says, and is
//! linked into its queue by index, so that a cancel touches its neighbours alone. What a match reads is in 16 bytes, whose an
//! order is lies apart.
//!
//! Everything is allocated at start, from the limits ([`Software::memory_bytes`]); no command allocates. A command costs
//! the same at any book size, but for what it takes out, and for fill or kill, which walks what it would take.
//!
//! - `ladder`: where a side has orders. `book`: queues. `cross`: what an order does that enters.
//! - `execute`: what a command does; `terms`: its flags in one number. `ahead`: fetching what later commands will touch.
//! - `consistency`: what holds between commands.

mod ahead;
mod book;
mod consistency;
mod cross;
mod execute;
mod ladder;
mod terms;

use crate::abi::{Command, Event, Limits};
use crate::consistency::Broken;
use crate::matcher::{Resting, RestoreError, Twin};
use book::{Book, Cell};
use ladder::Ladder;

/// One instrument: where its levels begin, and its two ladders by side.
#[derive(Clone, Copy, Debug)]
struct Band {
    ticks: u32,
    levels: u32,
    ladders: [Ladder; 2],
}

/// The software twin.
#[derive(Clone, Debug)]
pub struct Software {
    limits: Limits,
    bands: Vec<Band>,
    book: Book,
}

impl Software {
    /// Bytes that a twin of these limits allocates: 8 per tick, a little over 1/4 per tick for the two ladders (ticks
    /// rounded up to a power of two), 18 per slot, and 48 per instrument.
    pub fn memory_bytes(limits: &Limits) -> u64 {
        let bytes = |n: usize| n as u64;
        let words: usize = limits.ticks.iter().map(|ticks| 2 * Ladder::words(*ticks)).sum();
        let levels: usize = limits.ticks.iter().map(|ticks| *ticks as usize).sum();
        bytes(Book::base(levels) * size_of::<Cell>())
            + bytes(words * size_of::<u64>())
            + bytes(limits.ticks.len() * size_of::<Band>())
            + u64::from(limits.slots) * bytes(2 * size_of::<Cell>() + size_of::<u16>())
    }

    /// Looks for a contradiction between queues, ladders and orders.
    ///
    /// # Errors
    /// Names the first one.
    pub fn check(&self) -> Result<(), Broken> {
        consistency::check(self)
    }
}

impl Twin for Software {
    fn new(limits: Limits) -> Self {
        limits.validate().unwrap_or_else(|error| panic!("{error}"));
        let (mut levels, mut words) = (0, 0);
        let mut bands = Vec::with_capacity(limits.ticks.len());
        for &ticks in &limits.ticks {
            let one_side = Ladder::words(ticks);
            let ladders =
                [Ladder::new(ticks, words as u32, true), Ladder::new(ticks, (words + one_side) as u32, false)];
            bands.push(Band { ticks, levels: levels as u32, ladders });
            words += 2 * one_side;
            levels += ticks as usize;
        }
        let book = Book::new(levels, words, limits.slots);
        Self { limits, bands, book }
    }

    #[inline]
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        self.run(command, sink);
    }

    #[inline]
    fn look_ahead(&self, commands: &[Command], at: usize) {
        ahead::look(self, commands, at);
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn order(&self, slot: u32) -> Option<Resting> {
        let live = slot < self.limits.slots && self.book.leaves(self.book.links_of(slot)) > 0;
        live.then(|| self.book.resting(&self.bands, slot))
    }

    fn orders(&self, mut sink: impl FnMut(Resting)) {
        for band in &self.bands {
            for ladder in &band.ladders {
                self.book.walk(band, ladder, |links| sink(self.book.resting(&self.bands, self.book.slot_of(links))));
            }
        }
    }

    fn restore(&mut self, order: &Resting) -> Result<(), RestoreError> {
        let refuse = |reason| Err(RestoreError { slot: order.slot, reason });
        let Some(band) = self.bands.get(usize::from(order.instrument)) else {
            return refuse("no such instrument");
        };
        if order.slot >= self.limits.slots {
            return refuse("the slot is out of range");
        }
        if self.book.leaves(self.book.links_of(order.slot)) > 0 {
            return refuse("the slot is live");
        }
        if order.tick >= band.ticks {
            return refuse("the tick is outside the band");
        }
        if order.leaves == 0 || order.leaves > self.limits.max_qty {
            return refuse("the leaves are 0 or beyond the limit");
        }
        let side = order.side as usize;
        if self.book.crosses(band, side, order.tick) {
            return refuse("it would cross the book");
        }
        self.book.rest(band, order.slot, order.owner, side, order.tick, order.leaves);
        Ok(())
    }
}
