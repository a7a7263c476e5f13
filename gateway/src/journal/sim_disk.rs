//! The state of the simulated disk, and what its sectors do: see [`super::sim`].

use std::collections::{BTreeMap, BTreeSet};

use super::storage::StorageError;

/// What a disk writes at once, in bytes.
pub const SECTOR: usize = 512;

/// The most steps that making a file takes.
pub(super) const MAKING_STEPS: u64 = 6;

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
pub(super) struct SimFile {
    pub(super) visible: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Written, not synced.
    pub(super) dirty: BTreeSet<usize>,
    /// Written, and forgotten by a failed sync.
    pub(super) lost: BTreeSet<usize>,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) name: String,
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
    /// Sectors not yet written, in the order in which they will be.
    pub(super) left: Vec<usize>,
    /// Fails when this many are left.
    pub(super) fails: Option<(usize, i32)>,
    pub(super) done: Option<Result<(), StorageError>>,
}

#[derive(Debug)]
pub(super) struct Making {
    pub(super) name: String,
    pub(super) len: u64,
    pub(super) steps: u64,
}

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<String, SimFile>,
    pub(super) open: Vec<String>,
    pub(super) flight: Option<Flight>,
    pub(super) making: Option<Making>,
    pub(super) random: Seeded,
    pub(super) faults: Faults,
    pub(super) writes: u64,
    pub(super) syncs: u64,
    pub(super) creates: u64,
    pub(super) life: u64,
}

impl Disk {
    /// Some of what is under way happens.
    pub(super) fn progress(&mut self) {
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
            if flight.fails.is_some_and(|(left, _)| flight.left.len() <= left) {
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

    pub(super) fn power_fails(&mut self) {
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

pub(super) fn error(what: &'static str, name: &str, code: i32) -> StorageError {
    StorageError::io(what, name, &std::io::Error::from_raw_os_error(code))
}
