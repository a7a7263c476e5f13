//! A driver over a model over a bus, and an oracle that says what it must answer.

use wirebook_bypass::pci::bus::{Delivery, InProcess};
use wirebook_matcher::abi::{Command, Event, Limits};
use wirebook_matcher::device::{Clock, Device, DeviceConfig, Manual, Model};
use wirebook_matcher::flow::{Beats, Mix, Random};
use wirebook_matcher::{Matcher, Queued, Reference, Software, Twin};

pub type Modelled = Model<Queued<Software>>;
pub type Driven = Device<InProcess<Modelled>, Manual>;

/// Polls that the answers of one burst may take.
const MOST_POLLS: usize = 4_000_000;

/// Time between two looks at the clock.
const STEP_NS: u64 = 1_000;

/// A model of these limits, behind a bus.
pub fn function(limits: &Limits, delivery: Delivery) -> InProcess<Modelled> {
    let limits = limits.clone();
    InProcess::new(Model::new(move || Queued::<Software>::new(limits.clone())), delivery)
}

/// Small rings, so that they go round all the time, and a clock of its own.
pub fn config(commands: usize, events: usize) -> DeviceConfig {
    DeviceConfig { commands, events, answer_timeout_ns: 100_000_000, ..DeviceConfig::default() }
}

pub fn open(limits: &Limits, delivery: Delivery, config: DeviceConfig) -> (InProcess<Modelled>, Driven) {
    let function = function(limits, delivery);
    let device = Device::open(function.clone(), limits, config, Manual::stepping(STEP_NS)).unwrap();
    (function, device)
}

/// Commands of a mix, with what the reference answers.
pub struct Flow {
    beats: Beats,
    oracle: Reference,
    random: Random,
}

impl Flow {
    pub fn new(mix: Mix, seed: u64) -> Self {
        let oracle = Reference::new(mix.limits.clone());
        Self { beats: Beats::new(mix, seed), oracle, random: Random::new(seed ^ 0x00f1_0e55) }
    }

    pub fn burst(&mut self, most: u64) -> (Vec<Command>, Vec<Event>) {
        let (mut commands, mut due) = (Vec::new(), Vec::new());
        for _ in 0..self.random.between(1, most) {
            let (command, from) = (self.beats.next_beat(), due.len());
            self.oracle.execute(&command, |event| due.push(event));
            self.beats.observe(&command, &due[from..]).unwrap();
            commands.push(command);
        }
        (commands, due)
    }

    pub fn room(&mut self) -> usize {
        self.random.between(1, 40) as usize
    }
}

/// Sends a burst and collects its answers, until all are there or the device has failed.
pub fn drive<C: Clock>(
    device: &mut Device<InProcess<Modelled>, C>,
    commands: &[Command],
    mut room: impl FnMut() -> usize,
) -> Vec<Event> {
    let (mut sent, mut got) = (0, Vec::new());
    for _ in 0..MOST_POLLS {
        sent += device.submit(&commands[sent..]);
        let mut events = vec![Event::BLANK; room()];
        let count = device.poll(&mut events);
        got.extend_from_slice(&events[..count]);
        if device.error().is_some() || sent == commands.len() && !device.busy() {
            return got;
        }
    }
    panic!("neither an answer nor a failure");
}

/// Sends bursts until the device fails or there have been so many; how many events were right. Those before a failure all were.
pub fn until_failure(device: &mut Driven, flow: &mut Flow, bursts: usize) -> u64 {
    let mut right = 0;
    for _ in 0..bursts {
        let (commands, due) = flow.burst(20);
        let got = drive(device, &commands, || 16);
        assert!(got.len() <= due.len());
        right += got.len() as u64;
        if device.error().is_some() {
            return right;
        }
        assert_eq!(got, due);
    }
    right
}
