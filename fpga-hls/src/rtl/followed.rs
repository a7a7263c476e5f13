//! The book as the kernel's own events tell it: which order lives where, and who came first.
//!
//! It decides nothing. What the kernel says to have rested, rests; what it says to be gone, is gone; an event that cannot be is an error.

use std::collections::BTreeMap;

use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT, Side};
use crate::matcher::Resting;

/// Where an order stands: instrument, side, distance from the best possible price, and when it came there.
type Place = (u16, Side, u32, u64);

/// Live orders by slot, and by their priority.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    orders: Vec<Option<(Resting, Place)>>,
    queue: BTreeMap<Place, u32>,
    arrivals: u64,
}

impl Followed {
    pub fn new(slots: u32) -> Self {
        Self { orders: vec![None; slots as usize], queue: BTreeMap::new(), arrivals: 0 }
    }

    pub fn order(&self, slot: u32) -> Option<Resting> {
        self.orders.get(slot as usize)?.map(|(order, _)| order)
    }

    /// Every order: instrument ascending, bids before asks, best price first, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = Resting> {
        self.queue.values().map(|slot| self.orders[*slot as usize].expect("a queued slot holds an order").0)
    }

    /// The best price of a side.
    pub fn best(&self, instrument: u16, side: Side) -> Option<u32> {
        let of_side = (instrument, side, 0, 0)..=(instrument, side, u32::MAX, u64::MAX);
        self.queue.range(of_side).next().map(|(_, slot)| self.orders[*slot as usize].expect("as above").0.tick)
    }

    /// Puts an order at the tail of its price.
    pub fn insert(&mut self, order: Resting) -> Result<(), &'static str> {
        let distance = match order.side {
            Side::Buy => u32::MAX - order.tick,
            Side::Sell => order.tick,
        };
        let place = (order.instrument, order.side, distance, self.arrivals);
        let entry = self.orders.get_mut(order.slot as usize).ok_or("no such slot")?;
        if entry.is_some() {
            return Err("an order rests in a slot that is live");
        }
        *entry = Some((order, place));
        self.queue.insert(place, order.slot);
        self.arrivals += 1;
        Ok(())
    }

    fn remove(&mut self, slot: u32) -> Result<Resting, &'static str> {
        let (order, place) = self.orders.get_mut(slot as usize).and_then(Option::take).ok_or("no such live order")?;
        self.queue.remove(&place);
        Ok(order)
    }

    fn lessen(&mut self, slot: u32, qty: u32) -> Result<(), &'static str> {
        let (order, _) = self.orders.get_mut(slot as usize).and_then(Option::as_mut).ok_or("no such live order")?;
        order.leaves = order.leaves.checked_sub(qty).ok_or("more than the order's leaves")?;
        if order.leaves == 0 { self.remove(slot).map(drop) } else { Ok(()) }
    }

    /// Follows one event of a command. `entering` is the order that the command brings, kept by the caller from event to event.
    pub fn follow(
        &mut self,
        command: &Command,
        event: &Event,
        entering: &mut Option<Resting>,
    ) -> Result<(), &'static str> {
        if event.index == 0 && command.kind == Kind::New as u8 {
            let Command { slot, instrument, owner, tick, qty: leaves, .. } = *command;
            *entering = Some(Resting { slot, instrument, owner, side: command.side(), tick, leaves });
        }
        match event.kind {
            EventKind::Done | EventKind::Rejected => Ok(()),
            EventKind::Fill => self.lessen(event.maker, event.qty),
            EventKind::Rested => {
                let order = entering.take().ok_or("nothing enters, but something rests")?;
                self.insert(Resting { leaves: event.qty, ..order })
            }
            EventKind::Cancelled if event.maker != NO_SLOT => self.remove(event.maker).map(drop),
            EventKind::Cancelled if entering.is_some() => Ok(()),
            EventKind::Cancelled => self.remove(event.taker).map(drop),
            EventKind::Reduced => self.lessen(event.taker, event.qty),
            EventKind::Replaced => {
                let old = self.remove(event.maker)?;
                *entering = Some(Resting { slot: event.taker, tick: event.tick, leaves: event.qty, ..old });
                Ok(())
            }
        }
    }
}
