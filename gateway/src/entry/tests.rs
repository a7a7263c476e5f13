//! OUCH's rules, one by one, through entry, books, matcher and fold; and random days at every lag.

use std::collections::BTreeSet;

use wirebook_settlement::record::{DayPhase, HaltMode, Payload, Registry, RiskLimits, State, Transfer};

use super::chaos::Chaos;
use super::harness::{MAX_QTY, SLOTS, SYMBOLS, Venue, options, order, re_execute, replacement};
use super::{Entry, Garbage, Refused, Verdict};
use crate::session::Alpha;
use crate::session::ouch::inbound::{
    AccountQuery, CancelOrder, DisableOrderEntry, EnableOrderEntry, Inbound, MassCancel, ModifyOrder,
};
use crate::session::ouch::{Code, Firm, RejectReason, Side, TagValue, TimeInForce};

fn enter(user_ref: u32, side: Side, quantity: u32, price: u64) -> Inbound<'static> {
    Inbound::Enter(order(user_ref, side, quantity, price))
}

fn cancel(user_ref_num: u32, quantity: u32) -> Inbound<'static> {
    Inbound::Cancel(CancelOrder { user_ref_num, quantity })
}

fn modify(user_ref_num: u32, side: Side, quantity: u32) -> Inbound<'static> {
    Inbound::Modify(ModifyOrder { user_ref_num, side: side.into(), quantity })
}

fn replace(old: u32, new: u32, quantity: u32, price: u64) -> Inbound<'static> {
    Inbound::Replace(replacement(old, new, quantity, price))
}

/// Sends a message; answers the verdict and what the session was told.
fn told(venue: &mut Venue, session: u32, message: &Inbound<'_>) -> (Verdict, Vec<String>) {
    let before = venue.told(session).len();
    let verdict = venue.send(session, message);
    venue.check_funds();
    (verdict, venue.heard(session, before))
}

fn hears(venue: &mut Venue, session: u32, message: &Inbound<'_>, expected: &[&str]) {
    let (verdict, heard) = told(venue, session, message);
    assert_eq!(heard, expected, "{message:?}");
    let quiet = if expected.is_empty() { Verdict::Ignored } else { Verdict::Handled };
    assert_eq!(verdict, quiet, "{message:?}");
}

#[test]
fn enter_fill_cancel() {
    let mut venue = Venue::open();
    hears(&mut venue, 1, &enter(1, Side::Sell, 100, 1_000_000), &["A 1 Sell 100 @1000000"]);
    let before = venue.told(1).len();
    hears(&mut venue, 2, &enter(1, Side::Buy, 30, 1_000_100), &["A 1 Buy 30 @1000100", "E 1 30 @1000000 Removed #1"]);
    assert_eq!(venue.heard(1, before), ["E 1 30 @1000000 Added #1"]);
    hears(&mut venue, 1, &cancel(1, 0), &["C 1 70 UserRequested"]);
    hears(&mut venue, 1, &cancel(1, 0), &[]);
    assert_eq!(venue.entry.live(), 0);
}

#[test]
fn numbers_are_the_accounts_and_grow() {
    let mut venue = Venue::open();
    hears(&mut venue, 1, &enter(5, Side::Buy, 1, 950_000), &["A 5 Buy 1 @950000"]);
    hears(&mut venue, 4, &enter(5, Side::Buy, 1, 950_000), &[]);
    hears(&mut venue, 4, &enter(3, Side::Buy, 1, 950_000), &[]);
    hears(&mut venue, 4, &Inbound::Query(AccountQuery { appendage: None }), &["Q 6"]);
    hears(&mut venue, 4, &enter(9, Side::Buy, 0, 950_000), &["J 9 InvalidQuantity"]);
    hears(&mut venue, 1, &enter(9, Side::Buy, 1, 950_000), &[]);
    hears(&mut venue, 2, &enter(1, Side::Buy, 1, 950_000), &["A 1 Buy 1 @950000"]);
    // A replacement that is ignored, or that cancels, uses no number; one that is rejected does.
    hears(&mut venue, 1, &replace(77, 10, 5, 950_000), &[]);
    hears(&mut venue, 1, &replace(5, 11, 5, 950_050), &["C 5 1 UserRequested"]);
    hears(&mut venue, 1, &Inbound::Query(AccountQuery { appendage: None }), &["Q 10"]);
    hears(&mut venue, 1, &enter(10, Side::Buy, 1, 950_000), &["A 10 Buy 1 @950000"]);
    venue.submit(&Payload::State(State::Halt { instrument: 0, mode: HaltMode::Halted }));
    hears(&mut venue, 1, &replace(10, 12, 5, 950_000), &["J 12 Halted"]);
    hears(&mut venue, 1, &Inbound::Query(AccountQuery { appendage: None }), &["Q 13"]);
    hears(&mut venue, 1, &cancel(10, 0), &["C 10 1 UserRequested"]);
}

