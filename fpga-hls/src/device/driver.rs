//! The driver: a matcher behind a PCI Express function.
//!
//! Commands go out by the command ring and the doorbell, events come in by the event ring, credits go both ways
//! ([`registers`](super::registers) is the map). A device is not trusted: every event must be the one that is due, of the oldest command
//! that is not yet answered; what else it says is a [`DeviceError`], and ends the driver. So does silence: when events are due and
//! neither come within the time-out nor for [`LEAST_POLLS`] polls, the driver asks the device's status once, and gives up. (Both, so that a
//! process that was not scheduled for a while does not blame its device.) All that was handed out before is right in its order;
//! [`Shadow`](crate::shadow::Shadow) also compares what it says.
//!
//! No allocation, lock or system call after [`Device::open`]; one register write per burst and direction, no register read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirebook_bypass::pci::ring::{DeviceToHost, HostToDevice, Place};
use wirebook_bypass::pci::{DmaBuffer, Ids, Mmio, NO_DEVICE, PAGE_BYTES, PciFunction};
use wirebook_bypass::ring::{Beat, Consumer, Producer, Storage};

use super::clock::Clock;
use super::error::DeviceError;
use super::registers::{self as reg, FaultCode};
use crate::abi::{Capabilities, Command, Event, Limits};
use crate::matcher::Matcher;

/// Polls without an event that a time-out needs besides its time.
pub const LEAST_POLLS: u32 = 64;

/// Beats moved at a time.
const BATCH: usize = 64;

/// Reads of the status that waiting for a reset may take, whatever the clock says.
const STATUS_READS: u32 = 10_000_000;

/// Sizes and patience of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Beats of the command ring, a power of two: also the most commands that are not yet answered.
    pub commands: usize,
    /// Beats of the event ring, a power of two.
    pub events: usize,
    /// Nanoseconds after which an answer that is due is missing.
    pub answer_timeout_ns: u64,
    /// Nanoseconds after which a reset has failed.
    pub reset_timeout_ns: u64,
}

impl Default for DeviceConfig {
    /// 1,024 commands, 4,096 events, 10 ms for an answer, a second for a reset.
    fn default() -> Self {
        Self { commands: 1024, events: 4096, answer_timeout_ns: 10_000_000, reset_timeout_ns: 1_000_000_000 }
    }
}

type Commands<F> = Producer<HostToDevice<<F as PciFunction>::Dma>>;
type Events<F> = Consumer<DeviceToHost<<F as PciFunction>::Dma, <F as PciFunction>::Bar>>;

/// The commands that are not yet answered, by seq.
struct Outstanding {
    seqs: Box<[u64]>,
    head: usize,
    len: usize,
    /// The event of the oldest that is due.
    due: u32,
}

impl Outstanding {
    fn push(&mut self, seq: u64) {
        debug_assert!(self.len < self.seqs.len());
        let at = (self.head + self.len) & (self.seqs.len() - 1);
        self.seqs[at] = seq;
        self.len += 1;
    }

    fn oldest(&self) -> u64 {
        self.seqs[self.head]
    }

    fn clear(&mut self) {
        (self.head, self.len, self.due) = (0, 0, 0);
    }
}

/// A device, driven.
pub struct Device<F: PciFunction, C: Clock> {
    // Rings before the function: what they lie in must be unmapped while it is open.
    commands: Commands<F>,
    events: Events<F>,
    memory: Arc<F::Dma>,
    registers: Arc<F::Bar>,
    function: F,
    clock: C,
    config: DeviceConfig,
    limits: Limits,
    capabilities: Capabilities,
    epoch: u16,
    outstanding: Outstanding,
    /// When a poll first found nothing although something was due, and how many have since.
    waiting: Option<(u64, u32)>,
    failure: Option<DeviceError>,
}

/// Where things lie in the driver's memory: credits on the first page, then the command ring, then the event ring.
struct Layout {
    commands: Place,
    events: Place,
    bytes: usize,
}

