//! The vault over a disk that loses what was not synced, sector by sector, at any moment; over damage; and over threads.
//!
//! What is recovered must be a state that the vault was in, and no older than the last change that somebody was told is durable. The
//! planted bug, a vault that answers before its disk, must be caught by the same check.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::sim::disk::Disk;
use crate::validator::volume::Directory;

/// Segments that a few frames fill, so that every run frees some.
const SMALL: Options = Options { segment_bytes: 64 << 10, laziness: Duration::ZERO, threaded: false, hasty: false };

/// Seeded, and good enough to choose with.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 32) as usize) % end.max(1)
    }
}

/// Partitions with their blobs.
type Model = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

fn contents(vault: &Vault) -> Model {
    let space = lock(&vault.inner.space);
    let blobs = |partition: &space::Partition| {
        partition.blobs.iter().map(|(name, blob)| (name.clone(), read(&blob.state).content.clone())).collect()
    };
    space.partitions.iter().map(|(name, partition)| (name.clone(), blobs(partition))).collect()
}

/// One life of a vault: random changes, random waits. Every state it was in is kept, with the index of the last that is durable.
struct Life {
    states: Vec<Model>,
    durable: Arc<AtomicU64>,
}

impl Life {
    fn live(vault: &Vault, rng: &mut Rng, changes: u32, from: Model) -> Self {
        let mut life = Self { states: vec![from], durable: Arc::default() };
        for _ in 0..changes {
            let mut model = life.states.last().expect("one at least").clone();
            let partition = ["votes", "blocks", "keys"][rng.below(3)];
            let name = [rng.below(5) as u8];
            let held = model.get(partition).is_some_and(|blobs| blobs.contains_key(&name[..]));
            let mut mark = None;
            match rng.below(20) {
                0 if held => {
                    mark = Some(vault.remove(partition, Some(&name)).expect("there"));
                    model.get_mut(partition).expect("there").remove(&name[..]);
                }
                1 if model.contains_key(partition) && rng.below(8) == 0 => {
                    mark = Some(vault.remove(partition, None).expect("there"));
                    model.remove(partition);
                }
                what => {
                    let (blob, length, _) = match vault.blob(partition, &name, 0..=0) {
                        Ok(opened) => opened,
                        // The power is gone.
                        Err(VaultError::Failed(_)) => break,
                        Err(other) => panic!("{other}"),
                    };
                    if !held {
                        model.entry(partition.into()).or_default().insert(name.to_vec(), Vec::new());
                        life.states.push(model.clone());
                    }
                    let content = model.get_mut(partition).expect("there").get_mut(&name[..]).expect("there");
                    assert_eq!(length as usize, content.len());
                    if what == 2 {
                        let length = rng.below(content.len() * 2 + 1);
                        content.resize(length, 0);
                        mark = Some(blob.resize(length as u64));
                    } else if what > 3 {
                        let at = if rng.below(3) == 0 { rng.below(content.len() + 64) } else { content.len() };
                        let bytes: Vec<u8> = (0..rng.below(1500)).map(|_| rng.below(256) as u8).collect();
                        content.resize(content.len().max(at + bytes.len()), 0);
                        content[at..at + bytes.len()].copy_from_slice(&bytes);
                        mark = Some(blob.write(at as u64, &bytes));
                        let mut same = |again: &[u8]| assert_eq!(again, content, "a blob is read as it was written");
                        blob.read(0, content.len(), &mut same).expect("as long");
                        assert_eq!(blob.read(1, content.len(), &mut |_| ()), Err(VaultError::Short));
                        if content.len() > 20_000 {
                            content.clear();
                            mark = Some(blob.resize(0));
                        }
                    }
                }
            }
            let Some(mark) = mark else { continue };
            life.states.push(model);
            if rng.below(4) == 0 {
                let (index, durable) = (life.states.len() as u64 - 1, life.durable.clone());
                let told = move |result: Result<(), String>| {
                    if result.is_ok() {
                        durable.fetch_max(index, Ordering::AcqRel);
                    }
                };
                vault.when_durable(mark, true, Box::new(told));
            }
        }
        life
    }

    /// Whether what was recovered is a state not older than what was said to be durable.
    fn judge(&self, recovered: &Model) -> Result<(), String> {
        let durable = self.durable.load(Ordering::Acquire) as usize;
        match self.states[durable..].contains(recovered) {
            true => Ok(()),
            false if self.states.contains(recovered) => Err(format!("older than state {durable}, which was durable")),
            false => Err("a state that never was".into()),
        }
    }
}

