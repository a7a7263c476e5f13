//! Rings over DMA: a device that streams beats through a bus that cuts them in pieces.

use super::bus::{Bus, Delivery, DeviceModel, HostMemory, InProcess};
use super::ring::{DeviceToHost, HostToDevice, Place};
use super::{DmaBuffer, Ids, Mmio, PciError, PciFunction};
use crate::ring::{Beat, Consumer, PHASE_BIT, Producer};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const BASE_LOW: usize = 0;
const BASE_HIGH: usize = 4;
const CREDITS: usize = 8;
const DOORBELL: usize = 12;
const MODE: usize = 16;

const STREAM: u32 = 1;
const ECHO: u32 = 2;
/// As `ECHO`, but trusts a beat's phase in host memory instead of the doorbell.
const EAGER: u32 = 3;

const EVENTS: Place = Place { offset: 4096, capacity: 16 };
const COMMANDS: Place = Place { offset: 8192, capacity: 8 };
const COMMAND_CREDITS: usize = 64;

/// A device that streams beats made of their index, or echoes what it is sent. `PHASE` is the word in which it puts the phase.
#[derive(Default)]
struct Streamer<const PHASE: usize> {
    base: u64,
    credits: u32,
    doorbell: u32,
    mode: u32,
    head: u64,
    tail: u64,
}

/// Every dword of every beat differs from the same dword a lap before.
fn beat_of(index: u64) -> Beat {
    std::array::from_fn(|word| {
        let dword = |at: u64| (index * 8 + at).wrapping_mul(0x9e37_79b1) & 0x7fff_ffff;
        dword(2 * word as u64) | dword(2 * word as u64 + 1) << 32
    })
}

fn phase(index: u64, capacity: usize) -> u64 {
    if index & capacity as u64 == 0 { PHASE_BIT } else { 0 }
}

impl<const PHASE: usize> Streamer<PHASE> {
    fn emit(&mut self, mut beat: Beat, memory: &mut impl HostMemory) {
        beat[PHASE] = beat[PHASE] & !PHASE_BIT | phase(self.tail, EVENTS.capacity);
        let dwords: Vec<u32> = beat.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect();
        let slot = self.tail % EVENTS.capacity as u64;
        memory.write(self.base + EVENTS.offset as u64 + 32 * slot, &dwords).unwrap();
        self.tail += 1;
    }
}

impl<const PHASE: usize> DeviceModel for Streamer<PHASE> {
    fn ids(&self) -> Ids {
        Ids { vendor: 0x1234, device: 0x5678 }
    }
    fn bar_bytes(&self, bar: usize) -> usize {
        if bar == 0 { 4096 } else { 0 }
    }
    fn read(&mut self, _: usize, _: usize) -> u32 {
        self.tail as u32
    }
    fn write(&mut self, _: usize, offset: usize, value: u32) {
        match offset {
            BASE_LOW => self.base = self.base & !0xffff_ffff | u64::from(value),
            BASE_HIGH => self.base = self.base & 0xffff_ffff | u64::from(value) << 32,
            CREDITS => self.credits = value,
            DOORBELL => self.doorbell = value,
            MODE => self.mode = value,
            _ => {}
        }
    }
    fn step(&mut self, memory: &mut impl HostMemory) {
        if (self.tail as u32).wrapping_sub(self.credits) as usize >= EVENTS.capacity {
            return;
        }
        if self.mode == STREAM {
            self.emit(beat_of(self.tail), memory);
            return;
        }
        let mut dwords = [0u32; 8];
        let slot = self.head % COMMANDS.capacity as u64;
        let there = if self.mode == EAGER {
            memory.read(self.base + COMMANDS.offset as u64 + 32 * slot, &mut dwords).unwrap();
            // The phase as this device would look for it: in the word that happens to come first.
            u64::from(dwords[0]) & 1 == 1 && u64::from(dwords[0]) >> 1 & 0xff == self.head & 0xff
        } else {
            self.mode == ECHO && self.head as u32 != self.doorbell
        };
        if there {
            memory.read(self.base + COMMANDS.offset as u64 + 32 * slot, &mut dwords).unwrap();
            let beat = std::array::from_fn(|word| u64::from(dwords[2 * word]) | u64::from(dwords[2 * word + 1]) << 32);
            self.head += 1;
            self.emit(beat, memory);
            let head = [self.head as u32, (self.head >> 32) as u32];
            memory.write(self.base + COMMAND_CREDITS as u64, &head).unwrap();
        }
    }
    fn reset(&mut self) {
        *self = Self::default();
    }
}

