//! The round: who is ready, who is served, what is told; and the sleep when nobody is.

use super::conn::{Received, State, reason};
use super::epoll::Ready;
use super::{KernelPort, LISTENER_SLOT, WAKER_TOKEN, WATCH_TOKEN, refused};
use crate::stream::{CloseReason, Event, StreamError};
use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// While poll receives directly, epoll is asked every so many polls: for new connections, room, and ends.
const POLLS_PER_ASK: u32 = 32;
/// Bytes that a closed connection's peer may still send before it is cut off.
const DRAIN_LIMIT: usize = 1 << 20;

impl KernelPort {
    pub(super) fn poll_once(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        events.clear();
        self.bury();
        self.find_ready()?;
        self.accept(events);
        self.serve_all(events);
        self.give_up_lingerers();
        self.tell(events);
        Ok(())
    }

    /// Frees what was told to be over by the last poll.
    fn bury(&mut self) {
        while let Some(slot) = self.told.pop() {
            let conn = &mut self.conns[slot as usize];
            debug_assert_eq!(conn.state, State::Told);
            conn.state = State::Free;
            conn.generation = conn.generation.wrapping_add(1);
            self.free.push(slot);
        }
    }

    fn find_ready(&mut self) -> Result<(), StreamError> {
        let direct = self.live.len() <= self.config.direct_connections;
        if direct {
            for at in 0..self.live.len() {
                let slot = self.live[at];
                self.conns[slot as usize].readable = true;
                self.mark_ready(slot);
            }
        }
        self.unasked_polls += 1;
        if self.asked {
            // `wait` has just asked.
            self.asked = false;
        } else if !direct || self.live.is_empty() || self.unasked_polls >= POLLS_PER_ASK {
            self.ask(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Asks epoll what has changed, and notes it.
    fn ask(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.unasked_polls = 0;
        self.stats.ready_calls += 1;
        self.epoll.wait(timeout).map_err(refused("ask which connections are ready"))?;
        for at in 0..self.epoll.count() {
            let ready = self.epoll.ready(at);
            let (slot, generation) = (ready.token as u32, (ready.token >> 32) as u32);
            if ready.token == WAKER_TOKEN {
                self.sleeper.drain();
            } else if ready.token == WATCH_TOKEN {
                // It has ended the wait, which is all that it is for.
            } else if slot >= LISTENER_SLOT {
                let number = (slot - LISTENER_SLOT) as usize;
                if let Some(Some(listener)) = self.listeners.get_mut(number) {
                    listener.ready = true;
                }
            } else if self.conns[slot as usize].generation == generation {
                self.note(slot, ready);
            }
        }
        Ok(())
    }

    fn note(&mut self, slot: u32, ready: Ready) {
        let conn = &mut self.conns[slot as usize];
        if conn.state == State::Connecting {
            if ready.writable() || ready.failed() {
                self.connected(slot);
            }
            return;
        }
        if !conn.is_live() {
            return;
        }
        if ready.failed() && conn.peer_closed {
            // Nothing is received any more that would tell.
            let failure = conn.socket.as_ref().map(|socket| socket.take_error());
            if let Some(Ok(Some(error)) | Err(error)) = failure {
                self.finish(slot, reason(error.kind()));
                return;
            }
        }
        conn.ended |= ready.ended();
        conn.readable |= ready.readable();
        let unblocked = ready.writable() && conn.blocked;
        if unblocked {
            conn.blocked = false;
        }
        if conn.readable {
            self.mark_ready(slot);
        }
        if unblocked {
            self.mark_dirty(slot);
        }
    }

    /// Serves each ready connection once. Those that have more stand behind the others in the next round.
    fn serve_all(&mut self, events: &mut Vec<Event>) {
        let mut round = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare));
        for &slot in &round {
            self.conns[slot as usize].in_ready = false;
            self.serve(slot, events);
        }
        round.clear();
        self.spare = round;
    }

    fn serve(&mut self, slot: u32, events: &mut Vec<Event>) {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        if conn.state == State::Open && std::mem::take(&mut conn.came_up) {
            events.push(Event::Connected { conn: id });
        }
        let mut tell = std::mem::take(&mut conn.rearmed);
        if conn.readable && conn.may_receive() {
            self.stats.recv_calls += 1;
            match conn.receive() {
                Received::Bytes(count) => {
                    self.stats.bytes_in += count as u64;
                    if conn.state == State::Open {
                        tell = true;
                    } else {
                        conn.recv.clear();
                        conn.drained += count;
                    }
                }
                Received::End => {
                    conn.peer_closed = true;
                    if conn.state == State::Open {
                        events.push(Event::PeerClosed { conn: id });
                    }
                }
                Received::Nothing => {}
                Received::Failed(kind) => {
                    // What came before it was told; what comes with it is lost, as TCP has it.
                    self.finish(slot, reason(kind));
                    return;
                }
            }
        }
        let conn = &self.conns[slot as usize];
        if tell && conn.state == State::Open {
            events.push(Event::Readable { conn: id });
        }
        if conn.state == State::Draining && (conn.peer_closed || conn.drained > DRAIN_LIMIT) {
            self.finish(slot, CloseReason::Local);
        } else if conn.readable && conn.may_receive() {
            self.mark_ready(slot);
        }
    }

    /// Ends closed connections whose peers take too long.
    fn give_up_lingerers(&mut self) {
        if self.closing.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut at = 0;
        while at < self.closing.len() {
            let slot = self.closing[at];
            let conn = &self.conns[slot as usize];
            let (state, unsent) = (conn.state, conn.send.len());
            // Over already, and perhaps another connection's number by now.
            let gone = conn.deadline.is_none() || !conn.is_live();
            let late = conn.deadline.is_some_and(|deadline| deadline <= now);
            if !gone && late {
                if state != State::Connecting && unsent == 0 {
                    // Closing the socket tells the peer, where that has not been done.
                    self.finish(slot, CloseReason::Local);
                } else {
                    // The kernel need not go on trying.
                    conn.reset_on_close();
                    self.finish(slot, CloseReason::LingerExpired);
                }
            }
            if gone || late {
                self.closing.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Tells what does not come from a receive.
    fn tell(&mut self, events: &mut Vec<Event>) {
        while let Some(slot) = self.notify.pop() {
            let id = self.id(slot);
            let conn = &mut self.conns[slot as usize];
            conn.in_notify = false;
            if conn.wants_room && conn.may_send() && conn.send.is_roomy() {
                conn.wants_room = false;
                events.push(Event::Writable { conn: id });
            }
            if let State::Over(reason) = conn.state {
                conn.state = State::Told;
                self.told.push(slot);
                events.push(Event::Closed { conn: id, reason });
            }
        }
    }

    /// One send for each connection that has something queued and may send.
    pub(super) fn flush_all(&mut self) {
        let mut round = std::mem::replace(&mut self.dirty, std::mem::take(&mut self.spare));
        for &slot in &round {
            self.conns[slot as usize].in_dirty = false;
            self.flush_one(slot);
        }
        round.clear();
        self.spare = round;
    }

    fn flush_one(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        // One that is not up yet is flushed when it is; one that is blocked, when the kernel has room.
        if !matches!(conn.state, State::Open | State::Flushing) || conn.blocked {
            return;
        }
        if conn.send.len() > 0 {
            self.stats.send_calls += 1;
            match conn.transmit() {
                Ok(count) => self.stats.bytes_out += count as u64,
                Err(error) => {
                    self.finish(slot, reason(error.kind()));
                    return;
                }
            }
            let conn = &mut self.conns[slot as usize];
            if conn.wants_room && conn.send.is_roomy() {
                self.mark_notify(slot);
            }
        }
        let conn = &mut self.conns[slot as usize];
        if conn.send.len() > 0 {
            // Interrupted: again by the next flush. Blocked: the kernel will tell.
            if !conn.blocked {
                self.mark_dirty(slot);
            }
            return;
        }
        if conn.write_closed && !conn.write_shut {
            conn.write_shut = true;
            let shut = conn.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Write));
            if let Some(Err(error)) = shut
                && error.kind() != io::ErrorKind::NotConnected
            {
                self.finish(slot, reason(error.kind()));
                return;
            }
        }
        let conn = &mut self.conns[slot as usize];
        if conn.state == State::Flushing {
            if conn.peer_closed {
                self.finish(slot, CloseReason::Local);
            } else {
                conn.state = State::Draining;
                conn.readable = true;
                self.mark_ready(slot);
            }
        }
    }

    pub(super) fn sleep(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.flush_all();
        let accepting = self.listeners.iter().flatten().any(|listener| listener.ready && !listener.starved);
        if accepting || !self.ready.is_empty() || !self.notify.is_empty() {
            return Ok(());
        }
        let mut timeout = timeout;
        if let Some(first) = self.closing.iter().filter_map(|&slot| self.conns[slot as usize].deadline).min() {
            timeout = timeout.min(first.saturating_duration_since(Instant::now()));
        }
        if !self.sleeper.fall_asleep() {
            return Ok(());
        }
        let asked = self.ask(timeout);
        self.sleeper.awake();
        self.asked = true;
        asked
    }
}