/// Lives that end with a power failure, one after another on one disk.
fn crashes(seed: u64, options: Options) -> Result<u64, String> {
    let mut rng = Rng(seed * 2 + 1);
    let disk = Disk::default();
    let mut model = Model::new();
    let mut freed = 0;
    for round in 0..4 {
        disk.fail_after(if rng.below(4) == 0 { None } else { Some(rng.below(120) as u64) });
        let life = match Vault::open(disk.clone(), options) {
            Ok((vault, _)) => {
                let found = contents(&vault);
                assert_eq!(found, model, "round {round}");
                let life = Life::live(&vault, &mut rng, 400, found);
                freed += vault.counts().freed;
                life
            }
            // The power failed while it was opened; nothing has changed.
            Err(VaultError::Failed(_)) => Life { states: vec![model.clone()], durable: Arc::default() },
            Err(damaged) => return Err(damaged.to_string()),
        };
        disk.crash(&mut |end| rng.below(end));
        let (vault, _) = Vault::open(disk.clone(), options).map_err(|error| error.to_string())?;
        model = contents(&vault);
        life.judge(&model).map_err(|what| format!("round {round}: {what}"))?;
    }
    Ok(freed)
}

fn seeds() -> u64 {
    if std::env::var("WIREBOOK_TEST_DEPTH").is_ok_and(|depth| depth == "deep") { 2_000 } else { 200 }
}

#[test]
fn a_crash_at_any_moment_leaves_a_state_that_was_and_nothing_durable_is_lost() {
    let freed: u64 =
        (0..seeds()).map(|seed| crashes(seed, SMALL).unwrap_or_else(|what| panic!("seed {seed}: {what}"))).sum();
    assert!(freed > seeds(), "segments must have been freed: {freed}");
}

#[test]
fn the_planted_bug_is_caught() {
    let hasty = Options { hasty: true, ..SMALL };
    let caught = (0..200).find(|&seed| crashes(seed, hasty).is_err());
    assert!(caught.is_some_and(|seed| seed < 20), "{caught:?}");
    // A disk that says it has synced, and has not, is caught as well.
    let lying = (0..200).find(|&seed| {
        let (mut rng, disk) = (Rng(seed), Disk::default());
        disk.lie();
        let (vault, _) = Vault::open(disk.clone(), SMALL).expect("a new one");
        let life = Life::live(&vault, &mut rng, 100, Model::new());
        drop(vault);
        disk.crash(&mut |end| rng.below(end));
        match Vault::open(disk, SMALL) {
            Ok((vault, _)) => life.judge(&contents(&vault)).is_err(),
            Err(_) => true,
        }
    });
    assert!(lying.is_some_and(|seed| seed < 20), "{lying:?}");
}

/// A log of a few frames in one segment, and where they begin.
fn sample() -> (Disk, Model, Vec<usize>) {
    let disk = Disk::default();
    let (vault, _) = Vault::open(disk.clone(), SMALL).expect("a new one");
    let mut ends = Vec::new();
    for at in 0..5u8 {
        let (blob, length, _) = vault.blob("votes", b"1", 0..=0).expect("closed again");
        let mark = blob.write(length, &[at; 100]);
        blob.when_durable(mark, true, Box::new(|result| result.expect("durable")));
        ends.push(record::PAGE * (1 + usize::from(at)));
    }
    let model = contents(&vault);
    (disk, model, ends)
}

