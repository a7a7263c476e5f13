//! Damage and misuse: each is told from a torn tail, and stops the start with file, offset and what to do.

use proptest::prelude::*;

use super::super::block::{BlockHeader, Verify};
use super::super::format::{ALIGN, BLOCK_HEADER, Defect, segment_name, u32_at};
use super::super::segment::SegmentHeader;
use super::super::{
    Crash, Expect, Faults, Journal, JournalError, RecoverError, SimDisk, Tail, check_bytes, read_range, recover,
};
use super::{EXPECT, SHARD, append_groups, config, read_all, record, start};

/// Two epochs: the first with three segments (7 + 7 + 3 blocks of 4 KiB), the second with one (2 blocks).
fn two_epochs() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::new(11, Faults::default());
    let mut records = append_groups(&mut start(disk.open(), 1), 17, 3000, 0);
    disk.crash(Crash::Power);
    records.extend(append_groups(&mut start(disk.open(), 2), 2, 3000, 0));
    disk.crash(Crash::Power);
    (disk, records)
}

#[test]
fn two_epochs_read_back() {
    let (disk, records) = two_epochs();
    let (recovered, read) = read_all(&mut disk.open()).expect("a sound journal");
    assert_eq!(read, records);
    let shape: Vec<_> = recovered.segments.iter().map(|s| (s.segment, s.epoch, s.records)).collect();
    assert_eq!(shape, [(1, 1, 7), (2, 1, 7), (3, 1, 3), (4, 2, 2)]);
    assert_eq!((recovered.last_seq, recovered.last_epoch, recovered.blocks), (2 << 48 | 2, 2, 19));
    assert_eq!(recovered.tail, Tail::Clean { segment: 4, offset: 3 * 4096 });
    for segment in 1..=4 {
        let contents = check_bytes(&disk.bytes(&segment_name(segment)).expect("it is there")).expect("a segment");
        assert_eq!(contents.later, None);
        assert_eq!(contents.defect, Defect::Zeros);
    }
}

#[test]
fn every_damaged_block_but_the_last_stops_the_start() {
    for (segment, blocks) in [(1, 7u64), (2, 7), (3, 3), (4, 2)] {
        for block in 0..=blocks {
            let at = block * 4096 + 700;
            let (disk, records) = two_epochs();
            assert!(disk.damage(&segment_name(segment), at, 0x10));
            let read = read_all(&mut disk.open());
            if (segment, block) == (4, blocks) {
                // The very last block: no byte on this disk can tell it from a torn tail.
                let (recovered, read) = read.expect("a cut");
                assert_eq!(read, records[..records.len() - 1]);
                assert!(matches!(recovered.tail, Tail::Cut { segment: 4, offset: 8192, .. }), "{}", recovered.tail);
                continue;
            }
            let Err(RecoverError::Damaged { file, offset, .. }) = &read else {
                panic!("segment {segment} block {block}: {read:?}")
            };
            let wanted = if block == 0 { 0 } else { block * 4096 };
            assert_eq!((file.as_str(), *offset), (format!("sim:{}", segment_name(segment)).as_str(), wanted));
            let text = read.expect_err("it is damaged").to_string();
            assert!(text.contains(&wanted.to_string()) && text.contains("Restore"), "{text}");
        }
    }
}

#[test]
fn damage_in_unused_space_loses_nothing() {
    // Behind the end of an epoch that ended in a crash, torn remains are as good as zeros.
    for (segment, at) in [(3, 4 * 4096 + 9), (4, 3 * 4096)] {
        let (disk, records) = two_epochs();
        assert!(disk.damage(&segment_name(segment), at, 1));
        assert_eq!(read_all(&mut disk.open()).expect("a cut").1, records);
    }
    // Behind the end of a segment that was left in good order they are not.
    let disk = SimDisk::new(12, Faults::default());
    append_groups(&mut start(disk.open(), 1), 4, 7000, 0);
    assert!(disk.damage(&segment_name(1), 8 * 4096 - 1, 1));
    let read = read_all(&mut disk.open());
    assert!(matches!(read, Err(RecoverError::Damaged { offset, .. }) if offset == 7 * 4096), "{read:?}");
}

