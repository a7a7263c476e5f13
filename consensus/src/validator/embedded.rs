//! One validator inside a process: its own thread, its own runtime, its own directory. Alone it has no port, and agrees with nobody but
//! itself; in a committee it is what `wirebook validator` runs.
//!
//! Either way it is the same engine, checks and store. What it finalizes has been signed, re-executed, compared and made durable apart
//! from the gateway's journal.
//!
//! - [`EmbeddedValidator::start`] opens the store, brings the executor up to it, and returns once offers can be taken.
//! - [`Handle::offer`] never waits. [`Handle::finalized`] is durable. After a restart the gateway goes on from there and offers again
//!   what it had not seen finalized; what was, is recognised.
//! - A batch that is refused stops settlement, with the batch kept as evidence; so does a disk that fails. The rest of the process goes
//!   on; the gateway decides what a [`Fault`] means for it.
//!
//! Directory: `lock`, `validator.key`, `batches/` (the store), `vault/` (votes, blocks, certificates), `snapshots/`, `evidence/`, and what
//! `opening` says.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{pending, select};
pub use wirebook_engine::{MAX_MEMBERS, Member, Membership, Timing};
use wirebook_engine::{Part, Validator};

use crate::batch::{Batch, VerifyingKey};

pub use super::core::{Certified, Observer};
use super::core::{Core, Keep};
use super::evidence;
use super::executor::Executor;
pub use super::inbox::OfferError;
use super::keeper::Keeper;
pub use super::keeper::Keeping;
use super::metrics;
use super::notes::Asked;
use super::opening::{self, OpenError, Opened, Opening};
use super::reader::Trust;
use super::reading::{Unread, Wanted};
use super::replica::{ResumeError, lock};
use super::snapshots::Snapshots;
pub use super::status::{Fault, Finalized, WaitError};
use super::store::StoreError;
use super::volume::Directory;
use crate::proof::anchor::Anchor;
use crate::proof::block::Note;
use crate::proof::settled::SettledProof;
use crate::vault::{Counts, Options, Vault, VaultError};

#[cfg(test)]
mod tests;

/// Bytes of a snapshot that are sent at a time.
const PIECE_BYTES: usize = 1 << 20;

/// How long a reader that waits sleeps at a time, if nothing wakes it.
const NEWS: Duration = Duration::from_millis(5);

/// What votes are signed for, before the shard's number: votes of one chain mean nothing on another.
///
/// It changes with the layout of blocks: layout 2 has notes.
const NAMESPACE: &str = "wirebook-settlement-2-shard";

/// What the votes of a shard's chain are signed for.
pub fn namespace(shard: u16) -> String {
    format!("{NAMESPACE}-{shard}")
}

/// Where a validator lives and whom it believes.
#[derive(Clone)]
pub struct Config {
    /// The validator's own directory; made if missing. One validator at a time uses it.
    pub dir: PathBuf,
    /// The shard whose batches it settles.
    pub shard: u16,
    /// The key that the gateway signs batches with.
    pub gateway: VerifyingKey,
    /// When views are given up.
    pub timing: Timing,
    /// With whom it agrees.
    pub membership: Membership,
    /// When snapshots are made, and what they let go.
    pub keeping: Keeping,
    /// Where peers serve: whom it asks for what the engine cannot give it.
    pub peers: Vec<SocketAddr>,
    /// Told of each batch's way; `None`: nobody.
    pub observer: Option<Arc<dyn Observer>>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("dir", &self.dir).field("membership", &self.membership).finish_non_exhaustive()
    }
}

impl Config {
    /// A validator that agrees with nobody but itself.
    pub fn alone(dir: PathBuf, shard: u16, gateway: VerifyingKey) -> Self {
        let (timing, keeping) = (Timing::default(), Keeping::default());
        Self { dir, shard, gateway, timing, membership: Membership::Alone, keeping, peers: Vec::new(), observer: None }
    }
}

