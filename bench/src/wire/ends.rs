//! The client's end of a round trip, and the server that only echoes.
//!
//! Both are as bare as the transport allows. On `kernel` client and echo are raw sockets; on `uring` the client is a raw socket and
//! the echo's server is a loop over the port alone; on `shm` and `xdp` both are loops over the port alone: there is nothing barer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use wirebook::config::{Gateway, Xdp};
use wirebook_bypass::cpu::{Idle, WaitStrategy};
use wirebook_bypass::frame::veth::{self, End as Interface, Namespace};
use wirebook_bypass::stream::any::{AnyConfig, AnyPort, PortKind};
use wirebook_bypass::stream::shm::ShmConfig;
use wirebook_bypass::stream::smoltcp::SmoltcpConfig;
use wirebook_bypass::stream::uring::UringConfig;
use wirebook_bypass::stream::{ConnId, Event, StreamPort};

use crate::floors::{Echo, ORDER_BYTES, REPORT_BYTES};

/// Polls in which a connection must come up.
const PATIENCE: u32 = 50_000_000;
/// Length of the prefix of a wire's network.
const PREFIX: u8 = 24;

/// Two network interfaces that are each other's wire, in a namespace of this process.
#[derive(Clone, Copy)]
pub struct Wire(u8);

impl Wire {
    /// Moves the calling thread, and those that it starts, into a namespace of their own.
    ///
    /// # Errors
    /// What the system refuses: only root may.
    pub fn namespace() -> Result<()> {
        let entered = Namespace::new().and_then(|namespace| namespace.enter()).and_then(|()| veth::loopback_up());
        entered.context("`--port xdp` makes network interfaces: run it as root, with the command `ip`")
    }

    /// Makes the wire of this number.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn new(number: u8) -> Result<Self> {
        let wire = Self(number);
        let ends = [true, false].map(|server| wire.interface(server));
        veth::pair([&ends[0], &ends[1]].map(|name| Interface { name, address: None }), 1).context("making a wire")?;
        Ok(wire)
    }

    fn interface(self, server: bool) -> String {
        format!("{}{}", if server { "venue" } else { "client" }, self.0)
    }

    fn address(self, server: bool) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.0, if server { 1 } else { 2 })
    }

    /// The port at one end.
    pub fn config(self, server: bool, max_connections: usize) -> AnyConfig {
        let tcp =
            SmoltcpConfig { address: self.address(server), prefix: PREFIX, max_connections, ..Default::default() };
        AnyConfig::xdp(&self.interface(server), tcp)
    }

    /// Where a server listens.
    pub fn listen(self) -> SocketAddr {
        (self.address(true), 0).into()
    }

    /// The venue at one end.
    pub fn place(self, gateway: &mut Gateway) {
        gateway.listen = self.listen();
        gateway.xdp = Xdp { interface: self.interface(true), prefix: PREFIX, gateway: None };
    }
}

/// A client's end, polled. One connection is spoken over; those before it are kept, and silent.
pub enum End {
    /// Raw sockets.
    Tcp {
        /// The connection.
        stream: TcpStream,
        /// Those before it.
        others: Vec<TcpStream>,
    },
    /// A port.
    Port {
        /// It.
        port: Box<AnyPort>,
        /// The connection; the port keeps those before it.
        conn: ConnId,
        /// What it tells.
        events: Vec<Event>,
    },
}

impl End {
    /// Connects; over a port of this end's own, if there is one to be made.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn connect(port: Option<&AnyConfig>, address: SocketAddr) -> Result<Self> {
        let Some(config) = port else {
            return Ok(Self::Tcp { stream: socket(address)?, others: Vec::new() });
        };
        let mut port = Box::new(AnyPort::new(config)?);
        let mut events = Vec::with_capacity(port.event_capacity());
        let conn = open(&mut port, &mut events, address)?;
        Ok(Self::Port { port, conn, events })
    }

    /// Speaks over one connection more from now on.
    ///
    /// # Errors
    /// As [`End::connect`].
    pub fn another(&mut self, address: SocketAddr) -> Result<()> {
        match self {
            Self::Tcp { stream, others } => others.push(std::mem::replace(stream, socket(address)?)),
            Self::Port { port, conn, events } => *conn = open(port, events, address)?,
        }
        Ok(())
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// When the connection broke, or has no room for so little.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Tcp { stream, .. } => stream.write_all(bytes).context("sending"),
            Self::Port { port, conn, .. } => {
                if !port.send_all(*conn, bytes) {
                    bail!("no room for {} bytes", bytes.len());
                }
                Ok(port.flush()?)
            }
        }
    }

    /// Receives what is there, at most `space`; 0: nothing now.
    ///
    /// # Errors
    /// When the connection broke.
    #[inline]
    pub fn receive(&mut self, space: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp { stream, .. } => match stream.read(space) {
                Ok(0) => bail!("the other side closed"),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) => Err(error.into()),
            },
            Self::Port { port, conn, events } => {
                port.poll(events)?;
                if let Some(Event::Closed { reason, .. }) = events.iter().find(|e| matches!(e, Event::Closed { .. })) {
                    bail!("the other side closed: {reason:?}");
                }
                let received = port.received(*conn);
                let count = received.len().min(space.len());
                space[..count].copy_from_slice(&received[..count]);
                port.consume(*conn, count);
                Ok(count)
            }
        }
    }

    /// Receives exactly so many bytes, polling.
    ///
    /// # Errors
    /// When the connection broke.
    #[inline]
    pub fn receive_exactly(&mut self, space: &mut [u8]) -> Result<()> {
        let mut got = 0;
        while got < space.len() {
            match self.receive(&mut space[got..])? {
                0 => std::hint::spin_loop(),
                count => got += count,
            }
        }
        Ok(())
    }
}

