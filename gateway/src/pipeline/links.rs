//! The session stage: connections, their SoupBinTCP sessions, and what clients say.
//!
//! One poll loop serves every connection. In a turn each ready connection is read once, for at most [`TURN_MESSAGES`]
//! messages: a flooding peer waits for the next turn, behind everybody else. What a client gets wrong ends that one
//! connection with a line in the log; the others do not notice.

use tracing::{debug, info};
use wirebook_bypass::stream::{CloseReason, ConnId, Event, ListenerId, StreamError, StreamPort};
use wirebook_settlement::record::Act;

use crate::entry::{Entry, Verdict};
use crate::publish::Streams;
use crate::sequencer::Sequencer;
use crate::session::PortSink;
use crate::session::soup::{
    EndReason, History, Input, LoginRequest, NoHistory, Phase, Presence, Server, ServerConfig, SessionId,
    credentials_match,
};

/// Messages of one connection that a turn handles, at most.
pub const TURN_MESSAGES: usize = 64;

/// A login, as the configuration gives it.
#[derive(Clone, Debug)]
pub struct User {
    /// Number of the session in the registry, from 1.
    pub session: u32,
    /// At most 6 characters, compared without regard to case.
    pub username: String,
    /// At most 10 characters, compared without regard to case.
    pub password: String,
}

struct Link {
    conn: ConnId,
    server: Server,
    /// Index into the users, once logged in.
    user: Option<usize>,
    /// Whether the books were told that it is gone (or need not be).
    parted: bool,
    /// Whether it has something to say or to check now.
    due: bool,
    /// Whether whole messages may wait in the port's buffer for the next turn.
    unread: bool,
    /// Whether the peer says no more: the link ends with what is unread.
    half: bool,
}

impl Link {
    fn ended(&self) -> bool {
        matches!(self.server.phase(), Phase::Ended(_))
    }
}

/// Every connection.
pub struct Links<P: StreamPort> {
    port: P,
    listener: Option<ListenerId>,
    events: Vec<Event>,
    links: Vec<Option<Link>>,
    /// How many there are.
    open: usize,
    /// Numbers of links that are due; some may stand there twice, or be due no more.
    due: Vec<u32>,
    /// By session, the number of the link that it last logged in on, plus one.
    speakers: Vec<u32>,
    users: Vec<User>,
    presence: Presence,
    config: ServerConfig,
    session: SessionId,
    /// Whether the day is over: whoever logs in is sent what he missed, and the end.
    over: bool,
    /// Whether the next day waits to be opened: nobody logs in.
    held: bool,
    /// The earliest time at which some link has timed work.
    deadline: u64,
}

impl<P: StreamPort> Links<P> {
    /// Serves `users` on a port that listens already.
    pub fn new(port: P, listener: ListenerId, users: Vec<User>, config: ServerConfig, session: SessionId) -> Self {
        let events = Vec::with_capacity(port.event_capacity());
        let presence = Presence::with_users(users.len());
        Self {
            port,
            listener: Some(listener),
            events,
            links: Vec::new(),
            open: 0,
            due: Vec::with_capacity(64),
            speakers: Vec::new(),
            users,
            presence,
            config,
            session,
            over: false,
            held: false,
            deadline: 0,
        }
    }

