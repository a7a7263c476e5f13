//! A look at a frame's headers, to find out whom it is for. Nothing is believed: TCP checks everything again.

use crate::frame::{ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4};
use smoltcp::wire::{EthernetFrame, Ipv4Packet, TcpPacket};

/// IPv4's number for TCP (RFC 9293).
const PROTOCOL_TCP: u8 = 6;
/// The shortest IPv4 header.
const IPV4_HEADER: usize = 20;
/// As far as the flags of a TCP header.
const TCP_FLAGS_AT: usize = 13;
const FLAG_SYN: u8 = 0x02;
const FLAG_RST: u8 = 0x04;
const FLAG_ACK: u8 = 0x10;

/// A connection, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The peer's IPv4 address.
    pub remote: u32,
    pub remote_port: u16,
    pub local_port: u16,
}

impl Key {
    /// No connection has port 0.
    pub const NOBODY: Self = Self { remote: 0, remote_port: 0, local_port: 0 };
}

/// What a frame looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peek {
    /// TCP: of which connection, whether it asks for one, whether it ends one.
    Tcp {
        key: Key,
        opens: bool,
        resets: bool,
    },
    Arp,
    Other,
}

fn u16_at(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Looks at `frame`.
#[inline]
pub(super) fn peek(frame: &[u8]) -> Peek {
    match u16_at(frame, ETHERNET_HEADER - 2) {
        Some(ETHERTYPE_IPV4) => tcp(&frame[ETHERNET_HEADER..]).unwrap_or(Peek::Other),
        Some(ETHERTYPE_ARP) => Peek::Arp,
        _ => Peek::Other,
    }
}

fn tcp(packet: &[u8]) -> Option<Peek> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if header < IPV4_HEADER || *packet.get(9)? != PROTOCOL_TCP {
        return None;
    }
    let remote = packet.get(12..16)?;
    let segment = packet.get(header..)?;
    let flags = *segment.get(TCP_FLAGS_AT)?;
    let key = Key {
        remote: u32::from_be_bytes([remote[0], remote[1], remote[2], remote[3]]),
        remote_port: u16_at(segment, 0)?,
        local_port: u16_at(segment, 2)?,
    };
    let opens = flags & (FLAG_SYN | FLAG_ACK | FLAG_RST) == FLAG_SYN;
    // Port 0 is nobody's.
    (key.remote_port != 0).then_some(Peek::Tcp { key, opens, resets: flags & FLAG_RST != 0 })
}

/// The number that a bare acknowledgement acknowledges: no bytes, no other flag, and, if asked for, good check sums.
pub(super) fn bare_ack(frame: &[u8], verify: bool) -> Option<i32> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    let good = !verify || (packet.verify_checksum() && segment.verify_checksum(&from, &to));
    let bare = segment.ack() && !segment.syn() && !segment.fin() && !segment.rst() && segment.payload().is_empty();
    (good && bare).then(|| segment.ack_number().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(flags: u8, options: usize) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET_HEADER + IPV4_HEADER + options + 20];
        frame[12] = 8;
        frame[14] = 0x45 + (options / 4) as u8;
        frame[23] = PROTOCOL_TCP;
        frame[26..30].copy_from_slice(&[10, 0, 0, 7]);
        let at = ETHERNET_HEADER + IPV4_HEADER + options;
        frame[at..at + 4].copy_from_slice(&[0x30, 0x39, 0, 80]);
        frame[at + TCP_FLAGS_AT] = flags;
        frame
    }

    #[test]
    fn segments_are_told_apart() {
        let key = Key { remote: 0x0a00_0007, remote_port: 12345, local_port: 80 };
        for options in [0, 8] {
            let tcp = |opens, resets| Peek::Tcp { key, opens, resets };
            assert_eq!(peek(&segment(FLAG_SYN, options)), tcp(true, false));
            assert_eq!(peek(&segment(FLAG_SYN | FLAG_ACK, options)), tcp(false, false));
            assert_eq!(peek(&segment(FLAG_RST | FLAG_ACK, options)), tcp(false, true));
        }
        let mut udp = segment(0, 0);
        udp[23] = 17;
        assert_eq!(peek(&udp), Peek::Other);
        udp[12..14].copy_from_slice(&[8, 6]);
        assert_eq!(peek(&udp), Peek::Arp);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(mut frame in prop::collection::vec(any::<u8>(), 0..80), ip: bool) {
            if ip && frame.len() > 14 {
                frame[12..14].copy_from_slice(&[8, 0]);
            }
            let _ = peek(&frame);
        }
    }
}
