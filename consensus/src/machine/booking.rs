//! Booking events: fills with their fees, and reserves given back.
//!
//! A matcher is not believed. The books know every order's owner, side, limit and leaves, so that for most answers only
//! one event is right, and any other is a [`Fault`]: nothing of it is booked, and the books stay shut. What the books
//! cannot see, because they hold no queue of prices, is priority and what a sweep left untouched; a second twin does.
//!
//! One fill of `q` lots at tick `t`, with `value = q * unit(t)`:
//!
//! | posting | from | to | amount |
//! |---|---|---|---|
//! | payment | buyer | seller | value, of quote |
//! | delivery | seller | buyer | q lots, of base |
//! | fee (maker's, taker's) | that side | fees | the fee, of quote |
//! | rebate, where the rate is negative | fees | that side | its magnitude |
//!
//! Before them, what both orders reserved for `q` lots becomes available again, so what a buyer reserved for a worse
//! price or a larger fee is his again. Postings of nothing are left out.

use wirebook_matcher::abi::{Event, EventKind, NO_SLOT, Reason, SelfTrade, Side, TimeInForce};

use super::books::{Books, Stage};
use super::orders::{Expect, LiveOrder};
use super::planted::Planted;
use super::refusal::Fault;
use crate::ledger::{Cause, FEES, Posting};

impl Books {
    /// Books one event of the record that was admitted last; hands over what it moves. The match number, for a fill.
    ///
    /// # Errors
    /// When no correct matcher gives this event here. Nothing is booked then, and every further record is refused.
    #[inline]
    pub fn event(&mut self, e: &Event, posting: &mut impl FnMut(&Posting)) -> Result<Option<u64>, Fault> {
        let pending = self.pending;
        let (command, taker) = (&pending.command, pending.taker);
        let expect = Expect { seq: command.seq, index: pending.index };
        let mut match_number = None;
        match pending.stage {
            Stage::Idle => return Err(Fault { what: "an event of no command", found: *e, expected: None }),
            Stage::Nop => {
                only(e, expect.done(), "answer to a nop")?;
                if let Some(transferred) = &pending.posting {
                    posting(transferred);
                }
                self.chained.drain(..).for_each(|moved| posting(&moved));
            }
            Stage::Refused(reason) => only(e, expect.rejected(command, reason), "answer to what must be rejected")?,
            Stage::Cancel | Stage::ReplaceByNothing => self.taker_gone(e, Reason::User)?,
            Stage::Reduce => {
                let order = *self.taker();
                if command.qty >= order.leaves {
                    self.taker_gone(e, Reason::User)?;
                } else {
                    only(e, expect.reduced(taker, &order, command.qty), "reduce")?;
                    self.lessen(taker, command.qty);
                }
            }
            Stage::Replace(leaves) => {
                if e.kind == EventKind::Cancelled && command.post_only() {
                    self.taker_gone(e, Reason::PostOnly)?;
                } else {
                    only(e, expect.replaced(command, leaves), "replace")?;
                    self.replaced(leaves);
                }
            }
            Stage::Enter if e.reason == Reason::PostOnly && command.post_only() => {
                self.taker_gone(e, Reason::PostOnly)?;
            }
            Stage::Enter if e.reason == Reason::FillOrKill && command.time_in_force() == Some(TimeInForce::Fok) => {
                self.taker_gone(e, Reason::FillOrKill)?;
            }
            Stage::SelfTrade => self.taker_gone(e, Reason::SelfTrade)?,
            Stage::Enter | Stage::Trade => match e.kind {
                EventKind::Fill => match_number = Some(self.fill(e, posting)?),
                EventKind::Cancelled if e.maker != NO_SLOT => self.maker_gone(e)?,
                EventKind::Cancelled => self.remainder_gone(e)?,
                EventKind::Rested if command.time_in_force() == Some(TimeInForce::Gtc) => {
                    only(e, expect.rested(taker, self.taker()), "rest")?;
                }
                _ => return Err(Fault { what: "an event that this command cannot have", found: *e, expected: None }),
            },
        }
        self.pending.index += 1;
        if e.last {
            self.pending.stage = Stage::Idle;
        }
        Ok(match_number)
    }

