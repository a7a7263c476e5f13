//! A vault: partitions of named blobs in memory, made durable by one log under all of them.
//!
//! The consensus engine keeps votes, blocks and certificates in some twenty files and syncs them one by one. Here a blob lives in
//! memory, every change to any of them goes into one log ([`log`]), and a sync of a blob waits until the log is durable up to the
//! blob's last change: concurrent syncs share one flush.
//!
//! - **Durable is a prefix.** After a crash the vault is as it was at some moment, and nothing that was waited for came after it. That
//!   covers creation and removal too, without a flush of their own.
//! - **Bounded.** Memory is what the blobs hold: whoever keeps them must remove them. The log is held below [`GROWTH`] times that, plus
//!   [`SLACK`]: blobs that the oldest segment is still needed for are logged again as images, and the segment is freed. One flush
//!   carries at most [`IMAGE_BYTES`] of images, or one image.
//! - **Honest.** A torn tail is cut at the next open; damage anywhere else stops it, with file and offset ([`recover`]). A disk that fails
//!   once is not written to any more: every wait, then and later, is told so.
//!
//! The very last frame is the one that cannot be told from a torn one if it is damaged after it was durable. A disk that does that
//! makes a validator forget its last votes; the other validators' quorum has to make up for it, as for any other lie.

mod log;
mod record;
mod recover;
mod space;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use log::{Counts, Done};
pub use recover::Recovered;

use crate::validator::volume::Volume;
use log::Log;
use record::Record;
use space::{Blob, Space, read, write};

/// The log may be this many times what the blobs hold ...
pub const GROWTH: u64 = 2;
/// ... and as much more, in segments.
pub const SLACK: u64 = 2;
/// Bytes of images that one flush carries, at most; one image is always carried.
pub const IMAGE_BYTES: usize = 1 << 20;
/// Bytes of a segment.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// How long a wait that is not urgent waits for one that is.
pub const LAZINESS: Duration = Duration::from_micros(300);

/// How often the flushing thread looks whether it is to end.
const WATCH: Duration = Duration::from_millis(200);

/// Why a vault does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// There is no such partition.
    #[error("there is no partition `{0}`")]
    NoPartition(String),
    /// There is no such blob.
    #[error("there is no such blob in partition `{0}`")]
    NoBlob(String),
    /// Somebody has the blob open.
    #[error("a blob of partition `{0}` is open already")]
    Open(String),
    /// The blob has another version.
    #[error("the blob is of version {0}")]
    Version(u16),
    /// Less is there than is to be read.
    #[error("the blob ends before")]
    Short,
    /// The disk failed, then or before.
    #[error("{0}")]
    Failed(String),
    /// What was durable has changed.
    #[error(
        "{file}, offset {offset}: {what}. Nothing is changed; restore the validator from a backup, or move its `vault` directory away and \
         let it begin anew under a NEW key: under its old one it might vote twice"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

/// How a vault works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// How long a wait that is not urgent waits for one that is.
    pub laziness: Duration,
    /// Whether a thread of its own flushes. Without it, whoever waits flushes: one thing after another, as a simulation needs it.
    pub threaded: bool,
    /// The planted bug: waits are answered before the disk has answered. For tests of tests.
    pub hasty: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, laziness: LAZINESS, threaded: true, hasty: false }
    }
}

/// Blobs over one log.
pub struct Vault {
    inner: Arc<Inner>,
    flusher: Option<JoinHandle<()>>,
}

struct Inner {
    space: Mutex<Space>,
    log: Log,
    threaded: bool,
    segment_bytes: u64,
}

