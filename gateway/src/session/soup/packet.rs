//! SoupBinTCP packets: bytes to values and back, for both directions.
//!
//! Decoding is incremental: it is given what has arrived so far and answers with one packet and its length, with 'not yet', or
//! with an error after which the stream cannot be trusted. Payloads are borrowed. A faulty length or type is reported from the
//! header alone, before its payload has arrived, so that a peer cannot make the other side wait for it.

use thiserror::Error;

use super::login::{
    ACCEPTED_BYTES, LOGIN_BYTES, LOGIN_WITH_TIMEOUT_BYTES, LoginAccepted, LoginRequest, REJECTED_BYTES, RejectReason,
};
use crate::session::Sink;

/// Bytes of the length field.
pub const LENGTH_BYTES: usize = 2;
/// Bytes before the payload: length and type.
pub const HEADER_BYTES: usize = LENGTH_BYTES + 1;
/// The largest packet that is taken or sent, in bytes. The format allows 65,537; a login or an OUCH message with every option
/// it may carry stays below 200, and a bound keeps a connection's buffer small.
pub const MAX_PACKET: usize = 1024;
/// The largest payload that is taken or sent, in bytes.
pub const MAX_PAYLOAD: usize = MAX_PACKET - HEADER_BYTES;

/// Bytes that are no SoupBinTCP packet. Offsets count from the first payload byte, lengths are as the length field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SoupError {
    /// A length of zero leaves no room for the type.
    #[error("packet length 0: a packet has at least its type byte")]
    Empty,
    /// The length is beyond what is taken.
    #[error("packet length {found}: at most {} is taken", MAX_PAYLOAD + 1)]
    TooLong {
        /// The length field.
        found: usize,
    },
    /// The type is none that this side sends.
    #[error("packet type {:?} (0x{found:02x}): a {sender} sends one of {allowed}", char::from(*.found))]
    UnknownType {
        /// The type byte.
        found: u8,
        /// Who sent it.
        sender: &'static str,
        /// The types that this side sends.
        allowed: &'static str,
    },
    /// The length does not go with the type.
    #[error("packet '{packet}' of length {found}: allowed is {allowed}")]
    WrongLength {
        /// The type.
        packet: char,
        /// The length field.
        found: usize,
        /// The lengths that the type may have.
        allowed: &'static str,
    },
    /// A field that holds a number holds something else.
    #[error("packet '{packet}', {field}, payload offset {offset}: {}, not a decimal number in range", found_byte(*.found))]
    BadNumber {
        /// The type.
        packet: char,
        /// The field.
        field: &'static str,
        /// Where in the payload.
        offset: usize,
        /// The first byte that is wrong; a digit if it makes the number too large.
        found: Option<u8>,
    },
    /// A login was rejected for a reason that the protocol does not know.
    #[error("packet 'J', reason, payload offset 0: found 0x{found:02x}, allowed are 'A' and 'S'")]
    BadRejectReason {
        /// The reason byte.
        found: u8,
    },
}

