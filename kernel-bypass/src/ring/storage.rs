//! Where a ring's beats lie, and with which ordering they are touched.
//!
//! [`Storage`] is the whole surface between the algorithm ([`super::Producer`], [`super::Consumer`]) and memory, so that loom can
//! check the same algorithm over its own atomics with beats of two words, and a device model can deliver a beat piece by piece.
//! [`InMemory`] is the storage over real memory; [`Memory`] is what it takes to lend it some: the heap, a shared file, DMA pages.

#![allow(unsafe_code)]

use super::{BEAT_WORDS, Beat, RingError, check_capacity};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots of beats, and one index that the consumer publishes.
///
/// An implementation maps an index to a slot by `index % capacity`. A new storage reads as zero everywhere.
///
/// A storage whose producer is a device relies on the device to write each beat as one aligned 32-byte posted write without relaxed
/// ordering: PCIe then lets its bytes become visible only in the order of increasing addresses, at whatever granularity, so that the
/// last word is last. Such a storage may override [`Storage::publish_credits`] to ring the device's doorbell.
pub trait Storage {
    /// A beat: `[u64; 4]` everywhere but in models, which may use fewer words.
    type Beat: Copy + Default + AsRef<[u64]> + AsMut<[u64]>;

    /// Words in a beat.
    const WORDS: usize;

    /// The word whose top bit is the phase. The last, in every ring that is right; tests plant another to see it fail.
    const PHASE_WORD: usize = Self::WORDS - 1;

    /// Beats that fit, a power of two.
    fn capacity(&self) -> usize;

    /// A word other than the phase word, relaxed.
    fn load(&self, index: u64, word: usize) -> u64;

    /// The phase word, acquire.
    fn load_phase(&self, index: u64) -> u64;

    /// A word other than the phase word, relaxed.
    fn store(&self, index: u64, word: usize, value: u64);

    /// The phase word, release.
    fn store_phase(&self, index: u64, value: u64);

    /// The index that the consumer published last, acquire: all below it are copied.
    fn credits(&self) -> u64;

    /// Publishes the consumer's index, release.
    fn publish_credits(&self, index: u64);
}

/// Memory that can hold a ring of beats.
///
/// # Safety
/// For as long as the value lives, and wherever it is moved: `slots` points to `capacity` (a power of two) beats of [`BEAT_WORDS`]
/// atomics each, aligned to 32 bytes, `credits` to one more atomic, all readable and writable, and touched by others only through
/// atomic accesses or by a device.
pub unsafe trait Memory: Send + Sync {
    /// The first word of the first beat.
    fn slots(&self) -> NonNull<AtomicU64>;
    /// The consumer's published index.
    fn credits(&self) -> NonNull<AtomicU64>;
    /// Beats that fit.
    fn capacity(&self) -> usize;
}

/// A [`Storage`] over real memory.
pub struct InMemory<M: Memory> {
    slots: NonNull<AtomicU64>,
    credits: NonNull<AtomicU64>,
    mask: u64,
    // Keeps the memory alive; the pointers above go into it.
    _memory: Arc<M>,
}

// SAFETY: the pointers go to atomics inside `_memory`, which is Send + Sync and lives as long as this value.
unsafe impl<M: Memory> Send for InMemory<M> {}

impl<M: Memory> InMemory<M> {
    /// A view of `memory`; a ring takes two, one for each end.
    pub fn new(memory: Arc<M>) -> Self {
        assert!(memory.capacity().is_power_of_two(), "Memory promises a power of two");
        Self { slots: memory.slots(), credits: memory.credits(), mask: memory.capacity() as u64 - 1, _memory: memory }
    }

    #[inline(always)]
    fn word(&self, index: u64, word: usize) -> &AtomicU64 {
        let at = (index & self.mask) as usize * BEAT_WORDS + (word & (BEAT_WORDS - 1));
        // SAFETY: `at` is below capacity * BEAT_WORDS by the two masks, which `Memory` promises to be valid atomics.
        unsafe { self.slots.add(at).as_ref() }
    }

    #[inline(always)]
    fn credit_word(&self) -> &AtomicU64 {
        // SAFETY: `Memory` promises a valid atomic for as long as `_memory` lives.
        unsafe { self.credits.as_ref() }
    }
}

impl<M: Memory> Storage for InMemory<M> {
    type Beat = Beat;
    const WORDS: usize = BEAT_WORDS;

    #[inline(always)]
    fn capacity(&self) -> usize {
        self.mask as usize + 1
    }

    #[inline(always)]
    fn load(&self, index: u64, word: usize) -> u64 {
        self.word(index, word).load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn load_phase(&self, index: u64) -> u64 {
        self.word(index, Self::PHASE_WORD).load(Ordering::Acquire)
    }

    #[inline(always)]
    fn store(&self, index: u64, word: usize, value: u64) {
        self.word(index, word).store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    fn store_phase(&self, index: u64, value: u64) {
        self.word(index, Self::PHASE_WORD).store(value, Ordering::Release);
    }

    #[inline(always)]
    fn credits(&self) -> u64 {
        self.credit_word().load(Ordering::Acquire)
    }

    #[inline(always)]
    fn publish_credits(&self, index: u64) {
        self.credit_word().store(index, Ordering::Release);
    }
}

/// A ring in this process's memory.
pub type Heap = InMemory<HeapMemory>;

/// Two beats: one cache line.
#[repr(C, align(64))]
#[derive(Default)]
struct Line([[AtomicU64; BEAT_WORDS]; 2]);

/// A line pair of its own, so that the neighbour prefetcher does not drag the beats along with the credits.
#[repr(C, align(128))]
#[derive(Default)]
struct Apart(AtomicU64);

/// Zeroed heap memory for a ring.
pub struct HeapMemory {
    lines: Box<[Line]>,
    credits: Apart,
}

impl HeapMemory {
    /// Room for `capacity` beats.
    ///
    /// # Errors
    /// [`RingError::Capacity`] unless `capacity` is a power of two within the limits.
    pub fn new(capacity: usize) -> Result<Self, RingError> {
        check_capacity(capacity)?;
        let mut lines = Vec::new();
        lines.resize_with(capacity / 2, Line::default);
        Ok(Self { lines: lines.into_boxed_slice(), credits: Apart::default() })
    }
}

// SAFETY: the box holds capacity / 2 lines of two beats each, aligned to 64; the pointers are made from shared references to
// atomics, so nobody holds a unique one; `InMemory` keeps the value behind an `Arc`, so `credits` does not move.
unsafe impl Memory for HeapMemory {
    fn slots(&self) -> NonNull<AtomicU64> {
        NonNull::from(&*self.lines).cast()
    }

    fn credits(&self) -> NonNull<AtomicU64> {
        NonNull::from(&self.credits.0)
    }

    fn capacity(&self) -> usize {
        self.lines.len() * 2
    }
}
