//! The real disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::{Dir, DirectOptions, DirectStorage, JournalError, LOCK_FILE, Media, prune};
use super::{append_groups, read_all, record, start};

fn open(dir: &Path) -> DirectStorage {
    DirectStorage::open(dir, DirectOptions::default()).expect("a directory for a journal")
}

#[test]
fn three_lives_on_a_real_disk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let place = dir.path().join("made/on/demand");
    let mut records = Vec::new();
    for life in 1..=3 {
        let mut journal = start(open(&place), life);
        assert_eq!(u64::from(journal.epoch()), life);
        records.extend(append_groups(&mut journal, 20, 5000, life));
        assert_eq!(journal.mark().seq, life << 48 | 20);
    }
    let (recovered, read) = read_all(&mut Dir::new(&place)).expect("a sound journal");
    assert_eq!(read, records);
    assert_eq!((recovered.last_epoch, recovered.blocks), (3, 60));
    assert!(recovered.segments.len() > 12, "the lives rolled over segments");
}

#[test]
fn groups_form_while_one_is_in_flight_and_a_poll_makes_one_system_call() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut journal = start(open(dir.path()), 1);
    let before = journal.storage().system_calls();
    for _ in 0..1000 {
        assert_eq!(journal.poll(), Ok(0));
    }
    assert_eq!(journal.storage().system_calls(), before, "an idle poll makes no system call");

    let mut records = Vec::new();
    let mut polls = 0u64;
    while records.len() < 2000 {
        let seq = journal.next_seq();
        let bytes = record(seq, 64, 0);
        match journal.append(&bytes, seq) {
            Ok(()) => records.push(bytes),
            Err(JournalError::Full) => {}
            Err(other) => panic!("{other}"),
        }
        let calls = journal.storage().system_calls();
        journal.poll().expect("a working disk");
        polls += 1;
        assert!(journal.storage().system_calls() <= calls + 1, "one system call for each poll at most");
    }
    journal.flush().expect("a working disk");
    let (recovered, read) = read_all(&mut Dir::new(dir.path())).expect("a sound journal");
    assert_eq!(read, records);
    assert!(recovered.blocks < 2000, "{} blocks for 2000 records: no group was formed", recovered.blocks);
    assert!(journal.storage().system_calls() - before <= polls + recovered.blocks * 4);
}

#[test]
fn a_parked_thread_wakes_at_the_completion() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut journal = start(open(dir.path()), 1);
    journal.drain_wake();
    let seq = journal.next_seq();
    journal.append(&record(seq, 64, 0), seq).expect("room");
    journal.poll().expect("a working disk");
    let wake = journal.wake_fd().expect("an eventfd");
    // Each wait ends at a completion (write, sync, or a segment made ahead), so a handful is enough.
    for _ in 0..50 {
        if journal.poll().expect("a working disk") == seq {
            return;
        }
        wait_readable(wake);
        journal.drain_wake();
    }
    panic!("the completion never woke the thread");
}

/// Reads through a duplicate of the descriptor, which does not block: tries until it is readable, bounded.
fn wait_readable(fd: i32) {
    let path = format!("/proc/self/fdinfo/{fd}");
    for _ in 0..5000 {
        let count = fs::read_to_string(&path).expect("an open descriptor");
        let zero = count.lines().any(|line| line.starts_with("eventfd-count:") && line.trim_end().ends_with(" 0"));
        if !zero {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the eventfd was never signalled");
}

#[test]
fn a_directory_has_one_writer() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = start(open(dir.path()), 1);
    let options = DirectOptions { lock_wait: Duration::from_millis(30), ..DirectOptions::default() };
    let second = DirectStorage::open(dir.path(), options).err().expect("a refusal");
    assert!(second.to_string().contains("another process writes this journal"), "{second}");
    drop(first);
    drop(DirectStorage::open(dir.path(), DirectOptions::default()).expect("the lock is free"));
}

#[test]
fn without_o_direct_it_works_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = DirectOptions { direct: false, wake: false, ..DirectOptions::default() };
    let storage = DirectStorage::open(dir.path(), options).expect("a directory for a journal");
    assert!(!storage.direct());
    let mut journal = start(storage, 1);
    assert_eq!(journal.wake_fd(), None);
    let records = append_groups(&mut journal, 12, 3000, 0);
    assert_eq!(read_all(&mut Dir::new(dir.path())).expect("a sound journal").1, records);
}

