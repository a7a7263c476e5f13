//! Every value of the file against what it may be, and against the others.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::str::FromStr;

use wirebook_bypass::cpu::WaitStrategy;
use wirebook_matcher::abi::{Limits as MatcherLimits, SelfTrade};

use super::locate::{Path, line_of};
use super::raw::{RawAccount, RawConfig, RawGateway, RawInstrument, RawLimits};
use super::{
    Account, Ack, Asset, Config, Day, Decimal, Deposit, Gateway, Instrument, Journal, Limits, Rounding, Session,
    Settlement,
};
use crate::cli::Failure;

/// Decimals of an asset, at most: what a deposit's digits leave room for.
const MAX_DECIMALS: u8 = 18;
/// Decimals of an OUCH price.
const OUCH_DECIMALS: u8 = 4;
/// Largest OUCH price, in its unit: $199,999.99.
const OUCH_MAX_PRICE: u128 = 1_999_999_900;
/// Largest OUCH quantity.
const OUCH_MAX_QTY: u32 = 999_999;
/// Ids below this.
const IDS: u32 = 1 << 16;
/// Cores that can be named: main loop, settlement.
const CORES: usize = 2;
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
    let instruments = instruments(&raw, &assets)?;
    let accounts = accounts(&raw, &assets, &instruments)?;
    let sessions = sessions(&raw, &accounts)?;
    let journal = Journal {
        dir: gateway.data_dir.join(text(&Path::top("journal").key("dir"), &raw.journal.dir)?),
        segment_bytes: u64::from(within(&Path::top("journal").key("segment_mib"), raw.journal.segment_mib, 1, 65_536)?)
            << 20,
        block_bytes: within(&Path::top("journal").key("block_kib"), raw.journal.block_kib, 64, 65_536)? << 10,
        snapshots_kept: within(&Path::top("journal").key("snapshots_kept"), raw.journal.snapshots_kept, 1, 1_000)?,
    };
    if u64::from(journal.block_bytes) * 2 > journal.segment_bytes {
        return Err(Wrong::new(
            Path::top("journal").key("block_kib"),
            "a group commit must fit a segment twice",
            raw.journal.block_kib,
            format!("up to {}, half of segment_mib", (journal.segment_bytes >> 11).min(65_536)),
        ));
    }
    let top = Path::top("settlement");
    let settlement = Settlement {
        enabled: raw.settlement.enabled,
        dir: gateway.data_dir.join(text(&top.key("dir"), &raw.settlement.dir)?),
        seal_every_records: within(&top.key("seal_every_records"), raw.settlement.seal_every_records, 1, 1 << 16)?,
        seal_every_ms: within(&top.key("seal_every_ms"), raw.settlement.seal_every_ms, 1, 3_600_000)?,
        snapshot_every_batches: raw.settlement.snapshot_every_batches,
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
    let day = Day { session: day_session(&raw.day.session)? };
    Ok(Config {
        gateway,
        day,
        journal,
        settlement,
        log: raw.log.filter.clone(),
        assets,
        instruments,
        accounts,
        sessions,
        raw,
    })
}

