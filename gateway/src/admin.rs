//! The operator's line into a running venue: a Unix socket that takes one command a line and answers one line.
//!
//! | command | does |
//! |---|---|
//! | `status` | what is booked, durable, sealed, settled |
//! | `kill ACCOUNT\|all on\|off` | stops (or allows again) order entry, and cancels what is live |
//! | `halt SYMBOL trading\|halted\|frozen` | halted refuses new orders; frozen holds cancels back as well |
//! | `day close` | cancels every order, tells everyone, ends the session |
//! | `day open` | opens the next session of today |
//! | `transfer LEG [; LEG ...]` | moves money, all legs or none: see [`legs`] |
//! | `counters` | what the pipeline counts |
//! | `stop` | ends the venue in good order |
//!
//! A LEG is `book|pend|post|void ID FROM TO ASSET AMOUNT`, numbers all; a `pend` may add the seconds after which it expires, a `post` and a
//! `void` add the ID of their pend. Account 0 is the outside world: `transfer book 17 0 2 1 5000` pays 5000 of asset 1 in to account 2.
//! The same ID again, for two days, moves nothing.
//!
//! Try it with `socat - UNIX:wirebook-data/admin.sock`. Who may write to the socket's file may do all this: keep its directory so.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};
use wirebook_bypass::counters::CountersReader;
use wirebook_settlement::record::{ALL_ACCOUNTS, Action, DayPhase, HaltMode, Leg, Payload, State, Transfer};

use crate::pipeline::{Control, ControlQueue, Status};

/// Longest command line, in bytes.
const MAX_LINE: u64 = 4096;

/// Operators who may be connected at a time.
const MAX_OPERATORS: usize = 16;

/// How long an operator waits for the venue's answer to a transfer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a silent operator keeps the line.
const PATIENCE: Duration = Duration::from_secs(60);

