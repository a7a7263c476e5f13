//! The consensus engine: commonware's simplex and marshal, wired to agree on numbered bodies of bytes.
//!
//! What a body means, when it is valid and where it is kept is the [`Agreement`]'s business; the engine orders bodies, and no code of
//! the machine or the ledger is compiled into it. That is why it is a package of its own: the engine is one large monomorphization,
//! minutes to build, and must not be built again whenever something around it changes. Nothing generic crosses its surface.
//!
//! ```text
//! Agreement::next ──► propose ──► votes, certificates ──► marshal ──► Agreement::settle
//!                        verify ◄── blocks of others
//! ```
//!
//! - [`Validator`] runs one in the real world, alone or in a committee. [`node`] is the wiring that it shares with a simulator: over a
//!   [`context`], which is a real runtime or a simulated one, and over [`network`] channels, whatever stands behind them.
//! - [`simulated`]: several of them in a world made of one seed.
//! - [`shelf`]: where votes, blocks and certificates are kept; the caller brings it. [`certificate`]: what a quorum has signed.
//!
//! Without feature `commonware` this package is empty.
#![cfg(feature = "commonware")]

mod agreement;
mod application;
mod applier;
pub mod block;
pub mod certificate;
pub mod context;
mod identity;
pub mod network;
pub mod node;
pub mod shelf;
pub mod simulated;
mod validator;

pub use agreement::{Agreement, Body, Metrics, Moment, Next, Note, Place, Verdict};
pub use node::Timing;
pub use validator::{MAX_MEMBERS, Member, Membership, Part, Validator};
