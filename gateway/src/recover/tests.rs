//! A start from a snapshot equals a start from the first record; what is damaged, foreign or half is not believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use wirebook_matcher::Software;
use wirebook_matcher::abi::abi_hash;
use wirebook_settlement::record::{Payload, Record};

use super::*;
use crate::entry::chaos::Chaos;
use crate::entry::harness::{MAX_QTY, SLOTS, Venue};
use crate::journal::{Dir, DirectOptions, DirectStorage, Expect, Journal, JournalConfig, JournalError, recover};
use crate::settle::tests::{executed, plan};

pub(crate) const SIZES: Sizes = Sizes { shard: 0, slots: SLOTS, max_qty: MAX_QTY };

pub(crate) fn expect() -> Expect {
    Expect { shard: Some(0), abi_hash: Some(abi_hash()) }
}

/// The records of a random day.
pub(crate) fn flow(seed: u64, steps: usize) -> Vec<u8> {
    let mut venue = Venue::open();
    Chaos::new(seed).day(&mut venue, steps);
    venue.journal
}

/// The first records of a flow up to the one that is `share` of 100 of the way.
fn share(flow: &[u8], share: usize) -> &[u8] {
    let goal = flow.len() * share / 100;
    let mut at = 0;
    while at < goal {
        at += Record::decode(&flow[at..]).expect("a flow of records").1;
    }
    &flow[..at]
}

/// The records of a flow, each with its bytes.
pub(crate) fn each(flow: &[u8]) -> impl Iterator<Item = (Record<'_>, &[u8])> {
    let mut rest = flow;
    std::iter::from_fn(move || {
        let (record, length) = (!rest.is_empty()).then(|| Record::decode(rest).expect("a flow of records"))?;
        let (bytes, behind) = rest.split_at(length);
        rest = behind;
        Some((record, bytes))
    })
}

pub(crate) fn last_seq(flow: &[u8]) -> u64 {
    each(flow).last().expect("records").0.header.seq
}

/// The seqs of a flow's seals.
pub(crate) fn seals(flow: &[u8]) -> Vec<u64> {
    each(flow).filter(|(record, _)| matches!(record.payload, Payload::Seal(_))).map(|(r, _)| r.header.seq).collect()
}

/// Journals a flow in a new directory's first life.
pub(crate) fn write_journal(dir: &Path, flow: &[u8]) {
    let mut storage = DirectStorage::open(dir, DirectOptions::default()).expect("a directory");
    let empty = recover(&mut storage, &expect(), &mut |_| Ok(())).expect("an empty journal");
    let config = JournalConfig { segment_len: 128 << 10, max_block: 64 << 10, ..JournalConfig::new(0, abi_hash()) };
    let mut journal = Journal::start(storage, config, &empty).expect("a journal");
    for (record, bytes) in each(flow) {
        loop {
            match journal.append(bytes, record.header.seq) {
                Ok(()) => break,
                Err(JournalError::Full) => journal.poll().expect("a working disk"),
                Err(error) => panic!("{error}"),
            };
        }
    }
    assert_eq!(journal.flush(), Ok(last_seq(flow)));
}

fn start(journal: &Path, snapshots: &Path) -> Result<Resumed<Software>, ResumeError> {
    let mut resumed = resume::<Software, _>(&mut Dir::new(journal), snapshots, &expect(), SIZES)?;
    resumed.replay.release(resumed.recovered.last_seq);
    Ok(resumed)
}

fn from_genesis(journal: &Path) -> Replay<Software> {
    let resumed = start(journal, &journal.join("none")).expect("a sound journal");
    assert_eq!((resumed.applied, resumed.snapshot.is_none()), (resumed.recovered.records, true));
    resumed.replay
}

/// What two states do not have in common.
fn difference(one: &Replay<Software>, other: &Replay<Software>) -> Option<&'static str> {
    let parts = [
        ("root", one.machine.root() == other.machine.root()),
        ("event chain", one.machine.event_chain() == other.machine.event_chain()),
        ("machine", one.machine.image() == other.machine.image()),
        ("order entry", one.entry.difference(&other.entry).is_none() && one.entry.image() == other.entry.image()),
        ("streams", one.publisher.image() == other.publisher.image()),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(part, _)| part)
}

/// The snapshots of a directory, oldest first.
pub(crate) fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "wbs"));
    found.sort();
    found
}

/// A journal of a random day, and snapshots of its first part.
fn journal_with_snapshots(seed: u64, steps: usize, every: u32, kept: usize) -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let flow = flow(seed, steps);
    write_journal(dir.path(), &flow);
    executed(dir.path(), last_seq(share(&flow, 80)), None, plan(dir.path(), every, kept), None);
    (dir, flow)
}