#[test]
fn missing_and_foreign_files_stop_the_start() {
    let (disk, _) = two_epochs();
    assert!(disk.delete(&segment_name(2)));
    let read = read_all(&mut disk.open());
    assert!(matches!(&read, Err(RecoverError::Missing { file }) if file.ends_with("0000000002.wbj")), "{read:?}");

    // Removed from the front: a shorter journal, and it says from where.
    assert!(disk.delete(&segment_name(1)));
    let (recovered, records) = read_all(&mut disk.open()).expect("a journal whose front was removed");
    assert_eq!((recovered.base_seq, records.len()), (1 << 48 | 14, 5));

    for expect in [Expect { shard: Some(SHARD + 1), ..EXPECT }, Expect { abi_hash: Some([8; 32]), ..EXPECT }] {
        let read = recover(&mut disk.open(), &expect, &mut |_| Ok(()));
        assert!(matches!(read, Err(RecoverError::Foreign { .. })), "{read:?}");
    }
    assert!(recover(&mut disk.open(), &Expect { abi_hash: None, ..EXPECT }, &mut |_| Ok(())).is_ok());
}

#[test]
fn a_later_epoch_holds_an_earlier_one_to_its_end() {
    // The last block of the first epoch vanishes, header and all, as if it had never been synced.
    let (disk, _) = two_epochs();
    let name = segment_name(3);
    let bytes = disk.bytes(&name).expect("it is there");
    for (at, byte) in bytes.iter().enumerate().skip(3 * 4096).take(4096) {
        assert!(disk.damage(&name, at as u64, *byte));
    }
    let read = read_all(&mut disk.open());
    assert!(matches!(read, Err(RecoverError::Damaged { offset: 12288, defect: Defect::Zeros, .. })), "{read:?}");
}

#[test]
fn the_callers_refusal_names_the_record() {
    let (disk, _) = two_epochs();
    let read = recover(&mut disk.open(), &EXPECT, &mut |record| {
        if record.seq == (1 << 48 | 9) { Err("no such account".into()) } else { Ok(()) }
    });
    let text = read.expect_err("a refusal").to_string();
    assert!(text.contains("0000000002.wbj") && text.contains(&(2 * 4096 + BLOCK_HEADER).to_string()), "{text}");
    assert!(text.contains("no such account"), "{text}");
}

#[test]
fn a_smuggled_block_is_no_block() {
    // A client that knows the format sends, as a payload, a whole block of the right epoch and segment. Only the life
    // is beyond its knowledge. The block that carries it is torn: still a torn tail, not damage.
    let disk = SimDisk::new(13, Faults::default());
    let mut journal = start(disk.open(), 1);
    append_groups(&mut journal, 1, 100, 0);
    let mut smuggled = vec![0; 4096];
    let inner = record(1 << 48 | 3, 40, 0);
    smuggled[BLOCK_HEADER..BLOCK_HEADER + inner.len()].copy_from_slice(&inner);
    let mut header = BlockHeader {
        epoch: 1,
        shard: SHARD,
        segment: 1,
        number: 2,
        life: 12345,
        first_seq: 1 << 48 | 3,
        last_seq: 1 << 48 | 3,
        records: 1,
        payload: inner.len() as u32,
        prev_hash: journal.mark().hash,
        hash: [0; 32],
    };
    header.seal(&mut smuggled);
    // A record whose payload puts the smuggled block at a multiple of 4 KiB of the file.
    let lead = 4096 - BLOCK_HEADER - 32;
    let mut carrier = record(1 << 48 | 2, lead + smuggled.len() - 400, 0);
    let room = carrier.len() - 32 - lead;
    carrier[32 + lead..].copy_from_slice(&smuggled[..room]);
    journal.append(&carrier, 1 << 48 | 2).expect("room");
    journal.flush().expect("a working disk");
    assert!(disk.damage(&segment_name(1), 2 * 4096, 1));
    let (recovered, records) = read_all(&mut disk.open()).expect("a torn tail");
    assert_eq!((records.len(), matches!(recovered.tail, Tail::Cut { offset: 8192, .. })), (1, true));
}

