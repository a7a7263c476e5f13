//! Reading and writing fields: little-endian, bounds checked, every refusal with the field's name and offset.

use super::error::{Allowed, RecordError};

/// Reads fields in order. `at` counts from the record's first byte, so that errors say where.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! integers {
    ($($name:ident: $type:ty),+) => {
        $(pub(super) fn $name(&mut self, field: &'static str) -> Result<$type, RecordError> {
            self.array(field).map(<$type>::from_le_bytes)
        })+
    };
}

impl<'a> Reader<'a> {
    /// Reads from `bytes[at..]`.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    integers!(u16: u16, u32: u32, u64: u64, u128: u128, i8: i8, i32: i32, i128: i128);

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, RecordError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], RecordError> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let Some((array, _)) = rest.split_first_chunk::<N>() else {
            return Err(RecordError::short(self.at, field, rest.len(), N));
        };
        self.at += N;
        Ok(*array)
    }

    pub(super) fn slice(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], RecordError> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let Some(slice) = rest.get(..length) else {
            return Err(RecordError::short(self.at, field, rest.len(), length));
        };
        self.at += length;
        Ok(slice)
    }

    /// A byte that `known` turns into a value.
    pub(super) fn choice<T>(
        &mut self,
        field: &'static str,
        allowed: &'static str,
        known: impl Fn(u8) -> Option<T>,
    ) -> Result<T, RecordError> {
        let offset = self.at;
        let byte = self.u8(field)?;
        known(byte).ok_or(RecordError { offset, field, found: i128::from(byte), allowed: Allowed::Text(allowed) })
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, RecordError> {
        self.choice(field, "0 or 1", |byte| (byte <= 1).then_some(byte == 1))
    }

    pub(super) fn zeros(&mut self, field: &'static str, length: usize) -> Result<(), RecordError> {
        let offset = self.at;
        let slice = self.slice(field, length)?;
        match slice.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(at) => Err(RecordError {
                offset: offset + at,
                field,
                found: i128::from(slice[at]),
                allowed: Allowed::Exactly(0),
            }),
        }
    }

    /// The offset of the next field.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Another reader of what is left.
    pub(super) fn ahead(&self) -> Self {
        Self { bytes: self.bytes, at: self.at }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), RecordError> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(RecordError {
            offset: self.at,
            field: "length",
            found: (self.bytes.len() - self.at) as i128,
            allowed: Allowed::Text("nothing behind the last field"),
        })
    }

    /// An error at a field that ended just now and took `width` bytes.
    pub(super) fn bad(&self, width: usize, field: &'static str, found: i128, allowed: Allowed) -> RecordError {
        RecordError { offset: self.at - width, field, found, allowed }
    }
}

/// An enum over a byte, with the list of what is allowed.
macro_rules! byte_enum {
    ($(#[$meta:meta])* $name:ident($field:literal, $allowed:literal) {
        $($(#[$vmeta:meta])* $variant:ident = $value:literal => $text:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $value),+ }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: [Self; [$($value),+].len()] = [$(Self::$variant),+];

            /// The value of this byte; `None` when the byte means nothing.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// Its name, as `journal dump` prints it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub(super) fn read(reader: &mut $crate::record::wire::Reader<'_>)
                -> Result<Self, $crate::record::RecordError> {
                reader.choice($field, $allowed, Self::from_byte)
            }
        }
    };
}
pub(super) use byte_enum;
