//! PCI Express functions as a user-space driver sees them: registers, memory for DMA, interrupts.
//!
//! A driver is written against three traits and runs over whatever implements them. [`PciFunction`] is the function; it gives out its
//! BARs ([`Mmio`]) and memory that the device may reach ([`DmaBuffer`]). [`vfio`] is the real thing: Linux VFIO with an IOMMU, so that
//! a device that goes astray faults instead of writing over the process. [`bus`] is a function inside this process: a device model
//! behind registers and DMA, whose writes arrive in pieces as PCIe permits. [`ring`] lays the ring of beats over DMA memory.
//!
//! **Ordering**, which drivers may rely on and models must keep (PCI Express base specification, "Transaction Ordering"):
//! - The host's register writes reach the device in program order, and no earlier than the host's stores to memory before them.
//! - The device's writes without relaxed ordering reach memory in order; one write's bytes in the order of increasing addresses, in
//!   pieces of any size.
//! - A register read returns after everything that the device wrote before it answered has reached memory.
//! - The device's reads of host memory are not ordered: it may read only what a register write has told it is there.

pub mod bus;
mod error;
mod pages;
pub mod ring;
pub mod vfio;

#[cfg(test)]
mod tests;

pub use error::PciError;
pub use pages::PAGE_BYTES;

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

/// What a register read returns when no device answers: all ones.
pub const NO_DEVICE: u32 = u32::MAX;

/// Vendor and device number of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The vendor, as PCI-SIG assigns it.
    pub vendor: u16,
    /// The device, as the vendor assigns it.
    pub device: u16,
}

impl std::fmt::Display for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// How a function interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptKind {
    /// Message signalled, up to 32 vectors.
    Msi,
    /// Message signalled, up to 2048 vectors.
    MsiX,
}

/// A BAR: registers, little-endian, addressed in bytes.
///
/// Accesses are made exactly as they are written: never merged, split, repeated or left out. An offset that is beyond the BAR or not
/// aligned is the driver's bug, and panics.
pub trait Mmio: Send + Sync {
    /// Bytes.
    fn bytes(&self) -> usize;

    /// Reads 32 bits. [`NO_DEVICE`] when nobody answers. A round trip to the device: a microsecond, not for the hot path.
    fn read32(&self, offset: usize) -> u32;

    /// Writes 32 bits, behind every store to memory that came before. Posted: it returns before it arrives.
    fn write32(&self, offset: usize, value: u32);

    /// Writes 64 bits as two halves, the low one first: what every device understands.
    fn write64(&self, offset: usize, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }
}

/// Memory that host and device share: 64-bit words, zeroed when made, whole pages. The device can reach it until it is dropped.
pub trait DmaBuffer: Send + Sync {
    /// What the device calls the first byte.
    fn address(&self) -> u64;

    /// Words of 64 bits.
    fn words(&self) -> usize;

    /// Reads a word; one access. Panics beyond the end.
    fn load(&self, word: usize, ordering: Ordering) -> u64;

    /// Writes a word; one access. Panics beyond the end.
    fn store(&self, word: usize, value: u64, ordering: Ordering);
}

/// A function of a PCI Express device, opened by one driver.
pub trait PciFunction: Send {
    /// Its registers.
    type Bar: Mmio;
    /// Its memory.
    type Dma: DmaBuffer;

    /// Who it says it is.
    ///
    /// # Errors
    /// When its configuration space cannot be read.
    fn ids(&self) -> Result<Ids, PciError>;

    /// Maps a BAR, from 0 to 5.
    ///
    /// # Errors
    /// When there is none, or it cannot be mapped.
    fn bar(&self, index: usize) -> Result<Self::Bar, PciError>;

    /// Lets the function reach memory, or stops it. Registers work either way.
    ///
    /// # Errors
    /// When its configuration space cannot be written.
    fn set_bus_master(&self, on: bool) -> Result<(), PciError>;

    /// Memory of at least `bytes` bytes that the function may read and write.
    ///
    /// # Errors
    /// When the system has none, or has no addresses left for it.
    fn dma(&self, bytes: usize) -> Result<Self::Dma, PciError>;

    /// Signals vector `i` on the event descriptor `events[i]`. The descriptors must stay open until the function is dropped.
    ///
    /// # Errors
    /// When the function has fewer vectors, or none.
    fn interrupts(&self, events: &[RawFd]) -> Result<InterruptKind, PciError>;

    /// Resets the function, and it alone: everything that it was told is forgotten.
    ///
    /// # Errors
    /// When it has no such reset.
    fn reset(&self) -> Result<(), PciError>;
}
