//! How many messages a port may send: token buckets on record time.
//!
//! A bucket holds one second's worth of tokens. It is kept as a single instant (the generic cell rate algorithm): the time at
//! which the bucket would be full again. Time is the records', so replaying the journal fills and empties it exactly as the
//! messages did; a message that left no record took no token.

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A token bucket of one second's worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full again, ns.
    full_at: u64,
}

impl Bucket {
    /// Whether there is a token at `now_ns`, when `per_second` of them come in a second. 0: there is no limit.
    #[inline]
    pub fn allows(&self, now_ns: u64, per_second: u32) -> bool {
        per_second == 0 || self.full_at.saturating_sub(now_ns) <= NANOS_PER_SECOND - interval(per_second)
    }

    /// Takes a token, also one that is not there.
    #[inline]
    pub fn take(&mut self, now_ns: u64, per_second: u32) {
        if per_second > 0 {
            self.full_at = self.full_at.max(now_ns).saturating_add(interval(per_second));
        }
    }

    /// When it is full again, ns: all that there is to a bucket.
    pub(super) fn full_at(&self) -> u64 {
        self.full_at
    }

    /// A bucket that is full again at this time.
    pub(super) fn of(full_at: u64) -> Self {
        Self { full_at }
    }

    /// Fills it.
    pub fn reset(&mut self) {
        self.full_at = 0;
    }
}

/// Nanoseconds in which a token comes; a second at most.
#[inline]
fn interval(per_second: u32) -> u64 {
    NANOS_PER_SECOND / u64::from(per_second)
}

/// Bytes of an Enter Order that make it what it is: side, quantity, symbol, price, time in force.
pub const FINGERPRINT_BYTES: usize = 22;

/// Catches a client that sends the same order again and again: its numbers differ, nothing else does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    last: [u8; FINGERPRINT_BYTES],
    bucket: Bucket,
}

impl Duplicates {
    /// The last order, and when its bucket is full again.
    pub(super) fn parts(&self) -> (&[u8; FINGERPRINT_BYTES], u64) {
        (&self.last, self.bucket.full_at)
    }

    /// Of these parts.
    pub(super) fn of(last: [u8; FINGERPRINT_BYTES], full_at: u64) -> Self {
        Self { last, bucket: Bucket::of(full_at) }
    }

    /// Whether this order may come at `now_ns`, when an order may be repeated `per_second` times a second. 0: no limit.
    #[inline]
    pub fn allows(&self, order: &[u8; FINGERPRINT_BYTES], now_ns: u64, per_second: u32) -> bool {
        *order != self.last || self.bucket.allows(now_ns, per_second)
    }

    /// Takes note of an order.
    #[inline]
    pub fn take(&mut self, order: &[u8; FINGERPRINT_BYTES], now_ns: u64, per_second: u32) {
        if *order == self.last {
            self.bucket.take(now_ns, per_second);
        } else {
            self.last = *order;
            self.bucket.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(bucket: &mut Bucket, now: u64, per_second: u32) -> bool {
        let allowed = bucket.allows(now, per_second);
        if allowed {
            bucket.take(now, per_second);
        }
        allowed
    }

    #[test]
    fn a_second_holds_exactly_its_tokens() {
        for per_second in [1, 3, 10, 999, 1_000_000] {
            let mut bucket = Bucket::default();
            let start = 77 * NANOS_PER_SECOND;
            let burst = (0..per_second + 5).filter(|_| send(&mut bucket, start, per_second)).count();
            assert_eq!(burst, per_second as usize, "a full bucket");
            // A second is no multiple of every rate: a token may come a nanosecond early.
            assert!(!send(&mut bucket, start + interval(per_second) - 2, per_second));
            assert!(send(&mut bucket, start + interval(per_second), per_second), "one token came");
            assert!(!send(&mut bucket, start + interval(per_second), per_second));
        }
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| send(&mut bucket, 5, 0)));
    }

    #[test]
    fn only_the_same_order_again_is_a_duplicate() {
        let (one, other) = ([1; FINGERPRINT_BYTES], [2; FINGERPRINT_BYTES]);
        let mut duplicates = Duplicates::default();
        duplicates.take(&one, 0, 2);
        for _ in 0..2 {
            assert!(duplicates.allows(&one, 0, 2));
            duplicates.take(&one, 0, 2);
        }
        assert!(!duplicates.allows(&one, 0, 2), "the third repetition within a second");
        assert!(duplicates.allows(&other, 0, 2));
        assert!(duplicates.allows(&one, NANOS_PER_SECOND, 2));
        duplicates.take(&other, 0, 2);
        assert!(duplicates.allows(&one, 0, 2), "it is not the last one any more");
    }
}