#[test]
fn damage_before_the_last_frame_stops_the_start_and_in_it_is_a_torn_tail() {
    let (disk, model, frames) = sample();
    let file = log::name(1);
    let last = *frames.last().expect("five");
    for (at, is_last) in frames.iter().map(|&at| (at, at == last)) {
        for byte in [0, 9, 25, 33, 41, 45, 60, 150] {
            let damaged = disk.copy();
            damaged.flip(&file, at + byte);
            match Vault::open(damaged, SMALL) {
                Err(VaultError::Damaged { offset, .. }) => assert!(!is_last && offset == at as u64, "{at} + {byte}"),
                Ok((vault, recovered)) => {
                    assert!(is_last && recovered.cut > 0, "{at} + {byte}: accepted");
                    let votes = contents(&vault)["votes"][&b"1"[..]].clone();
                    assert_eq!(votes, model["votes"][&b"1"[..]][..400]);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    let headless = disk.copy();
    headless.flip(&file, 3);
    assert!(matches!(Vault::open(headless, SMALL), Err(VaultError::Damaged { offset: 0, .. })));
    // Cut at any length, it opens with what is whole.
    for length in 0..last + record::PAGE {
        let mut cut = disk.copy();
        cut.truncate(&file, length as u64).expect("in memory");
        let whole = frames.iter().filter(|&&at| at + 200 <= length).count();
        match Vault::open(cut, SMALL) {
            Ok((vault, _)) => {
                let votes = contents(&vault).get("votes").map_or(0, |votes| votes[&b"1"[..]].len());
                assert!(
                    votes == 100 * whole || (length % record::PAGE < 300 && votes / 100 <= whole + 1),
                    "{length}: {votes}"
                );
            }
            Err(error) => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn a_missing_segment_stops_the_start() {
    let disk = Disk::default();
    let (vault, _) = Vault::open(disk.clone(), SMALL).expect("a new one");
    let (blob, _, _) = vault.blob("blocks", b"1", 0..=0).expect("new");
    for at in 0..8 {
        let mark = blob.write(at * 30_000, &[1; 30_000]);
        blob.when_durable(mark, true, Box::new(|result| result.expect("durable")));
    }
    let mut segments: Vec<String> =
        disk.list().expect("names").into_iter().filter(|name| name.ends_with(".log")).collect();
    assert!(segments.len() > 2);
    let mut broken = disk.copy();
    broken.remove(&segments.remove(1)).expect("there");
    assert!(matches!(Vault::open(broken, SMALL), Err(VaultError::Damaged { .. })));
}

#[test]
fn memory_and_log_stay_bounded() {
    let disk = Disk::default();
    let (vault, _) = Vault::open(disk, SMALL).expect("a new one");
    let (kept, ..) = vault.blob("keys", b"kept", 3..=3).expect("new");
    kept.write(0, &[7; 5000]);
    for at in 0..400u64 {
        let (blob, ..) = vault.blob("blocks", &at.to_le_bytes(), 0..=0).expect("new");
        let mark = blob.write(0, &vec![at as u8; 8000]);
        if at >= 10 {
            vault.remove("blocks", Some(&(at - 10).to_le_bytes())).expect("there");
        }
        blob.when_durable(mark, true, Box::new(|result| result.expect("durable")));
        let (bytes, log) = vault.extent();
        assert!(log <= GROWTH * bytes + (SLACK + 2) * SMALL.segment_bytes, "{log} of log for {bytes}");
    }
    assert!(vault.counts().freed > 20);
    assert!(matches!(vault.blob("keys", b"kept", 0..=1), Err(VaultError::Version(3))));
    assert!(matches!(vault.blob("keys", b"kept", 3..=3), Err(VaultError::Open(_))));
    assert!(matches!(vault.remove("none", None), Err(VaultError::NoPartition(_))));
    assert!(matches!(vault.remove("keys", Some(b"other")), Err(VaultError::NoBlob(_))));
}

#[test]
fn a_full_disk_is_told_to_all_who_wait_and_for_good() {
    let disk = Disk::default();
    let (vault, _) = Vault::open(disk.clone(), SMALL).expect("a new one");
    let (blob, ..) = vault.blob("votes", b"1", 0..=0).expect("new");
    disk.fail_after(Some(0));
    let told = Arc::new(AtomicU64::new(0));
    for _ in 0..2 {
        let (told, mark) = (told.clone(), blob.write(0, b"x"));
        let count = move |result: Result<(), String>| {
            told.fetch_add(u64::from(result.is_err()), Ordering::AcqRel);
        };
        blob.when_durable(mark, true, Box::new(count));
    }
    assert_eq!(told.load(Ordering::Acquire), 2);
    assert!(vault.failure().is_some());
    assert!(matches!(vault.blob("votes", b"2", 0..=0), Err(VaultError::Failed(_))));
}

/// Many threads, each with a blob of its own, over real files: what was waited for is there after the vault is gone, and waits share
/// flushes.
#[test]
fn concurrent_waits_share_flushes() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let (vault, _) = Vault::open(Directory::open(dir.path()).expect("a directory"), options).expect("a new one");
    std::thread::scope(|scope| {
        for thread in 0..6u8 {
            let vault = &vault;
            scope.spawn(move || {
                let (blob, ..) = vault.blob("votes", &[thread], 0..=0).expect("new");
                for at in 0..40u64 {
                    let mark = blob.write(at * 100, &[thread; 100]);
                    let (told, tells) = std::sync::mpsc::channel();
                    blob.when_durable(mark, at % 2 == 0, Box::new(move |result| told.send(result).expect("waits")));
                    tells.recv().expect("told").expect("durable");
                }
            });
        }
    });
    let counts = vault.counts();
    assert!(counts.waits >= 200 && counts.flushes < counts.waits, "{counts:?}");
    let before = contents(&vault);
    drop(vault);
    let (vault, recovered) = Vault::open(Directory::open(dir.path()).expect("a directory"), options).expect("opens");
    assert_eq!((contents(&vault), recovered.cut), (before, 0));
    assert_eq!(recovered.frames, counts.flushes);
}
