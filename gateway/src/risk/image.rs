//! Risk's arrays as plain bytes, for snapshots: the registry as its records, then what records alone do not say.

use wirebook_settlement::record::Payload;

use super::Risk;
use super::rate::{Bucket, Duplicates, FINGERPRINT_BYTES};
use crate::entry::plain::{ImageError, Reader, Writer};

impl Risk {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.u32(self.capabilities.0);
        let (entries, states) = (self.registry.entries(), self.registry.states());
        out.u64(entries.len() as u64);
        entries.into_iter().for_each(|entry| out.payload(Payload::Registry(entry)));
        out.u64(states.len() as u64);
        states.into_iter().for_each(|state| out.payload(Payload::State(state)));
        out.u64(self.accounts.len() as u64);
        self.accounts.iter().for_each(|account| out.u8(account.disabled.into()));
        out.u64(self.instruments.len() as u64);
        for instrument in &self.instruments {
            let reference = instrument.as_ref().and_then(|known| known.reference);
            out.u8(reference.is_some().into());
            out.u64(reference.unwrap_or(0));
        }
        out.u64(self.ports.len() as u64);
        for port in &self.ports {
            let (last, full_at) = port.duplicates.parts();
            out.u64(port.messages.full_at());
            out.bytes(last);
            out.u64(full_at);
        }
        self.funds.write(out);
    }

    /// Reads what is behind the registry and the states, which have been registered.
    pub(crate) fn read(&mut self, from: &mut Reader<'_>) -> Result<(), ImageError> {
        if from.count(1, "number of accounts at risk")? != self.accounts.len() {
            return Err(from.bad("number of accounts at risk", "another than are registered"));
        }
        for account in &mut self.accounts {
            account.disabled = from.flag("whether an account is disabled")?;
        }
        if from.count(9, "number of instruments")? != self.instruments.len() {
            return Err(from.bad("number of instruments", "another than are registered"));
        }
        for instrument in &mut self.instruments {
            let (has, price) = (from.flag("whether there is a reference")?, from.u64("reference")?);
            if let Some(known) = instrument {
                known.reference = has.then_some(price);
            }
        }
        if from.count(16 + FINGERPRINT_BYTES, "number of ports")? != self.ports.len() {
            return Err(from.bad("number of ports", "another than are registered"));
        }
        for port in &mut self.ports {
            port.messages = Bucket::of(from.u64("bucket")?);
            let last = from.array("last order")?;
            port.duplicates = Duplicates::of(last, from.u64("bucket of duplicates")?);
        }
        self.funds.read(from)
    }
}