/// Why an embedded validator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory cannot be used.
    #[error("{}: {source}", .path.display())]
    Directory {
        /// The directory, or what in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another validator uses the directory.
    #[error("{}: another validator runs in this directory", .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The executor cannot be brought up to the store.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// A port cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Port {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What it had voted cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Directory { path, source } => Self::Directory { path, source },
            OpenError::Store(error) => Self::Store(error),
            OpenError::Resume(error) => Self::Resume(error),
        }
    }
}

/// Starts embedded validators.
#[derive(Debug)]
pub struct EmbeddedValidator;

impl EmbeddedValidator {
    /// Starts a validator over `executor`, which may stand at any batch that the store holds, or at none.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub fn start(config: Config, executor: impl Executor) -> Result<Handle, StartError> {
        let failed = |path: PathBuf| move |source| StartError::Directory { path, source };
        fs::create_dir_all(&config.dir).map_err(failed(config.dir.clone()))?;
        let lock = lock_directory(&config)?;
        let alone = config.membership == Membership::Alone;
        let engine = Validator::open(&config.dir, namespace(config.shard), config.membership, config.timing)
            .map_err(failed(config.dir.clone()))?;
        let public_key = engine.public_key();
        let votes = config.dir.join("vault");
        let volume = Directory::open(&votes).map_err(failed(votes))?;
        let vault = Arc::new(Vault::open(volume, Options::default())?.0);
        let trust = Trust { shard: config.shard, keys: engine.members() };
        let opening = Opening { dir: &config.dir, gateway: config.gateway, trust: &trust, peers: &config.peers };
        let Opened { replica, store, snapshots, told } = opening.open(Box::new(executor))?;
        let evidence = config.dir.join("evidence");
        let keep: Keep = Box::new(move |batch, refusal| evidence::keep(&evidence, batch, refusal));
        let (core, halted) = Core::new(replica, store, keep, config.observer);
        let core = Arc::new(core);
        let keeper =
            Keeper::start(core.clone(), snapshots.clone(), config.keeping).map_err(failed(config.dir.clone()))?;
        let thread = {
            let (core, vault, dir) = (core.clone(), vault.clone(), config.dir.clone());
            let run = move || {
                run(&engine, &vault, &core, halted, &Place { dir, trust, alone });
                drop(lock);
            };
            thread::Builder::new().name("settlement".into()).spawn(run).map_err(failed(config.dir))?
        };
        Ok(Handle {
            core,
            vault,
            public_key,
            snapshots,
            told,
            keeper: Mutex::new(keeper),
            thread: Mutex::new(Some(thread)),
        })
    }
}

fn lock_directory(config: &Config) -> Result<File, StartError> {
    let path = config.dir.join("lock");
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|source| StartError::Directory { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked { path: config.dir.clone() }),
        Err(TryLockError::Error(source)) => Err(StartError::Directory { path, source }),
    }
}

/// Where a validator lives, and whom it believes.
struct Place {
    dir: PathBuf,
    trust: Trust,
    alone: bool,
}

