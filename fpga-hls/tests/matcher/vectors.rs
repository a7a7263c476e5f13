//! The golden vectors in `kernel/vectors`: every twin answers them byte for byte, and they are what the reference says.
//!
//! `WIREBOOK_REGENERATE=1 cargo test -p wirebook-matcher --test matcher vectors` writes them anew.
//!
//! A case is made for each outcome that there is: a long random stream finds it, what lived in the book just before it is
//! entered order by order, and orders that the outcome does not need are left out again. Each case cancels what it leaves,
//! so that a simulation runs them all without a reset.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::compare::answer;
use crate::outcomes::outcomes;
use wirebook_matcher::abi::{Command, Kind, Limits, TimeInForce};
use wirebook_matcher::flow::{Beats, Mix, Vectors, outcome};
use wirebook_matcher::{Fault, Reference, Resting, Software, Twin};

/// Beats in which an outcome must be found.
const SEARCH: u64 = 3_000_000;
/// Streams, and beats of each, in which a fault must be told.
const STREAMS: u64 = 50;
const LONGEST: usize = 600;
/// How many of the shortest are shrunk.
const SHRUNK: usize = 5;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kernel/vectors").join(name)
}

/// The command that makes an order rest where it rested.
fn entered(order: &Resting) -> Command {
    Command {
        instrument: order.instrument,
        owner: order.owner,
        slot: order.slot,
        tick: order.tick,
        qty: order.leaves,
        kind: Kind::New as u8,
        side_tif: Command::side_tif(order.side, TimeInForce::Gtc),
        ..Command::default()
    }
}

/// The outcome of a command in a book of these orders.
fn outcome_of(limits: &Limits, orders: &[Resting], command: &Command) -> String {
    let mut twin = Reference::new(limits.clone());
    for order in orders {
        twin.restore(order).expect("the orders are of a book");
    }
    let mut events = Vec::new();
    answer(&mut twin, command, &mut events);
    outcome(command, &events)
}

/// Leaves out, one by one, orders without which the outcome is the same.
fn shrink(limits: &Limits, mut orders: Vec<Resting>, command: &Command, name: &str) -> Vec<Resting> {
    let mut at = 0;
    while at < orders.len() {
        let mut fewer = orders.clone();
        fewer.remove(at);
        if outcome_of(limits, &fewer, command) == name {
            orders = fewer;
        } else {
            at += 1;
        }
    }
    orders
}

/// The first time that each outcome is met: the book before, and the command.
fn sightings(mix: &Mix, seed: u64, wanted: usize) -> BTreeMap<String, (Vec<Resting>, Command)> {
    let mut beats = Beats::new(mix.clone(), seed);
    let mut twin = Software::new(mix.limits.clone());
    let mut seen = BTreeMap::new();
    let (mut before, mut events) = (Vec::new(), Vec::new());
    for _ in 0..SEARCH {
        let command = beats.next_beat();
        before.clear();
        twin.orders(|order| before.push(order));
        answer(&mut twin, &command, &mut events);
        beats.observe(&command, &events).expect("a twin answers as a matcher may");
        seen.entry(outcome(&command, &events)).or_insert_with(|| (before.clone(), command));
        if seen.len() == wanted {
            break;
        }
    }
    seen
}

/// A case for each outcome of a mix.
fn cases(mix: &Mix, seed: u64, wanted: usize) -> Vectors {
    let mut vectors = Vectors::new(mix.limits.clone());
    let mut twin = Reference::new(mix.limits.clone());
    let mut seq = 0;
    for (name, (orders, command)) in sightings(mix, seed, wanted) {
        let orders = shrink(&mix.limits, orders, &command, &name);
        let mut commands: Vec<Command> = orders.iter().map(entered).collect();
        commands.push(command);
        add_case(&mut vectors, &mut twin, &mut seq, name, commands);
    }
    vectors
}

/// How many of these commands it takes until a reference with a fault answers unlike one without.
fn tells(limits: &Limits, fault: Fault, commands: &[Command]) -> Option<usize> {
    let (mut right, mut wrong) = (Reference::new(limits.clone()), Reference::planted(limits.clone(), fault));
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let told = commands.iter().position(|command| {
        answer(&mut right, command, &mut expected);
        answer(&mut wrong, command, &mut found);
        expected != found
    });
    told.map(|at| at + 1)
}

/// The fewest commands that were found to tell a fault: the shortest of some streams, without what it does not need.
fn telling(mix: &Mix, fault: Fault) -> Vec<Command> {
    let mut streams: Vec<Vec<Command>> = (0..STREAMS)
        .filter_map(|seed| {
            let mut commands = stream_of(mix, seed, LONGEST);
            commands.truncate(tells(&mix.limits, fault, &commands)?);
            Some(commands)
        })
        .collect();
    streams.sort_by_key(Vec::len);
    let shrunk = streams.into_iter().take(SHRUNK).map(|mut commands| {
        let mut at = commands.len();
        while at > 0 {
            at -= 1;
            let removed = commands.remove(at);
            if tells(&mix.limits, fault, &commands).is_none() {
                commands.insert(at, removed);
            }
        }
        commands
    });
    shrunk.min_by_key(Vec::len).unwrap_or_else(|| panic!("no stream tells {fault:?}"))
}

