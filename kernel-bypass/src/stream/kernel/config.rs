//! What a kernel port is made with.

use crate::stream::StreamError;
use crate::stream::hub::{HubConfig, within};
use std::io;
use std::time::Duration;

/// Most connections that may wait to be accepted.
const MAX_BACKLOG: usize = 65_535;

/// The size of a port. All of it is allocated when the port is made; pages are touched only when a connection uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelConfig {
    /// Connections at a time, accepted and made: 1 to 65,536. One more is turned away with a reset.
    pub max_connections: usize,
    /// Bytes received and not consumed, per connection: 64 to 16 MiB. Also the most that one poll receives from one connection, and
    /// so the longest message that can be seen whole.
    pub recv_buffer: usize,
    /// Bytes queued and not sent, per connection: 64 to 256 MiB.
    pub send_buffer: usize,
    /// With at most this many connections, poll tries to receive from each without asking which are ready: a system call less for
    /// each burst. 0 to 64.
    pub direct_connections: usize,
    /// Connections that wait to be accepted: 1 to 65,535; the system may allow fewer.
    pub backlog: usize,
    /// How long `close` waits for the peer to take what is queued and to close too. Up to ten minutes.
    pub linger: Duration,
    /// The kernel's receive buffer per socket in bytes, if not its default.
    pub socket_recv_bytes: Option<usize>,
    /// The kernel's send buffer per socket in bytes, if not its default.
    pub socket_send_bytes: Option<usize>,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            max_connections: 256,
            recv_buffer: 64 << 10,
            send_buffer: 256 << 10,
            direct_connections: 2,
            backlog: 1024,
            linger: Duration::from_secs(1),
            socket_recv_bytes: None,
            socket_send_bytes: None,
        }
    }
}

impl KernelConfig {
    /// The hub's part of it, when everything is in range.
    pub(super) fn check(&self) -> Result<HubConfig, StreamError> {
        let size = HubConfig {
            max_connections: self.max_connections,
            recv_buffer: self.recv_buffer,
            send_buffer: self.send_buffer,
            direct_connections: self.direct_connections,
            linger: self.linger,
        };
        size.check()?;
        within("backlog", self.backlog, 1, MAX_BACKLOG)?;
        Ok(size)
    }
}

/// Sees to it that the process may have `sockets` more open files than a process usually needs, as far as its hard limit allows.
pub(in crate::stream) fn raise_descriptor_limit(sockets: usize) -> Result<(), StreamError> {
    /// For everything else that the process has open.
    const OTHERS: u64 = 64;
    let needed = sockets as u64 + OTHERS;
    let refused = |action: String| move |source| StreamError::Io { action, source };
    let (soft, hard) = descriptor_limit().map_err(refused("read the limit of open files".into()))?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        return Err(StreamError::Config {
            field: "max_connections",
            found: sockets,
            allowed: format!(
                "{} by this process's limit of open files: raise it (`ulimit -Hn {needed}`) or configure fewer",
                hard.saturating_sub(OTHERS)
            ),
        });
    }
    set_descriptor_limit(needed, hard).map_err(refused(format!("raise the limit of open files to {needed}")))
}

#[allow(unsafe_code)]
fn descriptor_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid and outlives the call.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(io::Error::last_os_error()),
    }
}

#[allow(unsafe_code)]
fn set_descriptor_limit(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is valid and outlives the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
