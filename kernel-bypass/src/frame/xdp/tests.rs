//! The filter, as the kernel runs it; frames over a pair of interfaces in namespaces of their own. As root.

use super::program::{XDP_PASS, assemble};
use super::*;
use crate::frame::veth::{self, End, Namespace};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::net::{Ipv4Addr, UdpSocket};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const GROUP: Ipv4Addr = Ipv4Addr::new(233, 54, 12, 1);
/// Of the kernel at our end.
const KERNELS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// An answer that the program does not give otherwise (XDP_TX).
const WANTED: i32 = 3;

fn filter() -> Filter {
    let rule = |address, protocol, ports| Rule { address, protocol, ports };
    let rules = vec![
        rule(OURS, Protocol::Tcp, 9000..=9010),
        rule(OURS, Protocol::Udp, 0..=1000),
        rule(GROUP, Protocol::Udp, 26_477..=26_477),
    ];
    Filter { arp: vec![OURS, Ipv4Addr::new(192, 168, 255, 254)], rules }
}

/// What the filter says, in other words.
fn wants(filter: &Filter, frame: &[u8]) -> bool {
    let u16_at = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let address_at = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    if frame.len() < 42 {
        return false;
    }
    match u16_at(12) {
        0x0806 => filter.arp.contains(&address_at(38)),
        0x0800 if frame[14] == 0x45 && u16_at(20) & 0x3fff == 0 => filter.rules.iter().any(|rule| {
            address_at(30) == rule.address && frame[23] == rule.protocol as u8 && rule.ports.contains(&u16_at(36))
        }),
        _ => false,
    }
}

/// Frames that nearly are what the filter wants.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let address = prop_oneof![
        Just(OURS),
        Just(GROUP),
        Just(Ipv4Addr::new(192, 168, 255, 254)),
        any::<[u8; 4]>().prop_map(Ipv4Addr::from)
    ];
    let port =
        prop_oneof![Just(9000u16), Just(9010), Just(9011), Just(1000), Just(1001), Just(0), Just(26_477), any::<u16>()];
    let ethertype = prop_oneof![4 => Just(0x0800u16), 2 => Just(0x0806), 1 => any::<u16>()];
    let version = prop_oneof![6 => Just(0x45u8), 1 => any::<u8>()];
    let fragment = prop_oneof![4 => Just(0u16), 2 => Just(0x4000), 1 => any::<u16>()];
    let protocol = prop_oneof![3 => Just(6u8), 3 => Just(17), 1 => any::<u8>()];
    let len = prop_oneof![6 => 42usize..100, 1 => 14usize..42];
    (address, port, ethertype, version, fragment, protocol, len).prop_map(
        |(address, port, ethertype, version, fragment, protocol, len)| {
            let mut frame = vec![0; 100];
            frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
            frame[14] = version;
            frame[20..22].copy_from_slice(&fragment.to_be_bytes());
            frame[23] = protocol;
            frame[30..34].copy_from_slice(&address.octets());
            frame[36..38].copy_from_slice(&port.to_be_bytes());
            if ethertype == 0x0806 {
                frame[38..42].copy_from_slice(&address.octets());
            }
            frame.truncate(len);
            frame
        },
    )
}

#[test]
fn the_kernel_runs_the_filter_as_it_reads() {
    let filter = filter();
    let program = bpf::load(&assemble(&filter, Verdict::Answer(WANTED))).unwrap();
    let wanted = std::cell::Cell::new(0u32);
    proptest!(ProptestConfig::with_cases(3000), |(frame in frames())| {
        let answer = bpf::run(&program, &frame).unwrap() as i32;
        let expected = wants(&filter, &frame);
        wanted.set(wanted.get() + u32::from(expected));
        prop_assert_eq!(answer, if expected { WANTED } else { XDP_PASS });
    });
    assert!(wanted.get() > 300, "{wanted:?} of 3000 were wanted");
    // The checker checks: a filter with a port more is seen.
    let mut other = filter.clone();
    other.rules[0].ports = 9000..=9011;
    let program = bpf::load(&assemble(&other, Verdict::Answer(WANTED))).unwrap();
    let differs = |frame: &Vec<u8>| (bpf::run(&program, frame).unwrap() as i32 == WANTED) != wants(&filter, frame);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let seen = (0..3000).any(|_| differs(&frames().new_tree(&mut runner).unwrap().current()));
    assert!(seen);
}

#[test]
fn any_filter_within_its_limits_loads() {
    for filter in [
        Filter::default(),
        Filter { arp: vec![OURS], rules: vec![] },
        Filter::tcp(OURS).and(Filter::udp(OURS, 5000)),
        Filter { arp: vec![OURS; MAX_RULES], rules: vec![Filter::tcp(GROUP).rules[0].clone(); MAX_RULES] },
    ] {
        let map = bpf::create_map(4).unwrap();
        let map = std::os::fd::AsRawFd::as_raw_fd(&map);
        bpf::load(&assemble(&filter, Verdict::Redirect(map))).unwrap();
    }
    let error = bpf::load(&assemble(&filter(), Verdict::Redirect(-1))).unwrap_err();
    assert!(error.to_string().contains("fd"), "the verifier's words: {error}");
}

