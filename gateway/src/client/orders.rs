//! Lines of an Orders CSV as OUCH messages, and the venue's messages as fills.
//!
//! The lines mean what `wirebook match` takes them for. OUCH says some of it differently, so a client has to know where its orders
//! stand:
//!
//! - A line names an order by its id; OUCH by the number of the order's last replacement, which grows with every order.
//! - A reduce names what to take off; OUCH the total that may execute, with what has executed. The total is known exactly, fills or
//!   no fills, so a reduce never waits.
//! - A cancel of a dead order is a reject here and is ignored there: it is sent, and counted when the venue has told no cancel.
//! - A replace names new leaves; OUCH the total with what has executed. That must be known exactly. So must be whether an id is live,
//!   before another order has it.
//!
//! What has executed is **certain** when nothing is unanswered that could have touched the order. Account queries are answered in
//! order: every so many messages one is sent, and its answer confirms all before it. [`OuchOrders::plan`] answers
//! [`Plan::Barrier`] when it needs to know more than is confirmed: send the query, hear its answer, and plan the line again.
//!
//! One client alone may trade with these certainties; with others in the book, an order may be filled by them at any time, and a
//! replacement's leaves are then the venue's to say.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use wirebook_matcher::abi::Side;
use wirebook_matcher::flow::{Op, OrderLine};

use super::messages::Outgoing;
use super::pairs::{Half, Pairs};
use super::plan::{Counts, Plan, Refusal, Told};
use crate::session::ouch::{
    CancelReason, LiquidityFlag, MAX_QUANTITY, OrderState, Outbound, Price, ReasonCode, Symbol,
};

/// An id's order, through all its replacements.
#[derive(Clone, Copy, Debug)]
struct Chain {
    id: u64,
    price: i64,
    side: Side,
    /// The number that names it now, as far as was sent.
    user_ref: u32,
    /// The total that may execute, executed lots included, as far as was sent.
    total: u32,
    /// Lots executed, as told.
    executed: u32,
    /// Lots open, as told.
    open: u32,
    /// The stretch in which its last message was sent.
    stretch: u64,
    /// Cancels and reduces sent, less those told.
    cancels_untold: u32,
    /// Whether its latest entry or replacement has been answered.
    answered: bool,
    /// What it is again if its latest replacement is rejected: number, total and price.
    before: (u32, u32, i64),
}

/// What one number stands for.
#[derive(Clone, Copy, Debug)]
struct Number {
    chain: u32,
    replaces: bool,
}

/// Messages between two queries, and the most aggressive prices among them.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    messages: u32,
    highest_buy: Option<i64>,
    lowest_sell: Option<i64>,
}

/// The client's orders.
#[derive(Debug)]
pub struct OuchOrders {
    symbol: Symbol,
    tick_size: i64,
    /// The first number of this client; numbers[i] is what base + i stands for.
    base: u32,
    numbers: Vec<Number>,
    chains: Vec<Chain>,
    /// The chain of each id that may be live.
    live: FxHashMap<u64, u32>,
    /// Stretches that a sent query has ended and no answer has confirmed, oldest first.
    unconfirmed: VecDeque<Stretch>,
    current: Stretch,
    /// Stretches confirmed.
    confirmed: u64,
    pairs: Pairs,
    counts: Counts,
    rejects: FxHashMap<u16, u64>,
}

impl OuchOrders {
    /// No orders yet. `next_user_ref` is what the venue answered to a query.
    pub fn new(symbol: Symbol, tick_size: i64, next_user_ref: u32) -> Self {
        assert!(tick_size > 0, "a tick size of {tick_size}");
        Self {
            symbol,
            tick_size,
            base: next_user_ref.max(1),
            numbers: Vec::new(),
            chains: Vec::new(),
            live: FxHashMap::default(),
            unconfirmed: VecDeque::new(),
            current: Stretch::default(),
            confirmed: 0,
            pairs: Pairs::default(),
            counts: Counts::default(),
            rejects: FxHashMap::default(),
        }
    }

    /// What to do with a line. A message that is given must be sent, in order.
    pub fn plan(&mut self, line: &OrderLine) -> Plan {
        let plan = self.consider(line, None);
        self.count(&plan);
        plan
    }

    /// Like [`OuchOrders::plan`], for a caller who knows where the order stands: `executed` is what it will have executed when the
    /// message arrives. Never a barrier.
    pub fn plan_knowing(&mut self, line: &OrderLine, executed: u32) -> Plan {
        let plan = self.consider(line, Some(executed));
        self.count(&plan);
        plan
    }

