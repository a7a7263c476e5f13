//! Cores, waiting, and clocks.
//!
//! - [`spawn`] and [`place_current`] put a thread on a core, and under the real-time scheduler if asked; what the machine refuses or
//!   spoils comes back as [`Warning`]s, for the start-up report.
//! - [`WaitStrategy`] and [`Idle`] say what a poll loop does when it found nothing.
//! - [`machine`] describes what there is, [`topology`] chooses which loop runs where, [`doctor`] finds what costs latency.
//! - [`Tsc`] counts nanoseconds in a few; [`UtcClock`] stamps records and never goes back.

mod clock;
pub mod doctor;
pub mod machine;
mod place;
pub mod topology;
mod wait;

#[cfg(test)]
mod machine_tests;

#[cfg(test)]
mod tests;

pub use clock::{Tsc, UtcClock};
pub use place::{
    CpuError, FIFO_PRIORITIES, Placement, Warning, allowed_cores, latency_warnings, pin_current, place_current, spawn,
};
pub use wait::{DEFAULT_PARK, Idle, ParseWaitError, WaitStrategy};
