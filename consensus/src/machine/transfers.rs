//! Transfers: money moved at once, or held first; one alone, or a chain of which all happen or none.
//!
//! | action | needs | does |
//! |---|---|---|
//! | book | the payer has the amount available; the payee stays within its ceiling | moves it |
//! | pend | the same; an expiry that is still to come, or none | holds it at the payer |
//! | post | the pend's parties and asset, at most its amount, before its expiry | moves the amount, gives back the rest |
//! | void | the pend's parties, asset and amount, before its expiry | gives it back |
//! | expire | the same, at its expiry or after; its own id is the pend's | gives it back |
//!
//! Time is the record's. A pend whose time is over holds its money until the venue's `expire` is here, but nothing else can end
//! it from then on. A leg whose id is remembered moves nothing, if it is the same in every field; a chain is repeated
//! whole or not at all.

use super::books::Books;
use super::planted::Planted;
use super::refusal::Refusal;
use crate::ledger::{Cause, Known, Mark, OUTSIDE, Posting, tree::Digest};
use crate::record::{Action, Chain, Header, Leg, MAX_LEGS, RecordKind, Transfer, VERSION};

/// What a leg has done, to be undone when a later one of its chain is refused.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// Moved from one account to another.
    posting: Option<Posting>,
    /// Held at the payer.
    held: Option<Leg>,
    /// Given back to the payer: the pend that ended.
    ended: Option<Leg>,
}

/// What some legs have done, and where ids and history were before them.
struct Steps {
    ids: Mark,
    history: Digest,
    steps: Vec<Done>,
}

impl Books {
    /// Applies one leg; what it moved from one account to another.
    pub(super) fn leg(&mut self, header: &Header, leg: &Leg) -> Result<Option<Posting>, Refusal> {
        match self.known(header.seq, leg)? {
            true => Ok(None),
            false => Ok(self.take_leg(header, leg)?.posting),
        }
    }

    /// Applies all legs of a chain, or none; what they moved waits in `chained`.
    pub(super) fn chain(&mut self, header: &Header, chain: &Chain<'_>) -> Result<(), Refusal> {
        let (done, refusal) = self.take_legs(header, chain.legs());
        if let Some(refusal) = refusal
            && !self.plant.is(Planted::ChainInPart)
        {
            self.take_back(&done);
            return Err(refusal);
        }
        self.chained.extend(done.steps.iter().filter_map(|step| step.posting));
        Ok(())
    }

    /// Why a record of these legs at this time would be refused; the books are as before. For whoever is asked for a transfer,
    /// and must not make a record that does not apply.
    pub fn refuses(&mut self, time_ns: u64, legs: &[Leg]) -> Option<Refusal> {
        let seq = self.last_seq + 1;
        if !self.idle() {
            return Some(Refusal::Unfinished { seq, waiting: self.pending.command.seq });
        }
        let kind = RecordKind::Transfer;
        let header = Header { seq, time_ns, session: 0, length: 0, shard: self.shard, kind, version: VERSION };
        let (done, refusal) = self.take_legs(&header, legs.iter().copied());
        self.take_back(&done);
        refusal
    }

    /// Applies legs up to the first that is refused.
    fn take_legs(&mut self, header: &Header, legs: impl Iterator<Item = Leg>) -> (Steps, Option<Refusal>) {
        let seq = header.seq;
        let (ids, history) = (self.ledger.ids.mark(), self.ledger.history());
        let mut done = Steps { ids, history, steps: Vec::with_capacity(MAX_LEGS) };
        let mut repeated = false;
        for (at, leg) in legs.enumerate() {
            let step = self.known(seq, &leg).and_then(|known| {
                if at == 0 {
                    repeated = known;
                }
                match (known, repeated) {
                    (true, true) => Ok(Done::default()),
                    (false, false) => self.take_leg(header, &leg),
                    _ => Err(Refusal::ChainInPart { seq, id: leg.transfer.id, known }),
                }
            });
            match step {
                Ok(step) => done.steps.push(step),
                Err(refusal) => return (done, Some(refusal)),
            }
        }
        (done, None)
    }

    fn take_back(&mut self, done: &Steps) {
        done.steps.iter().rev().for_each(|step| self.undo(step));
        self.ledger.ids.rewind(&done.ids);
        self.ledger.set_history(done.history);
    }

    /// Whether this very leg was booked before.
    fn known(&self, seq: u64, leg: &Leg) -> Result<bool, Refusal> {
        if leg.action == Action::Expire {
            return Ok(false);
        }
        match self.ledger.ids.known(leg) {
            Known::Same => Ok(!self.plant.is(Planted::TransferTwice)),
            Known::Other(booked) => Err(Refusal::TransferId { seq, booked }),
            Known::Full => Err(Refusal::TransferIdsFull { seq }),
            Known::New => Ok(false),
        }
    }