fn found_byte(found: Option<u8>) -> String {
    found.map_or("found nothing".to_owned(), |byte| format!("found '{}'", byte.escape_ascii()))
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPacket<'a> {
    /// `+`: free text, ignored.
    Debug(&'a [u8]),
    /// `L`.
    Login(LoginRequest),
    /// `U`: one message.
    Unsequenced(&'a [u8]),
    /// `R`.
    Heartbeat,
    /// `O`: the client leaves.
    Logout,
}

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    /// `+`: free text, ignored.
    Debug(&'a [u8]),
    /// `A`.
    Accepted(LoginAccepted),
    /// `J`.
    Rejected(RejectReason),
    /// `S`: one message, which takes a number.
    Sequenced(&'a [u8]),
    /// `U`: one message, which takes none.
    Unsequenced(&'a [u8]),
    /// `H`.
    Heartbeat,
    /// `Z`: there will be no more messages in this session.
    EndOfSession,
}

const CLIENT_TYPES: &str = "+ L U R O";
const SERVER_TYPES: &str = "+ A J S U H Z";

impl<'a> ClientPacket<'a> {
    /// The first packet of `bytes` and how many bytes it takes; `None` if it is not complete yet.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, SoupError> {
        let frame = frame(bytes, "client", CLIENT_TYPES, |kind| match kind {
            b'+' | b'U' => Some(Lengths::ANY),
            b'L' => Some(Lengths(&[LOGIN_BYTES + 1, LOGIN_WITH_TIMEOUT_BYTES + 1], "47, or 52 with a 4.10 time-out")),
            b'R' | b'O' => Some(Lengths::BARE),
            _ => None,
        })?;
        let Some((kind, payload, consumed)) = frame else { return Ok(None) };
        let packet = match kind {
            b'U' => Self::Unsequenced(payload),
            b'R' => Self::Heartbeat,
            b'L' => Self::Login(LoginRequest::decode(payload)?),
            b'O' => Self::Logout,
            _ => Self::Debug(payload),
        };
        Ok(Some((packet, consumed)))
    }

    /// Appends the packet. `false` if the sink has no room now, or the packet is not representable: a payload above
    /// [`MAX_PAYLOAD`], a time-out above five digits.
    pub fn encode(&self, sink: &mut impl Sink) -> bool {
        match self {
            Self::Debug(text) => append(sink, b'+', text),
            Self::Login(request) => {
                request.encode().is_some_and(|(payload, used)| append(sink, b'L', &payload[..used]))
            }
            Self::Unsequenced(message) => append(sink, b'U', message),
            Self::Heartbeat => append(sink, b'R', &[]),
            Self::Logout => append(sink, b'O', &[]),
        }
    }
}

impl<'a> ServerPacket<'a> {
    /// The first packet of `bytes` and how many bytes it takes; `None` if it is not complete yet.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, SoupError> {
        let frame = frame(bytes, "server", SERVER_TYPES, |kind| match kind {
            b'+' | b'S' | b'U' => Some(Lengths::ANY),
            b'A' => Some(Lengths(&[ACCEPTED_BYTES + 1], "31")),
            b'J' => Some(Lengths(&[REJECTED_BYTES + 1], "2")),
            b'H' | b'Z' => Some(Lengths::BARE),
            _ => None,
        })?;
        let Some((kind, payload, consumed)) = frame else { return Ok(None) };
        let packet = match kind {
            b'S' => Self::Sequenced(payload),
            b'H' => Self::Heartbeat,
            b'U' => Self::Unsequenced(payload),
            b'A' => Self::Accepted(LoginAccepted::decode(payload)?),
            b'J' => Self::Rejected(RejectReason::decode(payload)?),
            b'Z' => Self::EndOfSession,
            _ => Self::Debug(payload),
        };
        Ok(Some((packet, consumed)))
    }

    /// Appends the packet. `false` if the sink has no room now, or the payload is above [`MAX_PAYLOAD`].
    pub fn encode(&self, sink: &mut impl Sink) -> bool {
        match self {
            Self::Debug(text) => append(sink, b'+', text),
            Self::Accepted(accepted) => append(sink, b'A', &accepted.encode()),
            Self::Rejected(reason) => append(sink, b'J', &[reason.encode()]),
            Self::Sequenced(message) => append(sink, b'S', message),
            Self::Unsequenced(message) => append(sink, b'U', message),
            Self::Heartbeat => append(sink, b'H', &[]),
            Self::EndOfSession => append(sink, b'Z', &[]),
        }
    }
}

/// The length fields that a type may have, and how to say them; none listed means any.
struct Lengths(&'static [usize], &'static str);

impl Lengths {
    const ANY: Self = Self(&[], "");
    const BARE: Self = Self(&[1], "1");
}

/// One packet's type, payload, and bytes in all; `None` while it is incomplete.
type Frame<'a> = Option<(u8, &'a [u8], usize)>;

/// Cuts one packet: type, payload, bytes taken. `lengths_of` knows the types: `None` for one that does not exist.
#[inline]
fn frame<'a>(
    bytes: &'a [u8],
    sender: &'static str,
    allowed: &'static str,
    lengths_of: impl Fn(u8) -> Option<Lengths>,
) -> Result<Frame<'a>, SoupError> {
    let Some(head) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*head));
    if length == 0 {
        return Err(SoupError::Empty);
    }
    if length > MAX_PAYLOAD + 1 {
        return Err(SoupError::TooLong { found: length });
    }
    let Some(&kind) = bytes.get(LENGTH_BYTES) else { return Ok(None) };
    let Some(Lengths(lengths, said)) = lengths_of(kind) else {
        return Err(SoupError::UnknownType { found: kind, sender, allowed });
    };
    if !lengths.is_empty() && !lengths.contains(&length) {
        return Err(SoupError::WrongLength { packet: char::from(kind), found: length, allowed: said });
    }
    let end = LENGTH_BYTES + length;
    Ok(bytes.get(HEADER_BYTES..end).map(|payload| (kind, payload, end)))
}

#[inline]
fn append(sink: &mut impl Sink, kind: u8, payload: &[u8]) -> bool {
    if payload.len() > MAX_PAYLOAD {
        return false;
    }
    let length = u16::try_from(payload.len() + 1).expect("MAX_PAYLOAD is below u16");
    let [high, low] = length.to_be_bytes();
    sink.append(&[high, low, kind], payload)
}
