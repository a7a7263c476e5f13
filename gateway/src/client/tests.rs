use std::collections::VecDeque;

use proptest::prelude::*;
use wirebook_matcher::Reference;
use wirebook_matcher::abi::Side;
use wirebook_matcher::flow::{Band, Fill, Offline, Op, OrderLine, OrderState};

use super::*;
use crate::session::Alpha;
use crate::session::ouch::outbound::{Accepted, AccountQueryResponse, Canceled, Executed, Rejected, Replaced};
use crate::session::ouch::{
    self, Appendage, CancelReason, Capacity, ClOrdId, CrossType, Display, Inbound, LiquidityFlag, Price, RejectReason,
    Symbol, TagValue, TimeInForce, YesNo,
};

const SYMBOL: &str = "AAPL";
const FIRST: u32 = 17;

fn symbol() -> Symbol {
    Alpha::new(SYMBOL).unwrap()
}

/// A venue made of the offline matcher: what OUCH messages mean, answered at once and in order. Its book knows orders by their first
/// number; `by_ref` follows replacements.
struct MiniVenue {
    offline: Offline<Reference>,
    /// What each number stands for: the book's id, total, executed before.
    refs: std::collections::BTreeMap<u32, (u64, u32)>,
    sides: std::collections::BTreeMap<u64, Side>,
    current: std::collections::BTreeMap<u64, u32>,
    next: u32,
    matches: u64,
    out: VecDeque<Vec<u8>>,
}

impl MiniVenue {
    fn new() -> Self {
        Self {
            offline: Offline::new(Band::new(0, 200, 1).unwrap(), 4096),
            refs: Default::default(),
            sides: Default::default(),
            current: Default::default(),
            next: FIRST,
            matches: 0,
            out: VecDeque::new(),
        }
    }

    fn say(&mut self, encode: impl FnOnce(&mut [u8]) -> Result<usize, ouch::NoRoom>) {
        let mut bytes = vec![0; 256];
        let len = encode(&mut bytes).unwrap();
        bytes.truncate(len);
        self.out.push_back(bytes);
    }

    fn open(&self, book: u64) -> Option<OrderState> {
        self.offline.order(book)
    }

    fn fills(&mut self, fills: Vec<Fill>) {
        for fill in fills {
            self.matches += 1;
            for (book, flag) in [(fill.aggressor, LiquidityFlag::Removed), (fill.resting_id, LiquidityFlag::Added)] {
                let message = Executed {
                    timestamp: 0,
                    user_ref_num: self.current[&book],
                    quantity: fill.qty,
                    price: Price(fill.price as u64),
                    liquidity_flag: flag.into(),
                    match_number: self.matches,
                    appendage: Appendage::EMPTY,
                };
                self.say(|out| message.encode(out));
            }
        }
    }

    fn cancelled(&mut self, user_ref: u32, quantity: u32, reason: CancelReason) {
        let message = Canceled { timestamp: 0, user_ref_num: user_ref, quantity, reason: reason.into() };
        self.say(|out| message.encode(out));
    }

    fn apply(&mut self, line: OrderLine) -> Vec<Fill> {
        let mut fills = Vec::new();
        self.offline.apply(&line, |fill| fills.push(fill)).unwrap();
        fills
    }