    /// The port.
    pub fn port(&mut self) -> &mut P {
        &mut self.port
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Reads whatever has arrived and hands it to order entry. Returns whether anything happened.
    ///
    /// # Errors
    /// When the port itself fails; a connection that fails only ends.
    pub fn listen(
        &mut self,
        now: u64,
        entry: &mut Entry,
        sequencer: &mut Sequencer,
        streams: &Streams,
    ) -> Result<bool, StreamError> {
        let mut events = std::mem::take(&mut self.events);
        let count = self.port.poll(&mut events)?;
        for event in &events {
            match *event {
                Event::Accepted { conn, .. } => self.accepted(conn, now),
                Event::Readable { conn } => self.read(conn, now, entry, sequencer, streams),
                Event::Writable { conn } => self.mark(conn),
                Event::PeerClosed { conn } => self.half_closed(conn, now, entry, sequencer),
                Event::Closed { conn, reason } => self.closed(conn, reason, now, entry, sequencer),
                Event::Connected { .. } => {}
            }
        }
        self.events = events;
        Ok(count > 0)
    }

    /// Sends what is released and due: answers, messages, heartbeats. `news` says that more was released since the last call. Costs
    /// what there is to say, and not what there are links; all of them are looked at when one's time has come.
    pub fn speak(&mut self, now: u64, news: bool, entry: &mut Entry, sequencer: &mut Sequencer, streams: &Streams) {
        if now >= self.deadline {
            self.speak_all(now, entry, sequencer, streams);
            return;
        }
        if news {
            for &session in streams.fresh() {
                if let Some(index) = self.speaker(session) {
                    self.speak_on(index, now, entry, sequencer, streams);
                }
            }
        }
        let mut due = std::mem::take(&mut self.due);
        for index in due.drain(..) {
            let index = index as usize;
            if self.links[index].as_ref().is_some_and(|link| link.due) {
                self.speak_on(index, now, entry, sequencer, streams);
            }
        }
        // Whoever became due meanwhile is next.
        due.append(&mut self.due);
        self.due = due;
    }

    /// Looks at every link: sends what is released and due, and ends what is too late.
    pub fn speak_all(&mut self, now: u64, entry: &mut Entry, sequencer: &mut Sequencer, streams: &Streams) {
        self.deadline = u64::MAX;
        self.due.clear();
        for index in 0..self.links.len() {
            if self.links[index].is_some() {
                self.speak_on(index, now, entry, sequencer, streams);
            }
        }
    }

    fn speak_on(&mut self, index: usize, now: u64, entry: &mut Entry, sequencer: &mut Sequencer, streams: &Streams) {
        let Some(link) = &mut self.links[index] else { return };
        let conn = link.conn;
        let mut sink = PortSink::new(&mut self.port, conn);
        let phase = match link.user {
            Some(user) => link.server.poll(now, &streams.history(self.users[user].session), &mut sink),
            None => link.server.poll(now, &NoHistory, &mut sink),
        };
        // What found no room goes on when the port says that there is some.
        link.due = false;
        self.deadline = self.deadline.min(link.server.next_deadline());
        match phase {
            Phase::Ended(reason) => {
                self.part(index, reason, now, entry, sequencer);
                self.port.close(conn);
            }
            Phase::Closing(reason) => self.part(index, reason, now, entry, sequencer),
            Phase::AwaitingLogin | Phase::Replaying | Phase::Active => {}
        }
    }

    /// The link that a session's messages go to.
    fn speaker(&self, session: u32) -> Option<usize> {
        let index = self.speakers.get(session as usize)?.checked_sub(1)? as usize;
        let user = self.links.get(index)?.as_ref()?.user?;
        (self.users[user].session == session).then_some(index)
    }

    /// Queued bytes on their way.
    ///
    /// # Errors
    /// When the port itself fails.
    pub fn flush(&mut self) -> Result<(), StreamError> {
        self.port.flush()
    }

    /// The earliest time at which a link has something to do although nothing arrives.
    pub fn next_deadline(&self) -> u64 {
        self.deadline
    }

    /// The day is over: everyone is sent what the venue has generated, as it is released, and is then told so.
    pub fn end_session(&mut self, now: u64) {
        self.over = true;
        for link in self.links.iter_mut().flatten() {
            link.server.end_session(now);
            link.due = true;
            self.due.push(link.conn.index() as u32);
        }
    }

    /// Whether somebody has not been told yet that the day is over. Nobody logs in from now on: the next day is to be opened.
    /// A client that does not read is dropped in time, so this ends.
    pub fn leaving(&mut self) -> bool {
        self.held = self.over;
        self.over && self.links.iter().flatten().any(|link| link.user.is_some() && !link.ended())
    }

    /// A new day: logins are for this session from now on.
    pub fn set_session(&mut self, session: SessionId) {
        self.session = session;
        (self.over, self.held) = (false, false);
    }

    /// No more connections; those there are end once they have been sent what is released.
    pub fn stop_listening(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.port.unlisten(listener);
        }
    }

