//! What clients were told live, and what the records alone say that they were told.

use std::collections::BTreeMap;

use wirebook_settlement::record::{DayPhase, Payload, State};

use super::Publisher;
use crate::entry::chaos::Chaos;
use crate::entry::harness::{SESSIONS, SLOTS, Venue, order, re_execute};
use crate::session::ouch::Side;
use crate::session::ouch::inbound::Inbound;
use crate::session::ouch::outbound::Outbound;
use crate::session::soup::History;

/// Every stream, message by message, from a journal alone.
fn regenerate(journal: &[u8]) -> Publisher {
    let mut publisher = Publisher::new(SLOTS);
    re_execute(journal, |record, events| {
        publisher.record(record);
        for (event, match_number) in events {
            publisher.event(record, event, *match_number);
        }
        publisher.release(record.header.seq);
    });
    publisher
}

fn count(publisher: &Publisher) -> u64 {
    SESSIONS.iter().map(|session| publisher.streams().history(*session).next_sequence() - 1).sum()
}

fn same(one: &Publisher, other: &Publisher) -> bool {
    SESSIONS.iter().all(|session| {
        let (one, other) = (one.streams().history(*session), other.streams().history(*session));
        one.next_sequence() == other.next_sequence()
            && one.released() == other.released()
            && (1..one.next_sequence()).all(|sequence| one.generated(sequence) == other.generated(sequence))
    })
}

/// Random days: each session's whole stream is made again from the record bytes. And every kind of message that the venue
/// sends was among them, and each session's executions add up with its orders.
#[test]
fn streams_are_a_function_of_the_records() {
    let mut kinds: BTreeMap<u8, u64> = BTreeMap::new();
    for seed in 100..112 {
        let mut venue = Venue::open();
        Chaos::new(seed).day(&mut venue, 1_500);
        let again = regenerate(&venue.journal);
        assert!(same(&venue.publisher, &again), "seed {seed}");
        assert!(count(&again) > 1_000, "seed {seed}: {} messages", count(&again));
        let image = venue.publisher.image();
        assert_eq!(again.image(), image, "seed {seed}: images");
        let mut restored = Publisher::restore(&image, SLOTS).expect("an image");
        assert!(same(&restored, &venue.publisher) && restored.image() == image, "seed {seed}: restored");
        for cut in [0, 7, 8, image.len() / 2, image.len() - 1] {
            assert!(Publisher::restore(&image[..cut], SLOTS).is_err(), "cut at {cut}");
        }
        // It goes on as the one that was never stopped.
        let end = venue.journal.len();
        Chaos::new(seed + 50).day(&mut venue, 200);
        let mut at = 0;
        re_execute(&venue.journal, |record, events| {
            at += record.encoded_len();
            if at > end {
                restored.record(record);
                events.iter().for_each(|(event, match_number)| restored.event(record, event, *match_number));
                restored.release(record.header.seq);
            }
        });
        assert!(same(&restored, &venue.publisher), "seed {seed}: restored, and gone on");
        for session in SESSIONS {
            for message in venue.told(session) {
                *kinds.entry(message[0]).or_default() += 1;
            }
        }
    }
    for kind in *b"SAUCDEJPIMQXGK" {
        let found = kinds.get(&kind).copied().unwrap_or(0);
        assert!(found >= 5, "{:?} was said {found} times: {kinds:?}", char::from(kind));
    }
}

/// The comparison can fail: a journal with one record changed tells another story.
#[test]
fn another_journal_is_another_story() {
    let mut venue = Venue::open();
    venue.send(1, &Inbound::Enter(order(1, Side::Buy, 10, 950_000)));
    let told = regenerate(&venue.journal);
    assert!(same(&venue.publisher, &told));
    venue.send(1, &Inbound::Enter(order(2, Side::Buy, 10, 950_000)));
    assert!(!same(&venue.publisher, &told));
}

/// Both sides of a match are told of it once, with one number, price and quantity; numbers count from 1 without gaps.
#[test]
fn a_match_is_told_to_both_sides_alike() {
    let mut total = 0;
    for seed in 7..11 {
        let mut venue = Venue::open();
        Chaos::new(seed).day(&mut venue, 1_500);
        let mut matches: BTreeMap<u64, Vec<(u32, u64)>> = BTreeMap::new();
        for session in SESSIONS {
            for bytes in venue.told(session) {
                if let Ok(Outbound::Executed(executed)) = Outbound::decode(&bytes) {
                    matches.entry(executed.match_number).or_default().push((executed.quantity, executed.price.0));
                }
            }
        }
        assert_eq!(matches.len() as u64, venue.books.fills());
        for (number, (counted, sides)) in (1..).zip(&matches) {
            assert_eq!(number, *counted);
            assert!(sides.len() == 2 && sides[0] == sides[1], "match {number}: {sides:?}");
        }
        total += matches.len();
    }
    assert!(total > 100, "{total} matches are too few to say anything");
}

/// A day that is opened again with orders live, as after a crash, restates them in the new stream.
#[test]
fn a_day_opened_again_restates_what_is_live() {
    let mut venue = Venue::open();
    venue.send(1, &Inbound::Enter(order(1, Side::Buy, 10, 950_000)));
    venue.send(2, &Inbound::Enter(order(1, Side::Sell, 4, 950_000)));
    venue.submit(&Payload::State(State::Day { date: 20_261_121, phase: DayPhase::Open, session_name: *b"DAY2      " }));
    venue.settle();
    let heard = venue.heard(1, 0);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[0], "S StartOfDay");
    assert!(
        heard[1].starts_with("R 1 [DisplayQuantity(6), DisplayPrice(Price(950000)), SecondaryOrdRefNum("),
        "{heard:?}"
    );
    assert_eq!(venue.heard(2, 0), ["S StartOfDay"]);
}
