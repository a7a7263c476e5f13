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

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::ALIGN;
use super::recover::UNFINISHED;
use super::sim_disk::{Crash, Disk, Faults, Flight, MAKING_STEPS, Making, SECTOR, Seeded, SimFile, error};
use super::storage::{FileEntry, FileId, Media, Slot, Storage, StorageError};

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
        SimStorage { disk: Arc::clone(&self.0), life: disk.life, buffers: Default::default(), in_flight: None }
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
            let file = SimFile { visible: vec![0; len], durable: vec![0; len], ..SimFile::default() };
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
        locked(&self.0).files.get(name).map(|file| file.visible.clone())
    }
}

impl SimStorage {
    /// A second hold on the disk in the same life, for reading.
    #[must_use]
    pub fn reader(&self) -> SimStorage {
        SimStorage { disk: Arc::clone(&self.disk), life: self.life, buffers: Default::default(), in_flight: None }
    }

    fn alive(&self, what: &'static str) -> Result<MutexGuard<'_, Disk>, StorageError> {
        let disk = locked(&self.disk);
        if disk.life == self.life { Ok(disk) } else { Err(error(what, "a disk of another life", libc::ENODEV)) }
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
        Ok(disk.files.iter().map(|(name, f)| FileEntry { name: name.clone(), len: f.visible.len() as u64 }).collect())
    }

    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError> {
        let disk = self.alive("read")?;
        let file = disk.files.get(name).ok_or_else(|| error("read", name, libc::ENOENT))?;
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
        disk.files.remove(name).map(drop).ok_or_else(|| error("remove", name, libc::ENOENT))
    }

    fn begin_create(&mut self, name: &str, len: u64) -> Result<(), StorageError> {
        let mut disk = self.alive("make")?;
        assert!(disk.making.is_none(), "one file is made at a time");
        let steps = disk.random.below(MAKING_STEPS);
        disk.making = Some(Making { name: name.to_owned(), len, steps });
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
        let file = SimFile { visible: zeros.clone(), durable: zeros, ..SimFile::default() };
        disk.files.insert(making.name.clone(), file);
        disk.open.push(making.name);
        Some(Ok(FileId(disk.open.len() as u32 - 1)))
    }

    fn close(&mut self, _file: FileId) {}

    fn buffer(&mut self, slot: Slot) -> &mut [u8] {
        assert!(self.in_flight != Some(slot), "the buffer {slot:?} is in flight");
        &mut self.buffers[index(slot)]
    }

    fn queue(&mut self, file: FileId, slot: Slot, len: usize, offset: u64) -> Result<(), StorageError> {
        assert!(len.is_multiple_of(ALIGN) && offset.is_multiple_of(ALIGN as u64), "aligned write");
        let bytes = self.buffers[index(slot)][..len].to_vec();
        let mut disk = self.alive("write to")?;
        assert!(disk.flight.is_none(), "one write is in flight at a time");
        let name = disk.open.get(file.0 as usize).cloned().ok_or_else(|| error("write to", "?", libc::EBADF))?;
        let end = offset as usize + len;
        if disk.files.get(&name).is_none_or(|file| end > file.visible.len()) {
            return Err(error("write behind the end of", &name, libc::EFBIG));
        }
        let mut left: Vec<usize> = (0..len / SECTOR).collect();
        for last in (1..left.len()).rev() {
            left.swap(last, disk.random.below(last as u64 + 1) as usize);
        }
        disk.writes += 1;
        let fault = disk.faults.write.filter(|(n, _)| *n == disk.writes);
        let fails = fault.map(|(_, code)| (disk.random.below(left.len() as u64) as usize, code));
        disk.flight = Some(Flight { name, offset: offset as usize, bytes, left, fails, done: None });
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