#[test]
fn totals_include_what_was_executed() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Sell, 100, 1_000_000));
    venue.send(2, &enter(1, Side::Buy, 40, 1_000_000));
    // 60 open of 100: to a total of 90 takes 10 off; the same again is superfluous.
    hears(&mut venue, 1, &cancel(1, 90), &["C 1 10 UserRequested"]);
    hears(&mut venue, 1, &cancel(1, 90), &[]);
    hears(&mut venue, 1, &cancel(1, 120), &[]);
    hears(&mut venue, 1, &modify(1, Side::Sell, 70), &["M 1 Sell 30"]);
    hears(&mut venue, 1, &modify(1, Side::Sell, 500), &[]);
    hears(&mut venue, 1, &modify(1, Side::SellShort, 70), &["M 1 SellShort 30"]);
    hears(&mut venue, 1, &modify(1, Side::Buy, 60), &[]);
    hears(&mut venue, 1, &replace(1, 2, 200, 1_000_200), &["U 1->2 160 @1000200"]);
    venue.send(2, &enter(2, Side::Buy, 10, 1_000_200));
    hears(&mut venue, 1, &replace(2, 3, 60, 1_000_300), &["U 2->3 10 @1000300"]);
    hears(&mut venue, 1, &replace(3, 4, 50, 1_000_300), &["C 3 10 UserRequested"]);
    hears(&mut venue, 4, &enter(4, Side::Sell, 5, 1_000_500), &["A 4 Sell 5 @1000500"]);
    assert_eq!(told(&mut venue, 1, &cancel(4, 0)), (Verdict::Handled, vec![]));
    assert_eq!(venue.heard(4, venue.told(4).len() - 1), ["C 4 5 UserRequested"], "told to who entered it");
}

#[test]
fn a_total_below_fills_in_flight_ends_the_order() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Sell, 100, 1_000_000));
    venue.say(2, &enter(1, Side::Buy, 60, 1_000_000));
    venue.carry(usize::MAX);
    let before = venue.told(1).len();
    // Entry has not heard of the 60: it sends a relative replacement that leaves nothing.
    assert_eq!(venue.say(1, &replace(1, 2, 50, 1_000_100)), Verdict::Handled);
    assert_eq!(venue.say(1, &cancel(2, 10)), Verdict::Handled);
    venue.check_funds();
    venue.settle();
    venue.check_funds();
    assert_eq!(venue.heard(1, before), ["C 1 40 UserRequested"]);
    assert_eq!(venue.entry.live(), 0);
    // And one that the matcher finds dead is rejected.
    venue.send(1, &enter(3, Side::Sell, 10, 1_000_000));
    venue.say(2, &enter(2, Side::Buy, 10, 1_000_000));
    venue.carry(usize::MAX);
    let before = venue.told(1).len();
    venue.say(1, &replace(3, 4, 50, 1_000_100));
    venue.settle();
    venue.check_funds();
    assert_eq!(venue.heard(1, before), ["J 4 ProcessingError"]);
    assert_eq!(venue.entry.live(), 0);
}

