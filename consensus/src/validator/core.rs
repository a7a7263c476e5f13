//! What one validator consists of apart from the engine: the batches on their way in, the replica, the store, the status. It tells the
//! engine what to propose, what is valid and what is settled; and it is the one place where a refusal becomes a fault.
//!
//! A body of the engine is the bytes of a batch, and has the batch's number. A batch of our own gateway that is refused stops this
//! validator; so does one of anybody's that proves the gateway at fault.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use wirebook_engine::block::MAX_BODY_BYTES;
use wirebook_engine::{Agreement, Body, Metrics, Moment, Next, Note, Place, Verdict};

use crate::batch::{Batch, Digest32, MAX_BATCH_BYTES};
use crate::proof::anchor::Anchor;
use crate::proof::block::BlockHead;
use crate::proof::settled::SettledProof;

use super::inbox::{Inbox, OfferError, Taken};
use super::notes::Notes;
use super::reading::{self, Reader, Unread, Wanted};
use super::recent::{Recent, Settled};
use super::replica::{Refusal, Replica, SharedStore, Tip, lock};
use super::snapshot::Snapshot;
use super::status::{Fault, Finalized, Status};
use super::store::StoreError;
use super::timings::Timings;
use super::volume::{Directory, Volume};

const _: () = assert!(MAX_BATCH_BYTES <= MAX_BODY_BYTES, "a batch is a body of the engine");

/// How long somebody who waits for a signed block sleeps at a time, if nothing wakes him.
const NEWS: Duration = Duration::from_millis(5);

/// Keeps a refused batch as evidence; answers where.
pub(crate) type Keep = Box<dyn Fn(&Batch, &Refusal) -> io::Result<PathBuf> + Send + Sync>;

/// One validator without its engine.
pub(crate) struct Core<V: Volume = Directory> {
    inbox: Inbox,
    replica: Mutex<Replica<V>>,
    store: SharedStore<V>,
    pub(crate) status: Status,
    evidence: Keep,
    /// Height of the last consensus block that is settled here; blocks without a batch count too.
    applied: AtomicU64,
    /// A refusal that is published once the consensus block at this height is settled.
    pending: Mutex<Option<(u64, Fault)>>,
    halt: Mutex<Option<oneshot::Sender<()>>>,
    /// The engine's own metrics, once it runs.
    metrics: Mutex<Option<Metrics>>,
    /// Barriers on their way into a block.
    pub(crate) notes: Notes,
    /// The newest settled blocks.
    pub(super) recent: Recent,
    reader: Reader,
    /// Number of a batch, and its anchor.
    kept: Mutex<Option<(u64, Anchor)>>,
    /// How long batches take.
    pub(super) timings: Timings,
    observer: Option<Arc<dyn Observer>>,
}

/// The newest settled block that this validator has a certificate of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// Number of the batch in it.
    pub number: u64,
    /// The block's height.
    pub height: u64,
    /// Digest of the block before it.
    pub parent: Digest32,
    /// Its digest.
    pub digest: Digest32,
    /// A quorum's signatures over that digest.
    pub certificate: Vec<u8>,
}

/// Told of a batch's way, on the engine's threads: to be quick.
pub trait Observer: Send + Sync + 'static {
    /// A quorum has finalized the batch; it is not durable here yet.
    fn certified(&self, _number: u64) {}

    /// The batch is final, and durable here.
    fn finalized(&self, _finalized: &Finalized) {}

    /// A member of the committee has contradicted itself: two of its votes, at hand and signed, exclude one another.
    fn witnessed(&self, _member: [u8; 32], _what: &'static str) {}
}

