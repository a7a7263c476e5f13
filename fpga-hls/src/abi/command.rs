//! The command beat: what goes to a matcher.
//!
//! [`Command`] keeps the raw bytes of the fields that can be malformed (kind, flags): a twin must answer garbage in a
//! defined way, so decoding never fails; [`Command::side`] and the like tell what a field means.

use zerocopy::{FromBytes, Immutable, IntoBytes, transmute_ref};

use super::beat::{BEAT_BYTES, RING_BIT, bytes_of, words_of};
use super::codes::{SelfTrade, Side, TimeInForce};

/// A command beat.
///
/// | bytes | field |
/// |---|---|
/// | 0..8 | seq |
/// | 8..10 | instrument |
/// | 10..12 | owner |
/// | 12..16 | slot |
/// | 16..20 | slot2 (replace) |
/// | 20..24 | tick |
/// | 24..28 | qty (two's complement when relative) |
/// | 28 | kind |
/// | 29 | bit 0 side, bits 1-2 time in force, rest reserved |
/// | 30 | bits 0-1 self-trade mode, bit 2 post-only, bit 3 relative, rest reserved |
/// | 31 | bit 7 the ring's, rest reserved |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Command {
    /// Number of the record that this beat was made of; echoed unchecked.
    pub seq: u64,
    /// Index of the instrument.
    pub instrument: u16,
    /// What self-trade prevention compares; 0 is exempt.
    pub owner: u16,
    /// Handle of the order.
    pub slot: u32,
    /// Handle of the replacement.
    pub slot2: u32,
    /// Price as an offset in the instrument's band.
    pub tick: u32,
    /// Lots; two's complement when relative.
    pub qty: u32,
    /// [`Kind`], raw.
    pub kind: u8,
    /// Side and time in force, raw: see [`Command::side_tif`].
    pub side_tif: u8,
    /// Self-trade mode, post-only, relative, raw: see [`Command::flags`].
    pub flags: u8,
    /// The ring's byte, raw, ring bit cleared.
    pub ring: u8,
}

impl Command {
    /// Flag bit: post-only.
    pub const POST_ONLY: u8 = 1 << 2;
    /// Flag bit: `qty` is a signed change of the leaves.
    pub const RELATIVE: u8 = 1 << 3;
    /// Reserved bits of the side byte.
    pub const SIDE_RESERVED: u8 = !0b111;
    /// Reserved bits of the flags byte.
    pub const FLAGS_RESERVED: u8 = !0b1111;

    /// The side byte's bits for this side and time in force.
    #[inline]
    pub const fn side_tif(side: Side, tif: TimeInForce) -> u8 {
        side as u8 | (tif as u8) << 1
    }

    /// The flags byte's bits.
    #[inline]
    pub const fn flags(self_trade: SelfTrade, post_only: bool, relative: bool) -> u8 {
        self_trade as u8 | (post_only as u8) << 2 | (relative as u8) << 3
    }

    /// The side that the side bit names.
    #[inline]
    pub const fn side(&self) -> Side {
        if self.side_tif & 1 == 0 { Side::Buy } else { Side::Sell }
    }

    /// The time in force; `None` for the value 3.
    #[inline]
    pub const fn time_in_force(&self) -> Option<TimeInForce> {
        TimeInForce::from_byte((self.side_tif >> 1) & 3)
    }

    /// The self-trade mode.
    #[inline]
    pub const fn self_trade(&self) -> SelfTrade {
        match self.flags & 3 {
            0 => SelfTrade::Off,
            1 => SelfTrade::CancelNewest,
            2 => SelfTrade::CancelOldest,
            _ => SelfTrade::CancelBoth,
        }
    }

    /// Whether post-only is set.
    #[inline]
    pub const fn post_only(&self) -> bool {
        self.flags & Self::POST_ONLY != 0
    }

    /// Whether `qty` is a signed change.
    #[inline]
    pub const fn relative(&self) -> bool {
        self.flags & Self::RELATIVE != 0
    }

    /// Kind, side and time in force, flags and ring byte as one number, kind lowest: the upper half of the beat's last word.
    #[inline]
    pub(crate) fn control(&self) -> u32 {
        // The beat's own bytes: one load, where putting four bytes together is ten instructions.
        let words: &[u32; 8] = transmute_ref!(self);
        u32::from_le(words[7])
    }

    /// The beat's 32 bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; BEAT_BYTES] {
        bytes_of(self.to_words())
    }

    /// Reads 32 bytes; every pattern is a command. The ring bit is masked.
    #[inline]
    pub fn from_bytes(bytes: &[u8; BEAT_BYTES]) -> Self {
        Self::from_words(words_of(bytes))
    }

    /// The beat as four little-endian words, as a ring moves it.
    #[inline]
    pub fn to_words(&self) -> [u64; 4] {
        [
            self.seq,
            u64::from(self.instrument) | u64::from(self.owner) << 16 | u64::from(self.slot) << 32,
            u64::from(self.slot2) | u64::from(self.tick) << 32,
            u64::from(self.qty)
                | u64::from(self.kind) << 32
                | u64::from(self.side_tif) << 40
                | u64::from(self.flags) << 48
                | u64::from(self.ring & !RING_BIT) << 56,
        ]
    }

    /// The command in four words; the ring bit is masked.
    #[inline]
    pub fn from_words(words: [u64; 4]) -> Self {
        Self {
            seq: words[0],
            instrument: words[1] as u16,
            owner: (words[1] >> 16) as u16,
            slot: (words[1] >> 32) as u32,
            slot2: words[2] as u32,
            tick: (words[2] >> 32) as u32,
            qty: words[3] as u32,
            kind: (words[3] >> 32) as u8,
            side_tif: (words[3] >> 40) as u8,
            flags: (words[3] >> 48) as u8,
            ring: (words[3] >> 56) as u8 & !RING_BIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{Kind, RING_BIT};

    #[test]
    fn a_command_stands_where_the_table_says() {
        let command = Command {
            seq: 0x0102_0304_0506_0708,
            instrument: 0x1112,
            owner: 0x2122,
            slot: 0x3132_3334,
            slot2: 0x4142_4344,
            tick: 0x5152_5354,
            qty: 0x6162_6364,
            kind: Kind::Replace as u8,
            side_tif: Command::side_tif(Side::Sell, TimeInForce::Ioc),
            flags: Command::flags(SelfTrade::CancelBoth, false, true),
            ring: 0,
        };
        let bytes = command.to_bytes();
        assert_eq!(
            bytes,
            [
                8, 7, 6, 5, 4, 3, 2, 1, 0x12, 0x11, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31, 0x44, 0x43, 0x42, 0x41, 0x54,
                0x53, 0x52, 0x51, 0x64, 0x63, 0x62, 0x61, 4, 0b011, 0b1011, 0
            ]
        );
        assert_eq!(Command::from_bytes(&bytes), command);
        let mut ringed = bytes;
        ringed[31] |= RING_BIT;
        assert_eq!(Command::from_bytes(&ringed), command, "the ring bit is masked");
    }

    #[test]
    fn every_pattern_is_a_command_that_keeps_its_bytes() {
        let mut bytes = [0u8; BEAT_BYTES];
        for round in 0..2000u32 {
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = (round.wrapping_mul(2_654_435_761).rotate_left(at as u32) >> 7) as u8;
            }
            bytes[31] &= !RING_BIT;
            assert_eq!(Command::from_bytes(&bytes).to_bytes(), bytes);
        }
    }
}
