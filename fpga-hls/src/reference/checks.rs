//! What is refused: the checks of `abi`, in the order of its table. The first that fails is the answer.

use super::{Fault, Reference};
use crate::abi::{Command, Kind, Reason, TimeInForce};
use crate::matcher::Resting;

/// The leaves that a replace asks for, before they are checked: of a relative one they may be 0, negative, or too many.
pub(super) fn replaced_leaves(command: &Command, old: &Resting) -> i64 {
    if command.relative() {
        i64::from(old.leaves) + i64::from(command.qty.cast_signed())
    } else {
        i64::from(command.qty)
    }
}

impl Reference {
    /// The kind of a command that may be carried out, or why it may not.
    pub(super) fn refusal(&self, command: &Command) -> Result<Kind, Reason> {
        let kind = Kind::from_byte(command.kind).ok_or(Reason::BadKind)?;
        let reserved =
            command.side_tif & Command::SIDE_RESERVED | command.flags & Command::FLAGS_RESERVED | command.ring;
        refuse_if(reserved != 0, Reason::ReservedBits)?;
        refuse_if(!flags_go_together(kind, command), Reason::BadFlags)?;
        if kind == Kind::Nop {
            return Ok(kind);
        }
        let ticks = *self.limits.ticks.get(usize::from(command.instrument)).ok_or(Reason::UnknownInstrument)?;
        refuse_if(self.has(Fault::TickBeforeSlot) && kind == Kind::New && command.tick >= ticks, Reason::TickRange)?;
        refuse_if(command.slot >= self.limits.slots, Reason::SlotRange)?;
        refuse_if(kind == Kind::Replace && command.slot2 >= self.limits.slots, Reason::SlotRange)?;
        match (kind, self.orders[command.slot as usize]) {
            (Kind::New, None) => {}
            (Kind::New, Some(_)) => return Err(Reason::SlotLive),
            (_, None) => return Err(Reason::NoOrder),
            (_, Some(order)) => self.refusal_of_change(kind, command, &order)?,
        }
        let has_tick = matches!(kind, Kind::New | Kind::Replace);
        refuse_if(has_tick && command.tick >= ticks, Reason::TickRange)?;
        let has_qty = matches!(kind, Kind::New | Kind::Reduce | Kind::Replace) && !command.relative();
        refuse_if(has_qty && (command.qty == 0 || command.qty > self.limits.max_qty), Reason::QtyRange)?;
        if let (Kind::Replace, Some(old)) = (kind, self.orders[command.slot as usize]) {
            refuse_if(replaced_leaves(command, &old) > i64::from(self.limits.max_qty), Reason::QtyRange)?;
        }
        Ok(kind)
    }

    /// Cancel, reduce and replace name a live order as its own owner does; a replace a second slot, that is free.
    fn refusal_of_change(&self, kind: Kind, command: &Command, order: &Resting) -> Result<(), Reason> {
        let owner_differs = order.owner != command.owner && !self.has(Fault::OwnerUnchecked);
        refuse_if(order.instrument != command.instrument || owner_differs, Reason::NotYours)?;
        let taken = command.slot2 == command.slot || self.order_in(command.slot2);
        refuse_if(kind == Kind::Replace && taken, Reason::SlotLive)
    }

    fn order_in(&self, slot: u32) -> bool {
        self.orders.get(slot as usize).is_some_and(Option::is_some)
    }
}

fn refuse_if(condition: bool, reason: Reason) -> Result<(), Reason> {
    if condition { Err(reason) } else { Ok(()) }
}

/// Whether time in force, self-trade mode, post-only and relative mean something together, and with this kind.
fn flags_go_together(kind: Kind, command: &Command) -> bool {
    let Some(time_in_force) = command.time_in_force() else {
        return false;
    };
    match kind {
        Kind::Nop | Kind::Cancel | Kind::Reduce => time_in_force == TimeInForce::Gtc && command.flags == 0,
        Kind::New | Kind::Replace => {
            (!command.post_only() || time_in_force == TimeInForce::Gtc)
                && (!command.relative() || kind == Kind::Replace)
                && (time_in_force != TimeInForce::Fok || kind == Kind::New)
        }
    }
}
