//! A committed run: `vectors/machine.records`, the records' bytes, and `vectors/machine.roots`, what they lead to.
//!
//! Made again by `WIREBOOK_WRITE_VECTORS=1 cargo nextest run -p wirebook-settlement golden`. Other roots for the same records
//! mean that every journal written so far leads elsewhere: a difference that nobody meant is a bug.

use wirebook_matcher::{Reference, Software, Twin};

use super::random::World;
use crate::machine::Machine;
use crate::record::{Seq, records};

const STEPS: u32 = 600;
/// Records between two roots.
const EVERY: usize = 50;

fn path(name: &str) -> String {
    format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line for each of some records: its seq, the fills so far, the root, the event chain.
fn roots<T: Twin>(bytes: &[u8]) -> String {
    let mut machine = Machine::<T>::new(0);
    let count = records(bytes).count();
    let mut text = String::from("# seq fills root event_chain, after some of the records of machine.records\n");
    for (at, item) in records(bytes).enumerate() {
        let (_, record) = item.unwrap();
        machine.apply(&record, &mut ()).unwrap();
        if (at + 1) % EVERY == 0 || at + 1 == count {
            let seq = machine.last_seq();
            let (epoch, counter) = (Seq::epoch(seq), Seq::counter(seq));
            let (root, chain) = (hex(&machine.root()), hex(&machine.event_chain()));
            text.push_str(&format!("{epoch}.{counter} {} {root} {chain}\n", machine.books.fills()));
        }
    }
    text
}

#[test]
fn golden_records_lead_to_the_committed_roots_with_either_twin() {
    if std::env::var_os("WIREBOOK_WRITE_VECTORS").is_some() {
        let mut world = World::new(2026, None).unwrap();
        (0..STEPS).for_each(|_| world.step().unwrap());
        std::fs::write(path("machine.records"), &world.bytes).unwrap();
        std::fs::write(path("machine.roots"), roots::<Reference>(&world.bytes)).unwrap();
    }
    let bytes = std::fs::read(path("machine.records")).unwrap();
    let committed = std::fs::read_to_string(path("machine.roots")).unwrap();
    assert!(committed.lines().count() > 8, "{committed}");
    assert_eq!(roots::<Reference>(&bytes), committed);
    assert_eq!(roots::<Software>(&bytes), committed);
}
