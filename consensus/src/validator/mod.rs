//! The validator: re-executes what the gateway signed, agrees on it with its peers, and keeps it.
//!
//! ```text
//! gateway ── offer ──► inbox ──► application (propose, verify) ──► consensus ──► applier ──► store ──► status ──► gateway
//!                                     │                                             │
//!                                     └────────────── replica: re-execute, compare ─┘
//! ```
//!
//! - [`executor`]: the seam to the state machine. [`replica`]: what is checked of a batch, and the only caller of the executor.
//! - [`store`]: finalized batches, durable; over a [`volume`]. [`evidence`]: refused batches, kept for whoever has to judge.
//! - [`inbox`]: batches on their way in, bounded. [`status`]: what the gateway may see of all this.
//!
//! All of that knows nothing of the consensus engine and is built without it. With feature `engine`:
//!
//! - `block`: a batch as consensus carries it. `application`: propose and verify. `applier`: what is done with finalized blocks.
//! - `node`: one validator wired up, over any runtime and any network. `network`: the network of a validator that has no peers.
//! - `embedded`: one validator on a thread of the gateway's own process.

#[cfg(feature = "engine")]
mod application;
#[cfg(feature = "engine")]
mod applier;
#[cfg(feature = "engine")]
mod block;
#[cfg(feature = "engine")]
mod core;
#[cfg(feature = "engine")]
pub mod embedded;
pub mod evidence;
pub mod executor;
#[cfg(feature = "engine")]
mod identity;
pub mod inbox;
#[cfg(feature = "engine")]
mod network;
#[cfg(feature = "engine")]
mod node;
pub mod replica;
mod segment;
pub mod status;
pub mod store;
#[cfg(test)]
mod testing;
pub mod volume;
