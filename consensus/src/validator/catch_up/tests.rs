//! A validator that is far behind comes up to a peer, and past peers that lie.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::embedded::{Config, Keeping, Timing};
use super::super::inbox::OfferError;
use super::super::service::{Identity, Node, Service};
use super::super::serving::Serving;
use super::super::status::{Finalized, WaitError};
use super::*;
use crate::batch::SigningKey;
use crate::execute::MachineExecutor;
use crate::proof::block::Note;
use crate::sim::venue::{SHARD, Venue};

const PATIENCE: Duration = Duration::from_secs(30);
const PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// How a peer answers.
#[derive(Clone, Default)]
struct Lies {
    /// It has let go of batches before this one.
    first: u64,
    /// It answers with this in place of its snapshot.
    snapshot: Option<Vec<u8>>,
    /// It answers with this in place of the batch of the same number.
    batch: Option<Batch>,
}

/// A peer between an honest validator and who asks.
struct Peer {
    honest: Arc<Serving>,
    lies: Lies,
}

impl Node for Peer {
    fn offer(&self, _: Batch) -> Result<(), OfferError> {
        Err(OfferError::Stopped)
    }
    fn finalized(&self) -> Finalized {
        self.honest.handle().finalized()
    }
    fn wait(&self, _: u64, _: Duration) -> Result<Finalized, WaitError> {
        Ok(self.finalized())
    }
    fn batch(&self, number: u64) -> Result<Batch, String> {
        if number < self.lies.first {
            return Err("it is gone".into());
        }
        match &self.lies.batch {
            Some(other) if other.number() == number => Ok(other.clone()),
            _ => self.honest.handle().batch(number).map_err(|error| error.to_string()),
        }
    }
    fn certified(&self) -> Option<Answer> {
        None
    }
    fn read(&self, _: u32, _: u16, _: Option<Note>, _: Duration) -> Result<Vec<u8>, String> {
        Err("not here".into())
    }
    fn anchor(&self) -> Result<Vec<u8>, String> {
        self.honest.handle().anchor().map(|anchor| anchor.encode())
    }
    fn snapshot(&self, number: u64, offset: u64) -> Result<(u64, u64, Vec<u8>), String> {
        match &self.lies.snapshot {
            Some(bytes) => {
                let from = bytes.len().min(offset as usize);
                Ok((1, bytes.len() as u64, bytes[from..bytes.len().min(from + 10_000)].to_vec()))
            }
            None => self.honest.handle().snapshot_piece(number, offset).map_err(|error| error.to_string()),
        }
    }
    fn timings(&self) -> Vec<(u64, u32)> {
        Vec::new()
    }
    fn fault(&self) -> Option<String> {
        None
    }
    fn metrics(&self) -> String {
        String::new()
    }
}

