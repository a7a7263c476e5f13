//! The stages, wired: how an order's bytes become a report.
//!
//! ```text
//! links ──► entry, risk ──► sequencer ══command ring══► matching ══event ring══► booking ──► links
//!                               │                                                (books, fold, streams)
//!                               ├══byte ring══► keeping: the journal ── durable seq ──► release
//!                               └══byte ring══► settlement
//! ```
//!
//! [`Venue`] runs them in one of two ways, from the same stages and rings. **Inline**: one thread, one turn after another; each burst is
//! kept, matched and booked before the next is read. **Pipelined**: matching and keeping have threads of their own
//! ([`Venue::pipelined`]); the venue's thread reads clients, gives numbers and times, and books, and goes on reading while bursts are
//! under way ([`flights`]). What depends on the books, the acts of an operator, waits until nothing is under way. In both, this thread
//! alone decides seq and time, and records and messages are the same functions of what was read, in the order in which it was read.
//!
//! In a turn: read what has come; give it to the journal; match and book it, or what has come back; release what the ack policy allows;
//! send. Inline under `journaled` the disk is set to work before the matching, so that it works meanwhile; under `matched` after
//! the sending. A turn makes at most one read and one write per connection, and inline one submission to the journal.
//!
//! A stage that fails, or whose thread ends by itself, stops the venue: see [`VenueError`].

mod acts;
mod booking;
mod control;
mod ending;
mod flights;
mod keeping;
mod links;
mod matching;
mod meters;
mod seated;
mod stage;
mod steps;

pub use crate::config::Ack as AckPolicy;
pub use booking::{Booking, Fault};
pub use control::{Control, ControlQueue, Status};
pub use keeping::SeatError;
pub use links::{Links, User};
pub use matching::{Matching, Stuck};
pub use meters::Meters;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::error;
use wirebook_bypass::cpu::topology::Seat;
use wirebook_bypass::cpu::{Idle, UtcClock, WaitStrategy, Warning};
use wirebook_bypass::ring::{self, Heap, Producer};
use wirebook_bypass::stream::{StreamError, StreamPort, Waker};
use wirebook_matcher::Matcher;
use wirebook_settlement::machine::Books;
use wirebook_settlement::record::DayPhase;

use crate::entry::Entry;
use crate::journal::{Journal, JournalError, Storage};
use crate::publish::Publisher;
use crate::sequencer::Sequencer;
use crate::session::soup::SessionId;
use crate::settle::Feed;
use flights::{Flights, Reader};
use keeping::{Keeper, Keeping};
use seated::Seated;

/// How long a venue sleeps that reads no clients, before it looks again at what holds it up.
const PACE: Duration = Duration::from_micros(100);

/// Why a venue ended.
#[derive(Debug, Error)]
pub enum VenueError {
    /// A stage found that the venue contradicts itself.
    #[error("fault of the venue, it stops: {0}")]
    Fault(#[from] Fault),
    /// The journal cannot write. Nothing that it had not made durable was acknowledged.
    #[error(
        "the journal failed, acks stopped at {durable:#018x}: {error}; make room or replace the disk, then start again"
    )]
    Journal {
        /// Seq of the last durable record.
        durable: u64,
        /// What happened.
        error: JournalError,
    },
    /// The port failed.
    #[error("the port failed: {0}")]
    Port(#[from] StreamError),
    /// A stage's thread is no more.
    #[error("the thread of stage {stage} ended by itself, the venue stops: {why}")]
    Stage {
        /// Which.
        stage: &'static str,
        /// What is known of it.
        why: String,
    },
}

/// What a venue is made of, as recovery and configuration leave it.
pub struct Parts<P: StreamPort, M: Matcher, S: Storage> {
    /// Connections.
    pub links: Links<P>,
    /// Order entry, which holds what is live.
    pub entry: Entry,
    /// Gives seq and time.
    pub sequencer: Sequencer,
    /// Whatever matches.
    pub matcher: M,
    /// Who has what.
    pub books: Books,
    /// What clients were told, and the fold that goes on telling.
    pub publisher: Publisher,
    /// Where records become durable.
    pub journal: Journal<S>,
    /// When a report may leave.
    pub policy: AckPolicy,
    /// How long records may wait for others before they go to the disk, under `matched`.
    pub linger: Duration,
    /// How to wait when nothing happens.
    pub wait: WaitStrategy,
    /// Where settlement is fed from.
    pub feed: Feed,
    /// What others ask of the venue.
    pub control: ControlQueue,
    /// What others see of the venue.
    pub status: Arc<Status>,
    /// What it counts.
    pub meters: Meters,
}

