//! A disk in memory that behaves as badly as disks may: seeded, so that every crash can be had again.
//!
//! - A write reaches the disk in sectors of 512 bytes, in any order, some now and some later.
//! - Only a sync that has ended makes sectors durable. [`Crash::Power`] keeps of the others none, all, a prefix, or
//!   any subset. [`Crash::Kill`] ends the process alone: what was written stays visible, and is still not durable.
//! - A write can fail half done (ENOSPC, EIO). A sync can fail, and then later syncs no longer know of those sectors
//!   (as page caches behave): only writing them again makes them durable.
//! - Making a file takes time, can fail, and leaves an unfinished file when the crash comes in between.
//!
//! [`Faults::skip_sync`] plants a bug: syncs are reported, and not done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::ALIGN;
use super::recover::UNFINISHED;
use super::storage::{FileEntry, FileId, Media, Slot, Storage, StorageError};

/// What a disk writes at once, in bytes.
pub const SECTOR: usize = 512;
/// The most steps that making a file takes.
const MAKING_STEPS: u64 = 6;

/// What goes wrong, counted from 1 over the life of the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The n-th write fails half done, with this error number.
    pub write: Option<(u64, i32)>,
    /// The n-th sync fails.
    pub sync: Option<u64>,
    /// From the n-th on, files cannot be made, with this error number.
    pub create: Option<(u64, i32)>,
    /// The planted bug: syncs are reported and not done.
    pub skip_sync: bool,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed; the system lives.
    Kill,
    /// The power fails.
    Power,
}

/// A seeded sequence of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Debug, Default)]
struct SimFile {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// Written, not synced.
    dirty: BTreeSet<usize>,
    /// Written, and forgotten by a failed sync.
    lost: BTreeSet<usize>,
}

#[derive(Debug)]
struct Flight {
    name: String,
    offset: usize,
    bytes: Vec<u8>,
    /// Sectors not yet written, in the order in which they will be.
    left: Vec<usize>,
    /// Fails when this many are left.
    fails: Option<(usize, i32)>,
    done: Option<Result<(), StorageError>>,
}

#[derive(Debug)]
struct Making {
    name: String,
    len: u64,
    steps: u64,
}

#[derive(Debug)]
struct Disk {
    files: BTreeMap<String, SimFile>,
    open: Vec<String>,
    flight: Option<Flight>,
    making: Option<Making>,
    random: Seeded,
    faults: Faults,
    writes: u64,
    syncs: u64,
    creates: u64,
    life: u64,
}

/// The disk: outlives the storages opened on it.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<Disk>>);

/// A life's hold on a [`SimDisk`].
#[derive(Debug)]
pub struct SimStorage {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    buffers: [Vec<u8>; 3],
    in_flight: Option<Slot>,
}

fn locked(disk: &Arc<Mutex<Disk>>) -> MutexGuard<'_, Disk> {
    // A test that panicked while it held the lock has failed already.
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(what: &'static str, name: &str, code: i32) -> StorageError {
    StorageError::io(what, name, &std::io::Error::from_raw_os_error(code))
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Disk {
            files: BTreeMap::new(),
            open: Vec::new(),
            flight: None,
            making: None,
            random: Seeded::new(seed),
            faults,
            writes: 0,
            syncs: 0,
            creates: 0,
            life: 0,
        })))
    }

    /// A new life. The storage of the one before is dead from now on.
    #[must_use]
    pub fn open(&self) -> SimStorage {
        let mut disk = locked(&self.0);
        disk.life += 1;
        disk.open.clear();
        SimStorage {
            disk: Arc::clone(&self.0),
            life: disk.life,
            buffers: Default::default(),
            in_flight: None,
        }
    }

    /// Ends the life.
    pub fn crash(&self, crash: Crash) {
        let mut disk = locked(&self.0);
        disk.life += 1;
        // What was on its way may still arrive.
        for _ in 0..disk.random.below(3) {
            disk.progress();
        }
        disk.flight = None;
        if let Some(making) = disk.making.take() {
            let len = disk.random.below(making.len + 1) as usize;
            let file = SimFile {
                visible: vec![0; len],
                durable: vec![0; len],
                ..SimFile::default()
            };
            disk.files.insert(making.name + UNFINISHED, file);
        }
        if crash == Crash::Power {
            disk.power_fails();
        }
    }

    /// Replaces what goes wrong from now on; counting goes on.
    pub fn set_faults(&self, faults: Faults) {
        locked(&self.0).faults = faults;
    }

    /// How many writes and syncs there have been.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let disk = locked(&self.0);
        (disk.writes, disk.syncs)
    }

    /// Damages one byte, durably: `mask` is XORed to it. False when there is no such byte.
    pub fn damage(&self, name: &str, offset: u64, mask: u8) -> bool {
        let mut disk = locked(&self.0);
        let Some(file) = disk.files.get_mut(name) else {
            return false;
        };
        let at = offset as usize;
        for bytes in [&mut file.visible, &mut file.durable] {
            match bytes.get_mut(at) {
                Some(byte) => *byte ^= mask,
                None => return false,
            }
        }
        true
    }

    /// Removes a file, as an operator might.
    pub fn delete(&self, name: &str) -> bool {
        locked(&self.0).files.remove(name).is_some()
    }

    /// The visible bytes of a file.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        locked(&self.0)
            .files
            .get(name)
            .map(|file| file.visible.clone())
    }
}

