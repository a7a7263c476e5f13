//! The same faults with the Verilated kernel behind registers and rings, and bits that flip in each of its memories.
//!
//! Time is counted in looks at the clock, so that how fast the kernel is simulated decides nothing.

use super::*;
use crate::device::Manual;
use crate::rtl::{self, Gaps, Rtl};

/// A reader so slow that events wait in the kernel's queue, which is a memory too.
const READER: Gaps = Gaps { seed: 1, offer: 256, accept: 60 };
/// Nanoseconds that a look at the clock takes.
const LOOK_NS: u64 = 1_000;

impl Inside for Rtl {
    type Time = Manual;
    /// Ten by slot, level or word; the event queue; and, in a kernel of several books, two more.
    const MEMORIES: u64 = 13;

    fn make(limits: &Limits) -> Self {
        let mut kernel = Rtl::new(rtl::Model::Many, limits.clone()).expect("the mixes fit the model of several books");
        kernel.set_gaps(READER);
        kernel
    }

    fn time() -> Manual {
        Manual::stepping(LOOK_NS)
    }
}

/// The number of the kind that damages what is stored.
const STORED: u64 = KINDS - 1;

/// The mixes, in what the kernel of several books holds.
fn kernel_mixes() -> Vec<Mix> {
    let capacity = rtl::Model::Many.capacity();
    let fit = |mut mix: Mix| {
        mix.limits.ticks.truncate(capacity.books as usize);
        mix.limits.ticks.iter_mut().for_each(|ticks| *ticks = (*ticks).min(capacity.ticks));
        mix
    };
    mixes().into_iter().map(fit).collect()
}

#[test]
fn a_thousand_faults_of_the_kernel_lose_double_and_change_nothing() {
    let outcome = a_thousand_faults::<Rtl>(kernel_mixes());
    let rams = Rtl::make(&kernel_mixes()[0].limits).rams().to_vec();
    assert_eq!(rams.len() as u64, Rtl::MEMORIES);
    for ram in rams {
        assert!(outcome.hits.get(&ram.name).is_some_and(|(hits, _)| *hits > 0), "no bit flipped in {}", ram.name);
    }
}

/// Bits flip in each memory, twenty times: whatever comes of it, what is handed out is right; and in each memory it does matter.
#[test]
fn a_bit_that_flips_in_any_memory_changes_nothing_that_is_handed_out() {
    const EACH: u64 = 20;
    let (kinds, faults) = ([STORED], Rtl::MEMORIES * EACH);
    let outcome = campaign::<Rtl>(vec![kernel_mixes().remove(3)], &kinds, faults, 11, None);
    for (place, (hits, noticed)) in &outcome.hits {
        println!("{place:40} {hits} bits flipped, {noticed} noticed");
    }
    assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
    assert_eq!(outcome.kinds[FLIPPED].injected, faults);
    for (place, (_, noticed)) in &outcome.hits {
        // An event waits in the queue for a moment; what is stored there otherwise was sent long ago.
        assert!(*noticed > 0 || place.ends_with("u_out"), "nobody reads what flipped in {place}");
    }
}

#[test]
fn a_shadow_that_does_not_compare_hands_out_what_a_flipped_bit_made() {
    let believed = campaign::<Rtl>(kernel_mixes(), &ALL_KINDS, 60, 7, Some(Planted::SkipsComparison)).verdict;
    assert!(believed.different + believed.lost > 0, "{believed:?}");
}
