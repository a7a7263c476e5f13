//! Golden vectors: command beats and the events that answer them, as text that any simulator can read.
//!
//! ```text
//! wirebook-vectors 1
//! abi <64 hex digits: the ABI's hash>
//! limits slots 48 max_qty 100 ticks 9,20
//! case new ioc: fill, complete
//! c <64 hex digits: a command's 32 bytes, first byte first>  # what it says
//! e <64 hex digits: an event's 32 bytes>
//! digest <64 hex digits: of the book after the case>
//! ```
//!
//! The book is empty before the first case and goes on from case to case. `#` begins a comment; empty lines are skipped.

use std::fmt::{self, Write as _};

use crate::abi::{BEAT_BYTES, Command, Event, Kind, Limits, SelfTrade, Side, TimeInForce, abi_hash};
use crate::matcher::Twin;

/// The first line of every file.
const MAGIC: &str = "wirebook-vectors 1";

/// A command's 32 bytes and those of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command.
    pub command: [u8; BEAT_BYTES],
    /// What answers it, in order.
    pub events: Vec<[u8; BEAT_BYTES]>,
}

/// Some commands that show one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What they show.
    pub name: String,
    /// The commands and their answers.
    pub steps: Vec<Step>,
    /// Digest of the book after the case.
    pub digest: [u8; 32],
}

/// A file of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vectors {
    /// Sizes of the matcher.
    pub limits: Limits,
    /// The cases, in order; each begins with the book that the last one left.
    pub cases: Vec<Case>,
}

/// Why a file is no file of vectors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: found `{found}`, expected {expected}")]
pub struct VectorsError {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: &'static str,
}

impl Vectors {
    /// No cases yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, cases: Vec::new() }
    }

    /// Executes commands on a twin and adds them, with its answers, as a case.
    pub fn record(&mut self, twin: &mut impl Twin, name: impl Into<String>, commands: &[Command]) {
        let steps = commands.iter().map(|command| {
            let mut events = Vec::new();
            twin.execute(command, |event| events.push(event.to_bytes()));
            Step { command: command.to_bytes(), events }
        });
        self.cases.push(Case { name: name.into(), steps: steps.collect(), digest: twin.digest() });
    }

    /// Executes every command on a twin, from an empty book; the first difference is the error.
    ///
    /// # Errors
    /// Names the case, the step, and what differs.
    pub fn replay(&self, twin: &mut impl Twin) -> Result<(), String> {
        for case in &self.cases {
            for (number, step) in case.steps.iter().enumerate() {
                let mut events = Vec::new();
                twin.execute(&Command::from_bytes(&step.command), |event| events.push(event.to_bytes()));
                if events != step.events {
                    let wanted: Vec<_> = step.events.iter().map(Event::from_bytes).collect();
                    let found: Vec<_> = events.iter().map(Event::from_bytes).collect();
                    return Err(format!(
                        "case `{}`, step {number}: {:?}\nfound {found:#?}\nexpected {wanted:#?}",
                        case.name,
                        Command::from_bytes(&step.command)
                    ));
                }
            }
            if twin.digest() != case.digest {
                return Err(format!("case `{}`: the book's digest differs", case.name));
            }
        }
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Names the line, what was found and what may stand there; another ABI is an error too.
    pub fn parse(text: &str) -> Result<Self, VectorsError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line.split('#').next().unwrap_or("").trim()))
            .filter(|(_, line)| !line.is_empty());
        let mut header = |expected| lines.next().ok_or(VectorsError { line: 0, found: "the end".to_owned(), expected });
        let (line, magic) = header(MAGIC)?;
        if magic != MAGIC {
            return Err(VectorsError { line, found: magic.to_owned(), expected: MAGIC });
        }
        const ABI: &str = "`abi` and the hash of this ABI: make the vectors again";
        let (line, abi) = header(ABI)?;
        if abi.strip_prefix("abi ").and_then(from_hex) != Some(abi_hash()) {
            return Err(VectorsError { line, found: abi.to_owned(), expected: ABI });
        }
        const LIMITS: &str = "limits slots N max_qty N ticks N,N...";
        let (line, limits) = header(LIMITS)?;
        let limits = parse_limits(limits).ok_or(VectorsError { line, found: limits.to_owned(), expected: LIMITS })?;
        let mut vectors = Self::new(limits);
        let mut open: Option<Case> = None;
        for (line, text) in lines {
            let fail = |expected| Err(VectorsError { line, found: text.to_owned(), expected });
            let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
            match (word, &mut open) {
                ("case", None) => {
                    open = Some(Case { name: rest.to_owned(), steps: Vec::new(), digest: [0; 32] });
                }
                ("c", Some(case)) => match from_hex(rest) {
                    Some(command) => case.steps.push(Step { command, events: Vec::new() }),
                    None => return fail("`c` and 64 hex digits"),
                },
                ("e", Some(Case { steps, .. })) => match (from_hex(rest), steps.last_mut()) {
                    (Some(event), Some(step)) => step.events.push(event),
                    _ => return fail("`e` and 64 hex digits, after a command"),
                },
                ("digest", case @ Some(_)) => match (from_hex(rest), case.take()) {
                    (Some(digest), Some(case)) => vectors.cases.push(Case { digest, ..case }),
                    _ => return fail("`digest` and 64 hex digits"),
                },
                (_, None) => return fail("case NAME"),
                _ => return fail("c, e or digest"),
            }
        }
        match open {
            None => Ok(vectors),
            Some(case) => {
                Err(VectorsError { line: 0, found: format!("the end, in case {}", case.name), expected: "digest" })
            }
        }
    }
}