/// What may be under way at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bursts that are not booked, or not handed to the journal.
    pub bursts: usize,
    /// Beats of each ring to and from the matcher: a power of two.
    pub beats: usize,
    /// Bytes of the ring to the journal: a power of two.
    pub journal_bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { bursts: 64, beats: 4096, journal_bytes: keeping::RING_BYTES }
    }
}

/// Where the stages with threads of their own run, and how they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// The matching.
    pub matcher: Seat,
    /// The keeping of the journal.
    pub journal: Seat,
    /// What may be under way between them and the venue.
    pub room: Room,
}

/// The pipeline, and its stages on the venue's own thread.
pub struct Venue<P: StreamPort, M: Matcher, S: Storage> {
    links: Links<P>,
    entry: Entry,
    sequencer: Sequencer,
    flights: Flights,
    commands: Producer<Heap>,
    matching: Seated<M>,
    booking: Booking,
    keeping: Keeping<S>,
    policy: AckPolicy,
    feed: Feed,
    control: ControlQueue,
    status: Arc<Status>,
    meters: Meters,
    clock: UtcClock,
    idle: Idle,
    watermark: u64,
    /// The opening of a day that waits for the last day's clients to be gone.
    opening: Option<Control>,
}

impl<P: StreamPort, M: Matcher + Send + 'static, S: Storage + Send + 'static> Venue<P, M, S> {
    /// Wires the stages with matching and keeping on threads of their own, which begin to wait for work. Dropping the venue ends them.
    ///
    /// # Errors
    /// When a thread, its core or the memory of a ring is not to be had.
    pub fn pipelined(parts: Parts<P, M, S>, seats: &Seats) -> Result<(Self, Vec<Warning>), SeatError> {
        let mut warnings = Vec::new();
        let venue = Self::wire(parts, seats.room, |matching, keeper, status, waker| {
            let (matching, of_matching) = Seated::there(matching, &seats.matcher, waker.clone())?;
            let (keeping, of_keeping) =
                Keeping::there(keeper, &seats.journal, status, waker, seats.room.journal_bytes)?;
            warnings.extend(of_matching.into_iter().chain(of_keeping));
            Ok::<_, SeatError>((matching, keeping))
        })?;
        Ok((venue, warnings))
    }
}

impl<P: StreamPort, M: Matcher, S: Storage> Venue<P, M, S> {
    /// Wires the stages to run inline.
    pub fn new(parts: Parts<P, M, S>) -> Self {
        let room = Room { bursts: 1, ..Room::default() };
        let Ok(venue) = Self::wire(parts, room, |matching, keeper, status, _| {
            Ok::<_, Infallible>((Seated::Here(matching), Keeping::Here(Box::new(keeper), status)))
        });
        venue
    }

    fn wire<E>(
        parts: Parts<P, M, S>,
        room: Room,
        place: impl FnOnce(Box<Matching<M>>, Keeper<S>, Arc<Status>, Waker) -> Result<(Seated<M>, Keeping<S>), E>,
    ) -> Result<Self, E> {
        let mut links = parts.links;
        let (commands, command_end) = ring::heap(room.beats).expect("a power of two");
        let (event_end, events) = ring::heap(room.beats).expect("a power of two");
        let matching = Box::new(Matching::new(parts.matcher, command_end, event_end));
        let keeper = Keeper::new(parts.journal, parts.policy, parts.linger);
        let (matching, keeping) = place(matching, keeper, Arc::clone(&parts.status), links.port().waker())?;
        Ok(Self {
            links,
            entry: parts.entry,
            clock: UtcClock::not_before(parts.sequencer.last_time_ns()),
            sequencer: parts.sequencer,
            flights: Flights::new(room.bursts),
            commands,
            matching,
            booking: Booking::new(parts.books, parts.publisher, events),
            keeping,
            policy: parts.policy,
            feed: parts.feed,
            control: parts.control,
            status: parts.status,
            meters: parts.meters,
            idle: Idle::new(parts.wait),
            watermark: 0,
            opening: None,
        })
    }

