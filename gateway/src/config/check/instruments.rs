//! `[[instrument]]`: units that make every fill exact, and prices that OUCH can say.

use std::collections::BTreeSet;

use wirebook_matcher::abi::Limits as MatcherLimits;
use wirebook_settlement::machine::{MAX_INSTRUMENTS, MAX_UNIT};

use super::{Wrong, asset_id, positive, read, unique, within, word};
use crate::config::locate::Path;
use crate::config::raw::{RawConfig, RawInstrument};
use crate::config::{Asset, Decimal, Instrument, Rounding};

/// Largest OUCH price, in its unit: $199,999.99.
const OUCH_MAX_PRICE: u128 = 1_999_999_900;
/// Decimals of an OUCH price.
const OUCH_DECIMALS: u8 = 4;
pub(super) fn instruments(raw: &RawConfig, assets: &[Asset]) -> Result<Vec<Instrument>, Wrong> {
    let top = Path::top("instrument");
    if raw.instruments.is_empty() || raw.instruments.len() > usize::from(MAX_INSTRUMENTS) {
        let allowed = format!("1 to {MAX_INSTRUMENTS}");
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
    let unit = value.and_then(|value| value.in_units(i32::from(quote_asset.decimals)));
    let Some(unit) = unit else {
        return Err(Wrong::new(
            path.key("tick_size"),
            "one lot, one tick is no whole number of the quote's smallest unit: fills would not be exact",
            format!("{} x {} x {multiplier}", raw.tick_size, raw.lot_size),
            format!("a product with at most {} decimals, as {} has", quote_asset.decimals, quote_asset.name),
        ));
    };
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
    let end = i128::try_from(low_units / step).ok().and_then(|base| (base + i128::from(ticks)).checked_mul(unit));
    if end.is_none_or(|end| end > i128::from(MAX_UNIT)) {
        return Err(Wrong::new(
            band.key("ticks"),
            "a lot at the band's end is worth more than can be counted",
            ticks,
            "a band, lot_size and multiplier that make at most 2^62 of the quote's smallest unit",
        ));
    }
    let fees = path.key("fees");
    let ppm = |key: &str, value: i32| {
        let fits = (-1_000_000..=1_000_000).contains(&value);
        fits.then_some(value)
            .ok_or_else(|| Wrong::new(fees.key(key), "a fee is out of range", value, "-1000000 to 1000000 millionths"))
    };
    let sum = raw.fees.maker_ppm.saturating_add(raw.fees.taker_ppm);
    if sum < 0 {
        let allowed = "a sum of 0 or more: a rebate is paid for by the other side";
        return Err(Wrong::new(fees.key("maker_ppm"), "the venue would pay for trades", sum, allowed));
    }
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
