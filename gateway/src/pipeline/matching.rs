//! The matcher's stage: takes beats off the command ring, puts events on the event ring.
//!
//! It knows no record, no session and no money: between two rings of 32-byte beats stands whatever implements
//! [`Matcher`]. Back-pressure runs through it both ways: a full event ring stops the polling, a full matcher stops the
//! submitting, and the beats wait in their ring. Under load it takes beats a turn ahead, and announces them to the matcher, which
//! may fetch what they will touch while it executes those before them.

use wirebook_bypass::ring::{Beat, Consumer, Heap, Producer};
use wirebook_matcher::Matcher;
use wirebook_matcher::abi::{Command, Event};

/// Beats moved at a time.
const BATCH: usize = 64;
/// Commands held: those of this turn, and those of the next.
const WINDOW: usize = 2 * BATCH;

/// Why a stage that has commands moves no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// The matcher has failed, in its own words.
    Failed(String),
    /// The matcher neither takes nor gives, and is not busy.
    Stalled,
}

/// The stage.
pub struct Matching<M> {
    matcher: M,
    commands: Consumer<Heap>,
    events: Producer<Heap>,
    /// `taken[..held]` wait for their turn, or for room in the matcher.
    taken: [Command; WINDOW],
    held: usize,
    /// Commands that the matcher has taken, less the last events that it has given: what it owes. A matcher that lies about which event
    /// is the last makes it wrong; who books the events finds that out first.
    owed: i64,
    /// Whether the last turn ended because events had no room.
    full: bool,
    /// Where beats and events pass through: kept, because clearing kilobytes for one order would cost more than the order.
    beats: [Beat; WINDOW],
    answers: [Event; BATCH],
}

impl<M: Matcher> Matching<M> {
    /// Stands `matcher` between two rings.
    pub fn new(matcher: M, commands: Consumer<Heap>, events: Producer<Heap>) -> Self {
        Self {
            matcher,
            commands,
            events,
            taken: [Command::default(); WINDOW],
            held: 0,
            owed: 0,
            full: false,
            beats: [[0; 4]; WINDOW],
            answers: [Event::BLANK; BATCH],
        }
    }

    /// One turn: at most [`BATCH`] commands in, and events out as far as their ring has room. Returns how many beats moved.
    pub fn step(&mut self) -> usize {
        if self.held <= BATCH {
            self.take();
        }
        let turn = self.held.min(BATCH);
        let mut moved = self.matcher.submit(&self.taken[..turn]);
        self.taken.copy_within(moved..self.held, 0);
        self.held -= moved;
        self.owed += moved as i64;
        loop {
            let room = self.events.free().min(BATCH);
            self.full = room == 0;
            let count = if room == 0 { 0 } else { self.matcher.poll(&mut self.answers[..room]) };
            for (beat, event) in self.beats.iter_mut().zip(&self.answers[..count]) {
                *beat = event.to_words();
                self.owed -= i64::from(event.last);
            }
            let pushed = self.events.push_batch(&self.beats[..count]);
            assert_eq!(pushed, count, "the event ring had room for {room}");
            moved += count;
            if count < BATCH {
                return moved;
            }
        }
    }

    /// Takes what the ring has and the window holds; announces what is not of this turn.
    fn take(&mut self) {
        let held = self.held;
        self.held += self.commands.pop_batch(&mut self.beats[held..]);
        for (command, beat) in self.taken[held..self.held].iter_mut().zip(&self.beats[held..]) {
            *command = Command::from_words(*beat);
        }
        if self.held > BATCH {
            self.matcher.announce(&self.taken[held.max(BATCH)..self.held]);
        }
    }

    /// After a turn in which nothing moved: why no turn will, if none will. Commands that wait are the sign; a matcher that is at
    /// work, and events that find no room, are none.
    pub fn stuck(&self) -> Option<Stuck> {
        let waits = self.held > 0 || self.owed > 0;
        // As the turn found it: there may be room by now.
        let stuck = waits && !self.matcher.busy() && !self.full;
        stuck.then(|| self.standing_still())
    }