    /// Runs until it is told to stop, then ends in good order: everything sequenced is durable, sealed and sent.
    ///
    /// # Errors
    /// When the venue had to stop by itself; what was acknowledged is durable all the same.
    pub fn run(&mut self) -> Result<(), VenueError> {
        loop {
            let now = self.clock.now_ns();
            let rested = match self.turn(now) {
                Ok(Turn::Worked) => {
                    self.idle.worked();
                    Ok(())
                }
                Ok(Turn::Idle) => self.rest(),
                Ok(Turn::Stop) => match self.stop() {
                    Ok(()) => return Ok(()),
                    failed => failed,
                },
                Err(failure) => Err(failure),
            };
            match rested {
                Ok(()) => {}
                Err(failure) => {
                    error!("{failure}");
                    self.last_words();
                    return Err(failure);
                }
            }
        }
    }

    /// Nothing is to be done now: the port sleeps until a client, another stage, the journal's disk, or a request has something for
    /// it, or what lingers is due at the disk.
    fn rest(&mut self) -> Result<(), VenueError> {
        let held = !self.has_room() || self.flights.rest(Reader::Journal).is_some();
        let due = self.keeping.due();
        let (links, clock) = (&mut self.links, &mut self.clock);
        let slept = self.idle.idle_with(|most| {
            if held {
                // Clients are not read, so the port would not sleep: who is behind sets the pace.
                std::thread::sleep(PACE.min(most));
                return Ok(());
            }
            let left = due.map(|due| Duration::from_nanos(due.saturating_sub(clock.now_ns())));
            links.port().wait(left.map_or(most, |left| left.min(most)))
        });
        slept.transpose()?;
        Ok(())
    }

    /// Whether clients may be read.
    fn has_room(&self) -> bool {
        !self.flights.is_full() && self.keeping.has_room()
    }

    fn turn(&mut self, now: u64) -> Result<Turn, VenueError> {
        let mut worked = false;
        if self.has_room() {
            let streams = self.booking.publisher().streams();
            worked |= self.links.listen(now, &mut self.entry, &mut self.sequencer, streams)?;
            while let Some(control) = self.opening.take().or_else(|| self.control.pop()) {
                match control {
                    Control::Stop => return Ok(Turn::Stop),
                    // The streams begin anew with the day: those who are still to be sent the last one's end come first.
                    Control::Day(DayPhase::Open) if self.links.leaving() => {
                        self.opening = Some(control);
                        break;
                    }
                    asked => self.act(asked, now)?,
                }
                worked = true;
            }
            self.entry.timer(now, &mut self.sequencer);
            self.sequencer.tick(now);
        }
        worked |= self.dispatch(now)?;
        self.keeping.before_release(now)?;
        let news = self.release();
        let streams = self.booking.publisher().streams();
        self.links.speak(now, news, &mut self.entry, &mut self.sequencer, streams);
        self.links.flush()?;
        self.keeping.after_sending(now)?;
        // Who ended while being spoken to has left records.
        let left = !self.sequencer.is_empty();
        Ok(if worked || news || left { Turn::Worked } else { Turn::Idle })
    }

    /// Releases what the policy allows. Returns whether there was more.
    fn release(&mut self) -> bool {
        let durable = self.keeping.durable();
        self.meters.durable.set(durable);
        let watermark = match self.policy {
            AckPolicy::Matched => self.booking.booked(),
            AckPolicy::Journaled => durable.min(self.booking.booked()),
        };
        if watermark <= self.watermark {
            return false;
        }
        self.watermark = watermark;
        self.booking.release(watermark);
        true
    }

    /// Who has what.
    pub fn books(&self) -> &Books {
        self.booking.books()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Worked,
    Idle,
    Stop,
}

/// A session's name as clients give it.
///
/// # Panics
/// Never for a name that [`crate::day`] made: ten digits.
pub fn session_id(name: [u8; 10]) -> SessionId {
    let text = std::str::from_utf8(&name).expect("digits");
    SessionId::new(text.trim()).expect("ten digits")
}

#[cfg(test)]
mod tests;
