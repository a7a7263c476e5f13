//! The registry as it stands: who may trade what, at which rates, and the venue's state.
//!
//! Every entry is checked before it changes anything, so that a refused record leaves no trace. What the gateway alone
//! enforces (limits, restrictions, halts, kill switches, the day's phase) is kept here for it and for its successors,
//! and does not decide what the books admit: a risk refusal is recorded, not judged.

use std::collections::{BTreeMap, BTreeSet};

use wirebook_matcher::abi::{Capabilities, Limits};

use super::rates::{MAX_PPM, Rates};
use super::refusal::Refusal;
use crate::ledger::{FEES, MAX_ACCOUNTS, MAX_ASSETS, MAX_SUPPLY, OUTSIDE};
use crate::record::{
    ALL_ACCOUNTS, Account, Asset, Ceiling, DayPhase, Fee, HaltMode, Instrument, Registry, Restriction, RiskLimits,
    SessionLogin, State,
};

/// Instruments are below this number.
pub const MAX_INSTRUMENTS: u16 = 4096;
/// Sessions are below this number.
pub const MAX_SESSIONS: u32 = 65_536;

/// Bands wider than this need a matcher with [`Capabilities::WIDE_BANDS`].
const NARROW_BAND: u32 = 4096;

/// An instrument and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentEntry {
    /// As registered.
    pub instrument: Instrument,
    /// In smallest units, fees included.
    pub rates: Rates,
    /// Its live orders.
    pub live: u32,
    /// What it lets through.
    pub halt: HaltMode,
    /// The price that collars are measured from, in ticks; `None` before the first.
    pub mark: Option<u64>,
}

/// An account and what belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountEntry {
    /// As registered; `None` for a number that is not.
    pub account: Option<Account>,
    /// What risk lets it do; `None`: no limits are set.
    pub limits: Option<RiskLimits>,
    /// Its live orders.
    pub live: u32,
    /// Whether its kill switch is on.
    pub killed: bool,
}

/// A trading day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Year, month, day as in 20261121.
    pub date: u32,
    /// Whether it is open.
    pub phase: DayPhase,
    /// What clients log in to.
    pub session_name: [u8; 10],
}

/// The registry as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryBook {
    assets: Vec<Asset>,
    pub(super) instruments: Vec<InstrumentEntry>,
    pub(super) accounts: Vec<AccountEntry>,
    sessions: Vec<Option<SessionLogin>>,
    restrictions: BTreeSet<(u32, u16)>,
    ceilings: BTreeMap<(u32, u16), i128>,
    day: Option<Day>,
    all_killed: bool,
}

impl RegistryBook {
    /// Assets, by number.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// Instruments, by number.
    pub fn instruments(&self) -> &[InstrumentEntry] {
        &self.instruments
    }

    /// The instrument of this number.
    #[inline]
    pub fn instrument(&self, id: u16) -> Option<&InstrumentEntry> {
        self.instruments.get(usize::from(id))
    }

    /// The instrument of this symbol, as registered byte for byte.
    pub fn instrument_by_symbol(&self, symbol: &[u8; 8]) -> Option<&InstrumentEntry> {
        self.instruments.iter().find(|entry| entry.instrument.symbol == *symbol)
    }

