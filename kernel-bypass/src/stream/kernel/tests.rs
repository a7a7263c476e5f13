//! The kernel port conforms, asking epoll and receiving directly; and what only it promises.

use super::*;
use crate::stream::conformance::{Fault, Faulty, Size, conformance};
use crate::stream::{Event, StreamPort};

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
fn a_port_can_be_made_here_and_driven_there() {
    let mut port = KernelPort::new(&config(Size::default())).unwrap();
    let count = std::thread::spawn(move || port.poll(&mut Vec::new()).unwrap()).join();
    assert_eq!(count.unwrap(), 0);
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

/// Each planted fault is seen by the test that is there for it.
mod planted {
    use super::*;
    use crate::stream::conformance as must;

    fn port(size: Size) -> KernelPort {
        KernelPort::new(&config(size)).unwrap()
    }

    macro_rules! seen {
        ($($name:ident: $fault:ident by $case:ident, $message:literal;)*) => {
            $(#[test]
            #[should_panic(expected = $message)]
            fn $name() {
                must::$case(|size| Faulty::new(port(size), Fault::$fault));
            })*
        };
    }

    seen! {
        a_changed_byte: FlipsAByte by bytes_one_by_one, "assertion";
        a_second_helping: ServesTwice by a_flood_does_not_starve_the_others, "once a round";
        a_call_for_each_send: SendsAtOnce by a_burst_is_one_call, "assertion";
        a_stale_id_that_hits: ForgetsGenerations by stale_ids_are_harmless, "assertion";
        a_hidden_reset: HidesResets by a_reset_is_told, "assertion";
        a_try_of_everyone: TriesEveryone by idle_peers_cost_nothing, "recv_calls";
        an_allocation: Allocates by traffic_allocates_nothing, "allocations in steady traffic";
        a_part_of_a_message: QueuesParts by all_or_nothing, "no part of it";
        a_close_that_loses: ClosesAtOnce by random_lives_end_as_they_should, "nobody aborted it";
        a_second_end: TellsEndsTwice by a_reset_is_told, "told once";
        a_peer_left_out: StarvesOthers by good_peers_are_served_beside_bad_ones, "messages served";
        a_byte_that_comes_again: ConsumesTooLittle by both_ways_at_once, "assertion";
    }
}

/// Runs `scenario` in a process of its own, whose limits it may change; whether it returned.
#[allow(unsafe_code)]
fn survives_in_its_own_process(scenario: fn()) -> bool {
    // SAFETY: the child runs the scenario alone on this thread, and leaves without unwinding into the test harness; glibc's allocator
    // works in a forked child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: a child that hangs is ended by its alarm.
        unsafe { libc::alarm(600) };
        let survived = std::panic::catch_unwind(scenario).is_ok();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!survived)) };
    }
    let mut status = 0;
    // SAFETY: our own child, reaped here and nowhere else.
    let reaped = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(reaped, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[allow(unsafe_code)]
fn limit_open_files(soft: u64, hard: u64) {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is valid and outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

#[test]
fn out_of_descriptors_waits_without_spinning_and_goes_on() {
    assert!(survives_in_its_own_process(|| {
        let mut port = KernelPort::new(&config(Size::default())).unwrap();
        let listener = port.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = port.local_addr(listener).unwrap();
        let client = std::net::TcpStream::connect(addr).unwrap();
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let spare = (3..open + 64).find(|fd| !std::path::Path::new(&format!("/proc/self/fd/{fd}")).exists());
        limit_open_files(spare.unwrap(), 4096);
        let mut events = Vec::new();
        for _ in 0..10 {
            assert_eq!(port.poll(&mut events).unwrap(), 0, "no descriptor for it");
            let before = port.stats().ready_calls;
            port.wait(Duration::from_millis(1)).unwrap();
            assert_eq!(port.stats().ready_calls, before + 1, "sleeps all the same");
        }
        limit_open_files(4096, 4096);
        port.poll(&mut events).unwrap();
        assert!(matches!(events[..], [Event::Accepted { .. }]), "{events:?}");
        drop(client);
    }));
}

#[test]
fn a_limit_that_cannot_be_raised_is_an_error_that_says_so() {
    assert!(survives_in_its_own_process(|| {
        limit_open_files(100, 200);
        let many = KernelConfig { max_connections: 1000, ..KernelConfig::default() };
        let error = KernelPort::new(&many).err().unwrap().to_string();
        assert!(error.contains("136") && error.contains("ulimit -Hn 1064"), "{error}");
        let some = KernelConfig { max_connections: 130, ..KernelConfig::default() };
        KernelPort::new(&some).unwrap();
    }));
    // A scenario that fails is seen to.
    assert!(!survives_in_its_own_process(|| std::panic::resume_unwind(Box::new(()))));
}

#[test]
fn a_watched_descriptor_ends_a_wait_each_time_anew() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let mut port = KernelPort::new(&KernelConfig::default()).expect("a port");
    let (watched, mut other) = std::os::unix::net::UnixStream::pair().expect("a pair");
    port.watch(watched.as_raw_fd()).expect("it can be waited for");
    let mut events = Vec::with_capacity(port.event_capacity());
    for byte in 0..3 {
        // Nobody reads it: that it is still readable from the last time must not end the next wait, and new bytes must.
        port.poll(&mut events).expect("polled");
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            other.write_all(&[byte]).expect("written");
            other
        });
        let begun = std::time::Instant::now();
        port.wait(Duration::from_secs(600)).expect("waited");
        assert!(begun.elapsed() < Duration::from_secs(300), "the wait lasted until its timeout");
        other = writer.join().expect("the writer");
    }
}
