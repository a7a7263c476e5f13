//! The packets' bytes, as the specification has them.

use proptest::prelude::*;

use super::super::login::LoginAccepted;
use super::super::*;
use super::{client_bytes, login, server_bytes, session};
use crate::session::{Alpha, Buffer};

/// The login of user01/pass, blank session, sequence 1, numbers padded on the left.
const LOGIN: &[u8] = b"\x00\x2fLuser01pass                                   1";
const LOGIN_PADDED_RIGHT: &[u8] = b"\x00\x2fLuser01pass                1                   ";
const LOGIN_410: &[u8] = b"\x00\x34Luser01pass      WB26112101                  42 2500";
const ACCEPTED: &[u8] = b"\x00\x1fAWB26112101                  42";

#[test]
fn logins_have_their_golden_bytes() {
    assert_eq!(client_bytes(&[ClientPacket::Login(login(1))]), LOGIN);
    assert_eq!(LOGIN.len(), 49);
    for bytes in [LOGIN, LOGIN_PADDED_RIGHT] {
        assert_eq!(ClientPacket::decode(bytes), Ok(Some((ClientPacket::Login(login(1)), 49))));
    }
    let named = LoginRequest {
        session: Alpha(*session().as_bytes()),
        sequence: 42,
        heartbeat_timeout_ms: Some(2500),
        ..login(1)
    };
    assert_eq!(client_bytes(&[ClientPacket::Login(named)]), LOGIN_410);
    assert_eq!(ClientPacket::decode(LOGIN_410), Ok(Some((ClientPacket::Login(named), 54))));
}

#[test]
fn a_blank_timeout_is_left_to_the_server() {
    let mut bytes = LOGIN_410.to_vec();
    bytes[49..].fill(b' ');
    let Ok(Some((ClientPacket::Login(request), 54))) = ClientPacket::decode(&bytes) else { panic!("no login") };
    assert_eq!(request.heartbeat_timeout_ms, None);
}

#[test]
fn credentials_are_trimmed_and_of_either_case() {
    let padded = LoginRequest { username: Alpha(*b" UsEr "), password: Alpha(*b"    Secret"), ..login(1) };
    assert!(credentials_match(&padded, b"user", b"secret"));
    assert!(!credentials_match(&padded, b"user", b"secret1"));
    assert!(!credentials_match(&padded, b"user1", b"secret"));
    assert!(!format!("{padded:?}").contains("Secret"), "a password must not reach a log");
}

