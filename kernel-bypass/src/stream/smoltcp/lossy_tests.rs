//! Bytes over a wire that loses, repeats, reorders and changes frames: all of them arrive, as they were sent, in both directions.

use super::tests::config;
use super::*;
use crate::frame::wire::{self, Faults, Mishaps, WireEnd};
use crate::stream::CloseReason;
use crate::stream::conformance::{Size, pattern};
use std::net::Ipv4Addr;

type Port = SmoltcpPort<WireEnd>;

/// Rounds in which everything must have arrived; a round is a poll, or a wait for the next timer.
const ROUNDS: usize = 400_000;
const CONNECTIONS: usize = 5;

/// Tenths of a percent, as the wire counts chances.
const fn permille(n: u32) -> u32 {
    n * wire::ALWAYS / 1000
}

fn faults(seed: u64) -> Faults {
    Faults {
        seed,
        loss: permille(20),
        duplication: permille(20),
        corruption: permille(20),
        reordering: permille(50),
        delay_ns: 20_000,
        jitter_ns: 5_000,
        ..Faults::default()
    }
}

/// One side's view of one connection.
struct Half {
    conn: ConnId,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// The peer's end was told.
    ended: bool,
    closed: Option<CloseReason>,
}

/// A port, and its half of every connection, by its number.
struct Side {
    port: Port,
    halves: Vec<Half>,
    events: Vec<Event>,
}

impl Side {
    fn new(frames: WireEnd, address: Ipv4Addr, verify: bool) -> Self {
        let size = Size { connections: 2 * CONNECTIONS, ..Size::default() };
        let config = SmoltcpConfig { address, verify_checksums: verify, ..config(size) };
        Self { port: SmoltcpPort::new(frames, &config).unwrap(), halves: Vec::new(), events: Vec::new() }
    }

    fn half(&mut self, conn: ConnId) -> Option<&mut Half> {
        self.halves.iter_mut().find(|half| half.conn == conn)
    }

    /// A poll: takes what came, and sends what there is room for; whether anything happened.
    fn round(&mut self, bytes: usize) -> bool {
        let count = self.port.poll(&mut self.events).unwrap();
        for event in std::mem::take(&mut self.events) {
            let conn = event.conn();
            if let Event::Accepted { .. } = event {
                let to_send = pattern(1000 + self.halves.len(), bytes);
                self.halves.push(Half { conn, to_send, sent: 0, received: Vec::new(), ended: false, closed: None });
            }
            let received = self.port.received(conn).to_vec();
            self.port.consume(conn, received.len());
            let Some(half) = self.half(conn) else {
                continue;
            };
            half.received.extend_from_slice(&received);
            match event {
                Event::PeerClosed { .. } => half.ended = true,
                Event::Closed { reason, .. } => half.closed = Some(reason),
                _ => {}
            }
        }
        for half in &mut self.halves {
            if half.sent < half.to_send.len() {
                half.sent += self.port.send(half.conn, &half.to_send[half.sent..]);
                if half.sent == half.to_send.len() {
                    self.port.shutdown_write(half.conn);
                }
            } else if half.ended && half.closed.is_none() {
                self.port.close(half.conn);
            }
        }
        self.port.flush().unwrap();
        count > 0
    }
}

/// What came of a run.
#[derive(Debug)]
enum Fate {
    /// Everything arrived, and every connection ended by agreement.
    Whole(Mishaps),
    /// Something else than what was sent arrived.
    Changed,
    /// Something never arrived, or a connection broke.
    Broken(String),
}