fn config(interface: &str, filter: Filter) -> XdpConfig {
    XdpConfig { interface: interface.into(), filter, ..XdpConfig::default() }
}

/// A wire in a namespace of its own, which the calling thread is in from now on.
fn wire(queues: u32) {
    Namespace::new().unwrap().enter().unwrap();
    let end = |name| End { name, address: None };
    veth::pair([end("a"), end("b")], queues).unwrap();
}

/// Polls until `done` says so; sleeps a little where nothing came.
fn poll_until(port: &mut XdpPort, mut each: impl FnMut(&[u8], &mut XdpTx), mut done: impl FnMut(usize) -> bool) {
    let mut total = 0;
    for _ in 0..20_000 {
        let count = port.receive(64, &mut each).unwrap();
        total += count;
        port.flush().unwrap();
        if done(total) {
            return;
        }
        if count == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    panic!("{total} frames came: {:?}", port.stats());
}

/// A UDP datagram to `OURS` or whomever, as it lies on the wire; its check sum is not given.
fn datagram(to: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 42 + payload.len()];
    frame[..6].copy_from_slice(&MacAddr::BROADCAST.0);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[30..34].copy_from_slice(&to.octets());
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame[42..].copy_from_slice(payload);
    frame
}

fn send(port: &mut XdpPort, frame: &[u8]) -> bool {
    port.tx().transmit(frame.len(), |at| at.copy_from_slice(frame)).is_some()
}

/// Frames there and back, in bursts as large as the rings, in order and unchanged.
fn bursts(attach: Attach) {
    wire(1);
    let with = |name| XdpConfig { attach, frames: 256, ..config(name, Filter::udp(OURS, 5000)) };
    let mut here = XdpPort::new(&with("a")).unwrap();
    let mut there = XdpPort::new(&with("b")).unwrap();
    assert_eq!(here.mode().native, attach != Attach::Generic);
    assert!(!here.mode().zero_copy, "veth cannot, and says so: {}", here.mode());
    assert_ne!(here.mac(), there.mac());
    for round in 0..20u32 {
        let frame = |n: u32| datagram(OURS, 5000, &[n.to_be_bytes(), round.to_be_bytes()].concat());
        let mut count = 0;
        while here.tx().ready() {
            assert!(send(&mut here, &frame(count)));
            count += 1;
        }
        assert_eq!(count, 256, "all that was in flight has come back");
        assert!(!send(&mut here, &frame(0)), "one more has no place");
        here.flush().unwrap();
        // The other side answers while it looks.
        let mut next = 0;
        poll_until(
            &mut there,
            |question, tx| {
                assert_eq!(question, frame(next));
                next += 1;
                tx.transmit(question.len(), |answer| answer.copy_from_slice(question)).unwrap();
            },
            |total| total == 256,
        );
        let mut next = 0;
        poll_until(
            &mut here,
            |answer, _| {
                assert_eq!(answer, frame(next));
                next += 1;
            },
            |total| total == 256,
        );
        assert!(!there.tx().queues[0].pending);
        // Nothing new, no call.
        let before = here.stats();
        here.flush().unwrap();
        assert_eq!(here.stats(), before);
    }
    let stats = here.stats();
    assert_eq!((stats.frames_in, stats.frames_out, stats.dropped_in), (5120, 5120, 0));
}

#[test]
fn bursts_go_there_and_back_in_the_driver() {
    bursts(Attach::Best);
}

#[test]
fn bursts_go_there_and_back_before_the_kernels_network() {
    bursts(Attach::Generic);
}

#[test]
fn a_burst_is_one_call() {
    wire(1);
    let mut here = XdpPort::new(&config("a", Filter::default())).unwrap();
    for _ in 0..200 {
        assert!(send(&mut here, &datagram(OURS, 5000, b"x")));
    }
    assert_eq!(here.stats().send_calls, 0, "writing makes no call");
    here.flush().unwrap();
    // One, where the kernel can be told how much one call may send (Linux 6.17); else one for each 32.
    let calls = here.stats().send_calls;
    assert!(calls == 1 || calls == 200u64.div_ceil(32), "{calls}");
}

