//! Pre-validation: what an account may send, checked in fixed arrays before a record is made.
//!
//! Each check answers with its OUCH reject reason; the refusal becomes a record, and the client hears of it through the fold.
//! Risk decides alone from its arrays, which are a function of the records and of the events that came back so far. Events lag
//! behind records, so its view of funds may lag behind the ledger's, and is only ever stricter: it takes the worst that an order
//! may need when the order is sent, and gives back what was not needed when its events return. With nothing in flight both are
//! equal.
//!
//! | check | reason | where |
//! |---|---|---|
//! | messages per second of the port | 0x29 | [`Risk::port`] |
//! | the same order again and again | 0x2A | [`Risk::port`] |
//! | day not open | 2 | [`Risk::gates`] |
//! | kill switch of the account, or of all | 0x0F | [`Risk::gates`] |
//! | order entry disabled by the account itself | 0x0C | [`Risk::gates`] |
//! | instrument halted or frozen | 7 | [`Risk::gates`] |
//! | instrument restricted for the account | 0x22 | [`Risk::gates`] |
//! | lots | 0x13 | [`Risk::size`] |
//! | more than the account's or the matcher's largest order | 0x1E | [`Risk::size`] |
//! | off the tick grid, outside the band | 0x1D | [`Risk::price`] |
//! | too far through the last trade or mark | 0x26 | [`Risk::price`] |
//! | notional | 0x1F | [`Risk::exposure`] |
//! | open orders | 0x20 | [`Risk::exposure`] |
//! | funds | 0x20 | [`Risk::exposure`] |

mod funds;
mod image;
mod rate;
mod registry;
mod wire;

use rustc_hash::FxHashMap;
use wirebook_matcher::abi::{Capabilities, SelfTrade, Side};
use wirebook_settlement::machine::RegistryBook;

pub use self::funds::{Need, Part};
pub use self::rate::{Bucket, Duplicates, FINGERPRINT_BYTES};
pub use self::registry::RegistryRefused;
pub use self::wire::Wire;
use crate::session::ouch::{Price, RejectReason, Symbol};

use self::funds::Funds;

/// What an instrument's trading is doing.
pub use wirebook_settlement::record::HaltMode;

/// Limits of an account. One that nobody limits may do what the matcher can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Largest order, lots.
    pub max_order_qty: u32,
    /// Largest value of an order at its limit, in the quote's smallest unit.
    pub max_notional: i128,
    /// Most orders at a time.
    pub max_open_orders: u32,
    /// How far through the last trade or mark a limit may go, ticks; 0: anywhere.
    pub collar_ticks: u32,
    /// Orders and replacements that each of its ports may send in a second; 0: no limit.
    pub messages_per_second: u32,
    /// How often in a second a port may repeat the very same order; 0: no limit.
    pub duplicates_per_second: u32,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            max_order_qty: u32::MAX,
            max_notional: i128::MAX,
            max_open_orders: u32::MAX,
            collar_ticks: 0,
            messages_per_second: 0,
            duplicates_per_second: 0,
        }
    }
}

/// An account as risk sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    owner: u16,
    self_trade: u8,
    limits: AccountLimits,
    killed: bool,
    disabled: bool,
    /// One bit per instrument.
    restricted: Vec<u64>,
}

/// An instrument as risk sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Instrument {
    wire: Option<Wire>,
    mode: HaltMode,
    /// Last trade or mark, whatever is later: absolute, in ticks.
    reference: Option<u64>,
    /// Live orders.
    open: u32,
}

/// A session's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Port {
    messages: Bucket,
    duplicates: Duplicates,
}

/// An order to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who wants it.
    pub account: u32,
    /// In which instrument.
    pub instrument: u16,
    /// On which side.
    pub side: Side,
    /// Its limit.
    pub tick: u32,
    /// Its lots.
    pub qty: u32,
}

/// The arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Risk {
    registry: RegistryBook,
    funds: Funds,
    accounts: Vec<Account>,
    instruments: Vec<Option<Instrument>>,
    ports: Vec<Port>,
    symbols: FxHashMap<Symbol, u16>,
    killed_all: bool,
    day_open: bool,
    max_qty: u32,
    capabilities: Capabilities,
}

impl Risk {
    /// Knows nobody. `max_qty`: the matcher's largest order, lots.
    pub fn new(max_qty: u32) -> Self {
        Self {
            registry: RegistryBook::default(),
            funds: Funds::default(),
            accounts: Vec::new(),
            instruments: Vec::new(),
            ports: Vec::new(),
            symbols: FxHashMap::default(),
            killed_all: false,
            day_open: false,
            max_qty,
            capabilities: Capabilities::ALL,
        }
    }