    /// What it means that nothing moves although something should.
    pub fn standing_still(&self) -> Stuck {
        self.matcher.failure().map_or(Stuck::Stalled, Stuck::Failed)
    }

    /// What it can do, and its sizes.
    pub fn matcher(&self) -> &M {
        &self.matcher
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use wirebook_bypass::ring;
    use wirebook_matcher::abi::{Capabilities, Limits};

    use super::*;

    /// Takes so many commands at a time, and answers each with an event of its seq.
    struct Slow {
        at_once: usize,
        waiting: Vec<u64>,
        announced: RefCell<Vec<u64>>,
        limits: Limits,
    }

    impl Matcher for Slow {
        fn submit(&mut self, commands: &[Command]) -> usize {
            let taken = &commands[..self.at_once.min(commands.len())];
            self.waiting.extend(taken.iter().map(|command| command.seq));
            taken.len()
        }

        fn announce(&self, commands: &[Command]) {
            self.announced.borrow_mut().extend(commands.iter().map(|command| command.seq));
        }

        fn poll(&mut self, events: &mut [Event]) -> usize {
            let count = events.len().min(self.waiting.len());
            for (event, seq) in events.iter_mut().zip(self.waiting.drain(..count)) {
                *event = Event { seq, last: true, ..Event::BLANK };
            }
            count
        }

        fn limits(&self) -> &Limits {
            &self.limits
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::ALL
        }
    }

    /// However fast the matcher is: every command once and in order, none announced twice or after its turn.
    #[test]
    fn commands_keep_their_order_and_are_announced_before_their_turn() {
        for at_once in [0, 1, 7, 63, 64, 1000] {
            let (mut beats, commands) = ring::heap(1024).unwrap();
            let (events, mut answers) = ring::heap(1024).unwrap();
            let matcher =
                Slow { at_once, waiting: vec![], announced: RefCell::default(), limits: Limits::single(1, 1) };
            let mut stage = Matching::new(matcher, commands, events);
            for seq in 0..1000 {
                assert!(beats.push(&Command { seq, ..Command::default() }.to_words()));
            }
            let mut answered = 0;
            for _ in 0..2000 {
                let moved = stage.step();
                assert!(moved <= 2 * BATCH, "a turn is bounded");
                assert!(stage.held <= WINDOW);
                while let Some(answer) = answers.pop() {
                    assert_eq!(answer[0], answered, "{at_once} at once");
                    answered += 1;
                }
            }
            assert_eq!(answered, if at_once == 0 { 0 } else { 1000 });
            let announced = stage.matcher().announced.borrow();
            assert!(announced.is_sorted_by(|a, b| a < b), "once, and in order");
            assert!(announced.first().is_none_or(|first| *first >= BATCH as u64), "those of the first turn are not");
            assert!(!announced.is_empty(), "{at_once} at once");
        }
    }

    /// One that takes nothing stalls; one that is behind because its events find no room does not; one that owes nothing waits.
    #[test]
    fn standing_still_is_told_from_waiting() {
        for (at_once, stuck) in [(0, Some(Stuck::Stalled)), (64, None)] {
            let (mut beats, commands) = ring::heap(64).unwrap();
            let (events, mut answers) = ring::heap(8).unwrap();
            let matcher =
                Slow { at_once, waiting: vec![], announced: RefCell::default(), limits: Limits::single(1, 1) };
            let mut stage = Matching::new(matcher, commands, events);
            assert_eq!((stage.step(), stage.stuck()), (0, None), "nothing is asked of it");
            for seq in 0..32 {
                assert!(beats.push(&Command { seq, ..Command::default() }.to_words()));
            }
            while stage.step() > 0 {}
            assert_eq!(stage.stuck(), stuck, "{at_once} at once");
            let mut answered = 0;
            for _ in 0..32 {
                answered += std::iter::from_fn(|| answers.pop()).count();
                stage.step();
            }
            assert_eq!((answered, stage.stuck()), (if at_once == 0 { 0 } else { 32 }, stuck), "{at_once} at once");
        }
    }
}
