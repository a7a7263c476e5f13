//! Ethernet frames between a network card, or something that behaves like one, and protocols in user space.
//!
//! A [`FramePort`] is driven by one thread. [`receive`](FramePort::receive) shows the frames that have come, a batch at a time, where
//! they lie; [`FrameTx::transmit`] lets the caller write a frame where the card will fetch it; [`flush`](FramePort::flush) rings
//! the bell once for everything written since. Nothing is copied on the way and nothing is allocated.
//!
//! The handler of a received frame also gets the sending side, so that an answer (an ARP reply, a reset) can be written while the
//! question is still being looked at: the two halves own different buffers.
//!
//! **The clock is the port's.** Protocols take the time from [`now_ns`](FramePort::now_ns): real for a card, simulated for
//! [`wire`], so that a lossy network with second-long timers is tested in milliseconds and the same way every time.
//!
//! **Limits.** Frames without VLAN tags, as long as [`max_frame`](FramePort::max_frame) says. A port may lose frames, as Ethernet does.

pub mod udp;
pub mod veth;
pub mod wire;
pub mod xdp;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::time::Duration;

/// Bytes of an Ethernet header.
pub const ETHERNET_HEADER: usize = 14;
/// Bytes of the longest frame without a VLAN tag, check sum apart: a header and 1500 bytes.
pub const MAX_FRAME: usize = 1514;
/// EtherType of IPv4 (RFC 894).
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP (RFC 826).
pub const ETHERTYPE_ARP: u16 = 0x0806;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Everybody.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address of an IPv4 multicast group (RFC 1112, 6.4).
    pub fn of_group(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }
}

impl std::fmt::Display for MacAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Why a frame port cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The system refused.
    #[error("frame port: cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A configured value is out of range.
    #[error("frame port: {field} is {found}, allowed is {allowed}")]
    Config {
        /// Which.
        field: &'static str,
        /// What was configured.
        found: String,
        /// What may be.
        allowed: String,
    },
}

/// What a port has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameStats {
    /// Frames received.
    pub frames_in: u64,
    /// Frames written to be sent.
    pub frames_out: u64,
    /// Bytes of the frames received.
    pub bytes_in: u64,
    /// Bytes of the frames sent.
    pub bytes_out: u64,
    /// Frames that the port knows it has lost, coming in: no buffer, a ring that was full.
    pub dropped_in: u64,
    /// System calls that receive.
    pub recv_calls: u64,
    /// System calls that send: at most one for each flush and queue.
    pub send_calls: u64,
}

/// The sending side of a port.
pub trait FrameTx {
    /// Whether there is a buffer for another frame.
    fn ready(&mut self) -> bool;

    /// Lets `write` fill a frame of `len` bytes, which go out with the next flush; `None`, and nothing written, when there is no
    /// buffer. What `write` finds in the buffer is stale.
    ///
    /// # Panics
    /// `len` is more than the port's longest frame.
    fn transmit<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> Option<R>;
}

/// Ethernet frames, polled by one thread. The module says what it promises.
pub trait FramePort {
    /// Its sending side.
    type Tx: FrameTx;

    /// Its own address.
    fn mac(&self) -> MacAddr;

    /// Bytes of the longest frame, from its first address to its last byte, without check sum.
    fn max_frame(&self) -> usize;

    /// The time that protocols go by, in nanoseconds from some start; never goes back.
    fn now_ns(&mut self) -> u64;

    /// Shows up to `limit` frames that have come, in order, to `each`, with the sending side; how many.
    ///
    /// # Errors
    /// The port itself has failed.
    fn receive(&mut self, limit: usize, each: impl FnMut(&[u8], &mut Self::Tx)) -> Result<usize, FrameError>;

    /// The sending side.
    fn tx(&mut self) -> &mut Self::Tx;

    /// Sees to it that everything written goes out: at most one system call for each queue.
    ///
    /// # Errors
    /// The port itself has failed.
    fn flush(&mut self) -> Result<(), FrameError>;

    /// Descriptors that are readable when frames have come.
    fn descriptors(&self) -> Vec<RawFd>;

    /// Lets `sleep` sleep until a frame may have come, at most for `timeout` of the port's clock. `sleep` takes the time that it may
    /// really sleep, and watches [`descriptors`](FramePort::descriptors).
    ///
    /// # Errors
    /// What `sleep` fails with.
    fn wait(&mut self, timeout: Duration, sleep: impl FnOnce(Duration) -> io::Result<()>) -> io::Result<()>;

    /// What the port has done so far.
    fn stats(&self) -> FrameStats;
}
