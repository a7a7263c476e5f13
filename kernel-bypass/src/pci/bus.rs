//! A PCI function inside this process: a device model behind registers and DMA.
//!
//! [`InProcess`] holds a [`DeviceModel`] and the [`Bus`] between it and the host's memory, and is a [`PciFunction`] like any other: a
//! driver does not know the difference. There is no thread: the device gets its turns when the host looks at memory or touches a
//! register, which makes every run with the same seed the same.
//!
//! What the device writes is cut into pieces of 4 bytes that wait on the bus, and arrive between the host's loads: [`Delivery`] says
//! how. The order that PCIe promises is kept, the moments are not promised and vary; a register read brings everything with it that
//! was written before. Reads that the device makes are answered in pieces too, in any order, each piece as memory stands at that
//! moment. (A device's read cannot pass its own earlier writes; here it may, as nothing that a device writes is in what it reads.)

use super::{DmaBuffer, Ids, InterruptKind, Mmio, NO_DEVICE, PAGE_BYTES, PciError, PciFunction};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What stands behind the registers of an [`InProcess`] function, or of any other bus.
pub trait DeviceModel: Send {
    /// Who it says it is.
    fn ids(&self) -> Ids;

    /// Bytes of a BAR; 0: there is none.
    fn bar_bytes(&self, bar: usize) -> usize;

    /// The host reads a register.
    fn read(&mut self, bar: usize, offset: usize) -> u32;

    /// The host writes a register.
    fn write(&mut self, bar: usize, offset: usize, value: u32);

    /// The device works a little: a bounded turn.
    fn step(&mut self, memory: &mut impl HostMemory);

    /// As if the power had been cycled.
    fn reset(&mut self);
}

/// The device's way to host memory, in dwords.
pub trait HostMemory {
    /// Reads from `address`, a multiple of 4. Nothing orders the pieces.
    ///
    /// # Errors
    /// When the address is not mapped for the device.
    fn read(&mut self, address: u64, into: &mut [u32]) -> Result<(), DmaFault>;

    /// Posts one write to `address`, a multiple of 4, without relaxed ordering.
    ///
    /// # Errors
    /// When the address is not mapped for the device. Nothing is written then.
    fn write(&mut self, address: u64, from: &[u32]) -> Result<(), DmaFault>;

    /// Signals an interrupt vector, behind everything written before.
    fn interrupt(&mut self, vector: usize);
}

/// The device reached for what it may not reach: an IOMMU fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DMA fault: {bytes} bytes at device address {address:#x} are not mapped, or bus mastering is off")]
pub struct DmaFault {
    /// The device address.
    pub address: u64,
    /// How much it wanted.
    pub bytes: usize,
}

/// How a device's writes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once, and the device gets a turn at each look of the host.
    Whole,
    /// In pieces, a few between any two loads of the host, the device's turns at random too: every schedule that PCIe permits may come.
    Pieces {
        /// Schedule's seed.
        seed: u64,
    },
    /// In pieces that overtake each other, as relaxed ordering would permit. No ring survives this: it is there to be seen failing.
    Relaxed {
        /// Schedule's seed.
        seed: u64,
    },
}

/// Pieces that may arrive between two loads.
const MOST_AT_ONCE: u64 = 6;
/// Waiting pieces above which they arrive until they are fewer: a root complex's buffers are finite.
const MOST_WAITING: usize = 1 << 14;
/// How far a piece may overtake others, when it may at all.
const OVERTAKING: usize = 8;
/// Where device addresses begin; the gap between buffers is never mapped.
const FIRST_ADDRESS: u64 = 1 << 32;
const GAP: u64 = 1 << 20;

/// The bus: host memory as the device reaches it, and what is under way to it.
pub struct Bus {
    mappings: Vec<Mapping>,
    next_address: u64,
    waiting: VecDeque<(u64, u32)>,
    delivery: Delivery,
    random: u64,
    master: bool,
    faults: u64,
    events: Vec<RawFd>,
}

struct Mapping {
    address: u64,
    dwords: Vec<u32>,
}

impl Bus {
    fn new(delivery: Delivery) -> Self {
        let random = match delivery {
            Delivery::Whole => 0,
            Delivery::Pieces { seed } | Delivery::Relaxed { seed } => seed,
        };
        Self {
            mappings: Vec::new(),
            next_address: FIRST_ADDRESS,
            waiting: VecDeque::new(),
            delivery,
            random,
            master: false,
            faults: 0,
            events: Vec::new(),
        }
    }

