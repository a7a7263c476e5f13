//! The registry's entries, laid out for the checks.

use thiserror::Error;
use wirebook_matcher::abi::Capabilities;
use wirebook_settlement::machine::Refusal;
use wirebook_settlement::record::{HaltMode, Registry, State};

use super::{Account, AccountLimits, Instrument, Port, Risk, Wire};
use crate::session::Alpha;

/// Why an entry is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryRefused {
    /// The ledger's registry refuses it.
    #[error(transparent)]
    Ledger(#[from] Refusal),
    /// What orders reserve and pay, and whose they are, may not change under them.
    #[error("registry: {what} {id} has {open} live orders: cancel them, or wait for the day's end")]
    LiveOrders {
        /// Instrument or account.
        what: &'static str,
        /// Its number.
        id: u32,
        /// Its live orders.
        open: u32,
    },
}

/// The accounts that exist without being registered: the outside world, and the venue's fees.
const BUILT_IN: usize = 2;

impl Risk {
    /// Takes an entry, at the record `seq`. Not on the hot path: this is where arrays grow.
    ///
    /// # Errors
    /// As the ledger's own registry, and when there are live orders, in flight or not, that the entry would touch.
    pub fn register(&mut self, seq: u64, entry: &Registry) -> Result<(), RegistryRefused> {
        self.check_unused(entry)?;
        self.registry.apply(seq, entry, self.capabilities)?;
        match *entry {
            Registry::Asset(asset) => self.funds.grow(self.accounts.len().max(BUILT_IN), usize::from(asset.id) + 1),
            Registry::Instrument(instrument) => {
                let index = usize::from(instrument.id);
                if self.instruments.len() <= index {
                    self.instruments.resize(index + 1, None);
                }
                let wire = Wire::new(instrument.tick, instrument.lot, instrument.band_base, instrument.band_ticks);
                let before = self.instruments[index].take();
                let (mode, reference, open) =
                    before.map_or((HaltMode::Trading, None, 0), |known| (known.mode, known.reference, known.open));
                self.instruments[index] = Some(Instrument { wire, mode, reference, open });
                self.symbols.retain(|_, id| *id != instrument.id);
                self.symbols.insert(Alpha(instrument.symbol), instrument.id);
            }
            Registry::Account(account) => {
                let known = self.account_mut(account.id);
                (known.owner, known.self_trade) = (account.owner, account.self_trade);
                self.funds.grow(self.accounts.len(), 0);
            }
            Registry::Session(session) => {
                let needed = self.ports.len().max(session.id as usize + 1);
                self.ports.resize(needed, Port::default());
            }
            Registry::Limits(limits) => {
                self.account_mut(limits.account).limits = AccountLimits {
                    max_order_qty: limits.max_order_qty,
                    max_notional: limits.max_notional,
                    max_open_orders: limits.max_open_orders,
                    collar_ticks: limits.collar_ticks,
                    messages_per_second: limits.messages_per_second,
                    duplicates_per_second: limits.duplicates_per_second,
                };
            }
            Registry::Restrict(restriction) => {
                let (word, bit) = (usize::from(restriction.instrument) / 64, restriction.instrument % 64);
                let restricted = &mut self.account_mut(restriction.account).restricted;
                let needed = restricted.len().max(word + 1);
                restricted.resize(needed, 0);
                restricted[word] = restricted[word] & !(1 << bit) | u64::from(restriction.restricted) << bit;
                // No trailing zeros: what was never restricted and what is not any more are the same.
                let used = restricted.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
                restricted.truncate(used);
            }
            // The books alone know totals; they are asked before a transfer is made.
            Registry::Fee(_) | Registry::Ceiling(_) => {}
        }
        Ok(())
    }

    fn check_unused(&self, entry: &Registry) -> Result<(), RegistryRefused> {
        let id = match entry {
            Registry::Instrument(instrument) if self.instrument_changes(instrument) => instrument.id,
            Registry::Fee(fee) => fee.instrument,
            _ => return Ok(()),
        };
        match self.known(id).map_or(0, |known| known.open) {
            0 => Ok(()),
            open => Err(RegistryRefused::LiveOrders { what: "instrument", id: id.into(), open }),
        }
    }

    fn instrument_changes(&self, new: &wirebook_settlement::record::Instrument) -> bool {
        self.registry.instrument(new.id).is_some_and(|entry| entry.instrument != *new)
    }

    /// Takes a state of the venue.
    ///
    /// # Errors
    /// As the ledger's own registry.
    pub fn set_state(&mut self, seq: u64, state: &State) -> Result<(), RegistryRefused> {
        self.registry.state(seq, state)?;
        Ok(())
    }

    /// What the shard's matcher can do, as its epoch record says.
    pub fn set_capabilities(&mut self, capabilities: u32) {
        self.capabilities = Capabilities(capabilities);
    }

    /// The owner of an account, once it is registered.
    pub fn owner(&self, account: u32) -> Option<u16> {
        Some(self.registry.account(account)?.account?.owner)
    }

    fn account_mut(&mut self, id: u32) -> &mut Account {
        let index = id as usize;
        if self.accounts.len() <= index {
            self.accounts.resize_with(index + 1, Account::default);
        }
        &mut self.accounts[index]
    }

    /// Whether an account can hold an asset: both are registered.
    pub fn can_hold(&self, account: u32, asset: u16) -> bool {
        self.registry.may_hold(account) && self.funds.holds(account, asset)
    }
}
