//! The validator: re-executes what the gateway signed, agrees on it with its peers, and keeps it.
//!
//! ```text
//! gateway ── offer ──► inbox ──► engine: propose, vote, finalize ──► store ──► status ──► gateway
//!                                   │                         │
//!                                   └─ replica: re-execute, compare
//! ```
//!
//! - [`executor`]: the seam to the state machine. [`replica`]: what is checked of a batch, and the only caller of the executor.
//! - [`store`]: finalized batches, durable; over a [`volume`]. [`evidence`]: refused batches, kept for whoever has to judge.
//! - [`inbox`]: batches on their way in, bounded. [`status`]: what the gateway may see of all this.
//!
//! - [`notes`]: barriers on their way into a block. [`recent`]: the newest settled blocks. [`reading`]: answers with proofs, from both.
//! - [`service`]: the port at which a validator takes batches and answers questions; [`client`] is the other end, [`wire`] their bytes.
//!   `reader` is a client that believes a quorum and nobody else.
//!   [`metrics`]: what Prometheus is told.
//!
//! - [`snapshot`]: the state after a batch, and what makes it final; [`snapshots`]: the newest of them, on disk. [`timings`]: how long batches
//!   take. With the engine: `keeper` makes snapshots, `catch_up` gets them from peers, `backup` puts a validator into one file, and
//!   `opening` says when what was restored may vote.
//!
//! All of that knows nothing of the consensus engine and is built without it. With feature `engine`, `core` is what package
//! `wirebook-engine` agrees for, `keep` makes the [vault](crate::vault) its storage, and `embedded` is one validator on a thread of its own.

#[cfg(feature = "engine")]
pub mod backup;
#[cfg(feature = "engine")]
pub mod catch_up;
pub mod client;
#[cfg(feature = "engine")]
pub(crate) mod core;
#[cfg(feature = "engine")]
pub mod embedded;
pub mod evidence;
pub mod executor;
pub mod inbox;
#[cfg(feature = "engine")]
mod keep;
#[cfg(feature = "engine")]
pub mod keeper;
pub mod metrics;
pub mod notes;
#[cfg(feature = "engine")]
pub(crate) mod opening;
#[cfg(feature = "engine")]
pub mod reader;
pub mod reading;
pub mod recent;
pub mod replica;
mod segment;
pub mod service;
#[cfg(feature = "engine")]
pub mod serving;
pub mod snapshot;
pub mod snapshots;
pub mod status;
pub mod store;
#[cfg(test)]
mod testing;
pub mod timings;
pub mod volume;
pub mod wire;
