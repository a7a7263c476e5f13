//! Kernel TCP through io_uring: one system call submits every send of a flush, and one collects what every connection received.
//!
//! - **Receiving**: one multishot receive per connection stays in the kernel, and takes buffers from a ring that all connections
//!   share; an idle connection costs nothing. A connection that holds more than its share of them is stopped until the application
//!   has consumed. That is noticed only afterwards: who finds the shared ring empty receives once at a time into a second ring, which
//!   has a buffer for each connection, so that nobody waits for what another one holds.
//! - **Sending**: a flush queues one send per connection, from its registered buffer, and submits them together.
//! - **Accepting**: one multishot accept per listener. Sockets of connections are registered files.
//! - **No news**: the kernel raises a flag in shared memory; a poll that finds it down makes no system call.
//!
//! **Limits.** One thread, the first that polls; another may make the port. Linux 6.1. For one connection plain polled sockets are
//! quicker; this pays with many. What becomes of a connection is the [`Hub`](super::hub)'s business.

#![allow(unsafe_code)]

mod config;
mod pool;
mod reap;
mod ring;
#[cfg(test)]
mod tests;

pub use config::{SubmissionThread, UringConfig};

use super::hub::{Calls, Hub, MAX_LISTENERS, Note, Received, RecvBuffer, SendBuffer, Sent, Transport, refused};
use super::kernel::raise_descriptor_limit;
use super::sockets;
use super::wake::Sleeper;
use super::{ConnId, StreamError};
use io_uring::types::{CancelBuilder, Fd, Fixed};
use io_uring::{opcode, squeue};
use pool::{Chain, Pool};
use ring::Ring;
use socket2::{SockAddr, Socket};
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// The number of the buffer ring that all connections share, and of the one with a buffer for each.
const SHARED_GROUP: u16 = 0;
const RESERVE_GROUP: u16 = 1;
/// Fewest buffers of a ring.
const LEAST_BUFFERS: usize = 16;
/// One connection may hold one in so many shared buffers before its receive is stopped, and at least some.
const SHARE: usize = 16;
const LEAST_SHARE: u16 = 2;
/// A multishot receive is armed while at least one in so many shared buffers is free.
const SCARCE: u16 = 4;
/// How long a listener that the system had no descriptor for is left alone.
const STARVED_FOR: Duration = Duration::from_millis(5);
/// Descriptors that may be watched.
const MAX_WATCHED: usize = 16;

/// A port over io_uring.
pub type UringPort = Hub<Uring>;

/// What a completion is of: the top byte of its user data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Of {
    Waker = 1,
    Watch,
    Accept,
    Connect,
    Receive,
    ReceiveOnce,
    Send,
    Hangup,
    Cancel,
}

/// User data: what it is of, a number, and the generation of a connection.
fn tag(of: Of, number: u32, generation: u32) -> u64 {
    debug_assert!(number < 1 << 24);
    (of as u64) << 56 | u64::from(number) << 32 | u64::from(generation)
}

fn conn_tag(of: Of, conn: ConnId) -> u64 {
    tag(of, conn.slot, conn.generation)
}

/// A connection: its socket, and where it connects to, which the kernel reads when it starts to.
pub struct Link {
    socket: Socket,
    peer: Option<Box<SockAddr>>,
}

/// What the port knows of a connection by number.
struct Slot {
    /// A connection has the number.
    open: bool,
    generation: u32,
    held: Chain,
    /// The connection's buffer of the reserve, behind those.
    reserve: Chain,
    /// A receive is in the kernel, or queued.
    armed: bool,
    /// It stands in the list of those to be armed.
    to_arm: bool,
    /// Its receive was stopped because it holds its share.
    stopped: bool,
    /// It found no shared buffer: the next receive takes one of the reserve.
    ran_out: bool,
    /// The peer's end, or the error, behind what is held.
    end: Option<Received>,
    /// How the attempt to connect ended.
    connected: Option<i32>,
    /// Whether its send buffer was registered; `None`: not tried.
    fixed: Option<bool>,
}

/// What the port knows of a listener.
struct Listening {
    fd: RawFd,
    accepted: VecDeque<OwnedFd>,
    armed: bool,
    error: Option<i32>,
    again: Option<Instant>,
}

