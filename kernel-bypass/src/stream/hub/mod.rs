//! The state machine that polled ports share: connections, their buffers, who is ready, who lingers, and what is told.
//!
//! A [`Hub`] is a [`StreamPort`] over a [`Transport`]: the transport moves bytes and says what has changed; the hub keeps the promises
//! of the trait. It keeps its own list of ready connections, so that each is served once a round, and one whose receive buffer is full
//! is not asked about until the application has consumed.
//!
//! **Limits.** One thread. Everything is allocated when the port is made; pages are touched only when a connection uses them.

mod buffer;
mod conn;
mod open;
mod poll;
mod transport;

pub(super) use buffer::{RecvBuffer, SendBuffer};
pub(super) use transport::{Calls, Note, Ready, Received, Sent, Transport};

use super::{CloseReason, ConnId, Event, ListenerId, Stats, StreamError, StreamPort, Waker};
use conn::{Conn, State};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Listeners that a port may have, over its whole life.
pub const MAX_LISTENERS: usize = 64;
/// Events that one connection can have in one poll: up, readable, ended, room, over.
const EVENTS_PER_CONNECTION: usize = 5;

/// The size of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubConfig {
    /// Connections at a time, accepted and made.
    pub max_connections: usize,
    /// Bytes received and not consumed, per connection.
    pub recv_buffer: usize,
    /// Bytes queued and not sent, per connection.
    pub send_buffer: usize,
    /// With at most this many connections, poll tries to receive from each without asking which are ready.
    pub direct_connections: usize,
    /// How long `close` waits for the peer.
    pub linger: Duration,
}

impl HubConfig {
    pub fn check(&self) -> Result<(), StreamError> {
        let limits = [
            ("max_connections", self.max_connections, 1, 1 << 16),
            ("recv_buffer", self.recv_buffer, 64, 16 << 20),
            ("send_buffer", self.send_buffer, 64, 256 << 20),
            ("direct_connections", self.direct_connections, 0, 64),
            ("linger in ms", self.linger.as_millis().min(usize::MAX as u128) as usize, 0, 600_000),
        ];
        limits.into_iter().try_for_each(|(field, found, min, max)| within(field, found, min, max))
    }
}

/// Refuses a configured value that is out of range.
pub(super) fn within(field: &'static str, found: usize, min: usize, max: usize) -> Result<(), StreamError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(StreamError::Config { field, found, allowed: format!("{min} to {max}") })
}

struct Listener<L> {
    inner: L,
    /// The transport may have connections for us.
    ready: bool,
    /// The system had no descriptor or memory for the last one: asked again by every poll, but no reason to stay awake.
    starved: bool,
}

/// A port over a transport.
pub struct Hub<T: Transport> {
    config: HubConfig,
    transport: T,
    /// By number; `None` once unlistened.
    listeners: Vec<Option<Listener<T::Listener>>>,
    conns: Vec<Conn<T::Link>>,
    free: Vec<u32>,
    /// Those with a link.
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
    /// What the transport says.
    notes: Vec<Note>,
    /// The transport was asked since the last poll.
    asked: bool,
    /// Polls since the transport was last asked.
    unasked_polls: u32,
    stats: Stats,
}

impl<T: Transport> Hub<T> {
    /// The configuration was checked.
    pub(super) fn over(transport: T, config: HubConfig) -> Self {
        let count = config.max_connections;
        let list = || Vec::with_capacity(count);
        Self {
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
            notes: Vec::with_capacity(transport.most_notes()),
            asked: false,
            unasked_polls: 0,
            stats: Stats::default(),
            config,
            transport,
        }
    }

    pub(super) fn transport(&self) -> &T {
        &self.transport
    }

    fn id(&self, slot: u32) -> ConnId {
        ConnId { slot, generation: self.conns[slot as usize].generation }
    }

    /// The connection, if the id still means one.
    #[inline]
    fn find(&self, id: ConnId) -> Option<&Conn<T::Link>> {
        self.conns.get(id.index()).filter(|conn| conn.generation == id.generation && conn.state != State::Free)
    }

    #[inline]
    fn find_mut(&mut self, id: ConnId) -> Option<&mut Conn<T::Link>> {
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

    /// Closes the link; the next poll tells why.
    fn finish(&mut self, slot: u32, reason: CloseReason) {
        self.end(slot, reason, false);
    }

    /// Closes the link so that the peer sees a reset; the next poll tells why.
    fn cut(&mut self, slot: u32, reason: CloseReason) {
        self.end(slot, reason, true);
    }

    fn end(&mut self, slot: u32, reason: CloseReason, reset: bool) {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        debug_assert!(conn.is_live());
        if let Some(link) = conn.link.take() {
            self.transport.close(id, link, reset);
        }
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

impl<T: Transport> StreamPort for Hub<T> {
    fn listen(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        self.open_listener(addr)
    }

    fn unlisten(&mut self, listener: ListenerId) {
        if let Some(listening) = self.listeners.get_mut(listener.0 as usize).and_then(Option::take) {
            self.transport.unlisten(listener.0, listening.inner);
        }
    }

    fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr> {
        let listener = self.listeners.get(listener.0 as usize)?.as_ref()?;
        self.transport.local_addr(&listener.inner)
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
        self.flush_all()
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
            self.cut(conn.slot, CloseReason::Aborted);
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.sleep(timeout)
    }

    fn watch(&mut self, fd: std::os::fd::RawFd) -> Result<(), StreamError> {
        self.transport.watch(fd).map_err(refused("watch a descriptor"))
    }

    fn waker(&self) -> Waker {
        self.transport.sleeper().waker()
    }

    fn stats(&self) -> Stats {
        let calls = self.transport.calls();
        Stats { recv_calls: calls.recv, send_calls: calls.send, ready_calls: calls.ready, ..self.stats }
    }
}

/// The action becomes a string only if there is an error to tell.
pub(super) fn refused(action: impl Into<String>) -> impl FnOnce(io::Error) -> StreamError {
    move |source| StreamError::Io { action: action.into(), source }
}
