//! What an order costs the venue beside time, counted turn by turn: one write for each report, and no allocation but those of the
//! chunks in which a stream keeps its day, one in [`CHUNK_MESSAGES`] messages.

use wirebook_bypass::stream::StreamPort;

use super::super::AckPolicy;
use super::acks::{bid, login};
use super::rig::{Rig, Way, honest, ways};
use crate::publish::CHUNK_MESSAGES;
use crate::session::ouch::Inbound;
use crate::session::ouch::inbound::CancelOrder;

/// Orders before anything is counted: streams, buffers and books have their size then.
const WARM: u32 = 600;
/// Orders that are counted.
const COUNTED: u32 = 500;
/// Turns that an order and its report may take on their way through the kernel.
const PATIENCE: u32 = 100_000;

/// Allocations, receives and sends of the venue's turns in which `orders` orders, and their cancels, went through.
fn costs(way: Way, policy: AckPolicy) -> (u64, u64, u64, u64) {
    let mut rig = Rig::open(way, policy, honest);
    let mut client = login(&mut rig, 1);
    let (mut allocations, mut worked) = (0, 0);
    let mut before = rig.venue.links.port().stats();
    for number in 1..=WARM + COUNTED {
        if number == WARM + 1 {
            (allocations, worked) = (0, 0);
            before = rig.venue.links.port().stats();
        }
        for message in [bid(number), Inbound::Cancel(CancelOrder { user_ref_num: number, quantity: 0 })] {
            client.heard.clear();
            assert!(client.say(&message));
            client.link.flush().unwrap();
            let mut turns = 0;
            while client.heard.is_empty() {
                let counted = allocation_counter::measure(|| {
                    rig.turn().unwrap();
                });
                allocations += counted.count_total;
                client.turn();
                turns += 1;
                assert!(turns < PATIENCE, "order {number} is not answered");
            }
            worked += 1;
        }
    }
    let after = rig.venue.links.port().stats();
    (allocations, after.bytes_in - before.bytes_in, after.send_calls - before.send_calls, worked)
}

#[test]
fn an_order_costs_one_send_and_no_allocation_of_its_own() {
    let policies = [AckPolicy::Matched, AckPolicy::Journaled];
    for (way, policy) in ways().into_iter().flat_map(|way| policies.map(|policy| (way, policy))) {
        let (allocations, bytes, sends, messages) = costs(way, policy);
        assert_eq!(messages, u64::from(2 * COUNTED));
        assert!(bytes > 0, "orders came");
        assert_eq!(sends, messages, "{way:?} {policy:?}: one send for each report");
        // A chunk is its bytes and where each message ends; the list of chunks grows now and then. The journal names its next
        // segment, of which there may be one.
        let chunks = messages.div_ceil(CHUNK_MESSAGES as u64);
        assert!(allocations <= 3 * chunks + 2, "{way:?} {policy:?}: {allocations} allocations in {messages} messages");
    }
}

/// The count is one: a turn that allocates is seen.
#[test]
fn an_allocation_is_counted() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1u64))));
    assert_eq!(counted.count_total, 1);
}
