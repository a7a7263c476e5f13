//! A validator's state in one file, and a validator's directory made of it.
//!
//! A backup holds what takes a validator back to the newest batch that it could show to be final: the anchor of that batch, the newest snapshot,
//! the batches since, and the validator's **secret key**: it is to be kept as the key is. It holds no votes. A directory that is made of it
//! begins in quarantine (see [`super::opening`]): it follows, and votes only once it is beyond every view in which the validator can have
//! voted before, however old the backup is. It gets from its peers what was final after the backup was taken.
//!
//! A validator that agrees with nobody but itself has no peers, and begins anew with its first batch: it goes on only from a backup that
//! holds all batches, as it does when no snapshots are made.
//!
//! Everything is executed while a backup is taken and once more before anything is restored, and must end at the root that the anchor's batch
//! claims; whoever names the committee has the anchor's signatures checked too.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic `WBBK` |
//! | 4..6 | layout version u16, 1 |
//! | 6..8 | shard u16 |
//! | 8..40 | the validator's secret key |
//! | 40..44 | length of the anchor u32 |
//! | 44..52 | length of the snapshot u64; 0 without one |
//! | 52..60 | number of batches u64 |
//! | 60.. | the anchor, the snapshot, the batches: length u32 and the batch, each |
//! | last 32 | BLAKE3 of everything above |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::batch::{Batch, BatchError, Digest32, GENESIS_DIGEST, Header, MAX_BATCH_BYTES};
use crate::proof::ProofError;
use crate::proof::anchor::Anchor;

use super::executor::Executor;
use super::opening::{self, QUARANTINE};
use super::reader::Trust;
use super::snapshot::{MAX_SNAPSHOT_BYTES, Snapshot, SnapshotError, is_newest};
use super::snapshots::Snapshots;
use super::store::{Store, StoreError};
use super::volume::Directory;

const MAGIC: [u8; 4] = *b"WBBK";
const VERSION: u16 = 1;
const HEAD: usize = 60;
/// The longest anchor that is read.
const MAX_ANCHOR: usize = 1 << 20;

