//! When each connection wants to be looked at again: a heap that knows where everybody stands in it.

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

/// At most one time for each connection number.
pub(super) struct Timers {
    /// Times and numbers, the earliest first, as a binary heap.
    heap: Vec<(u64, u32)>,
    /// By number, where it stands.
    places: Box<[u32]>,
}

impl Timers {
    pub fn new(count: usize) -> Self {
        Self { heap: Vec::with_capacity(count), places: vec![NOWHERE; count].into_boxed_slice() }
    }

    /// The earliest time.
    #[inline]
    pub fn next(&self) -> Option<u64> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Takes the earliest away, if it is due.
    pub fn due(&mut self, now: u64) -> Option<u32> {
        let &(at, slot) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(slot, None);
        Some(slot)
    }

    /// Sets a number's time, or takes it away.
    #[inline]
    pub fn set(&mut self, slot: u32, at: Option<u64>) {
        let place = self.places[slot as usize];
        match (place, at) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(at)) => {
                self.heap.push((at, slot));
                self.rise(self.heap.len() - 1);
            }
            (place, Some(at)) => {
                let place = place as usize;
                if self.heap[place].0 != at {
                    self.heap[place].0 = at;
                    self.settle(place);
                }
            }
            (place, None) => {
                self.places[slot as usize] = NOWHERE;
                self.heap.swap_remove(place as usize);
                if (place as usize) < self.heap.len() {
                    self.settle(place as usize);
                }
            }
        }
    }

    /// Moves the one at `place` to where its time belongs.
    fn settle(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 && self.heap[place].0 < self.heap[(place - 1) / 2].0 {
            self.heap.swap(place, (place - 1) / 2);
            self.places[self.heap[place].1 as usize] = place as u32;
            place = (place - 1) / 2;
        }
        self.places[self.heap[place].1 as usize] = place as u32;
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let least = if right < self.heap.len() && self.heap[right].0 < self.heap[left].0 { right } else { left };
            if self.heap[place].0 <= self.heap[least].0 {
                break;
            }
            self.heap.swap(place, least);
            self.places[self.heap[place].1 as usize] = place as u32;
            place = least;
        }
        self.places[self.heap[place].1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_earliest_is_always_first(ops in prop::collection::vec((0u32..16, prop::option::of(0u64..100), any::<bool>()), 1..300)) {
            let mut timers = Timers::new(16);
            let mut model = [None; 16];
            for (slot, at, pop) in ops {
                if pop {
                    let now = at.unwrap_or(50);
                    let due = timers.due(now);
                    let earliest = model.iter().flatten().min().copied().filter(|&at| at <= now);
                    prop_assert_eq!(due.map(|slot| model[slot as usize]), earliest.map(Some));
                    if let Some(slot) = due {
                        model[slot as usize] = None;
                    }
                } else {
                    timers.set(slot, at);
                    model[slot as usize] = at;
                }
                prop_assert_eq!(timers.next(), model.iter().flatten().min().copied());
            }
        }
    }
}
