//! A batch: one sealed run of records, as the gateway signs it and validators agree on it.
//!
//! The record bytes of a batch are the journal's bytes, hashed and signed as they stand; the header says where the run lies in the
//! sequence and what it claims: the digest of its events, the root before it and the root after it. A validator believes none of
//! this, it re-executes the records and compares (see [`crate::validator`]).
//!
//! All integers are little-endian, there is no padding, and one batch has exactly one encoding:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `WBBT` |
//! | 4 | 2 | layout version, 1 |
//! | 6 | 2 | shard |
//! | 8 | 8 | number, from 1, without gaps |
//! | 16 | 8 | seq of the first record (epoch in the upper 16 bits, counter in the lower 48) |
//! | 24 | 8 | seq of the last record |
//! | 32 | 4 | length of the record bytes |
//! | 36 | 4 | reserved, 0 |
//! | 40 | 32 | digest of the previous batch, zeros in batch 1 |
//! | 72 | 32 | digest of the batch's events |
//! | 104 | 32 | root before the batch |
//! | 136 | 32 | root after the batch |
//! | 168 | n | the records |
//! | 168+n | 32 | blake3 of everything above |
//! | 200+n | 64 | ed25519 signature of [`SIGNATURE_CONTEXT`] and that digest |
//!
//! [`Batch::decode`] is total: any bytes give a batch or a [`BatchError`]. It checks the layout and the digest; the signature needs
//! a key and is checked by [`Batch::verify_signature`]. Flipping any one bit of a batch is refused by one of the two.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer};
pub use ed25519_dalek::{SigningKey, VerifyingKey};

#[cfg(test)]
mod tests;

/// A blake3 digest, or a root of the ledger.
pub type Digest32 = [u8; 32];

/// The longest batch in bytes, header and signature included. A sealed run is ended before it outgrows this.
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// Bytes before the records.
pub const HEADER_BYTES: usize = 168;

/// Bytes after the records: digest and signature.
pub const TRAILER_BYTES: usize = DIGEST_BYTES + SIGNATURE_BYTES;

/// The most record bytes that one batch can carry.
pub const MAX_RECORD_BYTES: usize = MAX_BATCH_BYTES - HEADER_BYTES - TRAILER_BYTES;

/// What batch 1 names as the digest of the batch before it.
pub const GENESIS_DIGEST: Digest32 = [0; 32];

/// The signature covers these bytes and then the digest, so that it can never be taken for a signature of something else.
pub const SIGNATURE_CONTEXT: &[u8; 24] = b"wirebook settled batch 1";

/// Bits of a seq that count within an epoch; the bits above are the epoch.
pub const SEQ_COUNTER_BITS: u32 = 48;

const MAGIC: [u8; 4] = *b"WBBT";
const VERSION: u16 = 1;
const DIGEST_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// What a batch claims about its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The shard whose sequence the records are part of.
    pub shard: u16,
    /// Number of the batch in its shard, from 1, without gaps.
    pub number: u64,
    /// Seq of the first record.
    pub first_seq: u64,
    /// Seq of the last record; not below `first_seq`.
    pub last_seq: u64,
    /// Digest of batch `number - 1`, [`GENESIS_DIGEST`] for batch 1.
    pub previous: Digest32,
    /// Digest of the events that the records gave rise to.
    pub events: Digest32,
    /// Root before the first record.
    pub previous_root: Digest32,
    /// Root after the last record.
    pub next_root: Digest32,
}

