//! Order entry as plain bytes, for snapshots.
//!
//! An image is taken when nothing is in flight: then entry knows what the books know. It holds the registry as records and is
//! read back by registering them; what an index can be made from again (names, lists, the wheel, free slots) is not in it.

use wirebook_matcher::abi::Side;
use wirebook_settlement::record::{Action, Chain, DayPhase, LEG_BYTES, Leg, Payload, State as Venue};

use super::orders::{NONE, Order, State};
use super::plain::{ImageError, Reader, Writer};
use super::{Entry, Transfers};
use crate::session::Alpha;
use crate::session::ouch::{self, Code};

const MAGIC: &[u8; 8] = b"WBENTR01";
/// Bytes of an order.
const ORDER_BYTES: usize = 4 + 1 + 4 + 4 + 4 + 4 + 2 + 2 + 4 + 1 + 1 + 4 + 4 + 4 + 16 + 8;

impl Entry {
    /// Whether everything that entry made has its events back.
    pub fn idle(&self) -> bool {
        self.heard >= self.made
    }

    /// Seq of the last record that it made or replayed.
    pub fn last_seq(&self) -> u64 {
        self.made
    }

    /// Everything, for a snapshot that ends with the last record; `None` while something is in flight.
    pub fn image(&self) -> Option<Vec<u8>> {
        if !self.idle() {
            return None;
        }
        let mut out = Writer::new(MAGIC, 4096 + ORDER_BYTES * self.orders.taken() as usize);
        self.risk.write(&mut out);
        out.u64(self.made);
        out.u32(self.date);
        out.u64(self.last_refs.len() as u64);
        self.last_refs.iter().for_each(|number| out.u32(*number));
        out.u64(self.sessions.len() as u64);
        self.sessions.iter().for_each(|session| out.u8(session.logged_in.into()));
        for ids in [&self.transfers.today, &self.transfers.before] {
            out.u64(ids.len() as u64);
            ids.iter().for_each(|id| out.u128(*id));
        }
        out.u64(self.pends.len() as u64);
        self.pends.values().for_each(|leg| write_leg(&mut out, leg));
        out.u64(self.orders.taken().into());
        for account in 0..self.orders.accounts() {
            let mut slot = self.orders.first(account);
            while slot != NONE {
                let order = self.orders.get(slot).expect("an account's list holds live orders");
                write_order(&mut out, slot, order);
                slot = self.orders.next(slot);
            }
        }
        Some(out.finish())
    }

    /// The entry of an image, for a shard of these sizes; records behind the image follow through [`Entry::replay`].
    ///
    /// # Errors
    /// When the bytes are no image, or one of other sizes; names where.
    pub fn restore(image: &[u8], slots: u32, max_qty: u32) -> Result<Self, ImageError> {
        let mut from = Reader::new("order entry", MAGIC, image)?;
        let mut entry = Self::new(slots, max_qty);
        entry.risk.set_capabilities(from.u32("capabilities")?);
        for _ in 0..from.count(1, "number of registry records")? {
            let Payload::Registry(registered) = from.payload("registry record")? else {
                return Err(from.bad("registry record", "another kind of record"));
            };
            entry.absorb_registry(0, &registered).map_err(|_| from.bad("registry record", "one that is refused"))?;
        }
        for _ in 0..from.count(1, "number of states")? {
            let Payload::State(state) = from.payload("state")? else {
                return Err(from.bad("state", "another kind of record"));
            };
            entry.risk.set_state(0, &state).map_err(|_| from.bad("state", "one that is refused"))?;
            match state {
                Venue::Day { phase, .. } => entry.risk.set_day_open(phase == DayPhase::Open),
                Venue::Halt { instrument, mode } => entry.risk.set_mode(instrument, mode),
                Venue::Kill { account, on } => entry.risk.set_killed(account, on),
                Venue::Mark { .. } => {}
            }
        }
        entry.risk.read(&mut from)?;
        entry.made = from.u64("last seq")?;
        entry.heard = entry.made;
        entry.date = from.u32("date")?;
        if from.count(4, "number of accounts")? != entry.last_refs.len() {
            return Err(from.bad("number of accounts", "another than are registered"));
        }
        for number in &mut entry.last_refs {
            *number = from.u32("last number of an account")?;
        }
        if from.count(1, "number of sessions")? != entry.sessions.len() {
            return Err(from.bad("number of sessions", "another than are registered"));
        }
        for session in &mut entry.sessions {
            session.logged_in = from.flag("whether a session is logged in")?;
        }
        let mut transfers = Transfers::default();
        for ids in [&mut transfers.today, &mut transfers.before] {
            for _ in 0..from.count(16, "number of transfers")? {
                ids.insert(from.u128("transfer")?);
            }
        }
        entry.transfers = transfers;
        for _ in 0..from.count(LEG_BYTES, "number of pends")? {
            let bytes: [u8; LEG_BYTES] = from.array("pend")?;
            let pend = Chain::from_bytes(&bytes).ok().and_then(|chain| chain.legs().next());
            let pend =
                pend.filter(|leg| leg.action == Action::Pend).ok_or(from.bad("pend", "another kind of transfer"))?;
            entry.pends.insert(pend.transfer.id, pend);
        }
        for _ in 0..from.count(ORDER_BYTES, "number of orders")? {
            let (slot, order) = read_order(&mut from)?;
            if order.account >= entry.orders.accounts() || !entry.orders.insert(slot, order) {
                return Err(from.bad("order", "a slot or account that cannot be"));
            }
            entry.risk.count_order(order.instrument, true);
            if order.state == State::Pending(0) {
                entry.orders.stop_clock(slot);
            }
        }
        from.end()?;
        Ok(entry)
    }
}

fn write_leg(out: &mut Writer, leg: &Leg) {
    let mut bytes = Vec::with_capacity(LEG_BYTES);
    leg.encode_into(&mut bytes);
    out.bytes(&bytes);
}

fn write_order(out: &mut Writer, slot: u32, order: &Order) {
    let pending = match order.state {
        State::Pending(total) => Some(total),
        _ => None,
    };
    out.u32(slot);
    out.u8(pending.is_some().into());
    out.u32(pending.unwrap_or(0));
    out.u32(order.account);
    out.u32(order.session);
    out.u32(order.user_ref);
    out.u16(order.instrument);
    out.u16(order.group);
    out.bytes(&order.firm.0);
    out.u8(order.side as u8);
    out.u8(Code::from(order.kind).raw());
    out.u32(order.tick);
    out.u32(order.total);
    out.u32(order.executed);
    out.i128(order.hold);
    out.u64(order.expires_ns);
}

fn read_order(from: &mut Reader<'_>) -> Result<(u32, Order), ImageError> {
    let slot = from.u32("slot")?;
    let (waits, total) = (from.flag("whether a cancel waits")?, from.u32("total that it waits for")?);
    let order = Order {
        state: if waits { State::Pending(total) } else { State::Open },
        account: from.u32("account")?,
        session: from.u32("session")?,
        user_ref: from.u32("number")?,
        instrument: from.u16("instrument")?,
        group: from.u16("group")?,
        firm: Alpha(from.array("firm")?),
        side: Side::from_byte(from.u8("side")?).ok_or(from.bad("side", "no side"))?,
        kind: Code::<ouch::Side>::from_raw(from.u8("kind of side")?).get().ok_or(from.bad("kind of side", "none"))?,
        tick: from.u32("tick")?,
        total: from.u32("total")?,
        executed: from.u32("executed")?,
        hold: from.i128("hold")?,
        expires_ns: from.u64("expiry")?,
        ..Order::FREE
    };
    Ok((slot, order))
}
