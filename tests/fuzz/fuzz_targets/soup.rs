//! SoupBinTCP: packets from any bytes, and a server driven by any script.
//!
//! Each input is tried as packets of both directions, and then as a script of one-byte steps with their arguments: bytes from
//! a client in any pieces, messages generated and released, a sink that is often full, time, the end of the session. Whatever
//! happens, the server must say well-formed packets, in the order that the protocol has, every message once and in order, and
//! none before it is released.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebook::session::soup::{
    ClientPacket, EndReason, History, Input, LoginRequest, MAX_PACKET, MAX_PAYLOAD, Phase, Server, ServerConfig,
    ServerPacket, SessionId,
};
use wirebook::session::{Alpha, Buffer};

fuzz_target!(|data: &[u8]| {
    packets(data);
    Script::new(data).run();
});

fn packets(data: &[u8]) {
    let mut sink = Buffer::with_capacity(MAX_PACKET);
    if let Ok(Some((packet, length))) = ClientPacket::decode(data) {
        assert!(length <= data.len().min(MAX_PACKET));
        assert!(packet.encode(&mut sink));
        match packet {
            // Numbers may have come with other padding; what they say is the same.
            ClientPacket::Login(_) => assert_eq!(ClientPacket::decode(sink.pending()), Ok(Some((packet, sink.len())))),
            _ => assert_eq!(sink.pending(), &data[..length]),
        }
        assert_eq!(ClientPacket::decode(&data[..length - 1]), Ok(None), "complete without its last byte");
    }
    sink.clear();
    if let Ok(Some((packet, length))) = ServerPacket::decode(data) {
        assert!(length <= data.len().min(MAX_PACKET));
        assert!(packet.encode(&mut sink));
        match packet {
            ServerPacket::Accepted(_) => {
                assert_eq!(ServerPacket::decode(sink.pending()), Ok(Some((packet, sink.len()))));
            }
            _ => assert_eq!(sink.pending(), &data[..length]),
        }
        assert_eq!(ServerPacket::decode(&data[..length - 1]), Ok(None), "complete without its last byte");
    }
}

/// Messages that say their own numbers; those below `first` are forgotten.
struct Numbers {
    messages: Vec<[u8; 8]>,
    released: u64,
    first: u64,
}

impl History for Numbers {
    fn next_sequence(&self) -> u64 {
        self.messages.len() as u64 + 1
    }

    fn released(&self) -> u64 {
        self.released
    }

    fn get(&self, sequence: u64) -> Option<&[u8]> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.messages.get(index).filter(|_| sequence >= self.first).map(|message| &message[..])
    }
}

struct Script<'a> {
    data: &'a [u8],
    server: Server,
    history: Numbers,
    to_server: Buffer,
    sink: Buffer,
    wire: Buffer,
    now: u64,
    asked: Option<LoginRequest>,
    /// The number that the next sequenced packet must have, once a login was accepted.
    expected: Option<u64>,
    /// Whether a packet was seen after which there must be none.
    over: bool,
}

