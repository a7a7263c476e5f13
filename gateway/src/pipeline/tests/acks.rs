//! What leaves when: nothing before its watermark, and nothing at all after a fault.

use std::time::Duration;

use wirebook_bypass::stream::StreamPort;
use wirebook_matcher::abi::{Capabilities, Command, Event, Limits};
use wirebook_matcher::{Matcher, Queued, Software};
use wirebook_settlement::record::DayPhase;

use super::super::{AckPolicy, Control, Fault, VenueError};
use super::rig::{Client, LINGER, Rig, Way, honest, ways};
use crate::entry::harness::order;
use crate::journal::Faults;
use crate::pipeline::links::TURN_MESSAGES;
use crate::session::ouch::{Inbound, Side};
use crate::session::soup::History;

pub(super) fn bid(number: u32) -> Inbound<'static> {
    Inbound::Enter(order(number, Side::Buy, 10, 1_000_000))
}

pub(super) fn offer(number: u32, quantity: u32) -> Inbound<'static> {
    Inbound::Enter(order(number, Side::Sell, quantity, 1_000_000))
}

pub(super) fn login<M: Matcher>(rig: &mut Rig<M>, session: u32) -> Client {
    let mut client = rig.client(session);
    rig.until("a login", &mut [&mut client], |_, clients| clients[0].link.is_active() && !clients[0].heard.is_empty())
        .unwrap();
    client.heard.clear();
    client
}

fn generated<M: Matcher>(rig: &Rig<M>, session: u32) -> u64 {
    rig.venue.booking.publisher().streams().history(session).next_sequence() - 1
}

#[test]
fn journaled_reports_wait_for_the_disk_and_matched_ones_do_not() {
    for (way, policy) in ways().into_iter().flat_map(|way| [(way, AckPolicy::Journaled), (way, AckPolicy::Matched)]) {
        let mut rig = Rig::open(way, policy, honest);
        let mut client = login(&mut rig, 1);
        let before = generated(&rig, 1);
        rig.until("the login's record", &mut [], |rig, _| rig.durable()).unwrap();
        rig.shut_disk(true);
        assert!(client.say(&bid(1)));
        rig.until("the match", &mut [&mut client], |rig, _| generated(rig, 1) > before).unwrap();
        rig.turns(200, &mut [&mut client]).unwrap();
        let told = client.heard.len();
        assert_eq!(told, usize::from(policy == AckPolicy::Matched), "{policy:?}: {:?}", client.heard);
        rig.shut_disk(false);
        rig.until("the report", &mut [&mut client], |_, clients| clients[0].heard.len() == 1).unwrap();
        assert_eq!(client.heard, ["A 1 Buy 10 @1000000"]);
    }
}

#[test]
fn matched_records_go_to_the_disk_together() {
    const ORDERS: u32 = 20;
    let mut rig = Rig::open(Way::Inline, AckPolicy::Matched, honest);
    let mut client = login(&mut rig, 1);
    rig.until("the login's record", &mut [], |rig, _| rig.durable()).unwrap();
    let (before, _) = rig.disk.counts();
    let begun = rig.now();
    for number in 1..=ORDERS {
        assert!(client.say(&bid(number)));
        let told = |_: &Rig<_>, clients: &[&mut Client]| clients[0].heard.len() == number as usize;
        while !told(&rig, &[&mut client]) {
            // Without sleeping, for which what lingers would be written.
            rig.turn().unwrap();
            client.turn();
            assert!(rig.now() - begun < 50_000_000, "order {number} is not answered");
        }
    }
    rig.until("the group's end", &mut [], |rig, _| rig.durable()).unwrap();
    let (after, _) = rig.disk.counts();
    let spans = (rig.now() - begun) / LINGER.as_nanos() as u64;
    assert!(after > before, "they became durable");
    assert!(after - before <= 1 + spans, "{} writes of {ORDERS} orders in {spans} spans", after - before);
}

#[test]
fn matched_records_become_durable_although_nobody_wakes_the_disk() {
    let [inline, pipelined] = ways();
    // A thread is woken when records linger for less than a millisecond, and naps when they linger longer.
    for (way, linger) in [(inline, LINGER), (pipelined, LINGER), (pipelined, Duration::from_millis(2))] {
        let mut rig = Rig::lingering(way, linger, honest);
        let mut client = login(&mut rig, 1);
        assert!(client.say(&bid(1)));
        rig.until("the answer", &mut [&mut client], |_, clients| clients[0].heard.len() == 1).unwrap();
        rig.until("the disk", &mut [], |rig, _| rig.durable()).unwrap();
    }
}

