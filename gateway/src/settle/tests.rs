//! Settlement over a journal on disk: its snapshots, and what it does after a restart.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::journal::newest_good;
use crate::recover::tests::{SIZES, each, expect, flow, last_seq, seals, snapshots, write_journal};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Snapshots every so many batches.
pub(crate) fn plan(dir: &Path, every_batches: u32, kept: usize) -> SnapshotPlan {
    let newest = newest_good(dir, &expect()).expect("a directory").snapshot;
    SnapshotPlan { dir: dir.into(), every_batches, kept, newest: newest.map_or(0, |snapshot| snapshot.meta().seq) }
}

/// Runs settlement over a journal up to a record.
pub(crate) fn executed(
    dir: &Path,
    upto: u64,
    finality: Option<Box<dyn Finality>>,
    snapshots: SnapshotPlan,
    base: Option<(Snapshot, u64)>,
) -> Progress {
    let (_feed, end) = feed().expect("memory");
    let config =
        SettleConfig { journal: dir.into(), sizes: SIZES, expect: expect(), key: key(), finality, base, snapshots };
    let settlement =
        Settlement::start(config, end, Arc::new(Status::new(upto)), Placement::default()).expect("a thread");
    settlement.finish(upto).expect("a sound journal")
}

/// Makes everything final as it is offered, and remembers it.
struct Recorder {
    height: u64,
    offered: Arc<Mutex<Vec<Batch>>>,
}

impl Finality for Recorder {
    fn offer(&mut self, batch: &Batch) -> Result<bool, String> {
        if batch.number() != self.height + 1 {
            return Err(format!("batch {} after {}", batch.number(), self.height));
        }
        self.height += 1;
        self.offered.lock().expect("nobody panicked").push(batch.clone());
        Ok(true)
    }

    fn finalized(&self) -> Final {
        Final { height: self.height, ..Final::default() }
    }

    fn fault(&self) -> Option<String> {
        None
    }

    fn shutdown(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}

/// Settlement with a validator that has finalized `height` batches; answers what was offered to it.
fn settled(dir: &Path, upto: u64, height: u64, base: Option<(Snapshot, u64)>) -> (Progress, Vec<Batch>) {
    let offered = Arc::default();
    let recorder = Recorder { height, offered: Arc::clone(&offered) };
    let progress = executed(dir, upto, Some(Box::new(recorder)), plan(dir, 4, 2), base);
    let batches = std::mem::take(&mut *offered.lock().expect("nobody panicked"));
    (progress, batches)
}

fn base(dir: &Path) -> Option<(Snapshot, u64)> {
    let snapshot = newest_good(dir, &expect()).expect("a directory").snapshot?;
    let (_, sealed) = Replay::<Software>::from_image(snapshot.payload(), SIZES).expect("an image");
    Some((snapshot, sealed.number))
}

#[test]
fn a_restart_settles_on_from_the_snapshot_or_from_the_start_if_the_validator_has_lost_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let flow = flow(21, 2_000);
    write_journal(dir.path(), &flow);
    let last = last_seq(&flow);
    let seals = seals(&flow);
    assert!(seals.len() > 12);
    let (half, first) = settled(dir.path(), seals[9] + 3, 0, None);
    assert_eq!((half.sealed, first.len(), snapshots(dir.path()).len()), (10, 10, 1));
    // One image waits at a time, and history is executed faster than it becomes final.
    assert_eq!(base(dir.path()).expect("a snapshot").1, 4);

    // The validator has ten: what the snapshot has is not executed again, what is final is not offered again.
    let (on, more) = settled(dir.path(), last, 10, base(dir.path()));
    assert_eq!((on.sealed as usize, more.len()), (seals.len(), seals.len() - 10));
    // The validator has none of it: everything is offered, and it is the same.
    fs::remove_file(snapshots(dir.path()).pop().expect("the newest")).expect("removed");
    let older = base(dir.path());
    assert!(older.as_ref().is_some_and(|(_, batch)| *batch > 4), "two are kept");
    let (again, all) = settled(dir.path(), last, 0, older);
    assert_eq!((again.sealed, again.sealed_root), (on.sealed, on.sealed_root));
    let bytes = |batches: &[Batch]| batches.iter().map(|batch| batch.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(bytes(&all), bytes(&[first, more].concat()));
}

#[test]
fn the_clean_end_leaves_a_snapshot_of_the_last_seal() {
    let dir = tempfile::tempdir().expect("a directory");
    let flow = flow(22, 800);
    write_journal(dir.path(), &flow);
    let seq = seals(&flow).pop().expect("a seal");
    let progress = executed(dir.path(), seq, None, plan(dir.path(), 0, 2), None);
    assert_eq!(snapshots(dir.path()).len(), 1, "none on the way");
    let (snapshot, number) = base(dir.path()).expect("a snapshot");
    assert_eq!((snapshot.meta().seq, number), (seq, progress.sealed));
    // The same end again: it is there already.
    let before = fs::metadata(snapshot.path()).expect("the file").modified().expect("a time");
    executed(dir.path(), seq, None, plan(dir.path(), 1, 2), None);
    assert_eq!(fs::metadata(snapshot.path()).expect("the file").modified().expect("a time"), before);
    assert_eq!(snapshots(dir.path()).len(), 1, "older ones are not written again");
}

/// One image is held until its batch is final; meanwhile no other is made.
#[test]
fn a_snapshot_waits_until_its_batch_is_final() {
    let dir = tempfile::tempdir().expect("a directory");
    let flow = flow(23, 1_000);
    write_journal(dir.path(), &flow);
    let mut sealer = Sealer::new(SIZES, key());
    let mut keeper = Keeper::new(plan(dir.path(), 2, 5), dir.path(), expect(), 0, 0);
    for (_, bytes) in each(&flow) {
        if sealer.record(bytes).expect("it applied before").is_some() {
            keeper.sealed(&sealer);
            assert!(!keeper.write_final(Some(1)), "batch 2 is not final");
        }
    }
    assert!(sealer.number() > 6 && snapshots(dir.path()).is_empty());
    assert!(keeper.write_final(Some(2)) && !keeper.write_final(Some(sealer.number())));
    assert_eq!((snapshots(dir.path()).len(), base(dir.path()).expect("a snapshot").1), (1, 2));
}
