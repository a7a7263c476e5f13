//! Where a start begins: at the newest good snapshot, or at the journal's first record.
//!
//! The journal is read and verified whole either way; a snapshot saves applying the records that it holds. It is believed
//! only if the journal agrees: the record that it ends with stands in the journal, in the block whose hash the snapshot
//! names. A snapshot that is damaged, of another version or of another shard is passed over with a warning, for an older
//! one or for none. One that is whole and contradicts the journal stops the start: then one of the two has lost what was
//! acknowledged, and going on would hide it.

use std::path::Path;

use wirebook_matcher::Twin;
use wirebook_settlement::batch::continues;

use super::{Replay, Sealed, Sizes};
use crate::journal::{Expect, Media, RecoverError, Recovered, Snapshot, SnapshotError, choose, recover};

/// A state that has everything in the journal.
pub struct Resumed<T: Twin> {
    /// The state.
    pub replay: Replay<T>,
    /// What the journal holds.
    pub recovered: Recovered,
    /// What it began with, and that snapshot's last batch; `None`: the first record.
    pub snapshot: Option<(Snapshot, Sealed)>,
    /// Records applied behind that.
    pub applied: u64,
    /// Snapshots passed over, each with the reason.
    pub warnings: Vec<String>,
}

/// Why there is no state to go on from.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The directory of snapshots cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The journal does not verify, or a record does not apply.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The snapshot has what the journal does not have.
    #[error(
        "{file} holds the state after record {seq:#018x}, and the journal ends with record {last:#018x}: the journal has \
         lost acknowledged records, or the snapshot is another journal's. Restore the journal's segments from a copy; \
         only if the snapshot is a stranger here, remove it"
    )]
    Beyond {
        /// The snapshot's file.
        file: String,
        /// Its seq.
        seq: u64,
        /// The journal's last seq.
        last: u64,
    },
    /// The snapshot's last record stands in another block, or is not there.
    #[error(
        "{file} holds the state after record {seq:#018x}, and {what}: it is another journal's. Move it out of the \
         directory and start again, or restore the journal that it belongs to"
    )]
    OtherJournal {
        /// The snapshot's file.
        file: String,
        /// Its seq.
        seq: u64,
        /// What the journal says.
        what: &'static str,
    },
    /// The journal begins too late.
    #[error(
        "the journal begins with record {first:#018x} because older segments were removed, and no good snapshot reaches \
         it (the newest good one ends with {have:#018x}; 0: there is none). Restore a newer snapshot-*.wbs to {dir}"
    )]
    Gap {
        /// The first seq there is.
        first: u64,
        /// What is known up to.
        have: u64,
        /// The directory of snapshots.
        dir: String,
    },
}

/// Reads the journal behind `media` and the snapshots in `dir`, and makes the state at the journal's end.
///
/// # Errors
/// When the journal does not verify, does not apply, or contradicts the snapshot.
pub fn resume<T: Twin, M: Media>(
    media: &mut M,
    dir: &Path,
    expect: &Expect,
    sizes: Sizes,
) -> Result<Resumed<T>, ResumeError> {
    let chosen = choose(dir, expect, &mut |snapshot| {
        let (replay, sealed) = Replay::<T>::from_image(snapshot.payload(), sizes).map_err(|error| error.to_string())?;
        let (found, named) = (replay.machine.last_seq(), snapshot.meta().seq);
        if found == named { Ok((replay, sealed)) } else { Err(format!("its state ends with record {found:#018x}")) }
    })?;
    let warnings = chosen.skipped.iter().map(ToString::to_string).collect();
    let (mut replay, snapshot) = match chosen.snapshot {
        Some((snapshot, (replay, sealed))) => (replay, Some((snapshot, sealed))),
        None => (Replay::new(sizes), None),
    };
    let behind = snapshot.as_ref().map_or(0, |(snapshot, _)| snapshot.meta().seq);
    let mut agrees = snapshot.is_none();
    let (mut fault, mut applied) = (None, 0);
    let other = |what| {
        let (snapshot, _) = snapshot.as_ref().expect("only a snapshot can disagree");
        ResumeError::OtherJournal { file: snapshot.path().display().to_string(), seq: behind, what }
    };
    let mut refuse = |error: ResumeError| {
        let text = error.to_string();
        fault = Some(error);
        Err(text.into())
    };
    let read = recover(media, expect, &mut |record| {
        if record.seq < behind {
            return Ok(());
        }
        if let Some((snapshot, _)) = snapshot.as_ref()
            && record.seq == behind
        {
            agrees = *record.block_hash == snapshot.meta().block_hash;
            return if agrees {
                Ok(())
            } else {
                refuse(other("the journal's block with that record has another hash"))
            };
        }
        if applied == 0 && !continues(behind, record.seq) {
            let (dir, first) = (dir.display().to_string(), record.seq);
            return refuse(ResumeError::Gap { first, have: behind, dir });
        }
        // A journal whose segments were removed right up to the snapshot no longer has its block; the chain of seqs holds.
        applied += 1;
        replay.record(record.bytes).map(drop).map_err(Into::into)
    });
    let recovered = match (read, fault) {
        (Err(_), Some(fault)) => return Err(fault),
        (read, _) => read?,
    };
    if let Some((snapshot, _)) = &snapshot {
        if recovered.last_seq < behind {
            let (file, last) = (snapshot.path().display().to_string(), recovered.last_seq);
            return Err(ResumeError::Beyond { file, seq: behind, last });
        }
        if !agrees && recovered.base_seq != behind {
            return Err(other("the journal has later records but not that one"));
        }
    }
    Ok(Resumed { replay, recovered, snapshot, applied, warnings })
}
