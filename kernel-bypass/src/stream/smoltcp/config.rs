//! What a port over user-space TCP is made with.

use crate::stream::StreamError;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The size of a port, and its place in the network. Everything is allocated when the port is made; pages are touched only when a
/// connection uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmoltcpConfig {
    /// Its IPv4 address. Best one that the kernel does not have: then nobody else answers for it.
    pub address: Ipv4Addr,
    /// How many leading bits of the address name the network: 0 to 32.
    pub prefix: u8,
    /// Where everything goes that is outside of that network.
    pub gateway: Option<Ipv4Addr>,
    /// Connections at a time, accepted and made: 1 to 65,536. One more is turned away with a reset.
    pub max_connections: usize,
    /// Bytes received and not consumed, per connection: 64 to 16 MiB. Also the most that one poll takes from one connection, and so
    /// the longest message that can be seen whole.
    pub recv_buffer: usize,
    /// Bytes queued and not handed to TCP, per connection: 64 to 256 MiB.
    pub send_buffer: usize,
    /// Bytes that TCP receives ahead of the application, per connection, and so the window that it offers: 2 KiB to 16 MiB.
    pub tcp_recv_buffer: usize,
    /// Bytes that TCP holds until they are acknowledged, per connection: 2 KiB to 16 MiB.
    pub tcp_send_buffer: usize,
    /// Connections that are being accepted: 1 to 65,535. What exceeds it is not answered.
    pub backlog: usize,
    /// How long `close` waits for the peer to take what is queued and to close too. Up to ten minutes.
    pub linger: Duration,
    /// How long a connection may take to come up, either way: 10 ms to ten minutes.
    pub handshake: Duration,
    /// How long an acknowledgement may wait for something to travel with; 0 sends each at once. Up to 500 ms (RFC 9293, 3.8.6.3). A
    /// second full segment is never kept waiting.
    pub ack_delay: Duration,
    /// Ports of connections made from here, and of listeners at port 0.
    pub ephemeral: RangeInclusive<u16>,
    /// Whether check sums of what arrives are verified here. `false` only where the card has done it: a changed byte is then trade.
    pub verify_checksums: bool,
    /// Frames that one poll takes: 1 to 4096.
    pub frames_per_poll: usize,
    /// Of sequence numbers and ports; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl Default for SmoltcpConfig {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::UNSPECIFIED,
            prefix: 24,
            gateway: None,
            max_connections: 256,
            recv_buffer: 64 << 10,
            send_buffer: 256 << 10,
            tcp_recv_buffer: 64 << 10,
            tcp_send_buffer: 64 << 10,
            backlog: 1024,
            linger: Duration::from_secs(1),
            handshake: Duration::from_secs(10),
            ack_delay: Duration::from_millis(5),
            ephemeral: 49_152..=65_535,
            verify_checksums: true,
            frames_per_poll: 64,
            seed: None,
        }
    }
}

impl SmoltcpConfig {
    pub(super) fn check(&self) -> Result<(), StreamError> {
        let millis = |time: Duration| time.as_millis().min(usize::MAX as u128) as usize;
        let limits = [
            ("prefix", usize::from(self.prefix), 0, 32),
            ("max_connections", self.max_connections, 1, 1 << 16),
            ("recv_buffer", self.recv_buffer, 64, 16 << 20),
            ("send_buffer", self.send_buffer, 64, 256 << 20),
            ("tcp_recv_buffer", self.tcp_recv_buffer, 2 << 10, 16 << 20),
            ("tcp_send_buffer", self.tcp_send_buffer, 2 << 10, 16 << 20),
            ("backlog", self.backlog, 1, 65_535),
            ("linger in ms", millis(self.linger), 0, 600_000),
            ("handshake in ms", millis(self.handshake), 10, 600_000),
            ("ack_delay in ms", millis(self.ack_delay), 0, 500),
            ("the first ephemeral port", usize::from(*self.ephemeral.start()), 1, usize::from(*self.ephemeral.end())),
            ("frames_per_poll", self.frames_per_poll, 1, 4096),
        ];
        for (field, found, min, max) in limits {
            if !(min..=max).contains(&found) {
                return Err(StreamError::Config { field, found, allowed: format!("{min} to {max}") });
            }
        }
        let host = |address: Ipv4Addr| !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
        for (field, address) in [("address", Some(self.address)), ("gateway", self.gateway)] {
            if address.is_some_and(|address| !host(address)) {
                let found = u32::from(address.unwrap_or(Ipv4Addr::UNSPECIFIED)) as usize;
                return Err(StreamError::Config { field, found, allowed: "an IPv4 address of one host".into() });
            }
        }
        Ok(())
    }
}