/// An open blob. Dropping it closes it.
pub struct OpenBlob {
    blob: Arc<Blob>,
    vault: Arc<Inner>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vault {
    /// Opens the vault that `volume` holds, or a new one.
    ///
    /// # Errors
    /// A disk that fails, and [`VaultError::Damaged`].
    pub fn open(volume: impl Volume, options: Options) -> Result<(Self, Recovered), VaultError> {
        let (begin, space, recovered) = recover::recover(Box::new(volume))?;
        let Options { segment_bytes, laziness, threaded, hasty } = options;
        let log = Log::new(begin, segment_bytes, laziness, hasty);
        let inner = Arc::new(Inner { space: Mutex::new(space), log, threaded, segment_bytes });
        let flusher = if threaded {
            let inner = Arc::clone(&inner);
            let thread = std::thread::Builder::new().name("vault".into()).spawn(move || inner.flush_forever());
            Some(thread.map_err(|error| VaultError::Failed(format!("the vault's thread: {error}")))?)
        } else {
            None
        };
        Ok((Self { inner, flusher }, recovered))
    }

    /// Opens a blob, or makes it with the last of these versions. Answers its length and its version too.
    ///
    /// # Errors
    /// A blob that is open, or is of another version; and a disk that has failed.
    pub fn blob(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<u16>,
    ) -> Result<(OpenBlob, u64, u16), VaultError> {
        let log = &self.inner.log;
        if let Some(failure) = log.failure() {
            return Err(VaultError::Failed(failure));
        }
        let mut space = lock(&self.inner.space);
        let known = space.partitions.get(partition).and_then(|partition| partition.blobs.get(name)).cloned();
        let blob = match known {
            Some(blob) => blob,
            None => {
                let base = log.current.load(Ordering::Acquire);
                let blob = space.create(partition, name, *versions.end(), base);
                blob.marked(log.append(&Record::Create { blob: blob.id, version: blob.version, partition, name }));
                blob
            }
        };
        drop(space);
        if !versions.contains(&blob.version) {
            return Err(VaultError::Version(blob.version));
        }
        if blob.open.swap(true, Ordering::AcqRel) {
            return Err(VaultError::Open(partition.to_owned()));
        }
        let length = read(&blob.state).content.len() as u64;
        let version = blob.version;
        Ok((OpenBlob { blob, vault: Arc::clone(&self.inner) }, length, version))
    }

    /// Removes a blob, or a partition with all of its blobs. Who has one open reads on. Answers the mark from which it is durable.
    ///
    /// # Errors
    /// When there is no such thing.
    pub fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<u64, VaultError> {
        let mut space = lock(&self.inner.space);
        let missing = || VaultError::NoPartition(partition.to_owned());
        let log = &self.inner.log;
        match name {
            Some(name) => {
                let held = space.partitions.get_mut(partition).ok_or_else(missing)?;
                let blob = held.blobs.remove(name).ok_or_else(|| VaultError::NoBlob(partition.to_owned()))?;
                let mut state = write(&blob.state);
                state.removed = true;
                Ok(log.append(&Record::Remove { blob: blob.id }))
            }
            None => {
                let held = space.partitions.remove(partition).ok_or_else(missing)?;
                for blob in held.blobs.values() {
                    write(&blob.state).removed = true;
                }
                Ok(log.append(&Record::Drop { name: partition }))
            }
        }
    }

    /// Names of a partition's blobs, sorted.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, VaultError> {
        let space = lock(&self.inner.space);
        let held = space.partitions.get(partition).ok_or_else(|| VaultError::NoPartition(partition.to_owned()))?;
        Ok(held.blobs.keys().cloned().collect())
    }

    /// Tells `done` once everything up to `mark` is durable, or that it will not be. What is not urgent may wait a little for what is.
    pub fn when_durable(&self, mark: u64, urgent: bool, done: Done) {
        self.inner.when_durable(mark, urgent, done);
    }

    /// Bytes of all blobs, and of the log.
    pub fn extent(&self) -> (u64, u64) {
        (lock(&self.inner.space).bytes(), self.inner.log.extent().1)
    }

    /// What was written since the vault was opened.
    pub fn counts(&self) -> Counts {
        self.inner.log.counts()
    }

    /// Why nothing more is written, if so.
    pub fn failure(&self) -> Option<String> {
        self.inner.log.failure()
    }
}

impl Drop for Vault {
    /// Stops the flushing thread. What nobody has waited for may be lost.
    fn drop(&mut self) {
        self.inner.log.stopping.store(true, Ordering::Release);
        self.inner.log.nudge();
        if let Some(flusher) = self.flusher.take() {
            let _ = flusher.join();
        }
        self.inner.log.close("the vault is closed");
    }
}

