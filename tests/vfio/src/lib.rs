//! The driver over real VFIO, without a board.
//!
//! `host` boots a virtual machine (QEMU without KVM, Debian's cloud kernel) with an Intel IOMMU and two devices. Its only program is
//! `guest`, static, as `init`: it binds the devices to `vfio-pci` and drives them with the product's own `pci` module, driver and
//! shadow.
//!
//! - `edu` is QEMU's device for teaching: registers, DMA, an interrupt. It shows that all three work through [`Vfio`], and that a DMA
//!   outside of what is mapped, or to what was given back, faults in the IOMMU and changes nothing.
//! - `ivshmem-doorbell` is memory that the guest and a process of the host share. `host` is that process, and is the device: the
//!   product's device model, whose registers the guest reaches by a mailbox, and whose DMA lands in the shared memory dword by dword
//!   while the guest looks. Two processes, two schedulers, real concurrency.
//!
//! [`Vfio`]: wirebook_bypass::pci::vfio::Vfio

pub mod cpio;
pub mod device;
pub mod mailbox;

use wirebook_matcher::abi::Limits;

/// Bytes of the shared memory: the mailbox's page, and what DMA reaches.
pub const SHARED_BYTES: usize = 1 << 20;

/// The first device address of the shared memory's second page: an address that is nobody's by accident.
pub const DMA_BASE: u64 = 0x10_0000_0000;

/// Events after which the device model stalls, once the guest has asked for it.
pub const STALL_AFTER: u32 = 500;

/// Sizes of the device, on both sides.
pub fn limits() -> Limits {
    Limits { ticks: vec![64, 300], slots: 512, max_qty: 1 << 20 }
}
