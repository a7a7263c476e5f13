//! The reference port: non-blocking kernel TCP sockets, polled.
//!
//! With a handful of connections poll tries to receive from each of them directly; with more it first asks epoll, edge-triggered,
//! which of them have changed. The port keeps its own list of ready connections, so that each is served once a round, and one whose
//! receive buffer is full is not asked about until the application has consumed.
//!
//! **Limits.** One thread. TCP over IPv4 or IPv6, without Nagle's delay. Everything is allocated when the port is made.

pub(in crate::stream) mod buffer;
mod config;
mod conn;
pub(in crate::stream) mod epoll;
mod open;
mod poll;

#[cfg(test)]
mod tests;

pub use config::KernelConfig;

use super::wake::Sleeper;
use super::{CloseReason, ConnId, Event, ListenerId, Stats, StreamError, StreamPort, Waker};
use conn::{Conn, State};
use epoll::Epoll;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Listeners that a port may have, over its whole life.
pub const MAX_LISTENERS: usize = 64;
/// Events that one connection can have in one poll: up, readable, ended, room, over.
const EVENTS_PER_CONNECTION: usize = 5;
/// Epoll's token of the waker; those of listeners and connections lie below.
const WAKER_TOKEN: u64 = u64::MAX;
/// Epoll's token of what the caller watches.
const WATCH_TOKEN: u64 = u64::MAX - 1;
/// A token whose low half is this plus the listener's number; connection numbers end below.
const LISTENER_SLOT: u32 = 1 << 24;

struct Listener {
    socket: Socket,
    /// The kernel may have connections for us.
    ready: bool,
    /// The system had no descriptor or memory for the last one: asked again by every poll, but no reason to stay awake.
    starved: bool,
}

/// A port over polled kernel sockets.
pub struct KernelPort {
    config: KernelConfig,
    epoll: Epoll,
    sleeper: Sleeper,
    /// By number; `None` once unlistened.
    listeners: Vec<Option<Listener>>,
    conns: Vec<Conn>,
    free: Vec<u32>,
    /// Those with a socket.
    live: Vec<u32>,
    /// Those to be served by the next poll, each once.
    ready: Vec<u32>,
    /// Those with something to flush, each once.
    dirty: Vec<u32>,
    /// Those with something to tell by the next poll, each once.
    notify: Vec<u32>,
    /// Those told to be over; free at the next poll.
    told: Vec<u32>,
    /// Those that were closed, and may linger.
    closing: Vec<u32>,
    /// An empty list to swap with the one that is walked.
    spare: Vec<u32>,
    /// Epoll was asked since the last poll.
    asked: bool,
    /// Polls since epoll was last asked.
    unasked_polls: u32,
    stats: Stats,
}

impl KernelPort {
    /// Makes a port, and raises the process's soft limit of open files if the connections need it.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(config: &KernelConfig) -> Result<Self, StreamError> {
        config.check()?;
        let count = config.max_connections;
        config::raise_descriptor_limit(count)?;
        let epoll = Epoll::new(count + MAX_LISTENERS + 1).map_err(refused("make an epoll set"))?;
        let sleeper = Sleeper::new().map_err(refused("make an eventfd"))?;
        epoll.add(sleeper.fd(), epoll::LEVEL, WAKER_TOKEN).map_err(refused("watch the eventfd"))?;
        let list = || Vec::with_capacity(count);
        Ok(Self {
            config: config.clone(),
            epoll,
            sleeper,
            listeners: Vec::with_capacity(MAX_LISTENERS),
            conns: (0..count).map(|_| Conn::new(config.recv_buffer, config.send_buffer)).collect(),
            // Low numbers first.
            free: (0..count as u32).rev().collect(),
            live: list(),
            ready: list(),
            dirty: list(),
            notify: list(),
            told: list(),
            closing: list(),
            spare: list(),
            asked: false,
            unasked_polls: 0,
            stats: Stats::default(),
        })
    }

    fn id(&self, slot: u32) -> ConnId {
        ConnId { slot, generation: self.conns[slot as usize].generation }
    }

    /// The connection, if the id still means one.
    #[inline]
    fn find(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(id.index()).filter(|conn| conn.generation == id.generation && conn.state != State::Free)
    }

    #[inline]
    fn find_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.index()).filter(|conn| conn.generation == id.generation && conn.state != State::Free)
    }

    fn mark_ready(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_ready {
            conn.in_ready = true;
            self.ready.push(slot);
        }
    }

    fn mark_dirty(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_dirty {
            conn.in_dirty = true;
            self.dirty.push(slot);
        }
    }

    fn mark_notify(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.in_notify {
            conn.in_notify = true;
            self.notify.push(slot);
        }
    }

    /// Closes the socket; the next poll tells why.
    fn finish(&mut self, slot: u32, reason: CloseReason) {
        let conn = &mut self.conns[slot as usize];
        debug_assert!(conn.is_live());
        conn.socket = None;
        conn.state = State::Over(reason);
        conn.send.clear();
        let at = conn.live_at as usize;
        self.live.swap_remove(at);
        if let Some(&moved) = self.live.get(at) {
            self.conns[moved as usize].live_at = at as u32;
        }
        self.stats.closed += 1;
        self.mark_notify(slot);
    }
}

