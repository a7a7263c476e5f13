//! What the gateway sees of its validator: how far settlement is, and what went wrong.
//!
//! One writer, the validator; any number of readers. This is the control path: a mutex and a condition variable serve it well.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::batch::Digest32;

use super::replica::{Refusal, Tip, hex, lock};

/// How far settlement is: the last batch that is finalized and durable in the validator's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finalized {
    /// Number of the batch; 0 if none is finalized yet.
    pub height: u64,
    /// Root of the ledger after it.
    pub root: Digest32,
    /// Its digest: what the next batch names as its previous one.
    pub digest: Digest32,
    /// Seq of its last record; journal segments up to here are no longer needed for settlement.
    pub last_seq: u64,
}

impl From<Tip> for Finalized {
    fn from(tip: Tip) -> Self {
        Self { height: tip.number, root: tip.root, digest: tip.digest, last_seq: tip.last_seq }
    }
}

/// Why settlement has stopped. It stays stopped until the validator is started anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A batch was refused.
    #[error("batch {number} ({}) is refused: {refusal}; {}", hex(.digest), kept(.evidence))]
    Refused {
        /// Number that the batch claims.
        number: u64,
        /// Its digest.
        digest: Digest32,
        /// Why.
        refusal: Refusal,
        /// Where the batch is kept, or why it could not be kept.
        evidence: Result<PathBuf, String>,
    },
    /// The validator's store failed.
    #[error("the validator's store failed: {0}")]
    Store(String),
    /// The consensus engine stopped by itself.
    #[error("the consensus engine stopped: {0}")]
    Engine(String),
}

fn kept(evidence: &Result<PathBuf, String>) -> String {
    match evidence {
        Ok(path) => format!("it is kept as {}", path.display()),
        Err(error) => format!("it could not be kept: {error}"),
    }
}

/// Why [`Status::wait`] came back without the height that was waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The time is over.
    #[error("batch {wanted} is not finalized yet, settlement is at {}", .reached.height)]
    Timeout {
        /// The height waited for.
        wanted: u64,
        /// How far settlement is.
        reached: Finalized,
    },
    /// Settlement has stopped.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// The validator was shut down.
    #[error("the validator was shut down at batch {}", .reached.height)]
    Stopped {
        /// How far settlement got.
        reached: Finalized,
    },
}

/// The state that the validator publishes and the gateway reads.
#[derive(Debug)]
pub struct Status {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    finalized: Finalized,
    fault: Option<Fault>,
    stopped: bool,
}

impl Status {
    /// The status of a validator whose store ends with `finalized`.
    pub fn new(finalized: Finalized) -> Self {
        Self { state: Mutex::new(State { finalized, fault: None, stopped: false }), changed: Condvar::new() }
    }

    /// How far settlement is.
    pub fn finalized(&self) -> Finalized {
        lock(&self.state).finalized
    }

    /// Why settlement has stopped, if it has. The first fault is the one that is kept.
    pub fn fault(&self) -> Option<Fault> {
        lock(&self.state).fault.clone()
    }

    /// Whether the validator runs no more.
    pub fn stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    /// Says that settlement has come this far.
    pub fn publish(&self, finalized: Finalized) {
        let mut state = lock(&self.state);
        assert!(finalized.height > state.finalized.height, "settlement only goes forward");
        state.finalized = finalized;
        self.changed.notify_all();
    }

    /// Says that settlement has stopped; only the first reason is kept.
    pub fn fail(&self, fault: Fault) {
        lock(&self.state).fault.get_or_insert(fault);
        self.changed.notify_all();
    }

    /// Says that the validator runs no more.
    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    /// Waits until batch `height` is finalized.
    ///
    /// # Errors
    /// The time is over, or settlement has stopped short of it.
    pub fn wait(&self, height: u64, timeout: Duration) -> Result<Finalized, WaitError> {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        loop {
            let reached = state.finalized;
            if reached.height >= height {
                return Ok(reached);
            }
            if let Some(fault) = &state.fault {
                return Err(WaitError::Fault(Box::new(fault.clone())));
            }
            if state.stopped {
                return Err(WaitError::Stopped { reached });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError::Timeout { wanted: height, reached });
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}
