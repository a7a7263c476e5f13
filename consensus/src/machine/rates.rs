//! Prices, quantities and fees of an instrument in smallest units: exact, on integers alone.
//!
//! One lot at tick `t` of the band is worth `unit(t) = (band_base + t) * tick * lot * multiplier`, a whole number of the
//! quote's smallest unit or the registry refuses the instrument. Units are at most [`MAX_UNIT`], so that a fill's value
//! (31 bits of lots) and its fee (20 bits of millionths) stay far below 2^127: nothing here can overflow.

use wirebook_matcher::abi::Side;

use crate::record::{Asset, Fee, Instrument, Rounding, Scaled};

/// Most smallest units of quote, or of base, in one lot.
pub const MAX_UNIT: u64 = 1 << 62;
/// Largest fee or rebate, in millionths of a fill's value: all of it.
pub const MAX_PPM: i32 = 1_000_000;

const MILLION: u64 = 1_000_000;

/// An instrument in smallest units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Value of one lot per tick of price, in the quote's smallest unit.
    step: u64,
    /// Price of the band's tick 0, in ticks.
    band_base: u64,
    /// One lot in the base's smallest unit.
    lot_base: u64,
    /// What is bought and sold.
    pub base: u16,
    /// What is paid.
    pub quote: u16,
    maker_ppm: i32,
    taker_ppm: i32,
    rounding: Rounding,
}

impl Rates {
    /// The rates of an instrument, without fees; `Err` says what is no whole number, or too large.
    pub(super) fn new(instrument: &Instrument, base: &Asset, quote: &Asset) -> Result<Self, &'static str> {
        let Instrument { tick, lot, multiplier, band_base, band_ticks, rounding, .. } = *instrument;
        let lot_base = whole(&[lot], 1, base.exponent).ok_or("a lot")?;
        let step = whole(&[tick, lot], multiplier, quote.exponent).ok_or("the value of a lot and a tick")?;
        let last = band_base.checked_add(u64::from(band_ticks)).and_then(|end| end.checked_mul(step));
        if last.is_none_or(|value| value > MAX_UNIT) {
            return Err("the value of a lot at the band's end");
        }
        let (base, quote) = (instrument.base, instrument.quote);
        Ok(Self { step, band_base, lot_base, base, quote, maker_ppm: 0, taker_ppm: 0, rounding })
    }

    pub(super) fn set_fee(&mut self, fee: &Fee) {
        debug_assert!(fee.maker_ppm.abs() <= MAX_PPM && fee.taker_ppm.abs() <= MAX_PPM, "{fee:?}");
        (self.maker_ppm, self.taker_ppm) = (fee.maker_ppm, fee.taker_ppm);
    }

    /// Fee of a resting side, in millionths of a fill's value.
    pub fn maker_ppm(&self) -> i32 {
        self.maker_ppm
    }

    /// Fee of an aggressor, in millionths of a fill's value.
    pub fn taker_ppm(&self) -> i32 {
        self.taker_ppm
    }

    /// Worth of one lot at this tick of the band, in the quote's smallest unit.
    #[inline]
    pub fn unit(&self, tick: u32) -> u64 {
        (self.band_base + u64::from(tick)) * self.step
    }

    /// Worth of `qty` lots at this tick, in the quote's smallest unit.
    #[inline]
    pub fn value(&self, tick: u32, qty: u32) -> i128 {
        i128::from(self.unit(tick)) * i128::from(qty)
    }

    /// `qty` lots in the base's smallest unit.
    #[inline]
    pub fn quantity(&self, qty: u32) -> i128 {
        i128::from(self.lot_base) * i128::from(qty)
    }

    /// What an order reserves: of quote for a buyer, of base for a seller.
    #[inline]
    pub fn reserve_asset(&self, side: Side) -> u16 {
        match side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }

    /// What one lot of an order with this limit reserves: for a buyer its value and the largest fee that may fall due,
    /// rounded up (so that no rounding of a fill's fee exceeds the sum over its lots).
    #[inline]
    pub fn reserve_per_lot(&self, side: Side, tick: u32) -> u64 {
        match side {
            Side::Buy => {
                let unit = self.unit(tick);
                let ppm = self.maker_ppm.max(self.taker_ppm).max(0);
                unit + magnitude(i128::from(unit), ppm.unsigned_abs(), Rounding::Up) as u64
            }
            Side::Sell => self.lot_base,
        }
    }

    /// The maker's fee of a fill worth `value`; negative is a rebate.
    #[inline]
    pub fn maker_fee(&self, value: i128) -> i128 {
        fee(value, self.maker_ppm, self.rounding)
    }

    /// The taker's fee of a fill worth `value`; negative is a rebate.
    #[inline]
    pub fn taker_fee(&self, value: i128) -> i128 {
        fee(value, self.taker_ppm, self.rounding)
    }
}

