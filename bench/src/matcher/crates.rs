//! Two published order books behind their public interfaces: the crates `lobster` (0.7) and `orderbook-rs` (0.15).
//!
//! Where an interface lacks an operation, it is made of others, which gives the same fills:
//!
//! | operation | `lobster` | `orderbook-rs` |
//! |---|---|---|
//! | immediate or cancel | limit order, then cancel of the rest | its own |
//! | replace | cancel, then limit order under the same id | the same |
//! | reduce | none: workloads with it are not run | quantity update |
//! | fill or kill | none: workloads with it are not run | its own |
//! | post-only | looks at the best price first | its own |
//!
//! Prices are ticks plus one, as 0 is no price to `orderbook-rs`.

use std::sync::{Arc, Mutex};

use lobster::{OrderBook as Lobster, OrderEvent, OrderType as LobsterOrder, Side as LobsterSide};
use orderbook_rs::{Id, OrderBook, Side as BookSide, TimeInForce as BookTimeInForce};
use pricelevel::{OrderUpdate, Quantity};
use wirebook_matcher::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, Side, TimeInForce, event_flags};

use super::engine::{Answer, Engine, Names};
use super::workload::Workload;

/// Room that `lobster` is given for a queue at one price at first.
const LOBSTER_QUEUE: usize = 10;

/// A fill at one of their prices, which begin at 1.
fn tell_fill(
    answer: &mut Answer<impl FnMut(Event)>,
    taker: u32,
    maker: u32,
    price: u64,
    qty: u64,
    freed: u8,
    last: bool,
) {
    answer.tell(EventKind::Fill, taker, maker, (price - 1) as u32, qty as u32, Reason::None, freed, last);
}

/// How a command ends when nothing traded last.
fn end(answer: &mut Answer<impl FnMut(Event)>, kind: EventKind, command: &Command, qty: u32, reason: Reason) {
    let freed = if kind == EventKind::Cancelled { event_flags::TAKER_FREE } else { 0 };
    answer.tell(kind, command.slot, NO_SLOT, command.tick, qty, reason, freed, true);
}

/// What becomes of an order's rest.
const fn ends(time_in_force: TimeInForce) -> (EventKind, Reason) {
    match time_in_force {
        TimeInForce::Gtc => (EventKind::Rested, Reason::None),
        TimeInForce::Ioc => (EventKind::Cancelled, Reason::ImmediateOrCancel),
        TimeInForce::Fok => (EventKind::Cancelled, Reason::FillOrKill),
    }
}

/// The crate `lobster`.
pub struct LobsterBook {
    book: Lobster,
    /// Side of each order, by its number: a replacement has to name it.
    sides: Vec<Side>,
}

impl LobsterBook {
    /// Whether it has every operation that a workload needs.
    pub fn can(work: &Workload) -> Result<(), &'static str> {
        use wirebook_matcher::flow::Op;
        if work.has(Op::Reduce) || work.has(Op::FillOrKill) {
            return Err("it has no reduce and no fill or kill");
        }
        Ok(())
    }

    fn enter(&mut self, command: &Command, side: Side, answer: &mut Answer<impl FnMut(Event)>) {
        let time_in_force = command.time_in_force().unwrap_or(TimeInForce::Ioc);
        let (id, price) = (u128::from(command.slot), u64::from(command.tick) + 1);
        let crosses = match side {
            Side::Buy => self.book.min_ask().is_some_and(|ask| ask <= price),
            Side::Sell => self.book.max_bid().is_some_and(|bid| bid >= price),
        };
        if command.post_only() && crosses {
            return end(answer, EventKind::Cancelled, command, command.qty, Reason::PostOnly);
        }
        let side = if side == Side::Buy { LobsterSide::Bid } else { LobsterSide::Ask };
        let order = LobsterOrder::Limit { id, side, qty: u64::from(command.qty), price };
        let (fills, filled) = match self.book.execute(order) {
            OrderEvent::Filled { fills, filled_qty, .. } | OrderEvent::PartiallyFilled { fills, filled_qty, .. } => {
                (fills, filled_qty as u32)
            }
            _ => (Vec::new(), 0),
        };
        let done = filled == command.qty;
        for (at, fill) in fills.iter().enumerate() {
            let last = done && at + 1 == fills.len();
            let maker_freed = if fill.total_fill { event_flags::MAKER_FREE } else { 0 };
            let freed = maker_freed | if last { event_flags::TAKER_FREE } else { 0 };
            tell_fill(answer, command.slot, fill.order_2 as u32, fill.price, fill.qty, freed, last);
        }
        if !done {
            let (kind, reason) = ends(time_in_force);
            if kind == EventKind::Cancelled {
                self.book.execute(LobsterOrder::Cancel { id });
            }
            end(answer, kind, command, command.qty - filled, reason);
        }
    }
}

impl Engine for LobsterBook {
    const NAMES: Names = Names::Numbers;

