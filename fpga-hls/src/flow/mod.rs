//! Order flow: files of orders and of fills, the offline matcher between them, and seeded generators.
//!
//! What makes flow or reads it, for tests, demo, simulator and bench alike. Nothing here is on the hot path, and nothing
//! here decides what matching means: orders become beats, a twin answers.

mod csv;
pub mod fills;
pub mod orders;

pub use csv::{CsvError, FieldError};
pub use fills::{FILLS_HEADER, Fill, FillsReader, FillsWriter};
pub use orders::{ORDERS_HEADER, Op, OrderLine, OrdersReader, OrdersWriter};
