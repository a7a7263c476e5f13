//! The reference port: non-blocking kernel TCP sockets, polled.
//!
//! With a handful of connections poll tries to receive from each of them directly; with more it first asks epoll, edge-triggered,
//! which of them have changed. What becomes of a connection is the [`Hub`](super::hub)'s business; this moves the bytes.
//!
//! **Limits.** One thread. TCP over IPv4 or IPv6, without Nagle's delay. Everything is allocated when the port is made.

mod config;

#[cfg(test)]
mod tests;

pub use super::hub::MAX_LISTENERS;
pub use config::KernelConfig;
pub(super) use config::raise_descriptor_limit;

use super::epoll::{self, Epoll};
use super::hub::{Calls, Hub, Note, Ready, Received, RecvBuffer, SendBuffer, Sent, Transport, refused};
use super::wake::Sleeper;
use super::{ConnId, StreamError};
use super::{readiness, sockets};
use socket2::Socket;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A port over polled kernel sockets.
pub type KernelPort = Hub<Sockets>;

/// Kernel sockets, as a transport.
pub struct Sockets {
    config: KernelConfig,
    epoll: Epoll,
    sleeper: Sleeper,
    calls: Calls,
}

impl Hub<Sockets> {
    /// Makes a port, and raises the process's soft limit of open files if the connections need it.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(config: &KernelConfig) -> Result<Self, StreamError> {
        let size = config.check()?;
        let (epoll, sleeper) = readiness::set(config.max_connections)?;
        let sockets = Sockets { config: config.clone(), epoll, sleeper, calls: Calls::default() };
        Ok(Self::over(sockets, size))
    }
}

impl Sockets {
    fn options(&self) -> sockets::Options {
        sockets::Options {
            nonblocking: true,
            recv_bytes: self.config.socket_recv_bytes,
            send_bytes: self.config.socket_send_bytes,
        }
    }
}

impl Transport for Sockets {
    type Link = Socket;
    type Listener = Socket;

    const ASKS_FREELY: bool = false;

    fn listen(&mut self, number: u32, addr: SocketAddr) -> Result<Socket, StreamError> {
        let socket = sockets::listener(addr, self.options(), self.config.backlog)?;
        self.epoll
            .add(socket.as_raw_fd(), epoll::LISTENER, readiness::listener_token(number))
            .map_err(refused(format!("watch {addr}")))?;
        Ok(socket)
    }

    fn unlisten(&mut self, _: u32, listener: Socket) {
        drop(listener);
    }

    fn local_addr(&self, listener: &Socket) -> Option<SocketAddr> {
        listener.local_addr().ok()?.as_socket()
    }

    fn accept(&mut self, listener: &mut Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
        // Non-blocking from the start, by the same system call.
        let (socket, peer) = listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
        Ok((socket, peer.as_socket()))
    }

    fn connect(&mut self, peer: SocketAddr) -> io::Result<Socket> {
        let socket = sockets::make(peer, self.options())?;
        match socket.connect(&peer.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(socket)
    }

    fn attach(&mut self, conn: ConnId, socket: &mut Socket, _: &SendBuffer, _: bool) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        self.epoll.add(socket.as_raw_fd(), epoll::STREAM, u64::from(conn.generation) << 32 | u64::from(conn.slot))
    }

    fn refuse(&mut self, socket: Socket) {
        sockets::reset_on_close(&socket);
    }

    fn outcome(&mut self, _: ConnId, socket: &mut Socket) -> io::Result<()> {
        match socket.take_error()? {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    #[inline]
    fn receive(&mut self, _: ConnId, socket: &mut Socket, into: &mut RecvBuffer, ended: bool) -> Received {
        let space = into.space();
        debug_assert!(!space.is_empty(), "a receive of nothing looks like an end");
        let wanted = space.len();
        self.calls.recv += 1;
        match socket.read(space) {
            Ok(0) => Received::End,
            Ok(count) => {
                into.filled(count);
                // A short read has emptied the socket, and the next change will be told; unless the end is there already.
                Received::Bytes(count, count == wanted || ended)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Received::Nothing,
                io::ErrorKind::Interrupted => Received::Again,
                kind => Received::Failed(kind),
            },
        }
    }

    #[inline]
    fn transmit(&mut self, _: ConnId, socket: &mut Socket, queued: &SendBuffer) -> io::Result<Sent> {
        self.calls.send += 1;
        let [first, second] = queued.slices();
        // One slice is the rule; two where the circle closes.
        let sent = if second.is_empty() {
            socket.send_with_flags(&first, libc::MSG_NOSIGNAL)
        } else {
            socket.send_vectored_with_flags(&[first, second], libc::MSG_NOSIGNAL)
        };
        match sent {
            Ok(count) => Ok(Sent::Bytes(count)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(Sent::Bytes(0)),
                io::ErrorKind::Interrupted => Ok(Sent::Again),
                _ => Err(error),
            },
        }
    }

    #[inline]
    fn submit(&mut self, _: &mut Vec<Note>) -> io::Result<()> {
        Ok(())
    }

    fn shut(&mut self, _: ConnId, socket: &mut Socket) -> io::Result<()> {
        socket.shutdown(Shutdown::Write)
    }

    fn close(&mut self, _: ConnId, socket: Socket, reset: bool) {
        if reset {
            sockets::reset_on_close(&socket);
        }
    }

    fn ask(&mut self, timeout: Duration, notes: &mut Vec<Note>) -> io::Result<()> {
        self.calls.ready += 1;
        self.epoll.wait(timeout)?;
        for at in 0..self.epoll.count() {
            let told = self.epoll.ready(at);
            notes.extend(readiness::note(told, |_, told| Ready {
                readable: told.readable(),
                writable: told.writable(),
                ended: told.ended(),
                failed: told.failed(),
            }));
        }
        Ok(())
    }

    fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        self.epoll.add(fd, epoll::LISTENER, readiness::WATCH_TOKEN)
    }

    fn sleeper(&self) -> &Sleeper {
        &self.sleeper
    }

    fn most_notes(&self) -> usize {
        self.config.max_connections + MAX_LISTENERS + 1
    }

    fn calls(&self) -> Calls {
        self.calls
    }
}
