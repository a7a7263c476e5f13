//! Datagrams for market data: one polled trait, whatever moves them.
//!
//! A [`DatagramPort`] is driven by one thread. [`send`](DatagramPort::send) queues, [`flush`](DatagramPort::flush) hands the queue over,
//! [`poll`](DatagramPort::poll) takes a burst. As with any datagram nothing is promised to arrive, to arrive once, or in order; what a
//! port knows it lost, it counts. Static dispatch; no allocation after the port is made; at most one system call per burst and
//! direction.
//!
//! IPv4, unicast and multicast. [`kernel::KernelDatagrams`] is the reference, [`frames::FrameDatagrams`] is UDP in user space.

pub mod frames;
pub mod kernel;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// One datagram that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub from: SocketAddrV4,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Why a port cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatagramError {
    /// The system refused.
    #[error("datagram port: cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A configured value is out of range.
    #[error("datagram port: {field} is {found}, allowed is {allowed}")]
    Config {
        /// Which.
        field: &'static str,
        /// What was configured.
        found: usize,
        /// What may be.
        allowed: String,
    },
    /// A payload is longer than the port was made for.
    #[error("datagram port: a payload of {len} bytes is longer than the {max} that this port was made for")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// Bytes of the longest.
        max: usize,
    },
    /// The address is no multicast group.
    #[error("datagram port: {group} is no multicast group: those are 224.0.0.0 to 239.255.255.255")]
    NotAGroup {
        /// What was given.
        group: Ipv4Addr,
    },
}

/// What a port has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatagramStats {
    /// Datagrams given to the application.
    pub received: u64,
    /// Datagrams handed to the transport.
    pub sent: u64,
    /// Datagrams that came longer than the port was made for, or damaged, and were dropped.
    pub malformed: u64,
    /// Datagrams that the transport refused one by one, and that were dropped.
    pub refused: u64,
    /// System calls that receive.
    pub recv_calls: u64,
    /// System calls that send.
    pub send_calls: u64,
}

/// Datagrams, polled by one thread. The module says what it promises.
pub trait DatagramPort {
    /// Where it is bound.
    fn local_addr(&self) -> SocketAddrV4;

    /// Bytes of the longest payload.
    fn max_payload(&self) -> usize;

    /// Queues a datagram; `false`: the queue is full, flush first. No system call.
    ///
    /// # Errors
    /// A payload that is too long.
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> Result<bool, DatagramError>;

    /// Hands what is queued to the transport, in one system call at most; how many datagrams it took. What it did not take now stays
    /// queued.
    ///
    /// # Errors
    /// The port itself has failed.
    fn flush(&mut self) -> Result<usize, DatagramError>;

    /// Gives each datagram of a burst to `each`; how many. At most one system call.
    ///
    /// # Errors
    /// The port itself has failed.
    fn poll(&mut self, each: impl FnMut(Datagram<'_>)) -> Result<usize, DatagramError>;

    /// Receives what is sent to a multicast group on this port from now on.
    ///
    /// # Errors
    /// An address that is no group; what the system refuses.
    fn join(&mut self, group: Ipv4Addr) -> Result<(), DatagramError>;

    /// Receives it no more.
    ///
    /// # Errors
    /// A group that was not joined.
    fn leave(&mut self, group: Ipv4Addr) -> Result<(), DatagramError>;

    /// Flushes, and sleeps until something has come, or `timeout` is over.
    ///
    /// # Errors
    /// The port itself has failed.
    fn wait(&mut self, timeout: Duration) -> Result<(), DatagramError>;

    /// What the port has done so far.
    fn stats(&self) -> DatagramStats;
}

/// The action becomes a string only if there is an error to tell.
fn refused(action: impl Into<String>) -> impl FnOnce(io::Error) -> DatagramError {
    move |source| DatagramError::Io { action: action.into(), source }
}
