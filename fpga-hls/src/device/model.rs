//! A device around any matcher: registers and rings as [`registers`](super::registers) says, for a bus to plug in.
//!
//! The matcher decides what is answered: the software twin makes a device that can be tested anywhere, the Verilated kernel makes the
//! hardware's own answers come over PCI Express. The model takes at most [`FETCH`] commands and writes at most as many events in a
//! turn, and checks what a careful device would: a doorbell or a credit that cannot be, a ring that is not mapped.
//!
//! [`Model::inject`] gives it a [`DeviceFault`].

use std::collections::VecDeque;

use wirebook_bypass::pci::bus::{DeviceModel, HostMemory};
use wirebook_bypass::pci::{Ids, NO_DEVICE};

use super::faults::{DeviceFault, Upset};
use super::registers::{self as reg, FaultCode};
use crate::abi::{BEAT_BYTES, Command, Event, Limits};
use crate::matcher::Matcher;

/// Beats moved in a turn, and commands held inside.
pub const FETCH: usize = 16;

/// Dwords of a beat.
const DWORDS: usize = BEAT_BYTES / 4;

/// Turns that a reset takes.
const RESET_TURNS: u32 = 5;

/// Vendor and device number: the unregistered vendor that emulators use. A board has its own.
const IDS: Ids = Ids { vendor: 0x1234, device: 0x5742 };

/// What the host has written, and where the device is.
#[derive(Clone, Debug, Default)]
struct Registers {
    select: u32,
    status: u32,
    doorbell: u32,
    event_credit: u32,
    command_base: u64,
    command_bits: u32,
    event_base: u64,
    event_bits: u32,
    credit_address: u64,
    /// Commands taken, events written.
    head: u64,
    tail: u64,
}

/// A fault that waits for its beat.
#[derive(Clone, Copy, Debug)]
struct Armed {
    fault: DeviceFault,
    /// Events to let pass first.
    after: u32,
}

/// The device.
pub struct Model<M> {
    matcher: M,
    make: Box<dyn FnMut() -> M + Send>,
    limits: Limits,
    registers: Registers,
    held: VecDeque<Command>,
    resetting: u32,
    armed: Option<Armed>,
    struck: bool,
    stalled: bool,
    gone: bool,
    late: u32,
}

impl<M: Matcher + Send> Model<M> {
    /// A device just powered on. `make` makes the matcher, now and at each reset: an empty book.
    pub fn new(mut make: impl FnMut() -> M + Send + 'static) -> Self {
        let matcher = make();
        Self {
            limits: matcher.limits().clone(),
            matcher,
            make: Box::new(make),
            registers: Registers::default(),
            held: VecDeque::with_capacity(FETCH),
            resetting: 0,
            armed: None,
            struck: false,
            stalled: false,
            gone: false,
            late: 0,
        }
    }

    /// Lets a fault happen after `after` more events. Another that has not happened yet is forgotten.
    pub fn inject(&mut self, fault: DeviceFault, after: u32) {
        self.armed = Some(Armed { fault, after });
        self.struck = false;
    }

    /// Whether the last fault injected has happened.
    pub fn struck(&self) -> bool {
        self.struck
    }

    /// What matches in it.
    pub fn matcher(&self) -> &M {
        &self.matcher
    }

    /// As a repair would: whatever fault there was is over. What it did to the books stays, until a reset.
    pub fn repair(&mut self) {
        (self.armed, self.stalled, self.gone, self.late) = (None, false, false, 0);
    }

    fn runs(&self) -> bool {
        self.registers.status & reg::RUNNING != 0 && !self.stalled && !self.gone
    }

    fn fail(&mut self, code: FaultCode) {
        let epoch = self.registers.status & 0xffff_0000;
        self.registers.status = epoch | reg::FAULT | (code as u32) << 8;
    }

    /// Forgets everything; STATUS reads `status` afterwards.
    fn empty(&mut self, status: u32) {
        self.matcher = (self.make)();
        self.held.clear();
        self.registers = Registers { status, ..Registers::default() };
    }

    fn control(&mut self, value: u32) {
        let epoch = reg::epoch_of(value);
        if value & reg::RESET != 0 {
            self.registers.status = u32::from(epoch) << 16;
            self.resetting = RESET_TURNS;
        } else if value & reg::RUN != 0
            && self.resetting == 0
            && self.registers.status == u32::from(epoch) << 16 | reg::READY
        {
            let bits = 1..=reg::MAX_RING_BITS;
            let sized = bits.contains(&self.registers.command_bits) && bits.contains(&self.registers.event_bits);
            let bases = self.registers.command_base | self.registers.event_base;
            if sized && bases.is_multiple_of(4096) && self.registers.credit_address.is_multiple_of(8) {
                self.registers.status = u32::from(epoch) << 16 | reg::RUNNING;
            } else {
                self.fail(FaultCode::Ring);
            }
        }
    }

