//! What a shared-memory port is made with.

use crate::stream::StreamError;
use crate::stream::hub::{HubConfig, within};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The size of a port, and where it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShmConfig {
    /// The directory of rendezvous sockets, made if it is missing. An address is a name here: `listen` at 127.0.0.1:9001 makes
    /// `127.0.0.1:9001.sock` in it, and whoever is to connect must name the same directory. Its path, a slash and the name together
    /// are at most 100 bytes.
    pub dir: PathBuf,
    /// Who may connect: the permissions of the rendezvous socket. 0o600 for the same user, 0o660 for the directory's group.
    pub mode: u32,
    /// Bytes that a direction of a connection holds on their way: a power of two from 4 KiB to 64 MiB. The accepting side decides.
    pub ring_bytes: usize,
    /// Connections at a time, accepted and made: 1 to 65,536. One more is turned away.
    pub max_connections: usize,
    /// Bytes received and not consumed, per connection: 64 to 16 MiB. Also the most that one poll gives of one connection.
    pub recv_buffer: usize,
    /// Bytes queued and not sent, per connection: 64 to 256 MiB.
    pub send_buffer: usize,
    /// Connections that wait to be accepted: 1 to 65,535; the system may allow fewer.
    pub backlog: usize,
    /// How long `close` waits for the peer to take what is queued and to close too. Up to ten minutes.
    pub linger: Duration,
}

impl Default for ShmConfig {
    fn default() -> Self {
        Self {
            dir: std::env::temp_dir().join("wirebook-shm"),
            mode: 0o600,
            ring_bytes: 64 << 10,
            max_connections: 256,
            recv_buffer: 64 << 10,
            send_buffer: 256 << 10,
            backlog: 1024,
            linger: Duration::from_secs(1),
        }
    }
}

/// Fewest and most bytes of a direction.
pub(super) const RING_LIMITS: (usize, usize) = (4 << 10, 64 << 20);

impl ShmConfig {
    /// The hub's part of it, when everything is in range.
    pub(super) fn check(&self) -> Result<HubConfig, StreamError> {
        let size = HubConfig {
            max_connections: self.max_connections,
            recv_buffer: self.recv_buffer,
            send_buffer: self.send_buffer,
            direct_connections: 0,
            linger: self.linger,
        };
        size.check()?;
        within("backlog", self.backlog, 1, 65_535)?;
        if !is_ring_size(self.ring_bytes) {
            let allowed = format!("a power of two from {} to {}", RING_LIMITS.0, RING_LIMITS.1);
            return Err(StreamError::Config { field: "ring_bytes", found: self.ring_bytes, allowed });
        }
        Ok(size)
    }
}

/// Whether a direction may have so many bytes.
pub(super) fn is_ring_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && (RING_LIMITS.0..=RING_LIMITS.1).contains(&bytes)
}

/// The rendezvous socket of an address.
pub(super) fn socket_path(dir: &Path, addr: SocketAddr) -> PathBuf {
    dir.join(format!("{addr}.sock"))
}
