//! Which connections are looked at, when, and who is woken.

use super::meeting;
use super::segment::{Bell, Segment};
use super::{ALWAYS_HOT, COLD_LOOKS, COOLS_AFTER, Line, Shm};
use crate::stream::hub::{Calls, Note, Ready};
use crate::stream::{ConnId, readiness};
use socket2::Socket;
use std::io;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

impl Line {
    /// Whether there is something to do: to read, or room that was waited for.
    #[inline(always)]
    pub(super) fn look(&mut self, ring_bytes: usize) -> Option<Ready> {
        let readable = !self.told && self.reader.has_news();
        // Half a ring of room, so that a slow reader is not served byte by byte; nonsense is found by the write.
        let writable = self.blocked && self.writer.room().map_or(true, |room| room >= ring_bytes / 2);
        if !readable && !writable {
            return None;
        }
        self.told |= readable;
        if writable {
            self.blocked = false;
            self.writer.wish_for_room(false);
        }
        Some(Ready { readable, writable, ..Ready::default() })
    }

    /// Wakes the other side if it sleeps. What it is to see is published.
    #[inline]
    pub(super) fn wake(&self, socket: &Socket, calls: &mut Calls) {
        // The sleeper says that it sleeps, fences and looks; this publishes, fences and asks: one of the two sees the other.
        fence(Ordering::SeqCst);
        let asleep = match &self.bell {
            Some(bell) => bell.is_asleep(),
            None => self.segment.is_client_asleep(),
        };
        if asleep {
            calls.ready += 1;
            meeting::ring(socket);
        }
    }
}

impl Shm {
    /// A connection's memory is mapped: it is looked at from now on.
    pub(super) fn start(&mut self, conn: ConnId, line: Line) {
        let place = &mut self.places[conn.index()];
        place.line = Some(line);
        place.at = self.order.len() as u32;
        self.order.push(conn.slot);
        self.heat(conn.slot);
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.order.swap(one, other);
        self.places[self.order[one] as usize].at = one as u32;
        self.places[self.order[other] as usize].at = other as u32;
    }

    /// The connection is active: every poll looks at it.
    pub(super) fn heat(&mut self, slot: u32) {
        self.places[slot as usize].active = self.polls;
        let at = self.places[slot as usize].at as usize;
        if at >= self.hot {
            self.swap(at, self.hot);
            self.hot += 1;
        }
    }

    pub(super) fn cool(&mut self, at: usize) {
        self.hot -= 1;
        self.swap(at, self.hot);
    }

    /// Looks at nothing of this connection any more.
    pub(super) fn forget(&mut self, slot: u32) {
        if self.places[slot as usize].line.take().is_none() {
            return;
        }
        let mut at = self.places[slot as usize].at as usize;
        if at < self.hot {
            self.cool(at);
            at = self.hot;
        }
        self.swap(at, self.order.len() - 1);
        self.order.pop();
    }

    /// Looks at the connection at this place of the order.
    #[inline]
    pub(super) fn look(&mut self, at: usize, notes: &mut Vec<Note>) -> bool {
        let place = &mut self.places[self.order[at] as usize];
        let Some(line) = &mut place.line else { return false };
        let Some(ready) = line.look(self.config.ring_bytes) else { return false };
        place.active = self.polls;
        notes.push(Note::Ready { conn: place.conn, ready });
        true
    }

    /// Looks at all hot connections and at some of the others.
    pub(super) fn scan(&mut self, notes: &mut Vec<Note>) {
        self.polls += 1;
        for at in 0..self.hot {
            self.look(at, notes);
        }
        let cold = self.order.len() - self.hot;
        for _ in 0..cold.min(COLD_LOOKS) {
            if self.cold_at < self.hot || self.cold_at >= self.order.len() {
                self.cold_at = self.hot;
            }
            let at = self.cold_at;
            self.cold_at += 1;
            if self.look(at, notes) {
                let slot = self.order[at];
                self.heat(slot);
            }
        }
        if self.hot > ALWAYS_HOT {
            self.cooling_at = (self.cooling_at + 1) % self.hot;
            let slot = self.order[self.cooling_at];
            if self.polls - self.places[slot as usize].active > COOLS_AFTER {
                self.cool(self.cooling_at);
            }
        }
    }

    /// Looks at every connection; whether one has news.
    pub(super) fn scan_all(&mut self, notes: &mut Vec<Note>) -> bool {
        self.polls += 1;
        let before = notes.len();
        for at in 0..self.order.len() {
            if self.look(at, notes) {
                let slot = self.order[at];
                self.heat(slot);
            }
        }
        notes.len() > before
    }

    /// Says to everybody whether this side sleeps.
    pub(super) fn say_asleep(&mut self, asleep: bool) {
        self.bell.set(asleep);
        for &slot in &self.order {
            if let Some(Line { bell: Some(_), segment, .. }) = &self.places[slot as usize].line {
                segment.set_client_asleep(asleep);
            }
        }
    }

    /// Asks about the sockets.
    pub(super) fn ask_sockets(&mut self, timeout: Duration, notes: &mut Vec<Note>) -> io::Result<()> {
        self.calls.ready += 1;
        self.unasked = 0;
        self.epoll.wait(timeout)?;
        for at in 0..self.epoll.count() {
            let told = self.epoll.ready(at);
            notes.extend(readiness::note(told, |conn, _| {
                let gone = self.hear(conn);
                Ready { readable: true, writable: true, ended: gone, failed: gone }
            }));
        }
        Ok(())
    }

    /// A connection's socket has something: rings, which have done their work, or its end, which comes without the stream's when the
    /// other process has died. Whether it is the end.
    pub(super) fn hear(&mut self, conn: ConnId) -> bool {
        let Some(place) = self.places.get_mut(conn.index()).filter(|place| place.conn == conn) else { return false };
        // Before the hello is taken, the socket is its.
        if place.line.is_some() && !place.gone && !meeting::take_rings(place.socket) {
            place.gone = true;
            self.epoll.remove(place.socket);
        }
        place.gone
    }

    /// The connection waits for no hello any more.
    pub(super) fn greeted(&mut self, slot: u32) {
        if std::mem::take(&mut self.places[slot as usize].greeting) {
            self.greeting -= 1;
        }
    }

    /// Takes the memory that the venue hands over.
    pub(super) fn greet(&mut self, conn: ConnId, socket: &Socket) -> io::Result<()> {
        let (ring_bytes, segment, bell) = meeting::receive_hello(socket)?;
        let segment = Segment::of_peer(segment, ring_bytes)?;
        let (reader, writer) = segment.ends(false);
        let bell = Some(Bell::of_peer(bell)?);
        self.greeted(conn.slot);
        self.start(conn, Line { reader, writer, segment, bell, blocked: false, told: false });
        Ok(())
    }
}
