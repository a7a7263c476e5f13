//! The round: what frames and timers have brought, told as events.

use super::SmoltcpPort;
use super::conn::State;
use super::stack::Stack;
use crate::frame::{FramePort, FrameTx};
use crate::stream::{CloseReason, ConnId, Event, StreamError};
use smoltcp::socket::tcp;
use std::io::ErrorKind;
use std::time::Duration;

/// Bytes that a closed connection's peer may still send before it is cut off.
const DRAIN_LIMIT: usize = 1 << 20;

impl<F: FramePort> SmoltcpPort<F> {
    pub(super) fn poll_once(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        events.clear();
        while let Some(slot) = self.stack.told.pop() {
            self.stack.bury(slot);
        }
        self.stack.now_ns = self.frames.now_ns();
        if !self.stack.dirty.is_empty() {
            self.stack.catch_up(self.frames.tx());
            self.frames.flush()?;
        }
        let limit = self.stack.config.frames_per_poll;
        let stack = &mut self.stack;
        let count = self.frames.receive(limit, |frame, tx| stack.ingress(frame, tx))?;
        self.more_frames = count == limit;
        self.stack.run_timers();
        self.stack.serve_all(self.frames.tx(), events);
        self.stack.tell(events);
        Ok(())
    }

    pub(super) fn flush_once(&mut self) -> Result<(), StreamError> {
        if !self.stack.dirty.is_empty() {
            self.stack.now_ns = self.frames.now_ns();
            self.stack.flush(self.frames.tx());
        }
        Ok(self.frames.flush()?)
    }

    pub(super) fn sleep(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.flush_once()?;
        let stack = &self.stack;
        if self.more_frames || !stack.ready.is_empty() || !stack.notify.is_empty() || !stack.dirty.is_empty() {
            return Ok(());
        }
        let now = self.frames.now_ns();
        let timer = stack.timers.next().map(|at| Duration::from_nanos(at.saturating_sub(now)));
        let timeout = timer.map_or(timeout, |timer| timeout.min(timer));
        if !self.sleeper.fall_asleep() {
            return Ok(());
        }
        self.stack.stats.ready_calls += 1;
        let epoll = &mut self.epoll;
        let slept = self.frames.wait(timeout, |really| epoll.wait(really));
        self.sleeper.awake();
        for at in 0..self.epoll.count() {
            if self.epoll.ready(at).token == super::WAKER_TOKEN {
                self.sleeper.drain();
            }
        }
        slept.map_err(super::refused("wait for frames"))
    }
}

impl Stack {
    pub fn id(&self, slot: u32) -> ConnId {
        ConnId { slot, generation: self.conns[slot as usize].generation }
    }

