//! loom runs the producer and the consumer through every interleaving and every permitted reordering, over beats of two words.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p wirebook-bypass --release --lib loom`
//!
//! The planted rings show that the checker can fail: each differs from the real one in one line of its storage.

use super::storage::Storage;
use super::{Consumer, PHASE_BIT, Producer};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const CAPACITY: usize = 2;

/// What is wrong with a ring.
#[derive(Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    /// The phase word is stored without release.
    RelaxedPublish,
    /// The phase word is loaded without acquire.
    RelaxedLook,
    /// The producer believes that everything is consumed.
    NoCredits,
}

struct Cells {
    words: [[AtomicU64; 2]; CAPACITY],
    credits: AtomicU64,
    planted: Planted,
}

/// The storage of a ring with the phase in word `PHASE`, and in which `planted` is wrong.
#[derive(Clone)]
struct Model<const PHASE: usize>(Arc<Cells>);

impl<const PHASE: usize> Model<PHASE> {
    fn new(planted: Planted) -> Self {
        let word = || AtomicU64::new(0);
        Self(Arc::new(Cells { words: [[word(), word()], [word(), word()]], credits: word(), planted }))
    }

    fn word(&self, index: u64, word: usize) -> &AtomicU64 {
        &self.0.words[index as usize % CAPACITY][word]
    }
}

impl<const PHASE: usize> Storage for Model<PHASE> {
    type Beat = [u64; 2];
    const WORDS: usize = 2;
    const PHASE_WORD: usize = PHASE;

    fn capacity(&self) -> usize {
        CAPACITY
    }
    fn load(&self, index: u64, word: usize) -> u64 {
        self.word(index, word).load(Ordering::Relaxed)
    }
    fn load_phase(&self, index: u64) -> u64 {
        let order = match self.0.planted {
            Planted::RelaxedLook => Ordering::Relaxed,
            _ => Ordering::Acquire,
        };
        self.word(index, PHASE).load(order)
    }
    fn store(&self, index: u64, word: usize, value: u64) {
        self.word(index, word).store(value, Ordering::Relaxed);
    }
    fn store_phase(&self, index: u64, value: u64) {
        let order = match self.0.planted {
            Planted::RelaxedPublish => Ordering::Relaxed,
            _ => Ordering::Release,
        };
        self.word(index, PHASE).store(value, order);
    }
    fn credits(&self) -> u64 {
        match self.0.planted {
            // Any index that the producer takes for true: all that it has pushed.
            Planted::NoCredits => self.0.credits.load(Ordering::Acquire) + 1,
            _ => self.0.credits.load(Ordering::Acquire),
        }
    }
    fn publish_credits(&self, index: u64) {
        self.0.credits.store(index, Ordering::Release);
    }
}

fn beat(n: u64) -> [u64; 2] {
    [n, (n << 8) | n]
}

/// Moves `beats` beats through a ring of two, one thread pushing, one popping.
fn exchange<const PHASE: usize>(planted: Planted, beats: u64) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(move || {
        let model = Model::<PHASE>::new(planted);
        let mut tx = Producer::attach(model.clone());
        let mut rx = Consumer::attach(model);
        let writer = thread::spawn(move || {
            for n in 1..=beats {
                while !tx.push(&beat(n)) {
                    thread::yield_now();
                }
            }
        });
        for n in 1..=beats {
            let got = loop {
                match rx.pop() {
                    Some(got) => break got,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(got, beat(n), "a torn or lost beat");
            assert_eq!(got[PHASE] & PHASE_BIT, 0);
        }
        assert!(rx.is_empty());
        writer.join().unwrap();
    });
}

#[test]
fn loom_every_beat_arrives_whole_and_in_order() {
    exchange::<1>(Planted::Nothing, 4);
}

#[test]
#[should_panic(expected = "a torn or lost beat")]
fn loom_sees_a_relaxed_publish() {
    exchange::<1>(Planted::RelaxedPublish, 3);
}

#[test]
#[should_panic(expected = "a torn or lost beat")]
fn loom_sees_a_relaxed_look() {
    exchange::<1>(Planted::RelaxedLook, 3);
}

#[test]
#[should_panic(expected = "a torn or lost beat")]
fn loom_sees_a_phase_in_the_first_word() {
    exchange::<0>(Planted::Nothing, 3);
}

// An overwritten beat is torn, or never comes: loom meets the second first, as a loop without end.
#[test]
#[should_panic]
fn loom_sees_an_overrun() {
    exchange::<1>(Planted::NoCredits, 3);
}

#[test]
fn loom_looking_ahead_sees_only_published_beats() {
    loom::model(|| {
        let model = Model::<1>::new(Planted::Nothing);
        let mut tx = Producer::attach(model.clone());
        let mut rx = Consumer::attach(model);
        let writer = thread::spawn(move || {
            assert_eq!(tx.push_batch(&[beat(1), beat(2)]), 2);
            // Room comes back only with the consumer's word.
            while !tx.push(&beat(3)) {
                thread::yield_now();
            }
        });
        let second = rx.peek(1);
        assert!(second.is_none_or(|got| got == beat(2)));
        if second.is_some() {
            assert_eq!(rx.peek(0), Some(beat(1)), "published in order");
        }
        let mut out = [[0; 2]; 2];
        let mut seen = 0;
        while seen < 3 {
            let count = rx.pop_batch(&mut out);
            for got in &out[..count] {
                seen += 1;
                assert_eq!(*got, beat(seen));
            }
            if count == 0 {
                thread::yield_now();
            }
        }
        writer.join().unwrap();
    });
}