    /// The instrument with this symbol, if it can be traded over OUCH.
    #[inline]
    pub fn instrument(&self, symbol: &Symbol) -> Option<(u16, Wire)> {
        let id = *self.symbols.get(symbol)?;
        Some((id, self.wire(id)?))
    }

    /// How an instrument's numbers look on the wire.
    #[inline]
    pub fn wire(&self, instrument: u16) -> Option<Wire> {
        self.instruments.get(usize::from(instrument))?.as_ref()?.wire
    }

    /// What an instrument's trading is doing.
    #[inline]
    pub fn mode(&self, instrument: u16) -> HaltMode {
        self.known(instrument).map_or(HaltMode::Trading, |known| known.mode)
    }

    /// What self-trade prevention compares for an account's orders, and what it does.
    #[inline]
    pub fn self_trade(&self, account: u32) -> (u16, SelfTrade) {
        let account = &self.accounts[account as usize];
        (account.owner, SelfTrade::from_byte(account.self_trade).unwrap_or(SelfTrade::Off))
    }

    /// Whether the port may send another message at `now_ns`; `order` is what an order's duplicates are told by.
    #[inline]
    pub fn port(
        &self,
        session: u32,
        account: u32,
        now_ns: u64,
        order: Option<&[u8; FINGERPRINT_BYTES]>,
    ) -> Result<(), RejectReason> {
        let limits = &self.accounts[account as usize].limits;
        let port = &self.ports[session as usize];
        if !port.messages.allows(now_ns, limits.messages_per_second) {
            return Err(RejectReason::RiskPortMessageRate);
        }
        match order {
            Some(order) if !port.duplicates.allows(order, now_ns, limits.duplicates_per_second) => {
                Err(RejectReason::RiskDuplicateMessageRate)
            }
            _ => Ok(()),
        }
    }

    /// Counts a message that left a record.
    #[inline]
    pub fn count_message(&mut self, session: u32, account: u32, now_ns: u64, order: Option<&[u8; FINGERPRINT_BYTES]>) {
        let limits = &self.accounts[account as usize].limits;
        let port = &mut self.ports[session as usize];
        port.messages.take(now_ns, limits.messages_per_second);
        if let Some(order) = order {
            port.duplicates.take(order, now_ns, limits.duplicates_per_second);
        }
    }

    /// Whether the account may enter or replace orders in the instrument at all.
    #[inline]
    pub fn gates(&self, account: u32, instrument: u16) -> Result<(), RejectReason> {
        let asking = &self.accounts[account as usize];
        if !self.day_open {
            return Err(RejectReason::DestinationClosed);
        }
        if self.killed_all || asking.killed {
            return Err(RejectReason::Other);
        }
        if asking.disabled {
            return Err(RejectReason::FirmNotAuthorized);
        }
        if self.mode(instrument) != HaltMode::Trading {
            return Err(RejectReason::Halted);
        }
        let word = asking.restricted.get(usize::from(instrument) / 64).copied().unwrap_or(0);
        if word >> (instrument % 64) & 1 == 1 {
            return Err(RejectReason::RiskRestrictedStock);
        }
        Ok(())
    }

    /// The lots of a quantity in shares.
    #[inline]
    pub fn size(&self, account: u32, wire: &Wire, shares: u32) -> Result<u32, RejectReason> {
        let lots = wire.lots(shares).ok_or(RejectReason::InvalidQuantity)?;
        let limit = self.accounts[account as usize].limits.max_order_qty;
        if lots > self.max_qty || lots > limit {
            return Err(RejectReason::SharesExceedThreshold);
        }
        Ok(lots)
    }

    /// The tick of a limit. A market order goes to the band's end, or, where the account has a collar, as far as that lets it: an
    /// account that bounds its limit orders cannot want its market orders unbounded.
    #[inline]
    pub fn price(
        &self,
        account: u32,
        instrument: u16,
        wire: &Wire,
        side: Side,
        price: Price,
    ) -> Result<u32, RejectReason> {
        let bound = self.collar(account, instrument, side);
        if price.is_market() {
            let end = match side {
                Side::Buy => wire.last_tick(),
                Side::Sell => 0,
            };
            let Some(bound) = bound else { return Ok(end) };
            let within = u64::from(wire.last_tick());
            return match side {
                Side::Buy => bound.checked_sub(wire.band_base()).map(|tick| tick.min(within) as u32),
                Side::Sell => {
                    Some(bound.saturating_sub(wire.band_base())).filter(|tick| *tick <= within).map(|t| t as u32)
                }
            }
            .ok_or(RejectReason::RiskFatFinger);
        }
        let tick = wire.tick(price).ok_or(RejectReason::InvalidPrice)?;
        let absolute = wire.band_base() + u64::from(tick);
        let through = bound.is_some_and(|bound| match side {
            Side::Buy => absolute > bound,
            Side::Sell => absolute < bound,
        });
        if through { Err(RejectReason::RiskFatFinger) } else { Ok(tick) }
    }

