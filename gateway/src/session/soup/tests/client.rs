//! The client's end.

use super::super::login::LoginAccepted;
use super::super::*;
use super::{SECOND, client_bytes, login, server_bytes, session};
use crate::session::{Alpha, Buffer};

fn accepted(sequence: u64) -> ServerPacket<'static> {
    ServerPacket::Accepted(LoginAccepted { session: Alpha(*session().as_bytes()), sequence })
}

/// A client that has been let in at `sequence`.
fn active(sequence: u64) -> (Client, Buffer) {
    let mut client = Client::new(ClientConfig::new(login(sequence)), 0);
    let mut sink = Buffer::with_capacity(1 << 12);
    assert_eq!(client.poll(0, &mut sink), ClientPhase::LoggingIn);
    assert_eq!(sink.pending(), client_bytes(&[ClientPacket::Login(login(sequence))]));
    sink.clear();
    let bytes = server_bytes(&[ServerPacket::Debug(b"welcome"), accepted(sequence)]);
    let received = client.receive(&bytes, 0);
    let session = Alpha(*session().as_bytes());
    assert_eq!(received.input, Some(ClientInput::Accepted { session, sequence }));
    assert_eq!(client.phase(), ClientPhase::Active);
    (client, sink)
}

#[test]
fn messages_are_counted_from_where_the_server_says() {
    let (mut client, _) = active(7);
    let bytes = server_bytes(&[
        ServerPacket::Sequenced(b"a"),
        ServerPacket::Heartbeat,
        ServerPacket::Unsequenced(b"u"),
        ServerPacket::Sequenced(b"b"),
    ]);
    let mut rest = &bytes[..];
    let mut inputs = Vec::new();
    loop {
        let received = client.receive(rest, 0);
        rest = &rest[received.consumed..];
        let Some(input) = received.input else { break };
        inputs.push(input);
    }
    let expected = [
        ClientInput::Message { sequence: 7, payload: b"a" },
        ClientInput::Unsequenced(b"u"),
        ClientInput::Message { sequence: 8, payload: b"b" },
    ];
    assert_eq!(inputs, expected);
    assert!(rest.is_empty());
    assert_eq!(client.next_sequence(), 9);
}

#[test]
fn the_server_says_where_the_count_starts() {
    for (asked, said) in [(0, 12), (9, 4)] {
        let mut client = Client::new(ClientConfig::new(login(asked)), 0);
        client.poll(0, &mut Buffer::with_capacity(100));
        let bytes = server_bytes(&[accepted(said), ServerPacket::Sequenced(b"a")]);
        let consumed = client.receive(&bytes, 0).consumed;
        let message = ClientInput::Message { sequence: said, payload: b"a" };
        assert_eq!(client.receive(&bytes[consumed..], 0).input, Some(message));
    }
}

#[test]
fn a_reconnect_asks_for_the_next_number_of_the_session() {
    let (mut client, mut sink) = active(7);
    client.receive(&server_bytes(&[ServerPacket::Sequenced(b"a")]), 0);
    client.end(ClientEnd::Disconnected);
    assert_eq!(client.phase(), ClientPhase::Ended(ClientEnd::Disconnected));
    client.reconnect(5 * SECOND);
    assert_eq!(client.poll(5 * SECOND, &mut sink), ClientPhase::LoggingIn);
    let request = LoginRequest { session: Alpha(*session().as_bytes()), ..login(8) };
    assert_eq!(sink.pending(), client_bytes(&[ClientPacket::Login(request)]));
}

#[test]
fn the_client_heartbeats_and_gives_up_on_silence() {
    let (mut client, mut sink) = active(1);
    client.poll(SECOND - 1, &mut sink);
    assert!(sink.is_empty());
    client.poll(SECOND, &mut sink);
    assert_eq!(sink.pending(), b"\0\x01R");
    sink.clear();
    assert!(client.send(b"xy", SECOND + 1, &mut sink));
    assert_eq!(sink.pending(), b"\0\x03Uxy");
    sink.clear();
    client.poll(2 * SECOND, &mut sink);
    assert!(sink.is_empty(), "a message counts as a heartbeat");
    client.receive(b"\0", 14 * SECOND);
    assert_eq!(client.poll(29 * SECOND - 1, &mut sink), ClientPhase::Active, "any byte is a sign of life");
    client.receive(b"\0", 28 * SECOND);
    let silent = ClientEnd::Silent { silent_ns: 15 * SECOND };
    assert_eq!(client.poll(29 * SECOND, &mut sink), ClientPhase::Ended(silent));
}

