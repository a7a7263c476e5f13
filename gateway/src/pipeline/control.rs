//! The control path: what other threads ask of the venue, and what they see of it.
//!
//! Requests go through a bounded lock-free queue (`crossbeam-queue`) that the venue looks into once a turn; it never waits
//! for a requester. What it lets others see are a few words that it stores and they load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use crossbeam_queue::ArrayQueue;
use wirebook_bypass::stream::Waker;
use wirebook_settlement::record::{DayPhase, Leg, Payload};

/// Requests that may wait at once.
const WAITING: usize = 256;

/// A request.
#[derive(Debug)]
pub enum Control {
    /// End in good order.
    Stop,
    /// Close the day's session, or open the next.
    Day(DayPhase),
    /// An act of the venue itself: halt, kill switch, mark, registry. It becomes a record.
    Submit(Box<Payload<'static>>),
    /// Transfers that all happen or none, if the books allow them. They become one record; the answer goes to who asked.
    Transfer(Vec<Leg>, Sender<Result<u64, String>>),
}

/// The queue of requests; clones are the same queue.
#[derive(Clone)]
pub struct ControlQueue {
    queue: Arc<ArrayQueue<Control>>,
    waker: Waker,
}

impl ControlQueue {
    /// An empty queue, whose requests wake the venue's port.
    pub fn new(waker: Waker) -> Self {
        Self { queue: Arc::new(ArrayQueue::new(WAITING)), waker }
    }

    /// Asks; `false` when too many requests wait already.
    pub fn ask(&self, control: Control) -> bool {
        let taken = self.queue.push(control).is_ok();
        self.waker.wake();
        taken
    }

    /// The venue's end.
    pub fn pop(&self) -> Option<Control> {
        self.queue.pop()
    }
}

/// What others see of the venue.
#[derive(Debug, Default)]
pub struct Status {
    booked: AtomicU64,
    durable: AtomicU64,
    takeovers: AtomicU64,
}

impl Status {
    /// A venue whose records are durable, matched and booked up to `seq`.
    pub fn new(seq: u64) -> Self {
        Self { booked: AtomicU64::new(seq), durable: AtomicU64::new(seq), takeovers: AtomicU64::new(0) }
    }

    /// Seq of the last record that is matched and booked.
    pub fn booked(&self) -> u64 {
        self.booked.load(Ordering::Acquire)
    }

    /// Seq of the last record that is durable here.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// How often the software twin has taken over from a device.
    pub fn takeovers(&self) -> u64 {
        self.takeovers.load(Ordering::Acquire)
    }

    /// Counts a takeover.
    pub fn took_over(&self) {
        self.takeovers.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn set_booked(&self, seq: u64) {
        self.booked.store(seq, Ordering::Release);
    }

    pub(super) fn set_durable(&self, seq: u64) {
        self.durable.store(seq, Ordering::Release);
    }
}
