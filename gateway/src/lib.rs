//! The venue: sessions, risk, sequencer, journal, publisher, command line.

pub mod cli;
pub mod client;
pub mod config;
pub mod entry;
pub mod journal;
pub mod publish;
pub mod risk;
pub mod sequencer;
pub mod session;
