//! The `bpf` system call, as far as a redirect program needs it (the kernel's include/uapi/linux/bpf.h).

#![allow(unsafe_code)]

use super::program::Insn;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// How often a program is loaded at most: the verifier gives up with `EAGAIN` when a signal comes, as libbpf knows.
const LOADS: usize = 5;
/// Bytes of the verifier's words.
const LOG_BYTES: usize = 64 << 10;

/// A command whose attributes begin with `attributes`; the kernel takes what is missing for zero. What it returns.
///
/// # Safety
/// Every address in `attributes` is valid for what the command does with it.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: `attributes` is plain data of the size given; its addresses are valid by the caller's word.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *mut T, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// # Safety
/// `fd` is a descriptor that was just made, and that nobody else owns.
unsafe fn own(fd: i32) -> OwnedFd {
    // SAFETY: by the caller's word.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A map from queue numbers, below `count`, to AF_XDP sockets.
pub(super) fn create_map(count: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    let mut attributes = Attributes { map_type: MAP_TYPE_XSKMAP, key_size: 4, value_size: 4, max_entries: count };
    // SAFETY: no addresses; the result is a new descriptor.
    unsafe { bpf(MAP_CREATE, &mut attributes).map(|fd| own(fd)) }
}

/// Gives `queue` this socket.
pub(super) fn set_map(map: &OwnedFd, queue: u32, socket: RawFd) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map: u32,
        _pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let socket = socket as u32;
    let mut attributes = Attributes {
        map: map.as_raw_fd() as u32,
        _pad: 0,
        key: &raw const queue as u64,
        value: &raw const socket as u64,
        flags: 0,
    };
    // SAFETY: key and value are four bytes each, and outlive the call.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut attributes).map(|_| ()) }
}

/// Loads an XDP program. The error holds the verifier's last words.
pub(super) fn load(code: &[Insn]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_type: u32,
        insn_count: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let license = c"Dual MIT/GPL";
    let mut log = vec![0u8; LOG_BYTES];
    let mut attributes = Attributes {
        prog_type: PROG_TYPE_XDP,
        insn_count: code.len() as u32,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log: log.as_mut_ptr() as u64,
        kernel_version: 0,
        flags: 0,
        name: *b"wirebook_xdp\0\0\0\0",
    };
    // SAFETY: code, license and log are as long as said, and outlive the call; the result is a new descriptor.
    let mut load = || unsafe { bpf(PROG_LOAD, &mut attributes).map(|fd| own(fd)) };
    let mut loaded = load();
    for _ in 1..LOADS {
        match &loaded {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => loaded = load(),
            _ => break,
        }
    }
    loaded.map_err(|error| {
        let said = String::from_utf8_lossy(&log);
        let said: Vec<_> = said.trim_end_matches('\0').lines().rev().take(3).collect();
        match said.is_empty() {
            true => error,
            false => io::Error::new(error.kind(), format!("{error} ({})", said.join(" < "))),
        }
    })
}

/// Attaches a program to an interface until the returned descriptor is closed.
pub(super) fn attach(program: &OwnedFd, interface: u32, flags: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    let program = program.as_raw_fd() as u32;
    let mut attributes = Attributes { program, interface, attach_type: ATTACH_XDP, flags };
    // SAFETY: no addresses; the result is a new descriptor.
    unsafe { bpf(LINK_CREATE, &mut attributes).map(|fd| own(fd)) }
}

/// Runs a program on a frame, without any interface; what it answers.
#[cfg(test)]
pub(super) fn run(program: &OwnedFd, frame: &[u8]) -> io::Result<u32> {
    const PROG_TEST_RUN: libc::c_int = 10;
    #[repr(C)]
    struct Attributes {
        program: u32,
        answer: u32,
        size_in: u32,
        size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
    }
    let mut attributes = Attributes {
        program: program.as_raw_fd() as u32,
        answer: 0,
        size_in: frame.len() as u32,
        size_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration: 0,
    };
    // SAFETY: the frame is as long as said, and outlives the call; nothing is written out.
    unsafe { bpf(PROG_TEST_RUN, &mut attributes)? };
    Ok(attributes.answer)
}
