//! The kernel behind its two streams.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;

use super::Ram;
use super::error::RtlError;
use super::ffi::{Model, Sim, Words};
use crate::abi::{Capabilities, Command, Event, Limits, contract};
use crate::matcher::Matcher;

/// Commands that [`Matcher::submit`] takes ahead of the kernel.
const IN_FLIGHT: usize = 64;

/// Cycles of one [`Matcher::poll`] at the most: a poll is short, and whoever calls it goes on with something else.
const POLL_CYCLES: u64 = 1 << 12;

/// Events moved at a time.
const BURST: usize = 64;

/// Gaps in both streams: chances of 256, in each cycle, that the next beat is offered and that an event is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// The same seed gives the same gaps.
    pub seed: u64,
    /// Chance that a beat is offered; 256 is always.
    pub offer: u32,
    /// Chance that an event is accepted.
    pub accept: u32,
}

impl Gaps {
    /// No gaps.
    pub const NONE: Self = Self { seed: 0, offer: ALWAYS, accept: ALWAYS };

    /// The most cycles that one transfer waits on average.
    fn slowness(self) -> u64 {
        u64::from(ALWAYS / self.offer.clamp(1, ALWAYS)).max(u64::from(ALWAYS / self.accept.clamp(1, ALWAYS)))
    }
}

/// A chance that is certain.
const ALWAYS: u32 = 256;

/// Everything that decides what a kernel answers: its registers and memories.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    model: Model,
    bytes: Box<[u8]>,
    open: u64,
}

impl Snapshot {
    /// Bytes of registers and memories.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({:?}, {} bytes)", self.model, self.bytes.len())
    }
}

/// The Verilated kernel.
///
/// As a [`Matcher`] it clocks in `poll`. After a fault it takes nothing and gives nothing; [`Rtl::fault`] says why.
pub struct Rtl {
    sim: Sim,
    model: Model,
    limits: Limits,
    /// The beat that `cycle` offers, until it is taken.
    offered: Option<Words>,
    gaps: Gaps,
    waiting: VecDeque<Words>,
    /// Cycles since a beat moved.
    quiet: u64,
    fault: Option<RtlError>,
}

impl Rtl {
    /// The smallest model that these limits fit.
    ///
    /// # Errors
    /// Says what is allowed when there is none.
    pub fn model_for(limits: &Limits) -> Result<Model, RtlError> {
        limits.validate()?;
        let models = || Model::ALL.iter().copied().filter(|model| !model.is_planted());
        let cost = |model: &Model| u64::from(model.capacity().orders) + u64::from(model.capacity().ticks);
        let largest = models().map(Model::capacity).max_by_key(|capacity| capacity.orders).expect("there are models");
        let fits = models().filter(|model| model.capacity().holds(limits)).min_by_key(cost);
        fits.ok_or_else(|| RtlError::too_large(limits, largest))
    }

    /// A kernel after its reset, with an empty book. Clearing its memories takes as many cycles as they have words, before the first command.
    ///
    /// # Errors
    /// When the limits are none, or do not fit the model.
    pub fn new(model: Model, limits: Limits) -> Result<Self, RtlError> {
        limits.validate()?;
        let capacity = model.capacity();
        if !capacity.holds(&limits) {
            return Err(RtlError::too_large(&limits, capacity));
        }
        Ok(Self {
            sim: Sim::new(model, &limits),
            model,
            offered: None,
            limits,
            gaps: Gaps::NONE,
            waiting: VecDeque::with_capacity(IN_FLIGHT),
            quiet: 0,
            fault: None,
        })
    }

    /// Gaps in both streams from now on.
    pub fn set_gaps(&mut self, gaps: Gaps) {
        self.gaps = gaps;
        self.sim.gaps(gaps.seed, gaps.offer, gaps.accept);
    }

