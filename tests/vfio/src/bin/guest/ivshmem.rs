//! The product's driver and shadow against a device that is a process of the host: registers by mailbox, DMA in shared memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::*;
use wirebook_bypass::pci::{Ids, InterruptKind, NO_DEVICE, PAGE_BYTES, PciError};
use wirebook_matcher::abi::{Command, Event};
use wirebook_matcher::device::registers::BAR_BYTES;
use wirebook_matcher::device::{Device, DeviceConfig, Monotonic};
use wirebook_matcher::flow::{Beats, Mix, Random};
use wirebook_matcher::shadow::Shadow;
use wirebook_matcher::{Matcher, Reference, Software, Twin};
use wirebook_vfio::{DMA_BASE, SHARED_BYTES, STALL_AFTER, limits, mailbox};

/// The BAR that is the shared memory.
const MEMORY_BAR: usize = 2;
/// How long the host may take over a register.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers later than this are too late: the host's process shares its processors with others.
const LATE: Duration = Duration::from_secs(2);
/// Commands that are compared before the device stalls.
const COMMANDS: usize = 5_000;
const BURST: u64 = 40;

/// The shared memory, and how much of it has been given out.
struct Window {
    bar: VfioBar,
    asking: Mutex<u32>,
    given: Mutex<usize>,
}

impl Window {
    fn word(&self, at: usize) -> u32 {
        self.bar.read32(at)
    }

