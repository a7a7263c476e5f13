//! The client's end of a round trip, and the server that only echoes.
//!
//! Both are as bare as the transport allows. On `kernel` client and echo are raw sockets; on `uring` the client is a raw socket and
//! the echo's server is a loop over the port alone; on `shm` both are loops over the port alone: there is nothing barer.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use wirebook_bypass::cpu::{Idle, WaitStrategy};
use wirebook_bypass::stream::any::PortKind;
use wirebook_bypass::stream::shm::{ShmConfig, ShmPort};
use wirebook_bypass::stream::uring::{UringConfig, UringPort};
use wirebook_bypass::stream::{ConnId, Event, StreamPort};

use crate::floors::{Echo, ORDER_BYTES, REPORT_BYTES};

/// Polls in which a connection must come up.
const PATIENCE: u32 = 50_000_000;

/// A client's end, polled.
pub enum End {
    /// A raw socket.
    Tcp(TcpStream),
    /// Shared memory.
    Shm {
        /// The port.
        port: Box<ShmPort>,
        /// Its one connection.
        conn: ConnId,
        /// What it tells.
        events: Vec<Event>,
    },
}

impl End {
    /// Connects.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn connect(kind: PortKind, address: SocketAddr, shm_dir: &Path) -> Result<Self> {
        if kind != PortKind::Shm {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            return Ok(Self::Tcp(stream));
        }
        let config = ShmConfig { dir: shm_dir.into(), max_connections: 1, ..ShmConfig::default() };
        let mut port = Box::new(ShmPort::new(&config)?);
        let conn = port.connect(address)?;
        let mut events = Vec::with_capacity(port.event_capacity());
        for _ in 0..PATIENCE {
            port.poll(&mut events)?;
            match events.first() {
                Some(Event::Connected { .. }) => return Ok(Self::Shm { port, conn, events }),
                Some(Event::Closed { reason, .. }) => bail!("not connected: {reason:?}"),
                _ => std::thread::yield_now(),
            }
        }
        bail!("the venue does not answer")
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// When the connection broke, or has no room for so little.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).context("sending"),
            Self::Shm { port, conn, .. } => {
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
            Self::Tcp(stream) => match stream.read(space) {
                Ok(0) => bail!("the other side closed"),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) => Err(error.into()),
            },
            Self::Shm { port, conn, events } => {
                port.poll(events)?;
                if let Some(Event::Closed { reason, .. }) = events.first() {
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
        /// Where the two met.
        _dir: tempfile::TempDir,
    },
}

impl RawEcho {
    /// Starts the server, which waits like a venue, and connects to it.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn start(kind: PortKind, wait: WaitStrategy) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        match kind {
            PortKind::Kernel => Ok(Self::Sockets(Echo::start(wait)?)),
            PortKind::Uring => {
                let config = UringConfig { max_connections: 2, ..UringConfig::default() };
                Self::over(UringPort::new(&config)?, kind, wait, dir)
            }
            PortKind::Shm => {
                let config = ShmConfig { dir: dir.path().into(), max_connections: 2, ..ShmConfig::default() };
                Self::over(ShmPort::new(&config)?, kind, wait, dir)
            }
        }
    }

    fn over<P: StreamPort + Send + 'static>(
        mut port: P,
        kind: PortKind,
        wait: WaitStrategy,
        dir: tempfile::TempDir,
    ) -> Result<Self> {
        let listener = port.listen("127.0.0.1:0".parse()?)?;
        let address = port.local_addr(listener).context("it listens")?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = std::thread::Builder::new().name("echo".into()).spawn({
            let stop = Arc::clone(&stop);
            move || echo(port, wait, &stop)
        })?;
        Ok(Self::Port { end: End::connect(kind, address, dir.path())?, stop, server, _dir: dir })
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
            Self::Port { end, stop, server, _dir } => {
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
