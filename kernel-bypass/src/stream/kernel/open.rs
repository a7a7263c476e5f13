//! How connections and listeners come to be.

use super::conn::State;
use super::{KernelPort, LISTENER_SLOT, Listener, MAX_LISTENERS, epoll, refused};
use crate::stream::{CloseReason, ConnId, Event, ListenerId, StreamError};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Connections accepted from one listener in one poll; the rest wait for the next, so that a storm of them does not hold up trading.
const ACCEPT_BURST: usize = 16;

impl KernelPort {
    pub(super) fn open_listener(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        if self.listeners.len() == MAX_LISTENERS {
            return Err(StreamError::Exhausted { what: "listeners", limit: MAX_LISTENERS });
        }
        let socket = self.socket(addr).map_err(refused("make a socket"))?;
        // A restarted venue gets its port back although old connections linger.
        socket.set_reuse_address(true).map_err(refused("reuse an address"))?;
        socket.bind(&addr.into()).map_err(refused(format!("bind {addr}")))?;
        socket.listen(self.config.backlog as i32).map_err(refused(format!("listen on {addr}")))?;
        let number = self.listeners.len() as u32;
        self.epoll
            .add(socket.as_raw_fd(), epoll::LISTENER, u64::from(LISTENER_SLOT + number))
            .map_err(refused(format!("watch {addr}")))?;
        self.listeners.push(Some(Listener { socket, ready: false, starved: false }));
        Ok(ListenerId(number))
    }

    pub(super) fn open_connection(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        if self.free.is_empty() {
            return Err(StreamError::Exhausted { what: "connections", limit: self.config.max_connections });
        }
        let action = || format!("connect to {peer}");
        let socket = self.socket(peer).map_err(refused(action()))?;
        self.make_ready(&socket).map_err(refused(action()))?;
        match socket.connect(&peer.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(refused(action())(error)),
        }
        self.add(socket, Some(peer), State::Connecting).map_err(refused(action()))
    }

    /// Accepts a burst from every listener that may have connections.
    pub(super) fn accept(&mut self, events: &mut Vec<Event>) {
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPT_BURST {
                let Some(listener) = &mut self.listeners[number] else {
                    break;
                };
                if !listener.ready {
                    break;
                }
                // Non-blocking from the start, by the same system call.
                let accepted = listener.socket.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
                listener.starved = false;
                match accepted {
                    Ok((socket, peer)) => self.admit(number as u32, socket, &peer, events),
                    Err(error) => match error.kind() {
                        // A peer that has gone meanwhile is no reason to stop.
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                        io::ErrorKind::WouldBlock => {
                            listener.ready = false;
                            break;
                        }
                        _ => {
                            listener.starved = true;
                            break;
                        }
                    },
                }
            }
        }
    }

    fn admit(&mut self, listener: u32, socket: Socket, peer: &SockAddr, events: &mut Vec<Event>) {
        if self.free.is_empty() || self.make_ready(&socket).is_err() {
            // A reset tells the peer at once; an ordinary close would look like a session that ended.
            let _ = socket.set_linger(Some(Duration::ZERO));
            self.stats.refused += 1;
            return;
        }
        match self.add(socket, peer.as_socket(), State::Open) {
            Ok(conn) => {
                self.stats.accepted += 1;
                events.push(Event::Accepted { listener: ListenerId(listener), conn });
                // Its first bytes may be there.
                self.conns[conn.index()].readable = true;
                self.mark_ready(conn.slot);
            }
            Err(_) => self.stats.refused += 1,
        }
    }

    /// A connection attempt is decided.
    pub(super) fn connected(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        debug_assert_eq!(conn.state, State::Connecting);
        let outcome = match &conn.socket {
            Some(socket) => socket.take_error(),
            None => return,
        };
        match outcome {
            Ok(None) => {
                // Closed before it came up: what was queued goes out, and nobody hears that it came up.
                let closed = conn.deadline.is_some();
                conn.state = if closed { State::Flushing } else { State::Open };
                conn.came_up = !closed;
                conn.readable = true;
                if conn.send.len() > 0 || conn.write_closed {
                    self.mark_dirty(slot);
                }
                self.mark_ready(slot);
            }
            Ok(Some(error)) | Err(error) => {
                self.finish(slot, CloseReason::ConnectFailed(error.kind()));
            }
        }
    }

    fn socket(&self, addr: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // On a listener too: accepted sockets inherit them, and the window is settled when a connection is made.
        if let Some(bytes) = self.config.socket_recv_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.config.socket_send_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        Ok(socket)
    }

    fn make_ready(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)
    }

    /// Gives a socket a number, and watches it. The caller has seen that one is free.
    fn add(&mut self, socket: Socket, peer: Option<SocketAddr>, state: State) -> io::Result<ConnId> {
        let slot = self.free.pop().ok_or_else(|| io::Error::other("no connection is free"))?;
        let id = self.id(slot);
        let token = u64::from(id.generation) << 32 | u64::from(slot);
        if let Err(error) = self.epoll.add(socket.as_raw_fd(), epoll::STREAM, token) {
            self.free.push(slot);
            return Err(error);
        }
        let conn = &mut self.conns[slot as usize];
        conn.start(socket, peer, state);
        conn.live_at = self.live.len() as u32;
        self.live.push(slot);
        Ok(id)
    }
}
