//! The rules of the beats, each by hand: what is sent, and what must be told, in words.
//!
//! The vectors are made from the reference; these are made from the design alone, so that the reference is checked too. A row
//! is a command or, indented, the next event of the last command. A command is `new SIDE QTY@TICK SLOT`, `cancel SLOT`,
//! `reduce QTY SLOT`, `replace QTY@TICK SLOT>SLOT` (a signed QTY is relative) or `nop`, and what is not usual: `ioc`, `fok`,
//! `post`, `newest`, `oldest`, `both`, `owner=N`, `on=INSTRUMENT`. An event ends in `.` when it is the last, and names the
//! slots that it frees (`-3`).

use wirebook_matcher::abi::{Command, Event, EventKind, Kind, Limits, NO_SLOT, Reason, SelfTrade, Side, TimeInForce};
use wirebook_matcher::{Reference, Software, Twin};

fn limits() -> Limits {
    Limits { ticks: vec![100, 10], slots: 16, max_qty: 1000 }
}

fn command(row: &str) -> Command {
    let mut words = row.split_whitespace();
    let mut beat = Command { owner: 1, ..Command::default() };
    let kind = words.next().unwrap();
    let qty_at_tick = |beat: &mut Command, text: &str| {
        let (qty, tick) = text.split_once('@').unwrap();
        if qty.starts_with(['+', '-']) {
            beat.flags |= Command::RELATIVE;
        }
        beat.qty = qty.parse::<i64>().unwrap() as u32;
        beat.tick = tick.parse().unwrap();
    };
    let slots = |beat: &mut Command, text: &str| {
        let (slot, slot2) = text.split_once('>').unwrap_or((text, "0"));
        (beat.slot, beat.slot2) = (slot.parse().unwrap(), slot2.parse().unwrap());
    };
    match kind {
        "nop" => {}
        "new" => {
            beat.kind = Kind::New as u8;
            beat.side_tif = if words.next().unwrap() == "buy" { Side::Buy } else { Side::Sell } as u8;
            qty_at_tick(&mut beat, words.next().unwrap());
            slots(&mut beat, words.next().unwrap());
        }
        "cancel" => {
            beat.kind = Kind::Cancel as u8;
            slots(&mut beat, words.next().unwrap());
        }
        "reduce" => {
            beat.kind = Kind::Reduce as u8;
            beat.qty = words.next().unwrap().parse().unwrap();
            slots(&mut beat, words.next().unwrap());
        }
        "replace" => {
            beat.kind = Kind::Replace as u8;
            qty_at_tick(&mut beat, words.next().unwrap());
            slots(&mut beat, words.next().unwrap());
        }
        other => panic!("no such command: {other}"),
    }
    for word in words {
        match word.split_once('=') {
            Some(("owner", owner)) => beat.owner = owner.parse().unwrap(),
            Some(("on", instrument)) => beat.instrument = instrument.parse().unwrap(),
            _ => match word {
                "ioc" => beat.side_tif |= (TimeInForce::Ioc as u8) << 1,
                "fok" => beat.side_tif |= (TimeInForce::Fok as u8) << 1,
                "post" => beat.flags |= Command::POST_ONLY,
                "newest" => beat.flags |= SelfTrade::CancelNewest as u8,
                "oldest" => beat.flags |= SelfTrade::CancelOldest as u8,
                "both" => beat.flags |= SelfTrade::CancelBoth as u8,
                other => panic!("no such word: {other}"),
            },
        }
    }
    beat
}

