//! The kernel beside the software twin: the same seeded beats, the whole streams of events compared, bit by bit.
//!
//! The software twin runs ahead and makes the stream of commands with its own answers ([`Beats`] aims at what is live), so that the
//! kernel always has the next beat before it. The first difference is looked at twice: the run is repeated from its start, which the seeds
//! make the same, and a waveform begins a little before the difference.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Gaps, Model, Rtl, RtlError};
use crate::abi::{Command, Event, Limits};
use crate::flow::{Beats, Coverage, Mix};
use crate::matcher::{Matcher, Twin};
use crate::software::Software;

/// Commands generated ahead of the kernel.
const AHEAD: usize = 256;

/// Events before a difference at which the waveform begins, and cycles after it at which it ends.
const WAVE_EVENTS: u64 = 64;
const WAVE_CYCLES: u64 = 64;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the beats are like. Its limits are the kernel's.
    pub mix: Mix,
    /// Seed of the beats.
    pub seed: u64,
    /// How many.
    pub commands: u64,
    /// Gaps of both streams.
    pub gaps: Gaps,
}

/// What a run without a difference has met.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Commands, all answered alike.
    pub commands: u64,
    /// Events, all equal.
    pub events: u64,
    /// Cycles that the kernel took, after its reset.
    pub cycles: u64,
    /// The most orders live.
    pub most_live: usize,
    /// Slots that more than one order has had.
    pub reused: u64,
    /// Kinds and outcomes.
    pub coverage: Coverage,
}

/// Where the streams differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The command's number, from 1.
    pub command: Command,
    /// The event that the software twin gives.
    pub expected: Event,
    /// What the kernel gives, or why it gives nothing.
    pub found: Result<Event, RtlError>,
    /// Events equal before it.
    pub after: u64,
    /// The kernel's cycle.
    pub cycle: u64,
    /// The waveform of the cycles around it.
    pub wave: Option<PathBuf>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after {} equal events, at cycle {}: {:?}", self.after, self.cycle, self.command)?;
        writeln!(f, "software: {:?}", self.expected)?;
        match &self.found {
            Ok(event) => write!(f, "kernel:   {event:?}")?,
            Err(error) => write!(f, "kernel:   {error}")?,
        }
        match &self.wave {
            Some(path) => write!(f, "\nwaveform: {}", path.display()),
            None => Ok(()),
        }
    }
}

/// Six mixes in the sizes of a model: [`Mix::all`], cut down to its books and ticks and up to its orders.
pub fn mixes(model: Model) -> Vec<(&'static str, Mix)> {
    let capacity = model.capacity();
    let cut = |mix: Mix| {
        let ticks =
            mix.limits.ticks.iter().copied().take(capacity.books as usize).map(|ticks| ticks.min(capacity.ticks));
        Mix {
            limits: Limits { ticks: ticks.collect(), slots: mix.limits.slots.min(capacity.orders), ..mix.limits },
            ..mix
        }
    };
    let mut mixes: Vec<_> = Mix::all().into_iter().map(|(name, mix)| (name, cut(mix))).collect();
    for (name, mix) in &mut mixes {
        if *name == "deep" {
            mix.limits.slots = capacity.orders;
            mix.live = capacity.orders / 4 * 3;
        }
    }
    mixes
}

/// Compares a kernel with the software twin. `wave` is a directory for the waveform of the first difference.
///
/// # Errors
/// The first difference.
///
/// # Panics
/// When the mix does not fit the model.
pub fn compare(model: Model, plan: &Plan, wave: &Path) -> Result<Compared, Box<Difference>> {
    run(model, plan, None).map_err(|first| {
        let path = wave.join(format!("difference-{model:?}-seed{}.vcd", plan.seed).to_lowercase());
        let again = run(model, plan, Some((first.after.saturating_sub(WAVE_EVENTS), &path)));
        match again {
            Err(again) => again,
            Ok(_) => first,
        }
    })
}

fn run(model: Model, plan: &Plan, wave: Option<(u64, &Path)>) -> Result<Compared, Box<Difference>> {
    let limits = plan.mix.limits.clone();
    let mut kernel = Rtl::new(model, limits.clone()).unwrap_or_else(|error| panic!("{error}"));
    kernel.set_gaps(plan.gaps);
    let (mut software, mut beats) = (Software::new(limits.clone()), Beats::new(plan.mix.clone(), plan.seed));
    let mut met = Compared::default();
    let mut used = vec![false; limits.slots as usize];
    // Commands that the kernel has not taken, and what is expected of those whose events have not all come.
    let mut ahead: VecDeque<Command> = VecDeque::with_capacity(AHEAD);
    let mut expected: VecDeque<(Command, Event)> = VecDeque::new();
    let mut answer = Vec::new();
    let mut waving = false;
    let mut made = 0;
    loop {
        while ahead.len() < AHEAD && made < plan.commands {
            let command = beats.next_beat();
            answer.clear();
            software.execute(&command, |event| answer.push(event));
            beats.observe(&command, &answer).unwrap_or_else(|violation| panic!("the software twin: {violation}"));
            met.coverage.count(&command, &answer);
            met.most_live = met.most_live.max(beats.audit().live().len());
            for event in answer.iter().filter(|event| event.kind == crate::abi::EventKind::Rested) {
                met.reused += u64::from(std::mem::replace(&mut used[event.taker as usize], true));
            }
            expected.extend(answer.iter().map(|event| (command, *event)));
            ahead.push_back(command);
            made += 1;
        }
        if expected.is_empty() {
            met.commands = made;
            met.cycles = kernel.cycles();
            return Ok(met);
        }
        if let (false, Some((from, path))) = (waving, wave)
            && met.events >= from
        {
            kernel.wave(path).unwrap_or_else(|error| panic!("{error}"));
            waving = true;
        }
        let taken = kernel.submit(ahead.make_contiguous());
        ahead.drain(..taken);
        let mut events = [Event::BLANK; 64];
        // With a waveform ahead, no further than to the event at which it begins.
        let most =
            wave.filter(|_| !waving).map_or(events.len() as u64, |(from, _)| (from - met.events).min(64)) as usize;
        let count = kernel.poll(&mut events[..most]);
        let (met_events, cycle) = (met.events, kernel.cycles());
        let differs = |at: u64, (command, expected): (Command, Event), found| {
            let wave = wave.filter(|_| waving).map(|(_, path)| path.to_owned());
            Box::new(Difference { command, expected, found, after: met_events + at, cycle, wave })
        };
        for (at, event) in events[..count].iter().enumerate() {
            let next = expected.pop_front();
            // An event too many is compared with the one before it.
            let (command, right) = next.unwrap_or((Command::default(), Event::BLANK));
            if right != *event {
                let difference = differs(at as u64, (command, right), Ok(*event));
                for _ in 0..if waving { WAVE_CYCLES } else { 0 } {
                    let _ = kernel.cycle(None, true);
                }
                return Err(difference);
            }
        }
        met.events += count as u64;
        if let (0, Some(fault)) = (count, kernel.fault()) {
            let next = *expected.front().expect("something is expected");
            return Err(differs(0, next, Err(fault.clone())));
        }
    }
}
