//! What single bytes of the beats mean: kinds, reasons, sides, times in force, self-trade modes, flags.
//!
//! The numbers are the ABI: they stand in journals and in hardware, and are never given again.

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
