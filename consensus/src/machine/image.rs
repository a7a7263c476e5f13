//! A machine as plain data: what a snapshot holds.
//!
//! The image is rkyv's archive of [`MachineImage`]: it opens in place, and bytes are validated before anything is read.
//! An archive that is sound can still lie, so [`Machine::from_image`] enters everything anew through the same rules that
//! records go through, recomputes what orders reserve, and checks that money is conserved. Snapshots are local: an image
//! of another version, or of another ABI, is refused, and the journal replayed instead.

use rkyv::rancor::{Error as ArchiveError, ResultExt};
use rkyv::util::AlignedVec;
use wirebook_matcher::abi::{Capabilities, Limits, Side, abi_hash};
use wirebook_matcher::{Resting, Twin};

use super::books::{Books, MAX_SLOTS, SealRun};
use super::chain::HashChain;
use super::orders::{LiveOrder, Sizes};
use super::{Machine, Refusal};
use crate::ledger::{Balance, MAX_PENDING, MAX_SUPPLY, TransferIds, Unbalanced};
use crate::record::{
    Account, Action, Asset, Ceiling, DayPhase, Fee, HaltMode, Instrument, Leg, Registry, Restriction, RiskLimits,
    SessionLogin, State, Transfer,
};

/// Version of the image; another is refused.
pub const IMAGE_VERSION: u32 = 2;

