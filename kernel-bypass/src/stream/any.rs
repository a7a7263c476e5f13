//! A port that is chosen when the process starts.
//!
//! One program has one heavy pipeline over one port type; which port it is stands in an enum, and every call is a branch that always
//! goes the same way. What that costs is counted beside the same path over the port itself.

use super::kernel::{KernelConfig, KernelPort};
use super::shm::{ShmConfig, ShmPort};
use super::smoltcp::{SmoltcpConfig, SmoltcpPort};
use super::uring::{UringConfig, UringPort};
use super::{ConnId, Event, ListenerId, Stats, StreamError, StreamPort, Waker};
use crate::frame::xdp::{Filter, XdpConfig, XdpPort};
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::time::Duration;

/// The ports that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortKind {
    /// Kernel TCP, polled.
    #[default]
    Kernel,
    /// Kernel TCP, through io_uring.
    Uring,
    /// TCP in user space, over AF_XDP.
    Xdp,
    /// Shared memory, for clients on the same host.
    Shm,
}

impl PortKind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Kernel, Self::Uring, Self::Xdp, Self::Shm];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Uring => "uring",
            Self::Xdp => "xdp",
            Self::Shm => "shm",
        }
    }
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A port's name that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("port {found:?}: use kernel, uring, xdp or shm")]
pub struct ParsePortError {
    /// What was given.
    pub found: String,
}

impl FromStr for PortKind {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, ParsePortError> {
        let found = || ParsePortError { found: text.to_string() };
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(found)
    }
}

/// A port, and what it is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyConfig {
    /// Kernel TCP, polled.
    Kernel(KernelConfig),
    /// Kernel TCP, through io_uring.
    Uring(UringConfig),
    /// TCP in user space, over AF_XDP: the interface, with a filter for the address, and the address.
    Xdp(XdpConfig, SmoltcpConfig),
    /// Shared memory.
    Shm(ShmConfig),
}

impl AnyConfig {
    /// TCP in user space at `tcp.address`, over every queue of an interface.
    pub fn xdp(interface: &str, tcp: SmoltcpConfig) -> Self {
        let frames =
            XdpConfig { interface: interface.into(), filter: Filter::tcp(tcp.address), ..XdpConfig::default() };
        Self::Xdp(frames, tcp)
    }
}

/// Whichever port was chosen.
pub enum AnyPort {
    /// Kernel TCP, polled.
    Kernel(KernelPort),
    /// Kernel TCP, through io_uring.
    Uring(UringPort),
    /// TCP in user space, over AF_XDP.
    Xdp(SmoltcpPort<XdpPort>),
    /// Shared memory.
    Shm(ShmPort),
}

impl AnyPort {
    /// Makes the port.
    ///
    /// # Errors
    /// As the port's own.
    pub fn new(config: &AnyConfig) -> Result<Self, StreamError> {
        Ok(match config {
            AnyConfig::Kernel(config) => Self::Kernel(KernelPort::new(config)?),
            AnyConfig::Uring(config) => Self::Uring(UringPort::new(config)?),
            AnyConfig::Xdp(frames, tcp) => Self::Xdp(SmoltcpPort::new(XdpPort::new(frames)?, tcp)?),
            AnyConfig::Shm(config) => Self::Shm(ShmPort::new(config)?),
        })
    }

    /// Which it is.
    pub fn kind(&self) -> PortKind {
        match self {
            Self::Kernel(_) => PortKind::Kernel,
            Self::Uring(_) => PortKind::Uring,
            Self::Xdp(_) => PortKind::Xdp,
            Self::Shm(_) => PortKind::Shm,
        }
    }
}

/// The same call of whichever port it is.
macro_rules! whichever {
    ($port:expr, $inner:ident => $call:expr) => {
        match $port {
            AnyPort::Kernel($inner) => $call,
            AnyPort::Uring($inner) => $call,
            AnyPort::Xdp($inner) => $call,
            AnyPort::Shm($inner) => $call,
        }
    };
}

impl StreamPort for AnyPort {
    fn listen(&mut self, addr: SocketAddr) -> Result<ListenerId, StreamError> {
        whichever!(self, port => port.listen(addr))
    }

    fn unlisten(&mut self, listener: ListenerId) {
        whichever!(self, port => port.unlisten(listener));
    }

    fn local_addr(&self, listener: ListenerId) -> Option<SocketAddr> {
        whichever!(self, port => port.local_addr(listener))
    }

    fn connect(&mut self, peer: SocketAddr) -> Result<ConnId, StreamError> {
        whichever!(self, port => port.connect(peer))
    }

    fn peer_addr(&self, conn: ConnId) -> Option<SocketAddr> {
        whichever!(self, port => port.peer_addr(conn))
    }

