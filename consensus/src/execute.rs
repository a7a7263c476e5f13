//! The venue's own executor: a batch's records through the machine.

use wirebook_matcher::Software;

use crate::batch::{Batch, Digest32};
use crate::machine::{Machine, MachineImage};
use crate::proof::balance::BalanceProof;
use crate::record::{Payload, records};
use crate::validator::executor::Executor;

#[cfg(test)]
mod tests;

/// Executes batches on a [`Machine`] over the software twin.
///
/// Beside the root, which the caller compares, it holds the batch to what it says of itself: that its records end with its
/// own seal and nothing else seals, and that re-execution answers with the events whose digest the header claims.
pub struct MachineExecutor {
    machine: Machine<Software>,
    height: u64,
}

impl MachineExecutor {
    /// Before the first batch of a shard.
    pub fn new(shard: u16) -> Self {
        Self { machine: Machine::new(shard), height: 0 }
    }

    /// The state reached.
    pub fn machine(&self) -> &Machine<Software> {
        &self.machine
    }
}

impl Executor for MachineExecutor {
    fn height(&self) -> u64 {
        self.height
    }

    fn root(&self) -> Digest32 {
        self.machine.root()
    }

    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String> {
        let header = batch.header();
        let mut sealed = false;
        for record in records(batch.records()) {
            let (offset, record) = record.map_err(|error| error.to_string())?;
            if sealed {
                return Err(format!("record {:#018x} at byte {offset} stands behind the seal", record.header.seq));
            }
            self.machine
                .apply(&record, &mut ())
                .map_err(|refusal| format!("record {:#018x} does not apply: {refusal}", record.header.seq))?;
            if let Payload::Seal(seal) = record.payload {
                if seal.number != header.number {
                    return Err(format!("the seal is of batch {}, the header of {}", seal.number, header.number));
                }
                sealed = true;
            }
        }
        if !sealed {
            return Err("its records do not end with a seal".into());
        }
        if self.machine.last_seq() != header.last_seq {
            return Err(format!(
                "its records end with {:#018x}, its header says {:#018x}",
                self.machine.last_seq(),
                header.last_seq
            ));
        }
        if self.machine.event_chain() != header.events {
            return Err("re-execution gives other events than the header claims".into());
        }
        self.height = header.number;
        Ok(self.machine.root())
    }

    fn fork(&self) -> Option<Box<dyn Executor>> {
        Some(Box::new(Self { machine: self.machine.clone(), height: self.height }))
    }

    fn prove(&self, account: u32, asset: u16) -> Option<BalanceProof> {
        BalanceProof::of(&self.machine, account, asset)
    }

    fn image(&self) -> Option<Vec<u8>> {
        self.machine.image().to_bytes().ok().map(|bytes| bytes.to_vec())
    }

    fn restore(&mut self, height: u64, image: &[u8]) -> Result<(), String> {
        let image = MachineImage::from_bytes(image).map_err(|error| error.to_string())?;
        self.machine = Machine::from_image(&image).map_err(|error| error.to_string())?;
        self.height = height;
        Ok(())
    }
}
