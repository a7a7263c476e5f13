//! Shared memory, for a strategy on the same host: two byte rings per connection, and no system call between order and report.
//!
//! The venue listens under a name in a directory; who may open the socket there may connect. The two meet over it once, to hand the
//! connection's memory over, and from then on bytes go through the rings ([`pipe`]); the socket stays, to wake a side that sleeps
//! and to tell of a process that died, which the kernel does at once. The memory has no name: it is gone with the last process.
//!
//! **The peer may be hostile.** What it can write is copied once and then judged, indices are checked, the memory cannot be taken
//! away, and the venue's bell can be rung by everybody and muted by nobody: it harms its own connection at most.
//!
//! **Fair with many.** Connections that were active lately are looked at by every poll; of the others some by each, in turn, and all
//! of them before a sleep. What hangs on the sockets (new connections, deaths) is asked for every so many polls.
//!
//! **Limits.** One thread, one host, little-endian. What becomes of a connection is the [`Hub`](super::hub)'s business.

mod config;
mod meeting;
mod pipe;
mod segment;
#[cfg(test)]
mod tests;
mod watching;

pub use config::ShmConfig;

use super::epoll::{self, Epoll};
use super::hub::{Calls, Hub, MAX_LISTENERS, Note, Received, RecvBuffer, SendBuffer, Sent, Transport, refused};
use super::readiness;
use super::wake::Sleeper;
use super::{ConnId, StreamError};
use pipe::{Broken, End, Reader, Writer};
use segment::{Bell, Segment};
use socket2::Socket;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// The sockets are asked about every so many polls that do not sleep.
const POLLS_PER_ASK: u32 = 1024;
/// With at most this many connections every poll looks at all of them.
const ALWAYS_HOT: usize = 32;
/// Of those that were not active lately, so many are looked at by a poll.
const COLD_LOOKS: usize = 32;
/// A connection without news for so many polls is not hot any more.
const COOLS_AFTER: u64 = 1 << 14;

/// A port over shared memory.
pub type ShmPort = Hub<Shm>;

/// A connection: its socket.
pub struct Link {
    socket: Socket,
}

/// A listener.
pub struct Listening {
    socket: Socket,
    name: meeting::Name,
}

/// A connection whose memory is mapped.
struct Line {
    reader: Reader,
    writer: Writer,
    /// After the ends, which point into it.
    segment: Segment,
    /// The venue's bell, on the connecting side.
    bell: Option<Bell>,
    /// The writer waits for room.
    blocked: bool,
    /// The hub knows that there is something to read; it asks until there is not.
    told: bool,
}

/// What the port knows of a connection by number.
struct Place {
    conn: ConnId,
    line: Option<Line>,
    /// Where it stands in the order of connections, if it does.
    at: u32,
    /// The poll that last found something.
    active: u64,
    /// The connection's socket, which the hub owns and closes after it was told so.
    socket: RawFd,
    /// It waits for the venue's hello.
    greeting: bool,
    /// The other process is gone, or has closed the socket.
    gone: bool,
}

/// Shared memory, as a transport.
pub struct Shm {
    config: ShmConfig,
    epoll: Epoll,
    sleeper: Sleeper,
    bell: Bell,
    bell_file: File,
    places: Box<[Place]>,
    /// Numbers of mapped connections, the hot ones in front.
    order: Vec<u32>,
    hot: usize,
    /// Where the next look at the cold ones begins, and which hot one is asked next whether it has cooled.
    cold_at: usize,
    cooling_at: usize,
    polls: u64,
    /// Connections that wait for the venue's hello: the sockets are asked about by every poll.
    greeting: u32,
    unasked: u32,
    calls: Calls,
}

impl Hub<Shm> {
    /// Makes a port, and raises the process's soft limit of open files if the connections need it.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(config: &ShmConfig) -> Result<Self, StreamError> {
        let size = config.check()?;
        let count = config.max_connections;
        let (epoll, sleeper) = readiness::set(count)?;
        let (bell, bell_file) = Bell::new().map_err(refused("make shared memory"))?;
        let place = |slot| Place {
            conn: ConnId { slot, generation: 0 },
            line: None,
            at: 0,
            active: 0,
            socket: -1,
            greeting: false,
            gone: false,
        };
        let shm = Shm {
            config: config.clone(),
            epoll,
            sleeper,
            bell,
            bell_file,
            places: (0..count as u32).map(place).collect(),
            order: Vec::with_capacity(count),
            hot: 0,
            cold_at: 0,
            cooling_at: 0,
            polls: 0,
            greeting: 0,
            unasked: POLLS_PER_ASK,
            calls: Calls::default(),
        };
        Ok(Self::over(shm, size))
    }
}

/// The other side has broken the protocol: what it says is not believed any more.
fn broken(_: Broken) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other side has written an index that cannot be")
}

impl Transport for Shm {
    type Link = Link;
    type Listener = Listening;

    const ASKS_FREELY: bool = true;

    fn listen(&mut self, number: u32, addr: SocketAddr) -> Result<Listening, StreamError> {
        let dir = &self.config.dir;
        let (socket, name) = meeting::listen(dir, addr, self.config.mode, self.config.backlog)
            .map_err(refused(format!("listen at {addr} in {}", dir.display())))?;
        self.epoll
            .add(socket.as_raw_fd(), epoll::LISTENER, readiness::listener_token(number))
            .map_err(refused(format!("watch {addr}")))?;
        Ok(Listening { socket, name })
    }

    fn unlisten(&mut self, _: u32, listener: Listening) {
        drop(listener);
    }

