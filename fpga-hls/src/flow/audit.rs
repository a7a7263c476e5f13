//! What the events of any matcher must satisfy, whoever made them: a follower that knows no queue and no price order.
//!
//! [`Audit`] keeps each live order from the events alone, as a host's slot allocator and a client's records do, and refuses
//! an answer that loses or invents quantity, frees a slot too early or never, trades outside a limit, with the wrong side
//! or owner, or does not end in exactly one `last`. It is no third matcher: that the *right* maker was hit is what comparing
//! twins is for.

use crate::abi::{Command, Event, EventKind, Kind, Limits, NO_SLOT, Reason, SelfTrade, Side, TimeInForce, event_flags};
use crate::matcher::Resting;

/// An answer that no matcher may give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {index} of {command:?}: {what}")]
pub struct Violation {
    /// The command.
    pub command: Command,
    /// Which of its events, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A position in the list of live slots that says that the slot is not in it.
const NOT_LIVE: u32 = u32::MAX;

/// Every live order, followed by events.
#[derive(Clone, Debug)]
pub struct Audit {
    orders: Vec<Option<Resting>>,
    live: Vec<u32>,
    position: Vec<u32>,
}

impl Audit {
    /// Of an empty book.
    pub fn new(limits: &Limits) -> Self {
        let slots = limits.slots as usize;
        Self { orders: vec![None; slots], live: Vec::with_capacity(slots), position: vec![NOT_LIVE; slots] }
    }

    /// The live slots, in no order that means anything.
    pub fn live(&self) -> &[u32] {
        &self.live
    }

    /// The live order in a slot.
    pub fn order(&self, slot: u32) -> Option<&Resting> {
        self.orders.get(slot as usize)?.as_ref()
    }

    /// Follows one command and all its events.
    ///
    /// # Errors
    /// Names the first event that cannot be. The audit is of no use afterwards.
    pub fn follow(&mut self, command: &Command, events: &[Event]) -> Result<(), Violation> {
        let fail = |index, what| Err(Violation { command: *command, index, what });
        let mut taker = self.newcomer(command);
        for (index, event) in events.iter().enumerate() {
            let is_end = index + 1 == events.len();
            if event.seq != command.seq || event.index as usize != index || event.last != is_end {
                return fail(index, "seq, index or last is wrong");
            }
            if let Err(what) = self.event(command, event, &mut taker, is_end && index == 0) {
                return fail(index, what);
            }
        }
        let alone = events.first().is_some_and(|e| matches!(e.kind, EventKind::Rejected));
        if events.is_empty() || !alone && taker.is_some() {
            return fail(events.len(), "what became of the taker's leaves?");
        }
        Ok(())
    }

    /// The order that a `new` brings; a replace brings its own with `replaced`.
    fn newcomer(&self, command: &Command) -> Option<Resting> {
        (command.kind == Kind::New as u8).then_some(Resting {
            slot: command.slot,
            instrument: command.instrument,
            owner: command.owner,
            side: command.side(),
            tick: command.tick,
            leaves: command.qty,
        })
    }

    fn event(
        &mut self,
        command: &Command,
        event: &Event,
        taker: &mut Option<Resting>,
        alone: bool,
    ) -> Result<(), &'static str> {
        let has_reason = matches!(event.kind, EventKind::Rejected | EventKind::Cancelled);
        ensure(has_reason == (event.reason != Reason::None), "a reason where none belongs, or none")?;
        match event.kind {
            EventKind::Done => {
                let blank = (event.taker, event.maker, event.tick, event.qty, event.freed) == (0, NO_SLOT, 0, 0, 0);
                ensure(alone && blank && command.kind == Kind::Nop as u8, "not the answer of a nop")
            }
            EventKind::Rejected => {
                let echo = (event.taker, event.maker, event.tick, event.qty, event.freed)
                    == (command.slot, NO_SLOT, command.tick, command.qty, 0);
                ensure(alone && echo && (event.reason as u8) < Reason::User as u8, "not a rejection of this command")
            }
            EventKind::Fill => self.fill(command, event, taker),
            EventKind::Rested => {
                let order = taker.take().ok_or("nobody can rest")?;
                let gtc = command.time_in_force() == Some(TimeInForce::Gtc);
                let right = (event.taker, event.maker, event.tick, event.qty, event.freed)
                    == (order.slot, NO_SLOT, order.tick, order.leaves, 0);
                ensure(right && gtc && event.last, "not what is left of the taker")?;
                self.insert(order)
            }
            EventKind::Cancelled if event.maker != NO_SLOT => self.cancelled_maker(command, event, taker),
            EventKind::Cancelled => {
                let order = match taker.take() {
                    Some(order) => {
                        ensure(
                            entering_may_go(command, event.reason),
                            "an order that enters may not go for this reason",
                        )?;
                        order
                    }
                    None => {
                        ensure(
                            resting_may_go(command, event.reason),
                            "an order that rests may not go for this reason",
                        )?;
                        self.remove(command.slot)?
                    }
                };
                let right = (event.taker, event.tick, event.qty, event.freed)
                    == (order.slot, order.tick, order.leaves, event_flags::TAKER_FREE);
                ensure(right && event.last, "not the leaves of the order that goes")
            }
            EventKind::Reduced => {
                let right = event.taker == command.slot && command.kind == Kind::Reduce as u8;
                ensure(right, "not the order of a reduce")?;
                let order = self.live_order(event.taker)?;
                ensure((event.maker, event.tick, event.freed) == (NO_SLOT, order.tick, 0), "not the order reduced")?;
                ensure(event.qty == command.qty && event.qty < order.leaves && alone, "not the amount to remove")?;
                order.leaves -= event.qty;
                Ok(())
            }
            EventKind::Replaced => {
                let old = self.remove(event.maker)?;
                ensure((event.taker, event.maker) == (command.slot2, command.slot), "not the slots of the command")?;
                let leaves = if command.relative() {
                    i64::from(old.leaves) + i64::from(command.qty.cast_signed())
                } else {
                    i64::from(command.qty)
                };
                let right = i64::from(event.qty) == leaves && event.qty > 0 && event.tick == command.tick;
                ensure(
                    right && event.freed == event_flags::MAKER_FREE && !event.last,
                    "not what the replace asks for",
                )?;
                *taker = Some(Resting { slot: event.taker, tick: event.tick, leaves: event.qty, ..old });
                Ok(())
            }
        }
    }

