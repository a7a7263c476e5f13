//! One embedded validator: batches in, finalized out, over restarts, kills and bad batches.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::executor::Executor;
use super::super::replica::Refusal;
use super::super::store::Store;
use super::super::testing::{Credulous, Gateway, Ledger, SHARD, record};
use super::*;
use crate::batch::{Header, SigningKey};

/// Long enough for any machine; nothing here is expected to take anywhere near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Short, so that a killed validator goes on soon.
const TIMING: Timing = Timing { leader: Duration::from_millis(300), certification: Duration::from_millis(900) };

fn config(dir: &Path, gateway: &Gateway) -> Config {
    Config { timing: TIMING, ..Config::alone(dir.to_path_buf(), SHARD, gateway.public_key()) }
}

fn start(dir: &Path, gateway: &Gateway) -> Handle {
    EmbeddedValidator::start(config(dir, gateway), Ledger::new()).expect("starts")
}

/// Waits until the validator has stopped by itself.
fn faulted(handle: &Handle) -> Fault {
    match handle.wait_finalized(u64::MAX, PATIENCE) {
        Err(WaitError::Fault(fault)) => *fault,
        other => panic!("a fault was expected, not {other:?}"),
    }
}

#[test]
fn batches_are_finalized_in_order_and_over_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let genesis = Ledger::new().root();
    let mut batches = Vec::new();
    for round in 0..3u64 {
        let handle = start(dir.path(), &gateway);
        let begin = handle.finalized();
        assert_eq!(begin.height, round * 50);
        assert_eq!(begin.root, if round == 0 { genesis } else { gateway.last.next_root });
        // What is settled is recognised, in a new process too.
        for batch in batches.iter().take(3) {
            handle.offer(Batch::clone(batch)).expect("quietly");
        }
        for _ in 0..50 {
            let batch = gateway.next_plain();
            handle.offer(batch.clone()).expect("room");
            batches.push(batch);
        }
        let last = (round + 1) * 50;
        let reached = handle.wait_finalized(last, PATIENCE).expect("finalized");
        assert_eq!((reached.height, reached.root), (last, gateway.ledger.root()));
        assert_eq!((reached.last_seq, reached.digest), (gateway.last.last_seq, *batches[batches.len() - 1].digest()));
        handle.offer(batches[0].clone()).expect("quietly");
        assert_eq!(handle.fault(), None);
        assert_eq!(handle.shutdown(), Ok(reached));
    }
    // The store holds exactly what was offered.
    let store = Store::open(Directory::open(&dir.path().join("batches")).expect("a directory"), SHARD).expect("opens");
    for (at, batch) in batches.iter().enumerate() {
        assert_eq!(store.read(at as u64 + 1).expect("stored"), *batch);
    }
}

#[test]
fn a_large_batch_passes() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let handle = start(dir.path(), &gateway);
    let records = record(3, 1).repeat(crate::batch::MAX_RECORD_BYTES / 9);
    for _ in 0..3 {
        handle.offer(gateway.next(&records)).expect("room");
    }
    assert_eq!(handle.wait_finalized(3, PATIENCE).expect("finalized").root, gateway.ledger.root());
}

