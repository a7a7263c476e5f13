//! A twin behind the stream of beats: what makes the software twin a [`Matcher`].
//!
//! A command is executed when it is submitted, its events wait in a queue of fixed size until they are polled. One command
//! can answer with a fill or a cancel for every other slot, so a queue that fits the worst is as large as the slots. Room
//! for that worst is what [`Matcher::submit`] waits for: it takes a command only when everything that it could answer
//! fits, and so never has to stop halfway or to drop an event.

use crate::abi::{Capabilities, Command, Event, Limits};
use crate::matcher::{Matcher, Twin};

/// Events of a command besides those of makers: `replaced`, and the taker's `rested` or `cancelled`.
const TAKER_EVENTS: usize = 2;

/// Commands of ordinary size that fit besides the worst one, so that a burst is not taken one by one.
const BURST: usize = 1024;

/// A twin with a queue of events.
#[derive(Clone, Debug)]
pub struct Queued<T> {
    twin: T,
    queue: Box<[Event]>,
    head: usize,
    len: usize,
    worst: usize,
    most_waiting: usize,
}

impl<T: Twin> Queued<T> {
    /// An empty book of these sizes, and its queue: 32 bytes for each slot.
    ///
    /// # Panics
    /// When the limits do not validate.
    pub fn new(limits: Limits) -> Self {
        Self::over(T::new(limits))
    }

    /// A queue for a twin that may hold a book already.
    pub fn over(twin: T) -> Self {
        let worst = twin.limits().slots as usize + TAKER_EVENTS;
        let queue = vec![Event::BLANK; worst + BURST].into_boxed_slice();
        Self { twin, queue, head: 0, len: 0, worst, most_waiting: 0 }
    }

    /// The twin: its book is ahead of the events that still wait.
    pub fn twin(&self) -> &T {
        &self.twin
    }

    /// The twin, to restore orders before the first command.
    pub fn twin_mut(&mut self) -> &mut T {
        &mut self.twin
    }

    /// Events that wait to be polled.
    pub fn waiting(&self) -> usize {
        self.len
    }

    /// The most events that ever waited.
    pub fn most_waiting(&self) -> usize {
        self.most_waiting
    }
}

impl<T: Twin> Matcher for Queued<T> {
    fn submit(&mut self, commands: &[Command]) -> usize {
        let size = self.queue.len();
        for (taken, command) in commands.iter().enumerate() {
            if size - self.len < self.worst {
                return taken;
            }
            self.twin.look_ahead(commands, taken);
            let mut tail = self.head + self.len;
            let (queue, len) = (&mut self.queue, &mut self.len);
            self.twin.execute(command, |event| {
                if tail >= size {
                    tail -= size;
                }
                queue[tail] = event;
                tail += 1;
                *len += 1;
            });
            assert!(self.len <= size, "a command answers at most {} events", self.worst);
            self.most_waiting = self.most_waiting.max(self.len);
        }
        commands.len()
    }

    fn announce(&self, commands: &[Command]) {
        self.twin.announce(commands);
    }

    fn poll(&mut self, events: &mut [Event]) -> usize {
        let count = events.len().min(self.len);
        let first = count.min(self.queue.len() - self.head);
        events[..first].copy_from_slice(&self.queue[self.head..self.head + first]);
        events[first..count].copy_from_slice(&self.queue[..count - first]);
        self.head += count;
        if self.head >= self.queue.len() {
            self.head -= self.queue.len();
        }
        self.len -= count;
        count
    }

    fn limits(&self) -> &Limits {
        self.twin.limits()
    }

    fn capabilities(&self) -> Capabilities {
        self.twin.capabilities()
    }

    fn failure(&self) -> Option<String> {
        self.twin.failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::abi::{EventKind, Kind, Side, TimeInForce};
    use crate::software::Software;

    const SLOTS: u32 = 64;

    fn order(slot: u32, side: Side, tick: u32, qty: u32) -> Command {
        let side_tif = Command::side_tif(side, TimeInForce::Gtc);
        Command { seq: u64::from(slot) + 1, slot, tick, qty, kind: Kind::New as u8, side_tif, ..Command::default() }
    }

    /// The worst command: a sweep of every other slot, whose rest then rests. It fits at every position of the ring.
    #[test]
    fn a_sweep_of_every_slot_fits_wherever_the_queue_stands() {
        for offset in 0..SLOTS as usize {
            let mut matcher = Queued::<Software>::new(Limits::single(16, SLOTS));
            let mut event = [Event::BLANK; 1];
            let nops = vec![Command::default(); BURST + offset];
            for nop in &nops {
                assert_eq!(matcher.submit(std::slice::from_ref(nop)), 1);
                assert_eq!(matcher.poll(&mut event), 1);
            }
            let makers: Vec<Command> = (0..SLOTS - 1).map(|slot| order(slot, Side::Sell, 5, 1)).collect();
            assert_eq!(matcher.submit(&makers), makers.len());
            assert_eq!(matcher.submit(&[order(SLOTS - 1, Side::Buy, 5, SLOTS)]), 1);
            let mut events = vec![Event::BLANK; 1000];
            assert_eq!(matcher.poll(&mut events), 63 + 64);
            assert!(
                events[63..126].iter().enumerate().all(|(at, e)| e.kind == EventKind::Fill && e.index == at as u32)
            );
            assert_eq!((events[126].kind, events[126].last), (EventKind::Rested, true));
            assert_eq!(matcher.waiting(), 0);
        }
    }

    #[test]
    fn without_room_for_the_worst_nothing_is_taken() {
        let mut matcher = Queued::<Software>::new(Limits::single(16, SLOTS));
        let nops: Vec<Command> = (0..5000).map(|seq| Command { seq, ..Command::default() }).collect();
        let taken = matcher.submit(&nops);
        assert_eq!(taken, BURST + 1, "the last is taken when the worst just fits");
        assert_eq!(matcher.submit(&nops[taken..]), 0);
        let mut event = [Event::BLANK; 1];
        assert_eq!(matcher.poll(&mut event), 1);
        assert_eq!(matcher.submit(&nops[taken..]), 1);
        let mut events = vec![Event::BLANK; 5000];
        let polled = matcher.poll(&mut events);
        assert!(events[..polled].iter().map(|e| e.seq).eq(1..=taken as u64));
        assert_eq!(matcher.most_waiting(), BURST + 1);
    }
}
