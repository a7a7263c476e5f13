//! How a validator's directory becomes a validator: its store, its snapshots, its peers, and whether it may vote yet.
//!
//! Files beside the store and the vault: `snapshots/`; `floor`, digest and certificate of the block that the engine begins with if it knows nothing
//! later; `quarantine`, which is there while the validator must not vote.
//!
//! **Quarantine.** A validator that is restored from a backup has forgotten what it voted since the backup was taken, and perhaps before: to vote
//! in such a view once more could be to contradict itself, and that is what the committee punishes and what could fork the ledger. So it begins
//! as a witness, which follows and signs nothing, and asks its peers for [`BARRIERS`] barriers, one after another, each of a number just
//! drawn. A block with such a number was signed by a quorum after the restore. Some honest member of that quorum was also in the quorum
//! that let this validator enter the last view in which it had voted, and honest members never go back: so that block's view is the last
//! one voted in, or no more than two before it (the view that was being signed, and the one that was entered). Each further barrier is at least
//! one view later. After three the validator is beyond everything that it can have signed, and begins to vote there. This needs the
//! other members to be a quorum without it, as they are while no more than f are away, itself included.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::batch::{Digest32, VerifyingKey};
use crate::proof::anchor::Anchor;
use crate::proof::prefix::PrefixProof;

use super::catch_up::{CatchUp, CatchUpError, NEAR};
use super::executor::Executor;
use super::reader::{ReadError, Trust};
use super::replica::{Replica, ResumeError, SharedStore};
use super::snapshot::Snapshot;
use super::snapshots::Snapshots;
use super::store::{Store, StoreError};
use super::volume::Directory;

/// Barriers that a validator in quarantine waits for.
pub(super) const BARRIERS: u32 = 3;

/// The file that is there while a validator must not vote.
pub(crate) const QUARANTINE: &str = "quarantine";
/// The file with the certificate that the engine begins with.
pub(super) const FLOOR: &str = "floor";

/// What a validator is opened with.
pub(super) struct Opening<'a> {
    pub(super) dir: &'a Path,
    pub(super) gateway: VerifyingKey,
    pub(super) trust: &'a Trust,
    pub(super) peers: &'a [SocketAddr],
}

/// What has been opened.
pub(super) struct Opened {
    pub(super) replica: Replica,
    pub(super) store: SharedStore,
    pub(super) snapshots: Snapshots,
    /// What went otherwise than it should, for the log.
    pub(super) told: Vec<String>,
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{}: {source}", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

impl Opening<'_> {
    /// Opens store and snapshots, brings the executor up to the store, and the store up to the peers, if it is far behind them.
    pub(super) fn open(&self, executor: Box<dyn Executor>) -> Result<Opened, OpenError> {
        let failed = |name: &str| {
            let path = self.dir.join(name);
            move |source| OpenError::Directory { path, source }
        };
        let mut told = Vec::new();
        let snapshots = Snapshots::open(&self.dir.join("snapshots")).map_err(failed("snapshots"))?;
        let newest = newest(&snapshots, executor.as_ref(), &mut told).map_err(failed("snapshots"))?;
        let volume = Directory::open(&self.dir.join("batches")).map_err(failed("batches"))?;
        let known = newest.as_ref().map_or(0, |(snapshot, _)| snapshot.number());
        let mut store = Store::open_behind(volume, self.trust.shard, known)?;
        let mut state = executor;
        if let Some((snapshot, restored)) = newest {
            if store.tip() < snapshot.number() {
                store.begin_with(&snapshot.batch)?;
            }
            state = restored;
        }
        let store = Arc::new(Mutex::new(store));
        let mut replica = Replica::resume(state, self.trust.shard, self.gateway, store.clone())?;
        let quarantined = quarantined(self.dir);
        let catch_up = CatchUp {
            trust: self.trust,
            gateway: self.gateway,
            peers: self.peers,
            dir: self.dir,
            snapshots: &snapshots,
            store: store.clone(),
            near: if quarantined { 0 } else { NEAR },
        };
        let mut tell = |peer: SocketAddr, why: &CatchUpError| match why {
            // It is not up, or has nothing to show yet: as when a whole committee starts.
            CatchUpError::Read(ReadError::Away(_) | ReadError::No(_)) => {}
            why => told.push(format!("{peer} is of no use: {why}")),
        };
        if let Some(anchor) = catch_up.run(&mut replica, &mut tell) {
            set_floor(self.dir, &anchor).map_err(failed(FLOOR))?;
        }
        Ok(Opened { replica, store, snapshots, told })
    }
}

/// The newest snapshot that holds up, and the state that it holds.
fn newest(
    snapshots: &Snapshots,
    like: &dyn Executor,
    told: &mut Vec<String>,
) -> io::Result<Option<(Snapshot, Box<dyn Executor>)>> {
    for number in snapshots.numbers()? {
        let snapshot = Snapshot::decode(&snapshots.read(number)?);
        match snapshot.and_then(|snapshot| snapshot.restore(like).map(|state| (snapshot, state))) {
            Ok(found) => return Ok(Some(found)),
            Err(why) => told.push(format!("the snapshot of batch {number} is passed over: {why}")),
        }
    }
    Ok(None)
}

/// Whether this validator must not vote.
pub(super) fn quarantined(dir: &Path) -> bool {
    dir.join(QUARANTINE).exists()
}

/// The certificate that the engine begins with, if there is one that a quorum has signed.
pub(super) fn floor(dir: &Path, trust: &Trust) -> Option<Vec<u8>> {
    let bytes = fs::read(dir.join(FLOOR)).ok()?;
    let (digest, certificate) = bytes.split_first_chunk()?;
    trust.certified(digest, certificate).then(|| certificate.to_vec())
}

/// The engine is to begin with the block of this anchor.
pub(crate) fn set_floor(dir: &Path, anchor: &Anchor) -> io::Result<()> {
    let digest = anchor.chain.first().map(PrefixProof::digest).unwrap_or_default();
    write_floor(dir, &digest, &anchor.certificate)
}

fn write_floor(dir: &Path, digest: &Digest32, certificate: &[u8]) -> io::Result<()> {
    write(dir, FLOOR, &[&digest[..], certificate].concat())
}

/// The validator may vote, from the block with this digest and certificate on.
pub(super) fn lift(dir: &Path, digest: &Digest32, certificate: &[u8]) -> io::Result<()> {
    write_floor(dir, digest, certificate)?;
    fs::remove_file(dir.join(QUARANTINE))?;
    File::open(dir)?.sync_all()
}

/// Writes a file, whole or not at all, durably.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{name}.draft"));
    fs::write(&draft, bytes)?;
    File::open(&draft)?.sync_all()?;
    fs::rename(&draft, dir.join(name))?;
    File::open(dir)?.sync_all()
}
