//! The hardware's constants: `kernel/gen/abi.x` and `kernel/gen/abi_pkg.sv` are what `src/abi` says now.
//!
//! Nothing is written by hand there, not even where a field stands: offsets are found by encoding a beat in which that
//! field alone is set. `WIREBOOK_REGENERATE=1 cargo test -p wirebook-matcher --test kernel_abi` writes both files anew.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use wirebook_matcher::abi::{
    ABI_VERSION, BEAT_BYTES, Capabilities, Command, Event, EventKind, Kind, Limits, NO_SLOT, RING_BIT, Reason,
    SelfTrade, Side, TimeInForce, event_flags,
};

/// A named number and its width in bits.
struct Constant {
    name: String,
    bits: u32,
    value: u64,
}

/// `BadKind` as `BAD_KIND`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// First bit and number of bits that are set in a beat.
fn place(bytes: &[u8; BEAT_BYTES]) -> (u64, u64) {
    let bits: Vec<u64> = (0..256).filter(|bit| bytes[(bit / 8) as usize] >> (bit % 8) & 1 == 1).collect();
    let (first, last) = (*bits.first().expect("the field is set"), *bits.last().expect("the field is set"));
    assert_eq!(last - first + 1, bits.len() as u64, "a field is one run of bits");
    (first, bits.len() as u64)
}

fn command_fields() -> Vec<(&'static str, Command)> {
    let zero = Command::default();
    vec![
        ("SEQ", Command { seq: u64::MAX, ..zero }),
        ("INSTRUMENT", Command { instrument: u16::MAX, ..zero }),
        ("OWNER", Command { owner: u16::MAX, ..zero }),
        ("SLOT", Command { slot: u32::MAX, ..zero }),
        ("SLOT2", Command { slot2: u32::MAX, ..zero }),
        ("TICK", Command { tick: u32::MAX, ..zero }),
        ("QTY", Command { qty: u32::MAX, ..zero }),
        ("KIND", Command { kind: u8::MAX, ..zero }),
        ("SIDE_TIF", Command { side_tif: u8::MAX, ..zero }),
        ("FLAGS", Command { flags: u8::MAX, ..zero }),
        ("RING", Command { ring: !RING_BIT, ..zero }),
    ]
}

fn event_places() -> Vec<(&'static str, (u64, u64))> {
    let zero = Event { maker: 0, ..Event::BLANK };
    let mut places: Vec<(&'static str, (u64, u64))> = [
        ("SEQ", Event { seq: u64::MAX, ..zero }),
        ("TAKER", Event { taker: u32::MAX, ..zero }),
        ("MAKER", Event { maker: u32::MAX, ..zero }),
        ("TICK", Event { tick: u32::MAX, ..zero }),
        ("QTY", Event { qty: u32::MAX, ..zero }),
        ("INDEX", Event { index: u32::MAX, ..zero }),
        ("FREED", Event { freed: event_flags::MAKER_FREE | event_flags::TAKER_FREE, ..zero }),
        ("LAST", Event { last: true, ..zero }),
    ]
    .iter()
    .map(|(name, event)| (*name, place(&event.to_bytes())))
    .collect();
    // Kind and reason are whole bytes: their first bit is that of an odd value.
    let (kind, _) = place(&Event { kind: EventKind::Fill, ..zero }.to_bytes());
    let (reason, _) = place(&Event { reason: Reason::BadKind, ..zero }.to_bytes());
    places.extend([("KIND", (kind, 8)), ("REASON", (reason, 8))]);
    places
}

