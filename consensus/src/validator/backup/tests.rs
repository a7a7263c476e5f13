//! A validator is backed up, destroyed, restored and goes on; and nothing is restored from what does not hold up.

use std::time::Duration;

use super::super::embedded::{Config, EmbeddedValidator, Handle, Keeping, Timing};
use super::*;
use crate::execute::MachineExecutor;
use crate::sim::venue::{SHARD, Venue};

const PATIENCE: Duration = Duration::from_secs(30);

fn genesis(shard: u16) -> Box<dyn Executor> {
    Box::new(MachineExecutor::new(shard))
}

fn start(dir: &Path, venue: &Venue, every_batches: u64) -> Handle {
    let timing = Timing { leader: Duration::from_millis(300), certification: Duration::from_millis(900) };
    let keeping = Keeping { every_batches, all_batches: true };
    let config = Config { timing, keeping, ..Config::alone(dir.into(), SHARD, venue.public_key()) };
    EmbeddedValidator::start(config, MachineExecutor::new(SHARD)).expect("starts")
}

fn settle(handle: &Handle, venue: &mut Venue, batches: u64) {
    (0..batches).for_each(|_| handle.offer(venue.seal()).expect("room"));
    handle.wait_finalized(venue.sealed(), PATIENCE).expect("final");
}

fn wait_for_snapshot(dir: &Path) {
    let begun = std::time::Instant::now();
    while Snapshots::open(&dir.join("snapshots")).and_then(|kept| kept.numbers()).expect("reads").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "no snapshot");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_validator_goes_on_from_its_backup_and_a_bad_one_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, file) = (dir.path().join("node"), dir.path().join("node.backup"));
    for every in [0, 5] {
        let mut venue = Venue::new(11);
        let handle = start(&node, &venue, every);
        settle(&handle, &mut venue, 12);
        if every > 0 {
            wait_for_snapshot(&node);
            settle(&handle, &mut venue, 3);
        }
        let trust = Trust { shard: SHARD, keys: vec![handle.public_key()] };
        assert!(matches!(take(&node, &file, genesis), Err(BackupError::Runs { .. })), "it runs");
        let last = handle.shutdown().expect("no fault");
        let held = take(&node, &file, genesis).expect("a backup");
        assert_eq!((held.header.number, held.header.next_root, held.digest), (last.height, last.root, last.digest));
        assert_eq!((held.snapshot > 0, held.snapshot + held.batches), (every > 0, last.height));
        assert!(matches!(take(&node, &file, genesis), Err(BackupError::Taken { .. })), "it is there");
        assert_eq!(check(&file, Some(&trust), genesis).expect("whole"), held);
        assert!(matches!(restore(&file, &node, Some(&trust), genesis), Err(BackupError::Taken { .. })), "it is there");

        bad_ones_are_refused(dir.path(), &file, &trust);

        fs::remove_dir_all(&node).expect("destroyed");
        assert_eq!(restore(&file, &node, Some(&trust), genesis).expect("restored"), held);
        assert!(opening::quarantined(&node), "it may not vote at once");
        let handle = start(&node, &venue, every);
        assert_eq!((handle.finalized(), handle.public_key()), (last, held.validator));
        if every == 0 {
            // Alone it contradicts nobody, and goes on: it agrees with itself anew on all that its store holds, from the first batch.
            settle(&handle, &mut venue, 5);
        }
        assert_eq!(handle.told(), Vec::<String>::new());
        handle.shutdown().expect("no fault");
        fs::remove_dir_all(&node).expect("removed");
        fs::remove_file(&file).expect("removed");
    }
}

fn bad_ones_are_refused(dir: &Path, file: &Path, trust: &Trust) {
    let whole = fs::read(file).expect("reads");
    let (bad, to) = (dir.join("bad"), dir.join("new"));
    let refused = |bytes: &[u8], trust: &Trust, why: &str| {
        fs::write(&bad, bytes).expect("written");
        let error = restore(&bad, &to, Some(trust), genesis).expect_err(why);
        assert!(!to.exists() && !dir.join("new.restoring").exists(), "{why}: something was written");
        error
    };
    for length in (0..whole.len()).step_by(whole.len() / 60 + 1).chain([whole.len() - 1]) {
        refused(&whole[..length], trust, "torn");
    }
    for at in (0..whole.len()).step_by(whole.len() / 80 + 1) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        refused(&flipped, trust, "a flipped byte");
    }
    refused(&[&whole[..], &[0]].concat(), trust, "a byte more");
    let elsewhere = Trust { shard: SHARD + 1, ..trust.clone() };
    assert!(matches!(refused(&whole, &elsewhere, "another shard"), BackupError::NotSigned));
    let others = Trust { keys: vec![[1; 32], trust.keys[0]], ..trust.clone() };
    assert!(matches!(refused(&whole, &others, "another committee"), BackupError::NotSigned));
}

#[test]
fn without_a_committee_it_is_checked_in_itself_and_a_damaged_snapshot_is_passed_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, file) = (dir.path().join("node"), dir.path().join("node.backup"));
    let mut venue = Venue::new(12);
    let handle = start(&node, &venue, 4);
    settle(&handle, &mut venue, 9);
    wait_for_snapshot(&node);
    let last = handle.shutdown().expect("no fault");
    let newest = Snapshots::open(&node.join("snapshots")).and_then(|kept| kept.numbers()).expect("reads")[0];
    let path = node.join(format!("snapshots/{newest:020}.snapshot"));
    let mut bytes = fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    let handle = start(&node, &venue, 0);
    assert_eq!(handle.finalized(), last);
    assert!(handle.told()[0].contains("passed over"), "{:?}", handle.told());
    handle.shutdown().expect("no fault");
    let held = take(&node, &file, genesis).expect("a backup without it");
    assert!(held.snapshot < newest);
    assert_eq!(check(&file, None, genesis).expect("whole"), held);
}
