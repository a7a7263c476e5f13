//! The reference: a kernel UDP socket, unicast and multicast, a burst per system call (`recvmmsg`, `sendmmsg`).

#![allow(unsafe_code)]

use super::{Datagram, DatagramError, DatagramPort, DatagramStats, refused};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// What a port is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelDatagramConfig {
    /// Where it receives, and sends from; port 0 lets the system choose.
    pub bind: SocketAddrV4,
    /// Bytes of the longest payload: 1 to 65,507.
    pub max_payload: usize,
    /// Datagrams of a burst, and places of the queue: 1 to 1,024, which is the most that one system call moves.
    pub burst: usize,
    /// The interface that multicast leaves by and is received on, by its address; unspecified leaves the choice to the system.
    pub multicast_interface: Ipv4Addr,
    /// Routers that a multicast datagram may pass.
    pub multicast_ttl: u8,
    /// Whether receivers on this host hear what is sent here.
    pub multicast_loop: bool,
    /// Whether several ports may be bound to the same address: each hears every multicast datagram.
    pub share_address: bool,
    /// The kernel's receive buffer in bytes, if not its default.
    pub socket_recv_bytes: Option<usize>,
}

impl Default for KernelDatagramConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            max_payload: 1472,
            burst: 64,
            multicast_interface: Ipv4Addr::UNSPECIFIED,
            multicast_ttl: 1,
            multicast_loop: true,
            share_address: false,
            socket_recv_bytes: None,
        }
    }
}

/// Headers, addresses and bytes of a burst, which point to one another and stay where they are.
struct Burst {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_in]>,
    bytes: Box<[u8]>,
    each: usize,
}

// SAFETY: the pointers go into the boxes beside them, which move with this value and stay where they are.
unsafe impl Send for Burst {}

impl Burst {
    fn new(count: usize, each: usize) -> Self {
        // SAFETY: zero is a valid header, vector and address.
        let (header, part, name) = unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        let mut burst = Self {
            headers: vec![header; count].into_boxed_slice(),
            parts: vec![part; count].into_boxed_slice(),
            names: vec![name; count].into_boxed_slice(),
            bytes: vec![0; count * each].into_boxed_slice(),
            each,
        };
        for at in 0..count {
            burst.parts[at].iov_base = burst.bytes[at * each..].as_mut_ptr().cast();
            let header = &mut burst.headers[at].msg_hdr;
            header.msg_iov = &mut burst.parts[at];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut burst.names[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        burst
    }

    fn count(&self) -> usize {
        self.headers.len()
    }

    /// Makes the first `count` ready to be filled by the system.
    fn empty(&mut self, count: usize) {
        for at in 0..count {
            self.parts[at].iov_len = self.each;
            let header = &mut self.headers[at].msg_hdr;
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_flags = 0;
        }
    }

    fn fill(&mut self, at: usize, to: SocketAddrV4, payload: &[u8]) {
        self.bytes[at * self.each..][..payload.len()].copy_from_slice(payload);
        self.parts[at].iov_len = payload.len();
        self.names[at].sin_family = libc::AF_INET as u16;
        self.names[at].sin_port = to.port().to_be();
        self.names[at].sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
    }

    /// The datagram that the system has put here; `None` if it was longer than there was room.
    fn take(&self, at: usize) -> Option<Datagram<'_>> {
        let (header, name) = (&self.headers[at], &self.names[at]);
        let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        let known = header.msg_hdr.msg_namelen as usize == size_of::<libc::sockaddr_in>();
        let len = (header.msg_len as usize).min(self.each);
        let from = SocketAddrV4::new(name.sin_addr.s_addr.to_ne_bytes().into(), u16::from_be(name.sin_port));
        (whole && known).then(|| Datagram { from, payload: &self.bytes[at * self.each..][..len] })
    }

    /// Moves the datagrams from `first` to `end` to the front.
    fn shift(&mut self, first: usize, end: usize) {
        for at in first..end {
            let len = self.parts[at].iov_len;
            let to = at - first;
            self.bytes.copy_within(at * self.each..at * self.each + len, to * self.each);
            self.parts[to].iov_len = len;
            self.names[to] = self.names[at];
        }
    }
}

/// Datagrams over a kernel UDP socket.
pub struct KernelDatagrams {
    socket: Socket,
    local: SocketAddrV4,
    interface: Ipv4Addr,
    incoming: Burst,
    outgoing: Burst,
    queued: usize,
    stats: DatagramStats,
}

impl KernelDatagrams {
    /// Makes a port.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(config: &KernelDatagramConfig) -> Result<Self, DatagramError> {
        for (field, found, max) in [("max_payload", config.max_payload, 65_507), ("burst", config.burst, 1024)] {
            if !(1..=max).contains(&found) {
                return Err(DatagramError::Config { field, found, allowed: format!("1 to {max}") });
            }
        }
        let socket = open(config).map_err(refused(format!("open a socket at {}", config.bind)))?;
        let local = socket.local_addr().map_err(refused("ask for the address"))?;
        Ok(Self {
            socket,
            local: local.as_socket_ipv4().unwrap_or(config.bind),
            interface: config.multicast_interface,
            incoming: Burst::new(config.burst, config.max_payload),
            outgoing: Burst::new(config.burst, config.max_payload),
            queued: 0,
            stats: DatagramStats::default(),
        })
    }
}

