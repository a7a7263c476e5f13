//! What the parts of one validator share: the batches on their way in, the replica, the store, the status; and the one way in which a
//! refusal becomes a fault.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::channel::oneshot;

use crate::batch::{Batch, Digest32};

use super::evidence;
use super::inbox::{Inbox, OfferError, Taken};
use super::replica::{Refusal, Replica, SharedStore, lock};
use super::status::{Fault, Finalized, Status};
use super::volume::{Directory, Volume};

/// The shared state of one validator.
pub(super) struct Core<V: Volume = Directory> {
    pub(super) inbox: Inbox,
    pub(super) replica: Mutex<Replica<V>>,
    pub(super) store: SharedStore<V>,
    pub(super) status: Status,
    evidence: PathBuf,
    /// Height of the last consensus block that is finalized and applied here; blocks without a batch count too.
    applied: AtomicU64,
    /// A refusal that is published once the consensus block at this height is applied.
    pending: Mutex<Option<(u64, Fault)>>,
    halt: Mutex<Option<oneshot::Sender<()>>>,
}

impl<V: Volume> Core<V> {
    /// Shared state over a replica that has been brought up to the store. The receiver resolves when the validator is to stop.
    pub(super) fn new(replica: Replica<V>, store: SharedStore<V>, evidence: PathBuf) -> (Self, oneshot::Receiver<()>) {
        let (halt, halted) = oneshot::channel();
        let finalized = Finalized::from(replica.tip());
        let core = Self {
            inbox: Inbox::new(finalized.height),
            replica: Mutex::new(replica),
            store,
            status: Status::new(finalized),
            evidence,
            applied: AtomicU64::new(0),
            pending: Mutex::new(None),
            halt: Mutex::new(Some(halt)),
        };
        (core, halted)
    }

    /// Takes in a batch that the gateway offers; quiet about what it has offered before.
    pub(super) fn offer(&self, batch: Batch) -> Result<(), OfferError> {
        if let Some(fault) = self.status.fault() {
            return Err(OfferError::Fault(Box::new(fault)));
        }
        if self.status.stopped() {
            return Err(OfferError::Stopped);
        }
        let refusal = match self.inbox.offer(batch.clone())? {
            Taken::Waits | Taken::Again => return Ok(()),
            Taken::Differs(other) => Refusal::Equivocation { other },
            Taken::Past => match lock(&self.store).digest(batch.number()) {
                Ok(digest) if digest == *batch.digest() => return Ok(()),
                Ok(other) => Refusal::Equivocation { other },
                Err(error) => Refusal::Store(error.to_string()),
            },
        };
        Err(OfferError::Fault(Box::new(self.refuse(&batch, refusal))))
    }

    /// Checks a batch, executing it if it is next.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), Refusal> {
        lock(&self.replica).check(batch)
    }

    /// Stops this validator because of a batch: keeps the batch, publishes the fault, halts. Returns what was published.
    pub(super) fn refuse(&self, batch: &Batch, refusal: Refusal) -> Fault {
        let fault = self.fault(batch, refusal);
        self.fail(fault.clone());
        fault
    }

    /// As [`Core::refuse`], but not before the consensus block at `height` is applied: what was good before the batch is settled first.
    pub(super) fn refuse_after(&self, height: u64, batch: &Batch, refusal: Refusal) {
        if lock(&self.pending).is_none() {
            let fault = self.fault(batch, refusal);
            lock(&self.pending).get_or_insert((height, fault));
        }
        self.publish_pending();
    }

    fn publish_pending(&self) {
        let due = lock(&self.pending).clone().filter(|(height, _)| *height <= self.applied());
        if let Some((_, fault)) = due {
            self.fail(fault);
        }
    }

    /// Keeps a refused batch as evidence.
    fn fault(&self, batch: &Batch, refusal: Refusal) -> Fault {
        let evidence = evidence::keep(&self.evidence, batch, &refusal).map_err(|error| error.to_string());
        let digest: Digest32 = *batch.digest();
        Fault::Refused { number: batch.number(), digest, refusal, evidence }
    }

    /// Publishes a fault and halts.
    pub(super) fn fail(&self, fault: Fault) {
        self.status.fail(fault);
        self.halt();
    }

    /// Asks the validator to stop; it keeps what is finalized.
    pub(super) fn halt(&self) {
        if let Some(halt) = lock(&self.halt).take() {
            // The receiver is gone if the validator has stopped by itself.
            let _ = halt.send(());
        }
    }

    /// Says that consensus block `height` is finalized and applied.
    pub(super) fn set_applied(&self, height: u64) {
        self.applied.fetch_max(height, Ordering::Release);
        self.publish_pending();
    }

    /// Height of the last consensus block that is finalized and applied.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }
}
