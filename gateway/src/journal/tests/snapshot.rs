//! Snapshots.

use std::fs;

use super::super::snapshot::snapshot_name;
use super::super::{Expect, SnapshotError, SnapshotMeta, newest_good, write_snapshot};
use super::{ABI, EXPECT, SHARD};

fn meta(seq: u64) -> SnapshotMeta {
    SnapshotMeta { shard: SHARD, abi_hash: ABI, seq, block_hash: [9; 32] }
}

#[test]
fn the_newest_is_chosen_and_old_ones_go() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let none = newest_good(&dir.path().join("missing"), &EXPECT).expect("no snapshot is no error");
    assert!(none.snapshot.is_none() && none.skipped.is_empty());
    for seq in [5u64, 1 << 48 | 2, 9, 11] {
        write_snapshot(dir.path(), &meta(seq), format!("state {seq}").as_bytes(), 3).expect("a snapshot");
    }
    let newest = newest_good(dir.path(), &EXPECT).expect("a directory").snapshot.expect("a snapshot");
    assert_eq!(newest.meta(), &meta(1 << 48 | 2));
    assert_eq!(newest.payload(), format!("state {}", 1u64 << 48 | 2).as_bytes());
    assert_eq!(newest.payload().as_ptr().align_offset(16), 0);
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).expect("a directory").map(|e| e.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [snapshot_name(9), snapshot_name(11), snapshot_name(1 << 48 | 2)].map(Into::into) as [std::ffi::OsString; 3]
    );
    assert!(matches!(write_snapshot(dir.path(), &meta(1), b"", 0), Err(SnapshotError::Use(_))));
}

#[test]
fn every_damaged_byte_is_seen_and_an_older_one_is_chosen() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let payload: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
    write_snapshot(dir.path(), &meta(1), b"old", 2).expect("a snapshot");
    let path = write_snapshot(dir.path(), &meta(2), &payload, 2).expect("a snapshot");
    let good = fs::read(&path).expect("the file");
    for at in (0..good.len()).step_by(37) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(&path, &bad).expect("a file");
        let newest = newest_good(dir.path(), &EXPECT).expect("a directory");
        assert_eq!(newest.snapshot.expect("the older one").payload(), b"old");
        assert!(matches!(newest.skipped[..], [SnapshotError::Damaged { .. }]), "{at}: {:?}", newest.skipped);
    }
    for len in [0, 1, 4095, 4096, good.len() - 1] {
        fs::write(&path, &good[..len]).expect("a file");
        let newest = newest_good(dir.path(), &EXPECT).expect("a directory");
        assert_eq!(
            (newest.snapshot.expect("the older one").payload(), newest.skipped.len()),
            (&b"old"[..], 1),
            "{len}"
        );
    }
    // Whole, but under another name: it would be taken for another seq.
    fs::write(dir.path().join(snapshot_name(3)), &good).expect("a file");
    let newest = newest_good(dir.path(), &EXPECT).expect("a directory");
    assert_eq!((newest.snapshot.expect("the older one").meta().seq, newest.skipped.len()), (1, 2));
}

#[test]
fn a_foreign_snapshot_is_not_used() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write_snapshot(dir.path(), &meta(1), b"state", 1).expect("a snapshot");
    for expect in [Expect { shard: Some(SHARD + 1), ..EXPECT }, Expect { abi_hash: Some([0; 32]), ..EXPECT }] {
        let newest = newest_good(dir.path(), &expect).expect("a directory");
        assert!(newest.snapshot.is_none() && matches!(newest.skipped[..], [SnapshotError::Foreign { .. }]));
    }
}