fn open(config: &KernelDatagramConfig) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if config.share_address {
        socket.set_reuse_address(true)?;
    }
    if let Some(bytes) = config.socket_recv_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_multicast_if_v4(&config.multicast_interface)?;
    socket.set_multicast_ttl_v4(u32::from(config.multicast_ttl))?;
    socket.set_multicast_loop_v4(config.multicast_loop)?;
    socket.bind(&config.bind.into())?;
    Ok(socket)
}

impl DatagramPort for KernelDatagrams {
    fn local_addr(&self) -> SocketAddrV4 {
        self.local
    }

    fn max_payload(&self) -> usize {
        self.outgoing.each
    }

    #[inline]
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> Result<bool, DatagramError> {
        if payload.len() > self.outgoing.each {
            return Err(DatagramError::TooLong { len: payload.len(), max: self.outgoing.each });
        }
        if self.queued == self.outgoing.count() {
            return Ok(false);
        }
        self.outgoing.fill(self.queued, to, payload);
        self.queued += 1;
        Ok(true)
    }

    fn flush(&mut self) -> Result<usize, DatagramError> {
        if self.queued == 0 {
            return Ok(0);
        }
        self.stats.send_calls += 1;
        let headers = self.outgoing.headers.as_mut_ptr();
        // SAFETY: so many headers are filled, and what they point to lives in the boxes beside them.
        let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), headers, self.queued as u32, libc::MSG_DONTWAIT) };
        let gone = if sent >= 0 {
            self.stats.sent += sent as u64;
            sent as usize
        } else {
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => 0,
                // The first one cannot go (nowhere to send it, too long for the path): it is dropped, the others go with the next flush.
                _ => {
                    self.stats.refused += 1;
                    1
                }
            }
        };
        self.outgoing.shift(gone, self.queued);
        self.queued -= gone;
        Ok(sent.max(0) as usize)
    }

    fn poll(&mut self, mut each: impl FnMut(Datagram<'_>)) -> Result<usize, DatagramError> {
        let count = self.incoming.count();
        self.incoming.empty(count);
        self.stats.recv_calls += 1;
        let headers = self.incoming.headers.as_mut_ptr();
        // SAFETY: so many headers are there, and what they point to lives in the boxes beside them.
        let got = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers,
                count as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut::<libc::timespec>(),
            )
        };
        if got < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                // An earlier datagram found nobody: no fault of this port.
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => Ok(0),
                _ => Err(refused("receive")(error)),
            };
        }
        let mut given = 0;
        for at in 0..got as usize {
            match self.incoming.take(at) {
                Some(datagram) => {
                    each(datagram);
                    given += 1;
                }
                None => self.stats.malformed += 1,
            }
        }
        self.stats.received += given as u64;
        Ok(given)
    }

    fn join(&mut self, group: Ipv4Addr) -> Result<(), DatagramError> {
        if !group.is_multicast() {
            return Err(DatagramError::NotAGroup { group });
        }
        self.socket.join_multicast_v4(&group, &self.interface).map_err(refused(format!("join {group}")))
    }

    fn leave(&mut self, group: Ipv4Addr) -> Result<(), DatagramError> {
        self.socket.leave_multicast_v4(&group, &self.interface).map_err(refused(format!("leave {group}")))
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), DatagramError> {
        self.flush()?;
        let mut interest = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        if self.queued > 0 {
            interest.events |= libc::POLLOUT;
        }
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        // SAFETY: one entry, which, like the timeout, outlives the call; no signal mask is given.
        let result = unsafe { libc::ppoll(&mut interest, 1, &timeout, std::ptr::null()) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(refused("wait")(error)),
        }
    }

    fn stats(&self) -> DatagramStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 77, 66, 55);

    fn config() -> KernelDatagramConfig {
        KernelDatagramConfig {
            bind: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            multicast_interface: Ipv4Addr::LOCALHOST,
            burst: 16,
            ..KernelDatagramConfig::default()
        }
    }

    /// Polls until so many datagrams have come.
    fn take(port: &mut KernelDatagrams, count: usize) -> Vec<(SocketAddrV4, Vec<u8>)> {
        let mut taken = Vec::new();
        for _ in 0..2000 {
            port.poll(|datagram| taken.push((datagram.from, datagram.payload.to_vec()))).unwrap();
            if taken.len() >= count {
                return taken;
            }
            port.wait(Duration::from_millis(5)).unwrap();
        }
        panic!("{} of {count} came", taken.len());
    }

    #[test]
    fn a_burst_is_one_call_each_way() {
        let (mut here, mut there) =
            (KernelDatagrams::new(&config()).unwrap(), KernelDatagrams::new(&config()).unwrap());
        for n in 0..16u8 {
            assert!(here.send(there.local_addr(), &vec![n; usize::from(n) * 90]).unwrap());
        }
        assert!(!here.send(there.local_addr(), b"one more").unwrap(), "the queue is full");
        assert_eq!(here.stats().send_calls, 0, "queueing makes no call");
        assert_eq!(here.flush().unwrap(), 16);
        assert_eq!(here.stats().send_calls, 1);
        assert_eq!(here.flush().unwrap(), 0);
        assert_eq!(here.stats().send_calls, 1, "nothing to flush, no call");
        let taken = take(&mut there, 16);
        assert_eq!((taken.len(), there.stats().recv_calls), (16, 1));
        for (n, (from, payload)) in taken.iter().enumerate() {
            assert_eq!(*from, here.local_addr());
            assert_eq!(*payload, vec![n as u8; n * 90], "in order on loopback, also an empty one");
        }
    }

    #[test]
    fn who_joins_a_group_hears_it_and_who_leaves_does_not() {
        let group = |port| KernelDatagramConfig {
            bind: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port),
            share_address: true,
            ..config()
        };
        let mut first = KernelDatagrams::new(&group(0)).unwrap();
        let port = first.local_addr().port();
        let mut second = KernelDatagrams::new(&group(port)).unwrap();
        let mut sender = KernelDatagrams::new(&config()).unwrap();
        first.join(GROUP).unwrap();
        second.join(GROUP).unwrap();
        let to = SocketAddrV4::new(GROUP, port);
        sender.send(to, b"both").unwrap();
        sender.flush().unwrap();
        for port in [&mut first, &mut second] {
            assert_eq!(take(port, 1), [(sender.local_addr(), b"both".to_vec())]);
        }
        second.leave(GROUP).unwrap();
        assert!(second.leave(GROUP).is_err(), "once");
        sender.send(to, b"one").unwrap();
        sender.flush().unwrap();
        assert_eq!(take(&mut first, 1)[0].1, b"one");
        let wrong = first.join(Ipv4Addr::LOCALHOST).unwrap_err().to_string();
        assert!(wrong.contains("no multicast group"), "{wrong}");
    }

    #[test]
    fn what_is_too_long_is_dropped_and_counted_and_what_cannot_go_holds_nothing_up() {
        let mut small = KernelDatagrams::new(&KernelDatagramConfig { max_payload: 100, ..config() }).unwrap();
        let mut large = KernelDatagrams::new(&config()).unwrap();
        assert!(matches!(
            small.send(large.local_addr(), &[0; 101]),
            Err(DatagramError::TooLong { len: 101, max: 100 })
        ));
        large.send(small.local_addr(), &[1; 101]).unwrap();
        large.send(small.local_addr(), &[2; 100]).unwrap();
        large.flush().unwrap();
        assert_eq!(take(&mut small, 1), [(large.local_addr(), vec![2; 100])]);
        assert_eq!(small.stats().malformed, 1);
        // Port 0 is nobody's.
        large.send(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), b"nowhere").unwrap();
        large.send(small.local_addr(), b"somewhere").unwrap();
        assert_eq!(large.flush().unwrap(), 0);
        assert_eq!((large.flush().unwrap(), large.stats().refused), (1, 1));
        assert_eq!(take(&mut small, 1)[0].1, b"somewhere");
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (wrong, field) in [
            (KernelDatagramConfig { max_payload: 0, ..config() }, "max_payload is 0"),
            (KernelDatagramConfig { burst: 1025, ..config() }, "burst is 1025"),
        ] {
            let error = KernelDatagrams::new(&wrong).err().unwrap().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
