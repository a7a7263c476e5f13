//! Order flow: files of orders and of fills, the offline matcher between them, and seeded generators.
//!
//! What makes flow or reads it, for tests, demo, simulator and bench alike. Nothing here is on the hot path, and nothing
//! here decides what matching means: orders become beats, a twin answers.

pub mod audit;
pub mod band;
pub mod beats;
pub mod coverage;
mod csv;
pub mod digest;
pub mod fills;
pub mod ids;
pub mod matching;
pub mod offline;
pub mod orders;
pub mod random;
pub mod realistic;
pub mod scenario;
pub mod vectors;

pub use audit::{Audit, Violation};
pub use band::{Band, BandError, Survey};
pub use beats::{Beats, Mix};
pub use coverage::{Coverage, outcome};
pub use csv::{CsvError, FieldError};
pub use digest::{Digesting, FillsDigest};
pub use fills::{FILLS_HEADER, Fill, FillsReader, FillsWriter};
pub use ids::Ids;
pub use matching::{FlowError, Matched, match_orders};
pub use offline::{Offline, OrderState, Refused, Summary};
pub use orders::{ORDERS_HEADER, Op, OrderLine, OrdersReader, OrdersWriter};
pub use random::Random;
pub use realistic::{Generated, Realistic, RealisticConfig};
pub use scenario::{Flow, Scenario, Sent};
pub use vectors::{Case, Step, Vectors, VectorsError};