#[test]
fn every_snapshot_leads_to_the_same_state_as_the_first_record() {
    for seed in 1..=6 {
        let (dir, flow) = journal_with_snapshots(seed, 1_500, 2, 1_000);
        let plain = from_genesis(dir.path());
        let files = snapshots(dir.path());
        assert!(files.len() > 3, "seed {seed}: {} snapshots", files.len());
        for file in files.iter().rev() {
            let resumed = start(dir.path(), dir.path()).expect("a sound journal");
            let (snapshot, sealed) = resumed.snapshot.expect("a snapshot");
            assert_eq!((snapshot.path(), resumed.warnings.len()), (file.as_path(), 0));
            let behind = each(&flow).filter(|(record, _)| record.header.seq > snapshot.meta().seq);
            assert_eq!(resumed.applied, behind.count() as u64, "seed {seed}");
            assert!(sealed.number > 0 && resumed.applied < resumed.recovered.records);
            assert_eq!(difference(&resumed.replay, &plain), None, "seed {seed}, {}", file.display());
            fs::remove_file(file).expect("removed");
        }
        assert!(start(dir.path(), dir.path()).expect("a sound journal").snapshot.is_none());
    }
}

/// Makes a state up to the last seal of a flow, and answers it with that batch and the seal's bytes.
fn up_to_a_seal(flow: &[u8]) -> (Replay<Software>, Sealed, Vec<u8>) {
    let mut replay = Replay::<Software>::new(SIZES);
    let mut best = None;
    for (record, bytes) in each(flow) {
        replay.record(bytes).expect("it applied before");
        replay.release(record.header.seq);
        let run = replay.books().seal();
        if run.records == 0 && run.number > 0 {
            let sealed = Sealed { number: run.number, digest: [run.number as u8; 32], root: replay.machine.root() };
            best = Some((sealed, replay.image(&sealed).expect("an image"), bytes.to_vec()));
        }
    }
    let (sealed, image, seal) = best.expect("a seal");
    let (replay, read) = Replay::from_image(&image, SIZES).expect("an image");
    assert_eq!(read, sealed);
    (replay, sealed, seal)
}

/// The checks must be able to fail: a snapshot that forgets a part, or is one record off, is caught by one of them.
#[test]
fn planted_bugs_are_caught() {
    let flow = flow(11, 1_500);
    let (good, sealed, seal) = up_to_a_seal(&flow);
    let (earlier, ..) = up_to_a_seal(share(&flow, 60));
    let open = |replay: &Replay<Software>, sealed: &Sealed| {
        let image = replay.image(sealed).expect("an image");
        Replay::<Software>::from_image(&image, SIZES).map(|(replay, _)| replay)
    };
    assert_eq!(difference(&open(&good, &sealed).expect("a good image"), &good), None);

    // It applies its own last record again.
    let mut twice = open(&good, &sealed).expect("a good image");
    assert!(matches!(twice.record(&seal), Err(ReplayError::Refused { .. })), "a record applied twice");

    // One part is of another time.
    let mut mixed = open(&good, &sealed).expect("a good image");
    mixed.entry = Entry::restore(&earlier.entry.image().expect("at rest"), SLOTS, MAX_QTY).expect("an image");
    assert!(matches!(open(&mixed, &sealed), Err(VenueImageError::Parts(_))), "order entry of an earlier batch");
    let mut mixed = open(&good, &sealed).expect("a good image");
    mixed.publisher = earlier.publisher.clone();
    assert!(matches!(open(&mixed, &sealed), Err(VenueImageError::Parts(_))), "streams of an earlier batch");

    // One part is forgotten, and says that it is up to date.
    let mut forgot = open(&good, &sealed).expect("a good image");
    forgot.publisher = Publisher::new(SLOTS);
    forgot.publisher.release(good.machine.last_seq());
    let forgot = open(&forgot, &sealed).expect("nothing in it contradicts");
    assert_eq!(difference(&forgot, &good), Some("streams"), "the comparison sees what the image cannot");

    // The batch is another one.
    let other = Sealed { root: [1; 32], ..sealed };
    assert!(matches!(open(&good, &other), Err(VenueImageError::Parts(_))), "another root");
    let other = Sealed { number: sealed.number + 1, ..sealed };
    assert!(matches!(good.image(&other), Err(VenueImageError::Parts(_))), "another batch");
}

