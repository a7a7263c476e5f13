//! Re-execute and compare: what makes a batch valid.
//!
//! A batch is valid if the gateway signed it, it follows the one before it in number, digest, seq and root, and executing its records
//! gives the root that it claims. Each batch is executed once, whichever of propose, verify and finalize meets it first; afterwards it
//! is recognised by its digest. Two different batches with one number are equivocation, whatever else holds of them.
//!
//! The gateway signs one batch for each number, so the valid batches form a line, and the executor may run ahead of what is finalized:
//! what it has executed is what will be finalized, or the gateway is at fault.
//!
//! A [`Refusal`] that [proves the gateway at fault](Refusal::blames_gateway) halts the replica: its executor's state can no longer be
//! trusted, and the epoch is over. Others only say that this batch is not the one to take.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::batch::{self, Batch, Digest32, GENESIS_DIGEST, VerifyingKey};

use super::executor::Executor;
use super::store::{Store, StoreError};
use super::volume::{Directory, Volume};

#[cfg(test)]
mod tests;

/// A store that several parts of a validator look into; only the applier adds to it.
pub type SharedStore<V = Directory> = Arc<Mutex<Store<V>>>;

/// Why a batch is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature is not the gateway's.
    #[error("it is not signed by the gateway's key")]
    Signature,
    /// It is of another shard.
    #[error("it is of shard {found}, this validator serves shard {expected}")]
    Shard {
        /// The shard served.
        expected: u16,
        /// The batch's shard.
        found: u16,
    },
    /// A batch before it is missing.
    #[error("batch {expected} is next")]
    Gap {
        /// The number that is next.
        expected: u64,
    },
    /// It does not name the batch before it.
    #[error("it does not name the batch before it as its previous one")]
    Previous,
    /// Its records do not follow on.
    #[error("its records begin with seq {first_seq:#018x}, the batch before it ended with {last_seq:#018x}")]
    Sequence {
        /// Seq of the last record before it.
        last_seq: u64,
        /// Seq of its first record.
        first_seq: u64,
    },
    /// It begins from another root than its predecessor ended with.
    #[error("it begins from another root than the one reached")]
    PreviousRoot,
    /// The executor refuses the records.
    #[error("its records cannot be executed: {0}")]
    Records(String),
    /// Execution gives another root than the batch claims.
    #[error("it claims the root {}, execution gives {}", hex(.claimed), hex(.computed))]
    Root {
        /// What the batch claims.
        claimed: Digest32,
        /// What execution gives.
        computed: Digest32,
    },
    /// The gateway has signed another batch with this number.
    #[error("the gateway has signed another batch with this number, {}", hex(.other))]
    Equivocation {
        /// Digest of the batch seen first.
        other: Digest32,
    },
    /// An earlier batch proved the gateway at fault.
    #[error("an earlier batch proved the gateway at fault")]
    Halted,
    /// The validator's own store cannot be read.
    #[error("the validator's store cannot be read: {0}")]
    Store(String),
}

impl Refusal {
    /// Whether only the gateway can have caused this: it signed what is refuted, or signed twice.
    pub fn blames_gateway(&self) -> bool {
        match self {
            Self::Previous | Self::Sequence { .. } | Self::PreviousRoot => true,
            Self::Records(_) | Self::Root { .. } | Self::Equivocation { .. } => true,
            Self::Signature | Self::Shard { .. } | Self::Gap { .. } | Self::Halted | Self::Store(_) => false,
        }
    }
}

/// Why a replica cannot be brought up to its store.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The executor is ahead of the store.
    #[error(
        "the executor stands at batch {executor}, the store ends with batch {store}: it belongs to another validator's directory"
    )]
    Ahead {
        /// Where the executor stands.
        executor: u64,
        /// Where the store ends.
        store: u64,
    },
    /// The executor's root is not the one that was finalized there.
    #[error("the executor stands at batch {number} with the root {}, which was finalized with {}", hex(.executor), hex(.finalized))]
    Root {
        /// Where the executor stands.
        number: u64,
        /// Its root.
        executor: Digest32,
        /// The root that was finalized.
        finalized: Digest32,
    },
    /// A finalized batch does not hold up when executed again.
    #[error("batch {number} was finalized, but {refusal}")]
    Refuted {
        /// The batch.
        number: u64,
        /// Why it does not hold up.
        refusal: Refusal,
    },
}

/// The last batch of a line of batches, and what must be known of it to check the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Number of the batch; 0 if there is none yet.
    pub number: u64,
    /// Its digest.
    pub digest: Digest32,
    /// Seq of its last record.
    pub last_seq: u64,
    /// Root after it.
    pub root: Digest32,
}

impl Tip {
    /// The tip that this batch is.
    pub fn of(batch: &Batch) -> Self {
        let header = batch.header();
        Self { number: header.number, digest: *batch.digest(), last_seq: header.last_seq, root: header.next_root }
    }
}

/// What is left out on purpose, to see whether others notice: the planted bugs of a [simulated](crate::sim) validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Whose signature it is.
    Signature,
    /// Whether execution gives the root that is claimed.
    Root,
    /// That it was executed before.
    Known,
}

/// The executor, and the line of batches that it has executed.
pub struct Replica<V: Volume = Directory> {
    executor: Box<dyn Executor>,
    shard: u16,
    gateway: VerifyingKey,
    store: SharedStore<V>,
    tip: Tip,
    /// Numbers and digests of what is executed and not yet stored.
    ahead: VecDeque<(u64, Digest32)>,
    halted: bool,
    skips: Option<Skip>,
}

