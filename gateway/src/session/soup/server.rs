//! The server's end of one connection.
//!
//! ```text
//! awaiting login ──login──► asked ──accept──► replaying ──caught up──► active
//!       │                     └───reject──┐          └──────┬──────────┘
//!       └──time-out, bad bytes────────────┴──► closing ──► ended
//! ```
//!
//! The caller owns socket, clock, users and messages. It hands over what it read ([`Server::receive`]), decides about a login
//! ([`Server::accept`], [`Server::reject`]), and calls [`Server::poll`] on every turn, which writes what is due: the answer to a
//! login, messages, heartbeats, the end. The state is a few words; a message is taken from the [`History`] at the moment
//! when the sink takes it whole, so a full sink delays and neither loses nor repeats. Nothing above `History::released` is
//! ever sent.
//!
//! Choices that the protocol leaves open:
//! - **Number 0** starts with the most recent *released* message: to the client, what is not released does not exist.
//! - **A number beyond the end** with a blank session joins at the end, and Login Accepted says where that is: such a client comes
//!   from another day. With the session named, the client claims messages that this session never released: that is refused
//!   (`S`), because a stream with a hole in it would be worse.
//! - **A number that is no longer kept** is refused (`S`).
//! - What a client sends between its login and the answer waits unread.
//! - A client that does not read what it is sent is dropped after a while, as is one that says nothing.

use std::fmt;

use super::end::EndReason;
use super::history::History;
use super::login::{LoginAccepted, LoginRequest, RejectReason, SessionId};
use super::packet::{ClientPacket, MAX_PAYLOAD, ServerPacket};
use crate::session::{Alpha, Sink};

const SECOND_NS: u64 = 1_000_000_000;
const MILLISECOND_NS: u64 = 1_000_000;
/// The shortest silence that a 4.10 client may ask to be dropped for: a few heartbeats. Less would drop healthy clients.
const MIN_SILENCE_NS: u64 = 3 * SECOND_NS;
/// How long a last packet may wait for room before the connection ends without it.
const GOODBYE_NS: u64 = SECOND_NS;

/// How long a server waits, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// For a login after the connection was made.
    pub login_timeout_ns: u64,
    /// Without sending, before it sends a heartbeat.
    pub heartbeat_ns: u64,
    /// Without hearing from a client, before it drops it; a 4.10 client may name its own, from 3 s to 99.999 s.
    pub silence_timeout_ns: u64,
    /// For a client to make room, before it drops it.
    pub stall_timeout_ns: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            login_timeout_ns: 30 * SECOND_NS,
            heartbeat_ns: SECOND_NS,
            silence_timeout_ns: 15 * SECOND_NS,
            stall_timeout_ns: 15 * SECOND_NS,
        }
    }
}

/// What a client's bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// It wants to log in: answer with [`Server::accept`] or [`Server::reject`].
    Login(LoginRequest),
    /// It sent a message.
    Message(&'a [u8]),
    /// The connection ended, said once. Poll until [`Phase::Ended`], then close.
    Ended(EndReason),
}