    fn taker(&self) -> &LiveOrder {
        &self.orders[self.pending.taker as usize]
    }

    fn expect(&self) -> Expect {
        Expect { seq: self.pending.command.seq, index: self.pending.index }
    }

    /// The taker's whole leaves go for this reason.
    fn taker_gone(&mut self, e: &Event, reason: Reason) -> Result<(), Fault> {
        let slot = self.pending.taker;
        only(e, self.expect().cancelled(slot, self.taker(), reason), "cancel")?;
        let extra = core::mem::take(&mut self.pending.extra);
        self.remove(slot, extra);
        Ok(())
    }

    /// What is left of a taker goes: by its time in force, or because it met its owner.
    fn remainder_gone(&mut self, e: &Event) -> Result<(), Fault> {
        let command = &self.pending.command;
        // Fill or kill meets its own owner before it begins, or not at all; post-only meets nobody.
        let meets = command.time_in_force() != Some(TimeInForce::Fok) && !command.post_only();
        let own = command.self_trade() == SelfTrade::CancelNewest && self.taker().owner != 0 && meets;
        if e.reason == Reason::SelfTrade && own {
            return self.taker_gone(e, Reason::SelfTrade);
        }
        if command.time_in_force() == Some(TimeInForce::Ioc) {
            return self.taker_gone(e, Reason::ImmediateOrCancel);
        }
        Err(Fault { what: "a cancel without a reason to", found: *e, expected: None })
    }

    /// The order that the taker meets, if it can meet it: live, on the other side, within the limit.
    fn met(&self, e: &Event) -> Result<LiveOrder, Fault> {
        let fault = |what| Err(Fault { what, found: *e, expected: None });
        let taking = self.taker();
        let Some(making) = self.order(e.maker).copied() else {
            return fault("a maker that is not live");
        };
        if making.instrument != taking.instrument || making.side == taking.side {
            return fault("a maker of another instrument, or of the taker's side");
        }
        if !taking.reaches(making.tick) {
            return fault("a maker beyond the taker's limit");
        }
        Ok(making)
    }

    /// Whether the two must not trade.
    fn prevented(&self, making: &LiveOrder) -> bool {
        let owner = self.taker().owner;
        owner != 0 && owner == making.owner && self.pending.command.self_trade() != SelfTrade::Off
    }

    /// A maker of the taker's own owner goes.
    fn maker_gone(&mut self, e: &Event) -> Result<(), Fault> {
        let making = self.met(e)?;
        let mode = self.pending.command.self_trade();
        let kills = self.pending.command.time_in_force() == Some(TimeInForce::Fok);
        let stays = mode == SelfTrade::CancelNewest || mode == SelfTrade::CancelBoth && kills;
        if !self.prevented(&making) || stays || self.pending.command.post_only() {
            return Err(Fault { what: "a maker cancelled that may stay", found: *e, expected: None });
        }
        only(e, self.expect().maker_cancelled(self.pending.taker, e.maker, &making), "self-trade")?;
        self.remove(e.maker, 0);
        if self.plant.is(Planted::SelfTradeKeepsReserve) {
            let rates = &self.registry.instruments[usize::from(making.instrument)].rates;
            self.ledger.reserve(making.account, rates.reserve_asset(making.side), making.reserved());
        }
        self.pending.stage = if mode == SelfTrade::CancelBoth { Stage::SelfTrade } else { Stage::Trade };
        Ok(())
    }

