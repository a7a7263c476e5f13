//! The options behind a message: length, tag, value, one after another.
//!
//! An [`Appendage`] is checked when it is made: every option lies within it, and a known option's value has its width. So
//! iterating cannot fail. Options with unknown tags are legal and are skipped by their length.

use super::code::{BboWeight, Code, CustomerType, HandleInst, PostOnly, PriceType, Side, YesNo};
use super::error::{DecodeError, Fault, NoRoom};
use super::wire::{Field, Price};
use crate::session::Alpha;

/// Bytes before an option's value: length and tag.
const OPTION_HEADER_BYTES: usize = 2;
/// The most that an [`AppendageBuilder`] holds, in bytes: every known option once takes less.
pub const MAX_BUILT_APPENDAGE: usize = 256;

/// Options, sound.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Appendage<'a> {
    bytes: &'a [u8],
}

impl<'a> Appendage<'a> {
    /// No options.
    pub const EMPTY: Self = Self { bytes: &[] };

    /// The options that `bytes` are, all of them. An error's offset counts from the first of them.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let error =
            |offset, fault| Err(DecodeError { message: "appendage", field: "optional appendage", offset, fault });
        if bytes.len() > usize::from(u16::MAX) {
            let present = usize::from(u16::MAX);
            return error(0, Fault::AppendageLength { found: bytes.len(), present });
        }
        let mut offset = 0;
        while let Some((&length, rest)) = bytes[offset..].split_first() {
            let found = usize::from(length);
            let Some(option) = rest.get(..found) else {
                return error(offset, Fault::OptionOverrun { found, present: rest.len() });
            };
            let Some((&tag, value)) = option.split_first() else { return error(offset, Fault::EmptyOption) };
            if let Some(needed) = TagValue::width(tag)
                && needed != value.len()
            {
                return error(offset, Fault::OptionWidth { tag, found: value.len(), needed });
            }
            offset += 1 + found;
        }
        Ok(Self { bytes })
    }

    /// The bytes behind AppendageLength.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no options.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The options, in the order in which they came.
    pub fn iter(&self) -> TagValues<'a> {
        TagValues { rest: self.bytes }
    }
}

impl<'a> IntoIterator for Appendage<'a> {
    type Item = TagValue<'a>;
    type IntoIter = TagValues<'a>;

    fn into_iter(self) -> TagValues<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for Appendage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over options.
#[derive(Clone, Debug)]
pub struct TagValues<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TagValues<'a> {
    type Item = TagValue<'a>;

    #[inline]
    fn next(&mut self) -> Option<TagValue<'a>> {
        let (&length, rest) = self.rest.split_first()?;
        let (option, rest) = rest.split_at_checked(usize::from(length))?;
        let (&tag, value) = option.split_first()?;
        self.rest = rest;
        Some(TagValue::read(tag, value))
    }
}