#[test]
fn client_packets_have_their_golden_bytes() {
    let golden: [(ClientPacket<'_>, &[u8]); 5] = [
        (ClientPacket::Unsequenced(b"xyz"), b"\x00\x04Uxyz"),
        (ClientPacket::Unsequenced(b""), b"\x00\x01U"),
        (ClientPacket::Heartbeat, b"\x00\x01R"),
        (ClientPacket::Logout, b"\x00\x01O"),
        (ClientPacket::Debug(b"hi"), b"\x00\x03+hi"),
    ];
    for (packet, bytes) in golden {
        assert_eq!(client_bytes(&[packet]), bytes);
        assert_eq!(ClientPacket::decode(bytes), Ok(Some((packet, bytes.len()))));
    }
}

#[test]
fn server_packets_have_their_golden_bytes() {
    let accepted = LoginAccepted { session: Alpha(*session().as_bytes()), sequence: 42 };
    let golden: [(ServerPacket<'_>, &[u8]); 8] = [
        (ServerPacket::Accepted(accepted), ACCEPTED),
        (ServerPacket::Rejected(RejectReason::NotAuthorized), b"\x00\x02JA"),
        (ServerPacket::Rejected(RejectReason::SessionNotAvailable), b"\x00\x02JS"),
        (ServerPacket::Sequenced(b"abc"), b"\x00\x04Sabc"),
        (ServerPacket::Unsequenced(b"abc"), b"\x00\x04Uabc"),
        (ServerPacket::Heartbeat, b"\x00\x01H"),
        (ServerPacket::EndOfSession, b"\x00\x01Z"),
        (ServerPacket::Debug(b"hi"), b"\x00\x03+hi"),
    ];
    assert_eq!(ACCEPTED.len(), 33);
    for (packet, bytes) in golden {
        assert_eq!(server_bytes(&[packet]), bytes);
        assert_eq!(ServerPacket::decode(bytes), Ok(Some((packet, bytes.len()))));
    }
}

#[test]
fn a_faulty_header_is_told_before_its_payload() {
    use SoupError::*;
    let client: [(&[u8], SoupError, &str); 8] = [
        (b"\0\0", Empty, "packet length 0: a packet has at least its type byte"),
        (b"\xff\xff", TooLong { found: 65535 }, "packet length 65535: at most 1022 is taken"),
        (b"\x03\xff", TooLong { found: 1023 }, "packet length 1023: at most 1022 is taken"),
        (
            b"\0\x09S",
            UnknownType { found: b'S', sender: "client", allowed: "+ L U R O" },
            "packet type 'S' (0x53): a client sends one of + L U R O",
        ),
        (
            b"\0\x01\xff",
            UnknownType { found: 0xff, sender: "client", allowed: "+ L U R O" },
            "packet type 'ÿ' (0xff): a client sends one of + L U R O",
        ),
        (b"\0\x02R", WrongLength { packet: 'R', found: 2, allowed: "1" }, "packet 'R' of length 2: allowed is 1"),
        (b"\0\x05O", WrongLength { packet: 'O', found: 5, allowed: "1" }, "packet 'O' of length 5: allowed is 1"),
        (
            b"\0\x30L",
            WrongLength { packet: 'L', found: 48, allowed: "47, or 52 with a 4.10 time-out" },
            "packet 'L' of length 48: allowed is 47, or 52 with a 4.10 time-out",
        ),
    ];
    for (bytes, error, text) in client {
        assert_eq!(ClientPacket::decode(bytes), Err(error));
        assert_eq!(error.to_string(), text);
    }
    for (bytes, packet, allowed) in [
        (b"\0\x20A", 'A', "31"),
        (b"\0\x01J", 'J', "2"),
        (b"\0\x03J", 'J', "2"),
        (b"\0\x02H", 'H', "1"),
        (b"\0\x02Z", 'Z', "1"),
    ] {
        let found = usize::from(bytes[1]);
        assert_eq!(ServerPacket::decode(bytes), Err(WrongLength { packet, found, allowed }));
    }
    assert_eq!(ServerPacket::decode(b"\0\x02JX"), Err(BadRejectReason { found: b'X' }));
    assert_eq!(
        ServerPacket::decode(b"\0\x01R"),
        Err(UnknownType { found: b'R', sender: "server", allowed: "+ A J S U H Z" })
    );
}

#[test]
fn a_bad_number_is_told_with_its_place() {
    let number = |text: &[u8; 20]| {
        let mut bytes = LOGIN.to_vec();
        bytes[29..].copy_from_slice(text);
        ClientPacket::decode(&bytes).map(|packet| match packet {
            Some((ClientPacket::Login(request), _)) => request.sequence,
            other => panic!("no login: {other:?}"),
        })
    };
    let bad = |offset, found| {
        Err(SoupError::BadNumber { packet: 'L', field: "requested sequence", offset, found: Some(found) })
    };
    assert_eq!(number(b"   18446744073709551615"[3..].try_into().unwrap()), Ok(u64::MAX));
    assert_eq!(number(b"00000000000000000007"), Ok(7));
    assert_eq!(number(b"       0            "), Ok(0));
    assert_eq!(number(b"18446744073709551616"), bad(45, b'6'));
    assert_eq!(number(b"                    "), bad(26, b' '));
    assert_eq!(number(b"                  -1"), bad(44, b'-'));
    assert_eq!(number(b"                  1:"), bad(45, b':'));
    assert_eq!(number(b"                  1/"), bad(45, b'/'));
    assert_eq!(number(b"1 2                 "), bad(27, b' '));
    assert_eq!(number(b"  12x               "), bad(30, b'x'));
    assert_eq!(
        number(b"  12x               ").unwrap_err().to_string(),
        "packet 'L', requested sequence, payload offset 30: found 'x', not a decimal number in range"
    );
    let mut bytes = LOGIN_410.to_vec();
    bytes[50] = b'.';
    let error = SoupError::BadNumber { packet: 'L', field: "heartbeat timeout", offset: 47, found: Some(b'.') };
    assert_eq!(ClientPacket::decode(&bytes), Err(error));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut sink = Buffer::with_capacity(4096);
    let long = vec![0; MAX_PAYLOAD + 1];
    assert!(!ServerPacket::Sequenced(&long).encode(&mut sink));
    let slow = LoginRequest { heartbeat_timeout_ms: Some(100_000), ..login(1) };
    assert!(!ClientPacket::Login(slow).encode(&mut sink));
    assert!(sink.is_empty());
    assert!(ServerPacket::Sequenced(&long[1..]).encode(&mut sink));
    assert_eq!(sink.len(), MAX_PACKET);
    assert_eq!(ServerPacket::decode(sink.pending()), Ok(Some((ServerPacket::Sequenced(&long[1..]), MAX_PACKET))));
}

#[test]
fn session_names_are_ten_letters_or_digits() {
    assert!(SessionId::new("WB26112101").is_some());
    for bad in ["", "WB2611210", "WB261121011", "WB2611210 ", "WB26-11210"] {
        assert_eq!(SessionId::new(bad), None, "{bad}");
    }
}

fn any_client_packet() -> impl Strategy<Value = Vec<u8>> {
    let payload = proptest::collection::vec(any::<u8>(), 0..64);
    let login =
        (any::<[u8; 6]>(), any::<[u8; 10]>(), any::<[u8; 10]>(), any::<u64>(), proptest::option::of(0u32..100_000));
    prop_oneof![
        payload.clone().prop_map(|text| client_bytes(&[ClientPacket::Debug(&text)])),
        payload.prop_map(|message| client_bytes(&[ClientPacket::Unsequenced(&message)])),
        Just(client_bytes(&[ClientPacket::Heartbeat])),
        Just(client_bytes(&[ClientPacket::Logout])),
        login.prop_map(|(username, password, session, sequence, heartbeat_timeout_ms)| {
            client_bytes(&[ClientPacket::Login(LoginRequest {
                username: Alpha(username),
                password: Alpha(password),
                session: Alpha(session),
                sequence,
                heartbeat_timeout_ms,
            })])
        }),
    ]
}

proptest! {
    /// Every packet decodes from its own bytes alone, encodes to them again, and is incomplete when any byte is missing.
    #[test]
    fn packets_survive_the_round_trip(bytes in any_client_packet(), more in proptest::collection::vec(any::<u8>(), 0..8)) {
        for cut in 0..bytes.len() {
            prop_assert_eq!(ClientPacket::decode(&bytes[..cut]), Ok(None));
        }
        let (packet, length) = ClientPacket::decode(&bytes).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
        prop_assert_eq!(client_bytes(&[packet]), bytes.clone());
        let mut longer = bytes.clone();
        longer.extend(more);
        prop_assert_eq!(ClientPacket::decode(&longer), Ok(Some((packet, length))), "what follows does not count");
    }

    /// Any bytes give a packet within them, or nothing yet, or an error.
    #[test]
    fn garbage_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..80), short in any::<bool>()) {
        let mut bytes = bytes;
        if short && bytes.len() > 1 {
            bytes[0] = 0;
            bytes[1] %= 60;
        }
        for answer in [
            ClientPacket::decode(&bytes).map(|packet| packet.map(|(_, length)| length)),
            ServerPacket::decode(&bytes).map(|packet| packet.map(|(_, length)| length)),
        ] {
            if let Ok(Some(length)) = answer {
                prop_assert!((HEADER_BYTES..=bytes.len()).contains(&length));
            }
        }
    }
}
