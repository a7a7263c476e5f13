//! Why an order is rejected: two bytes.

use std::fmt;

/// The reason field of a `Rejected` message, as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonCode(pub u16);

impl ReasonCode {
    /// What the code means; `None` if it is none of the known.
    pub fn get(self) -> Option<RejectReason> {
        RejectReason::from_u16(self.0)
    }
}

impl From<RejectReason> for ReasonCode {
    fn from(reason: RejectReason) -> Self {
        Self(reason as u16)
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(reason) => reason.fmt(f),
            None => write!(f, "Unknown(0x{:04x})", self.0),
        }
    }
}

macro_rules! reasons {
    ($( $reason:ident = $code:literal, $text:literal; )*) => {
        /// Why an order is rejected, with OUCH's own numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum RejectReason { $( #[doc = $text] $reason = $code, )* }

        impl RejectReason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$( Self::$reason, )*];

            /// The reason with this number.
            pub fn from_u16(code: u16) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$reason), )*
                    _ => None,
                }
            }

            /// A few words for a person.
            pub fn text(self) -> &'static str {
                match self { $( Self::$reason => $text, )* }
            }
        }
    };
}

reasons! {
    QuoteUnavailable = 0x01, "quote unavailable";
    DestinationClosed = 0x02, "destination closed";
    InvalidDisplay = 0x03, "invalid display";
    InvalidMaxFloor = 0x04, "invalid max floor";
    InvalidPegType = 0x05, "invalid peg type";
    FatFinger = 0x06, "fat finger";
    Halted = 0x07, "halted";
    IsoNotAllowed = 0x08, "intermarket sweep not allowed";
    InvalidSide = 0x09, "invalid side";
    ProcessingError = 0x0A, "processing error";
    CancelPending = 0x0B, "cancel pending";
    FirmNotAuthorized = 0x0C, "firm not authorized";
    InvalidMinQuantity = 0x0D, "invalid minimum quantity";
    NoClosingReferencePrice = 0x0E, "no closing reference price";
    Other = 0x0F, "other";
    CancelNotAllowed = 0x10, "cancel not allowed";
    PeggingNotAllowed = 0x11, "pegging not allowed";
    CrossedMarket = 0x12, "crossed market";
    InvalidQuantity = 0x13, "invalid quantity";
    InvalidCrossOrder = 0x14, "invalid cross order";
    ReplaceNotAllowed = 0x15, "replace not allowed";
    RoutingNotAllowed = 0x16, "routing not allowed";
    InvalidSymbol = 0x17, "invalid symbol";
    Test = 0x18, "test";
    LateLocTooAggressive = 0x19, "late limit-on-close too aggressive";
    RetailNotAllowed = 0x1A, "retail not allowed";
    InvalidMidpointPostOnlyPrice = 0x1B, "invalid midpoint post-only price";
    InvalidDestination = 0x1C, "invalid destination";
    InvalidPrice = 0x1D, "invalid price";
    SharesExceedThreshold = 0x1E, "shares exceed threshold";
    ExceedsMaximumNotional = 0x1F, "exceeds maximum notional";
    RiskAggregateExposure = 0x20, "risk: aggregate exposure";
    RiskMarketImpact = 0x21, "risk: market impact";
    RiskRestrictedStock = 0x22, "risk: restricted stock";
    RiskShortSellRestricted = 0x23, "risk: short sell restricted";
    RiskOrderTypeRestricted = 0x24, "risk: order type restricted";
    RiskExceedsAdvLimit = 0x25, "risk: exceeds limit of average daily volume";
    RiskFatFinger = 0x26, "risk: fat finger";
    RiskLocateRequired = 0x27, "risk: locate required";
    RiskSymbolMessageRate = 0x28, "risk: symbol message rate";
    RiskPortMessageRate = 0x29, "risk: port message rate";
    RiskDuplicateMessageRate = 0x2A, "risk: duplicate message rate";
}
