//! The ring of beats against a queue, between threads, and between processes that die.

#![allow(unsafe_code)]

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

/// A beat that shows a torn or mixed copy.
fn beat(n: u64) -> Beat {
    [n, !n, n.rotate_left(17), n & !PHASE_BIT]
}

#[derive(Debug, Clone)]
enum Op {
    Push,
    PushBatch(usize),
    Pop,
    PopBatch(usize),
    Peek(usize),
    Ready(usize),
    Free,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Push),
        (0usize..40).prop_map(Op::PushBatch),
        Just(Op::Pop),
        (0usize..40).prop_map(Op::PopBatch),
        (0usize..40).prop_map(Op::Peek),
        (0usize..40).prop_map(Op::Ready),
        Just(Op::Free),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn behaves_as_a_bounded_queue(bits in 1u32..5, ops in prop::collection::vec(op(), 1..300)) {
        let capacity = 1usize << bits;
        let (mut tx, mut rx) = heap(capacity).unwrap();
        let mut model = VecDeque::new();
        let mut next = 0u64;
        for op in ops {
            match op {
                Op::Push => {
                    let pushed = tx.push(&beat(next));
                    prop_assert_eq!(pushed, model.len() < capacity);
                    if pushed {
                        model.push_back(beat(next));
                        next += 1;
                    }
                }
                Op::PushBatch(count) => {
                    let beats: Vec<Beat> = (0..count as u64).map(|i| beat(next + i)).collect();
                    let pushed = tx.push_batch(&beats);
                    prop_assert_eq!(pushed, count.min(capacity - model.len()));
                    model.extend(&beats[..pushed]);
                    next += pushed as u64;
                }
                Op::Pop => prop_assert_eq!(rx.pop(), model.pop_front()),
                Op::PopBatch(count) => {
                    let mut out = vec![[7; 4]; count];
                    let popped = rx.pop_batch(&mut out);
                    let expected: Vec<Beat> = model.drain(..count.min(model.len())).collect();
                    prop_assert_eq!(&out[..popped], &expected[..]);
                    prop_assert!(out[popped..].iter().all(|untouched| *untouched == [7; 4]));
                }
                Op::Peek(ahead) => prop_assert_eq!(rx.peek(ahead), model.get(ahead).copied()),
                Op::Ready(limit) => prop_assert_eq!(rx.ready(limit), limit.min(model.len())),
                Op::Free => prop_assert_eq!(tx.free(), capacity - model.len()),
            }
            prop_assert_eq!(rx.is_empty(), model.is_empty());
            prop_assert_eq!((tx.index() - rx.index()) as usize, model.len());
        }
    }

    #[test]
    fn a_producer_attached_anew_goes_on(before in 0usize..40, popped in 0usize..40) {
        let memory = std::sync::Arc::new(HeapMemory::new(16).unwrap());
        let mut tx = Producer::attach(InMemory::new(memory.clone()));
        let mut rx = Consumer::attach(InMemory::new(memory.clone()));
        let (mut sent, mut seen) = (0u64, 0u64);
        for _ in 0..before {
            if !tx.push(&beat(sent)) {
                prop_assert_eq!(rx.pop(), Some(beat(seen)));
                seen += 1;
                prop_assert!(tx.push(&beat(sent)));
            }
            sent += 1;
        }
        for _ in 0..popped.min((sent - seen) as usize) {
            prop_assert_eq!(rx.pop(), Some(beat(seen)));
            seen += 1;
        }
        drop((tx, rx));
        let mut tx = Producer::attach(InMemory::new(memory.clone()));
        let mut rx = Consumer::attach(InMemory::new(memory));
        prop_assert_eq!((tx.index(), rx.index()), (sent, seen));
        prop_assert_eq!(tx.push(&beat(sent)), sent - seen < 16);
        if sent > seen {
            prop_assert_eq!(rx.pop(), Some(beat(seen)));
        }
    }
}

#[test]
fn capacities_out_of_range_are_refused() {
    for capacity in [0, 1, 3, 100, MAX_CAPACITY * 2] {
        let message = heap(capacity).err().unwrap().to_string();
        assert!(message.contains(&capacity.to_string()), "{message}");
        assert!(message.contains("power of two"), "{message}");
    }
}

#[test]
fn the_rings_bit_is_ignored_going_in_and_clear_coming_out() {
    let (mut tx, mut rx) = heap(2).unwrap();
    for lap in 0..6 {
        let word = if lap % 2 == 0 { u64::MAX } else { 0 };
        assert!(rx.is_empty());
        assert!(tx.push(&[u64::MAX, u64::MAX, u64::MAX, word]));
        let beat = rx.pop().unwrap();
        assert_eq!(beat, [u64::MAX, u64::MAX, u64::MAX, word & !PHASE_BIT]);
    }
}

