//! Inline and pipelined are one venue: the same records and messages for the same inputs, and at any lag nothing that the records do
//! not say.
//!
//! Inputs are random messages of four sessions ([`Chaos`]), put into order entry as a link would. Where each is read after the one before
//! is booked, both ways must make the same bytes, time stamps included. Where they are not, what order entry knows depends on how far
//! the matcher is, and so do the records; but whatever they are, executing them again must give what clients were told, the books and
//! what order entry believes. A matcher that favours the later of two orders shows that the check can fail.

use wirebook_matcher::abi::{Capabilities, Command, Event, EventKind, Limits, abi_hash};
use wirebook_matcher::flow::Random;
use wirebook_matcher::{Matcher, Queued, Software};

use super::super::flights::Reader;
use super::super::{AckPolicy, Room};
use super::acks::{bid, offer};
use super::rig::{Client, Rig, Way, honest, ways};
use crate::entry::Verdict;
use crate::entry::chaos::Chaos;
use crate::entry::harness::{MAX_QTY, SESSIONS, SLOTS};
use crate::journal::{Expect, recover};
use crate::recover::{Replay, Sizes};
use crate::session::ouch::Inbound;

/// Messages of a run.
const MESSAGES: u32 = 300;
/// Seeds of a test.
const SEEDS: u64 = 3;
/// Between two messages.
const STEP_NS: u64 = 1_000_000;
/// Turns that a message may take, at most.
const TURNS: u32 = 10_000_000;

/// Small enough that every bound is met.
const TIGHT: Room = Room { bursts: 2, beats: 8, journal_bytes: 1 << 18 };

/// What a run leaves.
#[derive(PartialEq, Eq)]
struct Left {
    /// The journal's records.
    records: Vec<u8>,
    /// What each session was sent, as bytes.
    told: Vec<Vec<Vec<u8>>>,
    /// How many.
    fills: u64,
}

/// A venue with everybody logged in, at a clock that stands still.
struct Run<M: Matcher> {
    rig: Rig<M>,
    clients: Vec<Client>,
    now: u64,
}

impl<M: Matcher + Send + 'static> Run<M> {
    fn open(way: Way, matcher: impl FnOnce(Software) -> M) -> Self {
        let rig = Rig::open(way, AckPolicy::Journaled, matcher);
        let now = rig.now();
        let mut run = Self { rig, clients: Vec::new(), now };
        for session in SESSIONS {
            run.clients.push(run.rig.client(session));
            run.until("a login", |run| run.clients.last().is_some_and(|client| client.link.is_active()));
            run.quiet();
        }
        run
    }

    fn turn(&mut self) {
        self.rig.venue.turn(self.now).unwrap();
        for client in &mut self.clients {
            client.turn();
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..TURNS {
            self.turn();
            if done(self) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("in vain: {what}");
    }

    /// Until nothing is under way.
    fn quiet(&mut self) {
        self.until("quiet", |run| {
            let venue = &run.rig.venue;
            venue.sequencer.is_empty() && venue.flights.rest(Reader::Books).is_none()
        });
    }

    /// Reads a message of a client's.
    fn read(&mut self, session: u32, message: &Inbound<'_>) {
        let mut bytes = [0; 1024];
        let length = message.encode(&mut bytes).expect("room for a message");
        self.now += STEP_NS;
        let venue = &mut self.rig.venue;
        let verdict = venue.entry.message(session, &bytes[..length], self.now, &mut venue.sequencer);
        assert!(!matches!(verdict, Verdict::Disconnect(_)), "{message:?}");
    }

    /// Waits until everybody has heard everything, and stops.
    fn left(mut self) -> Left {
        self.quiet();
        self.until("durable", |run| run.rig.durable());
        self.until("heard", |run| !run.rig.venue.links.behind(run.rig.venue.booking.publisher().streams()));
        let venue = &self.rig.venue;
        let sent = |session: u32| venue.booking.publisher().streams().history(session);
        let all: Vec<u64> =
            SESSIONS.iter().map(|session| crate::session::soup::History::next_sequence(&sent(*session)) - 1).collect();
        self.until("the last message", |run| {
            run.clients.iter().zip(&all).all(|(client, count)| client.raw.len() as u64 == *count)
        });
        let mut records = Vec::new();
        let expect = Expect { shard: Some(0), abi_hash: Some(abi_hash()) };
        let read = &mut |record: &crate::journal::RecordAt<'_>| {
            records.extend_from_slice(record.bytes);
            Ok(())
        };
        recover(&mut self.rig.disk.open(), &expect, read).unwrap();
        let told = self.clients.into_iter().map(|client| client.raw).collect();
        Left { records, told, fills: self.rig.venue.books().fills() }
    }

    /// Whether executing the journal again says what clients were told, what the books say, and what order entry believes.
    fn follows(self) -> Result<Left, String> {
        let venue = &self.rig.venue;
        let mut replay = Replay::<Software>::new(Sizes { shard: 0, slots: SLOTS, max_qty: MAX_QTY });
        let expect = Expect { shard: Some(0), abi_hash: Some(abi_hash()) };
        let read = &mut |record: &crate::journal::RecordAt<'_>| Ok(replay.record(record.bytes).map(drop)?);
        recover(&mut self.rig.disk.open(), &expect, read).map_err(|error| error.to_string())?;
        replay.release(venue.keeping.durable());
        if replay.books().digest() != venue.books().digest() {
            return Err("the books".into());
        }
        if replay.publisher().streams().image() != venue.booking.publisher().streams().image() {
            return Err("what clients were told".into());
        }
        if let Some(difference) = replay.entry().difference(&venue.entry) {
            return Err(format!("what order entry believes: {difference}"));
        }
        Ok(self.left())
    }
}