type Setup<const PHASE: usize> = (
    InProcess<Streamer<PHASE>>,
    Arc<<InProcess<Streamer<PHASE>> as PciFunction>::Dma>,
    Arc<<InProcess<Streamer<PHASE>> as PciFunction>::Bar>,
);

fn setup<const PHASE: usize>(delivery: Delivery, mode: u32) -> Setup<PHASE> {
    let function = InProcess::new(Streamer::<PHASE>::default(), delivery);
    function.set_bus_master(true).unwrap();
    let memory = Arc::new(function.dma(3 * 4096).unwrap());
    let bar = Arc::new(function.bar(0).unwrap());
    bar.write64(BASE_LOW, memory.address());
    bar.write32(MODE, mode);
    (function, memory, bar)
}

/// Beats of so many that arrive torn or out of order.
fn torn<const PHASE: usize>(delivery: Delivery, beats: u64) -> u64 {
    let (_function, memory, bar) = setup::<PHASE>(delivery, STREAM);
    let storage = DeviceToHost::<_, _, PHASE>::new(memory, EVENTS, bar, CREDITS).unwrap();
    let mut consumer = Consumer::attach(storage);
    let (mut bad, mut polls) = (0, 0u64);
    for index in 0..beats {
        let beat = loop {
            polls += 1;
            assert!(polls < beats * 1000, "the device does not deliver");
            if let Some(beat) = consumer.pop() {
                break beat;
            }
        };
        let mut expected = beat_of(index);
        expected[PHASE] &= !PHASE_BIT;
        bad += u64::from(beat != expected);
    }
    bad
}

const SEEDS: u64 = 40;
const BEATS: u64 = 500;

#[test]
fn beats_in_pieces_are_whole_when_the_phase_is_in_the_last_word() {
    for seed in 0..SEEDS {
        assert_eq!(torn::<3>(Delivery::Pieces { seed }, BEATS), 0, "seed {seed}");
    }
    assert_eq!(torn::<3>(Delivery::Whole, BEATS), 0);
}

#[test]
fn a_phase_in_another_word_is_torn() {
    let pieces = || (0..SEEDS).map(|seed| Delivery::Pieces { seed });
    let bad: [u64; 3] = [
        pieces().map(|delivery| torn::<0>(delivery, BEATS)).sum(),
        pieces().map(|delivery| torn::<1>(delivery, BEATS)).sum(),
        pieces().map(|delivery| torn::<2>(delivery, BEATS)).sum(),
    ];
    println!("torn beats of {} with the phase in word 0, 1, 2: {bad:?}", SEEDS * BEATS);
    assert!(bad.iter().all(|bad| *bad > 0), "{bad:?}");
}

#[test]
fn relaxed_ordering_is_torn() {
    let bad: u64 = (0..SEEDS).map(|seed| torn::<3>(Delivery::Relaxed { seed }, BEATS)).sum();
    println!("torn beats of {} with relaxed ordering: {bad}", SEEDS * BEATS);
    assert!(bad > 0);
}

