//! The books: which records apply, and what each order reserves.
//!
//! [`Books::admit`] takes a record, checks it against everything that is known, applies what it says and reserves what
//! its order may cost; the answer is the matcher's beat. [`Books::event`](Books::event) then books each of its events.
//! All events of a record are booked before the next record is admitted, so that the books know every order's leaves
//! exactly. A refused record leaves no trace.
//!
//! What a matcher itself refuses (an order that is gone, a tick out of the band, flags that mean nothing) is admitted
//! with nothing reserved: its `rejected` is the client's answer. What the host chose (slots, owner, account) must be right.
//!
//! Hot path: arrays indexed by session, account, instrument and slot; nothing is allocated for an order.

use wirebook_matcher::abi::{Capabilities, Command, Kind, Limits, Reason, abi_hash};

use super::orders::{LiveOrder, MAX_QTY, Sizes};
use super::planted::{Plant, Planted};
use super::refusal::Refusal;
use super::registry::RegistryBook;
use crate::ledger::{Balance, Ledger, Posting};
use crate::record::{EpochOpen, Leg, Payload, Record, RecordKind, Seal, Seq};

/// Most order slots of a shard.
pub const MAX_SLOTS: u32 = 1 << 24;

/// Where the command of the last record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Every event is booked.
    Idle,
    /// `done` comes.
    Nop,
    /// `rejected` comes, for this reason.
    Refused(Reason),
    /// `cancelled` comes.
    Cancel,
    /// `reduced` comes, or `cancelled`.
    Reduce,
    /// The new order's first event comes: it may still be post-only's or fill-or-kill's `cancelled`.
    Enter,
    /// `cancelled` comes: the replace leaves nothing.
    ReplaceByNothing,
    /// `replaced` comes with these leaves, or post-only's `cancelled`.
    Replace(u32),
    /// Fills come, self-trades, and what ends the taker.
    Trade,
    /// The maker is cancelled, the taker must be: self-trade.
    SelfTrade,
}

/// The command that waits for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub stage: Stage,
    pub command: Command,
    /// Number of the next event.
    pub index: u32,
    /// Slot of the taker.
    pub taker: u32,
    /// Reserved for a replace, beyond what the old order reserves.
    pub extra: i128,
    /// A transfer that was booked, to be told with `done`.
    pub posting: Option<Posting>,
}

/// The run of records that the next seal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealRun {
    /// Number of the last seal; 0 before the first.
    pub number: u64,
    /// First record after it; 0 when there is none yet.
    pub first_seq: u64,
    /// Records after it.
    pub records: u32,
}

/// What stands in the books. See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    pub(super) shard: u16,
    pub(super) last_seq: u64,
    pub(super) last_time_ns: u64,
    pub(super) sizes: Sizes,
    pub(super) capabilities: Capabilities,
    pub(super) limits_version: u64,
    pub(super) registry: RegistryBook,
    pub(super) ledger: Ledger,
    pub(super) orders: Vec<LiveOrder>,
    pub(super) live: u32,
    pub(super) fills: u64,
    pub(super) seal: SealRun,
    pub(super) pending: Pending,
    /// What a chain of transfers has moved, to be told with `done`.
    pub(super) chained: Vec<Posting>,
    pub(super) plant: Plant,
}

impl Books {
    /// Empty books. The first record must open an epoch.
    pub fn new(shard: u16) -> Self {
        let command = Command::default();
        Self {
            shard,
            last_seq: 0,
            last_time_ns: 0,
            sizes: Sizes::default(),
            capabilities: Capabilities::default(),
            limits_version: 0,
            registry: RegistryBook::default(),
            ledger: Ledger::new(),
            orders: Vec::new(),
            live: 0,
            fills: 0,
            seal: SealRun::default(),
            pending: Pending { stage: Stage::Idle, command, index: 0, taker: 0, extra: 0, posting: None },
            chained: Vec::new(),
            plant: Plant::default(),
        }
    }

    /// Who may trade what, and the venue's state.
    pub fn registry(&self) -> &RegistryBook {
        &self.registry
    }

    /// Every balance.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The order in a slot: live, or the last command's that is being booked.
    #[inline]
    pub fn order(&self, slot: u32) -> Option<&LiveOrder> {
        self.orders.get(slot as usize).filter(|order| order.leaves != 0)
    }

