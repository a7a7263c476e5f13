//! Every value of the file against what it may be, and against the others.

mod instruments;
mod matching;
mod owners;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::str::FromStr;
use std::time::Duration;

use wirebook_bypass::cpu::WaitStrategy;
use wirebook_bypass::stream::any::PortKind;
use wirebook_matcher::abi::Capabilities;
use wirebook_settlement::ledger::MAX_ASSETS;
use wirebook_settlement::machine::RegistryBook;
use wirebook_settlement::record::Payload;

use super::locate::{Path, line_of};
use super::raw::{RawConfig, RawGateway};
use super::{Ack, Asset, Config, Decimal, Gateway, Journal, Pipeline, Settlement, Xdp};
use crate::cli::Failure;
use crate::settle::ValidatorAddress;

/// Decimals of an asset, at most: what a deposit's digits leave room for.
const MAX_DECIMALS: u8 = 18;
/// Cores that can be named inline: main loop, settlement.
const CORES_INLINE: usize = 2;
/// And pipelined: sessions, matcher, journal, settlement.
const CORES: usize = 4;
/// Live orders at a time, at most: some 5 GB of them.
const MAX_LIVE_ORDERS: u32 = 1 << 26;

/// A value that does not fit.
pub(super) struct Wrong {
    path: Path,
    what: String,
    found: String,
    allowed: String,
}

impl Wrong {
    fn new(path: Path, what: impl Into<String>, found: impl Display, allowed: impl Into<String>) -> Self {
        Self { path, what: what.into(), found: found.to_string(), allowed: allowed.into() }
    }

    pub(super) fn failure(&self, name: &str, text: &str) -> Failure {
        let failure = Failure::bad(self.what.clone())
            .file(name)
            .field(self.path.to_string())
            .found(&self.found)
            .allowed(self.allowed.clone());
        match self.path.line(text) {
            Some(line) => failure.line(line),
            None => failure,
        }
    }
}

/// How a text that is no configuration is told: TOML's own message, with its line and key.
pub(super) fn unreadable(name: &str, text: &str, error: &toml::de::Error) -> Failure {
    let message = error.message();
    let (what, allowed) = match message.split_once(", expected ") {
        Some((what, allowed)) => (what, Some(allowed)),
        None => (message, None),
    };
    let mut failure = Failure::bad(format!("the configuration cannot be read: {what}")).file(name);
    if let Some(span) = error.span() {
        let number = line_of(text, span.start);
        let line = text.lines().nth(usize::try_from(number).unwrap_or(usize::MAX) - 1).unwrap_or("");
        failure = failure.line(number).found(line.trim());
        if let Some((key, _)) = line.split_once('=') {
            failure = failure.field(key.trim());
        }
    }
    if let Some(allowed) = allowed {
        failure = failure.allowed(allowed.replace('`', ""));
    }
    failure.next("gateway/wirebook.example.toml documents every key")
}

/// Checks everything.
pub(super) fn check(raw: RawConfig, base: &FilePath) -> Result<Config, Wrong> {
    let gateway = gateway(&raw.gateway, base)?;
    let assets = assets(&raw)?;
    let instruments = instruments::instruments(&raw, &assets)?;
    let accounts = owners::accounts(&raw, &assets, &instruments)?;
    let sessions = owners::sessions(&raw, &accounts)?;
    let journal = Journal {
        dir: gateway.data_dir.join(text(&Path::top("journal").key("dir"), &raw.journal.dir)?),
        segment_bytes: u64::from(within(&Path::top("journal").key("segment_mib"), raw.journal.segment_mib, 1, 256)?)
            << 20,
        block_bytes: within(&Path::top("journal").key("block_kib"), raw.journal.block_kib, 64, 1_024)? << 10,
        linger: Duration::from_micros(
            within(&Path::top("journal").key("linger_us"), raw.journal.linger_us, 0, 1_000_000)?.into(),
        ),
        snapshots_kept: within(&Path::top("journal").key("snapshots_kept"), raw.journal.snapshots_kept, 1, 1_000)?,
    };
    if u64::from(journal.block_bytes) * 2 > journal.segment_bytes {
        return Err(Wrong::new(
            Path::top("journal").key("block_kib"),
            "a group commit must fit a segment twice",
            raw.journal.block_kib,
            format!("up to {}, half of segment_mib", (journal.segment_bytes >> 11).min(1_024)),
        ));
    }
    let top = Path::top("settlement");
    let settlement = Settlement {
        enabled: raw.settlement.enabled,
        dir: gateway.data_dir.join(text(&top.key("dir"), &raw.settlement.dir)?),
        seal_every_records: within(&top.key("seal_every_records"), raw.settlement.seal_every_records, 1, 1 << 16)?,
        seal_every_ms: within(&top.key("seal_every_ms"), raw.settlement.seal_every_ms, 1, 3_600_000)?,
        snapshot_every_batches: raw.settlement.snapshot_every_batches,
        validators: validators(&raw)?,
    };
    let filter = Path::top("log").key("filter");
    if tracing_subscriber::EnvFilter::try_new(&raw.log.filter).is_err() || raw.log.filter.is_empty() {
        return Err(Wrong::new(
            filter,
            "the log's filter cannot be read",
            &raw.log.filter,
            "error, warn, info, debug or trace, or a list such as info,wirebook::session=debug",
        ));
    }
    let config = Config {
        gateway,
        journal,
        settlement,
        matcher: matching::matching(&raw.matcher)?,
        log: raw.log.filter.clone(),
        assets,
        instruments,
        accounts,
        sessions,
        raw,
    };
    fits_the_registry(&config)?;
    Ok(config)
}

