//! A SoupBinTCP and OUCH 5.0 client from the bytes up, for tests: blocking, one thread, every wait bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long any answer may take before a test gives up. Not a measure of speed: machines are shared.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sequenced message: its number in the session, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// From 1.
    pub sequence: u64,
    /// The OUCH message.
    pub bytes: Vec<u8>,
}

impl Message {
    /// The type byte.
    pub fn kind(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(0)
    }

    /// The big-endian u32 at `offset`.
    pub fn u32(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.bytes[offset..offset + 4].try_into().expect("four bytes"))
    }

    /// The big-endian u64 at `offset`.
    pub fn u64(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.bytes[offset..offset + 8].try_into().expect("eight bytes"))
    }
}

/// The kinds of messages, a letter each.
pub fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|message| message.kind() as char).collect()
}

/// What the server said to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// The session's name and the number of the next message.
    Accepted {
        /// Ten characters, trimmed.
        session: String,
        /// Next sequence number.
        next: u64,
    },
    /// The reason byte.
    Rejected(u8),
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    next: u64,
    /// Whether the server ended the session, or closed.
    pub ended: bool,
    /// Whether it said that the session is over (`Z`).
    pub session_over: bool,
}

impl Client {
    /// Connects, and says nothing yet.
    pub fn connect(address: &str) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).context(format!("connecting to {address}"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), next: 0, ended: false, session_over: false })
    }

    /// Sends a login request and waits for the answer. `sequence` 0 asks for the most recent.
    pub fn login(&mut self, username: &str, password: &str, session: &str, sequence: u64) -> Result<Login> {
        let mut packet = vec![0, 47, b'L'];
        packet.extend_from_slice(format!("{username:<6}{password:<10}{session:<10}{sequence:>20}").as_bytes());
        self.stream.write_all(&packet)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.packet(deadline)? {
                Some((b'A', body)) => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    let next = text[10..].trim().parse().context("sequence of Login Accepted")?;
                    self.next = next;
                    return Ok(Login::Accepted { session: text[..10].trim().into(), next });
                }
                Some((b'J', body)) => return Ok(Login::Rejected(body[0])),
                Some((b'+' | b'H', _)) => {}
                Some((kind, _)) => bail!("a {:?} packet came before the answer to the login", kind as char),
                None => bail!("the server closed, or was silent, before it answered the login"),
            }
        }
    }

    /// Connects and logs in; the login must be accepted.
    pub fn session(address: &str, username: &str, session: &str, sequence: u64) -> Result<(Self, String)> {
        let mut client = Self::connect(address)?;
        match client.login(username, "wirebook", session, sequence)? {
            Login::Accepted { session, .. } => Ok((client, session)),
            Login::Rejected(reason) => bail!("{username}: login rejected with {:?}", reason as char),
        }
    }

    /// Number of the next sequenced message.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Sends raw bytes: whatever a test wants to say.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("sending")
    }

    /// Sends messages, each as one unsequenced packet, in one write.
    pub fn send(&mut self, messages: &[Vec<u8>]) -> Result<()> {
        let mut bytes = Vec::with_capacity(messages.len() * 64);
        for message in messages {
            bytes.extend_from_slice(&(message.len() as u16 + 1).to_be_bytes());
            bytes.push(b'U');
            bytes.extend_from_slice(message);
        }
        self.raw(&bytes)
    }

    /// The next sequenced message; `None` when the server ended, closed, or sent nothing for `patience`.
    pub fn message_within(&mut self, patience: Duration) -> Result<Option<Message>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.packet(deadline)? {
                Some((b'S', bytes)) => {
                    let sequence = self.next;
                    self.next += 1;
                    return Ok(Some(Message { sequence, bytes }));
                }
                Some((b'Z', _)) => {
                    (self.ended, self.session_over) = (true, true);
                    return Ok(None);
                }
                Some((b'+' | b'H' | b'U', _)) => {}
                Some((kind, _)) => bail!("an unexpected {:?} packet", kind as char),
                None => return Ok(None),
            }
        }
    }

    /// The next sequenced message, which must come.
    pub fn message(&mut self) -> Result<Message> {
        let next = self.next;
        self.message_within(PATIENCE)?.with_context(|| format!("no message {next} came (ended: {})", self.ended))
    }

    /// Everything up to and with message number `last`.
    pub fn messages_to(&mut self, last: u64) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while self.next <= last {
            messages.push(self.message()?);
        }
        Ok(messages)
    }

    /// Enters `count` orders that rest, numbers from `first`, one packet each.
    pub fn rest(&mut self, first: u32, count: u32) -> Result<Vec<Message>> {
        let mut told = Vec::new();
        for reference in first..first + count {
            self.send(&[enter(reference, b'B', 10, "AAPL", 1_000_000, b'0')])?;
            let message = self.message()?;
            ensure!(message.kind() == b'A' && message.u32(9) == reference, "order {reference}: {message:?}");
            told.push(message);
        }
        Ok(told)
    }

    /// Asks for the next usable reference, and returns everything up to the answer, with the answer's number.
    pub fn barrier(&mut self) -> Result<(Vec<Message>, u32)> {
        self.send(&[query()])?;
        let mut messages = Vec::new();
        loop {
            let message = self.message()?;
            let answer = (message.kind() == b'Q').then(|| message.u32(9));
            messages.push(message);
            if let Some(next) = answer {
                return Ok((messages, next));
            }
        }
    }

    /// Says goodbye and waits for the server to close.
    pub fn logout(mut self) -> Result<()> {
        self.raw(&[0, 1, b'O'])?;
        let deadline = Instant::now() + PATIENCE;
        while self.packet(deadline)?.is_some() {}
        if self.ended { Ok(()) } else { bail!("the server did not close after a logout") }
    }

    /// Whether the server has closed, or closes within `patience`; whatever it still sends is dropped.
    pub fn closes_within(&mut self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while self.packet(deadline)?.is_some() {}
        Ok(self.ended)
    }

    /// The next packet's type and payload; `None` at the deadline, or once the server closed.
    fn packet(&mut self, deadline: Instant) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            if self.buffer.len() >= 3 {
                let length = usize::from(u16::from_be_bytes([self.buffer[0], self.buffer[1]]));
                if self.buffer.len() >= 2 + length {
                    let packet: Vec<u8> = self.buffer.drain(..2 + length).collect();
                    return Ok(Some((packet[2], packet[3..].to_vec())));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left.min(Duration::from_secs(1))))?;
            let mut chunk = [0u8; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                        // A client that says nothing for 15 s is taken for dead.
                        let _ = self.stream.write_all(&[0, 1, b'R']);
                    }
                    std::io::ErrorKind::Interrupted => {}
                    _ => {
                        self.ended = true;
                        return Ok(None);
                    }
                },
            }
        }
    }
}