    /// The fault that is due at this beat, if one is and `fits` it.
    fn strike(&mut self, fits: impl FnOnce(DeviceFault) -> bool) -> Option<DeviceFault> {
        let Armed { fault, after } = self.armed?;
        if after > 0 || !fits(fault) {
            return None;
        }
        self.armed = None;
        self.struck = true;
        Some(fault)
    }

    /// Takes commands that the doorbell has told of.
    fn fetch(&mut self, memory: &mut impl HostMemory) -> Result<(), FaultCode> {
        let beats = 1u64 << self.registers.command_bits;
        let told = self.registers.doorbell.wrapping_sub(self.registers.head as u32);
        if u64::from(told) > beats {
            return Err(FaultCode::Doorbell);
        }
        let count = (told as usize).min(FETCH - self.held.len());
        for _ in 0..count {
            let mut dwords = [0; DWORDS];
            let at = self.registers.command_base + self.registers.head % beats * BEAT_BYTES as u64;
            memory.read(at, &mut dwords).map_err(|_| FaultCode::Dma)?;
            self.registers.head += 1;
            let struck = self.strike(|fault| {
                use DeviceFault::{CommandDoubled, CommandFlipped, CommandLost};
                matches!(fault, CommandDoubled | CommandFlipped(_) | CommandLost)
            });
            if let Some(DeviceFault::CommandFlipped(bit)) = struck {
                dwords[usize::from(bit) / 32] ^= 1 << (bit % 32);
            }
            let command = Command::from_words(std::array::from_fn(|word| {
                u64::from(dwords[2 * word]) | u64::from(dwords[2 * word + 1]) << 32
            }));
            let copies = match struck {
                Some(DeviceFault::CommandLost) => 0,
                Some(DeviceFault::CommandDoubled) => 2,
                _ => 1,
            };
            self.held.extend(std::iter::repeat_n(command, copies));
        }
        if count > 0 {
            let head = [self.registers.head as u32, (self.registers.head >> 32) as u32];
            memory.write(self.registers.credit_address, &head).map_err(|_| FaultCode::Dma)?;
        }
        let submitted = self.matcher.submit(self.held.make_contiguous());
        self.held.drain(..submitted);
        Ok(())
    }

    /// Writes what the matcher has answered, as far as there is credit.
    fn answer(&mut self, memory: &mut impl HostMemory) -> Result<(), FaultCode> {
        let beats = 1u64 << self.registers.event_bits;
        let unread = (self.registers.tail as u32).wrapping_sub(self.registers.event_credit);
        let Some(room) = beats.checked_sub(u64::from(unread)) else {
            return Err(FaultCode::Credit);
        };
        // A doubled event takes a second place.
        let room = (room as usize).saturating_sub(1).min(FETCH);
        let mut events = [Event::BLANK; FETCH];
        let count = self.matcher.poll(&mut events[..room]);
        for event in &events[..count] {
            if self.stalled || self.registers.status & reg::RUNNING == 0 || self.gone {
                break;
            }
            self.emit(event, memory)?;
        }
        if count == 0 && self.held.is_empty() && room > 0 {
            let struck = self.strike(|fault| fault == DeviceFault::EventUnasked);
            if struck.is_some() {
                self.write_event(&Event::BLANK.to_words(), 0, memory)?;
            }
        }
        Ok(())
    }

    fn emit(&mut self, event: &Event, memory: &mut impl HostMemory) -> Result<(), FaultCode> {
        use DeviceFault as F;
        let struck = self.strike(|fault| {
            !matches!(fault, F::CommandDoubled | F::CommandFlipped(_) | F::CommandLost | F::EventUnasked)
        });
        if let Some(armed) = &mut self.armed {
            armed.after = armed.after.saturating_sub(1);
        }
        let mut words = event.to_words();
        match struck {
            Some(F::Stall) => {
                self.stalled = true;
                return Ok(());
            }
            Some(F::Reset) => {
                self.empty(reg::READY);
                return Ok(());
            }
            Some(F::Gone) => {
                self.gone = true;
                return Ok(());
            }
            Some(F::Flagged) => return Err(FaultCode::Kernel),
            Some(F::EventLost) => return Ok(()),
            Some(F::EventSkipped) => {
                self.registers.tail += 1;
                return Ok(());
            }
            Some(F::EventDoubled) => self.write_event(&words, 0, memory)?,
            Some(F::EventTorn(from)) => {
                return self.write_event(&words, usize::from(from).clamp(1, DWORDS - 1), memory);
            }
            Some(F::EventFlipped(bit)) => words[usize::from(bit) / 64] ^= 1 << (bit % 64),
            Some(F::Late(turns)) => self.late = turns,
            _ => {}
        }
        self.write_event(&words, 0, memory)
    }

