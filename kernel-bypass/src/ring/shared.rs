//! A ring of beats in a file that two processes map.
//!
//! One process calls [`create`]; then one calls [`producer`] and one calls [`consumer`], in any order, as often as they restart: each
//! end goes on where it was: a producer behind the last beat published, a consumer behind the last one whose slot it gave back (what a
//! killed consumer had copied and not given back comes again). The file is a page of header (the credits at byte 128 of it) and the slots.
//!
//! The other process is trusted to keep the protocol, not to be alive. If it writes nonsense, beats are nonsense or the ring seems
//! full; this end never touches memory outside of the ring because of it.

#![allow(unsafe_code)]

use super::file::{FileError, Format, Geometry, HEAD_AT, SharedFile};
use super::storage::{InMemory, Memory};
use super::{BEAT_BYTES, Consumer, Producer, RingError, check_capacity};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const FORMAT: Format = Format { magic: *b"WBEATRNG", version: 1, unit_bytes: BEAT_BYTES as u32 };
const PRODUCER_LOCK: i64 = 0;
const CONSUMER_LOCK: i64 = 1;

/// A ring in a shared file.
pub type Shared = InMemory<SharedMemory>;

/// The mapped file of one end.
pub struct SharedMemory(SharedFile);

// SAFETY: the mapping is fixed for the life of the value; `attach` has checked that its body is exactly capacity beats; it starts on
// a page; the only other accesses are atomics, in this process or another.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; everything reachable through a shared reference is atomic.
unsafe impl Sync for SharedMemory {}

// SAFETY: as above.
unsafe impl Memory for SharedMemory {
    fn slots(&self) -> NonNull<AtomicU64> {
        self.0.body().cast()
    }

    fn credits(&self) -> NonNull<AtomicU64> {
        self.0.header_word(HEAD_AT)
    }

    fn capacity(&self) -> usize {
        self.0.geometry().capacity
    }
}

/// Makes the file of a ring of `capacity` beats. It appears under its name complete.
///
/// # Errors
/// A capacity that is not a power of two within the limits; a file that exists; what the system refuses.
pub fn create(path: &Path, capacity: usize) -> Result<(), RingError> {
    check_capacity(capacity)?;
    let geometry = Geometry { capacity, body_bytes: capacity * BEAT_BYTES };
    Ok(SharedFile::create(path, FORMAT, geometry)?)
}

/// Takes the writing end. It goes on behind the last beat published.
///
/// # Errors
/// A file that is missing or not such a ring; an end that is taken.
pub fn producer(path: &Path) -> Result<Producer<Shared>, RingError> {
    Ok(Producer::attach(attach(path, PRODUCER_LOCK, "producer")?))
}

/// Takes the reading end. It goes on behind the last beat consumed.
///
/// # Errors
/// A file that is missing or not such a ring; an end that is taken.
pub fn consumer(path: &Path) -> Result<Consumer<Shared>, RingError> {
    Ok(Consumer::attach(attach(path, CONSUMER_LOCK, "consumer")?))
}

fn attach(path: &Path, lock: i64, role: &'static str) -> Result<Shared, RingError> {
    let file = SharedFile::open(path, FORMAT, true)?;
    let geometry = file.geometry();
    if let Err(limits) = check_capacity(geometry.capacity) {
        return Err(FileError::header(path, "capacity", geometry.capacity, limits).into());
    }
    // Cannot overflow: the capacity is within its limits.
    let body = geometry.capacity * BEAT_BYTES;
    if geometry.body_bytes != body {
        return Err(FileError::header(path, "body bytes", geometry.body_bytes, body).into());
    }
    file.claim(path, lock, role)?;
    Ok(InMemory::new(Arc::new(SharedMemory(file))))
}