/// io_uring, as a transport.
pub struct Uring {
    config: UringConfig,
    /// Before the memory that its requests point to.
    ring: Ring,
    shared: Pool,
    reserve: Pool,
    /// Shared buffers that a connection may hold.
    share: u16,
    slots: Box<[Slot]>,
    to_arm: Vec<u32>,
    listening: Vec<Option<Listening>>,
    /// Whether some listener waits to be asked again.
    starved: bool,
    /// Whether some connection has found no shared buffer since the last entry.
    ran_out: bool,
    watched: Vec<RawFd>,
    /// Sends queued since the last entry.
    sends: u32,
    sleeper: Sleeper,
    calls: Calls,
}

impl Hub<Uring> {
    /// Makes a port, and raises the process's soft limit of open files if the connections need it.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses, such as io_uring itself.
    pub fn new(config: &UringConfig) -> Result<Self, StreamError> {
        let size = config.check()?;
        raise_descriptor_limit(config.max_connections)?;
        let transport = Uring::new(config).map_err(refused("set io_uring up (kernel.io_uring_disabled must be 0)"))?;
        Ok(Self::over(transport, size))
    }

    /// Connections whose send buffers are registered with the kernel, and those where it was refused.
    pub fn fixed_buffers(&self) -> (usize, usize) {
        let count = |wanted| self.transport().slots.iter().filter(|slot| slot.fixed == Some(wanted)).count();
        (count(true), count(false))
    }
}

impl Uring {
    fn new(config: &UringConfig) -> io::Result<Self> {
        let count = config.max_connections;
        let ring = Ring::new(config)?;
        let shared = Pool::new(config.shared_buffers, config.shared_buffer_bytes)?;
        let reserve = Pool::new(count.next_power_of_two().max(LEAST_BUFFERS), config.shared_buffer_bytes)?;
        ring.submitter().register_files_sparse(count as u32)?;
        if config.fixed_buffers {
            ring.submitter().register_buffers_sparse(count as u32)?;
        }
        for (pool, group) in [(&shared, SHARED_GROUP), (&reserve, RESERVE_GROUP)] {
            let (address, entries) = pool.ring();
            // SAFETY: the map is the pool's, which goes after the ring.
            unsafe { ring.submitter().register_buf_ring_with_flags(address, entries, group, 0) }?;
        }
        let slot = || Slot {
            open: false,
            generation: 0,
            held: Chain::EMPTY,
            reserve: Chain::EMPTY,
            armed: false,
            to_arm: false,
            stopped: false,
            ran_out: false,
            end: None,
            connected: None,
            fixed: None,
        };
        let mut uring = Self {
            config: config.clone(),
            ring,
            shared,
            reserve,
            share: ((config.shared_buffers / SHARE) as u16).max(LEAST_SHARE),
            slots: (0..count).map(|_| slot()).collect(),
            to_arm: Vec::with_capacity(count),
            listening: Vec::with_capacity(MAX_LISTENERS),
            starved: false,
            ran_out: false,
            watched: Vec::with_capacity(MAX_WATCHED),
            sends: 0,
            sleeper: Sleeper::new()?,
            calls: Calls::default(),
        };
        uring.await_readable(uring.sleeper.fd(), tag(Of::Waker, 0, 0))?;
        Ok(uring)
    }

    fn options(&self) -> sockets::Options {
        sockets::Options {
            // The ring waits by itself; from a non-blocking socket it would take 'not now' for an answer.
            nonblocking: false,
            recv_bytes: self.config.socket_recv_bytes,
            send_bytes: self.config.socket_send_bytes,
        }
    }

    /// Queues a request that points to nothing, or to what outlives the ring's use of it.
    fn push(&mut self, request: squeue::Entry) -> io::Result<()> {
        // SAFETY: accepts, polls, receives into the registered pool and cancels point to no memory; a send points to its connection's
        // send buffer and a connect to the link's address, which `close` waits for before they change hands, and `drop` before they go.
        unsafe { self.ring.push(&request) }
    }

    fn await_readable(&mut self, fd: RawFd, tag: u64) -> io::Result<()> {
        self.push(opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).multi(true).build().user_data(tag))
    }
}

