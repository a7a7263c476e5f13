//! The slots: labels and values as atomics, over the heap or a shared file.
//!
//! A slot is three cache lines: 128 bytes of label (its length in the first word, 0 until the label is there, then up to 120 bytes),
//! and 64 of value (its first word). Everything is words, so that a reader that comes early sees no half of anything it trusts.

use super::{CountersError, MAX_SLOTS};
use crate::ring::{FileError, Format, Geometry, SharedFile};
use std::any::Any;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a label's text.
pub(super) const LABEL_WORDS: usize = 15;
/// Words of a slot.
const SLOT_WORDS: usize = 24;
/// The word with the value.
const VALUE: usize = 16;
const SLOT_BYTES: usize = SLOT_WORDS * 8;

const FORMAT: Format = Format { magic: *b"WBCOUNTS", version: 1, unit_bytes: SLOT_BYTES as u32 };

#[repr(C, align(64))]
struct Slot([AtomicU64; SLOT_WORDS]);

pub(super) struct Memory {
    words: NonNull<AtomicU64>,
    slots: usize,
    // Keeps what `words` points to.
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: `words` points into `_owner`, which does not move its contents; everything there is an atomic.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    pub fn heap(slots: usize) -> Self {
        let zero = || Slot(std::array::from_fn(|_| AtomicU64::new(0)));
        let slots: Arc<[Slot]> = (0..slots).map(|_| zero()).collect();
        Self { words: NonNull::from(&*slots).cast(), slots: slots.len(), _owner: Arc::new(slots) }
    }

    pub fn create(path: &Path, slots: usize) -> Result<Self, CountersError> {
        let geometry = Geometry { capacity: slots, body_bytes: slots * SLOT_BYTES };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::io(path, "replace")(error).into());
            }
            _ => {}
        }
        SharedFile::create(path, FORMAT, geometry)?;
        Self::map(path, true)
    }

    pub fn open(path: &Path) -> Result<Self, CountersError> {
        Self::map(path, false)
    }

    fn map(path: &Path, writable: bool) -> Result<Self, CountersError> {
        let file = SharedFile::open(path, FORMAT, writable)?;
        let Geometry { capacity, body_bytes } = file.geometry();
        if !(1..=MAX_SLOTS).contains(&capacity) {
            let allowed = format!("1 to {MAX_SLOTS}");
            return Err(FileError::header(path, "capacity", capacity, allowed).into());
        }
        if body_bytes != capacity * SLOT_BYTES {
            let expected = capacity * SLOT_BYTES;
            return Err(FileError::header(path, "body bytes", body_bytes, expected).into());
        }
        Ok(Self { words: file.body().cast(), slots: capacity, _owner: Arc::new(file) })
    }

    pub fn slots(&self) -> usize {
        self.slots
    }

    #[inline(always)]
    pub fn value(&self, slot: usize) -> &AtomicU64 {
        self.word(slot, VALUE)
    }

    /// The name of a slot, once it has one.
    pub fn name(&self, slot: usize) -> Option<String> {
        let len = self.word(slot, 0).load(Ordering::Acquire);
        // Another process may have written nonsense: it is cut to what a name can be.
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(LABEL_WORDS * 8);
        if len == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(LABEL_WORDS * 8);
        for word in 1..=LABEL_WORDS {
            let word = self.word(slot, word).load(Ordering::Relaxed);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(len);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Names a slot that has no name. The caller has checked the length, and is the only one who names.
    pub fn set_name(&self, slot: usize, name: &str) {
        debug_assert!(!name.is_empty() && name.len() <= LABEL_WORDS * 8);
        for (word, chunk) in name.as_bytes().chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.word(slot, 1 + word).store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.word(slot, 0).store(name.len() as u64, Ordering::Release);
    }

    #[inline(always)]
    fn word(&self, slot: usize, word: usize) -> &AtomicU64 {
        assert!(slot < self.slots && word < SLOT_WORDS);
        // SAFETY: inside of the slots by the assertion; `words` points to `slots * SLOT_WORDS` atomics, aligned to 64, for as long as
        // the owner lives. In a file opened to be read the callers only load.
        unsafe { self.words.add(slot * SLOT_WORDS + word).as_ref() }
    }
}
