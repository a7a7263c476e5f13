//! A venue, started and stopped: what `run` and `demo` share.
//!
//! [`start`] recovers the journal, opens an epoch, brings the registry up to the configuration, opens the day, and sets
//! three things going: the pipeline on its thread, settlement on another, and the validator behind it. [`Running::stop`]
//! ends them in the order in which they feed one another, so that everything acknowledged is final before it returns.

mod assemble;

pub use assemble::{StartError, Started};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use wirebook_bypass::cpu::{self, Placement, WaitStrategy, Warning};
use wirebook_matcher::Twin;
use wirebook_settlement::batch::Digest32;
use wirebook_settlement::record::{Registry, Transfer};

use crate::pipeline::{AckPolicy, Control, ControlQueue, Status, User, VenueError};
use crate::sequencer::SealPolicy;
use crate::settle::{Progress, SettleError, Settlement, Watch};

/// What a venue is to be.
#[derive(Clone, Debug)]
pub struct VenueConfig {
    /// Number of the shard.
    pub shard: u16,
    /// Where clients connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where the journal is.
    pub journal: PathBuf,
    /// Where the key, the validator's store and the counters are.
    pub data: PathBuf,
    /// Bytes of a journal segment.
    pub segment_bytes: u64,
    /// When a report may leave.
    pub policy: AckPolicy,
    /// How to wait when nothing happens.
    pub wait: WaitStrategy,
    /// Core and priority of the pipeline.
    pub placement: Placement,
    /// Slots for live orders.
    pub slots: u32,
    /// Largest quantity of an order, in lots.
    pub max_qty: u32,
    /// Connections at once.
    pub max_connections: usize,
    /// Bytes of a connection's receive and send buffers.
    pub buffers: (usize, usize),
    /// Logins.
    pub users: Vec<User>,
    /// Assets, instruments, accounts, sessions, limits, fees, in an order in which each refers to what stands before it.
    pub registry: Vec<Registry>,
    /// Deposits; each happens once, whatever the number of starts.
    pub transfers: Vec<Transfer>,
    /// When a batch is sealed.
    pub seal: SealPolicy,
    /// Whether batches are made final by the embedded validator.
    pub settlement: bool,
}

/// How a venue ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Records sequenced, over the journal's whole life.
    pub last_seq: u64,
    /// Fills, over the journal's whole life.
    pub fills: u64,
    /// Settlement's last word.
    pub progress: Progress,
}

impl Ended {
    /// Root after the last sealed batch.
    pub fn root(&self) -> Digest32 {
        self.progress.sealed_root
    }
}

/// Why a venue ended otherwise.
#[derive(Debug, Error)]
pub enum EndError {
    /// The pipeline stopped.
    #[error(transparent)]
    Venue(#[from] VenueError),
    /// The pipeline's thread panicked.
    #[error("the pipeline's thread panicked")]
    Panicked,
    /// Settlement stopped.
    #[error(transparent)]
    Settle(#[from] SettleError),
}

/// A venue that takes orders.
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    /// What it can be asked.
    pub control: ControlQueue,
    /// How far it is.
    pub status: Arc<Status>,
    /// What start-up has to say: what was recovered, what costs latency.
    pub started: Started,
    settlement: Settlement,
    pipeline: JoinHandle<Result<Halt, VenueError>>,
}

/// What the pipeline's thread leaves.
struct Halt {
    last_seq: u64,
    fills: u64,
}

/// Starts a venue whose orders are matched by `T`.
///
/// # Errors
/// When something that it needs is not to be had, or what is on disk does not verify: with file, offset and what to do.
pub fn start<T: Twin + Send + 'static>(config: &VenueConfig) -> Result<Running, StartError> {
    let assembled = assemble::assemble::<T>(config)?;
    let assemble::Assembled { mut venue, address, control, status, settlement, mut started } = assembled;
    let (pipeline, warnings) = cpu::spawn("pipeline", config.placement, move || {
        let ended = venue.run();
        let books = venue.books();
        ended.map(|()| Halt { last_seq: books.last_seq(), fills: books.fills() })
    })
    .map_err(StartError::Cpu)?;
    started.warnings.extend(warnings.iter().map(Warning::to_string));
    Ok(Running { address, control, status, started, settlement, pipeline })
}

impl Running {
    /// How far settlement is.
    pub fn progress(&self) -> Progress {
        self.settlement.watch().progress()
    }

    /// A view of settlement that outlives this handle.
    pub fn watch(&self) -> Watch {
        self.settlement.watch()
    }

    /// Whether the pipeline has ended, by itself or because it was told to.
    pub fn ended(&self) -> bool {
        self.pipeline.is_finished()
    }

    /// Asks the pipeline to end in good order; [`Running::wait`] waits for it.
    pub fn ask_to_stop(&self) {
        while !self.control.ask(Control::Stop) && !self.ended() {
            std::thread::yield_now();
        }
    }

    /// Waits until the pipeline has ended and everything that it journaled is settled.
    ///
    /// # Errors
    /// When either stopped by itself.
    pub fn wait(self) -> Result<Ended, EndError> {
        let halt = self.pipeline.join().map_err(|_| EndError::Panicked)?;
        // What is durable can be settled even after a fault.
        let durable = self.status.durable();
        let progress = self.settlement.finish(durable);
        let halt = halt?;
        Ok(Ended { last_seq: halt.last_seq, fills: halt.fills, progress: progress? })
    }

    /// Stops and waits.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn stop(self) -> Result<Ended, EndError> {
        self.ask_to_stop();
        self.wait()
    }
}
