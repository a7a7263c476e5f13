//! Software twin against reference: event by event, over millions of beats, with a count for each kind and outcome, and a
//! planted fault for each rule.
//!
//! `WIREBOOK_DEEP=N` runs N times as many beats, in N times as many seeds.

use crate::compare::{Met, Run, compare};
use crate::outcomes::outcomes;
use wirebook_matcher::flow::Mix;
use wirebook_matcher::{Fault, Reference, Software, Twin};

/// How many times as many seeds as usual.
fn depth() -> u64 {
    std::env::var("WIREBOOK_DEEP").ok().map_or(1, |n| n.parse().expect("WIREBOOK_DEEP is a number"))
}

fn inside(left: &Reference, right: &Software) -> Result<(), String> {
    left.check().and_then(|()| right.check()).map_err(|broken| broken.to_string())
}

/// Runs a mix over seeds from `first`; panics at the first difference.
fn equal(mix: &Mix, first: u64, seeds: u64, run: Run) -> Met {
    let mut all = Met::default();
    for seed in first..first + seeds * depth() {
        let mut twins = (Reference::new(mix.limits.clone()), Software::new(mix.limits.clone()));
        let met = compare((mix.clone(), seed), run, (&mut twins.0, &mut twins.1), inside);
        let met = met.unwrap_or_else(|difference| panic!("seed {seed} of {mix:?}: {difference}"));
        all.coverage.merge(&met.coverage);
        all.most_live = all.most_live.max(met.most_live);
        all.longest_queue = all.longest_queue.max(met.longest_queue);
    }
    all
}

#[test]
fn a_crowded_book_is_equal_inside_and_out_after_each_beat() {
    let met = equal(&Mix::crowded(), 100, 4, Run { beats: 200_000, look: 1 });
    assert!(met.most_live >= 16, "{} live", met.most_live);
}

#[test]
fn a_full_book_is_equal() {
    let met = equal(&Mix::full(), 200, 4, Run { beats: 250_000, look: 10 });
    assert_eq!(met.most_live, 64, "every slot is live");
    assert!(met.coverage.of("new: rejected SlotLive") > 50_000, "{}", met.coverage);
}

#[test]
fn thousands_of_orders_in_long_queues_are_equal() {
    let met = equal(&Mix::deep(), 300, 3, Run { beats: 400_000, look: 20_000 });
    assert!(met.most_live > 5000, "{} live", met.most_live);
    assert!(met.longest_queue > 500, "longest queue {}", met.longest_queue);
    assert!(met.coverage.longest_sweep() > 200, "longest sweep {}", met.coverage.longest_sweep());
}

#[test]
fn a_wide_band_is_equal() {
    let met = equal(&Mix::wide(), 400, 3, Run { beats: 400_000, look: 20_000 });
    assert!(met.most_live > 1400, "{} live", met.most_live);
}

#[test]
fn bytes_that_mean_nothing_get_equal_answers() {
    let met = equal(&Mix::noise(), 500, 4, Run { beats: 250_000, look: 5000 });
    assert!(met.coverage.of("unknown: rejected BadKind") > 100_000, "{}", met.coverage);
}

/// The fewest times that each outcome is met in a default run.
const FEWEST: u64 = 10;

#[test]
fn every_kind_meets_every_outcome() {
    let mut met = equal(&Mix::kin(), 600, 8, Run { beats: 1_200_000, look: 20 });
    met.coverage.merge(&equal(&Mix::crowded(), 700, 1, Run { beats: 300_000, look: 100 }).coverage);
    let mut names = outcomes();
    for name in &names {
        assert!(met.coverage.of(name) >= FEWEST, "{name}: {} times\n{}", met.coverage.of(name), met.coverage);
    }
    names.sort();
    for (name, count) in met.coverage.iter() {
        assert!(names.binary_search_by(|known| known.as_str().cmp(name)).is_ok(), "{count} times {name}: is it right?");
    }
}

/// The harness sees each planted fault, and soon.
#[test]
fn every_planted_fault_is_caught() {
    for fault in Fault::ALL {
        let caught = Mix::all().into_iter().filter_map(|(name, mix)| {
            let mut twins = (Reference::planted(mix.limits.clone(), fault), Software::new(mix.limits.clone()));
            let run = Run { beats: 20_000, look: 500 };
            let difference = compare((mix, 1), run, (&mut twins.0, &mut twins.1), |_, _| Ok(())).err()?;
            Some((name, difference.beat))
        });
        let caught: Vec<_> = caught.collect();
        println!("{fault:?}: {caught:?}");
        assert!(!caught.is_empty(), "{fault:?} was not noticed");
    }
}
