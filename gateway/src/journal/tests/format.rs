//! The bytes themselves: golden values, round trips, and what each check is there for.

use super::super::block::{BlockHeader, Verify};
use super::super::format::{ALIGN, BLOCK_HEADER, Defect, block_len, epoch_of, segment_name, segment_number, seq_after};
use super::super::segment::SegmentHeader;
use super::{ABI, SHARD, record};

fn header() -> SegmentHeader {
    SegmentHeader {
        shard: SHARD,
        epoch: 2,
        segment: 9,
        length: 1 << 20,
        life: 0x1122_3344_5566_7788,
        next_block: 40,
        last_seq: 1 << 48 | 77,
        abi_hash: ABI,
        prev_hash: [5; 32],
    }
}

fn block() -> (BlockHeader, Vec<u8>) {
    let records = [record(2 << 48 | 1, 13, 0), record(2 << 48 | 2, 0, 0)].concat();
    let mut bytes = vec![0xff; block_len(records.len())];
    bytes[BLOCK_HEADER..BLOCK_HEADER + records.len()].copy_from_slice(&records);
    let mut block = BlockHeader {
        epoch: 2,
        shard: SHARD,
        segment: 9,
        number: 40,
        life: 0x1122_3344_5566_7788,
        first_seq: 2 << 48 | 1,
        last_seq: 2 << 48 | 2,
        records: 2,
        payload: records.len() as u32,
        prev_hash: [5; 32],
        hash: [0; 32],
    };
    assert_eq!(block.seal(&mut bytes), 4096);
    (block, bytes)
}

#[test]
fn headers_stand_as_the_table_says() {
    let mut bytes = vec![0xff; ALIGN];
    header().encode(&mut bytes);
    assert_eq!(&bytes[..12], b"WBJSEG\r\n\x01\0\0\0");
    assert_eq!(bytes[12..16], [3, 0, 2, 0]);
    assert_eq!(bytes[16..24], 9u64.to_le_bytes());
    assert_eq!(bytes[32..40], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    assert_eq!((&bytes[64..96], &bytes[96..128]), (&[7; 32][..], &[5; 32][..]));
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));

    let (block, bytes) = block();
    assert_eq!(&bytes[..4], b"WBJB");
    assert_eq!(bytes[4..8], [2, 0, 3, 0]);
    assert_eq!(bytes[48..56], [2, 0, 0, 0, 80, 0, 0, 0]);
    assert_eq!(bytes[96..128], block.hash);
    assert_eq!(BlockHeader::decode(&bytes, Verify::Full), Ok(block));
}

#[test]
fn every_byte_of_a_header_and_of_a_block_counts() {
    let mut segment = vec![0; ALIGN];
    header().encode(&mut segment);
    let (_, block) = block();
    for at in 0..ALIGN {
        for bytes in [&segment, &block] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x40;
            assert!(
                SegmentHeader::decode(&bytes).is_err() && BlockHeader::decode(&bytes, Verify::Full).is_err(),
                "{at}"
            );
        }
    }
    assert_eq!(SegmentHeader::decode(&segment[..4095]), Err(Defect::Length { found: 4095, most: 256 << 20 }));
    assert_eq!(BlockHeader::decode(&vec![0; 8192], Verify::Full), Err(Defect::Zeros));
}

#[test]
fn a_block_is_bound_to_epoch_segment_and_life() {
    // The checksum's seed: each of the three alone makes another checksum of otherwise equal bytes.
    let (block, bytes) = block();
    for other in
        [BlockHeader { epoch: 3, ..block }, BlockHeader { segment: 10, ..block }, BlockHeader { life: 1, ..block }]
    {
        let mut resealed = bytes.clone();
        let mut sealed = other;
        sealed.seal(&mut resealed);
        assert_ne!(resealed[60..64], bytes[60..64]);
        assert_ne!(sealed.hash, block.hash);
    }
}

#[test]
fn another_format_version_is_not_damage() {
    let mut bytes = vec![0; ALIGN];
    header().encode(&mut bytes);
    bytes[8] = 2;
    assert!(matches!(SegmentHeader::decode(&bytes), Err(Defect::Crc { .. })), "a changed version alone is damage");
}

#[test]
fn names_and_seqs() {
    assert_eq!(segment_name(12), "0000000012.wbj");
    assert_eq!(segment_number("0000000012.wbj"), Some(12));
    assert_eq!(segment_number(&segment_name(12_345_678_901)), Some(12_345_678_901));
    for other in
        ["12.wbj", "0000000000.wbj", "00000000012.wbj", "+000000012.wbj", "0000000012.wbs", "0000000012.wbj.new"]
    {
        assert_eq!(segment_number(other), None, "{other}");
    }
    assert_eq!(seq_after(0, 1), 1 << 48 | 1);
    assert_eq!(seq_after(1 << 48 | 5, 1), 1 << 48 | 6);
    assert_eq!(seq_after(1 << 48 | 5, 2), 2 << 48 | 1);
    assert_eq!((epoch_of(2 << 48 | 1), epoch_of(0)), (2, 0));
}
