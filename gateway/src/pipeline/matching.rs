//! The matcher's stage: takes beats off the command ring, puts events on the event ring.
//!
//! It knows no record, no session and no money: between two rings of 32-byte beats stands whatever implements
//! [`Matcher`]. Back-pressure runs through it both ways: a full event ring stops the polling, a full matcher stops the
//! submitting, and the beats wait in their ring.

use wirebook_bypass::ring::{Beat, Consumer, Heap, Producer};
use wirebook_matcher::Matcher;
use wirebook_matcher::abi::{Command, Event};

/// Beats moved at a time.
const BATCH: usize = 64;

/// The stage.
pub struct Matching<M> {
    matcher: M,
    commands: Consumer<Heap>,
    events: Producer<Heap>,
    taken: [Command; BATCH],
    /// `taken[next..held]` wait for room in the matcher.
    next: usize,
    held: usize,
}

impl<M: Matcher> Matching<M> {
    /// Stands `matcher` between two rings.
    pub fn new(matcher: M, commands: Consumer<Heap>, events: Producer<Heap>) -> Self {
        Self { matcher, commands, events, taken: [Command::default(); BATCH], next: 0, held: 0 }
    }

    /// One turn: at most [`BATCH`] commands in, and events out as far as their ring has room. Returns how many beats moved.
    pub fn step(&mut self) -> usize {
        let mut moved = 0;
        if self.next == self.held {
            let mut beats: [Beat; BATCH] = [[0; 4]; BATCH];
            self.held = self.commands.pop_batch(&mut beats);
            self.next = 0;
            for (command, beat) in self.taken.iter_mut().zip(&beats[..self.held]) {
                *command = Command::from_words(*beat);
            }
        }
        if self.next < self.held {
            let submitted = self.matcher.submit(&self.taken[self.next..self.held]);
            self.next += submitted;
            moved += submitted;
        }
        loop {
            let room = self.events.free().min(BATCH);
            let mut events = [Event::BLANK; BATCH];
            let count = if room == 0 { 0 } else { self.matcher.poll(&mut events[..room]) };
            if count == 0 {
                return moved;
            }
            let mut beats: [Beat; BATCH] = [[0; 4]; BATCH];
            for (beat, event) in beats.iter_mut().zip(&events[..count]) {
                *beat = event.to_words();
            }
            let pushed = self.events.push_batch(&beats[..count]);
            assert_eq!(pushed, count, "the event ring had room for {room}");
            moved += count;
        }
    }

    /// What it can do, and its sizes.
    pub fn matcher(&self) -> &M {
        &self.matcher
    }
}
