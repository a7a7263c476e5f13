//! A PCI function through Linux VFIO: what a driver uses with a board.
//!
//! The function must be bound to `vfio-pci`, alone in its IOMMU group or with others that are bound so too. Crate `pci-driver` makes the
//! system calls; its traits are sealed and know no 64-bit registers, so this module wraps it. Memory is mapped at addresses of its own
//! (never the process's), handed out once and never again, so that a late write of the device to memory that was given back faults in
//! the IOMMU. Dropping a buffer unmaps it first.
//!
//! **Limits.** x86-64: there a store to a BAR is not passed by the stores to memory before it. The module needs `CAP_SYS_ADMIN`-like
//! rights on `/dev/vfio`, and a locked-memory limit above what it maps.

#![allow(unsafe_code)]

use super::pages::Pages;
use super::{DmaBuffer, Ids, InterruptKind, Mmio, PciError, PciFunction};
use pci_driver::backends::vfio::VfioPciDevice;
use pci_driver::device::PciDevice;
use pci_driver::regions::{MappedOwningPciRegion, Permissions};
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::sync::{Arc, Mutex, PoisonError};

/// Command register: answers memory accesses, may start its own.
const COMMAND_OFFSET: u64 = 4;
const MEMORY_SPACE: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;

/// The first device address that is handed out: not 0, which many devices take for none, nor the first megabyte.
const FIRST_ADDRESS: u64 = 1 << 20;

/// A function opened through VFIO.
pub struct Vfio {
    device: Arc<VfioPciDevice>,
    name: String,
    /// Device addresses from here on have not been handed out.
    next: Mutex<u64>,
}

impl Vfio {
    /// Opens the function whose directory in sysfs this is, such as `/sys/bus/pci/devices/0000:01:00.0`.
    ///
    /// # Errors
    /// When it is not bound to `vfio-pci`, or its group is in use or not viable, or there is no IOMMU.
    pub fn open(sysfs: &Path) -> Result<Self, PciError> {
        let name = sysfs.file_name().unwrap_or(sysfs.as_os_str()).to_string_lossy().into_owned();
        let device = VfioPciDevice::open(sysfs).map_err(|source| PciError::Io {
            function: name.clone(),
            action: "open through VFIO",
            source,
            hint: "; bind it to vfio-pci, with its whole IOMMU group, and start the kernel with intel_iommu=on",
        })?;
        Ok(Self { device: Arc::new(device), name, next: Mutex::new(FIRST_ADDRESS) })
    }

    /// Hands out device addresses for `bytes` bytes, a multiple of the page.
    fn address(&self, bytes: usize) -> Result<u64, PciError> {
        let exhausted = || PciError::Addresses { function: self.name.clone(), bytes };
        let iommu = self.device.iommu();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let step = iommu.alignment() as u64;
        for range in iommu.valid_iova_ranges() {
            let start = range.start.max(*next).next_multiple_of(step);
            let end = start.checked_add(bytes as u64).ok_or_else(exhausted)?;
            if end <= range.end {
                *next = end;
                return Ok(start);
            }
        }
        Err(exhausted())
    }

    fn io(&self, action: &'static str, hint: &'static str) -> impl FnOnce(io::Error) -> PciError {
        let function = self.name.clone();
        move |source| PciError::Io { function, action, source, hint }
    }
}

impl PciFunction for Vfio {
    type Bar = VfioBar;
    type Dma = VfioDma;

    fn ids(&self) -> Result<Ids, PciError> {
        let config = self.device.config();
        let read = || Ok(Ids { vendor: config.vendor_id().read()?, device: config.device_id().read()? });
        read().map_err(self.io("read the configuration space", ""))
    }

    fn bar(&self, index: usize) -> Result<VfioBar, PciError> {
        let Some(region) = self.device.bar(index) else {
            return Err(PciError::NoBar { function: self.name.clone(), index });
        };
        use pci_driver::regions::PciRegion;
        if !region.is_mappable() {
            return Err(PciError::NotMappable { function: self.name.clone(), index, bytes: region.len() });
        }
        let map = region.map(.., Permissions::ReadWrite).map_err(self.io("map a BAR", ""))?;
        Ok(VfioBar { map })
    }

