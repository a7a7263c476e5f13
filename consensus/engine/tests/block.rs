//! Blocks: one encoding, covered by the digest, and nothing but the next body follows.
#![cfg(feature = "commonware")]

use bytes::Bytes;
use commonware_codec::{DecodeExt, Encode, EncodeSize};
use commonware_consensus::BoundedBlock;
use commonware_cryptography::Digestible;
use wirebook_engine::block::{Block, MAX_BODY_BYTES, MAX_NOTES, head};

#[test]
fn blocks_read_back_and_every_flipped_byte_changes_or_refuses_them() {
    let genesis = Block::genesis();
    let first = genesis.child(Some(Bytes::from_static(b"who pays whom")), vec![[5; 32], [6; 32]]);
    let empty = first.child(None, Vec::new());
    let noted = empty.child(None, vec![[7; 32]]);
    assert!(first.follows(&genesis) && empty.follows(&first));
    assert_eq!((first.settles(), empty.settles()), (1, 1));
    assert_eq!((first.body().map(Bytes::len), empty.body()), (Some(13), None));
    assert_eq!((first.notes(), empty.notes()), (&[[5; 32], [6; 32]][..], &[][..]));
    for block in [genesis, first, empty, noted] {
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

/// What a digest covers is part of the protocol: who changes it changes the chain, and its layout's number.
#[test]
fn the_digest_is_that_of_the_head_and_the_body() {
    let block = Block::genesis().child(Some(Bytes::from_static(b"body")), vec![[5; 32]]);
    let parent = Block::genesis().digest().as_ref().try_into().expect("32 bytes");
    let hashed = [&head(&parent, 1, 1, &[[5; 32]])[..], b"body"].concat();
    assert_eq!(block.digest().as_ref(), blake3::hash(&hashed).as_bytes());
    assert_eq!(&hashed[..26], b"wirebook consensus block 2");
    assert_eq!(hashed[74..106], *blake3::hash(&[&b"wirebook notes 1"[..], &[5; 32]].concat()).as_bytes());
    assert_eq!(head(&parent, 1, 1, &[])[74..], [0; 32], "no notes");
}

#[test]
fn only_the_next_body_follows() {
    let genesis = Block::genesis();
    let body = || Some(Bytes::from_static(b"body"));
    let (first, second) =
        (genesis.child(body(), Vec::new()), genesis.child(body(), Vec::new()).child(body(), Vec::new()));
    assert!(second.follows(&first));
    assert!(!second.follows(&genesis), "a gap");
    assert!(!first.follows(&second), "back again");
    assert!(!first.child(None, Vec::new()).follows(&genesis), "settled without a body");
}

#[test]
fn the_largest_block_keeps_to_its_bound() {
    let largest = Block::genesis().child(Some(Bytes::from(vec![7; MAX_BODY_BYTES])), vec![[1; 32]; MAX_NOTES]);
    assert!(largest.encode_size() <= Block::max_encode_size(&()));
    let mut bytes = largest.encode().to_vec();
    bytes.push(0);
    assert!(Block::decode(Bytes::from(bytes)).is_err(), "a byte behind the end");
}
