//! The client's end of one connection, and of those that follow it.
//!
//! The mirror of the server: it logs in, counts sequenced messages, sends heartbeats, and gives up on a server that says
//! nothing. Any byte received counts as a sign of life. After a connection has ended, [`Client::reconnect`] makes it log in
//! again to the same session at the next number, so that each message is told exactly once across connections.

use std::fmt;

use thiserror::Error;

use super::login::{LoginRequest, RejectReason};
use super::packet::{ClientPacket, MAX_PAYLOAD, ServerPacket, SoupError};
use crate::session::{Alpha, Sink};

const SECOND_NS: u64 = 1_000_000_000;

/// What a client logs in with, and how long it waits, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The login. Its sequence is the first message wanted; with the time-out of 4.10 it takes the longer form.
    pub login: LoginRequest,
    /// For the answer to a login.
    pub login_timeout_ns: u64,
    /// Without sending, before it sends a heartbeat.
    pub heartbeat_ns: u64,
    /// Without hearing from the server, before it gives it up.
    pub silence_timeout_ns: u64,
}

impl ClientConfig {
    /// The protocol's usual times: 30 s, 1 s and 15 s.
    pub fn new(login: LoginRequest) -> Self {
        Self { login, login_timeout_ns: 30 * SECOND_NS, heartbeat_ns: SECOND_NS, silence_timeout_ns: 15 * SECOND_NS }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClientEnd {
    /// The server refused the login.
    #[error("login refused: {0:?}")]
    Rejected(RejectReason),
    /// The login was not answered.
    #[error("no answer to the login in time")]
    LoginTimeout,
    /// The server said that the session is over.
    #[error("end of session")]
    EndOfSession,
    /// This client logged out.
    #[error("logged out")]
    LoggedOut,
    /// Nothing was heard from the server.
    #[error("nothing heard from the server for {silent_ns} ns")]
    Silent {
        /// For so long, in nanoseconds.
        silent_ns: u64,
    },
    /// The server closed the connection, or it broke.
    #[error("disconnected by the server")]
    Disconnected,
    /// The server's bytes are no packets.
    #[error("bad packet: {0}")]
    Protocol(#[from] SoupError),
    /// A packet that has no place there: data before the login was answered, or a second answer.
    #[error("packet '{packet}' out of place")]
    OutOfPlace {
        /// Its type.
        packet: char,
    },
}

/// What a server's bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientInput<'a> {
    /// The login was accepted.
    Accepted {
        /// The session joined.
        session: Alpha<10>,
        /// The number of the message that comes next; not always the one asked for.
        sequence: u64,
    },
    /// A message of the session.
    Message {
        /// Its number.
        sequence: u64,
        /// It.
        payload: &'a [u8],
    },
    /// A message without a number.
    Unsequenced(&'a [u8]),
    /// The connection ended, said once.
    Ended(ClientEnd),
}

/// The answer to [`Client::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientReceived<'a> {
    /// Bytes that are done with, from the start of those handed over.
    pub consumed: usize,
    /// What they came to; `None` if nothing more can be made of what has arrived.
    pub input: Option<ClientInput<'a>>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPhase {
    /// The login is not answered yet.
    LoggingIn,
    /// Logged in.
    Active,
    /// It is over: close.
    Ended(ClientEnd),
}

/// One connection after another to one server.
pub struct Client {
    config: ClientConfig,
    phase: ClientPhase,
    login_sent: bool,
    opened_ns: u64,
    heard_ns: u64,
    sent_ns: u64,
    unread: usize,
    session: Alpha<10>,
    next: u64,
}

impl Client {
    /// A connection made at `now`.
    pub fn new(config: ClientConfig, now: u64) -> Self {
        Self {
            config,
            phase: ClientPhase::LoggingIn,
            login_sent: false,
            opened_ns: now,
            heard_ns: now,
            sent_ns: now,
            unread: 0,
            session: config.login.session,
            next: config.login.sequence,
        }
    }

    /// A new connection was made at `now`: the client will log in again, to the session that it was in and with the next
    /// number that it has not seen.
    pub fn reconnect(&mut self, now: u64) {
        let login = LoginRequest { session: self.session, sequence: self.next, ..self.config.login };
        *self = Self::new(ClientConfig { login, ..self.config }, now);
    }

    /// Takes what has arrived: all bytes that were not consumed before, and the new ones behind them. Call again with the rest
    /// for as long as there is input.
    pub fn receive<'a>(&mut self, bytes: &'a [u8], now: u64) -> ClientReceived<'a> {
        if bytes.len() > self.unread {
            self.heard_ns = now;
        }
        let mut consumed = 0;
        let input = loop {
            if matches!(self.phase, ClientPhase::Ended(_)) {
                consumed = bytes.len();
                break None;
            }
            match ServerPacket::decode(&bytes[consumed..]) {
                Ok(None) => break None,
                Ok(Some((packet, length))) => {
                    consumed += length;
                    let input = self.take(packet);
                    if input.is_some() {
                        break input;
                    }
                }
                Err(error) => break Some(self.stop(error.into())),
            }
        };
        self.unread = bytes.len() - consumed;
        ClientReceived { consumed, input }
    }