/// An honest validator that has settled a few dozen batches and kept snapshots, and its gateway.
struct World {
    venue: Venue,
    honest: Arc<Serving>,
    trust: Trust,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut venue = Venue::new(seed);
        let timing = Timing { leader: Duration::from_millis(300), certification: Duration::from_millis(900) };
        let keeping = Keeping { every_batches: 10, all_batches: false };
        let config = Config { timing, keeping, ..Config::alone(dir.path().into(), SHARD, venue.public_key()) };
        let honest = Serving::start(config, MachineExecutor::new(SHARD), PORT.into(), None).expect("starts");
        for _ in 0..3 {
            (0..12).for_each(|_| honest.handle().offer(venue.seal()).expect("room"));
            honest.handle().wait_finalized(venue.sealed(), PATIENCE).expect("final");
            let begun = std::time::Instant::now();
            while honest.handle().snapshot_piece(0, 0).map_or(true, |(number, ..)| number + 10 < venue.sealed()) {
                assert!(begun.elapsed() < PATIENCE, "no snapshot: {:?}", honest.handle().told());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let trust = Trust { shard: SHARD, keys: vec![honest.handle().public_key()] };
        Self { venue, honest: Arc::new(honest), trust, _dir: dir }
    }

    fn peer(&self, lies: Lies) -> Service {
        let key = SigningKey::from_bytes(&[5; 32]);
        let identity = Identity { shard: SHARD, gateway: self.venue.public_key(), key };
        Service::start(PORT.into(), identity, Arc::new(Peer { honest: self.honest.clone(), lies })).expect("listens")
    }

    fn snapshot(&self) -> Snapshot {
        let mut bytes = Vec::new();
        loop {
            let (_, total, piece) = self.honest.handle().snapshot_piece(0, bytes.len() as u64).expect("there is one");
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 == total {
                return Snapshot::decode(&bytes).expect("a snapshot");
            }
        }
    }

    /// Lets a new validator catch up from these; answers where it begins and ends, whether it came to an anchor, and what it heard.
    fn catch_up(&self, peers: &[&Service]) -> (u64, u64, bool, Vec<String>) {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Directory::open(&dir.path().join("batches")).expect("a directory");
        let store = Arc::new(Mutex::new(Store::open(open(), SHARD).expect("opens")));
        let snapshots = Snapshots::open(&dir.path().join("snapshots")).expect("opens");
        let gateway = self.venue.public_key();
        let mut replica = Replica::resume(MachineExecutor::new(SHARD), SHARD, gateway, store.clone()).expect("empty");
        let addresses: Vec<SocketAddr> = peers.iter().map(|peer| peer.address()).collect();
        let mut told = Vec::new();
        let (trust, store_too) = (&self.trust, store.clone());
        let catch_up = CatchUp {
            trust,
            gateway,
            peers: &addresses,
            dir: dir.path(),
            snapshots: &snapshots,
            store: store_too,
            near: 0,
        };
        let anchor = catch_up.run(&mut replica, &mut |_, why| told.push(why.to_string()));
        let (first, tip) = (lock(&store).first(), replica.tip());
        assert_eq!(lock(&store).tip(), tip.number, "what is executed is stored");
        assert!(!dir.path().join("incoming").exists(), "what came is not left behind");
        if tip.number == self.venue.sealed() {
            assert_eq!(tip.root, self.honest.handle().finalized().root);
        }
        // A start goes on from there, from the snapshot if there is one.
        let known = snapshots.numbers().expect("reads").first().copied().unwrap_or(0);
        drop((replica, catch_up, store));
        assert_eq!(Store::open_behind(open(), SHARD, known).expect("opens").tip(), tip.number);
        (first, tip.number, anchor.is_some(), told)
    }
}

#[test]
fn batches_or_a_snapshot_bring_it_up_and_no_liar_does() {
    let (world, other) = (World::new(5), World::new(6));
    let all = world.venue.sealed();
    let honest = world.peer(Lies::default());
    assert_eq!(world.catch_up(&[&honest]), (1, all, true, vec![]), "batch by batch");
    let forgetful = world.peer(Lies { first: 15, ..Lies::default() });
    let snapshot = world.snapshot();
    assert!(snapshot.number() > 15, "{}", snapshot.number());
    assert_eq!(world.catch_up(&[&forgetful]), (snapshot.number(), all, true, vec![]), "from the snapshot");

    // Each liar is found out, leaves nothing behind, and the honest one is asked next.
    let lie = |snapshot: &Snapshot| Lies { first: 15, snapshot: Some(snapshot.encode()), batch: None };
    let mut torn = snapshot.encode();
    torn.truncate(torn.len() - 100);
    let mut flipped = snapshot.encode();
    flipped[torn.len() / 2] ^= 1;
    let image = Snapshot { image: other.snapshot().image, ..snapshot.clone() };
    let mut unsigned = snapshot.clone();
    unsigned.anchor.certificate[40] ^= 1;
    let strange = Snapshot { batch: other.snapshot().batch, ..snapshot.clone() };
    let foreign = other.honest.handle().batch(20).expect("stored");
    let bad = |bytes| Lies { first: 15, snapshot: Some(bytes), batch: None };
    let liars = [
        (bad(torn), "a snapshot"),
        (bad(flipped), "digest"),
        (bad(b"short".to_vec()), "too short"),
        (lie(&image), "root"),
        (lie(&unsigned), "no quorum"),
        (lie(&strange), "snapshot"),
        (lie(&other.snapshot()), "no quorum"),
        (Lies { batch: Some(foreign), ..Lies::default() }, "does not follow"),
    ];
    for (lies, reason) in liars {
        let liar = world.peer(lies);
        let (_, tip, came, told) = world.catch_up(&[&liar]);
        assert!(!came && told.len() == 1 && told[0].contains(reason), "{reason}: {told:?}");
        assert!(tip < all, "{reason}: {tip}");
        let (_, tip, came, told) = world.catch_up(&[&liar, &honest]);
        assert!(came && tip == all && told.len() == 1, "{reason}: {told:?}");
    }
    // A committee that he does not trust shows nothing at all.
    let stranger = other.peer(Lies::default());
    let (_, tip, came, told) = world.catch_up(&[&stranger]);
    assert!(tip == 0 && !came && told[0].contains("no quorum"), "{told:?}");
}
