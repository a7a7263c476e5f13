//! One member of a simulated committee: its disks, which outlive it, and the validator that runs over them in one of its lives.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wirebook_engine::shelf::{Done, Shelf, ShelfBlob, ShelfError};
use wirebook_engine::{Agreement, Body, Moment, Next, Note, Place, Verdict};
use wirebook_matcher::flow::Random;

use crate::batch::{Batch, VerifyingKey};
use crate::execute::MachineExecutor;
use crate::validator::core::Core;
use crate::validator::replica::{Replica, Skip, lock};
use crate::validator::status::Finalized;
use crate::validator::store::Store;
use crate::validator::volume::Volume;
use crate::vault::{Options, Vault};

use super::checks::Checks;
use super::disk::Disk;
use super::planted::Planted;
use super::venue::SHARD;

/// Small, so that segments come and go in a short life.
const OPTIONS: Options = Options { segment_bytes: 256 << 10, laziness: Duration::ZERO, threaded: false, hasty: false };

/// What a member has that outlives it.
#[derive(Clone)]
pub(super) struct Disks {
    pub(super) votes: Disk,
    pub(super) batches: Disk,
}

impl Disks {
    pub(super) fn new() -> Self {
        let disks = Self { votes: Disk::default(), batches: Disk::default() };
        disks.votes.wire(&disks.batches);
        disks
    }

    /// Whether the power is gone.
    pub(super) fn off(&self) -> bool {
        self.votes.is_off() || self.batches.is_off()
    }

    /// What the disks hold after a crash. What ran over the old ones reaches these no more.
    pub(super) fn crash(&mut self, random: &mut Random, planted: Option<Planted>) {
        for disk in [&mut self.votes, &mut self.batches] {
            *disk = disk.copy();
            disk.crash(&mut |below| random.below(below as u64) as usize);
        }
        match planted {
            Some(Planted::ForgetVotes) => self.votes = Disk::default(),
            Some(Planted::CutOneMore) => {
                let last = self.batches.list().ok().and_then(|names| names.last().cloned());
                if let Some(name) = last {
                    let length = self.batches.read(&name).map_or(0, |bytes| bytes.len() as u64);
                    let cut =
                        self.batches.truncate(&name, length.saturating_sub(1)).and_then(|()| self.batches.sync(&name));
                    cut.expect("a disk in memory");
                }
            }
            _ => {}
        }
        self.votes.wire(&self.batches);
    }
}

/// The validator that runs over a member's disks, without its engine.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) core: Arc<Core<Disk>>,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) shelf: Arc<dyn Shelf>,
    disks: Disks,
    planted: Option<Planted>,
}

/// What a forger proposes, by number.
pub(super) type Forgeries = Arc<Mutex<Vec<Batch>>>;

impl Running {
    /// Opens a member's disks.
    pub(super) fn open(
        member: usize,
        disks: &Disks,
        gateway: VerifyingKey,
        checks: &Checks,
        planted: Option<Planted>,
        forgeries: Option<Forgeries>,
    ) -> Result<Self, String> {
        if planted == Some(Planted::SkipStoreSync) {
            disks.batches.lie();
        }
        let (vault, _) = Vault::open(disks.votes.clone(), OPTIONS).map_err(|error| error.to_string())?;
        let store = Store::open(disks.batches.clone(), SHARD).map_err(|error| error.to_string())?;
        let height = store.tip();
        let store = Arc::new(Mutex::new(store));
        let mut replica = Replica::resume(MachineExecutor::new(SHARD), SHARD, gateway, store.clone())
            .map_err(|error| error.to_string())?;
        replica.skip(match planted {
            Some(Planted::AcceptForged) => Some(Skip::Signature),
            Some(Planted::AcceptWrongRoot) => Some(Skip::Root),
            Some(Planted::ApplyTwice) => Some(Skip::Known),
            _ => None,
        });
        let observer = checks.witness(member, [disks.votes.clone(), disks.batches.clone()]);
        // The checks see every refusal; nothing is to be left behind on a real disk.
        let keep = Box::new(|_: &Batch, _: &_| Ok("simulated".into()));
        let (core, _) = Core::new(replica, store, keep, Some(observer));
        let core = Arc::new(core);
        let told = checks.lock().told(member);
        let held = core.read(told.height).ok().map(|batch| *batch.digest());
        checks.lock().restarted(member, height, held);
        let agreement: Arc<dyn Agreement> = match (forgeries, planted) {
            (Some(forgeries), _) => Arc::new(Forger { core: core.clone(), forgeries }),
            (None, Some(Planted::DropInCatchUp)) => Arc::new(Dropper { core: core.clone(), begun: height }),
            _ => core.clone(),
        };
        let hasty = planted == Some(Planted::SkipSync);
        let shelf = Arc::new(Powered { vault, disks: disks.clone(), unheard: Unheard::default(), hasty });
        Ok(Self { core, agreement, shelf, disks: disks.clone(), planted })
    }

    /// Whether there is somebody to answer.
    pub(super) fn is_up(&self) -> bool {
        !self.disks.off() && !self.core.status.stopped()
    }

