//! AF_XDP: frames between a card's queues and memory that the kernel and this process share.
//!
//! A small BPF program, assembled at run time from a [`Filter`], takes the frames that the filter names before the kernel's network
//! code sees them; all other traffic stays with the kernel. Each queue has a socket, four rings and its memory; a poll looks at
//! rings, without a system call, and a flush is one call for each queue that has something to send.
//!
//! The program is attached in the driver if that can be (*native*), else before the kernel's network code (*generic*). The
//! card writes into our memory directly if the driver can (*zero-copy*), else the kernel copies. What was asked for is in the
//! [`XdpConfig`], what came of it in [`XdpPort::mode`].
//!
//! **Give user space an address of its own**, which the kernel does not have: then the kernel never answers for it. With a shared
//! address the kernel no longer hears ARP about that address.
//!
//! **Limits.** Linux 5.11, IPv4; packets up to 1500 bytes; CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF. One port for each queue of an interface: frames
//! that arrive at a queue which no port has stay with the kernel. Let the card spread flows over queues by address and port, so that
//! a flow stays at one.

mod bpf;
mod interface;
mod program;
mod queue;

#[cfg(test)]
mod tests;

pub use program::{Filter, MAX_RULES, Protocol, Rule};

use super::{ETHERNET_HEADER, FrameError, FramePort, FrameStats, FrameTx, MAX_FRAME, MacAddr};
use interface::Interface;
use program::Verdict;
use queue::{QueueRx, QueueTx};
use std::fmt;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Queues that an interface may have here.
pub const MAX_QUEUES: u32 = 256;
/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE` (include/uapi/linux/if_link.h).
const FLAG_GENERIC: u32 = 1 << 1;
const FLAG_NATIVE: u32 = 1 << 2;

/// How often, and how long apart, a queue that is taken is asked for again: 0.4 s in all.
const BUSY_RETRIES: u32 = 80;
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Where the program is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attach {
    /// In the driver, or where that cannot be, before the kernel's network code.
    #[default]
    Best,
    /// In the driver.
    Native,
    /// Before the kernel's network code: works everywhere, and costs an allocation in the kernel for each frame.
    Generic,
}

/// Whether the card and this process use the same memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// If the driver can.
    #[default]
    Ask,
    /// Or fail.
    Require,
    /// The kernel copies.
    Never,
}

/// How an interface is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdpConfig {
    /// Its name.
    pub interface: String,
    /// The frames that come to user space.
    pub filter: Filter,
    /// The queues that the port has; `None`: all.
    pub queues: Option<Vec<u32>>,
    /// Where the program is attached.
    pub attach: Attach,
    /// Whether frames are copied.
    pub zero_copy: ZeroCopy,
    /// Frames in each direction of a queue: a power of two, 64 to 16,384.
    pub frames: u32,
    /// Lets each poll that finds nothing make the kernel poll the card, for up to so many microseconds: for a card whose interrupts
    /// are deferred. A system call for each empty poll.
    pub busy_poll_us: Option<u32>,
}

impl Default for XdpConfig {
    fn default() -> Self {
        Self {
            interface: String::new(),
            filter: Filter::default(),
            queues: None,
            attach: Attach::default(),
            zero_copy: ZeroCopy::default(),
            frames: 1024,
            busy_poll_us: None,
        }
    }
}

/// What came of the wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpMode {
    /// The program is in the driver.
    pub native: bool,
    /// No queue's frames are copied.
    pub zero_copy: bool,
    /// Queues that the port has, of how many.
    pub queues: (u32, u32),
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let native = if self.native { "native" } else { "generic (slower: the driver cannot run the program)" };
        let copies = if self.zero_copy { "zero-copy" } else { "copied by the kernel (the driver cannot do without)" };
        write!(f, "{native}, {copies}, {} of {} queues", self.queues.0, self.queues.1)
    }
}

/// A program on an interface, for the ports of its queues. It stays until the last of them is gone.
#[derive(Debug, Clone)]
pub struct Redirect(Arc<Attached>);

#[derive(Debug)]
struct Attached {
    interface: Interface,
    name: String,
    map: OwnedFd,
    native: bool,
    /// Closing it detaches the program.
    _link: OwnedFd,
}

impl Redirect {
    /// Puts the program for `config.filter` on the interface.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses: no such interface, no permission, a program there already.
    pub fn attach(config: &XdpConfig) -> Result<Self, FrameError> {
        config.check()?;
        let name = &config.interface;
        let interface = Interface::find(name).map_err(refused(format!("find interface `{name}`")))?;
        let map = bpf::create_map(interface.queues.min(MAX_QUEUES)).map_err(refused("make a BPF map"))?;
        let map_fd = std::os::fd::AsRawFd::as_raw_fd(&map);
        let code = program::assemble(&config.filter, Verdict::Redirect(map_fd));
        let program = bpf::load(&code).map_err(refused("load the redirect program"))?;
        let attach = |flags| bpf::attach(&program, interface.index, flags);
        let action = || format!("attach the redirect program to `{name}`");
        let (link, native) = match config.attach {
            Attach::Native => (attach(FLAG_NATIVE).map_err(refused(action()))?, true),
            Attach::Generic => (attach(FLAG_GENERIC).map_err(refused(action()))?, false),
            Attach::Best => match attach(FLAG_NATIVE) {
                Ok(link) => (link, true),
                Err(_) => (attach(FLAG_GENERIC).map_err(refused(action()))?, false),
            },
        };
        Ok(Self(Arc::new(Attached { interface, name: name.clone(), map, native, _link: link })))
    }

    /// Receive queues that the interface has.
    pub fn queues(&self) -> u32 {
        self.0.interface.queues.min(MAX_QUEUES)
    }

    /// Whether the driver says that it can do without copies.
    pub fn offers_zero_copy(&self) -> bool {
        self.0.interface.zero_copy
    }
}

impl XdpConfig {
    fn check(&self) -> Result<(), FrameError> {
        let refuse = |field, found: String, allowed: &str| {
            Err(FrameError::Config { field, found, allowed: allowed.to_string() })
        };
        if !self.frames.is_power_of_two() || !(64..=16_384).contains(&self.frames) {
            return refuse("frames", self.frames.to_string(), "a power of two, 64 to 16384");
        }
        for (field, count) in [("filter.rules", self.filter.rules.len()), ("filter.arp", self.filter.arp.len())] {
            if count > MAX_RULES {
                return refuse(field, format!("{count} long"), "64 at most");
            }
        }
        if self.busy_poll_us.is_some_and(|us| us == 0 || us > 10_000) {
            return refuse("busy_poll_us", format!("{:?}", self.busy_poll_us), "1 to 10000");
        }
        Ok(())
    }
}

/// The sending side.
pub struct XdpTx {
    queues: Vec<QueueTx>,
    /// The queue of the frame that is being looked at, else the first.
    current: usize,
    max_frame: usize,
    stats: FrameStats,
}

impl FrameTx for XdpTx {
    #[inline]
    fn ready(&mut self) -> bool {
        self.queues[self.current].ready()
    }

    #[inline]
    fn transmit<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        assert!(len <= self.max_frame, "a frame of {len} bytes");
        let result = self.queues[self.current].stage(len, write)?;
        self.stats.frames_out += 1;
        self.stats.bytes_out += len as u64;
        Some(result)
    }
}

/// A port over AF_XDP sockets.
pub struct XdpPort {
    /// Before the memory, which is in `tx`.
    rx: Vec<QueueRx>,
    tx: XdpTx,
    redirect: Redirect,
    mode: XdpMode,
    /// The queue that the next poll begins with.
    first: usize,
    start: Instant,
}

impl XdpPort {
    /// Attaches a program and opens the port's queues.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(config: &XdpConfig) -> Result<Self, FrameError> {
        Self::open(&Redirect::attach(config)?, config)
    }

    /// Opens queues of an interface that has its program: one port for each thread, say.
    ///
    /// # Errors
    /// A queue that is not there, or has a port already; what the system refuses.
    pub fn open(redirect: &Redirect, config: &XdpConfig) -> Result<Self, FrameError> {
        config.check()?;
        let count = redirect.queues();
        let queues = config.queues.clone().unwrap_or_else(|| (0..count).collect());
        if queues.is_empty() || queues.iter().any(|&queue| queue >= count) {
            let allowed = format!("some of 0 to {}", count - 1);
            return Err(FrameError::Config { field: "queues", found: format!("{queues:?}"), allowed });
        }
        let Attached { interface, name, map, native, .. } = &*redirect.0;
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        let mut zero_copy = true;
        for &queue in &queues {
            let action = || format!("open queue {queue} of `{name}`");
            let (receiving, sending) =
                patiently(|| queue::open(interface.index, queue, config.frames, config.zero_copy, config.busy_poll_us))
                    .map_err(refused(action()))?;
            zero_copy &= receiving.is_zero_copy().map_err(refused(action()))?;
            bpf::set_map(map, queue, receiving.fd()).map_err(refused(action()))?;
            rx.push(receiving);
            tx.push(sending);
        }
        let mode = XdpMode { native: *native, zero_copy, queues: (queues.len() as u32, count) };
        let max_frame = (interface.mtu + ETHERNET_HEADER).min(MAX_FRAME);
        let tx = XdpTx { queues: tx, current: 0, max_frame, stats: FrameStats::default() };
        Ok(Self { rx, tx, redirect: redirect.clone(), mode, first: 0, start: Instant::now() })
    }

    /// What came of the wishes.
    pub fn mode(&self) -> XdpMode {
        self.mode
    }
}

impl FramePort for XdpPort {
    type Tx = XdpTx;

    fn mac(&self) -> MacAddr {
        self.redirect.0.interface.mac
    }

    fn max_frame(&self) -> usize {
        self.tx.max_frame
    }

    fn now_ns(&mut self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn receive(&mut self, limit: usize, mut each: impl FnMut(&[u8], &mut XdpTx)) -> Result<usize, FrameError> {
        let mut total = 0;
        let queues = self.rx.len();
        for turn in 0..queues {
            let at = (self.first + turn) % queues;
            let rx = &mut self.rx[at];
            self.tx.current = at;
            while total < limit && rx.fetch(&mut self.tx.queues[at]) {
                let mut count = 0;
                while total + count < limit
                    && let Some(packet) = rx.next()
                {
                    count += 1;
                    self.tx.stats.bytes_in += packet.len() as u64;
                    each(&packet, &mut self.tx);
                    self.tx.queues[at].give_back(packet);
                }
                rx.refill(&mut self.tx.queues[at], count);
                total += count;
            }
        }
        self.tx.current = 0;
        // Another queue is first the next time, so that a full one does not keep the others waiting.
        self.first = (self.first + 1) % queues;
        self.tx.stats.frames_in += total as u64;
        Ok(total)
    }

    fn tx(&mut self) -> &mut XdpTx {
        &mut self.tx
    }

    fn flush(&mut self) -> Result<(), FrameError> {
        let tx = &mut self.tx;
        for queue in &mut tx.queues {
            tx.stats.send_calls += queue.flush().map_err(refused("send frames"))?;
        }
        Ok(())
    }

    fn descriptors(&self) -> Vec<RawFd> {
        self.rx.iter().map(QueueRx::fd).collect()
    }

    fn wait(&mut self, timeout: Duration, sleep: impl FnOnce(Duration) -> io::Result<()>) -> io::Result<()> {
        // What the kernel has not taken goes by another flush.
        let behind = self.tx.queues.iter().any(|queue| queue.pending);
        sleep(if behind { timeout.min(Duration::from_micros(50)) } else { timeout })
    }

    fn stats(&self) -> FrameStats {
        let mut stats = self.tx.stats;
        for queue in &self.rx {
            stats.dropped_in += queue.dropped();
            stats.recv_calls += queue.recv_calls;
        }
        stats
    }
}

/// The kernel lets go of a closed socket's queue a little after the close: who had it may just have ended.
fn patiently<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BUSY_RETRIES {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(BUSY_PAUSE),
            result => return result,
        }
    }
    open()
}

/// The action becomes a string only if there is an error to tell.
fn refused(action: impl Into<String>) -> impl FnOnce(io::Error) -> FrameError {
    move |source| FrameError::Io { action: action.into(), source }
}
