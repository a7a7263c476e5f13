//! The gateway's own replica: it re-executes what is journaled and makes the batches that settlement gets.
//!
//! It runs beside the hot path, from the same records and through the same machine, so that roots and snapshots cost the
//! hot path nothing. What it computes is what the gateway signs; a validator computes it again before it votes.

use thiserror::Error;
use wirebook_matcher::Software;
use wirebook_settlement::batch::{Batch, BatchError, Digest32, GENESIS_DIGEST, Header, SigningKey};
use wirebook_settlement::machine::{Machine, Refusal};
use wirebook_settlement::record::{Payload, Record, RecordError};

/// Why records could not be sealed into a batch. The gateway is at fault.
#[derive(Debug, Error)]
pub enum SealError {
    /// The journal's bytes do not decode.
    #[error("a journaled record does not decode: {0}")]
    Record(#[from] RecordError),
    /// The machine refuses a record that the hot path executed.
    #[error("re-execution refuses record {seq:#018x}: {refusal}")]
    Refused {
        /// The record.
        seq: u64,
        /// Which rule.
        refusal: Refusal,
    },
    /// The run is no batch.
    #[error("batch {number}: {error}")]
    Batch {
        /// Its number.
        number: u64,
        /// Why not.
        error: BatchError,
    },
}

/// Re-executes and seals.
pub struct Sealer {
    machine: Machine<Software>,
    key: SigningKey,
    shard: u16,
    /// Records since the last seal.
    run: Vec<u8>,
    first_seq: u64,
    previous: Digest32,
    previous_root: Digest32,
    number: u64,
}

impl Sealer {
    /// A replica from the beginning of the journal.
    pub fn new(shard: u16, key: SigningKey) -> Self {
        let machine = Machine::new(shard);
        let previous_root = machine.root();
        Self { machine, key, shard, run: Vec::new(), first_seq: 0, previous: GENESIS_DIGEST, previous_root, number: 0 }
    }

    /// Seq of the last record that it executed; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.machine.last_seq()
    }

    /// Number of the last batch that it sealed; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Root after the last sealed batch.
    pub fn root(&self) -> Digest32 {
        self.previous_root
    }

    /// The state that the records have led to.
    pub fn machine(&self) -> &Machine<Software> {
        &self.machine
    }

    /// Executes one record, given as its bytes; answers a batch when the record is a seal.
    ///
    /// # Errors
    /// The replica is not to be used again.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Option<Batch>, SealError> {
        let (record, _) = Record::decode(bytes)?;
        let seq = record.header.seq;
        self.machine.apply(&record, &mut ()).map_err(|refusal| SealError::Refused { seq, refusal })?;
        if self.run.is_empty() {
            self.first_seq = seq;
        }
        self.run.extend_from_slice(bytes);
        let Payload::Seal(seal) = record.payload else { return Ok(None) };
        let next_root = self.machine.root();
        let header = Header {
            shard: self.shard,
            number: seal.number,
            first_seq: self.first_seq,
            last_seq: seq,
            previous: self.previous,
            events: self.machine.event_chain(),
            previous_root: self.previous_root,
            next_root,
        };
        let batch = Batch::seal(header, &self.run, &self.key)
            .map_err(|error| SealError::Batch { number: seal.number, error })?;
        self.previous = *batch.digest();
        self.previous_root = next_root;
        self.number = seal.number;
        self.run.clear();
        Ok(Some(batch))
    }
}
