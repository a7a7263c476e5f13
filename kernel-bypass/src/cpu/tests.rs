//! Placement as the system sees it, waiting by the strategy, clocks that agree.

use super::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The cores that the system lets the calling thread use, and its scheduler.
fn placed() -> (BTreeSet<usize>, String) {
    let cores = core_affinity::get_core_ids().unwrap();
    // Field 41 of stat, behind the parenthesized name: the policy.
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let policy = behind_name.split_whitespace().nth(38).unwrap().to_string();
    (cores.into_iter().map(|core| core.id).collect(), policy)
}

#[test]
fn a_child_of_a_pinned_thread_is_not_pinned() {
    let all: BTreeSet<usize> = allowed_cores().into_iter().collect();
    let core = allowed_cores()[0];
    let pinned = Placement { core: Some(core), fifo: None };
    let (parent, warnings) = spawn("parent", pinned, move || {
        let (mine, _) = placed();
        let (child, _) = spawn("child", Placement::default(), placed).unwrap();
        (mine, child.join().unwrap().0)
    })
    .unwrap();
    assert_eq!(warnings, []);
    let (parent, child) = parent.join().unwrap();
    assert_eq!(parent, BTreeSet::from([core]));
    assert_eq!(child, all);
}

#[test]
fn real_time_is_had_or_warned_of_and_never_inherited() {
    const FIFO: &str = "1";
    let placement = Placement { core: None, fifo: Some(1) };
    let (thread, warnings) = spawn("real-time", placement, || {
        let (_, mine) = placed();
        // Not by `spawn`: the scheduler resets it by itself.
        let child = std::thread::spawn(placed).join().unwrap().1;
        (mine, child)
    })
    .unwrap();
    let (mine, child) = thread.join().unwrap();
    let refused = warnings.iter().any(|warning| warning.0.contains("real-time priority 1 refused"));
    assert_ne!(mine == FIFO, refused, "{mine} {warnings:?}");
    assert_ne!(child, FIFO);
}

#[test]
fn placements_that_make_no_sense_are_refused_and_nothing_runs() {
    let nowhere = Placement { core: Some(100_000), fifo: None };
    let error = spawn("nowhere", nowhere, || unreachable!()).err().unwrap();
    assert!(error.to_string().contains("core 100000"), "{error}");
    let shrill = Placement { core: None, fifo: Some(100) };
    assert!(matches!(place_current(shrill), Err(CpuError::Priority(100))));
    assert!(pin_current(100_000).is_err());
}

#[test]
fn more_loops_than_cores_is_warned_of() {
    let cores = allowed_cores();
    let warnings = latency_warnings(&cores);
    assert!(warnings.iter().any(|warning| warning.0.contains("leave none for the system")));
}

#[test]
fn strategies_are_read_as_they_are_shown() {
    for strategy in [
        WaitStrategy::Spin,
        WaitStrategy::SpinYield,
        WaitStrategy::default(),
        WaitStrategy::Park { max: Duration::from_millis(2) },
    ] {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
    }
    assert_eq!("park".parse(), Ok(WaitStrategy::default()));
    assert_eq!("park:1s".parse(), Ok(WaitStrategy::Park { max: Duration::from_secs(1) }));
    for bad in [
        "",
        "Spin",
        "park:",
        "park:5",
        "park:us",
        "park:0us",
        "park:2s",
        "park:1h",
        "park:99999999999999999999s",
        "park:1.5ms",
    ] {
        let error = bad.parse::<WaitStrategy>().unwrap_err();
        assert!(error.to_string().contains("spin-yield"), "{error}");
        assert_eq!(error.found, bad);
    }
}

/// In which of `rounds` empty rounds the loop slept, and for how long it was allowed to.
fn sleeps(idle: &mut Idle, rounds: u32) -> Vec<(u32, Duration)> {
    (0..rounds).filter_map(|round| idle.idle_with(|timeout| timeout).map(|timeout| (round, timeout))).collect()
}

#[test]
fn only_parking_sleeps_and_only_after_a_while() {
    let max = Duration::from_micros(250);
    let mut idle = Idle::new(WaitStrategy::Park { max });
    let first = sleeps(&mut idle, 1000);
    assert!(first[0].0 > 100, "spins first");
    assert!(first.iter().all(|&(_, timeout)| timeout == max));
    assert_eq!(first.len() as u32, 1000 - first[0].0, "then sleeps every round");
    idle.worked();
    assert_eq!(sleeps(&mut idle, 100), [], "work starts it over");
    for strategy in [WaitStrategy::Spin, WaitStrategy::SpinYield] {
        assert_eq!(sleeps(&mut Idle::new(strategy), 1000), []);
    }
}

#[test]
fn ticks_and_the_systems_clock_agree() {
    let tsc = Tsc::calibrate();
    let (before, start) = (Instant::now(), tsc.now());
    std::thread::sleep(Duration::from_millis(50));
    let (end, after) = (tsc.now(), before.elapsed());
    let counted = Duration::from_nanos(tsc.ns(end - start));
    // The counter was read inside of the other clock's interval, which lasted at least the sleep; 1 % covers the calibration.
    assert!(counted <= after + after / 100, "{counted:?} in {after:?}");
    assert!(counted >= Duration::from_micros(49_500), "{counted:?}");
    for ns in [0, 1, 1_000, 1_000_000_007, u64::MAX / 1_000_000] {
        let back = tsc.ns(tsc.ticks(ns));
        assert!(back <= ns && ns - back <= 1 + ns / 1_000_000, "{ns} {back}");
    }
}

#[test]
fn utc_never_goes_back() {
    let mut clock = UtcClock::new();
    let mut last = 0;
    for _ in 0..10_000 {
        let now = clock.now_ns();
        assert!(now >= last);
        last = now;
    }
    // 2020-01-01: the machine's clock is set.
    assert!(last > 1_577_836_800_000_000_000);
    let later = last + 3_600_000_000_000;
    let mut resumed = UtcClock::not_before(later);
    assert_eq!(resumed.now_ns(), later, "stands still until the system has caught up");
    assert!(UtcClock::not_before(5).now_ns() > 5);
}
