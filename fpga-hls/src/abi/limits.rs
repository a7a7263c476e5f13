//! What a matcher holds, and what it can do.

use thiserror::Error;

/// Sizes of a matcher. Everything is allocated from them at start, and nothing afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ticks of each instrument's band; the instrument's number is its index. 1 to [`Limits::MAX_TICKS`] each.
    pub ticks: Vec<u32>,
    /// Order slots, shared by all instruments: slot numbers are below it.
    pub slots: u32,
    /// The largest quantity of an order, in lots.
    pub max_qty: u32,
}

impl Limits {
    /// Most ticks of one band.
    pub const MAX_TICKS: u32 = 1 << 24;
    /// Most ticks of all bands together (16 GiB of levels in the software twin).
    pub const MAX_TICKS_IN_ALL: u64 = 1 << 31;
    /// Most instruments.
    pub const MAX_INSTRUMENTS: usize = 1 << 16;
    /// Most slots.
    pub const MAX_SLOTS: u32 = 1 << 28;
    /// Largest `max_qty`: what a signed, relative quantity can still express.
    pub const MAX_QTY: u32 = i32::MAX as u32;

    /// One instrument.
    pub fn single(ticks: u32, slots: u32) -> Self {
        Self { ticks: vec![ticks], slots, max_qty: Self::MAX_QTY }
    }

    /// Says whether a matcher can be made of these limits.
    ///
    /// # Errors
    /// Names the limit, what was found and what is allowed.
    pub fn validate(&self) -> Result<(), LimitsError> {
        if self.ticks.is_empty() || self.ticks.len() > Self::MAX_INSTRUMENTS {
            return Err(LimitsError::Instruments { found: self.ticks.len() });
        }
        if let Some((instrument, &found)) =
            self.ticks.iter().enumerate().find(|(_, t)| **t == 0 || **t > Self::MAX_TICKS)
        {
            return Err(LimitsError::Ticks { instrument, found });
        }
        let found = self.ticks.iter().map(|ticks| u64::from(*ticks)).sum();
        if found > Self::MAX_TICKS_IN_ALL {
            return Err(LimitsError::TicksInAll { found });
        }
        if self.slots == 0 || self.slots > Self::MAX_SLOTS {
            return Err(LimitsError::Slots { found: self.slots });
        }
        if self.max_qty == 0 || self.max_qty > Self::MAX_QTY {
            return Err(LimitsError::Qty { found: self.max_qty });
        }
        Ok(())
    }
}

/// Limits of which no matcher can be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum LimitsError {
    #[error("instruments: found {found}, allowed 1 to {}", Limits::MAX_INSTRUMENTS)]
    Instruments { found: usize },
    #[error("ticks of instrument {instrument}: found {found}, allowed 1 to {}", Limits::MAX_TICKS)]
    Ticks { instrument: usize, found: u32 },
    #[error("ticks of all instruments: found {found}, allowed {}", Limits::MAX_TICKS_IN_ALL)]
    TicksInAll { found: u64 },
    #[error("slots: found {found}, allowed 1 to {}", Limits::MAX_SLOTS)]
    Slots { found: u32 },
    #[error("max_qty: found {found}, allowed 1 to {}", Limits::MAX_QTY)]
    Qty { found: u32 },
}

/// What a matcher can do. An instrument that needs a bit which its shard's matcher lacks is refused by the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// Fill or kill.
    pub const FILL_OR_KILL: Self = Self(1);
    /// Post-only.
    pub const POST_ONLY: Self = Self(1 << 1);
    /// All four self-trade modes.
    pub const SELF_TRADE: Self = Self(1 << 2);
    /// Replace, absolute and relative.
    pub const REPLACE: Self = Self(1 << 3);
    /// Reduce with kept priority.
    pub const REDUCE: Self = Self(1 << 4);
    /// More than one instrument.
    pub const MANY_INSTRUMENTS: Self = Self(1 << 5);
    /// Bands of more than 4096 ticks.
    pub const WIDE_BANDS: Self = Self(1 << 6);
    /// Everything above.
    pub const ALL: Self = Self(0x7f);

    /// Whether every bit of `needed` is there.
    pub const fn has(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }
}

impl core::ops::BitOr for Capabilities {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_beyond_the_largest_are_refused() {
        let fine = Limits { ticks: vec![Limits::MAX_TICKS; 128], slots: Limits::MAX_SLOTS, max_qty: Limits::MAX_QTY };
        assert_eq!(fine.validate(), Ok(()));
        let too_many = Limits { ticks: vec![Limits::MAX_TICKS; 129], ..fine.clone() };
        assert_eq!(too_many.validate(), Err(LimitsError::TicksInAll { found: 129 << 24 }));
        let none = Limits { ticks: vec![], ..fine.clone() };
        assert_eq!(none.validate(), Err(LimitsError::Instruments { found: 0 }));
        let wide = Limits { ticks: vec![1, Limits::MAX_TICKS + 1], ..fine.clone() };
        assert_eq!(wide.validate(), Err(LimitsError::Ticks { instrument: 1, found: Limits::MAX_TICKS + 1 }));
        assert_eq!(Limits { slots: 0, ..fine.clone() }.validate(), Err(LimitsError::Slots { found: 0 }));
        let much = Limits { max_qty: Limits::MAX_QTY + 1, ..fine };
        assert_eq!(much.validate(), Err(LimitsError::Qty { found: Limits::MAX_QTY + 1 }));
    }
}