    fn new(work: &Workload) -> Self {
        let book = Lobster::new(work.limits.slots as usize, LOBSTER_QUEUE, false);
        Self { book, sides: vec![Side::Buy; work.numbers()] }
    }

    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        let mut answer = Answer::new(command, sink);
        let id = u128::from(command.slot);
        match Kind::from_byte(command.kind) {
            Some(Kind::New) => {
                self.sides[command.slot as usize] = command.side();
                self.enter(command, command.side(), &mut answer);
            }
            Some(Kind::Cancel) => {
                self.book.execute(LobsterOrder::Cancel { id });
                end(&mut answer, EventKind::Cancelled, command, 0, Reason::User);
            }
            Some(Kind::Replace) => {
                self.book.execute(LobsterOrder::Cancel { id });
                let (tick, qty, freed) = (command.tick, command.qty, event_flags::MAKER_FREE);
                answer.tell(EventKind::Replaced, command.slot, command.slot, tick, qty, Reason::None, freed, false);
                self.enter(command, self.sides[command.slot as usize], &mut answer);
            }
            _ => end(&mut answer, EventKind::Rejected, command, command.qty, Reason::BadKind),
        }
    }
}

/// A fill as the listener hears it: maker, price, quantity.
type Heard = (u32, u64, u64);

/// The crate `orderbook-rs`.
pub struct OrderBookRs {
    book: OrderBook<()>,
    /// Fills reach a listener, and only it when the order then fails (as one that cannot fill whole does).
    heard: Arc<Mutex<Vec<Heard>>>,
    sides: Vec<Side>,
}

impl OrderBookRs {
    fn enter(&mut self, command: &Command, side: Side, answer: &mut Answer<impl FnMut(Event)>) {
        let time_in_force = command.time_in_force().unwrap_or(TimeInForce::Ioc);
        let (id, price) = (Id::Sequential(u64::from(command.slot)), u128::from(command.tick) + 1);
        let side = if side == Side::Buy { BookSide::Buy } else { BookSide::Sell };
        let rule = match time_in_force {
            TimeInForce::Gtc => BookTimeInForce::Gtc,
            TimeInForce::Ioc => BookTimeInForce::Ioc,
            TimeInForce::Fok => BookTimeInForce::Fok,
        };
        let qty = u64::from(command.qty);
        let done = if command.post_only() {
            self.book.add_post_only_order(id, price, qty, side, rule, None)
        } else {
            self.book.add_limit_order(id, price, qty, side, rule, None)
        };
        let mut heard = self.heard.lock().expect("nobody panics with it");
        let mut leaves = command.qty;
        let (count, mut at) = (heard.len(), 0);
        for (maker, price, qty) in heard.drain(..) {
            at += 1;
            leaves -= qty as u32;
            let last = leaves == 0 && at == count;
            // Which maker is complete its fills do not tell.
            tell_fill(answer, command.slot, maker, price, qty, if last { event_flags::TAKER_FREE } else { 0 }, last);
        }
        if leaves > 0 {
            match (done, command.post_only()) {
                (Err(_), true) => end(answer, EventKind::Cancelled, command, leaves, Reason::PostOnly),
                _ => {
                    let (kind, reason) = ends(time_in_force);
                    end(answer, kind, command, leaves, reason);
                }
            }
        }
    }
}

impl Engine for OrderBookRs {
    const NAMES: Names = Names::Numbers;

    fn new(work: &Workload) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut book = OrderBook::new("BENCH");
        let told = Arc::clone(&heard);
        book.set_trade_listener(Arc::new(move |result| {
            let mut told = told.lock().expect("nobody panics with it");
            for trade in result.match_result.trades().as_vec() {
                let maker = match trade.maker_order_id() {
                    Id::Sequential(number) => number as u32,
                    other => unreachable!("every order was given a number: {other}"),
                };
                told.push((maker, trade.price().as_u128() as u64, trade.quantity().as_u64()));
            }
        }));
        Self { book, heard, sides: vec![Side::Buy; work.numbers()] }
    }

    fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) {
        let mut answer = Answer::new(command, sink);
        let id = Id::Sequential(u64::from(command.slot));
        match Kind::from_byte(command.kind) {
            Some(Kind::New) => {
                self.sides[command.slot as usize] = command.side();
                self.enter(command, command.side(), &mut answer);
            }
            Some(Kind::Cancel) => {
                let found = self.book.cancel_order(id).is_ok_and(|order| order.is_some());
                let kind = if found { EventKind::Cancelled } else { EventKind::Rejected };
                end(&mut answer, kind, command, 0, Reason::User);
            }
            Some(Kind::Reduce) => {
                let leaves = self.book.get_order(id).map_or(0, |order| order.visible_quantity().as_u64());
                let left = leaves.saturating_sub(u64::from(command.qty));
                let new_quantity = Quantity::new(left);
                if left > 0
                    && self.book.update_order(OrderUpdate::UpdateQuantity { order_id: id, new_quantity }).is_ok()
                {
                    end(&mut answer, EventKind::Reduced, command, command.qty, Reason::None);
                } else {
                    let _ = self.book.cancel_order(id);
                    end(&mut answer, EventKind::Cancelled, command, leaves as u32, Reason::User);
                }
            }
            Some(Kind::Replace) => {
                let _ = self.book.cancel_order(id);
                let (tick, qty, freed) = (command.tick, command.qty, event_flags::MAKER_FREE);
                answer.tell(EventKind::Replaced, command.slot, command.slot, tick, qty, Reason::None, freed, false);
                self.enter(command, self.sides[command.slot as usize], &mut answer);
            }
            _ => end(&mut answer, EventKind::Rejected, command, command.qty, Reason::BadKind),
        }
    }
}
