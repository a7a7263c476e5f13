//! The committed sample: some hundred lines of a realistic flow with every op, some that are refused, and their fills.
//!
//! `WIREBOOK_REGENERATE=1 cargo test -p wirebook-matcher --test matcher sample` writes it anew.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use wirebook_matcher::flow::{Op, OrdersReader, OrdersWriter, Realistic, RealisticConfig, Summary, match_orders};
use wirebook_matcher::{Reference, Software, Twin};

const TICK_SIZE: i64 = 100;

/// Lines that are refused, each for its own reason, after those of the flow.
const REFUSED: &str =
    "C,999999,1,,\nA,1000001,1,1000050,100\nF,1000002,-1,1000000,0\nX,1000003,1,999900,0\nU,1000004,1,1000000,100\n";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn matched<T: Twin>(orders: &[u8]) -> (Summary, Vec<u8>) {
    let mut fills = Vec::new();
    let matched = match_orders::<T>("sample_orders.csv", Cursor::new(orders), TICK_SIZE, &mut fills, |_| {}).unwrap();
    (matched.summary, fills)
}

fn made() -> Vec<u8> {
    let flow = Realistic::new(RealisticConfig { seed: 2026, live: 40, ..RealisticConfig::default() });
    let mut writer = OrdersWriter::new(Vec::new()).unwrap();
    flow.take(500).for_each(|told| writer.write(&told.line).unwrap());
    let mut bytes = writer.finish().unwrap();
    bytes.extend(REFUSED.as_bytes());
    bytes
}

#[test]
fn the_sample_gives_its_fills_with_either_twin() {
    let orders = made();
    if std::env::var_os("WIREBOOK_REGENERATE").is_some() {
        fs::create_dir_all(path("")).unwrap();
        fs::write(path("sample_orders.csv"), &orders).unwrap();
        fs::write(path("sample_fills.csv"), matched::<Reference>(&orders).1).unwrap();
    }
    let committed = fs::read(path("sample_orders.csv")).expect("the sample is committed");
    assert_eq!(committed, orders, "the flow of a seed is the same on every machine, for ever");
    let fills = fs::read(path("sample_fills.csv")).expect("the sample's fills are committed");
    let (reference, software) = (matched::<Reference>(&committed), matched::<Software>(&committed));
    assert_eq!(String::from_utf8(reference.1), String::from_utf8(fills.clone()));
    assert_eq!(software, (reference.0, fills));
    assert_eq!(reference.0.refused, REFUSED.lines().count() as u64);
    assert!(reference.0.fills > 50, "{:?}", reference.0);

    let lines: Vec<_> = OrdersReader::new("sample_orders.csv", &committed[..]).unwrap().map(Result::unwrap).collect();
    for op in Op::ALL {
        assert!(lines.iter().any(|line| line.op == op), "{op:?}");
    }
}
