//! The audit refuses what no matcher may answer: each event with any of its fields changed, events left out or doubled, and
//! the planted faults that can be told without knowing the queues.

use crate::compare::answer;
use wirebook_matcher::abi::{Event, EventKind, Reason};
use wirebook_matcher::flow::{Audit, Beats, Mix};
use wirebook_matcher::{Fault, Reference, Software, Twin};

/// An event with one thing changed: which, and into what.
fn tampered(event: &Event) -> Vec<(&'static str, Event)> {
    let e = *event;
    let mut kinds = EventKind::ALL.into_iter().filter(|kind| *kind != e.kind);
    let other = kinds.nth(e.qty as usize % 6).expect("there are six other kinds");
    let reason = if e.reason == Reason::None { Reason::User } else { Reason::None };
    vec![
        ("seq", Event { seq: e.seq + 1, ..e }),
        ("taker", Event { taker: e.taker ^ 1, ..e }),
        ("maker", Event { maker: e.maker ^ 1, ..e }),
        ("tick", Event { tick: e.tick ^ 1, ..e }),
        ("qty", Event { qty: e.qty ^ 1, ..e }),
        ("index", Event { index: e.index + 1, ..e }),
        ("kind", Event { kind: other, ..e }),
        ("reason", Event { reason, ..e }),
        ("freed", Event { freed: e.freed ^ 1, ..e }),
        ("freed", Event { freed: e.freed ^ 2, ..e }),
        ("last", Event { last: !e.last, ..e }),
    ]
}

#[test]
fn no_field_of_no_event_can_be_another() {
    let mix = Mix::kin();
    let mut beats = Beats::new(mix.clone(), 11);
    let mut twin = Software::new(mix.limits.clone());
    let mut events = Vec::new();
    let mut seen = [0u32; EventKind::ALL.len()];
    for _ in 0..4000 {
        let command = beats.next_beat();
        answer(&mut twin, &command, &mut events);
        let refuses = |answer: &[Event]| beats.audit().clone().follow(&command, answer).is_err();
        for (at, event) in events.iter().enumerate() {
            seen[event.kind as usize] += 1;
            for (field, wrong) in tampered(event) {
                let mut answer = events.clone();
                answer[at] = wrong;
                assert!(refuses(&answer), "{field} of event {at}: {answer:#?} to {command:?}");
            }
        }
        let doubled = [&events[..], &events[events.len() - 1..]].concat();
        assert!(refuses(&events[1..]) && refuses(&events[..events.len() - 1]) && refuses(&doubled), "{events:?}");
        beats.observe(&command, &events).unwrap();
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

#[test]
fn faults_that_show_without_a_queue_are_refused() {
    for (fault, shows) in [
        (Fault::TakersPrice, true),
        (Fault::ThroughTheLimit, true),
        (Fault::RemainderRests, true),
        (Fault::OwnerUnchecked, false),
        (Fault::MakerNotFreed, true),
        (Fault::LastInFirstOut, false),
        (Fault::PartialFillLosesPriority, false),
    ] {
        let mix = Mix::kin();
        let mut beats = Beats::new(mix.clone(), 12);
        let mut twin = Reference::planted(mix.limits.clone(), fault);
        let mut events = Vec::new();
        let refused = (0..5000).any(|_| {
            let command = beats.next_beat();
            answer(&mut twin, &command, &mut events);
            beats.observe(&command, &events).is_err()
        });
        assert_eq!(refused, shows, "{fault:?}");
    }
}

#[test]
fn an_audit_of_an_empty_book_knows_no_order() {
    let audit = Audit::new(&Mix::kin().limits);
    assert!(audit.live().is_empty() && audit.order(0).is_none() && audit.order(u32::MAX).is_none());
}
