//! Rings between two threads, two processes, or a device and its host: one producer, one consumer, no lock.
//!
//! This module holds the ring of *beats*: 32 bytes, half a cache line, one AXI4-Stream transfer. [`bytes`] holds the ring of
//! messages of any length.
//!
//! **How a beat is published.** A beat is four 64-bit atomics. The producer stores words 0 to 2 relaxed and word 3, whose top bit is
//! the *phase*, with release. The phase of a slot flips each time round, so the consumer knows a new beat by word 3 alone: it loads
//! word 3 with acquire, and only when the phase is the one it expects does it copy words 0 to 2. Then it publishes its own index,
//! which is what gives the producer *credits*: a slot is written again only after the consumer has said that it has copied it. There
//! is no shared write index, so a beat moves in one cache line, and nothing assumes that 32 bytes are written at once.
//!
//! **What a device must do.** See [`Storage`]: one aligned 32-byte write per beat without relaxed ordering. The phase is in the last
//! byte because such a write becomes visible in the order of increasing addresses, in pieces of any size.
//!
//! **Limits.** Exactly one [`Producer`] and one [`Consumer`]; a capacity that is a power of two from [`MIN_CAPACITY`] to
//! [`MAX_CAPACITY`]. Bit 63 of word 3 belongs to the ring: ignored on push, 0 on pop.

pub mod bytes;
mod file;
pub mod shared;
mod spsc;
mod storage;

#[cfg(test)]
mod device_tests;
#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

pub use file::FileError;
pub(crate) use file::{Format, Geometry, SharedFile};
pub use shared::Shared;
pub use spsc::{Consumer, Producer};
pub use storage::{Heap, HeapMemory, InMemory, Memory, Storage};

/// 32 bytes as little-endian words: byte `i` of the beat is bits `8 * (i % 8)..` of word `i / 8`; byte 31 is the top byte of word 3.
pub type Beat = [u64; BEAT_WORDS];

/// Words of 64 bits in a beat.
pub const BEAT_WORDS: usize = 4;
/// Bytes in a beat.
pub const BEAT_BYTES: usize = BEAT_WORDS * 8;
/// The ring's bit in the word that carries it: the top bit of the beat's last byte.
pub const PHASE_BIT: u64 = 1 << 63;
/// Fewest beats a ring may hold.
pub const MIN_CAPACITY: usize = 2;
/// Most beats a ring may hold (512 MiB of them).
pub const MAX_CAPACITY: usize = 1 << 24;

/// Why a ring could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The capacity asked for cannot be had.
    #[error("ring capacity {found} {unit}: must be a power of two from {min} to {max}")]
    Capacity {
        /// What was asked for.
        found: usize,
        /// The least allowed.
        min: usize,
        /// The most allowed.
        max: usize,
        /// What is counted: beats or bytes.
        unit: &'static str,
    },
    /// The shared file could not be made, opened or trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// The indices in a shared file contradict each other.
    #[error("{path}: consumer at {head}, producer at {tail}, capacity {capacity}: delete the file and create it again")]
    Indices {
        /// The file.
        path: String,
        /// The consumer's index.
        head: u64,
        /// The producer's index.
        tail: u64,
        /// Units the ring holds.
        capacity: usize,
    },
}

/// A ring of `capacity` beats in this process's memory.
///
/// # Errors
/// [`RingError::Capacity`] unless `capacity` is a power of two within the limits.
pub fn heap(capacity: usize) -> Result<(Producer<Heap>, Consumer<Heap>), RingError> {
    let memory = std::sync::Arc::new(HeapMemory::new(capacity)?);
    Ok((Producer::attach(InMemory::new(memory.clone())), Consumer::attach(InMemory::new(memory))))
}

pub(crate) fn check_capacity(capacity: usize) -> Result<(), RingError> {
    if capacity.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
        Ok(())
    } else {
        Err(RingError::Capacity { found: capacity, min: MIN_CAPACITY, max: MAX_CAPACITY, unit: "beats" })
    }
}