#[test]
fn damaged_bytes_of_an_image_are_never_a_panic() {
    let (good, sealed, _) = up_to_a_seal(&flow(12, 600));
    let image = good.image(&sealed).expect("an image");
    assert!(matches!(Replay::<Software>::from_image(&image[..15], SIZES), Err(VenueImageError::Version(_))));
    let (mut damaged, mut refused) = (image.clone(), 0);
    for at in (0..image.len()).step_by(image.len() / 400 + 1) {
        damaged[at] ^= 0x41;
        refused += u32::from(Replay::<Software>::from_image(&damaged, SIZES).is_err());
        damaged[at] ^= 0x41;
    }
    // Damage to a message's text is the container's to see: it hashes the payload.
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_damaged_snapshot_gives_way_to_an_older_one_and_is_named() {
    let (dir, _) = journal_with_snapshots(3, 1_500, 2, 3);
    let plain = from_genesis(dir.path());
    let files = snapshots(dir.path());
    assert_eq!(files.len(), 3, "as many as are kept");
    for (number, file) in files.iter().enumerate().rev() {
        let mut bytes = fs::read(file).expect("the file");
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
        fs::write(file, &bytes).expect("the file");
        let resumed = start(dir.path(), dir.path()).expect("a sound journal");
        assert_eq!(resumed.warnings.len(), 3 - number);
        assert!(resumed.warnings.last().is_some_and(|warning| warning.contains(&file.display().to_string())));
        let chosen = resumed.snapshot.as_ref().map(|(snapshot, _)| snapshot.path());
        assert_eq!(chosen, number.checked_sub(1).map(|older| files[older].as_path()));
        assert_eq!(difference(&resumed.replay, &plain), None);
    }
}

#[test]
fn a_snapshot_that_contradicts_the_journal_stops_the_start() {
    let (dir, flow) = journal_with_snapshots(4, 1_500, 6, 1);
    let half = tempfile::tempdir().expect("a directory");
    write_journal(half.path(), share(&flow, 30));
    let error = start(half.path(), dir.path()).err().expect("the journal is shorter");
    assert!(matches!(error, ResumeError::Beyond { .. }), "{error}");
    let file = snapshots(dir.path()).remove(0);
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");

    // The same records, journaled in another life: the same seqs in other blocks.
    let again = tempfile::tempdir().expect("a directory");
    write_journal(again.path(), &flow);
    let error = start(again.path(), dir.path()).err().expect("another chain of blocks");
    assert!(matches!(error, ResumeError::OtherJournal { .. }), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn a_journal_whose_front_is_gone_needs_a_snapshot_that_reaches_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let flow = flow(5, 4_000);
    write_journal(dir.path(), &flow);
    executed(dir.path(), last_seq(share(&flow, 90)), None, plan(dir.path(), 10, 1), None);
    let plain = from_genesis(dir.path());
    let reached = start(dir.path(), dir.path()).expect("sound").snapshot.expect("a snapshot").0.meta().seq;
    assert!(crate::journal::prune(dir.path(), reached).expect("removed") > 0, "more than one segment was written");
    let resumed = start(dir.path(), dir.path()).expect("the snapshot reaches");
    assert_eq!(difference(&resumed.replay, &plain), None);
    let error = start(dir.path(), &dir.path().join("none")).err().expect("nothing reaches");
    assert!(matches!(error, ResumeError::Gap { have: 0, .. }), "{error}");
}

/// Prints what a snapshot saves; `WIREBOOK_SNAPSHOT_STEPS` makes the day longer.
#[test]
fn what_a_snapshot_saves() {
    let steps = std::env::var("WIREBOOK_SNAPSHOT_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(6_000);
    let dir = tempfile::tempdir().expect("a directory");
    let flow = flow(1, steps);
    write_journal(dir.path(), &flow);
    executed(dir.path(), last_seq(share(&flow, 99)), None, plan(dir.path(), 1, 1), None);
    let timed = |snapshots: &Path| {
        let begun = Instant::now();
        let resumed = start(dir.path(), snapshots).expect("a sound journal");
        (resumed.replay, resumed.recovered.records, resumed.applied, begun.elapsed())
    };
    let (plain, records, all, without) = timed(&dir.path().join("none"));
    let (quick, _, behind, with) = timed(dir.path());
    let bytes = fs::metadata(&snapshots(dir.path())[0]).expect("a snapshot").len();
    println!(
        "{records} records: {without:?} from the first ({all} applied), {with:?} from a snapshot of {bytes} bytes ({behind} applied)"
    );
    assert_eq!(difference(&plain, &quick), None);
    assert!(behind < all);
}
