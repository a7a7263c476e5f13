//! Byte streams between the venue and its clients: one polled trait, whatever moves the bytes.
//!
//! A [`StreamPort`] is driven by one thread: [`poll`](StreamPort::poll) tells what happened, [`received`](StreamPort::received) and
//! [`consume`](StreamPort::consume) read, [`send`](StreamPort::send) queues, [`flush`](StreamPort::flush) sends what is queued, and
//! [`wait`](StreamPort::wait) sleeps when there is nothing to do. Static dispatch; no allocation after the port is made.
//!
//! **Fair.** In one poll every connection that is ready is served once, at most a receive buffer of bytes each; then the application
//! gets its turn. A connection that has more stays ready, behind the others. A slow reader fills its own send buffer, and nobody
//! else's; a peer whose bytes the application does not consume fills its own receive buffer, and TCP holds it back. An idle connection
//! costs nothing.
//!
//! **Frugal.** At most one system call per connection, burst and direction.
//!
//! **Ids.** A [`ConnId`] is a small number, dense from 0, for the application's arrays, and a generation: the id of a connection that
//! is over is recognized and harmless, even when its number has been given again.
//!
//! [`kernel::KernelPort`] is the reference: polled kernel sockets; [`uring::UringPort`] goes through io_uring;
//! [`smoltcp::SmoltcpPort`] is TCP in user space; [`shm::ShmPort`] is shared memory, for a client on the same host. Every port passes
//! the conformance tests.

pub mod any;
pub(crate) mod epoll;
mod hub;
pub mod kernel;
mod readiness;
pub mod shm;
pub mod smoltcp;
mod sockets;
pub mod uring;
mod wake;

#[cfg(test)]
pub(crate) mod conformance;

pub use wake::Waker;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// The number among the port's connections, from 0 to its limit less one; given again when the connection is over.
    #[inline(always)]
    pub fn index(self) -> usize {
        self.slot as usize
    }

    /// How many connections had this number before, modulo 2^32.
    #[inline(always)]
    pub fn generation(self) -> u32 {
        self.generation
    }
}

/// A listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(crate) u32);

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A peer has connected.
    Accepted {
        /// Where it was accepted.
        listener: ListenerId,
        /// The new connection.
        conn: ConnId,
    },
    /// A connection that this side asked for is up.
    Connected {
        /// Which.
        conn: ConnId,
    },
    /// There are new bytes in `received(conn)`, or `rearm` was asked for.
    Readable {
        /// Which.
        conn: ConnId,
    },
    /// After a send that was not accepted whole: at least half of the send buffer is free again.
    Writable {
        /// Which.
        conn: ConnId,
    },
    /// The peer sends nothing more. What was received can still be read, and this side can still send.
    PeerClosed {
        /// Which.
        conn: ConnId,
    },
    /// It is over. What was received can still be read until the next poll; then the id means nothing.
    Closed {
        /// Which.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
}

impl Event {
    /// The connection that it happened to.
    #[inline]
    pub fn conn(&self) -> ConnId {
        match *self {
            Self::Accepted { conn, .. }
            | Self::Connected { conn }
            | Self::Readable { conn }
            | Self::Writable { conn }
            | Self::PeerClosed { conn }
            | Self::Closed { conn, .. } => conn,
        }
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// `close` was asked for, and everything queued was handed to the transport.
    Local,
    /// `close` was asked for, and the peer did not take everything in time.
    LingerExpired,
    /// `abort` was asked for.
    Aborted,
    /// The peer reset it.
    Reset,
    /// It never came up.
    ConnectFailed(io::ErrorKind),
    /// The transport failed.
    Failed(io::ErrorKind),
}

/// Why a port cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The system refused.
    #[error("stream port: cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A configured value is out of range.
    #[error("stream port: {field} is {found}, allowed is {allowed}")]
    Config {
        /// Which.
        field: &'static str,
        /// What was configured.
        found: usize,
        /// What may be.
        allowed: String,
    },
    /// Every connection, or every listener, that the port was made for is in use.
    #[error("stream port: all {limit} {what} are in use")]
    Exhausted {
        /// Connections or listeners.
        what: &'static str,
        /// How many there are.
        limit: usize,
    },
}

