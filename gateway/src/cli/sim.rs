//! `wirebook sim`: the deterministic cluster, seed after seed.

use std::ops::Range;

use clap::Args;

use super::failure::Failure;
use super::report::JsonOption;

/// Run the settlement cluster in a simulated world, seed after seed, with faults
///
/// Four validators, the code of `wirebook validator`, over simulated disks, network and clock. Each seed is another story of crashes, torn
/// writes, partitions, lost and late messages, validators that lie and a gateway that lies. What must hold is checked throughout:
/// agreement, validity, nothing final lost, honest votes, balance, progress once the faults are over, linearizable reads; and that a
/// seed runs the same way twice (one seed in ten). The first seed that breaks a rule is reported, and can be run again alone.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook sim --seeds 0..100
  wirebook sim --seeds 17..18 --faults crash,power
  wirebook sim --planted list
  wirebook sim --seeds 0..200 --planted skip-sync          exits 1 once the planted bug is caught

Exit codes: 0 no rule was broken; 1 one was, and it is said by which seed and how; 2 bad use.")]
pub struct SimArgs {
    /// The first seed, and the first that is not run any more
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "0..100")]
    seeds: Range<u64>,
    /// Faults that may happen, joined by commas: crash, power, partition, loss, delay, equivocation, roots, gateway; or all, or none
    #[arg(long, default_value = "all")]
    faults: String,
    /// A bug that is put into the validators; `list` names them
    #[arg(long, value_name = "BUG")]
    planted: Option<String>,
    /// Simulations at a time; 0: one for each core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    json: JsonOption,
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let (begin, end) = text.split_once("..").ok_or("two numbers and `..` between them, such as 0..100")?;
    let number = |digits: &str| digits.parse::<u64>().map_err(|error| format!("`{digits}`: {error}"));
    let range = number(begin)?..number(end)?;
    if range.is_empty() { Err("there is no seed in it".into()) } else { Ok(range) }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 for a rule that was broken, 2 for bad use.
pub fn run(args: &SimArgs) -> Result<(), Failure> {
    #[cfg(feature = "settlement")]
    {
        engine::run(args)
    }
    #[cfg(not(feature = "settlement"))]
    {
        let SimArgs { seeds, faults, planted, threads, json } = args;
        let _ = (seeds, faults, planted, threads, json);
        Err(Failure::bad("this build has no validator")
            .next("build it with the cargo feature `settlement`, the default"))
    }
}

#[cfg(feature = "settlement")]
mod engine {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Instant;

    use serde::Serialize;
    use wirebook_settlement::sim::{self, Fault, Outcome, Planted, Setup};

    use super::super::failure::Failure;
    use super::super::progress;
    use super::super::report::{Lines, Report, grouped, seconds, tell};
    use super::SimArgs;

    /// One seed in so many is run twice.
    const TWICE: u64 = 10;

    /// What is told in the end.
    #[derive(Clone, Debug, Default, Serialize)]
    struct Told {
        seeds: u64,
        batches: u64,
        crashes: u64,
        reads: u64,
        contradictions_caught: u64,
        simulated_seconds: u64,
        seconds: f64,
        faults: String,
        planted: Option<String>,
        seed: Option<u64>,
        check: Option<String>,
        violation: Option<String>,
        #[serde(skip)]
        elapsed: std::time::Duration,
    }

    impl Report for Told {
        fn lines(&self) -> Lines {
            let mut lines = Lines::default();
            lines
                .add("seeds", grouped(self.seeds))
                .add("faults", &self.faults)
                .add("batches final", grouped(self.batches))
                .add("crashes", grouped(self.crashes))
                .add("linearizable reads", grouped(self.reads))
                .add("lies caught by votes", grouped(self.contradictions_caught))
                .add("simulated time", format!("{} s", grouped(self.simulated_seconds)))
                .add("time", seconds(self.elapsed));
            if let Some(planted) = &self.planted {
                lines.add("planted", planted);
            }
            if let (Some(seed), Some(violation)) = (self.seed, &self.violation) {
                lines.add("broken by seed", seed).add("rule", violation);
            }
            lines
        }
    }

