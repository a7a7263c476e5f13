//! The fold as plain bytes, for snapshots.

use wirebook_settlement::record::{Payload, Registry};

use super::fold::{Fold, Known, Traded};
use crate::entry::ImageError;
use crate::entry::plain::{Reader, Writer};
use crate::session::ouch::Code;

const MAGIC: &[u8; 8] = b"WBFOLD01";
/// Bytes of a live order.
const ORDER_BYTES: usize = 4 + 4 + 4 + 2 + 1 + 1 + 4 + 4 + 8;

impl Fold {
    /// Everything; taken between two records.
    pub(super) fn image(&self) -> Vec<u8> {
        let live = self.orders.iter().flatten().count();
        let mut out = Writer::new(MAGIC, 4096 + live * ORDER_BYTES);
        out.u32(self.date);
        out.u64(self.instruments.len() as u64);
        for instrument in &self.instruments {
            out.u8(instrument.is_some().into());
            if let Some(traded) = instrument {
                out.payload(Payload::Registry(Registry::Instrument(traded.entry)));
            }
        }
        out.u64(self.sessions.len() as u64);
        for account in &self.sessions {
            out.u8(account.is_some().into());
            out.u32(account.unwrap_or(0));
        }
        out.u64(self.last_refs.len() as u64);
        self.last_refs.iter().for_each(|number| out.u32(*number));
        out.u64(live as u64);
        for (slot, known) in (0..).zip(&self.orders) {
            let Some(known) = known else { continue };
            out.u32(slot);
            out.u32(known.session);
            out.u32(known.user_ref);
            out.u16(known.instrument);
            out.u8(known.side.raw());
            out.u8(known.capacity.raw());
            out.u32(known.tick);
            out.u32(known.leaves);
            out.u64(known.seq);
        }
        out.finish()
    }

    pub(super) fn restore(image: &[u8], slots: u32) -> Result<Self, ImageError> {
        let mut from = Reader::new("the fold", MAGIC, image)?;
        let mut fold = Self::new(slots);
        fold.date = from.u32("date")?;
        for _ in 0..from.count(1, "number of instruments")? {
            let known = from.flag("whether an instrument is traded")?;
            let traded = if known { Some(from.payload("instrument")?) } else { None };
            fold.instruments.push(match traded {
                Some(Payload::Registry(Registry::Instrument(entry))) => Traded::new(&entry),
                Some(_) => return Err(from.bad("instrument", "another kind of record")),
                None => None,
            });
        }
        for _ in 0..from.count(5, "number of sessions")? {
            let (known, account) = (from.flag("whether a session is registered")?, from.u32("account")?);
            fold.sessions.push(known.then_some(account));
        }
        for _ in 0..from.count(4, "number of accounts")? {
            fold.last_refs.push(from.u32("last number of an account")?);
        }
        for _ in 0..from.count(ORDER_BYTES, "number of orders")? {
            let slot = from.u32("slot")?;
            let known = Known {
                session: from.u32("session")?,
                user_ref: from.u32("number")?,
                instrument: from.u16("instrument")?,
                side: Code::from_raw(from.u8("side")?),
                capacity: Code::from_raw(from.u8("capacity")?),
                tick: from.u32("tick")?,
                leaves: from.u32("leaves")?,
                seq: from.u64("seq")?,
            };
            *fold.orders.get_mut(slot as usize).ok_or(from.bad("slot", "one beyond the shard's"))? = Some(known);
        }
        from.end()?;
        Ok(fold)
    }
}
