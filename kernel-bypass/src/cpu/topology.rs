//! Which loop runs where: chosen from what the machine has, and told with reasons.
//!
//! A pure function of a [`Machine`]. Two ways: *pipelined*, each stage on a core of its own, if there are enough whole cores near the
//! card beside one for the system; else *inline*, all stages one after another on one core. A stage that owns an isolated core spins;
//! one on a core that others may be given spins a while and yields; with no core to spare it sleeps.

use super::machine::{Cpu, Machine};
use super::{Placement, WaitStrategy};
use std::collections::BTreeSet;
use std::fmt;

/// How the stages are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All of them, to completion, on one core.
    Inline,
    /// Each on a core of its own.
    Pipelined,
}

/// Where one stage runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Which.
    pub stage: String,
    /// Its core; `None`: wherever the system puts it.
    pub core: Option<usize>,
    /// What it does when there is nothing to do.
    pub wait: WaitStrategy,
}

impl Seat {
    /// As a thread is placed.
    pub fn placement(&self) -> Placement {
        Placement { core: self.core, fifo: None }
    }
}

/// A choice, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// How the stages are run.
    pub mode: Mode,
    /// The stages that orders wait for, then those in the background, in the order in which they were asked for.
    pub seats: Vec<Seat>,
    /// Why.
    pub reasons: Vec<String>,
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Inline => "inline",
            Mode::Pipelined => "pipelined",
        };
        writeln!(f, "{mode}:")?;
        for seat in &self.seats {
            let core = seat.core.map_or("any core".to_string(), |core| format!("core {core}"));
            writeln!(f, "  {:<14} {core:<10} {}", seat.stage, seat.wait)?;
        }
        for reason in &self.reasons {
            writeln!(f, "  because {reason}")?;
        }
        Ok(())
    }
}

/// Chooses for `hot` stages, which orders wait for, and `background` ones. `wish` asks for one way, and is followed: stages that are to be
/// pipelined and have too few cores share them, wherever the system puts each, and sleep when they have nothing to do.
pub fn choose(machine: &Machine, hot: &[&str], background: &[&str], wish: Option<Mode>) -> Topology {
    let mut reasons = Vec::new();
    let near = machine.nic.as_ref().and_then(|(_, node)| *node);
    // One thread of each core, the first.
    let whole: Vec<&Cpu> = machine.cpus.iter().filter(|cpu| cpu.threads.first() == Some(&cpu.number)).collect();
    let threads = machine.cpus.len() - whole.len();
    if threads > 0 {
        reasons
            .push(format!("{threads} of {} processors are second threads of a core: left empty", machine.cpus.len()));
    }
    let mut usable = candidates(&whole);
    if let (Some(node), Some((nic, _))) = (near, &machine.nic) {
        // Near the card first; within that the isolated ones, which `candidates` has put first.
        usable.sort_by_key(|cpu| (cpu.node != node, !cpu.isolated, cpu.number));
        reasons.push(format!("{nic} is at node {node}: its cores first"));
    }
    let isolated = usable.iter().filter(|cpu| cpu.isolated).count();
    let enough = usable.len() >= hot.len();
    let mode = match wish {
        Some(Mode::Pipelined) if !enough => {
            reasons.push(format!(
                "pipelined was asked for; {} stages want as many whole cores beside one for the system, there are {}: they share them",
                hot.len(),
                usable.len()
            ));
            usable.clear();
            Mode::Pipelined
        }
        Some(mode) => {
            reasons.push("it was asked for".to_string());
            mode
        }
        None if enough => {
            reasons.push(format!(
                "there are {} whole cores for {} stages, beside one for the system",
                usable.len(),
                hot.len()
            ));
            Mode::Pipelined
        }
        None => {
            reasons.push(format!(
                "{} whole cores beside one for the system are too few for {} stages",
                usable.len(),
                hot.len()
            ));
            Mode::Inline
        }
    };
    let wait = |cpu: Option<&&Cpu>| match cpu {
        Some(cpu) if cpu.isolated => WaitStrategy::Spin,
        Some(_) if usable.len() > 1 => WaitStrategy::SpinYield,
        _ => WaitStrategy::default(),
    };
    let mut seats: Vec<Seat> = hot
        .iter()
        .enumerate()
        .map(|(at, stage)| {
            let cpu = usable.get(if mode == Mode::Inline { 0 } else { at });
            Seat { stage: stage.to_string(), core: cpu.map(|cpu| cpu.number), wait: wait(cpu) }
        })
        .collect();
    let taken: BTreeSet<usize> = seats.iter().filter_map(|seat| seat.core).collect();
    let spinning = seats.iter().any(|seat| seat.wait == WaitStrategy::Spin);
    match (isolated, spinning) {
        (0, _) => reasons.push("no core is isolated: loops give way to others".to_string()),
        (_, true) => reasons.push("isolated cores belong to their loops: they spin".to_string()),
        _ => {}
    }
    if mode == Mode::Pipelined
        && let Some(node) = near
    {
        let far: Vec<_> = usable.iter().filter(|cpu| taken.contains(&cpu.number) && cpu.node != node).collect();
        if !far.is_empty() {
            reasons.push(format!("node {node} has too few cores: {} of the loops reach over to it", far.len()));
        }
    }
    seats.extend(background.iter().map(|stage| Seat {
        stage: stage.to_string(),
        core: None,
        wait: WaitStrategy::default(),
    }));
    Topology { mode, seats, reasons }
}

/// Cores that a loop may have to itself: the isolated ones first; and one of the others is left to the system.
fn candidates<'a>(whole: &[&'a Cpu]) -> Vec<&'a Cpu> {
    let (mut isolated, others): (Vec<&Cpu>, Vec<&Cpu>) = whole.iter().partition(|cpu| cpu.isolated);
    // The first core takes interrupts, on most machines.
    isolated.extend(others.into_iter().skip(1));
    isolated
}
