//! One queue's socket, rings and memory.
//!
//! Its two halves share the memory but not a frame: what the kernel may fill is as much as the receiving half put there, and
//! the sending half never has more than its own share in flight. So neither can starve the other.

#![allow(unsafe_code)]

use super::ZeroCopy;
use std::io;
use std::os::fd::RawFd;
use xdp::slab::{HeapSlab, Slab};
use xdp::socket::{XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, FillRing, RingConfigBuilder, RxRing, TxRing, Umem};

/// Frames that are taken from the ring at once.
const BATCH: usize = 64;
/// `XDP_OPTIONS` and `XDP_OPTIONS_ZEROCOPY` (include/uapi/linux/if_xdp.h).
const XDP_OPTIONS: libc::c_int = 8;
const OPTIONS_ZEROCOPY: u32 = 1;
/// `XDP_MAX_TX_SKB_BUDGET`: descriptors that one call sends, where packets are copied; 32 if it is not known.
const MAX_TX_BUDGET: libc::c_int = 9;
const SOL_XDP: libc::c_int = 283;
/// `SO_PREFER_BUSY_POLL` and `SO_BUSY_POLL_BUDGET`.
const PREFER_BUSY_POLL: libc::c_int = 69;
const BUSY_POLL_BUDGET: libc::c_int = 70;
/// Calls that one flush makes while the kernel says that there is more to send.
const MAX_KICKS: usize = 64;

/// The receiving half. Declared, and so dropped, before the memory: the socket must not outlive it.
pub(super) struct QueueRx {
    socket: XdpSocket,
    rx: RxRing,
    fill: FillRing,
    batch: HeapSlab,
    busy_poll: bool,
    pub recv_calls: u64,
}

/// The sending half, and the memory.
pub(super) struct QueueTx {
    tx: TxRing,
    completion: CompletionRing,
    staged: HeapSlab,
    /// Staged, or handed to the kernel and not given back.
    in_flight: usize,
    limit: usize,
    /// The kernel has not taken everything yet.
    pub pending: bool,
    fd: RawFd,
    umem: Umem,
}

// SAFETY: its packets point into the queue's own memory, which the sending half owns and which moves along with it: both are parts of
// one port, which one thread has at a time; the rings are shared with the kernel alone.
unsafe impl Send for QueueRx {}
// SAFETY: as above.
unsafe impl Send for QueueTx {}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Opens a socket on one queue with `frames` frames in each direction.
pub(super) fn open(
    interface: u32,
    queue: u32,
    frames: u32,
    zero_copy: ZeroCopy,
    busy_poll_us: Option<u32>,
) -> io::Result<(QueueRx, QueueTx)> {
    let memory = UmemCfgBuilder { frame_size: FrameSize::TwoK, frame_count: 2 * frames, ..Default::default() };
    let mut umem = Umem::map(memory.build().map_err(other)?)?;
    let rings = RingConfigBuilder { rx_count: frames, tx_count: frames, fill_count: frames, completion_count: frames };
    let mut builder = XdpSocketBuilder::new().map_err(inner)?;
    // Without the need-wakeup flag: every flush is one call, whatever the driver does.
    let (rings, mut flags) = builder.build_rings(&umem, rings.build().map_err(other)?).map_err(inner)?;
    match zero_copy {
        // The kernel tries, and copies where the driver cannot.
        ZeroCopy::Ask => {}
        ZeroCopy::Require => flags.force_zerocopy(),
        ZeroCopy::Never => flags.force_copy(),
    }
    let socket = builder.bind(xdp::nic::NicIndex(interface), queue, flags).map_err(inner)?;
    let fd = socket.raw_fd();
    // An older kernel sends 32 at a call, and says when there is more.
    let _ = set_option(fd, SOL_XDP, MAX_TX_BUDGET, frames as libc::c_int);
    if let Some(us) = busy_poll_us {
        set_option(fd, libc::SOL_SOCKET, PREFER_BUSY_POLL, 1)?;
        set_option(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, us as libc::c_int)?;
        set_option(fd, libc::SOL_SOCKET, BUSY_POLL_BUDGET, BATCH as libc::c_int)?;
    }
    let mut fill = rings.fill_ring;
    // SAFETY: `QueueTx` keeps the memory; `XdpPort` drops the socket first.
    let filled = unsafe { fill.enqueue(&mut umem, frames as usize) };
    assert_eq!(filled, frames as usize, "an empty ring takes as many as it has places");
    let rx = rings.rx_ring.ok_or_else(|| other("no receive ring"))?;
    let tx = rings.tx_ring.ok_or_else(|| other("no send ring"))?;
    let slab = || HeapSlab::with_capacity(frames as usize);
    let busy_poll = busy_poll_us.is_some();
    let receiving = QueueRx { socket, rx, fill, batch: HeapSlab::with_capacity(BATCH), busy_poll, recv_calls: 0 };
    let limit = frames as usize;
    let sending = QueueTx {
        tx,
        completion: rings.completion_ring,
        staged: slab(),
        in_flight: 0,
        limit,
        pending: false,
        fd,
        umem,
    };
    Ok((receiving, sending))
}

