use std::time::Instant;

use wirebook_bypass::stream::kernel::{KernelConfig, KernelPort};
use wirebook_bypass::stream::{ConnId, Event, ListenerId};

use super::*;
use crate::session::Buffer;
use crate::session::soup::{EndReason, History, Input, RejectReason, Server, ServerConfig, SessionId};

/// How long anything may take before a test gives up; no measure of speed.
const PATIENCE: Duration = Duration::from_secs(30);

struct Messages(Vec<Vec<u8>>);

impl History for Messages {
    fn next_sequence(&self) -> u64 {
        self.0.len() as u64 + 1
    }
    fn released(&self) -> u64 {
        self.0.len() as u64
    }
    fn get(&self, sequence: u64) -> Option<&[u8]> {
        self.0.get(usize::try_from(sequence).ok()?.checked_sub(1)?).map(Vec::as_slice)
    }
}

/// A server of one user, which says back whatever it is told.
struct Echo {
    port: KernelPort,
    listener: ListenerId,
    events: Vec<Event>,
    open: Option<(ConnId, Server)>,
    history: Messages,
    started: Instant,
    logins: u32,
    reasons: Vec<EndReason>,
}

impl Echo {
    fn new() -> Self {
        let mut port = KernelPort::new(&KernelConfig { max_connections: 8, ..KernelConfig::default() }).unwrap();
        let listener = port.listen("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        let events = Vec::with_capacity(port.event_capacity());
        let (history, started) = (Messages(Vec::new()), Instant::now());
        Self { port, listener, events, open: None, history, started, logins: 0, reasons: Vec::new() }
    }

    fn address(&self) -> SocketAddr {
        self.port.local_addr(self.listener).unwrap()
    }

    fn turn(&mut self) {
        let now = self.started.elapsed().as_nanos() as u64;
        self.port.poll(&mut self.events).unwrap();
        for event in &self.events {
            match *event {
                Event::Accepted { conn, .. } => self.open = Some((conn, Server::new(ServerConfig::default(), now))),
                Event::PeerClosed { conn } => self.port.close(conn),
                _ => {}
            }
        }
        let Some((conn, server)) = &mut self.open else { return };
        let bytes = self.port.received(*conn).to_vec();
        let mut used = 0;
        loop {
            let received = server.receive(&bytes[used..], now);
            used += received.consumed;
            match received.input {
                Some(Input::Login(request)) if request.password.eq_ignore_case(b"right") => {
                    self.logins += 1;
                    let session = SessionId::new("2026112101").unwrap();
                    let _ = server.accept(&request, session, &self.history, now);
                }
                Some(Input::Login(_)) => server.reject(now),
                Some(Input::Message(message)) => self.history.0.push(message.to_vec()),
                Some(Input::Ended(reason)) => self.reasons.push(reason),
                None if received.consumed == 0 => break,
                None => {}
            }
        }
        self.port.consume(*conn, used);
        let mut out = Buffer::with_capacity(1 << 16);
        let phase = server.poll(now, &self.history, &mut out);
        assert!(self.port.send_all(*conn, out.pending()) || !self.port.is_open(*conn));
        self.port.flush().unwrap();
        if let crate::session::soup::Phase::Ended(_) = phase {
            self.port.close(*conn);
            self.open = None;
        }
    }

    fn drop_connection(&mut self) {
        if let Some((conn, _)) = self.open.take() {
            self.port.abort(conn);
        }
    }
}

fn config(address: SocketAddr, password: &str, sequence: u64) -> LinkConfig {
    LinkConfig {
        peer: address,
        username: Alpha::new("wire01").unwrap(),
        password: Alpha::new(password).unwrap(),
        session: Alpha::BLANK,
        sequence,
    }
}

fn open(address: SocketAddr, password: &str, sequence: u64) -> Link<KernelPort> {
    let port = KernelPort::new(&KernelConfig { max_connections: 2, ..KernelConfig::default() }).unwrap();
    Link::open(port, &config(address, password, sequence)).unwrap()
}

/// Turns both ends until `done` holds for what was heard, or the link is over.
fn drive(
    echo: &mut Echo,
    link: &mut Link<KernelPort>,
    heard: &mut Vec<(u64, Vec<u8>)>,
    done: impl Fn(&Link<KernelPort>, &[(u64, Vec<u8>)]) -> bool,
) -> Result<(), LinkError> {
    let begun = Instant::now();
    while !done(link, heard) {
        assert!(begun.elapsed() < PATIENCE, "nothing happens; heard {heard:?}");
        echo.turn();
        link.turn(|what| {
            if let Heard::Message { sequence, payload } = what {
                heard.push((sequence, payload.to_vec()));
            }
        })?;
    }
    Ok(())
}

#[test]
fn says_hears_and_logs_out() {
    let mut echo = Echo::new();
    let mut link = open(echo.address(), "right", 1);
    let mut heard = Vec::new();
    assert!(!link.send(b"too early"));
    drive(&mut echo, &mut link, &mut heard, |link, _| link.is_active()).unwrap();
    assert!(link.send(b"one") && link.send(b"two"));
    drive(&mut echo, &mut link, &mut heard, |_, heard| heard.len() == 2).unwrap();
    assert_eq!(heard, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    assert!(link.logout());
    let end = drive(&mut echo, &mut link, &mut heard, |_, _| false).unwrap_err();
    assert!(matches!(end, LinkError::Ended(ClientEnd::LoggedOut)), "{end}");
    assert_eq!(echo.reasons, [EndReason::Logout]);
}

#[test]
fn comes_back_at_the_next_number() {
    let mut echo = Echo::new();
    let mut link = open(echo.address(), "right", 1);
    let mut heard = Vec::new();
    drive(&mut echo, &mut link, &mut heard, |link, _| link.is_active()).unwrap();
    assert!(link.send(b"one"));
    drive(&mut echo, &mut link, &mut heard, |_, heard| heard.len() == 1).unwrap();
    echo.drop_connection();
    let broken = drive(&mut echo, &mut link, &mut heard, |_, _| false).unwrap_err();
    assert!(matches!(broken, LinkError::Broken(_) | LinkError::Ended(ClientEnd::Disconnected)), "{broken}");
    echo.history.0.push(b"missed".to_vec());
    link.reconnect().unwrap();
    drive(&mut echo, &mut link, &mut heard, |_, heard| heard.len() == 2).unwrap();
    assert_eq!(heard[1], (2, b"missed".to_vec()), "once, and nothing twice");
    assert_eq!((link.next_sequence(), echo.logins), (3, 2));
}

#[test]
fn only_what_is_new_can_be_asked_for() {
    let mut echo = Echo::new();
    echo.history.0.extend([b"old".to_vec(), b"older".to_vec()]);
    let mut link = open(echo.address(), "right", LinkConfig::ONLY_NEW);
    let mut heard = Vec::new();
    drive(&mut echo, &mut link, &mut heard, |link, _| link.is_active()).unwrap();
    assert!(link.send(b"new"));
    drive(&mut echo, &mut link, &mut heard, |_, heard| !heard.is_empty()).unwrap();
    assert_eq!(heard, [(3, b"new".to_vec())]);
}

#[test]
fn a_refused_login_and_nobody_there_are_told_apart() {
    let mut echo = Echo::new();
    let mut link = open(echo.address(), "wrong", 1);
    let end = drive(&mut echo, &mut link, &mut Vec::new(), |_, _| false).unwrap_err();
    assert!(matches!(end, LinkError::Ended(ClientEnd::Rejected(RejectReason::NotAuthorized))), "{end}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut link = open(nobody, "right", 1);
    let end = drive(&mut echo, &mut link, &mut Vec::new(), |_, _| false).unwrap_err();
    assert!(matches!(end, LinkError::Connect { .. }), "{end}");
}