/// `value * ppm / 1,000,000`, its magnitude rounded.
#[inline]
fn fee(value: i128, ppm: i32, rounding: Rounding) -> i128 {
    let magnitude = magnitude(value, ppm.unsigned_abs(), rounding);
    if ppm < 0 { -magnitude } else { magnitude }
}

/// Values here are 0 or more; most fit 64 bits with their rate, where a division by a constant is a multiplication.
#[inline]
fn magnitude(value: i128, ppm: u32, rounding: Rounding) -> i128 {
    debug_assert!(value >= 0 && ppm <= MAX_PPM.unsigned_abs(), "{value} {ppm}");
    if ppm == 0 {
        return 0;
    }
    match u64::try_from(value).ok().and_then(|value| value.checked_mul(u64::from(ppm))) {
        Some(product) => {
            let (quotient, rest) = (product / MILLION, product % MILLION);
            i128::from(quotient + u64::from(rounds_up(quotient & 1 == 1, rest, rounding)))
        }
        None => {
            let product = value.unsigned_abs() * u128::from(ppm);
            let (quotient, rest) = (product / u128::from(MILLION), (product % u128::from(MILLION)) as u64);
            (quotient + u128::from(rounds_up(quotient & 1 == 1, rest, rounding))) as i128
        }
    }
}

#[inline]
fn rounds_up(odd: bool, rest: u64, rounding: Rounding) -> bool {
    match rounding {
        Rounding::Down => false,
        Rounding::Up => rest > 0,
        Rounding::HalfEven => rest > MILLION / 2 || (rest == MILLION / 2 && odd),
    }
}

