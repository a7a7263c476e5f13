//! Beside a stuck, a flooding and a hostile peer a well-behaved session is served in every round: counted, not timed.

use std::io::Write;
use std::net::TcpStream;

use super::super::AckPolicy;
use super::acks::{bid, login};
use super::rig::{Rig, Way, honest};
use crate::pipeline::links::TURN_MESSAGES;
use crate::session::soup::History;

/// Rounds of the venue.
const ROUNDS: u32 = 300;
/// Rounds in which what the good one said may still be on its way through the kernel.
const UNDERWAY: u32 = 30;
/// Nonsense, a packet that is never finished, and a login that nobody has.
const JUNK: [&[u8]; 3] = [b"GET / HTTP/1.1\r\n\r\n", &[255, 255, b'U', 1], b"\0\x2fLnobody"];

#[test]
fn a_good_session_is_served_in_every_round_beside_bad_ones() {
    let mut rig = Rig::open(Way::Inline, AckPolicy::Matched, honest);
    let (mut stuck, mut loud, mut good) = (login(&mut rig, 1), login(&mut rig, 2), login(&mut rig, 3));
    let generated =
        |rig: &Rig<_>, session| rig.venue.booking.publisher().streams().history(session).next_sequence() - 1;
    let (from_loud, mut said) = (generated(&rig, 2), 0);
    let (mut served, mut hostile) = (0, Vec::new());
    for round in 1..=ROUNDS {
        // Twice as much as a turn takes, of which it reads the answers; the other one never reads any.
        for _ in 0..2 * TURN_MESSAGES {
            said += u32::from(loud.say(&bid(said + 1)));
        }
        loud.turn();
        assert!(stuck.say(&bid(round)));
        stuck.link.flush().unwrap();
        if round % 8 == 0 {
            hostile.clear();
            let mut peer = TcpStream::connect(rig.address).unwrap();
            peer.write_all(JUNK[round as usize / 8 % JUNK.len()]).unwrap();
            hostile.push(peer);
        }
        assert!(good.say(&bid(round)));
        good.link.flush().unwrap();
        let (before, flooded) = (generated(&rig, 3), generated(&rig, 2));
        rig.turn().unwrap();
        served += u32::from(generated(&rig, 3) > before);
        assert!(generated(&rig, 2) - flooded <= TURN_MESSAGES as u64, "a turn took too many of one connection");
    }
    assert!(served + UNDERWAY >= ROUNDS, "served in {served} of {ROUNDS} rounds");
    let flood = generated(&rig, 2) - from_loud;
    assert!(flood > u64::from(ROUNDS) * TURN_MESSAGES as u64 / 2, "the flood was none: {flood} messages");
    rig.until("the good one's answers", &mut [&mut good], |_, clients| clients[0].heard.len() == ROUNDS as usize)
        .unwrap();
    assert_eq!((good.over, loud.over), (None, None));
}
