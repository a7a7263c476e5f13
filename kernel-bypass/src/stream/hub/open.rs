//! How connections and listeners come to be.

use super::conn::State;
use super::transport::Transport;
use super::{Hub, Listener, MAX_LISTENERS, refused};
use crate::stream::{CloseReason, ConnId, Event, ListenerId, StreamError};
use std::io;
use std::net::SocketAddr;

/// Connections accepted from one listener in one poll; the rest wait for the next, so that a storm of them does not hold up trading.
const ACCEPT_BURST: usize = 16;

impl<T: Transport> Hub<T> {
    pub(super) fn open_listener(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        if self.listeners.len() == MAX_LISTENERS {
            return Err(StreamError::Exhausted { what: "listeners", limit: MAX_LISTENERS });
        }
        let number = self.listeners.len() as u32;
        let inner = self.transport.listen(number, addr)?;
        self.listeners.push(Some(Listener { inner, ready: false, starved: false }));
        Ok(ListenerId(number))
    }

    pub(super) fn open_connection(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        if self.free.is_empty() {
            return Err(StreamError::Exhausted { what: "connections", limit: self.config.max_connections });
        }
        let action = || format!("connect to {peer}");
        let link = self.transport.connect(peer).map_err(refused(action()))?;
        self.add(link, Some(peer), State::Connecting).map_err(refused(action()))
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
                let accepted = self.transport.accept(&mut listener.inner);
                listener.starved = false;
                match accepted {
                    Ok((link, peer)) => self.admit(number as u32, link, peer, events),
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

    fn admit(&mut self, listener: u32, link: T::Link, peer: Option<SocketAddr>, events: &mut Vec<Event>) {
        if self.free.is_empty() {
            self.transport.refuse(link);
            self.stats.refused += 1;
            return;
        }
        match self.add(link, peer, State::Open) {
            Ok(conn) => {
                self.stats.accepted += 1;
                events.push(Event::Accepted { listener: ListenerId(listener), conn });
                // Its first bytes may be there.
                self.conns[conn.index()].readable = true;
                self.mark_ready(conn.slot);
            }
            // Gone before it was let in: nobody was turned away.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
            Err(_) => self.stats.refused += 1,
        }
    }

    /// A connection attempt is decided.
    pub(super) fn connected(&mut self, slot: u32) {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        debug_assert_eq!(conn.state, State::Connecting);
        let outcome = match &mut conn.link {
            Some(link) => self.transport.outcome(id, link),
            None => return,
        };
        match outcome {
            Ok(()) => {
                // Closed before it came up: what was queued goes out, and nobody hears that it came up.
                let closed = conn.deadline.is_some();
                conn.state = if closed { State::Flushing } else { State::Open };
                conn.came_up = !closed;
                conn.readable = true;
                let (queued, asked) = (conn.send.len() > 0 || conn.write_closed, conn.wants_room);
                if queued {
                    self.mark_dirty(slot);
                }
                if asked {
                    self.mark_notify(slot);
                }
                self.mark_ready(slot);
            }
            Err(error) => self.finish(slot, CloseReason::ConnectFailed(error.kind())),
        }
    }

    /// Gives a link a number. The caller has seen that one is free.
    fn add(&mut self, mut link: T::Link, peer: Option<SocketAddr>, state: State) -> io::Result<ConnId> {
        let slot = self.free.pop().ok_or_else(|| io::Error::other("no connection is free"))?;
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        conn.send.clear();
        if let Err(error) = self.transport.attach(id, &mut link, &conn.send, state == State::Open) {
            self.transport.refuse(link);
            self.free.push(slot);
            return Err(error);
        }
        conn.start(link, peer, state);
        conn.live_at = self.live.len() as u32;
        self.live.push(slot);
        Ok(id)
    }
}
