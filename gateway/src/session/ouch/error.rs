//! What can be wrong with a message, precisely enough for a log line or an answer.

use std::fmt;

use thiserror::Error;

use super::reason::RejectReason;
use crate::session::Alpha;

/// The bytes are no message of the expected kind. The peer speaks another language: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{message}, {field} at offset {offset}: {fault}")]
pub struct DecodeError {
    /// The message's name.
    pub message: &'static str,
    /// The field that is wrong, or the first that is missing.
    pub field: &'static str,
    /// Where that field, or tag, starts, in bytes from the message's type byte.
    pub offset: usize,
    /// What was found there, and what is allowed.
    pub fault: Fault,
}

/// What is structurally wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// There is nothing.
    #[error("the message is empty, a type byte is the least")]
    Empty,
    /// The type byte is not one of these.
    #[error("found type '{}', allowed are {allowed}", .found.escape_ascii())]
    UnknownType {
        /// The type byte.
        found: u8,
        /// The types there are.
        allowed: &'static str,
    },
    /// The message ends too early.
    #[error("found {found} bytes in all, allowed are {needed} or more")]
    Truncated {
        /// Bytes there.
        found: usize,
        /// Bytes that there must be.
        needed: usize,
    },
    /// The message goes on behind its last field.
    #[error("found {found} bytes in all, allowed are exactly {needed}")]
    Surplus {
        /// Bytes there.
        found: usize,
        /// Bytes that there must be.
        needed: usize,
    },
    /// The appendage's length field disagrees with the bytes behind it.
    #[error("found appendage length {found}, {present} bytes follow")]
    AppendageLength {
        /// The length field.
        found: usize,
        /// The bytes behind it.
        present: usize,
    },
    /// An option without even a tag.
    #[error("found option length 0, allowed are 1 to 255")]
    EmptyOption,
    /// An option that goes on behind the appendage's end.
    #[error("found option length {found}, {present} bytes are left of the appendage")]
    OptionOverrun {
        /// The option's length byte.
        found: usize,
        /// Bytes behind it.
        present: usize,
    },
    /// A known option with a value of the wrong width.
    #[error("found {found} value bytes for tag {tag}, allowed are {needed}")]
    OptionWidth {
        /// The tag.
        tag: u8,
        /// Bytes there.
        found: usize,
        /// Bytes that its value has.
        needed: usize,
    },
}

/// A value that a sound message may not carry. The gateway answers `Rejected` with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{message}, {field} at offset {offset}: found {found}, allowed: {allowed}")]
pub struct InvalidField {
    /// The message's name.
    pub message: &'static str,
    /// The field.
    pub field: &'static str,
    /// Where it starts, in bytes from the message's type byte; for an option, where the appendage starts.
    pub offset: usize,
    /// What stands there.
    pub found: Found,
    /// What may stand there.
    pub allowed: &'static str,
    /// The answer.
    pub reason: RejectReason,
}

/// A value in an error, shown as its field's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A code.
    Byte(u8),
    /// A number.
    Number(u64),
    /// A symbol.
    Text(Alpha<8>),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(f, "'{}'", byte.escape_ascii()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The output does not hold the message; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{needed} bytes needed, {room} there: give a larger buffer")]
pub struct NoRoom {
    /// Bytes that the message takes.
    pub needed: usize,
    /// Bytes there.
    pub room: usize,
}
