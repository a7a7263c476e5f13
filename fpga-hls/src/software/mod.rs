//! The software twin: the same answers as the reference, fast.
//!
//! A tick is an index: each instrument has an array of levels (the two ends of a queue), shared by both sides, as a tick
//! at rest never has bids and asks. A [`Ladder`] per side finds the best tick. Orders live in arrays indexed by slot and
//! are linked into their queue by slot number, so that a cancel touches its neighbours alone. What a match reads is in
//! 16 bytes (`Order`), what only checks read is apart (`Tag`).
//!
//! Everything is allocated at start, from the limits ([`Software::memory_bytes`]); no command allocates. A command costs
//! the same at any book size, but for what it takes out, and for fill or kill, which walks what it would take.
//!
//! - [`ladder`]: where a side has orders. `book`: queues, and orders that enter and leave them.
//! - `execute`: what a command does. `consistency`: what holds between commands.

mod book;
mod consistency;
mod execute;
mod ladder;

use crate::abi::{Command, Event, Limits};
use crate::consistency::Broken;
use crate::matcher::{Resting, RestoreError, Twin};
use book::{Book, EMPTY, Level, Order, Tag};
use ladder::Ladder;

/// One instrument: where its levels begin, and its two ladders by side.
#[derive(Clone, Copy, Debug)]
struct Band {
    ticks: u32,
    levels: usize,
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
    /// rounded up to a power of two), 20 per slot, and 104 per instrument.
    pub fn memory_bytes(limits: &Limits) -> u64 {
        let bytes = |n: usize| n as u64;
        let per_band: u64 = limits
            .ticks
            .iter()
            .map(|ticks| {
                let levels = u64::from(*ticks) * bytes(size_of::<Level>());
                levels + 2 * bytes(Ladder::words(*ticks) * size_of::<u64>()) + bytes(size_of::<Band>())
            })
            .sum();
        per_band + u64::from(limits.slots) * bytes(size_of::<Order>() + size_of::<Tag>())
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
            let ladders = [Ladder::new(ticks, words, true), Ladder::new(ticks, words + one_side, false)];
            bands.push(Band { ticks, levels, ladders });
            words += 2 * one_side;
            levels += ticks as usize;
        }
        Self {
            bands,
            book: Book {
                levels: vec![EMPTY; levels],
                words: vec![0; words],
                orders: vec![Order::default(); limits.slots as usize],
                tags: vec![Tag::default(); limits.slots as usize],
            },
            limits,
        }
    }

    #[inline]
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        self.run(command, sink);
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn order(&self, slot: u32) -> Option<Resting> {
        let order = self.book.orders.get(slot as usize)?;
        (order.leaves > 0).then(|| self.book.resting(slot))
    }

    fn orders(&self, mut sink: impl FnMut(Resting)) {
        for band in &self.bands {
            for ladder in &band.ladders {
                self.book.walk(band, ladder, &mut sink);
            }
        }
    }

    fn restore(&mut self, order: &Resting) -> Result<(), RestoreError> {
        let refuse = |reason| Err(RestoreError { slot: order.slot, reason });
        let Some(band) = self.bands.get(usize::from(order.instrument)) else {
            return refuse("no such instrument");
        };
        match self.book.orders.get(order.slot as usize) {
            None => return refuse("the slot is out of range"),
            Some(there) if there.leaves > 0 => return refuse("the slot is live"),
            Some(_) => {}
        }
        if order.tick >= band.ticks {
            return refuse("the tick is outside the band");
        }
        if order.leaves == 0 || order.leaves > self.limits.max_qty {
            return refuse("the leaves are 0 or beyond the limit");
        }
        if self.book.crosses(band, order.side, order.tick) {
            return refuse("it would cross the book");
        }
        let tag = Tag { instrument: order.instrument, owner: order.owner };
        self.book.rest(band, order.slot, tag, order.side, order.tick, order.leaves);
        Ok(())
    }
}