/// Why there is no backup, or nothing is restored.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum BackupError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: a validator runs in this directory: stop it first", .path.display())]
    Runs { path: PathBuf },
    #[error("{}: there is no validator's key of 32 bytes", .path.display())]
    Key { path: PathBuf },
    #[error("this validator has never seen a block signed: there is nothing to show for its state yet")]
    NothingFinal,
    #[error("what is signed is batch {signed}, the store ends with batch {stored}")]
    Behind { signed: u64, stored: u64 },
    #[error("the batches before {first} are gone, and no snapshot holds up")]
    NoBeginning { first: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("the anchor: {0}")]
    Proof(#[from] ProofError),
    #[error("batch {number}: {source}")]
    Batch { number: u64, source: BatchError },
    #[error("batch {number} does not follow the one before it")]
    Chain { number: u64 },
    #[error("batch {number} cannot be executed: {why}")]
    Execute { number: u64, why: String },
    #[error("executing it ends at another root than is signed")]
    Root,
    #[error("its last batch is another than is signed")]
    OtherBatch,
    #[error("it is no backup of this version: {0}")]
    Layout(&'static str),
    #[error("its bytes do not have the digest that it ends with: it is damaged, or cut")]
    Digest,
    #[error("it is of shard {found}, the committee settles shard {expected}")]
    Shard { found: u16, expected: u16 },
    #[error("no quorum of this committee has signed its state")]
    NotSigned,
    #[error("the key in it is of no member of this committee")]
    NoMember,
    #[error("{}: there is something already; a backup is restored to a directory of its own", .path.display())]
    Taken { path: PathBuf },
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The newest batch.
    pub header: Header,
    /// Its digest.
    pub digest: Digest32,
    /// Height of the block that is signed.
    pub height: u64,
    /// Batch of the snapshot in it; 0: none.
    pub snapshot: u64,
    /// Batches in it.
    pub batches: u64,
    /// Public key of the validator.
    pub validator: [u8; 32],
    /// Bytes in all.
    pub bytes: u64,
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { path: path.to_path_buf(), source }
}

/// A state that batches are executed on, one after another, each named by the next.
struct Walk {
    state: Box<dyn Executor>,
    last: Option<Batch>,
    digest: Digest32,
}

impl Walk {
    fn begin(executor: Box<dyn Executor>, snapshot: Option<&Snapshot>) -> Result<Self, BackupError> {
        Ok(match snapshot {
            None => Self { state: executor, last: None, digest: GENESIS_DIGEST },
            Some(snapshot) => Self {
                state: snapshot.restore(executor.as_ref())?,
                last: Some(snapshot.batch.clone()),
                digest: *snapshot.batch.digest(),
            },
        })
    }

    fn step(&mut self, batch: Batch) -> Result<(), BackupError> {
        let (number, header) = (batch.number(), batch.header());
        let follows = number == self.state.height() + 1 && header.previous == self.digest;
        if !follows || header.previous_root != self.state.root() {
            return Err(BackupError::Chain { number });
        }
        let root = self.state.execute(&batch).map_err(|why| BackupError::Execute { number, why })?;
        if root != header.next_root {
            return Err(BackupError::Root);
        }
        self.digest = *batch.digest();
        self.last = Some(batch);
        Ok(())
    }

    /// The end of it is what the anchor leads to.
    fn end(&self, anchor: &Anchor) -> Result<Header, BackupError> {
        let last = self.last.as_ref().ok_or(BackupError::NothingFinal)?;
        if !is_newest(anchor, last)? {
            return Err(BackupError::OtherBatch);
        }
        Ok(*last.header())
    }
}

/// Takes a backup of the validator in `dir`, which does not run, to the new file `to`. `genesis` makes the state before the first batch of a
/// shard. Everything is checked on the way.
///
/// # Errors
/// Why there is none; the file is not there then.
pub fn take(dir: &Path, to: &Path, genesis: impl Fn(u16) -> Box<dyn Executor>) -> Result<Held, BackupError> {
    let lock = File::open(dir.join("lock")).map_err(io_at(&dir.join("lock")))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BackupError::Runs { path: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => return Err(io_at(dir)(source)),
    }
    if to.exists() {
        return Err(BackupError::Taken { path: to.to_path_buf() });
    }
    let taken = take_locked(dir, to, genesis);
    if taken.is_err() {
        let _ = fs::remove_file(to);
    }
    taken
}

fn take_locked(dir: &Path, to: &Path, genesis: impl Fn(u16) -> Box<dyn Executor>) -> Result<Held, BackupError> {
    let path = dir.join("validator.key");
    let key = fs::read(&path).map_err(io_at(&path))?;
    let key: [u8; 32] = key.try_into().map_err(|_| BackupError::Key { path })?;
    let path = dir.join("snapshots");
    let snapshots = Snapshots::open(&path).map_err(io_at(&path))?;
    let anchor = snapshots.anchor().map_err(io_at(&path))?.ok_or(BackupError::NothingFinal)?;
    let signed = anchor.verify(|_, _| true)?.header;
    let (shard, last) = (signed.shard, signed.number);
    let mut snapshot = None;
    for number in snapshots.numbers().map_err(io_at(&path))?.into_iter().filter(|number| *number <= last) {
        let found = Snapshot::decode(&snapshots.read(number).map_err(io_at(&path))?);
        snapshot = found.ok().filter(|snapshot| snapshot.restore(genesis(shard).as_ref()).is_ok());
        if snapshot.is_some() {
            break;
        }
    }
    let known = snapshot.as_ref().map_or(0, Snapshot::number);
    let path = dir.join("batches");
    let store = Store::open_behind(Directory::open(&path).map_err(io_at(&path))?, shard, known)?;
    if store.tip() < last {
        return Err(BackupError::Behind { signed: last, stored: store.tip() });
    }
    if store.first() > known + 1 {
        return Err(BackupError::NoBeginning { first: store.first() });
    }
    let mut walk = Walk::begin(genesis(shard), snapshot.as_ref())?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(io_at(to))?;
    let mut out = Hashing { inner: BufWriter::new(file), hasher: blake3::Hasher::new(), bytes: 0 };
    let (anchored, image) = (anchor.encode(), snapshot.as_ref().map_or(Vec::new(), Snapshot::encode));
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(io_at(to));
    write(&MAGIC)?;
    write(&VERSION.to_le_bytes())?;
    write(&shard.to_le_bytes())?;
    write(&key)?;
    write(&(anchored.len() as u32).to_le_bytes())?;
    write(&(image.len() as u64).to_le_bytes())?;
    write(&(last - known).to_le_bytes())?;
    write(&anchored)?;
    write(&image)?;
    for number in known + 1..=last {
        let batch = store.read(number)?;
        write(&(batch.as_bytes().len() as u32).to_le_bytes())?;
        write(batch.as_bytes())?;
        walk.step(batch)?;
    }
    walk.end(&anchor)?;
    let digest = *out.hasher.finalize().as_bytes();
    write_end(&mut out, &digest).map_err(io_at(to))?;
    held(&anchor, &walk, known, last - known, &key, out.bytes)
}

fn write_end(out: &mut Hashing<BufWriter<File>>, digest: &[u8]) -> io::Result<()> {
    out.write_all(digest)?;
    out.inner.flush()?;
    out.inner.get_ref().sync_all()
}

fn held(
    anchor: &Anchor,
    walk: &Walk,
    snapshot: u64,
    batches: u64,
    key: &[u8; 32],
    bytes: u64,
) -> Result<Held, BackupError> {
    let header = walk.end(anchor)?;
    let validator = ed25519_dalek::SigningKey::from_bytes(key).verifying_key().to_bytes();
    let height = anchor.height().ok_or(BackupError::NothingFinal)?;
    Ok(Held { header, digest: walk.digest, height, snapshot, batches, validator, bytes })
}

/// A reader or writer that hashes what passes.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Hashing<T> {
    /// Exactly so many bytes; memory is taken as they come.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(length as u64).read_to_end(&mut bytes);
        if read.is_err() || bytes.len() != length {
            return Err(BackupError::Layout("it ends too early"));
        }
        self.hasher.update(&bytes);
        self.bytes += length as u64;
        Ok(bytes)
    }
}

