//! A book made again from its orders: what snapshots and a matcher that takes over rely on.

use crate::compare::answer;
use wirebook_matcher::abi::{Limits, Side};
use wirebook_matcher::flow::{Beats, Mix};
use wirebook_matcher::{Reference, Resting, Software, Twin};

/// The book of a snapshot is the book that it was taken of: by digest, and by what it answers from then on.
#[test]
fn a_book_restored_order_by_order_is_the_same_book() {
    fn restored<A: Twin, B: Twin>() {
        let mix = Mix::crowded();
        let mut beats = Beats::new(mix.clone(), 77);
        let mut twin = A::new(mix.limits.clone());
        let mut events = Vec::new();
        for round in 0..40 {
            for _ in 0..50 {
                let command = beats.next_beat();
                answer(&mut twin, &command, &mut events);
                beats.observe(&command, &events).unwrap();
            }
            let mut copy = B::new(mix.limits.clone());
            twin.orders(|order| copy.restore(&order).unwrap());
            assert_eq!(twin.digest(), copy.digest(), "round {round}");
            let mut again = Vec::new();
            for _ in 0..50 {
                let command = beats.next_beat();
                answer(&mut twin, &command, &mut events);
                answer(&mut copy, &command, &mut again);
                assert_eq!(events, again, "round {round}");
                beats.observe(&command, &events).unwrap();
            }
        }
    }
    restored::<Reference, Software>();
    restored::<Software, Reference>();
    restored::<Software, Software>();
}

#[test]
fn what_is_no_book_is_not_restored() {
    fn refused<T: Twin>() {
        let mut twin = T::new(Limits { ticks: vec![100, 10], slots: 16, max_qty: 1000 });
        let good = Resting { slot: 3, instrument: 1, owner: 7, side: Side::Sell, tick: 5, leaves: 9 };
        twin.restore(&good).unwrap();
        assert_eq!(twin.order(3), Some(good));
        let bid = Resting { slot: 4, side: Side::Buy, tick: 4, ..good };
        let digest = twin.digest();
        for (order, reason) in [
            (good, "the slot is live"),
            (Resting { slot: 16, ..bid }, "the slot is out of range"),
            (Resting { instrument: 2, ..bid }, "no such instrument"),
            (Resting { tick: 10, ..bid }, "the tick is outside the band"),
            (Resting { leaves: 0, ..bid }, "the leaves are 0 or beyond the limit"),
            (Resting { leaves: 1001, ..bid }, "the leaves are 0 or beyond the limit"),
            (Resting { tick: 5, ..bid }, "it would cross the book"),
        ] {
            assert_eq!(twin.restore(&order).unwrap_err().reason, reason);
            assert_eq!(twin.digest(), digest);
        }
        twin.restore(&bid).unwrap();
    }
    refused::<Reference>();
    refused::<Software>();
}
