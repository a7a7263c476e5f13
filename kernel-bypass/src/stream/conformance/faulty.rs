//! Ports with one planted fault each: the conformance tests must see every one of them.

use super::*;
use crate::stream::{Stats, Waker};

/// What is wrong with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Now and then a byte arrives changed.
    FlipsAByte,
    /// A ready connection is served twice in a round.
    ServesTwice,
    /// Every send is a system call of its own.
    SendsAtOnce,
    /// An id that is over means the number's next owner.
    ForgetsGenerations,
    /// A reset looks like an ordinary end.
    HidesResets,
    /// Every poll tries every connection.
    TriesEveryone,
    /// A send allocates.
    Allocates,
    /// A message that does not fit is queued in part.
    QueuesParts,
    /// Bytes that are consumed come again.
    ConsumesTooLittle,
    /// Closing throws away what is queued.
    ClosesAtOnce,
    /// An end is told again.
    TellsEndsTwice,
    /// In every second round somebody else than the first is left out.
    StarvesOthers,
}

pub(crate) struct Faulty<P> {
    port: P,
    fault: Fault,
    sends: usize,
    tries: u64,
    rounds: u64,
    /// By number, the last id that was told of.
    latest: Vec<Option<ConnId>>,
    junk: String,
}

impl<P: StreamPort> Faulty<P> {
    pub fn new(port: P, fault: Fault) -> Self {
        Self { port, fault, sends: 0, tries: 0, rounds: 0, latest: vec![None; 1 << 10], junk: String::new() }
    }

    /// Whom an id means to this port.
    fn meant(&self, conn: ConnId) -> ConnId {
        let latest = self.latest.get(conn.index()).copied().flatten();
        match self.fault {
            Fault::ForgetsGenerations => latest.unwrap_or(conn),
            _ => conn,
        }
    }
}

impl<P: StreamPort> StreamPort for Faulty<P> {
    fn listen(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        self.port.listen(addr)
    }
    fn unlisten(&mut self, listener: ListenerId) {
        self.port.unlisten(listener);
    }
    fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.port.local_addr(listener)
    }
    fn connect(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        self.port.connect(peer)
    }
    fn peer_addr(&self, conn: ConnId) -> Option<SocketAddr> {
        self.port.peer_addr(conn)
    }
    fn is_open(&self, conn: ConnId) -> bool {
        self.port.is_open(self.meant(conn))
    }
    fn connections(&self) -> usize {
        self.port.connections()
    }
    fn poll(&mut self, events: &mut Vec<Event>) -> Result<usize, StreamError> {
        self.port.poll(events)?;
        self.tries += self.port.connections() as u64;
        for event in events.iter_mut() {
            self.latest[event.conn().index()] = Some(event.conn());
            if let (Fault::HidesResets, Event::Closed { reason, .. }) = (self.fault, &mut *event) {
                *reason = CloseReason::Local;
            }
        }
        if self.fault == Fault::ServesTwice
            && let Some(again) = events.iter().find(|event| matches!(event, Event::Readable { .. }))
        {
            events.push(*again);
        }
        self.rounds += 1;
        if self.fault == Fault::StarvesOthers && self.rounds.is_multiple_of(2) && events.len() > 1 {
            while let Some(last @ Event::Readable { conn }) = events.last().copied() {
                if events.len() == 1 {
                    break;
                }
                debug_assert_eq!(last.conn(), conn);
                self.port.rearm(conn);
                events.pop();
            }
        }
        if self.fault == Fault::TellsEndsTwice
            && let Some(again) = events.iter().find(|event| matches!(event, Event::Closed { .. }))
        {
            events.push(*again);
        }
        Ok(events.len())
    }
    fn event_capacity(&self) -> usize {
        self.port.event_capacity() + 1
    }
    fn received(&self, conn: ConnId) -> &[u8] {
        self.port.received(self.meant(conn))
    }
    fn consume(&mut self, conn: ConnId, count: usize) {
        let kept = usize::from(self.fault == Fault::ConsumesTooLittle && count > 100);
        self.port.consume(self.meant(conn), count - kept);
    }
    fn rearm(&mut self, conn: ConnId) {
        self.port.rearm(self.meant(conn));
    }
    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.sends += 1;
        if self.fault == Fault::Allocates {
            self.junk = self.sends.to_string();
        }
        let conn = self.meant(conn);
        if self.fault == Fault::FlipsAByte && self.sends.is_multiple_of(100) && !bytes.is_empty() {
            return self.port.send(conn, &[bytes[0] ^ 1]);
        }
        let accepted = self.port.send(conn, bytes);
        if self.fault == Fault::SendsAtOnce {
            self.port.flush().unwrap();
        }
        accepted
    }
    fn send_all(&mut self, conn: ConnId, bytes: &[u8]) -> bool {
        match self.fault {
            Fault::QueuesParts => self.port.send(conn, bytes) == bytes.len(),
            _ => self.send_room(conn) >= bytes.len() && self.send(conn, bytes) == bytes.len(),
        }
    }
    fn send_room(&self, conn: ConnId) -> usize {
        self.port.send_room(self.meant(conn))
    }
    fn unsent(&self, conn: ConnId) -> usize {
        self.port.unsent(self.meant(conn))
    }
    fn want_room(&mut self, conn: ConnId) {
        self.port.want_room(self.meant(conn));
    }
    fn flush(&mut self) -> Result<(), StreamError> {
        self.port.flush()
    }
    fn shutdown_write(&mut self, conn: ConnId) {
        self.port.shutdown_write(self.meant(conn));
    }
    fn close(&mut self, conn: ConnId) {
        if self.fault == Fault::ClosesAtOnce {
            self.port.abort(conn);
        } else {
            self.port.close(self.meant(conn));
        }
    }
    fn abort(&mut self, conn: ConnId) {
        self.port.abort(self.meant(conn));
    }
    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        self.port.wait(timeout)
    }
    fn watch(&mut self, fd: std::os::fd::RawFd) -> Result<(), StreamError> {
        self.port.watch(fd)
    }

    fn waker(&self) -> Waker {
        self.port.waker()
    }
    fn stats(&self) -> Stats {
        let mut stats = self.port.stats();
        if self.fault == Fault::TriesEveryone {
            stats.recv_calls += self.tries;
        }
        stats
    }
}