    /// Serves each ready connection once. Those that have more stand behind the others in the next round.
    fn serve_all(&mut self, tx: &mut impl FrameTx, events: &mut Vec<Event>) {
        let mut round = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare));
        for &slot in &round {
            self.conns[slot as usize].in_ready = false;
            self.serve(slot, tx, events);
        }
        round.clear();
        self.spare = round;
    }

    fn serve(&mut self, slot: u32, tx: &mut impl FrameTx, events: &mut Vec<Event>) {
        if self.conns[slot as usize].deadline.is_some_and(|deadline| deadline <= self.now_ns) && self.expire(slot, tx) {
            return;
        }
        if !self.come_up(slot, events) {
            return;
        }
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        let mut tell = std::mem::take(&mut conn.rearmed);
        if conn.may_receive() && conn.socket().can_recv() {
            self.stats.recv_calls += 1;
            if conn.state == State::Open {
                self.stats.bytes_in += conn.receive() as u64;
                tell = true;
            } else {
                let count = conn.discard();
                conn.drained += count;
                self.stats.bytes_in += count as u64;
            }
            // The window has grown.
            self.mark_dirty(slot);
        }
        let conn = &mut self.conns[slot as usize];
        if tell && conn.state == State::Open {
            events.push(Event::Readable { conn: id });
        }
        if !conn.peer_closed && conn.is_ended() {
            conn.peer_closed = true;
            if conn.state == State::Open {
                events.push(Event::PeerClosed { conn: id });
            }
        }
        self.end_if_over(slot, tx);
        let conn = &self.conns[slot as usize];
        if conn.may_receive() && conn.socket().can_recv() {
            self.mark_ready(slot);
        }
    }

    /// Whether the connection is up; tells of it, and of failure.
    fn come_up(&mut self, slot: u32, events: &mut Vec<Event>) -> bool {
        let id = self.id(slot);
        let conn = &mut self.conns[slot as usize];
        match conn.state {
            State::Open | State::Flushing | State::Draining => return true,
            State::Connecting | State::Accepting => {}
            State::Free | State::Over(_) | State::Told => return false,
        }
        let failed = matches!(conn.socket().state(), tcp::State::Closed | tcp::State::Listen);
        match (conn.state, conn.is_up()) {
            (State::Connecting, true) => {
                // Closed before it came up: its linger goes on.
                if conn.closed {
                    conn.state = State::Flushing;
                } else {
                    conn.deadline = None;
                    conn.state = State::Open;
                    events.push(Event::Connected { conn: id });
                    self.mark_notify(slot);
                }
                self.mark_dirty(slot);
                true
            }
            (State::Connecting, false) if failed => {
                self.finish(slot, CloseReason::ConnectFailed(ErrorKind::ConnectionRefused));
                false
            }
            (State::Accepting, true) => {
                conn.deadline = None;
                let listener = crate::stream::ListenerId(conn.listener);
                self.accepted(slot);
                events.push(Event::Accepted { listener, conn: id });
                true
            }
            (State::Accepting, false) if failed => {
                self.forget(slot);
                false
            }
            _ => false,
        }
    }

    /// Ends what TCP, or the peer, has ended.
    fn end_if_over(&mut self, slot: u32, tx: &mut impl FrameTx) {
        let conn = &self.conns[slot as usize];
        if conn.socket().state() == tcp::State::Closed {
            match conn.state {
                State::Open if conn.reset => self.finish(slot, CloseReason::Reset),
                State::Flushing | State::Draining => {
                    // After both ends a reset says only that the peer has forgotten it.
                    let whole = !conn.reset || (conn.peer_closed && conn.is_delivered());
                    self.finish(slot, if whole { CloseReason::Local } else { CloseReason::Reset });
                }
                _ => {}
            }
        } else if conn.state == State::Draining && conn.drained > DRAIN_LIMIT {
            self.send_reset(slot, tx);
            self.finish(slot, CloseReason::Local);
        }
    }

    /// Its time is over; whether it is.
    fn expire(&mut self, slot: u32, tx: &mut impl FrameTx) -> bool {
        let conn = &self.conns[slot as usize];
        match conn.state {
            State::Connecting if conn.is_up() => return false,
            State::Accepting if conn.is_up() => return false,
            State::Connecting => {
                let reason = match conn.closed {
                    true => CloseReason::LingerExpired,
                    false => CloseReason::ConnectFailed(ErrorKind::TimedOut),
                };
                self.send_reset(slot, tx);
                self.finish(slot, reason);
            }
            State::Accepting => self.forget(slot),
            State::Draining if conn.is_delivered() => {
                // The peer has all it was sent, and was told; only its answer is missing.
                if conn.socket().state() != tcp::State::FinWait2 {
                    self.send_reset(slot, tx);
                }
                self.finish(slot, CloseReason::Local);
            }
            State::Flushing | State::Draining => {
                self.send_reset(slot, tx);
                self.finish(slot, CloseReason::LingerExpired);
            }
            State::Open | State::Free | State::Over(_) | State::Told => return false,
        }
        true
    }

    /// Tells what does not come from a receive.
    fn tell(&mut self, events: &mut Vec<Event>) {
        while let Some(slot) = self.notify.pop() {
            let id = self.id(slot);
            let conn = &mut self.conns[slot as usize];
            conn.in_notify = false;
            // Of one that is not up yet nothing is told before that.
            if conn.wants_room && conn.state == State::Open && conn.may_send() && conn.send.is_roomy() {
                conn.wants_room = false;
                events.push(Event::Writable { conn: id });
            }
            if let State::Over(reason) = conn.state {
                conn.state = State::Told;
                self.known -= 1;
                self.told.push(slot);
                events.push(Event::Closed { conn: id, reason });
            }
        }
    }
}
