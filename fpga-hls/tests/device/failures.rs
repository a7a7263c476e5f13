//! Each way in which a device can fail is an error that says so, after the time it is given, and everything before it was right.

use super::bench::{Driven, Flow, Modelled, config, function, open, until_failure};
use wirebook_bypass::pci::PciFunction;
use wirebook_bypass::pci::bus::{Delivery, InProcess};
use wirebook_matcher::Matcher;
use wirebook_matcher::abi::{Command, Event, Limits};
use wirebook_matcher::device::registers::FaultCode;
use wirebook_matcher::device::{Device, DeviceConfig, DeviceError, DeviceFault, LEAST_POLLS, Manual};
use wirebook_matcher::flow::Mix;

fn open_error(function: InProcess<Modelled>, limits: &Limits) -> DeviceError {
    let config = DeviceConfig { reset_timeout_ns: 1_000_000, ..config(8, 8) };
    Device::open(function, limits, config, Manual::stepping(1_000)).map(|_| ()).unwrap_err()
}

#[test]
fn another_size_is_refused_by_name() {
    let limits = Limits { ticks: vec![20, 7], slots: 24, max_qty: 1000 };
    let wrong = [
        (Limits { ticks: vec![20, 8], ..limits.clone() }, "band of book 1, in ticks,", 7, 8),
        (Limits { ticks: vec![20], ..limits.clone() }, "number of books", 2, 1),
        (Limits { slots: 25, ..limits.clone() }, "number of order slots", 24, 25),
        (Limits { max_qty: 999, ..limits.clone() }, "largest quantity", 1000, 999),
    ];
    for (shard, name, device_has, shard_needs) in wrong {
        let error = open_error(function(&limits, Delivery::Whole), &shard);
        let DeviceError::Limits { what, found, wanted } = &error else { panic!("{error}") };
        assert_eq!((what.as_str(), *found, *wanted), (name, device_has, shard_needs));
    }
}

#[test]
fn a_device_that_is_gone_or_faults_does_not_open() {
    let mix = Mix::kin();
    let (function, device) = open(&mix.limits, Delivery::Whole, config(8, 8));
    drop(device);
    function.with(|model, _| model.inject(DeviceFault::Gone, 0));
    // It leaves at its next answer.
    let mut device = Device::open(function.clone(), &mix.limits, config(8, 8), Manual::stepping(1_000)).unwrap();
    assert_eq!(until_failure(&mut device, &mut Flow::new(mix.clone(), 1), 50), 0);
    assert!(matches!(device.error(), Some(DeviceError::Gone)));
    assert!(matches!(device.reset(), Err(DeviceError::Gone)));
    drop(device);
    assert!(matches!(open_error(function, &mix.limits), DeviceError::Gone));
}

/// What the driver says of a fault that is injected after some events.
fn failure(fault: DeviceFault, seed: u64) -> (u64, DeviceError) {
    let mix = Mix::kin();
    let (function, mut device) = open(&mix.limits, Delivery::Pieces { seed }, config(16, 32));
    function.with(|model, _| model.inject(fault, 40));
    let right = until_failure(&mut device, &mut Flow::new(mix, seed), 200);
    assert!(function.with(|model, _| model.struck()), "{fault:?}");
    // Dead is dead: until a reset it takes nothing and says nothing.
    assert_eq!(device.submit(&[Command::default()]), 0);
    assert_eq!(device.poll(&mut [Event::BLANK; 4]), 0);
    assert!(!device.busy() && Matcher::failure(&device).is_some(), "{fault:?}");
    (right, take_error(device, fault))
}

fn take_error(mut device: Driven, fault: DeviceFault) -> DeviceError {
    let text = device.error().map(ToString::to_string).unwrap_or_else(|| panic!("{fault:?} went unnoticed"));
    assert!(text.ends_with("reset it") || text.contains("; "), "{text}: says what to do");
    let found = device.take_error();
    device.function().with(|model, _| model.repair());
    device.reset().unwrap();
    let right = until_failure(&mut device, &mut Flow::new(Mix::kin(), 77), 20);
    assert!(right > 0 && device.error().is_none(), "{fault:?}: after a reset it works again");
    found.unwrap()
}

