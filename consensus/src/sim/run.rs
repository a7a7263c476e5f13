//! One simulation: a committee, its gateway and its readers, from a seed to a verdict.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wirebook_engine::Timing;
use wirebook_engine::simulated::{self, Life, Link, Side, World};
use wirebook_matcher::flow::Random;

use crate::batch::{Batch, Digest32};
use crate::validator::embedded::namespace;
use crate::validator::inbox::OfferError;
use crate::validator::replica::lock;

use super::checks::{Check, Checks, Ledgers, Violation};
use super::member::{Disks, Forgeries, Running};
use super::plan::{Act, Fault, GOOD, Lie, MEMBERS, Plan};
use super::planted::Planted;
use super::readers::Readers;
use super::venue::{SHARD, Venue};

/// How often the gateway, the readers and the faults have their turn.
const TICK: Duration = Duration::from_millis(5);
/// A proposer that has to may wait half a second before it proposes an empty block: more than that.
const TIMING: Timing = Timing { leader: Duration::from_millis(800), certification: Duration::from_millis(1_400) };
/// How long everything may take to become final once all faults are over: many views that time out.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a cluster is watched after its gateway has lied.
const AFTERMATH: Duration = Duration::from_secs(15);
/// Batches that are sealed and not yet final.
const AHEAD: u64 = 6;
/// A simulation that takes longer has lost its way.
const LIMIT: Duration = Duration::from_secs(300);

/// What is simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Everything follows from it.
    pub seed: u64,
    /// Faults that may happen.
    pub faults: Vec<Fault>,
    /// A bug that is put in.
    pub planted: Option<Planted>,
}

/// What came of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first check that failed.
    pub violation: Option<Violation>,
    /// Digest of all that happened, in its order.
    pub trace: Digest32,
    /// Batches that became final.
    pub batches: u64,
    /// Crashes, and starts after them.
    pub crashes: u64,
    /// Reads behind a barrier that were answered, and judged.
    pub reads: u64,
    /// Contradictions of lying members that others have seen.
    pub caught: u64,
    /// Simulated time.
    pub time: Duration,
}

/// Runs a simulation once.
pub fn run(setup: &Setup) -> Outcome {
    let plan = Plan::new(setup.seed, &setup.faults, setup.planted);
    let venue = Venue::new(setup.seed);
    let checks = Checks::new(Ledgers::new(venue.public_key(), MEMBERS, plan.liars()));
    let counts = Arc::new(Mutex::new((0, Duration::ZERO)));
    let cluster = Cluster {
        plan,
        planted: setup.planted,
        venue,
        checks: checks.clone(),
        random: Random::new(setup.seed ^ 0x0072_756e),
        members: Vec::new(),
        batches: Vec::new(),
        lie: None,
        lied: None,
        forgeries: Forgeries::default(),
        links: Vec::new(),
        readers: Readers::default(),
        counts: counts.clone(),
    };
    let scenario = Box::new(|world: World| -> simulated::Task { Box::pin(cluster.scenario(world)) });
    let ran =
        catch_unwind(AssertUnwindSafe(|| simulated::run(setup.seed, MEMBERS, &namespace(SHARD), LIMIT, scenario)));
    let mut ledgers = checks.lock();
    match ran {
        Ok(digest) => ledgers.note(&digest, &[]),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            ledgers.fail(Check::Restart, format!("a panic: {text}"));
        }
    }
    let (crashes, time) = *counts.lock().unwrap_or_else(PoisonError::into_inner);
    Outcome {
        violation: ledgers.violation.clone(),
        trace: ledgers.trace(),
        batches: ledgers.height(),
        crashes,
        reads: ledgers.reads,
        caught: ledgers.caught,
        time,
    }
}

/// Runs a simulation twice: the second time must be the first once more.
pub fn run_twice(setup: &Setup) -> Outcome {
    let mut first = run(setup);
    if first.violation.is_none() {
        let second = run(setup);
        if second.trace != first.trace || second.violation.is_some() {
            let what = format!("seed {} ran differently when it ran again", setup.seed);
            first.violation = Some(Violation { check: Check::Rerun, what });
        }
    }
    first
}

