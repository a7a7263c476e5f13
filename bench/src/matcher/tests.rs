//! The software twin against books that others wrote, and against the two of this laboratory: the same orders, the same fills.
//!
//! Compared are the fills, one by one in their order (by their digest), over orders that collide on a few prices, over every
//! scenario, and over a crowd of sizes that sweep. Where an interface lacks an operation, see `crates`.
//!
//! Rules in which the crates differ from ours, and what is therefore not compared:
//!
//! | rule | ours | `lobster` | `orderbook-rs` |
//! |---|---|---|---|
//! | what a limit order leaves after a fill | `rested` | not told apart from a fill | told by the order's return value |
//! | cancel of an unknown order | `rejected` | answered like any cancel | no order is returned |
//! | a maker's last fill | frees its slot | `total_fill` | not told with the fill |
//! | reduce | keeps priority | has none | the same, as a quantity update |
//! | fill or kill | fills whole or not | has none | the same |
//! | post-only that would cross | `cancelled` | has none (the adapter looks at the best price) | the same, as an error |
//! | self-trade | by owner and mode, per order | has none | one mode for a book: not used |
//! | a filled order's id | free for the host | stays in its map, so that it may not come again before a cancel | free |

use std::io::Cursor;

use wirebook_matcher::abi::{Command, Event};
use wirebook_matcher::flow::{Op, OrderLine, OrdersWriter, Random, Scenario};
use wirebook_matcher::{Fault, Reference, Twin};

use super::crates::{LobsterBook, OrderBookRs};
use super::engine::{Engine, LookingAhead, Names, Twins};
use super::measure::{Runner, Runs};
use super::workload::{Answers, Workload};
use super::{btree, yardstick};

/// What may occur in a test's orders.
const EVERY_OP: [Op; 7] =
    [Op::Limit, Op::ImmediateOrCancel, Op::Cancel, Op::Replace, Op::PostOnly, Op::FillOrKill, Op::Reduce];
/// What `lobster` can do.
const LOBSTERS_OPS: [Op; 5] = [Op::Limit, Op::ImmediateOrCancel, Op::Cancel, Op::Replace, Op::PostOnly];

/// Orders on a few prices: new ones, and changes of any that came before, dead or alive.
fn orders(seed: u64, lines: usize, ops: &[Op]) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut writer = OrdersWriter::new(Vec::new()).unwrap();
    let mut entered = 0u64;
    for _ in 0..lines {
        // Half of the lines rest, whatever else may come.
        let op = if random.chance(1, 2) { Op::Limit } else { *random.pick(ops) };
        let id = if op.enters() {
            entered += 1;
            entered
        } else {
            random.between(entered.saturating_sub(40).max(1), entered.max(1))
        };
        let side = *random.pick(&wirebook_matcher::abi::Side::ALL);
        let qty = if random.chance(1, 10) { random.between(50, 300) } else { random.between(1, 20) } as u32;
        writer.write(&OrderLine { op, id, side, price: 1000 + random.below(12) as i64, qty }).unwrap();
    }
    writer.finish().unwrap()
}

fn work(orders: Vec<u8>) -> Workload {
    Workload::of_orders("orders.csv", Cursor::new(orders), 1, None).unwrap()
}

fn answers<E: Engine>(work: &Workload) -> Answers {
    Runs::<E>::new().answers(work, work.measured())
}

/// The fills alone: engines write other events for the rest.
fn fills<E: Engine>(work: &Workload) -> (u64, String) {
    let Answers { fills, digest, .. } = answers::<E>(work);
    (fills, digest)
}

#[test]
fn every_engine_makes_the_same_fills_of_colliding_orders() {
    let (mut made, mut refused) = (0, 0);
    for seed in 0..40 {
        let all = work(orders(seed, 3000, &EVERY_OP));
        let wanted = fills::<Twins>(&all);
        assert_eq!(fills::<LookingAhead>(&all), wanted, "seed {seed}: looking ahead");
        assert_eq!(fills::<yardstick::Yardstick>(&all), wanted, "seed {seed}: yardstick");
        assert_eq!(fills::<btree::Tree>(&all), wanted, "seed {seed}: btree");
        assert_eq!(fills::<OrderBookRs>(&all), wanted, "seed {seed}: orderbook-rs");
        assert!(LobsterBook::can(&all).is_err());

        let some = work(orders(seed, 3000, &LOBSTERS_OPS));
        assert_eq!(LobsterBook::can(&some), Ok(()));
        assert_eq!(fills::<LobsterBook>(&some), fills::<Twins>(&some), "seed {seed}: lobster");
        made += wanted.0;
        refused += all.refused;
    }
    assert!(made > 20_000 && refused > 5_000, "{made} fills, {refused} refused");
}

