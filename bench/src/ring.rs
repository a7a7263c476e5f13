//! The ring of beats beside other people's queues, and beside the cache line that any of them must move.
//!
//! - *hop*: a beat there and one back through two rings between two threads, halved. Its floor is the same with a bare cache line.
//! - *stream*: beats from one thread to another as fast as they go; time of [`BURST`] of them.
//! - *alone*: [`BURST`] beats in and out again on one thread: what the code itself costs.
//!   The floor of both is a copy into an array and out of it.
//!
//! All queues hold the same 32-byte beats in as many places, and are run interleaved, round by round. Ours is also run in batches, and
//! reading ahead, which the others' interfaces offer in part: each is used as its own documentation advises for single messages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use crossbeam_queue::ArrayQueue;
use disruptor::{BusySpin, Producer as _};
use hdrhistogram::Histogram;
use wirebook_bypass::ring::{self, Beat};

use crate::floors::{HOPS, LOOKS, hop};
use crate::report::{Case, Figure, Results, Rounds, histogram};

/// Beats that each queue holds: as many as the gateway's.
const CAPACITY: usize = 4096;
/// Beats timed together: one alone is shorter than a look at the clock.
const BURST: u32 = 64;
/// Bursts timed together where nobody waits.
const BURSTS: u64 = 16;

/// The ring of beats beside rtrb, disruptor, crossbeam and a bare cache line
#[derive(Clone, Debug, Args)]
pub struct RingArgs {
    /// Rounds; in each, every case runs once, next to its floor
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Samples of each in a round: 64 beats that go one way, 100 that go there and back
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(20..))]
    samples: u32,
}

/// What one thread writes: `false` when the queue is full.
trait Push: FnMut(&Beat) -> bool + Send {}
impl<F: FnMut(&Beat) -> bool + Send> Push for F {}

/// What the other reads.
trait Pop: FnMut() -> Option<Beat> + Send {}
impl<F: FnMut() -> Option<Beat> + Send> Pop for F {}

fn ours() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = ring::heap(CAPACITY).expect("a power of two");
    (move |beat: &Beat| producer.push(beat), move || consumer.pop())
}

fn rtrb() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    (move |beat: &Beat| producer.push(*beat).is_ok(), move || consumer.pop().ok())
}

fn crossbeam() -> (impl Push, impl Pop) {
    let queue = std::sync::Arc::new(ArrayQueue::new(CAPACITY));
    let other = std::sync::Arc::clone(&queue);
    (move |beat: &Beat| queue.push(*beat).is_ok(), move || other.pop())
}

fn disruptor() -> (impl Push, impl Pop) {
    let builder = disruptor::build_single_producer(CAPACITY, || [0; 4], BusySpin);
    let (mut poller, builder) = builder.new_event_poller();
    let mut producer = builder.build();
    let push = move |beat: &Beat| producer.try_publish(|place: &mut Beat| *place = *beat).is_ok();
    (push, move || poller.take(1).ok().and_then(|mut events| (&mut events).next().copied()))
}

