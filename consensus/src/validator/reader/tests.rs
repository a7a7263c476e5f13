//! Reads from a validator that runs, over restarts; and every lie that one could tell, refused with its reason.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::batch::{Batch, SigningKey};
use crate::execute::MachineExecutor;
use crate::proof::block::Note;
use crate::sim::venue::{SHARD, Venue};
use crate::validator::embedded::{Config, Timing};
use crate::validator::inbox::OfferError;
use crate::validator::replica::lock;
use crate::validator::service::{Identity, Node, Service};
use crate::validator::serving::Serving;
use crate::validator::status::{Finalized, WaitError};

const PATIENCE: Duration = Duration::from_secs(30);
const NOTE: Note = [77; 32];

fn start(dir: &Path, venue: &Venue) -> (Serving, Trust) {
    let timing = Timing { leader: Duration::from_millis(300), certification: Duration::from_millis(900) };
    let config = Config { timing, ..Config::alone(dir.to_path_buf(), SHARD, venue.public_key()) };
    let serving = Serving::start(config, MachineExecutor::new(SHARD), ([127, 0, 0, 1], 0).into(), None);
    let serving = serving.expect("starts");
    let trust = Trust { shard: SHARD, keys: vec![serving.handle().public_key()] };
    (serving, trust)
}

fn settle(serving: &Serving, venue: &mut Venue, batches: u64) {
    for _ in 0..batches {
        serving.handle().offer(venue.seal()).expect("room");
    }
    serving.handle().wait_finalized(venue.sealed(), PATIENCE).expect("final");
}

fn question(note: Option<Note>) -> Question {
    Question { shard: SHARD, account: 3, asset: 1, note, at_least: 0 }
}

#[test]
fn balances_are_read_with_proof_and_behind_a_barrier_over_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut venue = Venue::new(3);
    let (serving, trust) = start(dir.path(), &venue);
    let at = serving.address().expect("serves");
    let early = trust.read(at, &question(None), PATIENCE).expect_err("nothing is final yet");
    assert!(matches!(early, ReadError::No(_)), "{early}");
    settle(&serving, &mut venue, 5);
    for round in 0..3u8 {
        let note = [round; 32];
        settle(&serving, &mut venue, 2);
        let read = trust.read(at, &question(Some(note)), PATIENCE).expect("a barrier");
        assert_eq!(read.at.header.number, venue.sealed(), "everything that was final when it was asked");
        assert_eq!(read.balance, venue.balance(3, 1));
        assert!(read.at.barrier.is_some_and(|behind| behind.settles <= venue.sealed()), "{:?}", read.at);
        // The same proof does for nobody else's question.
        let again = trust.check(&question(Some([99; 32])), read.proof.clone());
        assert_eq!(again, Err(ProofError::NoBarrier));
    }
    let stale = trust.read(at, &question(None), PATIENCE).expect("at hand");
    assert_eq!((stale.at.barrier, stale.balance), (None, venue.balance(3, 1)));
    let nothing = Question { account: 60_000, asset: 200, ..question(None) };
    assert_eq!(trust.read(at, &nothing, PATIENCE).expect("an absence").balance, Balance::default());
    let beyond = Question { account: 1 << 20, ..question(None) };
    assert!(matches!(trust.read(at, &beyond, PATIENCE), Err(ReadError::No(_))));
    serving.shutdown().expect("no fault");

    // Nothing new becomes final after the start: what was is still shown, and a barrier does not need a batch.
    let (serving, trust) = start(dir.path(), &venue);
    let at = serving.address().expect("serves");
    let read = trust.read(at, &question(None), PATIENCE).expect("remembered");
    assert_eq!((read.at.header.number, read.balance), (venue.sealed(), venue.balance(3, 1)));
    let read = trust.read(at, &question(Some(NOTE)), PATIENCE).expect("a barrier");
    assert_eq!((read.at.header.number, read.balance), (venue.sealed(), venue.balance(3, 1)));
    settle(&serving, &mut venue, 70);
    let read = trust.read(at, &question(Some([78; 32])), PATIENCE).expect("far ahead of the last reader");
    assert_eq!((read.at.header.number, read.balance), (venue.sealed(), venue.balance(3, 1)));
    let (anchor, anchored) = trust.newest(&mut Client::connect(at, SHARD, None).expect("serves")).expect("proven");
    assert_eq!(anchored.header.number, venue.sealed());
    assert_eq!(Anchor::decode(&anchor.encode()), Ok(anchor));
}

