//! What matching means, once, and how it executes.
//!
//! - [`abi`]: the beats, their limits and capability bits: the only source of every constant.
//! - [`Matcher`] and [`Twin`]: the contract of everything that matches.

pub mod abi;
mod matcher;

pub use matcher::{Matcher, Resting, RestoreError, Twin};