/// A batch that is refused: settlement stops before it, says why, keeps it; and after a restart goes on with an honest one.
#[test]
fn refused_batches_stop_settlement_and_are_kept() {
    type Make = fn(&Gateway) -> Batch;
    type Expect = fn(&Refusal) -> bool;
    let cases: [(Make, Expect); 4] = [
        (
            |gateway| {
                let header = gateway.header(&record(1, 5));
                gateway.seal(Header { next_root: [0xEE; 32], ..header }, &record(1, 5))
            },
            |refusal| matches!(refusal, Refusal::Root { claimed, .. } if *claimed == [0xEE; 32]),
        ),
        (
            |gateway| {
                let header = gateway.header(&record(1, 5));
                Batch::seal(header, &record(1, 5), &SigningKey::from_bytes(&[66; 32])).expect("well formed")
            },
            |refusal| matches!(refusal, Refusal::Signature),
        ),
        (
            |gateway| {
                let header = gateway.header(&record(1, 5));
                gateway.seal(
                    Header { first_seq: header.first_seq + 1, last_seq: header.last_seq + 1, ..header },
                    &record(1, 5),
                )
            },
            |refusal| matches!(refusal, Refusal::Sequence { .. }),
        ),
        (
            |gateway| gateway.seal(gateway.header(&record(250, -1)), &record(250, -1)),
            |refusal| matches!(refusal, Refusal::Records(_)),
        ),
    ];
    for (make, is_right) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let mut gateway = Gateway::new();
        let handle = start(dir.path(), &gateway);
        for _ in 0..3 {
            handle.offer(gateway.next_plain()).expect("room");
        }
        let bad = make(&gateway);
        handle.offer(bad.clone()).expect("it is only looked at when its turn comes");
        let Fault::Refused { number: 4, digest, refusal, evidence } = faulted(&handle) else { panic!("another fault") };
        assert!(is_right(&refusal), "{refusal}");
        assert_eq!(digest, *bad.digest());
        let kept = std::fs::read(evidence.expect("kept")).expect("a file");
        assert_eq!(kept, bad.as_bytes());
        assert!(matches!(handle.offer(gateway.clone().next_plain()), Err(OfferError::Fault(_))));
        assert_eq!(handle.wait_finalized(3, PATIENCE).expect("what was good is final").root, gateway.ledger.root());
        handle.shutdown().expect_err("the fault");

        let handle = start(dir.path(), &gateway);
        assert_eq!(handle.finalized().height, 3);
        handle.offer(gateway.next_plain()).expect("room");
        assert_eq!(handle.wait_finalized(4, PATIENCE).expect("finalized").root, gateway.ledger.root());
    }
}

#[test]
fn offers_out_of_order_and_second_versions_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let handle = start(dir.path(), &gateway);
    let (one, two, three) = (gateway.next_plain(), gateway.next_plain(), gateway.next_plain());
    handle.offer(one.clone()).expect("room");
    assert_eq!(handle.offer(three), Err(OfferError::Gap { expected: 2, offered: 3 }));
    handle.offer(two.clone()).expect("room");
    handle.wait_finalized(2, PATIENCE).expect("finalized");
    let second = gateway.seal(*one.header(), &record(9, 9));
    let Err(OfferError::Fault(fault)) = handle.offer(second) else { panic!("two batches with one number") };
    assert!(
        matches!(*fault, Fault::Refused { number: 1, refusal: Refusal::Equivocation { other }, .. } if other == *one.digest())
    );
    assert_eq!(faulted(&handle), *fault);
    assert_eq!(handle.finalized().digest, *two.digest());
    handle.shutdown().expect_err("the fault");

    // Two that are both on their way in: both are kept.
    let dir = tempfile::tempdir().expect("a directory");
    let handle = start(dir.path(), &gateway);
    let second = gateway.seal(*one.header(), &record(9, 9));
    handle.offer(one).expect("room");
    assert!(matches!(handle.offer(second), Err(OfferError::Fault(_))), "two batches with one number");
    let kept = std::fs::read_dir(dir.path().join("evidence")).expect("evidence").count();
    // The first is in the store instead if it was settled in between.
    assert!(kept == 4 || (kept == 2 && handle.finalized().height == 1), "{kept} files");
}

#[test]
fn one_validator_at_a_time_uses_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::new();
    let handle = start(dir.path(), &gateway);
    let second = EmbeddedValidator::start(config(dir.path(), &gateway), Ledger::new()).map(|_| ());
    assert!(matches!(second, Err(StartError::Locked { .. })));
    handle.shutdown().expect("stops");
    drop(start(dir.path(), &gateway));
    let backwards = Timing { leader: TIMING.certification, certification: TIMING.leader };
    let config = Config { timing: backwards, ..config(dir.path(), &gateway) };
    assert!(matches!(EmbeddedValidator::start(config, Ledger::new()).map(|_| ()), Err(StartError::Directory { .. })));
}

/// Views that pass without a batch leave no blocks behind, and the next batch settles all the same.
#[test]
fn an_idle_venue_makes_no_blocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let timing = Timing { leader: Duration::from_millis(40), certification: Duration::from_millis(400) };
    let config = Config { timing, ..config(dir.path(), &gateway) };
    let handle = EmbeddedValidator::start(config, Ledger::new()).expect("starts");
    handle.offer(gateway.next_plain()).expect("room");
    handle.wait_finalized(1, PATIENCE).expect("finalized");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(handle.core.applied(), 1, "a block was made without a batch");
    handle.offer(gateway.next_plain()).expect("room");
    assert_eq!(handle.wait_finalized(2, PATIENCE).expect("finalized").root, gateway.ledger.root());
    // Many idle views later, one block lets the engine forget them.
    let begin = std::time::Instant::now();
    while handle.core.applied() < 3 && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((handle.core.applied(), handle.finalized().height), (3, 2));
}

