//! The ledger: who owns how much of what, double entry.
//!
//! Money and positions are the same thing: balances of assets, i128 in the asset's smallest unit, in two buckets:
//! `available`, and `reserved` for live orders. Every movement between accounts is a [`Posting`]: what one account loses
//! another gains, so that the balances of an asset sum to 0 at all times. Account [`OUTSIDE`] is the outside world and
//! goes negative by what the venue holds; no other account may.
//!
//! - **Limits**: accounts below [`MAX_ACCOUNTS`], assets below [`MAX_ASSETS`]. Nothing overflows: account 0 refuses to
//!   go below `-MAX_SUPPLY`, every other balance is 0 or more, and they sum to 0.
//! - **Idempotence**: a transfer's id is remembered through the day it was booked in and the next ([`TransferIds`]).
//! - **Pending**: a pend holds its amount in the payer's `reserved` until it is posted, voided or expired ([`Pending`]).
//! - **History** cannot be changed: [`Ledger::history`] chains every transfer that took effect, with its record's seq.
//! - **Roots and proofs**: [`Ledger::root`] commits to all of it, to the balances by a [`tree`], so that one balance is proven
//!   by a kilobyte of hashes ([`Ledger::path`]).
//! - **Cost**: a balance is one index into one array. A root hashes anew what has changed since the last.

mod ids;
mod pending;
pub mod tree;

use crate::record::Leg;
use tree::{DEPTH, Digest, Tree};

pub(crate) use ids::Mark;
pub use ids::{Known, MAX_IDS_PER_DAY, TransferIds};
pub use pending::{MAX_PENDING, Pending};

/// The account of the outside world: where money comes from and goes to.
pub const OUTSIDE: u32 = 0;
/// The account that fees go to and rebates come from.
pub const FEES: u32 = 1;
/// Accounts are below this number.
pub const MAX_ACCOUNTS: u32 = 65_536;
/// Assets are below this number.
pub const MAX_ASSETS: u16 = 256;
/// Most of an asset that the venue may hold; with it no sum of balances overflows.
pub const MAX_SUPPLY: i128 = 1 << 120;

/// What an account has of an asset, in the asset's smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// To withdraw, or to reserve.
    pub available: i128,
    /// Held for live orders.
    pub reserved: i128,
}

impl Balance {
    /// Both buckets.
    pub const fn total(&self) -> i128 {
        self.available + self.reserved
    }
}

/// What a posting pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cause {
    /// A transfer record.
    Transfer = 0,
    /// A fill: the buyer pays the seller.
    Payment = 1,
    /// A fill: the seller delivers to the buyer.
    Delivery = 2,
    /// A fill: a side pays its fee.
    Fee = 3,
    /// A fill: a side gets its rebate.
    Rebate = 4,
}

/// A movement from one account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The record that moved it.
    pub seq: u64,
    /// Who loses.
    pub from: u32,
    /// Who gains.
    pub to: u32,
    /// Of what.
    pub asset: u16,
    /// In the asset's smallest unit; above 0.
    pub amount: i128,
    /// What for.
    pub cause: Cause,
}

/// All balances of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// `[account][asset]`, rows of `assets`.
    balances: Vec<Balance>,
    accounts: u32,
    assets: u16,
    tree: Tree,
    history: Digest,
    /// Transfers that were booked.
    pub ids: TransferIds,
    /// Pends that wait.
    pub pending: Pending,
}

/// What a ledger's root is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerParts {
    /// Root of the [`tree`] over all balances.
    pub balances: Digest,
    /// [`Ledger::history`].
    pub history: Digest,
    /// [`TransferIds::digest`].
    pub ids: Digest,
    /// [`Pending::digest`].
    pub pending: Digest,
}