/// The product of these numbers in units of `10^unit`, when it is a whole number from 1 to [`MAX_UNIT`].
fn whole(factors: &[Scaled], multiplier: u32, unit: i8) -> Option<u64> {
    let mut digits = u128::from(multiplier);
    let mut exponent = -i32::from(unit);
    for factor in factors {
        digits = digits.checked_mul(u128::from(factor.mantissa))?;
        exponent += i32::from(factor.exponent);
    }
    let power = 10u128.checked_pow(exponent.unsigned_abs());
    let number = if exponent >= 0 {
        digits.checked_mul(power?)?
    } else {
        // A power beyond u128 divides no digits but 0, which are refused anyway.
        let power = power?;
        (digits % power == 0).then(|| digits / power)?
    };
    u64::try_from(number).ok().filter(|number| (1..=MAX_UNIT).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(mantissa: u64, exponent: i8) -> Scaled {
        Scaled { mantissa, exponent }
    }

    fn shares() -> (Instrument, Asset, Asset) {
        let instrument = Instrument {
            id: 0,
            symbol: *b"AAPL    ",
            base: 0,
            quote: 1,
            tick: scaled(1, -2),
            lot: scaled(1, 0),
            multiplier: 1,
            band_base: 10_000,
            band_ticks: 1000,
            rounding: Rounding::HalfEven,
            needs: 0,
        };
        let base = Asset { id: 0, name: *b"AAPL    ", exponent: 0 };
        let quote = Asset { id: 1, name: *b"USD     ", exponent: -4 };
        (instrument, base, quote)
    }

    #[test]
    fn a_lot_is_worth_its_price_in_smallest_units() {
        let (instrument, base, quote) = shares();
        let rates = Rates::new(&instrument, &base, &quote).unwrap();
        assert_eq!(rates.unit(0), 1_000_000, "100.00 in units of 0.0001");
        assert_eq!(rates.value(25, 3), 3_007_500, "3 at 100.25");
        assert_eq!(rates.quantity(3), 3);
        let future = Instrument { multiplier: 50, tick: scaled(25, -2), lot: scaled(1, 0), ..instrument };
        assert_eq!(Rates::new(&future, &base, &quote).unwrap().unit(1), 10_001 * 50 * 2500);
        let coin = Instrument { tick: scaled(5, -1), lot: scaled(1, -4), ..instrument };
        let satoshi = Asset { exponent: -8, ..base };
        let rates = Rates::new(&coin, &satoshi, &Asset { exponent: -5, ..quote }).unwrap();
        assert_eq!((rates.quantity(1), rates.unit(0)), (10_000, 10_000 * 5));
    }

    #[test]
    fn what_is_no_whole_number_or_too_large_is_refused() {
        let (instrument, base, quote) = shares();
        let refused = |instrument: Instrument, base: Asset, quote: Asset| Rates::new(&instrument, &base, &quote).err();
        assert_eq!(refused(instrument, base, Asset { exponent: -1, ..quote }), Some("the value of a lot and a tick"));
        assert_eq!(refused(Instrument { lot: scaled(1, -1), ..instrument }, base, quote), Some("a lot"));
        assert_eq!(refused(Instrument { lot: scaled(0, 0), ..instrument }, base, quote), Some("a lot"));
        assert_eq!(refused(Instrument { lot: scaled(1, 127), ..instrument }, base, quote), Some("a lot"));
        assert_eq!(refused(Instrument { lot: scaled(1, -128), ..instrument }, base, quote), Some("a lot"));
        assert_eq!(
            refused(Instrument { multiplier: 0, ..instrument }, base, quote),
            Some("the value of a lot and a tick")
        );
        for band_base in [MAX_UNIT / 100 - 999, u64::MAX] {
            let wrong = Instrument { band_base, ..instrument };
            assert_eq!(refused(wrong, base, quote), Some("the value of a lot at the band's end"));
        }
        assert_eq!(refused(Instrument { band_base: MAX_UNIT / 100 - 1000, ..instrument }, base, quote), None);
    }

    #[test]
    fn fees_round_by_magnitude_and_rebates_alike() {
        let cases = [
            (1_500_000, 1, Rounding::Down, 1),
            (1_500_000, 1, Rounding::Up, 2),
            (1_500_000, 1, Rounding::HalfEven, 2),
            (2_500_000, 1, Rounding::HalfEven, 2),
            (2_500_001, 1, Rounding::HalfEven, 3),
            (2_000_000, 1, Rounding::Up, 2),
            (0, MAX_PPM, Rounding::Up, 0),
        ];
        for (value, ppm, rounding, expected) in cases {
            assert_eq!(fee(value, ppm, rounding), expected, "{value} {ppm} {rounding:?}");
            assert_eq!(fee(value, -ppm, rounding), -expected, "{value} -{ppm} {rounding:?}");
        }
        let huge = i128::from(MAX_UNIT) * i128::from(i32::MAX);
        assert_eq!(fee(huge, MAX_PPM, Rounding::Up), huge, "the wide path is exact");
        assert_eq!(fee(huge + 1, 500_000, Rounding::HalfEven), huge / 2, "a tie to the even one");
        assert_eq!(fee(huge + 1, 500_000, Rounding::Up), huge / 2 + 1);
    }

    #[test]
    fn a_buyers_reserve_covers_every_way_to_fill_it() {
        let (instrument, base, quote) = shares();
        for rounding in Rounding::ALL {
            for (maker_ppm, taker_ppm) in [(0, 0), (-20, 33), (7, 3), (1_000_000, 999_999), (-5, 5)] {
                let instrument = Instrument { band_base: 0, rounding, ..instrument };
                let mut rates = Rates::new(&instrument, &base, &quote).unwrap();
                rates.set_fee(&Fee { instrument: 0, maker_ppm, taker_ppm });
                for limit in [0, 1, 37, 999] {
                    let per_lot = i128::from(rates.reserve_per_lot(Side::Buy, limit));
                    for (tick, qty) in [(limit, 1), (limit, 3), (limit / 2, 7), (limit, 1_000_003)] {
                        let value = rates.value(tick, qty);
                        let due = value + rates.maker_fee(value).max(rates.taker_fee(value));
                        assert!(due <= per_lot * i128::from(qty), "{rounding:?} {maker_ppm} {taker_ppm} {tick} {qty}");
                        assert!(rates.maker_fee(value) + rates.taker_fee(value) >= 0, "a rebate is paid for");
                        assert!(rates.maker_fee(value) <= value, "a seller pays his fee from the proceeds");
                    }
                }
            }
        }
    }
}