fn told(event: &Event) -> String {
    let mut text = match event.kind {
        EventKind::Done => "done".to_owned(),
        EventKind::Fill => format!("{} fills {} {}@{}", event.taker, event.maker, event.qty, event.tick),
        EventKind::Rested => format!("{} rests {}@{}", event.taker, event.qty, event.tick),
        EventKind::Cancelled if event.maker != NO_SLOT => {
            format!("{} cancels {} {}@{} {:?}", event.taker, event.maker, event.qty, event.tick, event.reason)
        }
        EventKind::Cancelled => format!("{} goes {}@{} {:?}", event.taker, event.qty, event.tick, event.reason),
        EventKind::Reduced => format!("{} reduced {}@{}", event.taker, event.qty, event.tick),
        EventKind::Replaced => format!("{} becomes {} {}@{}", event.maker, event.taker, event.qty, event.tick),
        EventKind::Rejected => format!("rejected {:?}", event.reason),
    };
    if event.kind != EventKind::Rejected && event.kind != EventKind::Cancelled {
        assert_eq!(event.reason, Reason::None, "{event:?}");
    }
    for (free, slot) in [(event.maker_free(), event.maker), (event.taker_free(), event.taker)] {
        if free {
            text.push_str(&format!(" -{slot}"));
        }
    }
    text.push_str(if event.last { "." } else { "" });
    text
}

fn play<T: Twin>(script: &str) {
    let mut twin = T::new(limits());
    let mut answer: std::vec::IntoIter<String> = Vec::new().into_iter();
    let mut seq = 0;
    for row in script.lines().filter(|row| !row.trim().is_empty()) {
        if let Some(expected) = row.trim_start().strip_prefix("= ") {
            assert_eq!(answer.next().as_deref(), Some(expected), "in\n{script}");
            continue;
        }
        assert_eq!(answer.next(), None, "before {row} in\n{script}");
        seq += 1;
        let mut events = Vec::new();
        twin.execute(&Command { seq, ..command(row) }, |event| {
            assert_eq!((event.seq, event.index), (seq, events.len() as u32), "{row}");
            events.push(told(&event));
        });
        answer = events.into_iter();
    }
    assert_eq!(answer.next(), None, "at the end of\n{script}");
}

fn rule(script: &str) {
    play::<Reference>(script);
    play::<Software>(script);
}

#[test]
fn price_then_time_at_the_makers_price() {
    rule(
        "new sell 5@50 1
         = 1 rests 5@50.
         new sell 5@49 2
         = 2 rests 5@49.
         new sell 5@49 3
         = 3 rests 5@49.
         new buy 12@60 4
         = 4 fills 2 5@49 -2
         = 4 fills 3 5@49 -3
         = 4 fills 1 2@50 -4.
         new buy 3@50 4
         = 4 fills 1 3@50 -1 -4.
         new sell 1@99 5
         = 5 rests 1@99.",
    );
}

#[test]
fn a_sweep_stops_at_its_limit_and_the_rest_rests_or_goes() {
    rule(
        "new buy 5@50 1
         = 1 rests 5@50.
         new buy 5@48 2
         = 2 rests 5@48.
         new sell 7@49 3
         = 3 fills 1 5@50 -1
         = 3 rests 2@49.
         new buy 9@49 4 ioc
         = 4 fills 3 2@49 -3
         = 4 goes 7@49 ImmediateOrCancel -4.
         new sell 1@49 5 ioc
         = 5 goes 1@49 ImmediateOrCancel -5.",
    );
}

#[test]
fn a_partial_fill_and_a_reduce_keep_priority() {
    rule(
        "new sell 5@50 1
         = 1 rests 5@50.
         new sell 5@50 2
         = 2 rests 5@50.
         new buy 2@50 3
         = 3 fills 1 2@50 -3.
         reduce 2 1
         = 1 reduced 2@50.
         new buy 2@50 3
         = 3 fills 1 1@50 -1
         = 3 fills 2 1@50 -3.
         reduce 4 2
         = 2 goes 4@50 User -2.
         reduce 1 2
         = rejected NoOrder.",
    );
    rule(
        "new sell 5@50 1
         = 1 rests 5@50.
         reduce 999 1
         = 1 goes 5@50 User -1.
         new sell 5@50 1
         = 1 rests 5@50.
         cancel 1
         = 1 goes 5@50 User -1.
         cancel 1
         = rejected NoOrder.
         nop
         = done.",
    );
}