/// The validator's thread: runs the engine until it is halted, and never leaves a reader of the status waiting.
fn run(engine: &Validator, vault: &Arc<Vault>, core: &Arc<Core>, halted: oneshot::Receiver<()>, place: &Place) {
    let halted = halted.map(|_| ()).shared();
    // Who agrees with nobody but himself contradicts nobody.
    if !place.alone && opening::quarantined(&place.dir) {
        let part = Part { witness: true, floor: opening::floor(&place.dir, &place.trust).map(Bytes::from) };
        let (lifted, is_lifted) = oneshot::channel();
        let over = Arc::new(AtomicBool::new(false));
        let watch = {
            let (core, over, dir) = (core.clone(), over.clone(), place.dir.clone());
            let run = move || {
                if leave_quarantine(&core, &over, &dir) {
                    // Nobody hears it when the engine has ended by itself.
                    let _ = lifted.send(());
                }
            };
            thread::Builder::new().name("quarantine".into()).spawn(run)
        };
        let until = select(halted.clone(), lifted_at(is_lifted).boxed());
        let ran = engine.run(part, vault.clone(), core.clone(), until.map(|_| ()).boxed());
        over.store(true, Ordering::Release);
        // The runtime's own directory holds nothing but a lock, which goes when all of the runtime is gone: metrics keep a part of it.
        core.forget_metrics();
        let _ = fs::remove_dir_all(place.dir.join("runtime"));
        let watched = watch.map(|watch| watch.join());
        if let (Err(reason), _) | (_, Err(reason)) = (ran, watched.map_err(|error| error.to_string())) {
            core.fail(Fault::Engine(reason));
        }
    }
    if halted.peek().is_none() && core.status.fault().is_none() {
        // Who is alone has nobody to get the block of a floor from: he agrees with himself anew on what his store holds.
        let floor = if place.alone { None } else { opening::floor(&place.dir, &place.trust) };
        let part = Part { witness: false, floor: floor.map(Bytes::from) };
        if let Err(reason) = engine.run(part, vault.clone(), core.clone(), halted.boxed()) {
            // If settling has failed, that is published already, and this is only what follows from it.
            core.fail(Fault::Engine(reason));
        }
    }
    core.status.stop();
}

/// Resolves once the quarantine has ended, not if it has been given up.
async fn lifted_at(is_lifted: oneshot::Receiver<()>) {
    if is_lifted.await.is_err() {
        pending::<()>().await;
    }
}

/// Waits for as many barriers as [`opening`] says, and ends the quarantine; whether it has.
fn leave_quarantine(core: &Core, over: &AtomicBool, dir: &Path) -> bool {
    let gone = || over.load(Ordering::Acquire) || core.status.fault().is_some();
    let mut behind = 0;
    for _ in 0..opening::BARRIERS {
        let mut note = Note::default();
        let drawn = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut note));
        let Some(asked) = core.notes.ask(note).filter(|_| drawn.is_ok()) else { return false };
        behind = loop {
            match asked.settled() {
                Some(height) => break height,
                None if gone() => return false,
                None => core.recent.wait(NEWS),
            }
        };
    }
    loop {
        match core.signed_at(behind) {
            Some((digest, certificate)) => match opening::lift(dir, &digest, &certificate) {
                Ok(()) => return true,
                Err(error) => {
                    core.fail(Fault::Store(format!("the quarantine cannot be ended: {error}")));
                    return false;
                }
            },
            None if gone() => return false,
            None => core.recent.wait(NEWS),
        }
    }
}

/// A running validator. Dropping it stops the validator and waits for it.
pub struct Handle {
    core: Arc<Core>,
    vault: Arc<Vault>,
    public_key: [u8; 32],
    snapshots: Snapshots,
    told: Vec<String>,
    keeper: Mutex<Keeper>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    /// Offers the next batch. It is taken, and settled later; or it is one that was offered before, with the same bytes.
    ///
    /// # Errors
    /// [`OfferError::Full`] for now, [`OfferError::Gap`] for one out of order; a fault or a stop for good.
    pub fn offer(&self, batch: Batch) -> Result<(), OfferError> {
        self.core.offer(batch)
    }

    /// The last batch that is finalized and durable.
    pub fn finalized(&self) -> Finalized {
        self.core.status.finalized()
    }

    /// Waits until batch `height` is finalized and durable.
    ///
    /// # Errors
    /// The time is over, or settlement has stopped short of it.
    pub fn wait_finalized(&self, height: u64, timeout: Duration) -> Result<Finalized, WaitError> {
        self.core.status.wait(height, timeout)
    }

    /// The public key that it votes with.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// A finalized batch.
    ///
    /// # Errors
    /// A number that is not stored, or a store that cannot be read.
    pub fn batch(&self, number: u64) -> Result<Batch, StoreError> {
        self.core.read(number)
    }

    /// The newest settled block that this validator has a quorum's certificate of.
    pub fn certified(&self) -> Option<Certified> {
        self.core.newest_certified()
    }

