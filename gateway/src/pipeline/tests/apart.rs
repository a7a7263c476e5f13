//! Stages on threads of their own: what happens when one is slow, full, or gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wirebook_matcher::abi::{Capabilities, Command, Event, Limits};
use wirebook_matcher::{Matcher, Queued, Software};

use super::super::flights::Reader;
use super::super::{AckPolicy, Control, Room, VenueError};
use super::acks::{bid, login, offer};
use super::rig::{Rig, Way, honest};

/// Takes and gives nothing while it is shut, and is at work meanwhile; panics when it is told to.
struct Gate {
    honest: Queued<Software>,
    shut: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Matcher for Gate {
    fn submit(&mut self, commands: &[Command]) -> usize {
        assert!(!self.panics.load(Ordering::Relaxed), "a planted panic of the matcher");
        if self.shut.load(Ordering::Relaxed) { 0 } else { self.honest.submit(commands) }
    }
    fn poll(&mut self, events: &mut [Event]) -> usize {
        if self.shut.load(Ordering::Relaxed) { 0 } else { self.honest.poll(events) }
    }
    fn limits(&self) -> &Limits {
        self.honest.limits()
    }
    fn capabilities(&self) -> Capabilities {
        self.honest.capabilities()
    }
    fn busy(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }
}

type Switches = (Arc<AtomicBool>, Arc<AtomicBool>);

fn gated(room: Room, policy: AckPolicy) -> (Rig<Gate>, Switches) {
    let (shut, panics) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let switches = (Arc::clone(&shut), Arc::clone(&panics));
    let rig = Rig::open(Way::Pipelined(room), policy, |twin| Gate { honest: Queued::over(twin), shut, panics });
    (rig, switches)
}

#[test]
fn clients_are_read_while_the_matcher_is_at_work_and_no_further_than_there_is_room() {
    const BURSTS: usize = 4;
    const ORDERS: u32 = 3_000;
    let (mut rig, (shut, _)) = gated(Room { bursts: BURSTS, ..Room::default() }, AckPolicy::Matched);
    let (mut client, mut other) = (login(&mut rig, 1), login(&mut rig, 2));
    rig.until("the logins' records", &mut [], |rig, _| rig.durable()).unwrap();
    shut.store(true, Ordering::Relaxed);
    for number in 1..=ORDERS {
        assert!(client.say(&bid(number)));
    }
    let before = rig.venue.sequencer.last_seq();
    rig.until("a full pipeline", &mut [&mut client], |rig, _| !rig.venue.has_room()).unwrap();
    let read = rig.venue.sequencer.last_seq() - before;
    rig.turns(300, &mut [&mut client]).unwrap();
    assert!(read > 0 && rig.venue.sequencer.last_seq() - before == read, "clients are read although there is no room");
    assert!(read <= (BURSTS * 2 * 64) as u64, "{read} records of {BURSTS} bursts");
    assert!(client.heard.is_empty(), "told of what nobody matched: {:?}", client.heard);
    shut.store(false, Ordering::Relaxed);
    rig.until("the answers", &mut [&mut client], |_, clients| clients[0].heard.len() == ORDERS as usize).unwrap();
    // Nothing is lost, and nothing has overtaken.
    for (number, told) in (1..).zip(&client.heard) {
        assert_eq!(*told, format!("A {number} Buy 10 @1000000"));
    }
    assert!(other.say(&offer(1, 10 * ORDERS)));
    rig.until("the sweep", &mut [&mut client, &mut other], |_, clients| {
        clients[0].heard.len() == 2 * ORDERS as usize && clients[1].heard.len() == 1 + ORDERS as usize
    })
    .unwrap();
    assert_eq!(rig.venue.books().fills(), u64::from(ORDERS));
}

#[test]
fn rings_of_a_few_beats_lose_nothing() {
    const MAKERS: u32 = 400;
    let room = Room { bursts: 2, beats: 8, journal_bytes: 1 << 18 };
    for policy in [AckPolicy::Matched, AckPolicy::Journaled] {
        let mut rig = Rig::with_blocks(Way::Pipelined(room), 64 << 10, policy, honest);
        let (mut maker, mut taker) = (login(&mut rig, 1), login(&mut rig, 2));
        for number in 1..=MAKERS {
            assert!(maker.say(&bid(number)));
        }
        rig.until("bids", &mut [&mut maker], |_, clients| clients[0].heard.len() == MAKERS as usize).unwrap();
        assert!(taker.say(&offer(1, 10 * MAKERS)));
        rig.until("the sweep", &mut [&mut maker, &mut taker], |_, clients| {
            clients[0].heard.len() == 2 * MAKERS as usize && clients[1].heard.len() == 1 + MAKERS as usize
        })
        .unwrap();
    }
}

#[test]
fn a_disk_that_stands_still_stops_the_reading_and_loses_nothing() {
    const ORDERS: u32 = 4_000;
    let room = Room { bursts: 8, beats: 4096, journal_bytes: 1 << 18 };
    let mut rig = Rig::with_blocks(Way::Pipelined(room), 64 << 10, AckPolicy::Journaled, honest);
    let mut client = login(&mut rig, 1);
    rig.until("the login's record", &mut [], |rig, _| rig.durable()).unwrap();
    rig.shut_disk(true);
    for number in 1..=ORDERS {
        assert!(client.say(&bid(number)));
    }
    let full = |rig: &Rig<_>| !rig.venue.has_room() && rig.venue.flights.left(Reader::Books) == 0;
    rig.until("a full journal", &mut [&mut client], |rig, _| full(rig)).unwrap();
    let read = rig.venue.sequencer.last_seq();
    rig.turns(300, &mut [&mut client]).unwrap();
    assert_eq!(rig.venue.sequencer.last_seq(), read, "clients are read although there is no room");
    assert!(client.heard.is_empty(), "acknowledged, and not durable: {:?}", client.heard.len());
    rig.shut_disk(false);
    rig.until("the answers", &mut [&mut client], |_, clients| clients[0].heard.len() == ORDERS as usize).unwrap();
    for (number, told) in (1..).zip(&client.heard) {
        assert_eq!(*told, format!("A {number} Buy 10 @1000000"));
    }
}

#[test]
fn a_thread_that_ends_by_itself_stops_the_venue_with_its_name() {
    for stage in ["matcher", "journal"] {
        let (mut rig, (_, panics)) = gated(Room::default(), AckPolicy::Journaled);
        let mut client = login(&mut rig, 1);
        rig.until("the login's record", &mut [], |rig, _| rig.durable()).unwrap();
        match stage {
            "matcher" => panics.store(true, Ordering::Relaxed),
            _ => {
                rig.shut_disk(true);
                rig.plant_panic();
            }
        }
        assert!(client.say(&bid(1)));
        let ended = rig.until("the end", &mut [&mut client], |_, _| false).unwrap_err();
        let VenueError::Stage { stage: named, why } = &ended else { panic!("{stage}: {ended}") };
        assert!(*named == stage && why.contains("a planted panic of the"), "{ended}");
        client.turn();
        assert!(client.heard.is_empty(), "{stage}: told {:?}", client.heard);
    }
}

#[test]
fn an_operator_waits_for_what_is_under_way_and_a_venue_that_is_dropped_ends() {
    let (mut rig, (shut, _)) = gated(Room::default(), AckPolicy::Matched);
    let mut client = login(&mut rig, 1);
    for number in 1..=100 {
        assert!(client.say(&bid(number)));
    }
    client.link.flush().unwrap();
    shut.store(true, Ordering::Relaxed);
    let opener = Arc::clone(&shut);
    let later = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        opener.store(false, Ordering::Relaxed);
    });
    rig.ask(Control::Day(wirebook_settlement::record::DayPhase::Close));
    rig.until("the end of the day", &mut [&mut client], |_, clients| clients[0].over.is_some()).unwrap();
    later.join().unwrap();
    let (taken, gone) = (
        client.heard.iter().filter(|told| told.starts_with("A ")).count(),
        client.heard.iter().filter(|told| told.starts_with("C ")).count(),
    );
    assert_eq!(taken, gone, "each order that was taken is cancelled at the day's end, and told: {:?}", client.heard);
    // With bursts under way and a matcher that does not answer.
    shut.store(true, Ordering::Relaxed);
    drop(rig);
}