    fn count(&mut self, plan: &Plan) {
        match plan {
            Plan::Send { .. } => {
                self.counts.lines += 1;
                self.counts.sent += 1;
                self.current.messages += 1;
            }
            Plan::Refused(refusal) => {
                self.counts.lines += 1;
                self.counts.refused[*refusal as usize] += 1;
            }
            Plan::Barrier => {}
        }
    }

    fn consider(&mut self, line: &OrderLine, executed: Option<u32>) -> Plan {
        match self.try_consider(line, executed) {
            Ok(Some((message, user_ref))) => Plan::Send { message, user_ref },
            Ok(None) => Plan::Barrier,
            Err(refusal) => Plan::Refused(refusal),
        }
    }

    /// `None` is a barrier. The checks come in the order in which the offline matcher has them.
    fn try_consider(&mut self, line: &OrderLine, executed: Option<u32>) -> Result<Option<(Outgoing, u32)>, Refusal> {
        let chain = self.live.get(&line.id).copied();
        let knows = executed.is_some();
        match (chain, line.op) {
            // Dead already, or another's: it is not to be named.
            (None, Op::Reduce | Op::Cancel | Op::Replace) => return Err(Refusal::UnknownId),
            (None, _) => {}
            (Some(_), Op::Reduce | Op::Cancel) => {}
            (Some(chain), op) if knows || self.certain(chain) => {
                let dead = if knows { op.enters() } else { self.chains[chain as usize].open == 0 };
                match (dead, op.enters()) {
                    (true, true) => {
                        self.live.remove(&line.id);
                    }
                    (true, false) => {
                        self.live.remove(&line.id);
                        return Err(Refusal::UnknownId);
                    }
                    (false, true) => return Err(Refusal::DuplicateId),
                    (false, false) => {}
                }
            }
            (Some(_), _) => return Ok(None),
        }
        let price = if line.op.has_price() { self.price(line.price)? } else { 0 };
        if line.op.has_qty() && line.qty == 0 {
            return Err(Refusal::ZeroQty);
        }
        match line.op {
            Op::Cancel => Ok(Some(self.lower(chain.expect("checked above"), None))),
            Op::Reduce => Ok(Some(self.lower(chain.expect("checked above"), Some(line.qty)))),
            Op::Replace => self.replace(chain.expect("checked above"), line, price, executed).map(Some),
            _ => self.enter(line, price).map(Some),
        }
    }

    fn price(&self, price: i64) -> Result<u64, Refusal> {
        if price.rem_euclid(self.tick_size) != 0 {
            return Err(Refusal::OffGrid);
        }
        u64::try_from(price).ok().filter(|price| *price <= Price::MAX.0).ok_or(Refusal::OuchPrice)
    }

    fn next_number(&mut self, number: Number) -> Result<u32, Refusal> {
        let next = u32::try_from(self.numbers.len()).ok().and_then(|used| self.base.checked_add(used));
        let next = next.filter(|next| *next < u32::MAX).ok_or(Refusal::NoNumber)?;
        self.numbers.push(number);
        Ok(next)
    }

    fn enter(&mut self, line: &OrderLine, price: u64) -> Result<(Outgoing, u32), Refusal> {
        if line.qty > MAX_QUANTITY {
            return Err(Refusal::OuchQty);
        }
        let chain = self.chains.len() as u32;
        let user_ref = self.next_number(Number { chain, replaces: false })?;
        self.chains.push(Chain {
            id: line.id,
            price: line.price,
            side: line.side,
            user_ref,
            total: line.qty,
            executed: 0,
            open: line.qty,
            stretch: self.stretch(),
            cancels_untold: 0,
            answered: false,
            before: (user_ref, line.qty, line.price),
        });
        if matches!(line.op, Op::Limit | Op::PostOnly) {
            self.live.insert(line.id, chain);
        }
        self.aggress(line.side, line.price);
        let message = Outgoing::enter(line.op, line.id, user_ref, line.side, line.qty, self.symbol, price);
        Ok((message, user_ref))
    }

    /// Takes `qty` off the total, or all of it.
    fn lower(&mut self, chain: u32, qty: Option<u32>) -> (Outgoing, u32) {
        let stretch = self.stretch();
        let order = &mut self.chains[chain as usize];
        order.stretch = stretch;
        order.cancels_untold += 1;
        order.total = qty.map_or(0, |qty| order.total.saturating_sub(qty));
        if order.total == 0 {
            self.live.remove(&order.id);
        }
        (Outgoing::cancel(order.user_ref, order.total), order.user_ref)
    }

