//! Who makes batches final: a seam, so that a gateway can be built without the consensus engine.

use std::path::Path;

use wirebook_settlement::batch::{Batch, Digest32, VerifyingKey};

/// The last final batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Final {
    /// Its number; 0: none.
    pub height: u64,
    /// Root after it.
    pub root: Digest32,
    /// Seq of its last record.
    pub last_seq: u64,
}

/// Something that takes signed batches and makes them final.
pub trait Finality: Send {
    /// Offers the next batch; `false` when it cannot take one now. What it has already is taken quietly.
    ///
    /// # Errors
    /// When it has stopped.
    fn offer(&mut self, batch: &Batch) -> Result<bool, String>;

    /// The last final batch.
    fn finalized(&self) -> Final;

    /// Why it stopped, if it did.
    fn fault(&self) -> Option<String>;

    /// Ends it in good order.
    ///
    /// # Errors
    /// When it had stopped before.
    fn shutdown(self: Box<Self>) -> Result<(), String>;
}

/// The embedded validator, kept under `dir`; it re-executes every batch from its own store. `None` in a build without the
/// engine (`--no-default-features`).
///
/// # Errors
/// When its store does not verify, in the words of the validator.
pub fn validator(dir: &Path, shard: u16, gateway: VerifyingKey) -> Result<Option<Box<dyn Finality>>, String> {
    #[cfg(feature = "settlement")]
    {
        engine::start(dir, shard, gateway).map(Some)
    }
    #[cfg(not(feature = "settlement"))]
    {
        let _ = (dir, shard, gateway);
        Ok(None)
    }
}

#[cfg(feature = "settlement")]
mod engine {
    use std::path::Path;

    use wirebook_settlement::batch::{Batch, VerifyingKey};
    use wirebook_settlement::execute::MachineExecutor;
    use wirebook_settlement::validator::embedded::{Config, EmbeddedValidator, Handle, OfferError};

    use super::{Final, Finality};

    struct Embedded(Handle);

    pub(super) fn start(dir: &Path, shard: u16, gateway: VerifyingKey) -> Result<Box<dyn Finality>, String> {
        let config = Config::alone(dir.into(), shard, gateway);
        let handle =
            EmbeddedValidator::start(config, MachineExecutor::new(shard)).map_err(|error| error.to_string())?;
        Ok(Box::new(Embedded(handle)))
    }

    impl Finality for Embedded {
        fn offer(&mut self, batch: &Batch) -> Result<bool, String> {
            match self.0.offer(batch.clone()) {
                Ok(()) => Ok(true),
                Err(OfferError::Full) => Ok(false),
                Err(error) => Err(error.to_string()),
            }
        }

        fn finalized(&self) -> Final {
            let finalized = self.0.finalized();
            Final { height: finalized.height, root: finalized.root, last_seq: finalized.last_seq }
        }

        fn fault(&self) -> Option<String> {
            self.0.fault().map(|fault| fault.to_string())
        }

        fn shutdown(self: Box<Self>) -> Result<(), String> {
            self.0.shutdown().map(drop).map_err(|fault| fault.to_string())
        }
    }
}