impl Disk {
    /// Some of what is under way happens.
    fn progress(&mut self) {
        if let Some(making) = &mut self.making {
            making.steps = making.steps.saturating_sub(1);
        }
        let Some(mut flight) = self.flight.take() else {
            return;
        };
        if flight.done.is_none() {
            self.write_some(&mut flight);
        }
        self.flight = Some(flight);
    }

    fn write_some(&mut self, flight: &mut Flight) {
        let Some(file) = self.files.get_mut(&flight.name) else {
            flight.done = Some(Err(error("write to", &flight.name, libc::EBADF)));
            return;
        };
        for _ in 0..self.random.below(1 + 2 * flight.left.len() as u64) {
            if flight
                .fails
                .is_some_and(|(left, _)| flight.left.len() <= left)
            {
                break;
            }
            let Some(sector) = flight.left.pop() else {
                break;
            };
            let (from, to) = (sector * SECTOR, (sector + 1) * SECTOR);
            let at = flight.offset + from;
            file.visible[at..at + SECTOR].copy_from_slice(&flight.bytes[from..to]);
            file.dirty.insert(at / SECTOR);
            file.lost.remove(&(at / SECTOR));
        }
        if let Some((left, code)) = flight.fails {
            if flight.left.len() <= left {
                flight.done = Some(Err(error("write to", &flight.name, code)));
            }
            return;
        }
        // All is written: the sync ends now, or later.
        if flight.left.is_empty() && self.random.below(3) > 0 {
            self.syncs += 1;
            let dirty = std::mem::take(&mut file.dirty);
            flight.done = Some(if self.faults.sync == Some(self.syncs) {
                file.lost.extend(dirty);
                Err(error("sync", &flight.name, libc::EIO))
            } else if self.faults.skip_sync {
                file.dirty = dirty;
                Ok(())
            } else {
                for sector in dirty {
                    let at = sector * SECTOR;
                    file.durable[at..at + SECTOR].copy_from_slice(&file.visible[at..at + SECTOR]);
                }
                Ok(())
            });
        }
    }

    fn power_fails(&mut self) {
        let mode = self.random.below(4);
        for file in self.files.values_mut() {
            let volatile: Vec<usize> = file.dirty.union(&file.lost).copied().collect();
            let prefix = self.random.below(volatile.len() as u64 + 1) as usize;
            for (n, sector) in volatile.iter().enumerate() {
                let kept = match mode {
                    0 => false,
                    1 => true,
                    2 => n < prefix,
                    _ => self.random.below(2) == 0,
                };
                if kept {
                    let at = sector * SECTOR;
                    file.durable[at..at + SECTOR].copy_from_slice(&file.visible[at..at + SECTOR]);
                }
            }
            file.visible.clone_from(&file.durable);
            file.dirty.clear();
            file.lost.clear();
        }
    }
}

impl SimStorage {
    fn alive(&self, what: &'static str) -> Result<MutexGuard<'_, Disk>, StorageError> {
        let disk = locked(&self.disk);
        if disk.life == self.life {
            Ok(disk)
        } else {
            Err(error(what, "a disk of another life", libc::ENODEV))
        }
    }
}

fn index(slot: Slot) -> usize {
    match slot {
        Slot::Header => 0,
        Slot::A => 1,
        Slot::B => 2,
    }
}

impl Media for SimStorage {
    fn list(&mut self) -> Result<Vec<FileEntry>, StorageError> {
        let disk = self.alive("list")?;
        Ok(disk
            .files
            .iter()
            .map(|(name, f)| FileEntry {
                name: name.clone(),
                len: f.visible.len() as u64,
            })
            .collect())
    }

    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError> {
        let disk = self.alive("read")?;
        let file = disk
            .files
            .get(name)
            .ok_or_else(|| error("read", name, libc::ENOENT))?;
        into.clone_from(&file.visible);
        Ok(())
    }

