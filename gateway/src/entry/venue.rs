//! What the venue itself does: sessions come and go, money moves, the day opens and closes, instruments halt, orders expire.

use thiserror::Error;
use wirebook_settlement::ledger::OUTSIDE;
use wirebook_settlement::record::{Act, DayPhase, HaltMode, Origin, Payload, Registry, State as Venue, Transfer};

use super::Entry;
use super::orders::{NONE, State};
use super::state::At;
use crate::risk::RegistryRefused;
use crate::sequencer::Sequencer;

/// Why the venue cannot do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] RegistryRefused),
    /// The payer has less, as far as risk sees.
    #[error("transfer {id:#x}: account {from} has {available} of asset {asset} available, {amount} are asked for")]
    Funds {
        /// The transfer.
        id: u128,
        /// Who should pay.
        from: u32,
        /// Of what.
        asset: u16,
        /// What there is.
        available: i128,
        /// What there should be.
        amount: i128,
    },
    /// The transfer names an account or asset that is not registered, or no amount.
    #[error("transfer {id:#x}: account, asset or amount is none: register them first, move more than 0")]
    Transfer {
        /// The transfer.
        id: u128,
    },
    /// A transfer with this number was done already.
    #[error("transfer {id:#x} was done already: a number is used once")]
    Repeated {
        /// The transfer.
        id: u128,
    },
    /// Only registry entries, transfers and states are the venue's own acts.
    #[error("a record of this kind is not the venue's to submit")]
    Kind,
}

impl Entry {
    /// A session has logged in.
    pub fn login(&mut self, session: u32, now_ns: u64, seq: &mut Sequencer) {
        seq.clock(now_ns);
        self.push_act(session, Act::Login, &[], seq);
    }

    /// A session has logged out, or its connection is gone (`act` says which). If its flag says so, its orders are cancelled.
    pub fn disconnect(&mut self, session: u32, act: Act, now_ns: u64, seq: &mut Sequencer) {
        debug_assert!(matches!(act, Act::Logout | Act::Disconnect), "{act:?} ends no connection");
        seq.clock(now_ns);
        self.push_act(session, act, &[], seq);
        let gone = self.sessions.get(session as usize).filter(|gone| gone.cancel_on_disconnect);
        if let Some(account) = gone.map(|gone| gone.account) {
            self.push_act(session, Act::CancelOnDisconnect, &[], seq);
            self.take_out_all(account, Origin::Disconnect, seq, |order| order.session == session);
        }
    }

    /// Does one of the venue's own acts, with what follows from it, and answers the act's seq.
    ///
    /// The close of the day comes after the cancels of all orders, frozen or not; a kill switch, and the release of a frozen
    /// instrument, before the cancels that they cause.
    ///
    /// # Errors
    /// When the registry, or the payer's funds, do not allow it: no record is made. Of a chain of transfers the caller has asked the
    /// books, which alone know what all its legs need.
    pub fn submit(&mut self, payload: &Payload<'_>, now_ns: u64, seq: &mut Sequencer) -> Result<u64, Refused> {
        seq.clock(now_ns);
        match payload {
            Payload::Registry(entry) => self.submit_registry(entry, payload, seq),
            Payload::Transfer(transfer) => self.submit_transfer(transfer, payload, seq),
            Payload::Chain(chain) => Ok(self.submit_chain(chain, payload, seq)),
            Payload::State(state) => self.submit_state(state, payload, seq),
            _ => Err(Refused::Kind),
        }
    }

    fn submit_registry(
        &mut self,
        entry: &Registry,
        payload: &Payload<'_>,
        seq: &mut Sequencer,
    ) -> Result<u64, Refused> {
        self.absorb_registry(seq.last_seq() + 1, entry)?;
        self.made = seq.push(0, payload);
        Ok(self.made)
    }

    fn submit_transfer(
        &mut self,
        transfer: &Transfer,
        payload: &Payload<'_>,
        seq: &mut Sequencer,
    ) -> Result<u64, Refused> {
        let Transfer { id, from, to, asset, amount } = *transfer;
        if amount <= 0 || !self.risk.can_hold(from, asset) || !self.risk.can_hold(to, asset) {
            return Err(Refused::Transfer { id });
        }
        if self.transfers.contains(id) {
            return Err(Refused::Repeated { id });
        }
        // The outside world owes what was paid in.
        let available = self.risk.available(from, asset);
        if from != OUTSIDE && available < amount {
            return Err(Refused::Funds { id, from, asset, available, amount });
        }
        let number = seq.push(0, payload);
        self.made = number;
        self.absorb_transfer(&self.venue_at(number, seq), transfer);
        Ok(number)
    }

    fn submit_state(&mut self, state: &Venue, payload: &Payload<'_>, seq: &mut Sequencer) -> Result<u64, Refused> {
        if let Venue::Day { phase: DayPhase::Close, .. } = state
            && self.risk.day_open()
        {
            self.take_out_everything(Origin::DayEnd, seq);
        }
        // A refusal leaves no trace, so the record is made only once it is absorbed.
        self.absorb_state(&self.venue_at(seq.last_seq() + 1, seq), state)?;
        let number = seq.push(0, payload);
        self.made = number;
        match *state {
            Venue::Halt { .. } => self.release_pending(seq),
            Venue::Kill { on: true, .. } => self.cancel_killed(seq),
            _ => {}
        }
        Ok(number)
    }

    pub(super) fn venue_at(&self, number: u64, seq: &Sequencer) -> At {
        At { seq: number, time_ns: seq.last_time_ns(), session: 0, account: 0 }
    }

    /// Cancels what has expired. Call it at least once a second.
    pub fn timer(&mut self, now_ns: u64, seq: &mut Sequencer) {
        let now = seq.clock(now_ns);
        while let Some(slot) = self.orders.pop_expired(now) {
            self.take_out(slot, Origin::Expiry, seq);
        }
        self.expire_pends(now, seq);
    }

    /// After a replay: does what the venue that stopped had still to do. Sessions that it left logged in are disconnected; cancels
    /// that wait for no instrument any more are sent, and those that a kill switch or the day's close had begun.
    pub fn resume(&mut self, now_ns: u64, seq: &mut Sequencer) {
        for session in 0..self.sessions.len() as u32 {
            if self.sessions[session as usize].logged_in {
                self.disconnect(session, Act::Disconnect, now_ns, seq);
            }
        }
        self.release_pending(seq);
        self.cancel_killed(seq);
        if !self.risk.day_open() {
            self.take_out_everything(Origin::DayEnd, seq);
        }
        self.timer(now_ns, seq);
    }

    fn take_out_everything(&mut self, origin: Origin, seq: &mut Sequencer) {
        for account in 0..self.orders.accounts() {
            self.take_out_all(account, origin, seq, |_| true);
        }
    }

    fn cancel_killed(&mut self, seq: &mut Sequencer) {
        for account in 0..self.orders.accounts() {
            if self.risk.killed(account) {
                self.take_out_all(account, Origin::KillSwitch, seq, |_| true);
            }
        }
    }

    /// Sends the cancels that waited for an instrument which is frozen no more.
    fn release_pending(&mut self, seq: &mut Sequencer) {
        for account in 0..self.orders.accounts() {
            let mut slot = self.orders.first(account);
            while slot != NONE {
                if let Some(order) = self.orders.get(slot).copied()
                    && let State::Pending(total) = order.state
                    && self.risk.mode(order.instrument) != HaltMode::Frozen
                {
                    self.send_lower(order.session, slot, &order, total, Origin::Released, &[], seq);
                }
                slot = self.orders.next(slot);
            }
        }
    }
}
