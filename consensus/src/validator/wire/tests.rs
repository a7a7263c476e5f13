//! Requests read back, and nothing else is read as one.

use super::*;

fn requests() -> Vec<Request<'static>> {
    vec![
        Request::Hello { shard: 3 },
        Request::Offer(b"a batch"),
        Request::Tip,
        Request::Wait { height: 7, millis: 8 },
        Request::Batch(9),
        Request::Certified,
        Request::Metrics,
        Request::Read { account: 70_000, asset: 2, note: None, millis: 5 },
        Request::Read { account: 1, asset: 300, note: Some([9; 32]), millis: u32::MAX },
        Request::Anchor,
        Request::Snapshot { number: 3, offset: 1 << 40 },
        Request::Timings,
    ]
}

#[test]
fn every_request_reads_back_and_no_shorter_or_longer_one_does() {
    for request in requests() {
        let mut bytes = Vec::new();
        request.write(&mut bytes).expect("memory");
        let mut content = Vec::new();
        let kind = read_frame(&mut bytes.as_slice(), &mut content).expect("whole").expect("one");
        assert_eq!(Request::parse(kind, &content).expect("its own bytes"), request);
        let grows = matches!(request, Request::Offer(_));
        for length in 0..content.len() {
            assert!(grows || Request::parse(kind, &content[..length]).is_err(), "{request:?} cut at {length}");
        }
        content.push(0);
        assert!(grows || Request::parse(kind, &content).is_err(), "{request:?} and a byte");
        for kind in [0, 12, 100, 255] {
            assert!(Request::parse(kind, &content).is_err());
        }
    }
}

#[test]
fn a_read_has_one_encoding() {
    let mut bytes = Vec::new();
    Request::Read { account: 1, asset: 2, note: None, millis: 3 }.write(&mut bytes).expect("memory");
    let golden = [&[44, 0, 0, 0, 8, 1, 0, 0, 0, 2, 0, 0][..], &[0; 32], &[3, 0, 0, 0]].concat();
    assert_eq!(bytes, golden);
    for (at, value) in [(11, 2), (12, 1)] {
        let mut other = bytes.clone();
        other[at] = value;
        assert!(Request::parse(8, &other[5..]).is_err(), "byte {at}");
    }
}

#[test]
fn answers_read_back() {
    let answers = [
        Answer::Taken,
        Answer::Gap(7),
        Answer::No("not now".into()),
        Answer::Proof(vec![1, 2, 3]),
        Answer::Piece { number: 5, total: 1 << 33, bytes: vec![9; 100] },
        Answer::Piece { number: 5, total: 0, bytes: Vec::new() },
        Answer::Timings(vec![(1, 2), (u64::MAX, u32::MAX)]),
        Answer::Timings(Vec::new()),
    ];
    for answer in answers {
        let mut bytes = Vec::new();
        answer.write(&mut bytes).expect("memory");
        assert_eq!(Answer::read(&mut bytes.as_slice(), &mut Vec::new()).expect("its own bytes"), answer);
    }
    let odd = [&14u32.to_le_bytes()[..], &[112], &[0; 13]].concat();
    assert!(Answer::read(&mut odd.as_slice(), &mut Vec::new()).is_err());
    for kind in [102, 103] {
        let trailing = [2, 0, 0, 0, kind, 0];
        assert!(Answer::read(&mut trailing.as_slice(), &mut Vec::new()).is_err(), "{kind} and a byte");
    }
}