    /// Does what is due at `now`: the login, a heartbeat, giving up. Call it on every turn.
    pub fn poll(&mut self, now: u64, sink: &mut impl Sink) -> ClientPhase {
        match self.phase {
            ClientPhase::LoggingIn => {
                if now.saturating_sub(self.opened_ns) >= self.config.login_timeout_ns {
                    self.end(ClientEnd::LoginTimeout);
                } else if !self.login_sent {
                    let login = ClientPacket::Login(self.config.login);
                    self.login_sent = self.append(login, now, sink);
                }
            }
            ClientPhase::Active => {
                let silent_ns = now.saturating_sub(self.heard_ns);
                if silent_ns >= self.config.silence_timeout_ns {
                    self.end(ClientEnd::Silent { silent_ns });
                } else if now.saturating_sub(self.sent_ns) >= self.config.heartbeat_ns {
                    self.append(ClientPacket::Heartbeat, now, sink);
                }
            }
            ClientPhase::Ended(_) => {}
        }
        self.phase
    }

    /// Sends a message. `false`, and nothing sent, if the client is not logged in or the sink has no room now.
    ///
    /// # Panics
    /// If the message is longer than [`MAX_PAYLOAD`]: it would never fit.
    pub fn send(&mut self, message: &[u8], now: u64, sink: &mut impl Sink) -> bool {
        assert!(message.len() <= MAX_PAYLOAD, "a message of {} bytes", message.len());
        self.phase == ClientPhase::Active && self.append(ClientPacket::Unsequenced(message), now, sink)
    }

    /// Logs out. `false` if the sink has no room for saying so now.
    pub fn logout(&mut self, now: u64, sink: &mut impl Sink) -> bool {
        let sent = matches!(self.phase, ClientPhase::Ended(_)) || self.append(ClientPacket::Logout, now, sink);
        if sent {
            self.end(ClientEnd::LoggedOut);
        }
        sent
    }

    /// The connection is over. The first reason stays.
    pub fn end(&mut self, reason: ClientEnd) {
        if !matches!(self.phase, ClientPhase::Ended(_)) {
            self.phase = ClientPhase::Ended(reason);
        }
    }

    /// How far the connection is.
    pub fn phase(&self) -> ClientPhase {
        self.phase
    }

    /// The number of the next message, as far as is known: 0 if the most recent one was asked for and no login was accepted.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The session joined, or the one to be joined: blank for the current one.
    pub fn session(&self) -> Alpha<10> {
        self.session
    }

    fn take<'a>(&mut self, packet: ServerPacket<'a>) -> Option<ClientInput<'a>> {
        let active = self.phase == ClientPhase::Active;
        match packet {
            ServerPacket::Sequenced(payload) if active => {
                let sequence = self.next;
                self.next = self.next.saturating_add(1);
                Some(ClientInput::Message { sequence, payload })
            }
            ServerPacket::Sequenced(_) => Some(self.stop(ClientEnd::OutOfPlace { packet: 'S' })),
            ServerPacket::Unsequenced(payload) if active => Some(ClientInput::Unsequenced(payload)),
            ServerPacket::Unsequenced(_) => Some(self.stop(ClientEnd::OutOfPlace { packet: 'U' })),
            ServerPacket::Heartbeat | ServerPacket::Debug(_) => None,
            // Numbers start at 1: a server that says 0 counts differently, and every number after it would be wrong.
            ServerPacket::Accepted(accepted) if active || !self.login_sent || accepted.sequence == 0 => {
                Some(self.stop(ClientEnd::OutOfPlace { packet: 'A' }))
            }
            ServerPacket::Accepted(accepted) => {
                self.phase = ClientPhase::Active;
                self.session = accepted.session;
                self.next = accepted.sequence;
                Some(ClientInput::Accepted { session: accepted.session, sequence: accepted.sequence })
            }
            ServerPacket::Rejected(_) if active => Some(self.stop(ClientEnd::OutOfPlace { packet: 'J' })),
            ServerPacket::Rejected(reason) => Some(self.stop(ClientEnd::Rejected(reason))),
            ServerPacket::EndOfSession => Some(self.stop(ClientEnd::EndOfSession)),
        }
    }

    fn append(&mut self, packet: ClientPacket<'_>, now: u64, sink: &mut impl Sink) -> bool {
        let sent = packet.encode(sink);
        if sent {
            self.sent_ns = now;
        }
        sent
    }

    fn stop<'a>(&mut self, reason: ClientEnd) -> ClientInput<'a> {
        self.end(reason);
        ClientInput::Ended(reason)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("phase", &self.phase).field("next", &self.next).finish_non_exhaustive()
    }
}
