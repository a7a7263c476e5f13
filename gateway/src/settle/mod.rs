//! Settlement beside the hot path: what is journaled is re-executed, sealed into signed batches, and made final.
//!
//! A thread of its own takes records from a [`Feed`], executes those that are durable, and offers each sealed batch to the
//! validator. It can be late, be stopped and be started again at any time: what it needs is in the journal, and what the
//! validator has finalized it does not offer again. It never holds up an ack. Being a whole replica, it also writes the
//! venue's snapshots, and after a restart begins with one itself.

mod committee;
mod feed;
mod finality;
mod key;
mod sealer;
mod snapshots;
#[cfg(test)]
pub(crate) mod tests;

pub use committee::{Committee, ValidatorAddress, faulty};
pub(crate) use feed::{CHUNK, whole_records};
pub use feed::{Feed, FeedEnd, feed};
pub use finality::{Final, Finality, validator};
pub use key::{KeyError, signing_key};
pub use sealer::{SealError, Sealer};
pub use snapshots::{MAX_STREAM_BYTES, SnapshotPlan};

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::{error, info, warn};
use wirebook_bypass::cpu::{Placement, spawn};
use wirebook_matcher::Software;
use wirebook_settlement::batch::{Batch, Digest32, SigningKey};
use wirebook_settlement::record::Record;

use crate::journal::{Dir, Expect, RecoverError, Snapshot, read_range};
use crate::pipeline::Status;
use crate::recover::{Replay, ReplayError, Sizes, VenueImageError};
use snapshots::Keeper;

/// How long the thread sleeps when there is nothing to do, at first.
const NAP: Duration = Duration::from_millis(1);
/// How long at most: each nap in a row is twice as long, so that a quiet venue's cores are left alone.
const LONGEST_NAP: Duration = Duration::from_millis(8);

/// Sealed batches that may wait while history is read.
const OFFERS: usize = 64;

/// How long a stopping gateway waits for its last batch to become final.
const LAST_BATCH: Duration = Duration::from_secs(120);

/// Why settlement stopped. The venue goes on; what is not settled is settled after the next start.
#[derive(Debug, Error)]
pub enum SettleError {
    /// The replica could not follow.
    #[error("the gateway's replica stopped: {0}")]
    Seal(#[from] SealError),
    /// The snapshot that the venue began with does not open a second time.
    #[error("the snapshot that the venue began with: {0}")]
    Snapshot(#[from] VenueImageError),
    /// The journal could not be read.
    #[error("the journal cannot be read for settlement: {0}")]
    Journal(#[from] RecoverError),
    /// The validator stopped.
    #[error("the validator stopped: {0}")]
    Validator(String),
    /// The last batch did not become final in time.
    #[error("batch {number} is not final after {} s; it will be offered again at the next start", LAST_BATCH.as_secs())]
    Late {
        /// Its number.
        number: u64,
    },
    /// The thread panicked or could not be started.
    #[error("the settlement thread: {0}")]
    Thread(String),
}

/// How far settlement is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of the last sealed batch.
    pub sealed: u64,
    /// Root after it, as the gateway computed it.
    pub sealed_root: Digest32,
    /// What is final; height 0 without a validator.
    pub settled: Final,
    /// Seq of the last record that was executed again.
    pub executed_seq: u64,
}

/// What the thread needs.
pub struct SettleConfig {
    /// The journal's directory.
    pub journal: PathBuf,
    /// The shard, and what its matcher holds.
    pub sizes: Sizes,
    /// What the journal must be of.
    pub expect: Expect,
    /// The gateway's key.
    pub key: SigningKey,
    /// Who makes batches final; `None`: they are sealed, and no more.
    pub finality: Option<Box<dyn Finality>>,
    /// What the venue began with, and the number of its last batch; `None`: the journal's first record.
    pub base: Option<(Snapshot, u64)>,
    /// When snapshots are written.
    pub snapshots: SnapshotPlan,
}

struct Shared {
    progress: Mutex<Progress>,
    /// Seq that must be executed before the thread ends; `u64::MAX`: run on.
    until: AtomicU64,
}

/// The running thread.
pub struct Settlement {
    thread: JoinHandle<Result<Progress, SettleError>>,
    shared: Arc<Shared>,
}

impl Settlement {
    /// Starts the thread. It begins by reading the journal, from the snapshot if the validator has that batch, else from its
    /// start, up to what `status` says is durable.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        config: SettleConfig,
        feed: FeedEnd,
        status: Arc<Status>,
        placement: Placement,
    ) -> Result<Self, SettleError> {
        let shared = Arc::new(Shared { progress: Mutex::new(Progress::default()), until: AtomicU64::new(u64::MAX) });
        let inner = Arc::clone(&shared);
        let (thread, _) = spawn("settle", placement, move || {
            let result = Worker::new(config, feed, status, inner).and_then(Worker::run);
            if let Err(failure) = &result {
                error!("settlement stopped, trading goes on: {failure}");
            }
            result
        })
        .map_err(|error| SettleError::Thread(error.to_string()))?;
        Ok(Self { thread, shared })
    }

    /// How far it is, for whoever wants to see.
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Executes and settles everything up to `last_seq`, then ends.
    ///
    /// # Errors
    /// When settlement stopped before.
    pub fn finish(self, last_seq: u64) -> Result<Progress, SettleError> {
        self.shared.until.store(last_seq, Ordering::Release);
        self.thread.join().map_err(|_| SettleError::Thread("it panicked".into()))?
    }
}

/// A view of how far settlement is.
#[derive(Clone)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        *self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    sealer: Sealer,
    keeper: Keeper,
    journal: PathBuf,
    expect: Expect,
    finality: Option<Box<dyn Finality>>,
    feed: FeedEnd,
    status: Arc<Status>,
    shared: Arc<Shared>,
    /// Fed records that are not durable yet.
    waiting: Vec<u8>,
    /// Sealed, and not taken by the validator yet.
    offers: VecDeque<Batch>,
}