/// What stands ahead of the batches.
struct Front {
    shard: u16,
    key: [u8; 32],
    anchor: Anchor,
    snapshot: Option<Snapshot>,
    batches: u64,
}

type Source = Hashing<BufReader<File>>;

fn open(file: &Path) -> Result<(Source, Front), BackupError> {
    let source = BufReader::new(File::open(file).map_err(io_at(file))?);
    let mut source = Hashing { inner: source, hasher: blake3::Hasher::new(), bytes: 0 };
    let head: [u8; HEAD] = source.take(HEAD)?.try_into().expect("as many were taken");
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    if head[..4] != MAGIC || head[4..6] != VERSION.to_le_bytes() {
        return Err(BackupError::Layout("it begins otherwise"));
    }
    let anchor = u32::from_le_bytes(head[40..44].try_into().expect("four bytes")) as usize;
    let (snapshot, batches) = (number(44), number(52));
    if anchor > MAX_ANCHOR || snapshot > MAX_SNAPSHOT_BYTES as u64 {
        return Err(BackupError::Layout("its parts are longer than they can be"));
    }
    let anchor = Anchor::decode(&source.take(anchor)?)?;
    let snapshot = match snapshot {
        0 => None,
        length => Some(Snapshot::decode(&source.take(length as usize)?)?),
    };
    let shard = u16::from_le_bytes([head[6], head[7]]);
    let key = head[8..40].try_into().expect("32 bytes");
    Ok((source, Front { shard, key, anchor, snapshot, batches }))
}

fn each(
    source: &mut Source,
    front: &Front,
    take: &mut dyn FnMut(Batch) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let first = front.snapshot.as_ref().map_or(0, Snapshot::number) + 1;
    for at in 0..front.batches {
        let length = source.take(4)?;
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if length > MAX_BATCH_BYTES {
            return Err(BackupError::Layout("a batch is longer than any"));
        }
        let number = first.saturating_add(at);
        let batch = Batch::decode(&source.take(length)?);
        take(batch.map_err(|source| BackupError::Batch { number, source })?)?;
    }
    let digest = *source.hasher.finalize().as_bytes();
    if source.take(32).map_err(|_| BackupError::Digest)? != digest {
        return Err(BackupError::Digest);
    }
    match source.take(1) {
        Err(_) => Ok(()),
        Ok(_) => Err(BackupError::Layout("something stands behind its end")),
    }
}