/// Why bytes are not a batch, or a batch cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The length is not what header, records and trailer add up to.
    #[error("a batch of {expected} bytes was expected, {found} were found")]
    Length {
        /// Bytes that the header calls for, or the smallest batch if there is no whole header.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// More records than a batch can carry.
    #[error("{found} bytes of records; one batch carries at most {MAX_RECORD_BYTES}: seal runs earlier")]
    TooLarge {
        /// Bytes of records.
        found: usize,
    },
    /// The first bytes are not those of a batch.
    #[error("not a batch: it begins with {found:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A layout that this build does not know.
    #[error("batch layout {found}; this build reads layout {VERSION}")]
    Version {
        /// The version found.
        found: u16,
    },
    /// A reserved field is not 0.
    #[error("the reserved field at offset 36 is {found:#x}, it must be 0")]
    Reserved {
        /// The value found.
        found: u32,
    },
    /// Batches are numbered from 1.
    #[error("batch number 0; numbers begin with 1")]
    Number,
    /// The run is empty or goes backwards.
    #[error("a run from seq {first} to seq {last} is empty")]
    Range {
        /// Seq of the first record.
        first: u64,
        /// Seq of the last record.
        last: u64,
    },
    /// The digest in the trailer is not that of the bytes before it.
    #[error("batch {number}: its bytes do not have the digest that it carries: damaged on the way or on disk")]
    Digest {
        /// The number that the header claims.
        number: u64,
    },
    /// The signature is not the gateway's.
    #[error("batch {number}: not signed by the gateway's key")]
    Signature {
        /// The number that the header claims.
        number: u64,
    },
}

/// An encoded batch together with its header. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    header: Header,
    digest: Digest32,
    bytes: Arc<[u8]>,
}

impl Batch {
    /// Encodes and signs a sealed run. `records` are the journal's bytes from the first to the last record, headers included.
    ///
    /// # Errors
    /// A number of 0, an empty run, or more than [`MAX_RECORD_BYTES`].
    pub fn seal(header: Header, records: &[u8], key: &SigningKey) -> Result<Self, BatchError> {
        header.check()?;
        if records.len() > MAX_RECORD_BYTES {
            return Err(BatchError::TooLarge { found: records.len() });
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len() + TRAILER_BYTES);
        header.write(records.len() as u32, &mut bytes);
        bytes.extend_from_slice(records);
        let digest: Digest32 = blake3::hash(&bytes).into();
        bytes.extend_from_slice(&digest);
        bytes.extend_from_slice(&key.sign(&signed_message(&digest)).to_bytes());
        assert_eq!(bytes.len(), HEADER_BYTES + records.len() + TRAILER_BYTES);
        Ok(Self { header, digest, bytes: bytes.into() })
    }

    /// Reads a batch that fills `bytes` exactly; checks all but the signature.
    ///
    /// # Errors
    /// Whatever is not the one encoding of some batch.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        let smallest = HEADER_BYTES + TRAILER_BYTES;
        if bytes.len() < smallest {
            return Err(BatchError::Length { expected: smallest, found: bytes.len() });
        }
        let (header, record_bytes) = Header::read(bytes)?;
        if record_bytes > MAX_RECORD_BYTES {
            return Err(BatchError::TooLarge { found: record_bytes });
        }
        if bytes.len() != smallest + record_bytes {
            return Err(BatchError::Length { expected: smallest + record_bytes, found: bytes.len() });
        }
        header.check()?;
        let (body, trailer) = bytes.split_at(HEADER_BYTES + record_bytes);
        let digest: Digest32 = blake3::hash(body).into();
        if trailer[..DIGEST_BYTES] != digest {
            return Err(BatchError::Digest { number: header.number });
        }
        Ok(Self { header, digest, bytes: bytes.into() })
    }

    /// Checks that `key`, the gateway's, signed this batch.
    ///
    /// # Errors
    /// [`BatchError::Signature`] for a signature of another key, or one that is not canonical.
    pub fn verify_signature(&self, key: &VerifyingKey) -> Result<(), BatchError> {
        let signature = Signature::from_bytes(self.signature());
        key.verify_strict(&signed_message(&self.digest), &signature)
            .map_err(|_| BatchError::Signature { number: self.header.number })
    }

    /// What the batch claims.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of the batch in its shard, from 1.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Digest of header and records: the batch's identity, and what the next batch names as `previous`.
    pub fn digest(&self) -> &Digest32 {
        &self.digest
    }

    /// The records: the journal's bytes.
    pub fn records(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..self.bytes.len() - TRAILER_BYTES]
    }

    /// The whole encoded batch.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The gateway's signature.
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        self.bytes.last_chunk().expect("every batch ends with a signature")
    }
}

