//! Bytes that nobody here wrote: no panic, one meaning each, and errors that say where.

use proptest::prelude::*;

use super::super::*;
use super::samples::any_record;

/// Decoding is total, and accepts only what encodes back to the same bytes.
fn judge(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Record::decode(bytes) {
        Ok((record, taken)) => prop_assert_eq!(record.to_vec(), bytes[..taken].to_vec()),
        Err(error) => {
            prop_assert!(error.offset <= bytes.len());
            prop_assert!(error.to_string().contains(error.field));
        }
    }
    for item in records(bytes).take(64) {
        if let Err(error) = item {
            prop_assert!(error.offset <= bytes.len());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_has_a_defined_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        judge(&bytes)?;
    }

    #[test]
    fn a_damaged_record_is_refused_or_is_another_record(
        record in any_record(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let whole = record.borrow().to_vec();
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        judge(&bytes)?;
        let cut = cut.index(whole.len());
        prop_assert!(Record::decode(&whole[..cut]).is_err(), "cut at {}", cut);
        judge(&whole[..cut])?;
    }
}

/// One wrong byte at a time: what is refused, where, and by which name.
#[test]
fn errors_name_the_field_and_its_offset() {
    let order = super::golden::order().to_vec();
    let cases: [(usize, u8, usize, &str); 13] = [
        (6, 0, 0, "seq"),
        (21, 0xff, 20, "length"),
        (20, 41, 72, "message"),
        (20, 90, 0, "record"),
        (26, 9, 26, "kind"),
        (26, 0, 26, "kind"),
        (27, 2, 27, "version"),
        (29, 1, 29, "reserved"),
        (32, 9, 32, "command seq"),
        (63, 0x80, 63, "command ring byte"),
        (64, 8, 64, "origin"),
        (65, 1, 65, "protocol"),
        (69, 1, 69, "order reserved"),
    ];
    for (at, value, offset, field) in cases {
        let mut bytes = order.clone();
        bytes[at] = value;
        let error = Record::decode(&bytes).unwrap_err();
        assert_eq!((error.offset, error.field), (offset, field), "byte {at} = {value}: {error}");
    }
    let padded = super::golden::reject().to_vec();
    let mut bytes = padded.clone();
    *bytes.last_mut().unwrap() = 7;
    let error = Record::decode(&bytes).unwrap_err();
    assert_eq!((error.offset, error.field), (padded.len() - 1, "padding"));
    assert_eq!(error.to_string(), format!("byte {}: padding: found 7, allowed 0", padded.len() - 1));
    let error = records(&[order.as_slice(), &bytes].concat()).nth(1).unwrap().unwrap_err();
    assert_eq!(error.offset, order.len() + padded.len() - 1, "an iterator's offsets count from the front");
}

#[test]
fn nothing_stands_behind_the_last_field() {
    let seal = Seal { number: 1, first_seq: 2, records: 3 };
    let mut bytes = Record::new(Seq::make(1, 1), 0, 0, 0, Payload::Seal(seal)).to_vec();
    bytes[20] += 8;
    bytes.extend_from_slice(&[0; 8]);
    let error = Record::decode(&bytes).unwrap_err();
    assert_eq!((error.offset, error.field), (HEADER_BYTES + 24, "length"));
}

#[test]
fn a_message_stands_only_where_a_client_sent_it() {
    let bytes = super::golden::order().to_vec();
    for (at, value) in [(64, Origin::Expiry as u8), (65, Protocol::None as u8)] {
        let mut wrong = bytes.clone();
        wrong[at] = value;
        assert_eq!(Record::decode(&wrong).unwrap_err().field, "message length");
    }
}
