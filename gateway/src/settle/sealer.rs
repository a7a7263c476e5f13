//! The gateway's own replica: it re-executes what is journaled and makes the batches that settlement gets.
//!
//! It runs beside the hot path, from the same records and through the same machine, order entry and publisher, so that
//! roots and snapshots cost the hot path nothing. What it computes is what the gateway signs; a validator computes it again
//! before it votes.

use rkyv::util::AlignedVec;
use thiserror::Error;
use wirebook_matcher::Software;
use wirebook_settlement::batch::{Batch, BatchError, Digest32, GENESIS_DIGEST, Header, SigningKey};
use wirebook_settlement::machine::Machine;
use wirebook_settlement::record::Payload;

use crate::recover::{Replay, ReplayError, Sealed, Sizes, VenueImageError};

/// Why records could not be sealed into a batch. The gateway is at fault.
#[derive(Debug, Error)]
pub enum SealError {
    /// A journaled record does not decode, or the machine refuses what the hot path executed.
    #[error("re-execution: {0}")]
    Replay(#[from] ReplayError),
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
    replay: Replay<Software>,
    key: SigningKey,
    shard: u16,
    /// Records since the last seal.
    run: Vec<u8>,
    first_seq: u64,
    last: Sealed,
}

impl Sealer {
    /// A replica from the beginning of the journal.
    pub fn new(sizes: Sizes, key: SigningKey) -> Self {
        let replay = Replay::new(sizes);
        let last = Sealed { number: 0, digest: GENESIS_DIGEST, root: replay.machine().root() };
        Self::resume(replay, last, sizes.shard, key)
    }

    /// A replica that goes on behind a batch; `replay` ends with its seal.
    pub fn resume(replay: Replay<Software>, last: Sealed, shard: u16, key: SigningKey) -> Self {
        Self { replay, key, shard, run: Vec::new(), first_seq: 0, last }
    }

    /// Seq of the last record that it executed; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.replay.machine().last_seq()
    }

    /// Number of the last batch that it sealed; 0 before the first.
    pub fn number(&self) -> u64 {
        self.last.number
    }

    /// Root after the last sealed batch.
    pub fn root(&self) -> Digest32 {
        self.last.root
    }

    /// The state that the records have led to.
    pub fn machine(&self) -> &Machine<Software> {
        self.replay.machine()
    }

    /// Bytes of messages that it keeps: most of what an image will have.
    pub fn stream_bytes(&self) -> usize {
        self.replay.publisher().streams().bytes()
    }

    /// Whether the last record sealed a batch.
    pub fn at_seal(&self) -> bool {
        self.run.is_empty() && self.last.number > 0
    }

    /// Everything, as a snapshot's payload, when the last record sealed a batch.
    ///
    /// # Errors
    /// When records stand behind the last seal, or memory runs out.
    pub fn image(&self) -> Result<AlignedVec, VenueImageError> {
        self.replay.image(&self.last)
    }

    /// Executes one durable record, given as its bytes; answers a batch when the record is a seal.
    ///
    /// # Errors
    /// The replica is not to be used again.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Option<Batch>, SealError> {
        let record = self.replay.record(bytes)?;
        let seq = record.header.seq;
        self.replay.release(seq);
        if self.run.is_empty() {
            self.first_seq = seq;
        }
        self.run.extend_from_slice(bytes);
        let Payload::Seal(seal) = record.payload else { return Ok(None) };
        let next_root = self.machine().root();
        let header = Header {
            shard: self.shard,
            number: seal.number,
            first_seq: self.first_seq,
            last_seq: seq,
            previous: self.last.digest,
            events: self.machine().event_chain(),
            previous_root: self.last.root,
            next_root,
        };
        let batch = Batch::seal(header, &self.run, &self.key)
            .map_err(|error| SealError::Batch { number: seal.number, error })?;
        self.last = Sealed { number: seal.number, digest: *batch.digest(), root: next_root };
        self.run.clear();
        Ok(Some(batch))
    }
}
