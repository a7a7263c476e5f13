//! How a message's fields lie in its bytes.
//!
//! Each message is written down once, as the specification's table: offset, field, type. From the table come the struct, its
//! decoder and its encoder; that the offsets have neither gap nor overlap is checked when compiling. A decoder looks at the
//! length once and then reads whole fields at constant offsets: there is no loop over bytes, and nothing is allocated.

use super::code::Code;
use super::error::{DecodeError, Fault, Found, InvalidField};
use super::reason::{ReasonCode, RejectReason};
use super::{Appendage, Coded};
use crate::session::Alpha;

/// Bytes of AppendageLength.
pub(super) const APPENDAGE_LENGTH_BYTES: usize = 2;

/// A price with four implied decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub u64);

impl Price {
    /// The highest limit: 199,999.9900.
    pub const MAX: Self = Self(1_999_999_900);
    /// A market order for a cross: 200,000.00.
    pub const MARKET: Self = Self(2_000_000_000);
    /// The other way to say it: 214,748.3647.
    pub const MARKET_ALTERNATIVE: Self = Self(0x7FFF_FFFF);

    /// Whether this is one of the two marks of a market order for a cross.
    pub fn is_market(self) -> bool {
        self == Self::MARKET || self == Self::MARKET_ALTERNATIVE
    }
}

/// A type that takes a fixed number of bytes in a message.
pub(super) trait Field: Sized {
    /// That number.
    const BYTES: usize;

    /// Of exactly [`BYTES`](Self::BYTES) bytes.
    fn read(bytes: &[u8]) -> Self;

    /// Into exactly [`BYTES`](Self::BYTES) bytes.
    fn write(&self, out: &mut [u8]);
}

macro_rules! integer_field {
    ($($integer:ty),*) => { $(
        impl Field for $integer {
            const BYTES: usize = size_of::<Self>();

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                Self::from_be_bytes(bytes.try_into().expect("the range has the field's width"))
            }

            #[inline]
            fn write(&self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_be_bytes());
            }
        }
    )* };
}

integer_field!(u8, u16, u32, u64, i32);

impl Field for Price {
    const BYTES: usize = 8;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(u64::read(bytes))
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        self.0.write(out);
    }
}

impl Field for ReasonCode {
    const BYTES: usize = 2;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(u16::read(bytes))
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        self.0.write(out);
    }
}

impl<const N: usize> Field for Alpha<N> {
    const BYTES: usize = N;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(bytes.try_into().expect("the range has the field's width"))
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

impl<E> Field for Code<E> {
    const BYTES: usize = 1;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self::from_raw(bytes[0])
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        out[0] = self.raw();
    }
}

/// A message's shape: what a log or a test needs to know about it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The message's name in the specification.
    pub message: &'static str,
    /// The type byte.
    pub kind: u8,
    /// Bytes of the fixed part, the appendage's length included.
    pub bytes: usize,
    /// Whether options may follow.
    pub appended: bool,
    /// Name, offset and width of the fields between the type byte and the appendage's length.
    pub fields: &'static [(&'static str, usize, usize)],
}

impl Layout {
    /// Whether the fields fill the message without gap or overlap.
    pub(super) const fn is_contiguous(&self) -> bool {
        let mut at = 1;
        let mut index = 0;
        while index < self.fields.len() {
            let (_, offset, width) = self.fields[index];
            if offset != at {
                return false;
            }
            at += width;
            index += 1;
        }
        let tail = if self.appended { APPENDAGE_LENGTH_BYTES } else { 0 };
        at + tail == self.bytes
    }

