//! The register map: everything that host and device agree on besides the beats. This page is the specification for both sides.
//!
//! BAR 0, 4 KiB, little-endian, 32-bit accesses only. RO: read by the host; WO: written by the host, reads as 0; RW: both.
//!
//! | byte | name | | meaning |
//! |---|---|---|---|
//! | 0x000 | [`ID`] | RO | [`ID_VALUE`]: the bytes `WRBK` |
//! | 0x004 | [`VERSION`] | RO | bits 15..0 [`ABI_VERSION`](crate::abi::ABI_VERSION), bits 31..16 [`MAP_VERSION`] |
//! | 0x008 | [`ABI`] | RO | first four bytes of [`abi_hash`](crate::abi::abi_hash), the first lowest |
//! | 0x00c | [`CAPABILITIES`] | RO | [`Capabilities`](crate::abi::Capabilities) |
//! | 0x010 | [`INSTRUMENTS`] | RO | number of books |
//! | 0x014 | [`SELECT`] | RW | the book that `TICKS` is about |
//! | 0x018 | [`TICKS`] | RO | ticks of that book's band; 0: no such book |
//! | 0x01c | [`SLOTS`] | RO | order slots |
//! | 0x020 | [`MAX_QTY`] | RO | largest quantity of an order |
//! | 0x024 | [`CONTROL`] | WO | bit 0 [`RUN`], bit 1 [`RESET`], bits 31..16 the epoch |
//! | 0x028 | [`STATUS`] | RO | bit 0 [`READY`], bit 1 [`RUNNING`], bit 2 [`FAULT`], bits 15..8 the [`FaultCode`], bits 31..16 the epoch |
//! | 0x040 | [`DOORBELL`] | WO | low 32 bits of the host's count of commands: all below may be fetched |
//! | 0x044 | [`EVENT_CREDIT`] | WO | low 32 bits of the host's count of events read: their places may be written again |
//! | 0x080 | [`COMMAND_BASE`] | RW | 64 bits: device address of the command ring, a multiple of 4096 |
//! | 0x088 | [`COMMAND_BITS`] | RW | log2 of its beats, 1 to 20 |
//! | 0x090 | [`EVENT_BASE`] | RW | 64 bits: device address of the event ring, a multiple of 4096 |
//! | 0x098 | [`EVENT_BITS`] | RW | log2 of its beats, 1 to 20 |
//! | 0x0a0 | [`CREDIT_ADDRESS`] | RW | 64 bits: where the device writes its count of commands taken, a multiple of 8 |
//! | 0x0c0 | [`FETCHED`] | RO | low 32 bits of the commands taken, for the engineer |
//! | 0x0c4 | [`WRITTEN`] | RO | low 32 bits of the events written, for the engineer |
//!
//! **Rings.** Beat `i` lies at `base + 32 * (i mod beats)`. Counts begin at 0 with each reset. A command may be fetched once the
//! doorbell is above it; commands carry no phase that a device may trust. After taking commands the device writes its count as one
//! aligned 8-byte write to `CREDIT_ADDRESS`. An event is one aligned 32-byte write without relaxed ordering, the top bit of its last byte
//! being the phase: 1 in the first lap, then alternating. The device writes at most `beats` events beyond `EVENT_CREDIT`.
//!
//! **Reset.** The host writes `RESET` with a new epoch (1 to 65535). The device stops, lets go of every write under way, empties its
//! books, and then shows `READY` with that epoch: a host that has read this knows that nothing of an earlier epoch can still arrive.
//! Then the host clears the rings in its memory, writes bases and sizes, and writes `RUN` with the epoch; the device shows `RUNNING`. A
//! `RUN` with another epoch than the last reset's is ignored. Power-on, a function-level reset and a device that resets itself
//! show epoch 0.
//!
//! **Faults.** A device that cannot go on stops, and shows `FAULT` with a code until it is reset. It never answers halfway on purpose.

/// Version of this map.
pub const MAP_VERSION: u16 = 1;
/// The bytes `WRBK`, the first lowest.
pub const ID_VALUE: u32 = u32::from_le_bytes(*b"WRBK");

