//! Admitting orders: whose they are, whether their slots are free, what they reserve.

use wirebook_matcher::abi::{Command, Kind};

use super::books::{Books, Pending, Stage};
use super::orders::{LiveOrder, change_is_refused, malformed, new_is_refused, replaced_leaves};
use super::planted::Planted;
use super::refusal::Refusal;
use crate::record::{Order, Origin};

impl Books {
    /// Checks an order and reserves what it may cost.
    pub(super) fn order_admitted(&mut self, seq: u64, session: u32, order: &Order<'_>) -> Result<Pending, Refusal> {
        let command = order.command;
        let mut pending =
            Pending { stage: Stage::Idle, command, index: 0, taker: command.slot, extra: 0, posting: None };
        let principal = match (session, order.origin) {
            (0, origin) if origin != Origin::Client => None,
            _ => Some(self.registry.principal(session).ok_or(Refusal::UnknownSession { seq, session })?),
        };
        let kind = match malformed(&command) {
            Ok(Kind::Nop) => {
                pending.stage = Stage::Nop;
                return Ok(pending);
            }
            Ok(kind) => kind,
            Err(reason) => {
                pending.stage = Stage::Refused(reason);
                return Ok(pending);
            }
        };
        if let Some((_, expected)) = principal
            && command.owner != expected
        {
            return Err(Refusal::Owner { seq, found: command.owner, expected });
        }
        let Some(entry) = self.registry.instrument(command.instrument) else {
            return Err(Refusal::Unknown { seq, what: "instrument", id: u64::from(command.instrument) });
        };
        let ticks = entry.instrument.band_ticks;
        let old = *self.slot(seq, command.slot)?;
        pending.stage = match kind {
            Kind::Nop => Stage::Nop,
            Kind::New => {
                let Some((account, _)) = principal else {
                    return Err(Refusal::UnknownSession { seq, session });
                };
                if old.leaves != 0 {
                    return Err(Refusal::SlotLive { seq, slot: command.slot });
                }
                match new_is_refused(&command, ticks, self.sizes) {
                    Some(reason) => Stage::Refused(reason),
                    None => self.enter(seq, session, account, &command)?,
                }
            }
            Kind::Cancel | Kind::Reduce | Kind::Replace => {
                if kind == Kind::Replace {
                    let free = self.slot(seq, command.slot2)?.leaves == 0 && command.slot2 != command.slot;
                    if !free {
                        return Err(Refusal::SlotLive { seq, slot: command.slot2 });
                    }
                }
                match principal {
                    Some((account, _)) if old.leaves != 0 && old.account != account => {
                        return Err(Refusal::NotYours { seq, slot: command.slot, holder: old.account, account });
                    }
                    _ => {}
                }
                match (change_is_refused(&command, kind, &old, ticks, self.sizes), kind) {
                    (Some(reason), _) => Stage::Refused(reason),
                    (None, Kind::Cancel) => Stage::Cancel,
                    (None, Kind::Reduce) => Stage::Reduce,
                    (None, _) => self.replace(seq, &command, &old, &mut pending.extra)?,
                }
            }
        };
        Ok(pending)
    }

    fn slot(&self, seq: u64, slot: u32) -> Result<&LiveOrder, Refusal> {
        self.orders.get(slot as usize).ok_or(Refusal::SlotRange { seq, slot, slots: self.sizes.slots })
    }

    /// Reserves for a new order and puts it in its slot.
    fn enter(&mut self, seq: u64, session: u32, account: u32, command: &Command) -> Result<Stage, Refusal> {
        let side = command.side();
        let rates = &self.registry.instruments[usize::from(command.instrument)].rates;
        let order = LiveOrder {
            session,
            account,
            owner: command.owner,
            instrument: command.instrument,
            tick: command.tick,
            leaves: command.qty,
            reserve_per_lot: rates.reserve_per_lot(side, command.tick),
            side,
        };
        self.hold(seq, account, rates.reserve_asset(side), order.reserved())?;
        self.orders[command.slot as usize] = order;
        self.count(&order, true);
        Ok(Stage::Enter)
    }

    /// Reserves what a replace needs beyond what its old order holds.
    fn replace(&mut self, seq: u64, command: &Command, old: &LiveOrder, extra: &mut i128) -> Result<Stage, Refusal> {
        let leaves = replaced_leaves(command, old);
        if leaves <= 0 {
            return Ok(Stage::ReplaceByNothing);
        }
        let leaves = u32::try_from(leaves).expect("checked against the largest quantity");
        let rates = &self.registry.instruments[usize::from(old.instrument)].rates;
        let needed = i128::from(rates.reserve_per_lot(old.side, command.tick)) * i128::from(leaves);
        let more = (needed - old.reserved()).max(0);
        self.hold(seq, old.account, rates.reserve_asset(old.side), more)?;
        *extra = more;
        Ok(Stage::Replace(leaves))
    }

    #[inline]
    fn hold(&mut self, seq: u64, account: u32, asset: u16, needed: i128) -> Result<(), Refusal> {
        let available = self.ledger.balance(account, asset).available;
        if needed > available {
            if self.plant.is(Planted::RefusalTakesSeq) {
                self.last_seq = seq;
            }
            return Err(Refusal::Unfunded { seq, account, asset, needed, available });
        }
        self.ledger.reserve(account, asset, needed);
        Ok(())
    }

    /// Counts an order as live, or no longer.
    #[inline]
    pub(super) fn count(&mut self, order: &LiveOrder, enters: bool) {
        let step = |count: &mut u32| *count = if enters { *count + 1 } else { *count - 1 };
        step(&mut self.live);
        step(&mut self.registry.instruments[usize::from(order.instrument)].live);
        step(&mut self.registry.accounts[order.account as usize].live);
    }
}
