//! The prices of a book: a grid from a lowest price, and the first pass over the orders that finds it.

use super::orders::OrderLine;
use crate::abi::Limits;

/// The prices that a book can hold: a grid from a lowest price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    base: i64,
    tick_size: i64,
    ticks: u32,
}

/// Why no band can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BandError {
    /// The tick size is not positive.
    #[error("tick size: found {found}, allowed 1 to 9223372036854775807")]
    TickSize {
        /// The tick size.
        found: i64,
    },
    /// Too many ticks.
    #[error(
        "prices {low} to {high} are {ticks} ticks of {tick_size}, allowed are {}: is the tick size right?",
        Limits::MAX_TICKS
    )]
    TooWide {
        /// The lowest price.
        low: i64,
        /// The highest price.
        high: i64,
        /// The tick size.
        tick_size: i64,
        /// Ticks from one to the other.
        ticks: i128,
    },
}

impl Band {
    /// The band from `low` to `high`, both included; `low` is on the grid by definition.
    ///
    /// # Errors
    /// When the tick size is not positive, or the band has more than [`Limits::MAX_TICKS`] ticks, or none.
    pub fn new(low: i64, high: i64, tick_size: i64) -> Result<Self, BandError> {
        if tick_size < 1 {
            return Err(BandError::TickSize { found: tick_size });
        }
        let ticks = (i128::from(high) - i128::from(low)).div_euclid(i128::from(tick_size)) + 1;
        if ticks < 1 || ticks > i128::from(Limits::MAX_TICKS) {
            return Err(BandError::TooWide { low, high, tick_size, ticks });
        }
        Ok(Self { base: low, tick_size, ticks: ticks as u32 })
    }

    /// The lowest price.
    pub const fn base(&self) -> i64 {
        self.base
    }

    /// The distance of two ticks.
    pub const fn tick_size(&self) -> i64 {
        self.tick_size
    }

    /// How many ticks there are.
    pub const fn ticks(&self) -> u32 {
        self.ticks
    }

    /// The tick of a price; `None` when it is off the grid or outside.
    pub fn tick(&self, price: i64) -> Option<u32> {
        let offset = i128::from(price) - i128::from(self.base);
        let (tick, rest) =
            (offset.div_euclid(i128::from(self.tick_size)), offset.rem_euclid(i128::from(self.tick_size)));
        (rest == 0).then_some(())?;
        u32::try_from(tick).ok().filter(|tick| *tick < self.ticks)
    }

    /// The price of a tick.
    ///
    /// # Panics
    /// When the tick is outside.
    pub fn price(&self, tick: u32) -> i64 {
        assert!(tick < self.ticks, "tick {tick} of {}", self.ticks);
        self.base + i64::from(tick) * self.tick_size
    }
}

/// What the first of two passes over the orders finds.
#[derive(Clone, Debug)]
pub struct Survey {
    tick_size: i64,
    prices: Option<(i64, i64)>,
    lines: u64,
}

impl Survey {
    /// Nothing seen yet. Prices are multiples of `tick_size`.
    ///
    /// # Errors
    /// When the tick size is not positive.
    pub fn new(tick_size: i64) -> Result<Self, BandError> {
        Band::new(0, 0, tick_size)?;
        Ok(Self { tick_size, prices: None, lines: 0 })
    }

    /// Sees one line.
    pub fn add(&mut self, line: &OrderLine) {
        self.lines += 1;
        if line.op.has_price() && line.price.rem_euclid(self.tick_size) == 0 {
            let (low, high) = self.prices.unwrap_or((line.price, line.price));
            self.prices = Some((low.min(line.price), high.max(line.price)));
        }
    }

    /// The band of the prices seen; a single tick at 0 when there are none.
    ///
    /// # Errors
    /// When it has too many ticks.
    pub fn band(&self) -> Result<Band, BandError> {
        let (low, high) = self.prices.unwrap_or((0, 0));
        Band::new(low, high, self.tick_size)
    }

    /// Lines seen.
    pub const fn lines(&self) -> u64 {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::orders::Op;
    use super::*;
    use crate::abi::Side;

    #[test]
    fn ticks_and_prices_are_each_others_inverse() {
        let band = Band::new(-300, 500, 100).unwrap();
        assert_eq!((band.base(), band.tick_size(), band.ticks()), (-300, 100, 9));
        for tick in 0..9 {
            assert_eq!(band.tick(band.price(tick)), Some(tick));
        }
        for price in [-400, -350, -299, 0x7fff_ffff_ffff_ffff, i64::MIN, 550, 600] {
            assert_eq!(band.tick(price), None, "{price}");
        }
    }

    #[test]
    fn a_band_that_cannot_be_is_an_error() {
        assert_eq!(Band::new(0, 5, 0), Err(BandError::TickSize { found: 0 }));
        assert_eq!(Band::new(0, i64::from(Limits::MAX_TICKS) - 1, 1).unwrap().ticks(), Limits::MAX_TICKS);
        assert!(matches!(Band::new(0, i64::from(Limits::MAX_TICKS), 1), Err(BandError::TooWide { .. })));
        assert!(matches!(Band::new(i64::MIN, i64::MAX, 1), Err(BandError::TooWide { .. })));
        assert!(matches!(Band::new(5, 4, 1), Err(BandError::TooWide { .. })));
    }

    #[test]
    fn a_survey_finds_the_band() {
        let line = |op, id, price| OrderLine { op, id, side: Side::Buy, price, qty: 1 };
        let mut survey = Survey::new(10).unwrap();
        assert_eq!(survey.band().unwrap().ticks(), 1);
        for line in [
            line(Op::Limit, 1, 100),
            line(Op::PostOnly, 2, 50),
            line(Op::ImmediateOrCancel, 3, 80),
            line(Op::Cancel, 1, 9990),
            line(Op::Limit, 4, 205),
            line(Op::Replace, 2, 200),
            line(Op::Reduce, 2, -50),
        ] {
            survey.add(&line);
        }
        let band = survey.band().unwrap();
        assert_eq!((band.base(), band.price(band.ticks() - 1)), (50, 200), "off the grid, or without a price: unseen");
        assert_eq!(survey.lines(), 7);
    }
}