    /// Ends every connection; the session can be rejoined.
    pub fn shut(&mut self) {
        for link in self.links.iter_mut().flatten() {
            link.server.end(EndReason::Shutdown);
            // The venue stops in good order: nobody is to be cancelled for it.
            link.parted = true;
            link.due = true;
            self.due.push(link.conn.index() as u32);
        }
    }

    /// For a venue that stops: moves what is queued and lets go who is gone, and listens to nobody.
    ///
    /// # Errors
    /// When the port itself fails.
    pub fn drain(&mut self) -> Result<(), StreamError> {
        let mut events = std::mem::take(&mut self.events);
        self.port.poll(&mut events)?;
        for event in &events {
            match *event {
                Event::Accepted { conn, .. } => self.port.abort(conn),
                Event::Writable { conn } => self.mark(conn),
                Event::PeerClosed { conn } => {
                    if let Some(link) = self.at(conn) {
                        link.server.end(EndReason::Disconnected);
                        self.port.close(conn);
                    }
                }
                Event::Closed { conn, .. } if self.at(conn).is_some() => self.remove(conn),
                Event::Closed { .. } | Event::Readable { .. } | Event::Connected { .. } => {}
            }
        }
        self.events = events;
        Ok(())
    }

    /// Whether some logged-in client has not been sent everything that is released, or some byte waits in the port.
    pub fn behind(&self, streams: &Streams) -> bool {
        self.links.iter().flatten().any(|link| {
            self.port.unsent(link.conn) > 0
                || link.user.filter(|_| !link.ended()).is_some_and(|user| {
                    link.server.next_sequence() <= streams.history(self.users[user].session).released()
                })
        })
    }

    fn at(&mut self, conn: ConnId) -> Option<&mut Link> {
        self.links.get_mut(conn.index())?.as_mut().filter(|link| link.conn == conn)
    }

    fn mark(&mut self, conn: ConnId) {
        if let Some(link) = self.at(conn) {
            link.due = true;
            self.due.push(conn.index() as u32);
        }
    }

    fn remove(&mut self, conn: ConnId) {
        self.links[conn.index()] = None;
        self.open -= 1;
    }

    fn accepted(&mut self, conn: ConnId, now: u64) {
        let index = conn.index();
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        let server = Server::new(self.config, now);
        self.deadline = self.deadline.min(server.next_deadline());
        debug!(connection = index, peer = ?self.port.peer_addr(conn), "connected");
        debug_assert!(self.links[index].is_none(), "a number has one owner at a time");
        self.open += 1;
        self.links[index] =
            Some(Link { conn, server, user: None, parted: false, due: false, unread: false, half: false });
    }

    fn read(&mut self, conn: ConnId, now: u64, entry: &mut Entry, sequencer: &mut Sequencer, streams: &Streams) {
        let mut used = 0;
        let mut more = true;
        for _ in 0..TURN_MESSAGES {
            let Some(link) = self.links.get_mut(conn.index()).and_then(Option::as_mut).filter(|l| l.conn == conn)
            else {
                return;
            };
            let received = link.server.receive(&self.port.received(conn)[used..], now);
            used += received.consumed;
            match received.input {
                None => {
                    more = false;
                    break;
                }
                Some(Input::Message(message)) => {
                    let user = link.user.expect("the server gives messages after a login only");
                    let session = self.users[user].session;
                    if let Verdict::Disconnect(garbage) = entry.message(session, message, now, sequencer) {
                        info!(user = %self.users[user].username, %garbage, "disconnecting: a message that is not OUCH 5.0");
                        link.server.end(EndReason::BadMessage);
                        link.due = true;
                        self.due.push(conn.index() as u32);
                        break;
                    }
                }
                Some(Input::Login(request)) => {
                    link.due = true;
                    self.due.push(conn.index() as u32);
                    self.login(conn, &request, now, entry, sequencer, streams);
                }
                Some(Input::Ended(_)) => {
                    link.due = true;
                    self.due.push(conn.index() as u32);
                    more = false;
                    break;
                }
            }
        }
        self.port.consume(conn, used);
        if more {
            self.port.rearm(conn);
        }
        let Some(link) = self.at(conn) else { return };
        link.unread = more;
        if link.half && !more {
            self.end(conn, EndReason::Disconnected, now, entry, sequencer);
        }
    }

