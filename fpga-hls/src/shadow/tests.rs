//! A thousand faults under load, and what became of them.
//!
//! An oracle (the reference, which shares no code with the twin) says what every command must answer; the shadow is fed the same
//! commands over a device whose writes arrive in pieces, and in each round the device is given one fault. Whatever comes out must be
//! the oracle's events: none lost, doubled or different. Then the device is repaired, rejoins, and the next round begins.
//!
//! What matches in the device is the software twin here, and the Verilated kernel in [`rtl`].

#[cfg(feature = "rtl")]
mod rtl;

use super::takeover::{Plant, Planted};
use super::{Cause, Shadow};
use crate::abi::{Command, Event, Limits};
use crate::device::{Clock, Device, DeviceConfig, DeviceFault, Model, Monotonic, Upset};
use crate::flow::{Beats, Mix, Random};
use crate::matcher::{Matcher, Twin};
use crate::queued::Queued;
use crate::reference::Reference;
use crate::software::Software;
use std::collections::BTreeMap;
use wirebook_bypass::pci::bus::{Delivery, InProcess};

/// What can match in a device under test.
trait Inside: Matcher + Upset + Send + Sized + 'static {
    /// Whose time a time-out means.
    type Time: Clock + Clone;

    /// Memories that a bit may flip in, each in its turn.
    const MEMORIES: u64;

    fn make(limits: &Limits) -> Self;
    fn time() -> Self::Time;
}

impl Inside for Queued<Software> {
    type Time = Monotonic;
    const MEMORIES: u64 = 1;

    fn make(limits: &Limits) -> Self {
        Self::new(limits.clone())
    }

    fn time() -> Monotonic {
        Monotonic::new()
    }
}

type Driven<M> = Device<InProcess<Model<M>>, <M as Inside>::Time>;
type Shadowed<M> = Shadow<Driven<M>, Software, <M as Inside>::Time>;

/// Commands after which a fault that changed no answer is given up on, and the next begins.
const PATIENCE: usize = 3_000;
/// Commands that a burst has at most.
const BURST: u64 = 24;
/// Polls that a burst's answers may take, whatever the clock says.
const MOST_POLLS: usize = 2_000_000;
/// Commands that the twin answers alone before the device rejoins.
const ALONE: usize = 40;
/// Device turns that a late answer waits: well beyond [`LATE_NS`] at any speed of this loop.
const LATE_TURNS: u32 = 200_000;
const LATE_NS: u64 = 150_000;

/// What came of the events of some commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    right: u64,
    lost: u64,
    doubled: u64,
    different: u64,
}

impl Verdict {
    fn is_clean(&self) -> bool {
        (self.lost, self.doubled, self.different) == (0, 0, 0)
    }
}

/// Flow, oracle and shadow.
struct Bench<M: Inside> {
    beats: Beats,
    oracle: Reference,
    shadow: Shadowed<M>,
    function: InProcess<Model<M>>,
    random: Random,
    verdict: Verdict,
}

impl<M: Inside> Bench<M> {
    fn new(mix: Mix, seed: u64, answer_timeout_ns: u64) -> Self {
        let limits = mix.limits.clone();
        let (function, device) = device(&limits, seed, answer_timeout_ns);
        let twin = Software::new(limits.clone());
        Self {
            beats: Beats::new(mix, seed),
            oracle: Reference::new(limits),
            shadow: Shadow::new(device, twin, LATE_NS, M::time()).unwrap(),
            function,
            random: Random::new(seed ^ 0xfa_017),
            verdict: Verdict::default(),
        }
    }

