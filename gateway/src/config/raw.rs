//! The configuration file as it is written: keys, their types and their defaults. What the values may be is checked afterwards.
//!
//! `wirebook.example.toml` documents every key; a test holds that it shows the defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawConfig {
    pub gateway: RawGateway,
    pub journal: RawJournal,
    pub settlement: RawSettlement,
    pub matcher: RawMatcher,
    pub log: RawLog,
    #[serde(rename = "asset")]
    pub assets: Vec<RawAsset>,
    #[serde(rename = "instrument")]
    pub instruments: Vec<RawInstrument>,
    #[serde(rename = "account")]
    pub accounts: Vec<RawAccount>,
    #[serde(rename = "session")]
    pub sessions: Vec<RawSession>,
}

/// `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawGateway {
    pub listen: String,
    pub port: String,
    pub shm_dir: String,
    pub xdp_interface: String,
    pub xdp_prefix: u32,
    pub xdp_gateway: String,
    pub shard: u16,
    pub data_dir: String,
    pub ack: String,
    pub wait: String,
    pub pipeline: String,
    pub cores: Vec<usize>,
    pub max_connections: u32,
    pub max_live_orders: u32,
    pub receive_buffer: u32,
    pub send_buffer: u32,
    pub login_timeout_ms: u32,
    pub heartbeat_ms: u32,
    pub silence_timeout_ms: u32,
    pub stall_timeout_ms: u32,
}

impl Default for RawGateway {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9001".into(),
            port: "kernel".into(),
            shm_dir: "shm".into(),
            xdp_interface: String::new(),
            xdp_prefix: 24,
            xdp_gateway: String::new(),
            shard: 0,
            data_dir: "wirebook-data".into(),
            ack: "journaled".into(),
            wait: "park:5ms".into(),
            pipeline: "auto".into(),
            cores: Vec::new(),
            max_connections: 1024,
            max_live_orders: 1 << 20,
            receive_buffer: 1 << 16,
            send_buffer: 1 << 18,
            login_timeout_ms: 30_000,
            heartbeat_ms: 1_000,
            silence_timeout_ms: 15_000,
            stall_timeout_ms: 15_000,
        }
    }
}

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawJournal {
    pub dir: String,
    pub segment_mib: u32,
    pub block_kib: u32,
    pub linger_us: u32,
    pub snapshots_kept: u32,
}

impl Default for RawJournal {
    fn default() -> Self {
        Self { dir: "journal".into(), segment_mib: 64, block_kib: 1024, linger_us: 5_000, snapshots_kept: 2 }
    }
}

/// `[settlement]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawSettlement {
    pub enabled: bool,
    pub dir: String,
    pub seal_every_records: u32,
    pub seal_every_ms: u32,
    pub snapshot_every_batches: u32,
    #[serde(rename = "validator", skip_serializing_if = "Vec::is_empty")]
    pub validators: Vec<RawValidator>,
}

/// `[[settlement.validator]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawValidator {
    pub key: String,
    pub address: String,
}

impl Default for RawSettlement {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: "settlement".into(),
            seal_every_records: 8192,
            seal_every_ms: 50,
            snapshot_every_batches: 256,
            validators: Vec::new(),
        }
    }
}

/// `[matcher]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawMatcher {
    pub kind: String,
    pub address: String,
    pub late_us: u32,
    pub drill_after_events: u32,
}

impl Default for RawMatcher {
    fn default() -> Self {
        Self { kind: "software".into(), address: String::new(), late_us: 10_000, drill_after_events: 0 }
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawLog {
    pub filter: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { filter: "info".into() }
    }
}

/// `[[asset]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAsset {
    pub name: String,
    pub decimals: u8,
}

/// `[[instrument]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawInstrument {
    pub symbol: String,
    pub base: String,
    pub quote: String,
    pub tick_size: String,
    pub lot_size: String,
    #[serde(default = "one")]
    pub multiplier: u32,
    pub band: RawBand,
    #[serde(default = "half_even")]
    pub rounding: String,
    #[serde(default)]
    pub fees: RawFees,
}

fn one() -> u32 {
    1
}

fn half_even() -> String {
    "half-even".into()
}

/// `band = { low, ticks }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawBand {
    pub low: String,
    pub ticks: u32,
}

/// `fees = { maker_ppm, taker_ppm }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RawFees {
    pub maker_ppm: i32,
    pub taker_ppm: i32,
}

/// `[[account]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAccount {
    pub id: u32,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub owner: u16,
    #[serde(default = "off")]
    pub self_trade: String,
    #[serde(default)]
    pub restricted: Vec<String>,
    #[serde(default)]
    pub deposits: BTreeMap<String, String>,
    pub limits: RawLimits,
}

fn off() -> String {
    "off".into()
}

/// `[account.limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawLimits {
    pub max_order_qty: u32,
    pub max_notional: String,
    pub max_open_orders: u32,
    #[serde(default)]
    pub collar_ticks: u32,
    #[serde(default)]
    pub messages_per_second: u32,
    #[serde(default)]
    pub duplicates_per_second: u32,
}

/// `[[session]]`.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawSession {
    pub id: u32,
    pub username: String,
    pub password: String,
    pub account: u32,
    #[serde(default)]
    pub cancel_on_disconnect: bool,
}

impl std::fmt::Debug for RawSession {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawSession").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}