    fn login(
        &mut self,
        conn: ConnId,
        request: &LoginRequest,
        now: u64,
        entry: &mut Entry,
        sequencer: &mut Sequencer,
        streams: &Streams,
    ) {
        let known =
            self.users.iter().position(|u| credentials_match(request, u.username.as_bytes(), u.password.as_bytes()));
        let session = self.session;
        let Some(link) = self.links.get_mut(conn.index()).and_then(Option::as_mut) else { return };
        let Some(user) = known else {
            info!(connection = conn.index(), "login refused: unknown user or wrong password");
            link.server.reject(now);
            return;
        };
        if self.held {
            link.server.end(EndReason::EndOfSession);
            return;
        }
        let User { session: number, username, .. } = &self.users[user];
        match link.server.accept(request, session, &streams.history(*number), now) {
            Err(reason) => info!(user = %username, %reason, "login refused"),
            Ok(first) => {
                info!(user = %username, connection = conn.index(), from = first, "logged in");
                link.user = Some(user);
                let session = *number as usize;
                if self.speakers.len() <= session {
                    self.speakers.resize(session + 1, 0);
                }
                self.speakers[session] = conn.index() as u32 + 1;
                if self.over {
                    link.server.end_session(now);
                }
                entry.login(*number, now, sequencer);
                if let Some(old) = self.presence.enter(user, key(conn)) {
                    self.supersede(old);
                }
            }
        }
    }

    /// The user is on another connection now: its old one ends, and nothing of his is cancelled for it.
    fn supersede(&mut self, old: u64) {
        if let Some(link) = self.links.iter_mut().flatten().find(|link| key(link.conn) == old) {
            link.server.end(EndReason::Superseded);
            link.parted = true;
            link.due = true;
            self.due.push(link.conn.index() as u32);
        }
    }

    /// The peer sends no more. What it has sent counts, so that a link with more than a turn's messages ends with the last.
    fn half_closed(&mut self, conn: ConnId, now: u64, entry: &mut Entry, sequencer: &mut Sequencer) {
        match self.at(conn) {
            Some(link) if link.unread => link.half = true,
            Some(_) => self.end(conn, EndReason::Disconnected, now, entry, sequencer),
            None => {}
        }
    }

    /// Ends a link; the first reason is the one that counts: a logout is no disconnect because the peer closes right after it.
    fn end(&mut self, conn: ConnId, reason: EndReason, now: u64, entry: &mut Entry, sequencer: &mut Sequencer) {
        let Some(link) = self.at(conn) else { return };
        link.server.end(reason);
        let Phase::Ended(reason) = link.server.phase() else { unreachable!("it was ended here") };
        self.part(conn.index(), reason, now, entry, sequencer);
        self.port.close(conn);
    }

    fn closed(&mut self, conn: ConnId, why: CloseReason, now: u64, entry: &mut Entry, sequencer: &mut Sequencer) {
        debug!(connection = conn.index(), reason = ?why, "closed");
        if self.at(conn).is_some() {
            self.end(conn, EndReason::Disconnected, now, entry, sequencer);
            self.remove(conn);
        }
    }

    /// Tells the books, once, that a logged-in client is gone.
    fn part(&mut self, index: usize, reason: EndReason, now: u64, entry: &mut Entry, sequencer: &mut Sequencer) {
        let Some(link) = &mut self.links[index] else { return };
        if std::mem::replace(&mut link.parted, true) {
            return;
        }
        let Some(user) = link.user else {
            info!(connection = index, %reason, "ended before a login");
            return;
        };
        let User { session, username, .. } = &self.users[user];
        info!(user = %username, %reason, "ended");
        self.presence.leave(user, key(link.conn));
        let act = if reason == EndReason::Logout { Act::Logout } else { Act::Disconnect };
        entry.disconnect(*session, act, now, sequencer);
    }
}

fn key(conn: ConnId) -> u64 {
    u64::from(conn.generation()) << 32 | conn.index() as u64
}
