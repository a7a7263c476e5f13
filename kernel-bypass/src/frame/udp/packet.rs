//! UDP, ARP and IGMP as they lie in a frame: written, and read with suspicion.

use crate::frame::{ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, MacAddr};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Bytes of an IPv4 header without options (RFC 791).
const IP_HEADER: usize = 20;
/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: usize = 8;
/// Bytes before a datagram's payload.
pub(super) const HEADERS: usize = ETHERNET_HEADER + IP_HEADER + UDP_HEADER;
/// Bytes of an ARP packet for IPv4 on Ethernet, with its header (RFC 826).
pub(super) const ARP_FRAME: usize = ETHERNET_HEADER + 28;
/// Bytes of an IGMP report: an IPv4 header with the router alert option, and eight bytes (RFC 2236).
pub(super) const IGMP_FRAME: usize = ETHERNET_HEADER + IP_HEADER + 4 + 8;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_IGMP: u8 = 2;
const IGMP_REPORT: u8 = 0x16;
/// A packet may not be fragmented.
const DONT_FRAGMENT: u16 = 0x4000;
const FRAGMENT_BITS: u16 = 0x3fff;
const TTL: u8 = 64;

/// Who talks to whom, on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub from_mac: MacAddr,
    pub to_mac: MacAddr,
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
}

/// What ARP asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arp {
    pub is_reply: bool,
    pub from_mac: MacAddr,
    pub from: Ipv4Addr,
    pub to_mac: MacAddr,
    pub to: Ipv4Addr,
}

/// The Internet's sum of 16-bit words, not yet folded.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let total: u64 = words.by_ref().map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    total + words.remainder().first().map_or(0, |&last| u64::from(last) << 8)
}

/// Folded and inverted (RFC 1071).
fn check(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn pseudo_header(from: Ipv4Addr, to: Ipv4Addr, len: usize) -> u64 {
    sum(&from.octets()) + sum(&to.octets()) + u64::from(PROTOCOL_UDP) + len as u64
}

fn ethernet(frame: &mut [u8], to: MacAddr, from: MacAddr, ethertype: u16) {
    frame[..6].copy_from_slice(&to.0);
    frame[6..12].copy_from_slice(&from.0);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
}

/// Writes an IPv4 header of `header` bytes, whose options are there already.
fn ipv4(packet: &mut [u8], header: usize, protocol: u8, ttl: u8, from: Ipv4Addr, to: Ipv4Addr) {
    let len = packet.len() as u16;
    packet[0] = 0x40 | (header / 4) as u8;
    packet[1] = 0;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[4..6].fill(0);
    packet[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
    packet[8] = ttl;
    packet[9] = protocol;
    packet[10..12].fill(0);
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    let checked = check(sum(&packet[..header]));
    packet[10..12].copy_from_slice(&checked.to_be_bytes());
}

/// Writes a datagram into a frame of `HEADERS` bytes and the payload's.
pub(super) fn write_datagram(frame: &mut [u8], route: &Route, payload: &[u8]) {
    debug_assert_eq!(frame.len(), HEADERS + payload.len());
    ethernet(frame, route.to_mac, route.from_mac, ETHERTYPE_IPV4);
    let (from, to) = (*route.from.ip(), *route.to.ip());
    ipv4(&mut frame[ETHERNET_HEADER..], IP_HEADER, PROTOCOL_UDP, TTL, from, to);
    let udp = &mut frame[ETHERNET_HEADER + IP_HEADER..];
    let len = udp.len();
    udp[..2].copy_from_slice(&route.from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&route.to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    udp[6..8].fill(0);
    udp[8..].copy_from_slice(payload);
    // 0 would say that there is none.
    let checked = match check(sum(udp) + pseudo_header(from, to, len)) {
        0 => 0xffff,
        checked => checked,
    };
    udp[6..8].copy_from_slice(&checked.to_be_bytes());
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|word| u16::from_be_bytes([word[0], word[1]]))
}

fn address_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..at + 4).map(|word| Ipv4Addr::new(word[0], word[1], word[2], word[3]))
}

fn mac_at(bytes: &[u8], at: usize) -> Option<MacAddr> {
    bytes.get(at..at + 6)?.try_into().ok().map(MacAddr)
}

