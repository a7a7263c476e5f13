//! The two ends of a ring of beats: the algorithm, over any [`Storage`].
//!
//! Indices are 64-bit counts of beats since the ring was made; they do not wrap in any run. Beat `i` lies in slot `i % capacity` with
//! the phase `(i / capacity + 1) & 1`, so that the first time round writes 1 over a storage of zeros. Each end keeps its own index in
//! private memory; the producer keeps the consumer's index as it last saw it and looks again only when it seems to have no credit.

use super::PHASE_BIT;
use super::storage::Storage;

/// The writing end. One per ring.
pub struct Producer<S: Storage> {
    storage: S,
    /// Beats pushed since the ring was made.
    index: u64,
    /// The consumer's index as last seen: never ahead of the truth.
    credits: u64,
    capacity: u64,
}

/// The reading end. One per ring.
pub struct Consumer<S: Storage> {
    storage: S,
    /// Beats consumed since the ring was made.
    index: u64,
    capacity: u64,
}

/// The phase bit of beat `index`, in place.
#[inline(always)]
fn phase(index: u64, capacity: u64) -> u64 {
    // The capacity is a power of two: this bit is the parity of the lap.
    if index & capacity == 0 { PHASE_BIT } else { 0 }
}

impl<S: Storage> Producer<S> {
    /// Takes the writing end of `storage`, which may hold beats already: a restarted producer goes on where the last one published.
    /// The caller sees to it that there is no other producer.
    pub fn attach(storage: S) -> Self {
        let capacity = storage.capacity() as u64;
        assert!(capacity.is_power_of_two(), "Storage promises a power of two");
        let credits = storage.credits();
        // From the consumer's index on, the published beats are those whose phase is the expected one; behind them lie beats of the
        // lap before, with the other phase. A beat that a dead producer had half written was never published, and is written again.
        let mut index = credits;
        while index - credits < capacity && storage.load_phase(index) & PHASE_BIT == phase(index, capacity) {
            index += 1;
        }
        Self { storage, index, credits, capacity }
    }

    /// Publishes one beat. `false`: the ring is full, and nothing was written.
    #[inline]
    pub fn push(&mut self, beat: &S::Beat) -> bool {
        if self.index - self.credits >= self.capacity && self.refresh() == 0 {
            return false;
        }
        self.write(beat);
        true
    }

    /// Publishes beats from the front of `beats`, as many as there is room for; how many.
    #[inline]
    pub fn push_batch(&mut self, beats: &[S::Beat]) -> usize {
        let mut room = self.capacity - (self.index - self.credits);
        if room < beats.len() as u64 {
            room = self.refresh();
        }
        let count = beats.len().min(room as usize);
        for beat in &beats[..count] {
            self.write(beat);
        }
        count
    }

    /// Beats that fit now. Until the next push it can only grow.
    #[inline]
    pub fn free(&mut self) -> usize {
        self.refresh() as usize
    }

    /// Beats that the ring holds.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Beats pushed since the ring was made: what a doorbell wants to know.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Looks at the consumer's index again; the room there is.
    #[inline]
    fn refresh(&mut self) -> u64 {
        let seen = self.storage.credits();
        // A shared file's other end may be wrong, and must not make this end write where it may not: an index outside of what can be
        // true gives no credit.
        if seen >= self.credits && seen <= self.index {
            self.credits = seen;
        }
        self.capacity - (self.index - self.credits)
    }

    #[inline(always)]
    fn write(&mut self, beat: &S::Beat) {
        debug_assert!(self.index - self.credits < self.capacity);
        let words = beat.as_ref();
        for (word, &value) in words.iter().enumerate().take(S::WORDS) {
            if word == S::PHASE_WORD {
                let value = value & !PHASE_BIT | phase(self.index, self.capacity);
                self.storage.store_phase(self.index, value);
            } else {
                self.storage.store(self.index, word, value);
            }
        }
        self.index += 1;
    }
}

impl<S: Storage> Consumer<S> {
    /// Takes the reading end of `storage` where the last consumer published its index. The caller sees to it that there is no other.
    pub fn attach(storage: S) -> Self {
        let capacity = storage.capacity() as u64;
        assert!(capacity.is_power_of_two(), "Storage promises a power of two");
        let index = storage.credits();
        Self { storage, index, capacity }
    }

    /// The next beat, if one is published. Its slot goes back to the producer at once.
    #[inline]
    pub fn pop(&mut self) -> Option<S::Beat> {
        let beat = self.read(self.index)?;
        self.index += 1;
        self.storage.publish_credits(self.index);
        Some(beat)
    }

    /// Fills `out` from the front with published beats; how many. Their slots go back to the producer together.
    #[inline]
    pub fn pop_batch(&mut self, out: &mut [S::Beat]) -> usize {
        let mut count = 0;
        for place in out {
            let Some(beat) = self.read(self.index) else {
                break;
            };
            *place = beat;
            self.index += 1;
            count += 1;
        }
        if count > 0 {
            self.storage.publish_credits(self.index);
        }
        count
    }

    /// The published beat `ahead` of the next one (0 is the next), which stays where it is.
    #[inline]
    pub fn peek(&self, ahead: usize) -> Option<S::Beat> {
        // A slot is never more than one lap ahead; beyond that its phase would be mistaken for a new beat's.
        if ahead as u64 >= self.capacity {
            return None;
        }
        self.read(self.index + ahead as u64)
    }

    /// How many beats are published and not consumed, counted up to `limit`.
    pub fn ready(&self, limit: usize) -> usize {
        let limit = (limit as u64).min(self.capacity);
        let mut count = 0;
        while count < limit && self.is_published(self.index + count) {
            count += 1;
        }
        count as usize
    }

    /// Whether nothing is published.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.is_published(self.index)
    }

    /// Beats that the ring holds.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Beats consumed since the ring was made.
    pub fn index(&self) -> u64 {
        self.index
    }

    #[inline(always)]
    fn is_published(&self, index: u64) -> bool {
        self.storage.load_phase(index) & PHASE_BIT == phase(index, self.capacity)
    }

    #[inline(always)]
    fn read(&self, index: u64) -> Option<S::Beat> {
        let last = self.storage.load_phase(index);
        if last & PHASE_BIT != phase(index, self.capacity) {
            return None;
        }
        let mut beat = S::Beat::default();
        for (word, place) in beat.as_mut().iter_mut().enumerate().take(S::WORDS) {
            *place = if word == S::PHASE_WORD { last & !PHASE_BIT } else { self.storage.load(index, word) };
        }
        Some(beat)
    }
}
