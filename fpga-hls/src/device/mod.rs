//! A matcher behind PCI Express: the driver, and models of what stands on the other side.
//!
//! ```text
//!  Device (Matcher) ──commands, doorbell──► registers and rings ──► the kernel
//!         ▲                                 (PciFunction)               │
//!         └──────────────events, phase in word 3────────────────────────┘
//! ```
//!
//! - [`registers`]: the map that both sides are built to.
//! - [`Device`]: the driver, over any [`PciFunction`](wirebook_bypass::pci::PciFunction): a board through VFIO, or a model.
//!   [`offers`] asks what it can do before it is opened.
//! - [`Model`]: a device around any [`Matcher`](crate::Matcher) (software twin, Verilated kernel), on a bus that delivers in pieces; with
//!   [`DeviceFault`]s that a test injects.
//! - [`Clock`]: whose time a time-out means.

mod clock;
mod driver;
mod error;
mod faults;
mod model;
pub mod registers;

pub use clock::{Clock, Manual, Monotonic};
pub use driver::{Device, DeviceConfig, LEAST_POLLS, offers};
pub use error::DeviceError;
pub use faults::{DeviceFault, Upset};
pub use model::Model;
