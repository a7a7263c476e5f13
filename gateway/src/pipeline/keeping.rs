//! The journal's stage: records become durable, here or on a thread of its own.
//!
//! [`Keeper`] is the stage. When the venue steps it, it takes a burst whole, and is set to work before or after the sending, as
//! the ack policy has it. On a thread of its own ([`Keeping::There`]) it takes records from a byte ring, and says in the venue's
//! [`Status`] how far they are durable: the venue makes no system call for the disk then, and settlement sees the same word. While the
//! disk works, records gather in the ring, and go to it together.
//!
//! Under `journaled` the disk is set to work at once. Under `matched` nobody waits for it, and a submission costs as much as an
//! order: records gather for a while ([`super::Parts::linger`]), or until the group is half full. A thread that sleeps is not woken
//! for each of them then: it looks into its ring by itself, at least as often as records linger.
//!
//! A failure is final. The thread ends with it, which wakes the venue; the durable seq stays where it was, and so do the acks.

use std::sync::Arc;
use std::time::Duration;

use wirebook_bypass::cpu::topology::Seat;
use wirebook_bypass::cpu::{CpuError, Idle, UtcClock, WaitStrategy, Warning};
use wirebook_bypass::ring::RingError;
use wirebook_bypass::ring::bytes::{self, Consumer, Heap, Producer};
use wirebook_bypass::stream::Waker;

use super::stage::{Order, Orders, Stage};
use super::{AckPolicy, Status, VenueError};
use crate::journal::{Journal, JournalError, Storage};
use crate::settle::{CHUNK, whole_records};

/// The part of the journal's group that must be free before clients are read: room for what one turn of many connections adds.
const RESERVE: usize = 4;

/// Bytes of the ring to the thread: some 40,000 orders.
pub(super) const RING_BYTES: usize = 4 << 20;

/// The shortest while for which a thread sleeps by itself, rather than being woken for what has come.
const SHORTEST_NAP: Duration = Duration::from_millis(1);

const _: () = assert!(2 * CHUNK < RING_BYTES, "a chunk fits wherever the ring stands");

/// Why a thread for the journal cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// No thread on the core that was asked for.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// No memory for a ring.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// A journal, and when it is set to work.
pub(super) struct Keeper<S: Storage> {
    journal: Journal<S>,
    policy: AckPolicy,
    linger_ns: u64,
    /// When the gathered records are due at the disk, under `matched`.
    commit_at: u64,
    /// Bytes of a quarter of the journal's group.
    reserve: usize,
}

impl<S: Storage> Keeper<S> {
    pub fn new(journal: Journal<S>, policy: AckPolicy, linger: Duration) -> Self {
        let reserve = (journal.room() / RESERVE).max(1);
        Self { journal, policy, linger_ns: linger.as_nanos() as u64, commit_at: 0, reserve }
    }

    /// Takes whole records, as far as the group has room; how many bytes.
    fn take(&mut self, records: &[u8], now: u64) -> Result<usize, JournalError> {
        if self.journal.gathered() == 0 {
            self.commit_at = now.saturating_add(self.linger_ns);
        }
        self.journal.append_burst(records)
    }

    /// Takes a whole burst, and under `journaled` sets the disk to work.
    fn take_all(&mut self, burst: &[u8], now: u64) -> Result<(), JournalError> {
        let mut at = 0;
        loop {
            at += self.take(&burst[at..], now)?;
            if at < burst.len() || self.policy == AckPolicy::Journaled {
                self.journal.poll()?;
            }
            if at == burst.len() {
                return Ok(());
            }
            // A burst larger than the reserve (a mass cancel): the disk sets the pace.
            std::thread::yield_now();
        }
    }

    /// Whether the gathered records may wait for more.
    fn lingers(&self, now: u64) -> bool {
        self.policy == AckPolicy::Matched
            && !self.journal.busy()
            && now < self.commit_at
            && self.journal.room() >= 2 * self.reserve
    }

    /// Hands the group to the disk when that is free and the group is due, and learns what has become durable.
    fn reap(&mut self, now: u64) -> Result<(), JournalError> {
        if self.journal.idle() || self.lingers(now) {
            return Ok(());
        }
        self.journal.poll().map(drop)
    }

    /// How long the thread sleeps at most where nobody waits for what comes meanwhile; `None`: it is woken for it.
    fn nap(&self) -> Option<Duration> {
        let linger = Duration::from_nanos(self.linger_ns);
        (self.policy == AckPolicy::Matched && linger >= SHORTEST_NAP).then_some(linger)
    }