fn socket(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn open(port: &mut AnyPort, events: &mut Vec<Event>, address: SocketAddr) -> Result<ConnId> {
    let wanted = port.connect(address)?;
    for _ in 0..PATIENCE {
        port.poll(events)?;
        for event in events.iter() {
            match *event {
                Event::Connected { conn } if conn == wanted => return Ok(conn),
                Event::Closed { conn, reason } if conn == wanted => bail!("not connected: {reason:?}"),
                _ => {}
            }
        }
        port.flush()?;
        std::thread::yield_now();
    }
    bail!("the venue does not answer")
}

/// An echo on a transport: reads an order's bytes, writes a report's, does nothing else.
pub enum RawEcho {
    /// Raw sockets.
    Sockets(Echo),
    /// A loop over the port.
    Port {
        /// The client.
        end: End,
        /// Ends the server.
        stop: Arc<AtomicBool>,
        /// The server.
        server: JoinHandle<Result<()>>,
        /// Where the two met, if that is a directory.
        dir: Option<tempfile::TempDir>,
    },
}

impl RawEcho {
    /// Starts the server, which waits like a venue, and connects to it.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn start(kind: PortKind, wait: WaitStrategy) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let max_connections = 2;
        let shm = |dir: &Path| ShmConfig { dir: dir.into(), max_connections, ..ShmConfig::default() };
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let (server, at, client) = match kind {
            PortKind::Kernel => return Ok(Self::Sockets(Echo::start(wait)?)),
            PortKind::Uring => {
                (AnyConfig::Uring(UringConfig { max_connections, ..UringConfig::default() }), loopback, None)
            }
            PortKind::Shm => (AnyConfig::Shm(shm(dir.path())), loopback, Some(AnyConfig::Shm(shm(dir.path())))),
            PortKind::Xdp => {
                let wire = Wire::new(0)?;
                (wire.config(true, max_connections), wire.listen(), Some(wire.config(false, max_connections)))
            }
        };
        let mut echo = Self::over(AnyPort::new(&server)?, at, wait, |address| End::connect(client.as_ref(), address))?;
        if let Self::Port { dir: kept, .. } = &mut echo {
            *kept = Some(dir);
        }
        Ok(echo)
    }

    /// Starts the server on a port that is there already, and lets `connect` make the client.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn over(
        mut port: AnyPort,
        at: SocketAddr,
        wait: WaitStrategy,
        connect: impl FnOnce(SocketAddr) -> Result<End>,
    ) -> Result<Self> {
        let listener = port.listen(at)?;
        let address = port.local_addr(listener).context("it listens")?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = std::thread::Builder::new().name("echo".into()).spawn({
            let stop = Arc::clone(&stop);
            move || match port {
                AnyPort::Kernel(port) => echo(port, wait, &stop),
                AnyPort::Uring(port) => echo(port, wait, &stop),
                AnyPort::Xdp(port) => echo(port, wait, &stop),
                AnyPort::Shm(port) => echo(port, wait, &stop),
            }
        })?;
        Ok(Self::Port { end: connect(address)?, stop, server, dir: None })
    }

    /// There and back.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn trip(&mut self, at: u32) -> Result<()> {
        match self {
            Self::Sockets(echo) => echo.trip(at),
            Self::Port { end, .. } => {
                end.send(&[at as u8; ORDER_BYTES])?;
                end.receive_exactly(&mut [0; REPORT_BYTES])
            }
        }
    }

    /// Stops the server.
    ///
    /// # Errors
    /// When it had failed.
    pub fn stop(self) -> Result<()> {
        match self {
            Self::Sockets(echo) => echo.stop(),
            Self::Port { end, stop, server, dir: _dir } => {
                stop.store(true, Ordering::Relaxed);
                drop(end);
                server.join().map_err(|_| anyhow::anyhow!("the echo server panicked"))?
            }
        }
    }
}

fn echo<P: StreamPort>(mut port: P, wait: WaitStrategy, stop: &AtomicBool) -> Result<()> {
    let mut idle = Idle::new(wait);
    let mut events = Vec::with_capacity(port.event_capacity());
    while !stop.load(Ordering::Relaxed) {
        if port.poll(&mut events)? == 0 {
            idle.idle_with(|most| port.wait(most)).transpose()?;
            continue;
        }
        idle.worked();
        for event in &events {
            match *event {
                Event::Readable { conn } => {
                    while port.received(conn).len() >= ORDER_BYTES {
                        port.consume(conn, ORDER_BYTES);
                        port.send(conn, &[1; REPORT_BYTES]);
                    }
                }
                Event::PeerClosed { conn } => port.close(conn),
                _ => {}
            }
        }
        port.flush()?;
    }
    Ok(())
}