#[test]
fn what_may_not_rest_says_why() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Sell, 10, 1_000_000));
    let mut ioc = order(1, Side::Buy, 15, 1_000_000);
    ioc.time_in_force = TimeInForce::Ioc.into();
    ioc.appendage = options(&[TagValue::MinQty(15)]);
    hears(&mut venue, 2, &Inbound::Enter(ioc), &["A 1 Buy 15 @1000000", "C 1 15 ImmediateOrCancel"]);
    let mut post = order(2, Side::Buy, 15, 1_000_000);
    post.appendage = options(&[TagValue::PostOnly(Code::from_raw(b'P'))]);
    hears(&mut venue, 2, &Inbound::Enter(post), &["A 2 Buy 15 @1000000", "C 2 15 PostOnlyContra"]);
    // A market order takes what is there.
    let mut market = order(3, Side::Buy, 15, 0x7FFF_FFFF);
    hears(&mut venue, 2, &Inbound::Enter(market), &["J 3 InvalidPrice"]);
    market.user_ref_num = 4;
    market.time_in_force = TimeInForce::Ioc.into();
    let expected = ["A 4 Buy 15 @2147483647", "E 4 10 @1000000 Removed #1", "C 4 5 ImmediateOrCancel"];
    hears(&mut venue, 2, &Inbound::Enter(market), &expected);
}

#[test]
fn orders_of_one_owner_do_not_meet() {
    let mut venue = Venue::open();
    // Accounts 2 (newest) and 4 (both) have one owner.
    venue.send(1, &enter(1, Side::Sell, 10, 1_000_000));
    let newest = ["A 2 Buy 4 @1000100", "D 2 4 prevented 4 @1000100 Removed N"];
    hears(&mut venue, 4, &enter(2, Side::Buy, 4, 1_000_100), &newest);
    let before = venue.told(1).len();
    let both = ["A 1 Buy 4 @1000100", "D 1 4 prevented 4 @1000000 Removed B"];
    hears(&mut venue, 3, &enter(1, Side::Buy, 4, 1_000_100), &both);
    assert_eq!(venue.heard(1, before), ["D 1 10 prevented 4 @1000000 Added B"]);
    // Account 3 cancels its oldest.
    venue.send(2, &enter(1, Side::Sell, 10, 1_000_000));
    let oldest = ["A 2 Buy 4 @1000100", "D 1 10 prevented 4 @1000000 Added O"];
    hears(&mut venue, 2, &enter(2, Side::Buy, 4, 1_000_100), &oldest);
}

#[test]
fn a_frozen_instrument_keeps_cancels_waiting() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Sell, 10, 1_000_000));
    venue.send(1, &enter(2, Side::Sell, 10, 1_000_100));
    venue.submit(&Payload::State(State::Halt { instrument: 0, mode: HaltMode::Frozen }));
    hears(&mut venue, 1, &enter(3, Side::Sell, 10, 1_000_000), &["J 3 Halted"]);
    hears(&mut venue, 1, &cancel(1, 0), &["P 1"]);
    hears(&mut venue, 1, &cancel(1, 0), &["I 1"]);
    hears(&mut venue, 1, &replace(1, 4, 5, 1_000_000), &["J 4 CancelPending"]);
    hears(&mut venue, 1, &cancel(2, 4), &["P 2"]);
    let before = venue.told(1).len();
    venue.submit(&Payload::State(State::Halt { instrument: 0, mode: HaltMode::Halted }));
    venue.settle();
    venue.check_funds();
    assert_eq!(venue.heard(1, before), ["C 1 10 UserRequested", "C 2 6 UserRequested"]);
    hears(&mut venue, 1, &cancel(2, 0), &["C 2 4 UserRequested"]);
}

