//! The machine under random records, bad records, lying matchers; its image; its golden roots; its sources.

mod faults;
mod gateway;
mod golden;
mod hostile;
mod images;
mod oracle;
pub(crate) mod random;
mod refusals;
mod sources;
mod speed;
