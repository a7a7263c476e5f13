//! Live orders by slot, and what a correct matcher must answer to a command: everything that the books can know without
//! a book of prices.

use wirebook_matcher::abi::{Command, Event, EventKind, Kind, Limits, NO_SLOT, Reason, Side, TimeInForce, event_flags};

/// A live order as the books hold it: whose it is, and what it reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOrder {
    /// Session that entered it.
    pub session: u32,
    /// Account whose money it reserves.
    pub account: u32,
    /// What self-trade prevention compares.
    pub owner: u16,
    /// What it trades.
    pub instrument: u16,
    /// Its limit, as an offset in the band.
    pub tick: u32,
    /// Lots left; 0 in a slot that is free.
    pub leaves: u32,
    /// What each lot reserves: of quote for a buyer, of base for a seller.
    pub reserve_per_lot: u64,
    /// Its side.
    pub side: Side,
}

impl LiveOrder {
    pub(super) const FREE: Self = Self {
        session: 0,
        account: 0,
        owner: 0,
        instrument: 0,
        tick: 0,
        leaves: 0,
        reserve_per_lot: 0,
        side: Side::Buy,
    };

    /// What it reserves, in the smallest unit of the asset that its side gives away.
    #[inline]
    pub fn reserved(&self) -> i128 {
        i128::from(self.reserve_per_lot) * i128::from(self.leaves)
    }

    /// Whether its limit reaches a maker at this tick.
    #[inline]
    pub(super) fn reaches(&self, tick: u32) -> bool {
        match self.side {
            Side::Buy => tick <= self.tick,
            Side::Sell => tick >= self.tick,
        }
    }
}

/// The sizes that a command is checked against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub slots: u32,
    pub max_qty: u32,
}

/// Why every matcher rejects these bytes whatever its book: kind, reserved bits, flags.
#[inline]
pub(super) fn malformed(command: &Command) -> Result<Kind, Reason> {
    let kind = Kind::from_byte(command.kind).ok_or(Reason::BadKind)?;
    let reserved = command.side_tif & Command::SIDE_RESERVED | command.flags & Command::FLAGS_RESERVED | command.ring;
    if reserved != 0 {
        return Err(Reason::ReservedBits);
    }
    let time_in_force = command.time_in_force().ok_or(Reason::BadFlags)?;
    let together = match kind {
        Kind::Nop | Kind::Cancel | Kind::Reduce => time_in_force == TimeInForce::Gtc && command.flags == 0,
        Kind::New | Kind::Replace => {
            (!command.post_only() || time_in_force == TimeInForce::Gtc)
                && (!command.relative() || kind == Kind::Replace)
                && (time_in_force != TimeInForce::Fok || kind == Kind::New)
        }
    };
    if together { Ok(kind) } else { Err(Reason::BadFlags) }
}

/// Why a matcher rejects a new order's tick or quantity.
#[inline]
pub(super) fn new_is_refused(command: &Command, ticks: u32, sizes: Sizes) -> Option<Reason> {
    if command.tick >= ticks {
        return Some(Reason::TickRange);
    }
    (command.qty == 0 || command.qty > sizes.max_qty).then_some(Reason::QtyRange)
}

/// Why a matcher rejects a change of the order in the command's slot. The slots are known to be in range, and slot2 of
/// a replace to be free and another.
#[inline]
pub(super) fn change_is_refused(
    command: &Command,
    kind: Kind,
    old: &LiveOrder,
    ticks: u32,
    sizes: Sizes,
) -> Option<Reason> {
    if old.leaves == 0 {
        return Some(Reason::NoOrder);
    }
    if old.instrument != command.instrument || old.owner != command.owner {
        return Some(Reason::NotYours);
    }
    if kind == Kind::Replace && command.tick >= ticks {
        return Some(Reason::TickRange);
    }
    let bounded = kind != Kind::Cancel && !command.relative();
    if bounded && (command.qty == 0 || command.qty > sizes.max_qty) {
        return Some(Reason::QtyRange);
    }
    let beyond = kind == Kind::Replace && replaced_leaves(command, old) > i64::from(sizes.max_qty);
    beyond.then_some(Reason::QtyRange)
}

/// The leaves that a replace asks for; 0 or less takes the order away.
#[inline]
pub(super) fn replaced_leaves(command: &Command, old: &LiveOrder) -> i64 {
    if command.relative() {
        i64::from(old.leaves) + i64::from(command.qty.cast_signed())
    } else {
        i64::from(command.qty)
    }
}

/// The largest quantity that a matcher may be made for.
pub(super) const MAX_QTY: u32 = Limits::MAX_QTY;

/// Builds the one event that would be right.
pub(super) struct Expect {
    pub seq: u64,
    pub index: u32,
}

impl Expect {
    #[inline]
    fn event(&self, kind: EventKind, taker: u32, tick: u32, qty: u32) -> Event {
        Event {
            seq: self.seq,
            taker,
            maker: NO_SLOT,
            tick,
            qty,
            index: self.index,
            kind,
            reason: Reason::None,
            freed: 0,
            last: true,
        }
    }

    #[inline]
    pub fn done(&self) -> Event {
        self.event(EventKind::Done, 0, 0, 0)
    }

    #[inline]
    pub fn rejected(&self, command: &Command, reason: Reason) -> Event {
        Event { reason, ..self.event(EventKind::Rejected, command.slot, command.tick, command.qty) }
    }

    /// The taker's whole leaves go.
    #[inline]
    pub fn cancelled(&self, slot: u32, order: &LiveOrder, reason: Reason) -> Event {
        let freed = event_flags::TAKER_FREE;
        Event { reason, freed, ..self.event(EventKind::Cancelled, slot, order.tick, order.leaves) }
    }

    /// The maker's whole leaves go: self-trade.
    #[inline]
    pub fn maker_cancelled(&self, taker: u32, maker: u32, order: &LiveOrder) -> Event {
        let (reason, freed) = (Reason::SelfTrade, event_flags::MAKER_FREE);
        let event = self.event(EventKind::Cancelled, taker, order.tick, order.leaves);
        Event { maker, reason, freed, last: false, ..event }
    }

    #[inline]
    pub fn reduced(&self, slot: u32, order: &LiveOrder, amount: u32) -> Event {
        self.event(EventKind::Reduced, slot, order.tick, amount)
    }

    #[inline]
    pub fn replaced(&self, command: &Command, leaves: u32) -> Event {
        let event = self.event(EventKind::Replaced, command.slot2, command.tick, leaves);
        Event { maker: command.slot, freed: event_flags::MAKER_FREE, last: false, ..event }
    }

    #[inline]
    pub fn rested(&self, slot: u32, order: &LiveOrder) -> Event {
        self.event(EventKind::Rested, slot, order.tick, order.leaves)
    }

    /// Both trade all that they have in common, at the maker's price.
    #[inline]
    pub fn fill(&self, taker: u32, taking: &LiveOrder, maker: u32, making: &LiveOrder) -> Event {
        let qty = taking.leaves.min(making.leaves);
        let mut freed = 0;
        if qty == making.leaves {
            freed |= event_flags::MAKER_FREE;
        }
        if qty == taking.leaves {
            freed |= event_flags::TAKER_FREE;
        }
        let event = self.event(EventKind::Fill, taker, making.tick, qty);
        Event { maker, freed, last: qty == taking.leaves, ..event }
    }
}
