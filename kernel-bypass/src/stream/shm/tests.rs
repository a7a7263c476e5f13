//! The shared-memory port conforms; and what only it promises: of processes that die, names that are left, and peers that mean harm.

#![allow(unsafe_code)]

use super::*;
use crate::stream::conformance::{Size, conformance};
use crate::stream::{CloseReason, Event, StreamPort};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

thread_local! {
    /// Where the ports of this test meet.
    static DIR: tempfile::TempDir = tempfile::tempdir().unwrap();
}

fn dir() -> std::path::PathBuf {
    DIR.with(|dir| dir.path().to_path_buf())
}

fn config(size: Size) -> ShmConfig {
    ShmConfig {
        dir: dir(),
        ring_bytes: size.transport.unwrap_or(64 << 10).next_power_of_two().max(4096),
        max_connections: size.connections,
        recv_buffer: size.recv,
        send_buffer: size.send,
        linger: size.linger,
        ..ShmConfig::default()
    }
}

conformance!(|size| ShmPort::new(&config(size)).unwrap());

fn port() -> ShmPort {
    ShmPort::new(&config(Size::default())).unwrap()
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Polls until this many events have come, and gives them.
fn events(port: &mut ShmPort, count: usize) -> Vec<Event> {
    let (mut told, mut events) = (Vec::new(), Vec::new());
    for _ in 0..2000 {
        port.poll(&mut events).unwrap();
        told.extend_from_slice(&events);
        if told.len() >= count {
            return told;
        }
        port.wait(Duration::from_millis(5)).unwrap();
    }
    panic!("{count} events were to come, came {told:?}");
}

/// Runs `life` in a process of its own, which then ends as a kill would end it.
fn dies(life: impl FnOnce()) {
    // SAFETY: the child runs alone on this thread and leaves without unwinding into the test harness; glibc's allocator works in a
    // forked child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: a child that hangs is ended by its alarm.
        unsafe { libc::alarm(60) };
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life)).is_err();
        // SAFETY: ends the child at once: nothing is closed, removed or said.
        unsafe { libc::_exit(i32::from(failed)) };
    }
    let mut status = 0;
    // SAFETY: our own child, reaped here and nowhere else.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child failed");
}

#[test]
fn a_client_that_dies_is_heard_to_the_end_and_then_missed() {
    let mut venue = port();
    let listener = venue.listen(any()).unwrap();
    let addr = venue.local_addr(listener).unwrap();
    // It dies when it is told to, after its words were heard.
    let (mut to_child, mut from_parent) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = std::thread::spawn({
        let dir = dir();
        move || {
            dies(|| {
                let mut client = ShmPort::new(&ShmConfig { dir, ..ShmConfig::default() }).unwrap();
                let conn = client.connect(addr).unwrap();
                events(&mut client, 1);
                client.send(conn, b"famous last words");
                client.flush().unwrap();
                from_parent.read_exact(&mut [0]).unwrap();
            })
        }
    });
    let told = events(&mut venue, 2);
    let [Event::Accepted { conn, .. }, Event::Readable { .. }] = told[..] else { panic!("{told:?}") };
    assert_eq!(venue.received(conn), b"famous last words");
    to_child.write_all(&[1]).unwrap();
    child.join().unwrap();
    let told = events(&mut venue, 1);
    assert!(matches!(told[..], [Event::Closed { reason: CloseReason::Reset, .. }]), "{told:?}");
    assert_eq!(venue.connections(), 0);
}

#[test]
fn a_name_is_taken_while_its_owner_lives_and_no_longer() {
    let mut first = port();
    let listener = first.listen(any()).unwrap();
    let addr = first.local_addr(listener).unwrap();
    let path = config::socket_path(&dir(), addr);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = port().listen(addr).unwrap_err().to_string();
    assert!(refused.contains(&addr.to_string()), "{refused}");
    drop(first);
    assert_eq!(std::fs::read_dir(dir()).unwrap().count(), 0, "nothing is left");
    // One that was killed leaves its name, and the next takes its place.
    dies(|| {
        let mut killed = port();
        killed.listen(addr).unwrap();
        std::mem::forget(killed);
    });
    assert!(Path::new(&path).exists());
    let mut client = port();
    let refused = client.connect(addr).unwrap_err().to_string();
    assert!(refused.contains("connect to"), "{refused}");
    let mut next = port();
    next.listen(addr).unwrap();
    client.connect(addr).unwrap();
    let told = events(&mut next, 1);
    assert!(matches!(told[..], [Event::Accepted { .. }]), "{told:?}");
}

#[test]
fn who_breaks_the_protocol_loses_its_connection_and_nobody_elses() {
    let mut venue = port();
    let listener = venue.listen(any()).unwrap();
    let addr = venue.local_addr(listener).unwrap();
    let mut good = port();
    let conn = good.connect(addr).unwrap();
    let socket = meeting::connect(&dir(), addr).unwrap();
    let told = events(&mut venue, 2);
    let (ours, theirs) = (told[0].conn(), told[1].conn());
    let (ring_bytes, segment, _bell) = meeting::receive_hello(&socket).unwrap();
    let segment = Segment::of_peer(segment, ring_bytes).unwrap();
    let (_, writer) = segment.ends(false);
    writer.lie(u64::MAX >> 3);
    let told = events(&mut venue, 1);
    let over = CloseReason::Failed(io::ErrorKind::InvalidData);
    assert_eq!(told, [Event::Closed { conn: theirs, reason: over }]);
    events(&mut good, 1);
    good.send(conn, b"still here");
    good.flush().unwrap();
    assert_eq!(events(&mut venue, 1), [Event::Readable { conn: ours }]);
    assert_eq!(venue.received(ours), b"still here");
}

#[test]
fn traffic_makes_no_system_call() {
    let (mut venue, mut client) = (port(), port());
    let listener = venue.listen(any()).unwrap();
    let conn = client.connect(venue.local_addr(listener).unwrap()).unwrap();
    let served = events(&mut venue, 1)[0].conn();
    events(&mut client, 1);
    let mut told = Vec::with_capacity(venue.event_capacity());
    let before = (venue.stats(), client.stats());
    let rounds = 10_000;
    for round in 0..rounds {
        assert_eq!(client.send(conn, &u64::to_le_bytes(round)), 8);
        client.flush().unwrap();
        venue.poll(&mut told).unwrap();
        assert_eq!(venue.received(served), u64::to_le_bytes(round));
        venue.consume(served, 8);
        venue.send(served, b"yes");
        venue.flush().unwrap();
        client.poll(&mut told).unwrap();
        assert_eq!(client.received(conn), b"yes");
        client.consume(conn, 3);
    }
    for (before, after) in [(before.0, venue.stats()), (before.1, client.stats())] {
        assert_eq!((after.recv_calls, after.send_calls), (0, 0));
        // The sockets are asked about now and then.
        let asked = after.ready_calls - before.ready_calls;
        assert!(asked <= rounds / u64::from(POLLS_PER_ASK) + 1, "{asked} in {rounds} rounds");
    }
}

#[test]
fn values_out_of_range_are_named() {
    let refuse = |change: fn(&mut ShmConfig), field: &str| {
        let mut config = config(Size::default());
        change(&mut config);
        let error = ShmPort::new(&config).err().unwrap().to_string();
        assert!(error.contains(field), "{field}: {error}");
    };
    refuse(|config| config.ring_bytes = 5000, "ring_bytes is 5000");
    refuse(|config| config.max_connections = 0, "max_connections");
    refuse(|config| config.backlog = 0, "backlog");
}
