//! Datagrams over any [`FramePort`]: UDP in user space, as the market data's port.
//!
//! All of it is [`UdpPort`]'s; here is what the trait asks for beside that. To a host that has not been heard of yet [`send`] answers
//! `false`, as for a full queue: the question for its address goes with the flush, and the answer is there by some later poll.
//!
//! [`send`]: DatagramPort::send

use super::{Datagram, DatagramError, DatagramPort, DatagramStats, refused};
use crate::frame::udp::{UdpConfig, UdpPort, Unsent};
use crate::frame::{FrameError, FramePort};
use crate::stream::epoll::{self, Epoll};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Descriptors that a frame port may have.
const MAX_DESCRIPTORS: usize = 256;

/// Datagrams over frames.
pub struct FrameDatagrams<F: FramePort> {
    udp: UdpPort<F>,
    max_payload: usize,
    queued: usize,
    epoll: Epoll,
}

impl<F: FramePort> FrameDatagrams<F> {
    /// Makes a port that speaks through `frames`.
    ///
    /// # Errors
    /// A value that is out of range; what the system refuses.
    pub fn new(frames: F, config: &UdpConfig) -> Result<Self, DatagramError> {
        let udp = UdpPort::new(frames, config)?;
        let epoll = Epoll::new(MAX_DESCRIPTORS).map_err(refused("make an epoll set"))?;
        for fd in udp.descriptors() {
            epoll.add(fd, epoll::LEVEL, 0).map_err(refused("watch for frames"))?;
        }
        Ok(Self { max_payload: udp.max_payload(), udp, queued: 0, epoll })
    }

    /// What it is over.
    pub fn udp(&self) -> &UdpPort<F> {
        &self.udp
    }
}

impl From<FrameError> for DatagramError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io { action, source } => Self::Io { action, source },
            error => Self::Io { action: "move datagrams".into(), source: io::Error::other(error) },
        }
    }
}

impl<F: FramePort> DatagramPort for FrameDatagrams<F> {
    fn local_addr(&self) -> SocketAddrV4 {
        self.udp.local_addr()
    }

    fn max_payload(&self) -> usize {
        self.max_payload
    }

    #[inline]
    fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> Result<bool, DatagramError> {
        match self.udp.send(to, payload) {
            Ok(()) => {
                self.queued += 1;
                Ok(true)
            }
            Err(Unsent::NoRoom | Unsent::Resolving) => Ok(false),
            Err(Unsent::TooLong(len)) => Err(DatagramError::TooLong { len, max: self.max_payload }),
        }
    }

    #[inline]
    fn flush(&mut self) -> Result<usize, DatagramError> {
        self.udp.flush()?;
        Ok(std::mem::take(&mut self.queued))
    }

    #[inline]
    fn poll(&mut self, mut each: impl FnMut(Datagram<'_>)) -> Result<usize, DatagramError> {
        Ok(self.udp.poll(|datagram| each(Datagram { from: datagram.from, payload: datagram.payload }))?)
    }

    fn join(&mut self, group: Ipv4Addr) -> Result<(), DatagramError> {
        if !group.is_multicast() {
            return Err(DatagramError::NotAGroup { group });
        }
        Ok(self.udp.join(group)?)
    }

    fn leave(&mut self, group: Ipv4Addr) -> Result<(), DatagramError> {
        self.udp.leave(group);
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), DatagramError> {
        let epoll = &mut self.epoll;
        self.queued = 0;
        Ok(self.udp.wait(timeout, |most| epoll.wait(most))?)
    }

    fn stats(&self) -> DatagramStats {
        let (udp, frames) = (self.udp.stats(), self.udp.frames().stats());
        DatagramStats {
            received: udp.received,
            sent: udp.sent,
            malformed: udp.ignored,
            refused: 0,
            recv_calls: frames.recv_calls,
            send_calls: frames.send_calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::kernel::{KernelDatagramConfig, KernelDatagrams};
    use crate::frame::veth::{self, End, Namespace};
    use crate::frame::xdp::{Filter, Protocol, Rule, XdpConfig, XdpPort};

    const FEED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 26_400);
    const LISTENER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 26_400);
    const GROUP: Ipv4Addr = Ipv4Addr::new(233, 54, 12, 111);

    fn heard(port: &mut impl DatagramPort) -> Vec<(SocketAddrV4, Vec<u8>)> {
        let mut heard = Vec::new();
        for _ in 0..5 {
            port.wait(Duration::from_millis(2)).unwrap();
            port.poll(|datagram| heard.push((datagram.from, datagram.payload.to_vec()))).unwrap();
        }
        heard
    }

    /// A feed by AF_XDP, and a listener by the kernel's UDP at the other end: unicast and group, and no call but one for a burst.
    #[test]
    fn a_feed_by_af_xdp_is_heard_by_the_kernel() {
        Namespace::new().unwrap().enter().unwrap();
        let outside = Namespace::new().unwrap();
        veth::pair([End { name: "feed", address: None }, End { name: "listen", address: None }], 1).unwrap();
        veth::move_to(End { name: "listen", address: Some(*LISTENER.ip()) }, &outside).unwrap();
        let mut filter = Filter::udp(*FEED.ip(), FEED.port());
        filter.rules.push(Rule { address: GROUP, protocol: Protocol::Udp, ports: 0..=u16::MAX });
        let frames = XdpPort::new(&XdpConfig { interface: "feed".into(), filter, ..XdpConfig::default() }).unwrap();
        let config = UdpConfig { local: FEED, prefix: 24, gateway: None, verify_checksums: true };
        let mut feed = FrameDatagrams::new(frames, &config).unwrap();
        let mut kernel = outside
            .within(|| {
                let config = KernelDatagramConfig {
                    bind: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, LISTENER.port()),
                    multicast_interface: *LISTENER.ip(),
                    ..KernelDatagramConfig::default()
                };
                KernelDatagrams::new(&config).unwrap()
            })
            .unwrap();
        outside.within(|| kernel.join(GROUP).unwrap()).unwrap();
        let mut sent = false;
        for _ in 0..100 {
            sent = feed.send(LISTENER, b"one").unwrap();
            feed.flush().unwrap();
            if sent {
                break;
            }
            heard(&mut feed);
        }
        assert!(sent, "the listener's address is found");
        let before = feed.stats().send_calls;
        for n in 0..10u8 {
            assert!(feed.send(SocketAddrV4::new(GROUP, LISTENER.port()), &[n]).unwrap());
        }
        assert_eq!(feed.flush().unwrap(), 10);
        assert_eq!(feed.stats().send_calls, before + 1, "a burst is one call");
        let told = heard(&mut kernel);
        let wanted = std::iter::once(b"one".to_vec()).chain((0..10).map(|n| vec![n]));
        assert_eq!(told, wanted.map(|payload| (FEED, payload)).collect::<Vec<_>>());
        // And the other way, to the port and to the group.
        assert!(kernel.send(FEED, b"back").unwrap());
        kernel.flush().unwrap();
        assert_eq!(heard(&mut feed), [(LISTENER, b"back".to_vec())]);
        assert!(matches!(feed.join(*FEED.ip()), Err(DatagramError::NotAGroup { .. })));
        assert!(matches!(feed.send(FEED, &[0; 1473]), Err(DatagramError::TooLong { len: 1473, max: 1472 })));
    }
}
