//! How time is taken: the thread's CPU clock around a whole run, the processor's counter around single commands.
//!
//! Every run gets a new engine, whose opening is executed before the clock starts. Runs of all engines are interleaved, round by
//! round, and begin with another engine in each. Memory is locked, where the system lets us, so that no run pays for pages.

use std::time::{Duration, Instant};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::time::{ClockId, clock_gettime};
use wirebook_bypass::cpu::Tsc;
use wirebook_matcher::abi::{Command, Event};

use super::engine::{Engine, Ring};
use super::workload::{Answers, Workload};

/// Keeps all memory, present and future, in place; says whether it could.
pub fn lock_memory() -> bool {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).is_ok()
}

/// Nanoseconds of CPU that this thread has used.
fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Commands whose events are gathered before they are told.
const ANSWERED_TOGETHER: usize = 1 << 14;

/// What single commands took in one run, in counter ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantiles {
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
}

impl Quantiles {
    /// Of these samples, which are put in another order.
    fn of(samples: &mut [u32]) -> Self {
        let mut at = |thousandths: usize| {
            let index = (samples.len() * thousandths / 1000).min(samples.len() - 1);
            u64::from(*samples.select_nth_unstable(index).1)
        };
        Self { p50: at(500), p99: at(990), p999: at(999) }
    }
}

/// A short workload is run again, each time by a new engine, until so many commands are timed together...
const ENOUGH_COMMANDS: u64 = 500_000;
/// ... or so much time has gone by, making new engines included.
const ENOUGH_TIME: Duration = Duration::from_millis(300);

/// Runs whose time is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timed {
    /// CPU nanoseconds of all their commands together.
    pub cpu_ns: u64,
    /// How many commands that were.
    pub commands: u64,
    /// Events that they wrote.
    pub events: u64,
}

/// An engine whose type is forgotten.
pub trait Runner {
    /// Runs a workload's first commands and takes the time.
    fn timed(&self, work: &Workload, measured: usize) -> Timed;
    /// Takes the time of every command alone.
    fn single(&self, work: &Workload, measured: usize, tsc: &Tsc, samples: &mut Vec<u32>) -> Quantiles;
    /// Runs them and tells the fills, opening included.
    fn answers(&self, work: &Workload, measured: usize) -> Answers;
}

/// Runs engines of one type.
pub struct Runs<E>(std::marker::PhantomData<E>);

impl<E> Runs<E> {
    /// Of this type.
    pub const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<E: Engine> Runner for Runs<E> {
    fn timed(&self, work: &Workload, measured: usize) -> Timed {
        let (opening, commands) = work.commands(E::NAMES, measured);
        let begun = Instant::now();
        let mut timed = Timed::default();
        while timed.commands == 0 || timed.commands < ENOUGH_COMMANDS && begun.elapsed() < ENOUGH_TIME {
            let (mut engine, mut ring) = opened::<E>(work, opening);
            let before = (cpu_ns(), ring.written());
            engine.execute_all(commands, |event| ring.push(event));
            timed.cpu_ns += cpu_ns() - before.0;
            timed.commands += commands.len() as u64;
            timed.events += (std::hint::black_box(&ring).written() - before.1) as u64;
        }
        timed
    }

    fn single(&self, work: &Workload, measured: usize, tsc: &Tsc, samples: &mut Vec<u32>) -> Quantiles {
        let (opening, commands) = work.commands(E::NAMES, measured);
        let (mut engine, mut ring) = opened::<E>(work, opening);
        samples.clear();
        samples.resize(commands.len(), 0);
        let mut before = tsc.now();
        for (at, sample) in samples.iter_mut().enumerate() {
            engine.look_ahead(commands, at);
            engine.execute(&commands[at], |event| ring.push(event));
            let now = tsc.now();
            *sample = u32::try_from(now.wrapping_sub(before)).unwrap_or(u32::MAX);
            before = now;
        }
        std::hint::black_box(&ring);
        Quantiles::of(samples)
    }

    fn answers(&self, work: &Workload, measured: usize) -> Answers {
        let (opening, commands) = work.commands(E::NAMES, measured);
        let mut engine = E::new(work);
        let mut teller = work.teller(E::NAMES);
        let mut events: Vec<Event> = Vec::new();
        for commands in [opening, commands].into_iter().flat_map(|part| part.chunks(ANSWERED_TOGETHER)) {
            events.clear();
            engine.execute_all(commands, |event| events.push(event));
            let mut answers = events.split_inclusive(|event| event.last);
            for command in commands {
                teller.command(command);
                answers.next().unwrap_or(&[]).iter().for_each(|event| teller.event(event));
            }
        }
        teller.finish()
    }
}

fn opened<E: Engine>(work: &Workload, opening: &[Command]) -> (E, Ring) {
    let (mut engine, mut ring) = (E::new(work), Ring::new());
    engine.execute_all(opening, |event| ring.push(event));
    (engine, ring)
}

/// What reading the counter costs, in its ticks: part of every single command's time.
pub fn timer_ticks(tsc: &Tsc) -> u64 {
    let mut samples = vec![0u32; 100_000];
    let mut before = tsc.now();
    for sample in &mut samples {
        let now = tsc.now();
        *sample = now.wrapping_sub(before) as u32;
        before = now;
    }
    Quantiles::of(&mut samples).p50
}

/// The median of some figures.
pub fn median<T: Copy + PartialOrd>(figures: &[T]) -> T {
    let mut sorted = figures.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("figures compare"));
    sorted[sorted.len() / 2]
}
