//! From a burst to its reports: the steps of a turn behind the sequencer.
//!
//! Each step does what can be done now and answers how much that was; none waits. Inline, [`Venue::progress`] repeats them until the burst is
//! booked; pipelined, once, and what is under way is looked at again in the next turn.

use std::thread::sleep;
use std::time::Duration;

use wirebook_bypass::cpu::{Idle, WaitStrategy};
use wirebook_bypass::stream::StreamPort;
use wirebook_matcher::Matcher;
use wirebook_matcher::abi::Command;
use wirebook_settlement::record::{Payload, Record};

use super::flights::Reader;
use super::{Fault, Venue, VenueError};
use crate::journal::Storage;

/// How a venue waits for its stages while it may do nothing else.
pub(super) const BARRIER: WaitStrategy = WaitStrategy::Park { max: Duration::from_micros(50) };

impl<P: StreamPort, M: Matcher, S: Storage> Venue<P, M, S> {
    /// Everything sequenced goes on its way to the journal and to settlement, through the matcher, and into the books: inline to the end.
    /// Whether anything moved.
    pub(super) fn dispatch(&mut self, now: u64) -> Result<bool, VenueError> {
        if !self.sequencer.is_empty() {
            let burst = self.flights.launch(&mut self.sequencer);
            self.feed.push(burst);
            self.meters.bursts.add(1);
            self.meters.bytes.add(burst.len() as u64);
            self.meters.dropped.set(self.feed.dropped());
        }
        self.progress(now)
    }

    /// Moves what is under way: inline until it is booked. Whether anything moved.
    pub(super) fn progress(&mut self, now: u64) -> Result<bool, VenueError> {
        let here = self.matching.is_here();
        let mut worked = false;
        loop {
            // Looked at first: what a stage that has ended left on its ring is booked all the same.
            let ended = self.matching.ended();
            let moved = self.pass(now)?;
            worked |= moved > 0;
            let left = self.flights.rest(Reader::Books).is_some();
            if ended || (here && left && moved == 0 && !self.matching.busy()) {
                return Err(self.matching.why(self.booking.left(self.flights.left(Reader::Books))));
            }
            if !left || !here {
                break;
            }
            if moved == 0 {
                // A device, whose answers come at a later poll: it is bound to answer or to fail in bounded time.
                std::hint::spin_loop();
            }
        }
        if worked {
            self.tell();
        }
        Ok(worked)
    }

    /// Everything sequenced is booked: what the books say is then what they will say of the next record.
    pub(super) fn settle(&mut self, now: u64) -> Result<(), VenueError> {
        self.dispatch(now)?;
        self.wait_for(Reader::Books, now)
    }

    /// Waits until a reader has read everything that is under way. Who reads it moves, or ends, and is then heard of.
    pub(super) fn wait_for(&mut self, reader: Reader, now: u64) -> Result<(), VenueError> {
        let mut idle = Idle::new(BARRIER);
        while self.flights.rest(reader).is_some() {
            self.keeping.before_release(now)?;
            match self.progress(now)? {
                true => idle.worked(),
                false => drop(idle.idle_with(sleep)),
            }
        }
        Ok(())
    }

    fn pass(&mut self, now: u64) -> Result<usize, VenueError> {
        let kept = self.keep(now)?;
        let fed = self.command()?;
        if fed > 0 {
            self.matching.wake();
        }
        Ok(kept + fed + self.matching.step() + self.book()?)
    }

    /// Bursts go to the journal.
    fn keep(&mut self, now: u64) -> Result<usize, VenueError> {
        let mut kept = 0;
        while let Some(records) = self.flights.rest(Reader::Journal) {
            let length = records.len();
            let taken = self.keeping.take(records, now)?;
            self.flights.advance(Reader::Journal, taken);
            kept += taken;
            if taken < length {
                break;
            }
        }
        Ok(kept)
    }

    /// A beat for each record goes to the matcher.
    fn command(&mut self) -> Result<usize, Fault> {
        let mut count = 0;
        while let Some(records) = self.flights.rest(Reader::Matcher) {
            let mut fed = 0;
            let full = loop {
                if fed == records.len() {
                    break false;
                }
                let (record, length) =
                    Record::decode(&records[fed..]).map_err(|error| Fault::Record { at: fed, error })?;
                if !self.commands.push(&beat(&record).to_words()) {
                    break true;
                }
                fed += length;
                count += 1;
            };
            self.flights.advance(Reader::Matcher, fed);
            if full {
                break;
            }
        }
        self.meters.records.add(count as u64);
        Ok(count)
    }

    /// Records meet their events.
    fn book(&mut self) -> Result<usize, Fault> {
        let mut taken = 0;
        while let Some(burst) = self.flights.rest(Reader::Books) {
            taken += self.booking.step(burst, &mut self.entry)?;
            let length = burst.len();
            if !self.booking.finish(length, self.flights.at_last(Reader::Books))? {
                if taken > 0 {
                    // More events may have waited for the room of these.
                    self.matching.wake();
                }
                break;
            }
            self.flights.advance(Reader::Books, length);
        }
        Ok(taken)
    }

    /// Says how far the books are.
    fn tell(&mut self) {
        self.status.set_booked(self.booking.booked());
        self.meters.booked.set(self.booking.booked());
        self.meters.fills.set(self.booking.books().fills());
        self.meters.live.set(u64::from(self.booking.books().live()));
        self.meters.connections.set(self.links.open() as u64);
        self.meters.takeovers.set(self.status.takeovers());
    }
}

/// The beat that stands for a record: an order's own, a nop for everything else, so that the matcher's seq has no gaps.
fn beat(record: &Record<'_>) -> Command {
    match &record.payload {
        Payload::Order(order) => order.command,
        _ => Command { seq: record.header.seq, ..Command::default() },
    }
}