/// The last word is the registry's own: what is left is what only it knows.
fn fits_the_registry(config: &Config) -> Result<(), Wrong> {
    let mut book = RegistryBook::default();
    for (seq, payload) in (1..).zip(config.records()) {
        if let Payload::Registry(entry) = payload
            && let Err(refusal) = book.apply(seq, &entry, Capabilities::ALL)
        {
            let allowed = "what the ledger's registry takes";
            return Err(Wrong::new(Path::top("instrument"), "the entries do not fit together", refusal, allowed));
        }
    }
    Ok(())
}

fn gateway(raw: &RawGateway, base: &FilePath) -> Result<Gateway, Wrong> {
    let top = Path::top("gateway");
    let listen: SocketAddr =
        read(&top.key("listen"), &raw.listen, "ADDRESS:PORT, such as 127.0.0.1:9001 or [::1]:9001")?;
    let ack = match raw.ack.as_str() {
        "matched" => Ack::Matched,
        "journaled" => Ack::Journaled,
        other => {
            return Err(Wrong::new(top.key("ack"), "the ack policy is not known", other, "matched or journaled"));
        }
    };
    let port: PortKind = read(&top.key("port"), &raw.port, "kernel, uring, xdp or shm")?;
    let hop = &raw.xdp_gateway;
    let xdp = Xdp {
        interface: raw.xdp_interface.clone(),
        prefix: within(&top.key("xdp_prefix"), raw.xdp_prefix, 0, 32)? as u8,
        gateway: (!hop.is_empty())
            .then(|| read(&top.key("xdp_gateway"), hop, "an IPv4 address, or \"\""))
            .transpose()?,
    };
    if port == PortKind::Xdp {
        if xdp.interface.is_empty() {
            return Err(Wrong::new(top.key("xdp_interface"), "port \"xdp\" needs an interface", "\"\"", "its name"));
        }
        if !listen.is_ipv4() || listen.ip().is_unspecified() {
            let allowed = "an IPv4 address of its own, which the kernel does not have";
            return Err(Wrong::new(top.key("listen"), "port \"xdp\" needs an address", listen, allowed));
        }
    }
    let data_dir = base.join(text(&top.key("data_dir"), &raw.data_dir)?);
    let wait: WaitStrategy =
        read(&top.key("wait"), &raw.wait, "spin, spin-yield, park, or park:N with N like 250us or 1ms, at most 1s")?;
    let cores = top.key("cores");
    let pipeline: Pipeline = read(&top.key("pipeline"), &raw.pipeline, "inline, pipelined or auto")?;
    let (most, allowed) = match pipeline {
        Pipeline::Inline => (CORES_INLINE, "two: main loop, settlement"),
        Pipeline::Pipelined | Pipeline::Auto => (CORES, "four: sessions, matcher, journal, settlement"),
    };
    if raw.cores.len() > most {
        return Err(Wrong::new(cores, "too many cores are named", raw.cores.len(), allowed));
    }
    let there = wirebook_bypass::cpu::allowed_cores();
    for (index, core) in raw.cores.iter().enumerate() {
        if !there.contains(core) {
            let allowed = there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(Wrong::new(cores.index(index), "this process may not run on that core", core, allowed));
        }
    }
    let ms = |key: &str, value: u32, low: u32| within(&top.key(key), value, low, 3_600_000);
    Ok(Gateway {
        listen,
        port,
        shm_dir: data_dir.join(text(&top.key("shm_dir"), &raw.shm_dir)?),
        xdp,
        shard: raw.shard,
        data_dir,
        ack,
        wait,
        pipeline,
        cores: raw.cores.clone(),
        max_connections: within(&top.key("max_connections"), raw.max_connections, 1, 65_536)?,
        max_live_orders: within(&top.key("max_live_orders"), raw.max_live_orders, 16, MAX_LIVE_ORDERS)?,
        receive_buffer: within(&top.key("receive_buffer"), raw.receive_buffer, 4_096, 1 << 24)?,
        send_buffer: within(&top.key("send_buffer"), raw.send_buffer, 4_096, 1 << 28)?,
        login_timeout_ms: ms("login_timeout_ms", raw.login_timeout_ms, 100)?,
        heartbeat_ms: ms("heartbeat_ms", raw.heartbeat_ms, 10)?,
        silence_timeout_ms: ms("silence_timeout_ms", raw.silence_timeout_ms, 100)?,
        stall_timeout_ms: ms("stall_timeout_ms", raw.stall_timeout_ms, 100)?,
    })
}