/// Checks a backup: everything in it is executed, and ends where the anchor says; with `committee`, a quorum of it has signed that, and the key
/// is of one of its members.
///
/// # Errors
/// Why it is not to be restored.
pub fn check(
    file: &Path,
    committee: Option<&Trust>,
    genesis: impl Fn(u16) -> Box<dyn Executor>,
) -> Result<Held, BackupError> {
    let (mut source, front) = open(file)?;
    front
        .anchor
        .verify(|digest, bytes| committee.is_none_or(|trust| trust.certified(digest, bytes)))
        .map_err(|error| if error == ProofError::NotCertified { BackupError::NotSigned } else { error.into() })?;
    let mut walk = Walk::begin(genesis(front.shard), front.snapshot.as_ref())?;
    each(&mut source, &front, &mut |batch| walk.step(batch))?;
    let known = front.snapshot.as_ref().map_or(0, Snapshot::number);
    let held = held(&front.anchor, &walk, known, front.batches, &front.key, source.bytes)?;
    if let Some(trust) = committee {
        if held.header.shard != trust.shard {
            return Err(BackupError::Shard { found: held.header.shard, expected: trust.shard });
        }
        if !trust.keys.contains(&held.validator) {
            return Err(BackupError::NoMember);
        }
    }
    Ok(held)
}

/// Makes a validator's directory of a backup, in quarantine. Everything is [checked](check) before anything is written.
///
/// # Errors
/// Why nothing was restored; `dir` is then as it was.
pub fn restore(
    file: &Path,
    dir: &Path,
    committee: Option<&Trust>,
    genesis: impl Fn(u16) -> Box<dyn Executor>,
) -> Result<Held, BackupError> {
    let empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(io_at(dir)(error)),
    };
    if !empty {
        return Err(BackupError::Taken { path: dir.to_path_buf() });
    }
    let held = check(file, committee, genesis)?;
    let mut draft = dir.as_os_str().to_owned();
    draft.push(".restoring");
    let draft = PathBuf::from(draft);
    // What an earlier one has left there is of no use.
    let _ = fs::remove_dir_all(&draft);
    let written = write(file, &draft).and_then(|()| {
        let _ = fs::remove_dir(dir);
        fs::rename(&draft, dir).map_err(io_at(dir))
    });
    if let Err(error) = written {
        let _ = fs::remove_dir_all(&draft);
        return Err(error);
    }
    Ok(held)
}

/// Writes a backup's content as a directory.
fn write(file: &Path, dir: &Path) -> Result<(), BackupError> {
    let (mut source, front) = open(file)?;
    fs::create_dir_all(dir).map_err(io_at(dir))?;
    // First of all: whatever becomes of the rest, it does not vote.
    opening::write(dir, QUARANTINE, b"restored from a backup: see `wirebook ledger restore`\n").map_err(io_at(dir))?;
    let path = dir.join("validator.key");
    let mut key = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io_at(&path))?;
    key.write_all(&front.key).and_then(|()| key.sync_all()).map_err(io_at(&path))?;
    opening::set_floor(dir, &front.anchor).map_err(io_at(dir))?;
    let snapshots = dir.join("snapshots");
    let kept = Snapshots::open(&snapshots).and_then(|kept| {
        front.snapshot.as_ref().map_or(Ok(()), |snapshot| kept.keep(snapshot))?;
        kept.keep_anchor(&front.anchor)
    });
    kept.map_err(io_at(&snapshots))?;
    let batches = dir.join("batches");
    let mut store = Store::open(Directory::open(&batches).map_err(io_at(&batches))?, front.shard)?;
    if let Some(snapshot) = &front.snapshot {
        store.begin_with(&snapshot.batch)?;
    }
    each(&mut source, &front, &mut |batch| Ok(store.append(&batch)?))
}

#[cfg(test)]
mod tests;
