//! How long batches take from the gateway's offer to being final and durable here, by this validator's clock.
//!
//! Kept for the newest [`KEPT`] batches, for whoever wants to know how reliable settlement is; nothing is decided by it. A batch that was never
//! offered here, or was final before it was, is not counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Instant;

use super::replica::lock;

/// Batches whose times are kept.
pub const KEPT: usize = 8192;
/// Batches that were offered and are not final, as far as they are counted.
const WAITING: usize = 1024;

#[derive(Debug, Default)]
struct Inner {
    offered: BTreeMap<u64, Instant>,
    done: VecDeque<(u64, u32)>,
}

/// The times.
#[derive(Debug, Default)]
pub struct Timings {
    inner: Mutex<Inner>,
}

impl Timings {
    /// A batch was offered, for the first time.
    pub fn offered(&self, number: u64) {
        let mut inner = lock(&self.inner);
        if inner.offered.len() < WAITING {
            inner.offered.entry(number).or_insert_with(Instant::now);
        }
    }

    /// A batch is final and durable.
    pub fn settled(&self, number: u64) {
        let mut inner = lock(&self.inner);
        let begun = inner.offered.get(&number).copied();
        inner.offered = inner.offered.split_off(&(number + 1));
        let Some(begun) = begun else { return };
        if inner.done.len() >= KEPT {
            inner.done.pop_front();
        }
        inner.done.push_back((number, u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX)));
    }

    /// The newest batches: number, microseconds.
    pub fn newest(&self) -> Vec<(u64, u32)> {
        lock(&self.inner).done.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_offered_counts_and_only_the_newest_are_kept() {
        let timings = Timings::default();
        timings.settled(1);
        timings.offered(2);
        timings.offered(3);
        timings.settled(3);
        timings.settled(2);
        assert_eq!(timings.newest().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3], "2 came too late");
        for number in 4..KEPT as u64 + 100 {
            timings.offered(number);
            timings.settled(number);
        }
        assert_eq!((timings.newest().len(), timings.newest()[0].0), (KEPT, 100));
        for number in 0..2 * WAITING as u64 {
            timings.offered(1 << 20 | number);
        }
        assert_eq!(lock(&timings.inner).offered.len(), WAITING);
    }
}
