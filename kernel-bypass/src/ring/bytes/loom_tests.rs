//! loom runs both ends of a byte ring through every interleaving; cells beside the bytes notice any access that is not ordered.

#![allow(unsafe_code)]

use super::storage::ByteStorage;
use super::{Consumer, Producer, PushError};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// Four words: two short messages fill it.
const CAPACITY: usize = 32;

#[derive(Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    RelaxedTail,
    RelaxedHead,
}

struct Cells {
    tail: AtomicU64,
    head: AtomicU64,
    /// One per word of the ring: loom reports unordered accesses to them.
    watched: Vec<UnsafeCell<()>>,
    bytes: std::cell::UnsafeCell<[u64; CAPACITY / 8]>,
    planted: Planted,
}

// SAFETY: loom runs one thread at a time, and reports what real threads would race for.
unsafe impl Sync for Cells {}
// SAFETY: as above.
unsafe impl Send for Cells {}

#[derive(Clone)]
struct Model(Arc<Cells>);

impl Model {
    fn new(planted: Planted) -> Self {
        Self(Arc::new(Cells {
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            watched: (0..CAPACITY / 8).map(|_| UnsafeCell::new(())).collect(),
            bytes: std::cell::UnsafeCell::new([0; CAPACITY / 8]),
            planted,
        }))
    }

    fn publishing(&self, planted: Planted) -> Ordering {
        if self.0.planted == planted { Ordering::Relaxed } else { Ordering::Release }
    }
}

impl ByteStorage for Model {
    fn capacity(&self) -> usize {
        CAPACITY
    }
    fn tail(&self) -> u64 {
        self.0.tail.load(Ordering::Acquire)
    }
    fn publish_tail(&self, tail: u64) {
        self.0.tail.store(tail, self.publishing(Planted::RelaxedTail));
    }
    fn head(&self) -> u64 {
        self.0.head.load(Ordering::Acquire)
    }
    fn publish_head(&self, head: u64) {
        self.0.head.store(head, self.publishing(Planted::RelaxedHead));
    }
    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        for word in at / 8..(at + len).div_ceil(8) {
            self.0.watched[word].with(|_| ());
        }
        // SAFETY: inside of the array; one thread runs at a time.
        unsafe { std::slice::from_raw_parts(self.0.bytes.get().cast::<u8>().add(at), len) }
    }
    unsafe fn bytes_mut(&self, at: usize, len: usize) -> &mut [u8] {
        for word in at / 8..(at + len).div_ceil(8) {
            self.0.watched[word].with_mut(|_| ());
        }
        // SAFETY: inside of the array; one thread runs at a time.
        unsafe { std::slice::from_raw_parts_mut(self.0.bytes.get().cast::<u8>().add(at), len) }
    }
}

/// Moves messages of 0, 1, 2 ... bytes (so that some need a skip) through a ring that holds two.
fn exchange(planted: Planted, messages: u8) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let model = Model::new(planted);
        let mut tx = Producer::attach(model.clone());
        let mut rx = Consumer::attach(model);
        let writer = thread::spawn(move || {
            for n in 0..messages {
                let bytes = [n; 8];
                while tx.push(&bytes[..n as usize]) == Err(PushError::Full) {
                    thread::yield_now();
                }
            }
        });
        for n in 0..messages {
            loop {
                let got = rx.pop_with(|bytes| {
                    assert_eq!(bytes, &[n; 8][..n as usize], "a torn message");
                });
                if got.unwrap().is_some() {
                    break;
                }
                thread::yield_now();
            }
        }
        assert!(rx.is_empty());
        writer.join().unwrap();
    });
}

#[test]
fn loom_every_message_arrives_whole_and_in_order() {
    exchange(Planted::Nothing, 4);
}

#[test]
#[should_panic]
fn loom_sees_a_relaxed_tail() {
    exchange(Planted::RelaxedTail, 2);
}

#[test]
#[should_panic]
fn loom_sees_a_relaxed_head() {
    exchange(Planted::RelaxedHead, 4);
}