/// A run in which every message is read when the one before is booked.
fn in_step(way: Way, seed: u64) -> Left {
    let mut run = Run::open(way, honest);
    let mut chaos = Chaos::new(seed);
    for _ in 0..MESSAGES {
        let (session, message) = chaos.any();
        run.read(session, &message);
        run.quiet();
    }
    run.left()
}

#[test]
fn read_in_step_both_make_the_same_bytes() {
    for seed in 0..SEEDS {
        let inline = in_step(Way::Inline, seed);
        assert!(inline.fills > 10, "seed {seed}: a dull flow of {} fills", inline.fills);
        for room in [Room::default(), TIGHT] {
            let pipelined = in_step(Way::Pipelined(room), seed);
            assert!(pipelined.records == inline.records, "seed {seed}, {room:?}: other records");
            assert!(pipelined.told == inline.told, "seed {seed}, {room:?}: other messages");
            assert_eq!(pipelined.fills, inline.fills);
        }
        let other = in_step(Way::Inline, seed + 1_000);
        assert!(other != inline, "two flows are told apart");
    }
}

#[test]
fn at_any_lag_the_records_say_what_clients_were_told() {
    for seed in 0..SEEDS {
        for way in [Way::Inline, Way::Pipelined(Room::default()), Way::Pipelined(TIGHT)] {
            let mut run = Run::open(way, honest);
            let (mut chaos, mut random) = (Chaos::new(seed), Random::new(!seed));
            let mut most = 0;
            for _ in 0..2 * MESSAGES {
                // As a link is not read while there is no room.
                run.until("room", |run| run.rig.venue.has_room());
                for _ in 0..random.below(8) {
                    let (session, message) = chaos.any();
                    run.read(session, &message);
                }
                run.turn();
                most = most.max(run.rig.venue.flights.left(Reader::Books));
            }
            assert_eq!(most > 0, way != Way::Inline, "seed {seed}, {way:?}: nothing was ever under way");
            run.quiet();
            run.until("released", |run| run.rig.released());
            let left = run.follows().unwrap_or_else(|what| panic!("seed {seed}, {way:?}: {what} differs"));
            assert!(left.fills > 50, "seed {seed}, {way:?}: {} fills", left.fills);
        }
    }
}

/// Names the later of two makers in the first fill, where the books cannot see the difference.
struct Unfair {
    honest: Queued<Software>,
    rested: Option<u32>,
    told: bool,
}

impl Matcher for Unfair {
    fn submit(&mut self, commands: &[Command]) -> usize {
        self.honest.submit(commands)
    }
    fn poll(&mut self, events: &mut [Event]) -> usize {
        let count = self.honest.poll(events);
        for event in &mut events[..count] {
            match event.kind {
                EventKind::Rested => self.rested = Some(event.taker),
                EventKind::Fill if !std::mem::replace(&mut self.told, true) => {
                    event.maker = self.rested.expect("two bids");
                }
                _ => {}
            }
        }
        count
    }
    fn limits(&self) -> &Limits {
        self.honest.limits()
    }
    fn capabilities(&self) -> Capabilities {
        self.honest.capabilities()
    }
}

#[test]
fn an_unfair_matcher_is_found_out() {
    for way in ways() {
        for planted in [false, true] {
            let mut run = Run::open(way, |twin| Unfair { honest: Queued::over(twin), rested: None, told: !planted });
            run.read(1, &bid(1));
            run.read(1, &bid(2));
            run.quiet();
            run.read(2, &offer(1, 10));
            run.quiet();
            run.until("released", |run| run.rig.released());
            assert_eq!(run.rig.venue.books().fills(), 1);
            match run.follows() {
                Ok(_) => assert!(!planted, "{way:?}: an unfair fill is believed"),
                Err(what) => assert!(planted, "{way:?}: {what} differs"),
            }
        }
    }
}