    fn replace(
        &mut self,
        chain: u32,
        line: &OrderLine,
        price: u64,
        executed: Option<u32>,
    ) -> Result<(Outgoing, u32), Refusal> {
        let before = self.chains[chain as usize];
        let total = executed.unwrap_or(before.executed).checked_add(line.qty);
        let total = total.filter(|total| *total <= MAX_QUANTITY).ok_or(Refusal::OuchQty)?;
        let user_ref = self.next_number(Number { chain, replaces: true })?;
        let stretch = self.stretch();
        self.chains[chain as usize] = Chain {
            user_ref,
            total,
            price: line.price,
            stretch,
            answered: false,
            before: (before.user_ref, before.total, before.price),
            ..before
        };
        self.aggress(before.side, line.price);
        Ok((Outgoing::replace(line.id, before.user_ref, user_ref, total, price), user_ref))
    }

    /// The stretch in which a message sent now lies.
    fn stretch(&self) -> u64 {
        self.confirmed + self.unconfirmed.len() as u64
    }

    fn aggress(&mut self, side: Side, price: i64) {
        match side {
            Side::Buy => self.current.highest_buy = self.current.highest_buy.max(Some(price)),
            Side::Sell => {
                let lowest = self.current.lowest_sell.map_or(price, |lowest| lowest.min(price));
                self.current.lowest_sell = Some(lowest);
            }
        }
    }

    /// Whether what was told of an order is all there is: its own message is confirmed, and none behind that could trade with it.
    fn certain(&self, chain: u32) -> bool {
        let order = &self.chains[chain as usize];
        if order.stretch >= self.confirmed {
            return false;
        }
        self.unconfirmed.iter().chain([&self.current]).all(|stretch| match order.side {
            Side::Buy => stretch.lowest_sell.is_none_or(|sell| sell > order.price),
            Side::Sell => stretch.highest_buy.is_none_or(|buy| buy < order.price),
        })
    }

    /// The query that ends a stretch. It must be sent, in order.
    pub fn query(&mut self) -> Outgoing {
        self.unconfirmed.push_back(std::mem::take(&mut self.current));
        Outgoing::query()
    }

    /// Messages sent since the last query.
    pub fn since_query(&self) -> u32 {
        self.current.messages
    }

