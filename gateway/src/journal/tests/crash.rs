//! Lives and crashes over the simulated disk: nothing acknowledged is ever lost, and what one start has read, every
//! later start reads again. The planted bugs show that the check can fail.

use super::super::block::Verify;
use super::super::format::epoch_of;
use super::super::recover::recover_with;
use super::super::{Crash, Faults, Journal, JournalError, Recovered, Seeded, SimDisk, SimStorage, Tail};
use super::{EXPECT, config, record};

/// How many seeds the quick run takes; `WIREBOOK_JOURNAL_SEEDS` asks for more.
const SEEDS: u64 = 300;
/// How many lives each disk has.
const LIVES: u64 = 6;

/// What is planted, and where faults may come.
#[derive(Debug, Clone, Copy)]
struct Plan {
    skip_sync: bool,
    verify: Verify,
    faults: bool,
}

/// How often something happened: a run in which nothing did proves nothing.
#[derive(Debug, Default)]
struct Counts {
    kills: u64,
    power: u64,
    cuts: u64,
    rolls: u64,
    stopped: u64,
    unacked_kept: u64,
    unacked_lost: u64,
    full: u64,
}

fn read(storage: &mut SimStorage, verify: Verify) -> Result<(Recovered, Vec<Vec<u8>>), String> {
    let mut records = Vec::new();
    let read = recover_with(storage, &EXPECT, verify, &mut |record| {
        records.push(record.bytes.to_vec());
        Ok(())
    });
    read.map(|recovered| (recovered, records)).map_err(|e| e.to_string())
}

/// The lives of one disk. An error says which promise was broken.
fn lives(seed: u64, plan: Plan, counts: &mut Counts) -> Result<(), String> {
    let mut random = Seeded::new(seed);
    let disk = SimDisk::new(seed, Faults { skip_sync: plan.skip_sync, ..Faults::default() });
    // All that was appended and not seen to be lost, and how much of it was acknowledged, or built upon by a start.
    let mut written: Vec<Vec<u8>> = Vec::new();
    let mut safe = 0;
    for life in 1..=LIVES {
        let mut storage = disk.open();
        let (recovered, records) = read(&mut storage, plan.verify)?;
        if records.len() < safe {
            return Err(format!("{} acknowledged records are lost", safe - records.len()));
        }
        if written.get(..records.len()) != Some(&records[..]) {
            return Err("records came back that were not appended so".to_owned());
        }
        counts.unacked_kept += (records.len() - safe) as u64;
        counts.unacked_lost += (written.len() - records.len()) as u64;
        counts.cuts += u64::from(matches!(recovered.tail, Tail::Cut { .. }));
        counts.rolls += recovered.segments.windows(2).filter(|pair| pair[0].epoch == pair[1].epoch).count() as u64;
        written = records;

        let faults = inject(&disk, &mut random, plan);
        disk.set_faults(faults);
        if let Ok(mut journal) = Journal::start(storage, config(seed << 8 | life), &recovered) {
            if epoch_of(journal.next_seq()) != recovered.last_epoch + 1 {
                return Err("an epoch was opened twice".to_owned());
            }
            safe = written.len();
            run(&mut journal, &mut random, &mut written, &mut safe, counts)?;
        }
        let crash = if random.below(2) == 0 { Crash::Kill } else { Crash::Power };
        counts.kills += u64::from(crash == Crash::Kill);
        counts.power += u64::from(crash == Crash::Power);
        disk.crash(crash);
    }
    Ok(())
}

fn inject(disk: &SimDisk, random: &mut Seeded, plan: Plan) -> Faults {
    let mut faults = Faults { skip_sync: plan.skip_sync, ..Faults::default() };
    if plan.faults {
        let (writes, syncs) = disk.counts();
        match random.below(6) {
            0 => faults.write = Some((writes + 1 + random.below(20), libc::ENOSPC)),
            1 => faults.write = Some((writes + 1 + random.below(20), libc::EIO)),
            2 | 3 => faults.sync = Some(syncs + 1 + random.below(20)),
            4 => faults.create = Some((1 + random.below(40), libc::ENOSPC)),
            _ => {}
        }
    }
    faults
}

