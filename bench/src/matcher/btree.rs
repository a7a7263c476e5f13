//! The book that most projects have: a balanced tree of price levels, queues within, a hash map from id to order.
//!
//! A cancel finds its level by the tree and its place in the queue by search, which is short unless thousands wait at a price.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;
use wirebook_matcher::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, Side, TimeInForce, event_flags};

use super::engine::{Engine, Names};
use super::workload::Workload;

#[derive(Clone, Copy)]
struct Waiting {
    id: u32,
    leaves: u32,
}

type Levels = BTreeMap<u32, VecDeque<Waiting>>;

/// The book.
#[derive(Default)]
pub struct Tree {
    bids: Levels,
    asks: Levels,
    /// Side and price of each live order.
    places: FxHashMap<u32, (Side, u32)>,
}

struct Entering {
    id: u32,
    side: Side,
    tick: u32,
    leaves: u32,
    time_in_force: TimeInForce,
}

impl Engine for Tree {
    const NAMES: Names = Names::Numbers;

    fn new(_: &Workload) -> Self {
        Self::default()
    }

    fn execute(&mut self, command: &Command, mut sink: impl FnMut(Event)) {
        let mut index = 0;
        let mut tell = |kind, taker, maker, tick, qty, reason, freed, last| {
            sink(Event { seq: command.seq, taker, maker, tick, qty, index, kind, reason, freed, last });
            index += 1;
        };
        let goes = event_flags::TAKER_FREE;
        let id = command.slot;
        let place = self.places.get(&id).copied();
        match (Kind::from_byte(command.kind), place) {
            (Some(Kind::New), None) if command.qty > 0 => {
                let time_in_force = command.time_in_force().unwrap_or(TimeInForce::Ioc);
                let (tick, leaves) = (command.tick, command.qty);
                let order = Entering { id, side: command.side(), tick, leaves, time_in_force };
                if command.post_only() && self.best_for(&order).is_some() {
                    tell(EventKind::Cancelled, id, NO_SLOT, tick, leaves, Reason::PostOnly, goes, true);
                } else if time_in_force == TimeInForce::Fok && !self.can_fill(&order) {
                    tell(EventKind::Cancelled, id, NO_SLOT, tick, leaves, Reason::FillOrKill, goes, true);
                } else {
                    self.enter(order, tell);
                }
            }
            (Some(Kind::Cancel), Some((side, tick))) => {
                let leaves = self.remove(side, tick, id);
                tell(EventKind::Cancelled, id, NO_SLOT, tick, leaves, Reason::User, goes, true);
            }
            (Some(Kind::Reduce), Some((side, tick))) => {
                let order = self.find(side, tick, id);
                if command.qty < order.leaves {
                    order.leaves -= command.qty;
                    tell(EventKind::Reduced, id, NO_SLOT, tick, command.qty, Reason::None, 0, true);
                } else {
                    let leaves = self.remove(side, tick, id);
                    tell(EventKind::Cancelled, id, NO_SLOT, tick, leaves, Reason::User, goes, true);
                }
            }
            (Some(Kind::Replace), Some((side, old_tick))) if command.qty > 0 => {
                self.remove(side, old_tick, id);
                let (tick, leaves) = (command.tick, command.qty);
                tell(EventKind::Replaced, id, id, tick, leaves, Reason::None, event_flags::MAKER_FREE, false);
                self.enter(Entering { id, side, tick, leaves, time_in_force: TimeInForce::Gtc }, tell);
            }
            (Some(Kind::Nop), _) => tell(EventKind::Done, 0, NO_SLOT, 0, 0, Reason::None, 0, true),
            _ => tell(EventKind::Rejected, id, NO_SLOT, command.tick, command.qty, Reason::NoOrder, 0, true),
        }
    }
}

impl Tree {
    fn side_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The best price of the other side, when the order's limit reaches it.
    fn best_for(&self, order: &Entering) -> Option<u32> {
        match order.side {
            Side::Buy => self.asks.keys().next().copied().filter(|tick| *tick <= order.tick),
            Side::Sell => self.bids.keys().next_back().copied().filter(|tick| *tick >= order.tick),
        }
    }

    fn can_fill(&self, order: &Entering) -> bool {
        let makers = match order.side {
            Side::Buy => self.asks.range(..=order.tick),
            Side::Sell => self.bids.range(order.tick..),
        };
        let found: u64 = makers.flat_map(|(_, queue)| queue).map(|maker| u64::from(maker.leaves)).sum();
        found >= u64::from(order.leaves)
    }

    fn find(&mut self, side: Side, tick: u32, id: u32) -> &mut Waiting {
        let queue = self.side_mut(side).get_mut(&tick).expect("a live order has a level");
        queue.iter_mut().find(|order| order.id == id).expect("a live order stands in its level")
    }

    /// Takes an order out, and says what it had left.
    fn remove(&mut self, side: Side, tick: u32, id: u32) -> u32 {
        self.places.remove(&id);
        let levels = self.side_mut(side);
        let queue = levels.get_mut(&tick).expect("a live order has a level");
        let at = queue.iter().position(|order| order.id == id).expect("a live order stands in its level");
        let order = queue.remove(at).expect("it stands there");
        if queue.is_empty() {
            levels.remove(&tick);
        }
        order.leaves
    }

    /// Trades what can be traded; what is left rests or goes.
    fn enter(&mut self, mut order: Entering, mut tell: impl FnMut(EventKind, u32, u32, u32, u32, Reason, u8, bool)) {
        while let Some(tick) = self.best_for(&order) {
            let levels = self.side_mut(order.side.opposite());
            let queue = levels.get_mut(&tick).expect("the best level is there");
            let maker = queue.front_mut().expect("no level is empty");
            let qty = maker.leaves.min(order.leaves);
            maker.leaves -= qty;
            order.leaves -= qty;
            let Waiting { id: maker_id, leaves } = *maker;
            let mut freed = if order.leaves == 0 { event_flags::TAKER_FREE } else { 0 };
            if leaves == 0 {
                freed |= event_flags::MAKER_FREE;
                queue.pop_front();
                if queue.is_empty() {
                    levels.remove(&tick);
                }
                self.places.remove(&maker_id);
            }
            tell(EventKind::Fill, order.id, maker_id, tick, qty, Reason::None, freed, order.leaves == 0);
            if order.leaves == 0 {
                return;
            }
        }
        let Entering { id, side, tick, leaves, time_in_force } = order;
        if time_in_force == TimeInForce::Gtc {
            self.side_mut(side).entry(tick).or_default().push_back(Waiting { id, leaves });
            self.places.insert(id, (side, tick));
            tell(EventKind::Rested, id, NO_SLOT, tick, leaves, Reason::None, 0, true);
        } else {
            let freed = event_flags::TAKER_FREE;
            tell(EventKind::Cancelled, id, NO_SLOT, tick, leaves, Reason::ImmediateOrCancel, freed, true);
        }
    }
}