/// `bytes` each way on each of several connections, which all end by agreement.
fn exchange(faults: Faults, bytes: usize, verify: bool) -> Fate {
    let (here, there) = wire::pair(faults);
    let mut server = Side::new(here, Ipv4Addr::LOCALHOST, verify);
    let mut client = Side::new(there, Ipv4Addr::new(127, 0, 0, 2), verify);
    let listener = server.port.listen("0.0.0.0:9000".parse().unwrap()).unwrap();
    let addr = server.port.local_addr(listener).unwrap();
    for n in 0..CONNECTIONS {
        let conn = client.port.connect(addr).unwrap();
        let to_send = pattern(n, bytes);
        client.halves.push(Half { conn, to_send, sent: 0, received: Vec::new(), ended: false, closed: None });
    }
    for _ in 0..ROUNDS {
        let worked = server.round(bytes) | client.round(bytes);
        let done =
            |side: &Side| side.halves.len() == CONNECTIONS && side.halves.iter().all(|half| half.closed.is_some());
        if done(&server) && done(&client) {
            break;
        }
        if !worked {
            client.port.wait(Duration::from_millis(20)).unwrap();
        }
    }
    let mishaps = server.port.frames().mishaps();
    for (side, peers) in [(&server, &client), (&client, &server)] {
        for half in &side.halves {
            // Connections are told apart by what they carry: the patterns differ in their first bytes.
            let whole = peers.halves.iter().any(|peer| peer.to_send == half.received);
            let part = peers.halves.iter().any(|peer| peer.to_send.starts_with(&half.received));
            if !part {
                return Fate::Changed;
            }
            if !whole || half.closed != Some(CloseReason::Local) {
                let (received, conn, closed) = (half.received.len(), half.conn, half.closed);
                return Fate::Broken(format!("{conn:?}: {received} of {bytes} bytes, closed {closed:?}, {mishaps:?}"));
            }
        }
    }
    if server.halves.len() != CONNECTIONS {
        return Fate::Broken(format!("{} of {CONNECTIONS} connections came up", server.halves.len()));
    }
    Fate::Whole(mishaps)
}

fn whole(faults: Faults, bytes: usize) -> Mishaps {
    match exchange(faults, bytes, true) {
        Fate::Whole(mishaps) => mishaps,
        Fate::Changed => panic!("{faults:?}: not what was sent"),
        Fate::Broken(why) => panic!("{faults:?}: {why}"),
    }
}

/// As many seeds as the test's depth asks for.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let deep = std::env::var("WIREBOOK_TEST_DEPTH").is_ok_and(|depth| depth == "deep");
    1..1 + if deep { 20 * count } else { count }
}

#[test]
fn a_good_wire_carries_megabytes() {
    let mishaps = whole(Faults { delay_ns: 5_000, ..Faults::default() }, 1 << 20);
    assert_eq!(mishaps, Mishaps::default());
}

#[test]
fn nothing_is_lost_doubled_or_changed_on_a_bad_wire() {
    for seed in seeds(6) {
        let mishaps = whole(faults(seed), 256 << 10);
        let Mishaps { lost, duplicated, corrupted, overtaken, .. } = mishaps;
        assert!([lost, duplicated, corrupted, overtaken].iter().all(|&count| count > 10), "{mishaps:?}");
    }
}

#[test]
fn each_fault_alone_is_survived_at_a_high_rate() {
    let calm = Faults { delay_ns: 10_000, ..Faults::default() };
    let tenth = permille(100);
    for seed in seeds(2) {
        for faults in [
            Faults { loss: tenth, ..calm },
            Faults { duplication: permille(500), ..calm },
            Faults { corruption: tenth, ..calm },
            Faults { reordering: permille(300), ..calm },
            Faults { in_flight: 24, ..calm },
        ] {
            whole(Faults { seed, ..faults }, 40 << 10);
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    assert_eq!(whole(faults(3), 64 << 10), whole(faults(3), 64 << 10));
}

/// The planted bug: without its check sums TCP hands on what the wire has changed, and the comparison sees it.
#[test]
fn without_check_sums_changed_bytes_arrive_and_are_seen() {
    let corrupting = |seed| Faults { seed, corruption: permille(20), delay_ns: 10_000, ..Faults::default() };
    let fates: Vec<_> = (1..4).map(|seed| exchange(corrupting(seed), 64 << 10, false)).collect();
    assert!(fates.iter().any(|fate| matches!(fate, Fate::Changed)), "{fates:?}");
    for seed in 1..4 {
        whole(corrupting(seed), 64 << 10);
    }
}
