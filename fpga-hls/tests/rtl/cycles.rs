//! Cycles by kind and case, measured on the Verilated kernel: `kernel/cycles.json` is what they are now.
//!
//! A case finds the kernel idle, with a book as it says. Its events are counted from the cycle in which the command stands in the
//! command register: the second after its transfer on `s_axis`. An event is in the cycle in which `m_axis_tvalid` shows it.
//! `WIREBOOK_REGENERATE=1 cargo test -p wirebook-matcher --features rtl --test rtl cycles` writes the file anew.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use wirebook_matcher::abi::{Command, EventKind, Kind, Limits, SelfTrade, Side, TimeInForce};
use wirebook_matcher::rtl::{Model, Rtl};

/// Cycles from the transfer of a beat to the cycle in which it stands in the command register.
const TRANSFER_TO_REGISTER: u64 = 2;
/// More than anything here takes.
const MOST: u64 = 40_000;
const MID: u32 = 2048;

struct Bench {
    rtl: Rtl,
    seq: u64,
}

/// What one case was measured to take, and the most that it may.
struct Case {
    kind: &'static str,
    case: &'static str,
    events: Vec<(u64, EventKind)>,
    /// From the command register to the cycle in which the next command, had it waited, would stand there.
    again: u64,
}

impl Bench {
    fn new(model: Model, limits: Limits) -> Self {
        let mut bench = Self { rtl: Rtl::new(model, limits).expect("the limits fit"), seq: 0 };
        bench.settle();
        bench
    }

    /// Clocks until nothing is inside and beats may come.
    fn settle(&mut self) {
        for _ in 0..MOST {
            self.rtl.cycle(None, true).expect("the kernel answers");
            if self.rtl.idle() {
                return;
            }
        }
        panic!("the kernel is not idle");
    }

    /// Sends one command, then a nop behind it, and says in which cycles their events came.
    fn measure(&mut self, command: Command) -> (Vec<(u64, EventKind)>, u64) {
        self.settle();
        self.seq += 2;
        let commands = [Command { seq: self.seq - 1, ..command }, Command { seq: self.seq, ..Command::default() }];
        let (mut sent, mut transfer, mut events) = (0, None, Vec::new());
        for cycle in 0..MOST {
            let (taken, event) = self.rtl.cycle(commands.get(sent), true).expect("the kernel answers");
            if taken {
                transfer.get_or_insert(cycle);
                sent += 1;
            }
            if let Some(event) = event {
                let at = cycle - transfer.expect("an event follows its command") - TRANSFER_TO_REGISTER;
                if event.seq == self.seq {
                    // The nop answers two cycles after it stands in the command register.
                    return (events, at - 2);
                }
                events.push((at, event.kind));
            }
        }
        panic!("no answer");
    }

    fn sent(&mut self, command: Command) {
        self.measure(command);
    }
}

fn order(side: Side, slot: u32, tick: u32, qty: u32) -> Command {
    Command {
        owner: 1,
        slot,
        tick,
        qty,
        kind: Kind::New as u8,
        side_tif: Command::side_tif(side, TimeInForce::Gtc),
        ..Command::default()
    }
}

fn immediate(side: Side, slot: u32, tick: u32, qty: u32, tif: TimeInForce) -> Command {
    Command { owner: 2, side_tif: Command::side_tif(side, tif), ..order(side, slot, tick, qty) }
}

fn change(kind: Kind, slot: u32) -> Command {
    Command { owner: 1, slot, kind: kind as u8, ..Command::default() }
}

/// Asks: `many` orders of 10 lots at each of these ticks, slots from 100.
fn asks(ticks: &[u32], many: u32) -> Vec<Command> {
    let mut orders = Vec::new();
    for tick in ticks {
        for _ in 0..many {
            orders.push(order(Side::Sell, 100 + orders.len() as u32, *tick, 10));
        }
    }
    orders
}

