//! How two processes meet: a socket with a name, and the memory that is handed over it.
//!
//! `listen` takes a lock beside the socket's name, so that a second venue is told that the name is taken, and one that comes after a
//! crash finds the lock free and replaces what was left. The socket appears under its name with its permissions already set.
//!
//! Over an accepted socket goes one message, the *hello* with two descriptors; later only single bytes that wake a sleeper. When a
//! process dies, the kernel closes its sockets: that is how the other side learns of it, at once.

#![allow(unsafe_code)]

use super::config::socket_path;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The first bytes of a hello, with the version.
const MAGIC: [u8; 8] = *b"WBSHMv01";
/// Bytes of a hello: the magic, and the bytes of each direction.
const HELLO_BYTES: usize = 16;
/// Descriptors of a hello: the segment, the bell.
const HELLO_FILES: usize = 2;
/// Ports tried when the address leaves the choice.
const CHOICES: u32 = 4096;
const FIRST_CHOICE: u32 = 20_000;
/// How often a lock is tried that somebody removes at the same time.
const LOCK_TRIES: usize = 16;

/// A name that is listened at. Dropped, the name is gone.
pub struct Name {
    pub(super) addr: SocketAddr,
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Drop for Name {
    fn drop(&mut self) {
        // The lock is still held: nobody else's name is removed.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// Listens under the name of `addr`; port 0 leaves the choice.
pub(super) fn listen(dir: &Path, addr: SocketAddr, mode: u32, backlog: usize) -> io::Result<(Socket, Name)> {
    // A directory of one's own, unless it is there already.
    std::fs::DirBuilder::new().recursive(true).mode(if mode & 0o066 == 0 { 0o700 } else { 0o755 }).create(dir)?;
    if addr.port() != 0 {
        return listen_at(dir, addr, mode, backlog);
    }
    let start = std::process::id().wrapping_mul(31);
    for at in 0..CHOICES {
        let port = FIRST_CHOICE + start.wrapping_add(at) % (u32::from(u16::MAX) - FIRST_CHOICE);
        match listen_at(dir, SocketAddr::new(addr.ip(), port as u16), mode, backlog) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn listen_at(dir: &Path, addr: SocketAddr, mode: u32, backlog: usize) -> io::Result<(Socket, Name)> {
    let path = socket_path(dir, addr);
    let lock_path = path.with_extension("lock");
    let lock = lock(&lock_path)?;
    let name = Name { addr, path, lock_path, _lock: lock };
    let making = name.path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&making);
    let socket = socket()?;
    socket.bind(&SockAddr::unix(&making)?)?;
    let shown = std::fs::set_permissions(&making, Permissions::from_mode(mode))
        .and_then(|()| socket.listen(backlog as i32))
        // Takes the place of what a crash has left.
        .and_then(|()| std::fs::rename(&making, &name.path));
    if shown.is_err() {
        let _ = std::fs::remove_file(&making);
    }
    shown.map(|()| (socket, name))
}

/// Takes the lock of a name: held until the file is closed, however the process ends.
fn lock(path: &Path) -> io::Result<File> {
    for _ in 0..LOCK_TRIES {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // SAFETY: the descriptor is open; no pointers.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Who held it before may have removed it under this name since it was opened.
        match std::fs::metadata(path) {
            Ok(named) if named.ino() == file.metadata()?.ino() => return Ok(file),
            _ => {}
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Connects to the name of `peer`.
pub(super) fn connect(dir: &Path, peer: SocketAddr) -> io::Result<Socket> {
    let socket = socket()?;
    socket.connect(&SockAddr::unix(socket_path(dir, peer))?).map_err(|error| match error.kind() {
        // Nobody has the name: what TCP calls refused.
        io::ErrorKind::NotFound => io::ErrorKind::ConnectionRefused.into(),
        _ => error,
    })?;
    Ok(socket)
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking(), None)
}

/// Room for the descriptors of a hello, aligned as the kernel wants control messages.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Hands a connection's memory over.
pub(super) fn send_hello(socket: &Socket, ring_bytes: usize, files: [RawFd; HELLO_FILES]) -> io::Result<()> {
    let mut hello = [0; HELLO_BYTES];
    hello[..8].copy_from_slice(&MAGIC);
    hello[8..].copy_from_slice(&(ring_bytes as u64).to_le_bytes());
    let mut part = libc::iovec { iov_base: hello.as_mut_ptr().cast(), iov_len: HELLO_BYTES };
    let mut control = Control([0; 64]);
    let files_bytes = size_of_val(&files) as u32;
    // SAFETY: zero is a valid message header; what it points to outlives the call; the control buffer is aligned and has room for one
    // header and the descriptors, as CMSG_SPACE says (asserted).
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(files_bytes) as _;
        assert!(message.msg_controllen as usize <= control.0.len());
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(files_bytes) as _;
        std::ptr::copy_nonoverlapping(files.as_ptr(), libc::CMSG_DATA(header).cast(), HELLO_FILES);
        libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
    if sent == HELLO_BYTES as isize { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes a connection's memory: the bytes of each direction, the segment, the bell. `WouldBlock`: not there yet.
pub(super) fn receive_hello(socket: &Socket) -> io::Result<(usize, OwnedFd, OwnedFd)> {
    let mut hello = [0u8; HELLO_BYTES];
    let mut part = libc::iovec { iov_base: hello.as_mut_ptr().cast(), iov_len: HELLO_BYTES };
    let mut control = Control([0; 64]);
    let mut files: [Option<OwnedFd>; HELLO_FILES] = [None, None];
    // SAFETY: as in `send_hello`; descriptors are read from where the kernel has put them, as many as it says, and each is ours alone.
    let got = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        let got = libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC);
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null() && (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
            let bytes = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let first: *const RawFd = libc::CMSG_DATA(header).cast();
            for at in 0..bytes / size_of::<RawFd>() {
                let file = OwnedFd::from_raw_fd(first.add(at).read_unaligned());
                // More than there should be are closed here.
                if let Some(place) = files.get_mut(at) {
                    *place = Some(file);
                }
            }
        }
        got
    };
    let [segment, bell] = files;
    match (got, segment, bell) {
        (0, _, _) => Err(io::ErrorKind::ConnectionRefused.into()),
        (_, Some(segment), Some(bell)) if got == HELLO_BYTES as isize && hello[..8] == MAGIC => {
            let mut size = [0; 8];
            size.copy_from_slice(&hello[8..]);
            Ok((usize::try_from(u64::from_le_bytes(size)).unwrap_or(usize::MAX), segment, bell))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the other side is no such port, or of another version")),
    }
}

/// Wakes the other side. A socket that is full has woken it already.
pub(super) fn ring(socket: &Socket) {
    let _ = socket.send_with_flags(&[1], libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
}

/// Takes rings away, a bounded number; whether the other side is still there.
pub(super) fn take_rings(socket: RawFd) -> bool {
    const MOST: usize = 16;
    let mut byte = [0u8; 1];
    for _ in 0..MOST {
        // SAFETY: one byte is written at most, into a buffer of one; a descriptor that is not open is an error.
        match unsafe { libc::recv(socket, byte.as_mut_ptr().cast(), byte.len(), libc::MSG_DONTWAIT) } {
            // The end; an empty message means the same to us.
            0 => return false,
            1.. => {}
            _ => {
                let kind = io::Error::last_os_error().kind();
                return matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            }
        }
    }
    true
}