/// The answer to [`Server::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Bytes that are done with, from the start of those handed over.
    pub consumed: usize,
    /// What they came to; `None` if nothing more can be made of what has arrived.
    pub input: Option<Input<'a>>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No login was accepted yet.
    AwaitingLogin,
    /// Messages from before the login are being sent.
    Replaying,
    /// The client has everything that was released when it logged in.
    Active,
    /// It is over; a last packet waits for room.
    Closing(EndReason),
    /// It is over: send what is in the sink if there is any, and close.
    Ended(EndReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitingLogin,
    Asked,
    LoggedIn,
    Closing { reason: EndReason, goodbye: ServerPacket<'static>, since_ns: u64 },
    Ended(EndReason),
}

/// One connection, seen from the server.
pub struct Server {
    config: ServerConfig,
    state: State,
    opened_ns: u64,
    heard_ns: u64,
    sent_ns: u64,
    silence_ns: u64,
    blocked_since_ns: Option<u64>,
    /// Bytes of the last hand-over that were not consumed: any more than these are news.
    unread: usize,
    answer: Option<LoginAccepted>,
    /// The number of the next sequenced packet.
    next: u64,
    replay_until: u64,
    ending: bool,
}

impl Server {
    /// A connection made at `now`.
    pub fn new(config: ServerConfig, now: u64) -> Self {
        Self {
            config,
            state: State::AwaitingLogin,
            opened_ns: now,
            heard_ns: now,
            sent_ns: now,
            silence_ns: config.silence_timeout_ns,
            blocked_since_ns: None,
            unread: 0,
            answer: None,
            next: 1,
            replay_until: 0,
            ending: false,
        }
    }

    /// Takes what has arrived: all bytes that were not consumed before, and the new ones behind them. Call again with the rest
    /// for as long as there is input. Debug packets and heartbeats are dealt with here.
    pub fn receive<'a>(&mut self, bytes: &'a [u8], now: u64) -> Received<'a> {
        if bytes.len() > self.unread {
            self.heard_ns = now;
        }
        let mut consumed = 0;
        let input = loop {
            match self.state {
                State::Asked => break None,
                State::Closing { .. } | State::Ended(_) => {
                    consumed = bytes.len();
                    break None;
                }
                State::AwaitingLogin | State::LoggedIn => {}
            }
            match ClientPacket::decode(&bytes[consumed..]) {
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
        Received { consumed, input }
    }

    /// Lets the client in that asked, if its session and number are to be had; answers the number of the first message that it
    /// will get. Otherwise it is refused, and the reason is answered.
    ///
    /// # Panics
    /// If no login was asked for.
    pub fn accept<H: History + ?Sized>(
        &mut self,
        request: &LoginRequest,
        session: SessionId,
        history: &H,
        now: u64,
    ) -> Result<u64, EndReason> {
        match self.state {
            State::Asked => {}
            State::Closing { reason, .. } | State::Ended(reason) => return Err(reason),
            State::AwaitingLogin | State::LoggedIn => panic!("accepting a login that was not asked for"),
        }
        let first = match first_number(request, session, history) {
            Ok(first) => first,
            Err(reason) => {
                self.refuse(reason, RejectReason::SessionNotAvailable, now);
                return Err(reason);
            }
        };
        if let Some(timeout_ms) = request.heartbeat_timeout_ms.filter(|&timeout_ms| timeout_ms > 0) {
            self.silence_ns = (u64::from(timeout_ms) * MILLISECOND_NS).max(MIN_SILENCE_NS);
        }
        self.state = State::LoggedIn;
        self.answer = Some(LoginAccepted { session: Alpha(*session.as_bytes()), sequence: first });
        self.next = first;
        self.replay_until = released(history);
        Ok(first)
    }

    /// Turns the client away that asked: its credentials are wrong.
    pub fn reject(&mut self, now: u64) {
        self.refuse(EndReason::NotAuthorized, RejectReason::NotAuthorized, now);
    }

    /// Does what is due at `now`: ends what timed out, sends what is released and fits, and heartbeats. Call it on every turn,
    /// and at the latest at [`next_deadline`](Self::next_deadline).
    pub fn poll<H: History + ?Sized>(&mut self, now: u64, history: &H, sink: &mut impl Sink) -> Phase {
        self.check_time(now);
        if self.state == State::LoggedIn {
            self.send_due(now, history, sink);
        }
        if let State::Closing { reason, goodbye, since_ns } = self.state
            && (goodbye.encode(sink) || now.saturating_sub(since_ns) >= GOODBYE_NS)
        {
            self.state = State::Ended(reason);
        }
        self.phase()
    }

    /// Ends the session in good order: once the client has been sent all that was generated, it is told that there is no more.
    /// A connection without a login ends at once.
    pub fn end_session(&mut self, now: u64) {
        match self.state {
            State::LoggedIn => self.ending = true,
            State::AwaitingLogin | State::Asked => self.close(EndReason::EndOfSession, ServerPacket::EndOfSession, now),
            State::Closing { .. } | State::Ended(_) => {}
        }
    }

    /// Ends the connection at once. The first reason stays.
    pub fn end(&mut self, reason: EndReason) {
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Ended(self.end_reason().unwrap_or(reason));
        }
    }

    /// How far the connection is.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::AwaitingLogin | State::Asked => Phase::AwaitingLogin,
            State::LoggedIn if self.next <= self.replay_until => Phase::Replaying,
            State::LoggedIn => Phase::Active,
            State::Closing { reason, .. } => Phase::Closing(reason),
            State::Ended(reason) => Phase::Ended(reason),
        }
    }

    /// The number of the next message to be sent on this connection.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The time by which `poll` has something to do even if nothing arrives and nothing is released. While the sink is full, that
    /// does not count making room: poll again when there is some.
    pub fn next_deadline(&self) -> u64 {
        match self.state {
            State::AwaitingLogin | State::Asked => self.opened_ns.saturating_add(self.config.login_timeout_ns),
            State::LoggedIn => {
                let silent = self.heard_ns.saturating_add(self.silence_ns);
                // A full sink is no place for a heartbeat, and what is in it says as much.
                let idle = match self.blocked_since_ns {
                    Some(since) => since.saturating_add(self.config.stall_timeout_ns),
                    None => self.sent_ns.saturating_add(self.config.heartbeat_ns),
                };
                silent.min(idle)
            }
            State::Closing { since_ns, .. } => since_ns.saturating_add(GOODBYE_NS),
            State::Ended(_) => u64::MAX,
        }
    }

    fn take<'a>(&mut self, packet: ClientPacket<'a>) -> Option<Input<'a>> {
        let logged_in = self.state == State::LoggedIn;
        match packet {
            ClientPacket::Unsequenced(message) if logged_in => Some(Input::Message(message)),
            ClientPacket::Unsequenced(_) => Some(self.stop(EndReason::NotLoggedIn)),
            ClientPacket::Heartbeat | ClientPacket::Debug(_) => None,
            ClientPacket::Login(_) if logged_in => Some(self.stop(EndReason::SecondLogin)),
            ClientPacket::Login(request) => {
                self.state = State::Asked;
                Some(Input::Login(request))
            }
            ClientPacket::Logout => Some(self.stop(EndReason::Logout)),
        }
    }

    fn check_time(&mut self, now: u64) {
        match self.state {
            State::AwaitingLogin | State::Asked => {
                if now.saturating_sub(self.opened_ns) >= self.config.login_timeout_ns {
                    self.end(EndReason::LoginTimeout);
                }
            }
            State::LoggedIn => {
                let silent_ns = now.saturating_sub(self.heard_ns);
                let stalled_ns = self.blocked_since_ns.map_or(0, |since| now.saturating_sub(since));
                if silent_ns >= self.silence_ns {
                    self.end(EndReason::Silent { silent_ns });
                } else if self.blocked_since_ns.is_some() && stalled_ns >= self.config.stall_timeout_ns {
                    self.end(EndReason::Stalled { stalled_ns });
                }
            }
            State::Closing { .. } | State::Ended(_) => {}
        }
    }

    fn send_due<H: History + ?Sized>(&mut self, now: u64, history: &H, sink: &mut impl Sink) {
        if let Some(accepted) = self.answer {
            if !self.send(ServerPacket::Accepted(accepted), now, sink) {
                return;
            }
            self.answer = None;
        }
        let released = released(history);
        if self.next > history.next_sequence() {
            // The history has begun anew under this connection: its numbers are another session's.
            self.end(EndReason::HistoryFault { sequence: self.next });
            return;
        }
        while self.next <= released {
            let Some(message) = history.get(self.next).filter(|message| message.len() <= MAX_PAYLOAD) else {
                self.end(EndReason::HistoryFault { sequence: self.next });
                return;
            };
            if !self.send(ServerPacket::Sequenced(message), now, sink) {
                return;
            }
            self.next += 1;
        }
        if self.ending && self.next >= history.next_sequence() {
            self.close(EndReason::EndOfSession, ServerPacket::EndOfSession, now);
        } else if now.saturating_sub(self.sent_ns) >= self.config.heartbeat_ns {
            self.send(ServerPacket::Heartbeat, now, sink);
        }
    }

    fn send(&mut self, packet: ServerPacket<'_>, now: u64, sink: &mut impl Sink) -> bool {
        let sent = packet.encode(sink);
        if sent {
            self.sent_ns = now;
            self.blocked_since_ns = None;
        } else if self.blocked_since_ns.is_none() {
            self.blocked_since_ns = Some(now);
        }
        sent
    }

    fn refuse(&mut self, reason: EndReason, said: RejectReason, now: u64) {
        self.close(reason, ServerPacket::Rejected(said), now);
    }

    fn close(&mut self, reason: EndReason, goodbye: ServerPacket<'static>, now: u64) {
        if self.end_reason().is_none() {
            self.state = State::Closing { reason, goodbye, since_ns: now };
        }
    }

    fn stop<'a>(&mut self, reason: EndReason) -> Input<'a> {
        self.end(reason);
        Input::Ended(reason)
    }

    fn end_reason(&self) -> Option<EndReason> {
        match self.state {
            State::Closing { reason, .. } | State::Ended(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("phase", &self.phase()).field("next", &self.next).finish_non_exhaustive()
    }
}

/// The highest number that may be sent. A history that claims to have released what it has not generated is not believed.
fn released<H: History + ?Sized>(history: &H) -> u64 {
    history.released().min(history.next_sequence().saturating_sub(1))
}

fn first_number<H: History + ?Sized>(
    request: &LoginRequest,
    session: SessionId,
    history: &H,
) -> Result<u64, EndReason> {
    let any_session = request.session.is_blank();
    if !any_session && !request.session.eq_ignore_case(session.as_bytes()) {
        return Err(EndReason::SessionNotAvailable { asked: request.session, current: session });
    }
    let released = released(history);
    let next = released + 1;
    let first = match request.sequence {
        0 => released.max(1),
        asked if asked <= next => asked,
        _ if any_session => next,
        asked => return Err(EndReason::NumberNotAvailable { asked, next }),
    };
    if first <= released && history.get(first).is_none() {
        return Err(EndReason::NumberNotAvailable { asked: first, next });
    }
    Ok(first)
}
