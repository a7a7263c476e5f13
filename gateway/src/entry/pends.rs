//! Transfers in steps, as order entry sees them: what pends is not available, and expires by the venue's own record.
//!
//! A chain is checked by the books before it is made ([`Books::refuses`](wirebook_settlement::machine::Books::refuses)), with nothing in
//! flight; here it is only followed.

use std::collections::BTreeMap;

use wirebook_settlement::record::{Action, Chain, Leg, Payload, Transfer};

use super::Entry;
use super::state::{At, Cargo, Flight};
use crate::risk::Need;
use crate::sequencer::Sequencer;

/// Most pends that one turn lets expire: the rest follows in the next.
const EXPIRIES: usize = 16;

/// Pends that wait, by id.
pub(super) type Pends = BTreeMap<u128, Leg>;

impl Entry {
    /// Makes a chain's record and follows it.
    pub(super) fn submit_chain(&mut self, chain: &Chain<'_>, payload: &Payload<'_>, seq: &mut Sequencer) -> u64 {
        self.made = seq.push(0, payload);
        self.absorb_chain(&self.venue_at(self.made, seq), chain);
        self.made
    }

    /// Follows a chain that the books admit.
    pub(super) fn absorb_chain(&mut self, at: &At, chain: &Chain<'_>) {
        // The same chain again is admitted, and moves nothing.
        let first = chain.legs().next().expect("a chain has a leg");
        if first.action != Action::Expire && self.transfers.contains(first.transfer.id) {
            return;
        }
        for leg in chain.legs() {
            let Transfer { id, from, to, asset, amount } = leg.transfer;
            if leg.action != Action::Expire {
                self.transfers.insert(id);
            }
            match leg.action {
                Action::Book => {
                    self.risk.take(from, Need { asset, amount });
                    self.credit(at, to, asset, amount);
                }
                Action::Pend => {
                    self.risk.take(from, Need { asset, amount });
                    self.pends.insert(id, leg);
                }
                Action::Post | Action::Void | Action::Expire => {
                    let held = self.pends.remove(&leg.pending).map_or(amount, |pend| pend.transfer.amount);
                    let posted = if leg.action == Action::Post { amount } else { 0 };
                    self.credit(at, to, asset, posted);
                    self.credit(at, from, asset, held - posted);
                }
            }
        }
    }

    fn credit(&mut self, at: &At, account: u32, asset: u16, amount: i128) {
        if amount != 0 {
            self.flights.push_back(Flight { seq: at.seq, cargo: Cargo::Credit(account, Need { asset, amount }) });
        }
    }

    /// Makes the records that end pends whose time is over.
    pub(super) fn expire_pends(&mut self, now: u64, seq: &mut Sequencer) {
        let over = |leg: &&Leg| leg.expires_ns != 0 && leg.expires_ns <= now;
        let over: Vec<Leg> = self.pends.values().filter(over).take(EXPIRIES).copied().collect();
        let mut bytes = Vec::new();
        for pend in over {
            let expiry = Leg { action: Action::Expire, pending: pend.transfer.id, expires_ns: 0, ..pend };
            let chain = Chain::new(&[expiry], &mut bytes).expect("one leg that is no plain booking");
            self.submit_chain(&chain, &Payload::Chain(chain), seq);
        }
    }
}
