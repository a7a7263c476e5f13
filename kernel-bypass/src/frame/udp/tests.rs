//! Datagrams over the wire in memory, good and bad; and to and from the kernel's own UDP, as root.

use super::*;
use crate::frame::veth::{self, End, Namespace};
use crate::frame::wire::{self, Faults, WireEnd};
use crate::frame::xdp::{Filter, Protocol, Rule, XdpConfig, XdpPort};
use std::net::UdpSocket;

const HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 26_400);
const THERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 26_401);
const GROUP: Ipv4Addr = Ipv4Addr::new(233, 54, 12, 111);

fn config(local: SocketAddrV4) -> UdpConfig {
    UdpConfig { local, prefix: 24, gateway: None, verify_checksums: true }
}

fn ports(faults: Faults) -> (UdpPort<WireEnd>, UdpPort<WireEnd>) {
    let (here, there) = wire::pair(faults);
    (UdpPort::new(here, &config(HERE)).unwrap(), UdpPort::new(there, &config(THERE)).unwrap())
}

/// Lets everything in flight arrive; what the application was told.
fn settle<F: FramePort>(port: &mut UdpPort<F>) -> Vec<(SocketAddrV4, SocketAddrV4, Vec<u8>)> {
    let mut got = Vec::new();
    for _ in 0..20 {
        port.wait(Duration::from_micros(100), |_| Ok(())).unwrap();
        port.poll(|datagram| got.push((datagram.from, datagram.to, datagram.payload.to_vec()))).unwrap();
    }
    got
}

#[test]
fn a_host_is_asked_for_once_and_then_reached() {
    let (mut here, mut there) = ports(Faults::default());
    assert_eq!(here.send(THERE, b"early"), Err(Unsent::Resolving));
    assert_eq!(here.send(THERE, b"early"), Err(Unsent::Resolving));
    assert_eq!(here.frames().stats().frames_out, 1, "asked once");
    here.flush().unwrap();
    assert_eq!(settle(&mut there), []);
    assert_eq!(settle(&mut here), []);
    for size in [0, 1, 2, 63, 1472] {
        let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
        here.send(THERE, &payload).unwrap();
        here.flush().unwrap();
        assert_eq!(settle(&mut there), [(HERE, THERE, payload)]);
    }
    assert_eq!(here.send(THERE, &[0; 1473]), Err(Unsent::TooLong(1473)));
    assert_eq!((here.stats().sent, there.stats().received), (5, 5));
    let nobody = SocketAddrV4::new(Ipv4Addr::new(10, 78, 0, 1), 1);
    assert_eq!(here.send(nobody, b""), Err(Unsent::Resolving), "outside, and there is no gateway");
}

#[test]
fn a_gateway_reaches_the_rest() {
    let (here, there) = wire::pair(Faults::default());
    let through = UdpConfig { gateway: Some(*THERE.ip()), ..config(HERE) };
    let mut here = UdpPort::new(here, &through).unwrap();
    let mut there = UdpPort::new(there, &config(THERE)).unwrap();
    let far = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 5000);
    assert_eq!(here.send(far, b"x"), Err(Unsent::Resolving));
    here.flush().unwrap();
    settle(&mut there);
    settle(&mut here);
    here.send(far, b"x").unwrap();
    here.flush().unwrap();
    assert_eq!(settle(&mut there), []);
    assert_eq!(there.stats().ignored, 1, "it came, and is for another address");
}

#[test]
fn groups_are_heard_by_those_who_joined() {
    let (mut here, mut there) = ports(Faults::default());
    let to = SocketAddrV4::new(GROUP, THERE.port());
    here.send(to, b"before").unwrap();
    here.flush().unwrap();
    assert_eq!(settle(&mut there), []);
    there.join(GROUP).unwrap();
    here.send(to, b"after").unwrap();
    here.send(SocketAddrV4::new(GROUP, 1), b"another port").unwrap();
    here.flush().unwrap();
    assert_eq!(settle(&mut there), [(HERE, to, b"after".to_vec())]);
    there.leave(GROUP);
    here.send(to, b"left").unwrap();
    here.flush().unwrap();
    assert_eq!(settle(&mut there), []);
    assert!(there.join(*THERE.ip()).is_err(), "not a group");
}