    /// One write: an event's dwords from `from` on, the phase in the last. A word whose ring bit is set has the wrong phase.
    fn write_event(&mut self, words: &[u64; 4], from: usize, memory: &mut impl HostMemory) -> Result<(), FaultCode> {
        let beats = 1u64 << self.registers.event_bits;
        let phase = if self.registers.tail & beats == 0 { 1u64 << 63 } else { 0 };
        let mut words = *words;
        words[3] ^= phase;
        let dwords: [u32; DWORDS] = std::array::from_fn(|at| (words[at / 2] >> (32 * (at % 2))) as u32);
        let at = self.registers.event_base + self.registers.tail % beats * BEAT_BYTES as u64 + 4 * from as u64;
        self.registers.tail += 1;
        memory.write(at, &dwords[from..]).map_err(|_| FaultCode::Dma)
    }
}

impl<M: Matcher + Upset + Send> Model<M> {
    /// Flips a stored bit of the matcher; `choice` picks which. Says which, or `None` when nothing is stored.
    pub fn upset(&mut self, choice: u64) -> Option<String> {
        self.matcher.upset(choice)
    }
}

/// A 64-bit register with one half written.
fn half(register: u64, offset: usize, value: u32) -> u64 {
    if offset.is_multiple_of(8) {
        register & 0xffff_ffff_0000_0000 | u64::from(value)
    } else {
        register & 0xffff_ffff | u64::from(value) << 32
    }
}

impl<M: Matcher + Send> DeviceModel for Model<M> {
    fn ids(&self) -> Ids {
        IDS
    }

    fn bar_bytes(&self, bar: usize) -> usize {
        if bar == 0 { reg::BAR_BYTES } else { 0 }
    }

    fn read(&mut self, _: usize, offset: usize) -> u32 {
        let registers = &self.registers;
        if self.gone {
            return NO_DEVICE;
        }
        match offset {
            reg::ID => reg::ID_VALUE,
            reg::VERSION => reg::version(),
            reg::ABI => reg::abi_word(),
            reg::CAPABILITIES => self.matcher.capabilities().0,
            reg::INSTRUMENTS => self.limits.ticks.len() as u32,
            reg::SELECT => registers.select,
            reg::TICKS => self.limits.ticks.get(registers.select as usize).copied().unwrap_or(0),
            reg::SLOTS => self.limits.slots,
            reg::MAX_QTY => self.limits.max_qty,
            reg::STATUS => registers.status,
            reg::FETCHED => registers.head as u32,
            reg::WRITTEN => registers.tail as u32,
            _ => 0,
        }
    }

    fn write(&mut self, _: usize, offset: usize, value: u32) {
        if self.gone {
            return;
        }
        let registers = &mut self.registers;
        match offset {
            reg::SELECT => registers.select = value,
            reg::CONTROL => self.control(value),
            reg::DOORBELL => registers.doorbell = value,
            reg::EVENT_CREDIT => registers.event_credit = value,
            reg::COMMAND_BITS => registers.command_bits = value,
            reg::EVENT_BITS => registers.event_bits = value,
            0x080 | 0x084 => registers.command_base = half(registers.command_base, offset, value),
            0x090 | 0x094 => registers.event_base = half(registers.event_base, offset, value),
            0x0a0 | 0x0a4 => registers.credit_address = half(registers.credit_address, offset, value),
            _ => {}
        }
    }

    fn step(&mut self, memory: &mut impl HostMemory) {
        if self.gone {
            return;
        }
        if self.resetting > 0 {
            self.resetting -= 1;
            if self.resetting == 0 {
                let epoch = self.registers.status & 0xffff_0000;
                self.empty(epoch | reg::READY);
                (self.stalled, self.late) = (false, 0);
            }
            return;
        }
        if self.late > 0 {
            self.late -= 1;
            return;
        }
        if !self.runs() {
            return;
        }
        if let Err(code) = self.fetch(memory).and_then(|()| self.answer(memory)) {
            self.fail(code);
        }
    }

    fn reset(&mut self) {
        self.empty(0);
        self.resetting = 0;
        self.repair();
    }
}