macro_rules! tags {
    ($( $(#[$meta:meta])* $tag:literal $name:ident($type:ty), )*) => {
        /// One option.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TagValue<'a> {
            $( $(#[$meta])* $name($type), )*
            /// A tag that is not known here.
            Unknown {
                /// The tag.
                tag: u8,
                /// Its value; at most 254 bytes.
                value: &'a [u8],
            },
        }

        impl<'a> TagValue<'a> {
            /// The tags of which the value is known.
            pub const KNOWN_TAGS: &'static [u8] = &[$( $tag, )*];

            /// The value's bytes; `None` for an unknown tag.
            #[inline]
            pub fn width(tag: u8) -> Option<usize> {
                match tag {
                    $( $tag => Some(<$type as Field>::BYTES), )*
                    _ => None,
                }
            }

            /// The tag.
            pub fn tag(&self) -> u8 {
                match self {
                    $( Self::$name(_) => $tag, )*
                    Self::Unknown { tag, .. } => *tag,
                }
            }

            /// Of a value that has the tag's width.
            #[inline]
            fn read(tag: u8, value: &'a [u8]) -> Self {
                match tag {
                    $( $tag => Self::$name(<$type as Field>::read(value)), )*
                    _ => Self::Unknown { tag, value },
                }
            }

            /// Bytes of the value.
            fn value_bytes(&self) -> usize {
                match self {
                    $( Self::$name(_) => <$type as Field>::BYTES, )*
                    Self::Unknown { value, .. } => value.len(),
                }
            }

            /// Into exactly [`value_bytes`](Self::value_bytes) bytes.
            fn write(&self, out: &mut [u8]) {
                match self {
                    $( Self::$name(value) => Field::write(value, out), )*
                    Self::Unknown { value, .. } => out.copy_from_slice(value),
                }
            }
        }
    };
}

tags! {
    /// From the exchange: another reference number.
    1 SecondaryOrdRefNum(u64),
    /// The firm within the account.
    2 Firm(Alpha<4>),
    /// The least to execute at once, in shares.
    3 MinQty(u32),
    /// Whose order it is.
    4 CustomerType(Code<CustomerType>),
    /// The part shown, in shares; 0 for all.
    5 MaxFloor(u32),
    /// What the price follows.
    6 PriceType(Code<PriceType>),
    /// Added to the price followed; four implied decimals.
    7 PegOffset(i32),
    /// The price to which the order may go without showing it.
    9 DiscretionPrice(Price),
    /// What that price follows.
    10 DiscretionPriceType(Code<PriceType>),
    /// Added to the price that the discretion follows; four implied decimals.
    11 DiscretionPegOffset(i32),
    /// Whether it may take liquidity.
    12 PostOnly(Code<PostOnly>),
    /// How far the size of a refreshed part varies, in shares.
    13 RandomReserves(u32),
    /// Where it may be routed.
    14 Route(Alpha<4>),
    /// How long it lives, in seconds.
    15 ExpireTime(u32),
    /// Whether it may trade at once with what it would otherwise wait for.
    16 TradeNow(Code<YesNo>),
    /// How it is handled.
    17 HandleInst(Code<HandleInst>),
    /// From the exchange: what it does to the best bid and offer.
    18 BboWeight(Code<BboWeight>),
    /// From the exchange, in Restated: shares shown.
    22 DisplayQuantity(u32),
    /// From the exchange, in Restated: price shown.
    23 DisplayPrice(Price),
    /// A group of orders, for mass cancel.
    24 GroupId(u16),
    /// Whether shares to be sold short are located.
    25 SharesLocated(Code<YesNo>),
    /// By whom they are located.
    26 LocateBroker(Alpha<4>),
    /// Of a mass cancel: only this side.
    27 Side(Code<Side>),
    /// Which range of UserRefNums.
    28 UserRefIdx(u8),
}

/// Options to be sent, put together without allocation.
#[derive(Clone, Debug)]
pub struct AppendageBuilder {
    bytes: [u8; MAX_BUILT_APPENDAGE],
    len: usize,
}

impl AppendageBuilder {
    /// No options yet.
    pub fn new() -> Self {
        Self { bytes: [0; MAX_BUILT_APPENDAGE], len: 0 }
    }

    /// Adds an option behind the others. On an error nothing is added.
    ///
    /// An [`Unknown`](TagValue::Unknown) option is added as it stands; if its tag is known and its value has the wrong width,
    /// or its value is longer than 254 bytes, it does not fit.
    pub fn push(&mut self, option: TagValue<'_>) -> Result<&mut Self, NoRoom> {
        let width = option.value_bytes();
        let needed = OPTION_HEADER_BYTES + width;
        let room = self.bytes.len() - self.len;
        let no_room = NoRoom { needed, room };
        let length = u8::try_from(1 + width).map_err(|_| no_room)?;
        if TagValue::width(option.tag()).is_some_and(|known| known != width) {
            return Err(no_room);
        }
        let out = self.bytes.get_mut(self.len..self.len + needed).ok_or(no_room)?;
        let (head, value) = out.split_at_mut(OPTION_HEADER_BYTES);
        head.copy_from_slice(&[length, option.tag()]);
        option.write(value);
        self.len += needed;
        Ok(self)
    }

    /// The options so far.
    pub fn appendage(&self) -> Appendage<'_> {
        Appendage { bytes: &self.bytes[..self.len] }
    }
}

impl Default for AppendageBuilder {
    fn default() -> Self {
        Self::new()
    }
}
