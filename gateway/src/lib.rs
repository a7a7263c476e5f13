//! The venue: sessions, risk, sequencer, journal, publisher, command line.

pub mod cli;
pub mod client;
pub mod config;
pub mod journal;
pub mod session;
