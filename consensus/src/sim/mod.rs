//! The deterministic cluster: several validators, their disks and their network in one thread, made of one seed.
//!
//! What runs is the validator itself: its engine, its storage, its checks, its state machine. Only the network, the clock, the disks and the
//! gateway are simulated, and do what the worst of them do ([`Fault`]). An observer checks what must hold whatever happens ([`Check`]);
//! bugs that are planted show that each check can fail ([`Planted`]). The same seed gives the same run.

#[cfg(feature = "engine")]
mod checks;
pub mod disk;
#[cfg(feature = "engine")]
mod member;
#[cfg(feature = "engine")]
mod plan;
#[cfg(feature = "engine")]
mod planted;
#[cfg(feature = "engine")]
mod readers;
#[cfg(feature = "engine")]
mod run;
pub mod venue;

#[cfg(feature = "engine")]
pub use {
    checks::{Check, Violation},
    plan::{Fault, MEMBERS},
    planted::Planted,
    run::{Outcome, Setup, run, run_twice},
};
