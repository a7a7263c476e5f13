//! What each account has available, as far as events tell: the ledger's `available`, less what is in flight.
//!
//! What an order reserves and what a fill is worth, its fee included, is asked of the ledger's own registry; nothing here
//! defines money a second time.

use wirebook_matcher::abi::Side;
use wirebook_settlement::ledger::FEES;
use wirebook_settlement::machine::Rates;

use super::{Ask, Risk};
use crate::entry::plain::{ImageError, Reader, Writer};

/// An amount of an asset that has to be available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which asset.
    pub asset: u16,
    /// How much, in its smallest unit.
    pub amount: i128,
}

/// A fill, as one of its two orders sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose order.
    pub account: u32,
    /// Its instrument.
    pub instrument: u16,
    /// Its side.
    pub side: Side,
    /// Its own limit.
    pub limit: u32,
    /// Where it traded.
    pub tick: u32,
    /// Lots that traded.
    pub qty: u32,
    /// Whether it was the resting one.
    pub maker: bool,
}

/// Available amounts, by account and asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Funds {
    available: Vec<Vec<i128>>,
    assets: usize,
}

impl Funds {
    /// Makes room; called when an account or asset is registered, never on the hot path.
    pub(super) fn grow(&mut self, accounts: usize, assets: usize) {
        self.assets = self.assets.max(assets);
        if self.available.len() < accounts {
            self.available.resize_with(accounts, Vec::new);
        }
        for balances in &mut self.available {
            balances.resize(self.assets, 0);
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.available.len() as u64);
        out.u64(self.assets as u64);
        self.available.iter().flatten().for_each(|amount| out.i128(*amount));
    }

    pub(super) fn read(&mut self, from: &mut Reader<'_>) -> Result<(), ImageError> {
        let (accounts, assets) = (from.u64("accounts with funds")?, from.u64("assets")?);
        if (accounts, assets) != (self.available.len() as u64, self.assets as u64) {
            return Err(from.bad("accounts with funds", "another number than are registered"));
        }
        for amount in self.available.iter_mut().flatten() {
            *amount = from.i128("available amount")?;
        }
        Ok(())
    }

    /// Whether there is an amount to be changed.
    pub(super) fn holds(&self, account: u32, asset: u16) -> bool {
        self.available.get(account as usize).is_some_and(|balances| usize::from(asset) < balances.len())
    }

    #[inline]
    fn add(&mut self, account: u32, asset: u16, amount: i128) {
        let balance =
            self.available.get_mut(account as usize).and_then(|balances| balances.get_mut(usize::from(asset)));
        debug_assert!(balance.is_some(), "account {account}, asset {asset}: nobody registered them");
        if let Some(balance) = balance {
            *balance += amount;
        }
    }
}

impl Risk {
    /// What an account has available of an asset, in its smallest unit; 0 where nobody knows them.
    #[inline]
    pub fn available(&self, account: u32, asset: u16) -> i128 {
        let balances = self.funds.available.get(account as usize);
        balances.and_then(|balances| balances.get(usize::from(asset))).copied().unwrap_or(0)
    }

    /// What a new order needs.
    #[inline]
    pub fn need(&self, ask: &Ask) -> Need {
        self.reserve(ask.instrument, ask.side, ask.tick, ask.qty)
    }

    /// The most that replacing an order can need besides what is held for it, whatever it may have executed by the time at which
    /// it is replaced: `leaves` is the most that it may have left, `change` what its leaves change by, `ask` says the new limit.
    ///
    /// With f of the leaves gone, the replacement reserves u'(leaves - f + change) and the order frees u(leaves - f). The difference is
    /// linear in f, so its largest value is at one of the ends; it is never less than nothing, because what a replacement
    /// frees is given back only when its event is here.
    #[inline]
    pub fn need_more(&self, ask: &Ask, old_tick: u32, leaves: u32, change: i64) -> Need {
        let at = |leaves: u32| {
            let new = (i64::from(leaves) + change).clamp(0, i64::from(u32::MAX)) as u32;
            let reserved = self.reserve(ask.instrument, ask.side, ask.tick, new);
            let freed = self.reserve(ask.instrument, ask.side, old_tick, leaves);
            Need { asset: reserved.asset, amount: reserved.amount - freed.amount }
        };
        let (all, none) = (at(leaves), at(0));
        Need { asset: all.asset, amount: all.amount.max(none.amount).max(0) }
    }

    /// What some lots reserve.
    #[inline]
    pub fn reserve(&self, instrument: u16, side: Side, tick: u32, qty: u32) -> Need {
        let Some(rates) = self.rates(instrument) else { return Need { asset: 0, amount: 0 } };
        let amount = i128::from(qty) * i128::from(rates.reserve_per_lot(side, tick));
        Need { asset: rates.reserve_asset(side), amount }
    }

    /// The value of an order at its limit, in the quote's smallest unit.
    #[inline]
    pub(super) fn notional(&self, ask: &Ask) -> i128 {
        self.rates(ask.instrument).map_or(0, |rates| rates.value(ask.tick, ask.qty))
    }

    /// Takes an amount away.
    #[inline]
    pub fn take(&mut self, account: u32, need: Need) {
        self.funds.add(account, need.asset, -need.amount);
    }

    /// Gives an amount back, or in.
    #[inline]
    pub fn give(&mut self, account: u32, need: Need) {
        self.funds.add(account, need.asset, need.amount);
    }

    /// Books one order's part in a fill. Answers how much of what is held for the order this used up.
    #[inline]
    pub fn fill(&mut self, part: &Part) -> i128 {
        let Part { account, instrument, side, limit, tick, qty, maker } = *part;
        let Some(rates) = self.rates(instrument).copied() else { return 0 };
        let held = self.reserve(instrument, side, limit, qty).amount;
        let value = rates.value(tick, qty);
        let fee = if maker { rates.maker_fee(value) } else { rates.taker_fee(value) };
        match side {
            Side::Buy => {
                self.funds.add(account, rates.quote, held - value - fee);
                self.funds.add(account, rates.base, rates.quantity(qty));
            }
            Side::Sell => self.funds.add(account, rates.quote, value - fee),
        }
        self.funds.add(FEES, rates.quote, fee);
        held
    }

    #[inline]
    fn rates(&self, instrument: u16) -> Option<&Rates> {
        self.registry.instrument(instrument).map(|entry| &entry.rates)
    }
}