/// Sends numbered beats and compares their echoes: how many came back wrong, or never.
fn echo(delivery: Delivery, mode: u32, beats: u64) -> u64 {
    let (_function, memory, bar) = setup::<3>(delivery, mode);
    let mut producer = Producer::attach(HostToDevice::new(Arc::clone(&memory), COMMANDS, COMMAND_CREDITS).unwrap());
    let storage = DeviceToHost::<_, _, 3>::new(memory, EVENTS, Arc::clone(&bar), CREDITS).unwrap();
    let mut consumer = Consumer::attach(storage);
    // The first dword is a number and a bit that says that it is one, for the device that looks where it should not.
    let sent = |index: u64| {
        let mut beat = beat_of(index);
        beat[0] = beat[0] & !0x1ff | (index & 0xff) << 1 | 1;
        beat
    };
    let (mut next, mut seen, mut bad) = (0u64, 0u64, 0u64);
    for _ in 0..beats * 1000 {
        if next < beats && producer.push(&sent(next)) {
            next += 1;
            bar.write32(DOORBELL, producer.index() as u32);
        }
        while let Some(beat) = consumer.pop() {
            bad += u64::from(beat != sent(seen));
            seen += 1;
        }
        if seen >= beats {
            return bad;
        }
    }
    bad + (beats - seen)
}

#[test]
fn a_device_that_fetches_below_the_doorbell_gets_whole_beats() {
    for seed in 0..SEEDS {
        assert_eq!(echo(Delivery::Pieces { seed }, ECHO, BEATS), 0, "seed {seed}");
    }
}

#[test]
fn a_device_that_fetches_above_the_doorbell_is_seen() {
    let bad: u64 = (0..SEEDS).map(|seed| echo(Delivery::Pieces { seed }, EAGER, BEATS)).sum();
    println!("torn commands of {}: {bad}", SEEDS * BEATS);
    assert!(bad > 0);
}

#[test]
fn a_register_read_brings_every_earlier_write_with_it() {
    for seed in 0..SEEDS {
        let (_function, memory, bar) = setup::<3>(Delivery::Pieces { seed }, STREAM);
        let written = bar.read32(0) as u64;
        let word = |index: u64| EVENTS.offset / 8 + (index as usize % EVENTS.capacity) * 4 + 3;
        for index in 0..written {
            let last = memory.load(word(index), Ordering::Acquire);
            assert_eq!(last & PHASE_BIT, PHASE_BIT, "seed {seed}: beat {index} of {written}");
        }
    }
}

#[test]
fn a_stray_write_faults_and_changes_nothing() {
    let (function, memory, bar) = setup::<3>(Delivery::Whole, 0);
    let end = memory.address() + memory.words() as u64 * 8;
    let stray = |address: u64| function.with(|_, bus: &mut Bus| bus.write(address, &[7; 8]).is_err());
    assert!(stray(0) && stray(end) && stray(end - 16) && stray(memory.address() - 4) && stray(u64::MAX - 3));
    assert!(!stray(end - 32));
    function.set_bus_master(false).unwrap();
    assert!(stray(end - 32));
    assert_eq!(function.with(|_, bus| bus.faults()), 6);
    let address = memory.address();
    function.set_bus_master(true).unwrap();
    assert!(!stray(address));
    drop(memory);
    assert!(stray(address), "given back");
    assert!(matches!(function.bar(1), Err(PciError::NoBar { index: 1, .. })));
    assert_eq!(bar.bytes(), 4096);
}

#[test]
fn an_interrupt_counts_on_its_descriptor() {
    use std::io::Read;
    use std::os::fd::{AsRawFd, FromRawFd};
    let mut event = new_event();
    let (function, _memory, _bar) = setup::<3>(Delivery::Whole, 0);
    function.interrupts(&[event.as_raw_fd()]).unwrap();
    function.with(|_, bus| {
        bus.interrupt(0);
        bus.interrupt(0);
        bus.interrupt(1);
    });
    let mut count = [0; 8];
    event.read_exact(&mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 2);

    #[allow(unsafe_code)]
    fn new_event() -> std::fs::File {
        // SAFETY: `eventfd` gives a descriptor that nobody else owns, or -1, which is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        assert!(fd >= 0);
        // SAFETY: as above.
        unsafe { std::fs::File::from_raw_fd(fd) }
    }
}