impl Transport for Uring {
    type Link = Link;
    type Listener = (u32, Socket);

    const ASKS_FREELY: bool = true;

    fn listen(&mut self, number: u32, addr: SocketAddr) -> Result<(u32, Socket), StreamError> {
        let socket = sockets::listener(addr, self.options(), self.config.backlog)?;
        let (fd, accepted) = (socket.as_raw_fd(), VecDeque::with_capacity(64));
        debug_assert_eq!(self.listening.len(), number as usize);
        self.listening.push(Some(Listening { fd, accepted, armed: false, error: None, again: None }));
        self.arm_accept(number).map_err(refused(format!("accept at {addr}")))?;
        Ok((number, socket))
    }

    fn unlisten(&mut self, number: u32, (_, socket): (u32, Socket)) {
        // The accept in the kernel keeps the listener open otherwise.
        let _ = self.ring.cancel(CancelBuilder::fd(Fd(socket.as_raw_fd())).all());
        self.listening[number as usize] = None;
    }

    fn local_addr(&self, (_, socket): &(u32, Socket)) -> Option<SocketAddr> {
        socket.local_addr().ok()?.as_socket()
    }

    fn accept(&mut self, (number, _): &mut (u32, Socket)) -> io::Result<(Link, Option<SocketAddr>)> {
        let nothing = || io::Error::from(io::ErrorKind::WouldBlock);
        let listening = self.listening.get_mut(*number as usize).and_then(Option::as_mut).ok_or_else(nothing)?;
        let Some(fd) = listening.accepted.pop_front() else {
            return Err(listening.error.take().map_or_else(nothing, io::Error::from_raw_os_error));
        };
        let socket = Socket::from(fd);
        let peer = socket.peer_addr().ok().and_then(|addr| addr.as_socket());
        Ok((Link { socket, peer: None }, peer))
    }

    fn connect(&mut self, peer: SocketAddr) -> io::Result<Link> {
        let socket = sockets::make(peer, self.options())?;
        Ok(Link { socket, peer: Some(Box::new(peer.into())) })
    }

    fn attach(&mut self, conn: ConnId, link: &mut Link, send: &SendBuffer, up: bool) -> io::Result<()> {
        link.socket.set_tcp_nodelay(true)?;
        self.ring.submitter().register_files_update(conn.slot, &[link.socket.as_raw_fd()])?;
        let place = &mut self.slots[conn.index()];
        debug_assert!(!place.open && place.held.count == 0);
        let fixed = place.fixed;
        *place = Slot {
            open: true,
            generation: conn.generation,
            held: Chain::EMPTY,
            reserve: Chain::EMPTY,
            armed: false,
            to_arm: place.to_arm,
            stopped: false,
            ran_out: false,
            end: None,
            connected: None,
            fixed,
        };
        if self.config.fixed_buffers && fixed.is_none() {
            let memory = send.memory();
            let vector = libc::iovec { iov_base: memory.as_ptr().cast_mut().cast(), iov_len: memory.len() };
            // SAFETY: the buffer is the hub's, stays where it is, and goes after the ring, which is the first of the two to be dropped.
            let registered = unsafe { self.ring.submitter().register_buffers_update(conn.slot, &[vector], None) };
            self.slots[conn.index()].fixed = Some(registered.is_ok());
        }
        match &link.peer {
            Some(peer) if !up => {
                let connect = opcode::Connect::new(Fixed(conn.slot), peer.as_ptr().cast(), peer.len());
                self.push(connect.build().user_data(conn_tag(Of::Connect, conn)))
            }
            _ => {
                self.arm_later(conn.slot);
                Ok(())
            }
        }
    }

    fn refuse(&mut self, link: Link) {
        sockets::reset_on_close(&link.socket);
    }