#[test]
fn leftovers_of_a_crash_are_removed_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let records = append_groups(&mut start(open(dir.path()), 1), 1, 100, 0);
    fs::write(dir.path().join("0000000007.wbj.new"), [0; 100]).expect("a file");
    fs::write(dir.path().join("notes.txt"), "an operator's").expect("a file");
    let journal = start(open(dir.path()), 2);
    drop(journal);
    let (_, read) = read_all(&mut Dir::new(dir.path())).expect("a sound journal");
    assert_eq!(read, records);
    let names: Vec<String> =
        Dir::new(dir.path()).list().expect("a directory").into_iter().map(|entry| entry.name).collect();
    assert!(names.contains(&"notes.txt".to_owned()) && names.contains(&LOCK_FILE.to_owned()), "{names:?}");
    assert!(!names.contains(&"0000000007.wbj.new".to_owned()), "{names:?}");
}

/// A small file system, mounted for one test.
struct Mounted {
    at: PathBuf,
    /// Removed after the file system is gone from it.
    _dir: tempfile::TempDir,
}

impl Mounted {
    fn new(kind: &str, options: &str) -> Mounted {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = dir.path().join("mnt");
        fs::create_dir(&at).expect("a directory");
        let done =
            Command::new("mount").args(["-t", kind, "-o", options, "none"]).arg(&at).output().expect("mount runs");
        assert!(
            done.status.success(),
            "this test needs root, to mount {kind}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Mounted { at, _dir: dir }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(done.is_ok_and(|status| status.success()) || std::thread::panicking(), "umount");
    }
}

#[test]
fn a_full_disk_stops_acks_and_loses_nothing_acked() {
    // 200 KiB: a lock file of 4, then six segments of 32.
    let small = Mounted::new("tmpfs", "size=200k");
    let mut journal = start(open(&small.at), 1);
    let mut acked = Vec::new();
    let failure = loop {
        let seq = journal.next_seq();
        let bytes = record(seq, 3000, 0);
        journal.append(&bytes, seq).expect("room");
        match journal.flush() {
            Ok(_) => acked.push(bytes),
            Err(failure) => break failure,
        }
        assert!(acked.len() < 100, "the disk never became full");
    };
    let JournalError::Stopped { durable, cause } = &failure else { panic!("{failure}") };
    assert!(cause.is_full() && failure.to_string().contains("make room"), "{failure}");
    assert_eq!(*durable, 1 << 48 | acked.len() as u64);
    assert_eq!(acked.len() % 7, 0, "whole segments were used up");
    assert_eq!(journal.poll(), Err(failure.clone()));
    assert_eq!(journal.append(&record(journal.next_seq(), 8, 0), journal.next_seq()), Err(failure));
    drop(journal);
    let (recovered, read) = read_all(&mut Dir::new(&small.at)).expect("a sound journal");
    assert_eq!((read, recovered.leftovers.len()), (acked, 0));
}

#[test]
fn a_file_system_that_refuses_o_direct_is_used_without() {
    let memory = Mounted::new("ramfs", "mode=700");
    let storage = open(&memory.at);
    assert!(!storage.direct(), "ramfs has no O_DIRECT");
    let records = append_groups(&mut start(storage, 1), 12, 3000, 0);
    assert_eq!(read_all(&mut Dir::new(&memory.at)).expect("a sound journal").1, records);
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    let refused =
        DirectStorage::open(Path::new("/proc/no/journal"), DirectOptions::default()).err().expect("a refusal");
    assert!(refused.to_string().starts_with("make the directory /proc/no/journal"), "{refused}");
}

#[test]
fn finalized_segments_go_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut journal = start(open(dir.path()), 1);
    let mut records = append_groups(&mut journal, 20, 3000, 0);
    // Seven to a segment: one may go when a record of the next one is finalized.
    assert_eq!(prune(dir.path(), 1 << 48 | 7), Ok(0));
    assert_eq!(prune(dir.path(), 1 << 48 | 14), Ok(1));
    assert_eq!(prune(dir.path(), 1 << 48 | 15), Ok(1));
    records.extend(append_groups(&mut journal, 3, 3000, 0));
    drop(journal);
    let (recovered, read) = read_all(&mut Dir::new(dir.path())).expect("a sound journal");
    assert_eq!((recovered.base_seq, &read[..]), (1 << 48 | 14, &records[14..]));
    // Everything is finalized: the last segment in use stays, and the next start continues it.
    assert_eq!(prune(dir.path(), 1 << 48 | 23), Ok(1));
    records.extend(append_groups(&mut start(open(dir.path()), 2), 1, 3000, 0));
    assert_eq!(prune(dir.path(), 1 << 48 | 23), Ok(0));
    assert_eq!(prune(dir.path(), 2 << 48 | 1), Ok(1));
    let (recovered, read) = read_all(&mut Dir::new(dir.path())).expect("a sound journal");
    assert_eq!((recovered.last_epoch, recovered.blocks, &read[..]), (2, 24, &records[23..]));
}
