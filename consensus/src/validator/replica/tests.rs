//! Every claim of a batch, bent; restarts; and an executor that believes what it is told.

use super::super::evidence;
use super::super::testing::{Credulous, Gateway, Ledger, SHARD, record};
use super::*;
use crate::batch::{Header, SEQ_COUNTER_BITS, SigningKey};

fn store(dir: &std::path::Path) -> SharedStore {
    let volume = Directory::open(dir).expect("a directory");
    Arc::new(Mutex::new(Store::open(volume, SHARD).expect("a store")))
}

fn replica(dir: &std::path::Path, gateway: &Gateway) -> Replica {
    Replica::resume(Ledger::new(), SHARD, gateway.public_key(), store(dir)).expect("resumes")
}

/// A replica and a gateway that have five batches behind them, two of them stored.
fn under_way(dir: &std::path::Path) -> (Replica, Gateway, Vec<Batch>) {
    let mut gateway = Gateway::new();
    let mut replica = replica(dir, &gateway);
    let batches: Vec<Batch> = (0..5).map(|_| gateway.next_plain()).collect();
    for batch in &batches {
        replica.check(batch).expect("a valid batch");
    }
    for batch in &batches[..2] {
        lock(&replica.store).append(batch).expect("appends");
    }
    replica.stored(2);
    (replica, gateway, batches)
}

#[test]
fn valid_batches_are_executed_once_and_known_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut replica, gateway, batches) = under_way(dir.path());
    assert_eq!(replica.tip(), Tip::of(&batches[4]));
    assert_eq!(replica.tip().root, gateway.ledger.root());
    for batch in &batches {
        replica.check(batch).expect("known, from the store or from memory");
    }
    assert_eq!(replica.executor.height(), 5);
    assert_eq!(replica.ahead.len(), 3);
}

#[test]
fn each_bent_claim_is_refused_for_what_it_is() {
    type Bend = fn(&mut Header);
    type Expect = fn(&Refusal) -> bool;
    let bends: [(Bend, Expect); 6] = [
        (|h| h.shard += 1, |r| matches!(r, Refusal::Shard { expected: SHARD, .. })),
        (|h| h.number += 1, |r| matches!(r, Refusal::Gap { expected: 6 })),
        (|h| h.previous[3] ^= 1, |r| matches!(r, Refusal::Previous)),
        (|h| h.first_seq += 1, |r| matches!(r, Refusal::Sequence { .. })),
        (|h| h.previous_root[3] ^= 1, |r| matches!(r, Refusal::PreviousRoot)),
        (|h| h.next_root[3] ^= 1, |r| matches!(r, Refusal::Root { .. })),
    ];
    for (bend, is_right) in bends {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut replica, mut gateway, batches) = under_way(dir.path());
        let records = [record(1, 5), record(2, 6)].concat();
        let mut header = gateway.header(&records);
        bend(&mut header);
        let refusal = replica.check(&gateway.seal(header, &records)).expect_err("a bent batch");
        assert!(is_right(&refusal), "{refusal}");
        let next = replica.check(&gateway.next(&records));
        assert_eq!(next, if refusal.blames_gateway() { Err(Refusal::Halted) } else { Ok(()) }, "after {refusal}");
        replica.check(&batches[4]).expect("what was executed before stays valid");
    }
}

#[test]
fn a_forged_signature_and_records_that_cannot_be_executed_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut replica, gateway, _) = under_way(dir.path());
    let records = record(1, 5);
    let forged =
        Batch::seal(gateway.header(&records), &records, &SigningKey::from_bytes(&[1; 32])).expect("well formed");
    assert_eq!(replica.check(&forged), Err(Refusal::Signature));
    let unpaid = gateway.seal(gateway.header(&record(3, -1_000_000)), &record(3, -1_000_000));
    assert!(matches!(replica.check(&unpaid), Err(Refusal::Records(_))));
}

#[test]
fn two_batches_with_one_number_are_equivocation() {
    for number in [1, 4] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut replica, gateway, batches) = under_way(dir.path());
        let first = &batches[number - 1];
        let second = gateway.seal(*first.header(), &record(1, 77));
        let refusal = replica.check(&second).expect_err("a second batch");
        assert_eq!(refusal, Refusal::Equivocation { other: *first.digest() });
        assert!(refusal.blames_gateway());
    }
}

#[test]
fn a_later_epoch_begins_with_counter_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut replica, gateway, _) = under_way(dir.path());
    let records = record(1, 5);
    let epoch = (gateway.last.last_seq >> SEQ_COUNTER_BITS) + 1;
    let first_seq = epoch << SEQ_COUNTER_BITS | 1;
    let header = Header { first_seq, last_seq: first_seq, ..gateway.header(&records) };
    replica.check(&gateway.seal(header, &records)).expect("a new epoch");
}

#[test]
fn a_replica_resumes_from_its_store_at_any_executor_height() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, gateway, batches) = under_way(dir.path());
    drop(first);
    let mut at_one = Ledger::new();
    at_one.execute(&batches[0]).expect("executes");
    for executor in [Ledger::new(), at_one] {
        let mut replica = Replica::resume(executor, SHARD, gateway.public_key(), store(dir.path())).expect("resumes");
        assert_eq!(replica.tip(), Tip::of(&batches[1]), "what was executed and not stored is executed again");
        for batch in &batches[2..] {
            replica.check(batch).expect("offered again");
        }
    }
    let resumed = Replica::resume(gateway.ledger.clone(), SHARD, gateway.public_key(), store(dir.path()));
    assert!(matches!(resumed, Err(ResumeError::Ahead { executor: 5, store: 2 })));
    let mut other = Ledger::new();
    other.execute(&gateway.seal(*batches[0].header(), &record(9, 9))).expect("executes");
    let resumed = Replica::resume(other, SHARD, gateway.public_key(), store(dir.path()));
    assert!(matches!(resumed, Err(ResumeError::Root { number: 1, .. })));
}

/// The planted bug: an executor that accepts a wrong root lets it be finalized, and the next honest replay of the store finds it.
#[test]
fn a_wrong_root_that_was_believed_is_caught_by_replay() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let first = gateway.next_plain();
    let mut lie = gateway.header(&record(1, 5));
    lie.next_root = [0xEE; 32];
    let lie = gateway.seal(lie, &record(1, 5));
    let credulous = Credulous(Ledger::new());
    let mut replica = Replica::resume(credulous, SHARD, gateway.public_key(), store(dir.path())).expect("resumes");
    for batch in [&first, &lie] {
        replica.check(batch).expect("the planted bug believes it");
        lock(&replica.store).append(batch).expect("appends");
    }
    drop(replica);
    match Replica::resume(Ledger::new(), SHARD, gateway.public_key(), store(dir.path())).map(|_| ()) {
        Err(ResumeError::Refuted { number: 2, refusal: Refusal::Root { claimed, .. } }) => {
            assert_eq!(claimed, [0xEE; 32])
        }
        other => panic!("the wrong root was not caught: {other:?}"),
    }
}

#[test]
fn evidence_holds_the_batch_and_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let batch = gateway.next_plain();
    let refusal = Refusal::Root { claimed: [1; 32], computed: [2; 32] };
    let path = evidence::keep(&dir.path().join("evidence"), &batch, &refusal).expect("kept");
    let kept = Batch::decode(&std::fs::read(&path).expect("a file")).expect("the batch as it came");
    kept.verify_signature(&gateway.public_key()).expect("it can be held against the gateway");
    let reason = std::fs::read_to_string(path.with_extension("reason")).expect("a file");
    assert!(reason.starts_with("batch 1: it claims the root 0101"), "{reason}");
}