    /// Writes a waveform (VCD) of every cycle from now on.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn wave(&mut self, path: &Path) -> Result<(), RtlError> {
        if self.sim.wave(path) { Ok(()) } else { Err(RtlError::Wave { path: path.to_owned() }) }
    }

    /// Writes what the waveform still holds in memory; dropping the kernel does so too.
    pub fn wave_flush(&mut self) {
        self.sim.wave_flush();
    }

    /// Which elaboration it is.
    pub const fn model(&self) -> Model {
        self.model
    }

    /// Cycles since the reset.
    pub fn cycles(&self) -> u64 {
        self.sim.cycles()
    }

    /// Whether the kernel says that no command and no event is inside.
    pub fn idle(&self) -> bool {
        self.sim.idle()
    }

    /// Why it answers no more.
    pub fn fault(&self) -> Option<&RtlError> {
        self.fault.as_ref()
    }

    /// The kernel's memories.
    pub fn rams(&self) -> &[Ram] {
        self.sim.rams()
    }

    /// Whether any bit of a word of a memory is set; the memory is an index into [`Rtl::rams`].
    ///
    /// # Panics
    /// When there is no such word.
    pub fn is_stored(&self, ram: usize, address: u32) -> bool {
        self.sim.stored(ram, address)
    }

    /// Flips one stored bit. The word changes as it stands: a read that is already on its way has the old one.
    ///
    /// # Panics
    /// When there is no such bit.
    pub fn flip_bit(&mut self, ram: usize, address: u32, bit: u32) {
        self.sim.flip(ram, address, bit);
    }

    /// The most cycles that may pass without a beat: the longest count of a fill or kill, or the clearing after reset, four times over.
    fn patience(&self) -> u64 {
        let capacity = self.model.capacity();
        let words = u64::from(capacity.orders) + 2 * u64::from(capacity.books) * u64::from(capacity.ticks);
        (4 * words + 4096) * self.gaps.slowness()
    }

    /// One cycle: offers a beat, and takes an event if `accept` says so. For measuring.
    ///
    /// # Errors
    /// When the event is none, or when a beat that was offered and not taken is not offered again: clause `held` of the contract.
    pub fn cycle(&mut self, command: Option<&Command>, accept: bool) -> Result<(bool, Option<Event>), RtlError> {
        let beat = command.map(Command::to_words);
        contract::held(self.offered.as_ref(), beat.as_ref()).map_err(RtlError::Contract)?;
        let (taken, words) = self.sim.cycle(beat.as_ref(), accept);
        self.offered = if taken { None } else { beat };
        Ok((taken, words.map(|words| self.event(words)).transpose()?))
    }

    /// Clocks until every command is taken and answered, and hands over the events in order.
    ///
    /// # Errors
    /// The fault that ended it.
    pub fn execute_all(&mut self, commands: &[Command], mut sink: impl FnMut(Event)) -> Result<(), RtlError> {
        let mut left = commands;
        loop {
            let taken = self.submit(left);
            left = &left[taken..];
            if left.is_empty() && !self.inside() && self.fault.is_none() {
                return Ok(());
            }
            let mut events = [Event::BLANK; BURST];
            let count = self.poll(&mut events);
            events[..count].iter().for_each(|event| sink(*event));
            if let (0, Some(fault)) = (count, &self.fault) {
                return Err(fault.clone());
            }
        }
    }

    /// Clocks until one command is answered.
    ///
    /// # Errors
    /// The fault that ended it.
    pub fn execute(&mut self, command: &Command, sink: impl FnMut(Event)) -> Result<(), RtlError> {
        self.execute_all(std::slice::from_ref(command), sink)
    }

    /// Whether commands wait or are inside.
    fn inside(&self) -> bool {
        !self.waiting.is_empty() || self.sim.open() > 0
    }

    /// All registers and memories.
    ///
    /// # Panics
    /// When the model was not made for it ([`Model::savable`]), or commands are inside.
    pub fn save(&mut self) -> Snapshot {
        assert!(self.waiting.is_empty(), "a state is kept between commands");
        let bytes = self.sim.save().expect("the model is made to be saved");
        Snapshot { model: self.model, bytes, open: self.sim.open() }
    }

    /// Goes back to a state of this model.
    ///
    /// # Panics
    /// When the snapshot is another model's.
    pub fn load(&mut self, snapshot: &Snapshot) {
        assert_eq!(snapshot.model, self.model, "a state belongs to its model");
        assert!(self.waiting.is_empty(), "a state is loaded between commands");
        self.sim.load(&snapshot.bytes, snapshot.open);
        self.quiet = 0;
    }

    fn event(&self, words: Words) -> Result<Event, RtlError> {
        Event::from_words(words).ok_or(RtlError::NotAnEvent { words, at: self.sim.cycles() })
    }

    fn clock(&mut self, events: &mut [Event]) -> Result<usize, RtlError> {
        let mut words = [[0; 4]; BURST];
        let room = events.len().min(BURST);
        let moved = self.sim.run(self.waiting.make_contiguous(), &mut words[..room], POLL_CYCLES);
        self.waiting.drain(..moved.taken);
        if let Some(what) = self.sim.failed() {
            return Err(RtlError::Assertion { what, at: self.sim.cycles() });
        }
        for (event, words) in events.iter_mut().zip(&words[..moved.given]) {
            *event = self.event(*words)?;
        }
        self.quiet = if moved.taken + moved.given > 0 { 0 } else { self.quiet + moved.cycles };
        if self.quiet > self.patience() {
            let (cycles, open, waiting) = (self.quiet, self.sim.open(), self.waiting.len());
            return Err(RtlError::Hung { cycles, open, waiting, at: self.sim.cycles() });
        }
        Ok(moved.given)
    }
}

impl Matcher for Rtl {
    fn submit(&mut self, commands: &[Command]) -> usize {
        if self.fault.is_some() {
            return 0;
        }
        let room = IN_FLIGHT - self.waiting.len();
        let taken = commands.len().min(room);
        self.waiting.extend(commands[..taken].iter().map(Command::to_words));
        taken
    }

    fn poll(&mut self, events: &mut [Event]) -> usize {
        if events.is_empty() || self.fault.is_some() || !self.inside() {
            return 0;
        }
        self.clock(events).unwrap_or_else(|fault| {
            self.fault = Some(fault);
            0
        })
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn capabilities(&self) -> Capabilities {
        self.model.capabilities()
    }

    fn busy(&self) -> bool {
        self.fault.is_none() && self.inside()
    }

    fn failure(&self) -> Option<String> {
        self.fault.as_ref().map(RtlError::to_string)
    }
}

impl Model {
    /// What it can do.
    pub fn capabilities(self) -> Capabilities {
        let one = Capabilities::FILL_OR_KILL | Capabilities::POST_ONLY | Capabilities::SELF_TRADE;
        let mut all = one | Capabilities::REPLACE | Capabilities::REDUCE;
        if self.capacity().books > 1 {
            all = all | Capabilities::MANY_INSTRUMENTS;
        }
        if self.capacity().ticks > NARROW {
            all = all | Capabilities::WIDE_BANDS;
        }
        all
    }
}

/// Ticks of a band that is not wide.
const NARROW: u32 = 4096;
