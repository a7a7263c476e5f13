//! What a client says and hears: SoupBinTCP below, OUCH 5.0 above.
//!
//! Everything here is sans-IO: bytes come in as slices, go out through a bounded [`Sink`], and time is handed in as `now`,
//! any monotone count of nanoseconds. Nothing allocates once a connection is set up, nothing panics on what a client sends,
//! and a hostile client ends only its own connection, with a reason fit for a log line.
//!
//! - [`soup`]: packets, and the two ends of one connection as state machines.
//! - [`ouch`]: the messages inside, typed. Decoding finds structural faults (the connection ends); validation finds wrong
//!   values in a sound message (an OUCH `Rejected` answers).

mod alpha;
mod buffer;
pub mod ouch;
mod port;
pub mod soup;

pub use alpha::Alpha;
pub use buffer::{Buffer, Sink};
pub use port::PortSink;
