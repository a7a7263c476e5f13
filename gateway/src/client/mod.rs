//! An OUCH client: what `wirebook replay`, the demo and whole-system tests trade with.
//!
//! - [`Link`]: one connection to a venue over any [`StreamPort`](wirebook_bypass::stream::StreamPort), logged in, with reconnection at
//!   the next number.
//! - [`OuchOrders`]: lines of an Orders CSV to OUCH messages, and what the venue says back to fills. It knows which order is which
//!   through replacements, what each has executed, and when that knowledge is certain.
//! - [`Pairs`]: the two executions of one trade to one fill.
//!
//! Nothing here decides time: `now` comes from the caller, and waits are the caller's.

mod link;
mod messages;
mod orders;
mod pairs;
mod plan;
#[cfg(test)]
mod tests;

pub use link::{Heard, Link, LinkClock, LinkConfig, LinkError};
pub use messages::{MAX_MESSAGE, Outgoing};
pub use orders::OuchOrders;
pub use pairs::{Half, Pairs};
pub use plan::{Counts, Plan, Refusal, Told};