/// Enter Order, 47 bytes: visible, principal, continuous.
pub fn enter(reference: u32, side: u8, quantity: u32, symbol: &str, price: u64, time_in_force: u8) -> Vec<u8> {
    let mut m = vec![b'O'];
    m.extend_from_slice(&reference.to_be_bytes());
    m.push(side);
    m.extend_from_slice(&quantity.to_be_bytes());
    m.extend_from_slice(format!("{symbol:<8}").as_bytes());
    m.extend_from_slice(&price.to_be_bytes());
    m.extend_from_slice(&[time_in_force, b'Y', b'P', b'N', b'N']);
    m.extend_from_slice(format!("{:<14}", format!("T{reference}")).as_bytes());
    m.extend_from_slice(&[0, 0]);
    m
}

/// Replace Order Request, 40 bytes.
pub fn replace(original: u32, reference: u32, quantity: u32, price: u64) -> Vec<u8> {
    let mut m = vec![b'U'];
    m.extend_from_slice(&original.to_be_bytes());
    m.extend_from_slice(&reference.to_be_bytes());
    m.extend_from_slice(&quantity.to_be_bytes());
    m.extend_from_slice(&price.to_be_bytes());
    m.extend_from_slice(b"0YN");
    m.extend_from_slice(format!("{:<14}", format!("T{reference}")).as_bytes());
    m.extend_from_slice(&[0, 0]);
    m
}

/// Cancel Order Request, 9 bytes; `quantity` is the new intended size, 0 to cancel.
pub fn cancel(reference: u32, quantity: u32) -> Vec<u8> {
    let mut m = vec![b'X'];
    m.extend_from_slice(&reference.to_be_bytes());
    m.extend_from_slice(&quantity.to_be_bytes());
    m
}

/// Account Query Request, 1 byte.
pub fn query() -> Vec<u8> {
    vec![b'Q']
}
