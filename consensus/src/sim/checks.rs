//! What must hold of a cluster, whatever happens to it: told of everything that is settled anywhere, by an observer that trusts nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::{Batch, Digest32, VerifyingKey};
use crate::execute::MachineExecutor;
use crate::ledger::Balance;
use crate::validator::embedded::Observer;
use crate::validator::executor::Executor;
use crate::validator::status::Finalized;

use super::disk::Disk;
use super::venue::{FIRST_TRADER, SHARD, TRADERS};

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Two validators that are honest settle the same batch under each number.
    Agreement,
    /// What is settled was sealed by the gateway, follows on, and leads to the root that it claims.
    Validity,
    /// What a validator has told to be final it still holds after a crash.
    Durability,
    /// No honest validator is caught contradicting itself.
    Votes,
    /// Every asset's balances sum to zero after each batch, and nobody owes.
    Balance,
    /// Once all faults are over everything that was sealed becomes final everywhere; nobody honest has stopped.
    Progress,
    /// What a reader is told is final was settled, and is never taken back; reads behind a barrier are linearizable.
    Reads,
    /// The same seed gives the same run.
    Rerun,
    /// Nothing panics, and whoever crashed starts again.
    Restart,
}

impl Check {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Validity => "validity",
            Self::Durability => "durability",
            Self::Votes => "votes",
            Self::Balance => "balance",
            Self::Progress => "progress",
            Self::Reads => "reads",
            Self::Rerun => "rerun",
            Self::Restart => "restart",
        }
    }
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub check: Check,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check.name(), self.what)
    }
}

/// Everything that was settled, and the first violation.
pub(super) struct Ledgers {
    gateway: VerifyingKey,
    /// Every batch that anybody sealed, forgeries too.
    sealed: BTreeMap<Digest32, Batch>,
    /// What was settled first under each number, and by whom.
    settled: BTreeMap<u64, (Digest32, usize)>,
    /// Re-executes what is settled, once.
    executor: MachineExecutor,
    /// What the traders have after each batch, from batch 1.
    balances: Vec<Vec<Balance>>,
    /// What each member has told to be final.
    told: Vec<Finalized>,
    /// Members that are no judge and no witness: they lie.
    liars: Vec<usize>,
    keys: Vec<[u8; 32]>,
    trace: blake3::Hasher,
    pub(super) violation: Option<Violation>,
    /// Contradictions of liars that were seen.
    pub(super) caught: u64,
    /// Reads behind a barrier that were answered.
    pub(super) reads: u64,
    /// Balances that liars have shown to be final before anybody honest has told: number, account, asset.
    shown: Vec<(u64, u32, u16, Balance)>,
}

impl Ledgers {
    pub(super) fn new(gateway: VerifyingKey, members: usize, liars: Vec<usize>) -> Self {
        let executor = MachineExecutor::new(SHARD);
        let none = Finalized { height: 0, root: executor.root(), digest: [0; 32], last_seq: 0 };
        Self {
            gateway,
            sealed: BTreeMap::new(),
            settled: BTreeMap::new(),
            executor,
            balances: Vec::new(),
            told: vec![none; members],
            liars,
            keys: Vec::new(),
            trace: blake3::Hasher::new(),
            violation: None,
            caught: 0,
            reads: 0,
            shown: Vec::new(),
        }
    }

    pub(super) fn know_keys(&mut self, keys: Vec<[u8; 32]>) {
        self.keys = keys;
    }

    pub(super) fn is_liar(&self, member: usize) -> bool {
        self.liars.contains(&member)
    }

    /// A batch that somebody has sealed.
    pub(super) fn sealed(&mut self, batch: &Batch) {
        self.sealed.insert(*batch.digest(), batch.clone());
    }

    /// Records the first violation.
    pub(super) fn fail(&mut self, check: Check, what: String) {
        self.violation.get_or_insert(Violation { check, what });
    }

    /// Everything of note, in order: what two runs of one seed are compared by.
    pub(super) fn note(&mut self, what: &str, numbers: &[u64]) {
        self.trace.update(what.as_bytes());
        for number in numbers {
            self.trace.update(&number.to_le_bytes());
        }
    }

    pub(super) fn trace(&self) -> Digest32 {
        *self.trace.finalize().as_bytes()
    }

    /// What a member has told to be final so far.
    pub(super) fn told(&self, member: usize) -> Finalized {
        self.told[member]
    }

    /// The highest number that any honest member has settled.
    pub(super) fn height(&self) -> u64 {
        self.executor.height()
    }

    /// A member has settled a batch.
    fn settles(&mut self, member: usize, finalized: &Finalized) {
        let Finalized { height, digest, .. } = *finalized;
        self.note(
            "settles",
            &[member as u64, height, u64::from_le_bytes(digest[..8].try_into().expect("eight bytes"))],
        );
        if self.is_liar(member) {
            return;
        }
        self.told[member] = *finalized;
        match self.settled.get(&height) {
            Some((first, _)) if *first == digest => {}
            Some((_, by)) => {
                let what = format!("members {by} and {member} have settled two batches with number {height}");
                self.fail(Check::Agreement, what);
            }
            None => {
                self.settled.insert(height, (digest, member));
                self.judge(member, finalized);
            }
        }
    }

