//! Batches: one encoding, bounded, and no bit of it can change unseen.

use super::*;
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn header(number: u64) -> Header {
    Header {
        shard: 3,
        number,
        first_seq: (1 << SEQ_COUNTER_BITS) | 1,
        last_seq: (1 << SEQ_COUNTER_BITS) | 40,
        previous: [1; 32],
        events: [2; 32],
        previous_root: [3; 32],
        next_root: [4; 32],
    }
}

fn batch(records: &[u8]) -> Batch {
    Batch::seal(header(9), records, &key()).expect("a good batch")
}

#[test]
fn a_batch_reads_back_as_it_was_sealed() {
    let sealed = batch(b"records of some run");
    let read = Batch::decode(sealed.as_bytes()).expect("its own encoding");
    assert_eq!(read, sealed);
    assert_eq!(read.header(), &header(9));
    assert_eq!(read.records(), b"records of some run");
    assert_eq!(read.number(), 9);
    read.verify_signature(&key().verifying_key()).expect("its own signature");
}

/// The layout is what the module comment says: fields at their offsets, digest and signature behind the records.
#[test]
fn the_layout_stands_as_documented() {
    let sealed = batch(&[0xAB; 5]);
    let bytes = sealed.as_bytes();
    assert_eq!(&bytes[..8], b"WBBT\x01\x00\x03\x00");
    assert_eq!(bytes[8..16], 9u64.to_le_bytes());
    assert_eq!(bytes[16..24], header(9).first_seq.to_le_bytes());
    assert_eq!(bytes[24..32], header(9).last_seq.to_le_bytes());
    assert_eq!(bytes[32..40], 5u64.to_le_bytes());
    for (offset, byte) in [(40, 1), (72, 2), (104, 3), (136, 4)] {
        assert_eq!(bytes[offset..offset + 32], [byte; 32]);
    }
    assert_eq!(bytes[168..173], [0xAB; 5]);
    assert_eq!(&bytes[173..205], blake3::hash(&bytes[..173]).as_bytes());
    assert_eq!(bytes.len(), 173 + 32 + 64);
    assert_eq!(&bytes[205..], sealed.signature());
}

/// One byte anywhere, changed in any of a few ways: the layout, the digest or the signature refuses it.
#[test]
fn every_flipped_byte_is_refused() {
    let sealed = batch(b"who pays whom");
    let public = key().verifying_key();
    let mut by_signature = 0;
    for offset in 0..sealed.as_bytes().len() {
        for mask in [0x01, 0x80, 0xFF] {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[offset] ^= mask;
            match Batch::decode(&bytes) {
                Err(_) => {
                    assert!(offset < bytes.len() - SIGNATURE_BYTES, "offset {offset} is not covered by the digest")
                }
                Ok(read) => {
                    by_signature += 1;
                    assert_eq!(
                        read.verify_signature(&public),
                        Err(BatchError::Signature { number: 9 }),
                        "offset {offset}"
                    );
                }
            }
        }
    }
    assert_eq!(by_signature, SIGNATURE_BYTES * 3, "only the signature itself may get past decode");
}

#[test]
fn a_batch_of_another_key_is_refused() {
    let forged = Batch::seal(header(9), b"records", &SigningKey::from_bytes(&[8; 32])).expect("well formed");
    let read = Batch::decode(forged.as_bytes()).expect("well formed");
    assert_eq!(read.verify_signature(&key().verifying_key()), Err(BatchError::Signature { number: 9 }));
}

/// A signature of the bare digest, as another part of the system might make one, does not count.
#[test]
fn the_signature_is_bound_to_its_context() {
    let mut bytes = batch(b"records").as_bytes().to_vec();
    let end = bytes.len() - SIGNATURE_BYTES;
    let bare = key().sign(&bytes[end - DIGEST_BYTES..end]).to_bytes();
    bytes[end..].copy_from_slice(&bare);
    let read = Batch::decode(&bytes).expect("well formed");
    assert_eq!(read.verify_signature(&key().verifying_key()), Err(BatchError::Signature { number: 9 }));
}

