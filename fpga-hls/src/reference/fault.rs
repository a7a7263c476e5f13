//! Rules broken on purpose, one at a time.

/// A rule that [`Reference::planted`](super::Reference::planted) breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A maker that is partly filled goes to the tail of its price.
    PartialFillLosesPriority,
    /// A reduced order goes to the tail of its price.
    ReduceLosesPriority,
    /// A replaced order keeps its place when its price stays.
    ReplaceKeepsPriority,
    /// The youngest order of a price trades first.
    LastInFirstOut,
    /// A fill is at the taker's price.
    TakersPrice,
    /// A sweep does not stop at the limit.
    ThroughTheLimit,
    /// A sweep stops after its first price.
    OneLevelOnly,
    /// What is left of an immediate-or-cancel order rests.
    RemainderRests,
    /// A fill-or-kill order takes what is there.
    FillOrKillFillsPartly,
    /// Fill or kill counts orders of its own owner.
    FillOrKillCountsOwn,
    /// Fill or kill counts what stands behind an order of its own owner that would end it.
    FillOrKillLooksPastOwn,
    /// Post-only looks at self-trade before it looks at crossing.
    PostOnlyAfterSelfTrade,
    /// Owner 0 is compared like any other.
    OwnerZeroCompared,
    /// Self-trade mode 'both' lets the taker go on.
    BothSparesTheTaker,
    /// Whoever names a slot may change its order.
    OwnerUnchecked,
    /// The tick is checked before the slot.
    TickBeforeSlot,
    /// The last fill of a maker does not free its slot.
    MakerNotFreed,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 17] = [
        Self::PartialFillLosesPriority,
        Self::ReduceLosesPriority,
        Self::ReplaceKeepsPriority,
        Self::LastInFirstOut,
        Self::TakersPrice,
        Self::ThroughTheLimit,
        Self::OneLevelOnly,
        Self::RemainderRests,
        Self::FillOrKillFillsPartly,
        Self::FillOrKillCountsOwn,
        Self::FillOrKillLooksPastOwn,
        Self::PostOnlyAfterSelfTrade,
        Self::OwnerZeroCompared,
        Self::BothSparesTheTaker,
        Self::OwnerUnchecked,
        Self::TickBeforeSlot,
        Self::MakerNotFreed,
    ];
}