    /// Waits until the host has answered so many requests; `false`: it does not.
    fn answered(&self, asked: u32) -> bool {
        let started = Instant::now();
        while self.word(mailbox::ANSWERED) != asked {
            if started.elapsed() > PATIENCE {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    }

    fn ask(&self, kind: u32, offset: usize, value: u32) -> u32 {
        let mut asked = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.answered(*asked) {
            return NO_DEVICE;
        }
        self.bar.write32(mailbox::KIND, kind);
        self.bar.write32(mailbox::OFFSET, offset as u32);
        self.bar.write32(mailbox::VALUE, value);
        *asked += 1;
        self.bar.write32(mailbox::ASKED, *asked);
        if kind == mailbox::READ && self.answered(*asked) { self.word(mailbox::RESULT) } else { NO_DEVICE }
    }
}

/// The function as the driver sees it.
struct Ivshmem {
    vfio: Vfio,
    window: Arc<Window>,
}

struct Registers(Arc<Window>);

struct Memory {
    window: Arc<Window>,
    /// Byte of the shared memory at which it begins.
    start: usize,
    words: usize,
}

impl Mmio for Registers {
    fn bytes(&self) -> usize {
        BAR_BYTES
    }
    fn read32(&self, offset: usize) -> u32 {
        self.0.ask(mailbox::READ, offset, 0)
    }
    fn write32(&self, offset: usize, value: u32) {
        self.0.ask(mailbox::WRITE, offset, value);
    }
}

impl DmaBuffer for Memory {
    fn address(&self) -> u64 {
        DMA_BASE + (self.start - mailbox::BYTES) as u64
    }
    fn words(&self) -> usize {
        self.words
    }
    fn load(&self, word: usize, ordering: Ordering) -> u64 {
        self.window.bar.memory()[self.start / 8 + word].load(ordering)
    }
    fn store(&self, word: usize, value: u64, ordering: Ordering) {
        self.window.bar.memory()[self.start / 8 + word].store(value, ordering);
    }
}

impl PciFunction for Ivshmem {
    type Bar = Registers;
    type Dma = Memory;

    fn ids(&self) -> Result<Ids, PciError> {
        self.vfio.ids()
    }
    fn bar(&self, _: usize) -> Result<Registers, PciError> {
        Ok(Registers(Arc::clone(&self.window)))
    }
    fn set_bus_master(&self, on: bool) -> Result<(), PciError> {
        self.vfio.set_bus_master(on)
    }
    fn dma(&self, bytes: usize) -> Result<Memory, PciError> {
        let mut given = self.window.given.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, bytes) = (*given, bytes.next_multiple_of(PAGE_BYTES));
        if start + bytes > SHARED_BYTES {
            return Err(PciError::Addresses { function: "ivshmem".into(), bytes });
        }
        *given += bytes;
        Ok(Memory { window: Arc::clone(&self.window), start, words: bytes / 8 })
    }
    fn interrupts(&self, events: &[std::os::fd::RawFd]) -> Result<InterruptKind, PciError> {
        self.vfio.interrupts(events)
    }
    fn reset(&self) -> Result<(), PciError> {
        Ok(())
    }
}

pub fn exercise(vfio: Vfio) -> Result<()> {
    let bar = vfio.bar(MEMORY_BAR)?;
    ensure!(bar.bytes() == SHARED_BYTES, "the shared memory has {} bytes", bar.bytes());
    let window = Arc::new(Window { bar, asking: Mutex::new(0), given: Mutex::new(mailbox::BYTES) });
    let function = Ivshmem { vfio, window: Arc::clone(&window) };
    let late_ns = LATE.as_nanos() as u64;
    let config = DeviceConfig { answer_timeout_ns: 2 * late_ns, ..DeviceConfig::default() };
    let device = Device::open(function, &limits(), config, Monotonic::new())?;
    check(
        "ivshmem device",
        true,
        format!("opened, epoch {}, capabilities {:#x}", device.epoch(), device.capabilities().0),
    );
    let shadow = Shadow::new(device, Software::new(limits()), late_ns, Monotonic::new())?;
    let mix = Mix { limits: limits(), live: 400, ..Mix::deep() };
    let mut bench = Bench {
        shadow,
        oracle: Reference::new(limits()),
        beats: Beats::new(mix, 11),
        random: Random::new(12),
        right: 0,
        wrong: 0,
    };

    let started = Instant::now();
    let commands = bench.feed(COMMANDS, |_| false)?;
    let elapsed = started.elapsed();
    let healthy = bench.wrong == 0 && bench.shadow.is_following();
    check(
        "ivshmem answers",
        healthy,
        format!("{commands} commands, {} events in {elapsed:?}, {} wrong", bench.right, bench.wrong),
    );

    window.ask(mailbox::DRILL, 0, STALL_AFTER);
    bench.feed(COMMANDS, |shadow| shadow.takeovers() > 0)?;
    let told = bench.shadow.takeover().map_or_else(|| "no takeover".to_owned(), ToString::to_string);
    check("ivshmem takeover", bench.wrong == 0 && bench.shadow.takeovers() == 1, told);
    bench.feed(500, |_| false)?;

    bench.shadow.rejoin()?;
    let rejoined = bench.feed(2_000, |_| false)?;
    let healthy = bench.wrong == 0 && bench.shadow.is_following() && bench.shadow.takeovers() == 1;
    check("ivshmem rejoins", healthy, format!("{rejoined} more commands, epoch {}", bench.shadow.primary().epoch()));
    Ok(())
}

type Shadowed = Shadow<Device<Ivshmem, Monotonic>, Software, Monotonic>;

struct Bench {
    shadow: Shadowed,
    oracle: Reference,
    beats: Beats,
    random: Random,
    right: usize,
    wrong: usize,
}

impl Bench {
    /// Sends commands until there have been so many or `until`, and compares their answers with the reference's.
    fn feed(&mut self, commands: usize, until: impl Fn(&Shadowed) -> bool) -> Result<usize> {
        let mut fed = 0;
        while fed < commands && !until(&self.shadow) {
            let (mut burst, mut due): (Vec<Command>, Vec<Event>) = Default::default();
            for _ in 0..self.random.between(1, BURST) {
                let (command, from) = (self.beats.next_beat(), due.len());
                self.oracle.execute(&command, |event| due.push(event));
                self.beats.observe(&command, &due[from..])?;
                burst.push(command);
            }
            let (mut sent, mut got) = (0, Vec::new());
            let started = Instant::now();
            while sent < burst.len() || self.shadow.busy() {
                ensure!(started.elapsed() < 4 * LATE, "neither an answer nor a takeover");
                sent += self.shadow.submit(&burst[sent..]);
                let mut events = [Event::BLANK; 64];
                let count = self.shadow.poll(&mut events);
                got.extend_from_slice(&events[..count]);
            }
            let right = due.iter().zip(&got).filter(|(due, got)| due == got).count();
            self.right += right;
            self.wrong += due.len().max(got.len()) - right;
            fed += burst.len();
        }
        Ok(fed)
    }
}