    /// Proves what an account has of an asset: of what is final now, as far as this validator knows; or, with a note that the reader has just
    /// drawn, of all that anybody could know to be final. Waits for that for a while.
    ///
    /// # Errors
    /// Why it cannot be answered, or not within `patience`.
    pub fn read(
        &self,
        account: u32,
        asset: u16,
        note: Option<Note>,
        patience: Duration,
    ) -> Result<SettledProof, String> {
        let deadline = Instant::now() + patience;
        let asked = match note {
            Some(note) => {
                let asked = self.core.notes.ask(note);
                Some(asked.ok_or("as many readers wait for a barrier as may; ask again, or ask another validator")?)
            }
            None => None,
        };
        loop {
            let barrier = asked.as_ref().map(Asked::settled);
            if barrier != Some(None) {
                let wanted = Wanted { account, asset, barrier: note.zip(barrier.flatten()) };
                match self.core.read_proven(&wanted) {
                    Ok(proof) => return Ok(proof),
                    Err(Unread::Never(why)) => return Err(why),
                    Err(Unread::NotYet) => {}
                }
            }
            if let Some(fault) = self.core.status.fault() {
                return Err(format!("settlement has stopped here: {fault}"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.core.status.stopped() {
                let what = if asked.is_some() { "the barrier is not final yet" } else { "nothing signed is at hand" };
                return Err(format!("{what}: ask again, or ask another validator"));
            }
            self.core.recent.wait(left.min(NEWS));
        }
    }

    /// From the newest batch that can be shown to be final to the signatures of a quorum.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub fn anchor(&self) -> Result<Anchor, String> {
        self.core.newest_anchor().map_err(|unread| match unread {
            Unread::NotYet => "nothing signed is at hand yet".into(),
            Unread::Never(why) => why,
        })
    }

    /// A piece of a snapshot, of the newest for number 0, from an offset on: its number, the length of all, the bytes.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn snapshot_piece(&self, number: u64, offset: u64) -> io::Result<(u64, u64, Vec<u8>)> {
        let number = match number {
            0 => self.snapshots.numbers()?.first().copied().ok_or(io::ErrorKind::NotFound)?,
            some => some,
        };
        let (total, bytes) = self.snapshots.piece(number, offset, PIECE_BYTES)?;
        Ok((number, total, bytes))
    }

    /// How long the newest batches took from offered to final, by this validator's clock: number, microseconds.
    pub fn timings(&self) -> Vec<(u64, u32)> {
        self.core.timings.newest()
    }

    /// What went otherwise than it should at the start, and with snapshots since, without stopping anything.
    pub fn told(&self) -> Vec<String> {
        self.told.iter().cloned().chain(lock(&self.keeper).told()).collect()
    }

    /// What the vault has written since the start: flushes, and bytes.
    pub fn written(&self) -> Counts {
        self.vault.counts()
    }

    /// Metrics in Prometheus' text format: settlement's, the vault's, the engine's.
    pub fn metrics(&self) -> String {
        metrics::encode(
            &self.core.status,
            self.core.waiting(),
            self.core.extent(),
            &self.vault,
            &self.core.engine_metrics(),
        )
    }

    /// Why settlement has stopped, if it has.
    pub fn fault(&self) -> Option<Fault> {
        self.core.status.fault()
    }

    /// Stops the validator and says how far it got. What was offered and is not finalized is to be offered again at the next start.
    ///
    /// # Errors
    /// The fault that had stopped it before.
    pub fn shutdown(self) -> Result<Finalized, Box<Fault>> {
        self.stop();
        match self.core.status.fault() {
            Some(fault) => Err(Box::new(fault)),
            None => Ok(self.core.status.finalized()),
        }
    }

    /// Stops the validator and waits until it has.
    pub fn stop(&self) {
        lock(&self.keeper).stop();
        self.core.halt();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // The thread catches its panics and publishes them as a fault.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}