impl Worker {
    fn new(config: SettleConfig, feed: FeedEnd, status: Arc<Status>, shared: Arc<Shared>) -> Result<Self, SettleError> {
        let SettleConfig { journal, sizes, expect, key, finality, base, snapshots } = config;
        let height = finality.as_ref().map(|finality| finality.finalized().height);
        let sealer = match base {
            Some((_, batch)) if height.is_some_and(|height| height < batch) => {
                let height = height.unwrap_or(0);
                warn!(
                    "the snapshot ends with batch {batch}, the validator with {height}: settlement reads the whole journal"
                );
                Sealer::new(sizes, key)
            }
            Some((snapshot, _)) => {
                let (replay, sealed) = Replay::<Software>::from_image(snapshot.payload(), sizes)?;
                Sealer::resume(replay, sealed, sizes.shard, key)
            }
            None => Sealer::new(sizes, key),
        };
        let keeper = Keeper::new(snapshots, &journal, expect, sizes.shard, sealer.number());
        let (waiting, offers) = (Vec::new(), VecDeque::new());
        Ok(Self { sealer, keeper, journal, expect, finality, feed, status, shared, waiting, offers })
    }

    fn run(mut self) -> Result<Progress, SettleError> {
        self.read_journal(self.status.durable())?;
        let mut nap = NAP;
        loop {
            let worked = self.turn()?;
            if self.sealer.last_seq() >= self.shared.until.load(Ordering::Acquire) {
                break;
            }
            if worked {
                nap = NAP;
            } else {
                std::thread::sleep(nap);
                nap = (2 * nap).min(LONGEST_NAP);
            }
        }
        self.end()
    }

    fn turn(&mut self) -> Result<bool, SettleError> {
        let durable = self.status.durable();
        let mut worked = false;
        let waiting = &mut self.waiting;
        while waiting.len() < (1 << 20) {
            // Heap memory: the ring cannot be corrupted by another process.
            match self.feed.pop(|chunk| waiting.extend_from_slice(chunk)) {
                Ok(Some(())) => worked = true,
                Ok(None) => break,
                Err(corrupt) => return Err(SettleError::Thread(corrupt.to_string())),
            }
        }
        worked |= self.execute_waiting(durable)?;
        worked |= self.offer()?;
        worked |= self.keeper.write_final(self.finalized());
        self.publish();
        Ok(worked)
    }

