//! The payloads of the login packets.
//!
//! Numbers travel as ASCII digits in a padded field. The server pads on the left as the specification says; what clients send
//! is trimmed at both ends, because one client pads its numbers on the left and another on the right.

use std::fmt;

use super::packet::SoupError;
use crate::session::Alpha;
use crate::session::alpha::{SPACE, trim};

/// Payload bytes of a login request of SoupBinTCP 3.00 and 4.00.
pub(super) const LOGIN_BYTES: usize = 46;
/// Payload bytes of a login request of SoupBinTCP 4.10.
pub(super) const LOGIN_WITH_TIMEOUT_BYTES: usize = 51;
/// Payload bytes of Login Accepted.
pub(super) const ACCEPTED_BYTES: usize = 30;
/// Payload bytes of Login Rejected.
pub(super) const REJECTED_BYTES: usize = 1;
const SEQUENCE_BYTES: usize = 20;
const TIMEOUT_BYTES: usize = 5;

/// The name of a session: ten alphanumeric characters. A number of a message means nothing without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionId(Alpha<10>);

impl SessionId {
    /// A name of exactly ten ASCII letters and digits, so that no side can pad it wrongly; `None` for any other text.
    pub fn new(name: &str) -> Option<Self> {
        let alpha = Alpha::<10>::new(name)?;
        alpha.0.iter().all(u8::is_ascii_alphanumeric).then_some(Self(alpha))
    }

    /// The ten characters.
    pub fn as_bytes(&self) -> &[u8; 10] {
        &self.0.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client logs in with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoginRequest {
    /// Who; letters of either case are the same.
    pub username: Alpha<6>,
    /// The password; letters of either case are the same.
    pub password: Alpha<10>,
    /// The session wanted; blank for the current one.
    pub session: Alpha<10>,
    /// The next message wanted, from 1; 0 to start with the most recent one.
    pub sequence: u64,
    /// Of a 4.10 client: how long it may be silent before the server drops it, in milliseconds, 0 to 99,999.
    pub heartbeat_timeout_ms: Option<u32>,
}

/// The password stays out of logs.
impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest")
            .field("username", &self.username)
            .field("session", &self.session)
            .field("sequence", &self.sequence)
            .field("heartbeat_timeout_ms", &self.heartbeat_timeout_ms)
            .finish_non_exhaustive()
    }
}

impl LoginRequest {
    /// Of a payload whose length has been checked.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, SoupError> {
        let (fixed, timeout) = payload.split_at(LOGIN_BYTES);
        Ok(Self {
            username: Alpha(array(fixed, 0)),
            password: Alpha(array(fixed, 6)),
            session: Alpha(array(fixed, 16)),
            sequence: number(&fixed[26..46], 'L', "requested sequence", 26)?,
            // A blank time-out is a 4.10 client that leaves it to the server.
            heartbeat_timeout_ms: if trim(timeout).is_empty() {
                None
            } else {
                let value = number(timeout, 'L', "heartbeat timeout", LOGIN_BYTES)?;
                Some(u32::try_from(value).expect("five digits fit"))
            },
        })
    }

    /// The payload, and how many of its bytes are used. `None` if the time-out does not fit its five digits.
    pub(super) fn encode(&self) -> Option<([u8; LOGIN_WITH_TIMEOUT_BYTES], usize)> {
        let mut payload = [SPACE; LOGIN_WITH_TIMEOUT_BYTES];
        payload[..6].copy_from_slice(&self.username.0);
        payload[6..16].copy_from_slice(&self.password.0);
        payload[16..26].copy_from_slice(&self.session.0);
        payload[26..46].copy_from_slice(&digits::<SEQUENCE_BYTES>(self.sequence)?);
        let Some(timeout) = self.heartbeat_timeout_ms else {
            return Some((payload, LOGIN_BYTES));
        };
        payload[46..].copy_from_slice(&digits::<TIMEOUT_BYTES>(u64::from(timeout))?);
        Some((payload, LOGIN_WITH_TIMEOUT_BYTES))
    }
}

/// Whether a request carries these credentials, by the protocol's rule: trimmed, and letters of either case the same.
pub fn credentials_match(request: &LoginRequest, username: &[u8], password: &[u8]) -> bool {
    // Both are compared whichever fails, so that the time taken does not tell which one was wrong.
    request.username.eq_ignore_case(username) & request.password.eq_ignore_case(password)
}

/// The server's first word to a client it lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginAccepted {
    /// The session joined.
    pub session: Alpha<10>,
    /// The number of the sequenced message that comes next.
    pub sequence: u64,
}

impl LoginAccepted {
    /// Of a payload whose length has been checked.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, SoupError> {
        Ok(Self { session: Alpha(array(payload, 0)), sequence: number(&payload[10..], 'A', "sequence", 10)? })
    }

    pub(super) fn encode(&self) -> [u8; ACCEPTED_BYTES] {
        let mut payload = [SPACE; ACCEPTED_BYTES];
        payload[..10].copy_from_slice(&self.session.0);
        let sequence = digits::<SEQUENCE_BYTES>(self.sequence).expect("twenty digits hold any u64");
        payload[10..].copy_from_slice(&sequence);
        payload
    }
}

/// Why a login is refused. The server closes the connection after saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// `A`: unknown user or wrong password.
    NotAuthorized,
    /// `S`: the session, or the number asked for in it, is not to be had.
    SessionNotAvailable,
}

impl RejectReason {
    /// Of a payload whose length has been checked.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, SoupError> {
        match payload[0] {
            b'A' => Ok(Self::NotAuthorized),
            b'S' => Ok(Self::SessionNotAvailable),
            found => Err(SoupError::BadRejectReason { found }),
        }
    }

    pub(super) fn encode(self) -> u8 {
        match self {
            Self::NotAuthorized => b'A',
            Self::SessionNotAvailable => b'S',
        }
    }
}

/// The `N` bytes at `offset` of a slice already known to be long enough.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("the range has N bytes")
}

/// A padded decimal number. Blank, signs, inner spaces, letters and what overflows a u64 are errors.
fn number(text: &[u8], packet: char, field: &'static str, offset: usize) -> Result<u64, SoupError> {
    let bad = |at: usize| SoupError::BadNumber { packet, field, offset: offset + at, found: text.get(at).copied() };
    let digits = trim(text);
    if digits.is_empty() {
        return Err(bad(0));
    }
    let start = text.iter().position(|&byte| byte != SPACE).unwrap_or(0);
    digits.iter().enumerate().try_fold(0u64, |value, (index, &byte)| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(bad(start + index));
        }
        value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit))).ok_or_else(|| bad(start + index))
    })
}

/// `value` in decimal, padded on the left; `None` if `N` characters do not hold it.
fn digits<const N: usize>(mut value: u64) -> Option<[u8; N]> {
    let mut text = [SPACE; N];
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
        if value == 0 {
            return Some(text);
        }
    }
    None
}