    fn receive(&mut self, message: &[u8]) {
        match Inbound::decode(message).unwrap() {
            Inbound::Enter(order) => self.enter(&order),
            Inbound::Replace(order) => {
                let Some(&(book, total)) = self.refs.get(&order.orig_user_ref_num) else { return };
                let Some(state) = self.open(book) else { return };
                if self.current[&book] != order.orig_user_ref_num || order.user_ref_num < self.next {
                    return;
                }
                self.next = order.user_ref_num + 1;
                let executed = total - state.leaves;
                assert!(order.quantity > executed, "the client means leaves");
                let leaves = order.quantity - executed;
                self.refs.insert(order.user_ref_num, (book, order.quantity));
                self.current.insert(book, order.user_ref_num);
                let message = Replaced {
                    timestamp: 0,
                    orig_user_ref_num: order.orig_user_ref_num,
                    user_ref_num: order.user_ref_num,
                    side: ouch::Side::Buy.into(),
                    quantity: leaves,
                    symbol: symbol(),
                    price: order.price,
                    time_in_force: order.time_in_force,
                    display: Display::Visible.into(),
                    order_reference_number: book,
                    capacity: Capacity::Principal.into(),
                    inter_market_sweep_eligibility: YesNo::No.into(),
                    cross_type: CrossType::Continuous.into(),
                    order_state: ouch::OrderState::Live.into(),
                    cl_ord_id: order.cl_ord_id,
                    appendage: Appendage::EMPTY,
                };
                self.say(|out| message.encode(out));
                let line =
                    OrderLine { op: Op::Replace, id: book, side: Side::Buy, price: order.price.0 as i64, qty: leaves };
                let fills = self.apply(line);
                self.fills(fills);
            }
            Inbound::Cancel(order) => {
                let Some(&(book, total)) = self.refs.get(&order.user_ref_num) else { return };
                let Some(state) = self.open(book) else { return };
                if self.current[&book] != order.user_ref_num || order.quantity >= total {
                    return;
                }
                let gone = (total - order.quantity).min(state.leaves);
                self.refs.insert(order.user_ref_num, (book, order.quantity));
                let line = OrderLine { op: Op::Reduce, id: book, side: Side::Buy, price: 0, qty: gone };
                assert!(self.apply(line).is_empty());
                self.cancelled(order.user_ref_num, gone, CancelReason::UserRequested);
            }
            Inbound::Query(_) => {
                let message = AccountQueryResponse { timestamp: 0, next_user_ref_num: self.next };
                self.say(|out| message.encode(out));
            }
            other => panic!("the client sends no {other:?}"),
        }
    }

