//! Tests of the packets and of both ends of a connection.

mod client;
mod packet;
mod pair;
mod server;

use super::{ClientPacket, History, LoginRequest, ServerPacket, SessionId};
use crate::session::{Alpha, Buffer};

const SECOND: u64 = 1_000_000_000;

/// A history over a list, with everything below `first` forgotten.
struct List {
    messages: Vec<Vec<u8>>,
    first: u64,
    released: u64,
}

impl List {
    /// `count` messages, `released` of them released; each says its own number.
    fn of(count: u64, released: u64) -> Self {
        let messages = (1..=count).map(|number| number.to_be_bytes().to_vec()).collect();
        Self { messages, first: 1, released }
    }
}

impl History for List {
    fn next_sequence(&self) -> u64 {
        self.messages.len() as u64 + 1
    }

    fn released(&self) -> u64 {
        self.released
    }

    fn get(&self, sequence: u64) -> Option<&[u8]> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.messages.get(index).filter(|_| sequence >= self.first).map(Vec::as_slice)
    }
}

fn session() -> SessionId {
    SessionId::new("WB26112101").unwrap()
}

fn login(sequence: u64) -> LoginRequest {
    LoginRequest {
        username: Alpha::new("user01").unwrap(),
        password: Alpha::new("pass").unwrap(),
        session: Alpha::BLANK,
        sequence,
        heartbeat_timeout_ms: None,
    }
}

fn client_bytes(packets: &[ClientPacket<'_>]) -> Vec<u8> {
    let mut sink = Buffer::with_capacity(1 << 16);
    assert!(packets.iter().all(|packet| packet.encode(&mut sink)));
    sink.pending().to_vec()
}

fn server_bytes(packets: &[ServerPacket<'_>]) -> Vec<u8> {
    let mut sink = Buffer::with_capacity(1 << 16);
    assert!(packets.iter().all(|packet| packet.encode(&mut sink)));
    sink.pending().to_vec()
}