#[test]
fn every_engine_makes_the_same_fills_of_every_scenario() {
    for scenario in Scenario::ALL.into_iter().filter(|scenario| *scenario != Scenario::Million) {
        let work = Workload::of_scenario(scenario, 7, 8_000);
        let wanted = fills::<Twins>(&work);
        let name = scenario.name();
        assert_eq!(fills::<LookingAhead>(&work), wanted, "{name}: looking ahead");
        assert_eq!(fills::<yardstick::Yardstick>(&work), wanted, "{name}: yardstick");
        assert_eq!(fills::<btree::Tree>(&work), wanted, "{name}: btree");
        assert_eq!(fills::<LobsterBook>(&work), wanted, "{name}: lobster");
        assert_eq!(fills::<OrderBookRs>(&work), wanted, "{name}: orderbook-rs");
    }
}

/// The reference with a rule broken, as an engine.
struct Planted<const FAULT: usize>(Reference);

impl<const FAULT: usize> Engine for Planted<FAULT> {
    const NAMES: Names = Names::Slots;

    fn new(work: &Workload) -> Self {
        Self(Reference::planted(work.limits.clone(), Fault::ALL[FAULT]))
    }

    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        self.0.execute(command, sink);
    }
}

/// Each rule of priority and price that an owner-less order can meet: broken, the crate's fills are others.
#[test]
fn a_broken_rule_makes_other_fills_than_the_crates() {
    fn caught<const FAULT: usize>(expected: Fault) {
        assert_eq!(Fault::ALL[FAULT], expected);
        let work = work(orders(3, 3000, &EVERY_OP));
        let right = fills::<OrderBookRs>(&work);
        // A broken book may also meet orders that it should not have: a panic is caught as well as other fills.
        let broken = std::panic::catch_unwind(|| fills::<Planted<FAULT>>(&work));
        assert!(broken.is_err() || broken.is_ok_and(|broken| broken != right), "{expected:?} is not noticed");
        println!("{expected:?}: caught by orderbook-rs");
    }
    caught::<0>(Fault::PartialFillLosesPriority);
    caught::<1>(Fault::ReduceLosesPriority);
    caught::<2>(Fault::ReplaceKeepsPriority);
    caught::<3>(Fault::LastInFirstOut);
    caught::<4>(Fault::TakersPrice);
    caught::<5>(Fault::ThroughTheLimit);
    caught::<6>(Fault::OneLevelOnly);
    caught::<7>(Fault::RemainderRests);
    caught::<8>(Fault::FillOrKillFillsPartly);
}

/// The digest of an engine is that of the file that `wirebook match` writes, and refused lines are counted.
#[test]
fn the_digest_is_that_of_the_fills_file() {
    let orders = orders(9, 5000, &EVERY_OP);
    let mut written = Vec::new();
    let cursor = Cursor::new(&orders);
    let matched =
        wirebook_matcher::flow::match_orders::<Reference>("orders.csv", cursor, 1, &mut written, |_| {}).unwrap();
    let work = work(orders);
    let answers = answers::<LookingAhead>(&work);
    assert_eq!((answers.fills, answers.digest), (matched.summary.fills, matched.fills_digest));
    assert_eq!(answers.events, matched.summary.events);
    assert_eq!(work.refused, matched.summary.refused);
    assert_eq!(work.measured() as u64 + work.refused, 5000);
}

#[test]
fn a_file_that_cannot_be_is_told_with_its_line() {
    let of =
        |text: &str| format!("{:#}", Workload::of_orders("o.csv", Cursor::new(text.to_owned()), 1, None).unwrap_err());
    assert!(of("op,id,side,price,qty\nA,1,1,5,5\nA,2,1,x,5\n").contains("o.csv:3: field `price`"));
    assert!(of("id,op\n").contains("o.csv:1: field `header`"));
    assert!(of("op,id,side,price,qty\n").contains("no order that can be carried out"));
    assert!(of("op,id,side,price,qty\nC,1,,,\nR,1,,,1\n").contains("no order that can be carried out"));
    assert!(of("op,id,side,price,qty\nA,1,1,0,5\nA,2,1,99999999999,5\n").contains("is the tick size right?"));
}
