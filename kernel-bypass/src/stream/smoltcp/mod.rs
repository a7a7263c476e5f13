//! TCP in user space, by smoltcp, over any [`FramePort`]: no system call between a packet and its bytes.
//!
//! Frames are matched to connections by a table, and each connection has a smoltcp socket set of its own, so that the cost of a poll
//! depends on the connections that something has happened to, not on how many there are. Acknowledgements travel with the answer, if
//! there is one by the next flush. A closed connection gives its number and buffers back at once; of its TIME-WAIT only the last
//! acknowledgement is kept, to be said again.
//!
//! "System calls" in its [`Stats`] that receive or send are copies from and to TCP: the card's own are in the frame port's.
//!
//! **Limits.** One thread. IPv4, one address, no VLAN, no fragments. smoltcp has no selective acknowledgement and retransmits after a
//! second at the earliest (unless three duplicates ask for it), and there is no congestion control: made for a network on which
//! loss is an accident. Everything is allocated when the port is made.

mod config;
mod conn;
mod device;
mod open;
mod parting;
mod peek;
mod poll;
mod stack;
mod table;
mod timers;

#[cfg(test)]
mod lossy_tests;
#[cfg(test)]
mod tests;

pub use config::SmoltcpConfig;

use super::epoll::{self, Epoll};
use super::wake::Sleeper;
use super::{ConnId, Event, ListenerId, Stats, StreamError, StreamPort, Waker};
use crate::frame::{FrameError, FramePort};
use conn::{Conn, State};
use stack::Stack;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::RawFd;
use std::time::Duration;

/// Listeners that a port may have, over its whole life.
pub const MAX_LISTENERS: usize = 64;
/// Events that one connection can have in one poll: up, readable, ended, room, over.
const EVENTS_PER_CONNECTION: usize = 5;
/// Descriptors that may be watched at once: frames, the waker, what the caller watches.
const MAX_DESCRIPTORS: usize = 64;
/// Epoll's token of the waker.
const WAKER_TOKEN: u64 = 0;
/// Epoll's token of everything else, which is there only to end a wait.
const OTHER_TOKEN: u64 = 1;

/// A port over TCP in user space.
pub struct SmoltcpPort<F: FramePort> {
    frames: F,
    stack: Stack,
    epoll: Epoll,
    sleeper: Sleeper,
    /// The last poll took as many frames as it may: there may be more.
    more_frames: bool,
}

impl<F: FramePort> SmoltcpPort<F> {
    /// Makes a port that speaks through `frames`.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(mut frames: F, config: &SmoltcpConfig) -> Result<Self, StreamError> {
        config.check()?;
        let epoll = Epoll::new(MAX_DESCRIPTORS).map_err(refused("make an epoll set"))?;
        let sleeper = Sleeper::new().map_err(refused("make an eventfd"))?;
        epoll.add(sleeper.fd(), epoll::LEVEL, WAKER_TOKEN).map_err(refused("watch the eventfd"))?;
        for fd in frames.descriptors() {
            epoll.add(fd, epoll::LEVEL, OTHER_TOKEN).map_err(refused("watch for frames"))?;
        }
        let stack = Stack::new(config, frames.mac(), frames.max_frame(), frames.now_ns());
        Ok(Self { frames, stack, epoll, sleeper, more_frames: false })
    }

    /// What moves its frames.
    pub fn frames(&self) -> &F {
        &self.frames
    }

    /// What moves its frames, to be changed.
    pub fn frames_mut(&mut self) -> &mut F {
        &mut self.frames
    }

    /// The connection, if the id still means one.
    #[inline]
    fn find(&self, id: ConnId) -> Option<&Conn> {
        let alive = |conn: &&Conn| conn.generation == id.generation && conn.state != State::Free;
        self.stack.conns.get(id.index()).filter(alive)
    }

    #[inline]
    fn find_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let alive = |conn: &&mut Conn| conn.generation == id.generation && conn.state != State::Free;
        self.stack.conns.get_mut(id.index()).filter(alive)
    }
}

impl<F: FramePort> Drop for SmoltcpPort<F> {
    /// Peers learn by a reset that nobody is here any more.
    fn drop(&mut self) {
        for slot in 0..self.stack.conns.len() as u32 {
            if self.stack.conns[slot as usize].is_live() {
                self.stack.send_reset(slot, self.frames.tx());
            }
        }
        // The last frames of a port that is going: nobody is left to be told.
        let _ = self.frames.flush();
    }
}

impl<F: FramePort> StreamPort for SmoltcpPort<F> {
    fn listen(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        self.stack.open_listener(addr)
    }

    fn unlisten(&mut self, listener: ListenerId) {
        if let Some(place) = self.stack.listeners.get_mut(listener.0 as usize) {
            *place = None;
        }
    }

    fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr> {
        let listener = self.stack.listeners.get(listener.0 as usize)?.as_ref()?;
        Some(SocketAddrV4::new(self.stack.config.address, listener.port).into())
    }

    fn connect(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        self.stack.now_ns = self.frames.now_ns();
        self.stack.open_connection(peer)
    }

    fn peer_addr(&self, conn: ConnId) -> Option<SocketAddr> {
        let key = self.find(conn)?.key;
        Some(SocketAddrV4::new(key.remote.into(), key.remote_port).into())
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.find(conn).is_some_and(Conn::may_send)
    }

    fn connections(&self) -> usize {
        self.stack.known
    }

    fn poll(&mut self, events: &mut Vec<Event>) -> Result<usize, StreamError> {
        self.poll_once(events)?;
        Ok(events.len())
    }

    fn event_capacity(&self) -> usize {
        EVENTS_PER_CONNECTION * self.stack.config.max_connections
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
        if found.may_receive() && found.socket().can_recv() {
            self.stack.mark_ready(conn.slot);
        }
    }

    fn rearm(&mut self, conn: ConnId) {
        if let Some(found) = self.find_mut(conn)
            && found.state == State::Open
        {
            found.rearmed = true;
            self.stack.mark_ready(conn.slot);
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
            self.stack.mark_dirty(conn.slot);
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
                self.stack.mark_notify(conn.slot);
            }
        }
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.flush_once()
    }

    fn shutdown_write(&mut self, conn: ConnId) {
        if let Some(found) = self.find_mut(conn)
            && found.may_send()
        {
            found.write_closed = true;
            self.stack.mark_dirty(conn.slot);
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.stack.now_ns = self.frames.now_ns();
        self.close_one(conn);
    }

    fn abort(&mut self, conn: ConnId) {
        if self.find(conn).is_some_and(Conn::is_known) {
            self.stack.now_ns = self.frames.now_ns();
            self.stack.send_reset(conn.slot, self.frames.tx());
            self.stack.finish(conn.slot, super::CloseReason::Aborted);
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.sleep(timeout)
    }

    fn watch(&mut self, fd: RawFd) -> Result<(), StreamError> {
        self.epoll.add(fd, epoll::LISTENER, OTHER_TOKEN).map_err(refused("watch a descriptor"))
    }

    fn waker(&self) -> Waker {
        self.sleeper.waker()
    }

    fn stats(&self) -> Stats {
        self.stack.stats
    }
}

impl From<FrameError> for StreamError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io { action, source } => Self::Io { action, source },
            error => Self::Io { action: "move frames".into(), source: io::Error::other(error) },
        }
    }
}

/// The action becomes a string only if there is an error to tell.
fn refused(action: impl Into<String>) -> impl FnOnce(io::Error) -> StreamError {
    move |source| StreamError::Io { action: action.into(), source }
}