/// Runs the bench.
pub fn run(args: &RingArgs) -> Result<Results> {
    const NAMES: [&str; 4] = ["ring", "rtrb", "disruptor", "crossbeam ArrayQueue"];
    let mut results = Results::new();
    results.config.insert("capacity".into(), CAPACITY.to_string());
    results.config.insert("rounds x samples".into(), format!("{} x {}", args.rounds, args.samples));

    let hops = (args.samples / 20).max(20);
    let (mut lines, mut copies): (Rounds, Rounds) = Default::default();
    let (mut hop_rounds, mut stream_rounds, mut alone_rounds): ([Rounds; 4], [Rounds; 5], [Rounds; 5]) =
        Default::default();
    for round in 0..=args.rounds {
        let line = hop(hops)?;
        let of_hops = [
            there_and_back(ours, hops)?,
            there_and_back(rtrb, hops)?,
            there_and_back(disruptor, hops)?,
            there_and_back(crossbeam, hops)?,
        ];
        let of_streams = [
            stream(ours(), args.samples)?,
            stream(rtrb(), args.samples)?,
            stream(disruptor(), args.samples)?,
            stream(crossbeam(), args.samples)?,
            stream_batches(args.samples)?,
        ];
        let of_alone = [
            alone(ours(), args.samples),
            alone(rtrb(), args.samples),
            alone(disruptor(), args.samples),
            alone(crossbeam(), args.samples),
            alone_ahead(args.samples),
        ];
        let copied = copy(args.samples);
        // The first round warms caches and branch predictors.
        if round == 0 {
            continue;
        }
        lines.push(line);
        copies.push(copied);
        keep(&mut hop_rounds, of_hops);
        keep(&mut stream_rounds, of_streams);
        keep(&mut alone_rounds, of_alone);
    }
    let mut tell = |case: &str, rounds: &Rounds, floor: &str, floors: &Rounds| {
        results.results.push(Figure::Latency(Case::of("ring", case, rounds, floor, floors)));
    };
    tell("cache-line hop", &lines, "cache-line hop", &lines);
    for (name, rounds) in NAMES.iter().zip(&hop_rounds) {
        tell(&format!("hop, {name}"), rounds, "cache-line hop", &lines);
    }
    tell(&format!("copy of {BURST}"), &copies, "copy", &copies);
    for (name, rounds) in NAMES.iter().chain(&["ring, in batches"]).zip(&stream_rounds) {
        tell(&format!("stream of {BURST}, {name}"), rounds, "copy", &copies);
    }
    for (name, rounds) in NAMES.iter().chain(&["ring, 16 ahead"]).zip(&alone_rounds) {
        tell(&format!("{BURST} alone, {name}"), rounds, "copy", &copies);
    }
    Ok(results)
}

fn keep<const N: usize>(all: &mut [Rounds; N], of_round: [Histogram<u64>; N]) {
    for (rounds, histogram) in all.iter_mut().zip(of_round) {
        rounds.push(histogram);
    }
}

/// Looks until there is something; offers the core to others now and then: with fewer than two free cores the other end needs it.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut looks = 0u32;
    loop {
        if let Some(found) = look() {
            return found;
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS) { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}

fn beat(at: u64) -> Beat {
    [at, !at, at << 1, at & (u64::MAX >> 1)]
}

/// [`HOPS`] round trips a sample: half of one.
fn there_and_back<P: Push, C: Pop>(make: impl Fn() -> (P, C), samples: u32) -> Result<Histogram<u64>> {
    let ((mut there, mut arrives), (mut back, mut returns)) = (make(), make());
    let trips = u64::from(samples) * u64::from(HOPS);
    let mut histogram = histogram();
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().name("other end".into()).spawn_scoped(scope, move || {
            for _ in 0..trips {
                let beat = until(&mut arrives);
                assert!(back(&beat), "one beat at a time");
            }
        })?;
        for sample in 0..u64::from(samples) {
            let begun = Instant::now();
            for at in 0..u64::from(HOPS) {
                let sent = beat(sample * u64::from(HOPS) + at);
                assert!(there(&sent), "one beat at a time");
                let came = until(&mut returns);
                assert_eq!(came, sent, "what went is what comes back");
            }
            histogram.saturating_record(begun.elapsed().as_nanos() as u64 / u64::from(2 * HOPS));
        }
        other.join().ok().context("the other end panicked")
    })?;
    Ok(histogram)
}

/// [`BURST`] beats a sample, as the reader sees them come.
fn stream((mut push, mut pop): (impl Push, impl Pop), samples: u32) -> Result<Histogram<u64>> {
    let write = move |at: u64| until(|| push(&beat(at)).then_some(()));
    let mut next = 0;
    let read = move || {
        for _ in 0..BURST {
            let came = until(&mut pop);
            assert_eq!(came[0], next, "in order, and none lost");
            next += 1;
        }
    };
    timed_stream(samples, write, read)
}

