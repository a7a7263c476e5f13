//! Orders and replacements: from what a client asks to a beat, or to the reason why not.

use wirebook_matcher::abi::{Command, Kind, Side, TimeInForce};
use wirebook_settlement::record::Origin;

use super::facts::{Facts, fingerprint};
use super::orders::{Order, State};
use super::{Entry, From};
use crate::risk::{Ask, Wire};
use crate::sequencer::Sequencer;
use crate::session::ouch::inbound::{EnterOrder, ReplaceOrder};
use crate::session::ouch::{self, CrossType, Display, HandleInst, Options, Price, PriceType, RejectReason};
use crate::session::soup::MAX_PAYLOAD;

/// Longest message whose echo, at most this much longer (`U`: 40 to 68 bytes), still fits a packet.
const MAX_ECHOED: usize = MAX_PAYLOAD - 28;

/// What becomes of a replacement whose original is live and whose number is new.
enum Replacing {
    /// It cannot be done now: the original stays as it is.
    Not(RejectReason),
    /// What it asks for is not allowed, or has been executed already: the original is cancelled.
    Cancel,
    /// It is sent.
    Send(Command),
}

impl Entry {
    /// `O`. Answers whether a record was made.
    pub(super) fn enter(&mut self, from: &From<'_>, order: &EnterOrder<'_>, seq: &mut Sequencer) -> bool {
        if order.user_ref_num <= self.last_ref(from.account) {
            return false;
        }
        match self.enter_command(from, order) {
            Ok(command) => {
                let at = self.push_order(from.session, command, Origin::Client, from.bytes, seq);
                self.place(&at, &command, &Facts::of_order(order), fingerprint(from.bytes));
            }
            Err(reason) => self.reject(from, reason, seq),
        }
        true
    }

    fn enter_command(&self, from: &From<'_>, order: &EnterOrder<'_>) -> Result<Command, RejectReason> {
        let account = from.account;
        self.risk.port(from.session, account, from.time_ns, fingerprint(from.bytes))?;
        if from.bytes.len() > MAX_ECHOED {
            return Err(RejectReason::ProcessingError);
        }
        let valid = market_as_limit(order).validate().map_err(|invalid| invalid.reason)?;
        let terms = Terms {
            price: order.price,
            quantity: valid.quantity,
            time_in_force: valid.time_in_force,
            display: valid.display,
            sweep: valid.inter_market_sweep,
            cross: valid.cross_type,
        };
        let time_in_force = terms.offered(&valid.options)?;
        let (instrument, wire) = self.risk.instrument(&valid.symbol).ok_or(RejectReason::InvalidSymbol)?;
        self.risk.gates(account, instrument)?;
        let side = side(valid.side);
        let qty = self.risk.size(account, &wire, valid.quantity)?;
        let tick = self.risk.price(account, instrument, &wire, side, order.price)?;
        let ask = Ask { account, instrument, side, tick, qty };
        self.risk.exposure(&ask, self.orders.count(account), &self.risk.need(&ask))?;
        let slot = self.orders.next_slot().ok_or(RejectReason::ProcessingError)?;
        let (owner, self_trade) = self.risk.self_trade(account);
        Ok(Command {
            instrument,
            owner,
            slot,
            tick,
            qty,
            kind: Kind::New as u8,
            side_tif: Command::side_tif(side, time_in_force),
            flags: Command::flags(self_trade, valid.options.post_only, false),
            ..Command::default()
        })
    }

    /// `U`. Answers whether a record was made.
    pub(super) fn replace(&mut self, from: &From<'_>, message: &ReplaceOrder<'_>, seq: &mut Sequencer) -> bool {
        let Some(slot) = self.orders.find(from.account, message.orig_user_ref_num) else { return false };
        let Some(order) = self.orders.get(slot).copied() else { return false };
        if message.user_ref_num <= self.last_ref(from.account) {
            return false;
        }
        match self.replacing(from, message, slot, &order) {
            Replacing::Not(reason) => self.reject(from, reason, seq),
            Replacing::Cancel => {
                let cancel = self.beat(Kind::Cancel, slot, &order);
                let at = self.push_order(from.session, cancel, Origin::Client, from.bytes, seq);
                self.risk.count_message(at.session, at.account, at.time_ns, None);
                self.close(slot);
            }
            Replacing::Send(command) => {
                let at = self.push_order(from.session, command, Origin::Client, from.bytes, seq);
                self.substitute(&at, &command, message);
            }
        }
        true
    }

    fn replacing(&self, from: &From<'_>, message: &ReplaceOrder<'_>, slot: u32, order: &Order) -> Replacing {
        if let State::Pending(_) = order.state {
            return Replacing::Not(RejectReason::CancelPending);
        }
        if let Err(reason) = self
            .risk
            .port(from.session, from.account, from.time_ns, None)
            .and_then(|()| self.risk.gates(from.account, order.instrument))
        {
            return Replacing::Not(reason);
        }
        let Some(slot2) = self.orders.next_slot() else { return Replacing::Not(RejectReason::ProcessingError) };
        match self.replace_command(message, slot, slot2, order) {
            Ok(Some(command)) if from.bytes.len() <= MAX_ECHOED => Replacing::Send(command),
            // What is wrong is not said: OUCH answers a replacement with invalid details by the end of the original.
            Ok(_) | Err(_) => Replacing::Cancel,
        }
    }

