//! How a validator that is far behind comes up to its peers before it takes part: over their ports, believing none of them.
//!
//! The engine gives a validator the blocks that it has missed, as long as its peers remember them. Who is further behind, or begins from a
//! backup, fetches here: a peer's newest anchor, which a quorum has signed; the batches up to there, which are chained, so that the last one
//! makes all of them final; and if the peer has let go of those, its snapshot. Batches wait in a store of their own until the chain is
//! complete, and are then executed one by one. Then the engine begins at the anchor's block.
//!
//! A peer that lies, or does not answer, costs the time until that is found out, and disk for what it has sent, no more than
//! [`MAX_SNAPSHOT_BYTES`] and the batches; then the next is asked.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::batch::{Batch, BatchError, VerifyingKey};
use crate::proof::ProofError;
use crate::proof::anchor::{Anchor, Anchored};

use super::client::Client;
use super::reader::{ReadError, Trust};
use super::replica::{Refusal, Replica, ResumeError, SharedStore, lock};
use super::snapshot::{MAX_SNAPSHOT_BYTES, Snapshot, SnapshotError, is_newest};
use super::snapshots::Snapshots;
use super::store::{Store, StoreError};
use super::volume::Directory;
use super::wire::{Answer, Request};

/// A validator that is fewer batches behind leaves it to the engine: its peers remember more blocks than that.
pub const NEAR: u64 = 1024;

/// How long peers are asked how far they are; those that are not reached by then are not asked.
const ASKING: Duration = Duration::from_secs(10);

/// Why nothing was got from a peer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum CatchUpError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("batch {number} is none: {source}")]
    Batch { number: u64, source: BatchError },
    #[error("batch {number} does not follow the one before it")]
    Chain { number: u64 },
    #[error("its batch {number} is another than the one that is final")]
    OtherBatch { number: u64 },
    #[error("its proof: {0}")]
    Proof(#[from] ProofError),
    #[error("its snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("its snapshot is of batch {number}, which does not help")]
    OldSnapshot { number: u64 },
    #[error("batch {number} is final, and {refusal}")]
    Refused { number: u64, refusal: Refusal },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

/// What a validator that catches up knows and has.
pub struct CatchUp<'a> {
    /// Whom it believes, by quorum.
    pub trust: &'a Trust,
    /// Whose batches are settled.
    pub gateway: VerifyingKey,
    /// Where peers serve.
    pub peers: &'a [SocketAddr],
    /// Its directory.
    pub dir: &'a Path,
    /// Its snapshots.
    pub snapshots: &'a Snapshots,
    /// Its store.
    pub store: SharedStore,
    /// How far it may be behind and leave it to the engine.
    pub near: u64,
}

