//! How connections and listeners come to be, and how the application ends them.

use super::conn::State;
use super::peek::Key;
use super::stack::{Listener, Stack};
use super::{MAX_LISTENERS, SmoltcpPort, refused};
use crate::frame::FramePort;
use crate::stream::{CloseReason, ConnId, ListenerId, StreamError};
use smoltcp::wire::IpAddress;
use std::io;
use std::net::{IpAddr, SocketAddr};

impl Stack {
    pub fn open_listener(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        let not = |kind: io::ErrorKind| refused(format!("listen on {addr}"))(kind.into());
        if self.listeners.len() == MAX_LISTENERS {
            return Err(StreamError::Exhausted { what: "listeners", limit: MAX_LISTENERS });
        }
        if !addr.ip().is_unspecified() && addr.ip() != IpAddr::V4(self.config.address) {
            return Err(not(io::ErrorKind::AddrNotAvailable));
        }
        let taken = |port: u16| self.listeners.iter().flatten().any(|listener| listener.port == port);
        let port = match addr.port() {
            0 => self.config.ephemeral.clone().rev().find(|&port| !taken(port)),
            port => Some(port).filter(|&port| !taken(port)),
        };
        let port = port.ok_or_else(|| not(io::ErrorKind::AddrInUse))?;
        self.listeners.push(Some(Listener { port }));
        Ok(ListenerId(self.listeners.len() as u32 - 1))
    }

    pub fn open_connection(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        let not = |kind: io::ErrorKind| refused(format!("connect to {peer}"))(kind.into());
        let SocketAddr::V4(to) = peer else {
            return Err(not(io::ErrorKind::Unsupported));
        };
        if to.ip().is_unspecified() || to.port() == 0 {
            return Err(not(io::ErrorKind::AddrNotAvailable));
        }
        if self.free.is_empty() {
            return Err(StreamError::Exhausted { what: "connections", limit: self.config.max_connections });
        }
        let key = self.unused_key(u32::from(*to.ip()), to.port()).ok_or_else(|| not(io::ErrorKind::AddrInUse))?;
        let Some(slot) = self.free.pop() else {
            return Err(not(io::ErrorKind::AddrInUse));
        };
        let deadline = self.deadline(self.config.handshake);
        let conn = &mut self.conns[slot as usize];
        conn.start(key, State::Connecting, deadline);
        let handle = conn.handle;
        let socket = conn.sockets.get_mut::<smoltcp::socket::tcp::Socket>(handle);
        let from = (IpAddress::Ipv4(self.config.address), key.local_port);
        let connected = socket.connect(self.interface.context(), (IpAddress::Ipv4(*to.ip()), to.port()), from);
        if connected.is_err() {
            self.bury(slot);
            return Err(not(io::ErrorKind::AddrNotAvailable));
        }
        self.known += 1;
        self.table.insert(key, slot);
        self.mark_dirty(slot);
        Ok(self.id(slot))
    }

    /// The next local port that has no connection to this peer.
    fn unused_key(&mut self, remote: u32, remote_port: u16) -> Option<Key> {
        let (first, last) = (*self.config.ephemeral.start(), *self.config.ephemeral.end());
        for _ in first..=last {
            let local_port = self.next_port.clamp(first, last);
            self.next_port = if local_port == last { first } else { local_port + 1 };
            let key = Key { remote, remote_port, local_port };
            let listening = self.listeners.iter().flatten().any(|listener| listener.port == local_port);
            let parting = self.partings.recall(key, self.now_ns).is_some();
            if !listening && !parting && self.table.get(key).is_none() {
                return Some(key);
            }
        }
        None
    }
}

impl<F: FramePort> SmoltcpPort<F> {
    pub(super) fn close_one(&mut self, conn: ConnId) {
        let deadline = self.stack.deadline(self.stack.config.linger);
        let Some(found) = self.find_mut(conn) else {
            return;
        };
        match found.state {
            // Closed before it came up, already.
            State::Connecting if found.closed => {}
            State::Connecting if found.send.len() == 0 => {
                self.stack.send_reset(conn.slot, self.frames.tx());
                self.stack.finish(conn.slot, CloseReason::Local);
            }
            State::Connecting | State::Open => {
                // A connection that is not up yet keeps its state until it is.
                if found.state == State::Open {
                    found.state = State::Flushing;
                }
                found.closed = true;
                found.write_closed = true;
                found.rearmed = false;
                found.wants_room = false;
                found.recv.clear();
                found.deadline = Some(deadline);
                self.stack.mark_dirty(conn.slot);
                // What TCP still has is dropped by the next poll.
                self.stack.mark_ready(conn.slot);
            }
            _ => {}
        }
    }
}
