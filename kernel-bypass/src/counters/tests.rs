//! Counters as their writers, their readers, and other processes see them.

use super::*;

#[test]
fn another_process_lists_names_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counters");
    let counters = Counters::create(&path, 8).unwrap();
    // A mapping of its own, as another process has.
    let reader = CountersReader::open(&path).unwrap();
    assert_eq!(reader.list(), []);
    let mut orders = counters.add("orders received").unwrap();
    let mut depth = counters.add("ring depth: gateway → matcher").unwrap();
    orders.add(41);
    orders.add(1);
    depth.set(17);
    let expected = [("orders received".to_string(), 42), ("ring depth: gateway → matcher".to_string(), 17)];
    assert_eq!(reader.list(), expected);
    assert_eq!(counters.reader().list(), expected);
    assert_eq!(reader.get("orders received"), Some(42));
    assert_eq!(reader.get("orders"), None);
    assert_eq!((orders.get(), depth.get()), (42, 17));
    drop((orders, depth, counters));
    assert_eq!(reader.list(), expected, "the last values stay");
}

#[test]
fn a_new_run_starts_from_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counters");
    let mut old = Counters::create(&path, 2).unwrap().add("old").unwrap();
    let watching = CountersReader::open(&path).unwrap();
    let mut new = Counters::create(&path, 2).unwrap().add("new").unwrap();
    old.add(1);
    new.add(2);
    assert_eq!(watching.get("old"), Some(1), "whoever watches the old run goes on");
    assert_eq!(CountersReader::open(&path).unwrap().list(), [("new".to_string(), 2)]);
}

#[test]
fn names_are_checked() {
    let counters = Counters::heap(2).unwrap();
    let refuse = |name: &str, why: &str| {
        let error = counters.add(name).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    };
    refuse("", "has 0 bytes");
    refuse(&"n".repeat(MAX_NAME + 1), "has 121 bytes");
    let longest = "n".repeat(MAX_NAME);
    counters.add(&longest).unwrap();
    refuse(&longest, "exists already");
    counters.add("b").unwrap();
    refuse("c", "all 2 counters are in use");
    let names: Vec<_> = counters.reader().list().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [longest, "b".to_string()]);
    for slots in [0, MAX_SLOTS + 1] {
        assert!(matches!(Counters::heap(slots), Err(CountersError::Slots { .. })));
    }
}

#[test]
fn a_file_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counters");
    crate::ring::shared::create(&path, 8).unwrap();
    let error = CountersReader::open(&path).err().unwrap().to_string();
    assert!(error.contains("WBEATRNG") && error.contains("WBCOUNTS"), "{error}");
    std::fs::remove_file(&path).unwrap();
    Counters::create(&path, 1).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[16] = 2;
    std::fs::write(&path, &bytes).unwrap();
    let error = CountersReader::open(&path).err().unwrap().to_string();
    assert!(error.contains("body bytes"), "{error}");
}

#[test]
fn a_reader_never_sees_a_value_go_back_or_half_a_name() {
    const ADDS: u64 = 200_000;
    let counters = Counters::heap(64).unwrap();
    let reader = counters.reader();
    let writer = std::thread::spawn(move || {
        let mut counter = counters.add("steady").unwrap();
        for n in 0..ADDS {
            counter.add(1 << 32 | 1);
            if n % 4000 == 0 && n / 4000 < 63 {
                counters.add(&format!("a name of many words, number {n:08}")).unwrap();
            }
        }
        counter.get()
    });
    let mut last = 0;
    let mut looks = 0u64;
    while last < ADDS {
        for (name, value) in reader.list() {
            if name == "steady" {
                assert_eq!(value >> 32, value & 0xffff_ffff, "whole");
                assert!(value & 0xffff_ffff >= last);
                last = value & 0xffff_ffff;
            } else {
                assert_eq!(name.len(), "a name of many words, number 00000000".len(), "{name}");
            }
        }
        looks += 1;
        assert!(looks < 1 << 32);
        std::thread::yield_now();
    }
    assert_eq!(writer.join().unwrap(), ADDS << 32 | ADDS);
    assert_eq!(reader.list().len(), 51);
}