    /// Re-executes what nobody has settled before.
    fn judge(&mut self, member: usize, finalized: &Finalized) {
        let number = finalized.height;
        let invalid = |why: String| (Check::Validity, format!("member {member} has settled batch {number}: {why}"));
        let Some(batch) = self.sealed.get(&finalized.digest).cloned() else {
            let (check, what) = invalid("nobody has sealed it".to_owned());
            return self.fail(check, what);
        };
        let verdict = if batch.verify_signature(&self.gateway).is_err() {
            Err(invalid("the gateway has not signed it".to_owned()))
        } else if self.executor.height() + 1 != number || batch.header().previous_root != self.executor.root() {
            Err(invalid(format!("it does not follow batch {}", self.executor.height())))
        } else {
            match self.executor.execute(&batch) {
                Err(why) => Err(invalid(why)),
                Ok(root) if root != batch.header().next_root || root != finalized.root => {
                    Err(invalid("its records lead to another root".to_owned()))
                }
                Ok(_) => {
                    let ledger = self.executor.machine().books().ledger();
                    let traders = FIRST_TRADER..FIRST_TRADER + TRADERS;
                    let balances = traders.flat_map(|account| [0, 1].map(|asset| ledger.balance(account, asset)));
                    self.balances.push(balances.collect());
                    ledger.check().map_err(|unbalanced| (Check::Balance, format!("after batch {number}: {unbalanced}")))
                }
            }
        };
        if let Err((check, what)) = verdict {
            self.fail(check, what);
        }
        for (number, account, asset, balance) in self.shown.extract_if(.., |(at, ..)| *at == number).collect::<Vec<_>>()
        {
            if self.balance(number, account, asset) != Some(balance) {
                self.fail(Check::Reads, format!("another balance than after batch {number} was shown with signatures"));
            }
        }
    }

    /// A member that crashed has started again with this.
    pub(super) fn restarted(&mut self, member: usize, height: u64, digest_of_told: Option<Digest32>) {
        self.note("restarts", &[member as u64, height]);
        let told = self.told[member];
        if self.is_liar(member) || told.height == 0 {
            return;
        }
        if height < told.height {
            let what = format!("member {member} has told that batch {} is final, and starts at {height}", told.height);
            self.fail(Check::Durability, what);
        } else if digest_of_told != Some(told.digest) {
            let what = format!("member {member} holds another batch {} than it has told to be final", told.height);
            self.fail(Check::Durability, what);
        }
    }

    /// A reader was told by a member that this is final.
    pub(super) fn read(&mut self, member: usize, finalized: &Finalized) {
        if self.is_liar(member) || finalized.height == 0 {
            return;
        }
        if self.settled.get(&finalized.height).is_none_or(|(digest, _)| *digest != finalized.digest) {
            let what =
                format!("member {member} says that batch {} is final, which nobody has settled", finalized.height);
            self.fail(Check::Reads, what);
        } else if finalized.height < self.told[member].height {
            let (now, before) = (finalized.height, self.told[member].height);
            self.fail(Check::Reads, format!("member {member} says that it is at {now}, and was at {before} before"));
        }
    }

    /// What a trader has after a batch that was settled.
    pub(super) fn balance(&self, number: u64, account: u32, asset: u16) -> Option<Balance> {
        let after = self.balances.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        after.get((account - FIRST_TRADER) as usize * 2 + usize::from(asset)).copied()
    }

    /// The last batch that was told by anybody honest, or shown with a quorum's signatures.
    pub(super) fn in_effect(&self) -> u64 {
        self.shown.iter().map(|(number, ..)| *number).max().unwrap_or(0).max(self.height())
    }

    /// A balance that was shown to be final before anybody honest has told.
    pub(super) fn shown(&mut self, number: u64, account: u32, asset: u16, balance: Balance) {
        self.shown.push((number, account, asset, balance));
    }

    /// A read of a member was answered as of a batch.
    pub(super) fn answered(&mut self, member: usize, number: u64) {
        self.reads += 1;
        self.note("reads", &[member as u64, number]);
    }

    fn witnessed(&mut self, by: usize, key: &[u8; 32], what: &str) {
        let Some(member) = self.keys.iter().position(|known| known == key) else { return };
        self.note("witnessed", &[by as u64, member as u64]);
        if self.is_liar(by) {
            return;
        }
        if self.is_liar(member) {
            self.caught += 1;
        } else {
            self.fail(Check::Votes, format!("member {member} is honest, and member {by} has seen {what} of it"));
        }
    }
}

/// What everybody in a simulation reports to.
#[derive(Clone)]
pub(super) struct Checks(Arc<Mutex<Ledgers>>);

impl Checks {
    pub(super) fn new(ledgers: Ledgers) -> Self {
        Self(Arc::new(Mutex::new(ledgers)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ledgers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever a member reports to in this life.
    pub(super) fn witness(&self, member: usize, disks: [Disk; 2]) -> Arc<dyn Observer> {
        Arc::new(Witness { member, disks, checks: self.clone() })
    }
}

struct Witness {
    member: usize,
    disks: [Disk; 2],
    checks: Checks,
}

impl Observer for Witness {
    fn finalized(&self, finalized: &Finalized) {
        // Without power nobody is told anything.
        if !self.disks.iter().any(Disk::is_off) {
            self.checks.lock().settles(self.member, finalized);
        }
    }

    fn witnessed(&self, member: [u8; 32], what: &'static str) {
        self.checks.lock().witnessed(self.member, &member, what);
    }
}
