//! Orders in, fills out: a twin behind ids and prices, without a venue around it.
//!
//! [`Offline`] gives each live id a slot, each price a tick, and turns what the twin answers back. The rules are those of
//! the Orders CSV: one instrument, owner 0, an id is live from its order until its last lot is gone. A line that cannot be
//! carried out (an id that is unknown, dead or live already, a price off the grid, no qty) is refused, counted, and changes
//! nothing. Its slots are given, or grow with the orders that live at once: then memory follows these, and not the file.

use super::band::Band;
use super::fills::Fill;
use super::ids::Ids;
use super::orders::{Op, OrderLine};
use crate::abi::{Command, EventKind, Kind, Limits, NO_SLOT, SelfTrade, Side, TimeInForce, event_flags};
use crate::matcher::Twin;

/// Slots of a book that grows, at first.
const FIRST_SLOTS: u32 = 1024;

/// Why a line was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// A change of an id that is not live.
    #[error("the id is unknown or dead")]
    UnknownId,
    /// A new order with an id that is live.
    #[error("the id is live")]
    DuplicateId,
    /// The price is not a multiple of the tick size.
    #[error("the price is off the grid")]
    OffGrid,
    /// The price is outside the band.
    #[error("the price is outside the band")]
    OutOfBand,
    /// The qty is 0.
    #[error("the qty is 0")]
    ZeroQty,
    /// The qty is above 2^31-1.
    #[error("the qty is beyond the limit")]
    QtyRange,
    /// Every slot is taken.
    #[error("no slot is free")]
    NoSlot,
}

impl Refused {
    /// Every reason, in the order of [`Summary::refused_by`].
    pub const ALL: [Self; 7] = [
        Self::UnknownId,
        Self::DuplicateId,
        Self::OffGrid,
        Self::OutOfBand,
        Self::ZeroQty,
        Self::QtyRange,
        Self::NoSlot,
    ];
}

/// What happened so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines applied, refused ones too.
    pub lines: u64,
    /// Fills.
    pub fills: u64,
    /// Lots traded.
    pub traded: u128,
    /// Events of the matcher.
    pub events: u64,
    /// Lines refused.
    pub refused: u64,
    /// Lines refused, by [`Refused`] as its number.
    pub refused_by: [u64; Refused::ALL.len()],
    /// Orders live now.
    pub live: u64,
}

/// A live order, as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderState {
    /// Its side.
    pub side: Side,
    /// Its price.
    pub price: i64,
    /// Lots left.
    pub leaves: u32,
    /// Lots traded over the id's whole life, replaces included.
    pub executed: u64,
}

/// Whose a slot is.
#[derive(Clone, Copy, Debug)]
struct Holder {
    id: u64,
    executed: u64,
    side: Side,
}

/// Which id has which slot.
#[derive(Clone, Debug)]
struct Seats {
    by_id: Ids,
    holders: Vec<Holder>,
    free: Vec<u32>,
}

impl Seats {
    fn new(slots: u32) -> Self {
        let nobody = Holder { id: 0, executed: 0, side: Side::Buy };
        Self { by_id: Ids::default(), holders: vec![nobody; slots as usize], free: (0..slots).rev().collect() }
    }

    /// More slots; the new ones are taken last.
    fn widen(&mut self, slots: u32) {
        let nobody = Holder { id: 0, executed: 0, side: Side::Buy };
        let before = self.holders.len() as u32;
        self.holders.resize(slots as usize, nobody);
        self.free.splice(0..0, (before..slots).rev());
    }

    /// Gives the slot that is next to an id, which leaves its earlier one with [`Seats::leave`].
    fn take(&mut self, slot: u32, holder: Holder) {
        assert_eq!(self.free.pop(), Some(slot), "the slot that is next is taken");
        self.holders[slot as usize] = holder;
        self.by_id.insert(holder.id, slot);
    }

    /// Frees a slot; its id is dead, unless it has moved to another.
    fn leave(&mut self, slot: u32) {
        let id = self.holders[slot as usize].id;
        if self.by_id.get(id) == Some(slot) {
            self.by_id.remove(id);
        }
        self.free.push(slot);
    }
}

/// A twin behind ids and prices.
#[derive(Clone, Debug)]
pub struct Offline<T> {
    twin: T,
    band: Band,
    seats: Seats,
    /// Slots that there may be; there are fewer while fewer orders live.
    most_slots: u32,
    summary: Summary,
}

impl<T: Twin> Offline<T> {
    /// An empty book.
    ///
    /// # Panics
    /// When `slots` is 0 or above [`Limits::MAX_SLOTS`].
    pub fn new(band: Band, slots: u32) -> Self {
        Self {
            twin: T::new(Limits::single(band.ticks(), slots)),
            band,
            seats: Seats::new(slots),
            most_slots: slots,
            summary: Summary::default(),
        }
    }

