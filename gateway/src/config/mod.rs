//! The configuration: a TOML file, checked value by value before anything starts.
//!
//! [`Config::load`] reads a file, [`Config::parse`] a text (the demo's defaults). What does not fit is a [`Failure`] with file, line,
//! field, what was found and what is allowed, exit code 2. Unknown keys are errors: a misspelt limit must not become no limit.
//! [`Config::records`] says what the configuration means to the ledger, [`Config::effective`] and [`Config::warnings`] what a start
//! should print.

mod check;
mod decimal;
mod effective;
mod locate;
mod raw;
mod records;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wirebook_bypass::cpu::WaitStrategy;
use wirebook_bypass::stream::any::PortKind;
use wirebook_matcher::abi::SelfTrade;

use crate::cli::Failure;
use crate::settle::ValidatorAddress;
pub use decimal::{Decimal, DecimalError};
pub use raw::RawConfig;

/// The example file, which shows every key with its default.
pub const EXAMPLE: &str = include_str!("../../wirebook.example.toml");

/// Longest configuration that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The main loop and its connections.
    pub gateway: Gateway,
    /// The journal.
    pub journal: Journal,
    /// The embedded validator.
    pub settlement: Settlement,
    /// Who matches.
    pub matcher: Matching,
    /// Filter of the log.
    pub log: String,
    /// Assets; the index is the id.
    pub assets: Vec<Asset>,
    /// Instruments; the index is the id.
    pub instruments: Vec<Instrument>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Logins.
    pub sessions: Vec<Session>,
    /// The file as it was written, defaults filled in.
    raw: RawConfig,
}

/// When a report may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// At once.
    Matched,
    /// When its record is durable on this machine.
    Journaled,
}

impl std::fmt::Display for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Matched => "matched",
            Self::Journaled => "journaled",
        })
    }
}

/// How the stages are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// One after another, on one core.
    Inline,
    /// Matcher and journal on cores of their own.
    Pipelined,
    /// As machine, cores and wait suggest.
    Auto,
}

impl std::fmt::Display for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inline => "inline",
            Self::Pipelined => "pipelined",
            Self::Auto => "auto",
        })
    }
}

impl std::str::FromStr for Pipeline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Inline, Self::Pipelined, Self::Auto];
        let found = all.into_iter().find(|pipeline| pipeline.to_string() == text);
        found.ok_or_else(|| format!("pipeline {text:?}: use inline, pipelined or auto"))
    }
}

/// Where TCP in user space stands, with port `xdp`: its address is the one listened at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xdp {
    /// The interface whose frames for that address come to user space; empty: none.
    pub interface: String,
    /// How many leading bits of the address name the network.
    pub prefix: u8,
    /// Where everything goes that is outside of it.
    pub gateway: Option<Ipv4Addr>,
}

/// `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Where clients connect; port 0 is the system's choice.
    pub listen: SocketAddr,
    /// What carries the bytes.
    pub port: PortKind,
    /// Where clients over shared memory find it.
    pub shm_dir: PathBuf,
    /// Where TCP in user space stands.
    pub xdp: Xdp,
    /// Number of the sequence.
    pub shard: u16,
    /// What everything is kept below.
    pub data_dir: PathBuf,
    /// When a report may leave.
    pub ack: Ack,
    /// What the main loop does when idle.
    pub wait: WaitStrategy,
    /// How the stages are run.
    pub pipeline: Pipeline,
    /// Cores. Inline: main loop, settlement; none: not pinned. Pipelined: sessions, matcher, journal, settlement; none: as the machine
    /// has them.
    pub cores: Vec<usize>,
    /// Connections at a time.
    pub max_connections: u32,
    /// Slots of the matcher.
    pub max_live_orders: u32,
    /// Bytes per connection.
    pub receive_buffer: u32,
    /// Bytes per connection.
    pub send_buffer: u32,
    /// Milliseconds.
    pub login_timeout_ms: u32,
    /// Milliseconds.
    pub heartbeat_ms: u32,
    /// Milliseconds.
    pub silence_timeout_ms: u32,
    /// Milliseconds.
    pub stall_timeout_ms: u32,
}

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Directory of segments and snapshots.
    pub dir: PathBuf,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Most bytes of a group commit.
    pub block_bytes: u32,
    /// How long records may wait for others before a group commit, where no report waits for it: under `matched`.
    pub linger: Duration,
    /// Snapshots that are kept.
    pub snapshots_kept: u32,
}

/// `[settlement]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Whether batches are made final at all.
    pub enabled: bool,
    /// Directory of its store.
    pub dir: PathBuf,
    /// Records of a batch, at most.
    pub seal_every_records: u32,
    /// Milliseconds after a batch's first record.
    pub seal_every_ms: u32,
    /// Batches between two snapshots; 0: only at the end.
    pub snapshot_every_batches: u32,
    /// The validators that make batches final; none: one in this process.
    pub validators: Vec<ValidatorAddress>,
}

