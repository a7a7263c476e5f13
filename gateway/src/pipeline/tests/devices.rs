//! Matchers that do not answer at once: their answers are waited for while they are busy, and their failures are told for what they are.

use std::collections::VecDeque;

use wirebook_bypass::pci::bus::{Delivery, InProcess};
use wirebook_matcher::abi::{Capabilities, Command, Event, Limits};
use wirebook_matcher::device::{Device, DeviceConfig, DeviceFault, Manual, Model, Monotonic};
use wirebook_matcher::shadow::Shadow;
use wirebook_matcher::{Matcher, Queued, Software, Twin};

use super::super::{AckPolicy, Fault, VenueError};
use super::acks::{bid, login, offer};
use super::rig::{Rig, Way, ways};

/// Polls that each answer waits.
const DELAY: u32 = 300;

/// Answers some polls later, as a device does; or never, once it has failed.
struct Slow {
    honest: Queued<Software>,
    taken: VecDeque<Command>,
    polls: u32,
    /// Commands after which it fails; and whether it owns up to being busy, and to having failed.
    fails_after: usize,
    says_busy: bool,
    failed: bool,
}

impl Slow {
    fn new(twin: Software, fails_after: usize, says_busy: bool) -> Self {
        let honest = Queued::over(twin);
        Self { honest, taken: VecDeque::new(), polls: 0, fails_after, says_busy, failed: false }
    }
}

impl Matcher for Slow {
    fn submit(&mut self, commands: &[Command]) -> usize {
        if self.failed {
            return 0;
        }
        self.taken.extend(commands);
        commands.len()
    }
    fn poll(&mut self, events: &mut [Event]) -> usize {
        if self.honest.waiting() > 0 {
            return self.honest.poll(events);
        }
        self.polls += 1;
        if self.polls.is_multiple_of(DELAY)
            && let Some(command) = self.taken.front()
        {
            if self.fails_after == 0 {
                self.failed = true;
                return 0;
            }
            self.fails_after -= 1;
            assert_eq!(self.honest.submit(std::slice::from_ref(command)), 1);
            self.taken.pop_front();
        }
        self.honest.poll(events)
    }
    fn limits(&self) -> &Limits {
        self.honest.limits()
    }
    fn capabilities(&self) -> Capabilities {
        self.honest.capabilities()
    }
    fn busy(&self) -> bool {
        self.says_busy && !self.failed && (!self.taken.is_empty() || self.honest.waiting() > 0)
    }
    fn failure(&self) -> Option<String> {
        self.failed.then(|| "the slow one broke".to_owned())
    }
}

#[test]
fn answers_that_come_some_polls_later_are_waited_for() {
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Matched, |twin| Slow::new(twin, usize::MAX, true));
        let (mut maker, mut taker) = (login(&mut rig, 1), login(&mut rig, 2));
        for number in 1..=20 {
            assert!(maker.say(&bid(number)));
        }
        rig.until("bids", &mut [&mut maker], |_, clients| clients[0].heard.len() == 20).unwrap();
        assert!(taker.say(&offer(1, 200)));
        rig.until("the sweep", &mut [&mut maker, &mut taker], |_, clients| {
            clients[0].heard.len() == 40 && clients[1].heard.len() == 21
        })
        .unwrap();
        assert_eq!(rig.venue.books().fills(), 20);
    }
}

#[test]
fn one_that_is_late_and_says_nothing_of_it_stalls() {
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Matched, |twin| Slow::new(twin, usize::MAX, false));
        let mut client = rig.client(1);
        let ended = rig.until("a stall", &mut [&mut client], |_, _| false);
        assert!(matches!(ended, Err(VenueError::Fault(Fault::Stalled { .. }))), "{way:?}: {ended:?}");
    }
}

#[test]
fn a_matcher_that_fails_stops_the_venue_with_its_reason() {
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Matched, |twin| Slow::new(twin, 8, true));
        let mut client = login(&mut rig, 1);
        for number in 1..=20 {
            assert!(client.say(&bid(number)));
        }
        let ended = rig.until("a failure", &mut [&mut client], |_, _| false);
        let Err(VenueError::Fault(fault)) = ended else { panic!("it goes on") };
        assert!(matches!(&fault, Fault::Matcher { reason, .. } if reason == "the slow one broke"), "{fault}");
    }
}

/// A venue over the driver and the device model.
type Modelled = InProcess<Model<Queued<Software>>>;

fn device(twin: &Software) -> (Modelled, Device<Modelled, Manual>) {
    let limits = twin.limits().clone();
    let sizes = limits.clone();
    let function =
        InProcess::new(Model::new(move || Queued::<Software>::new(sizes.clone())), Delivery::Pieces { seed: 5 });
    let config = DeviceConfig { answer_timeout_ns: 5_000_000, ..DeviceConfig::default() };
    let device = Device::open(function.clone(), &limits, config, Manual::stepping(1_000)).unwrap();
    (function, device)
}

#[test]
fn a_device_alone_matches_and_its_failure_is_told() {
    let mut function = None;
    let mut rig = Rig::open(Way::Inline, AckPolicy::Journaled, |twin| {
        let (model, device) = device(&twin);
        function = Some(model);
        device
    });
    let function = function.unwrap();
    let mut client = login(&mut rig, 1);
    assert!(client.say(&bid(1)));
    rig.until("an acceptance", &mut [&mut client], |_, clients| clients[0].heard.len() == 1).unwrap();
    function.with(|model, _| model.inject(DeviceFault::Stall, 0));
    assert!(client.say(&bid(2)));
    let Err(VenueError::Fault(fault)) = rig.until("a failure", &mut [&mut client], |_, _| false) else {
        panic!("a device that has stalled is believed")
    };
    assert!(matches!(&fault, Fault::Matcher { reason, .. } if reason.contains("has not answered")), "{fault}");
    assert_eq!(client.heard.len(), 1, "told of what nobody matched: {:?}", client.heard);
}

#[test]
fn a_shadowed_device_may_fail_and_no_client_hears_of_it() {
    for fault in [DeviceFault::Stall, DeviceFault::EventFlipped(160), DeviceFault::EventDoubled, DeviceFault::Reset] {
        let mut function = None;
        let mut rig = Rig::open(Way::Inline, AckPolicy::Journaled, |twin| {
            let (model, device) = device(&twin);
            function = Some(model);
            Shadow::new(device, twin, 3_000_000, Monotonic::new()).unwrap()
        });
        let function = function.unwrap();
        let (mut maker, mut taker) = (login(&mut rig, 1), login(&mut rig, 2));
        for number in 1..=50 {
            assert!(maker.say(&bid(number)));
        }
        rig.until("bids", &mut [&mut maker], |_, clients| clients[0].heard.len() == 50).unwrap();
        function.with(|model, _| model.inject(fault, 20));
        assert!(taker.say(&offer(1, 500)));
        rig.until("the sweep", &mut [&mut maker, &mut taker], |_, clients| {
            clients[0].heard.len() == 100 && clients[1].heard.len() == 51
        })
        .unwrap();
        let shadow = rig.venue.matching.matcher();
        assert_eq!((shadow.takeovers(), shadow.is_following()), (1, false), "{fault:?}");
        assert_eq!(rig.venue.books().fills(), 50);
        let (_, index) = shadow.takeover().unwrap().at.expect("events were due");
        assert!((1..=21).contains(&index), "{fault:?}: in the middle of the sweep, not at {index}");
    }
}
