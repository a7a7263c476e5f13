//! Why bytes are no record.

use core::fmt;

/// The first field of a record that is not what an encoder makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {field}: found {found}, allowed {allowed}")]
pub struct RecordError {
    /// Where the field begins, counted from the first byte handed over.
    pub offset: usize,
    /// The field, as the module's tables name it.
    pub field: &'static str,
    /// Its value, or for lengths how many bytes there are.
    pub found: i128,
    /// What an encoder could have written.
    pub allowed: Allowed,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// In words.
    Text(&'static str),
    /// This value alone.
    Exactly(u64),
    /// This value and more.
    AtLeast(u64),
    /// From 0 to this value.
    AtMost(u64),
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Exactly(value) => write!(f, "{value}"),
            Self::AtLeast(value) => write!(f, "at least {value}"),
            Self::AtMost(value) => write!(f, "0 to {value}"),
        }
    }
}

impl RecordError {
    pub(super) fn short(offset: usize, field: &'static str, found: usize, need: usize) -> Self {
        Self { offset, field, found: found as i128, allowed: Allowed::AtLeast(need as u64) }
    }

    /// The same error for bytes that stand `base` bytes further.
    pub(super) fn behind(self, base: usize) -> Self {
        Self { offset: self.offset + base, ..self }
    }
}
