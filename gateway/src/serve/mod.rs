//! A venue, started and stopped: what `run` and `demo` share.
//!
//! [`start`] recovers the journal, opens an epoch, brings the registry up to the configuration, opens the day, and sets
//! three things going: the pipeline on its thread or threads, settlement on another, and the validator behind it. [`Running::stop`]
//! ends them in the order in which they feed one another, so that everything acknowledged is final before it returns.

mod assemble;
mod mark;
mod matcher;
mod plan;
#[cfg(test)]
mod tests;

pub use assemble::{COUNTERS, StartError, Started};
pub use plan::{BACKGROUND, STAGES};

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use tracing::warn;
use wirebook_bypass::cpu::{self, Warning};
use wirebook_bypass::pci::PciFunction;
use wirebook_matcher::abi::Capabilities;
use wirebook_matcher::{Matcher, Queued, Software, Twin};
use wirebook_settlement::batch::Digest32;

use crate::config::{Config, MatcherKind};
use crate::pipeline::{Control, ControlQueue, Status, VenueError};
use crate::settle::{Progress, SettleError, Settlement, Watch};

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
pub fn start<T: Twin + Send + 'static>(config: &Config) -> Result<Running, StartError> {
    let able = T::offers(&assemble::limits(config)).map_err(StartError::Matcher)?;
    start_with(config, able, |twin: T, _| Ok(Queued::over(twin)))
}

/// Starts a venue whose orders are matched by whom the configuration names.
///
/// # Errors
/// As [`start`]; and when the device cannot be had, or does not take the recovered book.
pub fn start_configured(config: &Config) -> Result<Running, StartError> {
    let matching = config.matcher.clone();
    match matching.kind {
        MatcherKind::Software => start::<Software>(config),
        // The model is one of the software twin, and can do what it can.
        MatcherKind::DeviceModel => {
            let able = Software::offers(&assemble::limits(config)).map_err(StartError::Matcher)?;
            start_with(config, able, move |twin, status| matcher::model(&matching, twin, status))
        }
        MatcherKind::Device => start_over(config, matcher::board(&matching)?),
    }
}

/// Starts a venue over a device.
fn start_over<F: PciFunction + Send + 'static>(config: &Config, function: F) -> Result<Running, StartError> {
    let able = matcher::offers(&function, &assemble::limits(config))?;
    let matching = config.matcher.clone();
    start_with(config, able, move |twin, status| matcher::shadowed(function, &matching, twin, status))
}

/// Starts a venue whose books are recovered by `T`, and whose orders are matched by what `make` makes of it; `able` is what that will be
/// able to do, and what the epoch promises.
fn start_with<T, M>(
    config: &Config,
    able: Capabilities,
    make: impl FnOnce(T, Arc<Status>) -> Result<M, StartError>,
) -> Result<Running, StartError>
where
    T: Twin + Send + 'static,
    M: Matcher + Send + 'static,
{
    let topology = plan::place(&config.gateway);
    let assembled = assemble::assemble(config, &topology, able, make)?;
    let assemble::Assembled { mut venue, address, control, status, settlement, mut started } = assembled;
    let data = config.gateway.data_dir.clone();
    let (pipeline, warnings) = cpu::spawn("pipeline", plan::main_loop(&topology), move || {
        let ended = venue.run();
        let books = venue.books();
        if ended.is_ok()
            && let Err(error) = mark::leave(&data, books.last_seq())
        {
            warn!(%error, "this end cannot be marked as a good one: the next start takes it for a crash");
        }
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