/// A member, running or not. A member with twins runs twice.
struct Member {
    disks: Vec<Disks>,
    running: Vec<(Running, Life)>,
    /// When it comes back.
    back: Option<Duration>,
    /// Number of the next batch that each of its lives is offered.
    next: Vec<u64>,
    /// Which of two batches with one number it is told of.
    believes: usize,
}

struct Cluster {
    plan: Plan,
    planted: Option<Planted>,
    venue: Venue,
    checks: Checks,
    random: Random,
    members: Vec<Member>,
    batches: Vec<Batch>,
    /// What the gateway lies with.
    lie: Option<Batch>,
    /// When it has.
    lied: Option<Duration>,
    forgeries: Forgeries,
    /// Links that are not as they should be, and until when.
    links: Vec<(Duration, usize, usize)>,
    readers: Readers,
    counts: Arc<Mutex<(u64, Duration)>>,
}

impl Cluster {
    async fn scenario(mut self, mut world: World) {
        self.checks.lock().know_keys(world.public_keys());
        self.readers = Readers::new(world.public_keys());
        for from in 0..MEMBERS {
            for to in (0..MEMBERS).filter(|to| *to != from) {
                world.link(from, to, self.usual(from, to)).await;
            }
            let twins = self.plan.twins.contains(&from);
            let lives = 1 + usize::from(twins);
            let disks = (0..lives).map(|_| Disks::new()).collect();
            let believes = self.random.below(2) as usize;
            self.members.push(Member { disks, running: Vec::new(), back: None, next: vec![1; lives], believes });
        }
        if self.planted == Some(Planted::QuorumLessOne) {
            // The two that are honest believe different things.
            let honest: Vec<usize> = (0..MEMBERS).filter(|member| !self.plan.twins.contains(member)).collect();
            honest.iter().enumerate().for_each(|(at, member)| self.members[*member].believes = at);
        }
        for member in 0..MEMBERS {
            self.start(&mut world, member).await;
        }
        let mut acts: VecDeque<(Duration, Act)> = self.plan.acts.iter().copied().collect();
        while !self.over(world.now()) {
            world.sleep(TICK).await;
            let now = world.now();
            while acts.front().is_some_and(|(at, _)| *at <= now) {
                let (_, act) = acts.pop_front().expect("there is one");
                self.act(&world, act).await;
            }
            self.mend(&mut world).await;
            self.seal(now);
            self.offer();
            self.read(now);
        }
        self.judge(world.now());
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).1 = world.now();
        // Nothing of the world may outlive it.
        self.readers = Readers::default();
        self.members.clear();
    }

    /// How a link is while nothing is wrong with it.
    fn usual(&self, from: usize, to: usize) -> Option<Link> {
        let honest = |member| !self.plan.twins.contains(&member);
        // Where a quorum can be had with one honest vote less, the two that are honest do not hear of one another.
        let apart = self.planted == Some(Planted::QuorumLessOne) && honest(from) && honest(to);
        (!apart).then_some(GOOD)
    }

    async fn start(&mut self, world: &mut World, member: usize) {
        let forges = self.plan.forger == Some(member);
        let key = self.venue.public_key();
        let mut opened = Vec::new();
        for disks in &self.members[member].disks {
            let forgeries = forges.then(|| self.forgeries.clone());
            match Running::open(member, disks, key, &self.checks, self.planted, forgeries) {
                Ok(running) => opened.push(running),
                Err(why) => {
                    let what = format!("member {member} does not start: {why}");
                    return self.checks.lock().fail(Check::Restart, what);
                }
            }
        }
        let pair = |running: &Running| (running.shelf.clone(), running.agreement.clone());
        let lives: Vec<Life> = match &opened[..] {
            [one] => {
                let (shelf, agreement) = pair(one);
                vec![world.start(member, shelf, agreement, TIMING).await]
            }
            [one, other] => {
                let side = |at: usize| match self.plan.twins.contains(&at) {
                    true => Side::Both,
                    false => [Side::First, Side::Second][self.members[at].believes],
                };
                let sides: Vec<Side> = (0..MEMBERS).map(side).collect();
                world.start_twins(member, &sides, [pair(one), pair(other)], TIMING).await.into()
            }
            _ => unreachable!("a member runs once or twice"),
        };
        let at = &mut self.members[member];
        at.next = opened.iter().map(|running| running.core.status.finalized().height + 1).collect();
        at.running = opened.into_iter().zip(lives).collect();
        at.back = None;
    }

    /// A member dies with all its lives.
    fn crash(&mut self, member: usize, back: Duration) {
        let at = &mut self.members[member];
        if at.running.is_empty() {
            return;
        }
        at.running.drain(..).for_each(|(_, life)| life.kill());
        for disks in &mut at.disks {
            disks.crash(&mut self.random, self.planted);
        }
        at.back = Some(back);
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        self.checks.lock().note("crashes", &[member as u64]);
    }

    async fn act(&mut self, world: &World, act: Act) {
        match act {
            Act::Crash { member, back } => self.crash(member, world.now() + back),
            Act::Power { member, operations, back } => {
                let at = &mut self.members[member];
                if !at.running.is_empty() {
                    for disks in &at.disks {
                        let disk = if operations % 2 == 0 { &disks.votes } else { &disks.batches };
                        disk.power_off_after(operations);
                    }
                    at.back = Some(world.now() + back);
                }
            }
            Act::Link { from, to, link, time } => {
                world.link(from, to, link.filter(|_| self.usual(from, to).is_some())).await;
                self.links.retain(|(_, a, b)| (*a, *b) != (from, to));
                self.links.push((world.now() + time, from, to));
            }
        }
    }

    /// Links that are to be good again, members without power, members that are to come back.
    async fn mend(&mut self, world: &mut World) {
        let now = world.now();
        let calm = now >= self.plan.calm;
        for (until, from, to) in std::mem::take(&mut self.links) {
            if calm || until <= now {
                world.link(from, to, self.usual(from, to)).await;
            } else {
                self.links.push((until, from, to));
            }
        }
        for member in 0..MEMBERS {
            let at = &self.members[member];
            let back = at.back.unwrap_or(now);
            if !at.running.is_empty() && at.disks.iter().any(Disks::off) {
                self.crash(member, back);
            } else if at.running.is_empty() && at.back.is_some_and(|back| calm || back <= now) {
                self.start(world, member).await;
            }
        }
    }

    /// The gateway seals, as far as what it has sealed becomes final.
    fn seal(&mut self, now: Duration) {
        let sealed = self.venue.sealed();
        let room = sealed < self.checks.lock().height() + AHEAD && sealed < self.plan.batches;
        // Batches come all the time while there is trouble, and what is left of them at once thereafter.
        let ticks = (self.plan.calm.as_nanos() / TICK.as_nanos()) as u64;
        let mut due = now >= self.plan.calm || self.random.chance(self.plan.batches * 5 / 4, ticks);
        if self.planted == Some(Planted::RealClock) {
            // What decides is none of the seed's business.
            due |= Instant::now().elapsed().subsec_nanos() % 2 == 0;
        }
        if !room || !due {
            return;
        }
        if self.plan.forger.is_some() {
            let forged = self.venue.forged();
            self.checks.lock().sealed(&forged);
            lock(&self.forgeries).push(forged);
        }
        let lie = self.plan.lie.filter(|(number, _)| *number == sealed + 1);
        let [batch, other] = match lie {
            None => {
                let batch = self.venue.seal();
                [batch.clone(), batch]
            }
            Some((_, Lie::Root)) => self.venue.lie(),
            Some((_, Lie::Twice)) => self.venue.equivocate(),
        };
        self.checks.lock().sealed(&batch);
        if lie.is_some() {
            self.checks.lock().sealed(&other);
            self.lie = Some(other);
            self.lied = Some(now);
        }
        self.batches.push(batch);
    }

    /// The gateway offers each validator what comes next for it.
    fn offer(&mut self) {
        for member in &mut self.members {
            for (at, (running, _)) in member.running.iter().enumerate() {
                let believes = if member.running.len() > 1 { at } else { member.believes };
                while let Some(batch) = self.batches.get(member.next[at] as usize - 1) {
                    let lie = self.lie.as_ref().filter(|lie| lie.number() == batch.number());
                    // A root that is not reached is told to everybody.
                    let everybody = matches!(self.plan.lie, Some((_, Lie::Root)));
                    let batch = lie.filter(|_| everybody || believes == 1).unwrap_or(batch);
                    match running.core.offer(batch.clone()) {
                        Ok(()) => member.next[at] += 1,
                        Err(OfferError::Gap { expected, .. }) => member.next[at] = expected,
                        Err(OfferError::Full | OfferError::Fault(_) | OfferError::Stopped) => break,
                    }
                }
            }
        }
    }

    /// Somebody asks somebody how far it is; readers call for balances and are answered.
    fn read(&mut self, now: Duration) {
        self.readers.look(now, self.planted, &self.checks);
        let member = self.random.below(MEMBERS as u64) as usize;
        // Notes would part the chains of two halves before the gateway lies. Two that run twice hear both of each other's lives under one key,
        // would take them for one that contradicts itself, and no half would have a quorum any more.
        let halves = self.plan.twins.len() > 1;
        if !halves
            && self.random.chance(1, 80)
            && let Some((running, _)) = self.members[member].running.first()
            && running.is_up()
        {
            self.readers.call((member, running), now, &mut self.random, &self.checks);
        }
        if self.random.chance(1, 2)
            && let Some((running, _)) = self.members[member].running.first()
            && let Some(finalized) = running.read()
        {
            self.checks.lock().read(member, &finalized);
        }
    }

    /// Whether there is nothing more to wait for.
    fn over(&self, now: Duration) -> bool {
        let ledgers = self.checks.lock();
        if ledgers.violation.is_some() {
            return true;
        }
        let ended = match self.lied {
            Some(lied) => now >= lied.max(self.plan.calm) + AFTERMATH,
            None => self.everybody_has_everything(&ledgers) || now >= self.plan.calm + PATIENCE,
        };
        now >= self.plan.calm && ended
    }

    fn everybody_has_everything(&self, ledgers: &Ledgers) -> bool {
        let honest = |member: &usize| !ledgers.is_liar(*member);
        self.venue.sealed() == self.plan.batches
            && (0..MEMBERS).filter(honest).all(|member| ledgers.told(member).height == self.plan.batches)
    }

    /// What can only be judged at the end.
    fn judge(&self, now: Duration) {
        let mut ledgers = self.checks.lock();
        if self.lied.is_some() || ledgers.violation.is_some() {
            return;
        }
        for (member, at) in self.members.iter().enumerate() {
            for (running, life) in at.running.iter().filter(|_| !ledgers.is_liar(member)).collect::<Vec<_>>() {
                let fault = running.core.status.fault().map(|fault| fault.to_string());
                if let Some(why) = fault.or_else(|| life.ended()) {
                    ledgers.fail(Check::Progress, format!("member {member} has stopped, and nobody lied: {why}"));
                }
            }
        }
        if !self.everybody_has_everything(&ledgers) {
            let told: Vec<u64> = (0..MEMBERS).map(|member| ledgers.told(member).height).collect();
            let (sealed, wanted) = (self.venue.sealed(), self.plan.batches);
            let what = format!("{wanted} batches, {sealed} sealed, settled {told:?}, {now:?} after the beginning");
            ledgers.fail(Check::Progress, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that are run: `A..B` in `WIREBOOK_SIM`, or a few.
    fn seeds() -> std::ops::Range<u64> {
        let named = std::env::var("WIREBOOK_SIM").ok();
        let named = named.as_deref().and_then(|text| text.split_once(".."));
        named.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?)).unwrap_or(0..5)
    }

    #[test]
    fn no_seed_breaks_a_rule_and_each_runs_the_same_twice() {
        let mut reads = 0;
        for seed in seeds() {
            let outcome = run_twice(&Setup { seed, faults: Fault::ALL.to_vec(), planted: None });
            assert_eq!(outcome.violation, None, "seed {seed}");
            reads += outcome.reads;
        }
        assert!(reads > 10, "{reads} reads were answered");
    }

    #[test]
    fn storage_that_skips_a_sync_is_caught() {
        for planted in [Planted::SkipSync, Planted::SkipStoreSync] {
            let setup = |seed| Setup { seed, faults: Fault::ALL.to_vec(), planted: Some(planted) };
            let caught = (0..200).find_map(|seed| run(&setup(seed)).violation).expect(planted.name());
            assert!(planted.caught_by().contains(&caught.check), "{}: {caught}", planted.name());
        }
    }
}
