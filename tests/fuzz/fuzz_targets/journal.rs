//! The journal's reader over any bytes, and over segments whose checksums and hashes are right.
//!
//! No fuzzer guesses a CRC32C and a BLAKE3, so the first byte chooses: raw bytes, or a plan by which up to three segments
//! are built and sealed properly, with fields altered before the sealing and bytes flipped after it. For a plan the right
//! answer is known: every block before the first altered one, and damage where a whole block stands behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebook::journal::format::{ALIGN, BLOCK_HEADER, block_len, record_len, segment_name, segment_number};
use wirebook::journal::reader::Chain;
use wirebook::journal::storage::{FileEntry, Media, StorageError};
use wirebook::journal::{BlockHeader, Expect, RecoverError, SegmentHeader, check_bytes, recover};

const SHARD: u16 = 1;
const EXPECT: Expect = Expect { shard: Some(SHARD), abi_hash: None };
/// The length of every built segment: a header and fifteen pages.
const LENGTH: usize = 16 * ALIGN;
/// How many records have been read when the planted panic strikes.
const PLANTED_RECORDS: u64 = 11;

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode % 4 == 0 { raw(rest) } else { planned(rest) }
});

/// Segments in memory.
struct Images(Vec<Vec<u8>>);

impl Media for Images {
    fn list(&mut self) -> Result<Vec<FileEntry>, StorageError> {
        let entry = |(n, image): (usize, &Vec<u8>)| FileEntry { name: segment_name(n as u64 + 1), len: image.len() as u64 };
        Ok(self.0.iter().enumerate().map(entry).collect())
    }
    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError> {
        let at = segment_number(name).expect("a listed name") as usize - 1;
        into.clone_from(&self.0[at]);
        Ok(())
    }
    fn locate(&self, name: &str) -> String {
        name.to_owned()
    }
}

fn raw(bytes: &[u8]) {
    if let Ok(contents) = check_bytes(bytes) {
        assert!(contents.end <= bytes.len() as u64 && contents.later.is_none_or(|at| at >= contents.end));
    }
    let half = bytes.len() / 2;
    // Whatever it is, it gets an answer.
    drop(recover(&mut Images(vec![bytes[..half].to_vec(), bytes[half..].to_vec()]), &EXPECT, &mut |_| Ok(())));
}

/// The fuzzer's bytes, then zeros for ever.
struct Plan<'a>(&'a [u8]);

impl Plan<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
}

/// What a built segment must be read as.
struct Built {
    image: Vec<u8>,
    blocks: u64,
    records: u64,
    later: bool,
}

