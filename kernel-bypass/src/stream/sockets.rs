//! Kernel TCP sockets as the ports make them.

use super::StreamError;
use super::hub::refused;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What a socket is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Whether calls return instead of waiting. A ring waits for a blocking socket by itself.
    pub nonblocking: bool,
    /// The kernel's receive buffer in bytes, if not its default.
    pub recv_bytes: Option<usize>,
    /// The kernel's send buffer in bytes, if not its default.
    pub send_bytes: Option<usize>,
}

/// A socket for connections with `addr`.
pub(super) fn make(addr: SocketAddr, options: Options) -> io::Result<Socket> {
    let kind = if options.nonblocking { Type::STREAM.nonblocking() } else { Type::STREAM };
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    // On a listener too: accepted sockets inherit them, and the window is settled when a connection is made.
    if let Some(bytes) = options.recv_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(socket)
}

/// A socket that listens at `addr`.
pub(super) fn listener(addr: SocketAddr, options: Options, backlog: usize) -> Result<Socket, StreamError> {
    let socket = make(addr, options).map_err(refused("make a socket"))?;
    // A restarted venue gets its port back although old connections linger.
    socket.set_reuse_address(true).map_err(refused("reuse an address"))?;
    socket.bind(&addr.into()).map_err(refused(format!("bind {addr}")))?;
    socket.listen(backlog as i32).map_err(refused(format!("listen on {addr}")))?;
    Ok(socket)
}

/// Makes the coming close a reset.
pub(super) fn reset_on_close(socket: &Socket) {
    // A socket that cannot be told is closed the ordinary way.
    let _ = socket.set_linger(Some(Duration::ZERO));
}
