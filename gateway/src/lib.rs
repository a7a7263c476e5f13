//! The venue: sessions, risk, sequencer, journal, publisher, command line.

pub mod session;
