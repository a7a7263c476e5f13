//! What matching means, once, and how it executes.
//!
//! - [`abi`]: the beats, their limits and capability bits: the only source of every constant.
//! - [`Matcher`] and [`Twin`]: the contract of everything that matches.
//! - [`Reference`]: plain and obviously right, for tests and oracles. [`Software`]: the fast twin.
//! - [`Queued`]: a twin behind the stream of beats.
//! - [`device`]: a matcher behind PCI Express, and models of it.
//! - [`shadow`]: a device followed, and replaced by the twin when it fails.
//! - [`flow`]: order files, the offline matcher, seeded generators.
//! - `rtl` (cargo feature): the Verilated kernel.
//! - [`exhaustive`]: every state of a tiny book, and every command in it.

pub mod abi;
mod consistency;
pub mod device;
pub mod exhaustive;
pub mod flow;
mod matcher;
mod queued;
mod reference;
#[cfg(feature = "rtl")]
pub mod rtl;
pub mod shadow;
mod software;

pub use consistency::Broken;
pub use queued::Queued;
pub use reference::{Fault, Reference};
pub use software::Software;

pub use matcher::{Matcher, Resting, RestoreError, Twin};