impl<V: Volume> Core<V> {
    /// A validator over a replica that has been brought up to the store. The receiver resolves when the validator is to stop.
    pub(crate) fn new(
        replica: Replica<V>,
        store: SharedStore<V>,
        evidence: Keep,
        observer: Option<Arc<dyn Observer>>,
    ) -> (Self, oneshot::Receiver<()>) {
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
            metrics: Mutex::new(None),
            notes: Notes::default(),
            recent: Recent::default(),
            reader: Reader::default(),
            kept: Mutex::new(None),
            timings: Timings::default(),
            observer,
        };
        (core, halted)
    }

    /// Takes in a batch that the gateway offers; quiet about what it has offered before.
    pub(crate) fn offer(&self, batch: Batch) -> Result<(), OfferError> {
        if let Some(fault) = self.status.fault() {
            return Err(OfferError::Fault(Box::new(fault)));
        }
        if self.status.stopped() {
            return Err(OfferError::Stopped);
        }
        let refusal = match self.inbox.offer(batch.clone())? {
            Taken::Waits => {
                self.timings.offered(batch.number());
                return Ok(());
            }
            Taken::Again => return Ok(()),
            Taken::Differs(other) => Refusal::Equivocation { other },
            Taken::Past => match lock(&self.store).digest(batch.number()) {
                Ok(digest) if digest == *batch.digest() => return Ok(()),
                Ok(other) => Refusal::Equivocation { other },
                Err(error) => Refusal::Store(error.to_string()),
            },
        };
        Err(OfferError::Fault(Box::new(self.refuse(&batch, refusal))))
    }

    /// The batch that a body holds: as it waits in the inbox, or decoded.
    fn batch(&self, number: u64, body: &Body) -> Option<Batch> {
        if let Some(waiting) = self.inbox.get(number).filter(|waiting| waiting.as_bytes() == body) {
            return Some(waiting);
        }
        Batch::decode(body).ok().filter(|batch| batch.number() == number)
    }

    /// Checks a batch, executing it if it is next.
    fn check(&self, batch: &Batch) -> Result<(), Refusal> {
        lock(&self.replica).check(batch)
    }

    /// Stops this validator because of a batch: keeps the batch, publishes the fault, halts. Returns what was published.
    fn refuse(&self, batch: &Batch, refusal: Refusal) -> Fault {
        let fault = self.fault(batch, refusal);
        self.fail(fault.clone());
        fault
    }

    /// As [`Core::refuse`], but not before the consensus block at `height` is settled: what was good before the batch is settled first.
    fn refuse_after(&self, height: u64, batch: &Batch, refusal: Refusal) {
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
        if let Refusal::Equivocation { other } = refusal
            && let Some(first) = self.inbox.get(batch.number()).filter(|first| *first.digest() == other)
        {
            // The other half of the evidence is nowhere on disk yet; if it cannot be kept, then neither can this one.
            let _ = (self.evidence)(&first, &Refusal::Equivocation { other: *batch.digest() });
        }
        let evidence = (self.evidence)(batch, &refusal).map_err(|error| error.to_string());
        let digest: Digest32 = *batch.digest();
        Fault::Refused { number: batch.number(), digest, refusal, evidence }
    }

    /// Publishes a fault and halts.
    pub(super) fn fail(&self, fault: Fault) {
        self.status.fail(fault);
        self.halt();
    }

    /// The last batch that is executed here; it may not be final.
    pub(crate) fn executed(&self) -> Finalized {
        Finalized::from(lock(&self.replica).tip())
    }

    /// A stored batch.
    pub(crate) fn read(&self, number: u64) -> Result<Batch, StoreError> {
        lock(&self.store).read(number)
    }

    /// The newest settled block that there is a certificate of.
    pub(super) fn newest_certified(&self) -> Option<Certified> {
        let Settled { head, digest, certificate, .. } = self.recent.newest_signed()?;
        let (number, height, parent) = (head.settles, head.height, head.parent);
        Some(Certified { number, height, parent, digest, certificate: certificate.unwrap_or_default() })
    }

    /// Answers a reader, without waiting.
    pub(crate) fn read_proven(&self, wanted: &Wanted) -> Result<SettledProof, Unread> {
        self.reader.read(&self.replica, &self.store, &self.recent, lock(&self.kept).clone(), wanted)
    }

    /// Digest and certificate of the oldest block from this height on that is signed itself.
    pub(super) fn signed_at(&self, height: u64) -> Option<(Digest32, Vec<u8>)> {
        let top = self.recent.barrier(height)?.into_iter().next()?;
        top.certificate.map(|certificate| (top.digest, certificate))
    }

    /// An anchor to fall back on, once the newest blocks lead to none any more.
    pub(super) fn keep_anchor(&self, anchor: &Anchor) {
        let number = anchor.chain.last().and_then(|block| BlockHead::of(block).ok()).map(|(head, _)| head.settles);
        if let Some(number) = number {
            *lock(&self.kept) = Some((number, anchor.clone()));
        }
    }

    /// From the newest batch that can be shown to be final to the signatures.
    pub(super) fn newest_anchor(&self) -> Result<Anchor, Unread> {
        let stored = lock(&self.store).tip();
        match self.recent.anchor(1, stored) {
            Some(chain) => reading::anchor(&self.store, &chain),
            None => lock(&self.kept).clone().map(|(_, anchor)| anchor).ok_or(Unread::NotYet),
        }
    }

    /// A snapshot of a batch that is final by now, for which it waits unless `gives_up`; `None` if it does.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn snapshot(&self, gives_up: impl Fn() -> bool) -> Result<Option<Snapshot>, String> {
        let mut state = lock(&self.replica).fork().ok_or("this state machine cannot be forked")?;
        let chain = loop {
            let stored = lock(&self.store).tip();
            match self.recent.anchor(state.height(), stored) {
                Some(chain) => break chain,
                None if gives_up() || self.status.fault().is_some() => return Ok(None),
                None => self.recent.wait(NEWS),
            }
        };
        let number = chain[0].head.settles;
        let read = |number| lock(&self.store).read(number).map_err(|error| error.to_string());
        for next in state.height() + 1..=number {
            state.execute(&read(next)?)?;
        }
        let anchor = reading::anchor(&self.store, &chain).map_err(|unread| format!("{unread:?}"))?;
        let image = state.image().ok_or("this state machine has no images")?;
        Ok(Some(Snapshot { anchor, batch: read(number)?, image }))
    }

    /// Lets go of batches before this one, as far as whole segments hold nothing else.
    pub(super) fn prune(&self, number: u64) -> Result<(), StoreError> {
        lock(&self.store).prune(number)
    }

    /// Number of the first batch that is stored, and the bytes of all.
    pub(super) fn extent(&self) -> (u64, u64) {
        let store = lock(&self.store);
        (store.first(), store.bytes())
    }

    /// The engine's metrics; empty before it runs.
    pub(super) fn engine_metrics(&self) -> String {
        let metrics = lock(&self.metrics).clone();
        metrics.map(|encode| encode()).unwrap_or_default()
    }

    /// The engine has ended.
    pub(super) fn forget_metrics(&self) {
        *lock(&self.metrics) = None;
    }

    /// Batches and bytes that wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.inbox.waiting()
    }

    /// Asks the validator to stop; it keeps what is finalized.
    pub(super) fn halt(&self) {
        if let Some(halt) = lock(&self.halt).take() {
            // The receiver is gone if the validator has stopped by itself.
            let _ = halt.send(());
        }
    }

    /// Height of the last consensus block that is settled.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Checks and stores an agreed batch.
    fn settle_batch(&self, number: u64, body: &Body) -> bool {
        let Some(batch) = self.batch(number, body) else {
            self.fail(Fault::Engine(format!("what was agreed on as batch {number} is none")));
            return false;
        };
        if let Err(refusal) = self.check(&batch) {
            match refusal {
                Refusal::Store(error) => self.fail(Fault::Store(error)),
                // The fault that halted the replica is published already, or waits to be.
                Refusal::Halted => {
                    let pending = lock(&self.pending).take().map(|(_, fault)| fault);
                    self.fail(pending.unwrap_or_else(|| Fault::Engine(refusal.to_string())));
                }
                refusal => drop(self.refuse(&batch, refusal)),
            }
            return false;
        }
        let stored = self.store(&batch).map_err(|error| self.fail(Fault::Store(error.to_string())));
        stored.is_ok()
    }

    /// Stores a checked batch and says so.
    fn store(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut store = lock(&self.store);
        if batch.number() <= store.tip() {
            // Delivered once more. The check has compared it with what is stored.
            return Ok(());
        }
        store.append(batch)?;
        drop(store);
        lock(&self.replica).stored(batch.number());
        self.inbox.settled(batch.number());
        self.timings.settled(batch.number());
        let finalized = Finalized::from(Tip::of(batch));
        self.status.publish(finalized);
        if let Some(observer) = &self.observer {
            observer.finalized(&finalized);
        }
        Ok(())
    }
}

