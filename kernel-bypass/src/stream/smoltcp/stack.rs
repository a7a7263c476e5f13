//! TCP under the port: frames in, segments out, timers; one smoltcp interface, and a socket set for each connection.
//!
//! smoltcp looks at every socket of a set for every frame and every poll. Here each connection has a set of its own, a frame is
//! matched to its connection by a table, and only connections that a frame, a timer or the application has touched are looked at: a
//! thousand idle ones cost nothing.

use super::config::SmoltcpConfig;
use super::conn::{Conn, State};
use super::device::{Device, Outcome};
use super::parting::Partings;
use super::peek::{Key, Peek, bare_ack, peek};
use super::table::Table;
use super::timers::Timers;
use crate::frame::{FrameTx, MacAddr};
use crate::stream::{CloseReason, Stats};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Segments that one flush sends for one connection; the others are served before it goes on.
const SEGMENTS_PER_FLUSH: usize = 64;
/// A closed connection acknowledges the peer's end at once, or within a delay much shorter than this; then smoltcp only waits.
const TIME_WAIT_NS: u64 = 5_000_000_000;

/// Someone listens at this port.
pub(super) struct Listener {
    pub port: u16,
}

pub(super) struct Stack {
    pub config: SmoltcpConfig,
    pub max_frame: usize,
    pub interface: Interface,
    /// For frames that belong to no connection: smoltcp answers ARP, and resets what nobody knows.
    nobody: SocketSet<'static>,
    pub conns: Vec<Conn>,
    pub table: Table,
    pub partings: Partings,
    pub timers: Timers,
    /// By number; `None` once unlistened.
    pub listeners: Vec<Option<Listener>>,
    pub free: Vec<u32>,
    /// Those to be served by the next poll, each once.
    pub ready: Vec<u32>,
    /// Those for TCP to look at by the next flush, each once.
    pub dirty: Vec<u32>,
    /// Those with something to tell by the next poll, each once.
    pub notify: Vec<u32>,
    /// Those that wait for a neighbor's address, each once.
    starved: Vec<u32>,
    /// Those told to be over; free at the next poll.
    pub told: Vec<u32>,
    /// Empty lists to swap with those that are walked.
    pub spare: Vec<u32>,
    spare_dirty: Vec<u32>,
    /// Connections that the application knows, and has not been told to be over: their numbers are free by the next poll.
    pub known: usize,
    /// Connections that are being accepted.
    accepting: usize,
    /// The port's clock, at the beginning of this poll or flush.
    pub now_ns: u64,
    pub next_port: u16,
    pub stats: Stats,
}

fn instant(ns: u64) -> Instant {
    Instant::from_micros((ns / 1000) as i64)
}

