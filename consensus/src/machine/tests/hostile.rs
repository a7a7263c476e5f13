//! Records that nobody sane wrote: the committed run with fields damaged, put where they could stand. The machine answers
//! each, a refusal leaves no trace, and after each record money is conserved and reserves are those of the live orders.

use wirebook_matcher::Software;
use wirebook_matcher::abi::Command;
use wirebook_matcher::flow::Random;

use crate::machine::Machine;
use crate::machine::image::check_reserves;
use crate::record::{EpochOpen, HEADER_BYTES, Instrument, Order, Payload, Record, Registry, Seal, Seq, records};

/// Sizes that a damaged record may ask for: the machine takes more, a test's memory does not.
const MOST_SLOTS: u32 = 1 << 8;
const MOST_TICKS: u32 = 1 << 10;
const MOST_ACCOUNTS: u32 = 1 << 8;

/// The record as it could stand next, whatever it was before.
fn placed<'a>(machine: &Machine<Software>, record: &Record<'a>) -> Record<'a> {
    let last = machine.last_seq();
    let opens = matches!(record.payload, Payload::Epoch(_));
    let seq = if opens { Seq::make(Seq::epoch(last) + 1, 1) } else { last + 1 };
    let payload = match record.payload {
        Payload::Order(order) => Payload::Order(Order { command: Command { seq, ..order.command }, ..order }),
        Payload::Epoch(epoch) => {
            Payload::Epoch(EpochOpen { previous_end: last, slots: epoch.slots % MOST_SLOTS, ..epoch })
        }
        Payload::Registry(Registry::Instrument(new)) => {
            let band_ticks = new.band_ticks % MOST_TICKS;
            Payload::Registry(Registry::Instrument(Instrument { band_ticks, ..new }))
        }
        Payload::Registry(Registry::Account(mut new)) => {
            new.id %= MOST_ACCOUNTS;
            Payload::Registry(Registry::Account(new))
        }
        Payload::Seal(seal) => {
            let (first_seq, records) = machine.books.unsealed();
            let first_seq = if first_seq == 0 { seq } else { first_seq };
            Payload::Seal(Seal {
                number: machine.books.last_batch() + 1 + seal.number % 2,
                first_seq,
                records: records + 1,
            })
        }
        other => other,
    };
    let time = record.header.time_ns.max(machine.books.last_time_ns());
    Record::new(seq, time, record.header.session, record.header.shard, payload)
}

/// Changes a few bytes of the payload, or of whose record it is.
fn damage(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..random.below(4) {
        let at = match random.below(6) {
            0 => random.between(16, 17) as usize,
            1 => random.between(24, 25) as usize,
            _ => HEADER_BYTES + random.below((bytes.len() - HEADER_BYTES) as u64) as usize,
        };
        bytes[at] = match random.below(4) {
            0 => random.below(256) as u8,
            1 => bytes[at] ^ 1 << random.below(8),
            2 => bytes[at].wrapping_add(1),
            _ => *random.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]),
        };
    }
}

#[test]
fn damaged_records_are_answered_and_money_stays_conserved() {
    let committed = include_bytes!("../../../vectors/machine.records");
    let (mut applied, mut refused, mut undecoded) = (0u32, 0u32, 0u32);
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut machine = Machine::<Software>::new(0);
        for (at, item) in records(committed).enumerate() {
            let (_, record) = item.unwrap();
            let mut bytes = record.to_vec();
            if at > 50 {
                damage(&mut random, &mut bytes);
            }
            let Ok((record, _)) = Record::decode(&bytes) else {
                undecoded += 1;
                continue;
            };
            let record = placed(&machine, &record);
            let before = machine.books.clone();
            match machine.apply(&record, &mut ()) {
                Ok(()) => applied += 1,
                Err(refusal) => {
                    refused += 1;
                    assert_eq!(machine.books, before, "seed {seed}: {record}: {refusal}: it left a trace");
                }
            }
            machine.books.ledger().check().unwrap_or_else(|error| panic!("seed {seed}: {record}: {error}"));
            check_reserves(&machine.books).unwrap_or_else(|error| panic!("seed {seed}: {record}: {error}"));
        }
    }
    println!("{applied} applied, {refused} refused, {undecoded} were no records");
    assert!(applied > 2000 && refused > 800 && undecoded > 800, "{applied} {refused} {undecoded}");
}