impl Layout {
    fn of(config: &DeviceConfig) -> Self {
        let commands = Place { offset: PAGE_BYTES, capacity: config.commands };
        let offset = (commands.offset + commands.bytes()).next_multiple_of(PAGE_BYTES);
        let events = Place { offset, capacity: config.events };
        Self { commands, events, bytes: offset + events.bytes() }
    }
}

/// Byte of the credits for commands.
const CREDITS_AT: usize = 0;

impl<F: PciFunction, C: Clock> Device<F, C> {
    /// Takes the function over: checks that it is a Wirebook device of this ABI with exactly these limits, resets and starts it. Its
    /// books are empty.
    ///
    /// # Errors
    /// When it is none, was made for other sizes, or does not start.
    pub fn open(function: F, limits: &Limits, config: DeviceConfig, clock: C) -> Result<Self, DeviceError> {
        let registers = Arc::new(function.bar(0)?);
        let capabilities = identify(&function, &*registers)?;
        check_sizes(&*registers, limits)?;
        function.set_bus_master(true)?;
        let layout = Layout::of(&config);
        let memory = Arc::new(function.dma(layout.bytes)?);
        let (commands, events) = attach::<F>(&memory, &registers, &layout)?;
        let seqs = vec![0; config.commands].into_boxed_slice();
        let mut device = Self {
            commands,
            events,
            memory,
            registers,
            function,
            clock,
            config,
            limits: limits.clone(),
            capabilities,
            epoch: 0,
            outstanding: Outstanding { seqs, head: 0, len: 0, due: 0 },
            waiting: None,
            failure: None,
        };
        device.reset()?;
        Ok(device)
    }

    /// Resets and starts the device in a new epoch: empty books, nothing outstanding, no failure.
    ///
    /// # Errors
    /// When it does not start.
    pub fn reset(&mut self) -> Result<(), DeviceError> {
        self.failure = None;
        self.waiting = None;
        self.outstanding.clear();
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        self.function.set_bus_master(true)?;
        let registers = Arc::clone(&self.registers);
        registers.write32(reg::CONTROL, reg::control(reg::RESET, self.epoch));
        // Having read READY of this epoch, nothing of an earlier one can still arrive: the rings may be cleared.
        self.await_status("ready", reg::READY)?;
        let layout = Layout::of(&self.config);
        layout.commands.clear(&*self.memory);
        layout.events.clear(&*self.memory);
        self.memory.store(CREDITS_AT / 8, 0, Ordering::Release);
        (self.commands, self.events) = attach::<F>(&self.memory, &self.registers, &layout)?;
        let base = self.memory.address();
        registers.write64(reg::COMMAND_BASE, base + layout.commands.offset as u64);
        registers.write32(reg::COMMAND_BITS, layout.commands.capacity.ilog2());
        registers.write64(reg::EVENT_BASE, base + layout.events.offset as u64);
        registers.write32(reg::EVENT_BITS, layout.events.capacity.ilog2());
        registers.write64(reg::CREDIT_ADDRESS, base + CREDITS_AT as u64);
        registers.write32(reg::CONTROL, reg::control(reg::RUN, self.epoch));
        self.await_status("running", reg::RUNNING)
    }

    /// Stops the device, and keeps it from host memory. [`Device::reset`] starts it again.
    ///
    /// # Errors
    /// When the function cannot be told to leave memory alone.
    pub fn stop(&mut self) -> Result<(), DeviceError> {
        self.outstanding.clear();
        self.registers.write32(reg::CONTROL, reg::control(reg::RESET, self.epoch));
        Ok(self.function.set_bus_master(false)?)
    }

    /// Why it failed, if it has.
    pub fn error(&self) -> Option<&DeviceError> {
        self.failure.as_ref()
    }

    /// Why it failed, if it has, to keep. It stays stopped until it is reset.
    pub fn take_error(&mut self) -> Option<DeviceError> {
        let error = self.failure.take();
        if error.is_some() {
            self.outstanding.clear();
            self.registers.write32(reg::CONTROL, reg::control(reg::RESET, self.epoch));
        }
        error
    }

