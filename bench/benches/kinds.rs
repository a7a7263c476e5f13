//! What each kind of command costs the software twin, at 10 to 1,000,000 live orders: the cost stays flat.
//!
//! `cargo bench -p wirebook-bench --no-default-features --bench kinds [-- FILTER]`. A batch of one kind is timed, then undone untimed, so that the
//! book is the same before each. Victims are spread over all live orders: at a million they are in no cache, and what is
//! shown is that looking ahead hides it. Fill or kill takes a whole maker, as the other takers do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wirebook_matcher::abi::{Command, Event, Kind, Limits, SelfTrade, Side, TimeInForce};
use wirebook_matcher::{Software, Twin};

/// Commands timed at once: as many as a stage of the pipeline takes at a time.
const BATCH: u32 = 64;
const LIVE: [u32; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// Ticks of the band; bids rest in the lower half.
const TICKS: u32 = 1 << 16;
const MIDDLE: u32 = TICKS / 2;
/// Ticks on which the orders of a side rest.
const SPREAD: u32 = 4096;
/// A prime: walks over all live orders in an order that no cache likes.
const STRIDE: u64 = 982_451_653;
const RING: usize = 1 << 12;
/// Lots of an order that rests: more than all reduces take.
const LOTS: u32 = 1 << 30;

/// What is timed, and what puts it right again.
struct Batch {
    timed: Vec<Command>,
    undo: Vec<Command>,
}

fn limit(slot: u32, side: Side, behind: u32, qty: u32) -> Command {
    let tick = if side == Side::Buy { MIDDLE - 1 - behind } else { MIDDLE + behind };
    let side_tif = Command::side_tif(side, TimeInForce::Gtc);
    Command { slot, tick, qty, kind: Kind::New as u8, side_tif, ..Command::default() }
}

/// The order that rests in a slot, away from the best price.
fn resting(slot: u32) -> Command {
    let side = Side::ALL[slot as usize % 2];
    limit(slot, side, 1 + slot.wrapping_mul(0x9e37_79b1) % SPREAD, LOTS)
}

fn change(kind: Kind, slot: u32) -> Command {
    Command { slot, qty: 1, kind: kind as u8, ..Command::default() }
}

/// Batches of a kind, and the makers at the best price that they need. Free slots begin at `live`.
fn batches(kind: &str, live: u32) -> (Vec<Command>, Vec<Batch>) {
    let victims = |batch: u32| {
        let first = u64::from(batch * BATCH);
        (first..first + u64::from(BATCH.min(live))).map(move |n| (n * STRIDE % u64::from(live)) as u32)
    };
    let fresh = |n: u32| live + n;
    let flags = Command::flags(SelfTrade::Off, kind == "post-only", false);
    let tif = match kind {
        "ioc" => TimeInForce::Ioc,
        "fok" => TimeInForce::Fok,
        _ => TimeInForce::Gtc,
    };
    let takes = matches!(kind, "new-fills" | "ioc" | "fok");
    let makers: Vec<_> = (0..BATCH).map(|n| limit(fresh(n), Side::Sell, 0, 1)).collect();
    let batch = |number: u32| match kind {
        "new-rests" | "post-only" => {
            let timed: Vec<_> =
                (0..BATCH).map(|n| Command { slot: fresh(n), flags, ..resting(number * BATCH + n) }).collect();
            Batch { undo: timed.iter().map(|new| change(Kind::Cancel, new.slot)).collect(), timed }
        }
        "cancel" => Batch {
            timed: victims(number).map(|slot| change(Kind::Cancel, slot)).collect(),
            undo: victims(number).map(resting).collect(),
        },
        "reduce" => Batch { timed: victims(number).map(|slot| change(Kind::Reduce, slot)).collect(), undo: vec![] },
        "replace" => {
            let to = |(n, slot): (u32, u32)| Command {
                slot2: fresh(n),
                tick: resting(slot + 2).tick,
                qty: LOTS,
                ..change(Kind::Replace, slot)
            };
            let back = |(n, slot): (u32, u32)| Command {
                slot2: slot,
                tick: resting(slot).tick,
                qty: LOTS,
                ..change(Kind::Replace, fresh(n))
            };
            Batch {
                timed: (0..).zip(victims(number)).map(to).collect(),
                undo: (0..).zip(victims(number)).map(back).collect(),
            }
        }
        _ => {
            let side_tif = Command::side_tif(Side::Buy, tif);
            let taker = |n| Command { tick: MIDDLE, side_tif, ..limit(fresh(BATCH + n), Side::Buy, 0, 1) };
            Batch { timed: (0..BATCH).map(taker).collect(), undo: makers.clone() }
        }
    };
    let batches = (0..256).map(batch).collect();
    (if takes { makers } else { vec![] }, batches)
}

fn kinds(criterion: &mut Criterion) {
    for kind in ["new-rests", "new-fills", "cancel", "reduce", "replace", "ioc", "fok", "post-only"] {
        let mut group = criterion.benchmark_group(kind);
        for live in LIVE {
            let mut twin = Software::new(Limits::single(TICKS, live + 4 * BATCH));
            let mut ring = vec![Event::BLANK; RING];
            let mut count = 0;
            let (makers, batches) = batches(kind, live);
            let mut run = |commands: &[Command]| {
                twin.execute_all(commands, |event| {
                    debug_assert_ne!(event.kind, wirebook_matcher::abi::EventKind::Rejected);
                    ring[count % RING] = event;
                    count += 1;
                });
                black_box(&ring);
            };
            run(&(0..live).map(resting).collect::<Vec<_>>());
            run(&makers);
            group.bench_function(BenchmarkId::from_parameter(live), |bencher| {
                bencher.iter_custom(|iterations| {
                    let (mut timed, mut left) = (Duration::ZERO, iterations);
                    for batch in batches.iter().cycle() {
                        let some = &batch.timed[..batch.timed.len().min(left as usize)];
                        let start = Instant::now();
                        run(some);
                        timed += start.elapsed();
                        run(&batch.undo[..batch.undo.len().min(some.len())]);
                        left -= some.len() as u64;
                        if left == 0 {
                            return timed;
                        }
                    }
                    unreachable!("there are batches")
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
    targets = kinds
}
criterion_main!(benches);