    /// How often the device reached for what it may not reach.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Dwords that have been written and have not arrived.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// splitmix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }

    /// Where a range of device addresses lies: mapping and dword.
    fn find(&mut self, address: u64, dwords: usize) -> Result<(usize, usize), DmaFault> {
        let fault = DmaFault { address, bytes: dwords * 4 };
        let found = self.mappings.iter().enumerate().find_map(|(at, mapping)| {
            let offset = usize::try_from(address.checked_sub(mapping.address)?).ok()?;
            let fits = offset.is_multiple_of(4) && offset / 4 + dwords <= mapping.dwords.len();
            fits.then_some((at, offset / 4))
        });
        match found.filter(|_| self.master) {
            Some(place) => Ok(place),
            None => {
                self.faults += 1;
                Err(fault)
            }
        }
    }

    /// Lets pieces arrive, the oldest first.
    fn arrive(&mut self, count: usize) {
        for _ in 0..count {
            let overtake = match self.delivery {
                Delivery::Relaxed { .. } => self.below(OVERTAKING as u64) as usize,
                Delivery::Whole | Delivery::Pieces { .. } => 0,
            };
            let at = overtake.min(self.waiting.len().saturating_sub(1));
            let Some((address, value)) = self.waiting.remove(at) else { return };
            // A buffer that has been dropped meanwhile takes nothing.
            if let Ok((mapping, dword)) = self.find(address, 1) {
                self.mappings[mapping].dwords[dword] = value;
            }
        }
    }

    fn arrive_all(&mut self) {
        self.arrive(self.waiting.len());
    }
}

impl HostMemory for Bus {
    fn read(&mut self, address: u64, into: &mut [u32]) -> Result<(), DmaFault> {
        let (mapping, dword) = self.find(address, into.len())?;
        into.copy_from_slice(&self.mappings[mapping].dwords[dword..dword + into.len()]);
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u32]) -> Result<(), DmaFault> {
        self.find(address, from.len())?;
        self.waiting.extend(from.iter().zip(0u64..).map(|(value, at)| (address + 4 * at, *value)));
        Ok(())
    }

    fn interrupt(&mut self, vector: usize) {
        self.arrive_all();
        if let Some(event) = self.events.get(vector) {
            super::pages::signal(*event);
        }
    }
}

struct Core<D> {
    device: D,
    bus: Bus,
}

impl<D: DeviceModel> Core<D> {
    /// What happens before a look of the host.
    fn meanwhile(&mut self) {
        let turn = match self.bus.delivery {
            Delivery::Whole => true,
            Delivery::Pieces { .. } | Delivery::Relaxed { .. } => self.bus.below(2) == 0,
        };
        if turn {
            self.device.step(&mut self.bus);
        }
        match self.bus.delivery {
            Delivery::Whole => self.bus.arrive_all(),
            Delivery::Pieces { .. } | Delivery::Relaxed { .. } => {
                let beyond = self.bus.waiting.len().saturating_sub(MOST_WAITING);
                // Often nothing, so that what the device writes queues up and is seen half arrived.
                let some = if self.bus.below(2) == 0 { 0 } else { self.bus.below(MOST_AT_ONCE) as usize + 1 };
                self.bus.arrive(beyond + some);
            }
        }
    }
}

/// The function: the host's side. Clones are the same function.
pub struct InProcess<D>(Arc<Mutex<Core<D>>>);

impl<D> Clone for InProcess<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

fn lock<D>(core: &Mutex<Core<D>>) -> MutexGuard<'_, Core<D>> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: DeviceModel> InProcess<D> {
    /// Plugs a device in.
    pub fn new(device: D, delivery: Delivery) -> Self {
        Self(Arc::new(Mutex::new(Core { device, bus: Bus::new(delivery) })))
    }

    /// Looks into the device and the bus, or changes them: for tests and for faults.
    pub fn with<R>(&self, f: impl FnOnce(&mut D, &mut Bus) -> R) -> R {
        let mut core = lock(&self.0);
        let Core { device, bus } = &mut *core;
        f(device, bus)
    }
}

