//! Validators of one committee on loopback, in this process: each with its own runtime, directory, vault, store and state machine.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;
use wirebook_settlement::batch::{Batch, Digest32, SigningKey, VerifyingKey};
use wirebook_settlement::execute::MachineExecutor;
use wirebook_settlement::sim::venue::SHARD;
use wirebook_settlement::validator::embedded::{
    Config, EmbeddedValidator, Finalized, Handle, Member, Membership, Observer, OfferError, Timing,
};
use wirebook_settlement::validator::executor::Executor;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The floor of state machines: it believes every batch.
pub struct Nothing {
    height: u64,
    root: Digest32,
}

impl Nothing {
    /// Where every chain begins.
    pub fn new() -> Self {
        Self { height: 0, root: MachineExecutor::new(SHARD).root() }
    }
}

impl Executor for Nothing {
    fn height(&self) -> u64 {
        self.height
    }

    fn root(&self) -> Digest32 {
        self.root
    }

    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String> {
        (self.height, self.root) = (batch.number(), batch.header().next_root);
        Ok(self.root)
    }
}

/// When what happened, by batch number.
#[derive(Default)]
struct Seen {
    /// When the first validator had the certificate.
    certified: BTreeMap<u64, Instant>,
    /// How many validators have it durable, and since when the one that made it `f + 1` has.
    durable: BTreeMap<u64, (usize, Option<Instant>)>,
}

/// Told by all validators.
#[derive(Default)]
struct Clock {
    seen: Mutex<Seen>,
    changed: Condvar,
    enough: usize,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Clock {
    fn certified(&self, number: u64) {
        let now = Instant::now();
        self.lock().certified.entry(number).or_insert(now);
        self.changed.notify_all();
    }

    fn finalized(&self, finalized: &Finalized) {
        let now = Instant::now();
        let mut seen = self.lock();
        let (count, since) = seen.durable.entry(finalized.height).or_insert((0, None));
        *count += 1;
        if *count == self.enough {
            *since = Some(now);
        }
        drop(seen);
        self.changed.notify_all();
    }
}

/// A running committee.
pub struct Committee {
    validators: Vec<Handle>,
    clock: Arc<Clock>,
    next: u64,
    _dirs: Vec<TempDir>,
}

impl Committee {
    /// Starts validators whose state machines `executor` makes, and waits until they settle.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn start(count: usize, gateway: VerifyingKey, mut executor: impl FnMut() -> Box<dyn Executor>) -> Result<Self> {
        let clock = Arc::new(Clock { enough: (count - 1) / 3 + 1, ..Clock::default() });
        let mut dirs = Vec::new();
        let mut members = Vec::new();
        for at in 0..count {
            let dir = tempfile::tempdir()?;
            let key = SigningKey::from_bytes(&[at as u8 + 1; 32]);
            std::fs::write(dir.path().join("validator.key"), key.to_bytes())?;
            members.push(Member { key: key.verifying_key().to_bytes(), address: free_address()? });
            dirs.push(dir);
        }
        let mut validators = Vec::new();
        for (dir, member) in dirs.iter().zip(&members) {
            let membership = match count {
                1 => Membership::Alone,
                _ => Membership::Committee { listen: member.address, members: members.clone() },
            };
            let timing = Timing { leader: Duration::from_secs(1), certification: Duration::from_secs(2) };
            let config = Config {
                membership,
                timing,
                observer: Some(clock.clone()),
                ..Config::alone(dir.path().to_owned(), SHARD, gateway)
            };
            validators.push(EmbeddedValidator::start(config, Boxed(executor()))?);
        }
        Ok(Self { validators, clock, next: 1, _dirs: dirs })
    }

    /// Number of the batch that is offered next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Offers the next batch to every validator; waits while one is full.
    ///
    /// # Errors
    /// A validator that has stopped.
    pub fn offer(&mut self, batch: &Batch) -> Result<()> {
        let begun = Instant::now();
        for validator in &self.validators {
            loop {
                match validator.offer(batch.clone()) {
                    Ok(()) => break,
                    Err(OfferError::Full) if begun.elapsed() < PATIENCE => {
                        std::thread::sleep(Duration::from_micros(200))
                    }
                    Err(error) => bail!("a validator does not take batch {}: {error}", batch.number()),
                }
            }
        }
        self.next = batch.number() + 1;
        Ok(())
    }

    /// Waits until batch `number` is certified, and durable at `f + 1` validators; answers since when each.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn wait(&self, number: u64) -> Result<(Instant, Instant)> {
        let begun = Instant::now();
        let mut seen = self.clock.lock();
        loop {
            let certified = seen.certified.get(&number).copied();
            if let Some((_, Some(durable))) = seen.durable.get(&number) {
                // A validator that was behind may have settled it before it heard of the certificate by itself.
                return Ok((certified.unwrap_or(*durable).min(*durable), *durable));
            }
            if begun.elapsed() > PATIENCE {
                bail!("batch {number} is not final after {PATIENCE:?}");
            }
            seen = self.clock.changed.wait_timeout(seen, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until every validator has settled batch `number`.
    ///
    /// # Errors
    /// When it takes too long, or a validator stops.
    pub fn wait_everywhere(&self, number: u64) -> Result<()> {
        for validator in &self.validators {
            validator.wait_finalized(number, PATIENCE)?;
        }
        Ok(())
    }

    /// Flushes and bytes that all vaults have written so far.
    pub fn written(&self) -> (u64, u64) {
        self.validators
            .iter()
            .map(Handle::written)
            .fold((0, 0), |(flushes, bytes), counts| (flushes + counts.flushes, bytes + counts.bytes))
    }

    /// How many validators there are.
    pub fn len(&self) -> usize {
        self.validators.len()
    }
}

/// An executor of either kind.
struct Boxed(Box<dyn Executor>);

impl Executor for Boxed {
    fn height(&self) -> u64 {
        self.0.height()
    }

    fn root(&self) -> Digest32 {
        self.0.root()
    }

    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String> {
        self.0.execute(batch)
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
