//! What can go wrong with a device, and what to do about it.

use thiserror::Error;
use wirebook_bypass::pci::{Ids, PciError};
use wirebook_bypass::ring::RingError;

use super::registers::FaultCode;

/// Why a device cannot be used, or no longer.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The function could not be opened, mapped or told.
    #[error(transparent)]
    Pci(#[from] PciError),
    /// The configured rings cannot be had.
    #[error("the device's rings: {0}")]
    Ring(#[from] RingError),
    /// A register of identity reads otherwise.
    #[error(
        "function {ids}: register {register} reads {found:#010x}, must be {wanted:#010x}; load the bitstream that \
         belongs to this release"
    )]
    Identity {
        /// The function.
        ids: Ids,
        /// The register's name.
        register: &'static str,
        /// What it reads.
        found: u32,
        /// What it must read.
        wanted: u32,
    },
    /// The device was made for other sizes.
    #[error(
        "the device's {what} is {found}, the shard needs {wanted}; configure the shard so, or load another bitstream"
    )]
    Limits {
        /// Which size.
        what: String,
        /// The device's.
        found: u32,
        /// The shard's.
        wanted: u32,
    },
    /// It does not finish a reset, or does not start.
    #[error(
        "the device does not become {state} within {waited_ns} ns of reset {epoch}: STATUS reads {status:#010x}; reset \
         the function, or load its bitstream anew"
    )]
    Reset {
        /// What was waited for.
        state: &'static str,
        /// How long.
        waited_ns: u64,
        /// The reset's epoch.
        epoch: u16,
        /// The last status.
        status: u32,
    },
    /// Nobody answers at its registers.
    #[error("the device is gone: its registers read as all ones; reseat it, or reset the slot, then start again")]
    Gone,
    /// It has stopped by itself, and says why.
    #[error(
        "the device has stopped with fault {code:?} (STATUS {status:#010x}); reset it, and look at its address map"
    )]
    Fault {
        /// Why, if the number means something.
        code: Option<FaultCode>,
        /// The status.
        status: u32,
    },
    /// It is no longer in the epoch that it was started in.
    #[error("the device has reset itself: STATUS {status:#010x} is not of epoch {epoch}; its books are lost, reset it")]
    Restarted {
        /// The epoch that it was in.
        epoch: u16,
        /// The status.
        status: u32,
    },
    /// It runs, says that nothing is wrong, and does not answer.
    #[error("the device has not answered event {index} of command {seq:#018x} for {waited_ns} ns; reset it")]
    Silent {
        /// The command that is due.
        seq: u64,
        /// The event that is due.
        index: u32,
        /// How long.
        waited_ns: u64,
    },
    /// It answered another command, or out of order.
    #[error(
        "the device's event {index} of {found:#018x} came where event {wanted_index} of {wanted:#018x} was due; reset it"
    )]
    OutOfSequence {
        /// The command that is due.
        wanted: u64,
        /// The event that is due.
        wanted_index: u32,
        /// The event's seq.
        found: u64,
        /// The event's index.
        index: u32,
    },
    /// It answered what is no event.
    #[error("the device answered command {seq:#018x} with a beat that is no event: {beat:016x?}; reset it")]
    Garbage {
        /// The command that is due.
        seq: u64,
        /// The beat.
        beat: [u64; 4],
    },
    /// It answered although nothing was asked.
    #[error("the device gave a beat that nobody asked for: {beat:016x?}; reset it")]
    Unasked {
        /// The beat.
        beat: [u64; 4],
    },
}
