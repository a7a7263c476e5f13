//! The inbox: batches that the gateway has offered and that are not finalized yet.
//!
//! Batches come in the order of their numbers and leave once they are finalized. Bounded in count and in bytes: a gateway whose
//! validator does not keep up is told so and offers again later; its journal keeps what is not settled. An offer never waits.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::batch::{Batch, Digest32};

use super::replica::lock;
use super::status::Fault;

#[cfg(test)]
mod tests;

/// The most batches that wait.
pub const MAX_WAITING: usize = 256;

/// The most bytes that wait; one batch is always taken, whatever its size.
pub const MAX_WAITING_BYTES: usize = 64 << 20;

/// Why an offered batch is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The validator does not keep up for now.
    #[error("{MAX_WAITING} batches or {MAX_WAITING_BYTES} bytes wait to be settled: offer this one again later")]
    Full,
    /// Batches are offered in order.
    #[error("batch {offered} was offered, {expected} is next")]
    Gap {
        /// The number that is next.
        expected: u64,
        /// The number offered.
        offered: u64,
    },
    /// Settlement has stopped.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// The validator was shut down.
    #[error("the validator was shut down")]
    Stopped,
}

/// What became of an offer that the inbox could judge by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits now.
    Waits,
    /// The same batch waits already.
    Again,
    /// Another batch with this number waits: its digest.
    Differs(Digest32),
    /// A batch with this number has left the inbox already: it is finalized.
    Past,
}

/// Batches waiting to be settled.
#[derive(Debug)]
pub struct Inbox {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    waiting: BTreeMap<u64, Batch>,
    bytes: usize,
    /// Number of the next batch to be taken.
    next: u64,
    /// Who waits, by the number that the future was given.
    wakers: BTreeMap<u64, Waker>,
    next_waiter: u64,
}

impl Inbox {
    /// An empty inbox for what follows batch `finalized`.
    pub fn new(finalized: u64) -> Self {
        let inner =
            Inner { waiting: BTreeMap::new(), bytes: 0, next: finalized + 1, wakers: BTreeMap::new(), next_waiter: 0 };
        Self { inner: Mutex::new(inner) }
    }

    /// Takes a batch in, or says what is known of its number.
    ///
    /// # Errors
    /// [`OfferError::Full`] and [`OfferError::Gap`].
    pub fn offer(&self, batch: Batch) -> Result<Taken, OfferError> {
        let mut inner = lock(&self.inner);
        let (offered, size) = (batch.number(), batch.as_bytes().len());
        if offered < inner.next {
            let Some(waiting) = inner.waiting.get(&offered) else { return Ok(Taken::Past) };
            let same = waiting.digest() == batch.digest();
            return Ok(if same { Taken::Again } else { Taken::Differs(*waiting.digest()) });
        }
        if offered > inner.next {
            return Err(OfferError::Gap { expected: inner.next, offered });
        }
        let full = inner.waiting.len() >= MAX_WAITING || inner.bytes + size > MAX_WAITING_BYTES;
        if full && !inner.waiting.is_empty() {
            return Err(OfferError::Full);
        }
        inner.waiting.insert(offered, batch);
        inner.bytes += size;
        inner.next += 1;
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_values().for_each(Waker::wake);
        Ok(Taken::Waits)
    }

    /// The batch with this number, once it has been offered. Dropping the future is always safe.
    pub fn wait(&self, number: u64) -> Offered<'_> {
        let mut inner = lock(&self.inner);
        inner.next_waiter += 1;
        Offered { inbox: self, number, waiter: inner.next_waiter }
    }

    /// The batch with this number, if it waits.
    pub fn get(&self, number: u64) -> Option<Batch> {
        lock(&self.inner).waiting.get(&number).cloned()
    }

    /// How many batches wait, and how many bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let inner = lock(&self.inner);
        (inner.waiting.len(), inner.bytes)
    }

    /// Lets go of the batches up to `number`: they are finalized.
    pub fn settled(&self, number: u64) {
        let mut inner = lock(&self.inner);
        let kept = inner.waiting.split_off(&(number + 1));
        let gone = std::mem::replace(&mut inner.waiting, kept);
        inner.bytes -= gone.values().map(|batch| batch.as_bytes().len()).sum::<usize>();
        inner.next = inner.next.max(number + 1);
    }
}

/// Resolves to a batch once it has been offered.
#[derive(Debug)]
pub struct Offered<'a> {
    inbox: &'a Inbox,
    number: u64,
    waiter: u64,
}

impl Future for Offered<'_> {
    type Output = Batch;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Batch> {
        let mut inner = lock(&self.inbox.inner);
        if let Some(batch) = inner.waiting.get(&self.number) {
            return Poll::Ready(batch.clone());
        }
        inner.wakers.insert(self.waiter, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        // Consensus gives up on a proposal with every view that passes: who has gone must not be remembered.
        lock(&self.inbox.inner).wakers.remove(&self.waiter);
    }
}
