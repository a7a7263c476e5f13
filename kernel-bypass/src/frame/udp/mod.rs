//! UDP in user space over any [`FramePort`]: market data without a system call for each datagram.
//!
//! A datagram is written straight into the frame that goes out, and read where the frame that came lies. Hosts are found by
//! ARP: the first datagram to a new one is answered with [`Unsent::Resolving`] while the question is out. Groups need no question;
//! who joins one is reported to the switches, again every minute.
//!
//! **Limits.** One thread; one IPv4 address and port; payloads up to 1472 bytes, never fragmented; [`MAX_NEIGHBORS`] hosts
//! and [`MAX_GROUPS`] groups. A card that filters groups must be told of them: `ip maddr add`. Nothing is allocated after it is made.

mod packet;

#[cfg(test)]
mod tests;

use super::{ETHERTYPE_ARP, ETHERTYPE_IPV4, FrameError, FramePort, FrameTx, MacAddr};
use packet::{ARP_FRAME, Arp, HEADERS, IGMP_FRAME, Route};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;
use std::time::Duration;

/// Hosts whose addresses are known at a time.
pub const MAX_NEIGHBORS: usize = 64;
/// Groups that may be joined.
pub const MAX_GROUPS: usize = 32;
/// Frames that one poll takes.
const BURST: usize = 64;
/// An address is asked for again after so long, and used meanwhile.
const FRESH_NS: u64 = 60_000_000_000;
/// And forgotten after so long without an answer.
const STALE_NS: u64 = 120_000_000_000;
/// Between two questions for one host.
const ASK_AGAIN_NS: u64 = 100_000_000;
/// Between two reports of a membership.
const REPORT_NS: u64 = 60_000_000_000;

/// Who one is, and how others are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpConfig {
    /// Its own address, best one that the kernel does not have, and port.
    pub local: SocketAddrV4,
    /// How many leading bits of the address name the network: 0 to 32.
    pub prefix: u8,
    /// Where everything goes that is outside of that network.
    pub gateway: Option<Ipv4Addr>,
    /// Whether check sums of what arrives are verified here. `false` only where the card has done it.
    pub verify_checksums: bool,
}

/// Why a datagram was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// Flush, and try again.
    #[error("no room for another datagram: flush first")]
    NoRoom,
    /// The host was asked for its address: poll, and try again.
    #[error("the host's address is not known yet: it was asked for")]
    Resolving,
    /// It will never fit, or go there.
    #[error("a datagram of {0} bytes does not fit into a frame")]
    TooLong(usize),
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// From whom.
    pub from: SocketAddrV4,
    /// To this port's own address, or a group that it joined.
    pub to: SocketAddrV4,
    /// Where the frame lies.
    pub payload: &'a [u8],
}

/// What a port has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UdpStats {
    /// Datagrams given to the application.
    pub received: u64,
    /// Datagrams queued.
    pub sent: u64,
    /// Frames that were damaged, or for somebody else.
    pub ignored: u64,
}

/// What is known of a host.
#[derive(Debug, Clone, Copy)]
struct Neighbor {
    address: Ipv4Addr,
    mac: Option<MacAddr>,
    told_ns: u64,
    asked_ns: u64,
}

/// Everything but the frames: so that a frame can be answered while it is looked at.
struct Udp {
    config: UdpConfig,
    mac: MacAddr,
    /// The next one to be forgotten, if there is no room.
    oldest: usize,
    neighbors: Vec<Neighbor>,
    groups: Vec<Ipv4Addr>,
    reported_ns: u64,
    stats: UdpStats,
}

/// Datagrams at one address and port.
pub struct UdpPort<F: FramePort> {
    frames: F,
    udp: Udp,
    max_payload: usize,
}

impl<F: FramePort> UdpPort<F> {
    /// Makes a port that speaks through `frames`.
    ///
    /// # Errors
    /// A value that is out of range.
    pub fn new(frames: F, config: &UdpConfig) -> Result<Self, FrameError> {
        let refuse = |field, found: String, allowed: &str| {
            Err(FrameError::Config { field, found, allowed: allowed.to_string() })
        };
        let own = *config.local.ip();
        if own.is_unspecified() || own.is_multicast() || own.is_broadcast() || config.local.port() == 0 {
            return refuse("local", config.local.to_string(), "the address of one host, and a port");
        }
        if config.prefix > 32 {
            return refuse("prefix", config.prefix.to_string(), "0 to 32");
        }
        let max_payload = frames.max_frame().saturating_sub(HEADERS);
        let udp = Udp {
            config: *config,
            mac: frames.mac(),
            oldest: 0,
            neighbors: Vec::with_capacity(MAX_NEIGHBORS),
            groups: Vec::with_capacity(MAX_GROUPS),
            reported_ns: 0,
            stats: UdpStats::default(),
        };
        Ok(Self { frames, udp, max_payload })
    }

