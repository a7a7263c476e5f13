//! What every [`StreamPort`] must do, written over the trait: `conformance!(maker)` makes the tests for one port.
//!
//! Two ports of the kind talk to each other in one thread. Loops are bounded in rounds; nothing depends on how fast they are.

use super::{CloseReason, ConnId, Event, ListenerId, StreamError, StreamPort};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

mod allocations;
mod cases;
mod crowd;
mod faulty;
mod lives;
mod pressure;

use allocations::allocations;
pub(crate) use cases::*;
pub(crate) use crowd::*;
pub(crate) use faulty::{Fault, Faulty};
pub(crate) use lives::*;
pub(crate) use pressure::*;

/// How large a port is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub connections: usize,
    pub recv: usize,
    pub send: usize,
    /// What the transport itself buffers, if it can be told.
    pub transport: Option<usize>,
    pub linger: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self { connections: 8, recv: 4096, send: 16 << 10, transport: None, linger: Duration::from_secs(600) }
    }
}

/// Rounds in which something must have happened.
const ROUNDS: usize = 20_000;

/// A port, what it told, and what it received.
pub(crate) struct Side<P> {
    pub port: P,
    pub events: Vec<Event>,
    pub told: Vec<Event>,
    pub data: HashMap<ConnId, Vec<u8>>,
    /// Connections whose bytes are left in the port.
    pub held: Vec<ConnId>,
    lives: HashMap<ConnId, Life>,
    /// By number, who has it.
    owners: HashMap<usize, ConnId>,
}

/// How far a connection has come, by what was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Up,
    PeerClosed,
    Over,
}

impl<P: StreamPort> Side<P> {
    fn new(port: P) -> Self {
        let events = Vec::with_capacity(port.event_capacity());
        Self {
            port,
            events,
            told: Vec::new(),
            data: HashMap::new(),
            held: Vec::new(),
            lives: HashMap::new(),
            owners: HashMap::new(),
        }
    }

    /// One poll. Takes what was received, except from those that are held.
    pub fn poll(&mut self) -> usize {
        let capacity = self.events.capacity();
        let count = self.port.poll(&mut self.events).unwrap();
        assert_eq!(count, self.events.len());
        assert_eq!(self.events.capacity(), capacity, "events never grow");
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.check(*event);
            self.told.push(*event);
            if let Event::Readable { conn } | Event::Closed { conn, .. } = *event {
                self.take(conn);
            }
        }
        self.events = events;
        count
    }

    /// What is told of a connection: once that it is up, once that the peer has closed, once that it is over, and nothing of it
    /// before or after. A number has one owner at a time.
    fn check(&mut self, event: Event) {
        let conn = event.conn();
        let life = self.lives.get(&conn).copied();
        let next = match event {
            Event::Accepted { .. } | Event::Connected { .. } => {
                assert_eq!(life, None, "{event:?}: told once");
                let former = self.owners.insert(conn.index(), conn);
                let over = former.is_none_or(|former| self.lives[&former] == Life::Over);
                assert!(over, "{event:?}: {former:?} has that number");
                Life::Up
            }
            Event::Readable { .. } | Event::Writable { .. } => {
                assert!(matches!(life, Some(Life::Up | Life::PeerClosed)), "{event:?}: {life:?}");
                return;
            }
            Event::PeerClosed { .. } => {
                assert_eq!(life, Some(Life::Up), "{event:?}");
                Life::PeerClosed
            }
            Event::Closed { .. } => {
                assert_ne!(life, Some(Life::Over), "{event:?}: told once");
                Life::Over
            }
        };
        self.lives.insert(conn, next);
    }

    fn take(&mut self, conn: ConnId) {
        if !self.held.contains(&conn) {
            let received = self.port.received(conn);
            let count = received.len();
            self.data.entry(conn).or_default().extend_from_slice(received);
            self.port.consume(conn, count);
        }
    }

    /// Goes on with a connection that was held.
    pub fn release(&mut self, conn: ConnId) {
        self.held.retain(|held| *held != conn);
        self.take(conn);
    }

    pub fn data(&self, conn: ConnId) -> &[u8] {
        self.data.get(&conn).map_or(&[], Vec::as_slice)
    }

    /// How often something was told.
    pub fn count(&self, event: Event) -> usize {
        self.told.iter().filter(|told| **told == event).count()
    }

    pub fn closed(&self, conn: ConnId) -> Option<CloseReason> {
        self.told.iter().find_map(|event| match *event {
            Event::Closed { conn: over, reason } if over == conn => Some(reason),
            _ => None,
        })
    }

    pub fn accepted(&self) -> Vec<ConnId> {
        let accepted = |event: &Event| match *event {
            Event::Accepted { conn, .. } => Some(conn),
            _ => None,
        };
        self.told.iter().filter_map(accepted).collect()
    }
}