    /// Two orders trade. The match number.
    fn fill(&mut self, e: &Event, posting: &mut impl FnMut(&Posting)) -> Result<u64, Fault> {
        let making = self.met(e)?;
        let taking = *self.taker();
        if self.prevented(&making) || self.pending.command.post_only() {
            return Err(Fault { what: "a fill that must not be", found: *e, expected: None });
        }
        only(e, self.expect().fill(self.pending.taker, &taking, e.maker, &making), "fill")?;
        let rates = self.registry.instruments[usize::from(making.instrument)].rates;
        self.lessen(self.pending.taker, e.qty);
        self.lessen(e.maker, e.qty);
        let tick = if self.plant.is(Planted::TakersPrice) { taking.tick } else { e.tick };
        let value = rates.value(tick, e.qty);
        let delivered = if self.plant.is(Planted::DeliversLess) { e.qty - 1 } else { e.qty };
        let taker_fee = if self.plant.is(Planted::FeeNotBooked) { 0 } else { rates.taker_fee(value) };
        let (buyer, seller) = match taking.side {
            Side::Buy => (taking.account, making.account),
            Side::Sell => (making.account, taking.account),
        };
        let mut post = |from, to, asset, amount, cause| {
            if amount != 0 {
                let moved = Posting { seq: e.seq, from, to, asset, amount, cause };
                self.ledger.post(&moved);
                posting(&moved);
            }
        };
        post(buyer, seller, rates.quote, value, Cause::Payment);
        post(seller, buyer, rates.base, rates.quantity(delivered), Cause::Delivery);
        for (account, fee) in [(making.account, rates.maker_fee(value)), (taking.account, taker_fee)] {
            if fee >= 0 {
                post(account, FEES, rates.quote, fee, Cause::Fee);
            } else {
                post(FEES, account, rates.quote, -fee, Cause::Rebate);
            }
        }
        self.pending.stage = Stage::Trade;
        self.fills += 1;
        Ok(self.fills)
    }

    /// The order moves to its new slot, with its new leaves, tick and reserve.
    fn replaced(&mut self, leaves: u32) {
        let command = self.pending.command;
        let old = self.orders[command.slot as usize];
        let rates = &self.registry.instruments[usize::from(old.instrument)].rates;
        let reserve_per_lot = rates.reserve_per_lot(old.side, command.tick);
        let asset = rates.reserve_asset(old.side);
        let new = LiveOrder { tick: command.tick, leaves, reserve_per_lot, ..old };
        let extra = core::mem::take(&mut self.pending.extra);
        let freed = old.reserved() + extra - new.reserved();
        let freed = if self.plant.is(Planted::ReplaceKeepsExtra) { 0 } else { freed };
        self.ledger.release(old.account, asset, freed);
        self.orders[command.slot as usize] = LiveOrder::FREE;
        self.orders[command.slot2 as usize] = new;
        self.pending.taker = command.slot2;
        self.pending.stage = Stage::Trade;
    }

    /// Takes lots off an order and gives back what they reserved; the slot is free when none are left.
    #[inline]
    fn lessen(&mut self, slot: u32, qty: u32) {
        let order = &mut self.orders[slot as usize];
        debug_assert!(qty <= order.leaves, "{qty} of {order:?}");
        order.leaves -= qty;
        let order = *order;
        let asset = self.registry.instruments[usize::from(order.instrument)].rates.reserve_asset(order.side);
        self.ledger.release(order.account, asset, i128::from(order.reserve_per_lot) * i128::from(qty));
        if order.leaves == 0 {
            self.orders[slot as usize] = LiveOrder::FREE;
            self.count(&order, false);
        }
    }

    /// Takes an order away and gives back what it reserved, and `extra`.
    fn remove(&mut self, slot: u32, extra: i128) {
        let order = self.orders[slot as usize];
        let asset = self.registry.instruments[usize::from(order.instrument)].rates.reserve_asset(order.side);
        self.ledger.release(order.account, asset, extra);
        self.lessen(slot, order.leaves);
    }
}

/// Only one event is right here.
#[inline]
fn only(found: &Event, expected: Event, what: &'static str) -> Result<(), Fault> {
    if *found == expected {
        return Ok(());
    }
    Err(Fault { what, found: *found, expected: Some(expected) })
}