fn constants() -> Vec<Constant> {
    let mut all = Vec::new();
    let mut add = |name: String, bits: u32, value: u64| all.push(Constant { name, bits, value });
    add("ABI_VERSION".into(), 16, u64::from(ABI_VERSION));
    add("BEAT_BITS".into(), 32, 8 * BEAT_BYTES as u64);
    add("RING_BIT".into(), 8, u64::from(RING_BIT));
    add("NO_SLOT".into(), 32, u64::from(NO_SLOT));
    add("MOST_QTY".into(), 32, u64::from(Limits::MAX_QTY));
    for kind in Kind::ALL {
        add(format!("KIND_{}", screaming(&format!("{kind:?}"))), 8, kind as u64);
    }
    for kind in EventKind::ALL {
        add(format!("EVENT_{}", screaming(&format!("{kind:?}"))), 8, kind as u64);
    }
    for reason in Reason::ALL {
        add(format!("REASON_{}", screaming(&format!("{reason:?}"))), 8, reason as u64);
    }
    for side in Side::ALL {
        add(format!("SIDE_{}", screaming(&format!("{side:?}"))), 1, side as u64);
    }
    for tif in TimeInForce::ALL {
        add(format!("TIF_{}", screaming(&format!("{tif:?}"))), 2, tif as u64);
    }
    for mode in SelfTrade::ALL {
        add(format!("SELF_TRADE_{}", screaming(&format!("{mode:?}"))), 2, mode as u64);
    }
    add("FLAG_POST_ONLY".into(), 8, u64::from(Command::POST_ONLY));
    add("FLAG_RELATIVE".into(), 8, u64::from(Command::RELATIVE));
    add("SIDE_RESERVED".into(), 8, u64::from(Command::SIDE_RESERVED));
    add("FLAGS_RESERVED".into(), 8, u64::from(Command::FLAGS_RESERVED));
    add("MAKER_FREE".into(), 2, u64::from(event_flags::MAKER_FREE));
    add("TAKER_FREE".into(), 2, u64::from(event_flags::TAKER_FREE));
    for (name, bit) in [
        ("FILL_OR_KILL", Capabilities::FILL_OR_KILL),
        ("POST_ONLY", Capabilities::POST_ONLY),
        ("SELF_TRADE", Capabilities::SELF_TRADE),
        ("REPLACE", Capabilities::REPLACE),
        ("REDUCE", Capabilities::REDUCE),
        ("MANY_INSTRUMENTS", Capabilities::MANY_INSTRUMENTS),
        ("WIDE_BANDS", Capabilities::WIDE_BANDS),
        ("ALL", Capabilities::ALL),
    ] {
        add(format!("CAPABILITY_{name}"), 32, u64::from(bit.0));
    }
    for (name, command) in command_fields() {
        let (at, bits) = place(&command.to_bytes());
        add(format!("COMMAND_{name}_AT"), 32, at);
        add(format!("COMMAND_{name}_BITS"), 32, bits);
    }
    for (name, (at, bits)) in event_places() {
        add(format!("EVENT_{name}_AT"), 32, at);
        add(format!("EVENT_{name}_BITS"), 32, bits);
    }
    all
}

const HEAD: &str = "// Made from src/abi by tests/kernel_abi.rs. Not to be edited.\n";

fn dslx() -> String {
    let mut text = format!("{HEAD}\n");
    for Constant { name, bits, value } in constants() {
        writeln!(text, "pub const {name} = u{bits}:{value:#x};").expect("a string takes all");
    }
    text
}

fn system_verilog() -> String {
    let mut text = format!("{HEAD}`default_nettype none\n\npackage abi_pkg;\n");
    for Constant { name, bits, value } in constants() {
        writeln!(text, "  localparam logic [{}:0] {name} = {bits}'h{value:x};", bits - 1).expect("a string takes all");
    }
    text + "endpackage\n\n`default_nettype wire\n"
}

fn check(name: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kernel/gen").join(name);
    if std::env::var_os("WIREBOOK_REGENERATE").is_some() {
        fs::write(&path, made).expect("kernel/gen can be written");
    }
    let committed = fs::read_to_string(&path).expect("the file is committed");
    assert!(
        committed == made,
        "{name} is not what src/abi says: make it anew with WIREBOOK_REGENERATE=1, and the kernel"
    );
}

#[test]
fn the_dslx_constants_are_those_of_the_abi() {
    check("abi.x", &dslx());
}

#[test]
fn the_system_verilog_constants_are_those_of_the_abi() {
    check("abi_pkg.sv", &system_verilog());
}
