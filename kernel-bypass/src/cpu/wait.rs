//! What a poll loop does when it found nothing to do.
//!
//! A loop that owns a core spins. On a machine with fewer cores than loops, a spinning loop takes the core from the very thread it
//! waits for; the default therefore spins a little, yields a little, and then sleeps, so that an idle venue costs next to nothing and
//! a busy one does not notice.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Empty rounds that spin before anything else happens.
const SPINS: u32 = 128;
/// Empty rounds that yield, after those that spin.
const YIELDS: u32 = 32;
/// How long the default strategy sleeps at most. What a loop waits for wakes it; this bounds how late it looks at clocks, and a sleep
/// that ends by itself costs a few tens of microseconds.
pub const DEFAULT_PARK: Duration = Duration::from_millis(5);
/// The longest sleep that may be configured: a loop also looks at clocks.
const MAX_PARK: Duration = Duration::from_secs(1);

/// How a loop waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Never gives up the core: for a core of its own.
    Spin,
    /// Spins a little, then offers the core to others after every empty round.
    SpinYield,
    /// Spins a little, yields a little, then sleeps up to `max`, or until woken.
    Park {
        /// The longest sleep.
        max: Duration,
    },
}

impl Default for WaitStrategy {
    fn default() -> Self {
        Self::Park { max: DEFAULT_PARK }
    }
}

impl fmt::Display for WaitStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spin => f.write_str("spin"),
            Self::SpinYield => f.write_str("spin-yield"),
            Self::Park { max } => write!(f, "park:{}us", max.as_micros()),
        }
    }
}

/// A wait strategy that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wait strategy {found:?}: use spin, spin-yield, park, or park:N with N like 250us or 1ms, at most 1s")]
pub struct ParseWaitError {
    /// What was given.
    pub found: String,
}

impl FromStr for WaitStrategy {
    type Err = ParseWaitError;

    fn from_str(text: &str) -> Result<Self, ParseWaitError> {
        let error = || ParseWaitError { found: text.to_string() };
        match text {
            "spin" => return Ok(Self::Spin),
            "spin-yield" => return Ok(Self::SpinYield),
            "park" => return Ok(Self::default()),
            _ => {}
        }
        let amount = text.strip_prefix("park:").ok_or_else(error)?;
        let split = amount.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = amount.split_at(split);
        let number: u64 = number.parse().map_err(|_| error())?;
        let max = match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            _ => return Err(error()),
        };
        if max.is_zero() || max > MAX_PARK {
            return Err(error());
        }
        Ok(Self::Park { max })
    }
}

/// Counts empty rounds and waits as the strategy says.
#[derive(Debug, Clone)]
pub struct Idle {
    strategy: WaitStrategy,
    empty_rounds: u32,
}

impl Idle {
    /// For a loop that waits by `strategy`.
    pub fn new(strategy: WaitStrategy) -> Self {
        Self { strategy, empty_rounds: 0 }
    }

    /// The round found something: the next empty one starts from the beginning.
    #[inline(always)]
    pub fn worked(&mut self) {
        self.empty_rounds = 0;
    }

    /// The round found nothing. Sleeps, if it comes to that, until the thread is unparked or the strategy's time is over.
    #[inline]
    pub fn idle(&mut self) {
        self.idle_with(std::thread::park_timeout);
    }

    /// The round found nothing. Where the strategy would sleep, `park` does, for at most the time it is given: a port's `wait`, say.
    #[inline]
    pub fn idle_with<R>(&mut self, park: impl FnOnce(Duration) -> R) -> Option<R> {
        self.empty_rounds = self.empty_rounds.saturating_add(1);
        if self.empty_rounds <= SPINS {
            std::hint::spin_loop();
            return None;
        }
        match self.strategy {
            WaitStrategy::Spin => std::hint::spin_loop(),
            WaitStrategy::SpinYield => std::thread::yield_now(),
            WaitStrategy::Park { .. } if self.empty_rounds <= SPINS + YIELDS => {
                std::thread::yield_now();
            }
            WaitStrategy::Park { max } => return Some(park(max)),
        }
        None
    }
}
