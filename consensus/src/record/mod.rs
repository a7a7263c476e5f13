//! Records: the sequence's bytes, versioned.
//!
//! Everything after the sequencer is a function of these bytes: the journal stores them, batches carry them and the
//! machine applies them, all as they stand. So the encoding is **canonical**: [`Record::decode`] accepts exactly what
//! [`Record::encode_into`] makes (reserved and padding bytes zero, lengths exact, enums known), and it is **total**: any
//! bytes give a record or a [`RecordError`] that names the offset, the field, what was found and what is allowed.
//! Whether a record *applies* (funds, free slots, seq without gaps) is the machine's to say, not this module's.
//!
//! # Header
//!
//! 32 bytes; all integers here and below are little-endian. The payload follows, padded with zeros to a multiple of 8.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | seq | epoch (16 bits, from 1) and counter (48 bits, from 1): see [`Seq`] |
//! | 8..16 | time_ns | UTC, nanoseconds since 1970, never decreasing |
//! | 16..20 | session | from 1; 0 is the venue itself |
//! | 20..24 | length | bytes of the payload without padding, at most [`MAX_PAYLOAD`] |
//! | 24..26 | shard | |
//! | 26 | kind | [`RecordKind`] |
//! | 27 | version | [`VERSION`] |
//! | 28..32 | reserved | 0 |
//!
//! # Payloads
//!
//! Offsets count from the payload's first byte; `-` is zero. Text is space padded or whatever the host chose: bytes.
//!
//! | kind | layout | length |
//! |---|---|---|
//! | epoch | previous_end u64@0, previous_digest 32@8, abi_hash 32@40, slots u32@72, max_qty u32@76, capabilities u32@80, clean u8@84, - 3@85 | 88 |
//! | order | command beat 32@0, origin u8@32, protocol u8@33, message length u16@34, - 4@36, message@40 | 40 + message |
//! | reject | reason u16@0, answer u8@2, protocol u8@3, message length u16@4, - 2@6, message@8 | 8 + message |
//! | session | act u8@0, protocol u8@1, message length u16@2, - 4@4, message@8 | 8 + message |
//! | registry: asset | 1 u8@0, - 7@1, name 8@8, id u16@16, exponent i8@18, - 5@19 | 24 |
//! | registry: instrument | 2 u8@0, - 7@1, symbol 8@8, id u16@16, base u16@18, quote u16@20, tick exponent i8@22, lot exponent i8@23, tick mantissa u64@24, lot mantissa u64@32, band_base u64@40, band_ticks u32@48, multiplier u32@52, needs u32@56, rounding u8@60, - 3@61 | 64 |
//! | registry: account | 3 u8@0, - 7@1, id u32@8, owner u16@12, self_trade u8@14, - 1@15, name 16@16 | 32 |
//! | registry: session | 4 u8@0, - 7@1, id u32@8, account u32@12, username 6@16, cancel_on_disconnect u8@22, - 1@23 | 24 |
//! | registry: limits | 5 u8@0, - 7@1, account u32@8, max_order_qty u32@12, max_notional i128@16, max_open_orders u32@32, collar_ticks u32@36, messages_per_second u32@40, duplicates_per_second u32@44 | 48 |
//! | registry: fee | 6 u8@0, - 7@1, instrument u16@8, - 2@10, maker_ppm i32@12, taker_ppm i32@16, - 4@20 | 24 |
//! | registry: restrict | 7 u8@0, - 7@1, account u32@8, instrument u16@12, restricted u8@14, - 1@15 | 16 |
//! | registry: ceiling | 8 u8@0, - 7@1, account u32@8, asset u16@12, - 2@14, most i128@16 | 32 |
//! | transfer | id u128@0, amount i128@16, from u32@32, to u32@36, asset u16@40, - 6@42 | 48 |
//! | transfer: chain | 1 to 16 legs, 80 bytes each: see [`Leg`] | 80 each |
//! | state: day | 1 u8@0, phase u8@1, - 2@2, date u32@4, session_name 10@8, - 6@18 | 24 |
//! | state: halt | 2 u8@0, mode u8@1, instrument u16@2, - 4@4 | 8 |
//! | state: mark | 3 u8@0, - 1@1, instrument u16@2, - 4@4, price_ticks u64@8 | 16 |
//! | state: kill | 4 u8@0, on u8@1, - 2@2, account u32@4 | 8 |
//! | seal | number u64@0, first_seq u64@8, records u32@16, - 4@20 | 24 |
//!
//! A message stands only where a client sent it: `protocol` none means an empty message, and so does an `origin` other
//! than client. An order's command carries its record's seq, and its ring bit is 0.