#[test]
fn the_writer_refuses_what_is_not_the_next_record() {
    let disk = SimDisk::new(14, Faults::default());
    let mut journal = start(disk.open(), 1);
    let first = journal.next_seq();
    let good = record(first, 20, 0);
    let mut other_shard = good.clone();
    other_shard[24] ^= 1;
    let mut dirty_padding = good.clone();
    dirty_padding[good.len() - 1] = 1;
    let mut longer = good.clone();
    longer.extend([0; 8]);
    let bad = [
        (other_shard, first),
        (dirty_padding, first),
        (longer, first),
        (good[..24].to_vec(), first),
        (Vec::new(), first),
        (record(first + 1, 20, 0), first + 1),
        (record(first, 20, 0), first + 1),
    ];
    for (bytes, seq) in bad {
        let refused = journal.append(&bytes, seq);
        assert!(matches!(refused, Err(JournalError::NotNext { wanted, .. }) if wanted == first), "{refused:?}");
    }
    let most = config(1).max_block - BLOCK_HEADER;
    assert!(matches!(journal.append(&record(first, most, 0), first), Err(JournalError::TooLong { .. })));
    let largest = record(first, most - 32, 0);
    journal.append(&largest, first).expect("the largest record fits");
    assert_eq!(journal.append(&record(first + 1, 0, 0), first + 1), Err(JournalError::Full));
    journal.flush().expect("a working disk");
    assert_eq!(read_all(&mut disk.open()).expect("a sound journal").1, [largest]);
}