/// What readers are told of a block.
fn settled(place: &Place<'_>, carries: Option<bool>) -> Settled {
    let Place { height, parent, digest, settles, notes, certificate } = *place;
    Settled::new((height, settles), (parent, digest), notes, certificate, carries)
}

impl<V: Volume> Agreement for Core<V> {
    fn checked(&self) -> u64 {
        lock(&self.replica).tip().number
    }

    fn next(&self, number: u64) -> Next<'_> {
        Box::pin(async move {
            // Our own store holds it if the engine's files are older than the store.
            let stored = lock(&self.store).read(number).ok();
            let batch = match stored {
                Some(batch) => batch,
                None => self.inbox.wait(number).await,
            };
            Body::from_owner(batch)
        })
    }

    fn may_propose(&self, number: u64, body: &Body, parent: u64) -> bool {
        let batch = self.batch(number, body).expect("what is proposed came from the inbox or the store");
        match self.check(&batch) {
            Ok(()) => true,
            Err(refusal) => {
                self.refuse_after(parent, &batch, refusal);
                false
            }
        }
    }

    fn verify(&self, number: u64, body: &Body) -> Verdict {
        let Some(batch) = self.batch(number, body) else { return Verdict::Invalid };
        match self.check(&batch) {
            Ok(()) => Verdict::Valid,
            Err(refusal) if refusal.blames_gateway() => {
                self.refuse(&batch, refusal);
                Verdict::Invalid
            }
            // What this validator cannot judge any more, it does not vote on.
            Err(Refusal::Halted | Refusal::Store(_)) => Verdict::Unknown,
            // What the proposer may have made up is no reason to stop.
            Err(_) => Verdict::Invalid,
        }
    }

    fn settle(&self, body: Option<&Body>, place: &Place<'_>) -> bool {
        let settled = body.is_none_or(|body| self.settle_batch(place.settles, body));
        if settled {
            self.notes.settled(place.height, place.notes);
            self.recent.add(self::settled(place, Some(body.is_some())));
        }
        settled
    }

    fn remember(&self, place: &Place<'_>) {
        self.recent.add(settled(place, None));
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.to_propose()
    }

    fn noted(&self) -> Moment<'_> {
        Box::pin(self.notes.any())
    }

    fn asked(&self) -> Vec<Note> {
        self.notes.asked()
    }

    fn asks(&self) -> Moment<'_> {
        Box::pin(self.notes.untold())
    }

    fn heard(&self, member: [u8; 32], notes: &[u8]) {
        self.notes.heard(member, notes);
    }

    fn certified(&self, number: u64) {
        if let Some(observer) = &self.observer {
            observer.certified(number);
        }
    }

    fn settled(&self, height: u64) {
        self.applied.fetch_max(height, Ordering::Release);
        self.publish_pending();
    }

    fn witnessed(&self, member: [u8; 32], what: &'static str) {
        if let Some(observer) = &self.observer {
            observer.witnessed(member, what);
        }
    }

    fn started(&self, metrics: Metrics) {
        *lock(&self.metrics) = Some(metrics);
    }
}
