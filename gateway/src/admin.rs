//! The operator's line into a running venue: a Unix socket that takes one command a line and answers one line.
//!
//! | command | does |
//! |---|---|
//! | `status` | what is booked, durable, sealed, settled |
//! | `kill ACCOUNT\|all on\|off` | stops (or allows again) order entry, and cancels what is live |
//! | `halt SYMBOL trading\|halted\|frozen` | halted refuses new orders; frozen holds cancels back as well |
//! | `day close` | cancels every order, tells everyone, ends the session |
//! | `day open` | opens the next session of today |
//! | `counters` | what the pipeline counts |
//! | `stop` | ends the venue in good order |
//!
//! Try it with `socat - UNIX:wirebook-data/admin.sock`. Who may write to the socket's file may do all this: keep its directory so.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use wirebook_bypass::counters::CountersReader;
use wirebook_settlement::record::{ALL_ACCOUNTS, DayPhase, HaltMode, Payload, State};

use crate::pipeline::{Control, ControlQueue, Status};

/// Longest command line, in bytes.
const MAX_LINE: u64 = 256;

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
            ["day", "close"] => return self.ask(Control::Day(DayPhase::Close)),
            ["day", "open"] => return self.ask(Control::Day(DayPhase::Open)),
            _ => return format!("error command: found {line:?}, allowed status, counters, kill, halt, day, stop"),
        };
        self.ask(Control::Submit(Box::new(payload)))
    }

    fn ask(&self, control: Control) -> String {
        if self.control.ask(control) { "ok".into() } else { "error busy: too many requests wait, try again".into() }
    }
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
        std::thread::Builder::new().name("admin".into()).spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => {
                        if let Err(error) = serve(stream, &desk) {
                            warn!(%error, "an operator's line broke");
                        }
                    }
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

/// One operator at a time: whoever is silent for a minute loses the line.
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