#[test]
fn a_replace_loses_priority_even_when_nothing_changes() {
    rule(
        "new sell 5@50 1
         = 1 rests 5@50.
         new sell 5@50 2
         = 2 rests 5@50.
         replace 5@50 1>3
         = 1 becomes 3 5@50 -1
         = 3 rests 5@50.
         new buy 6@50 4
         = 4 fills 2 5@50 -2
         = 4 fills 3 1@50 -4.
         replace +2@50 3>1
         = 3 becomes 1 6@50 -3
         = 1 rests 6@50.",
    );
}

#[test]
fn a_replace_trades_like_a_new_order_and_frees_both_slots() {
    rule(
        "new sell 5@50 1
         = 1 rests 5@50.
         new buy 9@40 2
         = 2 rests 9@40.
         replace 3@50 2>3
         = 2 becomes 3 3@50 -2
         = 3 fills 1 3@50 -3.
         new buy 9@40 2
         = 2 rests 9@40.
         replace 9@55 2>3 ioc
         = 2 becomes 3 9@55 -2
         = 3 fills 1 2@50 -1
         = 3 goes 7@55 ImmediateOrCancel -3.",
    );
}

#[test]
fn a_relative_replace_counts_from_the_leaves_at_the_moment() {
    rule(
        "new buy 9@40 2
         = 2 rests 9@40.
         new sell 4@40 1
         = 1 fills 2 4@40 -1.
         replace -2@41 2>3
         = 2 becomes 3 3@41 -2
         = 3 rests 3@41.
         replace +0@42 3>4
         = 3 becomes 4 3@42 -3
         = 4 rests 3@42.
         replace -3@43 4>5
         = 4 goes 3@42 User -4.
         new buy 900@40 4
         = 4 rests 900@40.
         replace +101@40 4>5
         = rejected QtyRange.
         replace +100@40 4>5
         = 4 becomes 5 1000@40 -4
         = 5 rests 1000@40.
         replace -2147483648@40 5>4
         = 5 goes 1000@40 User -5.",
    );
}

#[test]
fn post_only_and_fill_or_kill_change_nothing_when_they_fail() {
    rule(
        "new sell 5@50 1
         = 1 rests 5@50.
         new buy 9@50 2 post
         = 2 goes 9@50 PostOnly -2.
         new buy 9@49 2 post
         = 2 rests 9@49.
         new buy 6@60 3 fok
         = 3 goes 6@60 FillOrKill -3.
         new buy 5@49 3 fok
         = 3 goes 5@49 FillOrKill -3.
         new buy 4@60 3 fok
         = 3 fills 1 4@50 -3.
         replace 2@50 2>4 post
         = 2 goes 9@49 PostOnly -2.
         new buy 1@49 2
         = 2 rests 1@49.
         replace 2@49 2>4 post
         = 2 becomes 4 2@49 -2
         = 4 rests 2@49.
         cancel 1
         = 1 goes 1@50 User -1.",
    );
}

#[test]
fn self_trade_by_the_takers_mode() {
    let book = "new sell 2@49 1 owner=2
                = 1 rests 2@49.
                new sell 3@50 2
                = 2 rests 3@50.
                new sell 4@51 3 owner=2
                = 3 rests 4@51.
                ";
    for (sent, answer) in [
        ("", "= 9 fills 1 2@49 -1\n= 9 fills 2 3@50 -2\n= 9 fills 3 4@51 -3\n= 9 rests 1@60."),
        ("newest", "= 9 fills 1 2@49 -1\n= 9 goes 8@60 SelfTrade -9."),
        ("oldest", "= 9 fills 1 2@49 -1\n= 9 cancels 2 3@50 SelfTrade -2\n= 9 fills 3 4@51 -3\n= 9 rests 4@60."),
        (
            "oldest ioc",
            "= 9 fills 1 2@49 -1\n= 9 cancels 2 3@50 SelfTrade -2\n= 9 fills 3 4@51 -3\n= 9 goes 4@60 ImmediateOrCancel -9.",
        ),
        ("both", "= 9 fills 1 2@49 -1\n= 9 cancels 2 3@50 SelfTrade -2\n= 9 goes 8@60 SelfTrade -9."),
        ("post newest", "= 9 goes 10@60 PostOnly -9."),
        ("oldest owner=0", "= 9 fills 1 2@49 -1\n= 9 fills 2 3@50 -2\n= 9 fills 3 4@51 -3\n= 9 rests 1@60."),
    ] {
        rule(&format!("{book}new buy 10@60 9 {sent}\n{answer}"));
    }
}

