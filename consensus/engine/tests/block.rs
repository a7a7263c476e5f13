//! Blocks: one encoding, covered by the digest, and nothing but the next body follows.
#![cfg(feature = "commonware")]

use bytes::Bytes;
use commonware_codec::{DecodeExt, Encode, EncodeSize};
use commonware_consensus::BoundedBlock;
use commonware_cryptography::Digestible;
use wirebook_engine::block::{Block, MAX_BODY_BYTES};

#[test]
fn blocks_read_back_and_every_flipped_byte_changes_or_refuses_them() {
    let genesis = Block::genesis();
    let first = genesis.child(Some(Bytes::from_static(b"who pays whom")));
    let empty = first.child(None);
    assert!(first.follows(&genesis) && empty.follows(&first));
    assert_eq!((first.settles(), empty.settles()), (1, 1));
    assert_eq!((first.body().map(Bytes::len), empty.body()), (Some(13), None));
    for block in [genesis, first, empty] {
        let bytes = block.encode();
        assert_eq!(bytes.len(), block.encode_size());
        assert_eq!(Block::decode(bytes.clone()).expect("its own encoding"), block);
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1;
            if let Ok(read) = Block::decode(Bytes::from(flipped)) {
                assert_ne!(read.digest(), block.digest(), "byte {at} is not covered by the digest");
            }
        }
    }
}

#[test]
fn only_the_next_body_follows() {
    let genesis = Block::genesis();
    let body = || Some(Bytes::from_static(b"body"));
    let (first, second) = (genesis.child(body()), genesis.child(body()).child(body()));
    assert!(second.follows(&first));
    assert!(!second.follows(&genesis), "a gap");
    assert!(!first.follows(&second), "back again");
    assert!(!first.child(None).follows(&genesis), "settled without a body");
}

#[test]
fn the_largest_block_keeps_to_its_bound() {
    let largest = Block::genesis().child(Some(Bytes::from(vec![7; MAX_BODY_BYTES])));
    assert!(largest.encode_size() <= Block::max_encode_size(&()));
    let mut bytes = largest.encode().to_vec();
    bytes.push(0);
    assert!(Block::decode(Bytes::from(bytes)).is_err(), "a byte behind the end");
}
