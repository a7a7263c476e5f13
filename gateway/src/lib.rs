//! The venue: sessions, risk, sequencer, journal, publisher, settlement, command line.
//!
//! [`serve`] starts and stops one; [`pipeline`] is its hot path; [`entry`], [`risk`] and [`sequencer`] turn what clients say into
//! records; [`publish`] turns records and events into what clients are told; [`recover`] does all of it again from a journal.

pub mod admin;
pub mod cli;
pub mod client;
pub mod config;
pub mod day;
pub mod entry;
pub mod hex;
pub mod journal;
pub mod pipeline;
pub mod publish;
pub mod recover;
pub mod risk;
pub mod sequencer;
pub mod serve;
pub mod session;
pub mod settle;
