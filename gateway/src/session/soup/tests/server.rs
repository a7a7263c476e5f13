//! The server's end: logins, replay, time, back-pressure and hostile clients.

use super::super::*;
use super::{List, SECOND, client_bytes, login, session};
use crate::session::{Alpha, Buffer};

/// A connection with everything around it.
struct Rig {
    server: Server,
    sink: Buffer,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        Self { server: Server::new(ServerConfig::default(), 0), sink: Buffer::with_capacity(1 << 16), now: 0 }
    }

    fn feed<'a>(&mut self, bytes: &'a [u8]) -> Received<'a> {
        self.server.receive(bytes, self.now)
    }

    fn asks(&mut self, request: LoginRequest) -> LoginRequest {
        let bytes = client_bytes(&[ClientPacket::Login(request)]);
        let received = self.feed(&bytes);
        assert_eq!(received.consumed, bytes.len());
        let Some(Input::Login(asked)) = received.input else { panic!("no login: {received:?}") };
        asked
    }

    fn logs_in(history: &List, request: LoginRequest) -> Self {
        let mut rig = Self::new();
        let asked = rig.asks(request);
        rig.server.accept(&asked, session(), history, 0).expect("a good login");
        rig
    }

    fn poll(&mut self, history: &List) -> Phase {
        self.server.poll(self.now, history, &mut self.sink)
    }

    /// What was sent since the last time, in short: the number in Login Accepted, numbers of messages, and types of the rest.
    fn sent(&mut self) -> Vec<String> {
        let bytes = self.sink.pending().to_vec();
        self.sink.clear();
        let mut rest = &bytes[..];
        let mut said = Vec::new();
        while let Some((packet, length)) = ServerPacket::decode(rest).expect("well-formed") {
            rest = &rest[length..];
            said.push(match packet {
                ServerPacket::Accepted(accepted) => format!("A{}", accepted.sequence),
                ServerPacket::Rejected(RejectReason::NotAuthorized) => "JA".to_owned(),
                ServerPacket::Rejected(RejectReason::SessionNotAvailable) => "JS".to_owned(),
                ServerPacket::Sequenced(message) => u64::from_be_bytes(message.try_into().unwrap()).to_string(),
                ServerPacket::Heartbeat => "H".to_owned(),
                ServerPacket::EndOfSession => "Z".to_owned(),
                other => panic!("a server does not send {other:?}"),
            });
        }
        assert!(rest.is_empty(), "half a packet was sent");
        said
    }
}

fn named(name: &[u8; 10], sequence: u64) -> LoginRequest {
    LoginRequest { session: Alpha(*name), ..login(sequence) }
}

#[test]
fn a_login_is_answered_and_messages_follow_as_they_are_released() {
    let mut history = List::of(3, 2);
    let mut rig = Rig::new();
    assert_eq!(rig.poll(&history), Phase::AwaitingLogin);
    assert!(rig.sent().is_empty());
    let asked = rig.asks(login(1));
    assert_eq!(asked, login(1));
    assert_eq!(rig.poll(&history), Phase::AwaitingLogin);
    assert_eq!(rig.server.accept(&asked, session(), &history, 0), Ok(1));
    assert_eq!(rig.server.phase(), Phase::Replaying);
    assert_eq!(rig.poll(&history), Phase::Active);
    assert_eq!(rig.sent(), ["A1", "1", "2"], "what is not released is not sent");
    history.released = 3;
    assert_eq!(rig.poll(&history), Phase::Active);
    assert_eq!(rig.sent(), ["3"]);
    assert_eq!(rig.server.next_sequence(), 4);
}

#[test]
fn a_reconnect_starts_at_any_number() {
    let history = List::of(9, 5);
    for (request, expected) in [
        (login(1), vec!["A1", "1", "2", "3", "4", "5"]),
        (login(4), vec!["A4", "4", "5"]),
        (login(5), vec!["A5", "5"]),
        (login(6), vec!["A6"]),
        (login(0), vec!["A5", "5"]),
        (login(7), vec!["A6"]),
        (login(u64::MAX), vec!["A6"]),
        (named(b"WB26112101", 6), vec!["A6"]),
        (named(b"wb26112101", 5), vec!["A5", "5"]),
    ] {
        let mut rig = Rig::logs_in(&history, request);
        assert_eq!(rig.poll(&history), Phase::Active);
        assert_eq!(rig.sent(), expected, "{request:?}");
    }
    let mut rig = Rig::logs_in(&List::of(0, 0), login(0));
    rig.poll(&List::of(0, 0));
    assert_eq!(rig.sent(), ["A1"], "nothing is most recent yet");
}