#[test]
fn a_journal_of_small_blocks_keeps_no_client_waiting() {
    for (way, policy) in ways().into_iter().flat_map(|way| [(way, AckPolicy::Journaled), (way, AckPolicy::Matched)]) {
        let mut rig = Rig::with_blocks(way, 64 << 10, policy, honest);
        let mut client = login(&mut rig, 1);
        for number in 1..=500 {
            assert!(client.say(&bid(number)));
        }
        rig.until("the answers", &mut [&mut client], |_, clients| clients[0].heard.len() == 500).unwrap();
    }
}

#[test]
fn a_failed_write_stops_acks_and_the_venue() {
    for (way, code) in ways().into_iter().flat_map(|way| [(way, libc::ENOSPC), (way, libc::EIO)]) {
        let mut rig = Rig::open(way, AckPolicy::Journaled, honest);
        let mut client = login(&mut rig, 1);
        rig.until("the login's record", &mut [], |rig, _| rig.durable()).unwrap();
        let (writes, _) = rig.disk.counts();
        rig.disk.set_faults(Faults { write: Some((writes + 1, code)), ..Faults::default() });
        assert!(client.say(&bid(1)));
        let durable = rig.venue.keeping.durable();
        let failure = rig.until("a failure", &mut [&mut client], |_, _| false).unwrap_err();
        assert!(matches!(failure, VenueError::Journal { durable: told, .. } if told == durable), "{failure}");
        client.turn();
        assert!(client.heard.is_empty(), "acknowledged, and not durable: {:?}", client.heard);
    }
}

/// What a lying matcher does to its first fill, or to the first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    OtherSeq,
    OtherIndex,
    NoLast,
    OtherMaker,
    Twice,
    Mute,
}

struct Liar {
    honest: Queued<Software>,
    lie: Lie,
    told: bool,
}

impl Matcher for Liar {
    fn submit(&mut self, commands: &[Command]) -> usize {
        self.honest.submit(commands)
    }
    fn poll(&mut self, events: &mut [Event]) -> usize {
        let room = events.len().saturating_sub(1);
        let count = self.honest.poll(&mut events[..room]);
        let fill = events[..count].iter().position(|event| event.qty > 0 && event.last);
        let Some(at) = fill.filter(|_| self.lie != Lie::None && !self.told) else { return count };
        self.told = true;
        let event = &mut events[at];
        match self.lie {
            Lie::None => {}
            Lie::OtherSeq => event.seq += 1,
            Lie::OtherIndex => event.index += 1,
            Lie::NoLast => event.last = false,
            Lie::OtherMaker => event.qty += 1,
            Lie::Twice => {
                events[count] = events[at];
                return count + 1;
            }
            Lie::Mute => return 0,
        }
        count
    }
    fn limits(&self) -> &Limits {
        self.honest.limits()
    }
    fn capabilities(&self) -> Capabilities {
        self.honest.capabilities()
    }
}

#[test]
fn a_lying_matcher_stops_the_venue_with_the_fault_it_is() {
    use Lie::{Mute, NoLast, None, OtherIndex, OtherMaker, OtherSeq, Twice};
    let lies = [None, OtherSeq, OtherIndex, NoLast, OtherMaker, Twice, Mute];
    for (way, lie) in ways().into_iter().flat_map(|way| lies.map(|lie| (way, lie))) {
        let mut rig = Rig::open(way, AckPolicy::Matched, |twin| Liar { honest: Queued::over(twin), lie, told: false });
        let mut client = login(&mut rig, 1);
        assert!(client.say(&bid(1)));
        let ended = rig.until("an answer", &mut [&mut client], |_, clients| !clients[0].heard.is_empty());
        let fault = match ended {
            Ok(()) => {
                assert_eq!(lie, None, "the lie was believed: {:?}", client.heard);
                continue;
            }
            Err(VenueError::Fault(fault)) => fault,
            Err(other) => panic!("{lie:?}: {other}"),
        };
        let right = match lie {
            None => false,
            OtherSeq | OtherIndex => matches!(fault, Fault::OutOfOrder { .. }),
            NoLast => matches!(fault, Fault::Contradiction { .. } | Fault::Stalled { .. }),
            OtherMaker => matches!(fault, Fault::Contradiction { .. }),
            Twice => matches!(fault, Fault::Unasked { .. } | Fault::OutOfOrder { .. }),
            Mute => matches!(fault, Fault::Stalled { .. }),
        };
        assert!(right, "{lie:?}: {fault}");
        client.turn();
        assert!(client.heard.is_empty(), "{lie:?}: told {:?}", client.heard);
    }
}