    fn outcome(&mut self, conn: ConnId, link: &mut Link) -> io::Result<()> {
        if let Some(error @ ..0) = self.slots[conn.index()].connected.take() {
            return Err(io::Error::from_raw_os_error(-error));
        }
        match link.socket.take_error()? {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    fn receive(&mut self, conn: ConnId, _: &mut Link, into: &mut RecvBuffer, _: bool) -> Received {
        let place = &mut self.slots[conn.index()];
        let space = into.space();
        let mut count = self.shared.drain(&mut place.held, space);
        count += self.reserve.drain(&mut place.reserve, &mut space[count..]);
        into.filled(count);
        let (left, end) = (place.held.count + place.reserve.count, place.end);
        if !place.armed && place.held.count < self.share {
            self.arm_later(conn.slot);
        }
        match end {
            _ if count > 0 => Received::Bytes(count, left > 0 || end.is_some()),
            Some(end) => end,
            None => Received::Nothing,
        }
    }

    fn transmit(&mut self, conn: ConnId, _: &mut Link, queued: &SendBuffer) -> io::Result<Sent> {
        // What lies behind the circle's end goes with the next flush.
        let [first, _] = queued.slices();
        let (start, count) = (first.as_ptr(), first.len() as u32);
        let send = if self.slots[conn.index()].fixed == Some(true) {
            opcode::WriteFixed::new(Fixed(conn.slot), start, count, conn.slot as u16).build()
        } else {
            opcode::Send::new(Fixed(conn.slot), start, count).flags(libc::MSG_NOSIGNAL).build()
        };
        self.push(send.user_data(conn_tag(Of::Send, conn)))?;
        self.sends += 1;
        Ok(Sent::Later)
    }

    fn submit(&mut self, notes: &mut Vec<Note>) -> io::Result<()> {
        if std::mem::take(&mut self.sends) == 0 {
            return Ok(());
        }
        // What was received meanwhile may need buffers, and is armed by the same call.
        self.arm()?;
        if !self.ring.is_idle() {
            self.calls.send += 1;
            self.ring.enter()?;
        }
        self.reap(notes).map(drop)
    }

    fn shut(&mut self, _: ConnId, link: &mut Link) -> io::Result<()> {
        link.socket.shutdown(Shutdown::Write)
    }

    fn close(&mut self, conn: ConnId, link: Link, reset: bool) {
        // Nothing of it is left in the kernel after this: its buffers are the next connection's.
        let cancelled = self.ring.cancel(CancelBuilder::fd(Fixed(conn.slot)).all());
        debug_assert!(cancelled.is_ok(), "{cancelled:?}");
        let place = &mut self.slots[conn.index()];
        place.open = false;
        self.shared.release(&mut place.held);
        self.reserve.release(&mut place.reserve);
        let _ = self.ring.submitter().register_files_update(conn.slot, &[-1]);
        if reset {
            sockets::reset_on_close(&link.socket);
        }
    }

    fn ask(&mut self, timeout: Duration, notes: &mut Vec<Note>) -> io::Result<()> {
        if !self.to_arm.is_empty() {
            self.arm()?;
        }
        if self.starved {
            self.feed_starved()?;
        }
        if timeout.is_zero() {
            let entered = !self.ring.is_idle();
            if entered {
                self.ring.enter()?;
            }
            let mut received = self.reap(notes)?;
            if std::mem::take(&mut self.ran_out) {
                // Others hold what there is: these are served from the reserve, and in this round all the same.
                self.arm()?;
                self.ring.enter()?;
                received |= self.reap(notes)?;
            }
            self.calls.recv += u64::from(entered && received);
            self.calls.ready += u64::from(entered && !received);
            return Ok(());
        }
        self.calls.ready += 1;
        let most = if self.starved { timeout.min(STARVED_FOR) } else { timeout };
        self.ring.wait(most)?;
        self.reap(notes).map(drop)
    }

    fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        if self.watched.len() == MAX_WATCHED {
            return Err(io::Error::other(format!("{MAX_WATCHED} descriptors are watched already")));
        }
        let number = self.watched.len() as u32;
        self.watched.push(fd);
        self.await_readable(fd, tag(Of::Watch, number, 0))
    }

    fn sleeper(&self) -> &Sleeper {
        &self.sleeper
    }

    fn most_notes(&self) -> usize {
        // A flush can leave some behind what a poll has found.
        2 * self.ring.most_completions()
    }

    fn calls(&self) -> Calls {
        self.calls
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Requests point to the pools, which go with this, and to the hub's buffers, which go next. Where this cannot be done (on
        // another thread than the one that drove it), closing the ring ends them: a request of a closed ring touches no memory.
        let _ = self.ring.cancel(CancelBuilder::any());
    }
}