fn planned(bytes: &[u8]) {
    let mut plan = Plan(bytes);
    let count = 1 + plan.byte() % 3;
    let mut chain = Chain { shard: SHARD, epoch: 1, segment: 0, life: 7, next_block: 0, last_seq: 0, hash: [0; 32] };
    let (mut images, mut records, mut sound) = (Vec::new(), 0, true);
    for _ in 0..count {
        chain.segment += 1;
        if plan.byte() % 4 == 1 && chain.segment > 1 {
            chain.epoch += 1;
            chain.life += 1;
        }
        let built = segment(&mut plan, &mut chain);
        let contents = check_bytes(&built.image).expect("the header is whole");
        assert_eq!((contents.blocks, contents.records), (built.blocks, built.records), "blocks and records");
        assert_eq!(contents.later.is_some(), built.later, "a whole block behind the end");
        records += if sound { built.records } else { 0 };
        sound &= !built.later;
        images.push(built.image);
    }
    assert!(!(cfg!(feature = "planted") && sound && records == PLANTED_RECORDS), "planted");
    let mut seen = 0;
    let read = recover(&mut Images(images), &EXPECT, &mut |record| {
        assert_eq!(record.bytes[..8], record.seq.to_le_bytes());
        seen += 1;
        Ok(())
    });
    match read {
        Ok(recovered) => {
            assert!(sound, "damage was taken for a tail");
            assert_eq!((seen, recovered.records), (records, records));
        }
        Err(RecoverError::Damaged { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Builds one segment; the chain then stands behind the blocks that a reader must accept.
fn segment(plan: &mut Plan<'_>, chain: &mut Chain) -> Built {
    let mut image = vec![0; LENGTH];
    let header = SegmentHeader {
        shard: SHARD,
        epoch: chain.epoch,
        segment: chain.segment,
        length: LENGTH as u64,
        life: chain.life,
        next_block: chain.next_block,
        last_seq: chain.last_seq,
        abi_hash: [0; 32],
        prev_hash: chain.hash,
    };
    header.encode(&mut image);
    let mut built = Built { image, blocks: 0, records: 0, later: false };
    let (mut at, mut good) = (ALIGN, true);
    // Where the writer would go on: an altered block is still followed by one that continues it.
    let mut next = *chain;
    for _ in 0..plan.byte() % 6 {
        let (mut block, payload, altered) = records(plan, &next);
        if at + block_len(payload.len()) > LENGTH {
            break;
        }
        let twist = plan.byte();
        let place = &mut built.image[at..];
        place[BLOCK_HEADER..BLOCK_HEADER + payload.len()].copy_from_slice(&payload);
        let other = alter(&mut block, twist, plan.byte() | 1);
        let len = block.seal(place);
        let flip = plan.byte();
        if flip % 8 == 1 {
            place[plan.word() as usize % len] ^= flip;
        }
        let whole = flip % 8 != 1;
        good &= whole && !altered && other == Other::Nothing;
        if good {
            built.blocks += 1;
            built.records += u64::from(block.records);
            chain.advance(&block);
        } else {
            built.later |= whole && other != Other::Life;
        }
        next.advance(&block);
        at += len;
    }
    built
}

/// A block's records and its header, and whether a record was altered.
fn records(plan: &mut Plan<'_>, chain: &Chain) -> (BlockHeader, Vec<u8>, bool) {
    let count = 1 + u64::from(plan.byte() % 4);
    let (mut payload, mut altered) = (Vec::new(), false);
    for n in 0..count {
        let body = plan.word() as usize % 3000;
        let mut record = vec![0; record_len(body)];
        record[..8].copy_from_slice(&(chain.next_seq().wrapping_add(n)).to_le_bytes());
        record[20..24].copy_from_slice(&(body as u32).to_le_bytes());
        record[24..26].copy_from_slice(&SHARD.to_le_bytes());
        let twist = plan.byte();
        let field = match twist % 16 {
            1 => Some(plan.byte() as usize % 8),
            2 => Some(24 + plan.byte() as usize % 2),
            // One bit of the length above all that fit, so that it must leave the block.
            3 => Some(23),
            4 if body % 8 != 0 => Some(32 + body),
            _ => None,
        };
        if let Some(field) = field {
            record[field] ^= twist | 1;
            altered = true;
        }
        payload.extend(record);
    }
    let block = BlockHeader {
        epoch: chain.epoch,
        shard: chain.shard,
        segment: chain.segment,
        number: chain.next_block,
        life: chain.life,
        first_seq: chain.next_seq(),
        last_seq: chain.next_seq().wrapping_add(count - 1),
        records: count as u32,
        payload: payload.len() as u32,
        prev_hash: chain.hash,
        hash: [0; 32],
    };
    (block, payload, altered)
}

/// What was altered in a block's header.
#[derive(PartialEq, Eq)]
enum Other {
    Nothing,
    /// It is now of another epoch or life, and says nothing about this one.
    Life,
    Field,
}

fn alter(block: &mut BlockHeader, twist: u8, by: u8) -> Other {
    match twist % 24 {
        1 => block.epoch ^= u16::from(by),
        2 => block.life ^= u64::from(by),
        3 => block.shard ^= u16::from(by),
        4 => block.segment ^= u64::from(by),
        5 => block.number ^= u64::from(by),
        6 => block.first_seq ^= u64::from(by),
        7 => block.last_seq ^= u64::from(by),
        8 => block.records ^= u32::from(by),
        9 => block.prev_hash[usize::from(by) % 32] ^= by,
        _ => return Other::Nothing,
    }
    if twist % 24 <= 2 { Other::Life } else { Other::Field }
}
