//! What a validator runs a batch's records through: the seam between settlement and the state machine.
//!
//! The validator knows batches, signatures and roots. It does not know what a record does; an [`Executor`] does. The venue's own
//! executor applies the records through the machine and answers with the root of the ledger.

use crate::batch::{Batch, Digest32};
use crate::proof::balance::BalanceProof;

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

    /// Another one in the same state, to read from while this one goes on; `None`: nobody can read.
    fn fork(&self) -> Option<Box<dyn Executor>> {
        None
    }

    /// Proves what an account has of an asset in this state; `None`: there can be no such balance.
    fn prove(&self, _account: u32, _asset: u16) -> Option<BalanceProof> {
        None
    }

    /// The state as bytes; `None`: there is no such form.
    fn image(&self) -> Option<Vec<u8>> {
        None
    }

    /// Goes on from an image, whatever it held before. The caller compares height and root.
    ///
    /// # Errors
    /// Why the bytes are no image of such a state. The executor is then as it was.
    fn restore(&mut self, _height: u64, _image: &[u8]) -> Result<(), String> {
        Err("this state machine has no images".into())
    }
}

impl Executor for Box<dyn Executor> {
    fn height(&self) -> u64 {
        self.as_ref().height()
    }

    fn root(&self) -> Digest32 {
        self.as_ref().root()
    }

    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String> {
        self.as_mut().execute(batch)
    }

    fn fork(&self) -> Option<Box<dyn Executor>> {
        self.as_ref().fork()
    }

    fn prove(&self, account: u32, asset: u16) -> Option<BalanceProof> {
        self.as_ref().prove(account, asset)
    }

    fn image(&self) -> Option<Vec<u8>> {
        self.as_ref().image()
    }

    fn restore(&mut self, height: u64, image: &[u8]) -> Result<(), String> {
        self.as_mut().restore(height, image)
    }
}