mod describe;
mod error;
mod header;
mod legs;
mod payload;
mod registry;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use error::{Allowed, RecordError};
pub use header::{HEADER_BYTES, Header, MAX_PAYLOAD, MAX_RECORD, RecordKind, Seq, VERSION};
pub use legs::{Action, Chain, LEG_BYTES, Leg, MAX_LEGS};
pub use payload::{
    Act, Answer, EpochOpen, MAX_MESSAGE, Order, Origin, Payload, Protocol, Reject, Seal, SessionAct, Transfer,
};
pub use registry::{
    Account, ArchivedAccount, ArchivedAsset, ArchivedCeiling, ArchivedFee, ArchivedInstrument, ArchivedRestriction,
    ArchivedRiskLimits, ArchivedRounding, ArchivedScaled, ArchivedSessionLogin, Asset, Ceiling, Fee, Instrument,
    Registry, Restriction, RiskLimits, Rounding, Scaled, SessionLogin,
};
pub use state::{ALL_ACCOUNTS, DayPhase, HaltMode, State};

use wire::Reader;

/// One record: header and payload. A message inside is borrowed from the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Number, time, session, shard; `kind` and `length` say what the payload is.
    pub header: Header,
    /// What happened.
    pub payload: Payload<'a>,
}

impl<'a> Record<'a> {
    /// A record of this payload; the header's kind, length and version follow from it.
    #[inline]
    pub fn new(seq: u64, time_ns: u64, session: u32, shard: u16, payload: Payload<'a>) -> Self {
        let header = Header {
            seq,
            time_ns,
            session,
            length: payload.encoded_len() as u32,
            shard,
            kind: payload.kind(),
            version: VERSION,
        };
        Self { header, payload }
    }

    /// Decodes the record at the front of `bytes`; also says how many bytes it takes, padding included.
    ///
    /// # Errors
    /// [`RecordError`] names the first field that is not what an encoder makes; its offset counts from `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let header = Header::decode(bytes)?;
        let taken = header.record_len();
        if bytes.len() < taken {
            return Err(RecordError::short(0, "record", bytes.len(), taken));
        }
        let payload_end = HEADER_BYTES + header.length as usize;
        let mut reader = Reader::new(&bytes[..payload_end], HEADER_BYTES);
        let payload = Payload::decode(header.kind, header.seq, &mut reader)?;
        reader.end()?;
        let mut padding = Reader::new(&bytes[..taken], payload_end);
        padding.zeros("padding", taken - payload_end)?;
        Ok((Self { header, payload }, taken))
    }

    /// Appends the record's bytes, padding included. Kind, length and version are written as the payload has them.
    ///
    /// # Panics
    /// When a message is longer than [`MAX_MESSAGE`]: a decoder of client bytes admits none that long.
    #[inline]
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = self.payload.encoded_len();
        assert!(length <= MAX_PAYLOAD, "payload of {length} bytes, allowed at most {MAX_PAYLOAD}");
        Header { length: length as u32, kind: self.payload.kind(), version: VERSION, ..self.header }.encode_into(out);
        self.payload.encode_into(out);
        debug_assert_eq!(out.len() - start, HEADER_BYTES + length, "the payload's length is what was written");
        out.resize(start + self.encoded_len(), 0);
    }

    /// Bytes that [`Record::encode_into`] appends.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.payload.encoded_len().next_multiple_of(8)
    }

    /// The record's bytes on their own.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode_into(&mut out);
        out
    }
}

/// Decodes records one after another; yields each with its offset. Ends after the last byte, or after the first error,
/// whose offset counts from the front of `bytes`.
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records { bytes, at: 0 }
}

/// See [`records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(usize, Record<'a>), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let at = self.at;
        match Record::decode(&self.bytes[at..]) {
            Ok((record, taken)) => {
                self.at = at + taken;
                Some(Ok((at, record)))
            }
            Err(error) => {
                self.at = self.bytes.len();
                Some(Err(error.behind(at)))
            }
        }
    }
}
