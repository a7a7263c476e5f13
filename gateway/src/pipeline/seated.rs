//! The matching stage, and who steps it: the venue between its other stages, or a thread of its own.
//!
//! The stage is the same [`Matching`] between the same two rings. On a thread, it wakes the venue when it has moved beats, and the
//! venue wakes it when there are commands, or room for events again. What a matcher that neither takes nor gives means, the stage
//! knows itself ([`Matching::stuck`]): the thread then ends with it, which wakes the venue, and the venue books what was answered
//! before it stops with the fault.

use wirebook_bypass::cpu::topology::Seat;
use wirebook_bypass::cpu::{CpuError, Idle, WaitStrategy, Warning};
use wirebook_bypass::stream::Waker;
use wirebook_matcher::Matcher;

use super::matching::{Matching, Stuck};
use super::stage::{Order, Orders, Stage};
use super::{Fault, VenueError};

/// The stage.
pub(super) enum Seated<M> {
    /// Stepped by the venue.
    Here(Box<Matching<M>>),
    /// On a thread of its own, which answers why it ended by itself; nothing when it was told to.
    There(Stage<Option<Stuck>>),
}

impl<M: Matcher> Seated<M> {
    /// Whether the venue steps it.
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// Here: one turn, and how many beats moved. There: nothing; it moves by itself.
    #[inline]
    pub fn step(&mut self) -> usize {
        match self {
            Self::Here(stage) => stage.step(),
            Self::There(_) => 0,
        }
    }

    /// There: commands wait, or room for events.
    #[inline]
    pub fn wake(&self) {
        if let Self::There(stage) = self {
            stage.wake();
        }
    }

    /// Whether it will move no more: known before the event ring is looked at for the last time.
    #[inline]
    pub fn ended(&self) -> bool {
        match self {
            Self::Here(_) => false,
            Self::There(stage) => stage.ended(),
        }
    }

    /// Here, after a turn in which nothing moved: whether the matcher is at work, and will answer at a later turn.
    pub fn busy(&self) -> bool {
        match self {
            Self::Here(stage) => stage.matcher().busy(),
            Self::There(_) => false,
        }
    }

    /// Why it moves no more, with so many bytes of records not booked.
    pub fn why(&mut self, left: usize) -> VenueError {
        let stuck = match self {
            Self::Here(stage) => stage.standing_still(),
            Self::There(stage) => match stage.end(Order::Abandon) {
                Ok(Some(stuck)) => stuck,
                Ok(None) => return VenueError::Stage { stage: "matcher", why: "it was not told to".into() },
                Err(why) => return VenueError::Stage { stage: "matcher", why },
            },
        };
        VenueError::Fault(match stuck {
            Stuck::Failed(reason) => Fault::Matcher { left, reason },
            Stuck::Stalled => Fault::Stalled { left },
        })
    }

    /// Whatever matches, when the venue steps it.
    #[cfg(test)]
    pub fn matcher(&self) -> &M {
        match self {
            Self::Here(stage) => stage.matcher(),
            Self::There(_) => panic!("the matcher is on a thread of its own"),
        }
    }
}

impl<M: Matcher + Send + 'static> Seated<M> {
    /// Moves the stage to a thread of its own, which wakes the venue.
    ///
    /// # Errors
    /// When no such thread is to be had.
    pub fn there(stage: Box<Matching<M>>, seat: &Seat, venue: Waker) -> Result<(Self, Vec<Warning>), CpuError> {
        let (wait, waker) = (seat.wait, venue.clone());
        let (stage, warnings) = Stage::start(seat, venue, move |orders| run(*stage, wait, &waker, orders))?;
        Ok((Self::There(stage), warnings))
    }
}

/// The thread's loop.
fn run<M: Matcher>(mut stage: Matching<M>, wait: WaitStrategy, venue: &Waker, orders: &Orders) -> Option<Stuck> {
    let mut idle = Idle::new(wait);
    let mut doubtful = false;
    loop {
        if orders.now() != Order::Run {
            return None;
        }
        if stage.step() > 0 {
            venue.wake();
            idle.worked();
            doubtful = false;
        } else if stage.matcher().busy() {
            // A device, whose answers come at a later poll: soon, or it fails.
            match wait {
                WaitStrategy::Spin => std::hint::spin_loop(),
                WaitStrategy::SpinYield | WaitStrategy::Park { .. } => std::thread::yield_now(),
            }
        } else if let Some(stuck) = stage.stuck() {
            // A matcher may have become ready between the turn and the question: only a second turn tells.
            if doubtful {
                return Some(stuck);
            }
            doubtful = true;
        } else {
            idle.idle();
        }
    }
}