impl LedgerParts {
    /// The ledger's root: `blake3("wirebook ledger v2" | balances | history | ids | pending)`.
    pub fn root(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"wirebook ledger v2");
        for part in [&self.balances, &self.history, &self.ids, &self.pending] {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accounts that have a row.
    pub fn accounts(&self) -> u32 {
        self.accounts
    }

    /// Assets that have a column.
    pub fn assets(&self) -> u16 {
        self.assets
    }

    /// Makes room: all accounts and assets below these numbers have a balance from here on.
    ///
    /// # Panics
    /// When a number is beyond the limits.
    pub fn grow(&mut self, accounts: u32, assets: u16) {
        assert!(accounts <= MAX_ACCOUNTS && assets <= MAX_ASSETS, "{accounts} accounts, {assets} assets");
        let (accounts, assets) = (accounts.max(self.accounts), assets.max(self.assets));
        if (accounts, assets) == (self.accounts, self.assets) {
            return;
        }
        self.tree.grow(accounts);
        if assets != self.assets {
            let mut grown = vec![Balance::default(); accounts as usize * usize::from(assets)];
            if self.assets != 0 {
                let rows = self.balances.chunks_exact(usize::from(self.assets));
                for (new, old) in grown.chunks_exact_mut(usize::from(assets)).zip(rows) {
                    new[..old.len()].copy_from_slice(old);
                }
            }
            self.balances = grown;
        } else {
            self.balances.resize(accounts as usize * usize::from(assets), Balance::default());
        }
        (self.accounts, self.assets) = (accounts, assets);
    }

    /// What an account has of an asset; nothing when there is no such account or asset.
    pub fn balance(&self, account: u32, asset: u16) -> Balance {
        if account >= self.accounts || asset >= self.assets {
            return Balance::default();
        }
        self.balances[self.at(account, asset)]
    }

    #[inline]
    fn at(&self, account: u32, asset: u16) -> usize {
        debug_assert!(account < self.accounts && asset < self.assets, "account {account} asset {asset}");
        account as usize * usize::from(self.assets) + usize::from(asset)
    }

    #[inline]
    fn cell(&mut self, account: u32, asset: u16) -> &mut Balance {
        let at = self.at(account, asset);
        self.tree.mark(account);
        &mut self.balances[at]
    }

    /// Holds `amount` for an order. The caller has seen that so much is available.
    #[inline]
    pub(crate) fn reserve(&mut self, account: u32, asset: u16, amount: i128) {
        let cell = self.cell(account, asset);
        assert!(0 <= amount && amount <= cell.available, "{amount} of {} available", cell.available);
        cell.available -= amount;
        cell.reserved += amount;
    }

    /// Holds what a pend moves later. The caller has seen that [`Ledger::affords`] it; the outside world owes the more.
    pub(crate) fn hold(&mut self, posting: &Posting) {
        let cell = self.cell(posting.from, posting.asset);
        cell.available -= posting.amount;
        cell.reserved += posting.amount;
    }

    /// Gives back what was held.
    #[inline]
    pub(crate) fn release(&mut self, account: u32, asset: u16, amount: i128) {
        let cell = self.cell(account, asset);
        assert!(0 <= amount && amount <= cell.reserved, "{amount} of {} reserved", cell.reserved);
        cell.reserved -= amount;
        cell.available += amount;
    }

    /// Whether this posting would keep account 0 within [`MAX_SUPPLY`] and everyone else at 0 or more.
    pub fn affords(&self, posting: &Posting) -> bool {
        let available = self.balance(posting.from, posting.asset).available;
        let floor = if posting.from == OUTSIDE { -MAX_SUPPLY } else { 0 };
        posting.amount > 0 && posting.amount <= MAX_SUPPLY && available - posting.amount >= floor
    }

    /// Moves money. The caller has seen that [`Ledger::affords`] it, or that a reserve just released covers it.
    #[inline]
    pub(crate) fn post(&mut self, posting: &Posting) {
        debug_assert!(posting.amount > 0, "{posting:?}");
        let from = self.cell(posting.from, posting.asset);
        from.available = from.available.checked_sub(posting.amount).expect("supply is bounded");
        let to = self.cell(posting.to, posting.asset);
        to.available = to.available.checked_add(posting.amount).expect("supply is bounded");
    }

    /// Sets a balance as a snapshot has it.
    pub(crate) fn restore(&mut self, account: u32, asset: u16, balance: Balance) {
        *self.cell(account, asset) = balance;
    }

    /// Every balance that is not zero, by account, then asset.
    pub fn balances(&self) -> impl Iterator<Item = (u32, u16, Balance)> + '_ {
        let assets = usize::from(self.assets).max(1);
        self.balances
            .iter()
            .enumerate()
            .filter(|(_, balance)| **balance != Balance::default())
            .map(move |(at, balance)| ((at / assets) as u32, (at % assets) as u16, *balance))
    }

