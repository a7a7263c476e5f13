//! What the wire promises, and that its faults happen.

use super::*;

fn frame(number: u16) -> Vec<u8> {
    let mut frame = vec![0xa5; 64];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[20..22].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[20], frame[21]])
}

/// Sends `count` frames one way, one a flush, and gives what arrives.
fn run(faults: Faults, count: u16) -> (Vec<Vec<u8>>, Mishaps) {
    let (mut here, mut there) = pair(faults);
    let mut arrived = Vec::new();
    for n in 0..count {
        here.tx().transmit(64, |at| at.copy_from_slice(&frame(n))).unwrap();
        here.flush().unwrap();
        there.receive(16, |frame, _| arrived.push(frame.to_vec())).unwrap();
    }
    for _ in 0..1000 {
        there.wait(Duration::from_millis(1), |_| Ok(())).unwrap();
        there.receive(16, |frame, _| arrived.push(frame.to_vec())).unwrap();
    }
    (arrived, here.mishaps())
}

#[test]
fn a_good_wire_delivers_everything_in_order() {
    let (arrived, mishaps) = run(Faults { jitter_ns: 30_000, ..Faults::default() }, 3000);
    let sent: Vec<_> = (0..3000).map(frame).collect();
    assert!(arrived == sent);
    assert_eq!(mishaps, Mishaps::default());
}

#[test]
fn every_fault_happens_about_as_often_as_asked() {
    let tenth = ALWAYS / 10;
    let faults =
        Faults { loss: tenth, duplication: tenth, corruption: tenth, reordering: tenth, seed: 7, ..Faults::default() };
    let (arrived, mishaps) = run(faults, 10_000);
    for (what, count) in [
        ("lost", mishaps.lost),
        ("duplicated", mishaps.duplicated),
        ("corrupted", mishaps.corrupted),
        ("overtaken", mishaps.overtaken),
    ] {
        assert!((700..1400).contains(&count), "{what}: {mishaps:?}");
    }
    assert_eq!(arrived.len() as u64, 10_000 - mishaps.lost + mishaps.duplicated);
    let changed = arrived.iter().filter(|arrived| **arrived != frame(number(arrived))).count() as u64;
    // A bit of the number itself may have been changed.
    assert!(changed <= mishaps.corrupted && changed > mishaps.corrupted * 9 / 10);
    let backward = arrived.windows(2).filter(|pair| number(&pair[1]) < number(&pair[0])).count();
    assert!(backward > 300, "{backward}");
}

#[test]
fn a_seed_is_a_run() {
    let faults = |seed| Faults { seed, loss: 5000, reordering: 5000, jitter_ns: 1000, ..Faults::default() };
    assert_eq!(run(faults(3), 500).0, run(faults(3), 500).0);
    assert_ne!(run(faults(3), 500).0, run(faults(4), 500).0);
}

#[test]
fn arp_is_never_changed_and_what_is_too_much_is_lost() {
    let (mut here, mut there) = pair(Faults { corruption: ALWAYS, in_flight: 10, ..Faults::default() });
    let mut arp = frame(9);
    arp[12..14].copy_from_slice(&ETHERTYPE_ARP.to_be_bytes());
    for _ in 0..15 {
        here.tx().transmit(64, |at| at.copy_from_slice(&arp)).unwrap();
    }
    here.flush().unwrap();
    there.wait(Duration::from_secs(1), |_| Ok(())).unwrap();
    let mut count = 0;
    there
        .receive(100, |frame, _| {
            assert_eq!(frame, arp);
            count += 1;
        })
        .unwrap();
    assert_eq!((count, here.mishaps().overflowed), (10, 5));
}

#[test]
fn a_wait_jumps_to_the_next_arrival_or_by_its_timeout() {
    let (mut here, mut there) = pair(Faults { delay_ns: 70_000, ..Faults::default() });
    let start = there.now_ns();
    there
        .wait(Duration::from_millis(1), |really| {
            assert!(really.is_zero());
            Ok(())
        })
        .unwrap();
    assert_eq!(there.now_ns() - start, 1_000_000);
    here.tx().transmit(64, |_| ()).unwrap();
    here.flush().unwrap();
    let start = there.now_ns();
    there.wait(Duration::from_millis(1), |_| Ok(())).unwrap();
    assert_eq!(there.now_ns() - start, 70_000);
    assert_eq!(there.receive(10, |_, _| ()).unwrap(), 1);
    let mut slept = Duration::ZERO;
    there
        .wait(Duration::from_secs(3600), |really| {
            slept = really;
            Ok(())
        })
        .unwrap();
    assert_eq!(slept, Duration::from_secs(3600), "for another thread: really");
}

#[test]
fn answers_can_be_written_while_a_frame_is_looked_at() {
    let (mut here, mut there) = pair(Faults::default());
    here.tx().transmit(64, |at| at.copy_from_slice(&frame(1))).unwrap();
    here.flush().unwrap();
    there.wait(Duration::from_secs(1), |_| Ok(())).unwrap();
    there
        .receive(1, |question, tx| {
            assert!(tx.ready());
            tx.transmit(question.len(), |answer| answer.copy_from_slice(question)).unwrap();
        })
        .unwrap();
    there.flush().unwrap();
    here.wait(Duration::from_secs(1), |_| Ok(())).unwrap();
    let mut answers = Vec::new();
    here.receive(5, |answer, _| answers.push(answer.to_vec())).unwrap();
    assert_eq!(answers, [frame(1)]);
    assert_eq!((there.stats().frames_in, there.stats().frames_out), (1, 1));
}