impl CatchUp<'_> {
    /// Brings a replica up to a peer, if one can show that it is far enough ahead; answers the anchor that it came to. `told` hears of
    /// peers that were of no use, and why.
    pub fn run(&self, replica: &mut Replica, told: &mut dyn FnMut(SocketAddr, &CatchUpError)) -> Option<Anchor> {
        let mut ahead: Vec<(SocketAddr, Anchor, Anchored)> = Vec::new();
        let begun = Instant::now();
        for &peer in self.peers {
            if begun.elapsed() > ASKING {
                break;
            }
            let newest = Client::connect(peer, self.trust.shard, None)
                .map_err(ReadError::from)
                .and_then(|mut client| self.trust.newest(&mut client));
            match newest {
                Ok((anchor, anchored)) => ahead.push((peer, anchor, anchored)),
                Err(why) => told(peer, &why.into()),
            }
        }
        ahead.sort_by_key(|(.., anchored)| std::cmp::Reverse(anchored.header.number));
        for (peer, anchor, anchored) in ahead {
            if anchored.header.number < replica.tip().number.saturating_add(self.near) {
                return None;
            }
            match self.fetch(peer, &anchor, &anchored, replica) {
                Ok(()) => return Some(anchor),
                Err(why) => told(peer, &why),
            }
        }
        None
    }

    /// Fetches what is missing up to an anchor, and executes it.
    fn fetch(
        &self,
        peer: SocketAddr,
        anchor: &Anchor,
        anchored: &Anchored,
        replica: &mut Replica,
    ) -> Result<(), CatchUpError> {
        let last = anchored.header.number;
        let mut client = Client::connect(peer, self.trust.shard, None)?;
        if replica.tip().number < last && batch(&mut client, replica.tip().number + 1)?.is_none() {
            self.take_snapshot(&mut client, replica)?;
        }
        let incoming = self.dir.join("incoming");
        let fetched = self.fetch_batches(&mut client, &incoming, anchor, last, replica);
        // What is left of it is of no use to anybody.
        let _ = fs::remove_dir_all(&incoming);
        fetched
    }

    /// Fetches the batches that follow, to a store of their own; if they end with the batch of the anchor, all of them are final.
    fn fetch_batches(
        &self,
        client: &mut Client,
        incoming: &Path,
        anchor: &Anchor,
        last: u64,
        replica: &mut Replica,
    ) -> Result<(), CatchUpError> {
        let tip = replica.tip();
        if tip.number >= last {
            // It has executed them already; what is final among them the store knows.
            return Ok(());
        }
        let _ = fs::remove_dir_all(incoming);
        let mut waiting = Store::open_behind(Directory::open(incoming)?, self.trust.shard, tip.number + 1)?;
        let mut previous = tip.digest;
        for number in tip.number + 1..=last {
            let next = batch(client, number)?.ok_or(CatchUpError::Chain { number })?;
            if next.header().previous != previous || next.number() != number {
                return Err(CatchUpError::Chain { number });
            }
            previous = *next.digest();
            match number == tip.number + 1 {
                true => waiting.begin_with(&next)?,
                false => waiting.append(&next)?,
            }
        }
        if !is_newest(anchor, &waiting.read(last)?)? {
            return Err(CatchUpError::OtherBatch { number: last });
        }
        for number in tip.number + 1..=last {
            let batch = waiting.read(number)?;
            replica.check(&batch).map_err(|refusal| CatchUpError::Refused { number, refusal })?;
            lock(&self.store).append(&batch)?;
            replica.stored(number);
        }
        Ok(())
    }

    /// Goes on from a peer's newest snapshot.
    fn take_snapshot(&self, client: &mut Client, replica: &mut Replica) -> Result<(), CatchUpError> {
        let snapshot = Snapshot::decode(&snapshot_bytes(client)?)?;
        snapshot.check(self.trust.shard, &self.gateway, |digest, bytes| self.trust.certified(digest, bytes))?;
        let number = snapshot.number();
        if number <= replica.tip().number {
            return Err(CatchUpError::OldSnapshot { number });
        }
        let like = replica.fork().ok_or_else(|| SnapshotError::Image("nothing can be read here".into()))?;
        let state = snapshot.restore(like.as_ref())?;
        // From here on a start goes on from the snapshot, whatever becomes of the store.
        self.snapshots.keep(&snapshot)?;
        lock(&self.store).begin_with(&snapshot.batch)?;
        *replica = Replica::resume(state, self.trust.shard, self.gateway, self.store.clone())?;
        Ok(())
    }
}

/// A batch of a peer's; `None`: it has let go of it.
fn batch(client: &mut Client, number: u64) -> Result<Option<Batch>, CatchUpError> {
    match client.ask(&Request::Batch(number))? {
        Answer::Batch(bytes) => {
            Batch::decode(&bytes).map(Some).map_err(|source| CatchUpError::Batch { number, source })
        }
        Answer::No(_) => Ok(None),
        _ => Err(unexpected().into()),
    }
}

/// The bytes of a peer's newest snapshot, in pieces.
fn snapshot_bytes(client: &mut Client) -> Result<Vec<u8>, CatchUpError> {
    let (mut number, mut bytes) = (0, Vec::new());
    loop {
        match client.ask(&Request::Snapshot { number, offset: bytes.len() as u64 })? {
            Answer::Piece { number: of, total, bytes: piece } => {
                let same = number == 0 || number == of;
                if !same || total > MAX_SNAPSHOT_BYTES as u64 || piece.is_empty() {
                    return Err(SnapshotError::Layout("it comes in pieces that do not fit").into());
                }
                number = of;
                bytes.extend_from_slice(&piece);
                if bytes.len() as u64 >= total {
                    bytes.truncate(total as usize);
                    return Ok(bytes);
                }
            }
            Answer::No(why) => return Err(ReadError::No(why).into()),
            _ => return Err(unexpected().into()),
        }
    }
}

fn unexpected() -> io::Error {
    io::Error::other("the validator's answer is of another kind than was asked for")
}

#[cfg(test)]
mod tests;