/// The engine's own files are lost, the store is not: the engine begins anew and settles again what the store holds.
#[test]
fn a_validator_recovers_from_its_store_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gateway = Gateway::new();
    let handle = start(dir.path(), &gateway);
    for _ in 0..5 {
        handle.offer(gateway.next_plain()).expect("room");
    }
    handle.wait_finalized(5, PATIENCE).expect("finalized");
    handle.shutdown().expect("stops");
    std::fs::remove_dir_all(dir.path().join("vault")).expect("removes");
    let handle = start(dir.path(), &gateway);
    assert_eq!(handle.finalized().height, 5);
    handle.offer(gateway.next_plain()).expect("room");
    assert_eq!(handle.wait_finalized(6, PATIENCE).expect("finalized").root, gateway.ledger.root());
}

/// The planted bug: an executor that believes any root. It gets a lie finalized, and the next start with an honest one finds it.
#[test]
fn a_lie_that_was_finalized_stops_the_next_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::new();
    let handle = EmbeddedValidator::start(config(dir.path(), &gateway), Credulous(Ledger::new())).expect("starts");
    let lie = Header { next_root: [0xEE; 32], ..gateway.header(&record(1, 5)) };
    handle.offer(gateway.seal(lie, &record(1, 5))).expect("room");
    assert_eq!(handle.wait_finalized(1, PATIENCE).expect("the planted bug lets it pass").root, [0xEE; 32]);
    handle.shutdown().expect("stops");
    match EmbeddedValidator::start(config(dir.path(), &gateway), Ledger::new()).map(|_| ()) {
        Err(StartError::Resume(ResumeError::Refuted { number: 1, refusal: Refusal::Root { .. } })) => {}
        other => panic!("the lie was not found: {other:?}"),
    }
}

const CHILD_DIR: &str = "WIREBOOK_TEST_VALIDATOR_DIR";
const KILLS: u64 = 6;
/// Batches that the child keeps in flight.
const IN_FLIGHT: u64 = 8;

/// What the killed process does: settles batches for ever and says how far it is.
fn settle_until_killed(dir: &Path) {
    let mut gateway = Gateway::new();
    let handle = start(dir, &gateway);
    let begin = handle.finalized();
    for _ in 0..begin.height {
        gateway.next_plain();
    }
    assert!(begin.height == 0 || begin.root == gateway.ledger.root());
    println!("\nstands at {}", begin.height);
    for number in begin.height + 1.. {
        handle.offer(gateway.next_plain()).expect("room");
        if number > begin.height + IN_FLIGHT {
            println!("\nfinalized {}", handle.wait_finalized(number - IN_FLIGHT, PATIENCE).expect("finalized").height);
        }
    }
}

fn number_after(line: &str, word: &str) -> Option<u64> {
    line.strip_prefix(word)?.trim().parse().ok()
}

/// Kill -9 at some moment under load, over and over: what was said to be finalized is still there, and it goes on.
#[test]
fn what_is_finalized_survives_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return settle_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut told = 0;
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "validator::embedded::tests::what_is_finalized_survives_kill_9", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let (before, mut stood) = (told, None);
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("text");
            if let Some(number) = number_after(&line, "stands at ") {
                assert!(number >= told, "round {round}: {told} were finalized, {number} are left");
                stood = Some(number);
            }
            if let Some(number) = number_after(&line, "finalized ") {
                told = told.max(number);
                // A different number of batches each time, so that the kill meets different moments.
                if told >= before + 10 + round * 7 {
                    break;
                }
            }
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert!(stood.is_some(), "round {round}: the child never got up");
        assert!(told > before, "round {round}: the child settled nothing");
    }
    let mut gateway = Gateway::new();
    let handle = start(dir.path(), &gateway);
    let reached = handle.finalized();
    assert!(reached.height >= told, "{told} were finalized, {} are left", reached.height);
    for _ in 0..reached.height {
        gateway.next_plain();
    }
    assert_eq!(reached.root, gateway.ledger.root());
    handle.offer(gateway.next_plain()).expect("room");
    assert_eq!(handle.wait_finalized(reached.height + 1, PATIENCE).expect("goes on").root, gateway.ledger.root());
}
