//! The streams themselves: golden vectors, the kernel as a twin, limits, the contract, a waveform on request.

use std::path::Path;

use wirebook_matcher::abi::{Command, Event, Limits};
use wirebook_matcher::flow::{Beats, Mix, Vectors};
use wirebook_matcher::rtl::{Model, Rtl, RtlError, RtlTwin};
use wirebook_matcher::{Matcher, Reference, Software, Twin};

#[test]
fn the_golden_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel/vectors");
    for name in ["one_instrument.txt", "stream.txt", "faults.txt"] {
        let vectors = Vectors::parse(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        let mut twin = RtlTwin::fitting(vectors.limits.clone()).unwrap();
        vectors.replay(&mut twin).unwrap_or_else(|difference| panic!("{name}: {difference}"));
        assert!(twin.fault().is_none());
    }
}

#[test]
fn its_book_is_the_software_twins_and_can_be_made_again() {
    let mix = Mix { limits: Limits { ticks: vec![40, 300], slots: 500, max_qty: 1 << 20 }, live: 300, ..Mix::deep() };
    let (mut software, mut kernel) = (Software::new(mix.limits.clone()), RtlTwin::fitting(mix.limits.clone()).unwrap());
    let mut beats = Beats::new(mix.clone(), 3);
    for number in 0..6000 {
        let command = beats.next_beat();
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        software.execute(&command, |event| expected.push(event));
        kernel.execute(&command, |event| found.push(event));
        assert_eq!(expected, found, "command {number}");
        beats.observe(&command, &expected).unwrap();
        if number % 500 == 0 {
            assert_eq!(software.digest(), kernel.digest(), "after command {number}");
        }
    }
    let mut again = RtlTwin::fitting(mix.limits).unwrap();
    kernel.orders(|order| again.restore(&order).unwrap());
    assert_eq!(again.digest(), software.digest());
    let mut first = None;
    kernel.orders(|order| first = first.or(Some(order)));
    assert!(again.restore(&first.unwrap()).is_err(), "its slot is live");
}

#[test]
fn limits_beyond_the_memories_are_an_error() {
    let wide = Limits::single(5000, 16);
    assert!(matches!(RtlTwin::fitting(wide), Err(RtlError::Capacity { ticks: 5000, .. })));
    assert!(matches!(Rtl::new(Model::Small, Limits::single(5, 3)), Err(RtlError::Capacity { .. })));
    assert_eq!(Rtl::model_for(&Limits::single(3, 3)).unwrap(), Model::Small);
    assert_eq!(Rtl::model_for(&Limits::single(4096, 16_384)).unwrap(), Model::Standard);
}

/// Kernels of one thread and of several come and go in any order.
#[test]
fn kernels_end_in_any_order() {
    let make = || Rtl::new(Model::Small, Limits::single(3, 3)).unwrap();
    let answers = |kernel: &mut Rtl| {
        let mut events = Vec::new();
        kernel.execute(&Command { seq: 5, ..Command::default() }, |event| events.push(event)).unwrap();
        events.len() == 1 && events[0].seq == 5
    };
    let (first, mut second, third) = (make(), make(), make());
    drop(third);
    drop(first);
    assert!(answers(&mut second));
    let moved = std::thread::spawn(move || answers(&mut second) && answers(&mut make()));
    assert!(moved.join().unwrap());
    assert!(answers(&mut make()));
}

#[test]
fn a_beat_that_is_withdrawn_breaks_the_contract() {
    let mut kernel = Rtl::new(Model::Small, Limits::single(3, 3)).unwrap();
    // The memories are being cleared: nothing is taken yet.
    assert_eq!(kernel.cycle(Some(&Command::default()), true).unwrap(), (false, None));
    assert!(matches!(kernel.cycle(None, true), Err(RtlError::Contract(_))));
}

#[test]
fn a_stopped_reader_stops_the_kernel_and_loses_nothing() {
    let mut kernel = Rtl::new(Model::Standard, Limits::single(16, 100)).unwrap();
    let nops: Vec<Command> = (0..500).map(|seq| Command { seq, ..Command::default() }).collect();
    // Nobody reads: submit fills up, and nothing is lost of what was taken.
    let mut taken = 0;
    let (mut idle, mut events) = (0, Vec::new());
    while idle < 50_000 {
        let command = nops.get(taken);
        let (took, event) = kernel.cycle(command, false).unwrap();
        taken += usize::from(took);
        idle = if took { 0 } else { idle + 1 };
        events.extend(event);
    }
    assert!(events.is_empty() && taken > 8 && taken < 500, "{taken} were taken");
    let inside = taken;
    while events.len() < nops.len() {
        let (took, event) = kernel.cycle(nops.get(taken), true).unwrap();
        taken += usize::from(took);
        events.extend(event);
    }
    assert!(events.iter().map(|event: &Event| event.seq).eq(0..500), "{inside} waited inside");
}

#[test]
fn the_reference_agrees_through_the_stream_of_a_matcher() {
    let mix = Mix { limits: Limits { ticks: vec![9], ..Mix::kin().limits }, ..Mix::kin() };
    let (mut reference, mut beats) = (Reference::new(mix.limits.clone()), Beats::new(mix.clone(), 7));
    let mut kernel = Rtl::new(Model::Standard, mix.limits).unwrap();
    let (mut commands, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..3000 {
        let command = beats.next_beat();
        let from = expected.len();
        reference.execute(&command, |event| expected.push(event));
        beats.observe(&command, &expected[from..]).unwrap();
        commands.push(command);
    }
    let mut found = Vec::new();
    kernel.execute_all(&commands, |event| found.push(event)).unwrap();
    assert!(found == expected && !kernel.busy());
    // The last write settles after the last event.
    for _ in 0..8 {
        kernel.cycle(None, true).unwrap();
    }
    assert!(kernel.idle());
}
