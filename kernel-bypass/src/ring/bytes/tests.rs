//! The byte ring against a queue, between threads, over a file, and with a broken file.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

/// Bytes that name their message.
fn message(n: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (n as u8).wrapping_mul(31).wrapping_add(i as u8)).collect()
}

#[derive(Debug, Clone)]
enum Op {
    Push(usize),
    /// Reserve the first, commit the lesser.
    Reserve(usize, usize),
    Abandon(usize),
    Pop,
    Drain(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0usize..70).prop_map(Op::Push),
        1 => (0usize..50, 0usize..50).prop_map(|(a, b)| Op::Reserve(a.max(b), a.min(b))),
        1 => (0usize..50).prop_map(Op::Abandon),
        2 => Just(Op::Pop),
        1 => (0usize..5).prop_map(Op::Drain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn behaves_as_a_queue_of_messages(bits in 6u32..9, ops in prop::collection::vec(op(), 1..300)) {
        let (mut tx, mut rx) = heap(1 << bits).unwrap();
        let max = tx.max_message();
        prop_assert_eq!(max, (1 << bits) / 2 - 8);
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let mut n = 0u64;
        for op in ops {
            n += 1;
            match op {
                Op::Push(len) => {
                    let bytes = message(n, len);
                    match tx.push(&bytes) {
                        Ok(()) => model.push_back(bytes),
                        Err(PushError::TooLong { len: found, max: limit }) => {
                            prop_assert_eq!((found, limit), (len, max));
                            prop_assert!(len > max);
                        }
                        Err(PushError::Full) => prop_assert!(len <= max && !model.is_empty(), "an empty ring takes any message"),
                    }
                }
                Op::Reserve(room, len) => {
                    if let Ok(mut reserved) = tx.reserve(room) {
                        prop_assert_eq!(reserved.len(), room);
                        let bytes = message(n, len);
                        reserved[..len].copy_from_slice(&bytes);
                        reserved.commit_len(len);
                        model.push_back(bytes);
                    }
                }
                Op::Abandon(len) => {
                    if let Ok(mut reserved) = tx.reserve(len) {
                        reserved.fill(0xee);
                    }
                }
                Op::Pop => prop_assert_eq!(rx.pop_with(<[u8]>::to_vec).unwrap(), model.pop_front()),
                Op::Drain(limit) => {
                    let mut got = Vec::new();
                    let count = rx.drain(limit, |bytes| got.push(bytes.to_vec())).unwrap();
                    let expected: Vec<_> = model.drain(..limit.min(model.len())).collect();
                    prop_assert_eq!(count, expected.len());
                    prop_assert_eq!(got, expected);
                }
            }
            prop_assert_eq!(rx.is_empty(), model.is_empty());
        }
    }

    /// Whatever another process leaves in the file, the consumer answers with messages inside of the ring, or with `Corrupt`.
    #[test]
    fn garbage_in_the_file_is_answered(body in prop::collection::vec(any::<u64>(), 8), kinds in prop::collection::vec(0u8..3, 8), tail in 0u64..9, head in 0u64..9) {
        let storage = Heap::new(64);
        for (at, (&word, &kind)) in body.iter().zip(&kinds).enumerate() {
            // Frames that look right, with lengths that may not be.
            let word = match kind {
                0 => word,
                1 => 0x4d53_4721 << 32 | (word & 63),
                _ => 0x534b_4950 << 32 | (word & 63),
            };
            // SAFETY: inside of the ring, one thread.
            #[allow(unsafe_code)]
            unsafe { storage.bytes_mut(at * 8, 8) }.copy_from_slice(&word.to_le_bytes());
        }
        storage.publish_tail(tail * 8);
        storage.publish_head(head * 8);
        let mut rx = Consumer::attach(storage);
        for _ in 0..16 {
            match rx.pop_with(<[u8]>::len) {
                Ok(Some(len)) => prop_assert!(len <= 56),
                Ok(None) => break,
                Err(corrupt) => {
                    prop_assert_eq!(rx.pop_with(<[u8]>::len), Err(corrupt), "stays");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_corrupt_frame_is_named_and_the_messages_before_it_count() {
    let storage = Heap::new(64);
    let mut tx = Producer::attach(storage.clone());
    let mut rx = Consumer::attach(storage.clone());
    tx.push(b"good").unwrap();
    tx.push(b"bad").unwrap();
    // SAFETY: inside of the ring, one thread.
    #[allow(unsafe_code)]
    unsafe { storage.bytes_mut(16, 8) }.copy_from_slice(&u64::MAX.to_le_bytes());
    let mut seen = Vec::new();
    let fault = rx.drain(10, |bytes| seen.push(bytes.to_vec())).unwrap_err();
    assert_eq!(seen, [b"good"]);
    assert_eq!((fault.at, fault.header, fault.published), (16, u64::MAX, 16));
    assert_eq!(storage.head(), 16);
}

#[test]
fn a_callback_that_panics_leaves_its_message() {
    let (mut tx, mut rx) = heap(64).unwrap();
    tx.push(b"once").unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = rx.pop_with(|_| panic!("planted"));
    }));
    assert!(panicked.is_err());
    assert_eq!(rx.pop_with(<[u8]>::to_vec), Ok(Some(b"once".to_vec())));
    assert_eq!(rx.pop_with(<[u8]>::to_vec), Ok(None));
}

#[test]
fn two_threads_move_messages_of_every_length() {
    let (tx, rx) = heap(1 << 12).unwrap();
    move_messages(tx, rx);
}

/// Built and run by `tests/run` alone, which wants ThreadSanitizer to end it.
#[cfg(planted_race)]
#[test]
fn a_planted_race_is_found() {
    let storage = Heap::new(1 << 12);
    let end = |storage| super::storage::Racy(storage);
    move_messages(Producer::attach(end(storage.clone())), Consumer::attach(end(storage)));
}

fn move_messages<S: ByteStorage + Send + 'static>(mut tx: Producer<S>, mut rx: Consumer<S>) {
    const MESSAGES: u64 = 60_000;
    let length = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % 300;
    let writer = thread::spawn(move || {
        for n in 0..MESSAGES {
            let bytes = message(n, length(n));
            while tx.push(&bytes) == Err(PushError::Full) {
                thread::yield_now();
            }
        }
    });
    let mut seen = 0;
    while seen < MESSAGES {
        let count = rx
            .drain(7, |bytes| {
                assert_eq!(bytes, message(seen, length(seen)));
                seen += 1;
            })
            .unwrap();
        if count == 0 {
            thread::yield_now();
        }
    }
    writer.join().unwrap();
    assert!(rx.is_empty());
}

#[test]
fn a_shared_ring_keeps_its_messages_while_nobody_is_attached() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes");
    create(&path, 256).unwrap();
    assert!(consumer(&path).unwrap().is_empty());
    let mut sent = 0u64;
    let mut seen = 0u64;
    for _ in 0..50 {
        let mut tx = producer(&path).unwrap();
        assert!(producer(&path).is_err(), "one producer");
        while tx.push(&message(sent, sent as usize % 40)) == Ok(()) {
            sent += 1;
        }
        drop(tx);
        let mut rx = consumer(&path).unwrap();
        for _ in 0..3 {
            let got = rx.pop_with(<[u8]>::to_vec).unwrap().unwrap();
            assert_eq!(got, message(seen, seen as usize % 40));
            seen += 1;
        }
    }
    assert!(sent > 150);
}

#[test]
fn a_shared_file_with_impossible_indices_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes");
    create(&path, 256).unwrap();
    let good = std::fs::read(&path).unwrap();
    for (head, tail) in [(8u64, 0u64), (4, 8), (0, 1024), (u64::MAX - 7, 8)] {
        let mut bad = good.clone();
        bad[128..136].copy_from_slice(&head.to_le_bytes());
        bad[256..264].copy_from_slice(&tail.to_le_bytes());
        std::fs::write(&path, bad).unwrap();
        let error = consumer(&path).err().unwrap();
        assert!(matches!(error, RingError::Indices { .. }), "{head} {tail}: {error}");
    }
    for capacity in [0, 63, 65, MAX_CAPACITY * 2] {
        assert!(heap(capacity).is_err(), "{capacity}");
    }
}