impl<D: DeviceModel> PciFunction for InProcess<D> {
    type Bar = InProcessBar<D>;
    type Dma = InProcessDma<D>;

    fn ids(&self) -> Result<Ids, PciError> {
        Ok(lock(&self.0).device.ids())
    }

    fn bar(&self, index: usize) -> Result<Self::Bar, PciError> {
        let bytes = lock(&self.0).device.bar_bytes(index);
        if bytes == 0 {
            return Err(PciError::NoBar { function: "in-process function".into(), index });
        }
        Ok(InProcessBar { core: Arc::clone(&self.0), index, bytes })
    }

    fn set_bus_master(&self, on: bool) -> Result<(), PciError> {
        lock(&self.0).bus.master = on;
        Ok(())
    }

    fn dma(&self, bytes: usize) -> Result<Self::Dma, PciError> {
        let mut core = lock(&self.0);
        let bytes = bytes.max(1).next_multiple_of(PAGE_BYTES);
        let address = core.bus.next_address;
        core.bus.next_address += bytes as u64 + GAP;
        core.bus.mappings.push(Mapping { address, dwords: vec![0; bytes / 4] });
        Ok(InProcessDma { core: Arc::clone(&self.0), address, words: bytes / 8 })
    }

    fn interrupts(&self, events: &[RawFd]) -> Result<InterruptKind, PciError> {
        lock(&self.0).bus.events = events.to_vec();
        Ok(InterruptKind::MsiX)
    }

    fn reset(&self) -> Result<(), PciError> {
        let mut core = lock(&self.0);
        core.bus.arrive_all();
        core.device.reset();
        Ok(())
    }
}

/// Its registers.
pub struct InProcessBar<D> {
    core: Arc<Mutex<Core<D>>>,
    index: usize,
    bytes: usize,
}

impl<D: DeviceModel> InProcessBar<D> {
    fn check(&self, offset: usize) {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.bytes, "register {offset:#x} is not in the BAR");
    }
}

impl<D: DeviceModel> Mmio for InProcessBar<D> {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn read32(&self, offset: usize) -> u32 {
        self.check(offset);
        let mut core = lock(&self.core);
        core.meanwhile();
        let value = core.device.read(self.index, offset);
        // The completion pushes what was posted before it; a device that is gone pushes nothing.
        if value != NO_DEVICE {
            core.bus.arrive_all();
        }
        value
    }

    fn write32(&self, offset: usize, value: u32) {
        self.check(offset);
        let mut core = lock(&self.core);
        core.device.write(self.index, offset, value);
    }
}

/// Its memory.
pub struct InProcessDma<D> {
    core: Arc<Mutex<Core<D>>>,
    address: u64,
    words: usize,
}

impl<D: DeviceModel> InProcessDma<D> {
    fn dwords<'a>(&self, bus: &'a mut Bus, word: usize) -> &'a mut [u32] {
        let mapping = bus.mappings.iter_mut().find(|mapping| mapping.address == self.address);
        let dwords = mapping.map(|mapping| &mut mapping.dwords).expect("mapped until it is dropped");
        &mut dwords[2 * word..2 * word + 2]
    }
}

impl<D: DeviceModel> DmaBuffer for InProcessDma<D> {
    fn address(&self) -> u64 {
        self.address
    }

    fn words(&self) -> usize {
        self.words
    }

    fn load(&self, word: usize, _: Ordering) -> u64 {
        let mut core = lock(&self.core);
        core.meanwhile();
        let halves = self.dwords(&mut core.bus, word);
        u64::from(halves[0]) | u64::from(halves[1]) << 32
    }

    fn store(&self, word: usize, value: u64, _: Ordering) {
        let mut core = lock(&self.core);
        // The device may look before and between the host's stores, so that one that looks too early is seen.
        if matches!(core.bus.delivery, Delivery::Pieces { .. } | Delivery::Relaxed { .. }) && core.bus.below(4) == 0 {
            let Core { device, bus } = &mut *core;
            device.step(bus);
        }
        let halves = self.dwords(&mut core.bus, word);
        halves[0] = value as u32;
        halves[1] = (value >> 32) as u32;
    }
}

impl<D> Drop for InProcessDma<D> {
    fn drop(&mut self) {
        let mut core = lock(&self.core);
        core.bus.mappings.retain(|mapping| mapping.address != self.address);
    }
}
