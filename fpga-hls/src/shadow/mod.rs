//! A device followed by the software twin, and replaced by it the moment it fails.
//!
//! Every command goes to both. The device's events are handed out, each only after it has been compared with the twin's. When the
//! device stops, resets, answers out of order, answers garbage, answers otherwise than the twin, or later than it may, the twin **takes
//! over**: what is handed out next is the twin's event at exactly the (seq, index) that was due. Nothing is lost, as the twin has
//! executed every command that was taken; nothing is doubled, as its events before that point were used up in comparing. Whoever
//! polls a [`Shadow`] cannot tell that anything happened but by [`Shadow::takeover`] and the time it took.
//!
//! A device that has been replaced is stopped and kept off host memory. [`Shadow::rejoin`] resets it and enters the twin's live orders
//! in the order that makes the same book; then it is followed again. The same loads a device at start from a recovered book.
//!
//! **What this does not do**: judge who is right. The twin's word counts, as it is what recovery, validators and audits re-execute.
//! **Limits**: one thread; events wait in the twin's queue ([`Queued`]); nothing allocates after start but a takeover's record.

mod load;
mod takeover;
#[cfg(test)]
mod tests;

pub use load::LoadError;
pub use takeover::{Cause, Takeover};

use std::collections::VecDeque;

use crate::abi::{Capabilities, Command, Event, Limits};
use crate::device::{Clock, Device, DeviceError, LEAST_POLLS};
use crate::matcher::{Matcher, Twin};
use crate::queued::Queued;
use takeover::{Plant, Planted};
use wirebook_bypass::pci::PciFunction;

/// Commands taken in one call, at most: what the device may be ahead of the twin.
const AHEAD: usize = 1024;

/// Events compared at a time.
const BATCH: usize = 64;

/// A matcher that may fail, and can be stopped and started again.
pub trait Primary: Matcher {
    /// Stops it, and keeps it off host memory.
    fn stop(&mut self);

    /// Starts it with empty books and nothing outstanding, whatever state it was in.
    ///
    /// # Errors
    /// When it does not start.
    fn restart(&mut self) -> Result<(), DeviceError>;
}

impl<F: PciFunction, C: Clock> Primary for Device<F, C> {
    fn stop(&mut self) {
        // A function that cannot even be told to leave memory alone is held by the IOMMU to the pages of its driver.
        let _ = Device::stop(self);
    }

    fn restart(&mut self) -> Result<(), DeviceError> {
        self.reset()
    }
}

/// Called with each takeover.
type Told = Box<dyn FnMut(&Takeover) + Send>;

/// A device and its twin.
pub struct Shadow<P, T, C> {
    primary: P,
    twin: Queued<T>,
    clock: C,
    late_ns: u64,
    following: bool,
    /// Taken by the device, not yet by the twin, which had no room for its worst answer.
    behind: VecDeque<Command>,
    /// When a poll first found nothing although something was due, and how many have since.
    waiting: Option<(u64, u32)>,
    last_takeover: Option<Takeover>,
    takeovers: u64,
    told: Option<Told>,
    plant: Plant,
}

impl<P: Primary, T: Twin, C: Clock> Shadow<P, T, C> {
    /// Follows `primary`, whose books must be empty, with `twin`, which may hold a book: its orders are entered into the device first.
    /// The twin takes over when an event that is due has not come after `late_ns` nanoseconds and [`LEAST_POLLS`] polls.
    ///
    /// # Errors
    /// When the device does not take the book, with both.
    pub fn new(primary: P, twin: T, late_ns: u64, clock: C) -> Result<Self, LoadError> {
        let mut shadow = Self {
            primary,
            twin: Queued::over(twin),
            clock,
            late_ns,
            following: false,
            behind: VecDeque::with_capacity(AHEAD),
            waiting: None,
            last_takeover: None,
            takeovers: 0,
            told: None,
            plant: Plant::default(),
        };
        shadow.load()?;
        shadow.following = true;
        Ok(shadow)
    }

    /// Has `told` called with each takeover, from the thread that polls.
    pub fn on_takeover(&mut self, told: impl FnMut(&Takeover) + Send + 'static) {
        self.told = Some(Box::new(told));
    }

    /// Whether the device's answers are what is handed out.
    pub fn is_following(&self) -> bool {
        self.following
    }

    /// The last takeover.
    pub fn takeover(&self) -> Option<&Takeover> {
        self.last_takeover.as_ref()
    }

    /// How often the twin has taken over.
    pub fn takeovers(&self) -> u64 {
        self.takeovers
    }

    /// The device.
    pub fn primary(&self) -> &P {
        &self.primary
    }

    /// The twin: its book is ahead of the events that still wait.
    pub fn twin(&self) -> &T {
        self.twin.twin()
    }

    /// Starts the device anew and follows it again. Nothing may be outstanding. Takes as long as the device takes to answer as many
    /// orders as are live.
    ///
    /// # Errors
    /// When something is outstanding, or the device does not start or does not take the book: the twin goes on alone.
    pub fn rejoin(&mut self) -> Result<(), LoadError> {
        if self.owing() {
            return Err(LoadError::Busy);
        }
        self.following = false;
        self.primary.restart()?;
        self.load()?;
        self.following = true;
        self.waiting = None;
        Ok(())
    }

