//! The store over a real directory, over bytes that change, and over a volume that loses what was not synced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::batch::{Header, SigningKey};

const SHARD: u16 = 1;
/// Short enough that a few batches fill a segment.
const SMALL_SEGMENT: u64 = 2_000;

fn batch(number: u64) -> Batch {
    let digest = [number as u8; 32];
    let header = Header {
        shard: SHARD,
        number,
        first_seq: number * 10,
        last_seq: number * 10 + 9,
        previous: digest,
        events: digest,
        previous_root: digest,
        next_root: digest,
    };
    let records = vec![number as u8; 100 + (number as usize * 37) % 400];
    Batch::seal(header, &records, &SigningKey::from_bytes(&[1; 32])).expect("a good batch")
}

fn open(path: &std::path::Path) -> Result<Store, StoreError> {
    Store::open_with(Directory::open(path).expect("a directory"), SHARD, SMALL_SEGMENT)
}

fn fill(path: &std::path::Path, count: u64) {
    let mut store = open(path).expect("opens");
    for number in store.tip() + 1..=count {
        store.append(&batch(number)).expect("appends");
    }
}

#[test]
fn what_is_appended_is_read_back_after_any_number_of_opens() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path(), 7);
    fill(dir.path(), 23);
    let store = open(dir.path()).expect("opens");
    assert_eq!(store.tip(), 23);
    assert!(store.segments.len() > 3, "the batches must span segments");
    for number in 1..=23 {
        assert_eq!(store.read(number).expect("stored"), batch(number));
        assert_eq!(store.digest(number).expect("stored"), *batch(number).digest());
    }
    assert!(matches!(store.read(0), Err(StoreError::Missing { number: 0, tip: 23, .. })));
    assert!(matches!(store.read(24), Err(StoreError::Missing { number: 24, tip: 23, .. })));
}

#[test]
fn only_the_next_batch_is_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path()).expect("opens");
    assert!(matches!(store.append(&batch(2)), Err(StoreError::Order { expected: 1, found: 2 })));
    store.append(&batch(1)).expect("appends");
    assert!(matches!(store.append(&batch(1)), Err(StoreError::Order { expected: 2, found: 1 })));
    assert_eq!(store.tip(), 1);
}

/// The last segment cut at every length: the whole entries stay, the rest is cut, and the store goes on from there.
#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let volume = Lossy::default();
    let open = || Store::open_with(volume.clone(), SHARD, SMALL_SEGMENT);
    let mut store = open().expect("opens");
    for number in 1..=5 {
        store.append(&batch(number)).expect("appends");
    }
    let last = store.segments.last().expect("segments");
    let mut ends: Vec<u64> = last.offsets.iter().map(|&offset| u64::from(offset)).collect();
    ends.push(last.length);
    let (name, first) = (last.name.clone(), last.first);
    let whole = volume.read(&name).expect("a segment");
    for length in 0..whole.len() {
        for rest in [0, 300] {
            // What a crash leaves behind the cut may be nothing, or zeros where the file had grown already.
            let torn = [&whole[..length], &vec![0; rest][..]].concat();
            let torn = LossyFile { durable: torn.clone(), written: torn };
            volume.files.lock().expect("lock").insert(name.clone(), torn);
            let kept = ends.iter().filter(|&&end| end <= length as u64).count().saturating_sub(1) as u64;
            let mut store = open().unwrap_or_else(|error| panic!("cut at {length}: {error}"));
            assert_eq!(store.tip(), first - 1 + kept, "cut at {length}");
            store.append(&batch(store.tip() + 1)).expect("appends");
            let tip = store.tip();
            volume.crash(0);
            assert_eq!(open().expect("opens").read(tip).expect("stored"), batch(tip));
        }
    }
}

/// Any changed byte in what is durable stops the start and names the file, except in the very last entry, where it cannot be told from
/// a torn write: that entry alone is cut.
#[test]
fn a_changed_byte_stops_the_start() {
    let volume = Lossy::default();
    let open = || Store::open_with(volume.clone(), SHARD, SMALL_SEGMENT);
    let mut store = open().expect("opens");
    for number in 1..=9 {
        store.append(&batch(number)).expect("appends");
    }
    assert!(store.segments.len() >= 2);
    let last = store.segments.last().expect("segments");
    let last_entry = (last.name.clone(), u64::from(*last.offsets.last().expect("entries")));
    let whole = volume.files.lock().expect("lock").clone();
    for (name, file) in &whole {
        for offset in 0..file.written.len() {
            let mut bytes = file.written.clone();
            bytes[offset] ^= 0x10;
            let changed = LossyFile { durable: bytes.clone(), written: bytes };
            volume.files.lock().expect("lock").insert(name.clone(), changed);
            match open() {
                Err(StoreError::Corrupt { file: named, .. }) => assert_eq!(&named, name),
                Err(other) => panic!("{name} at {offset}: {other}"),
                Ok(store) => {
                    assert!(*name == last_entry.0 && offset as u64 >= last_entry.1, "{name} at {offset} was not seen");
                    assert_eq!(store.tip(), 8);
                }
            }
            *volume.files.lock().expect("lock") = whole.clone();
        }
    }
}

#[test]
fn a_missing_segment_and_another_shard_stop_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path(), 12);
    let other = Store::open_with(Directory::open(dir.path()).expect("a directory"), SHARD + 1, SMALL_SEGMENT);
    assert!(matches!(other, Err(StoreError::Corrupt { offset: 0, .. })));
    let second = open(dir.path()).expect("opens").segments[1].name.clone();
    std::fs::remove_file(dir.path().join(second)).expect("removes");
    assert!(matches!(open(dir.path()), Err(StoreError::Corrupt { .. })));
}