/// Which protocol a frame carries.
pub(super) fn ethertype(frame: &[u8]) -> Option<u16> {
    u16_at(frame, ETHERNET_HEADER - 2)
}

/// Reads a whole, unfragmented datagram: from whom, to whom, what. `verify`: only with good check sums.
pub(super) fn read_datagram(frame: &[u8], verify: bool) -> Option<(SocketAddrV4, SocketAddrV4, &[u8])> {
    let packet = frame.get(ETHERNET_HEADER..)?;
    let first = *packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(u16_at(packet, 2)?);
    if first >> 4 != 4 || header < IP_HEADER || total < header || *packet.get(9)? != PROTOCOL_UDP {
        return None;
    }
    // A short frame was filled up to the shortest that Ethernet has.
    let packet = packet.get(..total)?;
    if u16_at(packet, 6)? & FRAGMENT_BITS != 0 || (verify && check(sum(&packet[..header])) != 0) {
        return None;
    }
    let (from, to) = (address_at(packet, 12)?, address_at(packet, 16)?);
    let udp = &packet[header..];
    let len = usize::from(u16_at(udp, 4)?);
    if len < UDP_HEADER || len > udp.len() {
        return None;
    }
    let udp = &udp[..len];
    if verify && u16_at(udp, 6)? != 0 && check(sum(udp) + pseudo_header(from, to, len)) != 0 {
        return None;
    }
    let (from_port, to_port) = (u16_at(udp, 0)?, u16_at(udp, 2)?);
    Some((SocketAddrV4::new(from, from_port), SocketAddrV4::new(to, to_port), &udp[UDP_HEADER..]))
}

/// What ARP's first eight bytes say: Ethernet, IPv4, and how long their addresses are.
const ARP_KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// Writes ARP into a frame of `ARP_FRAME` bytes.
pub(super) fn write_arp(frame: &mut [u8], arp: &Arp) {
    let on_wire = if arp.is_reply { arp.to_mac } else { MacAddr::BROADCAST };
    ethernet(frame, on_wire, arp.from_mac, ETHERTYPE_ARP);
    let packet = &mut frame[ETHERNET_HEADER..ARP_FRAME];
    packet[..6].copy_from_slice(&ARP_KIND);
    packet[6..8].copy_from_slice(&(if arp.is_reply { 2u16 } else { 1 }).to_be_bytes());
    packet[8..14].copy_from_slice(&arp.from_mac.0);
    packet[14..18].copy_from_slice(&arp.from.octets());
    packet[18..24].copy_from_slice(&arp.to_mac.0);
    packet[24..28].copy_from_slice(&arp.to.octets());
}

/// Reads ARP.
pub(super) fn read_arp(frame: &[u8]) -> Option<Arp> {
    let packet = frame.get(ETHERNET_HEADER..ARP_FRAME)?;
    let is_reply = match u16_at(packet, 6)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let from_mac = mac_at(packet, 8)?;
    // A group is nobody's address.
    if packet[..6] != ARP_KIND || from_mac.0[0] & 1 != 0 {
        return None;
    }
    let (from, to) = (address_at(packet, 14)?, address_at(packet, 24)?);
    Some(Arp { is_reply, from_mac, from, to_mac: mac_at(packet, 18)?, to })
}

/// Writes that `from` is a member of `group` into a frame of `IGMP_FRAME` bytes.
pub(super) fn write_membership(frame: &mut [u8], from_mac: MacAddr, from: Ipv4Addr, group: Ipv4Addr) {
    ethernet(frame, MacAddr::of_group(group), from_mac, ETHERTYPE_IPV4);
    let packet = &mut frame[ETHERNET_HEADER..IGMP_FRAME];
    // Router alert (RFC 2113).
    packet[20..24].copy_from_slice(&[0x94, 4, 0, 0]);
    ipv4(packet, IP_HEADER + 4, PROTOCOL_IGMP, 1, from, group);
    let igmp = &mut packet[24..32];
    igmp[..4].copy_from_slice(&[IGMP_REPORT, 0, 0, 0]);
    igmp[4..8].copy_from_slice(&group.octets());
    let checked = check(sum(igmp));
    igmp[2..4].copy_from_slice(&checked.to_be_bytes());
}