    /// An empty book whose slots become more, up to `most_slots`, as more orders live at once. Growing moves every live order to
    /// a larger twin, so that it costs a constant time for each order that ever rested.
    ///
    /// # Panics
    /// When `most_slots` is 0 or above [`Limits::MAX_SLOTS`].
    pub fn growing(band: Band, most_slots: u32) -> Self {
        Self { most_slots, ..Self::new(band, most_slots.min(FIRST_SLOTS)) }
    }

    /// Makes room for twice as many orders, if that is allowed.
    fn grow(&mut self) {
        let slots = self.twin.limits().slots.saturating_mul(2).min(self.most_slots);
        let mut wider = T::new(Limits::single(self.band.ticks(), slots));
        self.twin.orders(|order| {
            let restored = wider.restore(&order);
            assert_eq!(restored, Ok(()), "an order that rests in one book rests in a larger one");
        });
        self.twin = wider;
        self.seats.widen(slots);
    }

    /// Carries out one line; hands over its fills, in order.
    ///
    /// # Errors
    /// Says why the line was refused: it is counted, and changed nothing.
    pub fn apply(&mut self, line: &OrderLine, fills: impl FnMut(Fill)) -> Result<(), Refused> {
        self.execute(line, fills).map(|_| ())
    }

    /// As [`Offline::apply`], and gives the beat that was made of the line.
    ///
    /// # Errors
    /// Says why the line was refused: it is counted, and changed nothing.
    pub fn execute(&mut self, line: &OrderLine, fills: impl FnMut(Fill)) -> Result<Command, Refused> {
        self.summary.lines += 1;
        if self.seats.free.is_empty() && self.twin.limits().slots < self.most_slots {
            self.grow();
        }
        let done = self.command(line);
        if let Ok(command) = &done {
            self.carry_out(line.id, command, fills);
        }
        if let Err(refused) = done {
            self.summary.refused += 1;
            self.summary.refused_by[refused as usize] += 1;
        }
        done
    }

    /// A live order; `None` when the id was never seen, or is dead.
    pub fn order(&self, id: u64) -> Option<OrderState> {
        let slot = self.seats.by_id.get(id)?;
        let order = self.twin.order(slot).expect("a live id has a live slot");
        Some(OrderState {
            side: order.side,
            price: self.band.price(order.tick),
            leaves: order.leaves,
            executed: self.seats.holders[slot as usize].executed,
        })
    }

    /// What happened so far.
    pub fn summary(&self) -> Summary {
        Summary { live: self.seats.by_id.len() as u64, ..self.summary }
    }

    /// The band.
    pub const fn band(&self) -> Band {
        self.band
    }

    /// The twin.
    pub const fn twin(&self) -> &T {
        &self.twin
    }

    /// The beat of a line, with the slots that it needs.
    fn command(&self, line: &OrderLine) -> Result<Command, Refused> {
        let slot = self.seats.by_id.get(line.id);
        let (kind, time_in_force, post_only) = match line.op {
            Op::Limit => (Kind::New, TimeInForce::Gtc, false),
            Op::ImmediateOrCancel => (Kind::New, TimeInForce::Ioc, false),
            Op::FillOrKill => (Kind::New, TimeInForce::Fok, false),
            Op::PostOnly => (Kind::New, TimeInForce::Gtc, true),
            Op::Reduce => (Kind::Reduce, TimeInForce::Gtc, false),
            Op::Cancel => (Kind::Cancel, TimeInForce::Gtc, false),
            Op::Replace => (Kind::Replace, TimeInForce::Gtc, false),
        };
        match slot {
            Some(_) if line.op.enters() => return Err(Refused::DuplicateId),
            None if !line.op.enters() => return Err(Refused::UnknownId),
            _ => {}
        }
        let mut tick = 0;
        if line.op.has_price() {
            tick = self.band.tick(line.price).ok_or_else(|| {
                let offset = i128::from(line.price) - i128::from(self.band.base());
                let on_grid = offset.rem_euclid(i128::from(self.band.tick_size())) == 0;
                if on_grid { Refused::OutOfBand } else { Refused::OffGrid }
            })?;
        }
        if line.op.has_qty() {
            match line.qty {
                0 => return Err(Refused::ZeroQty),
                1..=Limits::MAX_QTY => {}
                _ => return Err(Refused::QtyRange),
            }
        }
        let free = self.seats.free.last().copied();
        if matches!(kind, Kind::New | Kind::Replace) && free.is_none() {
            return Err(Refused::NoSlot);
        }
        Ok(Command {
            seq: self.summary.lines,
            slot: slot.or(free).unwrap_or(NO_SLOT),
            slot2: if kind == Kind::Replace { free.unwrap_or(NO_SLOT) } else { 0 },
            tick,
            qty: if line.op.has_qty() { line.qty } else { 0 },
            kind: kind as u8,
            side_tif: Command::side_tif(line.side, time_in_force),
            flags: Command::flags(SelfTrade::Off, post_only, false),
            ..Command::default()
        })
    }

