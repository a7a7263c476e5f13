//! A reset in the middle of everything: nothing of the epoch before can be heard in the next.

use super::bench::{Flow, config, drive, open};
use wirebook_bypass::pci::bus::Delivery;
use wirebook_matcher::Matcher;
use wirebook_matcher::abi::Event;
use wirebook_matcher::flow::{Mix, Random};

#[test]
fn nothing_of_an_earlier_epoch_is_heard() {
    let mix = Mix::crowded();
    let mut left = 0;
    for seed in 0..6 {
        let (function, mut device) = open(&mix.limits, Delivery::Pieces { seed }, config(32, 16));
        let mut random = Random::new(seed);
        for round in 0..40u64 {
            let mut flow = Flow::new(mix.clone(), 1000 * seed + round);
            for _ in 0..3 {
                let (commands, due) = flow.burst(20);
                assert_eq!(drive(&mut device, &commands, || 16), due, "seed {seed} round {round}");
            }
            // Left alone halfway: commands in the ring, in the device, events under way.
            let (commands, _) = flow.burst(30);
            device.submit(&commands);
            for _ in 0..random.below(30) {
                device.poll(&mut [Event::BLANK; 3]);
            }
            left += device.outstanding() as u64 + function.with(|_, bus| bus.waiting() as u64);
            device.reset().unwrap();
            assert_eq!((device.outstanding(), device.busy()), (0, false));
        }
        assert_eq!(device.epoch(), 41);
    }
    assert!(left > 1_000, "the resets came when something was under way: {left}");
}

#[test]
fn epochs_go_round_and_are_never_0() {
    let (_function, mut device) = open(&Mix::kin().limits, Delivery::Whole, config(2, 2));
    for _ in 0..u32::from(u16::MAX) {
        device.reset().unwrap();
        assert_ne!(device.epoch(), 0);
    }
    assert_eq!(device.epoch(), 1);
}

#[test]
fn a_stopped_device_leaves_memory_alone() {
    let mix = Mix::kin();
    let (function, mut device) = open(&mix.limits, Delivery::Pieces { seed: 1 }, config(8, 8));
    let (commands, _) = Flow::new(mix.clone(), 1).burst(8);
    device.submit(&commands);
    device.stop().unwrap();
    for _ in 0..100 {
        device.poll(&mut [Event::BLANK; 8]);
    }
    assert!(function.with(|model, bus| {
        use wirebook_bypass::pci::bus::{DeviceModel, HostMemory};
        (0..100).for_each(|_| model.step(bus));
        bus.write(1 << 32, &[0; 8]).is_err()
    }));
    device.reset().unwrap();
    let (commands, due) = Flow::new(mix, 2).burst(8);
    assert_eq!(drive(&mut device, &commands, || 8), due);
}
