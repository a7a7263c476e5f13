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
//! - `consistency`: what holds between commands; `watch`: in debug builds it is looked at after each.

mod ahead;
mod book;
mod consistency;
mod cross;
mod execute;
mod ladder;
mod terms;
#[cfg(debug_assertions)]
mod watch;

use crate::abi::{Command, Event, Limits, Side};
use crate::consistency::Broken;
use crate::matcher::{Resting, RestoreError, Twin};
use book::{Book, Cell};
use ladder::{Ladders, NONE, SIDES};

/// One instrument, in a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Band {
    ticks: u32,
    /// The index of its first level.
    levels: u32,
    /// By side, a key that no order is better than: the best, until that goes. It is made exact when an order comes that would
    /// trade by it; keeping it exact costs more than it saves.
    bound: [u32; SIDES],
    ladders: Ladders,
}

impl Band {
    /// The best key of a side.
    #[inline(always)]
    fn best(&mut self, words: &[u64], side: u32) -> u32 {
        let best = self.ladders.best(words, side);
        self.bound[side as usize % SIDES] = best;
        best
    }
}

/// The software twin.
#[derive(Clone, Debug)]
pub struct Software {
    limits: Limits,
    bands: Vec<Band>,
    book: Book,
    /// Lots that rest, by what went in and what the events told.
    #[cfg(debug_assertions)]
    resting: i128,
    /// Commands since the whole book was looked through.
    #[cfg(debug_assertions)]
    unseen: u64,
}

impl Software {
    /// Bytes that a twin of these limits allocates: 8 per tick, a little over 1/4 per tick for the two ladders (ticks
    /// rounded up to a power of two), 18 per slot, and 64 per instrument.
    pub fn memory_bytes(limits: &Limits) -> u64 {
        let bytes = |n: usize| n as u64;
        let words: usize = limits.ticks.iter().map(|ticks| Ladders::words(*ticks)).sum();
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
            let ladders = Ladders::new(ticks, words as u32);
            bands.push(Band { ticks, levels: levels as u32, bound: [NONE; SIDES], ladders });
            words += Ladders::words(ticks);
            levels += ticks as usize;
        }
        let book = Book::new(levels, words, limits.slots);
        Self {
            limits,
            bands,
            book,
            #[cfg(debug_assertions)]
            resting: 0,
            #[cfg(debug_assertions)]
            unseen: 0,
        }
    }

    #[cfg(not(debug_assertions))]
    #[inline(always)]
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        self.run(command, sink);
    }

    /// With debug assertions, each command is followed by a look inside: see `watch`.
    #[cfg(debug_assertions)]
    fn execute(&mut self, command: &Command, mut sink: impl FnMut(Event)) {
        let mut watch = watch::Watch::new(self, command);
        self.run(command, |event| {
            watch.see(command, &event);
            sink(event);
        });
        watch.end(self, command);
    }

    /// Block by block: the loop over commands has nothing in it but their execution.
    #[inline(always)]
    fn execute_all(&mut self, commands: &[Command], mut sink: impl FnMut(Event)) {
        let mut at = 0;
        while at < commands.len() {
            let end = commands.len().min(at + ahead::look(self, commands, at));
            for command in &commands[at..end] {
                self.execute(command, &mut sink);
            }
            at = end;
        }
    }

    #[inline]
    fn announce(&self, commands: &[Command]) {
        ahead::far(self, commands);
    }

    #[inline(always)]
    fn look_ahead(&self, commands: &[Command], at: usize) {
        ahead::look_at_blocks(self, commands, at);
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
            for side in Side::ALL {
                self.book
                    .walk(band, side as u32, |links| sink(self.book.resting(&self.bands, self.book.slot_of(links))));
            }
        }
    }

    fn restore(&mut self, order: &Resting) -> Result<(), RestoreError> {
        let refuse = |reason| Err(RestoreError { slot: order.slot, reason });
        let Some(band) = self.bands.get_mut(usize::from(order.instrument)) else {
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
        let side = order.side as u32;
        if self.book.crosses(band, side, order.tick) {
            return refuse("it would cross the book");
        }
        self.book.rest(band, order.slot, order.owner, side, order.tick, order.leaves);
        #[cfg(debug_assertions)]
        {
            self.resting += i128::from(order.leaves);
        }
        Ok(())
    }
}