    /// Its own address.
    pub fn local_addr(&self) -> SocketAddrV4 {
        self.udp.config.local
    }

    /// Bytes of the longest payload.
    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// What moves its frames.
    pub fn frames(&self) -> &F {
        &self.frames
    }

    /// What moves its frames, to be changed.
    pub fn frames_mut(&mut self) -> &mut F {
        &mut self.frames
    }

    /// What the port has done so far.
    pub fn stats(&self) -> UdpStats {
        self.udp.stats
    }

    /// Queues a datagram for the next flush. No system call.
    ///
    /// # Errors
    /// Why not now, or never.
    #[inline]
    pub fn send(&mut self, to: SocketAddrV4, payload: &[u8]) -> Result<(), Unsent> {
        if payload.len() > self.max_payload {
            return Err(Unsent::TooLong(payload.len()));
        }
        let to_mac = match to.ip() {
            group if group.is_multicast() => MacAddr::of_group(*group),
            everybody if everybody.is_broadcast() => MacAddr::BROADCAST,
            host => {
                let now = self.frames.now_ns();
                self.udp.find(*host, now, self.frames.tx()).ok_or(Unsent::Resolving)?
            }
        };
        let route = Route { from_mac: self.udp.mac, to_mac, from: self.udp.config.local, to };
        let written = self.frames.tx().transmit(HEADERS + payload.len(), |frame| {
            packet::write_datagram(frame, &route, payload);
        });
        written.ok_or(Unsent::NoRoom)?;
        self.udp.stats.sent += 1;
        Ok(())
    }

    /// Hands everything queued over: at most one system call for each queue of the card.
    ///
    /// # Errors
    /// The port itself has failed.
    pub fn flush(&mut self) -> Result<(), FrameError> {
        self.frames.flush()
    }

    /// Shows a burst of what came to `each`; how many datagrams.
    ///
    /// # Errors
    /// The port itself has failed.
    pub fn poll(&mut self, mut each: impl FnMut(Datagram<'_>)) -> Result<usize, FrameError> {
        let before = self.udp.stats.received;
        let (udp, frames) = (&mut self.udp, &mut self.frames);
        let mut answered = false;
        // The time matters to ARP alone, and is looked at when ARP comes.
        let mut arps = [None; 4];
        let mut count = 0;
        frames.receive(BURST, |frame, _| match packet::ethertype(frame) {
            Some(ETHERTYPE_IPV4) => udp.datagram(frame, &mut each),
            Some(ETHERTYPE_ARP) if count < arps.len() => {
                arps[count] = packet::read_arp(frame);
                count += 1;
            }
            _ => udp.stats.ignored += 1,
        })?;
        if count > 0 {
            let now = frames.now_ns();
            for arp in arps.into_iter().flatten() {
                answered |= udp.arp(&arp, now, frames.tx());
            }
        }
        if !udp.groups.is_empty() {
            answered |= udp.report(frames.now_ns(), false, frames.tx());
        }
        if answered {
            frames.flush()?;
        }
        Ok((self.udp.stats.received - before) as usize)
    }

    /// Receives what is sent to `group`, at this port's port, too.
    ///
    /// # Errors
    /// Not a group; too many; the port itself has failed.
    pub fn join(&mut self, group: Ipv4Addr) -> Result<(), FrameError> {
        let full = self.udp.groups.len() == MAX_GROUPS;
        if !group.is_multicast() || full {
            let allowed = format!("a multicast group, {MAX_GROUPS} at most");
            return Err(FrameError::Config { field: "group", found: group.to_string(), allowed });
        }
        if !self.udp.groups.contains(&group) {
            self.udp.groups.push(group);
        }
        let now = self.frames.now_ns();
        self.udp.report(now, true, self.frames.tx());
        self.frames.flush()
    }

    /// Receives it no more.
    pub fn leave(&mut self, group: Ipv4Addr) {
        self.udp.groups.retain(|joined| *joined != group);
    }

    /// Descriptors that are readable when something has come.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.frames.descriptors()
    }

