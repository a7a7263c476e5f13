//! Round trips over a pair of virtual interfaces: UDP and TCP, each by the kernel and in user space over AF_XDP.
//!
//! The kernel's ends stand in two network namespaces, or it would not use the wire; those of AF_XDP need none. Every end is a port
//! of ours, polled: what is compared is what moves the bytes. The namespaces and interfaces go with the process.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use wirebook_bypass::cpu::{Idle, WaitStrategy};
use wirebook_bypass::datagram::DatagramPort;
use wirebook_bypass::datagram::frames::FrameDatagrams;
use wirebook_bypass::datagram::kernel::{KernelDatagramConfig, KernelDatagrams};
use wirebook_bypass::frame::udp::UdpConfig;
use wirebook_bypass::frame::veth::{self, End as Interface, Namespace};
use wirebook_bypass::frame::xdp::{Filter, XdpConfig, XdpPort};
use wirebook_bypass::stream::any::{AnyConfig, AnyPort};
use wirebook_bypass::stream::kernel::KernelConfig;
use wirebook_bypass::stream::smoltcp::SmoltcpConfig;

use super::{ORDER_BYTES, REPORT_BYTES};
use crate::wire::ends::{End, RawEcho};

/// Looks in which something must come.
const PATIENCE: u32 = 50_000_000;
/// Datagrams that wait for an answer, which itself may wait until the other end's hardware address is known.
const BURST: usize = 64;

/// Addresses of the two ends: of the kernel's pair, and of those of AF_XDP.
const KERNEL: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 78, 0, 1), Ipv4Addr::new(10, 78, 0, 2)];
const UDP: [SocketAddrV4; 2] =
    [SocketAddrV4::new(Ipv4Addr::new(10, 78, 1, 1), 7001), SocketAddrV4::new(Ipv4Addr::new(10, 78, 1, 2), 7001)];
const TCP: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 78, 2, 1), Ipv4Addr::new(10, 78, 2, 2)];

/// Echoes on the four transports, each with a server in a thread of its own.
pub struct Wires {
    kernel_udp: Datagrams<KernelDatagrams>,
    xdp_udp: Datagrams<FrameDatagrams<XdpPort>>,
    kernel_tcp: RawEcho,
    xdp_tcp: RawEcho,
}

impl Wires {
    /// Makes wires and servers.
    ///
    /// # Errors
    /// What the system refuses: only root may.
    pub fn start(wait: WaitStrategy) -> Result<Self> {
        let (here, there) = (Namespace::new()?, Namespace::new()?);
        let wires = here.within(|| Self::start_within(&there, wait))?;
        wires.context("making a wire")
    }

    fn start_within(there: &Namespace, wait: WaitStrategy) -> Result<Self> {
        veth::loopback_up()?;
        let pair = |ends: [&str; 2], addresses: [Option<Ipv4Addr>; 2]| {
            let end = |at: usize| Interface { name: ends[at], address: addresses[at] };
            veth::pair([end(0), end(1)], 1)
        };
        pair(["kernel0", "kernel1"], [Some(KERNEL[0]), None])?;
        veth::move_to(Interface { name: "kernel1", address: Some(KERNEL[1]) }, there)?;
        pair(["udp0", "udp1"], [None, None])?;
        pair(["tcp0", "tcp1"], [None, None])?;

        let bound = |address| {
            let bind = SocketAddrV4::new(address, 0);
            KernelDatagrams::new(&KernelDatagramConfig { bind, ..KernelDatagramConfig::default() })
        };
        let kernel_udp = Datagrams::start(bound(KERNEL[0])?, there.within(|| bound(KERNEL[1]))??, wait)?;
        let framed = |at: usize| -> Result<_> {
            let filter = Filter::udp(*UDP[at].ip(), UDP[at].port());
            let frames = XdpPort::new(&XdpConfig { interface: format!("udp{at}"), filter, ..XdpConfig::default() })?;
            let config = UdpConfig { local: UDP[at], prefix: 24, gateway: None, verify_checksums: true };
            Ok(FrameDatagrams::new(frames, &config)?)
        };
        let xdp_udp = Datagrams::start(framed(0)?, framed(1)?, wait)?;

        let port = AnyPort::new(&AnyConfig::Kernel(KernelConfig { max_connections: 2, ..KernelConfig::default() }))?;
        let kernel_tcp = RawEcho::over(port, (KERNEL[0], 0).into(), wait, |address| {
            there.within(|| End::connect(None, address))?
        })?;
        let tcp = |at: usize| {
            let tcp = SmoltcpConfig { address: TCP[at], prefix: 24, max_connections: 2, ..SmoltcpConfig::default() };
            AnyConfig::xdp(&format!("tcp{at}"), tcp)
        };
        let at: SocketAddr = (TCP[0], 0).into();
        let xdp_tcp = RawEcho::over(AnyPort::new(&tcp(0))?, at, wait, |address| End::connect(Some(&tcp(1)), address))?;
        Ok(Self { kernel_udp, xdp_udp, kernel_tcp, xdp_tcp })
    }

