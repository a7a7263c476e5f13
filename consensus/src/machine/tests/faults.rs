//! A matcher that lies: each event of a right answer with any field wrong, and the reference with a rule broken. The
//! books say so, book nothing of it, never panic, and stay shut.

use wirebook_matcher::abi::{Command, Event, EventKind, NO_SLOT, Reason, SelfTrade, TimeInForce};
use wirebook_matcher::{Fault as MatcherFault, Reference, Twin};

use super::gateway::{Gateway, venue};
use crate::machine::{Books, Refusal};
use crate::record::Payload;

/// Books and a twin apart, as the hot path has them.
struct Split {
    gateway: Gateway,
    books: Books,
    twin: Reference,
}

impl Split {
    fn new(seed: u64, fault: Option<MatcherFault>) -> Self {
        let (mut gateway, mut books) = (Gateway::new(seed), Books::new(0));
        for payload in venue() {
            let record = gateway.record(&books, (0, payload));
            let command = books.admit(&record).unwrap();
            books.event(&crate::machine::done(command.seq), &mut |_| {}).unwrap();
        }
        let limits = books.limits().unwrap();
        let twin = match fault {
            Some(fault) => Reference::planted(limits, fault),
            None => Reference::new(limits),
        };
        Self { gateway, books, twin }
    }

    /// The next order that is admitted, and its events.
    fn order(&mut self) -> (Command, Vec<Event>) {
        loop {
            let next = self.gateway.next(&self.books);
            if !matches!(next.1, Payload::Order(_)) {
                continue;
            }
            let record = self.gateway.record(&self.books, next);
            if let Ok(command) = self.books.admit(&record) {
                let mut events = Vec::new();
                self.twin.execute(&command, |event| events.push(event));
                return (command, events);
            }
        }
    }
}

/// The event with one field wrong, in every way that matters. Another live maker can be a right answer of another book,
/// so that a maker is only made none, or one that cannot be.
fn lies(event: &Event, command: &Command) -> Vec<Event> {
    let e = *event;
    let mut lies = vec![
        Event { seq: e.seq ^ 1, ..e },
        Event { taker: e.taker ^ 1, ..e },
        Event { tick: e.tick + 1, ..e },
        Event { tick: u32::MAX, ..e },
        Event { qty: e.qty + 1, ..e },
        Event { qty: e.qty.wrapping_sub(1), ..e },
        Event { index: e.index + 1, ..e },
        Event { freed: e.freed ^ 1, ..e },
        Event { freed: e.freed ^ 2, ..e },
        Event { last: !e.last, ..e },
        Event { maker: if e.maker == NO_SLOT { 0 } else { NO_SLOT }, ..e },
        Event { maker: e.taker, ..e },
    ];
    lies.extend(EventKind::ALL.into_iter().filter(|kind| *kind != e.kind).map(|kind| Event { kind, ..e }));
    // What is left of an immediate-or-cancel order may also go because it met its owner: of another book, it would be right.
    let either = [Reason::ImmediateOrCancel, Reason::SelfTrade];
    let newest = command.self_trade() == SelfTrade::CancelNewest && command.owner != 0;
    let plausible = newest && command.time_in_force() == Some(TimeInForce::Ioc) && either.contains(&e.reason);
    lies.extend(Reason::ALL.into_iter().filter(|reason| *reason != e.reason).map(|reason| Event { reason, ..e }));
    lies.retain(|lie| !(plausible && lie.kind == e.kind && lie.reason != e.reason && either.contains(&lie.reason)));
    lies
}

#[test]
fn an_event_with_any_field_wrong_is_a_fault_and_books_nothing() {
    let mut split = Split::new(5, None);
    let mut told = 0u32;
    for _ in 0..1500 {
        let (command, events) = split.order();
        for event in events {
            for lie in lies(&event, &command) {
                let mut books = split.books.clone();
                let fault = books.event(&lie, &mut |posting| panic!("{lie:?} moved {posting:?}"));
                let fault = fault.expect_err(&format!("{lie:?} for {event:?}"));
                assert_eq!(fault.found, lie);
                assert_eq!(books, split.books, "{fault}");
                told += 1;
            }
            split.books.event(&event, &mut |_| {}).unwrap();
        }
        assert!(split.books.idle());
    }
    assert!(told > 50_000, "{told} lies");
}

#[test]
fn an_event_of_no_command_is_a_fault() {
    let mut split = Split::new(6, None);
    let (_, events) = split.order();
    for event in &events {
        split.books.event(event, &mut |_| {}).unwrap();
    }
    let fault = split.books.event(&events[0], &mut |_| {}).unwrap_err();
    assert_eq!(fault.what, "an event of no command");
}

#[test]
fn books_that_wait_for_events_take_no_record() {
    let mut split = Split::new(7, None);
    split.order();
    let next = split.gateway.next(&split.books);
    let record = split.gateway.record(&split.books, next);
    let before = split.books.clone();
    assert!(matches!(split.books.admit(&record), Err(Refusal::Unfinished { .. })));
    assert_eq!(split.books, before);
}

/// Which broken matchers the books see by themselves: some only where another rule is broken with theirs, as when a sweep
/// that stops early leaves a fill-or-kill order. Mere priority takes a second matcher.
#[test]
fn a_matcher_that_breaks_a_rule_is_caught_where_books_can_see_it() {
    use MatcherFault as F;
    let invisible = [
        F::PartialFillLosesPriority,
        F::ReduceLosesPriority,
        F::ReplaceKeepsPriority,
        // The books themselves refuse what these two would show.
        F::OwnerUnchecked,
        F::TickBeforeSlot,
    ];
    for fault in F::ALL {
        let mut caught = None;
        'seeds: for seed in 0..8 {
            let mut split = Split::new(seed, Some(fault));
            for _ in 0..1500 {
                for event in split.order().1 {
                    if let Err(found) = split.books.event(&event, &mut |_| {}) {
                        caught = Some(found);
                        break 'seeds;
                    }
                }
            }
        }
        println!("{fault:?}: {}", caught.map_or("not to be seen", |fault| fault.what));
        assert_eq!(caught.is_none(), invisible.contains(&fault), "{fault:?}: {caught:?}");
    }
}