    pub(super) fn run(args: &SimArgs) -> Result<(), Failure> {
        if args.planted.as_deref() == Some("list") {
            Planted::ALL.iter().for_each(|planted| println!("{}", planted.name()));
            return Ok(());
        }
        let planted = args.planted.as_deref().map(|name| {
            Planted::named(name).ok_or_else(|| {
                Failure::bad("there is no such bug to plant")
                    .field("--planted")
                    .found(name)
                    .next("`--planted list` names them")
            })
        });
        let planted = planted.transpose()?;
        let faults = faults(&args.faults)?;
        let begun = Instant::now();
        // Panics are caught and reported as what they are: a rule that is broken.
        std::panic::set_hook(Box::new(|_| {}));
        let (found, mut told) = all(args, &faults, planted);
        drop(std::panic::take_hook());
        told.elapsed = begun.elapsed();
        told.seconds = told.elapsed.as_secs_f64();
        told.faults.clone_from(&args.faults);
        told.planted = planted.map(|planted| planted.name().to_owned());
        if let Some((seed, outcome)) = &found {
            let violation = outcome.violation.as_ref().expect("that is why it was found");
            told.seed = Some(*seed);
            told.check = Some(violation.check.name().to_owned());
            told.violation = Some(violation.to_string());
        }
        tell(&told, &args.json, false)?;
        let Some((seed, outcome)) = found else { return Ok(()) };
        let violation = outcome.violation.expect("that is why it was found");
        match planted {
            Some(planted) if planted.caught_by().contains(&violation.check) => {
                Err(Failure::found_it(format!("the planted bug is caught, by the check of {}", violation.check.name())))
            }
            Some(_) => {
                Err(Failure::bad(format!("seed {seed} breaks another rule than the planted bug does: {violation}")))
            }
            None => {
                let again = format!("wirebook sim --seeds {seed}..{} --faults {}", seed + 1, args.faults);
                Err(Failure::found_it(format!("seed {seed} breaks a rule: {violation}"))
                    .next(format!("run it alone: {again}")))
            }
        }
    }

    fn faults(text: &str) -> Result<Vec<Fault>, Failure> {
        match text {
            "all" => Ok(Fault::ALL.to_vec()),
            "none" => Ok(Vec::new()),
            names => names
                .split(',')
                .map(|name| {
                    let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                    Fault::named(name).ok_or_else(|| {
                        Failure::bad("there is no such fault").field("--faults").found(name).allowed(known.join(", "))
                    })
                })
                .collect(),
        }
    }

    /// Runs the seeds, several at a time, until the first that breaks a rule: the lowest one is answered.
    fn all(args: &SimArgs, faults: &[Fault], planted: Option<Planted>) -> (Option<(u64, Outcome)>, Told) {
        let threads = match args.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        };
        let bar = progress::counter("simulating", "seeds");
        let (next, stop) = (AtomicU64::new(args.seeds.start), AtomicBool::new(false));
        let results = Mutex::new((None::<(u64, Outcome)>, Told::default()));
        let work = || {
            while !stop.load(Ordering::Acquire) {
                let seed = next.fetch_add(1, Ordering::AcqRel);
                if seed >= args.seeds.end {
                    return;
                }
                let setup = Setup { seed, faults: faults.to_vec(), planted };
                let twice = seed % TWICE == 0 || planted == Some(Planted::RealClock);
                let outcome = if twice { sim::run_twice(&setup) } else { sim::run(&setup) };
                let mut results = results.lock().expect("nobody panicked");
                let (found, told) = &mut *results;
                told.seeds += 1;
                told.batches += outcome.batches;
                told.crashes += outcome.crashes;
                told.reads += outcome.reads;
                told.contradictions_caught += outcome.caught;
                told.simulated_seconds += outcome.time.as_secs();
                bar.set_position(told.seeds);
                if outcome.violation.is_some() {
                    stop.store(true, Ordering::Release);
                    if found.as_ref().is_none_or(|(known, _)| seed < *known) {
                        *found = Some((seed, outcome));
                    }
                }
            }
        };
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        bar.finish_and_clear();
        results.into_inner().expect("nobody panicked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_two_numbers() {
        assert_eq!(parse_seeds("3..10"), Ok(3..10));
        for wrong in ["3", "3..", "..3", "a..b", "3..3", "4..3", "-1..2"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong}");
        }
    }
}