#[test]
fn other_traffic_stays_with_the_kernel() {
    let (home, away) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    home.enter().unwrap();
    veth::pair([End { name: "a", address: Some(KERNELS) }, End { name: "b", address: None }], 1).unwrap();
    let peer = End { name: "b", address: Some(PEER) };
    veth::move_to(peer, &away).unwrap();
    let kernel = UdpSocket::bind((KERNELS, 5001)).unwrap();
    let mut port = XdpPort::new(&config("a", Filter::udp(OURS, 5000))).unwrap();
    let mac = port.mac();
    let other = away
        .within(|| {
            veth::neighbor("b", OURS, mac).unwrap();
            UdpSocket::bind((PEER, 0)).unwrap()
        })
        .unwrap();
    for n in 0..50u8 {
        // The kernel asks by ARP for the kernel's address, and is answered by the kernel.
        other.send_to(&[n, 1], (KERNELS, 5001)).unwrap();
        other.send_to(&[n, 2], (OURS, 5000)).unwrap();
    }
    let mut buffer = [0; 100];
    kernel.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for n in 0..50 {
        let (len, from) = kernel.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&[n, 1][..], other.local_addr().unwrap()));
    }
    let mut next = 0;
    poll_until(
        &mut port,
        |frame, _| {
            assert_eq!(&frame[42..44], &[next, 2]);
            next += 1;
        },
        |total| total == 50,
    );
    drop(port);
    // Without the port its frames go where the kernel sends them: nowhere, as nobody has that address.
    other.send_to(&[1], (OURS, 5000)).unwrap();
    other.send_to(&[99], (KERNELS, 5001)).unwrap();
    assert_eq!(kernel.recv_from(&mut buffer).unwrap().0, 1);
    assert_eq!(buffer[0], 99);
}

/// Datagrams from many ports, as the kernel spreads them over two queues.
fn spread(queues: Option<Vec<u32>>) -> (usize, XdpMode) {
    const FLOWS: usize = 64;
    let (home, away) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    home.enter().unwrap();
    veth::pair([End { name: "a", address: None }, End { name: "b", address: None }], 2).unwrap();
    veth::move_to(End { name: "b", address: Some(PEER) }, &away).unwrap();
    let mut port = XdpPort::new(&XdpConfig { queues, ..config("a", Filter::udp(OURS, 5000)) }).unwrap();
    let mac = port.mac();
    away.within(|| {
        veth::neighbor("b", OURS, mac).unwrap();
        for n in 0..FLOWS as u8 {
            let socket = UdpSocket::bind((PEER, 0)).unwrap();
            socket.send_to(&[n], (OURS, 5000)).unwrap();
        }
    })
    .unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        port.receive(64, |frame, _| assert!(seen.insert(frame[42]))).unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
    (seen.len(), port.mode())
}

#[test]
fn several_queues_are_one_port_or_several() {
    let (all, mode) = spread(None);
    assert_eq!((all, mode.queues), (64, (2, 2)));
    let (some, mode) = spread(Some(vec![0]));
    let (others, _) = spread(Some(vec![1]));
    assert_eq!(mode.queues, (1, 2));
    assert!(some > 0 && others > 0 && some < 64 && others < 64, "{some} and {others} of 64");
}

#[test]
fn queues_of_one_interface_may_have_ports_of_their_own() {
    wire(2);
    let wanted = config("a", Filter::udp(OURS, 5000));
    let redirect = Redirect::attach(&wanted).unwrap();
    assert_eq!(redirect.queues(), 2);
    let one = |queue| XdpPort::open(&redirect, &XdpConfig { queues: Some(vec![queue]), ..wanted.clone() });
    let (first, second) = (one(0).unwrap(), one(1).unwrap());
    let error = one(0).err().unwrap().to_string();
    assert!(error.contains("open queue 0 of `a`"), "{error}");
    drop((first, second));
    one(0).unwrap();
}

#[test]
fn what_cannot_be_is_an_error_that_says_so() {
    wire(1);
    let refuse = |config: XdpConfig, words: &str| {
        let error = XdpPort::new(&config).err().unwrap().to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    let good = config("a", filter());
    refuse(config("nosuch", filter()), "find interface `nosuch`");
    refuse(XdpConfig { frames: 100, ..good.clone() }, "frames is 100, allowed is a power of two");
    refuse(XdpConfig { queues: Some(vec![1]), ..good.clone() }, "queues is [1], allowed is some of 0 to 0");
    refuse(XdpConfig { queues: Some(vec![]), ..good.clone() }, "queues is []");
    refuse(XdpConfig { busy_poll_us: Some(0), ..good.clone() }, "busy_poll_us");
    refuse(XdpConfig { zero_copy: ZeroCopy::Require, ..good.clone() }, "open queue 0 of `a`");
    let _first = XdpPort::new(&good).unwrap();
    refuse(good, "attach the redirect program to `a`");
}

#[test]
fn the_kernel_can_be_made_to_poll_the_card() {
    wire(1);
    let busy = |name| XdpConfig { busy_poll_us: Some(20), ..config(name, Filter::udp(OURS, 5000)) };
    let (mut here, mut there) = (XdpPort::new(&busy("a")).unwrap(), XdpPort::new(&busy("b")).unwrap());
    for n in 0..10 {
        assert!(send(&mut here, &datagram(OURS, 5000, &[n])));
        here.flush().unwrap();
        poll_until(&mut there, |frame, _| assert_eq!(frame[42], n), |total| total == 1);
    }
    assert!(there.stats().recv_calls >= 1);
}