    fn is_open(&self, conn: ConnId) -> bool {
        whichever!(self, port => port.is_open(conn))
    }

    fn connections(&self) -> usize {
        whichever!(self, port => port.connections())
    }

    #[inline]
    fn poll(&mut self, events: &mut Vec<Event>) -> Result<usize, StreamError> {
        whichever!(self, port => port.poll(events))
    }

    fn event_capacity(&self) -> usize {
        whichever!(self, port => port.event_capacity())
    }

    #[inline]
    fn received(&self, conn: ConnId) -> &[u8] {
        whichever!(self, port => port.received(conn))
    }

    #[inline]
    fn consume(&mut self, conn: ConnId, count: usize) {
        whichever!(self, port => port.consume(conn, count));
    }

    fn rearm(&mut self, conn: ConnId) {
        whichever!(self, port => port.rearm(conn));
    }

    #[inline]
    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        whichever!(self, port => port.send(conn, bytes))
    }

    #[inline]
    fn send_room(&self, conn: ConnId) -> usize {
        whichever!(self, port => port.send_room(conn))
    }

    fn unsent(&self, conn: ConnId) -> usize {
        whichever!(self, port => port.unsent(conn))
    }

    #[inline]
    fn send_all(&mut self, conn: ConnId, bytes: &[u8]) -> bool {
        whichever!(self, port => port.send_all(conn, bytes))
    }

    fn want_room(&mut self, conn: ConnId) {
        whichever!(self, port => port.want_room(conn));
    }

    #[inline]
    fn flush(&mut self) -> Result<(), StreamError> {
        whichever!(self, port => port.flush())
    }

    fn shutdown_write(&mut self, conn: ConnId) {
        whichever!(self, port => port.shutdown_write(conn));
    }

    fn close(&mut self, conn: ConnId) {
        whichever!(self, port => port.close(conn));
    }

    fn abort(&mut self, conn: ConnId) {
        whichever!(self, port => port.abort(conn));
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        whichever!(self, port => port.wait(timeout))
    }

    fn watch(&mut self, fd: RawFd) -> Result<(), StreamError> {
        whichever!(self, port => port.watch(fd))
    }

    fn waker(&self) -> Waker {
        whichever!(self, port => port.waker())
    }

    fn stats(&self) -> Stats {
        whichever!(self, port => port.stats())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::veth::{self, End, Namespace};

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in PortKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("tcp".parse::<PortKind>().unwrap_err().to_string().contains("kernel, uring, xdp or shm"));
    }

    /// One end of a wire of two interfaces.
    fn xdp(interface: &str, address: [u8; 4]) -> AnyConfig {
        let tcp = SmoltcpConfig { address: address.into(), max_connections: 2, ..SmoltcpConfig::default() };
        AnyConfig::xdp(interface, tcp)
    }

    #[test]
    fn each_makes_its_own_port() {
        Namespace::new().unwrap().enter().unwrap();
        veth::loopback_up().unwrap();
        veth::pair(["venue", "client"].map(|name| End { name, address: None }), 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let shm = ShmConfig { dir: dir.path().into(), max_connections: 2, ..ShmConfig::default() };
        let same = |config: AnyConfig| [config.clone(), config];
        let configs = [
            same(AnyConfig::Kernel(KernelConfig { max_connections: 2, ..KernelConfig::default() })),
            same(AnyConfig::Uring(UringConfig { max_connections: 2, ..UringConfig::default() })),
            [xdp("venue", [10, 77, 0, 1]), xdp("client", [10, 77, 0, 2])],
            same(AnyConfig::Shm(shm)),
        ];
        for ([here, there], kind) in configs.iter().zip(PortKind::ALL) {
            let (mut venue, mut client) = (AnyPort::new(here).unwrap(), AnyPort::new(there).unwrap());
            assert_eq!(venue.kind(), kind);
            let at = if kind == PortKind::Xdp { "10.77.0.1:0" } else { "127.0.0.1:0" };
            let listener = venue.listen(at.parse().unwrap()).unwrap();
            let conn = client.connect(venue.local_addr(listener).unwrap()).unwrap();
            client.send(conn, b"hello");
            let mut events = Vec::new();
            let mut heard = None;
            for _ in 0..10_000 {
                client.poll(&mut events).unwrap();
                client.flush().unwrap();
                venue.poll(&mut events).unwrap();
                heard = heard.or(events.iter().find_map(|event| match *event {
                    Event::Readable { conn } => Some(venue.received(conn).to_vec()),
                    _ => None,
                }));
                if heard.is_some() {
                    break;
                }
                venue.wait(Duration::from_micros(200)).unwrap();
            }
            assert_eq!(heard.as_deref(), Some(&b"hello"[..]), "{kind}");
        }
    }
}
