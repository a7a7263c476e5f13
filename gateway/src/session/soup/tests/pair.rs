//! Both ends against each other, over a wire that cuts bytes anywhere and breaks at any time.

use proptest::prelude::*;

use super::super::*;
use super::{List, SECOND, login, session};
use crate::session::{Buffer, Sink};

/// What happens next on the wire.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many messages are generated.
    Generate(u8),
    /// Up to so many more are released.
    Release(u8),
    /// So many bytes move from the server to the client.
    Down(u8),
    /// So many bytes move from the client to the server.
    Up(u8),
    /// The client sends a message.
    Say,
    /// Time passes, in milliseconds.
    Wait(u16),
    /// The connection breaks; what is under way is lost, and the client comes back.
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(|count| Step::Generate(count % 5)),
        3 => any::<u8>().prop_map(|count| Step::Release(count % 5)),
        6 => any::<u8>().prop_map(Step::Down),
        6 => any::<u8>().prop_map(Step::Up),
        2 => Just(Step::Say),
        2 => (0..2_000u16).prop_map(Step::Wait),
        1 => Just(Step::Break),
    ]
}

struct World {
    history: List,
    server: Server,
    client: Client,
    /// Deliberately small: it is often full.
    down: Buffer,
    up: Buffer,
    client_reads: Buffer,
    server_reads: Buffer,
    now: u64,
    told: u64,
    said: u64,
    heard: u64,
}

impl World {
    fn new() -> Self {
        Self {
            history: List::of(0, 0),
            server: Server::new(ServerConfig::default(), 0),
            client: Client::new(ClientConfig::new(login(1)), 0),
            down: Buffer::with_capacity(50),
            up: Buffer::with_capacity(100),
            client_reads: Buffer::with_capacity(MAX_PACKET),
            server_reads: Buffer::with_capacity(MAX_PACKET),
            now: 0,
            told: 0,
            said: 0,
            heard: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Generate(count) => {
                for _ in 0..count {
                    let number = self.history.next_sequence();
                    self.history.messages.push(number.to_be_bytes().to_vec());
                }
            }
            Step::Release(count) => {
                self.history.released =
                    (self.history.released + u64::from(count)).min(self.history.next_sequence() - 1);
            }
            Step::Down(count) => carry(&mut self.down, &mut self.client_reads, count.into()),
            Step::Up(count) => carry(&mut self.up, &mut self.server_reads, count.into()),
            Step::Say => {
                let next = self.said + 1;
                if self.client.send(&next.to_be_bytes(), self.now, &mut self.up) {
                    self.said = next;
                }
            }
            Step::Wait(ms) => self.now += u64::from(ms) * 1_000_000,
            Step::Break => {
                for wire in [&mut self.down, &mut self.up, &mut self.client_reads, &mut self.server_reads] {
                    wire.clear();
                }
                self.server = Server::new(ServerConfig::default(), self.now);
                self.client.end(ClientEnd::Disconnected);
                self.client.reconnect(self.now);
                self.heard = self.said;
            }
        }
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            let received = self.server.receive(self.server_reads.pending(), self.now);
            match received.input {
                Some(Input::Login(request)) => {
                    let first = self.server.accept(&request, session(), &self.history, self.now);
                    assert_eq!(first, Ok(self.told + 1), "the client asks for what it has not seen");
                }
                Some(Input::Message(message)) => {
                    self.heard += 1;
                    assert_eq!(message, self.heard.to_be_bytes(), "client messages arrive in order");
                }
                Some(Input::Ended(reason)) => panic!("the server ended: {reason}"),
                None => {}
            }
            let done = received.input.is_none();
            self.server_reads.consume(received.consumed);
            if done {
                break;
            }
        }
        self.server.poll(self.now, &self.history, &mut self.down);
        loop {
            let received = self.client.receive(self.client_reads.pending(), self.now);
            match received.input {
                Some(ClientInput::Message { sequence, payload }) => {
                    self.told += 1;
                    assert_eq!(sequence, self.told, "each once, in order");
                    assert_eq!(payload, sequence.to_be_bytes());
                    assert!(sequence <= self.history.released, "told before it was released");
                }
                Some(ClientInput::Accepted { sequence, .. }) => assert_eq!(sequence, self.told + 1),
                Some(other) => panic!("unexpected: {other:?}"),
                None => {}
            }
            let done = received.input.is_none();
            self.client_reads.consume(received.consumed);
            if done {
                break;
            }
        }
        self.client.poll(self.now, &mut self.up);
    }
}

/// Moves up to `count` bytes.
fn carry(from: &mut Buffer, to: &mut Buffer, count: usize) {
    let count = count.min(from.len()).min(to.room());
    assert!(to.append(&from.pending()[..count], &[]));
    from.consume(count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the wire does, the client is told every released message once and in order, and never one that is not released.
    #[test]
    fn every_released_message_is_told_once(steps in proptest::collection::vec(step(), 0..300)) {
        let mut world = World::new();
        let mut silent_since = 0;
        for step in steps {
            // No time-out may strike: bytes must flow now and then.
            if world.now - silent_since > 5 * SECOND {
                for _ in 0..4 {
                    world.step(Step::Down(255));
                    world.step(Step::Up(255));
                }
                silent_since = world.now;
            }
            world.step(step);
        }
        world.step(Step::Generate(3));
        world.history.released = world.history.next_sequence() - 1;
        for _ in 0..world.history.released + 10 {
            world.step(Step::Down(255));
            world.step(Step::Up(255));
        }
        prop_assert_eq!(world.told, world.history.released, "everything arrives in the end");
        prop_assert_eq!(world.heard, world.said);
    }
}