/// Who it is.
pub const ID: usize = 0x000;
/// Versions.
pub const VERSION: usize = 0x004;
/// Which ABI.
pub const ABI: usize = 0x008;
/// What it can do.
pub const CAPABILITIES: usize = 0x00c;
/// Books.
pub const INSTRUMENTS: usize = 0x010;
/// Which book `TICKS` is about.
pub const SELECT: usize = 0x014;
/// Ticks of the selected book.
pub const TICKS: usize = 0x018;
/// Order slots.
pub const SLOTS: usize = 0x01c;
/// Largest quantity.
pub const MAX_QTY: usize = 0x020;
/// What it shall do.
pub const CONTROL: usize = 0x024;
/// What it does.
pub const STATUS: usize = 0x028;
/// Commands that may be fetched.
pub const DOORBELL: usize = 0x040;
/// Events that have been read.
pub const EVENT_CREDIT: usize = 0x044;
/// Command ring, 64 bits.
pub const COMMAND_BASE: usize = 0x080;
/// Command ring's size.
pub const COMMAND_BITS: usize = 0x088;
/// Event ring, 64 bits.
pub const EVENT_BASE: usize = 0x090;
/// Event ring's size.
pub const EVENT_BITS: usize = 0x098;
/// Where credits for commands go, 64 bits.
pub const CREDIT_ADDRESS: usize = 0x0a0;
/// Commands taken.
pub const FETCHED: usize = 0x0c0;
/// Events written.
pub const WRITTEN: usize = 0x0c4;

/// Bytes of BAR 0.
pub const BAR_BYTES: usize = 4096;
/// Most bits of a ring's size.
pub const MAX_RING_BITS: u32 = 20;

/// `CONTROL`: fetch and answer.
pub const RUN: u32 = 1;
/// `CONTROL`: forget everything.
pub const RESET: u32 = 1 << 1;

/// `STATUS`: a reset is complete, and nothing has run since.
pub const READY: u32 = 1;
/// `STATUS`: it fetches and answers.
pub const RUNNING: u32 = 1 << 1;
/// `STATUS`: it has stopped by itself.
pub const FAULT: u32 = 1 << 2;

/// Why a device has stopped by itself: bits 15..8 of `STATUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FaultCode {
    /// No fault.
    None = 0,
    /// The doorbell is more than a ring ahead.
    Doorbell = 1,
    /// Host memory could not be read or written.
    Dma = 2,
    /// The event credit is ahead of what was written.
    Credit = 3,
    /// A ring's size or address is out of range.
    Ring = 4,
    /// The kernel reported an error of its own, such as an uncorrectable one of a RAM.
    Kernel = 5,
}

impl FaultCode {
    /// The code in a `STATUS` value; `None`: a number that means nothing.
    pub const fn of(status: u32) -> Option<Self> {
        match (status >> 8) as u8 {
            0 => Some(Self::None),
            1 => Some(Self::Doorbell),
            2 => Some(Self::Dma),
            3 => Some(Self::Credit),
            4 => Some(Self::Ring),
            5 => Some(Self::Kernel),
            _ => None,
        }
    }
}

/// The epoch in a `CONTROL` or `STATUS` value.
pub const fn epoch_of(value: u32) -> u16 {
    (value >> 16) as u16
}

/// A `CONTROL` value.
pub const fn control(bits: u32, epoch: u16) -> u32 {
    bits | (epoch as u32) << 16
}

/// What `VERSION` must read.
pub const fn version() -> u32 {
    crate::abi::ABI_VERSION as u32 | (MAP_VERSION as u32) << 16
}

/// What `ABI` must read.
pub fn abi_word() -> u32 {
    let [first, second, third, fourth, ..] = crate::abi::abi_hash();
    u32::from_le_bytes([first, second, third, fourth])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_stand_apart_and_codes_come_back() {
        let words = [ID, VERSION, ABI, CAPABILITIES, INSTRUMENTS, SELECT, TICKS, SLOTS, MAX_QTY, CONTROL, STATUS];
        let more = [DOORBELL, EVENT_CREDIT, COMMAND_BITS, EVENT_BITS, FETCHED, WRITTEN];
        let wide = [COMMAND_BASE, EVENT_BASE, CREDIT_ADDRESS];
        let mut taken: Vec<usize> = words.into_iter().chain(more).collect();
        taken.extend(wide.iter().flat_map(|at| [*at, at + 4]));
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(taken.iter().all(|at| at.is_multiple_of(4) && *at < BAR_BYTES));
        for code in 0..=5u8 {
            let status = FAULT | u32::from(code) << 8 | 0x1234_0000;
            assert_eq!(FaultCode::of(status).map(|code| code as u8), Some(code));
            assert_eq!(epoch_of(status), 0x1234);
        }
        assert_eq!(FaultCode::of(6 << 8), None);
        assert_eq!(ID_VALUE.to_le_bytes(), *b"WRBK");
    }
}