#[test]
fn the_clock_the_day_and_the_line_end_orders() {
    let mut venue = Venue::open();
    let mut gtt = order(1, Side::Sell, 10, 1_000_000);
    gtt.time_in_force = TimeInForce::Gtt.into();
    gtt.appendage = options(&[TagValue::ExpireTime(2)]);
    venue.send(1, &Inbound::Enter(gtt));
    let before = venue.told(1).len();
    venue.now += 1_999_999_999;
    venue.entry.timer(venue.now, &mut venue.seq);
    venue.settle();
    assert_eq!(venue.heard(1, before), [""; 0], "not early");
    venue.now += 1_000_000_001;
    venue.entry.timer(venue.now, &mut venue.seq);
    venue.settle();
    assert_eq!(venue.heard(1, before), ["C 1 10 Expired"]);
    // Session 1 cancels on disconnect, session 4 does not; both are the same account's.
    venue.send(1, &enter(2, Side::Sell, 10, 1_000_000));
    venue.send(4, &enter(3, Side::Sell, 10, 1_000_000));
    let before = (venue.told(1).len(), venue.told(4).len());
    for session in [1, 4] {
        venue.entry.disconnect(session, wirebook_settlement::record::Act::Disconnect, venue.now, &mut venue.seq);
    }
    venue.settle();
    assert_eq!((venue.heard(1, before.0), venue.heard(4, before.1)), (vec!["C 2 10 System".into()], vec![]));
    let before = venue.told(4).len();
    venue.day(DayPhase::Close, 20_261_121);
    venue.settle();
    venue.check_funds();
    assert_eq!(venue.heard(4, before), ["C 3 10 Expired", "S EndOfDay"]);
    hears(&mut venue, 1, &enter(4, Side::Sell, 10, 1_000_000), &["J 4 DestinationClosed"]);
    venue.day(DayPhase::Open, 20_261_122);
    venue.settle();
    assert_eq!(venue.heard(4, 0), ["S StartOfDay"], "a new day's stream");
    hears(&mut venue, 1, &enter(1, Side::Sell, 10, 1_000_000), &["A 1 Sell 10 @1000000"]);
}

#[test]
fn mass_cancel_and_the_accounts_own_switch() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Sell, 10, 1_000_000));
    venue.send(1, &enter(2, Side::Buy, 10, 950_000));
    let mut coin = order(3, Side::Sell, 10, 1_000_000);
    coin.symbol = Alpha::new(SYMBOLS[1]).expect("short");
    venue.send(4, &Inbound::Enter(coin));
    let request = |user_ref_num, symbol: &str, appendage| {
        let symbol = Alpha::new(symbol).expect("short");
        Inbound::MassCancel(MassCancel { user_ref_num, firm: Firm::BLANK, symbol, appendage })
    };
    let buys = options(&[TagValue::Side(Side::Buy.into())]);
    hears(&mut venue, 4, &request(4, "NOSUCH", options(&[])), &["J 4 InvalidSymbol"]);
    hears(&mut venue, 4, &request(4, "", options(&[])), &[]);
    let before = venue.told(1).len();
    hears(&mut venue, 4, &request(5, "", buys), &["X 5"]);
    assert_eq!(venue.heard(1, before), ["C 2 10 UserRequested"]);
    hears(&mut venue, 4, &request(6, "", options(&[])), &["X 6", "C 3 10 UserRequested"]);
    assert_eq!(venue.entry.live(), 0);
    let (firm, appendage) = (Firm::BLANK, options(&[]));
    hears(&mut venue, 1, &Inbound::Disable(DisableOrderEntry { user_ref_num: 7, firm, appendage }), &["G 7"]);
    hears(&mut venue, 4, &enter(8, Side::Buy, 1, 950_000), &["J 8 FirmNotAuthorized"]);
    hears(&mut venue, 1, &Inbound::Enable(EnableOrderEntry { user_ref_num: 9, firm, appendage }), &["K 9"]);
    hears(&mut venue, 4, &enter(10, Side::Buy, 1, 950_000), &["A 10 Buy 1 @950000"]);
    // The venue's own switch takes the orders with it.
    let before = venue.told(4).len();
    venue.submit(&Payload::State(State::Kill { account: 2, on: true }));
    venue.settle();
    assert_eq!(venue.heard(4, before), ["C 10 1 Supervisory"]);
    hears(&mut venue, 4, &enter(11, Side::Buy, 1, 950_000), &["J 11 Other"]);
    hears(&mut venue, 2, &enter(1, Side::Buy, 1, 950_000), &["A 1 Buy 1 @950000"]);
}

