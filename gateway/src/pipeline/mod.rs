//! The stages, wired: how an order's bytes become a report.
//!
//! ```text
//! links ──► entry, risk ──► sequencer ══command ring══► matching ══event ring══► booking ──► links
//!                               │                                                (books, fold, streams)
//!                               ├──► journal ── durable seq ──► release
//!                               └──► settle feed
//! ```
//!
//! [`Venue`] runs them inline: one thread, one turn after another, each stage to completion. The stages talk through the
//! same rings as they would on cores of their own, so that nothing in them knows where it runs.
//!
//! In a turn: read what has come; give it to the journal; match and book it; release what the ack policy allows; send. Under
//! `journaled` the disk is set to work before the matching, so that it works meanwhile. Under `matched` nobody waits for the disk, and
//! a submission costs as much as an order: records gather for a while ([`Parts::linger`]), or until the group is half
//! full, and go to the disk after the sending. A turn makes at most one read and one write per connection, and one
//! submission to the journal.

mod booking;
mod control;
mod links;
mod matching;
mod meters;

pub use crate::config::Ack as AckPolicy;
pub use booking::{Booking, Fault};
pub use control::{Control, ControlQueue, Status};
pub use links::{Links, User};
pub use matching::Matching;
pub use meters::Meters;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::{error, info, warn};
use wirebook_bypass::cpu::{Idle, UtcClock, WaitStrategy};
use wirebook_bypass::ring::{self, Heap, Producer};
use wirebook_bypass::stream::{StreamError, StreamPort};
use wirebook_matcher::Matcher;
use wirebook_matcher::abi::Command;
use wirebook_settlement::machine::Books;
use wirebook_settlement::record::{Chain, DayPhase, Leg, MAX_LEGS, Payload, Record, State};

use crate::day;
use crate::entry::Entry;
use crate::journal::{Journal, JournalError, Storage};
use crate::publish::Publisher;
use crate::sequencer::Sequencer;
use crate::session::soup::SessionId;
use crate::settle::Feed;

/// Beats that each ring holds.
const RING_BEATS: usize = 4096;

/// The part of the journal's group that must be free before clients are read: room for what one turn of many connections adds.
const JOURNAL_RESERVE: usize = 4;

/// How long a venue sleeps whose journal has no room, before it looks at the disk again.
const DISK_PACE: Duration = Duration::from_micros(100);

/// How long a stopping venue tries to send what it still has, in turns of a millisecond.
const LAST_TURNS: u32 = 2_000;

/// How long it then waits for its clients to close, in such turns.
const GOODBYE_TURNS: u32 = 200;

/// The longest that such a turn waits.
const LAST_TURN: Duration = Duration::from_millis(1);

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