    /// Feeds one burst, and judges all that comes out. Returns how many commands it had, or `None` when not all was answered.
    fn burst(&mut self) -> Option<usize> {
        let count = self.random.between(1, BURST) as usize;
        let (mut commands, mut due) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let command = self.beats.next_beat();
            let from = due.len();
            self.oracle.execute(&command, |event| due.push(event));
            self.beats.observe(&command, &due[from..]).unwrap();
            commands.push(command);
        }
        let (mut sent, mut got) = (0, Vec::new());
        for _ in 0..MOST_POLLS {
            sent += self.shadow.submit(&commands[sent..]);
            let mut events = [Event::BLANK; 32];
            let room = self.random.between(1, events.len() as u64) as usize;
            let polled = self.shadow.poll(&mut events[..room]);
            got.extend_from_slice(&events[..polled]);
            if sent == count && polled == 0 && !self.shadow.busy() {
                break;
            }
        }
        let all = sent == count && !self.shadow.busy();
        self.judge(&due, &got);
        all.then_some(count)
    }

    fn judge(&mut self, due: &[Event], got: &[Event]) {
        let name = |event: &Event| (event.seq, event.index);
        let mut seen: BTreeMap<(u64, u32), u64> = BTreeMap::new();
        for event in got {
            *seen.entry(name(event)).or_default() += 1;
        }
        self.verdict.doubled += seen.values().map(|count| count - 1).sum::<u64>();
        self.verdict.lost += due.iter().filter(|event| !seen.contains_key(&name(event))).count() as u64;
        self.verdict.right += due.iter().zip(got).filter(|(due, got)| due == got).count() as u64;
        if due != got && due.len() == got.len() {
            self.verdict.different += due.iter().zip(got).filter(|(due, got)| due != got).count() as u64;
        }
        self.verdict.different += (got.len() > due.len()) as u64;
    }
}

fn device<M: Inside>(limits: &Limits, seed: u64, answer_timeout_ns: u64) -> (InProcess<Model<M>>, Driven<M>) {
    let sizes = limits.clone();
    let model = Model::new(move || M::make(&sizes));
    let function = InProcess::new(model, Delivery::Pieces { seed });
    let config = DeviceConfig { commands: 64, events: 128, answer_timeout_ns, ..DeviceConfig::default() };
    let device = Device::open(function.clone(), limits, config, M::time()).unwrap();
    (function, device)
}

/// What can be done to a device: a fault of the model's, or an upset of its stored state.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Fault(DeviceFault),
    Upset(u64),
}

const KINDS: u64 = 15;
const ALL_KINDS: [u64; KINDS as usize] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
/// The kind that damages what is stored.
const FLIPPED: &str = "stored bit flipped";

/// The `number`-th blow of a campaign that deals these kinds in turn.
fn blow<M: Inside>(kinds: &[u64], number: u64, random: &mut Random) -> (&'static str, Blow) {
    use DeviceFault as F;
    let bit = random.below(256) as u8;
    let many = kinds.len() as u64;
    let (name, fault) = match kinds[(number % many) as usize] {
        0 => ("stall", F::Stall),
        1 => ("reset", F::Reset),
        2 => ("gone", F::Gone),
        3 => ("flagged", F::Flagged),
        4 => ("event lost", F::EventLost),
        5 => ("event skipped", F::EventSkipped),
        6 => ("event doubled", F::EventDoubled),
        7 => ("event torn", F::EventTorn(1 + bit % 7)),
        8 => ("event bit flipped", F::EventFlipped(bit)),
        9 => ("event unasked", F::EventUnasked),
        10 => ("command lost", F::CommandLost),
        11 => ("command doubled", F::CommandDoubled),
        12 => ("command bit flipped", F::CommandFlipped(bit.min(254))),
        13 => ("late", F::Late(LATE_TURNS)),
        // The remainder picks the memory.
        _ => {
            let rest = random.next_u64() / M::MEMORIES / 2;
            return (FLIPPED, Blow::Upset(rest * M::MEMORIES + number / many % M::MEMORIES));
        }
    };
    (name, Blow::Fault(fault))
}

/// What became of the faults of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    injected: u64,
    noticed: u64,
    by_failure: u64,
    by_difference: u64,
    by_lateness: u64,
}

#[derive(Default)]
struct Outcome {
    kinds: BTreeMap<&'static str, Tally>,
    /// Bits that flipped, by the first word of what was hit; and how many of them were noticed.
    hits: BTreeMap<String, (u64, u64)>,
    verdict: Verdict,
    waited_ns: Vec<u64>,
    switch_ns: Vec<u64>,
    commands: u64,
}

/// Injects `faults` faults into devices under the flow of a few mixes, with a bug planted in the shadow or none.
fn campaign<M: Inside>(mixes: Vec<Mix>, kinds: &[u64], faults: u64, seed: u64, bug: Option<Planted>) -> Outcome {
    let mut outcome = Outcome::default();
    let per_mix = faults.div_ceil(mixes.len() as u64);
    for (mix, number) in mixes.into_iter().zip(0u64..) {
        // In half of them the driver loses patience before the shadow does.
        let answer_timeout_ns = if number % 2 == 0 { LATE_NS / 2 } else { LATE_NS * 100 };
        let mut bench = Bench::<M>::new(mix, seed + number, answer_timeout_ns);
        bench.shadow.plant = Plant { bug };
        let from = number * per_mix;
        for fault in from..(from + per_mix).min(faults) {
            if !round(&mut bench, kinds, fault, &mut outcome) {
                break;
            }
        }
        let verdict = bench.verdict;
        outcome.verdict.right += verdict.right;
        outcome.verdict.lost += verdict.lost;
        outcome.verdict.doubled += verdict.doubled;
        outcome.verdict.different += verdict.different;
    }
    outcome
}