#[test]
fn two_threads_move_a_million_beats() {
    const BEATS: u64 = 1_000_000;
    let (mut tx, mut rx) = heap(256).unwrap();
    let writer = thread::spawn(move || {
        let mut next = 0;
        while next < BEATS {
            // Singly and in batches of changing size.
            let count = (next % 11).min(BEATS - next);
            let pushed = if count == 0 {
                u64::from(tx.push(&beat(next)))
            } else {
                let beats: [Beat; 11] = std::array::from_fn(|i| beat(next + i as u64));
                tx.push_batch(&beats[..count as usize]) as u64
            };
            if pushed == 0 {
                thread::yield_now();
            }
            next += pushed;
        }
    });
    let mut seen = 0;
    let mut out = [[0; 4]; 32];
    while seen < BEATS {
        if seen % 3 == 0 {
            assert!(rx.peek(0).is_none_or(|next| next == beat(seen)));
        }
        let count = rx.pop_batch(&mut out[..1 + (seen % 32) as usize]);
        if count == 0 {
            thread::yield_now();
        }
        for got in &out[..count] {
            assert_eq!(*got, beat(seen));
            seen += 1;
        }
    }
    writer.join().unwrap();
    assert!(rx.is_empty());
}

#[test]
fn a_shared_ring_has_one_of_each_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring");
    shared::create(&path, 8).unwrap();
    let first = shared::producer(&path).unwrap();
    let second = shared::producer(&path).err().unwrap();
    assert!(matches!(second, RingError::File(FileError::Busy { role: "producer", .. })), "{second}");
    let _reader = shared::consumer(&path).unwrap();
    assert!(shared::consumer(&path).is_err());
    drop(first);
    shared::producer(&path).unwrap();
}

#[test]
fn a_file_that_is_no_ring_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring");
    let missing = shared::consumer(&path).err().unwrap().to_string();
    assert!(missing.contains("cannot open"), "{missing}");
    shared::create(&path, 8).unwrap();
    let exists = shared::create(&path, 8).err().unwrap().to_string();
    assert!(exists.contains("exists"), "{exists}");
    let good = std::fs::read(&path).unwrap();
    let refuse = |at: usize, byte: u8, field: &str| {
        let mut bad = good.clone();
        bad[at] = byte;
        std::fs::write(&path, bad).unwrap();
        let message = shared::producer(&path).err().unwrap().to_string();
        assert!(message.contains(field), "{field}: {message}");
        assert!(message.contains("ring"), "names the file: {message}");
    };
    refuse(0, b'X', "magic");
    refuse(8, 9, "version");
    refuse(12, 33, "unit bytes");
    refuse(16, 7, "capacity");
    refuse(16, 4, "body bytes");
    refuse(23, 0xff, "capacity");
    refuse(24, 1, "body bytes");
    std::fs::write(&path, &good[..good.len() - 32]).unwrap();
    assert!(shared::producer(&path).err().unwrap().to_string().contains("body bytes"));
    std::fs::write(&path, &good[..16]).unwrap();
    assert!(shared::producer(&path).err().unwrap().to_string().contains("header"));
    std::fs::write(&path, &good).unwrap();
    shared::producer(&path).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no leftovers");
}

#[test]
fn nonsense_credits_give_no_room() {
    let memory = std::sync::Arc::new(HeapMemory::new(2).unwrap());
    let vandal: InMemory<HeapMemory> = InMemory::new(memory.clone());
    let mut tx = Producer::attach(InMemory::new(memory));
    assert!(tx.push(&beat(0)) && tx.push(&beat(1)));
    vandal.publish_credits(3);
    assert!(!tx.push(&beat(2)), "a consumer cannot have consumed more than was pushed");
    vandal.publish_credits(1);
    assert!(tx.push(&beat(2)));
    vandal.publish_credits(0);
    assert!(!tx.push(&beat(3)), "credits never go back");
}

/// Runs `child` in a forked process, which must not allocate or unwind; kills and reaps it when dropped.
struct Forked(libc::pid_t);

impl Forked {
    fn run(mut child: impl FnMut()) -> Self {
        // SAFETY: the child touches only mapped memory and atomics, and leaves by `_exit`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            // A child that outlives its test would eat a core.
            // SAFETY: async-signal-safe calls.
            unsafe { libc::alarm(600) };
            child();
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }
        Self(pid)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // SAFETY: our own child, reaped here and nowhere else.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

#[test]
fn a_producer_process_may_be_killed_at_any_moment() {
    const ROUNDS: u64 = 10;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring");
    shared::create(&path, 64).unwrap();
    let mut rx = shared::consumer(&path).unwrap();
    let mut seen = 0;
    for round in 0..ROUNDS {
        let mut tx = shared::producer(&path).unwrap();
        // What the dead one published and nobody has read yet counts.
        assert!(tx.index() >= seen);
        let child = Forked::run(|| {
            loop {
                let index = tx.index();
                if !tx.push(&beat(index)) {
                    thread::yield_now();
                }
            }
        });
        drop(tx);
        let until = seen + 5_000 + 37 * round;
        while seen < until {
            match rx.pop() {
                Some(got) => {
                    assert_eq!(got, beat(seen));
                    seen += 1;
                }
                None => thread::yield_now(),
            }
        }
        drop(child);
    }
    while let Some(got) = rx.pop() {
        assert_eq!(got, beat(seen));
        seen += 1;
    }
    assert_eq!(shared::producer(&path).unwrap().index(), seen);
}