/// A server that listens, and a client.
pub(crate) struct Pair<P> {
    pub server: Side<P>,
    pub client: Side<P>,
    pub listener: ListenerId,
    pub addr: SocketAddr,
}

impl<P: StreamPort> Pair<P> {
    pub fn new(make: fn(Size) -> P, server: Size, client: Size) -> Self {
        let mut server = Side::new(make(server));
        let client = Side::new(make(client));
        let listener = server.port.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = server.port.local_addr(listener).unwrap();
        Self { server, client, listener, addr }
    }

    /// One round of both; sleeps a little if nothing happened.
    pub fn round(&mut self) {
        self.client.port.flush().unwrap();
        let mut count = self.server.poll();
        self.server.port.flush().unwrap();
        count += self.client.poll();
        if count == 0 {
            self.server.port.wait(Duration::from_micros(200)).unwrap();
        }
    }

    /// Rounds until `done`.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..ROUNDS {
            if done(self) {
                return;
            }
            self.round();
        }
        panic!("not in {ROUNDS} rounds: {what}");
    }

    /// A connection that is up on both sides: the client's id, the server's.
    #[track_caller]
    pub fn connect(&mut self) -> (ConnId, ConnId) {
        let before = self.server.accepted().len();
        let client = self.client.port.connect(self.addr).unwrap();
        self.until("connected", |pair| {
            pair.client.count(Event::Connected { conn: client }) == 1 && pair.server.accepted().len() > before
        });
        let server = self.server.accepted()[before];
        assert_eq!(self.client.port.peer_addr(client), Some(self.addr), "the peer is the server");
        (client, server)
    }
}

/// `len` bytes that differ from those of another seed, and tell their place.
pub(crate) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        })
        .collect()
}

/// Makes the tests for the ports that `$make`, a `fn(Size) -> impl StreamPort`, makes.
macro_rules! conformance {
    ($make:expr) => {
        $crate::stream::conformance::conformance!(@each $make,
            bytes_one_by_one, a_burst_is_one_call, both_ways_at_once, a_reset_is_told, a_half_closed_stream_still_carries,
            closing_sends_what_is_queued, closing_gives_up_on_a_peer_that_takes_nothing, a_closed_stream_drops_what_still_comes,
            a_slow_reader_holds_back_only_itself, a_slow_consumer_holds_back_its_peer, all_or_nothing, rearming_tells_again,
            stale_ids_are_harmless, a_refused_connection_is_told, queued_before_it_is_up, closed_before_it_is_up,
            too_many_are_turned_away, three_hundred_connections, a_flood_does_not_starve_the_others, idle_peers_cost_nothing,
            a_storm_of_connections_comes_and_goes, waking_is_never_missed, unlistened_accepts_no_more, random_traffic_arrives, traffic_allocates_nothing,
            random_lives_end_as_they_should, packets_cut_anywhere_are_whole, exhausted_buffers_recover,
            good_peers_are_served_beside_bad_ones, a_thousand_connections,
        );
    };
    (@each $make:expr, $($case:ident,)*) => {
        $(#[test] fn $case() { $crate::stream::conformance::$case($make); })*
    };
}
pub(crate) use conformance;

/// So that the error type's text is looked at once.
pub(crate) fn assert_exhausted(error: &StreamError) {
    assert!(matches!(error, StreamError::Exhausted { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
}
