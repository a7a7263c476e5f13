//! What a validator runs a batch's records through: the seam between settlement and the state machine.
//!
//! The validator knows batches, signatures and roots. It does not know what a record does; an [`Executor`] does. The venue's own
//! executor applies the records through the machine and answers with the root of the ledger.

use crate::batch::{Batch, Digest32};

/// A deterministic state machine that batches are executed on, in the order of their numbers, each once.
///
/// The same batches give the same roots on every machine: no clock, randomness or I/O may decide anything here.
pub trait Executor: Send + 'static {
    /// Number of the batch that was executed last; 0 before the first. The validator replays from its store what comes after it.
    fn height(&self) -> u64;

    /// Root of the state after that batch.
    fn root(&self) -> Digest32;

    /// Executes the records of batch `height() + 1` and returns the root after them. The header's claims are compared by the caller;
    /// only the events' digest, which the caller cannot know, is to be compared here.
    ///
    /// # Errors
    /// Why the records cannot be executed. The state may be left half changed: after an error the executor is not used again.
    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String>;
}