impl<'a> Script<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            server: Server::new(ServerConfig::default(), 0),
            history: Numbers { messages: Vec::new(), released: 0, first: 1 },
            to_server: Buffer::with_capacity(4 * MAX_PACKET),
            sink: Buffer::with_capacity(64),
            wire: Buffer::with_capacity(4 * MAX_PACKET),
            now: 0,
            asked: None,
            expected: None,
            over: false,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.data.split_first()?;
        self.data = rest;
        Some(byte)
    }

    fn run(mut self) {
        let session = SessionId::new("FUZZ000001").expect("ten letters and digits");
        while let Some(step) = self.byte() {
            let count = self.byte().unwrap_or(1);
            match step % 11 {
                0 => self.generate(count % 16),
                1 => {
                    self.history.released =
                        (self.history.released + u64::from(count % 16)).min(self.history.next_sequence() - 1)
                }
                2 => self.client_says(usize::from(count)),
                3 => self.login(session, count),
                4 => {
                    let message = vec![step; usize::from(count).min(MAX_PAYLOAD)];
                    ClientPacket::Unsequenced(&message).encode(&mut self.to_server);
                }
                5 => self.carry(usize::from(count)),
                6 => self.now += u64::from(count) * 100_000_000,
                7 => self.answer(session, count != 0),
                8 => drop(ClientPacket::Heartbeat.encode(&mut self.to_server)),
                9 if count == 7 => self.server.end_session(self.now),
                9 if count == 8 => self.history.first = self.history.released,
                _ => {}
            }
            self.read();
            self.poll();
        }
    }

    fn generate(&mut self, count: u8) {
        for _ in 0..count {
            let number = self.history.next_sequence();
            self.history.messages.push(number.to_be_bytes());
        }
    }

    /// The next `count` bytes of the script come from the client as they are.
    fn client_says(&mut self, count: usize) {
        let (bytes, rest) = self.data.split_at(count.min(self.data.len()).min(self.to_server.room()));
        self.to_server.spare()[..bytes.len()].copy_from_slice(bytes);
        self.to_server.filled(bytes.len());
        self.data = rest;
    }

    fn login(&mut self, session: SessionId, count: u8) {
        let named = count >= 128;
        let request = LoginRequest {
            username: Alpha(*b"fuzzer"),
            password: Alpha::BLANK,
            session: if named { Alpha(*session.as_bytes()) } else { Alpha::BLANK },
            sequence: u64::from(count % 128),
            heartbeat_timeout_ms: (count % 3 == 0).then_some(u32::from(count) * 100),
        };
        ClientPacket::Login(request).encode(&mut self.to_server);
    }

    fn answer(&mut self, session: SessionId, good: bool) {
        let Some(request) = self.asked.take() else { return };
        if !good {
            return self.server.reject(self.now);
        }
        let before = self.server.phase();
        match self.server.accept(&request, session, &self.history, self.now) {
            Ok(first) => {
                assert_eq!(before, Phase::AwaitingLogin);
                assert!(first >= 1 && first <= self.history.released + 1);
                assert!(!(cfg!(feature = "planted") && request.sequence == 3 && first == 3), "planted");
                self.expected = Some(first);
            }
            Err(reason) => {
                assert!(matches!(self.server.phase(), Phase::Closing(same) | Phase::Ended(same) if same == reason))
            }
        }
    }

    /// Hands everything that has arrived to the server.
    fn read(&mut self) {
        loop {
            let pending = self.to_server.pending();
            let received = self.server.receive(pending, self.now);
            assert!(received.consumed <= pending.len());
            let more = received.input.is_some();
            match received.input {
                Some(Input::Login(request)) => self.asked = Some(request),
                Some(Input::Message(message)) => {
                    assert!(self.expected.is_some(), "a message without a login");
                    assert!(message.len() <= MAX_PAYLOAD);
                }
                Some(Input::Ended(reason)) => assert_eq!(self.server.phase(), Phase::Ended(reason)),
                None => {}
            }
            self.to_server.consume(received.consumed);
            if !more {
                return;
            }
        }
    }

    fn poll(&mut self) {
        let before = self.sink.len();
        let was_logged_in = matches!(self.server.phase(), Phase::Active | Phase::Replaying);
        let phase = self.server.poll(self.now, &self.history, &mut self.sink);
        match phase {
            Phase::Ended(EndReason::HistoryFault { sequence }) => {
                assert!(self.history.get(sequence).is_none(), "message {sequence} is there");
            }
            Phase::Closing(EndReason::EndOfSession) | Phase::Ended(EndReason::EndOfSession) if was_logged_in => {
                assert_eq!(
                    self.server.next_sequence(),
                    self.history.next_sequence(),
                    "ended before everything was sent"
                );
            }
            Phase::Active | Phase::Replaying => assert!(self.server.next_deadline() > self.now, "polling would spin"),
            _ => {}
        }
        if phase == Phase::AwaitingLogin {
            assert_eq!(self.sink.len(), before, "something was said before the login");
        }
    }

    /// Moves bytes on to the client, and checks every packet that is complete there.
    fn carry(&mut self, count: usize) {
        let count = count.min(self.sink.len()).min(self.wire.room());
        self.wire.spare()[..count].copy_from_slice(&self.sink.pending()[..count]);
        self.wire.filled(count);
        self.sink.consume(count);
        while let Some((packet, length)) = ServerPacket::decode(self.wire.pending()).expect("a server says packets") {
            assert!(!self.over, "{packet:?} after the end");
            match packet {
                ServerPacket::Sequenced(message) => {
                    let expected = self.expected.as_mut().expect("messages follow a login");
                    assert_eq!(message, expected.to_be_bytes(), "out of order");
                    assert!(*expected <= self.history.released, "told before it was released");
                    *expected += 1;
                }
                ServerPacket::Accepted(accepted) => assert_eq!(Some(accepted.sequence), self.expected),
                ServerPacket::Rejected(_) => {
                    assert_eq!(self.expected, None);
                    self.over = true;
                }
                ServerPacket::EndOfSession => {
                    assert!(self.expected.is_none_or(|next| next == self.server.next_sequence()), "cut short");
                    self.over = true;
                }
                ServerPacket::Heartbeat => assert!(self.expected.is_some()),
                ServerPacket::Debug(_) | ServerPacket::Unsequenced(_) => panic!("a server does not send {packet:?}"),
            }
            self.wire.consume(length);
        }
    }
}
