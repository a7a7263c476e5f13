//! One connection of a hub: its buffers, and how far it has come.

use super::buffer::{RecvBuffer, SendBuffer};
use crate::stream::CloseReason;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The number is free.
    Free,
    /// Asked for, not up.
    Connecting,
    /// Up, as far as the application has not ended a direction.
    Open,
    /// The application has closed it; what is queued is still being sent.
    Flushing,
    /// Everything is sent, and the peer was told; its end is awaited.
    Draining,
    /// Over; to be told.
    Over(CloseReason),
    /// Told; free at the next poll.
    Told,
}

pub(super) struct Conn<L> {
    pub generation: u32,
    pub state: State,
    pub link: Option<L>,
    pub peer: Option<SocketAddr>,
    pub recv: RecvBuffer,
    pub send: SendBuffer,
    /// Where it stands in the port's list of live connections.
    pub live_at: u32,
    /// The transport may have bytes, an end, or an error for us.
    pub readable: bool,
    /// The transport has told of the end: a short read is not the last.
    pub ended: bool,
    /// The end was read, and told.
    pub peer_closed: bool,
    /// The transport takes nothing more until it says so.
    pub blocked: bool,
    /// The application wants to hear of room.
    pub wants_room: bool,
    /// The application wants to hear of what it left.
    pub rearmed: bool,
    /// The application sends nothing more.
    pub write_closed: bool,
    /// The peer was told so.
    pub write_shut: bool,
    /// In the port's list of that name.
    pub in_ready: bool,
    pub in_dirty: bool,
    pub in_notify: bool,
    /// Has come up, or was accepted; to be told.
    pub came_up: bool,
    /// Bytes dropped since it was closed.
    pub drained: usize,
    /// When a closed connection is given up.
    pub deadline: Option<Instant>,
}

impl<L> Conn<L> {
    pub fn new(recv_buffer: usize, send_buffer: usize) -> Self {
        Self {
            generation: 0,
            state: State::Free,
            link: None,
            peer: None,
            recv: RecvBuffer::new(recv_buffer),
            send: SendBuffer::new(send_buffer),
            live_at: 0,
            readable: false,
            ended: false,
            peer_closed: false,
            blocked: false,
            wants_room: false,
            rearmed: false,
            write_closed: false,
            write_shut: false,
            in_ready: false,
            in_dirty: false,
            in_notify: false,
            came_up: false,
            drained: 0,
            deadline: None,
        }
    }

    /// Takes a new link. The flags `in_*` stay: the number may still stand in a list, where it does no harm.
    pub fn start(&mut self, link: L, peer: Option<SocketAddr>, state: State) {
        debug_assert_eq!(self.state, State::Free);
        self.state = state;
        self.link = Some(link);
        self.peer = peer;
        self.recv.clear();
        self.send.clear();
        self.readable = false;
        self.ended = false;
        self.peer_closed = false;
        self.blocked = false;
        self.wants_room = false;
        self.rearmed = false;
        self.write_closed = false;
        self.write_shut = false;
        self.came_up = false;
        self.drained = 0;
        self.deadline = None;
    }

    /// Whether it has a link.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Connecting | State::Open | State::Flushing | State::Draining)
    }

    /// Whether the application may send.
    pub fn may_send(&self) -> bool {
        matches!(self.state, State::Connecting | State::Open) && !self.write_closed
    }

    /// Whether a receive makes sense now.
    pub fn may_receive(&self) -> bool {
        match self.state {
            State::Open => !self.peer_closed && !self.recv.is_full(),
            State::Flushing | State::Draining => !self.peer_closed,
            _ => false,
        }
    }
}

/// What a failed call says of the connection.
pub(super) fn reason(kind: io::ErrorKind) -> CloseReason {
    match kind {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseReason::Reset,
        kind => CloseReason::Failed(kind),
    }
}