    /// The thread's loop: until it is told to end, or the disk fails. Answers the last durable seq.
    fn keep(mut self, mut from: Source, told: &Told, wait: WaitStrategy, orders: &Orders) -> Result<u64, JournalError> {
        let (mut clock, mut idle) = (UtcClock::not_before(0), Idle::new(wait));
        let mut durable = self.journal.durable();
        let nap = self.nap().unwrap_or(Duration::MAX);
        loop {
            // Before the ring is looked at: what came before an order to finish is seen below.
            let order = orders.now();
            if order == Order::Abandon {
                return Ok(durable);
            }
            let now = clock.now_ns();
            let mut moved = from.give(|records| self.take(records, now))?;
            if order == Order::Finish && moved == 0 && from.is_empty() {
                durable = self.journal.flush()?;
                told.durable(durable);
                return Ok(durable);
            }
            self.reap(now)?;
            if self.journal.durable() > durable {
                durable = self.journal.durable();
                told.durable(durable);
                moved += 1;
            }
            if moved > 0 {
                idle.worked();
                continue;
            }
            let lingers = self.lingers(now);
            let rested = idle.idle_with(|most| {
                if !self.journal.idle() && !lingers {
                    // The disk is at work, or its next file is being made: whatever comes meanwhile waits in the ring.
                    return self.journal.wait();
                }
                let left = (self.journal.gathered() > 0).then(|| Duration::from_nanos(self.commit_at - now));
                std::thread::park_timeout(left.unwrap_or(nap).min(most));
                Ok(())
            });
            rested.transpose()?;
        }
    }
}

/// Where the thread's records come from.
struct Source {
    ring: Consumer<Heap>,
    /// The part of a chunk that found no room in the group.
    held: Vec<u8>,
    at: usize,
}