/// A machine as plain data.
#[derive(Clone, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct MachineImage {
    version: u32,
    abi_hash: [u8; 32],
    shard: u16,
    last_seq: u64,
    last_time_ns: u64,
    slots: u32,
    max_qty: u32,
    capabilities: u32,
    fills: u64,
    seal_number: u64,
    seal_first_seq: u64,
    seal_records: u32,
    assets: Vec<Asset>,
    instruments: Vec<Instrument>,
    fees: Vec<Fee>,
    accounts: Vec<Account>,
    limits: Vec<RiskLimits>,
    sessions: Vec<SessionLogin>,
    restrictions: Vec<Restriction>,
    ceilings: Vec<Ceiling>,
    states: Vec<StateImage>,
    balances: Vec<BalanceImage>,
    history: [u8; 32],
    /// In the order in which they were booked.
    ids_today: Vec<LegImage>,
    ids_before: Vec<LegImage>,
    pending: Vec<LegImage>,
    /// In the twin's order, so that entering them again makes the same queues.
    orders: Vec<OrderImage>,
    event_blocks: [u8; 32],
    event_tail: Vec<u8>,
    record_blocks: [u8; 32],
    record_tail: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum StateImage {
    Day { date: u32, open: bool, session_name: [u8; 10] },
    Halt { instrument: u16, mode: u8 },
    Mark { instrument: u16, price_ticks: u64 },
    Kill { account: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct BalanceImage {
    account: u32,
    asset: u16,
    available: i128,
    reserved: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct LegImage {
    id: u128,
    from: u32,
    to: u32,
    asset: u16,
    amount: i128,
    action: u8,
    pending: u128,
    expires_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct OrderImage {
    slot: u32,
    session: u32,
    account: u32,
    owner: u16,
    instrument: u16,
    sell: bool,
    tick: u32,
    leaves: u32,
}

/// Why no machine can be made of an image.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ImageError {
    #[error("these bytes are no image: {0}")]
    Archive(ArchiveError),
    #[error("image version {found}, this program reads {IMAGE_VERSION}: replay the journal instead")]
    Version { found: u32 },
    #[error("the image was made for another ABI of the beats: replay the journal instead")]
    Abi,
    #[error("{what} {found}: allowed {allowed}")]
    Field { what: &'static str, found: u64, allowed: u64 },
    #[error("a registry entry does not apply: {0}")]
    Registry(Refusal),
    #[error("the order in slot {slot}: {what}")]
    Order { slot: u32, what: &'static str },
    #[error("transfers: {what}")]
    Transfers { what: &'static str },
    #[error("account {account} reserves {found} of asset {asset}, its orders and pends reserve {expected}")]
    Reserved { account: u32, asset: u16, found: i128, expected: i128 },
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    #[error("the chain of records or of events is cut")]
    Chain,
}

impl MachineImage {
    /// The image's bytes, aligned as rkyv wants them.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn to_bytes(&self) -> Result<AlignedVec, ImageError> {
        rkyv::to_bytes::<ArchiveError>(self).map_err(ImageError::Archive)
    }

    /// Validates bytes and opens them in place.
    ///
    /// # Errors
    /// When they are no archive of an image, or not aligned to 16 bytes.
    pub fn access(bytes: &[u8]) -> Result<&ArchivedMachineImage, ImageError> {
        rkyv::access::<ArchivedMachineImage, ArchiveError>(bytes).map_err(ImageError::Archive)
    }

    /// Validates bytes and reads them; copies them first where they are not aligned.
    ///
    /// # Errors
    /// When they are no archive of an image.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        const ALIGNMENT: usize = 16;
        let mut aligned = AlignedVec::<ALIGNMENT>::new();
        let bytes = if bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            bytes
        } else {
            aligned.extend_from_slice(bytes);
            &aligned
        };
        let archived = Self::access(bytes)?;
        let image = rkyv::deserialize::<Self, ArchiveError>(archived);
        image.trace("an image").map_err(ImageError::Archive)
    }

    /// The last record that the image holds.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }
}

impl<T: Twin> Machine<T> {
    /// Everything, as plain data.
    ///
    /// # Panics
    /// After the twin was at fault: such a state is not to be kept.
    pub fn image(&self) -> MachineImage {
        let books = &self.books;
        assert!(books.idle(), "an image is made between two records");
        let mut orders = Vec::with_capacity(books.live() as usize);
        if let Some(twin) = &self.twin {
            twin.orders(|resting| {
                let order = books.order(resting.slot).expect("books and twin hold the same orders");
                let LiveOrder { session, account, owner, instrument, tick, leaves, side, .. } = *order;
                let (slot, sell) = (resting.slot, side == Side::Sell);
                orders.push(OrderImage { slot, session, account, owner, instrument, sell, tick, leaves });
            });
        }
        assert_eq!(orders.len(), books.live() as usize, "books and twin hold the same orders");
        let (event_blocks, event_tail) = self.events.parts();
        let (record_blocks, record_tail) = self.records.parts();
        let SealRun { number: seal_number, first_seq: seal_first_seq, records: seal_records } = books.seal;
        let mut image = MachineImage {
            version: IMAGE_VERSION,
            abi_hash: abi_hash(),
            shard: books.shard,
            last_seq: books.last_seq,
            last_time_ns: books.last_time_ns,
            slots: books.sizes.slots,
            max_qty: books.sizes.max_qty,
            capabilities: books.capabilities.0,
            fills: books.fills,
            seal_number,
            seal_first_seq,
            seal_records,
            assets: Vec::new(),
            instruments: Vec::new(),
            fees: Vec::new(),
            accounts: Vec::new(),
            limits: Vec::new(),
            sessions: Vec::new(),
            restrictions: Vec::new(),
            ceilings: Vec::new(),
            states: books.registry.states().iter().map(StateImage::of).collect(),
            balances: books.ledger.balances().map(BalanceImage::of).collect(),
            history: books.ledger.history(),
            ids_today: books.ledger.ids.today().map(LegImage::of).collect(),
            ids_before: books.ledger.ids.before().map(LegImage::of).collect(),
            pending: books.ledger.pending.iter().map(LegImage::of).collect(),
            orders,
            event_blocks: *event_blocks,
            event_tail: event_tail.to_vec(),
            record_blocks: *record_blocks,
            record_tail: record_tail.to_vec(),
        };
        for entry in books.registry.entries() {
            match entry {
                Registry::Asset(asset) => image.assets.push(asset),
                Registry::Instrument(instrument) => image.instruments.push(instrument),
                Registry::Account(account) => image.accounts.push(account),
                Registry::Session(session) => image.sessions.push(session),
                Registry::Limits(limits) => image.limits.push(limits),
                Registry::Fee(fee) => image.fees.push(fee),
                Registry::Restrict(restriction) => image.restrictions.push(restriction),
                Registry::Ceiling(ceiling) => image.ceilings.push(ceiling),
            }
        }
        image
    }

    /// The machine that an image was made of.
    ///
    /// # Errors
    /// Says what in the image does not hold together.
    pub fn from_image(image: &MachineImage) -> Result<Self, ImageError> {
        if image.version != IMAGE_VERSION {
            return Err(ImageError::Version { found: image.version });
        }
        if image.abi_hash != abi_hash() {
            return Err(ImageError::Abi);
        }
        let mut machine = Self::new(image.shard);
        machine.events = HashChain::from_parts(image.event_blocks, &image.event_tail).ok_or(ImageError::Chain)?;
        machine.records = HashChain::from_parts(image.record_blocks, &image.record_tail).ok_or(ImageError::Chain)?;
        let books = &mut machine.books;
        restore_sizes(books, image)?;
        restore_registry(books, image).map_err(ImageError::Registry)?;
        restore_money(books, image)?;
        for order in &image.orders {
            let what = restore_order(books, order).err();
            if let Some(what) = what {
                return Err(ImageError::Order { slot: order.slot, what });
            }
        }
        check_reserves(books)?;
        if image.orders.is_empty() {
            return Ok(machine);
        }
        machine.refresh();
        let twin = machine.twin.as_mut().expect("just made");
        for order in &image.orders {
            let side = if order.sell { Side::Sell } else { Side::Buy };
            let OrderImage { slot, instrument, owner, tick, leaves, .. } = *order;
            let resting = Resting { slot, instrument, owner, side, tick, leaves };
            twin.restore(&resting).map_err(|error| ImageError::Order { slot, what: error.reason })?;
        }
        Ok(machine)
    }
}

fn restore_sizes(books: &mut Books, image: &MachineImage) -> Result<(), ImageError> {
    let MachineImage { slots, max_qty, capabilities, .. } = *image;
    for (what, found, allowed) in [
        ("slots", slots, MAX_SLOTS),
        ("max_qty", max_qty, Limits::MAX_QTY),
        ("capabilities", capabilities, Capabilities::ALL.0),
    ] {
        if found > allowed || (found == 0) != (slots == 0) && what == "max_qty" {
            return Err(ImageError::Field { what, found: u64::from(found), allowed: u64::from(allowed) });
        }
    }
    books.last_seq = image.last_seq;
    books.last_time_ns = image.last_time_ns;
    books.sizes = Sizes { slots, max_qty };
    books.capabilities = Capabilities(capabilities);
    books.limits_version = u64::from(slots != 0);
    books.fills = image.fills;
    let MachineImage { seal_number: number, seal_first_seq: first_seq, seal_records: records, .. } = *image;
    books.seal = SealRun { number, first_seq, records };
    books.orders = vec![LiveOrder::FREE; slots as usize];
    Ok(())
}

fn restore_registry(books: &mut Books, image: &MachineImage) -> Result<(), Refusal> {
    let (seq, has) = (image.last_seq, books.capabilities);
    let entries = (image.assets.iter().copied().map(Registry::Asset))
        .chain(image.instruments.iter().copied().map(Registry::Instrument))
        .chain(image.fees.iter().copied().map(Registry::Fee))
        .chain(image.accounts.iter().copied().map(Registry::Account))
        .chain(image.limits.iter().copied().map(Registry::Limits))
        .chain(image.sessions.iter().copied().map(Registry::Session))
        .chain(image.restrictions.iter().copied().map(Registry::Restrict))
        .chain(image.ceilings.iter().copied().map(Registry::Ceiling));
    for entry in entries {
        books.limits_version += u64::from(books.registry.apply(seq, &entry, has)?);
    }
    for state in &image.states {
        let mode =
            |byte| HaltMode::from_byte(byte).ok_or(Refusal::Unknown { seq, what: "halt mode", id: u64::from(byte) });
        let state = match *state {
            StateImage::Day { date, open, session_name } => {
                State::Day { date, phase: if open { DayPhase::Open } else { DayPhase::Close }, session_name }
            }
            StateImage::Halt { instrument, mode: byte } => State::Halt { instrument, mode: mode(byte)? },
            StateImage::Mark { instrument, price_ticks } => State::Mark { instrument, price_ticks },
            StateImage::Kill { account } => State::Kill { account, on: true },
        };
        books.registry.state(seq, &state)?;
    }
    let (accounts, assets) = books.registry.ledger_size();
    books.ledger.grow(accounts, assets);
    Ok(())
}

fn restore_money(books: &mut Books, image: &MachineImage) -> Result<(), ImageError> {
    for balance in &image.balances {
        let BalanceImage { account, asset, available, reserved } = *balance;
        let (accounts, assets) = (books.ledger.accounts(), books.ledger.assets());
        if account >= accounts {
            let (found, allowed) = (u64::from(account), u64::from(accounts));
            return Err(ImageError::Field { what: "a balance of account", found, allowed });
        }
        if asset >= assets {
            let (found, allowed) = (u64::from(asset), u64::from(assets));
            return Err(ImageError::Field { what: "a balance of asset", found, allowed });
        }
        books.ledger.restore(account, asset, Balance { available, reserved });
    }
    let legs = |images: &[LegImage]| images.iter().map(LegImage::leg).collect::<Option<Vec<_>>>();
    let legs = |images: &[LegImage]| legs(images).ok_or(ImageError::Transfers { what: "an action means nothing" });
    books.ledger.ids = TransferIds::restore(&legs(&image.ids_today)?, &legs(&image.ids_before)?)
        .ok_or(ImageError::Transfers { what: "an id stands twice" })?;
    for pend in legs(&image.pending)? {
        let Leg { action, transfer, .. } = pend;
        let known = transfer.from < books.ledger.accounts() && transfer.asset < books.ledger.assets();
        let holds = action == Action::Pend && (1..=MAX_SUPPLY).contains(&transfer.amount) && known;
        if !holds || books.ledger.pending.find(transfer.id).is_some() || books.ledger.pending.is_full() {
            return Err(ImageError::Transfers { what: "a pend holds nothing, stands twice, or is one too many" });
        }
        books.ledger.pending.open(&pend);
    }
    debug_assert!(books.ledger.pending.iter().len() <= MAX_PENDING);
    books.ledger.set_history(image.history);
    Ok(books.ledger.check()?)
}

fn restore_order(books: &mut Books, image: &OrderImage) -> Result<(), &'static str> {
    let OrderImage { slot, session, account, owner, instrument, sell, tick, leaves } = *image;
    let side = if sell { Side::Sell } else { Side::Buy };
    if books.registry.principal(session) != Some((account, owner)) {
        return Err("its session does not trade for this account and owner");
    }
    let entry = books.registry.instrument(instrument).ok_or("its instrument is not registered")?;
    if tick >= entry.instrument.band_ticks || leaves == 0 || leaves > books.sizes.max_qty {
        return Err("its tick or its leaves are out of range");
    }
    let reserve_per_lot = entry.rates.reserve_per_lot(side, tick);
    let place = books.orders.get_mut(slot as usize).ok_or("its slot is beyond the slots")?;
    if place.leaves != 0 {
        return Err("its slot holds two orders");
    }
    *place = LiveOrder { session, account, owner, instrument, tick, leaves, reserve_per_lot, side };
    let order = *place;
    books.count(&order, true);
    Ok(())
}

/// What accounts reserve is what their live orders and their pends reserve.
pub(super) fn check_reserves(books: &Books) -> Result<(), ImageError> {
    let assets = usize::from(books.ledger.assets());
    let mut expected = vec![0i128; books.ledger.accounts() as usize * assets];
    for (_, order) in books.orders() {
        let rates = &books.registry.instruments[usize::from(order.instrument)].rates;
        expected[order.account as usize * assets + usize::from(rates.reserve_asset(order.side))] += order.reserved();
    }
    for Leg { transfer, .. } in books.ledger.pending.iter() {
        let cell = &mut expected[transfer.from as usize * assets + usize::from(transfer.asset)];
        *cell = cell.saturating_add(transfer.amount);
    }
    for (at, expected) in expected.into_iter().enumerate() {
        let (account, asset) = ((at / assets) as u32, (at % assets) as u16);
        let found = books.ledger.balance(account, asset).reserved;
        if found != expected {
            return Err(ImageError::Reserved { account, asset, found, expected });
        }
    }
    Ok(())
}

impl StateImage {
    fn of(state: &State) -> Self {
        match *state {
            State::Day { date, phase, session_name } => Self::Day { date, open: phase == DayPhase::Open, session_name },
            State::Halt { instrument, mode } => Self::Halt { instrument, mode: mode as u8 },
            State::Mark { instrument, price_ticks } => Self::Mark { instrument, price_ticks },
            State::Kill { account, .. } => Self::Kill { account },
        }
    }
}

impl BalanceImage {
    fn of((account, asset, balance): (u32, u16, Balance)) -> Self {
        Self { account, asset, available: balance.available, reserved: balance.reserved }
    }
}

impl LegImage {
    fn of(leg: &Leg) -> Self {
        let Leg { action, transfer: Transfer { id, from, to, asset, amount }, pending, expires_ns } = *leg;
        Self { id, from, to, asset, amount, action: action as u8, pending, expires_ns }
    }

    fn leg(&self) -> Option<Leg> {
        let Self { id, from, to, asset, amount, action, pending, expires_ns } = *self;
        let action = Action::from_byte(action)?;
        Some(Leg { action, transfer: Transfer { id, from, to, asset, amount }, pending, expires_ns })
    }
}