    /// Lets the twin answer, and books what it says: fills, slots that are free, and an id that moves to another slot.
    fn carry_out(&mut self, id: u64, command: &Command, mut fills: impl FnMut(Fill)) {
        let Self { twin, band, seats, summary, .. } = self;
        if command.kind == Kind::New as u8 {
            seats.take(command.slot, Holder { id, executed: 0, side: command.side() });
        }
        twin.execute(command, |event| {
            summary.events += 1;
            match event.kind {
                EventKind::Fill => {
                    seats.holders[event.taker as usize].executed += u64::from(event.qty);
                    let maker = &mut seats.holders[event.maker as usize];
                    maker.executed += u64::from(event.qty);
                    summary.fills += 1;
                    summary.traded += u128::from(event.qty);
                    let price = band.price(event.tick);
                    fills(Fill {
                        aggressor: id,
                        resting_id: maker.id,
                        price,
                        qty: event.qty,
                        resting_side: maker.side,
                    });
                }
                EventKind::Replaced => seats.take(event.taker, seats.holders[event.maker as usize]),
                EventKind::Rejected => unreachable!("{command:?} was checked, but is rejected: {:?}", event.reason),
                _ => {}
            }
            for (bit, slot) in [(event_flags::MAKER_FREE, event.maker), (event_flags::TAKER_FREE, event.taker)] {
                if event.freed & bit != 0 {
                    seats.leave(slot);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reference, Software};

    /// Applies lines written as in the file; `=` expects these fills, `!` this refusal.
    fn play<T: Twin>(script: &str) -> Offline<T> {
        let mut offline = Offline::<T>::new(Band::new(90, 110, 2).unwrap(), 4);
        for row in script.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (line, expected) = row.split_once(' ').unwrap_or((row, ""));
            let mut told = Vec::new();
            let done = offline.apply(&OrderLine::parse(line).unwrap(), |fill| told.push(fill.to_string()));
            let found = match done {
                Ok(()) if told.is_empty() => String::new(),
                Ok(()) => format!("= {}", told.join(" ")),
                Err(refused) => format!("! {refused}"),
            };
            assert_eq!(found, expected, "{row}");
        }
        offline
    }

    fn both(script: &str) -> Offline<Reference> {
        let (reference, software) = (play::<Reference>(script), play::<Software>(script));
        assert_eq!(reference.summary(), software.summary());
        assert_eq!(reference.twin().digest(), software.twin().digest());
        reference
    }

    #[test]
    fn a_replace_keeps_its_id_loses_priority_and_may_trade() {
        let offline = both(
            "A,1,1,100,5
             A,2,1,100,5
             X,3,-1,100,2 = 3,1,100,2,1
             U,1,-1,100,9
             X,4,-1,100,6 = 4,2,100,5,1 4,1,100,1,1
             A,5,-1,104,3
             U,1,,104,4 = 1,5,104,3,-1
             U,5,,104,4 ! the id is unknown or dead
             A,5,-1,106,1",
        );
        let state = OrderState { side: Side::Buy, price: 104, leaves: 1, executed: 6 };
        assert_eq!(offline.order(1), Some(state));
        assert_eq!((offline.order(2), offline.order(5).unwrap().executed), (None, 0));
        assert_eq!((offline.summary().fills, offline.summary().traded, offline.summary().live), (4, 11, 2));
    }

    #[test]
    fn what_cannot_be_carried_out_is_counted_and_changes_nothing() {
        let offline = both(
            "C,1,,, ! the id is unknown or dead
             A,1,1,100,5
             A,1,1,100,5 ! the id is live
             A,2,1,101,5 ! the price is off the grid
             A,2,1,112,5 ! the price is outside the band
             A,2,1,88,5 ! the price is outside the band
             A,2,1,98,0 ! the qty is 0
             R,1,,,0 ! the qty is 0
             U,1,,99,1 ! the price is off the grid
             R,1,,,2
             A,2,1,98,1
             A,3,1,98,1
             A,4,1,98,1
             A,5,1,98,1 ! no slot is free
             U,4,,98,1 ! no slot is free
             R,3,,,9
             C,2,1,7,0
             C,2,1,7,0 ! the id is unknown or dead
             F,6,-1,100,4
             X,7,-1,100,4 = 7,1,100,3,1
             P,8,-1,98,1
             P,9,-1,100,1
             C,1,,, ! the id is unknown or dead",
        );
        let summary = offline.summary();
        assert_eq!(summary.refused_by, [3, 1, 2, 2, 2, 0, 2]);
        assert_eq!((summary.refused, summary.lines, summary.live), (12, 23, 2));
    }
}
