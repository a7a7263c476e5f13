//! The two beats as plain structs, and their bytes.
//!
//! `Command` and `Event` keep the raw bytes of the fields that can be malformed (kind, flags): a twin must answer garbage
//! in a defined way, so decoding never fails; [`Command::kind`] and the like tell whether a field means anything.

use super::BEAT_BYTES;

/// The slot number that names no order: the maker of an event that has none.
pub const NO_SLOT: u32 = u32::MAX;

/// The bit of the last byte that belongs to the ring.
pub const RING_BIT: u8 = 0x80;

macro_rules! byte_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $value),+ }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: [Self; [$($value),+].len()] = [$(Self::$variant),+];

            /// The value of this byte; `None` when the byte means nothing.
            #[inline]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

byte_enum! {
    /// What a command asks for.
    Kind {
        /// Nothing: keeps the sequence without gaps. Answered by `done`.
        Nop = 0,
        /// A new order in `slot`.
        New = 1,
        /// Takes the order in `slot` out of the book.
        Cancel = 2,
        /// Takes `qty` off the order in `slot`; it keeps its priority.
        Reduce = 3,
        /// Takes the order in `slot` out and enters it again in `slot2` with `tick` and `qty`; priority is lost.
        Replace = 4,
    }
}

byte_enum! {
    /// What happened.
    EventKind {
        /// A nop is done.
        Done = 0,
        /// `qty` traded at `tick`, the maker's price.
        Fill = 1,
        /// The taker's leaves `qty` rest at `tick`.
        Rested = 2,
        /// `qty` went away: the taker's, or the maker's when `maker` is not [`NO_SLOT`].
        Cancelled = 3,
        /// `qty` was taken off the order; it lives on, with its priority.
        Reduced = 4,
        /// The order `maker` (old slot) is now `taker` (new slot) with new leaves `qty`; what follows is as for a new order.
        Replaced = 5,
        /// The command was refused with `reason`, and changed nothing.
        Rejected = 6,
    }
}

byte_enum! {
    /// Why: of `rejected` (1 to 15) and of `cancelled` (16 and up). 0 on every other event.
    Reason {
        /// No reason.
        None = 0,
        /// The kind byte means nothing.
        BadKind = 1,
        /// A reserved bit is set.
        ReservedBits = 2,
        /// Flags or time in force do not go together, or not with this kind.
        BadFlags = 3,
        /// No such instrument.
        UnknownInstrument = 4,
        /// A slot is beyond the matcher's slots.
        SlotRange = 5,
        /// A slot that must be free holds a live order (or is named twice).
        SlotLive = 6,
        /// No live order in the slot.
        NoOrder = 7,
        /// The live order has another instrument or owner.
        NotYours = 8,
        /// The tick is outside the instrument's band.
        TickRange = 9,
        /// The quantity is 0, or beyond the limit.
        QtyRange = 10,
        /// Asked for by a cancel, a reduce to nothing, or a relative replace that leaves nothing.
        User = 16,
        /// What is left of an immediate-or-cancel order.
        ImmediateOrCancel = 17,
        /// A fill-or-kill order that cannot fill.
        FillOrKill = 18,
        /// A post-only order that would cross.
        PostOnly = 19,
        /// Would have traded with the same owner.
        SelfTrade = 20,
    }
}

byte_enum! {
    /// Which side of the book.
    Side {
        /// Buys; best is the highest tick.
        Buy = 0,
        /// Sells; best is the lowest tick.
        Sell = 1,
    }
}

impl Side {
    /// The other side.
    #[inline]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

byte_enum! {
    /// How long an order lives.
    TimeInForce {
        /// Good till cancelled: what does not trade rests.
        Gtc = 0,
        /// Immediate or cancel: what does not trade is cancelled.
        Ioc = 1,
        /// Fill or kill: trades whole at once, or not at all.
        Fok = 2,
    }
}

byte_enum! {
    /// What a taker does at a would-be fill with an order of the same owner. Owner 0 is exempt.
    SelfTrade {
        /// Trades.
        Off = 0,
        /// The taker's leaves go.
        CancelNewest = 1,
        /// The maker's leaves go, and the taker goes on.
        CancelOldest = 2,
        /// Both go, the maker's first.
        CancelBoth = 3,
    }
}

/// Bits of an event's reserved byte, for the host's slot allocator.
pub mod event_flags {
    /// The maker's slot is free now.
    pub const MAKER_FREE: u8 = 1;
    /// The taker's slot is free now.
    pub const TAKER_FREE: u8 = 2;
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
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

    /// The beat's 32 bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; BEAT_BYTES] {
        let mut bytes = [0; BEAT_BYTES];
        for (at, word) in self.to_words().iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
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
        let mut bytes = [0; BEAT_BYTES];
        for (at, word) in self.to_words().iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
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

fn words_of(bytes: &[u8; BEAT_BYTES]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

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