/// A volume in memory whose crash keeps what was synced, and of the rest a part chosen by the test. `skip_sync` is the planted bug.
#[derive(Clone, Default)]
struct Lossy {
    files: Arc<Mutex<BTreeMap<String, LossyFile>>>,
    skip_sync: bool,
    fail_sync: Arc<Mutex<bool>>,
}

#[derive(Clone, Default)]
struct LossyFile {
    durable: Vec<u8>,
    written: Vec<u8>,
}

impl Lossy {
    /// Power fails: of each file's unsynced bytes, `keep` out of 8 eighths survive.
    fn crash(&self, keep: usize) {
        for file in self.files.lock().expect("lock").values_mut() {
            if let Some(unsynced) = file.written.len().checked_sub(file.durable.len()) {
                file.durable = file.written[..file.durable.len() + unsynced * keep / 8].to_vec();
            }
            file.written = file.durable.clone();
        }
    }
}

impl Volume for Lossy {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().expect("lock").keys().cloned().collect())
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.files.lock().expect("lock")[name].written.clone())
    }
    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?;
        bytes
            .get(offset as usize..offset as usize + length)
            .map(<[u8]>::to_vec)
            .ok_or(io::ErrorKind::UnexpectedEof.into())
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.files.lock().expect("lock").insert(name.to_owned(), LossyFile::default());
        Ok(())
    }
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files.lock().expect("lock");
        let file = files.get_mut(name).expect("created before");
        file.written.resize(offset as usize, 0);
        file.written.extend_from_slice(bytes);
        Ok(())
    }
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.files.lock().expect("lock").get_mut(name).expect("created before").written.truncate(length as usize);
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        if *self.fail_sync.lock().expect("lock") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !self.skip_sync {
            let mut files = self.files.lock().expect("lock");
            let file = files.get_mut(name).expect("created before");
            file.durable = file.written.clone();
        }
        Ok(())
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock().expect("lock");
        let file = files.remove(from).expect("created before");
        files.insert(to.to_owned(), file);
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.lock().expect("lock").remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
    fn describe(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// Appends, crashes in the middle of appends, opens again, over and over. Returns what an acknowledged batch that is gone looks like.
fn crash_rounds(volume: &Lossy) -> Result<u64, String> {
    let mut acknowledged = 0;
    for round in 0..40 {
        let mut store = Store::open_with(volume.clone(), SHARD, SMALL_SEGMENT).map_err(|error| error.to_string())?;
        if store.tip() < acknowledged {
            return Err(format!("round {round}: {acknowledged} were acknowledged, {} are left", store.tip()));
        }
        for number in 1..=store.tip() {
            assert_eq!(store.read(number).map_err(|error| error.to_string())?, batch(number));
        }
        for _ in 0..round % 5 {
            let next = store.tip() + 1;
            store.append(&batch(next)).map_err(|error| error.to_string())?;
            acknowledged = next;
        }
        // One more append is under way when the power fails: its bytes are written, the sync has not come back.
        let mut torn = volume.clone();
        if let Some(segment) = store.segments.last() {
            let next = batch(store.tip() + 1);
            let entry = segment::entry(next.number(), next.digest(), next.as_bytes());
            torn.write_at(&segment.name, segment.length, &entry).expect("in memory");
        }
        volume.crash(round % 9);
    }
    Ok(acknowledged)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let survived = crash_rounds(&Lossy::default()).expect("nothing is lost");
    assert!(survived > 40, "only {survived} batches were tried");
}

/// The planted bug: a volume whose sync does nothing. The rounds above must see it.
#[test]
fn a_skipped_sync_is_caught() {
    let volume = Lossy { skip_sync: true, ..Lossy::default() };
    let lost = crash_rounds(&volume).expect_err("a store that never syncs loses what it acknowledged");
    assert!(lost.contains("were acknowledged"), "{lost}");
}

#[test]
fn after_a_failed_sync_nothing_is_taken() {
    let volume = Lossy::default();
    let mut store = Store::open_with(volume.clone(), SHARD, SMALL_SEGMENT).expect("opens");
    store.append(&batch(1)).expect("appends");
    *volume.fail_sync.lock().expect("lock") = true;
    assert!(matches!(store.append(&batch(2)), Err(StoreError::Io { .. })));
    *volume.fail_sync.lock().expect("lock") = false;
    assert!(matches!(store.append(&batch(2)), Err(StoreError::Failed)), "the disk may have kept it or not");
    volume.crash(3);
    let mut store = Store::open_with(volume, SHARD, SMALL_SEGMENT).expect("opens");
    assert_eq!(store.tip(), 1);
    store.append(&batch(2)).expect("appends");
}

/// What is pruned goes by segments, and the store opens only for who knows the state where it begins.
#[test]
fn what_was_before_a_known_state_may_go_and_another_beginning_may_come() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path(), 23);
    let mut store = open(dir.path()).expect("opens");
    store.prune(15).expect("prunes");
    let first = store.first();
    assert!(first > 1 && first <= 15, "begins with {first}");
    assert_eq!(store.read(first).expect("stored"), batch(first));
    assert!(matches!(store.read(first - 1), Err(StoreError::Missing { .. })));
    assert!(open(dir.path()).is_err(), "nobody knows what was before");
    let open_from =
        |known| Store::open_from(Directory::open(dir.path()).expect("a directory"), SHARD, SMALL_SEGMENT, known);
    assert!(open_from(first - 1).is_err(), "what is known ends too early");
    let mut store = open_from(first).expect("opens");
    assert_eq!(store.tip(), 23);
    store.begin_with(&batch(40)).expect("another beginning");
    store.append(&batch(41)).expect("appends");
    let store = open_from(40).expect("opens");
    assert_eq!((store.first(), store.tip(), store.read(40).expect("stored")), (40, 41, batch(40)));
}