    /// Executes what is fed and durable; reads from the journal what the feed dropped.
    fn execute_waiting(&mut self, durable: u64) -> Result<bool, SettleError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut at = 0;
        while at < waiting.len() {
            let (record, length) =
                Record::decode(&waiting[at..]).map_err(ReplayError::from).map_err(SealError::from)?;
            let seq = record.header.seq;
            if seq > durable {
                break;
            }
            if seq > self.sealer.last_seq() {
                if follows(self.sealer.last_seq(), seq) {
                    self.execute(&waiting[at..at + length])?;
                } else {
                    self.read_journal(seq)?;
                }
            }
            at += length;
        }
        self.waiting = waiting;
        self.waiting.drain(..at);
        // A feed that dropped its newest chunks gives no gap to see: the durable seq tells.
        if self.waiting.is_empty() && self.sealer.last_seq() < durable && at == 0 {
            self.read_journal(durable)?;
            return Ok(true);
        }
        Ok(at > 0)
    }

    /// The height of the last final batch; `None` without a validator.
    fn finalized(&self) -> Option<u64> {
        self.finality.as_ref().map(|finality| finality.finalized().height)
    }

    fn execute(&mut self, record: &[u8]) -> Result<(), SettleError> {
        if let Some(batch) = self.sealer.record(record)? {
            if self.finalized().is_some_and(|settled| batch.number() > settled) {
                self.offers.push_back(batch);
            }
            self.keeper.sealed(&self.sealer);
            self.keeper.write_final(self.finalized());
        }
        Ok(())
    }

    /// Executes what the journal's files hold beyond the last executed record, up to `durable`.
    fn read_journal(&mut self, durable: u64) -> Result<(), SettleError> {
        if self.sealer.last_seq() >= durable {
            return Ok(());
        }
        let mut failure = None;
        let mut dir = Dir::new(&self.journal);
        let (expect, after) = (self.expect, self.sealer.last_seq());
        let read = read_range(&mut dir, &expect, after, durable, &mut |record| {
            // The validator's queue is bounded: let it drain while history is read.
            let step = match self.execute(record.bytes) {
                Ok(()) if self.offers.len() > OFFERS => self.offer().map(drop),
                other => other,
            };
            step.map_err(|error| {
                let text = error.to_string();
                failure = Some(error);
                text.into()
            })
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(read?),
        }
    }

    fn offer(&mut self) -> Result<bool, SettleError> {
        let Some(finality) = &mut self.finality else { return Ok(false) };
        if let Some(fault) = finality.fault() {
            return Err(SettleError::Validator(fault));
        }
        let mut worked = false;
        while let Some(batch) = self.offers.front() {
            if !finality.offer(batch).map_err(SettleError::Validator)? {
                break;
            }
            self.offers.pop_front();
            worked = true;
        }
        Ok(worked)
    }

    fn publish(&self) -> Progress {
        let progress = Progress {
            sealed: self.sealer.number(),
            sealed_root: self.sealer.root(),
            settled: self.finality.as_ref().map(|finality| finality.finalized()).unwrap_or_default(),
            executed_seq: self.sealer.last_seq(),
        };
        *self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        progress
    }

    fn end(mut self) -> Result<Progress, SettleError> {
        let number = self.sealer.number();
        let deadline = Instant::now() + LAST_BATCH;
        while self.finalized().is_some_and(|height| height < number) {
            self.offer()?;
            self.publish();
            if Instant::now() >= deadline {
                return Err(SettleError::Late { number });
            }
            std::thread::sleep(NAP);
        }
        self.keeper.end(&self.sealer, self.finalized());
        let progress = self.publish();
        if let Some(finality) = self.finality.take() {
            finality.shutdown().map_err(SettleError::Validator)?;
            info!(height = progress.settled.height, "settlement is done");
        }
        Ok(progress)
    }
}

/// Whether a record of `seq` comes right after `last`.
fn follows(last: u64, seq: u64) -> bool {
    wirebook_settlement::batch::continues(last, seq)
}