    /// The fixed part, once type and length are right.
    #[inline(always)]
    pub(super) fn fixed<'a, const N: usize>(&self, bytes: &'a [u8]) -> Result<&'a [u8; N], DecodeError> {
        debug_assert_eq!(N, self.bytes);
        let Some(fixed) = bytes.first_chunk::<N>() else { return Err(self.truncated(bytes)) };
        if fixed[0] != self.kind {
            return Err(self.wrong_type(fixed[0]));
        }
        if !self.appended && bytes.len() != N {
            return Err(self.error("end", N, Fault::Surplus { found: bytes.len(), needed: N }));
        }
        Ok(fixed)
    }

    /// What follows the fixed part, once it is sound.
    #[inline(always)]
    pub(super) fn appendage<'a>(&self, bytes: &'a [u8]) -> Result<Appendage<'a>, DecodeError> {
        let (fixed, tail) = bytes.split_at(self.bytes);
        let length_at = self.bytes - APPENDAGE_LENGTH_BYTES;
        let found = usize::from(u16::read(&fixed[length_at..]));
        if found != tail.len() {
            return Err(self.error(
                "appendage length",
                length_at,
                Fault::AppendageLength { found, present: tail.len() },
            ));
        }
        if tail.is_empty() {
            return Ok(Appendage::EMPTY);
        }
        Appendage::new(tail).map_err(|error| DecodeError {
            message: self.message,
            offset: error.offset + self.bytes,
            ..error
        })
    }

    #[cold]
    fn truncated(&self, bytes: &[u8]) -> DecodeError {
        let Some(&kind) = bytes.first() else { return self.error("type", 0, Fault::Empty) };
        if kind != self.kind {
            return self.wrong_type(kind);
        }
        let cut = self.fields.iter().find(|(_, offset, width)| offset + width > bytes.len());
        let (field, offset) =
            cut.map_or(("appendage length", self.bytes - APPENDAGE_LENGTH_BYTES), |cut| (cut.0, cut.1));
        self.error(field, offset, Fault::Truncated { found: bytes.len(), needed: self.bytes })
    }

    #[cold]
    fn wrong_type(&self, found: u8) -> DecodeError {
        self.error("type", 0, Fault::UnknownType { found, allowed: "the message's own" })
    }

    #[cold]
    fn error(&self, field: &'static str, offset: usize, fault: Fault) -> DecodeError {
        DecodeError { message: self.message, field, offset, fault }
    }

    /// An error about the value of a field, by its name.
    #[cold]
    pub(super) fn invalid(
        &self,
        field: &'static str,
        found: Found,
        allowed: &'static str,
        reason: RejectReason,
    ) -> InvalidField {
        // A name that is no field's is an option's.
        let offset = self.fields.iter().find(|(name, ..)| *name == field).map_or(self.bytes, |(_, offset, _)| *offset);
        InvalidField { message: self.message, field, offset, found, allowed, reason }
    }

    /// A code's meaning, or an error about it.
    #[inline]
    pub(super) fn code<E: Coded>(
        &self,
        field: &'static str,
        code: Code<E>,
        reason: RejectReason,
    ) -> Result<E, InvalidField> {
        code.get().ok_or_else(|| self.invalid(field, Found::Byte(code.raw()), E::ALLOWED, reason))
    }
}

/// Writes down a message: its struct, its layout, its decoder and its encoder. With a lifetime, it ends with an appendage.
macro_rules! message {
    (
        $(#[$meta:meta])*
        $name:ident $(<$life:lifetime>)?, $title:literal, $kind:literal, $bytes:literal {
            $( $(#[$field_meta:meta])* $offset:literal $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $( $(#[$field_meta])* pub $field: $type, )*
            $(
                /// The options.
                pub appendage: Appendage<$life>,
            )?
        }

        const _: () = assert!($name::LAYOUT.is_contiguous(), "the offsets leave a gap or overlap");

        impl $(<$life>)? $name $(<$life>)? {
            /// The type byte.
            pub const TYPE: u8 = $kind;
            /// Bytes of the fixed part.
            pub const BYTES: usize = $bytes;
            /// The message's shape.
            pub const LAYOUT: Layout = Layout {
                message: $title,
                kind: $kind,
                bytes: $bytes,
                appended: message!(@appended $($life)?),
                fields: &[$( (stringify!($field), $offset, <$type as Field>::BYTES), )*],
            };

            /// The message that `bytes` are, all of them. Values are taken as they come.
            #[inline]
            pub fn decode(bytes: & $($life)? [u8]) -> Result<Self, DecodeError> {
                Self::decode_as(bytes, |message| message)
            }

            /// Decodes straight into what `wrap` makes of the message: to move a message whose fields have just been written
            /// costs several times what decoding does, because the loads wait for narrower stores.
            #[inline(always)]
            pub(super) fn decode_as<R>(
                bytes: & $($life)? [u8],
                wrap: impl FnOnce(Self) -> R,
            ) -> Result<R, DecodeError> {
                let fixed: &[u8; $bytes] = Self::LAYOUT.fixed(bytes)?;
                $( let options: Appendage<$life> = Self::LAYOUT.appendage(bytes)?; )?
                Ok(wrap(Self {
                    $( $field: <$type as Field>::read(&fixed[$offset..$offset + <$type as Field>::BYTES]), )*
                    $( appendage: message!(@same options $life), )?
                }))
            }

            /// Writes the message to the start of `out`; answers its length in bytes.
            #[inline]
            pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
                let tail: &[u8] = message!(@tail self $($life)?);
                let (needed, room) = ($bytes + tail.len(), out.len());
                let out = out.get_mut(..needed).ok_or(NoRoom { needed, room })?;
                let (fixed, rest) = out.split_first_chunk_mut::<$bytes>().ok_or(NoRoom { needed, room })?;
                fixed[0] = $kind;
                $( Field::write(&self.$field, &mut fixed[$offset..$offset + <$type as Field>::BYTES]); )*
                if Self::LAYOUT.appended {
                    let length = u16::try_from(tail.len()).expect("an appendage is no longer than its length field says");
                    Field::write(&length, &mut fixed[$bytes - APPENDAGE_LENGTH_BYTES..]);
                }
                rest.copy_from_slice(tail);
                Ok(needed)
            }
        }
    };
    (@appended) => { false };
    (@appended $life:lifetime) => { true };
    (@same $options:ident $life:lifetime) => { $options };
    (@tail $message:expr) => { &[] };
    (@tail $message:ident $life:lifetime) => { $message.appendage.as_bytes() };
}

pub(super) use message;
