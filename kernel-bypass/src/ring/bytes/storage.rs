//! Where a byte ring's frames lie, and with which ordering its indices are touched.
//!
//! [`ByteStorage`] is all that the algorithm sees, so that loom can check it over its own atomics and a model of memory that notices
//! races.

#![allow(unsafe_code)]

use crate::ring::file::{HEAD_AT, TAIL_AT};
use crate::ring::{Format, SharedFile};
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const FORMAT: Format = Format { magic: *b"WBYTERNG", version: 1, unit_bytes: 1 };
pub(super) const PRODUCER_LOCK: i64 = 0;
pub(super) const CONSUMER_LOCK: i64 = 1;

/// A run of bytes and two indices.
pub trait ByteStorage {
    /// Bytes that fit, a power of two, a multiple of 8.
    fn capacity(&self) -> usize;
    /// Bytes published since the ring was made, acquire.
    fn tail(&self) -> u64;
    /// Publishes the tail, release.
    fn publish_tail(&self, tail: u64);
    /// Bytes consumed since the ring was made, acquire.
    fn head(&self) -> u64;
    /// Publishes the head, release.
    fn publish_head(&self, head: u64);

    /// The bytes `at..at + len` to read.
    ///
    /// # Safety
    /// The range is inside of the ring, and nobody writes into it while the slice lives.
    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8];

    /// The bytes `at..at + len` to write.
    ///
    /// # Safety
    /// The range is inside of the ring, and nobody else touches it while the slice lives.
    #[allow(clippy::mut_from_ref, reason = "the caller owns the range, as the contract says")]
    unsafe fn bytes_mut(&self, at: usize, len: usize) -> &mut [u8];
}

/// A line pair of its own, so that the two indices never share one.
#[repr(C, align(128))]
#[derive(Default)]
struct Apart(AtomicU64);

struct HeapInner {
    /// Words, so that frames are aligned.
    words: Box<[UnsafeCell<u64>]>,
    tail: Apart,
    head: Apart,
}

// SAFETY: the indices are atomic; the words are reached only through `bytes` and `bytes_mut`, whose contract excludes races.
unsafe impl Sync for HeapInner {}

/// A byte ring in this process's memory.
#[derive(Clone)]
pub struct Heap(Arc<HeapInner>);

impl Heap {
    /// The capacity was checked.
    pub(super) fn new(capacity: usize) -> Self {
        let mut words = Vec::new();
        words.resize_with(capacity / 8, || UnsafeCell::new(0));
        Self(Arc::new(HeapInner { words: words.into_boxed_slice(), tail: Apart::default(), head: Apart::default() }))
    }
}

impl ByteStorage for Heap {
    #[inline(always)]
    fn capacity(&self) -> usize {
        self.0.words.len() * 8
    }

    #[inline(always)]
    fn tail(&self) -> u64 {
        self.0.tail.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn publish_tail(&self, tail: u64) {
        self.0.tail.0.store(tail, Ordering::Release);
    }

    #[inline(always)]
    fn head(&self) -> u64 {
        self.0.head.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn publish_head(&self, head: u64) {
        self.0.head.0.store(head, Ordering::Release);
    }

    #[inline(always)]
    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= self.capacity());
        let start = UnsafeCell::raw_get(self.0.words.as_ptr()).cast::<u8>();
        // SAFETY: inside of the box by the caller's word, initialized when it was made, and not written meanwhile.
        unsafe { std::slice::from_raw_parts(start.add(at), len) }
    }

    #[inline(always)]
    unsafe fn bytes_mut(&self, at: usize, len: usize) -> &mut [u8] {
        debug_assert!(at + len <= self.capacity());
        let start = UnsafeCell::raw_get(self.0.words.as_ptr()).cast::<u8>();
        // SAFETY: inside of the box by the caller's word, in cells, and touched by nobody else meanwhile.
        unsafe { std::slice::from_raw_parts_mut(start.add(at), len) }
    }
}

/// A byte ring whose writer publishes without release: what ThreadSanitizer is there to find.
#[cfg(planted_race)]
pub struct Racy(pub(super) Heap);

#[cfg(planted_race)]
impl ByteStorage for Racy {
    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn tail(&self) -> u64 {
        self.0.tail()
    }

    fn publish_tail(&self, tail: u64) {
        self.0.0.tail.0.store(tail, Ordering::Relaxed);
    }

    fn head(&self) -> u64 {
        self.0.head()
    }

    fn publish_head(&self, head: u64) {
        self.0.publish_head(head);
    }

    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: the caller's word, handed on.
        unsafe { self.0.bytes(at, len) }
    }

    unsafe fn bytes_mut(&self, at: usize, len: usize) -> &mut [u8] {
        // SAFETY: the caller's word, handed on.
        unsafe { self.0.bytes_mut(at, len) }
    }
}

/// A byte ring in a shared file: tail and head in the header, the bytes behind it.
pub struct Shared {
    body: NonNull<u8>,
    tail: NonNull<AtomicU64>,
    head: NonNull<AtomicU64>,
    capacity: usize,
    _file: SharedFile,
}

// SAFETY: the pointers go into the mapping, which moves with this value and stays where it is.
unsafe impl Send for Shared {}

impl Shared {
    pub(super) fn new(file: SharedFile) -> Self {
        Self {
            body: file.body(),
            tail: file.header_word(TAIL_AT),
            head: file.header_word(HEAD_AT),
            capacity: file.geometry().body_bytes,
            _file: file,
        }
    }

    #[inline(always)]
    fn tail_word(&self) -> &AtomicU64 {
        // SAFETY: a word of the mapped header, aligned, which everybody touches as an atomic.
        unsafe { self.tail.as_ref() }
    }

    #[inline(always)]
    fn head_word(&self) -> &AtomicU64 {
        // SAFETY: a word of the mapped header, aligned, which everybody touches as an atomic.
        unsafe { self.head.as_ref() }
    }
}

impl ByteStorage for Shared {
    #[inline(always)]
    fn capacity(&self) -> usize {
        self.capacity
    }

    #[inline(always)]
    fn tail(&self) -> u64 {
        self.tail_word().load(Ordering::Acquire)
    }

    #[inline(always)]
    fn publish_tail(&self, tail: u64) {
        self.tail_word().store(tail, Ordering::Release);
    }

    #[inline(always)]
    fn head(&self) -> u64 {
        self.head_word().load(Ordering::Acquire)
    }

    #[inline(always)]
    fn publish_head(&self, head: u64) {
        self.head_word().store(head, Ordering::Release);
    }

    #[inline(always)]
    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= self.capacity);
        // SAFETY: inside of the mapped body by the caller's word; the other process keeps off what is published, as the protocol says.
        unsafe { std::slice::from_raw_parts(self.body.as_ptr().add(at), len) }
    }

    #[inline(always)]
    unsafe fn bytes_mut(&self, at: usize, len: usize) -> &mut [u8] {
        debug_assert!(at + len <= self.capacity);
        // SAFETY: inside of the mapped body by the caller's word; the other process keeps off what is not published.
        unsafe { std::slice::from_raw_parts_mut(self.body.as_ptr().add(at), len) }
    }
}
