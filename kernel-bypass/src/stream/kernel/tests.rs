//! The kernel port conforms, asking epoll and receiving directly; and what only it promises.

use super::*;
use crate::stream::conformance::{Size, conformance};

fn config(size: Size) -> KernelConfig {
    KernelConfig {
        max_connections: size.connections,
        recv_buffer: size.recv,
        send_buffer: size.send,
        direct_connections: 0,
        linger: size.linger,
        socket_recv_bytes: size.transport,
        socket_send_bytes: size.transport,
        ..KernelConfig::default()
    }
}

mod asking {
    use super::*;
    conformance!(|size| KernelPort::new(&config(size)).unwrap());
}

mod direct {
    use super::*;
    conformance!(|size| {
        let config = KernelConfig { direct_connections: 8, ..config(size) };
        KernelPort::new(&config).unwrap()
    });
}

#[test]
fn values_out_of_range_are_named() {
    let refuse = |change: fn(&mut KernelConfig), field: &str| {
        let mut config = KernelConfig::default();
        change(&mut config);
        let error = KernelPort::new(&config).err().unwrap().to_string();
        assert!(error.contains(field), "{field}: {error}");
    };
    refuse(|config| config.max_connections = 0, "max_connections is 0");
    refuse(|config| config.max_connections = 100_000, "1 to 65536");
    refuse(|config| config.recv_buffer = 63, "recv_buffer");
    refuse(|config| config.send_buffer = usize::MAX, "send_buffer");
    refuse(|config| config.direct_connections = 65, "direct_connections");
    refuse(|config| config.backlog = 0, "backlog");
    refuse(|config| config.linger = Duration::MAX, "linger");
}
