//! The clock of time-outs: injected, so that a test decides what time it is. No answer ever depends on it, only who gives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Nanoseconds since some moment; never decreasing.
pub trait Clock {
    /// Now.
    fn now_ns(&self) -> u64;
}

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// Begins at 0 now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for Monotonic {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Monotonic {
    fn now_ns(&self) -> u64 {
        // 584 years fit.
        self.0.elapsed().as_nanos() as u64
    }
}

/// A clock that goes on by so much at each look, and when it is told to. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct Manual {
    now: Arc<AtomicU64>,
    step_ns: u64,
}

impl Manual {
    /// Goes on by `step_ns` at each look.
    pub fn stepping(step_ns: u64) -> Self {
        Self { now: Arc::default(), step_ns }
    }

    /// Goes on.
    pub fn advance(&self, ns: u64) {
        self.now.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Clock for Manual {
    fn now_ns(&self) -> u64 {
        self.now.fetch_add(self.step_ns, Ordering::Relaxed)
    }
}
