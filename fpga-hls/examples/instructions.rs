//! Instructions that the software twin executes per command, by kind, counted by callgrind and bounded here.
//!
//! `instructions check` runs itself under valgrind once for each kind and exits 1 when a kind needs more than its bound.
//! `instructions check --planted` measures a twin that does some work twice, and must exit 1. Counts depend on compiler and flags, not on
//! the machine or its load: build with `--release` for the default target CPU. The bounds leave some tenth of room.

use std::process::{Command as Process, ExitCode};

use wirebook_matcher::abi::{Command, Event, Kind, Limits, SelfTrade, Side, TimeInForce};
use wirebook_matcher::{Software, Twin};

/// Kinds of commands, and the most instructions that one may take, events written.
const BOUNDS: [(&str, u64); 8] = [
    ("new-rests", 143),
    ("new-fills", 235),
    ("cancel", 108),
    ("reduce", 95),
    ("replace", 266),
    ("ioc", 235),
    ("fok", 374),
    ("post-only", 158),
];

/// Commands measured.
const COMMANDS: u32 = 20_000;
/// Orders that rest before and after.
const RESTING: u32 = 10_000;
/// Ticks of the band; bids rest in the lower half.
const TICKS: u32 = 4096;
const MIDDLE: u32 = TICKS / 2;
/// Events kept.
const RING: usize = 1 << 14;

fn limits() -> Limits {
    Limits::single(TICKS, RESTING + 3 * COMMANDS)
}

fn order(slot: u32, side: Side, behind: u32) -> Command {
    let tick = if side == Side::Buy { MIDDLE - 1 - behind } else { MIDDLE + behind };
    let side_tif = Command::side_tif(side, TimeInForce::Gtc);
    Command { slot, tick, qty: 10, kind: Kind::New as u8, side_tif, ..Command::default() }
}

/// A price some way behind the best, a different one for each number.
fn behind(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1) % 400
}

/// What makes the book, and what is measured.
fn commands(kind: &str) -> (Vec<Command>, Vec<Command>) {
    let side = |number: u32| Side::ALL[number as usize % 2];
    let resting = (0..RESTING).map(|slot| order(slot, side(slot), 1 + behind(slot)));
    let first = RESTING;
    let live = (first..first + COMMANDS).map(|slot| order(slot, side(slot), 1 + behind(slot)));
    let makers = (first..first + COMMANDS).map(|slot| order(slot, Side::Sell, 0));
    let target = |kind: Kind, slot| Command { slot, qty: 3, kind: kind as u8, ..Command::default() };
    let taker = |slot: u32, tif| {
        let side_tif = Command::side_tif(Side::Buy, tif);
        Command { slot: slot + COMMANDS, side_tif, tick: MIDDLE, ..order(slot, Side::Buy, 0) }
    };
    let numbers = first..first + COMMANDS;
    let book = |more: Vec<Command>| resting.chain(more).collect();
    match kind {
        "new-rests" => (book(vec![]), live.collect()),
        "post-only" => {
            let flags = Command::flags(SelfTrade::Off, true, false);
            (book(vec![]), live.map(|new| Command { flags, ..new }).collect())
        }
        "cancel" => (book(live.collect()), numbers.map(|slot| target(Kind::Cancel, slot)).collect()),
        "reduce" => (book(live.collect()), numbers.map(|slot| target(Kind::Reduce, slot)).collect()),
        "replace" => {
            let to = |slot| {
                let new = order(slot + COMMANDS, side(slot), 1 + behind(slot + 1));
                Command { slot2: new.slot, tick: new.tick, ..target(Kind::Replace, slot) }
            };
            (book(live.collect()), numbers.map(to).collect())
        }
        "new-fills" => (book(makers.collect()), numbers.map(|slot| taker(slot, TimeInForce::Gtc)).collect()),
        "ioc" => (book(makers.collect()), numbers.map(|slot| taker(slot, TimeInForce::Ioc)).collect()),
        "fok" => (book(makers.collect()), numbers.map(|slot| taker(slot, TimeInForce::Fok)).collect()),
        other => panic!("kind: found {other}, allowed {BOUNDS:?}"),
    }
}

/// What callgrind counts.
#[inline(never)]
fn measured(twin: &mut Software, commands: &[Command], ring: &mut [Event], planted: bool) {
    let mut count = 0;
    for command in commands {
        if planted {
            // A matcher that looks at the book first.
            std::hint::black_box(twin.order(command.slot));
            std::hint::black_box(twin.order(command.slot2));
            std::hint::black_box(command.to_bytes());
        }
        twin.execute(command, |event| {
            ring[count % RING] = event;
            count += 1;
        });
    }
}

fn run(kind: &str, planted: bool) {
    let (book, commands) = commands(kind);
    let mut twin = Software::new(limits());
    book.iter().for_each(|command| twin.execute(command, |event| assert!(event.last)));
    let mut ring = vec![Event::BLANK; RING];
    measured(&mut twin, &commands, &mut ring, planted);
    assert!(ring.iter().all(|event| event.kind != wirebook_matcher::abi::EventKind::Rejected), "{kind}");
}

/// Instructions per command of a kind.
fn count(kind: &str, planted: bool) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = Process::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*measured*", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["run", kind])
        .args(planted.then_some("--planted"))
        .output()
        .map_err(|error| format!("valgrind (Debian package valgrind) cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    match collected {
        Some(all) if out.status.success() => Ok(all / u64::from(COMMANDS)),
        _ => Err(format!("valgrind failed at {kind}: {text}")),
    }
}

fn check(planted: bool) -> ExitCode {
    let mut beyond = 0;
    for (kind, bound) in BOUNDS {
        match count(kind, planted) {
            Ok(found) => {
                let verdict = if found <= bound { "" } else { "  BEYOND" };
                println!("{kind:10} {found:4} instructions per command, bound {bound}{verdict}");
                beyond += u32::from(found > bound);
            }
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::from(u8::from(beyond > 0))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["check"] => check(false),
        ["check", "--planted"] => check(true),
        ["run", kind] => {
            run(kind, false);
            ExitCode::SUCCESS
        }
        ["run", kind, "--planted"] => {
            run(kind, true);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: instructions check [--planted]");
            ExitCode::from(2)
        }
    }
}
