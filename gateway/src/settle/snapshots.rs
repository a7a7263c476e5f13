//! When the settlement thread writes snapshots, and of what.
//!
//! A snapshot is of the replica's state right behind a seal. With a validator it is written only once that batch is final,
//! so that a restart's settlement can always go on from it. The replica does not wait for that: the image is made at the
//! seal, which costs this thread alone, and **one** image at most is held until its batch is final; while one is held no
//! other is made. A state whose streams exceed [`MAX_STREAM_BYTES`] gets no image: three copies of it would have to be held.
//!
//! A snapshot that cannot be written is a warning, never the end of settlement: the journal has everything.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rkyv::util::AlignedVec;
use thiserror::Error;
use tracing::{debug, warn};
use wirebook_matcher::abi::abi_hash;

use super::Sealer;
use crate::journal::{Dir, Expect, RecoverError, SnapshotError, SnapshotMeta, read_range, write_snapshot};
use crate::recover::VenueImageError;

/// The most bytes of messages of a state that a snapshot is made of.
pub const MAX_STREAM_BYTES: usize = 2 << 30;

/// When snapshots are written, and where.
#[derive(Clone, Debug)]
pub struct SnapshotPlan {
    /// Their directory: the journal's.
    pub dir: PathBuf,
    /// Batches between two; 0: only at the clean end.
    pub every_batches: u32,
    /// How many are kept, at least 1.
    pub kept: usize,
    /// Seq of the newest good one that is there; 0: none. Older ones are not written again.
    pub newest: u64,
}

/// Why a snapshot was not written.
#[derive(Debug, Error)]
pub(super) enum KeepError {
    #[error("no image: {0}")]
    Image(#[from] VenueImageError),
    #[error("the journal's block for it: {0}")]
    Journal(#[from] RecoverError),
    #[error("the journal does not have its record {0:#018x}")]
    Missing(u64),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("{0} bytes of messages are more than the {MAX_STREAM_BYTES} that a snapshot is made of")]
    Large(usize),
}

/// An image whose batch is not final yet.
struct Held {
    batch: u64,
    seq: u64,
    payload: AlignedVec,
}

/// Makes and writes snapshots by a plan.
pub(super) struct Keeper {
    plan: SnapshotPlan,
    journal: PathBuf,
    expect: Expect,
    shard: u16,
    /// The first batch whose image is due.
    due: u64,
    held: Option<Held>,
}

impl Keeper {
    /// `begun` is the batch that the replica begins behind.
    pub(super) fn new(plan: SnapshotPlan, journal: &Path, expect: Expect, shard: u16, begun: u64) -> Self {
        let due = begun + u64::from(plan.every_batches);
        Self { plan, journal: journal.into(), expect, shard, due, held: None }
    }

    /// The replica has just sealed a batch: makes an image if one is due and none is held.
    pub(super) fn sealed(&mut self, sealer: &Sealer) {
        let known = sealer.last_seq() <= self.plan.newest;
        if self.plan.every_batches == 0 || sealer.number() < self.due || self.held.is_some() || known {
            return;
        }
        self.due = sealer.number() + u64::from(self.plan.every_batches);
        self.hold(sealer);
    }

    /// Writes the image that is held, once its batch is final (`None`: nobody makes batches final). Whether it did.
    pub(super) fn write_final(&mut self, finalized: Option<u64>) -> bool {
        let is_final = |held: &mut Held| finalized.is_none_or(|height| height >= held.batch);
        let Some(held) = self.held.take_if(is_final) else { return false };
        match self.write(&held) {
            Ok(()) => self.plan.newest = held.seq,
            Err(error) => warn!("no snapshot after batch {}: {error}", held.batch),
        }
        true
    }

    /// The clean end: everything sealed is final. Writes the last state, if it is not written.
    pub(super) fn end(&mut self, sealer: &Sealer, finalized: Option<u64>) {
        if sealer.at_seal() && sealer.last_seq() > self.plan.newest {
            self.held = None;
            self.hold(sealer);
        }
        self.write_final(finalized);
    }

    fn hold(&mut self, sealer: &Sealer) {
        match make(sealer) {
            Ok(held) => self.held = Some(held),
            Err(error) => warn!("no snapshot after batch {}: {error}", sealer.number()),
        }
    }

    fn write(&self, held: &Held) -> Result<(), KeepError> {
        let begun = Instant::now();
        let seq = held.seq;
        let meta = SnapshotMeta { shard: self.shard, abi_hash: abi_hash(), seq, block_hash: self.block_hash(seq)? };
        let path = write_snapshot(&self.plan.dir, &meta, &held.payload, self.plan.kept)?;
        let (bytes, ms) = (held.payload.len(), begun.elapsed().as_millis());
        debug!(path = %path.display(), batch = held.batch, bytes, ms, "snapshot written");
        Ok(())
    }

    /// The hash of the journal's block that holds a record, which is durable.
    fn block_hash(&self, seq: u64) -> Result<[u8; 32], KeepError> {
        let mut hash = None;
        read_range(&mut Dir::new(&self.journal), &self.expect, seq - 1, seq, &mut |record| {
            hash = Some(*record.block_hash);
            Ok(())
        })?;
        hash.ok_or(KeepError::Missing(seq))
    }
}

fn make(sealer: &Sealer) -> Result<Held, KeepError> {
    if sealer.stream_bytes() > MAX_STREAM_BYTES {
        return Err(KeepError::Large(sealer.stream_bytes()));
    }
    Ok(Held { batch: sealer.number(), seq: sealer.last_seq(), payload: sealer.image()? })
}
