//! What the books cost an order: printed, never judged. Run it in release and look:
//! `cargo nextest run --release -p wirebook-settlement speed --no-capture`.

use std::time::Instant;

use wirebook_matcher::Software;
use wirebook_matcher::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, Side, event_flags};

use super::gateway::{Gateway, venue};
use crate::machine::{Books, Machine, done};
use crate::record::{Order, Origin, Payload, Protocol, Record, records};

const ROUNDS: u32 = 40_000;

/// New orders that rest and are cancelled, pairs that trade: nanoseconds each, the best of a few runs.
#[test]
fn what_admitting_and_booking_an_order_costs() {
    let (mut gateway, mut books) = (Gateway::new(1), Books::new(0));
    for payload in venue() {
        let record = gateway.record(&books, (0, payload));
        let command = books.admit(&record).unwrap();
        books.event(&done(command.seq), &mut |_| {}).unwrap();
    }
    let mut best = [u128::MAX; 3];
    for _ in 0..5 {
        let mut spent = [0u128; 3];
        for _ in 0..ROUNDS {
            let buy = Command { kind: Kind::New as u8, owner: 9, slot: 3, tick: 9, qty: 2, ..Command::default() };
            let rested = answer(EventKind::Rested, 3, 9, 2);
            spent[0] += play(&mut books, 4, buy, rested);
            let sell =
                Command { side_tif: Command::side_tif(Side::Sell, wirebook_matcher::abi::TimeInForce::Gtc), ..buy };
            let sell = Command { owner: 10, slot: 4, ..sell };
            let (maker, freed) = (3, event_flags::MAKER_FREE | event_flags::TAKER_FREE);
            spent[1] += play(&mut books, 5, sell, Event { maker, freed, ..answer(EventKind::Fill, 4, 9, 2) });
            // Back again, so that no side runs dry: the seller buys.
            let buy_back = Command { owner: 10, ..buy };
            play(&mut books, 5, buy_back, rested);
            let sell_back = Command { owner: 9, ..sell };
            play(&mut books, 4, sell_back, Event { maker, freed, ..answer(EventKind::Fill, 4, 9, 2) });
            play(&mut books, 4, buy, rested);
            let cancel = Command { kind: Kind::Cancel as u8, owner: 9, slot: 3, ..Command::default() };
            let gone =
                Event { reason: Reason::User, freed: event_flags::TAKER_FREE, ..answer(EventKind::Cancelled, 3, 9, 2) };
            spent[2] += play(&mut books, 4, cancel, gone);
        }
        for (best, spent) in best.iter_mut().zip(spent) {
            *best = (*best).min(spent / u128::from(ROUNDS));
        }
    }
    assert!(books.fills() >= u64::from(2 * ROUNDS), "the orders did trade");
    let [rest, fill, cancel] = best;
    println!("admit + event, clock included: new+rested {rest} ns, new+fill {fill} ns, cancel {cancel} ns");
}

/// What a validator does with a batch's bytes: decode, apply, hash. Pairs of orders, the second of each fills the first.
#[test]
fn how_many_fills_a_second_one_core_re_executes() {
    let mut gateway = Gateway::new(1);
    let mut machine = Machine::<Software>::new(0);
    let mut bytes = Vec::new();
    for payload in venue() {
        let record = gateway.record(&machine.books, (0, payload));
        machine.apply(&record, &mut ()).unwrap();
    }
    let (mut seq, time) = (machine.last_seq(), machine.books.last_time_ns());
    let mut push = |session, owner, slot, side| {
        seq += 1;
        let side_tif = Command::side_tif(side, wirebook_matcher::abi::TimeInForce::Gtc);
        let command =
            Command { seq, kind: Kind::New as u8, owner, slot, tick: 9, qty: 2, side_tif, ..Command::default() };
        let message = &[b'O'; 47];
        let order = Order { command, origin: Origin::Client, protocol: Protocol::Ouch50, message };
        Record::new(seq, time, session, 0, Payload::Order(order)).encode_into(&mut bytes);
    };
    for round in 0..ROUNDS {
        // Back and forth, so that no side runs dry.
        let (buyer, seller) = if round % 2 == 0 { ((4, 9), (5, 10)) } else { ((5, 10), (4, 9)) };
        push(buyer.0, buyer.1, 2 * (round % 40), Side::Buy);
        push(seller.0, seller.1, 2 * (round % 40) + 1, Side::Sell);
    }
    let mut best = u128::MAX;
    for _ in 0..5 {
        let mut machine = machine.clone();
        let start = Instant::now();
        for item in records(&bytes) {
            machine.apply(&item.unwrap().1, &mut ()).unwrap();
        }
        best = best.min(start.elapsed().as_nanos());
        assert_eq!(machine.books.fills(), u64::from(ROUNDS), "every pair traded");
    }
    let per_fill = best / u128::from(ROUNDS);
    println!("re-execution: {per_fill} ns a fill (two records), {} fills a second", 1_000_000_000 / per_fill.max(1));
}

fn answer(kind: EventKind, taker: u32, tick: u32, qty: u32) -> Event {
    Event { taker, tick, qty, kind, maker: NO_SLOT, last: true, ..Event::BLANK }
}

/// Admits one order and books its only event; how long both took.
fn play(books: &mut Books, session: u32, command: Command, event: Event) -> u128 {
    let seq = books.last_seq() + 1;
    let command = Command { seq, ..command };
    let order = Order { command, origin: Origin::Client, protocol: Protocol::None, message: &[] };
    let record = Record::new(seq, books.last_time_ns(), session, 0, Payload::Order(order));
    let start = Instant::now();
    books.admit(&record).unwrap();
    books.event(&Event { seq, ..event }, &mut |_| {}).unwrap();
    start.elapsed().as_nanos()
}