#[test]
fn a_login_that_cannot_be_served_is_refused() {
    let history = List { first: 3, ..List::of(9, 5) };
    let available = |asked, next| EndReason::NumberNotAvailable { asked, next };
    for (request, reason) in [
        (named(b"WB26112001", 1), EndReason::SessionNotAvailable { asked: Alpha(*b"WB26112001"), current: session() }),
        (named(b"WB26112101", 7), available(7, 6)),
        (login(2), available(2, 6)),
    ] {
        let mut rig = Rig::new();
        let asked = rig.asks(request);
        assert_eq!(rig.server.accept(&asked, session(), &history, 0), Err(reason));
        assert_eq!(rig.server.phase(), Phase::Closing(reason));
        assert_eq!(rig.poll(&history), Phase::Ended(reason));
        assert_eq!(rig.sent(), ["JS"]);
        rig.now = 60 * SECOND;
        assert_eq!(rig.poll(&history), Phase::Ended(reason));
        assert!(rig.sent().is_empty(), "it is said once");
    }
}

#[test]
fn wrong_credentials_are_refused() {
    let mut rig = Rig::new();
    rig.asks(login(1));
    rig.server.reject(0);
    assert_eq!(rig.server.poll(0, &NoHistory, &mut rig.sink), Phase::Ended(EndReason::NotAuthorized));
    assert_eq!(rig.sent(), ["JA"]);
}

#[test]
fn a_refusal_waits_for_room_but_not_for_ever() {
    let mut rig = Rig::new();
    rig.asks(login(1));
    rig.server.reject(0);
    rig.sink = Buffer::with_capacity(3);
    assert_eq!(rig.server.poll(0, &NoHistory, &mut rig.sink), Phase::Closing(EndReason::NotAuthorized));
    assert_eq!(rig.server.next_deadline(), SECOND);
    assert_eq!(rig.server.poll(SECOND, &NoHistory, &mut rig.sink), Phase::Ended(EndReason::NotAuthorized));
    assert!(rig.sink.is_empty());
}

#[test]
fn silence_before_the_login_ends_the_connection() {
    let mut rig = Rig::new();
    let history = List::of(0, 0);
    let half = &client_bytes(&[ClientPacket::Login(login(1))])[..20];
    assert_eq!(rig.server.next_deadline(), 30 * SECOND);
    rig.now = 29 * SECOND;
    assert_eq!(rig.feed(half), Received { consumed: 0, input: None });
    assert_eq!(rig.poll(&history), Phase::AwaitingLogin);
    rig.now = 30 * SECOND;
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::LoginTimeout), "half a login does not count");
    assert!(rig.sent().is_empty());
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let mut rig = Rig::new();
    let history = List::of(1, 1);
    let asked = rig.asks(login(1));
    rig.now = 30 * SECOND;
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::LoginTimeout));
    assert_eq!(rig.server.accept(&asked, session(), &history, rig.now), Err(EndReason::LoginTimeout));
    rig.server.reject(rig.now);
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::LoginTimeout));
    assert!(rig.sent().is_empty());
}

#[test]
fn the_server_heartbeats_when_it_has_nothing_to_say() {
    let mut history = List::of(1, 0);
    let mut rig = Rig::logs_in(&history, login(1));
    rig.poll(&history);
    assert_eq!(rig.sent(), ["A1"]);
    rig.now = SECOND - 1;
    rig.poll(&history);
    assert!(rig.sent().is_empty());
    assert_eq!(rig.server.next_deadline(), SECOND);
    rig.now = SECOND;
    rig.poll(&history);
    assert_eq!(rig.sent(), ["H"]);
    rig.now = SECOND + SECOND / 2;
    history.released = 1;
    rig.poll(&history);
    assert_eq!(rig.sent(), ["1"]);
    rig.now = 2 * SECOND;
    rig.poll(&history);
    assert!(rig.sent().is_empty(), "a message counts as a heartbeat");
    rig.now = 3 * SECOND;
    rig.poll(&history);
    assert_eq!(rig.sent(), ["H"]);
}

#[test]
fn a_client_that_says_nothing_is_dropped() {
    let history = List::of(0, 0);
    for (timeout, seconds) in [(None, 15), (Some(0), 15), (Some(5_000), 5), (Some(1), 3), (Some(99_000), 99)] {
        let mut rig = Rig::logs_in(&history, LoginRequest { heartbeat_timeout_ms: timeout, ..login(1) });
        rig.now = seconds * SECOND - 1;
        assert_eq!(rig.poll(&history), Phase::Active, "{timeout:?}");
        assert_eq!(rig.feed(b"\0"), Received { consumed: 0, input: None });
        let heard = rig.now;
        rig.now = heard + seconds * SECOND - 1;
        assert_eq!(rig.poll(&history), Phase::Active, "any byte is a sign of life");
        assert_eq!(rig.feed(b"\0"), Received { consumed: 0, input: None });
        rig.now += 1;
        let silent_ns = seconds * SECOND;
        assert_eq!(rig.poll(&history), Phase::Ended(EndReason::Silent { silent_ns }), "an old byte is not");
    }
}