impl Inner {
    fn when_durable(&self, mark: u64, urgent: bool, done: Done) {
        self.log.when_durable(mark, urgent, done);
        if !self.threaded && !self.log.is_durable(mark) && self.log.flush().is_ok() {
            self.tidy();
        }
    }

    fn flush_forever(&self) {
        while !self.log.stopping.load(Ordering::Acquire) {
            if self.log.wait_due(WATCH) && self.log.flush().is_ok() {
                self.tidy();
            }
        }
    }

    /// Keeps the log's length bounded: frees the oldest segment once nothing needs it, and logs again what does.
    fn tidy(&self) {
        let (oldest, bytes) = self.log.extent();
        let space = lock(&self.space);
        if bytes <= GROWTH * space.bytes() + SLACK * self.segment_bytes
            || oldest >= self.log.current.load(Ordering::Acquire)
        {
            return;
        }
        let needing: Vec<Arc<Blob>> =
            space.partitions.values().flat_map(|partition| partition.blobs.values().cloned()).collect();
        drop(space);
        let mut imaged = 0;
        for blob in needing {
            let mut state = write(&blob.state);
            if state.removed || state.base > oldest {
                continue;
            }
            if imaged >= IMAGE_BYTES {
                return;
            }
            let Blob { id, version, partition, name, .. } = &*blob;
            let (blob_id, version) = (*id, *version);
            state.base = self.log.current.load(Ordering::Acquire);
            let content = &state.content;
            let mark = self.log.append(&Record::Image { blob: blob_id, version, partition, name, content });
            blob.marked(mark);
            imaged += content.len().max(1);
        }
        let mut space = lock(&self.space);
        for (name, partition) in &mut space.partitions {
            if partition.base <= oldest {
                partition.base = self.log.current.load(Ordering::Acquire);
                self.log.append(&Record::Partition { name });
                imaged += 1;
            }
        }
        drop(space);
        // What was logged again is durable before what it replaces is freed.
        if (imaged == 0 || self.log.flush().is_ok()) && self.log.failure().is_none() {
            let _ = self.log.free_oldest();
        }
    }
}

impl OpenBlob {
    /// Shows `take` exactly `length` bytes.
    ///
    /// # Errors
    /// [`VaultError::Short`].
    pub fn read(&self, offset: u64, length: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), VaultError> {
        let state = read(&self.blob.state);
        let from = usize::try_from(offset).ok().filter(|from| *from <= state.content.len()).ok_or(VaultError::Short)?;
        take(state.content[from..].get(..length).ok_or(VaultError::Short)?);
        Ok(())
    }

    /// Writes; answers the mark from which it is durable.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> u64 {
        let mut state = write(&self.blob.state);
        state.write(offset as usize, bytes);
        let logged = |log: &Log| log.append(&Record::Write { blob: self.blob.id, offset, bytes });
        self.log(&state, logged)
    }

    /// Cuts the blob, or fills it with zeros up to a length; answers the mark from which that is durable.
    pub fn resize(&self, length: u64) -> u64 {
        let mut state = write(&self.blob.state);
        state.content.resize(length as usize, 0);
        self.log(&state, |log| log.append(&Record::Resize { blob: self.blob.id, length }))
    }

    fn log(&self, state: &space::State, append: impl FnOnce(&Log) -> u64) -> u64 {
        if !state.removed {
            self.blob.marked(append(&self.vault.log));
        }
        self.mark()
    }

    /// The mark from which all that was done to the blob is durable.
    pub fn mark(&self) -> u64 {
        self.blob.mark.load(Ordering::Acquire)
    }

    /// As [`Vault::when_durable`].
    pub fn when_durable(&self, mark: u64, urgent: bool, done: Done) {
        self.vault.when_durable(mark, urgent, done);
    }
}

impl Drop for OpenBlob {
    fn drop(&mut self) {
        self.blob.open.store(false, Ordering::Release);
    }
}
