//! Images for snapshots, as plain little-endian bytes: what writes and reads them.
//!
//! An image is read by the program that wrote it or a later one; each begins with eight bytes that name its kind and version.
//! Reading is total: damaged bytes give an error that names the field and where it stood, never a panic or a huge allocation.

use thiserror::Error;
use wirebook_settlement::record::{Payload, Record, Seq};

/// Bytes that are no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("image of {image}, {field} before byte {at}: found {found}: take an older snapshot, or replay the journal")]
pub struct ImageError {
    /// Of what it should be.
    pub image: &'static str,
    /// Where reading stopped.
    pub at: usize,
    /// What should have stood there.
    pub field: &'static str,
    /// What did.
    pub found: &'static str,
}

/// Puts an image together.
pub(crate) struct Writer(Vec<u8>);

macro_rules! integers {
    ($($integer:ident),*) => {
        impl Writer {
            $(pub(crate) fn $integer(&mut self, value: $integer) {
                self.0.extend_from_slice(&value.to_le_bytes());
            })*
        }

        impl Reader<'_> {
            $(pub(crate) fn $integer(&mut self, field: &'static str) -> Result<$integer, ImageError> {
                let bytes = self.take(size_of::<$integer>(), field)?;
                Ok($integer::from_le_bytes(bytes.try_into().expect("as many bytes were taken")))
            })*
        }
    };
}

integers!(u8, u16, u32, u64, u128, i128);

impl Writer {
    /// An image that begins with its name.
    pub(crate) fn new(magic: &[u8; 8], expected: usize) -> Self {
        let mut bytes = Vec::with_capacity(expected + magic.len());
        bytes.extend_from_slice(magic);
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A part with its length before it.
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.bytes(bytes);
    }

    /// A payload as a record of its own.
    pub(crate) fn payload(&mut self, payload: Payload<'_>) {
        Record::new(Seq::make(1, 1), 0, 0, 0, payload).encode_into(&mut self.0);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes an image apart.
pub(crate) struct Reader<'a> {
    image: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(image: &'static str, magic: &[u8; 8], bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut reader = Self { image, bytes, at: 0 };
        if reader.take(magic.len(), "magic")? != magic {
            return Err(reader.bad("magic", "another kind or version of image"));
        }
        Ok(reader)
    }

    pub(crate) fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], ImageError> {
        let bytes = self.bytes[self.at..].get(..length).ok_or(self.bad(field, "the end"))?;
        self.at += length;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ImageError> {
        Ok(self.take(N, field)?.try_into().expect("as many bytes were taken"))
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, ImageError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad(field, "neither 0 nor 1")),
        }
    }

    /// How many items follow, each of at least `least` bytes: no more than can be there.
    pub(crate) fn count(&mut self, least: usize, field: &'static str) -> Result<usize, ImageError> {
        let count = usize::try_from(self.u64(field)?).unwrap_or(usize::MAX);
        if count > (self.bytes.len() - self.at) / least.max(1) {
            return Err(self.bad(field, "more than there are bytes for"));
        }
        Ok(count)
    }

    pub(crate) fn part(&mut self, field: &'static str) -> Result<&'a [u8], ImageError> {
        let length = self.count(1, field)?;
        self.take(length, field)
    }

    pub(crate) fn payload(&mut self, field: &'static str) -> Result<Payload<'a>, ImageError> {
        let (record, taken) = Record::decode(&self.bytes[self.at..]).map_err(|_| self.bad(field, "no record"))?;
        self.at += taken;
        Ok(record.payload)
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), ImageError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.bad("end", "bytes behind it")) }
    }

    pub(crate) fn bad(&self, field: &'static str, found: &'static str) -> ImageError {
        ImageError { image: self.image, at: self.at, field, found }
    }
}