impl fmt::Display for Vectors {
    /// The file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks: Vec<String> = self.limits.ticks.iter().map(u32::to_string).collect();
        writeln!(f, "{MAGIC}\nabi {}", hex(&abi_hash()))?;
        writeln!(f, "limits slots {} max_qty {} ticks {}", self.limits.slots, self.limits.max_qty, ticks.join(","))?;
        for case in &self.cases {
            writeln!(f, "\ncase {}", case.name)?;
            for step in &case.steps {
                writeln!(f, "c {}  # {}", hex(&step.command), describe(&Command::from_bytes(&step.command)))?;
                for event in &step.events {
                    let told = Event::from_bytes(event).map_or("no event".to_owned(), |event| describe_event(&event));
                    writeln!(f, "e {}  #   {told}", hex(event))?;
                }
            }
            writeln!(f, "digest {}", hex(&case.digest))?;
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim().as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn parse_limits(text: &str) -> Option<Limits> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["limits", "slots", slots, "max_qty", max_qty, "ticks", ticks] = words[..] else {
        return None;
    };
    let ticks: Result<Vec<u32>, _> = ticks.split(',').map(str::parse).collect();
    let limits = Limits { ticks: ticks.ok()?, slots: slots.parse().ok()?, max_qty: max_qty.parse().ok()? };
    limits.validate().ok().map(|()| limits)
}

/// A command in words, for the reader of a vector.
fn describe(command: &Command) -> String {
    let Some(kind) = Kind::from_byte(command.kind) else {
        return format!("kind {}", command.kind);
    };
    let mut text = format!("{kind:?}").to_lowercase();
    if kind == Kind::Nop {
        return text;
    }
    let _ = write!(text, " instrument {} owner {} slot {}", command.instrument, command.owner, command.slot);
    if kind == Kind::Replace {
        let _ = write!(text, " to {}", command.slot2);
    }
    if kind == Kind::New {
        text.push_str(if command.side() == Side::Buy { " buy" } else { " sell" });
    }
    if command.relative() {
        let _ = write!(text, " {:+} lots", command.qty.cast_signed());
    } else if kind != Kind::Cancel {
        let _ = write!(text, " {} lots", command.qty);
    }
    if matches!(kind, Kind::New | Kind::Replace) {
        let _ = write!(text, " at {}", command.tick);
        match command.time_in_force() {
            Some(TimeInForce::Gtc) => {}
            Some(other) => text.push_str(&format!(" {other:?}").to_lowercase()),
            None => text.push_str(" time in force 3"),
        }
        text.push_str(if command.post_only() { " post-only" } else { "" });
        text.push_str(match command.self_trade() {
            SelfTrade::Off => "",
            SelfTrade::CancelNewest => " newest",
            SelfTrade::CancelOldest => " oldest",
            SelfTrade::CancelBoth => " both",
        });
    }
    text
}

/// An event in words.
fn describe_event(event: &Event) -> String {
    let mut text = format!("{:?} taker {}", event.kind, event.taker).to_lowercase();
    if event.maker != crate::abi::NO_SLOT {
        let _ = write!(text, " maker {}", event.maker);
    }
    let _ = write!(text, " {} lots at {}", event.qty, event.tick);
    if event.reason != crate::abi::Reason::None {
        let _ = write!(text, " {:?}", event.reason);
    }
    text.push_str(if event.last { ", last" } else { "" });
    text
}