/// `[matcher]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// Who matches.
    pub kind: MatcherKind,
    /// The board's address, such as `0000:01:00.0`; empty without one.
    pub address: String,
    /// Microseconds after which the software twin takes over from a device that owes an answer.
    pub late_us: u32,
    /// Events after which a device model stalls; 0: it does not.
    pub drill_after_events: u32,
}

/// Who matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherKind {
    /// The software twin.
    Software,
    /// A model of a device behind registers and rings, followed by the software twin.
    DeviceModel,
    /// A board, followed by the software twin.
    Device,
}

/// `[[asset]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Up to 8 letters and digits.
    pub name: String,
    /// Decimals of its smallest unit.
    pub decimals: u8,
}

/// `[[instrument]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Up to 8 letters and digits.
    pub symbol: String,
    /// Id of the asset that is traded.
    pub base: u16,
    /// Id of the asset that is paid.
    pub quote: u16,
    /// Price step, in quote.
    pub tick_size: Decimal,
    /// Quantity step, in base.
    pub lot_size: Decimal,
    /// How often the value of one base unit counts.
    pub multiplier: u32,
    /// Price of the band's first tick, in ticks.
    pub band_base: u64,
    /// Ticks of the band.
    pub band_ticks: u32,
    /// Rounding of fees.
    pub rounding: Rounding,
    /// Millionths; negative is a rebate.
    pub maker_ppm: i32,
    /// Millionths.
    pub taker_ppm: i32,
}

/// How fees are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
    /// To the nearest, a tie to the even one.
    HalfEven,
}

/// `[[account]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// From 2.
    pub id: u32,
    /// Up to 16 characters.
    pub name: String,
    /// What self-trade prevention compares; 0 is exempt.
    pub owner: u16,
    /// What its orders do at a fill with themselves.
    pub self_trade: SelfTrade,
    /// Ids of instruments that it may not trade.
    pub restricted: Vec<u16>,
    /// What it begins with.
    pub deposits: Vec<Deposit>,
    /// What risk lets it do.
    pub limits: Limits,
}

/// A deposit that is made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Id of the asset.
    pub asset: u16,
    /// As it was written, without insignificant zeros.
    pub decimal: Decimal,
    /// In the asset's smallest unit; above 0.
    pub amount: i128,
}

/// `[account.limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lots of one order.
    pub max_order_qty: u32,
    /// Value of one order, in the quote's smallest unit.
    pub max_notional: i128,
    /// Live orders at a time.
    pub max_open_orders: u32,
    /// 0: none.
    pub collar_ticks: u32,
    /// 0: none.
    pub messages_per_second: u32,
    /// 0: none.
    pub duplicates_per_second: u32,
}

/// `[[session]]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// From 1.
    pub id: u32,
    /// Up to 6 letters and digits.
    pub username: String,
    /// Up to 10 printable characters.
    pub password: String,
    /// Whose money it trades.
    pub account: u32,
    /// Whether its orders go with its connection.
    pub cancel_on_disconnect: bool,
}

impl std::fmt::Debug for Session {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("account", &self.account)
            .field("cancel_on_disconnect", &self.cancel_on_disconnect)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads and checks a file. Relative directories count from the file's own.
    ///
    /// # Errors
    /// Names file, line, field, what was found and what is allowed.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let fail = |error: &std::io::Error| {
            Failure::io("read the configuration", path, error)
                .next("copy gateway/wirebook.example.toml, which documents every key")
        };
        let size = std::fs::metadata(path).map_err(|error| fail(&error))?.len();
        if size > MAX_FILE {
            return Err(Failure::bad("the configuration is too large")
                .file(path.display())
                .found(format!("{size} bytes"))
                .allowed(format!("{MAX_FILE} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&path.display().to_string(), &text, base)
    }

    /// Checks a text. `name` is for messages; relative directories count from `base`.
    ///
    /// # Errors
    /// Names file, line, field, what was found and what is allowed.
    pub fn parse(name: &str, text: &str, base: &Path) -> Result<Self, Failure> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| check::unreadable(name, text, &error))?;
        check::check(raw, base).map_err(|wrong| wrong.failure(name, text))
    }

    /// The file as it was written, with defaults filled in.
    pub fn raw(&self) -> &RawConfig {
        &self.raw
    }

    /// Most lots that any account's order may have: what the matcher is made for.
    pub fn max_qty(&self) -> u32 {
        self.accounts.iter().map(|account| account.limits.max_order_qty).max().unwrap_or(1)
    }
}
