//! The header of a record, and what a seq is made of.

use super::error::{Allowed, RecordError};
use super::wire::{Reader, byte_enum};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// Most bytes of a payload, without padding.
pub const MAX_PAYLOAD: usize = 4096;

/// Most bytes of a record.
pub const MAX_RECORD: usize = HEADER_BYTES + MAX_PAYLOAD;

/// Version of the records' bytes; another version is refused, not reinterpreted.
pub const VERSION: u8 = 1;

/// A seq: epoch (16 bits) over counter (48 bits), so that the order of u64 is the order of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seq {}

impl Seq {
    /// Bits of the counter.
    pub const COUNTER_BITS: u32 = 48;
    /// Largest counter of an epoch.
    pub const MAX_COUNTER: u64 = (1 << Self::COUNTER_BITS) - 1;

    /// The seq of this epoch and counter; the counter is cut to its 48 bits.
    pub const fn make(epoch: u16, counter: u64) -> u64 {
        (epoch as u64) << Self::COUNTER_BITS | (counter & Self::MAX_COUNTER)
    }

    /// Which start of a gateway gave it.
    pub const fn epoch(seq: u64) -> u16 {
        (seq >> Self::COUNTER_BITS) as u16
    }

    /// Its number within the epoch, from 1.
    pub const fn counter(seq: u64) -> u64 {
        seq & Self::MAX_COUNTER
    }

    /// Whether `next` may stand right behind `last` (0: nothing yet): the same epoch's next counter, or the first
    /// counter of a later epoch.
    pub const fn follows(last: u64, next: u64) -> bool {
        if Self::epoch(next) == Self::epoch(last) {
            next == last + 1 && Self::counter(next) != 0
        } else {
            Self::epoch(next) > Self::epoch(last) && Self::counter(next) == 1
        }
    }
}

byte_enum! {
    /// What a record is about.
    RecordKind("kind", "1 to 8") {
        /// Opens an epoch.
        Epoch = 1 => "epoch",
        /// A command for the matcher.
        Order = 2 => "order",
        /// What risk refused, and why.
        Reject = 3 => "reject",
        /// What a session did or asked that is no order.
        Session = 4 => "session",
        /// Assets, instruments, accounts, sessions, limits, fees.
        Registry = 5 => "registry",
        /// Money in, out, across.
        Transfer = 6 => "transfer",
        /// Day, halt, mark, kill switch.
        State = 7 => "state",
        /// The end of a batch.
        Seal = 8 => "seal",
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Epoch and counter: see [`Seq`].
    pub seq: u64,
    /// UTC, nanoseconds since 1970.
    pub time_ns: u64,
    /// Whose it is, from 1; 0 is the venue itself.
    pub session: u32,
    /// Bytes of the payload, without padding.
    pub length: u32,
    /// Which sequence.
    pub shard: u16,
    /// What the payload is.
    pub kind: RecordKind,
    /// [`VERSION`].
    pub version: u8,
}

impl Header {
    /// Decodes the header at the front of `bytes`; the payload need not be there yet.
    ///
    /// # Errors
    /// As [`super::Record::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RecordError::short(0, "header", bytes.len(), HEADER_BYTES));
        }
        let mut reader = Reader::new(bytes, 0);
        let seq = reader.u64("seq")?;
        if Seq::epoch(seq) == 0 || Seq::counter(seq) == 0 {
            let allowed = Allowed::Text("epoch (upper 16 bits) and counter (lower 48 bits) from 1");
            return Err(reader.bad(8, "seq", i128::from(seq), allowed));
        }
        let time_ns = reader.u64("time_ns")?;
        let session = reader.u32("session")?;
        let length = reader.u32("length")?;
        if length as usize > MAX_PAYLOAD {
            return Err(reader.bad(4, "length", i128::from(length), Allowed::AtMost(MAX_PAYLOAD as u64)));
        }
        let shard = reader.u16("shard")?;
        let kind = RecordKind::read(&mut reader)?;
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(reader.bad(1, "version", i128::from(version), Allowed::Exactly(u64::from(VERSION))));
        }
        reader.zeros("reserved", 4)?;
        Ok(Self { seq, time_ns, session, length, shard, kind, version })
    }

    /// Bytes of the whole record, padding included.
    #[inline]
    pub const fn record_len(&self) -> usize {
        HEADER_BYTES + (self.length as usize).next_multiple_of(8)
    }

    #[inline]
    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.seq.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.session.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.shard.to_le_bytes());
        bytes[26] = self.kind as u8;
        bytes[27] = self.version;
        out.extend_from_slice(&bytes);
    }
}
