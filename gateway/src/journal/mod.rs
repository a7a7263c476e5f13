//! The journal: an ordered stream of records, durable before it is acknowledged.
//!
//! A record is opaque here, but for its header's seq, length and shard. [`Journal`] gathers records into groups and
//! commits each as one block, by one write and one sync; [`recover`] reads a whole journal back, verifies every byte,
//! and decides where it ends; snapshots shorten what a start must apply.
//!
//! What [`Journal::durable`] has returned survives kill -9 and power loss. A failed write stops that watermark for
//! good: the disk's answer to a failed sync is not to be trusted twice.
//!
//! - [`format`]: the bytes. [`reader`]: one segment. [`recover`](mod@recover): all of them, and the rule of the tail.
//! - [`storage`]: what is asked of a disk; [`DirectStorage`] is one, [`SimStorage`] one that crashes on purpose.

mod block;
mod config;
mod direct;
pub mod format;
mod maker;
mod prune;
mod range;
pub mod reader;
pub mod recover;
mod recovered;
mod segment;
mod sim;
mod sim_disk;
pub mod snapshot;
pub mod storage;
mod sys;
mod uring;
mod writer;

#[cfg(test)]
mod tests;

pub use block::{BlockHeader, Verify};
pub use config::{BlockMark, JournalConfig, JournalError};
pub use direct::{DirectOptions, DirectStorage, LOCK_FILE};
pub use format::{RECORD_HEADER, epoch_of, seq_after};
pub use prune::prune;
pub use range::read_range;
pub use reader::{RecordAt, check_bytes};
pub use recover::{Expect, Visit, recover};
pub use recovered::{LastWrite, RecoverError, Recovered, SegmentInfo, Tail, VisitError};
pub use segment::SegmentHeader;
pub use sim::{SimDisk, SimStorage};
pub use sim_disk::{Crash, Faults, Seeded};
pub use snapshot::{Chosen, Newest, Snapshot, SnapshotError, SnapshotMeta, choose, newest_good, write_snapshot};
pub use storage::{Dir, Media, Storage, StorageError};
pub use writer::Journal;