/// What commands are carried out with.
#[derive(Clone)]
pub struct Desk {
    /// The venue.
    pub control: ControlQueue,
    /// How far the venue is.
    pub status: Arc<Status>,
    /// Symbols of the instruments, by number.
    pub symbols: Vec<String>,
    /// The file of the pipeline's counters.
    pub counters: PathBuf,
    /// A line on settlement.
    pub settled: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Desk {
    /// Carries out one command and answers one line.
    pub fn command(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let payload = match words.as_slice() {
            ["status"] => {
                let (booked, durable) = (self.status.booked(), self.status.durable());
                return format!("ok booked={booked:#x} durable={durable:#x} {}", (self.settled)());
            }
            ["counters"] => {
                return match CountersReader::open(&self.counters) {
                    Ok(reader) => reader
                        .list()
                        .into_iter()
                        .fold("ok".into(), |line, (name, value)| format!("{line} {}={value}", name.replace(' ', "_"))),
                    Err(error) => format!("error counters: {error}"),
                };
            }
            ["stop"] => return self.ask(Control::Stop),
            ["kill", account, state] => {
                let account = match (*account, account.parse()) {
                    ("all", _) => ALL_ACCOUNTS,
                    (_, Ok(number)) => number,
                    (found, _) => return format!("error account: found {found:?}, allowed a number, or all"),
                };
                let on = match *state {
                    "on" => true,
                    "off" => false,
                    found => return format!("error state: found {found:?}, allowed on, off"),
                };
                Payload::State(State::Kill { account, on })
            }
            ["halt", symbol, mode] => {
                let Some(instrument) = self.symbols.iter().position(|s| s == symbol) else {
                    return format!("error symbol: found {symbol:?}, allowed {}", self.symbols.join(", "));
                };
                let mode = match *mode {
                    "trading" => HaltMode::Trading,
                    "halted" => HaltMode::Halted,
                    "frozen" => HaltMode::Frozen,
                    found => return format!("error mode: found {found:?}, allowed trading, halted, frozen"),
                };
                Payload::State(State::Halt { instrument: instrument as u16, mode })
            }
            ["transfer", ..] => {
                return match legs(line.trim().trim_start_matches("transfer"), now_ns()) {
                    Ok(legs) => self.transfer(legs),
                    Err(error) => format!("error {error}"),
                };
            }
            ["day", "close"] => return self.ask(Control::Day(DayPhase::Close)),
            ["day", "open"] => return self.ask(Control::Day(DayPhase::Open)),
            _ => {
                return format!(
                    "error command: found {line:?}, allowed status, counters, transfer, kill, halt, day, stop"
                );
            }
        };
        self.ask(Control::Submit(Box::new(payload)))
    }

    fn transfer(&self, legs: Vec<Leg>) -> String {
        let (answer, answered) = channel();
        if !self.control.ask(Control::Transfer(legs, answer)) {
            return "error busy: too many requests wait, try again".into();
        }
        match answered.recv_timeout(ANSWER) {
            Ok(Ok(seq)) => format!("ok seq={seq:#x}"),
            Ok(Err(refused)) => format!("error transfer: {refused}"),
            Err(_) => "error transfer: no answer in time; ask again with the same ids, they move nothing twice".into(),
        }
    }

    fn ask(&self, control: Control) -> String {
        if self.control.ask(control) { "ok".into() } else { "error busy: too many requests wait, try again".into() }
    }
}

/// The legs of a transfer, as an operator writes them.
fn legs(text: &str, now_ns: u64) -> Result<Vec<Leg>, String> {
    text.split(';').map(|leg| one_leg(leg, now_ns)).collect()
}

fn one_leg(text: &str, now_ns: u64) -> Result<Leg, String> {
    fn number<T: FromStr>(what: &str, word: &str) -> Result<T, String> {
        word.parse().map_err(|_| format!("{what}: found {word:?}, allowed a number in range"))
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [action, id, from, to, asset, amount, rest @ ..] = words.as_slice() else {
        return Err(format!("leg: found {:?}, allowed book|pend|post|void ID FROM TO ASSET AMOUNT", text.trim()));
    };
    let transfer = Transfer {
        id: number("id", id)?,
        from: number("from", from)?,
        to: number("to", to)?,
        asset: number("asset", asset)?,
        amount: number("amount", amount)?,
    };
    let leg = |action, pending, expires_ns| Ok(Leg { action, transfer, pending, expires_ns });
    match (*action, rest) {
        ("book", []) => leg(Action::Book, 0, 0),
        ("pend", []) => leg(Action::Pend, 0, 0),
        ("pend", [seconds]) => {
            let wait = number::<u64>("seconds", seconds)?.checked_mul(1_000_000_000);
            let expires = wait.and_then(|wait| now_ns.checked_add(wait)).ok_or("seconds: too many")?;
            leg(Action::Pend, 0, expires)
        }
        ("post", [pending]) => leg(Action::Post, number("pending id", pending)?, 0),
        ("void", [pending]) => leg(Action::Void, number("pending id", pending)?, 0),
        ("book" | "pend" | "post" | "void", _) => {
            Err(format!("{action}: {} words too many or too few behind AMOUNT", rest.len()))
        }
        _ => Err(format!("action: found {action:?}, allowed book, pend, post, void")),
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The socket; removed when dropped.
pub struct Admin {
    path: PathBuf,
}

impl Admin {
    /// Listens at `path`, in a thread of its own. What an earlier life left there is removed.
    ///
    /// # Errors
    /// When the path cannot be bound.
    pub fn start(path: &Path, desk: Desk) -> std::io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let lines = Arc::new(());
        std::thread::Builder::new().name("admin".into()).spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => take(stream, &desk, &lines),
                    Err(error) => {
                        warn!(%error, "the admin socket is closed");
                        return;
                    }
                }
            }
        })?;
        Ok(Self { path: path.into() })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves an operator in a thread of his own, unless too many talk already. `lines` is held once for each of them.
fn take(mut stream: UnixStream, desk: &Desk, lines: &Arc<()>) {
    if Arc::strong_count(lines) > MAX_OPERATORS {
        let _ = writeln!(stream, "error busy: {MAX_OPERATORS} operators are connected, try again");
        return;
    }
    let (desk, line) = (desk.clone(), lines.clone());
    let spawned = std::thread::Builder::new().name("operator".into()).spawn(move || {
        if let Err(error) = serve(stream, &desk) {
            warn!(%error, "an operator's line broke");
        }
        drop(line);
    });
    if let Err(error) = spawned {
        warn!(%error, "no thread for an operator");
    }
}

/// Whoever is silent for a minute loses the line.
fn serve(stream: UnixStream, desk: &Desk) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut answers = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.by_ref().take(MAX_LINE).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let answer = desk.command(line);
        info!(command = line, %answer, "operator");
        writeln!(answers, "{answer}")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_read_as_an_operator_writes_them() {
        let read = legs(" book 17 0 2 1 5000; pend 18 2 3 1 40 60 ;post 19 2 3 1 40 18", 5).unwrap();
        let transfer = |id, from, to, amount| Transfer { id, from, to, asset: 1, amount };
        let pend =
            Leg { action: Action::Pend, transfer: transfer(18, 2, 3, 40), pending: 0, expires_ns: 60_000_000_005 };
        let post = Leg { action: Action::Post, transfer: transfer(19, 2, 3, 40), pending: 18, expires_ns: 0 };
        assert_eq!(read, [Leg::book(transfer(17, 0, 2, 5000)), pend, post]);
        for (wrong, told) in [
            ("", "leg: found"),
            ("book 17 0 2 1", "leg: found"),
            ("book 17 0 2 1 5000 9", "book: 1 words"),
            ("post 17 0 2 1 5000", "post: 0 words"),
            ("give 17 0 2 1 5000", "action: found"),
            ("book 17 0 2 70000 5000", "asset: found"),
            ("book -1 0 2 1 5000", "id: found"),
            ("pend 1 0 2 1 5000 99999999999999999", "seconds: too many"),
        ] {
            let error = legs(wrong, 5).unwrap_err();
            assert!(error.starts_with(told), "{wrong:?}: {error}");
        }
    }
}