    /// Enters the twin's book into the device.
    fn load(&mut self) -> Result<(), LoadError> {
        let loaded = load::load(&mut self.primary, self.twin.twin(), self.late_ns, &self.clock);
        if loaded.is_err() {
            self.primary.stop();
        }
        loaded
    }

    /// Whether commands are taken whose events are not all handed out.
    fn owing(&self) -> bool {
        self.twin.waiting() > 0 || !self.behind.is_empty()
    }

    /// Lets the twin execute what the device has taken before it.
    fn catch_up(&mut self) {
        while !self.behind.is_empty() {
            let taken = self.twin.submit(self.behind.make_contiguous());
            if taken == 0 {
                return;
            }
            self.behind.drain(..taken);
        }
    }

    /// Compares the device's events with the twin's. Returns how many of `events` are right in the end, all of which may be handed out;
    /// where the device lied, they have been replaced.
    fn compare(&mut self, events: &mut [Event]) -> (usize, Option<Cause>) {
        let mut done = 0;
        while done < events.len() {
            self.catch_up();
            let mut expected = [Event::BLANK; BATCH];
            let most = BATCH.min(events.len() - done);
            let count = self.twin.poll(&mut expected[..most]);
            let said = &mut events[done..done + count];
            let wrong = said.iter().zip(&expected).position(|(said, expected)| said != expected);
            if let Some(at) = wrong.filter(|_| !self.plant.is(Planted::SkipsComparison)) {
                let cause = Cause::Different { said: said[at], expected: expected[at] };
                said[at..].copy_from_slice(&expected[at..count]);
                return (done + count, Some(cause));
            }
            done += count;
            if count == 0 {
                return (done, Some(Cause::Unasked { said: events[done] }));
            }
        }
        (done, None)
    }

    /// A poll found nothing although something is due: for too long?
    fn is_late(&mut self) -> Option<Cause> {
        let now = self.clock.now_ns();
        let Some((since, polls)) = self.waiting else {
            self.waiting = Some((now, 1));
            return None;
        };
        self.waiting = Some((since, polls.saturating_add(1)));
        let waited_ns = now.saturating_sub(since);
        (waited_ns >= self.late_ns && polls >= LEAST_POLLS).then_some(Cause::Late { waited_ns })
    }

    /// The twin takes over; events of its own go behind the first `count`, which are handed out with them. Returns how many there are
    /// then.
    fn take_over(&mut self, cause: Cause, events: &mut [Event], count: usize) -> usize {
        let detected = self.clock.now_ns();
        let waited_ns = self.waiting.take().map_or(0, |(since, _)| detected.saturating_sub(since));
        self.following = false;
        self.catch_up();
        if self.plant.is(Planted::ResumesLater) {
            self.twin.poll(&mut [Event::BLANK]);
        }
        let mut own = self.twin.poll(&mut events[count..]);
        if self.plant.is(Planted::HandsOutTwice) && own > 0 && count + own < events.len() {
            events[count + own] = events[count + own - 1];
            own += 1;
        }
        let at = match cause {
            Cause::Different { expected, .. } => Some((expected.seq, expected.index)),
            _ => events[count..count + own].first().map(|event| (event.seq, event.index)),
        };
        self.primary.stop();
        let switch_ns = self.clock.now_ns().saturating_sub(detected);
        let takeover = Takeover { cause, at, waited_ns, switch_ns };
        if let Some(told) = &mut self.told {
            told(&takeover);
        }
        self.last_takeover = Some(takeover);
        self.takeovers += 1;
        count + own
    }

    /// What is wrong with a device that has nothing to say.
    fn diagnose(&mut self) -> Option<Cause> {
        if self.plant.is(Planted::TrustsSilence) {
            return None;
        }
        match self.primary.failure() {
            Some(reason) => Some(Cause::Failed { reason }),
            None if self.owing() => self.is_late(),
            None => None,
        }
    }
}

impl<P: Primary, T: Twin, C: Clock> Matcher for Shadow<P, T, C> {
    fn submit(&mut self, commands: &[Command]) -> usize {
        self.catch_up();
        if !self.behind.is_empty() {
            return 0;
        }
        if !self.following {
            return self.twin.submit(commands);
        }
        // The device first: it works while the twin does.
        let taken = self.primary.submit(&commands[..commands.len().min(AHEAD)]);
        let shadowed = self.twin.submit(&commands[..taken]);
        self.behind.extend(&commands[shadowed..taken]);
        taken
    }

    fn poll(&mut self, events: &mut [Event]) -> usize {
        self.catch_up();
        if !self.following {
            return self.twin.poll(events);
        }
        if events.is_empty() {
            return 0;
        }
        let said = self.primary.poll(events);
        let (mut count, mut cause) = self.compare(&mut events[..said]);
        if said > 0 {
            self.waiting = None;
        } else {
            cause = self.diagnose();
        }
        if let Some(cause) = cause {
            count = self.take_over(cause, events, count);
        }
        count
    }

    fn limits(&self) -> &Limits {
        self.twin.limits()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities(self.primary.capabilities().0 & self.twin.capabilities().0)
    }

    /// Bounded by the time after which the twin takes over.
    fn busy(&self) -> bool {
        self.owing()
    }
}