    /// Number of the reset that it runs in.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// Commands that are not yet answered.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len
    }

    /// The function.
    pub fn function(&self) -> &F {
        &self.function
    }

    fn await_status(&mut self, state: &'static str, bits: u32) -> Result<(), DeviceError> {
        let (start, epoch) = (self.clock.now_ns(), self.epoch);
        let (mut status, mut waited_ns) = (0, 0);
        for _ in 0..STATUS_READS {
            status = self.registers.read32(reg::STATUS);
            if status == NO_DEVICE {
                return Err(DeviceError::Gone);
            }
            if reg::epoch_of(status) == epoch {
                if status & reg::FAULT != 0 {
                    return Err(DeviceError::Fault { code: FaultCode::of(status), status });
                }
                if status & bits != 0 {
                    return Ok(());
                }
            }
            waited_ns = self.clock.now_ns().saturating_sub(start);
            if waited_ns > self.config.reset_timeout_ns {
                break;
            }
        }
        Err(DeviceError::Reset { state, waited_ns, epoch, status })
    }

    /// Judges a beat: the event that is due, or why not.
    #[inline]
    fn accept(&mut self, beat: Beat) -> Result<Event, DeviceError> {
        let outstanding = &mut self.outstanding;
        if outstanding.len == 0 {
            return Err(DeviceError::Unasked { beat });
        }
        let (seq, due) = (outstanding.oldest(), outstanding.due);
        let event = Event::from_words(beat).ok_or(DeviceError::Garbage { seq, beat })?;
        if event.seq != seq || event.index != due {
            let (found, index) = (event.seq, event.index);
            return Err(DeviceError::OutOfSequence { wanted: seq, wanted_index: due, found, index });
        }
        if event.last {
            outstanding.head = (outstanding.head + 1) & (outstanding.seqs.len() - 1);
            outstanding.len -= 1;
            outstanding.due = 0;
        } else {
            outstanding.due += 1;
        }
        Ok(event)
    }

    /// A poll found nothing: how long already?
    fn wait(&mut self) {
        let now = self.clock.now_ns();
        let Some((since, polls)) = self.waiting else {
            self.waiting = Some((now, 1));
            return;
        };
        self.waiting = Some((since, polls.saturating_add(1)));
        let waited_ns = now.saturating_sub(since);
        if waited_ns >= self.config.answer_timeout_ns && polls >= LEAST_POLLS {
            self.failure = Some(self.diagnose(waited_ns));
        }
    }

    /// Why it does not answer.
    fn diagnose(&self, waited_ns: u64) -> DeviceError {
        let status = self.registers.read32(reg::STATUS);
        if status == NO_DEVICE {
            DeviceError::Gone
        } else if status & reg::FAULT != 0 {
            DeviceError::Fault { code: FaultCode::of(status), status }
        } else if reg::epoch_of(status) != self.epoch || status & reg::RUNNING == 0 {
            DeviceError::Restarted { epoch: self.epoch, status }
        } else {
            DeviceError::Silent { seq: self.outstanding.oldest(), index: self.outstanding.due, waited_ns }
        }
    }
}

fn attach<F: PciFunction>(
    memory: &Arc<F::Dma>,
    registers: &Arc<F::Bar>,
    layout: &Layout,
) -> Result<(Commands<F>, Events<F>), DeviceError> {
    let commands = HostToDevice::new(Arc::clone(memory), layout.commands, CREDITS_AT)?;
    let events = DeviceToHost::new(Arc::clone(memory), layout.events, Arc::clone(registers), reg::EVENT_CREDIT)?;
    debug_assert_eq!(events.credits(), 0, "a new ring");
    Ok((Producer::attach(commands), Consumer::attach(events)))
}