    /// Checks a leg that is new, and does what it says.
    fn take_leg(&mut self, header: &Header, leg: &Leg) -> Result<Done, Refusal> {
        let Header { seq, time_ns: now, .. } = *header;
        let Transfer { id, from, to, asset, amount } = leg.transfer;
        let refuse = |field, found: i128, allowed: i128| Err(Refusal::Leg { seq, id, field, found, allowed });
        let posting = Posting { seq, from, to, asset, amount, cause: Cause::Transfer };
        let mut done = Done::default();
        if leg.action != Action::Pend && leg.expires_ns != 0 {
            return refuse("expires_ns", i128::from(leg.expires_ns), 0);
        }
        match leg.action {
            Action::Book | Action::Pend => {
                if leg.pending != 0 {
                    return refuse("pending", leg.pending as i128, 0);
                }
                self.check_parties(seq, &leg.transfer)?;
                self.check_payer(seq, id, &posting)?;
                self.check_ceiling(seq, id, to, asset, amount)?;
                if leg.action == Action::Pend {
                    if leg.expires_ns != 0 && leg.expires_ns <= now {
                        return refuse("expires_ns, from", i128::from(leg.expires_ns), i128::from(now) + 1);
                    }
                    if self.ledger.pending.is_full() {
                        return Err(Refusal::PendingFull { seq, id });
                    }
                    if self.ledger.pending.find(id).is_some() {
                        return refuse("id, which still pends", id as i128, 0);
                    }
                    self.ledger.hold(&posting);
                    self.ledger.pending.open(leg);
                    done.held = Some(*leg);
                } else {
                    self.ledger.post(&posting);
                    done.posting = Some(posting);
                }
            }
            Action::Post | Action::Void | Action::Expire => {
                let pend = self.pend_of(seq, now, leg)?;
                if leg.action == Action::Post {
                    self.check_ceiling(seq, id, to, asset, amount)?;
                }
                self.end(&pend);
                done.ended = Some(pend);
                if leg.action == Action::Post {
                    self.ledger.post(&posting);
                    done.posting = Some(posting);
                }
            }
        }
        if leg.action != Action::Expire && !self.ledger.ids.contains(id) {
            self.ledger.ids.insert(leg);
        }
        self.ledger.write_history(seq, leg);
        Ok(done)
    }

    /// The pend that a post, a void or an expiry ends, if it may now.
    fn pend_of(&self, seq: u64, now: u64, leg: &Leg) -> Result<Leg, Refusal> {
        let Transfer { id, from, to, asset, amount } = leg.transfer;
        let refuse = |field, found: i128, allowed: i128| Err(Refusal::Leg { seq, id, field, found, allowed });
        let pending = leg.pending;
        let Some(pend) = self.ledger.pending.find(pending).copied() else {
            return Err(Refusal::NotPending { seq, id, pending });
        };
        let held = pend.transfer;
        for (field, found, allowed) in
            [("from", from, held.from), ("to", to, held.to), ("asset", asset.into(), held.asset.into())]
        {
            if found != allowed {
                return refuse(field, i128::from(found), i128::from(allowed));
            }
        }
        let less = leg.action == Action::Post && 0 < amount && amount < held.amount;
        if amount != held.amount && !less {
            return refuse("amount", amount, held.amount);
        }
        let over = pend.expires_ns != 0 && pend.expires_ns <= now;
        if leg.action == Action::Expire {
            if id != pending {
                return refuse("id of an expiry", id as i128, pending as i128);
            }
            if !over {
                return refuse("time of the expiry, from", i128::from(now), i128::from(pend.expires_ns));
            }
        } else if over && !self.plant.is(Planted::PostsExpired) {
            return refuse("time, before", i128::from(now), i128::from(pend.expires_ns));
        }
        Ok(pend)
    }

    fn check_parties(&self, seq: u64, transfer: &Transfer) -> Result<(), Refusal> {
        for account in [transfer.from, transfer.to] {
            if !self.registry.may_hold(account) {
                return Err(Refusal::Unknown { seq, what: "account", id: u64::from(account) });
            }
        }
        if usize::from(transfer.asset) >= self.registry.assets().len() {
            return Err(Refusal::Unknown { seq, what: "asset", id: u64::from(transfer.asset) });
        }
        Ok(())
    }

    fn check_payer(&self, seq: u64, id: u128, posting: &Posting) -> Result<(), Refusal> {
        let Posting { from, to, asset, amount, .. } = *posting;
        if from == to || !self.ledger.affords(posting) {
            let available = self.balance(from, asset).available;
            return Err(Refusal::TransferFunds { seq, id, from, amount, available });
        }
        Ok(())
    }

    /// The outside world has no ceiling: what it is owed only grows smaller by what it gets.
    fn check_ceiling(&self, seq: u64, id: u128, account: u32, asset: u16, amount: i128) -> Result<(), Refusal> {
        let allowed = self.registry.ceiling(account, asset);
        let found = self.balance(account, asset).total() + amount;
        match account == OUTSIDE || found <= allowed {
            true => Ok(()),
            false => Err(Refusal::Ceiling { seq, id, account, asset, found, allowed }),
        }
    }

    /// Gives back what a pend holds.
    fn end(&mut self, pend: &Leg) {
        let Transfer { id, from, asset, amount, .. } = pend.transfer;
        self.ledger.pending.close(id);
        if !self.plant.is(Planted::VoidKeepsHold) {
            self.ledger.release(from, asset, amount);
        }
    }

    /// Takes back what a leg has done. Ids and history go back with their marks.
    fn undo(&mut self, done: &Done) {
        if let Some(posting) = &done.posting {
            self.ledger.post(&Posting { from: posting.to, to: posting.from, ..*posting });
        }
        if let Some(pend) = &done.ended {
            let Transfer { from, to, asset, amount, .. } = pend.transfer;
            self.ledger.hold(&Posting { seq: 0, from, to, asset, amount, cause: Cause::Transfer });
            self.ledger.pending.open(pend);
        }
        if let Some(leg) = &done.held {
            self.end(leg);
        }
    }
}