#[test]
fn each_fault_has_its_error() {
    use DeviceError as E;
    use DeviceFault as F;
    for seed in 0..6 {
        let said = |fault| failure(fault, seed).1;
        assert!(matches!(said(F::Stall), E::Silent { .. }));
        assert!(matches!(said(F::Reset), E::Restarted { epoch: 1, .. }));
        assert!(matches!(said(F::Gone), E::Gone));
        assert!(matches!(said(F::Flagged), E::Fault { code: Some(FaultCode::Kernel), .. }));
        assert!(matches!(said(F::EventSkipped), E::Silent { .. }));
        assert!(matches!(said(F::EventFlipped(255)), E::Silent { .. }), "a phase that is never right");
        assert!(matches!(said(F::EventFlipped(3)), E::OutOfSequence { .. }), "the seq");
        assert!(matches!(said(F::EventFlipped(192 + 5)), E::OutOfSequence { .. }), "the index");
        assert!(matches!(said(F::EventFlipped(192 + 39)), E::Garbage { .. }), "the kind");
        assert!(matches!(said(F::EventDoubled), E::OutOfSequence { .. } | E::Unasked { .. }));
        assert!(matches!(said(F::EventUnasked), E::Unasked { .. } | E::OutOfSequence { .. }));
        assert!(matches!(said(F::EventLost), E::OutOfSequence { .. } | E::Silent { .. }));
        assert!(matches!(said(F::CommandLost), E::OutOfSequence { .. } | E::Silent { .. }));
        assert!(matches!(said(F::CommandDoubled), E::OutOfSequence { .. } | E::Unasked { .. }));
        for from in 1..8 {
            assert!(matches!(said(F::EventTorn(from)), E::OutOfSequence { .. } | E::Garbage { .. }), "dword {from}");
        }
        assert!(matches!(said(F::Late(2_000_000)), E::Silent { .. }));
    }
}

#[test]
fn a_late_answer_within_the_time_is_no_failure() {
    let mix = Mix::kin();
    let (function, mut device) = open(&mix.limits, Delivery::Whole, config(16, 32));
    function.with(|model, _| model.inject(DeviceFault::Late(10_000), 40));
    until_failure(&mut device, &mut Flow::new(mix, 3), 100);
    assert!(function.with(|model, _| model.struck()) && device.error().is_none());
}

#[test]
fn silence_needs_both_time_and_polls() {
    let limits = Mix::kin().limits;
    let clock = Manual::default();
    let function = function(&limits, Delivery::Whole);
    let config = DeviceConfig { answer_timeout_ns: 1_000, ..config(8, 8) };
    let mut device = Device::open(function.clone(), &limits, config, clock.clone()).unwrap();
    function.with(|model, _| model.inject(DeviceFault::Stall, 0));
    assert_eq!(device.submit(&[Command { seq: 9, ..Command::default() }]), 1);
    let polls = |device: &mut Driven, count: u32| {
        (0..count).for_each(|_| assert_eq!(device.poll(&mut [Event::BLANK]), 0));
        device.error().is_some()
    };
    assert!(!polls(&mut device, 10 * LEAST_POLLS), "no time has passed");
    clock.advance(999);
    assert!(!polls(&mut device, 10));
    clock.advance(1);
    assert!(polls(&mut device, 1));
    assert!(matches!(device.error(), Some(DeviceError::Silent { seq: 9, index: 0, waited_ns: 1_000 })));

    function.with(|model, _| model.repair());
    device.reset().unwrap();
    function.with(|model, _| model.inject(DeviceFault::Stall, 0));
    assert_eq!(device.submit(&[Command::default()]), 1);
    assert!(!polls(&mut device, 1));
    clock.advance(1 << 40);
    assert!(!polls(&mut device, LEAST_POLLS - 1), "a process that was asleep does not blame its device");
    assert!(polls(&mut device, 2));
}

#[test]
fn a_device_without_its_memory_faults() {
    let mix = Mix::kin();
    let (function, mut device) = open(&mix.limits, Delivery::Whole, config(8, 8));
    function.set_bus_master(false).unwrap();
    until_failure(&mut device, &mut Flow::new(mix, 3), 3);
    assert!(matches!(device.error(), Some(DeviceError::Fault { code: Some(FaultCode::Dma), .. })));
    assert!(function.with(|_, bus| bus.faults()) > 0);
}