    fn local_addr(&self, listener: &Listening) -> Option<SocketAddr> {
        Some(listener.name.addr)
    }

    fn accept(&mut self, listener: &mut Listening) -> io::Result<(Link, Option<SocketAddr>)> {
        // Whoever connects has no address of its own.
        let (socket, _) = listener.socket.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
        Ok((Link { socket }, None))
    }

    fn connect(&mut self, peer: SocketAddr) -> io::Result<Link> {
        Ok(Link { socket: meeting::connect(&self.config.dir, peer)? })
    }

    fn attach(&mut self, conn: ConnId, link: &mut Link, _: &SendBuffer, up: bool) -> io::Result<()> {
        let place = &mut self.places[conn.index()];
        debug_assert!(place.line.is_none());
        let socket = link.socket.as_raw_fd();
        *place = Place { conn, line: None, at: 0, active: 0, socket, greeting: !up, gone: false };
        self.greeting += u32::from(!up);
        if up {
            let (segment, file) = Segment::new(self.config.ring_bytes)?;
            let (reader, writer) = segment.ends(true);
            let files = [file.as_raw_fd(), self.bell_file.as_raw_fd()];
            meeting::send_hello(&link.socket, self.config.ring_bytes, files)?;
            self.start(conn, Line { reader, writer, segment, bell: None, blocked: false, told: false });
        }
        self.unasked = POLLS_PER_ASK;
        // Told until it is taken: a hello, a ring, the end.
        let token = u64::from(conn.generation) << 32 | u64::from(conn.slot);
        let added = self.epoll.add(link.socket.as_raw_fd(), epoll::LEVEL | epoll::HANGUP, token);
        if added.is_err() {
            self.greeted(conn.slot);
            self.forget(conn.slot);
        }
        added
    }

    fn refuse(&mut self, link: Link) {
        // No hello has been sent: the other side takes it for refused.
        drop(link);
    }

    fn outcome(&mut self, conn: ConnId, link: &mut Link) -> io::Result<()> {
        if self.places[conn.index()].line.is_none() {
            return self.greet(conn, &link.socket);
        }
        // A peer that has closed after its end was read is no failure.
        Ok(())
    }

    #[inline]
    fn receive(&mut self, conn: ConnId, link: &mut Link, into: &mut RecvBuffer, ended: bool) -> Received {
        let place = &mut self.places[conn.index()];
        let Some(line) = &mut place.line else { return Received::Nothing };
        let Ok((count, more, end)) = line.reader.read(into.space()) else {
            return Received::Failed(io::ErrorKind::InvalidData);
        };
        line.told = more || end != End::Open;
        if end == End::Reset {
            return Received::Failed(io::ErrorKind::ConnectionReset);
        }
        if count > 0 {
            into.filled(count);
            if line.reader.room_is_wished() {
                line.wake(&link.socket, &mut self.calls);
            }
            return Received::Bytes(count, line.told || ended);
        }
        match end {
            End::Ended => Received::End,
            _ if place.gone => Received::Failed(io::ErrorKind::ConnectionReset),
            _ => Received::Nothing,
        }
    }

    #[inline]
    fn transmit(&mut self, conn: ConnId, link: &mut Link, queued: &SendBuffer) -> io::Result<Sent> {
        let place = &mut self.places[conn.index()];
        let Some(line) = &mut place.line else { return Ok(Sent::Bytes(0)) };
        if place.gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let [first, second] = queued.slices();
        let count = line.writer.write([&first, &second]).map_err(broken)?;
        let blocked = count < queued.len();
        if blocked != line.blocked {
            line.blocked = blocked;
            line.writer.wish_for_room(blocked);
        }
        line.wake(&link.socket, &mut self.calls);
        Ok(Sent::Bytes(count))
    }

    #[inline]
    fn submit(&mut self, _: &mut Vec<Note>) -> io::Result<()> {
        Ok(())
    }

    fn shut(&mut self, conn: ConnId, link: &mut Link) -> io::Result<()> {
        if let Some(line) = &self.places[conn.index()].line {
            line.writer.end(false);
            line.wake(&link.socket, &mut self.calls);
        }
        Ok(())
    }

    fn close(&mut self, conn: ConnId, link: Link, reset: bool) {
        if let Some(line) = &self.places[conn.index()].line
            && reset
        {
            line.writer.end(true);
        }
        self.greeted(conn.slot);
        self.forget(conn.slot);
        // The other side hears of the socket's end.
        drop(link);
    }

    fn ask(&mut self, timeout: Duration, notes: &mut Vec<Note>) -> io::Result<()> {
        if timeout.is_zero() {
            self.scan(notes);
            self.unasked += 1;
            if self.unasked >= POLLS_PER_ASK || self.greeting > 0 {
                self.ask_sockets(Duration::ZERO, notes)?;
            }
            return Ok(());
        }
        self.say_asleep(true);
        fence(Ordering::SeqCst);
        let timeout = if self.scan_all(notes) { Duration::ZERO } else { timeout };
        let asked = self.ask_sockets(timeout, notes);
        self.say_asleep(false);
        self.scan_all(notes);
        asked
    }

    fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        self.epoll.add(fd, epoll::LISTENER, readiness::WATCH_TOKEN)
    }

    fn sleeper(&self) -> &Sleeper {
        &self.sleeper
    }

    fn most_notes(&self) -> usize {
        // Two scans and the sockets.
        3 * self.config.max_connections + MAX_LISTENERS + 1
    }

    fn calls(&self) -> Calls {
        self.calls
    }
}
