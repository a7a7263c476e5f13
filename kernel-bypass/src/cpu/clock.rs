//! Clocks: ticks that are cheap to read, and UTC that never goes back.

#![allow(unsafe_code)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long [`Tsc::calibrate`] compares the counter with the system's clock.
const CALIBRATION: Duration = Duration::from_millis(20);
/// Pairs of readings taken at each end of the calibration; the tightest counts.
const READINGS: usize = 16;
/// Binary places of the scale.
const SHIFT: u32 = 32;

/// The processor's time stamp counter, calibrated; where it is not invariant, the system's monotonic clock instead.
///
/// Good for differences within one machine: the counter is not disciplined, so it drifts from UTC by what calibration and crystal
/// leave, some tens of parts per million.
#[derive(Debug, Clone, Copy)]
pub struct Tsc {
    /// Nanoseconds per tick, times 2^SHIFT.
    scale: u64,
    invariant: bool,
    /// Where ticks start when they are the system's nanoseconds.
    start: Instant,
}

impl Tsc {
    /// Measures the counter's rate against the system's clock; takes 20 ms.
    pub fn calibrate() -> Self {
        let start = Instant::now();
        let fallback = Self { scale: 1 << SHIFT, invariant: false, start };
        if !is_invariant() {
            return fallback;
        }
        let (ticks_before, before) = tight_pair();
        std::thread::sleep(CALIBRATION);
        let (ticks_after, after) = tight_pair();
        let nanos = after.duration_since(before).as_nanos();
        let ticks = u128::from(ticks_after.saturating_sub(ticks_before));
        let scale = (nanos << SHIFT).checked_div(ticks).unwrap_or(0);
        match u64::try_from(scale) {
            // From 62 MHz to 16 THz: anything else is no time stamp counter.
            Ok(scale) if scale > 1 << (SHIFT - 14) && scale < 1 << (SHIFT + 4) => {
                Self { scale, invariant: true, start }
            }
            _ => fallback,
        }
    }

    /// Ticks now. Not ordered with the instructions around it.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        if self.invariant {
            ticks()
        } else {
            // 584 years fit.
            self.start.elapsed().as_nanos() as u64
        }
    }

    /// Nanoseconds in `ticks`, which is a difference of two readings.
    #[inline(always)]
    pub fn ns(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.scale)) >> SHIFT) as u64
    }

    /// Ticks in `ns` nanoseconds: what to compare differences of readings with.
    #[inline]
    pub fn ticks(&self, ns: u64) -> u64 {
        u64::try_from((u128::from(ns) << SHIFT) / u128::from(self.scale)).unwrap_or(u64::MAX)
    }

    /// Whether ticks come from the processor's counter.
    pub fn is_invariant(&self) -> bool {
        self.invariant
    }
}

/// A reading of both clocks, from the pair of system readings that enclosed a counter reading most tightly.
fn tight_pair() -> (u64, Instant) {
    let mut best = (Duration::MAX, 0, Instant::now());
    for _ in 0..READINGS {
        let before = Instant::now();
        let counter = ticks();
        let width = before.elapsed();
        if width < best.0 {
            best = (width, counter, before + width / 2);
        }
    }
    (best.1, best.2)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; Linux lets user code use it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn ticks() -> u64 {
    0
}

#[cfg(target_arch = "x86_64")]
fn is_invariant() -> bool {
    use std::arch::x86_64::__cpuid;
    const POWER_LEAF: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    __cpuid(0x8000_0000).eax >= POWER_LEAF && __cpuid(POWER_LEAF).edx & INVARIANT != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn is_invariant() -> bool {
    false
}

/// Nanoseconds since 1970 in UTC, never decreasing: what records are stamped with.
///
/// The system's clock may be set back; then the stamps stand still until it has caught up.
#[derive(Debug, Clone, Copy, Default)]
pub struct UtcClock {
    last_ns: u64,
}

impl UtcClock {
    /// A clock that has shown nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that never shows less than `ns`: the time of the last record, after a restart.
    pub fn not_before(ns: u64) -> Self {
        Self { last_ns: ns }
    }

    /// Now, or what was shown last if that is later.
    #[inline]
    pub fn now_ns(&mut self) -> u64 {
        // Before 1970 reads as 1970; after 2554 the clock stands still.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        self.last_ns = self.last_ns.max(now);
        self.last_ns
    }
}