/// Seeded beats, aimed by what the reference answers.
fn stream_of(mix: &Mix, seed: u64, beats: usize) -> Vec<Command> {
    let mut stream = Beats::new(mix.clone(), seed);
    let mut twin = Reference::new(mix.limits.clone());
    let mut events = Vec::new();
    let next = |_| {
        let command = stream.next_beat();
        answer(&mut twin, &command, &mut events);
        stream.observe(&command, &events).expect("a twin answers as a matcher may");
        command
    };
    (0..beats).map(next).collect()
}

/// A case for each planted fault.
fn faults() -> Vectors {
    let mix = Mix::kin();
    let mut vectors = Vectors::new(mix.limits.clone());
    let mut twin = Reference::new(mix.limits.clone());
    let mut seq = 0;
    for fault in Fault::ALL {
        // Owner 0 is only in a stream that has it.
        let mix = Mix { owners: (0, 2), wrong: 60, ..mix.clone() };
        add_case(&mut vectors, &mut twin, &mut seq, format!("tells {fault:?}"), telling(&mix, fault));
    }
    vectors
}

/// Adds a case, and cancels for what it leaves in the book.
fn add_case(vectors: &mut Vectors, twin: &mut Reference, seq: &mut u64, name: String, mut commands: Vec<Command>) {
    let mut after = twin.clone();
    commands.iter().for_each(|command| after.execute(command, |_| {}));
    after.orders(|order| {
        commands.push(Command { kind: Kind::Cancel as u8, side_tif: 0, ..entered(&order) });
    });
    for command in &mut commands {
        *seq += 1;
        command.seq = *seq;
    }
    vectors.record(twin, name, &commands);
}

/// Beats as they come, from a crowded book of three instruments, a hundred to a case.
fn stream() -> Vectors {
    let mix = Mix::crowded();
    let mut vectors = Vectors::new(mix.limits.clone());
    let mut twin = Reference::new(mix.limits.clone());
    for (part, commands) in stream_of(&mix, 2, 400).chunks(100).enumerate() {
        vectors.record(&mut twin, format!("beats as they come, part {}", part + 1), commands);
    }
    vectors
}

fn check(name: &str, made: &Vectors) {
    let text = made.to_string();
    if std::env::var_os("WIREBOOK_REGENERATE").is_some() {
        fs::create_dir_all(path("")).unwrap();
        fs::write(path(name), &text).unwrap();
    }
    let committed = fs::read_to_string(path(name)).expect("the vectors are committed");
    let parsed = Vectors::parse(&committed).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&parsed, made, "{name} is what the reference says: make it again if the ABI was meant to change");
    assert_eq!(text, committed, "{name}, to the letter");
    parsed.replay(&mut Reference::new(parsed.limits.clone())).unwrap();
    parsed.replay(&mut Software::new(parsed.limits.clone())).unwrap();
}

#[test]
fn one_instrument_shows_every_outcome() {
    let names = outcomes();
    let vectors = cases(&Mix::kin(), 1, names.len());
    for name in names {
        assert!(vectors.cases.iter().any(|case| case.name == name), "no case shows: {name}");
    }
    check("one_instrument.txt", &vectors);
}

#[test]
fn a_stream_over_three_instruments_is_the_same_everywhere() {
    check("stream.txt", &stream());
}

#[test]
fn each_fault_has_a_case_that_tells_it() {
    check("faults.txt", &faults());
}

#[test]
fn the_vectors_catch_every_planted_fault_by_its_events() {
    let file = Vectors::parse(&fs::read_to_string(path("faults.txt")).expect("the vectors are committed")).unwrap();
    for fault in Fault::ALL {
        let told = file.replay(&mut Reference::planted(file.limits.clone(), fault));
        assert!(told.as_ref().is_err_and(|text| text.contains("`, step ")), "{fault:?} goes unnoticed: {told:?}");
    }
}

#[test]
fn a_file_that_is_none_is_an_error() {
    let good = stream().to_string();
    for (from, to, line) in [
        ("wirebook-vectors 1", "wirebook-vectors 2", 1),
        ("\nabi ", "\nabi 0", 2),
        ("slots 24", "slots 0", 3),
        ("\nc ", "\nc 0", 6),
        ("\ne ", "\nf ", 7),
        ("\ncase ", "\nkase ", 5),
    ] {
        assert_eq!(Vectors::parse(&good.replacen(from, to, 1)).unwrap_err().line, line, "{to}");
    }
    assert!(Vectors::parse("").is_err() && Vectors::parse(good.rsplit_once("digest").unwrap().0).is_err());
}
