//! What each scenario is said to be, counted.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::abi::{Event, EventKind};
use crate::flow::orders::Op;
use crate::reference::Reference;

/// What a flow's lines were, and what became of its orders.
#[derive(Debug, Default)]
struct Census {
    lines: u64,
    entered: u64,
    by_op: BTreeMap<char, u64>,
    /// Orders that were replaced at least once.
    modified: BTreeSet<u64>,
    /// Orders that ended with their last lot traded.
    traded: u64,
    /// Orders that ended cancelled: by a cancel, or as what an immediate-or-cancel order left.
    cancelled: u64,
    /// Cancels of one of the 32 orders sent last.
    recent_cancels: u64,
    fills: u64,
    prices: BTreeSet<i64>,
    most_live: u64,
}

impl Census {
    /// Counts so many lines after so many others; a second matcher answers the beats.
    fn of<T: Twin>(scenario: Scenario, seed: u64, opening: u64, lines: u64) -> Self {
        let mut flow = Flow::new(scenario, seed);
        let mut twin = T::new(flow.limits().clone());
        let mut census = Self::default();
        for number in 1..=opening + lines {
            if number == opening + 1 {
                census = Self { entered: census.entered, most_live: census.most_live, ..Self::default() };
            }
            let Sent { line, command } = flow.next_sent();
            assert_eq!(command.seq, number);
            twin.execute(&command, |event| census.event(&event));
            census.line(&line);
            census.most_live = census.most_live.max(flow.book().summary().live);
        }
        census
    }

    fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::Rejected => panic!("{event:?}: every line is valid"),
            EventKind::Fill => {
                self.fills += 1;
                self.traded += u64::from(event.maker_free()) + u64::from(event.taker_free());
            }
            EventKind::Cancelled => self.cancelled += 1,
            _ => {}
        }
    }

    fn line(&mut self, line: &OrderLine) {
        self.lines += 1;
        *self.by_op.entry(line.op.letter()).or_default() += 1;
        self.prices.insert(line.price);
        match line.op {
            Op::Replace => {
                self.modified.insert(line.id);
            }
            Op::Cancel => self.recent_cancels += u64::from(line.id + 32 > self.entered),
            _ => self.entered = self.entered.max(line.id),
        }
    }

    /// How many lines had this op.
    fn of_op(&self, op: Op) -> u64 {
        self.by_op.get(&op.letter()).copied().unwrap_or(0)
    }
}

/// Thousandths of `whole`.
fn share(part: u64, whole: u64) -> u64 {
    part * 1000 / whole
}

/// Lines that the shares are counted over.
const LINES: u64 = 200_000;

#[test]
fn the_same_seed_gives_the_same_flow_and_another_seed_another() {
    for scenario in Scenario::ALL {
        let first: Vec<Sent> = Flow::new(scenario, 7).take(2000).collect();
        assert_eq!(first, Flow::new(scenario, 7).take(2000).collect::<Vec<_>>(), "{scenario:?}");
        assert_ne!(first, Flow::new(scenario, 8).take(2000).collect::<Vec<_>>(), "{scenario:?}");
        assert_eq!(Scenario::from_name(scenario.name()), Some(scenario));
    }
    assert_eq!(Scenario::from_name("storm"), None);
}

/// The shares that are said of all five, in thousandths, with room for chance: orders that are immediate-or-cancel, others
/// that are replaced, orders that end cancelled, cancels that name one of the last 32 orders. Then ticks and fills.
#[test]
fn the_five_have_the_public_benchmarks_shares() {
    for (scenario, ticks, fills) in [
        (Scenario::Static, 200..700, 200..1_000),
        (Scenario::Normal, 670..1_500, 5_000..10_000),
        (Scenario::Swing25, 7_000..12_000, 5_000..10_000),
        (Scenario::Swing40, 10_000..17_000, 5_000..10_000),
        (Scenario::Crash, 8_000..25_000, 5_000..10_000),
    ] {
        let census = Census::of::<Reference>(scenario, 23, 0, LINES);
        let (ioc, limits, cancels) =
            (census.of_op(Op::ImmediateOrCancel), census.of_op(Op::Limit), census.of_op(Op::Cancel));
        let found = [
            share(ioc, ioc + limits),
            share(census.modified.len() as u64, limits),
            share(census.cancelled, census.cancelled + census.traded),
            share(census.recent_cancels, cancels),
        ];
        let shown = format!("{}: {found:?}, {} ticks, {} fills", scenario.name(), census.prices.len(), census.fills);
        println!("{shown}, {} live", census.most_live);
        for (found, allowed) in found.into_iter().zip([140..=160, 180..=210, 910..=1000, 970..=1000]) {
            assert!(allowed.contains(&found), "{shown}");
        }
        assert!(ticks.contains(&census.prices.len()) && fills.contains(&census.fills), "{shown}");
    }
}

/// Shares of a mix, in thousandths: passive orders, cancels, replaces, orders that reach across.
fn shares(census: &Census) -> [u64; 4] {
    [Op::Limit, Op::Cancel, Op::Replace, Op::ImmediateOrCancel].map(|op| share(census.of_op(op), census.lines))
}

#[test]
fn the_calm_mix_stays_at_its_size() {
    let census = Census::of::<Reference>(Scenario::Calm, 5, Scenario::Calm.opening(), LINES);
    let found = shares(&census);
    for (found, allowed) in found.into_iter().zip([450..=500, 400..=460, 40..=60, 40..=60]) {
        assert!(allowed.contains(&found), "{found:?}: {census:?}");
    }
    assert!((10_000..=10_500).contains(&census.most_live) && census.fills > 8_000, "{census:?}");
    assert!(share(census.recent_cancels, census.of_op(Op::Cancel)) < 100, "cancels name any live order");
}

#[test]
fn a_million_orders_live() {
    let census = Census::of::<Software>(Scenario::Million, 5, Scenario::Million.opening(), LINES);
    let found = shares(&census);
    for (found, allowed) in found.into_iter().zip([450..=500, 400..=460, 40..=60, 40..=60]) {
        assert!(allowed.contains(&found), "{found:?}");
    }
    assert!((1_000_000..=1_050_000).contains(&census.most_live) && census.fills > 5_000, "{}", census.most_live);
    assert!(share(census.recent_cancels, census.of_op(Op::Cancel)) < 10, "cancels name any live order");
}