/// Every refusal of the risk checks, by its cause.
#[test]
fn each_check_has_its_reason() {
    let mut venue = Venue::open();
    let limits = RiskLimits {
        account: 2,
        max_order_qty: 100,
        max_notional: 9_000_000_000,
        max_open_orders: 2,
        collar_ticks: 50,
        messages_per_second: 100,
        duplicates_per_second: 0,
    };
    venue.limits(limits);
    venue.submit(&Payload::State(State::Mark { instrument: 0, price_ticks: 10_000 }));
    venue.settle();
    let reject =
        |venue: &mut Venue, change: &dyn Fn(&mut crate::session::ouch::inbound::EnterOrder<'static>), reason| {
            let mut message = order(venue.entry.last_ref(2) + 1, Side::Buy, 10, 999_900);
            change(&mut message);
            let expected = format!("J {} {reason:?}", message.user_ref_num);
            assert_eq!(told(venue, 1, &Inbound::Enter(message)).1, [expected]);
        };
    use RejectReason as Why;
    reject(&mut venue, &|m| m.side = Code::from_raw(b'Z'), Why::InvalidSide);
    reject(&mut venue, &|m| m.symbol = Alpha::new("NOSUCH").expect("short"), Why::InvalidSymbol);
    reject(&mut venue, &|m| m.quantity = 1_000_000, Why::InvalidQuantity);
    reject(&mut venue, &|m| m.quantity = 101, Why::SharesExceedThreshold);
    reject(&mut venue, &|m| m.quantity = 95, Why::ExceedsMaximumNotional);
    reject(&mut venue, &|m| m.price.0 = 999_950, Why::InvalidPrice);
    reject(&mut venue, &|m| m.price.0 = 899_900, Why::InvalidPrice);
    reject(&mut venue, &|m| m.price.0 = 1_005_100, Why::RiskFatFinger);
    reject(&mut venue, &|m| m.display = Code::from_raw(b'N'), Why::InvalidDisplay);
    reject(&mut venue, &|m| m.inter_market_sweep_eligibility = Code::from_raw(b'Y'), Why::IsoNotAllowed);
    reject(&mut venue, &|m| m.cross_type = Code::from_raw(b'O'), Why::InvalidCrossOrder);
    reject(&mut venue, &|m| m.appendage = options(&[TagValue::MaxFloor(5)]), Why::InvalidMaxFloor);
    reject(&mut venue, &|m| m.appendage = options(&[TagValue::MinQty(5)]), Why::InvalidMinQuantity);
    reject(&mut venue, &|m| m.appendage = options(&[TagValue::PegOffset(5)]), Why::PeggingNotAllowed);
    let peg = TagValue::PriceType(Code::from_raw(b'M'));
    reject(&mut venue, &|m| m.appendage = options(&[peg]), Why::InvalidPegType);
    reject(&mut venue, &|m| m.appendage = options(&[TagValue::Route(Alpha(*b"AWAY"))]), Why::RoutingNotAllowed);
    reject(&mut venue, &|m| m.time_in_force = Code::from_raw(b'E'), Why::RiskOrderTypeRestricted);
    reject(&mut venue, &|m| (m.side, m.price.0) = (Side::Sell.into(), 994_900), Why::RiskFatFinger);
    // The same order, two times beyond the first.
    let limits = RiskLimits { duplicates_per_second: 2, ..limits };
    venue.limits(limits);
    let start = venue.entry.last_ref(2);
    for number in 1..=3 {
        let expected = if number == 3 { "J" } else { "A" };
        assert_eq!(told(&mut venue, 1, &enter(start + number, Side::Buy, 1, 950_000)).1[0][..1], *expected);
    }
    reject(&mut venue, &|m| (m.quantity, m.price.0) = (1, 950_000), Why::RiskDuplicateMessageRate);
    reject(&mut venue, &|_| {}, Why::RiskAggregateExposure);
    venue.limits(RiskLimits { max_open_orders: 9, max_notional: i128::MAX, ..limits });
    let money = venue.entry.available(2, 2);
    let paid_out = Transfer { id: 99, from: 2, to: 0, asset: 2, amount: money - 100_000_000 };
    venue.submit(&Payload::Transfer(paid_out));
    venue.settle();
    reject(&mut venue, &|_| {}, Why::RiskAggregateExposure);
    let restriction = wirebook_settlement::record::Restriction { account: 2, instrument: 0, restricted: true };
    venue.submit(&Payload::Registry(Registry::Restrict(restriction)));
    reject(&mut venue, &|_| {}, Why::RiskRestrictedStock);
    venue.limits(RiskLimits { messages_per_second: 1, ..limits });
    reject(&mut venue, &|_| {}, Why::RiskPortMessageRate);
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let mut venue = Venue::open();
    for bytes in [&b""[..], b"O", b"Z123", &[b'X'; 10], &[b'O'; 48]] {
        let verdict = venue.entry.message(1, bytes, venue.now, &mut venue.seq);
        assert!(matches!(verdict, Verdict::Disconnect(Garbage::Undecodable(_))), "{bytes:?}: {verdict:?}");
    }
    let stranger = venue.entry.message(9, b"Q", venue.now, &mut venue.seq);
    assert_eq!(stranger, Verdict::Disconnect(Garbage::UnknownSession(9)));
    assert!(venue.seq.is_empty(), "no record was made");
}

