//! The event beat: what a matcher answers.
//!
//! A device's bytes are not trusted: what is no event decodes to `None`, and what is one encodes to the same bytes again.

use super::beat::{BEAT_BYTES, RING_BIT, bytes_of, words_of};
use super::codes::{EventKind, Reason, event_flags};

/// The slot number that names no order: the maker of an event that has none.
pub const NO_SLOT: u32 = u32::MAX;

/// An event beat.
///
/// | bytes | field |
/// |---|---|
/// | 0..8 | seq of the command |
/// | 8..12 | taker slot: the order that the command is about |
/// | 12..16 | maker slot, or [`NO_SLOT`] |
/// | 16..20 | tick |
/// | 20..24 | qty |
/// | 24..28 | index within the command, from 0 |
/// | 28 | kind |
/// | 29 | reason |
/// | 30 | [`event_flags`] |
/// | 31 | bit 0 last, bit 7 the ring's |
///
/// | kind | taker | maker | tick | qty | freed |
/// |---|---|---|---|---|---|
/// | done | 0 | none | 0 | 0 | - |
/// | fill | new order | resting order | the maker's price | traded | whichever is complete |
/// | rested | the order | none | its price | leaves | - |
/// | cancelled (own) | the order: old slot of a replace before `replaced`, new slot after | none | its limit, or where it rested | what went | taker |
/// | cancelled (self-trade, maker) | the taker | the maker | the maker's price | the maker's leaves | maker |
/// | reduced | the order | none | where it rests | amount removed | - |
/// | replaced | new slot | old slot | the new price | new leaves | maker |
/// | rejected | slot of the command | none | tick of the command | qty of the command | - |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Event {
    /// Number of the command's record.
    pub seq: u64,
    /// The order that the command is about.
    pub taker: u32,
    /// The resting order, or [`NO_SLOT`].
    pub maker: u32,
    /// The price.
    pub tick: u32,
    /// Lots.
    pub qty: u32,
    /// Number of this event within its command, from 0.
    pub index: u32,
    /// What happened.
    pub kind: EventKind,
    /// Why.
    pub reason: Reason,
    /// [`event_flags`].
    pub freed: u8,
    /// Whether this is the command's final event.
    pub last: bool,
}

impl Event {
    /// What an unused place of a buffer holds; no matcher answers it.
    pub const BLANK: Self = Self {
        seq: 0,
        taker: 0,
        maker: NO_SLOT,
        tick: 0,
        qty: 0,
        index: 0,
        kind: EventKind::Done,
        reason: Reason::None,
        freed: 0,
        last: false,
    };

    /// Whether the maker's slot is free now.
    #[inline]
    pub const fn maker_free(&self) -> bool {
        self.freed & event_flags::MAKER_FREE != 0
    }

    /// Whether the taker's slot is free now.
    #[inline]
    pub const fn taker_free(&self) -> bool {
        self.freed & event_flags::TAKER_FREE != 0
    }

    /// The beat's 32 bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; BEAT_BYTES] {
        bytes_of(self.to_words())
    }

    /// Reads 32 bytes; `None` when they are no event (a device's beat is not trusted).
    #[inline]
    pub fn from_bytes(bytes: &[u8; BEAT_BYTES]) -> Option<Self> {
        Self::from_words(words_of(bytes))
    }

    /// The beat as four little-endian words, as a ring moves it.
    #[inline]
    pub fn to_words(&self) -> [u64; 4] {
        [
            self.seq,
            u64::from(self.taker) | u64::from(self.maker) << 32,
            u64::from(self.tick) | u64::from(self.qty) << 32,
            u64::from(self.index)
                | u64::from(self.kind as u8) << 32
                | u64::from(self.reason as u8) << 40
                | u64::from(self.freed) << 48
                | u64::from(self.last) << 56,
        ]
    }

    /// The event in four words, the ring bit masked; `None` when they are no event.
    #[inline]
    pub fn from_words(words: [u64; 4]) -> Option<Self> {
        let kind = EventKind::from_byte((words[3] >> 32) as u8)?;
        let reason = Reason::from_byte((words[3] >> 40) as u8)?;
        let freed = (words[3] >> 48) as u8;
        let last = (words[3] >> 56) as u8 & !RING_BIT;
        if freed & !(event_flags::MAKER_FREE | event_flags::TAKER_FREE) != 0 || last > 1 {
            return None;
        }
        Some(Self {
            seq: words[0],
            taker: words[1] as u32,
            maker: (words[1] >> 32) as u32,
            tick: words[2] as u32,
            qty: (words[2] >> 32) as u32,
            index: words[3] as u32,
            kind,
            reason,
            freed,
            last: last == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stands_where_the_table_says_and_garbage_is_none() {
        let event = Event {
            seq: 9,
            taker: 0x0102_0304,
            maker: NO_SLOT,
            tick: 0x1112_1314,
            qty: 0x2122_2324,
            index: 0x3132_3334,
            kind: EventKind::Cancelled,
            reason: Reason::SelfTrade,
            freed: event_flags::TAKER_FREE,
            last: true,
        };
        let bytes = event.to_bytes();
        assert_eq!(
            bytes,
            [
                9, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 255, 255, 255, 255, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21,
                0x34, 0x33, 0x32, 0x31, 3, 20, 2, 1
            ]
        );
        assert_eq!(Event::from_bytes(&bytes), Some(event));
        for (at, value) in [(28, 7), (29, 11), (30, 4), (31, 2)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert_eq!(Event::from_bytes(&wrong), None, "byte {at} = {value}");
        }
    }
}
