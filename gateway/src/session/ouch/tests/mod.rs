//! Tests of the messages' bytes and values.

mod golden;
mod properties;
mod values;
