//! Rules broken on purpose, in tests alone: whatever checks the books shows with them that it would notice.

/// A rule that a test breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The taker of a fill pays no fee.
    FeeNotBooked,
    /// A maker that self-trade prevention cancels keeps its reserve.
    SelfTradeKeepsReserve,
    /// A fill is paid at the taker's limit.
    TakersPrice,
    /// A replace keeps what it reserved beyond the old order, though the new one needs it no more.
    ReplaceKeepsExtra,
    /// A seller delivers one lot less than he was paid for.
    DeliversLess,
    /// An order that its account cannot fund is refused, but its seq is taken.
    RefusalTakesSeq,
    /// A transfer is booked as often as it comes.
    TransferTwice,
    /// Match numbers begin anew with each epoch.
    FillsStartOver,
    /// The legs of a chain before one that is refused stay.
    ChainInPart,
    /// A pend whose time is over can be posted.
    PostsExpired,
    /// A pend that ends keeps what it holds.
    VoidKeepsHold,
}

/// Which rule is broken: none, outside of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plant {
    #[cfg(test)]
    pub broken: Option<Planted>,
}

impl Plant {
    /// Whether this rule is broken.
    #[inline]
    pub const fn is(&self, rule: Planted) -> bool {
        #[cfg(test)]
        if let Some(broken) = self.broken {
            return broken as u8 == rule as u8;
        }
        let _ = rule;
        false
    }
}
