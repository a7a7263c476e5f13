//! What can go wrong with a kernel that is clocked in this process.

use std::path::PathBuf;

use super::Capacity;
use crate::abi::{Event, Limits, LimitsError};

/// Why a kernel cannot be made, or answers no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtlError {
    /// The limits are none.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// No elaboration is as large.
    #[error(
        "the limits do not fit the kernel: asked {ticks} ticks, {slots} slots, {books} instruments; the largest model has {} ticks, {} slots, {} \
         instruments",
        largest.ticks, largest.orders, largest.books
    )]
    Capacity {
        /// The widest band asked for.
        ticks: u32,
        /// Slots asked for.
        slots: u32,
        /// Instruments asked for.
        books: usize,
        /// What there is.
        largest: Capacity,
    },
    /// Nothing was taken and nothing came for too long.
    #[error(
        "the kernel hangs: no beat moved for {cycles} cycles, with {open} commands inside and {waiting} waiting, at cycle {at}"
    )]
    Hung {
        /// Cycles without a beat.
        cycles: u64,
        /// Commands taken and not answered.
        open: u64,
        /// Commands not taken.
        waiting: usize,
        /// Cycle of its life.
        at: u64,
    },
    /// A beat that is no event.
    #[error("the kernel answered what is no event, at cycle {at}: {words:016x?}")]
    NotAnEvent {
        /// The beat.
        words: [u64; 4],
        /// Cycle of its life.
        at: u64,
    },
    /// An event that cannot follow from those before it.
    #[error("the kernel's book contradicts itself at cycle {at}: {what}: {event:?}")]
    Impossible {
        /// What does not go together.
        what: &'static str,
        /// The event.
        event: Event,
        /// Cycle of its life.
        at: u64,
    },
    /// An assertion in the hardware's source failed.
    #[error("an assertion of the kernel failed by cycle {at}: {what}")]
    Assertion {
        /// Which.
        what: String,
        /// Cycle of its life.
        at: u64,
    },
    /// The host broke its side of the contract.
    #[error("the host broke its contract: {0}")]
    Contract(&'static str),
    /// The waveform cannot be written.
    #[error("the waveform {} cannot be opened for writing", path.display())]
    Wave {
        /// The file.
        path: PathBuf,
    },
}

impl RtlError {
    /// These limits, and a kernel that is smaller.
    pub(super) fn too_large(limits: &Limits, largest: Capacity) -> Self {
        let ticks = limits.ticks.iter().copied().max().unwrap_or(0);
        Self::Capacity { ticks, slots: limits.slots, books: limits.ticks.len(), largest }
    }
}
