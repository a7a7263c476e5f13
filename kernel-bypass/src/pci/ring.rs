//! The ring of beats over memory that a device shares: one storage for each direction.
//!
//! **Device to host** ([`DeviceToHost`]): the ring is in host memory. The device writes each beat as one aligned 32-byte write without
//! relaxed ordering, with the phase in word 3; the host trusts that phase alone. Credits go back by a register: the low 32 bits of the
//! consumer's index, once per batch.
//!
//! **Host to device** ([`HostToDevice`]): the ring is in host memory too. The host writes beats and then the doorbell register (the
//! low 32 bits of its index; [`Producer::index`](crate::ring::Producer::index)); the device fetches only below the doorbell's index,
//! by reads that nothing orders. Credits come back as one aligned 8-byte write of the device's index into host memory, so that the host
//! never has to read a register.

use super::{DmaBuffer, Mmio};
use crate::ring::{BEAT_BYTES, BEAT_WORDS, Beat, RingError, Storage, check_capacity};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a ring lies in a DMA buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the buffer's start to the first beat; a multiple of [`BEAT_BYTES`].
    pub offset: usize,
    /// Beats, a power of two.
    pub capacity: usize,
}

impl Place {
    /// Bytes that the beats take.
    pub const fn bytes(&self) -> usize {
        self.capacity * BEAT_BYTES
    }

    fn check<D: DmaBuffer>(&self, memory: &D) -> Result<(), RingError> {
        check_capacity(self.capacity)?;
        assert!(self.offset.is_multiple_of(BEAT_BYTES), "a beat must not cross its alignment");
        assert!(self.offset + self.bytes() <= memory.words() * 8, "the ring must lie within its memory");
        Ok(())
    }

    /// Writes zeros, as a new ring reads. The device must be at rest.
    pub fn clear<D: DmaBuffer>(&self, memory: &D) {
        for word in 0..self.capacity * BEAT_WORDS {
            memory.store(self.offset / 8 + word, 0, Ordering::Release);
        }
    }
}

/// Beats in DMA memory.
struct Slots<D> {
    memory: Arc<D>,
    first: usize,
    mask: u64,
}

impl<D: DmaBuffer> Slots<D> {
    fn new(memory: Arc<D>, place: Place) -> Result<Self, RingError> {
        place.check(&*memory)?;
        Ok(Self { memory, first: place.offset / 8, mask: place.capacity as u64 - 1 })
    }

    #[inline(always)]
    fn at(&self, index: u64, word: usize) -> usize {
        self.first + (index & self.mask) as usize * BEAT_WORDS + word
    }
}

/// Storage of a ring whose producer is a device. `PHASE` is 3; tests plant another to see it fail.
pub struct DeviceToHost<D, B, const PHASE: usize = 3> {
    slots: Slots<D>,
    registers: Arc<B>,
    /// Register that takes the consumer's index.
    credit_register: usize,
    published: AtomicU64,
}

impl<D: DmaBuffer, B: Mmio, const PHASE: usize> DeviceToHost<D, B, PHASE> {
    /// The ring at `place`, which must read as zeros; credits go to the register at byte `credit_register` of the BAR.
    ///
    /// # Errors
    /// A capacity that is not a power of two within the limits.
    pub fn new(memory: Arc<D>, place: Place, registers: Arc<B>, credit_register: usize) -> Result<Self, RingError> {
        Ok(Self { slots: Slots::new(memory, place)?, registers, credit_register, published: AtomicU64::new(0) })
    }
}

impl<D: DmaBuffer, B: Mmio, const PHASE: usize> Storage for DeviceToHost<D, B, PHASE> {
    type Beat = Beat;
    const WORDS: usize = BEAT_WORDS;
    const PHASE_WORD: usize = PHASE;

    fn capacity(&self) -> usize {
        self.slots.mask as usize + 1
    }
    #[inline(always)]
    fn load(&self, index: u64, word: usize) -> u64 {
        self.slots.memory.load(self.slots.at(index, word), Ordering::Relaxed)
    }
    #[inline(always)]
    fn load_phase(&self, index: u64) -> u64 {
        self.slots.memory.load(self.slots.at(index, PHASE), Ordering::Acquire)
    }
    fn store(&self, _: u64, _: usize, _: u64) {
        unreachable!("the device is the producer");
    }
    fn store_phase(&self, _: u64, _: u64) {
        unreachable!("the device is the producer");
    }
    fn credits(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }
    #[inline]
    fn publish_credits(&self, index: u64) {
        self.published.store(index, Ordering::Relaxed);
        self.registers.write32(self.credit_register, index as u32);
    }
}

/// Storage of a ring whose consumer is a device.
pub struct HostToDevice<D> {
    slots: Slots<D>,
    credit_word: usize,
}

impl<D: DmaBuffer> HostToDevice<D> {
    /// The ring at `place`, which must read as zeros; the device writes its index to byte `credits` of the same buffer, a multiple of 8
    /// outside of the ring.
    ///
    /// # Errors
    /// A capacity that is not a power of two within the limits.
    pub fn new(memory: Arc<D>, place: Place, credits: usize) -> Result<Self, RingError> {
        let inside = credits + 8 > place.offset && credits < place.offset + place.bytes();
        assert!(credits.is_multiple_of(8) && !inside, "credits need a word of their own");
        assert!(credits + 8 <= memory.words() * 8, "credits must lie within the memory");
        Ok(Self { slots: Slots::new(memory, place)?, credit_word: credits / 8 })
    }
}

impl<D: DmaBuffer> Storage for HostToDevice<D> {
    type Beat = Beat;
    const WORDS: usize = BEAT_WORDS;

    fn capacity(&self) -> usize {
        self.slots.mask as usize + 1
    }
    fn load(&self, index: u64, word: usize) -> u64 {
        self.slots.memory.load(self.slots.at(index, word), Ordering::Relaxed)
    }
    fn load_phase(&self, index: u64) -> u64 {
        self.slots.memory.load(self.slots.at(index, Self::PHASE_WORD), Ordering::Acquire)
    }
    #[inline(always)]
    fn store(&self, index: u64, word: usize, value: u64) {
        self.slots.memory.store(self.slots.at(index, word), value, Ordering::Relaxed);
    }
    #[inline(always)]
    fn store_phase(&self, index: u64, value: u64) {
        self.slots.memory.store(self.slots.at(index, Self::PHASE_WORD), value, Ordering::Release);
    }
    #[inline(always)]
    fn credits(&self) -> u64 {
        // A device's index may arrive in two halves, the low one first; what that makes of it is refused by the producer as impossible,
        // or is behind the truth.
        self.slots.memory.load(self.credit_word, Ordering::Acquire)
    }
    fn publish_credits(&self, _: u64) {
        unreachable!("the device is the consumer");
    }
}
