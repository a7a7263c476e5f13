//! The other end of a validator's port: one connection, requests and answers in turn.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::wire::{Answer, Request, Tip};

/// How long a validator may take to answer, beyond what it was asked to wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

/// A connection to a validator.
pub struct Client {
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
    /// What it said of itself at first.
    pub tip: Tip,
}

fn unexpected(answer: &Answer) -> io::Error {
    let what = match answer {
        Answer::No(why) | Answer::Refused(why) => why.clone(),
        _ => "the validator's answer is of another kind than was asked for".to_owned(),
    };
    io::Error::other(what)
}

impl Client {
    /// Connects, and checks that whoever answers has the key `expected`, if one is.
    ///
    /// # Errors
    /// What the connection reports; another shard, another key, or a tip that its key has not signed.
    pub fn connect(address: SocketAddr, shard: u16, expected: Option<&[u8; 32]>) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (mut stream, mut buffer) = (BufReader::new(stream), Vec::new());
        let greeting = Request::Hello { shard };
        greeting.write(stream.get_mut())?;
        let tip = match Answer::read(&mut stream, &mut buffer)? {
            Answer::Tip(tip) => tip,
            other => return Err(unexpected(&other)),
        };
        let client = Self { stream, buffer, tip };
        client.check(&tip, expected.unwrap_or(&tip.validator))?;
        Ok(client)
    }

    fn check(&self, tip: &Tip, validator: &[u8; 32]) -> io::Result<()> {
        if tip.validator == *validator && tip.shard == self.tip.shard && tip.verifies() {
            return Ok(());
        }
        Err(io::Error::other("who answers is not the validator with the expected key"))
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// What the connection reports. It is not to be used again then.
    pub fn ask(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        let patience = match request {
            Request::Wait { millis, .. } | Request::Read { millis, .. } => {
                PATIENCE + Duration::from_millis((*millis).into())
            }
            _ => PATIENCE,
        };
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        request.write(self.stream.get_mut())?;
        self.stream.get_mut().flush()?;
        Answer::read(&mut self.stream, &mut self.buffer)
    }

    /// How far it is, once batch `height` is final there or the time is over.
    ///
    /// # Errors
    /// As [`Client::ask`], a fault of the validator, and a tip that its key has not signed.
    pub fn wait(&mut self, height: u64, timeout: Duration) -> io::Result<Tip> {
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        match self.ask(&Request::Wait { height, millis })? {
            Answer::Tip(tip) => {
                let validator = self.tip.validator;
                self.check(&tip, &validator)?;
                self.tip = tip;
                Ok(tip)
            }
            other => Err(unexpected(&other)),
        }
    }
}