/// The system's own error, where there is one.
fn inner(error: xdp::error::SocketError) -> io::Error {
    use xdp::error::SocketError as E;
    let text = error.to_string();
    let (E::SocketCreation(inner)
    | E::Bind(inner)
    | E::SetSockOpt { inner, .. }
    | E::GetSockOpt { inner, .. }
    | E::RingMap { inner, .. }) = error;
    match inner.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            inner.kind(),
            "not permitted: AF_XDP needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF, and locked memory (`ulimit -l`)",
        ),
        kind => io::Error::new(kind, text),
    }
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value is an int, as these options are, and outlives the call.
    let result = unsafe {
        libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl QueueRx {
    pub fn fd(&self) -> RawFd {
        self.socket.raw_fd()
    }

    /// Whether the card writes where we read, as the kernel tells.
    pub fn is_zero_copy(&self) -> io::Result<bool> {
        let mut options = 0u32;
        let mut len = size_of::<u32>() as libc::socklen_t;
        // SAFETY: `options` and `len` are as the option wants them, and outlive the call.
        let result = unsafe { libc::getsockopt(self.fd(), SOL_XDP, XDP_OPTIONS, (&raw mut options).cast(), &mut len) };
        if result == 0 { Ok(options & OPTIONS_ZEROCOPY != 0) } else { Err(io::Error::last_os_error()) }
    }

    /// Frames that the kernel had nowhere to put.
    pub fn dropped(&self) -> u64 {
        // A socket that cannot tell has told of none.
        self.socket.statistics().map_or(0, |told| told.rx_dropped + told.rx_ring_full + told.rx_fill_ring_empty_descs)
    }

    /// Whether there are frames to show: takes a batch from the ring, if there was none.
    #[inline]
    pub fn fetch(&mut self, tx: &mut QueueTx) -> bool {
        if !self.batch.is_empty() {
            return true;
        }
        // SAFETY: the packets go back to the memory in `show`, before it can be dropped.
        let mut count = unsafe { self.rx.recv(&tx.umem, &mut self.batch) };
        if count == 0 && self.busy_poll {
            self.recv_calls += 1;
            // SAFETY: no buffer; lets the kernel poll the card for us. What it says is in the ring.
            unsafe {
                libc::recvfrom(
                    self.fd(),
                    std::ptr::null_mut(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
            // SAFETY: as above.
            count = unsafe { self.rx.recv(&tx.umem, &mut self.batch) };
        }
        count > 0
    }

    /// Takes the next frame of the batch.
    #[inline]
    pub fn next(&mut self) -> Option<xdp::Packet> {
        self.batch.pop_back()
    }

    /// Gives the kernel as many frames to fill as have been given back.
    #[inline]
    pub fn refill(&mut self, tx: &mut QueueTx, count: usize) {
        if count > 0 {
            // SAFETY: as in `open`.
            let filled = unsafe { self.fill.enqueue(&mut tx.umem, count) };
            debug_assert_eq!(filled, count, "what came out of the ring fits into it");
        }
    }
}

impl QueueTx {
    /// A received frame has been looked at.
    #[inline]
    pub fn give_back(&mut self, packet: xdp::Packet) {
        self.umem.free_packet(packet);
    }

    #[inline]
    pub fn ready(&mut self) -> bool {
        if self.in_flight == self.limit {
            self.reap();
        }
        self.in_flight < self.limit
    }

    /// Takes back what has been sent.
    #[inline]
    fn reap(&mut self) {
        self.in_flight -= self.completion.dequeue(&mut self.umem, self.in_flight);
    }

    #[inline]
    pub fn stage<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        if !self.ready() {
            return None;
        }
        // SAFETY: the packet goes to the kernel, or stays in `staged`; both end before the memory does.
        let mut packet = unsafe { self.umem.alloc() }?;
        packet.adjust_tail(len as i32).expect("a frame fits into its buffer");
        let result = write(&mut packet);
        let refused = self.staged.push_front(packet);
        assert!(refused.is_none(), "room for as many as may be in flight");
        self.in_flight += 1;
        Some(result)
    }

    /// Hands what is staged to the kernel; how many calls that took.
    pub fn flush(&mut self) -> io::Result<u64> {
        if self.staged.is_empty() && !self.pending {
            return Ok(0);
        }
        if !self.staged.is_empty() {
            // SAFETY: the memory outlives the socket, as in `open`.
            let queued = unsafe { self.tx.send(&mut self.staged) };
            // The ring is as long as frames may be in flight; if the kernel is behind, the rest goes by the next flush.
            self.pending = !self.staged.is_empty() || queued == 0;
        }
        let mut kicks = 0;
        loop {
            kicks += 1;
            // SAFETY: no buffer; tells the kernel to look at the ring.
            let result = unsafe { libc::sendto(self.fd, std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
            if result >= 0 {
                self.pending = !self.staged.is_empty();
                break;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // There is more than one call may send.
                Some(libc::EAGAIN | libc::EINTR) if (kicks as usize) < MAX_KICKS => self.reap(),
                // The other side is behind: by the next flush.
                Some(libc::EAGAIN | libc::EINTR | libc::EBUSY | libc::ENOBUFS) => {
                    self.pending = true;
                    break;
                }
                _ => return Err(error),
            }
        }
        self.reap();
        Ok(kicks)
    }
}
