//! One-byte codes: what may stand in a field, and what did.

use std::fmt;
use std::marker::PhantomData;

/// A set of one-byte codes.
pub trait Coded: Copy + Eq + fmt::Debug {
    /// The codes, as an error message says them.
    const ALLOWED: &'static str;

    /// The meaning of a byte; `None` if it has none.
    fn from_byte(byte: u8) -> Option<Self>;

    /// The byte that says this.
    fn to_byte(self) -> u8;
}

/// A byte that should be one of `E`'s codes, as it stands on the wire. A peer may have sent any other.
pub struct Code<E> {
    raw: u8,
    kind: PhantomData<fn() -> E>,
}

impl<E> Code<E> {
    /// Of a raw byte.
    pub const fn from_raw(raw: u8) -> Self {
        Self { raw, kind: PhantomData }
    }

    /// The byte itself.
    pub const fn raw(self) -> u8 {
        self.raw
    }
}

impl<E: Coded> Code<E> {
    /// What the byte means; `None` if it is none of the codes.
    pub fn get(self) -> Option<E> {
        E::from_byte(self.raw)
    }
}

impl<E: Coded> From<E> for Code<E> {
    fn from(value: E) -> Self {
        Self::from_raw(value.to_byte())
    }
}

// Derives would ask the same of `E`, which is only a label.
impl<E> Clone for Code<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Code<E> {}

impl<E> PartialEq for Code<E> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<E> Eq for Code<E> {}

impl<E: Coded> fmt::Debug for Code<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => value.fmt(f),
            None => write!(f, "Unknown('{}')", self.raw.escape_ascii()),
        }
    }
}