    fn set_bus_master(&self, on: bool) -> Result<(), PciError> {
        use pci_driver::regions::PciRegion;
        let config = self.device.config();
        let set = || {
            let before = config.read_le_u16(COMMAND_OFFSET)? | MEMORY_SPACE;
            let after = if on { before | BUS_MASTER } else { before & !BUS_MASTER };
            config.write_le_u16(COMMAND_OFFSET, after)
        };
        set().map_err(self.io("write the command register", ""))
    }

    fn dma(&self, bytes: usize) -> Result<VfioDma, PciError> {
        let pages = Pages::new(bytes).map_err(self.io("get memory for DMA", ""))?;
        let address = self.address(pages.bytes())?;
        // SAFETY: the pages are whole, belong to this process, and outlive the mapping: `VfioDma` unmaps before it drops them. The
        // device may write them at any time; everything here touches them through atomics.
        unsafe { self.device.iommu().map(address, pages.bytes(), pages.start(), Permissions::ReadWrite) }
            .map_err(self.io("map memory for DMA", "; raise the locked-memory limit (ulimit -l)"))?;
        Ok(VfioDma { pages, address, device: Arc::clone(&self.device) })
    }

    fn interrupts(&self, events: &[RawFd]) -> Result<InterruptKind, PciError> {
        let interrupts = self.device.interrupts();
        let (msi, msi_x) = (interrupts.msi().max(), interrupts.msi_x().max());
        let (kind, mechanism) = if msi_x >= events.len() {
            (InterruptKind::MsiX, interrupts.msi_x())
        } else if msi >= events.len() {
            (InterruptKind::Msi, interrupts.msi())
        } else {
            let found = msi.max(msi_x);
            return Err(PciError::Vectors { function: self.name.clone(), found, wanted: events.len() });
        };
        mechanism.enable(events).map_err(self.io("enable interrupts", ""))?;
        Ok(kind)
    }

    fn reset(&self) -> Result<(), PciError> {
        self.device.reset().map_err(self.io("reset", "; not every function can be reset alone"))
    }
}

/// A mapped BAR.
pub struct VfioBar {
    map: MappedOwningPciRegion,
}

impl VfioBar {
    fn register(&self, offset: usize) -> *mut u32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.map.len(), "register {offset:#x} is not in the BAR");
        // SAFETY: within the mapping, as just checked.
        unsafe { self.map.as_mut_ptr().add(offset).cast() }
    }
}

impl VfioBar {
    /// The BAR as memory: for one that is memory (prefetchable), not registers.
    pub fn memory(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is readable, writable, page-aligned and lives as long as `self`; all access is atomic, as the device may
        // change it at any time.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast(), self.map.len() / 8) }
    }
}

impl Mmio for VfioBar {
    fn bytes(&self) -> usize {
        self.map.len()
    }

    #[inline]
    fn read32(&self, offset: usize) -> u32 {
        // SAFETY: `register` gives an aligned address inside the mapping, which lives as long as `self`.
        let value = u32::from_le(unsafe { self.register(offset).read_volatile() });
        compiler_fence(Ordering::SeqCst);
        value
    }

    #[inline]
    fn write32(&self, offset: usize, value: u32) {
        // The processor keeps earlier stores ahead of one to uncached memory; the compiler must too.
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { self.register(offset).write_volatile(value.to_le()) };
    }
}

/// Pages mapped in the IOMMU.
pub struct VfioDma {
    pages: Pages,
    address: u64,
    device: Arc<VfioPciDevice>,
}

impl DmaBuffer for VfioDma {
    fn address(&self) -> u64 {
        self.address
    }

    fn words(&self) -> usize {
        self.pages.words().len()
    }

    #[inline(always)]
    fn load(&self, word: usize, ordering: Ordering) -> u64 {
        word_of(self.pages.words(), word).load(ordering)
    }

    #[inline(always)]
    fn store(&self, word: usize, value: u64, ordering: Ordering) {
        word_of(self.pages.words(), word).store(value, ordering);
    }
}

#[inline(always)]
fn word_of(words: &[AtomicU64], word: usize) -> &AtomicU64 {
    &words[word]
}

impl Drop for VfioDma {
    fn drop(&mut self) {
        if self.device.iommu().unmap(self.address, self.pages.bytes()).is_err() {
            // The device might still write here. Pages that nobody uses again are the smaller harm.
            if let Ok(pages) = Pages::new(1) {
                std::mem::forget(std::mem::replace(&mut self.pages, pages));
            }
        }
    }
}

const _: () = assert!(cfg!(target_arch = "x86_64"), "see Limits: other machines need a fence before a doorbell");
