//! The io_uring port conforms, with registered buffers and without; and what only it promises.

use super::*;
use crate::stream::StreamPort;
use crate::stream::conformance::{Size, conformance};

fn config(size: Size) -> UringConfig {
    UringConfig {
        max_connections: size.connections,
        recv_buffer: size.recv,
        send_buffer: size.send,
        shared_buffers: 256,
        shared_buffer_bytes: 1024,
        linger: size.linger,
        socket_recv_bytes: size.transport,
        socket_send_bytes: size.transport,
        ..UringConfig::default()
    }
}

mod fixed {
    use super::*;
    conformance!(|size| UringPort::new(&config(size)).unwrap());
}

mod few_buffers {
    use super::*;
    conformance!(|size| {
        let config = UringConfig { shared_buffers: 16, shared_buffer_bytes: 256, fixed_buffers: false, ..config(size) };
        UringPort::new(&config).unwrap()
    });
}

#[test]
fn a_port_can_be_made_here_and_driven_there() {
    let mut port = UringPort::new(&config(Size::default())).unwrap();
    port.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let count = std::thread::spawn(move || port.poll(&mut Vec::new()).unwrap()).join();
    assert_eq!(count.unwrap(), 0);
}

#[test]
fn values_out_of_range_are_named() {
    let refuse = |change: fn(&mut UringConfig), field: &str| {
        let mut config = UringConfig::default();
        change(&mut config);
        let error = UringPort::new(&config).err().unwrap().to_string();
        assert!(error.contains(field), "{field}: {error}");
    };
    refuse(|config| config.max_connections = 100_000, "max_connections");
    refuse(|config| config.shared_buffers = 1000, "a power of two");
    refuse(|config| config.shared_buffer_bytes = 1, "shared_buffer_bytes");
    refuse(|config| config.submission_thread = Some(SubmissionThread { idle_ms: 0, core: None }), "idle_ms");
}