#[test]
fn fill_or_kill_counts_what_it_could_take() {
    let book = "new sell 2@49 1 owner=2
                = 1 rests 2@49.
                new sell 3@50 2
                = 2 rests 3@50.
                new sell 4@51 3 owner=2
                = 3 rests 4@51.
                ";
    for (sent, answer) in [
        ("9@60 9 fok", "= 9 fills 1 2@49 -1\n= 9 fills 2 3@50 -2\n= 9 fills 3 4@51 -3 -9."),
        ("10@60 9 fok", "= 9 goes 10@60 FillOrKill -9."),
        ("3@60 9 fok newest", "= 9 goes 3@60 FillOrKill -9."),
        ("2@60 9 fok newest", "= 9 fills 1 2@49 -1 -9."),
        ("3@60 9 fok both", "= 9 goes 3@60 FillOrKill -9."),
        ("5@60 9 fok oldest", "= 9 fills 1 2@49 -1\n= 9 cancels 2 3@50 SelfTrade -2\n= 9 fills 3 3@51 -9."),
        ("7@60 9 fok oldest", "= 9 goes 7@60 FillOrKill -9."),
        ("6@50 9 fok oldest", "= 9 goes 6@50 FillOrKill -9."),
    ] {
        rule(&format!("{book}new buy {sent}\n{answer}"));
    }
}

#[test]
fn checks_come_in_their_order() {
    rule(
        "new buy 5@50 1
         = 1 rests 5@50.
         new buy 0@100 1 ioc post
         = rejected BadFlags.
         new buy 0@100 99 on=2
         = rejected UnknownInstrument.
         new buy 0@100 16
         = rejected SlotRange.
         new buy 0@100 1
         = rejected SlotLive.
         new buy 0@100 2
         = rejected TickRange.
         new buy 5@10 2 on=1
         = rejected TickRange.
         new buy 0@99 2
         = rejected QtyRange.
         new buy 1001@99 2
         = rejected QtyRange.
         cancel 1 newest
         = rejected BadFlags.
         cancel 16
         = rejected SlotRange.
         cancel 2 owner=9
         = rejected NoOrder.
         cancel 1 owner=9
         = rejected NotYours.
         cancel 1 on=1
         = rejected NotYours.
         reduce 0 1
         = rejected QtyRange.
         reduce 1001 1
         = rejected QtyRange.
         reduce 0 1 owner=2
         = rejected NotYours.
         replace 0@100 1>1 fok
         = rejected BadFlags.
         replace 0@100 2>16
         = rejected SlotRange.
         replace 0@100 2>3
         = rejected NoOrder.
         replace 0@100 1>1 owner=2
         = rejected NotYours.
         replace 0@100 1>1
         = rejected SlotLive.
         replace 0@100 1>2
         = rejected TickRange.
         replace 0@99 1>2
         = rejected QtyRange.
         new buy 5@50 2 ioc
         = 2 goes 5@50 ImmediateOrCancel -2.
         replace +1000@99 1>2
         = rejected QtyRange.
         cancel 1
         = 1 goes 5@50 User -1.",
    );
}

#[test]
fn instruments_do_not_meet() {
    rule(
        "new buy 5@9 1 on=1
         = 1 rests 5@9.
         new sell 5@9 2 on=0
         = 2 rests 5@9.
         new sell 5@9 3 on=1
         = 3 fills 1 5@9 -1 -3.",
    );
}
