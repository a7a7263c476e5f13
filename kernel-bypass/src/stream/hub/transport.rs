//! What a [`Hub`](super::Hub) needs of whatever moves the bytes.
//!
//! A transport knows no connection state, no lingering and no application: it listens, connects, moves bytes of one connection when
//! it is told to, and says what has changed. Both kinds fit: one that moves bytes at once (sockets, shared memory), and one that is
//! handed a send and tells later how much of it went ([`Sent::Later`], [`Note::Sent`]).

use super::buffer::{RecvBuffer, SendBuffer};
use crate::stream::wake::Sleeper;
use crate::stream::{ConnId, StreamError};
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A listener may have connections.
    Listener(u32),
    /// A waker has called.
    Woken,
    /// A connection may have changed.
    Ready {
        /// Which.
        conn: ConnId,
        /// In what way.
        ready: Ready,
    },
    /// What came of a send that was told to be [`Sent::Later`]: bytes taken, or a negative error number.
    Sent {
        /// Which.
        conn: ConnId,
        /// What came of it.
        result: i32,
    },
}

/// How a connection may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// There may be bytes, an end, or an error to receive.
    pub readable: bool,
    /// It takes bytes again, or a connection attempt is decided.
    pub writable: bool,
    /// The peer has sent its last byte, or the connection has failed.
    pub ended: bool,
    /// The connection, or the attempt to make one, has failed.
    pub failed: bool,
}

/// What one receive came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, and whether there may be more.
    Bytes(usize, bool),
    /// The peer sends nothing more.
    End,
    /// Nothing now; a note will tell.
    Nothing,
    /// Nothing now, and no note will tell: try again.
    Again,
    /// It is over.
    Failed(io::ErrorKind),
}

/// What one transmit came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes were taken. If these were not all, a note will tell of room.
    Bytes(usize),
    /// None was taken, and no note will tell: try again.
    Again,
    /// They are on their way: [`Note::Sent`] will tell. What is queued stays as it is until then; more may be queued behind it.
    Later,
}

/// System calls so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Those that receive.
    pub recv: u64,
    /// Those that send.
    pub send: u64,
    /// Those that ask what has changed, sleeping or not.
    pub ready: u64,
}

/// Whatever moves the bytes.
pub trait Transport {
    /// What a connection is to it.
    type Link;
    /// What a listener is to it.
    type Listener;

    /// Whether asking what has changed costs next to nothing: every poll asks then.
    const ASKS_FREELY: bool;

    /// Listens at `addr`, under this number.
    ///
    /// # Errors
    /// What the system refuses.
    fn listen(&mut self, number: u32, addr: SocketAddr) -> Result<Self::Listener, StreamError>;

    /// Listens no more.
    fn unlisten(&mut self, number: u32, listener: Self::Listener);

    /// Where it listens.
    fn local_addr(&self, listener: &Self::Listener) -> Option<SocketAddr>;

    /// The next connection, and whose it is; an error of kind `WouldBlock` when there is none now.
    ///
    /// # Errors
    /// What the system refuses.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Link, Option<SocketAddr>)>;

    /// Starts to connect.
    ///
    /// # Errors
    /// What the system refuses at once.
    fn connect(&mut self, peer: SocketAddr) -> io::Result<Self::Link>;

    /// A connection gets its number; `up`: it was accepted.
    ///
    /// # Errors
    /// What the system refuses.
    fn attach(&mut self, conn: ConnId, link: &mut Self::Link, send: &SendBuffer, up: bool) -> io::Result<()>;

    /// Turns a connection away that has no number: a reset, so that it does not look like a session that ended.
    fn refuse(&mut self, link: Self::Link);

    /// How an attempt to connect ended, or what has failed since; nothing when all is well.
    fn outcome(&mut self, conn: ConnId, link: &mut Self::Link) -> io::Result<()>;

    /// One receive, at most the buffer's space. `ended`: a note told of the end, so that a short receive is not the last.
    fn receive(&mut self, conn: ConnId, link: &mut Self::Link, into: &mut RecvBuffer, ended: bool) -> Received;

    /// Hands over what is queued. The hub removes from the queue what was taken.
    ///
    /// # Errors
    /// The connection is over.
    fn transmit(&mut self, conn: ConnId, link: &mut Self::Link, queued: &SendBuffer) -> io::Result<Sent>;

    /// A flush is over: what was gathered goes, in one system call at most.
    ///
    /// # Errors
    /// The port itself has failed.
    fn submit(&mut self, notes: &mut Vec<Note>) -> io::Result<()>;

    /// Tells the peer that nothing more is sent.
    ///
    /// # Errors
    /// The connection is over.
    fn shut(&mut self, conn: ConnId, link: &mut Self::Link) -> io::Result<()>;

    /// Ends a connection; with `reset`, so that the peer sees a reset. Nothing touches its buffers afterwards.
    fn close(&mut self, conn: ConnId, link: Self::Link, reset: bool);

    /// Says what has changed since it was last asked, waiting up to `timeout` for something to. An interrupted wait is one in which
    /// nothing has.
    ///
    /// # Errors
    /// The port itself has failed.
    fn ask(&mut self, timeout: Duration, notes: &mut Vec<Note>) -> io::Result<()>;

    /// Lets a wait end when this descriptor becomes readable, each time anew.
    ///
    /// # Errors
    /// It cannot be waited for.
    fn watch(&mut self, fd: RawFd) -> io::Result<()>;

    /// What wakes a wait.
    fn sleeper(&self) -> &Sleeper;

    /// The most notes that one call gives.
    fn most_notes(&self) -> usize;

    /// System calls so far.
    fn calls(&self) -> Calls;
}