fn day_session(name: &str) -> Result<Option<String>, Wrong> {
    if name.is_empty() {
        return Ok(None);
    }
    let path = Path::top("day").key("session");
    word(&path, name, 10).map(|name| Some(name.to_owned()))
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
    let wait: WaitStrategy =
        read(&top.key("wait"), &raw.wait, "spin, spin-yield, park, or park:N with N like 250us or 1ms, at most 1s")?;
    let cores = top.key("cores");
    if raw.cores.len() > CORES {
        return Err(Wrong::new(cores, "too many cores are named", raw.cores.len(), "two: main loop, settlement"));
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
        shard: raw.shard,
        data_dir: base.join(text(&top.key("data_dir"), &raw.data_dir)?),
        ack,
        wait,
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
    if raw.assets.len() > IDS as usize {
        return Err(Wrong::new(Path::top("asset"), "too many assets", raw.assets.len(), "up to 65536"));
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

fn instruments(raw: &RawConfig, assets: &[Asset]) -> Result<Vec<Instrument>, Wrong> {
    let top = Path::top("instrument");
    if raw.instruments.is_empty() || raw.instruments.len() > MatcherLimits::MAX_INSTRUMENTS {
        let allowed = format!("1 to {}", MatcherLimits::MAX_INSTRUMENTS);
        return Err(Wrong::new(top, "the number of instruments is out of range", raw.instruments.len(), allowed));
    }
    let mut symbols = BTreeSet::new();
    let mut checked = Vec::with_capacity(raw.instruments.len());
    for (index, instrument) in raw.instruments.iter().enumerate() {
        let path = top.index(index);
        let symbol = word(&path.key("symbol"), &instrument.symbol, 8)?;
        unique(&path.key("symbol"), &mut symbols, symbol.to_owned(), "instrument")?;
        checked.push(one_instrument(&path, instrument, assets)?);
    }
    Ok(checked)
}

fn one_instrument(path: &Path, raw: &RawInstrument, assets: &[Asset]) -> Result<Instrument, Wrong> {
    let base = asset_id(&path.key("base"), assets, &raw.base)?;
    let quote = asset_id(&path.key("quote"), assets, &raw.quote)?;
    if base == quote {
        return Err(Wrong::new(
            path.key("quote"),
            "an instrument trades one asset for another",
            &raw.quote,
            "not the base",
        ));
    }
    let tick_size = positive(&path.key("tick_size"), &raw.tick_size)?;
    if tick_size.decimals > OUCH_DECIMALS {
        let (found, allowed) = (&raw.tick_size, "at most 4 decimals, as OUCH prices have");
        return Err(Wrong::new(path.key("tick_size"), "clients could not write such prices", found, allowed));
    }
    let lot_size = positive(&path.key("lot_size"), &raw.lot_size)?;
    let (base_asset, quote_asset) = (&assets[usize::from(base)], &assets[usize::from(quote)]);
    if lot_size.in_units(i32::from(base_asset.decimals)).is_none() {
        return Err(Wrong::new(
            path.key("lot_size"),
            "a lot is no whole number of the base's smallest unit",
            &raw.lot_size,
            format!("at most {} decimals, as {} has", base_asset.decimals, base_asset.name),
        ));
    }
    let multiplier = within(&path.key("multiplier"), raw.multiplier, 1, u32::MAX)?;
    let value = tick_size
        .mantissa
        .checked_mul(lot_size.mantissa)
        .and_then(|value| value.checked_mul(u128::from(multiplier)))
        .map(|mantissa| Decimal { mantissa, decimals: tick_size.decimals + lot_size.decimals });
    if value.and_then(|value| value.in_units(i32::from(quote_asset.decimals))).is_none() {
        return Err(Wrong::new(
            path.key("tick_size"),
            "one lot, one tick is no whole number of the quote's smallest unit: fills would not be exact",
            format!("{} x {} x {multiplier}", raw.tick_size, raw.lot_size),
            format!("a product with at most {} decimals, as {} has", quote_asset.decimals, quote_asset.name),
        ));
    }
    let band = path.key("band");
    let low: Decimal = read(&band.key("low"), &raw.band.low, "a decimal number")?;
    let ticks = within(&band.key("ticks"), raw.band.ticks, 1, MatcherLimits::MAX_TICKS)?;
    let in_ouch =
        |price: &Decimal| price.in_units(i32::from(OUCH_DECIMALS)).and_then(|units| u128::try_from(units).ok());
    let step = in_ouch(&tick_size).unwrap_or(u128::MAX);
    let low_units = in_ouch(&low).filter(|units| units % step == 0);
    let Some(low_units) = low_units else {
        let allowed = format!("a multiple of tick_size, {tick_size}");
        return Err(Wrong::new(band.key("low"), "the band does not begin on the grid", &raw.band.low, allowed));
    };
    let high = u128::from(ticks - 1).checked_mul(step).and_then(|width| width.checked_add(low_units));
    if high.is_none_or(|high| high > OUCH_MAX_PRICE) {
        return Err(Wrong::new(
            band.key("ticks"),
            "the band is wider than OUCH prices are",
            ticks,
            "prices up to 199999.99",
        ));
    }
    let fees = path.key("fees");
    let ppm = |key: &str, value: i32| {
        let fits = (-1_000_000..=1_000_000).contains(&value);
        fits.then_some(value)
            .ok_or_else(|| Wrong::new(fees.key(key), "a fee is out of range", value, "-1000000 to 1000000 millionths"))
    };
    Ok(Instrument {
        symbol: raw.symbol.clone(),
        base,
        quote,
        tick_size,
        lot_size,
        multiplier,
        band_base: (low_units / step) as u64,
        band_ticks: ticks,
        rounding: match raw.rounding.as_str() {
            "down" => Rounding::Down,
            "up" => Rounding::Up,
            "half-even" => Rounding::HalfEven,
            other => {
                return Err(Wrong::new(
                    path.key("rounding"),
                    "the rounding is not known",
                    other,
                    "down, up or half-even",
                ));
            }
        },
        maker_ppm: ppm("maker_ppm", raw.fees.maker_ppm)?,
        taker_ppm: ppm("taker_ppm", raw.fees.taker_ppm)?,
    })
}

fn accounts(raw: &RawConfig, assets: &[Asset], instruments: &[Instrument]) -> Result<Vec<Account>, Wrong> {
    let mut ids = BTreeSet::new();
    let mut checked = Vec::with_capacity(raw.accounts.len());
    for (index, account) in raw.accounts.iter().enumerate() {
        let path = Path::top("account").index(index);
        let id = within(&path.key("id"), account.id, 2, IDS - 1)?;
        unique(&path.key("id"), &mut ids, id, "account")?;
        checked.push(one_account(&path, account, assets, instruments)?);
    }
    Ok(checked)
}

fn one_account(path: &Path, raw: &RawAccount, assets: &[Asset], instruments: &[Instrument]) -> Result<Account, Wrong> {
    let name = path.key("name");
    if raw.name.len() > 16 || !raw.name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Wrong::new(name, "the name does not fit", &raw.name, "up to 16 printable ASCII characters"));
    }
    let self_trade = match raw.self_trade.as_str() {
        "off" => SelfTrade::Off,
        "cancel-newest" => SelfTrade::CancelNewest,
        "cancel-oldest" => SelfTrade::CancelOldest,
        "cancel-both" => SelfTrade::CancelBoth,
        other => {
            let allowed = "off, cancel-newest, cancel-oldest or cancel-both";
            return Err(Wrong::new(path.key("self_trade"), "the self-trade mode is not known", other, allowed));
        }
    };
    let mut restricted = Vec::new();
    for (index, symbol) in raw.restricted.iter().enumerate() {
        let found = instruments.iter().position(|instrument| instrument.symbol == *symbol);
        restricted.push(found.map(|index| index as u16).ok_or_else(|| {
            let symbols: Vec<&str> = instruments.iter().map(|instrument| instrument.symbol.as_str()).collect();
            let place = path.key("restricted").index(index);
            Wrong::new(place, "no [[instrument]] has this symbol", symbol, symbols.join(", "))
        })?);
    }
    let mut deposits = Vec::new();
    for (name, amount) in &raw.deposits {
        let place = path.key("deposits").key(name);
        let asset = asset_id(&place, assets, name)?;
        let decimal = positive(&place, amount)?;
        let decimals = assets[usize::from(asset)].decimals;
        let Some(amount) = decimal.in_units(i32::from(decimals)) else {
            let allowed = format!("at most {decimals} decimals, as {name} has, and a number that fits 128 bits");
            return Err(Wrong::new(place, "the amount is no whole number of the smallest unit", amount, allowed));
        };
        deposits.push(Deposit { asset, decimal, amount });
    }
    Ok(Account {
        id: raw.id,
        name: raw.name.clone(),
        owner: raw.owner,
        self_trade,
        restricted,
        deposits,
        limits: limits(&path.key("limits"), &raw.limits, assets, instruments)?,
    })
}

fn limits(path: &Path, raw: &RawLimits, assets: &[Asset], instruments: &[Instrument]) -> Result<Limits, Wrong> {
    let place = path.key("max_notional");
    let notional: Decimal = read(&place, &raw.max_notional, "a decimal number")?;
    let quotes: BTreeSet<u8> =
        instruments.iter().map(|instrument| assets[usize::from(instrument.quote)].decimals).collect();
    let (Some(&least), Some(&most)) = (quotes.first(), quotes.last()) else {
        return Err(Wrong::new(place, "there is no instrument to limit", &raw.max_notional, "an [[instrument]]"));
    };
    if least != most {
        let found = format!("quotes with {least} and with {most} decimals");
        let allowed = "quotes of one number of decimals: the limit is an amount of the quote, whichever it is";
        return Err(Wrong::new(place, "the limit means different amounts", found, allowed));
    }
    let Some(max_notional) = notional.in_units(i32::from(most)) else {
        let allowed = format!("at most {most} decimals, as the quotes have, and a number that fits 128 bits");
        return Err(Wrong::new(place, "the limit is no whole number of the smallest unit", &raw.max_notional, allowed));
    };
    Ok(Limits {
        max_order_qty: within(&path.key("max_order_qty"), raw.max_order_qty, 1, OUCH_MAX_QTY)?,
        max_notional,
        max_open_orders: within(&path.key("max_open_orders"), raw.max_open_orders, 1, MatcherLimits::MAX_SLOTS)?,
        collar_ticks: raw.collar_ticks,
        messages_per_second: raw.messages_per_second,
        duplicates_per_second: raw.duplicates_per_second,
    })
}

fn sessions(raw: &RawConfig, accounts: &[Account]) -> Result<Vec<Session>, Wrong> {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut checked = Vec::with_capacity(raw.sessions.len());
    for (index, session) in raw.sessions.iter().enumerate() {
        let path = Path::top("session").index(index);
        let id = within(&path.key("id"), session.id, 1, IDS - 1)?;
        unique(&path.key("id"), &mut ids, id, "session")?;
        let username = word(&path.key("username"), &session.username, 6)?;
        unique(&path.key("username"), &mut names, username.to_ascii_lowercase(), "session")?;
        let password = &session.password;
        let fits = (1..=10).contains(&password.len()) && password.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let found = format!("{} characters", password.chars().count());
            let allowed = "1 to 10 printable ASCII characters without blanks";
            return Err(Wrong::new(path.key("password"), "the password does not fit", found, allowed));
        }
        if !accounts.iter().any(|account| account.id == session.account) {
            let known: Vec<String> = accounts.iter().map(|account| account.id.to_string()).collect();
            let place = path.key("account");
            return Err(Wrong::new(place, "no [[account]] has this id", session.account, known.join(", ")));
        }
        checked.push(Session {
            id,
            username: username.into(),
            password: password.clone(),
            account: session.account,
            cancel_on_disconnect: session.cancel_on_disconnect,
        });
    }
    Ok(checked)
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
