//! Registers over shared memory: one request at a time, in order, none lost, as PCI Express delivers them.
//!
//! The guest fills in [`KIND`], [`OFFSET`] and [`VALUE`], then adds one to [`ASKED`]. The host acts, fills in [`RESULT`], then makes
//! [`ANSWERED`] equal. A write is posted: the guest waits for the answer to the one before, not for its own. All are 32-bit
//! little-endian words, by byte offset; what each side polls has a cache line of its own.

/// Requests made: the guest's.
pub const ASKED: usize = 0;
/// [`READ`], [`WRITE`] or [`DRILL`].
pub const KIND: usize = 4;
/// The register.
pub const OFFSET: usize = 8;
/// What is written.
pub const VALUE: usize = 12;
/// Requests answered: the host's.
pub const ANSWERED: usize = 64;
/// What was read.
pub const RESULT: usize = 68;
/// Bytes before what DMA reaches.
pub const BYTES: usize = 4096;

/// Reads a register.
pub const READ: u32 = 1;
/// Writes a register.
pub const WRITE: u32 = 2;
/// Asks the device to stall after so many more events: no register of a real one.
pub const DRILL: u32 = 3;