impl StreamPort for KernelPort {
    fn listen(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        self.open_listener(addr)
    }

    fn unlisten(&mut self, listener: ListenerId) {
        if let Some(place) = self.listeners.get_mut(listener.0 as usize) {
            *place = None;
        }
    }

    fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr> {
        let listener = self.listeners.get(listener.0 as usize)?.as_ref()?;
        listener.socket.local_addr().ok()?.as_socket()
    }

    fn connect(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        self.open_connection(peer)
    }

    fn peer_addr(&self, conn: ConnId) -> Option<SocketAddr> {
        self.find(conn)?.peer
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.find(conn).is_some_and(Conn::may_send)
    }

    fn connections(&self) -> usize {
        self.live.len()
    }

    fn poll(&mut self, events: &mut Vec<Event>) -> Result<usize, StreamError> {
        self.poll_once(events)?;
        Ok(events.len())
    }

    fn event_capacity(&self) -> usize {
        EVENTS_PER_CONNECTION * self.config.max_connections
    }

    #[inline]
    fn received(&self, conn: ConnId) -> &[u8] {
        self.find(conn).map_or(&[], |conn| conn.recv.data())
    }

    #[inline]
    fn consume(&mut self, conn: ConnId, count: usize) {
        let Some(found) = self.find_mut(conn) else {
            return;
        };
        found.recv.consume(count);
        // It may have been left out because its buffer was full.
        if found.readable && found.may_receive() {
            self.mark_ready(conn.slot);
        }
    }

    fn rearm(&mut self, conn: ConnId) {
        if let Some(found) = self.find_mut(conn)
            && found.state == State::Open
        {
            found.rearmed = true;
            self.mark_ready(conn.slot);
        }
    }

    #[inline]
    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(found) = self.find_mut(conn).filter(|found| found.may_send()) else {
            return 0;
        };
        let accepted = found.send.push(bytes);
        found.wants_room |= accepted < bytes.len();
        if accepted > 0 {
            self.mark_dirty(conn.slot);
        }
        accepted
    }

    #[inline]
    fn send_room(&self, conn: ConnId) -> usize {
        self.find(conn).filter(|conn| conn.may_send()).map_or(0, |conn| conn.send.room())
    }

    fn unsent(&self, conn: ConnId) -> usize {
        self.find(conn).map_or(0, |conn| conn.send.len())
    }

    fn want_room(&mut self, conn: ConnId) {
        if let Some(found) = self.find_mut(conn)
            && found.may_send()
        {
            found.wants_room = true;
            if found.send.is_roomy() {
                self.mark_notify(conn.slot);
            }
        }
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.flush_all();
        Ok(())
    }

    fn shutdown_write(&mut self, conn: ConnId) {
        if let Some(found) = self.find_mut(conn)
            && found.may_send()
        {
            found.write_closed = true;
            self.mark_dirty(conn.slot);
        }
    }

    fn close(&mut self, conn: ConnId) {
        let linger = self.config.linger;
        let Some(found) = self.find_mut(conn) else {
            return;
        };
        match found.state {
            State::Connecting if found.send.len() == 0 => self.finish(conn.slot, CloseReason::Local),
            // Closed before it came up, already.
            State::Connecting if found.deadline.is_some() => {}
            State::Connecting | State::Open => {
                // A connection that is not up yet keeps its state until it is.
                if found.state == State::Open {
                    found.state = State::Flushing;
                }
                found.write_closed = true;
                found.rearmed = false;
                found.wants_room = false;
                found.recv.clear();
                found.deadline = Some(Instant::now() + linger);
                self.closing.push(conn.slot);
                self.mark_dirty(conn.slot);
            }
            _ => {}
        }
    }

    fn abort(&mut self, conn: ConnId) {
        if let Some(found) = self.find(conn)
            && found.is_live()
        {
            found.reset_on_close();
            self.finish(conn.slot, CloseReason::Aborted);
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.sleep(timeout)
    }

    fn watch(&mut self, fd: std::os::fd::RawFd) -> Result<(), StreamError> {
        self.epoll.add(fd, epoll::LISTENER, WATCH_TOKEN).map_err(refused("watch a descriptor"))
    }

    fn waker(&self) -> Waker {
        self.sleeper.waker()
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}

/// The action becomes a string only if there is an error to tell.
fn refused(action: impl Into<String>) -> impl FnOnce(io::Error) -> StreamError {
    move |source| StreamError::Io { action: action.into(), source }
}