    /// Flushes, and lets `sleep` sleep until something may have come, at most for `timeout`.
    ///
    /// # Errors
    /// What `sleep` fails with; the port itself has failed.
    pub fn wait(
        &mut self,
        timeout: Duration,
        sleep: impl FnOnce(Duration) -> io::Result<()>,
    ) -> Result<(), FrameError> {
        self.frames.flush()?;
        let failed = |source| FrameError::Io { action: "wait for frames".into(), source };
        self.frames.wait(timeout, sleep).map_err(failed)
    }
}

impl Udp {
    /// A frame that may hold a datagram for us.
    #[inline]
    fn datagram(&mut self, frame: &[u8], each: &mut impl FnMut(Datagram<'_>)) {
        let Some((from, to, payload)) = packet::read_datagram(frame, self.config.verify_checksums) else {
            self.stats.ignored += 1;
            return;
        };
        let ours = to.ip() == self.config.local.ip() || self.groups.contains(to.ip());
        if !ours || to.port() != self.config.local.port() {
            self.stats.ignored += 1;
            return;
        }
        self.stats.received += 1;
        each(Datagram { from, to, payload });
    }

    /// Where a host's frames go: to itself, or to the gateway. Asks, if it is not known or has not been told for long.
    fn find(&mut self, host: Ipv4Addr, now_ns: u64, tx: &mut impl FrameTx) -> Option<MacAddr> {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.config.prefix)).unwrap_or(0);
        let near = (u32::from(host) ^ u32::from(*self.config.local.ip())) & mask == 0;
        let hop = if near { host } else { self.config.gateway? };
        let at = match self.neighbors.iter().position(|neighbor| neighbor.address == hop) {
            Some(at) => at,
            None => self.add(hop),
        };
        let neighbor = &mut self.neighbors[at];
        let age = now_ns.saturating_sub(neighbor.told_ns);
        if neighbor.mac.is_none() || age > FRESH_NS {
            if neighbor.asked_ns == 0 || now_ns.saturating_sub(neighbor.asked_ns) > ASK_AGAIN_NS {
                neighbor.asked_ns = now_ns.max(1);
                let from = *self.config.local.ip();
                let arp = Arp { is_reply: false, from_mac: self.mac, from, to_mac: MacAddr([0; 6]), to: hop };
                // Without room it is asked for by the next try.
                let _ = tx.transmit(ARP_FRAME, |frame| packet::write_arp(frame, &arp));
            }
            if age > STALE_NS {
                neighbor.mac = None;
            }
        }
        neighbor.mac
    }

    /// A place for a new host; where there is none, the one that has been there longest goes.
    fn add(&mut self, address: Ipv4Addr) -> usize {
        let new = Neighbor { address, mac: None, told_ns: 0, asked_ns: 0 };
        if self.neighbors.len() < MAX_NEIGHBORS {
            self.neighbors.push(new);
            return self.neighbors.len() - 1;
        }
        let at = self.oldest;
        self.oldest = (at + 1) % MAX_NEIGHBORS;
        self.neighbors[at] = new;
        at
    }

    /// Somebody asks for us, or answers what we asked; whether there is something to send. Nobody is believed who was not asked.
    fn arp(&mut self, arp: &Arp, now_ns: u64, tx: &mut impl FrameTx) -> bool {
        let own = *self.config.local.ip();
        if let Some(known) = self.neighbors.iter_mut().find(|neighbor| neighbor.address == arp.from) {
            known.mac = Some(arp.from_mac);
            known.told_ns = now_ns;
            known.asked_ns = 0;
        }
        if arp.is_reply || arp.to != own {
            return false;
        }
        let reply = Arp { is_reply: true, from_mac: self.mac, from: own, to_mac: arp.from_mac, to: arp.from };
        tx.transmit(ARP_FRAME, |frame| packet::write_arp(frame, &reply)).is_some()
    }

    /// Tells the switches which groups we are in, if it is time; whether there is something to send.
    fn report(&mut self, now_ns: u64, at_once: bool, tx: &mut impl FrameTx) -> bool {
        if !at_once && now_ns.saturating_sub(self.reported_ns) < REPORT_NS {
            return false;
        }
        self.reported_ns = now_ns;
        let (mac, own) = (self.mac, *self.config.local.ip());
        for &group in &self.groups {
            // Without room it is told again in a minute.
            let _ = tx.transmit(IGMP_FRAME, |frame| packet::write_membership(frame, mac, own, group));
        }
        true
    }
}
