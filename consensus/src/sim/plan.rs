//! What goes wrong in a simulation, and when: chosen by the seed, before anything runs.

use std::time::Duration;

use wirebook_engine::simulated::Link;
use wirebook_matcher::flow::Random;

use super::planted::Planted;

/// Members of every simulated committee: three quarters of them are a quorum.
pub const MEMBERS: usize = 4;
/// How long faults go on.
const TROUBLE: Duration = Duration::from_secs(8);
/// A link while all is well.
pub(super) const GOOD: Link =
    Link { latency: Duration::from_millis(2), jitter: Duration::from_micros(300), delivers: 1000 };

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Validators die at any moment, and of what was not synced their disks keep whatever sectors they like.
    Crash,
    /// The power fails in the middle of a disk's work, at any operation.
    Power,
    /// Members are cut off from one another, one way or both.
    Partition,
    /// Messages are lost.
    Loss,
    /// Messages take long, and differently so.
    Delay,
    /// A member runs twice under one key, and tells one part of the others another thing than the rest.
    Equivocation,
    /// A member proposes what it has made up, and votes for anything.
    Roots,
    /// The gateway signs a root that is not reached, or two batches with one number.
    Gateway,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Crash,
        Self::Power,
        Self::Partition,
        Self::Loss,
        Self::Delay,
        Self::Equivocation,
        Self::Roots,
        Self::Gateway,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Power => "power",
            Self::Partition => "partition",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Equivocation => "equivocation",
            Self::Roots => "roots",
            Self::Gateway => "gateway",
        }
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// What happens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A member dies, and comes back after a while.
    Crash { member: usize, back: Duration },
    /// A member's disks work for so many operations more.
    Power { member: usize, operations: u64, back: Duration },
    /// A link becomes this, for a while; `None`: it is cut.
    Link { from: usize, to: usize, link: Option<Link>, time: Duration },
}

/// How the gateway lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// It claims a root that is not reached.
    Root,
    /// It signs two batches with one number.
    Twice,
}

/// Everything that goes wrong with one seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What happens, in the order of its times.
    pub acts: Vec<(Duration, Act)>,
    /// Batches that the gateway seals.
    pub batches: u64,
    /// Number of the batch that the gateway lies with, and how.
    pub lie: Option<(u64, Lie)>,
    /// Members that run twice under one key.
    pub twins: Vec<usize>,
    /// A member that makes things up.
    pub forger: Option<usize>,
    /// When the last fault is over.
    pub calm: Duration,
}

impl Plan {
    pub(super) fn new(seed: u64, allowed: &[Fault], planted: Option<Planted>) -> Self {
        let mut random = Random::new(seed ^ 0x706c_616e);
        // Of the faults that are allowed each is there or not, so that they come alone, in pairs, and all at once.
        let wanted = planted.map_or(&[][..], Planted::needs);
        let mut on = |fault| wanted.contains(&fault) || (allowed.contains(&fault) && random.chance(1, 2));
        let (crash, power, partition) = (on(Fault::Crash), on(Fault::Power), on(Fault::Partition));
        let (loss, delay, gateway) = (on(Fault::Loss), on(Fault::Delay), on(Fault::Gateway));
        // One of four may lie, and no more; whoever lies does so in one way.
        let (equivocation, roots) = (on(Fault::Equivocation), on(Fault::Roots));
        let liar = random.below(MEMBERS as u64) as usize;
        let forges = roots && (!equivocation || random.chance(1, 2));
        let mut plan = Self {
            acts: Vec::new(),
            batches: random.between(12, 48),
            lie: None,
            twins: if equivocation && !forges { vec![liar] } else { Vec::new() },
            forger: forges.then_some(liar),
            calm: TROUBLE,
        };
        if planted == Some(Planted::QuorumLessOne) {
            plan.twins = vec![liar, (liar + 1) % MEMBERS];
            plan.forger = None;
        }
        if gateway {
            let lie = if random.chance(1, 2) { Lie::Root } else { Lie::Twice };
            let lie = planted.and_then(Planted::lie).unwrap_or(lie);
            plan.lie = Some((random.between(2, plan.batches), lie));
        }
        let at = |random: &mut Random| Duration::from_millis(random.between(100, TROUBLE.as_millis() as u64));
        let member = |random: &mut Random| random.below(MEMBERS as u64) as usize;
        let back = |random: &mut Random| Duration::from_millis(random.between(1, 1_500));
        if crash {
            for _ in 0..random.between(1, 6) {
                let act = Act::Crash { member: member(&mut random), back: back(&mut random) };
                plan.acts.push((at(&mut random), act));
            }
        }
        if power {
            for _ in 0..random.between(1, 4) {
                let (member, operations) = (member(&mut random), random.below(40));
                plan.acts.push((at(&mut random), Act::Power { member, operations, back: back(&mut random) }));
            }
        }
        if partition {
            for _ in 0..random.between(1, 4) {
                let begin = at(&mut random);
                plan.part(&mut random, begin);
            }
        }
        if loss || delay {
            for _ in 0..random.between(4, 16) {
                let (from, to) = (member(&mut random), member(&mut random));
                let mut link = GOOD;
                if loss {
                    link.delivers = random.between(400, 990) as u16;
                }
                if delay {
                    link.latency = Duration::from_millis(random.between(2, 400));
                    link.jitter = link.latency / 3;
                }
                let (time, begin) = (Duration::from_millis(random.between(200, 4_000)), at(&mut random));
                plan.link(begin, from, to, Some(link), time);
            }
        }
        plan.acts.sort_by_key(|(at, _)| *at);
        plan
    }

    fn link(&mut self, at: Duration, from: usize, to: usize, link: Option<Link>, time: Duration) {
        if from != to {
            self.acts.push((at, Act::Link { from, to, link, time }));
        }
    }

    /// Cuts some members off from the others.
    fn part(&mut self, random: &mut Random, at: Duration) {
        let (side, both) = (random.between(1, (1 << MEMBERS) - 2), random.chance(2, 3));
        let time = Duration::from_millis(random.between(200, 4_000));
        for from in 0..MEMBERS {
            for to in 0..MEMBERS {
                let (here, there) = (side >> from & 1, side >> to & 1);
                if here > there || (both && here != there) {
                    self.link(at, from, to, None, time);
                }
            }
        }
    }

    /// Members that lie.
    pub(super) fn liars(&self) -> Vec<usize> {
        self.twins.iter().copied().chain(self.forger).collect()
    }
}
