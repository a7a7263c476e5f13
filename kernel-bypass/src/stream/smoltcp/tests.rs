//! The port conforms, over the wire in memory; and what only it promises.

use super::*;
use crate::frame::wire::{self, Faults, WireEnd};
use crate::stream::conformance::{Size, conformance};
use std::cell::RefCell;
use std::net::Ipv4Addr;

pub(super) fn config(size: Size) -> SmoltcpConfig {
    let tcp = size.transport.unwrap_or(64 << 10);
    SmoltcpConfig {
        address: Ipv4Addr::LOCALHOST,
        prefix: 8,
        max_connections: size.connections,
        recv_buffer: size.recv,
        send_buffer: size.send,
        tcp_recv_buffer: tcp,
        tcp_send_buffer: tcp,
        linger: size.linger,
        ack_delay: Duration::from_micros(300),
        seed: Some(7),
        ..SmoltcpConfig::default()
    }
}

thread_local! {
    /// The other end of the last wire, for the next port: the suite makes servers and clients in turn.
    static OTHER: RefCell<Option<WireEnd>> = const { RefCell::new(None) };
}

/// One end of a wire: a server at 127.0.0.1, then a client at 127.0.0.2, and so on.
pub(super) fn port(size: Size, faults: Faults) -> SmoltcpPort<WireEnd> {
    let other = OTHER.with(|other| other.borrow_mut().take());
    let (frames, address) = match other {
        Some(end) => (end, Ipv4Addr::new(127, 0, 0, 2)),
        None => {
            let (here, there) = wire::pair(faults);
            OTHER.with(|other| *other.borrow_mut() = Some(there));
            (here, Ipv4Addr::LOCALHOST)
        }
    };
    SmoltcpPort::new(frames, &SmoltcpConfig { address, ..config(size) }).unwrap()
}

mod on_a_wire {
    use super::*;
    conformance!(|size| port(size, Faults::default()));
}

#[test]
fn values_out_of_range_are_named() {
    let refuse = |change: fn(&mut SmoltcpConfig), field: &str| {
        let mut config = config(Size::default());
        change(&mut config);
        let error = SmoltcpPort::new(wire::pair(Faults::default()).0, &config).err().unwrap().to_string();
        assert!(error.contains(field), "{field}: {error}");
    };
    refuse(|config| config.max_connections = 0, "max_connections is 0");
    refuse(|config| config.prefix = 33, "prefix is 33");
    refuse(|config| config.tcp_recv_buffer = 100, "tcp_recv_buffer");
    refuse(|config| config.address = Ipv4Addr::UNSPECIFIED, "address");
    refuse(|config| config.gateway = Some(Ipv4Addr::BROADCAST), "gateway");
    refuse(|config| config.ephemeral = 0..=5, "ephemeral");
    refuse(|config| config.handshake = Duration::ZERO, "handshake");
}

/// The same over AF_XDP, on two interfaces in a namespace of their own that are each other's wire. As root.
mod on_interfaces {
    use super::*;
    use crate::frame::veth::{self, End, Namespace};
    use crate::frame::xdp::{Filter, XdpConfig, XdpPort};
    use std::cell::Cell;

    thread_local! {
        /// Ports that this thread has made: every second one needs a new wire.
        static MADE: Cell<usize> = const { Cell::new(0) };
    }

    fn port(size: Size) -> SmoltcpPort<XdpPort> {
        let made = MADE.replace(MADE.get() + 1);
        if made.is_multiple_of(2) {
            Namespace::new().unwrap().enter().unwrap();
            let end = |name| End { name, address: None };
            veth::pair([end("server"), end("client")], 1).unwrap();
        }
        let (interface, address) = match made % 2 {
            0 => ("server", Ipv4Addr::LOCALHOST),
            _ => ("client", Ipv4Addr::new(127, 0, 0, 2)),
        };
        let frames = XdpConfig { interface: interface.into(), filter: Filter::tcp(address), ..XdpConfig::default() };
        SmoltcpPort::new(XdpPort::new(&frames).unwrap(), &SmoltcpConfig { address, ..config(size) }).unwrap()
    }

    conformance!(port);
}

/// Each planted fault is seen by the test that is there for it, over this port too.
mod planted {
    use super::*;
    use crate::stream::conformance::{self as must, Fault, Faulty};

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_changed_byte() {
        must::bytes_one_by_one(|size| Faulty::new(port(size, Faults::default()), Fault::FlipsAByte));
    }

    #[test]
    #[should_panic(expected = "allocations in steady traffic")]
    fn an_allocation() {
        must::traffic_allocates_nothing(|size| Faulty::new(port(size, Faults::default()), Fault::Allocates));
    }
}