    /// What a reader is told to be final; `None` without power.
    pub(super) fn read(&self) -> Option<Finalized> {
        let told = match self.planted {
            Some(Planted::TellExecuted) => self.core.executed(),
            _ => self.core.status.finalized(),
        };
        (!self.disks.off()).then_some(told)
    }
}

/// Waits that nobody is there to hear the end of. They are kept: dropping one would tell its waiter of a failure.
type Unheard = Arc<Mutex<Vec<Done>>>;

/// The vault while there is power: without it no wait is ever answered.
struct Powered {
    vault: Vault,
    disks: Disks,
    unheard: Unheard,
    /// The planted bug: every wait is answered at once.
    hasty: bool,
}

struct PoweredBlob {
    blob: Box<dyn ShelfBlob>,
    disks: Disks,
    unheard: Unheard,
    hasty: bool,
}

impl Shelf for Powered {
    fn open(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<u16>,
    ) -> Result<(Box<dyn ShelfBlob>, u64, u16), ShelfError> {
        let (blob, length, version) = Shelf::open(&self.vault, partition, name, versions)?;
        let (disks, unheard) = (self.disks.clone(), self.unheard.clone());
        Ok((Box::new(PoweredBlob { blob, disks, unheard, hasty: self.hasty }), length, version))
    }

    fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), ShelfError> {
        Shelf::remove(&self.vault, partition, name)
    }

    fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, ShelfError> {
        Shelf::scan(&self.vault, partition)
    }
}

impl ShelfBlob for PoweredBlob {
    fn read(&self, offset: u64, length: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), ShelfError> {
        self.blob.read(offset, length, take)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> u64 {
        self.blob.write(offset, bytes)
    }

    fn resize(&self, length: u64) -> u64 {
        self.blob.resize(length)
    }

    fn mark(&self) -> u64 {
        self.blob.mark()
    }

    fn when_durable(&self, mark: u64, urgent: bool, done: Done) {
        if self.hasty {
            return done(Ok(()));
        }
        let (disks, unheard) = (self.disks.clone(), self.unheard.clone());
        let while_powered = move |result| {
            if disks.off() {
                lock(&unheard).push(done);
            } else {
                done(result);
            }
        };
        self.blob.when_durable(mark, urgent, Box::new(while_powered));
    }
}

/// A member that proposes what it has made up, and finds everything valid.
struct Forger {
    core: Arc<Core<Disk>>,
    forgeries: Forgeries,
}

impl Agreement for Forger {
    fn checked(&self) -> u64 {
        self.core.checked()
    }

    fn next(&self, number: u64) -> Next<'_> {
        let forgeries = lock(&self.forgeries);
        match forgeries.iter().find(|forged| forged.number() == number).cloned() {
            Some(forged) => Box::pin(std::future::ready(Body::from_owner(forged))),
            None => self.core.next(number),
        }
    }

    fn may_propose(&self, _: u64, _: &Body, _: u64) -> bool {
        true
    }

    fn verify(&self, _: u64, _: &Body) -> Verdict {
        Verdict::Valid
    }

    fn settle(&self, body: Option<&Body>, place: &Place<'_>) -> bool {
        // It lies to the others, not to itself.
        self.core.settle(body, place)
    }

    fn remember(&self, place: &Place<'_>) {
        self.core.remember(place);
    }

    fn notes(&self) -> Vec<Note> {
        self.core.notes()
    }

    fn noted(&self) -> Moment<'_> {
        self.core.noted()
    }

    fn asked(&self) -> Vec<Note> {
        self.core.asked()
    }

    fn asks(&self) -> Moment<'_> {
        self.core.asks()
    }

    fn heard(&self, member: [u8; 32], notes: &[u8]) {
        self.core.heard(member, notes);
    }

    fn settled(&self, height: u64) {
        self.core.settled(height);
    }
}

/// The planted bug: the first batch that comes after a start, without a certificate of its own, is not stored.
struct Dropper {
    core: Arc<Core<Disk>>,
    begun: u64,
}

impl Agreement for Dropper {
    fn checked(&self) -> u64 {
        self.core.checked()
    }

    fn next(&self, number: u64) -> Next<'_> {
        self.core.next(number)
    }

    fn may_propose(&self, number: u64, body: &Body, parent: u64) -> bool {
        self.core.may_propose(number, body, parent)
    }

    fn verify(&self, number: u64, body: &Body) -> Verdict {
        self.core.verify(number, body)
    }

    fn settle(&self, body: Option<&Body>, place: &Place<'_>) -> bool {
        let catches_up = self.begun > 0 && body.is_some() && place.settles == self.begun + 1;
        catches_up || self.core.settle(body, place)
    }

    fn remember(&self, place: &Place<'_>) {
        self.core.remember(place);
    }

    fn notes(&self) -> Vec<Note> {
        self.core.notes()
    }

    fn noted(&self) -> Moment<'_> {
        self.core.noted()
    }

    fn asked(&self) -> Vec<Note> {
        self.core.asked()
    }

    fn asks(&self) -> Moment<'_> {
        self.core.asks()
    }

    fn heard(&self, member: [u8; 32], notes: &[u8]) {
        self.core.heard(member, notes);
    }

    fn settled(&self, height: u64) {
        self.core.settled(height);
    }

    fn witnessed(&self, member: [u8; 32], what: &'static str) {
        self.core.witnessed(member, what);
    }
}