/// The same through our ring, written and read in batches.
fn stream_batches(samples: u32) -> Result<Histogram<u64>> {
    let (mut producer, mut consumer) = ring::heap(CAPACITY)?;
    let mut gathered = Vec::with_capacity(BURST as usize);
    let write = move |at: u64| {
        gathered.push(beat(at));
        if gathered.len() == BURST as usize {
            let mut sent = 0;
            while sent < gathered.len() {
                sent += until(|| Some(producer.push_batch(&gathered[sent..])).filter(|&count| count > 0));
            }
            gathered.clear();
        }
    };
    let mut next = 0;
    let mut place = [[0; 4]; BURST as usize];
    let read = move || {
        let mut got = 0;
        while got < BURST as usize {
            let count = until(|| Some(consumer.pop_batch(&mut place[got..])).filter(|&count| count > 0));
            for came in &place[got..got + count] {
                assert_eq!(came[0], next, "in order, and none lost");
                next += 1;
            }
            got += count;
        }
    };
    timed_stream(samples, write, read)
}

fn timed_stream(
    samples: u32,
    mut write: impl FnMut(u64) + Send,
    mut read: impl FnMut() + Send,
) -> Result<Histogram<u64>> {
    let mut histogram = histogram();
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new().name("writer".into()).spawn_scoped(scope, || {
            for at in 0..u64::from(samples) * u64::from(BURST) {
                if failed.load(Ordering::Relaxed) {
                    return;
                }
                write(at);
            }
        })?;
        for _ in 0..samples {
            let begun = Instant::now();
            read();
            histogram.saturating_record(begun.elapsed().as_nanos() as u64);
        }
        failed.store(true, Ordering::Relaxed);
        writer.join().ok().context("the writer panicked")
    })?;
    Ok(histogram)
}

/// [`BURST`] beats in and out again.
fn alone((mut push, mut pop): (impl Push, impl Pop), samples: u32) -> Histogram<u64> {
    timed_alone(samples, |sample| {
        for at in 0..u64::from(BURST) {
            assert!(push(&beat(sample + at)), "room for a burst");
        }
        for at in 0..u64::from(BURST) {
            assert_eq!(pop().map(|came| came[0]), Some(sample + at));
        }
    })
}

/// The same, with a look at the beat 16 behind each before it is taken.
fn alone_ahead(samples: u32) -> Histogram<u64> {
    const AHEAD: usize = 16;
    let (mut producer, mut consumer) = ring::heap(CAPACITY).expect("a power of two");
    timed_alone(samples, |sample| {
        for at in 0..u64::from(BURST) {
            assert!(producer.push(&beat(sample + at)), "room for a burst");
        }
        for at in 0..u64::from(BURST) {
            std::hint::black_box(consumer.peek(AHEAD));
            assert_eq!(consumer.pop().map(|came| came[0]), Some(sample + at));
        }
    })
}

/// The floor of one thread: into an array, and out of it.
fn copy(samples: u32) -> Histogram<u64> {
    let mut places = vec![[0; 4]; CAPACITY];
    let mut next = 0;
    timed_alone(samples, |sample| {
        for at in 0..u64::from(BURST) {
            places[(next + at as usize) % CAPACITY] = beat(sample + at);
        }
        std::hint::black_box(&mut places);
        for at in 0..u64::from(BURST) {
            assert_eq!(places[(next + at as usize) % CAPACITY][0], sample + at);
        }
        next += BURST as usize;
    })
}

fn timed_alone(samples: u32, mut burst: impl FnMut(u64)) -> Histogram<u64> {
    let mut histogram = histogram();
    for sample in 0..u64::from(samples) {
        // A few bursts: one is little longer than a look at the clock.
        let begun = Instant::now();
        for part in 0..BURSTS {
            burst(sample * BURSTS + part);
        }
        histogram.saturating_record(begun.elapsed().as_nanos() as u64 / BURSTS);
    }
    histogram
}