    /// Queries that are not answered.
    pub fn queries(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Messages, queries included, that are not confirmed.
    pub fn unanswered(&self) -> u64 {
        self.unconfirmed.iter().map(|stretch| u64::from(stretch.messages) + 1).sum::<u64>()
            + u64::from(self.current.messages)
    }

    /// Takes one message of the venue.
    ///
    /// # Errors
    /// When it is no OUCH message, or contradicts another: says how. The venue is then not to be trusted.
    pub fn told(&mut self, message: &[u8]) -> Result<Told, String> {
        let message = Outbound::decode(message).map_err(|error| error.to_string())?;
        match message {
            Outbound::AccountQueryResponse(answer) => {
                if self.unconfirmed.pop_front().is_none() {
                    return Err("an account query was answered that was not asked".into());
                }
                self.confirmed += 1;
                Ok(Told::Confirmed { next_user_ref: answer.next_user_ref_num })
            }
            Outbound::Accepted(accepted) => {
                let live = accepted.order_state.get() == Some(OrderState::Live);
                Ok(self.entered(accepted.user_ref_num, accepted.quantity, live))
            }
            Outbound::Replaced(replaced) => {
                let live = replaced.order_state.get() == Some(OrderState::Live);
                Ok(self.entered(replaced.user_ref_num, replaced.quantity, live))
            }
            Outbound::Rejected(rejected) => Ok(self.rejected(rejected.user_ref_num, rejected.reason)),
            Outbound::Canceled(cancelled) => {
                let by_user = cancelled.reason.get() == Some(CancelReason::UserRequested);
                Ok(self.cancelled(cancelled.user_ref_num, cancelled.quantity, by_user))
            }
            Outbound::AiqCanceled(cancelled) => {
                Ok(self.cancelled(cancelled.user_ref_num, cancelled.decrement_shares, false))
            }
            Outbound::Executed(executed) => {
                let rested = executed.liquidity_flag.get() != Some(LiquidityFlag::Removed);
                self.executed(executed.user_ref_num, executed.quantity, executed.price, rested, executed.match_number)
            }
            _ => Ok(Told::Other),
        }
    }

    fn number(&mut self, user_ref: u32) -> Option<Number> {
        let index = user_ref.checked_sub(self.base)?;
        self.numbers.get(index as usize).copied()
    }

    fn foreign(&mut self) -> Told {
        self.counts.foreign += 1;
        Told::Foreign
    }

    fn entered(&mut self, user_ref: u32, open: u32, live: bool) -> Told {
        let Some(number) = self.number(user_ref) else { return self.foreign() };
        self.counts.accepted += 1;
        let order = &mut self.chains[number.chain as usize];
        order.open = if live { open } else { 0 };
        order.answered |= order.user_ref == user_ref;
        self.bury(number.chain);
        Told::Answer { user_ref }
    }

    fn rejected(&mut self, user_ref: u32, reason: ReasonCode) -> Told {
        let Some(number) = self.number(user_ref) else { return self.foreign() };
        self.counts.rejected += 1;
        *self.rejects.entry(reason.0).or_default() += 1;
        let order = &mut self.chains[number.chain as usize];
        if !number.replaces {
            order.open = 0;
            order.answered = true;
            self.bury(number.chain);
        } else if order.user_ref == user_ref {
            // The original is as it was, and is called what it was.
            (order.user_ref, order.total, order.price) = order.before;
            order.answered = true;
        }
        Told::Answer { user_ref }
    }

    fn cancelled(&mut self, user_ref: u32, qty: u32, by_user: bool) -> Told {
        let Some(number) = self.number(user_ref) else { return self.foreign() };
        let order = &mut self.chains[number.chain as usize];
        order.open = order.open.saturating_sub(qty);
        let answers = by_user && order.cancels_untold > 0;
        order.cancels_untold -= u32::from(answers);
        self.bury(number.chain);
        if answers { Told::Lowered { user_ref } } else { Told::Other }
    }

    fn executed(
        &mut self,
        user_ref: u32,
        qty: u32,
        price: Price,
        rested: bool,
        match_number: u64,
    ) -> Result<Told, String> {
        let Some(number) = self.number(user_ref) else { return Ok(self.foreign()) };
        let order = &mut self.chains[number.chain as usize];
        if qty > order.open {
            return Err(format!("order {} executed {qty} lots of the {} that are open", order.id, order.open));
        }
        order.open -= qty;
        order.executed += qty;
        let price = i64::try_from(price.0).map_err(|_| format!("order {} executed at price {}", order.id, price.0))?;
        let half = Half { id: order.id, side: order.side, rested, price, qty };
        self.bury(number.chain);
        Ok(match self.pairs.told(match_number, half)? {
            Some(fill) => {
                self.counts.fills += 1;
                self.counts.traded += u128::from(fill.qty);
                Told::Fill(fill)
            }
            None => Told::Other,
        })
    }

    /// Forgets an id whose order is told dead, unless a replacement is on its way.
    fn bury(&mut self, chain: u32) {
        let order = &self.chains[chain as usize];
        if order.open == 0 && order.answered && self.live.get(&order.id) == Some(&chain) {
            self.live.remove(&order.id);
        }
    }

    /// What happened so far. Cancels of dead orders are counted among the refused once their answers cannot come any more, that is
    /// when nothing is unanswered.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        if self.unanswered() == 0 {
            let superfluous: u64 = self.chains.iter().map(|chain| u64::from(chain.cancels_untold)).sum();
            counts.refused[Refusal::UnknownId as usize] += superfluous;
        }
        counts
    }

    /// The venue's rejects by OUCH reason, sorted by it.
    pub fn rejects(&self) -> Vec<(ReasonCode, u64)> {
        let mut rejects: Vec<(ReasonCode, u64)> =
            self.rejects.iter().map(|(code, n)| (ReasonCode(*code), *n)).collect();
        rejects.sort_unstable_by_key(|(code, _)| code.0);
        rejects
    }

    /// Executions whose other side was not told: trades with orders that this client did not send.
    pub fn unpaired(&self) -> usize {
        self.pairs.waiting()
    }

    /// The price, total and lots executed of an id that may be live, as far as is known.
    pub fn order(&self, id: u64) -> Option<(i64, u32, u32)> {
        let chain = &self.chains[*self.live.get(&id)? as usize];
        Some((chain.price, chain.total, chain.executed))
    }
}
