//! The matchers over the same commands in one run: CPU time of a command, latencies of single ones, and whether they make the
//! same fills.
//!
//! | engine | what |
//! |---|---|
//! | `software` | the software twin, command by command |
//! | `software+lookahead` | the same, fetching what the next commands will touch |
//! | `yardstick` | a plain, untuned book: tick arrays, bitmap, slab |
//! | `btree` | a balanced tree of queues, and a hash map |
//! | `lobster`, `orderbook-rs` | the published crates, over fewer commands |
//! | `floor` | reads a command, touches one line of memory, writes an event |
//!
//! All read 32-byte commands from memory and write 32-byte events to one ring; no engine does any input or output. The twin's
//! commands name slots, which a host has chosen; the others' name orders by a dense number, which they look up. A result's
//! `case` is `scenario/engine`. `fills_digest` is the SHA-256 of the fills as `wirebook match` writes them for these orders.

mod btree;
mod crates;
mod engine;
mod floor;
mod measure;
#[cfg(test)]
mod tests;
mod workload;
mod yardstick;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use wirebook_bypass::cpu::Tsc;
use wirebook_matcher::flow::Scenario;

use crate::flow::scenario;
use crate::report::{Figure, MinMedian, Results, Throughput};
use measure::{Quantiles, Runner, Runs, lock_memory, median, timer_ticks};
use workload::{Answers, Workload};

/// Rounds in which single commands are timed.
const SINGLE_ROUNDS: u32 = 3;
/// Rounds of the crates when the opening alone takes them seconds.
const SLOW_ROUNDS: u32 = 3;
/// Commands of an opening from which on that is so.
const LONG_OPENING: usize = 100_000;

/// Matchers side by side: CPU time of a command, latencies, and the same fills
///
/// By default every scenario, every engine. With --orders, a file of orders instead of the scenarios.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook-bench matcher                                        everything, some minutes
  wirebook-bench matcher --scenario swing-40 --scenario calm --no-peers --rounds 3
  wirebook-bench matcher --orders orders.csv --tick-size 100 --json -

Scenarios: static normal swing-25 swing-40 crash (a score is that of the worst of these), calm, 1m-live.
fills_digest: SHA-256 of the Fills CSV that `wirebook match` writes for the same orders (sha256sum fills.csv).

Exit codes: 0 done; 1 an engine of the same rules made other fills; 2 bad use or bad input.")]
pub struct MatcherArgs {
    /// A scenario to run, instead of all; may be given several times
    #[arg(long, value_name = "NAME", value_parser = scenario)]
    scenario: Vec<Scenario>,
    /// Orders CSV to run, instead of scenarios
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    orders: Option<PathBuf>,
    /// Distance of two prices in the file, in its own unit
    #[arg(long, value_name = "N", default_value_t = 1, requires = "orders", value_parser = clap::value_parser!(i64).range(1..))]
    tick_size: i64,
    /// Rounds; in each, every engine runs once
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Commands measured, instead of 2 million (calm: 3); with --orders, lines read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    messages: Option<u64>,
    /// Another seed, other flows
    #[arg(long, value_name = "N", default_value_t = 23)]
    seed: u64,
    /// Only the software twin, the yardstick and the floor
    #[arg(long)]
    no_peers: bool,
    /// Commands measured of the crates, which are slow
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    crate_messages: u64,
}

/// An engine in the race.
struct Contender {
    name: &'static str,
    runner: Box<dyn Runner>,
    /// Commands that it is given.
    commands: usize,
    rounds: u32,
    /// CPU nanoseconds of a command, by round.
    cpu: Vec<f64>,
    single: Vec<Quantiles>,
    answers: Option<Answers>,
    agrees: Option<bool>,
}

/// Runs the bench.
pub fn run(args: &MatcherArgs) -> Result<Results> {
    let mut results = Results::new();
    let locked = lock_memory();
    let tsc = Tsc::calibrate();
    let config = &mut results.config;
    config.insert("rounds".into(), args.rounds.to_string());
    config.insert("memory".into(), if locked { "locked" } else { "NOT LOCKED: page faults are in the figures" }.into());
    config.insert("counter".into(), if tsc.is_invariant() { "invariant TSC" } else { "system clock" }.into());
    config.insert("event ring".into(), format!("{} events of 32 bytes", engine::RING_EVENTS));
    if args.orders.is_none() {
        config.insert("seed".into(), args.seed.to_string());
    }
    if let Some(path) = &args.orders {
        eprintln!("reading {}", path.display());
        let work = Workload::of_file(path, args.tick_size, args.messages)?;
        results.config.insert("orders".into(), path.display().to_string());
        results.config.insert("tick size".into(), args.tick_size.to_string());
        results.config.insert("lines refused".into(), work.refused.to_string());
        race(&work, args, &tsc, &mut results)?;
        return Ok(results);
    }
    let chosen = if args.scenario.is_empty() { &Scenario::ALL[..] } else { &args.scenario };
    for scenario in chosen {
        let messages = args.messages.unwrap_or(scenario.messages());
        eprintln!("{}: making {} commands", scenario.name(), scenario.opening() + messages);
        let work = Workload::of_scenario(*scenario, args.seed, messages);
        race(&work, args, &tsc, &mut results)?;
    }
    Ok(results)
}

