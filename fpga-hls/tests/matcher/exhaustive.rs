//! The software twin in every state of a tiny book, and planted faults that a walk over all of them must meet.

use wirebook_matcher::abi::{Limits, Reason};
use wirebook_matcher::exhaustive::{Property, Share, Tiny, Walked, Wrong, walk};
use wirebook_matcher::{Fault, Reference, Software, Twin};

/// States of the tiny book: three ticks, three slots, two owners, leaves of one or two, never crossed, by order of queues.
const STATES: u64 = 12_265;

fn equal(tiny: &Tiny) -> Walked {
    let (mut subject, oracle) = (Software::new(tiny.limits.clone()), Reference::new(tiny.limits.clone()));
    let walked = walk(tiny, Share::WHOLE, &mut subject, oracle, |_, _| {}).unwrap_or_else(|found| panic!("{found}"));
    println!("{walked}");
    assert_eq!((walked.states, walked.transitions), (STATES, STATES * walked.commands));
    walked
}

#[test]
fn the_software_twin_is_the_reference_in_every_state() {
    let walked = equal(&Tiny::new());
    for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::None && *reason < Reason::User) {
        assert!(walked.refusals[reason as usize] > 0, "{reason:?}");
    }
    for outcome in ["new fok: own maker, fill, complete", "replace post: cancelled PostOnly", "reduce: reduced"] {
        assert!(walked.coverage.of(outcome) > 0, "{outcome}");
    }
}

#[test]
fn the_software_twin_is_the_reference_in_every_state_with_an_owner_that_is_exempt() {
    equal(&Tiny::exempt());
}

/// Two halves at a time are one whole; only what is compared is counted.
#[test]
fn shares_of_the_states_are_the_whole() {
    let tiny = Tiny { one_refusal_in: 3, limits: Limits { ticks: vec![2], slots: 2, max_qty: 1 }, ..Tiny::new() };
    let walked = |index, of| {
        let (mut subject, oracle) = (Software::new(tiny.limits.clone()), Reference::new(tiny.limits.clone()));
        walk(&tiny, Share { index, of }, &mut subject, oracle, |_, _| {}).unwrap_or_else(|found| panic!("{found}"))
    };
    let (whole, halves) = (walked(0, 1), [walked(0, 2), walked(1, 2)]);
    assert!(halves.iter().all(|half| half.states == whole.states && half.compared < whole.compared));
    let counts: [fn(&Walked) -> u64; 4] = [|w| w.compared, |w| w.transitions, |w| w.changes, |w| w.events];
    for count in counts {
        assert_eq!(halves.iter().map(count).sum::<u64>(), count(&whole));
    }
    // Three walks that each pass over two refusals of three: what is refused is a third of them all, what changes the book is the same.
    let all = {
        let (mut subject, oracle) = (Software::new(tiny.limits.clone()), Reference::new(tiny.limits.clone()));
        let tiny = Tiny { one_refusal_in: 1, ..tiny.clone() };
        walk(&tiny, Share::WHOLE, &mut subject, oracle, |_, _| {}).unwrap_or_else(|found| panic!("{found}"))
    };
    let refused = |walked: &Walked| walked.refusals.iter().sum::<u64>();
    assert_eq!((all.changes, all.transitions), (whole.changes, all.states * all.commands));
    assert_eq!(all.transitions - refused(&all), whole.transitions - refused(&whole));
    assert!(refused(&whole).abs_diff(refused(&all) / 3) < all.states * 10, "{} of {}", refused(&whole), refused(&all));
}

#[test]
fn the_walk_meets_every_planted_fault() {
    for fault in Fault::ALL {
        let tiny = if fault == Fault::OwnerZeroCompared { Tiny::exempt() } else { Tiny::new() };
        let mut subject = Reference::planted(tiny.limits.clone(), fault);
        let oracle = Reference::new(tiny.limits.clone());
        let met = walk(&tiny, Share::WHOLE, &mut subject, oracle, |_, _| {}).expect_err("a planted fault is met");
        assert!(matches!(met.what, Wrong::Differs { .. } | Wrong::Probe { .. }), "{fault:?}: {:?}", met.what);
    }
}

/// When the oracle itself is wrong and its subject with it, the properties alone can tell.
#[test]
fn each_property_is_broken_by_a_fault_that_both_sides_share() {
    for (fault, property) in [
        (Fault::LastInFirstOut, Property::Head),
        (Fault::TakersPrice, Property::Limit),
        (Fault::ThroughTheLimit, Property::Limit),
        (Fault::OneLevelOnly, Property::Crossed),
    ] {
        let tiny = Tiny::new();
        let mut subject = Reference::planted(tiny.limits.clone(), fault);
        let oracle = Reference::planted(tiny.limits.clone(), fault);
        let met = walk(&tiny, Share::WHOLE, &mut subject, oracle, |_, _| {}).expect_err("a property is broken");
        assert_eq!(met.what, Wrong::Property(property), "{fault:?}");
    }
}