#[test]
fn a_burst_is_taken_until_the_group_is_full() {
    let disk = SimDisk::new(16, Faults::default());
    let mut journal = start(disk.open(), 1);
    let first = journal.next_seq();
    let records: Vec<_> = (0..20).map(|n| record(first + n, 1000, 0)).collect();
    let burst = records.concat();
    let mut at = 0;
    let mut parts = 0;
    while at < burst.len() {
        let taken = journal.append_burst(&burst[at..]).expect("records");
        assert_eq!(taken % records[0].len(), 0, "whole records");
        at += taken;
        parts += 1;
        journal.flush().expect("a working disk");
    }
    assert_eq!((parts, journal.durable()), (3, first + 19), "seven records of 1 KiB fill a block of 8");
    let next = [record(first + 20, 8, 0), record(first + 20, 8, 0)].concat();
    let refused = journal.append_burst(&next);
    assert!(matches!(refused, Err(JournalError::NotNext { wanted, .. }) if wanted == first + 21), "{refused:?}");
    assert_eq!(journal.appended(), first + 20);
    journal.flush().expect("a working disk");
    assert_eq!(read_all(&mut disk.open()).expect("a sound journal").1[..20], records);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let disk = SimDisk::new(15, Faults::default());
    drop(start(disk.open(), 1));
    let (after, _) = read_all(&mut disk.open()).expect("a sound journal");
    let good = config(2);
    let bad = [
        super::JournalConfig { segment_len: 4096, ..good },
        super::JournalConfig { segment_len: good.segment_len + 1, ..good },
        super::JournalConfig { segment_len: 1 << 30, ..good },
        super::JournalConfig { max_block: 2 << 20, ..good },
        super::JournalConfig { max_block: 0, ..good },
        super::JournalConfig { life: 1, ..good },
    ];
    for config in bad {
        let refused = Journal::start(disk.open(), config, &after).err();
        assert!(matches!(refused, Some(JournalError::Config(_))), "{config:?}: {refused:?}");
    }
    let used = super::Recovered { last_epoch: u16::MAX, ..after };
    assert_eq!(Journal::start(disk.open(), good, &used).err(), Some(JournalError::EpochsUsed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// One byte, changed anywhere: what is read is the truth, or a prefix that ends at the very last block, or an error.
    #[test]
    fn any_changed_byte_is_seen_or_harmless(segment in 1u64..=5, at in 0u64..8 * 4096, mask in 1u8..) {
        let (disk, records) = two_epochs();
        let changed = disk.damage(&segment_name(segment), at, mask);
        prop_assert!(changed, "five segments stand there: four in use, one ahead");
        if let Ok((_, read)) = read_all(&mut disk.open()) {
            prop_assert!(read == records || (segment == 4 && read == records[..records.len() - 1]));
        }
    }

    /// Any bytes: an answer, never a panic. Some begin as a true segment does.
    #[test]
    fn any_image_gets_an_answer(seed: u64, edits in prop::collection::vec((0usize..8 * 4096, any::<u8>()), 0..40),
                                len in 0usize..=8 * 4096, repair: bool) {
        let (disk, _) = two_epochs();
        let mut image = disk.bytes(&segment_name(1 + seed % 4)).unwrap_or_default();
        for (at, byte) in edits {
            image[at] = byte;
        }
        if repair {
            repair_checksums(&mut image);
        }
        image.truncate(len);
        if let Ok(contents) = check_bytes(&image) {
            prop_assert!(contents.end <= image.len() as u64);
        }
    }
}

/// Makes headers and blocks whole again after edits, so that the checks behind the checksum are reached.
fn repair_checksums(image: &mut [u8]) {
    if let Ok(header) = SegmentHeader::decode(image) {
        header.encode(image);
    }
    for at in (ALIGN..image.len()).step_by(ALIGN) {
        let block = &mut image[at..];
        let payload = u32_at(block, 52);
        if BLOCK_HEADER + payload as usize > block.len().saturating_sub(ALIGN) {
            continue;
        }
        if let Ok(mut header) = BlockHeader::decode(block, Verify::SkipDigests) {
            header.seal(block);
        }
    }
}

#[test]
fn a_piece_is_read_while_the_writer_runs() {
    let (disk, mut records) = two_epochs();
    let mut journal = start(disk.open(), 3);
    records.extend(append_groups(&mut journal, 9, 3000, 0));
    let durable = journal.durable();
    // A block in flight, and half written.
    let next = journal.next_seq();
    journal.append(&record(next, 3000, 0), next).expect("room");
    journal.poll().expect("a working disk");
    assert!(journal.durable() == durable);

    let seqs: Vec<u64> = records.iter().map(|r| u64::from_le_bytes(*r.first_chunk().expect("a header"))).collect();
    let mut media = journal.storage().reader();
    let read = |media: &mut _, after, upto| {
        let mut read = Vec::new();
        read_range(media, &EXPECT, after, upto, &mut |r| {
            read.push(r.bytes.to_vec());
            Ok(())
        })
        .map(|()| read)
    };
    for from in 0..=records.len() {
        let after = if from == 0 { 0 } else { seqs[from - 1] };
        for to in [from, from + 1, records.len()] {
            let Some(upto) = to.checked_sub(1).map(|n| seqs[n.min(records.len() - 1)]) else { continue };
            let to = to.min(records.len()).max(from);
            assert_eq!(read(&mut media, after, upto).expect("a sound journal"), records[from..to], "{from} to {to}");
        }
    }
    // Less than it says to be durable is damage, and so is a changed byte.
    let short = read(&mut media, 0, next + 5);
    assert!(matches!(short, Err(RecoverError::Damaged { .. } | RecoverError::Missing { .. })), "{short:?}");
    assert!(disk.damage(&segment_name(2), 3 * 4096 + 99, 4));
    assert_eq!(read(&mut media, seqs[13], durable).expect("segment 2 is not read"), records[14..]);
    let damaged = read(&mut media, seqs[8], durable);
    assert!(matches!(damaged, Err(RecoverError::Damaged { .. })), "{damaged:?}");
    assert!(disk.delete(&segment_name(1)));
    assert!(matches!(read(&mut media, 0, durable), Err(RecoverError::Missing { .. })));
}