/// One fault: load, blow, takeover, a while alone, rejoin. `false`: the run cannot go on.
fn round<M: Inside>(bench: &mut Bench<M>, kinds: &[u64], number: u64, outcome: &mut Outcome) -> bool {
    for _ in 0..bench.random.between(1, 4) {
        let Some(count) = bench.burst() else { return false };
        outcome.commands += count as u64;
    }
    let (name, what) = blow::<M>(kinds, number, &mut bench.random);
    let after = bench.random.below(12) as u32;
    let before = bench.shadow.takeovers();
    assert!(bench.shadow.is_following());
    let hit = match what {
        Blow::Fault(fault) => bench.function.with(|model, _| {
            model.inject(fault, after);
            None
        }),
        Blow::Upset(choice) => bench.function.with(|model, _| model.upset(choice)),
    };
    let mut fed = 0;
    while bench.shadow.takeovers() == before && fed < PATIENCE {
        let Some(count) = bench.burst() else { return false };
        fed += count;
    }
    if let Some(hit) = hit {
        let place = hit.split(' ').next().unwrap_or_default().to_owned();
        let (hits, noticed) = outcome.hits.entry(place).or_default();
        *hits += 1;
        *noticed += u64::from(bench.shadow.takeovers() > before);
    }
    let tally = outcome.kinds.entry(name).or_default();
    tally.injected += 1;
    if bench.shadow.takeovers() > before {
        tally.noticed += 1;
        let takeover = bench.shadow.takeover().expect("there was one");
        outcome.switch_ns.push(takeover.switch_ns);
        match takeover.cause {
            Cause::Failed { .. } => tally.by_failure += 1,
            Cause::Different { .. } | Cause::Unasked { .. } => tally.by_difference += 1,
            Cause::Late { .. } => tally.by_lateness += 1,
        }
        if takeover.waited_ns > 0 {
            outcome.waited_ns.push(takeover.waited_ns);
        }
    }
    outcome.commands += fed as u64;
    let mut alone = 0;
    while alone < ALONE {
        let Some(count) = bench.burst() else { return false };
        alone += count;
    }
    outcome.commands += alone as u64;
    bench.function.with(|model, _| model.repair());
    bench.shadow.rejoin().unwrap_or_else(|error| panic!("{name}: {error}"));
    true
}

/// Long queues, in a book small enough to be entered a few hundred times.
fn small_deep() -> Mix {
    Mix { limits: Limits { ticks: vec![16, 300], slots: 512, max_qty: 1 << 20 }, live: 400, ..Mix::deep() }
}

/// Mixes of which every book is small enough to be entered a few hundred times.
fn mixes() -> Vec<Mix> {
    vec![Mix::crowded(), Mix::kin(), Mix::full(), small_deep()]
}

/// A thousand faults: none of the oracle's events lost, doubled or different, and every fault that must be noticed was.
fn a_thousand_faults<M: Inside>(mixes: Vec<Mix>) -> Outcome {
    const FAULTS: u64 = 1_000;
    let mut outcome = campaign::<M>(mixes, &ALL_KINDS, FAULTS, 1, None);
    let injected: u64 = outcome.kinds.values().map(|tally| tally.injected).sum();
    println!(
        "{injected} faults in {} commands, {} events: {:?}",
        outcome.commands, outcome.verdict.right, outcome.verdict
    );
    for (name, tally) in &outcome.kinds {
        println!(
            "{name:20} injected {:3}, taken over {:3} (driver {:3}, different {:3}, late {:3})",
            tally.injected, tally.noticed, tally.by_failure, tally.by_difference, tally.by_lateness
        );
    }
    for (place, (hits, noticed)) in &outcome.hits {
        println!("    {place:30} {hits} bits flipped, {noticed} noticed");
    }
    for (what, times) in [("wait before the decision", &mut outcome.waited_ns), ("switch", &mut outcome.switch_ns)] {
        times.sort_unstable();
        let (half, last) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{what}: p50 {half} ns, max {last} ns of {}", times.len());
    }
    assert_eq!(injected, FAULTS);
    assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
    assert_eq!(outcome.kinds.len() as u64, KINDS);
    for (name, tally) in &outcome.kinds {
        // A wrong bit may stand where nothing reads it.
        let may_hide = ["command bit flipped", FLIPPED].contains(name);
        assert!(tally.injected >= FAULTS / KINDS - 1, "{name}");
        assert!(tally.noticed == tally.injected || may_hide && tally.noticed > 0, "{name}: {tally:?}");
    }
    outcome
}