#[test]
fn a_flood_does_not_keep_a_quiet_client_waiting() {
    const FLOOD: u32 = 2_000;
    let mut rig = Rig::open(Way::Inline, AckPolicy::Matched, honest);
    let (mut loud, mut quiet) = (login(&mut rig, 1), login(&mut rig, 2));
    let (from_loud, from_quiet) = (generated(&rig, 1), generated(&rig, 2));
    for number in 1..=FLOOD {
        assert!(loud.say(&bid(number)), "the send buffer holds the flood");
    }
    loud.link.flush().unwrap();
    assert!(quiet.say(&bid(1)));
    quiet.link.flush().unwrap();
    let (mut last, mut turns) = (from_loud, 0);
    while generated(&rig, 2) == from_quiet {
        rig.turn().unwrap();
        let now = generated(&rig, 1);
        assert!(now - last <= TURN_MESSAGES as u64, "a turn took {} messages of one connection", now - last);
        last = now;
        turns += 1;
        assert!(turns < 60_000, "the quiet client is never served");
    }
    assert!(last - from_loud < u64::from(FLOOD), "the quiet client was served after the whole flood");
    rig.until("the flood's answers", &mut [&mut loud], |_, clients| clients[0].heard.len() == FLOOD as usize).unwrap();
}

#[test]
fn a_sweep_larger_than_the_rings_goes_through() {
    const MAKERS: u32 = 4_000;
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Journaled, honest);
        let (mut maker, mut taker) = (login(&mut rig, 1), login(&mut rig, 2));
        for number in 1..=MAKERS {
            assert!(maker.say(&bid(number)), "the send buffer holds them");
        }
        rig.until("bids", &mut [&mut maker], |_, clients| clients[0].heard.len() == MAKERS as usize).unwrap();
        assert!(taker.say(&offer(1, 10 * MAKERS)));
        rig.until("the sweep", &mut [&mut maker, &mut taker], |_, clients| {
            clients[0].heard.len() == 2 * MAKERS as usize && clients[1].heard.len() == 1 + MAKERS as usize
        })
        .unwrap();
        assert_eq!(rig.venue.books().fills(), u64::from(MAKERS));
    }
}

#[test]
fn a_second_login_takes_over_and_cancels_nothing() {
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Journaled, honest);
        let mut first = login(&mut rig, 1);
        assert!(first.say(&bid(1)));
        rig.until("an acceptance", &mut [&mut first], |_, clients| clients[0].heard.len() == 1).unwrap();
        let mut second = login(&mut rig, 1);
        rig.until("the first's end", &mut [&mut first, &mut second], |_, clients| clients[0].over.is_some()).unwrap();
        rig.turns(50, &mut [&mut second]).unwrap();
        assert_eq!(rig.venue.books().live(), 1, "session 1 cancels on disconnect, and this was none");
        assert_eq!(second.over, None);
    }
}

#[test]
fn the_day_ends_with_everything_told_and_the_next_waits_for_that() {
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Journaled, honest);
        let mut client = login(&mut rig, 2);
        for number in 1..=100 {
            assert!(client.say(&bid(number)));
        }
        rig.until("bids", &mut [&mut client], |_, clients| clients[0].heard.len() == 100).unwrap();
        rig.until("the disk", &mut [], |rig, _| rig.durable()).unwrap();
        rig.shut_disk(true);
        rig.ask(Control::Day(DayPhase::Close));
        rig.ask(Control::Day(DayPhase::Open));
        rig.turns(100, &mut [&mut client]).unwrap();
        assert_eq!((client.heard.len(), &client.over), (100, &None), "nothing of the close is durable");
        rig.shut_disk(false);
        rig.until("the end", &mut [&mut client], |_, clients| clients[0].over.is_some()).unwrap();
        let cancels = client.heard[100..].iter().filter(|told| told.starts_with("C ")).count();
        assert_eq!(cancels, 100, "{:?}", &client.heard[100..]);
        let mut next = login(&mut rig, 2);
        assert!(next.say(&bid(101)));
        rig.until("an acceptance", &mut [&mut next], |_, clients| clients[0].heard.len() == 1).unwrap();
    }
}

#[test]
fn a_stop_ends_with_everything_durable_and_told() {
    for way in ways() {
        let mut rig = Rig::open(way, AckPolicy::Journaled, honest);
        let mut client = login(&mut rig, 1);
        assert!(client.say(&bid(1)));
        client.link.flush().unwrap();
        let before = generated(&rig, 1);
        rig.until("the match", &mut [], |rig, _| generated(rig, 1) > before).unwrap();
        rig.ask(Control::Stop);
        let hearing = std::thread::spawn(move || {
            while client.over.is_none() {
                client.turn();
                client.link.wait(std::time::Duration::from_millis(1)).unwrap();
            }
            client.heard
        });
        rig.venue.run().unwrap();
        assert_eq!(rig.venue.keeping.durable(), rig.venue.books().last_seq());
        assert_eq!(rig.venue.links.port().connections(), 0, "everyone has been let go");
        drop(rig);
        assert_eq!(hearing.join().unwrap(), ["A 1 Buy 10 @1000000"]);
    }
}
