//! Where the venue's stages run: inline on one core, or on cores of their own, as configuration and machine have it.
//!
//! `gateway.cores` names cores in the order of [`STAGES`] and then settlement; without it, a pipelined venue takes those that the
//! topology finds near the card, and an inline one goes where the system puts it. How a loop waits is `gateway.wait`, for all
//! of them. With `auto`, stages get cores of their own where there are enough of them and their loops do not sleep: between stages
//! that sleep, every hand-over costs a wake-up, and one loop is then faster than three.

use wirebook_bypass::cpu::machine::Machine;
use wirebook_bypass::cpu::topology::{Mode, Topology, choose};
use wirebook_bypass::cpu::{Placement, WaitStrategy};
use wirebook_bypass::stream::any::PortKind;

use crate::config::{Gateway, Pipeline};
use crate::pipeline::{Room, Seats};

/// The stages that orders wait for: sessions (with entry, risk, sequencer, books and publisher), matcher, journal.
pub const STAGES: [&str; 3] = ["sessions", "matcher", "journal"];
/// Those behind them.
pub const BACKGROUND: [&str; 1] = ["settlement"];

/// Where in a topology's seats a stage stands.
const SESSIONS: usize = 0;
const MATCHER: usize = 1;
const JOURNAL: usize = 2;
const SETTLEMENT: usize = 3;

/// Places the stages on this machine.
pub fn place(gateway: &Gateway) -> Topology {
    let card = (gateway.port == PortKind::Xdp).then_some(gateway.xdp.interface.as_str());
    place_on(&Machine::this(card), gateway)
}

/// Places the stages on a machine.
fn place_on(machine: &Machine, gateway: &Gateway) -> Topology {
    let named = &gateway.cores;
    let sleeps = matches!(gateway.wait, WaitStrategy::Park { .. });
    let (wish, why) = match gateway.pipeline {
        Pipeline::Inline => (Some(Mode::Inline), None),
        Pipeline::Pipelined => (Some(Mode::Pipelined), None),
        Pipeline::Auto if named.len() >= STAGES.len() => {
            (Some(Mode::Pipelined), Some("gateway.cores names a core for each stage"))
        }
        Pipeline::Auto if !named.is_empty() => {
            (Some(Mode::Inline), Some("gateway.cores names fewer cores than there are stages"))
        }
        Pipeline::Auto if sleeps => {
            let why = "gateway.wait parks: between stages that sleep, each hand-over would cost a wake-up";
            (Some(Mode::Inline), Some(why))
        }
        Pipeline::Auto => (None, None),
    };
    let mut topology = choose(machine, &STAGES, &BACKGROUND, wish);
    topology.reasons.extend(why.map(str::to_owned));
    let inline = topology.mode == Mode::Inline;
    for (at, seat) in topology.seats.iter_mut().enumerate() {
        seat.core = match (inline, at) {
            (true, SETTLEMENT) => named.get(1).copied(),
            (true, _) => named.first().copied(),
            (false, _) if !named.is_empty() => named.get(at).copied(),
            (false, _) => seat.core,
        };
        if at != SETTLEMENT {
            seat.wait = gateway.wait;
        }
    }
    if inline && named.is_empty() {
        topology.reasons.push("gateway.cores names none: the system places the loop".into());
    }
    topology
}

