//! The driver against the device model: the same answers as the oracle over a bus that delivers in pieces, and each way to fail.

mod answers;
mod bench;
mod failures;
mod resets;
