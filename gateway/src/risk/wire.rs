//! Shares and prices as OUCH says them, lots and ticks as the matcher counts them.
//!
//! - **Price**: OUCH has four implied decimals. An instrument whose tick is no whole multiple of 0.0001, or whose band ends above
//!   the highest OUCH price, cannot be traded over OUCH: it has no [`Wire`].
//! - **Quantity**: OUCH counts shares. Where a lot is a whole number of base units (1, 100), that is how many shares a lot has, and
//!   an order must be a multiple of it. Where a lot is a fraction of a base unit (0.001 of a coin), the number on the wire
//!   counts lots, because nothing smaller than 1 can be said.

use wirebook_settlement::record::Scaled;

use crate::session::ouch::{MAX_QUANTITY, Price};

/// Decimals of an OUCH price.
const PRICE_DECIMALS: i32 = 4;

/// How an instrument's numbers look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// OUCH price of one tick.
    price_per_tick: u64,
    /// Shares of one lot.
    shares_per_lot: u32,
    /// The band's first price, in ticks.
    band_base: u64,
    /// Ticks of the band.
    band_ticks: u32,
}

impl Wire {
    /// Of an instrument's tick and lot, and of its band in ticks. `None`: cannot be traded over OUCH.
    pub fn new(tick: Scaled, lot: Scaled, band_base: u64, band_ticks: u32) -> Option<Self> {
        let price_per_tick = whole(tick, PRICE_DECIMALS).filter(|price| *price > 0)?;
        let last = band_base.checked_add(u64::from(band_ticks).checked_sub(1)?)?;
        if last.checked_mul(price_per_tick)? > Price::MAX.0 {
            return None;
        }
        // A lot larger than any order may be leaves nothing to trade; a fraction counts as itself.
        let shares_per_lot = match whole(lot, 0) {
            Some(shares) => u32::try_from(shares).ok().filter(|shares| (1..=MAX_QUANTITY).contains(shares))?,
            None => 1,
        };
        Some(Self { price_per_tick, shares_per_lot, band_base, band_ticks })
    }

    /// The tick of a price; `None` when it is off the grid or outside the band.
    #[inline]
    pub fn tick(&self, price: Price) -> Option<u32> {
        if !price.0.is_multiple_of(self.price_per_tick) {
            return None;
        }
        let tick = (price.0 / self.price_per_tick).checked_sub(self.band_base)?;
        u32::try_from(tick).ok().filter(|tick| *tick < self.band_ticks)
    }

    /// The price of a tick of the band.
    #[inline]
    pub fn price(&self, tick: u32) -> Price {
        Price((self.band_base + u64::from(tick)) * self.price_per_tick)
    }

    /// The lots of a quantity; `None` when it is no multiple.
    #[inline]
    pub fn lots(&self, shares: u32) -> Option<u32> {
        shares.is_multiple_of(self.shares_per_lot).then_some(shares / self.shares_per_lot)
    }

    /// The lots that fit a quantity.
    #[inline]
    pub fn lots_within(&self, shares: u32) -> u32 {
        shares / self.shares_per_lot
    }

    /// The shares of some lots.
    #[inline]
    pub fn shares(&self, lots: u32) -> u32 {
        lots.saturating_mul(self.shares_per_lot)
    }

    /// The band's last tick.
    #[inline]
    pub fn last_tick(&self) -> u32 {
        self.band_ticks - 1
    }

    /// The band's first price, in ticks.
    #[inline]
    pub fn band_base(&self) -> u64 {
        self.band_base
    }
}

/// `value * 10^decimals`, if that is a whole number that fits.
fn whole(value: Scaled, decimals: i32) -> Option<u64> {
    let exponent = i32::from(value.exponent) + decimals;
    let power = 10u64.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        value.mantissa.checked_mul(power)
    } else {
        value.mantissa.is_multiple_of(power).then(|| value.mantissa / power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(mantissa: u64, exponent: i8) -> Scaled {
        Scaled { mantissa, exponent }
    }

    #[test]
    fn cents_and_single_shares() {
        let wire = Wire::new(scaled(1, -2), scaled(1, 0), 10_000, 5_000).expect("a stock");
        assert_eq!(wire.tick(Price(1_000_000)), Some(0));
        assert_eq!(wire.tick(Price(1_499_900)), Some(4_999));
        assert_eq!(
            (wire.tick(Price(1_500_000)), wire.tick(Price(999_900)), wire.tick(Price(1_000_050))),
            (None, None, None)
        );
        assert_eq!(wire.price(4_999), Price(1_499_900));
        assert_eq!((wire.lots(7), wire.shares(7)), (Some(7), 7));
    }

    #[test]
    fn round_lots_and_fractions_of_a_coin() {
        let stock = Wire::new(scaled(5, -2), scaled(1, 2), 0, 100).expect("lots of 100, ticks of five cents");
        assert_eq!(
            (stock.lots(300), stock.lots(250), stock.lots_within(250), stock.shares(3)),
            (Some(3), None, 2, 300)
        );
        assert_eq!((stock.tick(Price(1_000)), stock.tick(Price(1_100))), (Some(2), None));
        let coin = Wire::new(scaled(1, -4), scaled(1, -3), 0, 100).expect("a thousandth of a coin");
        assert_eq!((coin.lots(5), coin.shares(5)), (Some(5), 5));
        assert!(Wire::new(scaled(50, -6), scaled(1, 0), 0, 100).is_none(), "a tick that the wire cannot say");
        assert!(Wire::new(scaled(100, -6), scaled(1, 0), 0, 100).is_some(), "0.0001, said differently");
    }

    #[test]
    fn a_band_above_the_highest_price_is_not_tradable() {
        assert!(Wire::new(scaled(1, 0), scaled(1, 0), 199_000, 1_000).is_some());
        assert!(Wire::new(scaled(1, 0), scaled(1, 0), 199_001, 1_000).is_none());
        assert!(Wire::new(scaled(1, 0), scaled(1, 0), u64::MAX, 2).is_none());
        assert!(Wire::new(scaled(1, 0), scaled(1, 6), 0, 2).is_none(), "a lot of a million shares");
        assert!(Wire::new(scaled(1, 100), scaled(1, 0), 0, 2).is_none());
    }
}