#[test]
fn a_thousand_faults_lose_double_and_change_nothing() {
    let outcome = a_thousand_faults::<Queued<Software>>(mixes());
    for name in ["command bit flipped", FLIPPED] {
        let tally = outcome.kinds[name];
        assert!(tally.noticed * 2 > tally.injected, "{name}: {tally:?}");
    }
}

#[test]
fn each_planted_bug_is_caught() {
    let run = |bug| campaign::<Queued<Software>>(mixes(), &ALL_KINDS, 60, 7, bug).verdict;
    let broken = |bug| run(Some(bug));
    assert!(run(None).is_clean());
    let believed = broken(Planted::SkipsComparison);
    assert!(believed.different > 0, "{believed:?}");
    let later = broken(Planted::ResumesLater);
    assert!(later.lost > 0, "{later:?}");
    let twice = broken(Planted::HandsOutTwice);
    assert!(twice.doubled > 0, "{twice:?}");
}

#[test]
fn a_shadow_that_trusts_silence_loses() {
    let mut bench = Bench::<Queued<Software>>::new(Mix::kin(), 3, LATE_NS / 2);
    bench.shadow.plant = Plant { bug: Some(Planted::TrustsSilence) };
    bench.function.with(|model, _| model.inject(DeviceFault::Stall, 3));
    let stuck = (0..50).any(|_| bench.burst().is_none());
    assert!(stuck && bench.verdict.lost > 0, "{:?}", bench.verdict);
}

#[test]
fn a_device_is_loaded_with_a_recovered_book() {
    let mix = small_deep();
    let limits = mix.limits.clone();
    let (mut beats, mut twin, mut oracle) =
        (Beats::new(mix, 5), Software::new(limits.clone()), Reference::new(limits.clone()));
    let step = |beats: &mut Beats, oracle: &mut Reference| -> (Command, Vec<Event>) {
        let (command, mut due) = (beats.next_beat(), Vec::new());
        oracle.execute(&command, |event| due.push(event));
        beats.observe(&command, &due).unwrap();
        (command, due)
    };
    for _ in 0..4_000 {
        let (command, _) = step(&mut beats, &mut oracle);
        twin.execute(&command, |_| {});
    }
    assert!(beats.audit().live().len() > 100);
    let (function, device) = device::<Queued<Software>>(&limits, 9, LATE_NS * 100);
    let mut shadow = Shadow::new(device, twin, LATE_NS * 100, Monotonic::new()).unwrap();
    assert_eq!(function.with(|model, _| model.matcher().twin().digest()), oracle.digest());
    for _ in 0..2_000 {
        let (command, due) = step(&mut beats, &mut oracle);
        assert_eq!(shadow.submit(&[command]), 1);
        let mut got = Vec::new();
        for _ in 0..MOST_POLLS {
            let mut events = [Event::BLANK; 8];
            let count = shadow.poll(&mut events);
            got.extend_from_slice(&events[..count]);
            if !shadow.busy() {
                break;
            }
        }
        assert_eq!(got, due);
    }
    assert_eq!((shadow.takeovers(), shadow.is_following()), (0, true));
}

#[test]
fn a_device_that_does_not_take_the_book_is_refused() {
    let limits = Mix::kin().limits;
    let mut twin = Software::new(limits.clone());
    let mut beats = Beats::new(Mix::kin(), 2);
    for _ in 0..200 {
        let (command, mut due) = (beats.next_beat(), Vec::new());
        twin.execute(&command, |event| due.push(event));
        beats.observe(&command, &due).unwrap();
    }
    for (fault, after) in
        [(DeviceFault::Stall, 2), (DeviceFault::EventFlipped(170), 2), (DeviceFault::CommandFlipped(200), 0)]
    {
        let (function, device) = device::<Queued<Software>>(&limits, 4, LATE_NS);
        function.with(|model, _| model.inject(fault, after));
        assert!(Shadow::new(device, twin.clone(), LATE_NS, Monotonic::new()).is_err(), "{fault:?}");
    }
}
