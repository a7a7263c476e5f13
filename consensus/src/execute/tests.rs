//! A batch of the venue's own machine with every field bent: by somebody else, whose signature is missing then, and by the
//! gateway itself, which signs what it bent. Every one is refused.

use std::collections::BTreeSet;

use wirebook_matcher::Software;

use crate::batch::{Batch, Header, SigningKey};
use crate::execute::MachineExecutor;
use crate::machine::Machine;
use crate::machine::tests::random::World;
use crate::record::{Payload, Record, RecordKind, Seal, records};
use crate::validator::executor::Executor;

/// A busy venue's records up to one, and the batch that they make.
struct Sealed {
    header: Header,
    records: Vec<u8>,
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Kinds of records that a batch can have: a later epoch and another seal stand in a later batch.
const KINDS: usize = 8;

/// The first random venue whose first batch has all kinds of records.
fn sealed() -> Sealed {
    let all = |sealed: &Sealed| {
        let kinds = records(&sealed.records).map(|item| item.unwrap().1.header.kind);
        kinds.collect::<BTreeSet<RecordKind>>().len() == KINDS
    };
    (0..200).map(first_batch).find(all).expect("a venue of which all is seen")
}

/// What a random venue did up to its first seal or second epoch, in one batch.
fn first_batch(seed: u64) -> Sealed {
    let mut world = World::new(seed, None).unwrap();
    (0..120).for_each(|_| world.step().unwrap());
    let mut machine = Machine::<Software>::new(0);
    let mut bytes = Vec::new();
    let empty = Machine::<Software>::new(0).root();
    let mut first_seq = 0;
    for item in records(&world.bytes) {
        let (_, record) = item.unwrap();
        if matches!(record.payload, Payload::Seal(_) | Payload::Epoch(_)) && machine.last_seq() != 0 {
            break;
        }
        machine.apply(&record, &mut ()).unwrap();
        record.encode_into(&mut bytes);
        first_seq = if first_seq == 0 { record.header.seq } else { first_seq };
    }
    let (last, run) = (machine.last_seq(), machine.books.seal());
    let seal = Payload::Seal(Seal { number: 1, first_seq: run.first_seq, records: run.records + 1 });
    let record = Record::new(last + 1, machine.books.last_time_ns(), 0, 0, seal);
    machine.apply(&record, &mut ()).unwrap();
    record.encode_into(&mut bytes);
    let header = Header {
        shard: 0,
        number: 1,
        first_seq,
        last_seq: machine.last_seq(),
        previous: [0; 32],
        events: machine.event_chain(),
        previous_root: empty,
        next_root: machine.root(),
    };
    Sealed { header, records: bytes }
}

/// Whether a validator that re-executes takes this batch, all else being in order.
fn taken(batch: &Batch) -> bool {
    let mut executor = MachineExecutor::new(0);
    let header = batch.header();
    executor.root() == header.previous_root
        && executor.execute(batch).is_ok_and(|root| root == header.next_root && executor.height() == header.number)
}

#[test]
fn whatever_byte_somebody_changes_the_batch_is_refused() {
    let sealed = sealed();
    let batch = Batch::seal(sealed.header, &sealed.records, &key()).unwrap();
    assert!(taken(&batch));
    let bytes = batch.as_bytes();
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        let signed = Batch::decode(&damaged).is_ok_and(|b| b.verify_signature(&key().verifying_key()).is_ok());
        assert!(!signed, "byte {at}");
    }
}

#[test]
fn whatever_byte_of_a_record_the_gateway_itself_changes_re_execution_refuses_it() {
    let sealed = sealed();
    let (mut kinds, mut changed) = (BTreeSet::new(), 0);
    for item in records(&sealed.records) {
        let (start, record) = item.unwrap();
        kinds.insert(record.header.kind);
        // Every byte of a record of each kind in turn, header, payload and padding.
        for at in start..start + record.encoded_len() {
            if record.header.kind == RecordKind::Order && (start / 8 + at - start) % 5 != 0 {
                continue;
            }
            let mut bent = sealed.records.clone();
            bent[at] ^= 1 << ((at + start) % 8);
            let batch = Batch::seal(sealed.header, &bent, &key()).unwrap();
            assert!(!taken(&batch), "{record}: byte {} of it", at - start);
            changed += 1;
        }
    }
    assert!(kinds.len() == KINDS && changed > 3_000, "{changed} bytes of records of {kinds:?}");
}

#[test]
fn whatever_the_gateway_claims_else_is_refused() {
    let sealed = sealed();
    // Shard, previous digest and first seq are the replica's to check, against the batch before: see `validator::replica`.
    let bends: [fn(&mut Header); 5] = [
        |h| h.number += 1,
        |h| h.last_seq += 1,
        |h| h.events[9] ^= 1,
        |h| h.previous_root[9] ^= 1,
        |h| h.next_root[9] ^= 1,
    ];
    for (at, bend) in bends.iter().enumerate() {
        let mut header = sealed.header;
        bend(&mut header);
        assert!(!taken(&Batch::seal(header, &sealed.records, &key()).unwrap()), "claim {at}");
    }
}