    fn fill(&mut self, command: &Command, event: &Event, taker: &mut Option<Resting>) -> Result<(), &'static str> {
        let order = taker.as_mut().ok_or("a fill without a taker")?;
        let maker = *self.live_order(event.maker)?;
        let reached = match order.side {
            Side::Buy => maker.tick <= order.tick,
            Side::Sell => maker.tick >= order.tick,
        };
        ensure(event.taker == order.slot && event.tick == maker.tick, "not the taker, or not the maker's price")?;
        ensure(reached && maker.side != order.side && maker.instrument == order.instrument, "these two cannot trade")?;
        let prevented = command.self_trade() != SelfTrade::Off && order.owner != 0 && order.owner == maker.owner;
        ensure(!prevented && !command.post_only(), "these two must not trade")?;
        ensure(event.qty == maker.leaves.min(order.leaves), "not what both have")?;
        order.leaves -= event.qty;
        let mut freed = 0;
        if event.qty == maker.leaves {
            freed |= event_flags::MAKER_FREE;
            self.remove(event.maker)?;
        } else {
            self.live_order(event.maker)?.leaves -= event.qty;
        }
        if order.leaves == 0 {
            freed |= event_flags::TAKER_FREE;
            *taker = None;
        }
        ensure(event.freed == freed && event.last == taker.is_none(), "a slot is free too early, or never")
    }

    fn cancelled_maker(
        &mut self,
        command: &Command,
        event: &Event,
        taker: &Option<Resting>,
    ) -> Result<(), &'static str> {
        let order = taker.as_ref().ok_or("a self-trade without a taker")?;
        let maker = self.remove(event.maker)?;
        let right = (event.taker, event.tick, event.qty, event.freed, event.reason)
            == (order.slot, maker.tick, maker.leaves, event_flags::MAKER_FREE, Reason::SelfTrade);
        let mode = matches!(command.self_trade(), SelfTrade::CancelOldest | SelfTrade::CancelBoth);
        ensure(right && mode && maker.owner == order.owner && order.owner != 0, "not a maker of the same owner")
    }

    fn live_order(&mut self, slot: u32) -> Result<&mut Resting, &'static str> {
        self.orders.get_mut(slot as usize).and_then(Option::as_mut).ok_or("no such live order")
    }

    fn insert(&mut self, order: Resting) -> Result<(), &'static str> {
        let place = self.orders.get_mut(order.slot as usize).ok_or("no such slot")?;
        ensure(place.is_none() && order.leaves > 0, "the slot is not free, or nothing is left to rest")?;
        *place = Some(order);
        self.position[order.slot as usize] = self.live.len() as u32;
        self.live.push(order.slot);
        Ok(())
    }

    fn remove(&mut self, slot: u32) -> Result<Resting, &'static str> {
        let order = *self.live_order(slot)?;
        self.orders[slot as usize] = None;
        let at = std::mem::replace(&mut self.position[slot as usize], NOT_LIVE);
        self.live.swap_remove(at as usize);
        if let Some(moved) = self.live.get(at as usize) {
            self.position[*moved as usize] = at;
        }
        Ok(order)
    }
}

/// Whether an order that enters may be cancelled for this reason.
fn entering_may_go(command: &Command, reason: Reason) -> bool {
    match reason {
        Reason::ImmediateOrCancel => command.time_in_force() == Some(TimeInForce::Ioc),
        Reason::FillOrKill => command.time_in_force() == Some(TimeInForce::Fok),
        Reason::PostOnly => command.post_only(),
        Reason::SelfTrade => matches!(command.self_trade(), SelfTrade::CancelNewest | SelfTrade::CancelBoth),
        _ => false,
    }
}

/// Whether a command may take the order that it names out of the book, for this reason.
fn resting_may_go(command: &Command, reason: Reason) -> bool {
    match Kind::from_byte(command.kind) {
        Some(Kind::Cancel | Kind::Reduce) => reason == Reason::User,
        Some(Kind::Replace) => {
            reason == Reason::User && command.relative() || reason == Reason::PostOnly && command.post_only()
        }
        _ => false,
    }
}

fn ensure(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