    fn locate(&self, name: &str) -> String {
        format!("sim:{name}")
    }
}

impl Storage for SimStorage {
    fn reserve(&mut self, block: usize) -> Result<(), StorageError> {
        self.buffers = [vec![0; ALIGN], vec![0; block], vec![0; block]];
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<FileId, StorageError> {
        let mut disk = self.alive("open")?;
        if !disk.files.contains_key(name) {
            return Err(error("open", name, libc::ENOENT));
        }
        disk.open.push(name.to_owned());
        Ok(FileId(disk.open.len() as u32 - 1))
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        let mut disk = self.alive("remove")?;
        disk.files
            .remove(name)
            .map(drop)
            .ok_or_else(|| error("remove", name, libc::ENOENT))
    }

    fn begin_create(&mut self, name: &str, len: u64) -> Result<(), StorageError> {
        let mut disk = self.alive("make")?;
        assert!(disk.making.is_none(), "one file is made at a time");
        let steps = disk.random.below(MAKING_STEPS);
        disk.making = Some(Making {
            name: name.to_owned(),
            len,
            steps,
        });
        Ok(())
    }

    fn created(&mut self) -> Option<Result<FileId, StorageError>> {
        let mut disk = match self.alive("make") {
            Ok(disk) => disk,
            Err(dead) => return Some(Err(dead)),
        };
        let making = disk.making.take_if(|making| making.steps == 0)?;
        disk.creates += 1;
        if let Some((_, code)) = disk.faults.create.filter(|(from, _)| disk.creates >= *from) {
            return Some(Err(error("make", &making.name, code)));
        }
        if disk.files.contains_key(&making.name) {
            return Some(Err(error("make", &making.name, libc::EEXIST)));
        }
        let zeros = vec![0; making.len as usize];
        let file = SimFile {
            visible: zeros.clone(),
            durable: zeros,
            ..SimFile::default()
        };
        disk.files.insert(making.name.clone(), file);
        disk.open.push(making.name);
        Some(Ok(FileId(disk.open.len() as u32 - 1)))
    }

    fn close(&mut self, _file: FileId) {}

    fn buffer(&mut self, slot: Slot) -> &mut [u8] {
        assert!(
            self.in_flight != Some(slot),
            "the buffer {slot:?} is in flight"
        );
        &mut self.buffers[index(slot)]
    }

    fn queue(
        &mut self,
        file: FileId,
        slot: Slot,
        len: usize,
        offset: u64,
    ) -> Result<(), StorageError> {
        assert!(
            len.is_multiple_of(ALIGN) && offset.is_multiple_of(ALIGN as u64),
            "aligned write"
        );
        let bytes = self.buffers[index(slot)][..len].to_vec();
        let mut disk = self.alive("write to")?;
        assert!(disk.flight.is_none(), "one write is in flight at a time");
        let name = disk
            .open
            .get(file.0 as usize)
            .cloned()
            .ok_or_else(|| error("write to", "?", libc::EBADF))?;
        let end = offset as usize + len;
        if disk
            .files
            .get(&name)
            .is_none_or(|file| end > file.visible.len())
        {
            return Err(error("write behind the end of", &name, libc::EFBIG));
        }
        let mut left: Vec<usize> = (0..len / SECTOR).collect();
        for last in (1..left.len()).rev() {
            left.swap(last, disk.random.below(last as u64 + 1) as usize);
        }
        disk.writes += 1;
        let fault = disk.faults.write.filter(|(n, _)| *n == disk.writes);
        let fails = fault.map(|(_, code)| (disk.random.below(left.len() as u64) as usize, code));
        disk.flight = Some(Flight {
            name,
            offset: offset as usize,
            bytes,
            left,
            fails,
            done: None,
        });
        drop(disk);
        self.in_flight = Some(slot);
        Ok(())
    }

    fn enter(&mut self) -> Result<(), StorageError> {
        self.alive("use")?.progress();
        Ok(())
    }

    fn reap(&mut self) -> Option<Result<(), StorageError>> {
        let mut disk = match self.alive("use") {
            Ok(disk) => disk,
            Err(dead) => return Some(Err(dead)),
        };
        let ended = disk.flight.take_if(|flight| flight.done.is_some())?;
        drop(disk);
        self.in_flight = None;
        ended.done
    }

    fn wait(&mut self) -> Result<(), StorageError> {
        self.enter()
    }
}