impl Source {
    /// Gives records to `take`, chunk by chunk, until it has no room or there are none; how many bytes were taken.
    fn give(&mut self, mut take: impl FnMut(&[u8]) -> Result<usize, JournalError>) -> Result<usize, JournalError> {
        let mut given = 0;
        loop {
            while self.at < self.held.len() {
                let taken = take(&self.held[self.at..])?;
                if taken == 0 {
                    return Ok(given);
                }
                self.at += taken;
                given += taken;
            }
            let (held, at) = (&mut self.held, &mut self.at);
            let popped = self.ring.pop_with(|chunk| {
                let taken = take(chunk)?;
                held.clear();
                held.extend_from_slice(&chunk[taken..]);
                *at = 0;
                Ok(taken)
            });
            match popped.expect("a ring in this process's memory holds what was put there") {
                None => return Ok(given),
                Some(taken) => given += taken?,
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.at == self.held.len() && self.ring.is_empty()
    }
}

/// Whom the thread tells what has become durable.
struct Told {
    status: Arc<Status>,
    venue: Waker,
}

impl Told {
    fn durable(&self, seq: u64) {
        self.status.set_durable(seq);
        self.venue.wake();
    }
}

/// The venue's end of the thread.
pub(super) struct Remote {
    ring: Producer<Heap>,
    stage: Stage<Result<u64, JournalError>>,
    status: Arc<Status>,
    /// Bytes for which the thread is woken: any, or so many that it should not sleep on.
    worth: usize,
    /// Bytes handed over since it was last woken.
    unheard: usize,
}

impl Remote {
    /// Hands over whole records as far as the ring has room; how many bytes.
    fn push(&mut self, records: &[u8]) -> usize {
        let mut from = 0;
        while from < records.len() {
            let to = from + whole_records(&records[from..]);
            if self.ring.push(&records[from..to]).is_err() {
                break;
            }
            from = to;
        }
        self.unheard += from;
        if self.unheard >= self.worth || from < records.len() {
            self.stage.wake();
            self.unheard = 0;
        }
        from
    }

    /// Ends the thread, by this order or because it has ended: the last durable seq, or why it failed.
    fn end(&mut self, order: Order) -> Result<u64, VenueError> {
        let durable = self.status.durable();
        match self.stage.end(order) {
            Ok(Ok(durable)) => Ok(durable),
            Ok(Err(error)) => Err(VenueError::Journal { durable, error }),
            Err(why) => Err(VenueError::Stage { stage: "journal", why }),
        }
    }
}

/// The stage, and who steps it.
pub(super) enum Keeping<S: Storage> {
    /// The venue, between its other stages.
    Here(Box<Keeper<S>>, Arc<Status>),
    /// A thread of its own.
    There(Remote),
}

impl<S: Storage> Keeping<S> {
    /// Whether clients may be read: what they send has room.
    pub fn has_room(&self) -> bool {
        match self {
            Self::Here(keeper, _) => keeper.journal.room() >= keeper.reserve,
            // The bound on bursts holds for this stage as well.
            Self::There(_) => true,
        }
    }

    /// Takes whole records: here all of them, there as many as the ring has room for. How many bytes.
    pub fn take(&mut self, records: &[u8], now: u64) -> Result<usize, VenueError> {
        match self {
            Self::Here(keeper, _) => {
                keeper.take_all(records, now).map_err(|error| keeper.failed(error))?;
                Ok(records.len())
            }
            Self::There(remote) => Ok(remote.push(records)),
        }
    }

    /// Before reports are released: under `journaled`, what has become durable. There: whether the thread is still at work.
    pub fn before_release(&mut self, now: u64) -> Result<(), VenueError> {
        match self {
            Self::Here(keeper, status) if keeper.policy == AckPolicy::Journaled => keeper.step(status, now),
            Self::Here(..) => Ok(()),
            Self::There(remote) if remote.stage.ended() => {
                let durable = remote.end(Order::Abandon)?;
                let why = format!("it was not told to, at {durable:#018x}");
                Err(VenueError::Stage { stage: "journal", why })
            }
            Self::There(_) => Ok(()),
        }
    }

    /// After the sending: under `matched`, what nobody waits for.
    pub fn after_sending(&mut self, now: u64) -> Result<(), VenueError> {
        match self {
            Self::Here(keeper, status) if keeper.policy == AckPolicy::Matched => keeper.step(status, now),
            _ => Ok(()),
        }
    }

    /// When the venue must look at the journal again although nothing arrives.
    pub fn due(&self) -> Option<u64> {
        match self {
            Self::Here(keeper, _) => {
                (keeper.journal.gathered() > 0 && !keeper.journal.busy()).then_some(keeper.commit_at)
            }
            Self::There(_) => None,
        }
    }

    /// Everything that was taken becomes durable; the stage takes no more. The last durable seq.
    pub fn finish(&mut self) -> Result<u64, VenueError> {
        match self {
            Self::Here(keeper, status) => {
                let durable = keeper.journal.flush().map_err(|error| keeper.failed(error))?;
                status.set_durable(durable);
                Ok(durable)
            }
            Self::There(remote) => remote.end(Order::Finish),
        }
    }

    /// Seq of the last durable record.
    #[inline]
    pub fn durable(&self) -> u64 {
        match self {
            Self::Here(keeper, _) => keeper.journal.durable(),
            Self::There(remote) => remote.status.durable(),
        }
    }
}

impl<S: Storage + Send + 'static> Keeping<S> {
    /// Moves the stage to a thread of its own, which tells `status`, and wakes the venue.
    ///
    /// # Errors
    /// When no such thread is to be had.
    pub fn there(
        keeper: Keeper<S>,
        seat: &Seat,
        status: Arc<Status>,
        venue: Waker,
        ring_bytes: usize,
    ) -> Result<(Self, Vec<Warning>), SeatError> {
        let (producer, consumer) = bytes::heap(ring_bytes)?;
        let from = Source { ring: consumer, held: Vec::with_capacity(CHUNK), at: 0 };
        let told = Told { status: Arc::clone(&status), venue: venue.clone() };
        let wait = seat.wait;
        let worth = keeper.nap().map_or(1, |_| CHUNK);
        let (stage, warnings) = Stage::start(seat, venue, move |orders| keeper.keep(from, &told, wait, orders))?;
        Ok((Self::There(Remote { ring: producer, stage, status, worth, unheard: 0 }), warnings))
    }
}

impl<S: Storage> Keeper<S> {
    fn step(&mut self, status: &Status, now: u64) -> Result<(), VenueError> {
        let before = self.journal.durable();
        self.reap(now).map_err(|error| self.failed(error))?;
        if self.journal.durable() > before {
            status.set_durable(self.journal.durable());
        }
        Ok(())
    }

    fn failed(&self, error: JournalError) -> VenueError {
        VenueError::Journal { durable: self.journal.durable(), error }
    }
}
