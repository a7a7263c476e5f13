//! Readers of a simulated cluster, and whether what they read is linearizable.
//!
//! A reader draws a number, asks a member for it and for a balance, and waits for an answer with proof, which it checks as any reader would:
//! with the committee's keys. Then the observer, who sees everything, judges.
//!
//! **The check is exact for this object.** The ledger is one sequence of batches, numbered without gaps, and a read answers with the number of
//! the batch that it is of. A batch takes effect at the moment when the first honest member tells that it is final, or anybody shows a
//! quorum's signatures for it; let `call` be the number of the last one that had when the read was called, and `return` when it was answered. A history is linearizable if and only if each read has
//! the value that the sequence has at its number, and `call <= number <= return`. *If*: put each read behind the effect of its batch and
//! before that of the next; that moment, or the call if the call is later, lies within the read, so reads that do not overlap keep their order.
//! *Only if*: a number below `call` misses a batch that took effect before the read began; one above `return` is of a batch that
//! takes effect after it has ended.

use std::sync::Arc;
use std::time::Duration;

use wirebook_engine::certificate;
use wirebook_matcher::flow::Random;

use crate::proof::block::Note;
use crate::proof::settled::{Question, SettledProof};
use crate::validator::core::Core;
use crate::validator::embedded::namespace;
use crate::validator::reading::{Unread, Wanted};

use super::checks::{Check, Checks};
use super::disk::Disk;
use super::member::Running;
use super::planted::Planted;
use super::venue::{FIRST_TRADER, SHARD, TRADERS};

/// Reads at a time.
const AT_ONCE: usize = 6;
/// How long a reader waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A read that was called and has not returned.
struct Reading {
    member: usize,
    running: Running,
    note: Note,
    account: u32,
    asset: u16,
    /// The last batch that was final when it was called.
    called: u64,
    until: Duration,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.core().notes.forget(&self.note);
    }
}

impl Reading {
    fn core(&self) -> &Arc<Core<Disk>> {
        &self.running.core
    }
}

/// Everybody who reads.
#[derive(Default)]
pub(super) struct Readers {
    keys: Vec<[u8; 32]>,
    reading: Vec<Reading>,
}

impl Readers {
    pub(super) fn new(keys: Vec<[u8; 32]>) -> Self {
        Self { keys, reading: Vec::new() }
    }

    /// Somebody calls a read of a member.
    pub(super) fn call(
        &mut self,
        (member, running): (usize, &Running),
        now: Duration,
        random: &mut Random,
        checks: &Checks,
    ) {
        if self.reading.len() >= AT_ONCE {
            return;
        }
        let mut note = [0; 32];
        note.as_chunks_mut().0.iter_mut().for_each(|part: &mut [u8; 8]| *part = random.below(u64::MAX).to_le_bytes());
        let account = FIRST_TRADER + random.below(u64::from(TRADERS)) as u32;
        let asset = random.below(2) as u16;
        if running.core.notes.begin(note) {
            let called = checks.lock().in_effect();
            let (running, until) = (running.clone(), now + PATIENCE);
            self.reading.push(Reading { member, running, note, account, asset, called, until });
        }
    }

    /// Answers that have come are judged; who has waited long enough, or asked a member that is gone, goes.
    pub(super) fn look(&mut self, now: Duration, planted: Option<Planted>, checks: &Checks) {
        let keys = &self.keys;
        self.reading.retain(|reading| {
            reading.running.is_up() && now < reading.until && !reading.returned(keys, planted, checks)
        });
    }
}

impl Reading {
    /// Whether the read has returned.
    fn returned(&self, keys: &[[u8; 32]], planted: Option<Planted>, checks: &Checks) -> bool {
        let stale = planted == Some(Planted::StaleRead);
        let barrier = self.core().notes.settled_at(&self.note);
        if barrier.is_none() && !stale {
            return false;
        }
        let barrier = barrier.filter(|_| !stale).map(|height| (self.note, height));
        let wanted = Wanted { account: self.account, asset: self.asset, barrier };
        match self.core().read_proven(&wanted) {
            Ok(proof) => {
                self.judge(&proof, barrier.map(|(note, _)| note), keys, checks);
                true
            }
            Err(Unread::NotYet) => false,
            Err(Unread::Never(_)) => true,
        }
    }

    fn judge(&self, proof: &SettledProof, note: Option<Note>, keys: &[[u8; 32]], checks: &Checks) {
        let Self { member, account, asset, called, .. } = *self;
        let question = Question { shard: SHARD, account, asset, note, at_least: 0 };
        let namespace = namespace(SHARD);
        let signed = |digest: &[u8; 32], bytes: &[u8]| certificate::verify(&namespace, keys, digest, bytes);
        let proven = SettledProof::decode(&proof.encode()).and_then(|proof| proof.verify(&question, signed));
        let mut ledgers = checks.lock();
        let number = match proven {
            Ok(anchored) => anchored.header.number,
            Err(why) => {
                return ledgers
                    .fail(Check::Reads, format!("member {member} answers with a proof that does not hold: {why}"));
            }
        };
        ledgers.answered(member, number);
        if ledgers.is_liar(member) && number > ledgers.height() {
            // It has shown the signatures before any honest member has told: the batch is in effect now, and is judged once it is told.
            return ledgers.shown(number, account, asset, proof.balance.balance);
        }
        let returned = ledgers.in_effect();
        let what = if number < called {
            format!("batch {called} was final when it was called: it is stale")
        } else if number > returned {
            format!("batch {returned} is the last that is final: it is of the future")
        } else if ledgers.balance(number, account, asset) != Some(proof.balance.balance) {
            "another balance than the ledger has there".to_owned()
        } else {
            return;
        };
        ledgers.fail(Check::Reads, format!("a read of member {member} answers as of batch {number}, and {what}"));
    }
}
