//! Named counters in shared memory: what a venue is doing, to be read by another process without disturbing it.
//!
//! A file of fixed slots. Each slot has two lines of label and one line of value, apart from every other slot's, so that two counters
//! never share a cache line. A counter has one writer, which adds to it with a relaxed load and store; a reader sees some recent
//! value, each whole. A label is written once, before its state says that it is there.
//!
//! **Limits.** 1 to [`MAX_SLOTS`] slots; names of 1 to [`MAX_NAME`] bytes of UTF-8, each once; a counter lives as long as its file. Counters are
//! for watching: nothing decides by them.

#![allow(unsafe_code)]

mod memory;

#[cfg(test)]
mod tests;

use crate::ring::FileError;
use memory::{LABEL_WORDS, Memory};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most counters in one file.
pub const MAX_SLOTS: usize = 1 << 16;
/// Most bytes in a name.
pub const MAX_NAME: usize = LABEL_WORDS * 8;

/// Why a counter cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// The file could not be made, opened or trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// A number of slots out of range.
    #[error("{found} counters: must be from 1 to {MAX_SLOTS}")]
    Slots {
        /// What was asked for.
        found: usize,
    },
    /// A name that is empty, or too long.
    #[error("counter name {name:?} has {} bytes: must be from 1 to {MAX_NAME}", name.len())]
    Name {
        /// The name.
        name: String,
    },
    /// The name is taken.
    #[error("counter {name:?} exists already")]
    Exists {
        /// The name.
        name: String,
    },
    /// Every slot is taken.
    #[error("all {slots} counters are in use: {name:?} does not fit")]
    Full {
        /// How many there are.
        slots: usize,
        /// The name that was to be added.
        name: String,
    },
}

/// The counters of this process, to add to.
#[derive(Clone)]
pub struct Counters {
    memory: Arc<Memory>,
    /// How many slots are taken; held while one is being named.
    used: Arc<Mutex<usize>>,
}

/// One counter. One writer: whoever holds this.
pub struct Counter {
    memory: Arc<Memory>,
    slot: usize,
}

/// All counters, to look at, in this process or another.
#[derive(Clone)]
pub struct CountersReader {
    memory: Arc<Memory>,
}

impl Counters {
    /// `slots` counters in this process's memory.
    ///
    /// # Errors
    /// [`CountersError::Slots`].
    pub fn heap(slots: usize) -> Result<Self, CountersError> {
        check_slots(slots)?;
        Ok(Self::over(Memory::heap(slots)))
    }

    /// `slots` counters in a new file at `path`, which others may read. Replaces what an earlier run has left there; who has that
    /// mapped goes on seeing it.
    ///
    /// # Errors
    /// [`CountersError::Slots`]; what the system refuses.
    pub fn create(path: &Path, slots: usize) -> Result<Self, CountersError> {
        check_slots(slots)?;
        Ok(Self::over(Memory::create(path, slots)?))
    }

    fn over(memory: Memory) -> Self {
        Self { memory: Arc::new(memory), used: Arc::default() }
    }

    /// Names the next slot; the counter starts at 0. Not for the hot path.
    ///
    /// # Errors
    /// A name that is empty, too long or taken; no slot left.
    pub fn add(&self, name: &str) -> Result<Counter, CountersError> {
        let name_error = |make: fn(String) -> CountersError| make(name.to_string());
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(name_error(|name| CountersError::Name { name }));
        }
        // Held by nothing that panics half-way; and a count is right at any time.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if (0..*used).any(|slot| self.memory.name(slot).as_deref() == Some(name)) {
            return Err(name_error(|name| CountersError::Exists { name }));
        }
        let slot = *used;
        if slot == self.memory.slots() {
            return Err(CountersError::Full { slots: slot, name: name.to_string() });
        }
        self.memory.set_name(slot, name);
        *used += 1;
        Ok(Counter { memory: self.memory.clone(), slot })
    }

    /// A reader in this process.
    pub fn reader(&self) -> CountersReader {
        CountersReader { memory: self.memory.clone() }
    }
}

impl Counter {
    /// Adds `n`, wrapping.
    #[inline(always)]
    pub fn add(&mut self, n: u64) {
        let value = self.value();
        // One writer: nothing comes between, and no locked instruction is needed.
        value.store(value.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets it: for gauges.
    #[inline(always)]
    pub fn set(&mut self, value: u64) {
        self.value().store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.value().load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn value(&self) -> &AtomicU64 {
        self.memory.value(self.slot)
    }
}

impl CountersReader {
    /// Opens the file that another process has made, to read.
    ///
    /// # Errors
    /// A file that is missing, or no such file.
    pub fn open(path: &Path) -> Result<Self, CountersError> {
        Ok(Self { memory: Arc::new(Memory::open(path)?) })
    }

    /// Names and values, in the order in which they were added.
    pub fn list(&self) -> Vec<(String, u64)> {
        (0..self.memory.slots())
            .map_while(|slot| {
                let name = self.memory.name(slot)?;
                Some((name, self.memory.value(slot).load(Ordering::Relaxed)))
            })
            .collect()
    }

    /// The value of the counter called `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<u64> {
        (0..self.memory.slots())
            .map_while(|slot| Some((slot, self.memory.name(slot)?)))
            .find(|(_, found)| found == name)
            .map(|(slot, _)| self.memory.value(slot).load(Ordering::Relaxed))
    }
}

fn check_slots(slots: usize) -> Result<(), CountersError> {
    if (1..=MAX_SLOTS).contains(&slots) { Ok(()) } else { Err(CountersError::Slots { found: slots }) }
}
