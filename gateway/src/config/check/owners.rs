//! `[[account]]` and `[[session]]`: who owns, and who logs in.

use std::collections::BTreeSet;

use wirebook_matcher::abi::{Limits as MatcherLimits, SelfTrade};

use super::{Wrong, asset_id, positive, read, unique, within, word};
use crate::config::locate::Path;
use crate::config::raw::{RawAccount, RawConfig, RawLimits};
use crate::config::{Account, Asset, Decimal, Deposit, Instrument, Limits, Session};

/// Ids below this.
const IDS: u32 = 1 << 16;
/// Largest OUCH quantity.
const OUCH_MAX_QTY: u32 = 999_999;
pub(super) fn accounts(raw: &RawConfig, assets: &[Asset], instruments: &[Instrument]) -> Result<Vec<Account>, Wrong> {
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

pub(super) fn sessions(raw: &RawConfig, accounts: &[Account]) -> Result<Vec<Session>, Wrong> {
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