#[test]
fn bytes_left_over_are_not_news() {
    let history = List::of(0, 0);
    let mut rig = Rig::logs_in(&history, login(1));
    let bytes = client_bytes(&[ClientPacket::Unsequenced(b"abc"), ClientPacket::Unsequenced(b"def")]);
    let received = rig.feed(&bytes);
    assert_eq!(received, Received { consumed: 6, input: Some(Input::Message(b"abc")) });
    rig.now = 14 * SECOND;
    assert_eq!(rig.feed(&bytes[6..]).input, Some(Input::Message(b"def")));
    assert_eq!(rig.server.next_deadline(), SECOND);
    rig.now = 15 * SECOND;
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::Silent { silent_ns: 15 * SECOND }));
}

#[test]
fn debug_packets_and_heartbeats_are_no_input() {
    let history = List::of(0, 0);
    let noise = [ClientPacket::Debug(b"hello"), ClientPacket::Heartbeat, ClientPacket::Debug(b"")];
    let mut rig = Rig::new();
    let bytes = client_bytes(&noise);
    assert_eq!(rig.feed(&bytes), Received { consumed: bytes.len(), input: None });
    let asked = rig.asks(login(1));
    rig.server.accept(&asked, session(), &history, 0).unwrap();
    let bytes = client_bytes(&[noise[0], noise[1], ClientPacket::Unsequenced(b"x"), noise[2]]);
    let received = rig.feed(&bytes);
    assert_eq!(received, Received { consumed: bytes.len() - 3, input: Some(Input::Message(b"x")) });
    assert_eq!(rig.feed(&bytes[bytes.len() - 3..]), Received { consumed: 3, input: None });
}

#[test]
fn what_follows_a_login_waits_for_the_answer() {
    let history = List::of(0, 0);
    let mut rig = Rig::new();
    let bytes = client_bytes(&[ClientPacket::Login(login(1)), ClientPacket::Unsequenced(b"x")]);
    let received = rig.feed(&bytes);
    assert_eq!((received.consumed, received.input), (49, Some(Input::Login(login(1)))));
    assert_eq!(rig.feed(&bytes[49..]), Received { consumed: 0, input: None });
    rig.server.accept(&login(1), session(), &history, 0).unwrap();
    assert_eq!(rig.feed(&bytes[49..]).input, Some(Input::Message(b"x")));
}

#[test]
fn hostile_bytes_end_the_connection_with_a_reason() {
    let history = List::of(0, 0);
    let too_early: [(&[u8], EndReason); 5] = [
        (b"\0\x02Ux", EndReason::NotLoggedIn),
        (b"\0\x01O", EndReason::Logout),
        (b"GET / HTTP/1.1\r\n", EndReason::Protocol(SoupError::TooLong { found: 0x4745 })),
        (b"\0\0", EndReason::Protocol(SoupError::Empty)),
        (
            b"\0\x01S",
            EndReason::Protocol(SoupError::UnknownType { found: b'S', sender: "client", allowed: "+ L U R O" }),
        ),
    ];
    for (bytes, reason) in too_early {
        let mut rig = Rig::new();
        assert_eq!(rig.feed(bytes).input, Some(Input::Ended(reason)));
        assert_eq!(rig.feed(bytes), Received { consumed: bytes.len(), input: None }, "what follows is dropped");
        assert_eq!(rig.poll(&history), Phase::Ended(reason));
        assert!(rig.sent().is_empty());
        assert_eq!(rig.server.next_deadline(), u64::MAX);
    }
    let mut rig = Rig::logs_in(&history, login(1));
    let again = client_bytes(&[ClientPacket::Login(login(1))]);
    assert_eq!(rig.feed(&again).input, Some(Input::Ended(EndReason::SecondLogin)));
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::SecondLogin));
    let mut rig = Rig::logs_in(&history, login(1));
    assert_eq!(rig.feed(b"\0\x01O").input, Some(Input::Ended(EndReason::Logout)));
}