/// The inline pipeline.
pub struct Venue<P: StreamPort, M: Matcher, S: Storage> {
    links: Links<P>,
    entry: Entry,
    sequencer: Sequencer,
    commands: Producer<Heap>,
    matching: Matching<M>,
    booking: Booking,
    journal: Journal<S>,
    policy: AckPolicy,
    linger_ns: u64,
    /// When the gathered records are due at the disk, under `matched`.
    commit_at: u64,
    /// Bytes of a quarter of the journal's group.
    reserve: usize,
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

impl<P: StreamPort, M: Matcher, S: Storage> Venue<P, M, S> {
    /// Wires the stages.
    ///
    /// # Panics
    /// Never: the rings' sizes are constants that the rings accept.
    pub fn new(parts: Parts<P, M, S>) -> Self {
        let (commands, command_end) = ring::heap(RING_BEATS).expect("a power of two");
        let (event_end, events) = ring::heap(RING_BEATS).expect("a power of two");
        Self {
            links: parts.links,
            entry: parts.entry,
            clock: UtcClock::not_before(parts.sequencer.last_time_ns()),
            sequencer: parts.sequencer,
            commands,
            matching: Matching::new(parts.matcher, command_end, event_end),
            booking: Booking::new(parts.books, parts.publisher, events),
            policy: parts.policy,
            linger_ns: parts.linger.as_nanos() as u64,
            commit_at: 0,
            reserve: (parts.journal.room() / JOURNAL_RESERVE).max(1),
            journal: parts.journal,
            feed: parts.feed,
            control: parts.control,
            status: parts.status,
            meters: parts.meters,
            idle: Idle::new(parts.wait),
            watermark: 0,
            opening: None,
        }
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

    /// Nothing is to be done now: the port sleeps until a client, the journal's disk, or a request has something for it, or what
    /// lingers is due at the disk.
    fn rest(&mut self) -> Result<(), VenueError> {
        let (links, clock) = (&mut self.links, &mut self.clock);
        let due = (self.journal.gathered() > 0 && !self.journal.busy()).then_some(self.commit_at);
        let held = self.journal.room() < self.reserve;
        let slept = self.idle.idle_with(|most| {
            if held {
                // Clients are not read, so the port would not sleep: the disk sets the pace.
                std::thread::sleep(DISK_PACE.min(most));
                return Ok(());
            }
            let left = due.map(|due| Duration::from_nanos(due.saturating_sub(clock.now_ns())));
            links.port().wait(left.map_or(most, |left| left.min(most)))
        });
        slept.transpose()?;
        Ok(())
    }

    fn turn(&mut self, now: u64) -> Result<Turn, VenueError> {
        let mut worked = false;
        if self.journal.room() >= self.reserve {
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
        worked |= self.dispatch()?;
        if self.policy == AckPolicy::Journaled {
            self.reap()?;
        }
        let news = self.release();
        let streams = self.booking.publisher().streams();
        self.links.speak(now, news, &mut self.entry, &mut self.sequencer, streams);
        self.links.flush()?;
        if self.policy == AckPolicy::Matched && !self.lingers(now) {
            self.reap()?;
        }
        // Who ended while being spoken to has left records.
        let left = !self.sequencer.is_empty();
        Ok(if worked || news || left { Turn::Worked } else { Turn::Idle })
    }

    /// Everything sequenced goes to the journal and to settlement, through the matcher, and into the books.
    fn dispatch(&mut self) -> Result<bool, VenueError> {
        if self.sequencer.is_empty() {
            return Ok(false);
        }
        if self.journal.gathered() == 0 {
            self.commit_at = self.sequencer.last_time_ns().saturating_add(self.linger_ns);
        }
        let burst = self.sequencer.take();
        append(&mut self.journal, burst, self.policy)?;
        self.feed.push(burst);
        self.meters.bursts.add(1);
        self.meters.bytes.add(burst.len() as u64);
        self.meters.dropped.set(self.feed.dropped());
        let mut fed = 0;
        loop {
            let mut moved = 0;
            while fed < burst.len() {
                let (record, length) =
                    Record::decode(&burst[fed..]).map_err(|error| Fault::Record { at: fed, error })?;
                if !self.commands.push(&beat(&record).to_words()) {
                    break;
                }
                fed += length;
                moved += 1;
                self.meters.records.add(1);
            }
            moved += self.matching.step();
            moved += self.booking.step(burst, &mut self.entry)?;
            if self.booking.finish(burst.len())? {
                self.status.set_booked(self.booking.booked());
                self.meters.booked.set(self.booking.booked());
                self.meters.fills.set(self.booking.books().fills());
                self.meters.live.set(u64::from(self.booking.books().live()));
                self.meters.connections.set(self.links.open() as u64);
                self.meters.takeovers.set(self.status.takeovers());
                return Ok(true);
            }
            if moved == 0 {
                let matcher = self.matching.matcher();
                if matcher.busy() {
                    // A device, whose answers come at a later poll: it is bound to answer or to fail in bounded time.
                    std::hint::spin_loop();
                    continue;
                }
                let left = self.booking.left(burst.len());
                return Err(match matcher.failure() {
                    Some(reason) => Fault::Matcher { left, reason },
                    None => Fault::Stalled { left },
                }
                .into());
            }
        }
    }

    /// Whether the gathered records may wait for more.
    fn lingers(&self, now: u64) -> bool {
        !self.journal.busy() && now < self.commit_at && self.journal.room() >= 2 * self.reserve
    }

    /// Hands the journal's group to the disk when that is free, and learns what has become durable.
    fn reap(&mut self) -> Result<(), VenueError> {
        if self.journal.idle() {
            return Ok(());
        }
        let durable = poll(&mut self.journal)?;
        self.status.set_durable(durable);
        self.meters.durable.set(durable);
        Ok(())
    }

    /// Releases what the policy allows. Returns whether there was more.
    fn release(&mut self) -> bool {
        let watermark = match self.policy {
            AckPolicy::Matched => self.booking.booked(),
            AckPolicy::Journaled => self.journal.durable().min(self.booking.booked()),
        };
        if watermark <= self.watermark {
            return false;
        }
        self.watermark = watermark;
        self.booking.release(watermark);
        true
    }

    fn act(&mut self, control: Control, now: u64) -> Result<(), VenueError> {
        let payload = match control {
            Control::Stop => return Ok(()),
            Control::Submit(payload) => *payload,
            Control::Transfer(legs, answer) => {
                let done = self.transfer(&legs, now)?;
                // Who asked may have stopped waiting.
                let _ = answer.send(done);
                return Ok(());
            }
            Control::Day(phase) => match self.day(phase, now) {
                Some(state) => Payload::State(state),
                None => {
                    warn!("the day cannot {phase:?}: it has, or today's session names are used up");
                    return Ok(());
                }
            },
        };
        if let Err(refused) = self.entry.submit(&payload, now, &mut self.sequencer) {
            warn!(%refused, "refused what was asked of the venue");
            return Ok(());
        }
        if let Payload::State(State::Day { phase, session_name, .. }) = payload {
            // The session's last messages must be there before its end is told.
            self.dispatch()?;
            match phase {
                DayPhase::Close => self.links.end_session(now),
                DayPhase::Open => self.links.set_session(session_id(session_name)),
            }
        }
        Ok(())
    }

    /// Makes the record of some transfers, if the books allow them: its seq, or why not.
    fn transfer(&mut self, legs: &[Leg], now: u64) -> Result<Result<u64, String>, VenueError> {
        // With nothing in flight, what the books say now is what they will say of the record.
        self.dispatch()?;
        let time_ns = self.sequencer.clock(now);
        if let Some(refusal) = self.booking.refuses(time_ns, legs) {
            return Ok(Err(refusal.to_string()));
        }
        let mut bytes = Vec::new();
        let payload = match (legs, Chain::new(legs, &mut bytes)) {
            (_, Some(chain)) => Payload::Chain(chain),
            ([plain], None) => Payload::Transfer(plain.transfer),
            _ => return Ok(Err(format!("{} transfers, allowed 1 to {MAX_LEGS}", legs.len()))),
        };
        Ok(self.entry.submit(&payload, now, &mut self.sequencer).map_err(|refused| refused.to_string()))
    }

    fn day(&self, phase: DayPhase, now: u64) -> Option<State> {
        let today = self.booking.books().registry().day();
        let open = today.filter(|today| today.phase == DayPhase::Open);
        match phase {
            DayPhase::Close => open.map(|today| day::close(today.session_name)),
            DayPhase::Open if open.is_some() => None,
            DayPhase::Open => day::open(now, today.map(|today| today.session_name)),
        }
    }

    /// Stops in good order.
    fn stop(&mut self) -> Result<(), VenueError> {
        info!("stopping: no more orders are taken");
        self.sequencer.seal();
        self.dispatch()?;
        let durable =
            self.journal.flush().map_err(|error| VenueError::Journal { durable: self.journal.durable(), error })?;
        self.release();
        self.status.set_durable(durable);
        self.meters.durable.set(durable);
        self.last_words();
        Ok(())
    }

    /// Sends what is released, within a bound, and lets everyone go.
    fn last_words(&mut self) {
        if let Err(error) = self.part_with_all() {
            warn!(%error, "while saying goodbye");
        }
    }

    fn part_with_all(&mut self) -> Result<(), StreamError> {
        self.links.stop_listening();
        for turn in 0..LAST_TURNS {
            if turn > 0 && !self.links.behind(self.booking.publisher().streams()) {
                break;
            }
            self.last_turn(true)?;
        }
        self.links.shut();
        // A socket that is dropped with bytes unread takes back what its peer has not read yet: wait for the peers to close.
        for _ in 0..GOODBYE_TURNS {
            self.last_turn(false)?;
            if self.links.open() == 0 {
                break;
            }
        }
        Ok(())
    }

    fn last_turn(&mut self, news: bool) -> Result<(), StreamError> {
        let now = self.clock.now_ns();
        self.links.drain()?;
        let streams = self.booking.publisher().streams();
        if news {
            self.links.speak_all(now, &mut self.entry, &mut self.sequencer, streams);
        } else {
            self.links.speak(now, false, &mut self.entry, &mut self.sequencer, streams);
        }
        self.links.flush()?;
        self.links.port().wait(LAST_TURN)
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

/// The beat that stands for a record: an order's own, a nop for everything else, so that the matcher's seq has no gaps.
fn beat(record: &Record<'_>) -> Command {
    match &record.payload {
        Payload::Order(order) => order.command,
        _ => Command { seq: record.header.seq, ..Command::default() },
    }
}

/// Gives a burst to the journal, and under `journaled` the journal to the disk; otherwise that has time until the reports are sent.
fn append<S: Storage>(journal: &mut Journal<S>, burst: &[u8], policy: AckPolicy) -> Result<(), VenueError> {
    let mut at = 0;
    loop {
        at += journal
            .append_burst(&burst[at..])
            .map_err(|error| VenueError::Journal { durable: journal.durable(), error })?;
        if at < burst.len() || policy == AckPolicy::Journaled {
            poll(journal)?;
        }
        if at == burst.len() {
            return Ok(());
        }
        // A burst larger than the reserve (a mass cancel): the disk sets the pace.
        std::thread::yield_now();
    }
}

fn poll<S: Storage>(journal: &mut Journal<S>) -> Result<u64, VenueError> {
    journal.poll().map_err(|error| VenueError::Journal { durable: journal.durable(), error })
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
