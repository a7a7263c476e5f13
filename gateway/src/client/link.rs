//! One connection to a venue: connect, log in, hear, say, and come back at the next number.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use thiserror::Error;
use wirebook_bypass::stream::{CloseReason, ConnId, Event, StreamError, StreamPort};

use crate::session::soup::{Client, ClientConfig, ClientEnd, ClientInput, ClientPhase, LoginRequest};
use crate::session::{Alpha, PortSink};

/// How to log in.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// The venue.
    pub peer: SocketAddr,
    /// Who.
    pub username: Alpha<6>,
    /// The password.
    pub password: Alpha<10>,
    /// The session wanted; blank for the current one.
    pub session: Alpha<10>,
    /// The first message wanted; [`LinkConfig::ONLY_NEW`] for none of those that are there already.
    pub sequence: u64,
}

impl LinkConfig {
    /// A number beyond every message: a login for any session is then answered with the next one.
    pub const ONLY_NEW: u64 = u64::MAX;

    fn client(&self) -> ClientConfig {
        ClientConfig::new(LoginRequest {
            username: self.username,
            password: self.password,
            session: self.session,
            sequence: self.sequence,
            heartbeat_timeout_ms: None,
        })
    }
}

/// Why a link is over.
#[derive(Debug, Error)]
pub enum LinkError {
    /// It never came up.
    #[error("cannot connect to {peer}: {kind}")]
    Connect {
        /// The venue.
        peer: SocketAddr,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// The session's end, or the connection's.
    #[error("{0}")]
    Ended(ClientEnd),
    /// The connection broke.
    #[error("the connection broke: {}", words(.0))]
    Broken(CloseReason),
    /// The port failed.
    #[error("{0}")]
    Port(#[from] StreamError),
}

/// Why a connection is over, for a person.
fn words(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Local | CloseReason::LingerExpired | CloseReason::Aborted => "closed from here".into(),
        CloseReason::Reset => "reset by the other side".into(),
        CloseReason::ConnectFailed(kind) | CloseReason::Failed(kind) => kind.to_string(),
    }
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// Logged in.
    Accepted {
        /// To this session.
        session: Alpha<10>,
        /// Its next message's number.
        sequence: u64,
    },
    /// A sequenced message.
    Message {
        /// Its number.
        sequence: u64,
        /// It.
        payload: &'a [u8],
    },
}

/// Nanoseconds since a link was made.
#[derive(Clone, Copy, Debug)]
pub struct LinkClock {
    started: Instant,
}

impl LinkClock {
    /// Now.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One connection after another to one venue.
pub struct Link<P: StreamPort> {
    port: P,
    conn: ConnId,
    peer: SocketAddr,
    client: Client,
    events: Vec<Event>,
    started: Instant,
    connected: bool,
    over: Option<CloseReason>,
}

impl<P: StreamPort> Link<P> {
    /// Starts to connect and to log in; [`Link::turn`] tells when that has happened.
    ///
    /// # Errors
    /// What the system refuses at once.
    pub fn open(mut port: P, config: &LinkConfig) -> Result<Self, LinkError> {
        let conn = port.connect(config.peer)?;
        let events = Vec::with_capacity(port.event_capacity());
        let client = Client::new(config.client(), 0);
        let started = Instant::now();
        Ok(Self { port, conn, peer: config.peer, client, events, started, connected: false, over: None })
    }

    /// Connects again after the connection was lost: the same session, at the next number that was not heard.
    ///
    /// # Errors
    /// What the system refuses at once.
    pub fn reconnect(&mut self) -> Result<(), LinkError> {
        self.port.abort(self.conn);
        self.conn = self.port.connect(self.peer)?;
        let now = self.now();
        self.client.reconnect(now);
        (self.connected, self.over) = (false, None);
        Ok(())
    }

    /// Nanoseconds since the link was made.
    pub fn now(&self) -> u64 {
        self.clock().now()
    }

