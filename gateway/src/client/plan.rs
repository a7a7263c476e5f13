//! The answers of [`OuchOrders`](super::OuchOrders): what to do with a line, what a message came to, and what was counted.

use wirebook_matcher::flow::Fill;

use super::messages::Outgoing;

/// Why a line is not sent. Counted, and nothing else changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A change of an id that is not live.
    #[error("the id is unknown or dead")]
    UnknownId,
    /// A new order with an id that is live.
    #[error("the id is live")]
    DuplicateId,
    /// The price is not a multiple of the tick size.
    #[error("the price is off the grid")]
    OffGrid,
    /// OUCH cannot say the price.
    #[error("the price is outside OUCH's 0 to 199,999.99")]
    OuchPrice,
    /// The qty is 0.
    #[error("the qty is 0")]
    ZeroQty,
    /// OUCH cannot say the qty, or the total with what has executed.
    #[error("the qty is beyond OUCH's 999,999")]
    OuchQty,
    /// Every UserRefNum has been used.
    #[error("no UserRefNum is left today")]
    NoNumber,
}

impl Refusal {
    /// Every reason, in the order of [`Counts::refused`].
    pub const ALL: [Self; 7] = [
        Self::UnknownId,
        Self::DuplicateId,
        Self::OffGrid,
        Self::OuchPrice,
        Self::ZeroQty,
        Self::OuchQty,
        Self::NoNumber,
    ];
}

/// What to do with a line.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Send this.
    Send {
        /// The message.
        message: Outgoing,
        /// The UserRefNum that its answer will name.
        user_ref: u32,
    },
    /// Not before everything sent has been answered; then plan it again.
    Barrier,
    /// Nothing.
    Refused(Refusal),
}

/// What a message of the venue came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The answer to the order or replacement that this number was given to.
    Answer {
        /// The number.
        user_ref: u32,
    },
    /// The answer to a cancel or reduce of the order that has this number.
    Lowered {
        /// The number.
        user_ref: u32,
    },
    /// An answer to an account query: everything sent before that query has been answered.
    Confirmed {
        /// The next number that may be used, as the venue sees it.
        next_user_ref: u32,
    },
    /// A fill of two orders of this client.
    Fill(Fill),
    /// Something else about an order of this client, or about the day.
    Other,
    /// About an order that this client did not send.
    Foreign,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines planned to their end: sent, or refused.
    pub lines: u64,
    /// Messages sent, without queries.
    pub sent: u64,
    /// Orders that the venue accepted, replacements included.
    pub accepted: u64,
    /// Orders that the venue rejected.
    pub rejected: u64,
    /// Lines refused here, by [`Refusal`] as its number.
    pub refused: [u64; Refusal::ALL.len()],
    /// Fills told, both sides.
    pub fills: u64,
    /// Their lots.
    pub traded: u128,
    /// Messages about orders that this client did not send.
    pub foreign: u64,
}