/// A validator's port behind which somebody answers reads with what he likes.
struct Liar {
    answer: Mutex<Vec<u8>>,
}

impl Node for Liar {
    fn offer(&self, _: Batch) -> Result<(), OfferError> {
        Err(OfferError::Stopped)
    }
    fn finalized(&self) -> Finalized {
        Finalized { height: 0, root: [0; 32], digest: [0; 32], last_seq: 0 }
    }
    fn wait(&self, _: u64, _: Duration) -> Result<Finalized, WaitError> {
        Ok(self.finalized())
    }
    fn batch(&self, number: u64) -> Result<Batch, String> {
        Err(format!("no batch {number}"))
    }
    fn certified(&self) -> Option<Answer> {
        None
    }
    fn read(&self, _: u32, _: u16, _: Option<Note>, _: Duration) -> Result<Vec<u8>, String> {
        Ok(lock(&self.answer).clone())
    }
    fn anchor(&self) -> Result<Vec<u8>, String> {
        Err("no anchor".into())
    }
    fn snapshot(&self, number: u64, _: u64) -> Result<(u64, u64, Vec<u8>), String> {
        Err(format!("no snapshot {number}"))
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

#[test]
fn a_validator_that_lies_is_refused_with_its_reason() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another")];
    let (mut venue, mut other) = (Venue::new(3), Venue::new(4));
    let (serving, trust) = start(dirs[0].path(), &venue);
    let (elsewhere, others) = start(dirs[1].path(), &other);
    settle(&serving, &mut venue, 3);
    settle(&elsewhere, &mut other, 3);
    let ask = |serving: &Serving, note| serving.handle().read(3, 1, note, PATIENCE).expect("answered");
    let old = ask(&serving, None);
    settle(&serving, &mut venue, 3);
    let (truth, foreign) = (ask(&serving, Some(NOTE)), ask(&elsewhere, Some(NOTE)));

    let key = SigningKey::from_bytes(&[5; 32]);
    let identity = Identity { shard: SHARD, gateway: venue.public_key(), key };
    let liar = Arc::new(Liar { answer: Mutex::default() });
    let service = Service::start(([127, 0, 0, 1], 0).into(), identity, liar.clone()).expect("listens");
    let read = |question: &Question, answer: &SettledProof| {
        *lock(&liar.answer) = answer.encode();
        trust.read(service.address(), question, PATIENCE)
    };
    let lie = |question: &Question, answer: &SettledProof| match read(question, answer) {
        Err(ReadError::Lie(why)) => why,
        other => panic!("a lie is told: {other:?}"),
    };
    let asked = question(Some(NOTE));
    assert_eq!(read(&asked, &truth).expect("the truth").balance, venue.balance(3, 1));

    let mut made_up = truth.clone();
    made_up.balance.balance.available += 1;
    assert_eq!(lie(&asked, &made_up), ProofError::Root, "another value");
    made_up = truth.clone();
    made_up.balance = foreign.balance.clone();
    assert_eq!(lie(&asked, &made_up), ProofError::Root, "a balance under another root");
    made_up = truth.clone();
    made_up.anchor.certificate = old.anchor.certificate.clone();
    assert_eq!(lie(&asked, &made_up), ProofError::NotCertified, "the certificate of another block");
    assert_eq!(lie(&asked, &foreign), ProofError::NotCertified, "another committee's ledger");
    assert!(others.check(&asked, foreign.encode()).is_ok(), "which is right for who trusts that one");
    assert_eq!(lie(&asked, &old), ProofError::NoBarrier, "what was final before the question");
    let newer = Question { at_least: 6, ..question(None) };
    assert_eq!(lie(&newer, &old), ProofError::Stale { found: 3, wanted: 6 });
    assert_eq!(lie(&Question { asset: 0, ..asked }, &truth), ProofError::OtherBalance { account: 3, asset: 1 });
    *lock(&liar.answer) = vec![1, 2, 3];
    let garbage = trust.read(service.address(), &asked, PATIENCE);
    assert!(matches!(garbage, Err(ReadError::Lie(ProofError::Encoding { .. }))), "{garbage:?}");
}
