//! The port at which a validator takes batches and answers questions.
//!
//! A thread for each connection, of which there are few: a gateway, other validators that catch up, readers. Whoever says nothing for
//! [`PATIENCE`] is let go. What is offered is checked for the gateway's signature before anything is kept of it.

use std::io::{self, BufReader, BufWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ed25519_dalek::SigningKey;

use super::inbox::OfferError;
use super::status::{Finalized, WaitError};
use super::wire::{Answer, Request, Tip, read_frame};
use crate::batch::{Batch, VerifyingKey};
use crate::proof::block::Note;

/// Connections at a time.
pub const MAX_CONNECTIONS: usize = 64;
/// How long a connection may be silent.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The longest wait that is asked for at once.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What answers: a validator.
pub trait Node: Send + Sync + 'static {
    /// Takes a batch whose signature has been checked.
    ///
    /// # Errors
    /// As [`super::inbox`] and the validator say.
    fn offer(&self, batch: Batch) -> Result<(), OfferError>;

    /// How far it is.
    fn finalized(&self) -> Finalized;

    /// Waits.
    ///
    /// # Errors
    /// The time is over, or settlement has stopped.
    fn wait(&self, height: u64, timeout: Duration) -> Result<Finalized, WaitError>;

    /// A finalized batch.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn batch(&self, number: u64) -> Result<Batch, String>;

    /// The newest certificate, as an answer.
    fn certified(&self) -> Option<Answer>;

    /// Proves a balance: see [`Request::Read`].
    ///
    /// # Errors
    /// Why it cannot be answered, or not in time.
    fn read(&self, account: u32, asset: u16, note: Option<Note>, patience: Duration) -> Result<Vec<u8>, String>;

    /// Proves the newest batch that is final.
    ///
    /// # Errors
    /// Why it cannot be answered.
    fn anchor(&self) -> Result<Vec<u8>, String>;

    /// A piece of a snapshot, of the newest for number 0, from an offset on: its number, the length of all, the bytes.
    ///
    /// # Errors
    /// Why it cannot be answered.
    fn snapshot(&self, number: u64, offset: u64) -> Result<(u64, u64, Vec<u8>), String>;

    /// How long the newest batches took: see [`Answer::Timings`].
    fn timings(&self) -> Vec<(u64, u32)>;

    /// Why settlement has stopped, if it has.
    fn fault(&self) -> Option<String>;

    /// Metrics, in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// What a service must know.
#[derive(Clone)]
pub struct Identity {
    /// The shard that is settled.
    pub shard: u16,
    /// Whose batches are taken.
    pub gateway: VerifyingKey,
    /// What tips are signed with: the validator's own key.
    pub key: SigningKey,
}

/// A running service. Dropping it closes the port and lets go of connections as they next speak.
pub struct Service {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Listens at `address`; port 0 is the system's choice.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(address: SocketAddr, identity: Identity, node: Arc<dyn Node>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new().name("port".into()).spawn(move || accept(&listener, &identity, &node, &stop))?
        };
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The listener wakes for a connection, and sees that it is to stop.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, identity: &Identity, node: &Arc<dyn Node>, stop: &Arc<AtomicBool>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            // Out of descriptors, most likely: others must end first.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if open.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (identity, node, stop, open) = (identity.clone(), node.clone(), stop.clone(), open.clone());
        let served = std::thread::Builder::new().name("asker".into()).spawn({
            let open = open.clone();
            move || {
                // A connection that breaks is the asker's matter.
                let _ = serve(&stream, &identity, node.as_ref(), &stop);
                open.fetch_sub(1, Ordering::AcqRel);
            }
        });
        if served.is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn serve(stream: &TcpStream, identity: &Identity, node: &dyn Node, stop: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut reader, mut writer) = (BufReader::new(stream), BufWriter::new(stream));
    let mut buffer = Vec::new();
    let mut greeted = false;
    while let Some(kind) = read_frame(&mut reader, &mut buffer)? {
        let request = match Request::parse(kind, &buffer) {
            Ok(request) => request,
            Err(error) => {
                Answer::No(error.to_string()).write(&mut writer)?;
                return writer.flush();
            }
        };
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        let answer = match request {
            Request::Hello { shard } if shard == identity.shard => {
                greeted = true;
                tip(identity, node.finalized())
            }
            Request::Hello { shard } => {
                Answer::No(format!("this validator settles shard {}, not {shard}", identity.shard))
            }
            _ if !greeted => Answer::No("say hello first".into()),
            Request::Offer(bytes) => offer(identity, node, bytes),
            Request::Tip => tip(identity, node.finalized()),
            Request::Wait { height, millis } => {
                let timeout = Duration::from_millis(millis.into()).min(MAX_WAIT);
                match node.wait(height, timeout) {
                    Ok(finalized) => tip(identity, finalized),
                    Err(WaitError::Timeout { reached, .. } | WaitError::Stopped { reached }) => tip(identity, reached),
                    Err(WaitError::Fault(fault)) => Answer::Refused(fault.to_string()),
                }
            }
            Request::Batch(number) => match node.batch(number) {
                Ok(batch) => Answer::Batch(batch.as_bytes().to_vec()),
                Err(why) => Answer::No(why),
            },
            Request::Certified => node.certified().unwrap_or_else(|| Answer::No("there is no certificate yet".into())),
            Request::Metrics => Answer::Text(node.metrics()),
            Request::Read { account, asset, note, millis } => {
                let patience = Duration::from_millis(millis.into()).min(MAX_WAIT);
                node.read(account, asset, note, patience).map_or_else(Answer::No, Answer::Proof)
            }
            Request::Snapshot { number, offset } => match node.snapshot(number, offset) {
                Ok((number, total, bytes)) => Answer::Piece { number, total, bytes },
                Err(why) => Answer::No(why),
            },
            Request::Timings => Answer::Timings(node.timings()),
            Request::Anchor => node.anchor().map_or_else(Answer::No, Answer::Proof),
        };
        answer.write(&mut writer)?;
        writer.flush()?;
    }
    Ok(())
}

fn tip(identity: &Identity, finalized: Finalized) -> Answer {
    Answer::Tip(Tip::sign(identity.shard, finalized, &identity.key))
}

fn offer(identity: &Identity, node: &dyn Node, bytes: &[u8]) -> Answer {
    let checked = Batch::decode(bytes).and_then(|batch| batch.verify_signature(&identity.gateway).map(|()| batch));
    let batch = match checked {
        Ok(batch) => batch,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    if batch.header().shard != identity.shard {
        let found = batch.header().shard;
        return Answer::Refused(format!("it is of shard {found}, this validator settles shard {}", identity.shard));
    }
    match node.offer(batch) {
        Ok(()) => Answer::Taken,
        Err(OfferError::Full) => Answer::Full,
        Err(OfferError::Gap { expected, .. }) => Answer::Gap(expected),
        Err(OfferError::Fault(fault)) => Answer::Refused(fault.to_string()),
        Err(OfferError::Stopped) => Answer::No("the validator is shutting down".into()),
    }
}