    /// Looks for money that came from nowhere, and for a balance below 0.
    ///
    /// # Errors
    /// Names the first one.
    pub fn check(&self) -> Result<(), Unbalanced> {
        let mut sums = vec![0i128; usize::from(self.assets)];
        for (account, asset, balance) in self.balances() {
            let sum = &mut sums[usize::from(asset)];
            *sum = balance
                .available
                .checked_add(balance.reserved)
                .and_then(|total| sum.checked_add(total))
                .ok_or(Unbalanced { account: Some(account), asset, amount: i128::MAX })?;
            let lowest = if account == OUTSIDE { balance.reserved } else { balance.available.min(balance.reserved) };
            if lowest < 0 {
                return Err(Unbalanced { account: Some(account), asset, amount: lowest });
            }
        }
        match sums.iter().position(|sum| *sum != 0) {
            None => Ok(()),
            Some(asset) => Err(Unbalanced { account: None, asset: asset as u16, amount: sums[asset] }),
        }
    }

    /// Remembers for ever that this leg took effect with the record of this seq.
    pub(crate) fn write_history(&mut self, seq: u64, leg: &Leg) {
        self.history = ids::link(&self.history, seq, leg);
    }

    /// Digest of every transfer that ever took effect, in order: each link hashes the one before, the record's seq, the leg.
    pub fn history(&self) -> Digest {
        self.history
    }

    pub(crate) fn set_history(&mut self, history: Digest) {
        self.history = history;
    }

    fn row(&self, account: u32) -> &[Balance] {
        let assets = usize::from(self.assets);
        match account < self.accounts {
            true => &self.balances[account as usize * assets..][..assets],
            false => &[],
        }
    }

    /// What [`Ledger::root`] is made of.
    pub fn parts(&self) -> LedgerParts {
        LedgerParts {
            balances: self.tree.root(|account| self.row(account)),
            history: self.history,
            ids: self.ids.digest(),
            pending: self.pending.digest(),
        }
    }

    /// Digest of every balance, of the history, of the ids that are remembered and of what is pending. Costs a few hashes for each
    /// account that has changed since the last root, and a pass over what is pending.
    pub fn root(&self) -> Digest {
        self.parts().root()
    }

    /// What proves a balance, or that there is none: the siblings between its leaf and the root of the balances.
    ///
    /// # Panics
    /// When account or asset is beyond the limits.
    pub fn path(&self, account: u32, asset: u16) -> [Digest; DEPTH] {
        assert!(account < MAX_ACCOUNTS && asset < MAX_ASSETS, "account {account}, asset {asset}");
        self.tree.path(account, asset, |account| self.row(account))
    }
}

/// Money that came from nowhere, or a balance below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("asset {asset}: {}", match account {
    Some(account) => format!("account {account} has {amount}, allowed 0 or more"),
    None => format!("balances sum to {amount}, allowed 0"),
})]
pub struct Unbalanced {
    /// Whose balance is wrong; `None` when it is the sum.
    pub account: Option<u32>,
    /// Of what.
    pub asset: u16,
    /// The balance, or the sum.
    pub amount: i128,
}

#[cfg(test)]
mod tests;