fn contenders(work: &Workload, args: &MatcherArgs, results: &mut Results) -> Vec<Contender> {
    let of = |name, runner: Box<dyn Runner>| Contender {
        name,
        runner,
        commands: work.measured(),
        rounds: args.rounds,
        cpu: Vec::new(),
        single: Vec::new(),
        answers: None,
        agrees: None,
    };
    let mut all = vec![
        of("software", Box::new(Runs::<engine::Twins>::new())),
        of("software+lookahead", Box::new(Runs::<engine::LookingAhead>::new())),
        of("yardstick", Box::new(Runs::<yardstick::Yardstick>::new())),
        of("floor", Box::new(Runs::<floor::Floor>::new())),
    ];
    if args.no_peers {
        return all;
    }
    all.insert(3, of("btree", Box::new(Runs::<btree::Tree>::new())));
    let slow = |name, runner| Contender {
        commands: work.measured().min(usize::try_from(args.crate_messages).unwrap_or(usize::MAX)),
        rounds: if work.opening >= LONG_OPENING { args.rounds.min(SLOW_ROUNDS) } else { args.rounds },
        ..of(name, runner)
    };
    match crates::LobsterBook::can(work) {
        Ok(()) => all.insert(4, slow("lobster", Box::new(Runs::<crates::LobsterBook>::new()))),
        Err(why) => {
            results.config.insert("lobster".into(), format!("not run on {}: {why}", work.name));
        }
    }
    all.insert(all.len() - 1, slow("orderbook-rs", Box::new(Runs::<crates::OrderBookRs>::new())));
    all
}

/// Runs all engines over one workload, and adds what was found.
fn race(work: &Workload, args: &MatcherArgs, tsc: &Tsc, results: &mut Results) -> Result<()> {
    ensure!(work.measured() > 0, "{}: nothing is left to measure", work.name);
    let mut all = contenders(work, args, results);
    compare(work, &mut all, results);
    let bar = progress(&work.name, u64::from(args.rounds));
    let mut samples = Vec::with_capacity(work.measured());
    for round in 0..args.rounds {
        // Each round begins with another engine.
        let turn = round as usize % all.len();
        for at in 0..all.len() {
            let count = all.len();
            let engine = &mut all[(turn + at) % count];
            if round >= engine.rounds {
                continue;
            }
            let timed = engine.runner.timed(work, engine.commands);
            engine.cpu.push(timed.cpu_ns as f64 / timed.commands as f64);
            ensure!(timed.events >= timed.commands, "{}: a command was not answered", engine.name);
            if round < SINGLE_ROUNDS {
                engine.single.push(engine.runner.single(work, engine.commands, tsc, &mut samples));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    add(work, &all, tsc, results);
    Ok(())
}

/// What each engine's fills are, and whether they are the software twin's.
fn compare(work: &Workload, all: &mut [Contender], results: &mut Results) {
    let bar = progress("comparing", all.len() as u64);
    let ours = Runs::<engine::Twins>::new();
    let mut told: Vec<(usize, Answers)> = Vec::new();
    for engine in all.iter_mut().filter(|engine| engine.name != "floor") {
        if !told.iter().any(|(commands, _)| *commands == engine.commands) {
            told.push((engine.commands, ours.answers(work, engine.commands)));
        }
        let (_, wanted) = told.iter().find(|(commands, _)| *commands == engine.commands).expect("just made");
        let found = engine.runner.answers(work, engine.commands);
        bar.inc(1);
        if engine.name != "software" {
            let agrees = (found.fills, &found.digest) == (wanted.fills, &wanted.digest);
            engine.agrees = Some(agrees);
            if !agrees {
                results.differences.push(format!(
                    "{}/{}: {} fills ({}), the software twin {} ({})",
                    work.name, engine.name, found.fills, found.digest, wanted.fills, wanted.digest
                ));
            }
        }
        engine.answers = Some(found);
    }
    bar.finish_and_clear();
}

/// Adds the figures of one workload.
fn add(work: &Workload, all: &[Contender], tsc: &Tsc, results: &mut Results) {
    let timer = timer_ticks(tsc);
    let least = |figures: &[f64]| figures.iter().copied().fold(f64::INFINITY, f64::min);
    let of = |name: &str| all.iter().find(|engine| engine.name == name);
    let floor = of("floor").map_or(f64::NAN, |floor| least(&floor.cpu));
    let yardstick = of("yardstick").map(|engine| median(&engine.cpu));
    for engine in all {
        let middle = median(&engine.cpu);
        let single = |pick: fn(&Quantiles) -> u64| {
            let rounds: Vec<u64> = engine.single.iter().map(pick).collect();
            tsc.ns(median(&rounds).saturating_sub(timer))
        };
        let answers = engine.answers.clone().unwrap_or_default();
        results.results.push(Figure::Throughput(Throughput {
            bench: "matcher",
            case: format!("{}/{}", work.name, engine.name),
            scenario: work.name.clone(),
            engine: engine.name,
            commands: engine.commands as u64,
            opening: work.opening as u64,
            events: answers.events,
            fills: answers.fills,
            fills_digest: engine.answers.as_ref().map(|answers| answers.digest.clone()),
            fills_agree: engine.agrees,
            rounds: engine.cpu.len() as u32,
            cpu_ns_per_command: MinMedian { min: least(&engine.cpu), median: middle },
            floor_cpu_ns_per_command: floor,
            speed_over_yardstick: yardstick.map(|yardstick| yardstick / middle),
            p50_ns: single(|of| of.p50),
            p99_ns: single(|of| of.p99),
            p999_ns: single(|of| of.p999),
            timer_ns: tsc.ns(timer),
        }));
    }
}

/// A bar on a terminal; nothing elsewhere. It is drawn between runs alone.
fn progress(what: &str, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len}  {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}