impl AsRef<[u8]> for Batch {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = blake3::Hash::from(self.digest).to_hex();
        write!(f, "Batch {{ {:?}, digest: {digest}, bytes: {} }}", self.header, self.bytes.len())
    }
}

impl Header {
    /// Reads the header of a batch on its own, without the records behind it.
    ///
    /// # Errors
    /// Whatever is not the header of some batch.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Length { expected: HEADER_BYTES, found: bytes.len() });
        }
        let (header, _) = Self::read(bytes)?;
        header.check()?;
        Ok(header)
    }

    /// What must hold of a header whatever its records are.
    fn check(&self) -> Result<(), BatchError> {
        if self.number == 0 {
            return Err(BatchError::Number);
        }
        if self.first_seq > self.last_seq {
            return Err(BatchError::Range { first: self.first_seq, last: self.last_seq });
        }
        Ok(())
    }

    fn write(&self, record_bytes: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.last_seq.to_le_bytes());
        out.extend_from_slice(&record_bytes.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        for digest in [&self.previous, &self.events, &self.previous_root, &self.next_root] {
            out.extend_from_slice(digest);
        }
        assert_eq!(out.len(), HEADER_BYTES);
    }

    /// Reads the header and the length of the records from at least [`HEADER_BYTES`] bytes.
    fn read(bytes: &[u8]) -> Result<(Self, usize), BatchError> {
        let mut cursor = Cursor { bytes };
        let found = cursor.take();
        if found != MAGIC {
            return Err(BatchError::Magic { found });
        }
        let found = u16::from_le_bytes(cursor.take());
        if found != VERSION {
            return Err(BatchError::Version { found });
        }
        let shard = u16::from_le_bytes(cursor.take());
        let number = u64::from_le_bytes(cursor.take());
        let first_seq = u64::from_le_bytes(cursor.take());
        let last_seq = u64::from_le_bytes(cursor.take());
        let record_bytes = u32::from_le_bytes(cursor.take());
        let found = u32::from_le_bytes(cursor.take());
        if found != 0 {
            return Err(BatchError::Reserved { found });
        }
        let header = Self {
            shard,
            number,
            first_seq,
            last_seq,
            previous: cursor.take(),
            events: cursor.take(),
            previous_root: cursor.take(),
            next_root: cursor.take(),
        };
        Ok((header, record_bytes as usize))
    }
}

/// Whether a run may begin with `first_seq` after a run that ended with `last_seq` (0: there was none): the next counter of the same
/// epoch, or counter 1 of a later one.
pub fn continues(last_seq: u64, first_seq: u64) -> bool {
    let counter = first_seq & ((1 << SEQ_COUNTER_BITS) - 1);
    let (epoch, last_epoch) = (first_seq >> SEQ_COUNTER_BITS, last_seq >> SEQ_COUNTER_BITS);
    if epoch == last_epoch { last_seq.checked_add(1) == Some(first_seq) } else { epoch > last_epoch && counter == 1 }
}

fn signed_message(digest: &Digest32) -> [u8; SIGNATURE_CONTEXT.len() + DIGEST_BYTES] {
    let mut message = [0; SIGNATURE_CONTEXT.len() + DIGEST_BYTES];
    message[..SIGNATURE_CONTEXT.len()].copy_from_slice(SIGNATURE_CONTEXT);
    message[SIGNATURE_CONTEXT.len()..].copy_from_slice(digest);
    message
}

/// Takes fixed pieces off bytes that are known to be long enough.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (piece, rest) =
            self.bytes.split_first_chunk::<N>().expect("the caller has checked the length of the header");
        self.bytes = rest;
        *piece
    }
}
