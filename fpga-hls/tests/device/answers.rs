//! The device answers as the oracle, whatever the bus does within the rules, however small the rings.

use super::bench::{Flow, config, drive, open};
use wirebook_bypass::pci::bus::Delivery;
use wirebook_matcher::Matcher;
use wirebook_matcher::flow::Mix;

/// Compares so many bursts of a mix; how many events.
fn compare(mix: Mix, seed: u64, delivery: Delivery, rings: (usize, usize), bursts: usize) -> u64 {
    let limits = mix.limits.clone();
    let (function, mut device) = open(&limits, delivery, config(rings.0, rings.1));
    let mut flow = Flow::new(mix, seed);
    let mut events = 0;
    for _ in 0..bursts {
        let (commands, due) = flow.burst(60);
        let rooms: Vec<usize> = (0..64).map(|_| flow.room()).collect();
        let mut at = 0;
        let got = drive(&mut device, &commands, || {
            at += 1;
            rooms[at % rooms.len()]
        });
        assert!(device.error().is_none(), "seed {seed}: {}", device.error().unwrap());
        assert_eq!(got, due, "seed {seed}");
        events += due.len() as u64;
    }
    assert_eq!(device.outstanding(), 0);
    assert_eq!(device.limits(), &limits);
    assert_eq!(function.with(|_, bus| bus.faults()), 0);
    assert!(function.with(|model, _| model.matcher().twin().check().is_ok()));
    events
}

#[test]
fn every_mix_over_a_bus_in_pieces() {
    let mut events = 0;
    for (number, (name, mix)) in (0u64..).zip(Mix::all()) {
        for seed in 0..4 {
            let bursts = if name == "noise" { 20 } else { 60 };
            events += compare(mix.clone(), seed, Delivery::Pieces { seed: 100 * number + seed }, (64, 64), bursts);
        }
    }
    println!("{events} events in pieces, all right");
}

#[test]
fn rings_of_every_size_go_round() {
    for (seed, rings) in (0..).zip([(2, 2), (2, 512), (512, 2), (4, 8), (16, 4), (1024, 4096)]) {
        compare(Mix::crowded(), seed, Delivery::Pieces { seed }, rings, 60);
        compare(Mix::kin(), seed, Delivery::Whole, rings, 60);
    }
}

#[test]
fn relaxed_ordering_is_noticed() {
    let mix = Mix::kin();
    let mut noticed = 0;
    for seed in 0..20 {
        let (_function, mut device) = open(&mix.limits, Delivery::Relaxed { seed }, config(16, 16));
        let mut flow = Flow::new(mix.clone(), seed);
        for _ in 0..60 {
            let (commands, due) = flow.burst(20);
            let got = drive(&mut device, &commands, || 16);
            if device.error().is_some() || got != due {
                noticed += 1;
                break;
            }
        }
    }
    assert_eq!(noticed, 20, "a device that writes with relaxed ordering must not go unnoticed");
}

#[test]
fn an_open_device_says_what_it_can() {
    let mix = Mix::wide();
    let (function, mut device) = open(&mix.limits, Delivery::Whole, config(8, 8));
    assert_eq!(device.capabilities(), function.with(|model, _| model.matcher().capabilities()));
    assert_eq!((device.epoch(), device.outstanding(), device.busy()), (1, 0, false));
    assert_eq!(device.poll(&mut []), 0);
    assert_eq!(device.submit(&[]), 0);
    assert!(Matcher::failure(&device).is_none());
}
