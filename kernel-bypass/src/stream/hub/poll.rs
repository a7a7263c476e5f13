//! The round: who is ready, who is served, what is told; and the sleep when nobody is.

use super::Hub;
use super::conn::{State, reason};
use super::refused;
use super::transport::{Note, Ready, Received, Sent, Transport};
use crate::stream::{CloseReason, Event, StreamError};
use std::io;
use std::time::{Duration, Instant};

/// While poll receives directly, the transport is asked every so many polls: for new connections, room, and ends.
const POLLS_PER_ASK: u32 = 32;
/// Bytes that a closed connection's peer may still send before it is cut off.
const DRAIN_LIMIT: usize = 1 << 20;

impl<T: Transport> Hub<T> {
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
        let direct = !T::ASKS_FREELY && self.live.len() <= self.config.direct_connections;
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

    /// Asks the transport what has changed, and notes it.
    fn ask(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.unasked_polls = 0;
        self.transport.ask(timeout, &mut self.notes).map_err(refused("ask which connections are ready"))?;
        self.take_notes();
        Ok(())
    }

    fn take_notes(&mut self) {
        for at in 0..self.notes.len() {
            match self.notes[at] {
                Note::Woken => self.transport.sleeper().drain(),
                Note::Listener(number) => {
                    if let Some(Some(listener)) = self.listeners.get_mut(number as usize) {
                        listener.ready = true;
                    }
                }
                Note::Ready { conn, ready } => {
                    if self.conns[conn.index()].generation == conn.generation {
                        self.note(conn.slot, ready);
                    }
                }
                Note::Sent { conn, result } => {
                    if self.conns[conn.index()].generation == conn.generation {
                        self.sent_later(conn.slot, result);
                    }
                }
            }
        }
        self.notes.clear();
    }

    fn note(&mut self, slot: u32, ready: Ready) {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        if conn.state == State::Connecting {
            if ready.writable || ready.failed {
                self.connected(slot);
            }
            return;
        }
        if !conn.is_live() {
            return;
        }
        if ready.failed && conn.peer_closed {
            // Nothing is received any more that would tell.
            let failure = conn.link.as_mut().map(|link| self.transport.outcome(id, link));
            if let Some(Err(error)) = failure {
                self.finish(slot, reason(error.kind()));
                return;
            }
        }
        conn.ended |= ready.ended;
        conn.readable |= ready.readable;
        let unblocked = ready.writable && conn.blocked;
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
        if conn.readable
            && conn.may_receive()
            && let Some(link) = &mut conn.link
        {
            match self.transport.receive(id, link, &mut conn.recv, conn.ended) {
                Received::Bytes(count, more) => {
                    conn.readable = more;
                    self.stats.bytes_in += count as u64;
                    if conn.state == State::Open {
                        tell = true;
                    } else {
                        conn.recv.clear();
                        conn.drained += count;
                    }
                }
                Received::End => {
                    conn.readable = false;
                    conn.peer_closed = true;
                    if conn.state == State::Open {
                        events.push(Event::PeerClosed { conn: id });
                    }
                }
                Received::Nothing => conn.readable = false,
                Received::Again => {}
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
                    // Closing the link tells the peer, where that has not been done.
                    self.finish(slot, CloseReason::Local);
                } else {
                    // The transport need not go on trying.
                    self.cut(slot, CloseReason::LingerExpired);
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
            // Of one that is not up yet nothing is told before that.
            let up = conn.state == State::Open && !conn.came_up;
            if conn.wants_room && up && conn.may_send() && conn.send.is_roomy() {
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

    /// One transmit for each connection that has something queued and may send.
    pub(super) fn flush_all(&mut self) -> Result<(), StreamError> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        let mut round = std::mem::replace(&mut self.dirty, std::mem::take(&mut self.spare));
        for &slot in &round {
            self.conns[slot as usize].in_dirty = false;
            self.flush_one(slot);
        }
        round.clear();
        self.spare = round;
        self.transport.submit(&mut self.notes).map_err(refused("send"))?;
        self.take_notes();
        Ok(())
    }

    fn flush_one(&mut self, slot: u32) {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        // One that is not up yet is flushed when it is; one that is blocked, when the transport has room.
        if !matches!(conn.state, State::Open | State::Flushing) || conn.blocked {
            return;
        }
        if conn.send.len() > 0
            && let Some(link) = &mut conn.link
        {
            match self.transport.transmit(id, link, &conn.send) {
                Ok(Sent::Bytes(count)) => {
                    // A short transmit has filled the transport: it will tell of room.
                    conn.blocked = count < conn.send.len();
                    conn.send.sent(count);
                    self.stats.bytes_out += count as u64;
                }
                Ok(Sent::Again) => {}
                Ok(Sent::Later) => {
                    conn.blocked = true;
                    return;
                }
                Err(error) => {
                    self.finish(slot, reason(error.kind()));
                    return;
                }
            }
        }
        self.after_transmit(slot);
    }

    /// What was handed over earlier has gone, some of it or all.
    fn sent_later(&mut self, slot: u32, result: i32) {
        let conn = &mut self.conns[slot as usize];
        if !conn.is_live() || !conn.blocked {
            return;
        }
        conn.blocked = false;
        if result < 0 {
            let kind = io::Error::from_raw_os_error(-result).kind();
            if !matches!(kind, io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) {
                self.finish(slot, reason(kind));
                return;
            }
        } else {
            conn.send.sent(result as usize);
            self.stats.bytes_out += result as u64;
        }
        self.after_transmit(slot);
    }

    fn after_transmit(&mut self, slot: u32) {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        if conn.wants_room && conn.send.is_roomy() {
            self.mark_notify(slot);
        }
        let conn = &mut self.conns[slot as usize];
        if conn.send.len() > 0 {
            // Interrupted, or gone in part: again by the next flush. Blocked: the transport will tell.
            if !conn.blocked {
                self.mark_dirty(slot);
            }
            return;
        }
        if conn.write_closed
            && !conn.write_shut
            && let Some(link) = &mut conn.link
        {
            conn.write_shut = true;
            if let Err(error) = self.transport.shut(id, link)
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
        self.flush_all()?;
        let accepting = self.listeners.iter().flatten().any(|listener| listener.ready && !listener.starved);
        if accepting || !self.ready.is_empty() || !self.notify.is_empty() {
            return Ok(());
        }
        let mut timeout = timeout;
        if let Some(first) = self.closing.iter().filter_map(|&slot| self.conns[slot as usize].deadline).min() {
            timeout = timeout.min(first.saturating_duration_since(Instant::now()));
        }
        if !self.transport.sleeper().fall_asleep() {
            return Ok(());
        }
        let asked = self.ask(timeout);
        self.transport.sleeper().awake();
        self.asked = true;
        asked
    }
}
