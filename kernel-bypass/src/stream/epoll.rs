//! epoll, edge-triggered: which sockets have changed since it was last asked.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Every change of a stream socket, each told once.
pub(crate) const STREAM: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
/// Something to accept, or on a descriptor that is watched, told once.
pub(crate) const LISTENER: u32 = (libc::EPOLLIN | libc::EPOLLET) as u32;
/// Something to read, told until it is read.
pub(crate) const LEVEL: u32 = libc::EPOLLIN as u32;

/// The peer's end, beside [`LEVEL`].
pub(crate) const HANGUP: u32 = libc::EPOLLRDHUP as u32;

/// What epoll told of one socket.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub token: u64,
    flags: u32,
}

impl Ready {
    pub fn writable(self) -> bool {
        self.flags & libc::EPOLLOUT as u32 != 0
    }

    /// The peer has sent its last byte, or the socket has failed.
    pub fn ended(self) -> bool {
        self.flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }

    pub fn readable(self) -> bool {
        self.flags & libc::EPOLLIN as u32 != 0 || self.ended()
    }

    /// The socket has failed, or a connection attempt has.
    pub fn failed(self) -> bool {
        self.flags & (libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
    }
}

pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Box<[libc::epoll_event]>,
    count: usize,
    /// Whether the system sleeps to the nanosecond (Linux 5.11), or only to the millisecond.
    fine: bool,
}

impl Epoll {
    /// For `sockets` sockets: as many can be told of at once, so that none is told of late.
    pub fn new(sockets: usize) -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: a descriptor that was just made, and that nobody else owns.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; sockets].into_boxed_slice(),
            count: 0,
            fine: true,
        })
    }

    /// Watches `fd`. Closing it ends that.
    pub fn add(&self, fd: RawFd, flags: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: flags, u64: token };
        // SAFETY: both descriptors are open, and `event` outlives the call.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Watches `fd` no more.
    pub fn remove(&self, fd: RawFd) {
        // SAFETY: both descriptors are open; the event is ignored. One that is not watched is an error that changes nothing.
        unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Asks what has changed, waiting up to `timeout` for something to. An interrupted wait is one in which nothing has.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.count = 0;
        let result = if self.fine && !timeout.is_zero() {
            let result = self.wait_fine(timeout);
            if result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
                self.fine = false;
                self.wait_coarse(timeout)
            } else {
                result
            }
        } else {
            self.wait_coarse(timeout)
        };
        if result >= 0 {
            self.count = result as usize;
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        }
    }

    fn wait_fine(&mut self, timeout: Duration) -> i64 {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        // By number: not every C library has the function.
        // SAFETY: the array is as long as the length says, and, like `timeout`, outlives the call; no signal mask is given.
        unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                &timeout,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        }
    }

    fn wait_coarse(&mut self, timeout: Duration) -> i64 {
        // Rounded up: a short wait must not become a spin.
        let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
        // SAFETY: the array is as long as the length says, and outlives the call.
        let result = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                millis as libc::c_int,
            )
        };
        i64::from(result)
    }

    /// How many sockets the last wait told of.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The `at`-th of them.
    pub fn ready(&self, at: usize) -> Ready {
        let event = self.events[..self.count][at];
        Ready { token: event.u64, flags: event.events }
    }
}
