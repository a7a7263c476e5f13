//! A ring of byte messages of any length, one producer and one consumer, over the heap or a shared file.
//!
//! Each message is a *frame*: a header word (length in the low half, kind in the high half) and the bytes, padded to a whole number of
//! words. A frame is always contiguous, so that a message is one slice: where the rest of the ring is too short, a *skip* frame fills
//! it, and the message starts at the front. Producer and consumer publish byte counts (tail and head, never wrapping) with release,
//! and cache the other's; a skip and the message behind it are published together.
//!
//! **Limits.** The capacity is a power of two from [`MIN_CAPACITY`] to [`MAX_CAPACITY`] bytes; a message is at most
//! `capacity / 2 - 8` bytes, which guarantees that it fits into an empty ring wherever the ring stands.
//!
//! **Trust.** Over a shared file the other process is trusted to be the only other end, not to be right: a frame that cannot be is
//! answered with [`Corrupt`], and nothing outside of the ring is touched.

mod ends;
mod storage;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

pub use ends::{Consumer, Corrupt, Producer, PushError, Reservation};
pub use storage::{ByteStorage, Heap, Shared};

use super::file::{FileError, SharedFile};
use super::{Geometry, RingError};
use std::path::Path;
use storage::{CONSUMER_LOCK, FORMAT, PRODUCER_LOCK};

/// Fewest bytes that a ring may hold.
pub const MIN_CAPACITY: usize = 64;
/// Most bytes that a ring may hold.
pub const MAX_CAPACITY: usize = 1 << 30;

/// A ring of `capacity` bytes (headers included) in this process's memory.
///
/// # Errors
/// [`RingError::Capacity`] unless `capacity` is a power of two within the limits.
pub fn heap(capacity: usize) -> Result<(Producer<Heap>, Consumer<Heap>), RingError> {
    check_capacity(capacity)?;
    let storage = Heap::new(capacity);
    Ok((Producer::attach(storage.clone()), Consumer::attach(storage)))
}

/// Makes the file of a ring of `capacity` bytes. It appears under its name complete.
///
/// # Errors
/// A capacity that is not a power of two within the limits; a file that exists; what the system refuses.
pub fn create(path: &Path, capacity: usize) -> Result<(), RingError> {
    check_capacity(capacity)?;
    let geometry = Geometry { capacity, body_bytes: capacity };
    Ok(SharedFile::create(path, FORMAT, geometry)?)
}

/// Takes the writing end of the ring at `path`. It goes on behind the last message published.
///
/// # Errors
/// A file that is missing or not such a ring; an end that is taken.
pub fn producer(path: &Path) -> Result<Producer<Shared>, RingError> {
    Ok(Producer::attach(open(path, PRODUCER_LOCK, "producer")?))
}

/// Takes the reading end of the ring at `path`. It goes on behind the last message consumed.
///
/// # Errors
/// A file that is missing or not such a ring; an end that is taken.
pub fn consumer(path: &Path) -> Result<Consumer<Shared>, RingError> {
    Ok(Consumer::attach(open(path, CONSUMER_LOCK, "consumer")?))
}

fn open(path: &Path, lock: i64, role: &'static str) -> Result<Shared, RingError> {
    let file = SharedFile::open(path, FORMAT, true)?;
    let Geometry { capacity, body_bytes } = file.geometry();
    if let Err(limits) = check_capacity(capacity) {
        return Err(FileError::header(path, "capacity", capacity, limits).into());
    }
    if body_bytes != capacity {
        return Err(FileError::header(path, "body bytes", body_bytes, capacity).into());
    }
    file.claim(path, lock, role)?;
    let storage = Shared::new(file);
    let (head, tail) = (storage.head(), storage.tail());
    let aligned = head.is_multiple_of(8) && tail.is_multiple_of(8);
    // The other end may be at work: the head is read first, so the tail can only have moved away from it.
    if !aligned || tail < head || tail - head > 2 * capacity as u64 {
        return Err(RingError::Indices { path: path.display().to_string(), head, tail, capacity });
    }
    Ok(storage)
}

fn check_capacity(capacity: usize) -> Result<(), RingError> {
    if capacity.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
        Ok(())
    } else {
        Err(RingError::Capacity { found: capacity, min: MIN_CAPACITY, max: MAX_CAPACITY, unit: "bytes" })
    }
}
