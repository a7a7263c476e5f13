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
//! Without feature `commonware` this package is empty.
#![cfg(feature = "commonware")]

mod agreement;
mod application;
mod applier;
pub mod block;
mod identity;
mod network;
mod node;
mod single;

pub use agreement::{Agreement, Body, Next, Verdict};
pub use node::Timing;
pub use single::Single;