/// Checks that this is a device for these limits; what it can do.
/// What the device behind a function can do, as its registers say; nothing is changed. For whoever must promise it before the sizes are
/// known that [`Device::open`] checks.
///
/// # Errors
/// When it is no Wirebook device of this ABI, or is not there.
pub fn offers<F: PciFunction>(function: &F) -> Result<Capabilities, DeviceError> {
    identify(function, &function.bar(0)?)
}

fn identify<F: PciFunction>(function: &F, bar: &F::Bar) -> Result<Capabilities, DeviceError> {
    let ids: Ids = function.ids()?;
    let identity =
        [("ID", reg::ID, reg::ID_VALUE), ("VERSION", reg::VERSION, reg::version()), ("ABI", reg::ABI, reg::abi_word())];
    for (register, at, wanted) in identity {
        let found = bar.read32(at);
        if found == NO_DEVICE {
            return Err(DeviceError::Gone);
        }
        if found != wanted {
            return Err(DeviceError::Identity { ids, register, found, wanted });
        }
    }
    Ok(Capabilities(bar.read32(reg::CAPABILITIES)))
}

fn check_sizes<B: Mmio>(bar: &B, limits: &Limits) -> Result<(), DeviceError> {
    let same = |what: &str, found: u32, wanted: u32| {
        if found == wanted { Ok(()) } else { Err(DeviceError::Limits { what: what.into(), found, wanted }) }
    };
    same("number of books", bar.read32(reg::INSTRUMENTS), limits.ticks.len() as u32)?;
    same("number of order slots", bar.read32(reg::SLOTS), limits.slots)?;
    same("largest quantity", bar.read32(reg::MAX_QTY), limits.max_qty)?;
    for (book, wanted) in (0u32..).zip(&limits.ticks) {
        bar.write32(reg::SELECT, book);
        same(&format!("band of book {book}, in ticks,"), bar.read32(reg::TICKS), *wanted)?;
    }
    Ok(())
}

impl<F: PciFunction, C: Clock> Matcher for Device<F, C> {
    fn submit(&mut self, commands: &[Command]) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        let room = self.outstanding.seqs.len() - self.outstanding.len;
        let mut taken = 0;
        for chunk in commands[..commands.len().min(room)].chunks(BATCH) {
            let mut beats: [Beat; BATCH] = [[0; 4]; BATCH];
            for (beat, command) in beats.iter_mut().zip(chunk) {
                *beat = command.to_words();
            }
            let pushed = self.commands.push_batch(&beats[..chunk.len()]);
            for command in &chunk[..pushed] {
                self.outstanding.push(command.seq);
            }
            taken += pushed;
            if pushed < chunk.len() {
                break;
            }
        }
        if taken > 0 {
            self.registers.write32(reg::DOORBELL, self.commands.index() as u32);
        }
        taken
    }

    fn poll(&mut self, events: &mut [Event]) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        let mut count = 0;
        while count < events.len() {
            let mut beats: [Beat; BATCH] = [[0; 4]; BATCH];
            let most = BATCH.min(events.len() - count);
            let popped = self.events.pop_batch(&mut beats[..most]);
            for beat in &beats[..popped] {
                match self.accept(*beat) {
                    Ok(event) => events[count] = event,
                    Err(error) => {
                        self.failure = Some(error);
                        return count;
                    }
                }
                count += 1;
            }
            if popped < most {
                break;
            }
        }
        if count > 0 {
            self.waiting = None;
        } else if self.outstanding.len > 0 && !events.is_empty() {
            self.wait();
        }
        count
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn busy(&self) -> bool {
        self.outstanding.len > 0 && self.failure.is_none()
    }

    fn failure(&self) -> Option<String> {
        self.failure.as_ref().map(ToString::to_string)
    }
}

impl<F: PciFunction, C: Clock> Drop for Device<F, C> {
    fn drop(&mut self) {
        // Before its memory goes. That it may fail changes nothing: an unmapped page faults in the IOMMU.
        let _ = self.stop();
    }
}