#[test]
fn the_venue_refuses_itself_what_the_books_would() {
    let mut venue = Venue::open();
    let mut refused =
        |payload: Payload<'_>| venue.entry.submit(&payload, venue.now, &mut venue.seq).expect_err("refused");
    let transfer = Transfer { id: 50, from: 2, to: 3, asset: 2, amount: 1 << 100 };
    assert!(matches!(refused(Payload::Transfer(transfer)), Refused::Funds { .. }));
    assert!(matches!(refused(Payload::Transfer(Transfer { id: 0, amount: 1, ..transfer })), Refused::Repeated { .. }));
    assert!(matches!(refused(Payload::Transfer(Transfer { to: 77, ..transfer })), Refused::Transfer { .. }));
    let day = State::Day { date: 20_261_120, phase: DayPhase::Open, session_name: *b"DAY       " };
    assert!(matches!(refused(Payload::State(day)), Refused::Registry(_)));
    venue.send(1, &enter(1, Side::Buy, 1, 950_000));
    let fee = wirebook_settlement::record::Fee { instrument: 0, maker_ppm: 0, taker_ppm: 0 };
    let refusal = venue.entry.submit(&Payload::Registry(Registry::Fee(fee)), venue.now, &mut venue.seq);
    assert!(matches!(refusal, Err(Refused::Registry(_))), "{refusal:?}");
    venue.settle();
    venue.check_funds();
}

/// Random days: risk is never laxer than the books at any lag (checked at each step), and an entry rebuilt from the journal is
/// the one that wrote it, and goes on byte for byte the same.
#[test]
fn an_entry_rebuilt_from_the_journal_goes_on_the_same() {
    let mut kinds = BTreeSet::new();
    let (mut moved, mut refused) = (0, 0);
    for seed in 0..12 {
        let mut venue = Venue::open();
        let mut chaos = Chaos::new(seed);
        chaos.day(&mut venue, 1_500);
        moved += chaos.moved;
        refused += chaos.refused;
        let mut rebuilt = Entry::new(SLOTS, MAX_QTY);
        re_execute(&venue.journal, |record, events| {
            rebuilt.replay(record);
            for (event, _) in events {
                kinds.insert((event.kind, event.reason));
                rebuilt.event(event);
            }
        });
        assert_eq!(rebuilt.difference(&venue.entry), None, "seed {seed}");
        let image = venue.entry.image().expect("nothing is in flight");
        let restored = Entry::restore(&image, SLOTS, MAX_QTY).expect("an image");
        assert_eq!(restored.difference(&venue.entry), None, "seed {seed}: the image");
        // The same messages to both: the same records.
        let (mut one, mut other) = (venue.seq.clone(), venue.seq.clone());
        let mut ahead = Chaos::new(seed + 1_000);
        ahead.go_on(&rebuilt);
        let mut made = 0;
        for _ in 0..300 {
            let (session, message) = ahead.any();
            let mut bytes = [0; 1024];
            let length = message.encode(&mut bytes).expect("room");
            let verdict = venue.entry.message(session, &bytes[..length], venue.now, &mut one);
            assert_eq!(rebuilt.message(session, &bytes[..length], venue.now, &mut other), verdict);
            assert_eq!(one.take(), other.take(), "seed {seed}: {message:?}");
            made += usize::from(verdict == Verdict::Handled);
        }
        assert!(made > 100, "seed {seed}: only {made} messages were more than ignored");
    }
    assert!(kinds.len() >= 10, "the days were too quiet: {kinds:?}");
    assert!(moved >= 20 && refused >= 20, "{moved} transfers in steps, {refused} that the books would refuse");
}