macro_rules! codes {
    ($(
        $(#[$meta:meta])*
        $name:ident, $allowed:literal { $( $(#[$code_meta:meta])* $code:ident = $byte:literal, )* }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $( $(#[$code_meta])* $code = $byte, )* }

        impl $name {
            /// Every code.
            pub const ALL: &'static [Self] = &[$( Self::$code, )*];
        }

        impl Coded for $name {
            const ALLOWED: &'static str = $allowed;

            #[inline]
            fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $( $byte => Some(Self::$code), )*
                    _ => None,
                }
            }

            #[inline]
            fn to_byte(self) -> u8 {
                self as u8
            }
        }
    )* };
}

codes! {
    /// Which side of the book.
    Side, "B, S, T, E" {
        /// Buy.
        Buy = b'B',
        /// Sell.
        Sell = b'S',
        /// Sell short.
        SellShort = b'T',
        /// Sell short, exempt.
        SellShortExempt = b'E',
    }

    /// How long an order lives.
    TimeInForce, "0, 3, 5, 6, E" {
        /// Until the end of the day's market hours.
        Day = b'0',
        /// Immediate or cancel.
        Ioc = b'3',
        /// Extended hours.
        Gtx = b'5',
        /// For the seconds that the option ExpireTime says.
        Gtt = b'6',
        /// After hours.
        AfterHours = b'E',
    }

    /// How an order is shown.
    Display, "Y, N, A (and Z from the exchange)" {
        /// With its price and size, nameless.
        Visible = b'Y',
        /// Not at all.
        Hidden = b'N',
        /// With the firm's name.
        Attributable = b'A',
        /// Conformant; the exchange says so, a client may not.
        Conformant = b'Z',
    }

    /// In what role the firm acts.
    Capacity, "A, P, R, O" {
        /// Agency.
        Agency = b'A',
        /// Principal.
        Principal = b'P',
        /// Riskless principal.
        Riskless = b'R',
        /// Other.
        Other = b'O',
    }

    /// Yes or no.
    YesNo, "Y, N" {
        /// Yes.
        Yes = b'Y',
        /// No.
        No = b'N',
    }

    /// In which cross an order takes part.
    CrossType, "N, O, C, H, S, R, E, A" {
        /// None: the continuous market.
        Continuous = b'N',
        /// The opening cross.
        Opening = b'O',
        /// The closing cross.
        Closing = b'C',
        /// A halt's or an IPO's cross.
        Halt = b'H',
        /// Supplemental.
        Supplemental = b'S',
        /// Retail.
        Retail = b'R',
        /// Extended life.
        ExtendedLife = b'E',
        /// After-hours close.
        AfterHoursClose = b'A',
    }

    /// Whether an accepted order is in the book.
    OrderState, "L, D" {
        /// Live.
        Live = b'L',
        /// Dead: accepted and cancelled at once; nothing more follows.
        Dead = b'D',
    }

    /// What a system event announces.
    EventCode, "S, E" {
        /// Start of the day.
        StartOfDay = b'S',
        /// End of the day.
        EndOfDay = b'E',
    }

    /// Why shares were taken off an order.
    CancelReason, "U, I, T, S, D, Q, Z, E, F, G, H, K, X, e" {
        /// The client asked.
        UserRequested = b'U',
        /// The rest of an immediate-or-cancel order.
        ImmediateOrCancel = b'I',
        /// Its time in force ran out.
        Expired = b'T',
        /// Supervisory.
        Supervisory = b'S',
        /// A regulatory restriction.
        Regulatory = b'D',
        /// It would have met an order of the same owner.
        SelfMatchPrevention = b'Q',
        /// The system.
        System = b'Z',
        /// Closed.
        Closed = b'E',
        /// Post-only: it would have slid under the national best price.
        PostOnlyPriceSlide = b'F',
        /// Post-only: it would have met a displayed order.
        PostOnlyContra = b'G',
        /// Halted.
        Halted = b'H',
        /// Market collars.
        MarketCollars = b'K',
        /// Protection at the opening.
        OpenProtection = b'X',
        /// A direct listing's shares are exceeded.
        DirectListing = b'e',
    }

    /// Why a trade was broken.
    BrokenTradeReason, "E, C, S, X" {
        /// Erroneous.
        Erroneous = b'E',
        /// By consent.
        Consent = b'C',
        /// Supervisory.
        Supervisory = b'S',
        /// External.
        External = b'X',
    }

    /// Why an order was restated.
    RestateReason, "R, P" {
        /// The shown part of a reserve order was refreshed.
        Refreshed = b'R',
        /// The shown price changed.
        Repriced = b'P',
    }

    /// What an execution did to the book's liquidity.
    LiquidityFlag, "A, R, J, k, m, N, u, 7, 8, e, O, C, M, L, H, K, i, n, 0, j, 1, p, q, r, t" {
        /// Added.
        Added = b'A',
        /// Removed.
        Removed = b'R',
        /// Added, not displayed.
        AddedHidden = b'J',
        /// Added through a midpoint order.
        AddedMidpoint = b'k',
        /// Removed at the midpoint.
        RemovedMidpoint = b'm',
        /// Passive midpoint.
        PassiveMidpoint = b'N',
        /// Added, not displayed, through a reserve order.
        AddedReserve = b'u',
        /// A displayed add that improves the national best price.
        AddedImproving = b'7',
        /// A displayed add that sets the best price of the book.
        AddedSetting = b'8',
        /// A retail add, displayed.
        AddedRetail = b'e',
        /// Opening cross.
        OpeningCross = b'O',
        /// Closing cross.
        ClosingCross = b'C',
        /// Opening cross, imbalance only.
        OpeningImbalance = b'M',
        /// Closing cross, imbalance only.
        ClosingImbalance = b'L',
        /// A halt's or an IPO's cross.
        HaltCross = b'H',
        /// A halt's cross, displayed.
        HaltCrossDisplayed = b'K',
        /// After-hours close.
        AfterHoursClose = b'i',
        /// Extended life.
        ExtendedLife = b'n',
        /// Supplemental.
        Supplemental = b'0',
        /// Retail kind `j`.
        RetailJ = b'j',
        /// Retail kind `1`.
        Retail1 = b'1',
        /// Retail kind `p`.
        RetailP = b'p',
        /// Retail kind `q`.
        RetailQ = b'q',
        /// Retail kind `r`.
        RetailR = b'r',
        /// Retail kind `t`.
        RetailT = b't',
    }

    /// Option: whose order it is.
    CustomerType, "R, N, space" {
        /// Retail.
        Retail = b'R',
        /// Not retail.
        NotRetail = b'N',
        /// As the port is set up.
        PortDefault = b' ',
    }

    /// Option: what the price follows.
    PriceType, "L, P, M, R, Q, m" {
        /// Nothing: a limit.
        Limit = b'L',
        /// Market peg.
        MarketPeg = b'P',
        /// Midpoint peg.
        MidpointPeg = b'M',
        /// Primary peg.
        PrimaryPeg = b'R',
        /// Market-maker peg.
        MarketMakerPeg = b'Q',
        /// Midpoint.
        Midpoint = b'm',
    }

    /// Option: whether an order may take liquidity.
    PostOnly, "P, N" {
        /// It may not.
        PostOnly = b'P',
        /// It may.
        No = b'N',
    }

    /// Option: how an order is handled.
    HandleInst, "I, O, T, Q, R, B, D, space" {
        /// Imbalance only.
        ImbalanceOnly = b'I',
        /// Retail kind `O`.
        RetailO = b'O',
        /// Retail kind `T`.
        RetailT = b'T',
        /// Retail kind `Q`.
        RetailQ = b'Q',
        /// Retail kind `R`.
        RetailR = b'R',
        /// Extended life, and continuous.
        ExtendedLife = b'B',
        /// Direct listing.
        DirectListing = b'D',
        /// No instruction.
        None = b' ',
    }

    /// Option of the exchange: what the order does to the best bid and offer.
    BboWeight, "0, 1, 2, 3, S, N, space" {
        /// Weight 0.
        Weight0 = b'0',
        /// Weight 1.
        Weight1 = b'1',
        /// Weight 2.
        Weight2 = b'2',
        /// Weight 3.
        Weight3 = b'3',
        /// Sets the best price of the book while joining the national one.
        Sets = b'S',
        /// Improves the national best price.
        Improves = b'N',
        /// Not told.
        Untold = b' ',
    }
}
