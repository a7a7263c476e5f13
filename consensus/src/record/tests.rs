//! Roundtrips, golden bytes, hostile bytes.

mod golden;
mod hostile;
mod samples;

use proptest::prelude::*;

use super::*;
use samples::any_record;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_itself(record in any_record()) {
        let record = record.borrow();
        let bytes = record.to_vec();
        prop_assert_eq!(bytes.len(), record.encoded_len());
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert!(bytes.len() <= MAX_RECORD);
        let (again, taken) = Record::decode(&bytes).unwrap();
        prop_assert_eq!(again, record);
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(Header::decode(&bytes).unwrap(), record.header);
        prop_assert!(!record.describe().contains('\n'));
    }

    #[test]
    fn a_run_of_records_is_read_with_its_offsets(run in prop::collection::vec(any_record(), 0..6)) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for record in &run {
            expected.push((bytes.len(), record.borrow()));
            record.borrow().encode_into(&mut bytes);
        }
        let found: Result<Vec<_>, _> = records(&bytes).collect();
        prop_assert_eq!(found.unwrap(), expected);
    }
}

#[test]
fn seqs_order_by_epoch_then_counter_and_leave_no_gap() {
    let last = Seq::make(3, 41);
    assert_eq!((Seq::epoch(last), Seq::counter(last)), (3, 41));
    assert!(Seq::follows(0, Seq::make(1, 1)));
    assert!(Seq::follows(last, Seq::make(3, 42)));
    assert!(Seq::follows(last, Seq::make(9, 1)), "epochs may be skipped: one may have left no record");
    for wrong in [last, Seq::make(3, 43), Seq::make(4, 2), Seq::make(2, 1), Seq::make(4, 0), 0] {
        assert!(!Seq::follows(last, wrong), "{wrong:#x}");
    }
    assert!(!Seq::follows(Seq::make(3, Seq::MAX_COUNTER), Seq::make(4, 0)), "a counter does not carry into the epoch");
}