/// An image is whole or refused: cut anywhere, or with any byte changed, it never panics, and cut it is never taken.
#[test]
fn an_image_is_taken_at_rest_and_read_whole() {
    let mut venue = Venue::open();
    Chaos::new(3).day(&mut venue, 300);
    let image = venue.entry.image().expect("nothing is in flight");
    venue.say(1, &cancel(1, 0));
    venue.say(2, &enter(venue.entry.last_ref(3) + 1, Side::Buy, 1, 950_000));
    assert_eq!(venue.entry.image(), None, "something is in flight");
    venue.settle();
    assert!(venue.entry.image().is_some_and(|later| later != image));
    for cut in 0..image.len() {
        assert!(Entry::restore(&image[..cut], SLOTS, MAX_QTY).is_err(), "cut at {cut}");
    }
    for at in (0..image.len()).step_by(7) {
        let mut damaged = image.clone();
        damaged[at] ^= 0x81;
        let _ = Entry::restore(&damaged, SLOTS, MAX_QTY).map(|entry| entry.live());
    }
    assert!(Entry::restore(&image, 1, MAX_QTY).is_err() || venue.entry.live() <= 1, "another size of shard");
}

/// The check of funds can fail: a risk that gives back at once what a replacement frees, and not when its event is here, is caught.
#[test]
#[should_panic(expected = "account 2, asset 2")]
fn a_risk_that_is_too_lax_is_caught() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Buy, 100, 1_000_000));
    venue.say(1, &replace(1, 2, 10, 950_000));
    let freed = crate::risk::Need { asset: 2, amount: 90_000_000 };
    venue.entry.risk.give(2, freed);
    venue.check_funds();
}

/// After a crash: sessions that were logged in are disconnected, their orders go if their flag says so, and cancels that were waiting for
/// an instrument which is frozen no more are sent.
#[test]
fn a_restart_does_what_was_left_to_do() {
    let mut venue = Venue::open();
    venue.send(1, &enter(1, Side::Sell, 10, 1_000_000));
    venue.send(2, &enter(1, Side::Sell, 20, 1_000_000));
    venue.send(2, &enter(2, Side::Sell, 30, 1_000_000));
    venue.submit(&Payload::State(State::Halt { instrument: 0, mode: HaltMode::Frozen }));
    venue.send(2, &cancel(2, 0));
    venue.entry.disconnect(4, wirebook_settlement::record::Act::Logout, venue.now, &mut venue.seq);
    venue.settle();
    // The release is on disk; the cancels that it should cause are not.
    let halt = Payload::State(State::Halt { instrument: 0, mode: HaltMode::Trading });
    venue.seq.push(0, &halt);
    venue.settle();
    let mut rebuilt = Entry::new(SLOTS, MAX_QTY);
    re_execute(&venue.journal, |record, events| {
        rebuilt.replay(record);
        events.iter().for_each(|(event, _)| rebuilt.event(event));
    });
    venue.entry = rebuilt;
    let before = (venue.told(1).len(), venue.told(2).len());
    venue.entry.resume(venue.now, &mut venue.seq);
    venue.settle();
    venue.check_funds();
    assert_eq!(venue.heard(1, before.0), ["C 1 10 System"]);
    assert_eq!(venue.heard(2, before.1), ["C 2 30 UserRequested"], "session 2 keeps its orders");
    let quiet = venue.journal.len();
    venue.entry.resume(venue.now, &mut venue.seq);
    venue.settle();
    assert_eq!(venue.journal.len(), quiet, "once is enough");
}