    /// The transports: name, and the one that it is compared with.
    pub const CASES: [(&str, &str); 4] = [
        ("veth UDP, kernel", "veth UDP, kernel"),
        ("veth UDP, AF_XDP", "veth UDP, kernel"),
        ("veth TCP, kernel", "veth TCP, kernel"),
        ("veth TCP, smoltcp over AF_XDP", "veth TCP, kernel"),
    ];

    /// There and back on one of [`Wires::CASES`].
    ///
    /// # Errors
    /// When what was sent does not come back.
    pub fn trip(&mut self, case: usize, at: u32) -> Result<()> {
        match case {
            0 => self.kernel_udp.trip(at),
            1 => self.xdp_udp.trip(at),
            2 => self.kernel_tcp.trip(at),
            _ => self.xdp_tcp.trip(at),
        }
    }

    /// Stops the servers.
    ///
    /// # Errors
    /// When one had failed.
    pub fn stop(self) -> Result<()> {
        self.kernel_udp.stop()?;
        self.xdp_udp.stop()?;
        self.kernel_tcp.stop()?;
        self.xdp_tcp.stop()
    }
}

/// An echo of datagrams.
struct Datagrams<P> {
    client: P,
    server: SocketAddrV4,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl<P: DatagramPort + Send + 'static> Datagrams<P> {
    fn start(mut server: P, client: P, wait: WaitStrategy) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let address = server.local_addr();
        let thread = std::thread::Builder::new().name("datagrams".into()).spawn({
            let stop = Arc::clone(&stop);
            move || serve(&mut server, wait, &stop)
        })?;
        Ok(Self { client, server: address, stop, thread })
    }

    fn trip(&mut self, at: u32) -> Result<()> {
        let mut looks = 0..PATIENCE;
        // The first finds out where the other end is.
        while !self.client.send(self.server, &[at as u8; ORDER_BYTES])? {
            self.client.flush()?;
            self.client.poll(|_| {})?;
            looks.next().context("the server's address is not found")?;
        }
        self.client.flush()?;
        for _ in looks {
            if self.client.poll(|answer| debug_assert_eq!(answer.payload.len(), REPORT_BYTES))? > 0 {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        bail!("a datagram was lost")
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the server of datagrams panicked"))?
    }
}

fn serve(port: &mut impl DatagramPort, wait: WaitStrategy, stop: &AtomicBool) -> Result<()> {
    let mut idle = Idle::new(wait);
    let mut from = VecDeque::with_capacity(BURST);
    while !stop.load(Ordering::Relaxed) {
        let came = port.poll(|datagram| {
            // More than a burst is lost, as datagrams are.
            if from.len() < BURST {
                from.push_back(datagram.from);
            }
        })?;
        while let Some(&to) = from.front()
            && port.send(to, &[1; REPORT_BYTES])?
        {
            from.pop_front();
        }
        port.flush()?;
        if came > 0 {
            idle.worked();
        } else {
            idle.idle_with(|most| port.wait(most)).transpose()?;
        }
    }
    Ok(())
}