#[test]
fn a_login_is_sent_once_and_its_answer_awaited() {
    let mut client = Client::new(ClientConfig::new(login(1)), 0);
    let mut small = Buffer::with_capacity(48);
    assert_eq!(client.poll(0, &mut small), ClientPhase::LoggingIn);
    assert!(small.is_empty());
    let mut sink = Buffer::with_capacity(100);
    assert!(!client.send(b"x", 0, &mut sink), "not logged in");
    client.poll(1, &mut sink);
    client.poll(2, &mut sink);
    assert_eq!(sink.len(), 49);
    assert_eq!(client.poll(30 * SECOND, &mut sink), ClientPhase::Ended(ClientEnd::LoginTimeout));
}

#[test]
fn what_ends_a_connection_is_told() {
    let end = |packets: &[ServerPacket<'_>]| {
        let mut client = Client::new(ClientConfig::new(login(1)), 0);
        client.poll(0, &mut Buffer::with_capacity(100));
        let bytes = server_bytes(packets);
        let mut rest = &bytes[..];
        loop {
            let received = client.receive(rest, 0);
            rest = &rest[received.consumed..];
            match received.input {
                Some(ClientInput::Ended(reason)) => {
                    assert_eq!(client.phase(), ClientPhase::Ended(reason));
                    assert_eq!(client.receive(b"xyz", 0), ClientReceived { consumed: 3, input: None });
                    return reason;
                }
                Some(_) => {}
                None => panic!("it goes on"),
            }
        }
    };
    let rejected = ServerPacket::Rejected(RejectReason::SessionNotAvailable);
    assert_eq!(end(&[rejected]), ClientEnd::Rejected(RejectReason::SessionNotAvailable));
    assert_eq!(end(&[accepted(1), ServerPacket::EndOfSession]), ClientEnd::EndOfSession);
    assert_eq!(end(&[ServerPacket::Sequenced(b"a")]), ClientEnd::OutOfPlace { packet: 'S' });
    assert_eq!(end(&[ServerPacket::Unsequenced(b"a")]), ClientEnd::OutOfPlace { packet: 'U' });
    assert_eq!(end(&[accepted(1), accepted(1)]), ClientEnd::OutOfPlace { packet: 'A' });
    assert_eq!(end(&[accepted(0)]), ClientEnd::OutOfPlace { packet: 'A' });
    assert_eq!(end(&[accepted(1), rejected]), ClientEnd::OutOfPlace { packet: 'J' });
    let mut client = Client::new(ClientConfig::new(login(1)), 0);
    let reason = ClientEnd::Protocol(SoupError::Empty);
    assert_eq!(client.receive(b"\0\0", 0).input, Some(ClientInput::Ended(reason)));
    assert_eq!(
        Client::new(ClientConfig::new(login(1)), 0).receive(&server_bytes(&[accepted(1)]), 0).input,
        Some(ClientInput::Ended(ClientEnd::OutOfPlace { packet: 'A' })),
        "an answer before the question"
    );
}

#[test]
fn a_logout_is_said() {
    let (mut client, mut sink) = active(1);
    let mut full = Buffer::with_capacity(2);
    assert!(!client.logout(0, &mut full));
    assert_eq!(client.phase(), ClientPhase::Active);
    assert!(client.logout(0, &mut sink));
    assert_eq!(sink.pending(), b"\0\x01O");
    assert_eq!(client.phase(), ClientPhase::Ended(ClientEnd::LoggedOut));
    assert!(!client.send(b"x", 0, &mut sink));
}

#[test]
fn a_hostile_count_does_not_overflow() {
    let (mut client, _) = active(u64::MAX);
    let bytes = server_bytes(&[ServerPacket::Sequenced(b"a")]);
    for _ in 0..2 {
        let message = ClientInput::Message { sequence: u64::MAX, payload: b"a" };
        assert_eq!(client.receive(&bytes, 0).input, Some(message));
    }
}