    /// Accounts that are registered, by number.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountEntry> + '_ {
        self.accounts.iter().filter(|entry| entry.account.is_some())
    }

    /// The registered account of this number.
    #[inline]
    pub fn account(&self, id: u32) -> Option<&AccountEntry> {
        self.accounts.get(id as usize).filter(|entry| entry.account.is_some())
    }

    /// Whether postings may name this account: it is registered, the outside world, or the venue's own.
    pub fn may_hold(&self, account: u32) -> bool {
        account == OUTSIDE || account == FEES || self.account(account).is_some()
    }

    /// Sessions that are registered, by number.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionLogin> + '_ {
        self.sessions.iter().flatten()
    }

    /// The registered session of this number.
    #[inline]
    pub fn session(&self, id: u32) -> Option<&SessionLogin> {
        self.sessions.get(id as usize)?.as_ref()
    }

    /// Who a session trades for: account and owner.
    #[inline]
    pub(super) fn principal(&self, session: u32) -> Option<(u32, u16)> {
        let account = self.session(session)?.account;
        Some((account, self.account(account)?.account?.owner))
    }

    /// Whether this account may not trade this instrument.
    pub fn restricted(&self, account: u32, instrument: u16) -> bool {
        self.restrictions.contains(&(account, instrument))
    }

    /// The most that an account may have of an asset; [`MAX_SUPPLY`] without a ceiling.
    pub fn ceiling(&self, account: u32, asset: u16) -> i128 {
        self.ceilings.get(&(account, asset)).copied().unwrap_or(MAX_SUPPLY)
    }

    /// Whether orders of this account are to be refused: its own switch, or the one for all.
    pub fn killed(&self, account: u32) -> bool {
        self.all_killed || self.account(account).is_some_and(|entry| entry.killed)
    }

    /// The current or last day; `None` before the first.
    pub fn day(&self) -> Option<&Day> {
        self.day.as_ref()
    }

    /// Rows and columns that the ledger needs.
    pub(super) fn ledger_size(&self) -> (u32, u16) {
        ((self.accounts.len() as u32).max(FEES + 1), self.assets.len() as u16)
    }

    /// The bands, as a matcher takes them; one band of one tick when there is no instrument yet.
    pub(super) fn bands(&self) -> Vec<u32> {
        match self.instruments.as_slice() {
            [] => vec![1],
            some => some.iter().map(|entry| entry.instrument.band_ticks).collect(),
        }
    }

    /// Applies an entry. Whether the matcher's limits changed with it.
    ///
    /// # Errors
    /// Why it does not apply; nothing has changed then.
    pub fn apply(&mut self, seq: u64, entry: &Registry, has: Capabilities) -> Result<bool, Refusal> {
        match entry {
            Registry::Asset(asset) => self.asset(seq, asset)?,
            Registry::Instrument(instrument) => return self.enter_instrument(seq, instrument, has),
            Registry::Account(account) => self.enter_account(seq, account)?,
            Registry::Session(session) => self.enter_session(seq, session)?,
            Registry::Limits(limits) => {
                self.registered(seq, limits.account)?;
                self.accounts[limits.account as usize].limits = Some(*limits);
            }
            Registry::Fee(fee) => self.fee(seq, fee)?,
            Registry::Restrict(Restriction { account, instrument, restricted }) => {
                self.registered(seq, *account)?;
                self.listed(seq, *instrument)?;
                match restricted {
                    true => self.restrictions.insert((*account, *instrument)),
                    false => self.restrictions.remove(&(*account, *instrument)),
                };
            }
            Registry::Ceiling(Ceiling { account, asset, most }) => {
                self.registered(seq, *account)?;
                if usize::from(*asset) >= self.assets.len() {
                    return Err(Refusal::Unknown { seq, what: "asset", id: u64::from(*asset) });
                }
                match *most >= MAX_SUPPLY {
                    true => self.ceilings.remove(&(*account, *asset)),
                    false => self.ceilings.insert((*account, *asset), *most),
                };
            }
        }
        Ok(false)
    }

    fn registered(&self, seq: u64, account: u32) -> Result<&AccountEntry, Refusal> {
        self.account(account).ok_or(Refusal::Unknown { seq, what: "account", id: u64::from(account) })
    }

    fn listed(&self, seq: u64, instrument: u16) -> Result<&InstrumentEntry, Refusal> {
        self.instrument(instrument).ok_or(Refusal::Unknown { seq, what: "instrument", id: u64::from(instrument) })
    }

    fn asset(&mut self, seq: u64, asset: &Asset) -> Result<(), Refusal> {
        let next = self.assets.len();
        if let Some(old) = self.assets.get_mut(usize::from(asset.id)) {
            if old.exponent != asset.exponent {
                return Err(Refusal::Immutable { seq, what: "the exponent of asset", id: u64::from(asset.id) });
            }
            *old = *asset;
            return Ok(());
        }
        dense(seq, "asset id", asset.id, next, MAX_ASSETS)?;
        self.assets.push(*asset);
        Ok(())
    }

    fn enter_instrument(&mut self, seq: u64, new: &Instrument, has: Capabilities) -> Result<bool, Refusal> {
        let asset =
            |id: u16| self.assets.get(usize::from(id)).ok_or(Refusal::Unknown { seq, what: "asset", id: id.into() });
        let (base, quote) = (asset(new.base)?, asset(new.quote)?);
        if new.base == new.quote {
            let (found, allowed) = (i128::from(new.quote), i128::from(new.base) + 1);
            return Err(Refusal::Registry { seq, what: "quote, which is the base", found, allowed });
        }
        if new.band_ticks == 0 || new.band_ticks > Limits::MAX_TICKS {
            let (found, allowed) = (i128::from(new.band_ticks), i128::from(Limits::MAX_TICKS));
            return Err(Refusal::Registry { seq, what: "band_ticks, from 1", found, allowed });
        }
        check_needs(seq, new, has)?;
        let mut rates = Rates::new(new, base, quote).map_err(|what| Refusal::NotWhole {
            seq,
            instrument: new.id,
            what,
            asset: if what == "a lot" { new.base } else { new.quote },
        })?;
        let next = self.instruments.len();
        let Some(entry) = self.instruments.get_mut(usize::from(new.id)) else {
            dense(seq, "instrument id", new.id, next, MAX_INSTRUMENTS)?;
            let (instrument, halt) = (*new, HaltMode::Trading);
            self.instruments.push(InstrumentEntry { instrument, rates, live: 0, halt, mark: None });
            return Ok(true);
        };
        let id = u64::from(new.id);
        if (entry.instrument.base, entry.instrument.quote) != (new.base, new.quote) {
            return Err(Refusal::Immutable { seq, what: "base and quote of instrument", id });
        }
        if entry.live != 0 && entry.instrument != *new {
            return Err(Refusal::LiveOrders { seq, what: "instrument", id, live: entry.live });
        }
        let (maker_ppm, taker_ppm) = (entry.rates.maker_ppm(), entry.rates.taker_ppm());
        rates.set_fee(&Fee { instrument: new.id, maker_ppm, taker_ppm });
        let resized = entry.instrument.band_ticks != new.band_ticks;
        (entry.instrument, entry.rates) = (*new, rates);
        Ok(resized)
    }

    fn enter_account(&mut self, seq: u64, new: &Account) -> Result<(), Refusal> {
        if new.id <= FEES || new.id >= MAX_ACCOUNTS {
            let (found, allowed) = (i128::from(new.id), i128::from(MAX_ACCOUNTS - 1));
            return Err(Refusal::Registry { seq, what: "account id, from 2", found, allowed });
        }
        if let Some(old) = self.account(new.id)
            && old.live != 0
            && old.account.is_some_and(|account| account.owner != new.owner)
        {
            let id = u64::from(new.id);
            return Err(Refusal::LiveOrders { seq, what: "the owner of account", id, live: old.live });
        }
        if self.accounts.len() <= new.id as usize {
            self.accounts.resize(new.id as usize + 1, AccountEntry::default());
        }
        self.accounts[new.id as usize].account = Some(*new);
        Ok(())
    }

    fn enter_session(&mut self, seq: u64, new: &SessionLogin) -> Result<(), Refusal> {
        if new.id == 0 || new.id >= MAX_SESSIONS {
            let (found, allowed) = (i128::from(new.id), i128::from(MAX_SESSIONS - 1));
            return Err(Refusal::Registry { seq, what: "session id, from 1", found, allowed });
        }
        self.registered(seq, new.account)?;
        if self.session(new.id).is_some_and(|old| old.account != new.account) {
            return Err(Refusal::Immutable { seq, what: "the account of session", id: u64::from(new.id) });
        }
        if self.sessions.len() <= new.id as usize {
            self.sessions.resize(new.id as usize + 1, None);
        }
        self.sessions[new.id as usize] = Some(*new);
        Ok(())
    }

    fn fee(&mut self, seq: u64, fee: &Fee) -> Result<(), Refusal> {
        let live = self.listed(seq, fee.instrument)?.live;
        for (what, ppm) in [("maker_ppm", fee.maker_ppm), ("taker_ppm", fee.taker_ppm)] {
            if ppm.unsigned_abs() > MAX_PPM.unsigned_abs() {
                return Err(Refusal::Registry { seq, what, found: i128::from(ppm), allowed: i128::from(MAX_PPM) });
            }
        }
        let sum = fee.maker_ppm + fee.taker_ppm;
        if sum < 0 {
            let what = "maker_ppm + taker_ppm (a rebate is paid for by the other side), at least";
            return Err(Refusal::Registry { seq, what, found: i128::from(sum), allowed: 0 });
        }
        if live != 0 {
            let id = u64::from(fee.instrument);
            return Err(Refusal::LiveOrders { seq, what: "the fee of instrument", id, live });
        }
        self.instruments[usize::from(fee.instrument)].rates.set_fee(fee);
        Ok(())
    }

    /// Applies a state entry. Whether a later day opened with it.
    ///
    /// # Errors
    /// Why it does not apply; nothing has changed then.
    pub fn state(&mut self, seq: u64, state: &State) -> Result<bool, Refusal> {
        match *state {
            State::Day { date, phase, session_name } => return self.turn_day(seq, Day { date, phase, session_name }),
            State::Halt { instrument, mode } => {
                self.listed(seq, instrument)?;
                self.instruments[usize::from(instrument)].halt = mode;
            }
            State::Mark { instrument, price_ticks } => {
                self.listed(seq, instrument)?;
                self.instruments[usize::from(instrument)].mark = Some(price_ticks);
            }
            State::Kill { account: ALL_ACCOUNTS, on } => self.all_killed = on,
            State::Kill { account, on } => {
                self.registered(seq, account)?;
                self.accounts[account as usize].killed = on;
            }
        }
        Ok(false)
    }

    /// A day opens on or after the last one's date (again, under another name, after an unclean restart), and closes once.
    fn turn_day(&mut self, seq: u64, new: Day) -> Result<bool, Refusal> {
        let (current, open) = self.day.map_or((0, false), |day| (day.date, day.phase == DayPhase::Open));
        let (what, allowed) = match new.phase {
            DayPhase::Open => ("open", new.date >= current && (!open || new.date == current)),
            DayPhase::Close => ("close", open && new.date == current),
        };
        if !allowed {
            return Err(Refusal::Day { seq, what, date: new.date, current, open });
        }
        self.day = Some(new);
        Ok(new.date > current)
    }

    /// Whether a matcher that can do `has` serves every instrument.
    pub(super) fn check_capabilities(&self, seq: u64, has: Capabilities) -> Result<(), Refusal> {
        self.instruments.iter().try_for_each(|entry| check_needs(seq, &entry.instrument, has))
    }

    /// Whether this very entry stands: applying it would change nothing.
    pub fn has(&self, entry: &Registry) -> bool {
        match entry {
            Registry::Asset(asset) => self.assets.get(usize::from(asset.id)) == Some(asset),
            Registry::Instrument(new) => self.instrument(new.id).is_some_and(|entry| entry.instrument == *new),
            Registry::Account(new) => self.account(new.id).is_some_and(|entry| entry.account == Some(*new)),
            Registry::Session(new) => self.session(new.id) == Some(new),
            Registry::Limits(new) => self.account(new.account).is_some_and(|entry| entry.limits == Some(*new)),
            Registry::Fee(new) => self.instrument(new.instrument).is_some_and(|entry| {
                (entry.rates.maker_ppm(), entry.rates.taker_ppm()) == (new.maker_ppm, new.taker_ppm)
            }),
            Registry::Restrict(new) => {
                let known = self.account(new.account).is_some() && self.instrument(new.instrument).is_some();
                known && self.restricted(new.account, new.instrument) == new.restricted
            }
            Registry::Ceiling(new) => {
                let known = self.account(new.account).is_some() && usize::from(new.asset) < self.assets.len();
                known && self.ceiling(new.account, new.asset) == new.most.min(MAX_SUPPLY)
            }
        }
    }

    /// Everything as entries that make the same registry again, in an order that registers what others name first.
    pub fn entries(&self) -> Vec<Registry> {
        let mut entries: Vec<_> = self.assets.iter().copied().map(Registry::Asset).collect();
        for InstrumentEntry { instrument, rates, .. } in &self.instruments {
            entries.push(Registry::Instrument(*instrument));
            let (maker_ppm, taker_ppm) = (rates.maker_ppm(), rates.taker_ppm());
            entries.push(Registry::Fee(Fee { instrument: instrument.id, maker_ppm, taker_ppm }));
        }
        entries.extend(self.accounts.iter().filter_map(|entry| entry.account).map(Registry::Account));
        entries.extend(self.accounts.iter().filter_map(|entry| entry.limits).map(Registry::Limits));
        entries.extend(self.sessions().copied().map(Registry::Session));
        entries.extend(self.restrictions.iter().map(|(account, instrument)| {
            Registry::Restrict(Restriction { account: *account, instrument: *instrument, restricted: true })
        }));
        entries.extend(self.ceilings.iter().map(|((account, asset), most)| {
            Registry::Ceiling(Ceiling { account: *account, asset: *asset, most: *most })
        }));
        entries
    }

    /// The venue's state as entries that make it again.
    pub fn states(&self) -> Vec<State> {
        let mut states = Vec::new();
        if let Some(Day { date, phase, session_name }) = self.day {
            states.push(State::Day { date, phase: DayPhase::Open, session_name });
            if phase == DayPhase::Close {
                states.push(State::Day { date, phase, session_name });
            }
        }
        for InstrumentEntry { instrument, halt, mark, .. } in &self.instruments {
            if *halt != HaltMode::Trading {
                states.push(State::Halt { instrument: instrument.id, mode: *halt });
            }
            if let Some(price_ticks) = *mark {
                states.push(State::Mark { instrument: instrument.id, price_ticks });
            }
        }
        if self.all_killed {
            states.push(State::Kill { account: ALL_ACCOUNTS, on: true });
        }
        let killed = self.accounts().filter(|entry| entry.killed).filter_map(|entry| entry.account);
        states.extend(killed.map(|account| State::Kill { account: account.id, on: true }));
        states
    }

    /// Digest of every entry and of the venue's state, each as its record's payload.
    pub fn digest(&self) -> [u8; 32] {
        let (mut entries, mut states) = (Vec::new(), Vec::new());
        self.entries().iter().for_each(|entry| entry.encode_into(&mut entries));
        self.states().iter().for_each(|state| state.encode_into(&mut states));
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"wirebook registry v1");
        for part in [entries, states] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(&part);
        }
        *hasher.finalize().as_bytes()
    }
}

/// An id that is new must be the next one.
fn dense(seq: u64, what: &'static str, id: u16, next: usize, bound: u16) -> Result<(), Refusal> {
    if usize::from(id) == next && id < bound {
        return Ok(());
    }
    let allowed = next.min(usize::from(bound) - 1) as i128;
    Err(Refusal::Registry { seq, what, found: i128::from(id), allowed })
}

/// What an instrument asks of its matcher: what it says, and what its number and its band mean.
fn check_needs(seq: u64, instrument: &Instrument, has: Capabilities) -> Result<(), Refusal> {
    let mut needs = Capabilities(instrument.needs);
    if instrument.id > 0 {
        needs = needs | Capabilities::MANY_INSTRUMENTS;
    }
    if instrument.band_ticks > NARROW_BAND {
        needs = needs | Capabilities::WIDE_BANDS;
    }
    if has.has(needs) {
        return Ok(());
    }
    Err(Refusal::Capability { seq, instrument: instrument.id, needs: needs.0, has: has.0 })
}