#[test]
fn a_full_sink_delays_and_neither_loses_nor_repeats() {
    let history = List::of(40, 40);
    let mut rig = Rig::logs_in(&history, login(1));
    // Room for a Login Accepted, and for three messages of 8 bytes.
    rig.sink = Buffer::with_capacity(35);
    let mut said = Vec::new();
    for turn in 0.. {
        assert!(turn < 20, "no progress");
        let phase = rig.poll(&history);
        let sent = rig.sent();
        assert!(!sent.is_empty());
        said.extend(sent);
        if phase == Phase::Active {
            break;
        }
        assert_eq!(phase, Phase::Replaying);
    }
    let expected: Vec<String> =
        std::iter::once("A1".to_owned()).chain((1..=40).map(|number| number.to_string())).collect();
    assert_eq!(said, expected);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let history = List::of(40, 40);
    let mut rig = Rig::logs_in(&history, login(1));
    rig.sink = Buffer::with_capacity(64);
    for second in 0..15 {
        rig.now = second * SECOND;
        assert_eq!(rig.poll(&history), Phase::Replaying);
        rig.feed(b"\0\x01R");
        assert_eq!(rig.server.next_deadline(), 15 * SECOND, "no heartbeat is due while the sink is full");
    }
    rig.now = 15 * SECOND;
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::Stalled { stalled_ns: 15 * SECOND }));
}

#[test]
fn a_client_that_reads_slowly_is_kept() {
    let history = List::of(1000, 1000);
    let mut rig = Rig::logs_in(&history, login(1));
    rig.sink = Buffer::with_capacity(64);
    for turn in 0..20 {
        rig.now = turn * 10 * SECOND;
        rig.feed(b"\0\x01R");
        assert_eq!(rig.poll(&history), Phase::Replaying, "turn {turn}: it makes room, if little");
        assert!(rig.sent().len() > 1);
    }
}

#[test]
fn the_first_reason_stays_while_the_last_word_waits() {
    let mut rig = Rig::new();
    rig.asks(login(1));
    rig.server.reject(0);
    rig.server.end(EndReason::Disconnected);
    assert_eq!(rig.server.phase(), Phase::Ended(EndReason::NotAuthorized));
}

#[test]
fn a_session_ends_after_its_last_message() {
    let mut history = List::of(3, 1);
    let mut rig = Rig::logs_in(&history, login(1));
    rig.server.end_session(0);
    assert_eq!(rig.poll(&history), Phase::Active);
    assert_eq!(rig.sent(), ["A1", "1"], "two messages are not released yet");
    history.released = 3;
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::EndOfSession));
    assert_eq!(rig.sent(), ["2", "3", "Z"]);
    let mut rig = Rig::new();
    rig.server.end_session(0);
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::EndOfSession));
    assert_eq!(rig.sent(), ["Z"]);
}

#[test]
fn a_superseded_connection_hears_and_says_nothing_more() {
    let mut history = List::of(2, 1);
    let mut rig = Rig::logs_in(&history, login(1));
    rig.poll(&history);
    assert_eq!(rig.sent(), ["A1", "1"]);
    rig.server.end(EndReason::Superseded);
    rig.server.end(EndReason::Shutdown);
    history.released = 2;
    assert_eq!(rig.feed(b"\0\x02Ux"), Received { consumed: 4, input: None });
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::Superseded), "the first reason stays");
    assert!(rig.sent().is_empty());
}

#[test]
fn a_broken_history_ends_the_connection_and_is_not_believed() {
    let mut history = List::of(3, 3);
    let mut rig = Rig::logs_in(&history, login(1));
    history.messages[1] = vec![0; MAX_PAYLOAD + 1];
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::HistoryFault { sequence: 2 }));
    assert_eq!(rig.sent(), ["A1", "1"]);
    let claims_too_much = List { released: 7, ..List::of(3, 0) };
    let mut rig = Rig::logs_in(&claims_too_much, login(1));
    assert_eq!(rig.poll(&claims_too_much), Phase::Active);
    assert_eq!(rig.sent(), ["A1", "1", "2", "3"]);
    let mut rig = Rig::logs_in(&history, login(1));
    history.first = 2;
    assert_eq!(rig.poll(&history), Phase::Ended(EndReason::HistoryFault { sequence: 1 }));
    let mut rig = Rig::logs_in(&List::of(3, 3), login(1));
    rig.poll(&List::of(3, 3));
    assert_eq!(rig.poll(&List::of(2, 2)), Phase::Ended(EndReason::HistoryFault { sequence: 4 }), "begun anew");
}

#[test]
fn reasons_are_fit_for_a_log() {
    for (reason, text) in [
        (EndReason::Silent { silent_ns: 15 * SECOND }, "nothing heard for 15000 ms"),
        (
            EndReason::SessionNotAvailable { asked: Alpha(*b"OLD       "), current: session() },
            "login refused: session OLD is not available, WB26112101 is",
        ),
        (EndReason::Protocol(SoupError::Empty), "bad packet: packet length 0: a packet has at least its type byte"),
    ] {
        assert_eq!(reason.to_string(), text);
    }
}