#[test]
fn nothing_changed_is_believed_on_a_bad_wire() {
    let tenth = wire::ALWAYS / 10;
    let (mut here, mut there) = ports(Faults::default());
    let _ = here.send(THERE, b"");
    here.flush().unwrap();
    settle(&mut there);
    settle(&mut here);
    let faults =
        Faults { corruption: 5 * tenth, loss: tenth, duplication: tenth, reordering: tenth, ..Faults::default() };
    here.frames_mut().set_faults(faults);
    let payload = |n: u32| [n.to_be_bytes(), (!n).to_be_bytes(), n.to_le_bytes()].concat();
    let mut got = Vec::new();
    for n in 0..2000 {
        here.send(THERE, &payload(n)).unwrap();
        here.flush().unwrap();
        got.extend(settle(&mut there));
    }
    assert!(got.len() > 700, "{}", got.len());
    for (from, _, bytes) in &got {
        let n = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        assert_eq!((*from, bytes), (HERE, &payload(n)));
    }
    // The planted bug: without check sums, what was changed comes through and is seen.
    there.udp.config.verify_checksums = false;
    let mut changed = 0;
    for n in 0..500 {
        here.send(THERE, &payload(n)).unwrap();
        here.flush().unwrap();
        changed += settle(&mut there).iter().filter(|(_, _, bytes)| *bytes != payload(n)).count();
    }
    assert!(changed > 20, "{changed}");
}

#[test]
fn no_room_is_told_and_nobody_is_believed_who_was_not_asked() {
    let (mut here, mut there) = ports(Faults::default());
    // An answer that nobody asked for.
    let to = SocketAddrV4::new(GROUP, 1);
    let lie =
        Arp { is_reply: true, from_mac: MacAddr([6; 6]), from: *THERE.ip(), to_mac: MacAddr([2; 6]), to: *HERE.ip() };
    there.frames_mut().tx().transmit(ARP_FRAME, |frame| packet::write_arp(frame, &lie)).unwrap();
    there.flush().unwrap();
    settle(&mut here);
    assert_eq!(here.send(THERE, b""), Err(Unsent::Resolving));
    let mut sent = 0;
    while here.send(to, b"x").is_ok() {
        sent += 1;
        assert!(sent < 100_000);
    }
    assert_eq!(here.send(to, b"x"), Err(Unsent::NoRoom));
    here.flush().unwrap();
    here.send(to, b"x").unwrap();
}

#[test]
fn values_out_of_range_are_named() {
    let refuse = |change: fn(&mut UdpConfig), words: &str| {
        let mut bad = config(HERE);
        change(&mut bad);
        let error = UdpPort::new(wire::pair(Faults::default()).0, &bad).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    refuse(|config| config.local = SocketAddrV4::new(GROUP, 1), "local is 233.54.12.111:1");
    refuse(|config| config.local = SocketAddrV4::new(*HERE.ip(), 0), "a port");
    refuse(|config| config.prefix = 33, "prefix is 33");
}

/// The kernel's UDP at the other side checks what we write, and we what it writes: ARP, sums, a group.
#[test]
fn the_kernels_own_udp_understands_it() {
    let (home, away) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    home.enter().unwrap();
    let ours = End { name: "ours", address: None };
    let theirs = End { name: "theirs", address: Some(*THERE.ip()) };
    veth::pair([ours, End { address: None, ..theirs }], 1).unwrap();
    veth::move_to(theirs, &away).unwrap();
    let group = Rule { address: GROUP, protocol: Protocol::Udp, ports: HERE.port()..=HERE.port() };
    let filter = Filter::udp(*HERE.ip(), HERE.port()).and(Filter { arp: vec![], rules: vec![group] });
    let frames = XdpConfig { interface: "ours".into(), filter, ..XdpConfig::default() };
    let mut port = UdpPort::new(XdpPort::new(&frames).unwrap(), &config(HERE)).unwrap();
    let kernel = away
        .within(|| {
            let kernel = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, THERE.port())).unwrap();
            kernel.join_multicast_v4(&GROUP, THERE.ip()).unwrap();
            socket2::SockRef::from(&kernel).set_multicast_if_v4(THERE.ip()).unwrap();
            kernel
        })
        .unwrap();
    kernel.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    port.join(GROUP).unwrap();
    let to_group = SocketAddrV4::new(GROUP, HERE.port());
    // The kernel asks for us by ARP, and is answered by our poll.
    kernel.send_to(b"to the host", HERE).unwrap();
    kernel.send_to(b"to the group", to_group).unwrap();
    let mut got = Vec::new();
    for _ in 0..20_000 {
        port.poll(|datagram| got.push((datagram.from, datagram.to, datagram.payload.to_vec()))).unwrap();
        if got.len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    got.sort();
    assert_eq!(got, [(THERE, HERE, b"to the host".to_vec()), (THERE, to_group, b"to the group".to_vec())]);
    let mut send = |to: SocketAddrV4, payload: &[u8]| {
        for _ in 0..20_000 {
            match port.send(to, payload) {
                Ok(()) => return port.flush().unwrap(),
                Err(Unsent::TooLong(_)) => panic!("too long"),
                Err(_) => {
                    port.flush().unwrap();
                    port.poll(|_| ()).unwrap();
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        }
        panic!("{to} cannot be reached");
    };
    let mut buffer = [0; 2000];
    for len in [0, 1, 64, 333, 1472] {
        let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
        for to in [THERE, SocketAddrV4::new(GROUP, THERE.port())] {
            send(to, &payload);
            let (count, from) = kernel.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..count], from), (&payload[..], HERE.into()));
        }
    }
}
