//! Fixed-width text as Nasdaq's protocols carry it: ASCII, padded with spaces.
//!
//! The specification pads on the right, and on the left in two places; clients disagree, so whoever reads text trims both
//! ends. The bytes themselves are kept as they came, because some of them (an order's id) must be echoed unchanged.

use std::fmt;

/// The padding byte.
pub const SPACE: u8 = b' ';

/// `N` bytes of padded text, as they stand on the wire. Any bytes are representable: a peer sends what it likes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alpha<const N: usize>(pub [u8; N]);

impl<const N: usize> Alpha<N> {
    /// All spaces.
    pub const BLANK: Self = Self([SPACE; N]);

    /// `text`, padded on the right. `None` if it is longer than `N` or holds a byte that is not printable ASCII.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut bytes = [SPACE; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(bytes)).filter(Self::is_printable)
    }

    /// The text without the spaces at both ends.
    pub fn trimmed(&self) -> &[u8] {
        trim(&self.0)
    }

    /// Whether there is nothing but spaces.
    pub fn is_blank(&self) -> bool {
        self.0 == [SPACE; N]
    }

    /// Whether every byte is printable ASCII (0x20 to 0x7e).
    pub fn is_printable(&self) -> bool {
        // Without an early exit, all bytes are compared at once.
        self.0.iter().fold(true, |good, byte| good & (SPACE..=b'~').contains(byte))
    }

    /// Whether the trimmed texts are equal, letters of either case counting as the same.
    pub fn eq_ignore_case(&self, other: &[u8]) -> bool {
        self.trimmed().eq_ignore_ascii_case(trim(other))
    }
}

impl<const N: usize> Default for Alpha<N> {
    fn default() -> Self {
        Self::BLANK
    }
}

impl<const N: usize> fmt::Display for Alpha<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.trimmed().escape_ascii())
    }
}

impl<const N: usize> fmt::Debug for Alpha<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// `text` without the spaces at both ends.
pub fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != SPACE).unwrap_or(text.len());
    let end = text.iter().rposition(|&byte| byte != SPACE).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_padded_and_trimmed() {
        assert_eq!(Alpha::<8>::new("AAPL"), Some(Alpha(*b"AAPL    ")));
        assert_eq!(Alpha::<4>::new("AAPLX"), None);
        assert_eq!(Alpha::<4>::new("A\n"), None);
        assert_eq!(Alpha(*b"  a b   ").trimmed(), b"a b");
        assert_eq!(Alpha::<8>::BLANK.trimmed(), b"");
        assert!(Alpha::<8>::BLANK.is_blank());
        for unprintable in [0x1f, 0x7f, 0x80] {
            assert!(!Alpha([b'A', unprintable]).is_printable());
        }
        assert!(Alpha(*b" ~").is_printable());
    }

    #[test]
    fn case_and_padding_do_not_count() {
        assert!(Alpha(*b"User01").eq_ignore_case(b"  uSER01 "));
        assert!(!Alpha(*b"User01").eq_ignore_case(b"user0"));
        assert!(Alpha::<6>::BLANK.eq_ignore_case(b""));
    }

    #[test]
    fn unprintable_bytes_are_shown_escaped() {
        assert_eq!(Alpha(*b"a\x00  ").to_string(), "a\\x00");
        assert_eq!(format!("{:?}", Alpha(*b"a   ")), "\"a   \"");
    }
}