/// What a port has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Peers turned away because every connection was in use.
    pub refused: u64,
    /// Connections that are over.
    pub closed: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes handed to the transport.
    pub bytes_out: u64,
    /// System calls that receive.
    pub recv_calls: u64,
    /// System calls that send.
    pub send_calls: u64,
    /// System calls that ask which connections are ready, sleeping or not.
    pub ready_calls: u64,
}

/// Byte streams, polled by one thread. The module says what it promises.
///
/// A loop: `poll`, handle the events, `flush`, and `wait` when there was nothing. Ids that are over are ignored, or answered with
/// nothing.
pub trait StreamPort {
    /// Accepts connections at `addr`; port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system refuses; more listeners than there may be.
    fn listen(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError>;

    /// Accepts no more there. Accepted connections stay.
    fn unlisten(&mut self, listener: ListenerId);

    /// Where it listens.
    fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr>;

    /// Starts a connection to `peer`: `Connected` or `Closed` will tell. What is sent before is queued.
    ///
    /// # Errors
    /// What the system refuses at once; every connection in use.
    fn connect(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError>;

    /// The other side's address.
    fn peer_addr(&self, conn: ConnId) -> Option<SocketAddr>;

    /// Whether the application may still send.
    fn is_open(&self, conn: ConnId) -> bool;

    /// Connections in use.
    fn connections(&self) -> usize;

    /// Serves every ready connection once, and puts what happened into `events`, which it clears first; how many there are.
    ///
    /// # Errors
    /// The port itself has failed. What happens to one connection is an event.
    fn poll(&mut self, events: &mut Vec<Event>) -> Result<usize, StreamError>;

    /// A vector of this capacity never grows in `poll`.
    fn event_capacity(&self) -> usize;

    /// The bytes received and not consumed, as one slice. Stays where it is until the next poll.
    fn received(&self, conn: ConnId) -> &[u8];

    /// Takes the first `count` received bytes away (all of them, if there are fewer).
    fn consume(&mut self, conn: ConnId, count: usize);

    /// Asks for `Readable` at the next poll although nothing new may have come: for an application that left whole messages behind.
    fn rearm(&mut self, conn: ConnId);

    /// Queues the front of `bytes`, as much as there is room for; how much. No system call.
    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> usize;

    /// Room in the send buffer.
    fn send_room(&self, conn: ConnId) -> usize;

    /// Bytes queued and not handed to the transport.
    fn unsent(&self, conn: ConnId) -> usize;

    /// Queues `bytes` whole, or not at all; then `Writable` tells of room.
    #[inline]
    fn send_all(&mut self, conn: ConnId, bytes: &[u8]) -> bool {
        if self.send_room(conn) >= bytes.len() {
            let accepted = self.send(conn, bytes);
            debug_assert!(accepted == bytes.len() || !self.is_open(conn));
            return accepted == bytes.len();
        }
        self.want_room(conn);
        false
    }

    /// Asks for `Writable` once at least half of the send buffer is free.
    fn want_room(&mut self, conn: ConnId);

    /// Hands what is queued to the transport: one system call per connection that has something queued and may send.
    ///
    /// # Errors
    /// The port itself has failed. What happens to one connection is an event of the next poll.
    fn flush(&mut self) -> Result<(), StreamError>;

    /// Sends nothing more than what is queued, and tells the peer so. Receiving goes on.
    fn shutdown_write(&mut self, conn: ConnId);

    /// Sends what is queued, tells the peer, waits for it to close too (as long as the port is configured to linger), and is over.
    /// What it still sends is dropped. The next event is `Closed`.
    fn close(&mut self, conn: ConnId);

    /// Is over at once: what is queued is lost, and the peer sees a reset.
    fn abort(&mut self, conn: ConnId);

    /// Flushes, and sleeps until something has happened, a [`Waker`] wakes it, or `timeout` is over. Does not sleep if there is
    /// something to do already.
    ///
    /// # Errors
    /// The port itself has failed.
    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError>;

    /// Lets [`wait`](StreamPort::wait) end as well when this descriptor becomes readable, each time anew: an eventfd that tells
    /// of a completion elsewhere, say. It stays the caller's; closing it ends the watch.
    ///
    /// # Errors
    /// The descriptor is not one that can be waited for.
    fn watch(&mut self, fd: std::os::fd::RawFd) -> Result<(), StreamError>;

    /// Wakes [`wait`](StreamPort::wait) from any thread.
    fn waker(&self) -> Waker;

    /// What the port has done so far.
    fn stats(&self) -> Stats;
}