impl<V: Volume> Replica<V> {
    /// Brings an executor up to the end of the store, checking every batch on the way.
    ///
    /// # Errors
    /// A store that cannot be read, an executor that does not belong to it, or a stored batch that does not hold up.
    pub fn resume(
        executor: impl Executor,
        shard: u16,
        gateway: VerifyingKey,
        store: SharedStore<V>,
    ) -> Result<Self, ResumeError> {
        let (at, root) = (executor.height(), executor.root());
        let end = lock(&store).tip();
        if at > end {
            return Err(ResumeError::Ahead { executor: at, store: end });
        }
        let mut tip = Tip { number: 0, digest: GENESIS_DIGEST, last_seq: 0, root };
        if at > 0 {
            tip = Tip::of(&lock(&store).read(at)?);
            if tip.root != root {
                return Err(ResumeError::Root { number: at, executor: root, finalized: tip.root });
            }
        }
        let executor = Box::new(executor);
        let mut replica =
            Self { executor, shard, gateway, store, tip, ahead: VecDeque::new(), halted: false, skips: None };
        for number in at + 1..=end {
            let batch = lock(&replica.store).read(number)?;
            replica.check(&batch).map_err(|refusal| ResumeError::Refuted { number, refusal })?;
            replica.stored(number);
        }
        Ok(replica)
    }

    /// Leaves a check out from now on.
    pub fn skip(&mut self, skips: Option<Skip>) {
        self.skips = skips;
    }

    fn skips(&self, skip: Skip) -> bool {
        self.skips == Some(skip)
    }

    /// A state to read from, at the last batch executed; `None`: nobody can read.
    pub fn fork(&self) -> Option<Box<dyn Executor>> {
        // What has refused a batch half way is in no state at all.
        if self.halted { None } else { self.executor.fork() }
    }

    /// The last batch executed.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Checks a batch, and executes it if that has not been done. On `Ok` it is valid, and is the one batch of its number.
    ///
    /// # Errors
    /// Why it is not taken. If that [blames the gateway](Refusal::blames_gateway), no later batch is executed; what was executed before
    /// is still known.
    pub fn check(&mut self, batch: &Batch) -> Result<(), Refusal> {
        let checked = self.check_claims(batch).and_then(|known| if known { Ok(()) } else { self.execute(batch) });
        if let Err(refusal) = &checked {
            self.halted |= refusal.blames_gateway();
        }
        checked
    }

    /// Checks all that can be checked without executing; `true` if the batch has been executed before.
    fn check_claims(&self, batch: &Batch) -> Result<bool, Refusal> {
        let (header, tip) = (batch.header(), &self.tip);
        if header.shard != self.shard {
            return Err(Refusal::Shard { expected: self.shard, found: header.shard });
        }
        if !self.skips(Skip::Signature) {
            batch.verify_signature(&self.gateway).map_err(|_| Refusal::Signature)?;
        }
        if header.number <= tip.number {
            let other = self.executed(header.number)?;
            let same = other == *batch.digest();
            return if same { Ok(!self.skips(Skip::Known)) } else { Err(Refusal::Equivocation { other }) };
        }
        if self.halted {
            return Err(Refusal::Halted);
        }
        if header.number != tip.number + 1 {
            return Err(Refusal::Gap { expected: tip.number + 1 });
        }
        if header.previous != tip.digest {
            return Err(Refusal::Previous);
        }
        if !batch::continues(tip.last_seq, header.first_seq) {
            return Err(Refusal::Sequence { last_seq: tip.last_seq, first_seq: header.first_seq });
        }
        if header.previous_root != tip.root {
            return Err(Refusal::PreviousRoot);
        }
        Ok(false)
    }

    /// Executes the batch that is next and compares the root.
    fn execute(&mut self, batch: &Batch) -> Result<(), Refusal> {
        let header = batch.header();
        let computed = self.executor.execute(batch).map_err(Refusal::Records)?;
        if computed != header.next_root && !self.skips(Skip::Root) {
            return Err(Refusal::Root { claimed: header.next_root, computed });
        }
        if self.executor.height() != header.number || self.executor.root() != computed {
            let height = self.executor.height();
            return Err(Refusal::Records(format!(
                "the executor stands at batch {height} afterwards, or at another root"
            )));
        }
        self.tip = Tip::of(batch);
        self.ahead.push_back((header.number, *batch.digest()));
        Ok(())
    }

    /// Digest of an executed batch.
    fn executed(&self, number: u64) -> Result<Digest32, Refusal> {
        if let Some(&(_, digest)) = self.ahead.iter().find(|(ahead, _)| *ahead == number) {
            return Ok(digest);
        }
        lock(&self.store).digest(number).map_err(|error| Refusal::Store(error.to_string()))
    }

    /// Says that batches up to `number` are in the store now and need not be remembered here.
    pub fn stored(&mut self, number: u64) {
        while self.ahead.front().is_some_and(|(ahead, _)| *ahead <= number) {
            self.ahead.pop_front();
        }
    }
}

/// Locks what a panic elsewhere cannot leave half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A digest as text.
pub(super) fn hex(digest: &Digest32) -> String {
    blake3::Hash::from(*digest).to_hex().to_string()
}