    /// The link's clock, for who hears: what a turn hands over may be timed at that moment.
    pub fn clock(&self) -> LinkClock {
        LinkClock { started: self.started }
    }

    /// Whether it is logged in.
    pub fn is_active(&self) -> bool {
        self.client.phase() == ClientPhase::Active
    }

    /// The number of the next message.
    pub fn next_sequence(&self) -> u64 {
        self.client.next_sequence()
    }

    /// One turn: reads what has come and hands it over, does what is due, sends what is queued. Gives how many messages came; never
    /// blocks.
    ///
    /// # Errors
    /// Why the link is over. Everything that came before the end has been handed over.
    pub fn turn(&mut self, mut hear: impl FnMut(Heard<'_>)) -> Result<usize, LinkError> {
        let now = self.now();
        self.port.poll(&mut self.events)?;
        let mut half_closed = false;
        for event in &self.events {
            match *event {
                Event::Connected { conn } if conn == self.conn => self.connected = true,
                Event::PeerClosed { conn } if conn == self.conn => half_closed = true,
                Event::Closed { conn, reason } if conn == self.conn => self.over = Some(reason),
                _ => {}
            }
        }
        let mut heard = 0;
        let mut used = 0;
        let bytes = self.port.received(self.conn);
        let mut ended = None;
        loop {
            let received = self.client.receive(&bytes[used..], now);
            used += received.consumed;
            match received.input {
                Some(ClientInput::Accepted { session, sequence }) => hear(Heard::Accepted { session, sequence }),
                Some(ClientInput::Message { sequence, payload }) => {
                    heard += 1;
                    hear(Heard::Message { sequence, payload });
                }
                Some(ClientInput::Unsequenced(_)) => {}
                Some(ClientInput::Ended(end)) => ended = Some(end),
                None => break,
            }
        }
        self.port.consume(self.conn, used);
        if let Some(end) = ended {
            self.port.close(self.conn);
            return Err(LinkError::Ended(end));
        }
        if let Some(reason) = self.over {
            return Err(match reason {
                CloseReason::ConnectFailed(kind) => LinkError::Connect { peer: self.peer, kind },
                _ if self.client.phase() == ClientPhase::Ended(ClientEnd::LoggedOut) => {
                    LinkError::Ended(ClientEnd::LoggedOut)
                }
                CloseReason::Local => LinkError::Ended(ClientEnd::Disconnected),
                reason => LinkError::Broken(reason),
            });
        }
        if half_closed {
            self.client.end(ClientEnd::Disconnected);
            self.port.close(self.conn);
        }
        if self.connected {
            let mut sink = PortSink::new(&mut self.port, self.conn);
            if let ClientPhase::Ended(end) = self.client.poll(now, &mut sink)
                && end != ClientEnd::LoggedOut
            {
                self.port.close(self.conn);
                self.port.flush()?;
                return Err(LinkError::Ended(end));
            }
        }
        self.port.flush()?;
        Ok(heard)
    }

    /// Queues a message; the next turn sends it. `false`: not logged in, or no room now.
    pub fn send(&mut self, message: &[u8]) -> bool {
        let now = self.now();
        self.client.send(message, now, &mut PortSink::new(&mut self.port, self.conn))
    }

    /// Hands what is queued to the transport.
    ///
    /// # Errors
    /// When the port fails.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        Ok(self.port.flush()?)
    }

    /// Logs out; the venue then closes, which a turn reports as [`ClientEnd::LoggedOut`]. `false`: no room now.
    pub fn logout(&mut self) -> bool {
        let now = self.now();
        self.client.logout(now, &mut PortSink::new(&mut self.port, self.conn))
    }

    /// Sleeps until something comes, or `timeout` is over.
    ///
    /// # Errors
    /// When the port fails.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), LinkError> {
        Ok(self.port.wait(timeout)?)
    }

    /// Closes the connection without a word, as a crash would.
    pub fn abort(&mut self) {
        self.port.abort(self.conn);
    }
}

#[cfg(test)]
mod tests;
