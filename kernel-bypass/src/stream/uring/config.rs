//! What an io_uring port is made with.

use crate::stream::StreamError;
use crate::stream::hub::{HubConfig, within};
use std::time::Duration;

/// The size of a port, and what the kernel is asked to do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UringConfig {
    /// Connections at a time, accepted and made: 1 to 16,384, which is the most buffers that a ring takes. One more is turned away
    /// with a reset.
    pub max_connections: usize,
    /// Bytes received and not consumed, per connection: 64 to 16 MiB. Also the most that one poll gives of one connection.
    pub recv_buffer: usize,
    /// Bytes queued and not sent, per connection: 64 to 256 MiB.
    pub send_buffer: usize,
    /// Buffers that all connections share and the kernel receives into: a power of two from 16 to 32,768. An idle connection holds
    /// none. When all are full, receiving waits until the application has consumed.
    pub shared_buffers: usize,
    /// Bytes of a shared buffer: 256 to 64 KiB.
    pub shared_buffer_bytes: usize,
    /// Whether send buffers are registered with the kernel, which then need not look their pages up for each send, and pins them.
    /// Where the limit of locked memory does not allow it, sends are ordinary ones. Needs SIGPIPE ignored, as every Rust program has
    /// it.
    pub fixed_buffers: bool,
    /// Connections that wait to be accepted: 1 to 65,535; the system may allow fewer.
    pub backlog: usize,
    /// How long `close` waits for the peer to take what is queued and to close too. Up to ten minutes.
    pub linger: Duration,
    /// A kernel thread that looks for submissions, so that none needs a system call; on a machine without a core to spare it takes
    /// the core from the venue.
    pub submission_thread: Option<SubmissionThread>,
    /// Microseconds that the kernel polls the network card while a wait sleeps (NAPI); 0: it does not. For cards, not for loopback.
    pub napi_busy_poll_us: u32,
    /// The kernel's receive buffer per socket in bytes, if not its default.
    pub socket_recv_bytes: Option<usize>,
    /// The kernel's send buffer per socket in bytes, if not its default.
    pub socket_send_bytes: Option<usize>,
}

/// The kernel's submission thread (SQPOLL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionThread {
    /// How long it looks for work before it sleeps, in milliseconds: 1 to 60,000.
    pub idle_ms: u32,
    /// Its core, if not any.
    pub core: Option<u32>,
}

impl Default for UringConfig {
    fn default() -> Self {
        Self {
            max_connections: 256,
            recv_buffer: 64 << 10,
            send_buffer: 256 << 10,
            shared_buffers: 1024,
            shared_buffer_bytes: 4096,
            fixed_buffers: true,
            backlog: 1024,
            linger: Duration::from_secs(1),
            submission_thread: None,
            napi_busy_poll_us: 0,
            socket_recv_bytes: None,
            socket_send_bytes: None,
        }
    }
}

impl UringConfig {
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
        within("max_connections", self.max_connections, 1, 1 << 14)?;
        within("shared_buffers", self.shared_buffers, 16, 1 << 15)?;
        if !self.shared_buffers.is_power_of_two() {
            let allowed = "a power of two from 16 to 32768".to_string();
            return Err(StreamError::Config { field: "shared_buffers", found: self.shared_buffers, allowed });
        }
        within("shared_buffer_bytes", self.shared_buffer_bytes, 256, 64 << 10)?;
        within("backlog", self.backlog, 1, 65_535)?;
        if let Some(thread) = self.submission_thread {
            within("submission_thread idle_ms", thread.idle_ms as usize, 1, 60_000)?;
        }
        within("napi_busy_poll_us", self.napi_busy_poll_us as usize, 0, 1_000_000)?;
        Ok(size)
    }
}
