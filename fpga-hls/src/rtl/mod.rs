//! The Verilated kernel: the hardware's own source, clocked in this process.
//!
//! Feature `rtl`; to build it takes Verilator and a C++ compiler (`kernel/cosim/build.rs`). The kernel is elaborated when this crate is built,
//! in the sizes of [`Model`]; [`Limits`](crate::abi::Limits) up to a model's capacity are inputs of the hardware, set at reset.
//!
//! - [`Rtl`]: the kernel behind its two streams, a [`Matcher`](crate::Matcher), with gaps in both streams if one asks for them, a count of
//!   cycles, and a waveform.
//! - [`RtlTwin`]: the same as a [`Twin`](crate::Twin), for what wants a whole book: it keeps the orders from the kernel's own events.
//! - [`cosim`]: the kernel beside another twin, event by event.
//!
//! A kernel that stops, or answers what is no event, is an error value ([`RtlError`]): every wait is bounded in cycles. `unsafe` is in
//! [`ffi`] alone.

pub mod cosim;

mod error;
mod ffi;
mod followed;
mod kernel;
mod twin;
mod upset;

use crate::abi::{Limits, contract};
pub use error::RtlError;
pub use ffi::Model;
pub use kernel::{Gaps, Rtl, Snapshot};
pub use twin::RtlTwin;

/// A memory of the kernel, as it is built: [`Rtl::rams`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ram {
    /// Where it stands in the hierarchy: `TOP.kernel_sim.core.u_next`.
    pub name: String,
    /// Words.
    pub words: u32,
    /// Bits of a word.
    pub bits: u32,
}

/// Memories of an elaboration: the most that limits may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Ticks of each book.
    pub ticks: u32,
    /// Order slots.
    pub orders: u32,
    /// Books: instruments.
    pub books: u32,
}

impl Capacity {
    /// Whether a kernel of these memories can be set to such limits: clause `limits` of the contract.
    pub fn holds(&self, limits: &Limits) -> bool {
        contract::limits(limits, self.ticks, self.orders, self.books).is_ok()
    }
}