    /// The beat of a replacement; `None` when the new total has been executed already.
    fn replace_command(
        &self,
        message: &ReplaceOrder<'_>,
        slot: u32,
        slot2: u32,
        order: &Order,
    ) -> Result<Option<Command>, RejectReason> {
        let valid = message.validate().map_err(|invalid| invalid.reason)?;
        let terms = Terms {
            price: valid.price,
            quantity: valid.quantity,
            time_in_force: valid.time_in_force,
            display: valid.display,
            sweep: valid.inter_market_sweep,
            cross: CrossType::Continuous,
        };
        let time_in_force = terms.offered(&valid.options)?;
        if time_in_force == TimeInForce::Fok {
            return Err(RejectReason::InvalidMinQuantity);
        }
        let (account, instrument, side) = (order.account, order.instrument, order.side);
        let wire: Wire = self.risk.wire(instrument).ok_or(RejectReason::InvalidSymbol)?;
        let total = self.risk.size(account, &wire, valid.quantity)?;
        if total <= order.executed {
            return Ok(None);
        }
        let tick = self.risk.price(account, instrument, &wire, side, valid.price)?;
        // Every bound on an order is one on what it may still execute; the most that can be.
        let ask = Ask { account, instrument, side, tick, qty: total - order.executed };
        let change = i64::from(total) - i64::from(order.total);
        let leaves = order.total.saturating_sub(order.executed);
        let need = self.risk.need_more(&ask, order.tick, leaves, change);
        // It takes the place of an order: the account has not one more.
        self.risk.exposure(&ask, 0, &need)?;
        let (owner, self_trade) = self.risk.self_trade(account);
        Ok(Some(Command {
            instrument,
            owner,
            slot,
            slot2,
            tick,
            qty: change as i32 as u32,
            kind: Kind::Replace as u8,
            side_tif: Command::side_tif(side, time_in_force),
            flags: Command::flags(self_trade, valid.options.post_only, true),
            ..Command::default()
        }))
    }
}

/// What OUCH knows as prices of a market order for a cross are market orders here when they are immediate: the protocol's rules are
/// asked about them as about the highest limit.
fn market_as_limit<'a>(order: &EnterOrder<'a>) -> EnterOrder<'a> {
    let mut order = *order;
    if order.price.is_market() && order.time_in_force.get() == Some(ouch::TimeInForce::Ioc) {
        order.price = Price::MAX;
    }
    order
}

fn side(side: ouch::Side) -> Side {
    match side {
        ouch::Side::Buy => Side::Buy,
        // The venue does not tell long from short: who sells has reserved what it sells.
        ouch::Side::Sell | ouch::Side::SellShort | ouch::Side::SellShortExempt => Side::Sell,
    }
}

/// What an order or replacement asks for that the protocol allows, and this venue may not have.
struct Terms {
    price: Price,
    quantity: u32,
    time_in_force: ouch::TimeInForce,
    display: Display,
    sweep: bool,
    cross: CrossType,
}

impl Terms {
    /// The time in force for the matcher, if the venue offers all of it.
    fn offered(&self, options: &Options) -> Result<TimeInForce, RejectReason> {
        if self.display == Display::Hidden {
            return Err(RejectReason::InvalidDisplay);
        }
        if options.max_floor > 0 || options.random_reserves > 0 {
            return Err(RejectReason::InvalidMaxFloor);
        }
        if options.price_type != PriceType::Limit {
            return Err(RejectReason::InvalidPegType);
        }
        let discretion = options.discretion_price.0 != 0 || options.discretion_price_type != PriceType::Limit;
        if discretion || options.peg_offset != 0 || options.discretion_peg_offset != 0 {
            return Err(RejectReason::PeggingNotAllowed);
        }
        if self.sweep {
            return Err(RejectReason::IsoNotAllowed);
        }
        if self.cross != CrossType::Continuous {
            return Err(RejectReason::InvalidCrossOrder);
        }
        if options.route.is_some() {
            return Err(RejectReason::RoutingNotAllowed);
        }
        let immediate = match self.time_in_force {
            ouch::TimeInForce::Ioc => true,
            ouch::TimeInForce::Day | ouch::TimeInForce::Gtx | ouch::TimeInForce::Gtt => false,
            ouch::TimeInForce::AfterHours => return Err(RejectReason::RiskOrderTypeRestricted),
        };
        if options.handle_inst != HandleInst::None || immediate && options.post_only {
            return Err(RejectReason::RiskOrderTypeRestricted);
        }
        if self.price.is_market() && !immediate {
            return Err(RejectReason::InvalidPrice);
        }
        match (options.min_qty, immediate) {
            (0, true) => Ok(TimeInForce::Ioc),
            (0, false) => Ok(TimeInForce::Gtc),
            // All or nothing, at once.
            (min, true) if min == self.quantity => Ok(TimeInForce::Fok),
            _ => Err(RejectReason::InvalidMinQuantity),
        }
    }
}