    /// The worst price that the account's collar allows, absolute in ticks; `None` where nothing bounds it. Far away on the passive side
    /// an order does no harm, and is not bounded.
    #[inline]
    fn collar(&self, account: u32, instrument: u16, side: Side) -> Option<u64> {
        let collar = u64::from(self.accounts[account as usize].limits.collar_ticks);
        let reference = self.known(instrument)?.reference.filter(|_| collar > 0)?;
        Some(match side {
            Side::Buy => reference.saturating_add(collar),
            Side::Sell => reference.saturating_sub(collar),
        })
    }

    /// Whether the account may have this order besides its `open` others, when `need` is what has to be free for it.
    #[inline]
    pub fn exposure(&self, ask: &Ask, open: u32, need: &Need) -> Result<(), RejectReason> {
        let limits = &self.accounts[ask.account as usize].limits;
        if self.notional(ask) > limits.max_notional {
            return Err(RejectReason::ExceedsMaximumNotional);
        }
        if open >= limits.max_open_orders {
            return Err(RejectReason::RiskAggregateExposure);
        }
        if need.amount > 0 && need.amount > self.available(ask.account, need.asset) {
            return Err(RejectReason::RiskAggregateExposure);
        }
        Ok(())
    }

    /// What a trade or mark at `tick` of the band says about an instrument's price.
    #[inline]
    pub fn traded(&mut self, instrument: u16, tick: u32) {
        if let Some(Some(known)) = self.instruments.get_mut(usize::from(instrument)) {
            known.reference = known.wire.map(|wire| wire.band_base() + u64::from(tick)).or(known.reference);
        }
    }

    /// A mark price, absolute in ticks.
    pub fn mark(&mut self, instrument: u16, price_ticks: u64) {
        if let Some(Some(known)) = self.instruments.get_mut(usize::from(instrument)) {
            known.reference = Some(price_ticks);
        }
    }

    /// Counts an order of an instrument in or out.
    #[inline]
    pub fn count_order(&mut self, instrument: u16, enters: bool) {
        if let Some(Some(known)) = self.instruments.get_mut(usize::from(instrument)) {
            known.open = if enters { known.open + 1 } else { known.open.saturating_sub(1) };
        }
    }

    /// Halts an instrument, freezes it, lets it trade.
    pub fn set_mode(&mut self, instrument: u16, mode: HaltMode) {
        if let Some(Some(known)) = self.instruments.get_mut(usize::from(instrument)) {
            known.mode = mode;
        }
    }

    /// Turns the kill switch of an account; of all with `u32::MAX`.
    pub fn set_killed(&mut self, account: u32, on: bool) {
        if account == u32::MAX {
            self.killed_all = on;
        } else if let Some(account) = self.accounts.get_mut(account as usize) {
            account.killed = on;
        }
    }

    /// Whether an account's kill switch, or that of all, is on.
    pub fn killed(&self, account: u32) -> bool {
        self.killed_all || self.accounts.get(account as usize).is_some_and(|account| account.killed)
    }

    /// Lets an account enter orders, or not: its own wish.
    pub fn set_disabled(&mut self, account: u32, disabled: bool) {
        if let Some(account) = self.accounts.get_mut(account as usize) {
            account.disabled = disabled;
        }
    }

    /// Opens or closes the day.
    pub fn set_day_open(&mut self, open: bool) {
        self.day_open = open;
    }

    /// Whether the day is open.
    pub fn day_open(&self) -> bool {
        self.day_open
    }

    /// The first part in which two differ.
    #[cfg(test)]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.instruments != other.instruments {
            return Some(format!("{:?}, {:?}", self.instruments, other.instruments));
        }
        if self.ports != other.ports {
            return Some(format!("{:?}, {:?}", self.ports, other.ports));
        }
        (self != other).then(|| format!("{:?}, {:?}", self.funds, other.funds))
    }

    fn known(&self, instrument: u16) -> Option<&Instrument> {
        self.instruments.get(usize::from(instrument))?.as_ref()
    }
}