/// Every case: kind, name, the book before, the command.
fn cases() -> Vec<(&'static str, &'static str, Vec<Command>, Command)> {
    use TimeInForce::{Fok, Ioc};
    let buy = |tick, qty, tif| immediate(Side::Buy, 1, tick, qty, tif);
    let four = || asks(&[MID], 4);
    let six = || asks(&[MID, MID + 1, MID + 2, MID + 3, MID + 4, MID + 5], 1);
    let levels = || asks(&[MID, MID + 1, MID + 2, MID + 3], 1);
    let flagged =
        |command: Command, mode, post_only| Command { flags: Command::flags(mode, post_only, false), ..command };
    let replaced = |slot, tick| Command { slot2: 2, tick, qty: 10, ..change(Kind::Replace, slot) };
    vec![
        ("nop", "", vec![], Command::default()),
        ("new", "refused", vec![], order(Side::Buy, 1, 9999, 1)),
        ("new", "rests, first of its side", vec![], order(Side::Buy, 1, MID, 10)),
        ("new", "rests, better than the best", vec![order(Side::Buy, 9, MID - 1, 10)], order(Side::Buy, 1, MID, 10)),
        ("new", "rests behind the best's queue", vec![order(Side::Buy, 9, MID, 10)], order(Side::Buy, 1, MID, 10)),
        ("new", "rests at a far level", vec![order(Side::Buy, 9, MID, 10)], order(Side::Buy, 1, 7, 10)),
        ("new", "immediate or cancel, nothing there", vec![], buy(MID, 10, Ioc)),
        ("new", "post-only that would cross", four(), flagged(order(Side::Buy, 1, MID, 10), SelfTrade::Off, true)),
        ("new", "fills part of the head", four(), buy(MID, 4, Ioc)),
        ("new", "fills the head whole", four(), buy(MID, 10, Ioc)),
        ("new", "fills four orders of a level", four(), buy(MID, 40, Ioc)),
        ("new", "fills four levels of six in a group", six(), buy(MID + 3, 40, Ioc)),
        ("new", "fills all four levels of a side", levels(), buy(MID + 3, 40, Ioc)),
        ("new", "fills levels in far groups", asks(&[MID, MID + 500, MID + 1500], 1), buy(4000, 30, Ioc)),
        ("new", "fills one and rests", asks(&[MID], 1), order(Side::Buy, 1, MID, 15)),
        (
            "new",
            "self-trade, oldest goes, then fills",
            {
                let mut book = asks(&[MID], 2);
                book[1].owner = 3;
                book
            },
            flagged(order(Side::Buy, 1, MID, 10), SelfTrade::CancelOldest, false),
        ),
        ("new", "self-trade, both go", four(), flagged(order(Side::Buy, 1, MID, 10), SelfTrade::CancelBoth, false)),
        ("new", "fill or kill, the head is enough", four(), buy(MID, 10, Fok)),
        ("new", "fill or kill, counts three and fills", four(), buy(MID, 30, Fok)),
        ("new", "fill or kill, counts four and goes", four(), buy(MID, 50, Fok)),
        ("cancel", "no such order", vec![], change(Kind::Cancel, 100)),
        ("cancel", "the head of the best", four(), change(Kind::Cancel, 100)),
        ("cancel", "within the best's queue", four(), change(Kind::Cancel, 102)),
        ("cancel", "the only order of the best", levels(), change(Kind::Cancel, 100)),
        ("cancel", "the only order of a far level", asks(&[MID, 3000, 4000], 1), change(Kind::Cancel, 102)),
        ("reduce", "keeps some", four(), Command { qty: 3, ..change(Kind::Reduce, 101) }),
        ("reduce", "to nothing", four(), Command { qty: 10, ..change(Kind::Reduce, 101) }),
        ("replace", "rests anew", four(), replaced(101, MID + 5)),
        ("replace", "the only order of the best, rests anew", levels(), replaced(100, MID + 9)),
        (
            "replace",
            "then fills",
            {
                let mut book = four();
                book.push(order(Side::Buy, 9, MID - 4, 10));
                book
            },
            Command { owner: 1, ..replaced(9, MID) },
        ),
    ]
}

fn measured() -> Vec<Case> {
    let mut all = Vec::new();
    for (kind, case, book, command) in cases() {
        let mut bench = Bench::new(Model::Standard, Limits::single(4096, 16_384));
        book.iter().for_each(|order| bench.sent(*order));
        let (events, again) = bench.measure(command);
        all.push(Case { kind, case, events, again });
    }
    let mut bench = Bench::new(Model::Many, Limits { ticks: vec![64; 2], slots: 32, max_qty: 1000 });
    for (at, instrument) in [0, 1, 0].into_iter().enumerate() {
        bench.sent(Command { instrument, ..order(Side::Sell, at as u32, 50, 10) });
    }
    let (events, again) = bench.measure(Command { instrument: 1, ..order(Side::Buy, 9, 25, 10) });
    all.push(Case { kind: "new", case: "rests, in another book than the last command's", events, again });
    all
}

fn json(cases: &[Case]) -> String {
    let mut text = String::from("{\n");
    text += "  \"counted_from\": \"the cycle in which the command stands in the command register\",\n";
    writeln!(text, "  \"transfer_to_command_register\": {TRANSFER_TO_REGISTER},").expect("a string takes all");
    text += "  \"cases\": [\n";
    for (at, Case { kind, case, events, again }) in cases.iter().enumerate() {
        let cycles: Vec<String> = events.iter().map(|(cycle, _)| cycle.to_string()).collect();
        let kinds: Vec<String> = events.iter().map(|(_, kind)| format!("\"{kind:?}\"").to_lowercase()).collect();
        let comma = if at + 1 < cases.len() { "," } else { "" };
        writeln!(
            text,
            "    {{\"kind\": \"{kind}\", \"case\": \"{case}\", \"events\": [{}], \"cycles\": [{}], \"next_command\": {again}}}{comma}",
            kinds.join(", "),
            cycles.join(", ")
        )
        .expect("a string takes all");
    }
    text + "  ]\n}\n"
}

/// The bounds that the kernel is made for.
fn within_bounds(case: &Case) {
    let Case { kind, case, events, .. } = case;
    let first = events.first().expect("every command is answered").0;
    let one_book = !case.contains("another book");
    let counts = case.contains("counts");
    if one_book && !counts {
        let most = if matches!(*kind, "cancel" | "reduce" | "replace") { 5 } else { 2 };
        assert!(first <= most, "{kind}, {case}: first event after {first} cycles, at most {most}");
    }
    let between = |bound: u64| {
        for pair in events.windows(2) {
            assert!(pair[1].0 - pair[0].0 <= bound, "{kind}, {case}: {} cycles between events", pair[1].0 - pair[0].0);
        }
    };
    match *case {
        "fills four orders of a level" => between(2),
        "fills four levels of six in a group" => between(5),
        "fills all four levels of a side" => between(8),
        _ => {}
    }
}

#[test]
fn the_cycles_are_those_that_the_kernel_says() {
    let cases = measured();
    cases.iter().for_each(within_bounds);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kernel/cycles.json");
    let made = json(&cases);
    if std::env::var_os("WIREBOOK_REGENERATE").is_some() {
        fs::write(&path, &made).expect("kernel/cycles.json can be written");
    }
    let committed = fs::read_to_string(&path).expect("the file is committed");
    assert!(committed == made, "kernel/cycles.json differs from what is measured:\n{made}");
}
