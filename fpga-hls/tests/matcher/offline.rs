//! Any lines whatever through the offline matcher: both twins agree, the survey's band is enough, files survive.

use proptest::prelude::*;
use wirebook_matcher::abi::Side;
use wirebook_matcher::flow::{Fill, Offline, Op, OrderLine, OrdersReader, OrdersWriter, Refused, Survey};
use wirebook_matcher::{Reference, Software};

fn lines() -> impl Strategy<Value = Vec<OrderLine>> {
    let op = prop::sample::select(&Op::ALL[..]);
    let line = (op, 0u64..9, prop::sample::select(&Side::ALL[..]), -6i64..12, 0u32..9)
        .prop_map(|(op, id, side, price, qty)| OrderLine { op, id, side, price, qty });
    prop::collection::vec(line, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_matched_alike(lines in lines(), tick_size in 1i64..4) {
        let mut survey = Survey::new(tick_size).unwrap();
        lines.iter().for_each(|line| survey.add(line));
        let (band, slots) = (survey.band().unwrap(), lines.len() as u32 + 2);
        let mut reference = Offline::<Reference>::growing(band, slots);
        let mut software = Offline::<Software>::new(band, slots);
        for line in &lines {
            let before = software.order(line.id);
            let (mut expected, mut found) = (Vec::<Fill>::new(), Vec::<Fill>::new());
            let done = reference.apply(line, |fill| expected.push(fill));
            prop_assert_eq!(done, software.apply(line, |fill| found.push(fill)));
            prop_assert_eq!(&expected, &found);
            prop_assert!(!matches!(done, Err(Refused::NoSlot | Refused::OutOfBand)), "{:?}: {:?}", line, done);
            let after = software.order(line.id);
            prop_assert_eq!(reference.order(line.id), after);
            if done.is_err() {
                prop_assert_eq!(before, after);
            }
            let traded: u64 = found.iter().map(|fill| u64::from(fill.qty)).sum();
            if let Some(after) = after {
                prop_assert_eq!(after.executed, before.map_or(0, |order| order.executed) + traded);
            }
        }
        prop_assert_eq!(reference.summary(), software.summary());
    }

    #[test]
    fn a_written_file_is_read_as_it_was(lines in lines()) {
        let mut writer = OrdersWriter::new(Vec::new()).unwrap();
        lines.iter().for_each(|line| writer.write(line).unwrap());
        let bytes = writer.finish().unwrap();
        let read: Result<Vec<_>, _> = OrdersReader::new("o", &bytes[..]).unwrap().collect();
        prop_assert_eq!(read.unwrap(), lines);
    }

    #[test]
    fn any_bytes_are_lines_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..400), line in "[AXFPRCU],[-0-9]{0,20},[-01]{0,2},[-0-9]{0,20},[-0-9]{0,11}") {
        let file = [b"op,id,side,price,qty\n", &bytes[..]].concat();
        prop_assert!(OrdersReader::new("o", &file[..]).unwrap().count() <= bytes.len() + 1);
        if let Ok(parsed) = OrderLine::parse(&line) {
            prop_assert_eq!(OrderLine::parse(&parsed.to_string()), Ok(parsed));
        }
    }
}