/// What of a placement costs latency.
pub fn warnings(topology: &Topology, cores: usize) -> Vec<String> {
    if topology.mode == Mode::Inline {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let stages = &topology.seats[..STAGES.len()];
    let mut own: Vec<usize> = stages.iter().filter_map(|seat| seat.core).collect();
    own.sort_unstable();
    own.dedup();
    if own.len() < STAGES.len() {
        let there = if own.is_empty() { cores } else { own.len() };
        warnings.push(format!(
            "gateway.pipeline: {} stages have no core each, but share {there}: inline is faster here",
            STAGES.len()
        ));
        if stages.iter().any(|seat| !matches!(seat.wait, WaitStrategy::Park { .. })) {
            warnings.push(
                "gateway.wait spins on cores that stages share: each takes the core from whom it waits for".into(),
            );
        }
    }
    warnings
}

/// Where the main loop runs.
pub fn main_loop(topology: &Topology) -> Placement {
    topology.seats[SESSIONS].placement()
}

/// Where settlement runs.
pub fn settlement(topology: &Topology) -> Placement {
    topology.seats[SETTLEMENT].placement()
}

/// Seats of the stages with threads of their own; `None`: there are none.
pub fn seats(topology: &Topology) -> Option<Seats> {
    (topology.mode == Mode::Pipelined).then(|| Seats {
        matcher: topology.seats[MATCHER].clone(),
        journal: topology.seats[JOURNAL].clone(),
        room: Room::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wirebook_bypass::cpu::machine::Cpu;

    use super::*;
    use crate::config::{Config, EXAMPLE};

    fn machine(cores: usize) -> Machine {
        let cpu = |number| Cpu { number, threads: vec![number], node: 0, isolated: false };
        Machine { cpus: (0..cores).map(cpu).collect(), nic: None }
    }

    fn gateway(pipeline: Pipeline, wait: WaitStrategy, cores: &[usize]) -> Gateway {
        let gateway = Config::parse("the example", EXAMPLE, Path::new(".")).expect("it is right").gateway;
        Gateway { pipeline, wait, cores: cores.into(), ..gateway }
    }

    fn cores(topology: &Topology) -> Vec<Option<usize>> {
        topology.seats.iter().map(|seat| seat.core).collect()
    }

    const PARK: WaitStrategy = WaitStrategy::Park { max: wirebook_bypass::cpu::DEFAULT_PARK };

    #[test]
    fn auto_follows_the_machine_the_wait_and_the_cores_that_are_named() {
        for (there, wait, named, mode, reason) in [
            (2, WaitStrategy::Spin, &[][..], Mode::Inline, "too few for 3 stages"),
            (8, WaitStrategy::Spin, &[], Mode::Pipelined, "7 whole cores for 3 stages"),
            (8, PARK, &[], Mode::Inline, "each hand-over"),
            (8, PARK, &[5, 6, 7], Mode::Pipelined, "names a core for each"),
            (8, WaitStrategy::Spin, &[5, 6], Mode::Inline, "fewer cores than there are stages"),
        ] {
            let topology = place_on(&machine(there), &gateway(Pipeline::Auto, wait, named));
            assert_eq!(topology.mode, mode, "{topology}");
            assert!(topology.to_string().contains(reason), "{reason}: {topology}");
            assert!(topology.seats[..STAGES.len()].iter().all(|seat| seat.wait == wait), "{topology}");
            assert_eq!(seats(&topology).is_some(), mode == Mode::Pipelined);
        }
    }

    #[test]
    fn named_cores_go_to_the_stages_in_their_order() {
        let pipelined = |named| place_on(&machine(8), &gateway(Pipeline::Pipelined, WaitStrategy::Spin, named));
        assert_eq!(cores(&pipelined(&[4, 3, 6, 7])), [Some(4), Some(3), Some(6), Some(7)]);
        assert_eq!(cores(&pipelined(&[])), [Some(1), Some(2), Some(3), None], "core 0 is the system's");
        let seats = seats(&pipelined(&[4, 3, 6])).expect("threads of their own");
        assert_eq!((seats.matcher.core, seats.journal.core), (Some(3), Some(6)));
        let inline = |named| place_on(&machine(8), &gateway(Pipeline::Inline, PARK, named));
        assert_eq!(cores(&inline(&[4, 5])), [Some(4), Some(4), Some(4), Some(5)]);
        assert_eq!((main_loop(&inline(&[4, 5])).core, settlement(&inline(&[4, 5])).core), (Some(4), Some(5)));
        assert_eq!(cores(&inline(&[])), [None; 4]);
    }

    #[test]
    fn too_few_cores_are_warned_of_and_work() {
        let short = place_on(&machine(2), &gateway(Pipeline::Pipelined, WaitStrategy::Spin, &[]));
        assert_eq!((short.mode, cores(&short)), (Mode::Pipelined, vec![None; 4]), "{short}");
        let told = warnings(&short, 2);
        assert!(told.len() == 2 && told[0].contains("share 2") && told[1].contains("takes the core"), "{told:?}");
        let same = place_on(&machine(8), &gateway(Pipeline::Pipelined, PARK, &[3, 3, 4]));
        assert!(warnings(&same, 8).len() == 1 && warnings(&same, 8)[0].contains("share 2"), "{same}");
        let enough = place_on(&machine(8), &gateway(Pipeline::Pipelined, WaitStrategy::Spin, &[]));
        assert!(warnings(&enough, 8).is_empty());
    }
}
