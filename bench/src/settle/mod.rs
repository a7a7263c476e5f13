//! From a batch offered to its certificate, and how many batches a second: four validators on loopback, with re-execution, beside the same
//! committee with a state machine that does nothing, beside a raw write and fdatasync of the same bytes.
//!
//! All validators run in this process, each with threads, sockets, disks and a state machine of its own. A batch is offered to all of them,
//! as the gateway does; the clock stops when the first of them holds a quorum's certificate, and when `f + 1` of them have the batch durable.

mod cluster;

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use wirebook_settlement::batch::Batch;
use wirebook_settlement::execute::MachineExecutor;
use wirebook_settlement::sim::venue::{SHARD, Venue};

use crate::report::{Case, Figure, Rate, Results, Rounds, histogram};
use cluster::{Committee, Nothing};

/// Batches that wait at a time while throughput is measured.
const AHEAD: usize = 32;

/// Offered to certified, and batches a second: a committee on loopback beside one whose state machine does nothing
#[derive(Clone, Debug, Args)]
pub struct SettleArgs {
    /// Rounds; in each, floor and both committees run once
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Batches in a round, one after another
    #[arg(long, default_value_t = 40)]
    samples: u32,
    /// Batches in a round, many at a time
    #[arg(long, default_value_t = 60)]
    flood: u32,
    /// KiB of a batch
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=2048))]
    kib: u64,
    /// Validators
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    validators: u16,
}

/// One committee's rounds.
#[derive(Default)]
struct Measured {
    certified: Rounds,
    durable: Rounds,
    /// Batches a second, and CPU microseconds of a batch, of each round.
    rates: Vec<(f64, f64)>,
    flushes: f64,
    bytes: f64,
}

/// Runs the bench.
pub fn run(args: &SettleArgs) -> Result<Results> {
    let bytes = args.kib << 10;
    let mut venue = Venue::with_batches_of(1, (bytes, bytes));
    let wanted = (args.rounds + 1) * (args.samples + args.flood);
    let batches: Vec<Batch> = (0..wanted).map(|_| venue.seal()).collect();
    let mut results = Results::new();
    let mean = batches.iter().map(|batch| batch.as_bytes().len()).sum::<usize>() / batches.len();
    results.config.insert("validators".into(), args.validators.to_string());
    results.config.insert("bytes of a batch".into(), mean.to_string());
    results.config.insert("fills of a batch".into(), format!("{:.1}", venue.fills() as f64 / f64::from(wanted)));
    results.config.insert("rounds x samples".into(), format!("{} x {}", args.rounds, args.samples));

    let (count, key) = (usize::from(args.validators), venue.public_key());
    let mut nothing = Committee::start(count, key, || Box::new(Nothing::new()))?;
    let mut machine = Committee::start(count, key, || Box::new(MachineExecutor::new(SHARD)))?;
    let (mut floors, mut of_nothing, mut of_machine) = (Rounds::new(), Measured::default(), Measured::default());
    for round in 0..=args.rounds {
        let floor = raw(args.samples, mean)?;
        if round > 0 {
            floors.push(floor);
        }
        for (committee, measured) in [(&mut nothing, &mut of_nothing), (&mut machine, &mut of_machine)] {
            measure(committee, &batches, args, (round > 0).then_some(measured))?;
        }
    }
    report(args, &floors, &of_nothing, &of_machine, &mut results);
    Ok(results)
}

fn report(args: &SettleArgs, floors: &Rounds, nothing: &Measured, machine: &Measured, results: &mut Results) {
    let floor = "write+fdatasync";
    let latency = |case: &str, rounds: &Rounds| Figure::Latency(Case::of("settle", case, rounds, floor, floors));
    let beside = |case: &str, rounds: &Rounds, noop: &Rounds| {
        Figure::Latency(Case::of("settle", case, rounds, "state machine: none", noop))
    };
    results.results.push(latency(floor, floors));
    results.results.push(latency("none: certified", &nothing.certified));
    results.results.push(latency("certified", &machine.certified));
    results.results.push(latency("durable at f + 1", &machine.durable));
    results.results.push(beside("certified, re-executed", &machine.certified, &nothing.certified));
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    for (case, measured) in [("state machine: none", nothing), ("re-executed", machine)] {
        let ratios = measured.rates.iter().zip(&nothing.rates).map(|((rate, _), (floor, _))| rate / floor);
        results.results.push(Figure::Rate(Rate {
            bench: "settle",
            case: case.into(),
            unit: "batches",
            n: u64::from(args.rounds * args.flood),
            per_second: median(measured.rates.iter().map(|(rate, _)| *rate).collect()),
            cpu_us: median(measured.rates.iter().map(|(_, cpu)| *cpu).collect()),
            floor: "state machine: none".into(),
            ratio: median(ratios.collect()),
        }));
        let text = format!("{:.2} of the vault + 1 of the store, {:.0} bytes", measured.flushes, measured.bytes);
        results.config.insert(format!("flushes a block and node, {case}"), text);
    }
}

/// One committee's part of a round: batches one after another, and then many at a time.
fn measure(
    committee: &mut Committee,
    batches: &[Batch],
    args: &SettleArgs,
    measured: Option<&mut Measured>,
) -> Result<()> {
    let (mut certified, mut durable) = (histogram(), histogram());
    let nodes = committee.len() as f64;
    let before = committee.written();
    for _ in 0..args.samples {
        let batch = &batches[committee.next() as usize - 1];
        let begun = Instant::now();
        committee.offer(batch)?;
        let (at, kept) = committee.wait(batch.number())?;
        let nanos = |until: Instant| until.saturating_duration_since(begun).as_nanos() as u64;
        certified.saturating_record(nanos(at));
        durable.saturating_record(nanos(kept));
        // The next begins with everybody at rest.
        committee.wait_everywhere(batch.number())?;
    }
    let after = committee.written();
    let (begun, cpu) = (Instant::now(), cpu_time()?);
    let first = committee.next();
    for at in 0..u64::from(args.flood) {
        if at >= AHEAD as u64 {
            committee.wait(first + at - AHEAD as u64)?;
        }
        committee.offer(&batches[(first + at) as usize - 1])?;
    }
    committee.wait_everywhere(first + u64::from(args.flood) - 1)?;
    let (elapsed, cpu) = (begun.elapsed(), cpu_time()?.saturating_sub(cpu));
    if let Some(measured) = measured {
        let (count, rounds) = (f64::from(args.samples), f64::from(args.rounds));
        measured.certified.push(certified);
        measured.durable.push(durable);
        let flood = f64::from(args.flood);
        measured.rates.push((flood / elapsed.as_secs_f64(), cpu.as_secs_f64() * 1e6 / flood));
        measured.flushes += (after.0 - before.0) as f64 / count / nodes / rounds;
        measured.bytes += (after.1 - before.1) as f64 / count / nodes / rounds;
    }
    Ok(())
}

/// Writes as many bytes as a batch has to a file that was filled before, and makes them durable, so many times.
fn raw(samples: u32, bytes: usize) -> Result<Histogram<u64>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&vec![0; bytes * 16])?;
    file.sync_all()?;
    let (block, mut found) = (vec![0xa5; bytes], histogram());
    for at in 0..samples {
        let begun = Instant::now();
        file.write_all_at(&block, (at as usize % 16 * bytes) as u64)?;
        file.sync_data()?;
        found.saturating_record(begun.elapsed().as_nanos() as u64);
    }
    Ok(found)
}

/// CPU time of this process, all threads.
fn cpu_time() -> Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    ensure!(time.tv_sec >= 0, "the clock runs backwards");
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