/// Appends and polls until the life is over.
fn run(
    journal: &mut Journal<SimStorage>,
    random: &mut Seeded,
    written: &mut Vec<Vec<u8>>,
    safe: &mut usize,
    counts: &mut Counts,
) -> Result<(), String> {
    let (first, before) = (journal.next_seq(), written.len());
    let mut durable = journal.durable();
    for _ in 0..random.below(300) {
        for _ in 0..random.below(6) {
            let seq = journal.next_seq();
            let bytes = record(seq, random.below(1500) as usize, 0);
            match journal.append(&bytes, seq) {
                Ok(()) => written.push(bytes),
                Err(JournalError::Full) => counts.full += 1,
                Err(JournalError::Stopped { .. }) => break,
                Err(other) => return Err(other.to_string()),
            }
        }
        let polled = journal.poll();
        if journal.durable() < durable || polled.as_ref().is_ok_and(|seq| *seq != journal.durable()) {
            return Err("the watermark went back".to_owned());
        }
        durable = journal.durable();
        if durable >= first {
            *safe = before + (durable - first + 1) as usize;
        }
        if let Err(failure) = polled {
            counts.stopped += 1;
            let again = (journal.poll(), journal.append(&record(journal.next_seq(), 8, 0), journal.next_seq()));
            if again != (Err(failure.clone()), Err(failure)) {
                return Err("a stopped journal went on".to_owned());
            }
            break;
        }
    }
    Ok(())
}

fn seeds() -> u64 {
    std::env::var("WIREBOOK_JOURNAL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS)
}

fn caught(plan: Plan) -> Option<String> {
    (0..SEEDS).find_map(|seed| lives(seed, plan, &mut Counts::default()).err())
}

const SOUND: Plan = Plan { skip_sync: false, verify: Verify::Full, faults: true };

#[test]
fn nothing_acknowledged_is_lost() {
    let mut counts = Counts::default();
    for seed in 0..seeds() {
        if let Err(broken) = lives(seed, SOUND, &mut counts) {
            panic!("seed {seed}: {broken}");
        }
    }
    let Counts { kills, power, cuts, rolls, stopped, unacked_kept, unacked_lost, full } = counts;
    let least = kills.min(power).min(cuts).min(rolls).min(stopped).min(unacked_kept).min(unacked_lost).min(full);
    assert!(least >= 100, "too little was tried: {counts:?}");
}

#[test]
fn a_skipped_sync_is_caught() {
    let broken = caught(Plan { skip_sync: true, faults: false, ..SOUND }).expect("the planted bug goes unseen");
    assert!(broken.contains("lost") || broken.contains("damaged"), "{broken}");
}

#[test]
fn an_unchecked_torn_tail_is_caught() {
    let broken = caught(Plan { verify: Verify::SkipDigests, faults: false, ..SOUND });
    assert!(broken.is_some(), "the planted bug goes unseen");
}

#[test]
fn a_full_disk_stops_acks_and_loses_nothing_acked() {
    // Two segments can be made: one in use, one ahead.
    let disk = SimDisk::new(5, Faults { create: Some((3, libc::ENOSPC)), ..Faults::default() });
    let mut journal = super::start(disk.open(), 1);
    let mut acked = Vec::new();
    let failure = loop {
        let seq = journal.next_seq();
        let bytes = record(seq, 3000, 0);
        journal.append(&bytes, seq).expect("room");
        match journal.flush() {
            Ok(durable) => {
                assert_eq!(durable, seq);
                acked.push(bytes);
            }
            Err(failure) => break failure,
        }
    };
    let JournalError::Stopped { durable, cause } = &failure else { panic!("{failure}") };
    assert!(cause.is_full() && failure.to_string().contains("make room"), "{failure}");
    assert_eq!((*durable, acked.len()), (journal.durable(), 14), "two segments of seven blocks");
    assert_eq!(journal.poll(), Err(failure.clone()));
    disk.crash(Crash::Power);
    disk.set_faults(Faults::default());
    let (recovered, records) = super::read_all(&mut disk.open()).expect("a sound journal");
    assert_eq!(records, acked);
    assert_eq!(recovered.last_seq, *durable);
    let mut journal = super::start(disk.open(), 2);
    acked.extend(super::append_groups(&mut journal, 1, 100, 0));
    assert_eq!(super::read_all(&mut disk.open()).expect("a sound journal").1, acked);
}