#[test]
fn sizes_are_bounded() {
    let full = batch(&vec![5; MAX_RECORD_BYTES]);
    assert_eq!(full.as_bytes().len(), MAX_BATCH_BYTES);
    assert_eq!(Batch::decode(full.as_bytes()).expect("as large as it may be").records().len(), MAX_RECORD_BYTES);
    let over = MAX_RECORD_BYTES + 1;
    assert_eq!(Batch::seal(header(1), &vec![5; over], &key()), Err(BatchError::TooLarge { found: over }));
    // A length field that asks for more is refused before anything of that size is looked at.
    let mut bytes = batch(b"r").as_bytes().to_vec();
    bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Batch::decode(&bytes), Err(BatchError::TooLarge { found: u32::MAX as usize }));
}

#[test]
fn what_no_gateway_may_seal_is_refused() {
    assert_eq!(Batch::seal(header(0), b"", &key()), Err(BatchError::Number));
    let backwards = Header { first_seq: 5, last_seq: 4, ..header(1) };
    assert_eq!(Batch::seal(backwards, b"", &key()), Err(BatchError::Range { first: 5, last: 4 }));
    let sealed = batch(b"records");
    let longer = [sealed.as_bytes(), b"x"].concat();
    assert!(matches!(Batch::decode(&longer), Err(BatchError::Length { .. })));
    let cut = &sealed.as_bytes()[..sealed.as_bytes().len() - 1];
    assert!(matches!(Batch::decode(cut), Err(BatchError::Length { .. })));
    assert_eq!(Batch::decode(b""), Err(BatchError::Length { expected: HEADER_BYTES + TRAILER_BYTES, found: 0 }));
}

#[test]
fn runs_follow_one_another_within_and_across_epochs() {
    let seq = |epoch: u64, counter: u64| epoch << SEQ_COUNTER_BITS | counter;
    assert!(continues(seq(1, 7), seq(1, 8)));
    assert!(continues(seq(1, 7), seq(2, 1)));
    assert!(continues(seq(1, 7), seq(4, 1)), "epochs without a batch are skipped");
    assert!(continues(0, seq(1, 1)), "the first run of all");
    for wrong in [seq(1, 7), seq(1, 9), seq(2, 2), seq(2, 0), seq(0, 8), seq(0, 1)] {
        assert!(!continues(seq(1, 7), wrong), "{wrong:#x}");
    }
    assert!(!continues(u64::MAX, u64::MAX));
    assert!(!continues(u64::MAX, 0));
}

proptest! {
    #[test]
    fn any_header_and_records_read_back(
        shard: u16, number in 1u64.., first: u64, more in 0u64..1 << 20, digests: [[u8; 32]; 4],
        records in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let [previous, events, previous_root, next_root] = digests;
        let header =
            Header { shard, number, first_seq: first, last_seq: first.saturating_add(more), previous, events, previous_root, next_root };
        let sealed = Batch::seal(header, &records, &key()).expect("a good batch");
        prop_assert_eq!(&Batch::decode(sealed.as_bytes()).expect("its own encoding"), &sealed);
        prop_assert_eq!(sealed.records(), &records[..]);
    }

    /// Decode answers anything, and what it accepts is the only encoding of what it returns.
    #[test]
    fn any_bytes_are_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), dress: bool) {
        if dress && bytes.len() >= HEADER_BYTES + TRAILER_BYTES {
            // Enough of a shape to get past the first checks, so that the later ones are met too.
            bytes[..6].copy_from_slice(b"WBBT\x01\x00");
            let records = (bytes.len() - HEADER_BYTES - TRAILER_BYTES) as u64;
            bytes[32..40].copy_from_slice(&records.to_le_bytes());
        }
        if let Ok(read) = Batch::decode(&bytes) {
            prop_assert_eq!(read.as_bytes(), &bytes[..]);
        }
    }
}