    fn enter(&mut self, order: &ouch::inbound::EnterOrder<'_>) {
        if order.user_ref_num < self.next {
            return;
        }
        self.next = order.user_ref_num + 1;
        let book = u64::from(order.user_ref_num);
        let reject = |reason: RejectReason| Rejected {
            timestamp: 0,
            user_ref_num: order.user_ref_num,
            reason: reason.into(),
            cl_ord_id: order.cl_ord_id,
        };
        if order.price.0 > 200 {
            let message = reject(RejectReason::InvalidPrice);
            return self.say(|out| message.encode(out));
        }
        let ioc = order.time_in_force.get() == Some(TimeInForce::Ioc);
        let has = |wanted: fn(&TagValue<'_>) -> bool| order.appendage.iter().any(|option| wanted(&option));
        let op = match (ioc, has(|o| matches!(o, TagValue::MinQty(_))), has(|o| matches!(o, TagValue::PostOnly(_)))) {
            (true, true, _) => Op::FillOrKill,
            (true, false, _) => Op::ImmediateOrCancel,
            (false, _, true) => Op::PostOnly,
            (false, _, false) => Op::Limit,
        };
        let side = if order.side.get() == Some(ouch::Side::Buy) { Side::Buy } else { Side::Sell };
        self.refs.insert(order.user_ref_num, (book, order.quantity));
        self.current.insert(book, order.user_ref_num);
        self.sides.insert(book, side);
        let message = Accepted {
            timestamp: 0,
            user_ref_num: order.user_ref_num,
            side: order.side,
            quantity: order.quantity,
            symbol: order.symbol,
            price: order.price,
            time_in_force: order.time_in_force,
            display: order.display,
            order_reference_number: book,
            capacity: order.capacity,
            inter_market_sweep_eligibility: order.inter_market_sweep_eligibility,
            cross_type: order.cross_type,
            order_state: ouch::OrderState::Live.into(),
            cl_ord_id: ClOrdId::BLANK,
            appendage: Appendage::EMPTY,
        };
        self.say(|out| message.encode(out));
        let line = OrderLine { op, id: book, side, price: order.price.0 as i64, qty: order.quantity };
        let fills = self.apply(line);
        let filled: u32 = fills.iter().map(|fill| fill.qty).sum();
        self.fills(fills);
        if self.open(book).is_none() && filled < order.quantity {
            let reason =
                if op == Op::PostOnly { CancelReason::PostOnlyContra } else { CancelReason::ImmediateOrCancel };
            self.cancelled(order.user_ref_num, order.quantity - filled, reason);
        }
    }
}

/// A replay over the mini venue: its answers come `lag` messages late, and a query follows every `every` messages.
fn replayed(lines: &[OrderLine], lag: usize, every: u32) -> (Vec<Fill>, Counts, u32) {
    let mut venue = MiniVenue::new();
    let mut orders = OuchOrders::new(symbol(), 1, FIRST);
    let mut fills = Vec::new();
    let mut barriers = 0;
    let mut hear = |venue: &mut MiniVenue, orders: &mut OuchOrders, keep: usize| {
        while venue.out.len() > keep {
            let message = venue.out.pop_front().unwrap();
            if let Told::Fill(fill) = orders.told(&message).unwrap() {
                fills.push(fill);
            }
        }
    };
    for line in lines {
        loop {
            match orders.plan(line) {
                Plan::Send { message, .. } => {
                    venue.receive(message.as_bytes());
                    break;
                }
                Plan::Refused(_) => break,
                Plan::Barrier => {
                    barriers += 1;
                    let query = orders.query();
                    venue.receive(query.as_bytes());
                    hear(&mut venue, &mut orders, 0);
                    assert_eq!(orders.unanswered(), 0);
                }
            }
        }
        if orders.since_query() >= every {
            let query = orders.query();
            venue.receive(query.as_bytes());
        }
        hear(&mut venue, &mut orders, lag);
    }
    let query = orders.query();
    venue.receive(query.as_bytes());
    hear(&mut venue, &mut orders, 0);
    assert_eq!(orders.unpaired(), 0);
    (fills, orders.counts(), barriers)
}

fn offline(lines: &[OrderLine]) -> (Vec<Fill>, wirebook_matcher::flow::Summary) {
    let mut offline = Offline::<Reference>::new(Band::new(0, 200, 1).unwrap(), 4096);
    let mut fills = Vec::new();
    for line in lines {
        let _ = offline.apply(line, |fill| fills.push(fill));
    }
    (fills, offline.summary())
}

fn line(text: &str) -> OrderLine {
    OrderLine::parse(text).unwrap()
}

fn any_line() -> impl Strategy<Value = OrderLine> {
    let op = prop::sample::select(vec!["A", "A", "A", "X", "F", "P", "R", "C", "U", "U", "R"]);
    (op, 1_u64..12, any::<bool>(), 95_i64..105, 0_u32..12)
        .prop_map(|(op, id, buy, price, qty)| line(&format!("{op},{id},{},{price},{qty}", if buy { 1 } else { -1 })))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Over OUCH as offline: the same fills in the same order and the same number of refusals, however late the answers come.
    #[test]
    fn a_replay_is_a_match(lines in prop::collection::vec(any_line(), 0..120), lag in 0_usize..40, every in 1_u32..30) {
        let (told, counts, _) = replayed(&lines, lag, every);
        let (wanted, summary) = offline(&lines);
        prop_assert_eq!(told, wanted);
        prop_assert_eq!(counts.lines, lines.len() as u64);
        prop_assert_eq!(counts.refused.iter().sum::<u64>(), summary.refused);
        prop_assert_eq!(counts.fills, summary.fills);
        prop_assert_eq!(counts.traded, summary.traded);
    }
}

#[test]
fn a_replacement_of_a_partly_filled_order_means_leaves() {
    let lines: Vec<OrderLine> =
        ["A,1,1,100,10", "X,2,-1,100,4", "U,1,1,101,7", "X,3,-1,101,9"].iter().map(|text| line(text)).collect();
    let (told, _, barriers) = replayed(&lines, 100, 100);
    assert_eq!(told, offline(&lines).0);
    assert_eq!(told[1].qty, 7, "its new leaves, not what the total would leave");
    assert_eq!(barriers, 1, "what the order had executed was not known");
}

#[test]
fn orders_that_nothing_could_touch_need_no_barrier() {
    let lines: Vec<OrderLine> = ["A,1,1,100,10", "A,2,-1,110,10"].iter().map(|text| line(text)).collect();
    let mut orders = OuchOrders::new(symbol(), 1, FIRST);
    let mut venue = MiniVenue::new();
    let mut send = |orders: &mut OuchOrders, text: &str| match orders.plan(&line(text)) {
        Plan::Send { message, .. } => {
            venue.receive(message.as_bytes());
            while let Some(answer) = venue.out.pop_front() {
                orders.told(&answer).unwrap();
            }
            true
        }
        Plan::Barrier => {
            let query = orders.query();
            venue.receive(query.as_bytes());
            while let Some(answer) = venue.out.pop_front() {
                orders.told(&answer).unwrap();
            }
            false
        }
        Plan::Refused(refusal) => panic!("{refusal}"),
    };
    lines.iter().for_each(|line| assert!(send(&mut orders, &line.to_string())));
    assert!(!send(&mut orders, "U,1,1,101,5"), "its own entry is not confirmed");
    assert!(send(&mut orders, "A,3,-1,102,1"));
    assert!(send(&mut orders, "U,1,1,101,5"), "a sell at 102 cannot touch a buy at 100");
    assert!(send(&mut orders, "A,4,-1,101,1"), "it trades with 1");
    assert!(!send(&mut orders, "U,1,1,100,5"));
}

#[test]
fn what_ouch_cannot_say_is_refused_here() {
    let mut orders = OuchOrders::new(symbol(), 100, 1);
    for (text, refusal) in [
        ("A,1,1,150,10", Refusal::OffGrid),
        ("A,1,1,-100,10", Refusal::OuchPrice),
        ("A,1,1,2000000000,10", Refusal::OuchPrice),
        ("A,1,1,100,0", Refusal::ZeroQty),
        ("A,1,1,100,1000000", Refusal::OuchQty),
        ("C,1,1,100,0", Refusal::UnknownId),
    ] {
        let Plan::Refused(found) = orders.plan(&line(text)) else { panic!("{text} was not refused") };
        assert_eq!(found, refusal, "{text}");
        assert!(!found.to_string().is_empty());
    }
    assert_eq!(orders.counts().refused.iter().sum::<u64>(), 6);
    assert_eq!(orders.counts().sent, 0);
}

#[test]
fn rejects_are_counted_and_the_id_is_free_again() {
    let lines: Vec<OrderLine> =
        ["A,1,1,300,10", "A,1,1,100,10", "X,2,-1,100,3"].iter().map(|text| line(text)).collect();
    let (told, counts, _) = replayed(&lines, 0, 1);
    assert_eq!((told.len(), counts.rejected, counts.accepted), (1, 1, 2));
}

#[test]
fn knowing_callers_need_no_barrier() {
    let mut orders = OuchOrders::new(symbol(), 1, 1);
    assert!(matches!(orders.plan_knowing(&line("A,1,1,100,10"), 0), Plan::Send { user_ref: 1, .. }));
    let Plan::Send { message, user_ref: 2 } = orders.plan_knowing(&line("U,1,1,101,5"), 4) else { panic!() };
    let Ok(Inbound::Replace(replace)) = Inbound::decode(message.as_bytes()) else { panic!() };
    assert_eq!((replace.orig_user_ref_num, replace.quantity), (1, 9));
    let Plan::Send { message, .. } = orders.plan_knowing(&line("R,1,1,0,2"), 4) else { panic!() };
    let Ok(Inbound::Cancel(cancel)) = Inbound::decode(message.as_bytes()) else { panic!() };
    assert_eq!((cancel.user_ref_num, cancel.quantity), (2, 7));
}

#[test]
fn a_venue_that_contradicts_itself_is_not_believed() {
    let mut orders = OuchOrders::new(symbol(), 1, 1);
    assert!(orders.told(b"").is_err());
    assert!(orders.told(b"\xff\x00").is_err());
    let mut venue = MiniVenue::new();
    venue.receive(Outgoing::query().as_bytes());
    assert!(orders.told(&venue.out.pop_front().unwrap()).is_err(), "nothing was asked");
    let Plan::Send { message, .. } = OuchOrders::new(symbol(), 1, FIRST).plan(&line("A,1,1,100,10")) else { panic!() };
    venue.receive(message.as_bytes());
    assert_eq!(orders.told(&venue.out.pop_front().unwrap()), Ok(Told::Foreign));
}