    /// Every live order, by slot. Looks no further than the last of them: a host that takes low slots first pays for what is
    /// live, not for all slots.
    pub fn orders(&self) -> impl Iterator<Item = (u32, &LiveOrder)> + '_ {
        (0..).zip(&self.orders).filter(|(_, order)| order.leaves != 0).take(self.live as usize)
    }

    /// Number of live orders.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// What an account has of an asset.
    pub fn balance(&self, account: u32, asset: u16) -> Balance {
        self.ledger.balance(account, asset)
    }

    /// Whether a transfer of this id was booked today or the day before.
    pub fn transferred(&self, id: u128) -> bool {
        self.ledger.ids.contains(id)
    }

    /// Fills so far: the last match number.
    pub fn fills(&self) -> u64 {
        self.fills
    }

    /// Which sequence.
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// The last record's seq; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The last record's time.
    pub fn last_time_ns(&self) -> u64 {
        self.last_time_ns
    }

    /// What the next seal ends.
    pub fn seal(&self) -> SealRun {
        self.seal
    }

    /// Number of the last seal; 0 before the first.
    pub fn last_batch(&self) -> u64 {
        self.seal.number
    }

    /// First record after the last seal (0 when there is none yet), and how many there are: what the next seal counts, and
    /// one for itself.
    pub fn unsealed(&self) -> (u64, u32) {
        (self.seal.first_seq, self.seal.records)
    }

    /// Whether every event of the last record is booked. Not so after a [`Fault`](super::Fault): then the books stay shut.
    pub fn idle(&self) -> bool {
        self.pending.stage == Stage::Idle
    }

    /// What a matcher must be made for; `None` before the first epoch.
    pub fn limits(&self) -> Option<Limits> {
        let Sizes { slots, max_qty } = self.sizes;
        (slots != 0).then(|| Limits { ticks: self.registry.bands(), slots, max_qty })
    }

    /// Changes whenever [`Books::limits`] does: epochs and instruments do that.
    pub fn limits_version(&self) -> u64 {
        self.limits_version
    }

    /// What the shard's matcher can do, as the epoch said.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Applies a record, reserves what its order may cost, and hands out the matcher's beat: a nop when it is no order.
    ///
    /// # Errors
    /// Says why the record does not apply; the books are then as they were.
    pub fn admit(&mut self, record: &Record<'_>) -> Result<Command, Refusal> {
        let header = &record.header;
        let seq = header.seq;
        if !self.idle() {
            return Err(Refusal::Unfinished { seq, waiting: self.pending.command.seq });
        }
        self.check_place(record)?;
        let nop = Command { seq, kind: Kind::Nop as u8, ..Command::default() };
        let mut pending = Pending { stage: Stage::Nop, command: nop, index: 0, taker: 0, extra: 0, posting: None };
        match &record.payload {
            Payload::Order(order) => pending = self.order_admitted(seq, header.session, order)?,
            Payload::Reject(_) | Payload::Session(_) => {
                if self.registry.session(header.session).is_none() {
                    return Err(Refusal::UnknownSession { seq, session: header.session });
                }
            }
            _ if header.session != 0 => {
                let (kind, session) = (record.payload.kind(), header.session);
                return Err(Refusal::VenueOnly { seq, kind, session });
            }
            Payload::Epoch(epoch) => self.open_epoch(seq, epoch)?,
            Payload::Registry(entry) => {
                let resized = self.registry.apply(seq, entry, self.capabilities)?;
                self.limits_version += u64::from(resized);
                let (accounts, assets) = self.registry.ledger_size();
                self.ledger.grow(accounts, assets);
            }
            Payload::Transfer(transfer) => pending.posting = self.leg(header, &Leg::book(*transfer))?,
            Payload::Chain(chain) => self.chain(header, chain)?,
            Payload::State(state) => {
                if self.registry.state(seq, state)? {
                    self.ledger.ids.turn();
                }
            }
            Payload::Seal(seal) => self.check_seal(seq, seal)?,
        }
        self.pending = pending;
        self.last_seq = seq;
        self.last_time_ns = header.time_ns;
        self.count_in_run(record);
        Ok(self.pending.command)
    }

    /// Shard, seq and time: whether this record may stand behind the last.
    fn check_place(&self, record: &Record<'_>) -> Result<(), Refusal> {
        let header = &record.header;
        let (seq, last) = (header.seq, self.last_seq);
        if header.shard != self.shard {
            return Err(Refusal::Shard { seq, found: header.shard, expected: self.shard });
        }
        if !Seq::follows(last, seq) {
            return Err(Refusal::SeqGap { found: seq, last });
        }
        let opens = Seq::epoch(seq) != Seq::epoch(last);
        let kind = record.payload.kind();
        if opens != (kind == RecordKind::Epoch) {
            return Err(Refusal::NoEpoch { seq, kind });
        }
        if header.time_ns < self.last_time_ns {
            return Err(Refusal::TimeBack { seq, found: header.time_ns, last: self.last_time_ns });
        }
        Ok(())
    }

    fn open_epoch(&mut self, seq: u64, epoch: &EpochOpen) -> Result<(), Refusal> {
        let refuse = |field, found: u64, allowed: u64| Err(Refusal::Epoch { seq, field, found, allowed });
        if epoch.previous_end != self.last_seq {
            return refuse("previous_end", epoch.previous_end, self.last_seq);
        }
        if epoch.abi_hash != abi_hash() {
            return Err(Refusal::Abi { seq });
        }
        if epoch.slots == 0 || epoch.slots > MAX_SLOTS {
            return refuse("slots", u64::from(epoch.slots), u64::from(MAX_SLOTS));
        }
        if epoch.max_qty == 0 || epoch.max_qty > MAX_QTY {
            return refuse("max_qty", u64::from(epoch.max_qty), u64::from(MAX_QTY));
        }
        if epoch.capabilities & !Capabilities::ALL.0 != 0 {
            return refuse("capabilities", u64::from(epoch.capabilities), u64::from(Capabilities::ALL.0));
        }
        let beyond = self.orders().find(|(slot, order)| *slot >= epoch.slots || order.leaves > epoch.max_qty);
        match beyond {
            Some((slot, _)) if slot >= epoch.slots => {
                return refuse("slots (a live order's is beyond)", u64::from(epoch.slots), u64::from(slot) + 1);
            }
            Some((_, order)) => {
                let (found, allowed) = (u64::from(epoch.max_qty), u64::from(order.leaves));
                return refuse("max_qty (a live order has more)", found, allowed);
            }
            None => {}
        }
        let capabilities = Capabilities(epoch.capabilities);
        self.registry.check_capabilities(seq, capabilities)?;
        self.sizes = Sizes { slots: epoch.slots, max_qty: epoch.max_qty };
        self.capabilities = capabilities;
        self.limits_version += 1;
        if self.plant.is(Planted::FillsStartOver) {
            self.fills = 0;
        }
        self.orders.resize(epoch.slots as usize, LiveOrder::FREE);
        Ok(())
    }

    fn check_seal(&self, seq: u64, seal: &Seal) -> Result<(), Refusal> {
        let run = self.seal;
        let first = if run.first_seq == 0 { seq } else { run.first_seq };
        let fields = [
            ("number", seal.number, run.number + 1),
            ("first_seq", seal.first_seq, first),
            ("records", u64::from(seal.records), u64::from(run.records) + 1),
        ];
        match fields.into_iter().find(|(_, found, allowed)| found != allowed) {
            None => Ok(()),
            Some((field, found, allowed)) => Err(Refusal::Seal { seq, field, found, allowed }),
        }
    }

    #[inline]
    fn count_in_run(&mut self, record: &Record<'_>) {
        if let Payload::Seal(seal) = &record.payload {
            self.seal = SealRun { number: seal.number, first_seq: 0, records: 0 };
            return;
        }
        if self.seal.first_seq == 0 {
            self.seal.first_seq = record.header.seq;
        }
        self.seal.records = self.seal.records.saturating_add(1);
    }

    /// Digest of what is in neither ledger nor registry: time, sizes, fills, the run to seal, whose each live order is.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"wirebook books v1");
        let SealRun { number, first_seq, records } = self.seal;
        for number in [self.last_time_ns, self.fills, number, first_seq, u64::from(records)] {
            hasher.update(&number.to_le_bytes());
        }
        for number in [u32::from(self.shard), self.sizes.slots, self.sizes.max_qty, self.capabilities.0, self.live] {
            hasher.update(&number.to_le_bytes());
        }
        for (slot, order) in self.orders() {
            let mut row = [0; 16];
            row[0..4].copy_from_slice(&slot.to_le_bytes());
            row[4..8].copy_from_slice(&order.session.to_le_bytes());
            row[8..12].copy_from_slice(&order.account.to_le_bytes());
            hasher.update(&row);
        }
        *hasher.finalize().as_bytes()
    }
}