impl Stack {
    pub fn new(config: &SmoltcpConfig, mac: MacAddr, max_frame: usize, now_ns: u64) -> Self {
        let seed = config.seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
        let mut smoltcp = Config::new(EthernetAddress(mac.0).into());
        smoltcp.random_seed = seed;
        let mut tx = NoTx;
        let mut device = Device::new(None, &mut tx, max_frame, config.verify_checksums);
        let mut interface = Interface::new(smoltcp, &mut device, instant(now_ns));
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(IpAddress::Ipv4(config.address), config.prefix);
            addresses.push(own).expect("room for the first address");
        });
        if let Some(gateway) = config.gateway {
            interface.routes_mut().add_default_ipv4_route(gateway).expect("room for the first route");
        }
        let count = config.max_connections;
        let list = || Vec::with_capacity(count);
        let ports = config.ephemeral.clone();
        let next_port = ports.start() + (seed % (u64::from(ports.end() - ports.start()) + 1)) as u16;
        Self {
            config: config.clone(),
            max_frame,
            interface,
            nobody: SocketSet::new(Vec::new()),
            conns: (0..count).map(|_| Conn::new(config)).collect(),
            table: Table::new(count, seed.rotate_left(17)),
            partings: Partings::new(count, seed.rotate_left(41)),
            timers: Timers::new(count),
            listeners: Vec::new(),
            // Low numbers first.
            free: (0..count as u32).rev().collect(),
            ready: list(),
            dirty: list(),
            notify: list(),
            starved: list(),
            told: list(),
            spare: list(),
            spare_dirty: list(),
            known: 0,
            accepting: 0,
            now_ns,
            next_port,
            stats: Stats::default(),
        }
    }

    pub fn deadline(&self, after: Duration) -> u64 {
        self.now_ns.saturating_add(after.as_nanos() as u64)
    }

    pub fn mark_ready(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_ready {
            conn.in_ready = true;
            self.ready.push(slot);
        }
    }

    pub fn mark_dirty(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_dirty {
            conn.in_dirty = true;
            self.dirty.push(slot);
        }
    }

    pub fn mark_notify(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_notify {
            conn.in_notify = true;
            self.notify.push(slot);
        }
    }

    /// A frame has come.
    pub fn ingress(&mut self, frame: &[u8], tx: &mut impl FrameTx) {
        match peek(frame) {
            Peek::Tcp { key, opens, resets } => match self.table.get(key) {
                Some(slot) => self.ingress_of(slot, resets, frame, tx),
                None if opens => self.admit(key, frame, tx),
                None => self.ask_again(key, resets, frame, tx),
            },
            Peek::Arp => {
                self.stray(frame, tx);
                // Perhaps it is the answer that some wait for.
                while let Some(slot) = self.starved.pop() {
                    self.conns[slot as usize].in_starved = false;
                    self.mark_dirty(slot);
                }
            }
            Peek::Other => self.stray(frame, tx),
        }
    }

    fn ingress_of(&mut self, slot: u32, resets: bool, frame: &[u8], tx: &mut impl FrameTx) {
        let conn = &mut self.conns[slot as usize];
        // The third repetition would make smoltcp retransmit fast what it has not got: only our end is missing. It would stop
        // its timer for that, and never send the end again.
        if conn.awaits_ack_of_end()
            && let Some(ack) = bare_ack(frame, self.config.verify_checksums)
            && conn.last_ack.replace(ack) == Some(ack)
        {
            return;
        }
        let before = conn.socket().state();
        let mut device = Device::new(Some(frame), tx, self.max_frame, self.config.verify_checksums);
        device.keep = conn.is_parting();
        self.interface.poll_ingress_single(instant(self.now_ns), &mut device, &mut conn.sockets);
        conn.parting = device.outcome.parting.or(conn.parting);
        let after = conn.socket().state();
        conn.reset |= resets && before != tcp::State::Closed && after == tcp::State::Closed;
        self.mark_ready(slot);
        self.mark_dirty(slot);
    }

    fn stray(&mut self, frame: &[u8], tx: &mut impl FrameTx) {
        let mut device = Device::new(Some(frame), tx, self.max_frame, self.config.verify_checksums);
        self.interface.poll_ingress_single(instant(self.now_ns), &mut device, &mut self.nobody);
    }

    /// A segment of a connection that is no more.
    fn ask_again(&mut self, key: Key, resets: bool, frame: &[u8], tx: &mut impl FrameTx) {
        match self.partings.recall(key, self.now_ns) {
            None => self.stray(frame, tx),
            Some(_) if resets => self.partings.forget(key),
            Some(said) => {
                let _ = tx.transmit(said.len(), |frame| frame.copy_from_slice(said));
            }
        }
    }

    /// A peer asks for a connection.
    fn admit(&mut self, key: Key, frame: &[u8], tx: &mut impl FrameTx) {
        let here = |listener: &Option<Listener>| listener.as_ref().is_some_and(|l| l.port == key.local_port);
        let Some(listener) = self.listeners.iter().position(here) else {
            return self.stray(frame, tx);
        };
        if self.accepting >= self.config.backlog {
            return;
        }
        let Some(slot) = self.free.pop() else {
            // Answered with a reset.
            self.stats.refused += 1;
            return self.stray(frame, tx);
        };
        self.partings.forget(key);
        let deadline = self.deadline(self.config.handshake);
        let address = IpAddress::Ipv4(self.config.address);
        let conn = &mut self.conns[slot as usize];
        conn.start(key, State::Accepting, deadline);
        conn.listener = listener as u32;
        conn.socket_mut().listen((address, key.local_port)).expect("a closed socket can listen");
        self.accepting += 1;
        self.table.insert(key, slot);
        self.ingress_of(slot, false, frame, tx);
        // Not for us after all, or damaged.
        if self.conns[slot as usize].socket().is_listening() {
            self.forget(slot);
        }
    }

    /// Takes the connection out of TCP's hands.
    fn detach(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        debug_assert!(conn.is_live());
        // Sends nothing more, not even a reset: that was sent before, if at all.
        conn.socket_mut().abort();
        conn.deadline = None;
        self.table.remove(conn.key);
        self.timers.set(slot, None);
    }

    /// Ends a connection that the application has never known.
    pub fn forget(&mut self, slot: u32) {
        debug_assert_eq!(self.conns[slot as usize].state, State::Accepting);
        self.accepting -= 1;
        self.detach(slot);
        self.bury(slot);
    }

    /// The number is free again.
    pub fn bury(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        conn.state = State::Free;
        conn.generation = conn.generation.wrapping_add(1);
        self.free.push(slot);
    }

    /// The application will know it from now on.
    pub fn accepted(&mut self, slot: u32) {
        debug_assert_eq!(self.conns[slot as usize].state, State::Accepting);
        self.conns[slot as usize].state = State::Open;
        self.accepting -= 1;
        self.known += 1;
        self.stats.accepted += 1;
    }

    /// Ends one that the application knows; the next poll tells why.
    pub fn finish(&mut self, slot: u32, reason: CloseReason) {
        debug_assert!(self.conns[slot as usize].is_known());
        self.detach(slot);
        let conn = &mut self.conns[slot as usize];
        conn.state = State::Over(reason);
        conn.send.clear();
        self.stats.closed += 1;
        self.mark_notify(slot);
    }

    /// Tells the peer by a reset that it is over, if it can be reached.
    pub fn send_reset(&mut self, slot: u32, tx: &mut impl FrameTx) {
        self.conns[slot as usize].socket_mut().abort();
        self.egress(slot, tx);
    }

    /// Lets TCP send one segment, if it has one to send.
    fn egress(&mut self, slot: u32, tx: &mut impl FrameTx) -> Outcome {
        let mut device = Device::new(None, tx, self.max_frame, self.config.verify_checksums);
        let conn = &mut self.conns[slot as usize];
        device.keep = conn.is_parting();
        self.interface.poll_egress(instant(self.now_ns), &mut device, &mut conn.sockets);
        conn.parting = device.outcome.parting.or(conn.parting);
        device.outcome
    }

    /// Hands everything queued to TCP, and lets it send.
    pub fn flush(&mut self, tx: &mut impl FrameTx) {
        let mut round = std::mem::replace(&mut self.dirty, std::mem::take(&mut self.spare_dirty));
        for &slot in &round {
            self.conns[slot as usize].in_dirty = false;
            self.flush_one(slot, tx);
        }
        round.clear();
        self.spare_dirty = round;
    }

    fn flush_one(&mut self, slot: u32, tx: &mut impl FrameTx) {
        let conn = &mut self.conns[slot as usize];
        if !conn.is_live() {
            return;
        }
        if matches!(conn.state, State::Open | State::Flushing) {
            self.hand_over(slot);
        }
        self.send_segments(slot, tx);
        self.settle(slot);
    }

    /// Lets TCP send what it owes, acknowledgements above all, for an application that has not flushed since the last poll.
    pub fn catch_up(&mut self, tx: &mut impl FrameTx) {
        for at in 0..self.dirty.len() {
            let slot = self.dirty[at];
            if self.conns[slot as usize].is_live() {
                self.send_segments(slot, tx);
            }
        }
    }

    fn send_segments(&mut self, slot: u32, tx: &mut impl FrameTx) {
        for _ in 0..SEGMENTS_PER_FLUSH {
            // Asked before: a segment that smoltcp cannot hand over costs it a fast retransmission.
            if !tx.ready() {
                self.mark_dirty(slot);
                break;
            }
            let outcome = self.egress(slot, tx);
            if outcome.offered && !outcome.sent {
                self.starve(slot);
            }
            if !outcome.sent {
                break;
            }
        }
    }

    fn hand_over(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if conn.send.len() > 0 && conn.socket().can_send() {
            self.stats.send_calls += 1;
            self.stats.bytes_out += conn.hand_over() as u64;
            if conn.wants_room && conn.send.is_roomy() {
                self.mark_notify(slot);
            }
        }
        let conn = &mut self.conns[slot as usize];
        if conn.send.len() == 0 && conn.write_closed && !conn.write_shut {
            conn.write_shut = true;
            conn.socket_mut().close();
        }
        if conn.state == State::Flushing && conn.write_shut {
            conn.state = State::Draining;
            self.mark_ready(slot);
        }
    }

    /// It cannot send before a neighbor's address is known: looked at again when ARP comes, or by smoltcp's own time.
    fn starve(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_starved {
            conn.in_starved = true;
            self.starved.push(slot);
        }
    }

    /// Sets when it is to be looked at again; ends it, if it was closed and all is said.
    fn settle(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        let wanted = self.interface.poll_at(instant(self.now_ns), &conn.sockets);
        let wanted = wanted.map(|at| at.total_micros().max(0) as u64 * 1000);
        if conn.state == State::Draining && conn.socket().state() == tcp::State::TimeWait {
            // The last acknowledgement is out when nothing is left but to wait.
            if wanted.is_none_or(|at| at > self.now_ns + TIME_WAIT_NS) {
                if let Some(said) = conn.parting {
                    self.partings.remember(conn.key, said, self.now_ns);
                }
                self.finish(slot, CloseReason::Local);
                return;
            }
        }
        let next = match (wanted, conn.deadline) {
            (Some(wanted), Some(deadline)) => Some(wanted.min(deadline)),
            (one, other) => one.or(other),
        };
        self.timers.set(slot, next);
    }

    /// Looks at those whose time has come.
    pub fn run_timers(&mut self) {
        while let Some(slot) = self.timers.due(self.now_ns) {
            self.mark_ready(slot);
            self.mark_dirty(slot);
        }
    }
}

/// For the making of an interface, which sends nothing.
struct NoTx;

impl FrameTx for NoTx {
    fn ready(&mut self) -> bool {
        false
    }

    fn transmit<R>(&mut self, _: usize, _: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        None
    }
}