fn assets(raw: &RawConfig) -> Result<Vec<Asset>, Wrong> {
    let mut names = BTreeSet::new();
    if raw.assets.len() > usize::from(MAX_ASSETS) {
        return Err(Wrong::new(Path::top("asset"), "too many assets", raw.assets.len(), format!("up to {MAX_ASSETS}")));
    }
    let one = |(index, asset): (usize, &super::raw::RawAsset)| {
        let path = Path::top("asset").index(index);
        let name = word(&path.key("name"), &asset.name, 8)?;
        unique(&path.key("name"), &mut names, name.to_owned(), "asset")?;
        let decimals = within(&path.key("decimals"), u32::from(asset.decimals), 0, u32::from(MAX_DECIMALS))?;
        Ok(Asset { name: name.into(), decimals: decimals as u8 })
    };
    raw.assets.iter().enumerate().map(one).collect()
}

fn asset_id(path: &Path, assets: &[Asset], name: &str) -> Result<u16, Wrong> {
    let found = assets.iter().position(|asset| asset.name == name);
    found.map(|index| index as u16).ok_or_else(|| {
        let names: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
        Wrong::new(path.clone(), "no [[asset]] has this name", name, names.join(", "))
    })
}

fn within(path: &Path, value: u32, low: u32, high: u32) -> Result<u32, Wrong> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Wrong::new(path.clone(), "a number is out of range", value, format!("{low} to {high}")))
}

fn read<T: FromStr>(path: &Path, found: &str, allowed: &str) -> Result<T, Wrong> {
    found.parse().map_err(|_| Wrong::new(path.clone(), "a value cannot be read", found, allowed))
}

fn positive(path: &Path, found: &str) -> Result<Decimal, Wrong> {
    let allowed = "a decimal number above 0 with at most 18 decimals, such as 0.01";
    let decimal: Decimal = read(path, found, allowed)?;
    if decimal.mantissa == 0 || decimal.mantissa > u128::from(u64::MAX) || decimal.decimals > MAX_DECIMALS {
        return Err(Wrong::new(path.clone(), "a number is out of range", found, allowed));
    }
    Ok(decimal)
}

fn text<'a>(path: &Path, found: &'a str) -> Result<&'a str, Wrong> {
    if found.trim().is_empty() || found.contains('\0') {
        return Err(Wrong::new(path.clone(), "a directory is needed", found, "the name of a directory"));
    }
    Ok(found)
}

fn word<'a>(path: &Path, found: &'a str, longest: usize) -> Result<&'a str, Wrong> {
    let fits = (1..=longest).contains(&found.len())
        && found.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    fits.then_some(found).ok_or_else(|| {
        let allowed = format!("1 to {longest} letters, digits, points, hyphens and underscores");
        Wrong::new(path.clone(), "a name does not fit", found, allowed)
    })
}

fn unique<T: Ord + Display + Clone>(path: &Path, seen: &mut BTreeSet<T>, value: T, what: &str) -> Result<(), Wrong> {
    if seen.insert(value.clone()) {
        return Ok(());
    }
    let allowed = format!("one that no other [[{what}]] has");
    Err(Wrong::new(path.clone(), format!("two {what}s are called the same"), value, allowed))
}

/// Most validators that can be named.
const MAX_VALIDATORS: usize = 64;

fn validators(raw: &RawConfig) -> Result<Vec<ValidatorAddress>, Wrong> {
    let top = Path::top("settlement").key("validator");
    if raw.settlement.validators.len() > MAX_VALIDATORS {
        let found = raw.settlement.validators.len();
        return Err(Wrong::new(top, "too many validators are named", found, format!("up to {MAX_VALIDATORS}")));
    }
    let mut known: Vec<ValidatorAddress> = Vec::new();
    for (at, validator) in raw.settlement.validators.iter().enumerate() {
        let path = top.index(at);
        let Some(key) = crate::hex::decode32(&validator.key) else {
            return Err(Wrong::new(path.key("key"), "this is no public key", &validator.key, "64 hexadecimal digits"));
        };
        let Ok(address) = validator.address.parse() else {
            let allowed = "an address and port, such as 127.0.0.1:9301";
            return Err(Wrong::new(path.key("address"), "this is no address", &validator.address, allowed));
        };
        if known.iter().any(|other| other.key == key) {
            return Err(Wrong::new(
                path.key("key"),
                "two validators have the same key",
                &validator.key,
                "each its own",
            ));
        }
        known.push(ValidatorAddress { key, address });
    }
    Ok(known)
}
