//! Command beats for comparing matchers: seeded, aimed at what is live, and wrong on purpose as often as it takes.
//!
//! A generator that never sends a nop, a dead slot, a reused slot or a full book never finds their bugs. [`Beats`]
//! therefore follows the book by its events ([`Audit`]), and each [`Mix`] has its own idea of size: a few slots that collide
//! all the time, thousands of orders in long queues, a band too wide to be dense, a book that is always full, or bytes that
//! mean nothing.

use super::audit::{Audit, Violation};
use super::random::Random;
use crate::abi::{BEAT_BYTES, Command, Event, Kind, Limits, SelfTrade, Side, TimeInForce};

/// What a stream of beats is like. Chances are of 1000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Sizes of the matcher.
    pub limits: Limits,
    /// Owners are the first to the second, inclusive.
    pub owners: (u16, u16),
    /// Live orders around which the book stays.
    pub live: u32,
    /// Ticks on either side of the middle of a band within which most prices fall.
    pub reach: u32,
    /// Ticks by which most orders stay on their own side of the middle; how often they do not is `crossing`.
    pub crossing: u64,
    /// Largest ordinary quantity.
    pub qty: u32,
    /// How often a quantity is one that sweeps, and how many times as large it is.
    pub sweep: (u64, u64),
    /// Beats of pure random bytes.
    pub garbage: u64,
    /// Beats of which one byte is changed.
    pub corrupt: u64,
    /// Fields (slot, slot2, instrument, owner, tick, qty) that are chosen wrong, each.
    pub wrong: u64,
}

impl Mix {
    /// Three small instruments and 24 slots: everything collides with everything.
    pub fn crowded() -> Self {
        Self {
            limits: Limits { ticks: vec![20, 7, 64], slots: 24, max_qty: 1000 },
            owners: (0, 3),
            live: 12,
            reach: 6,
            crossing: 300,
            qty: 20,
            sweep: (50, 30),
            garbage: 10,
            corrupt: 30,
            wrong: 30,
        }
    }

    /// Thousands of live orders on few ticks: long queues.
    pub fn deep() -> Self {
        Self {
            limits: Limits { ticks: vec![16, 300], slots: 8192, max_qty: 1 << 20 },
            owners: (0, 5),
            live: 6000,
            reach: 3,
            crossing: 40,
            qty: 100,
            sweep: (20, 60),
            garbage: 2,
            corrupt: 5,
            wrong: 5,
        }
    }

    /// A band that needs every level of an index, sparsely filled, beside one of a single tick.
    pub fn wide() -> Self {
        Self {
            limits: Limits { ticks: vec![(1 << 18) + 77, 1, 5000], slots: 4096, max_qty: Limits::MAX_QTY },
            owners: (0, 2),
            live: 1500,
            reach: u32::MAX,
            crossing: 40,
            qty: 1 << 20,
            sweep: (50, 30),
            garbage: 2,
            corrupt: 5,
            wrong: 5,
        }
    }

    /// A book that is always full: slots are reused at once, or not free.
    pub fn full() -> Self {
        Self {
            limits: Limits { ticks: vec![100], slots: 64, max_qty: 50 },
            owners: (0, 2),
            live: 64,
            reach: 40,
            crossing: 80,
            qty: 50,
            sweep: (50, 30),
            garbage: 5,
            corrupt: 10,
            wrong: 20,
        }
    }

    /// Two owners on nine ticks, who often meet themselves.
    pub fn kin() -> Self {
        Self {
            limits: Limits { ticks: vec![9], slots: 48, max_qty: 100 },
            owners: (1, 2),
            live: 30,
            reach: 3,
            crossing: 420,
            qty: 4,
            sweep: (250, 5),
            garbage: 2,
            corrupt: 10,
            wrong: 10,
        }
    }

    /// Mostly bytes that mean nothing; the limits are the largest that a few bits can reach.
    pub fn noise() -> Self {
        Self {
            limits: Limits { ticks: vec![8; 300], slots: 512, max_qty: 1 << 30 },
            owners: (0, 1),
            live: 300,
            reach: 4,
            crossing: 300,
            qty: 1 << 30,
            sweep: (50, 30),
            garbage: 500,
            corrupt: 300,
            wrong: 200,
        }
    }

    /// Every mix, by name.
    pub fn all() -> [(&'static str, Self); 6] {
        [
            ("crowded", Self::crowded()),
            ("kin", Self::kin()),
            ("deep", Self::deep()),
            ("wide", Self::wide()),
            ("full", Self::full()),
            ("noise", Self::noise()),
        ]
    }
}

/// A seeded stream of command beats.
#[derive(Clone, Debug)]
pub struct Beats {
    mix: Mix,
    random: Random,
    audit: Audit,
    seq: u64,
}

impl Beats {
    /// The stream of a seed.
    pub fn new(mix: Mix, seed: u64) -> Self {
        Self { audit: Audit::new(&mix.limits), random: Random::new(seed), mix, seq: 0 }
    }

    /// Sizes of the matcher that it is for.
    pub fn limits(&self) -> &Limits {
        &self.mix.limits
    }

    /// What the stream knows of the book.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Tells the stream what a matcher answered.
    ///
    /// # Errors
    /// When no matcher may answer so.
    pub fn observe(&mut self, command: &Command, events: &[Event]) -> Result<(), Violation> {
        self.audit.follow(command, events)
    }

    /// The next beat.
    pub fn next_beat(&mut self) -> Command {
        self.seq += 1;
        if self.of_1000(self.mix.garbage) {
            return self.garbage();
        }
        let sparse = self.audit.live().len() < self.mix.live as usize;
        let mut command = match self.random.below(100) {
            0..3 => Command::default(),
            3..58 if sparse => self.new_order(),
            3..30 => self.new_order(),
            58..65 if sparse => self.cancel(),
            30..65 => self.cancel(),
            65..77 => self.reduce(),
            _ => self.replace(),
        };
        command.seq = self.seq;
        if self.of_1000(self.mix.corrupt) {
            let mut bytes = command.to_bytes();
            let at = 8 + self.random.below(BEAT_BYTES as u64 - 8) as usize;
            bytes[at] ^= 1 << self.random.below(8);
            command = Command::from_bytes(&bytes);
        }
        command
    }

    /// Random bytes; half of them in a kind's clothes, as otherwise the first check stops nearly all.
    fn garbage(&mut self) -> Command {
        let mut bytes = [0; BEAT_BYTES];
        for chunk in bytes.as_chunks_mut::<8>().0 {
            *chunk = self.random.next_u64().to_le_bytes();
        }
        let command = Command::from_bytes(&bytes);
        if self.random.chance(1, 2) {
            return command;
        }
        Command {
            kind: command.kind % 6,
            side_tif: command.side_tif & 7,
            flags: command.flags & 15,
            ring: 0,
            instrument: command.instrument % (self.mix.limits.ticks.len() as u16 + 1),
            slot: command.slot % (self.mix.limits.slots + 1),
            slot2: command.slot2 % (self.mix.limits.slots + 1),
            tick: command.tick % 16,
            ..command
        }
    }

    fn new_order(&mut self) -> Command {
        let instrument = self.random.below(self.mix.limits.ticks.len() as u64) as u16;
        let side = *self.random.pick(&Side::ALL);
        let time_in_force = match self.random.below(100) {
            0..72 => TimeInForce::Gtc,
            72..86 => TimeInForce::Ioc,
            _ => TimeInForce::Fok,
        };
        let post_only = time_in_force == TimeInForce::Gtc && self.random.chance(1, 6);
        let self_trade = *self.random.pick(&SelfTrade::ALL);
        Command {
            instrument: self.instrument(instrument),
            owner: self.owner(),
            slot: self.free_slot(),
            tick: self.tick(instrument, side),
            qty: self.qty(),
            kind: Kind::New as u8,
            side_tif: Command::side_tif(side, time_in_force),
            flags: Command::flags(self_trade, post_only, false),
            ..Command::default()
        }
    }

    fn cancel(&mut self) -> Command {
        let (slot, instrument, owner, _) = self.target();
        let side_tif = self.random.below(2) as u8;
        Command { slot, instrument, owner, side_tif, kind: Kind::Cancel as u8, ..Command::default() }
    }

    fn reduce(&mut self) -> Command {
        let (slot, instrument, owner, leaves) = self.target();
        let most = if self.random.chance(1, 5) { u64::from(leaves) + 5 } else { u64::from(leaves) / 2 };
        let qty = if self.of_1000(self.mix.wrong) { self.qty() } else { self.random.between(1, most) as u32 };
        Command { slot, instrument, owner, qty, kind: Kind::Reduce as u8, ..Command::default() }
    }

    fn replace(&mut self) -> Command {
        let (slot, instrument, owner, leaves) = self.target();
        let order = self.audit.order(slot).copied();
        let side = order.map_or(Side::Buy, |order| order.side);
        let instruments = self.mix.limits.ticks.len();
        let tick = match order {
            Some(order) if self.random.chance(1, 3) => order.tick,
            _ => self.tick(instrument.min(instruments as u16 - 1), side),
        };
        let relative = self.random.chance(2, 5);
        let qty = if relative { self.change(leaves) } else { self.qty() };
        let time_in_force = match self.random.below(100) {
            0..70 => TimeInForce::Gtc,
            70..98 => TimeInForce::Ioc,
            _ => TimeInForce::Fok,
        };
        let post_only = time_in_force == TimeInForce::Gtc && self.random.chance(1, 6);
        let self_trade = *self.random.pick(&SelfTrade::ALL);
        Command {
            instrument,
            owner,
            slot,
            slot2: if self.of_1000(self.mix.wrong) { slot } else { self.free_slot() },
            tick,
            qty,
            kind: Kind::Replace as u8,
            side_tif: Command::side_tif(side, time_in_force),
            flags: Command::flags(self_trade, post_only, relative),
            ..Command::default()
        }
    }

    /// A signed change of some leaves: around nothing, around all of them, or beyond every limit.
    fn change(&mut self, leaves: u32) -> u32 {
        let near = self.random.below(7) as i64 - 3;
        let change = match self.random.below(10) {
            0..4 => near,
            4..6 => near - i64::from(leaves),
            6..9 => i64::from(self.qty()) - i64::from(leaves) / 2,
            _ => *self.random.pick(&[i64::from(i32::MAX), i64::from(i32::MIN), 0]),
        };
        change.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32 as u32
    }

    /// Slot, instrument, owner and leaves of an order to change: mostly one that lives, mostly as it is.
    fn target(&mut self) -> (u32, u16, u16, u32) {
        let live = self.audit.live();
        let slot = if live.is_empty() || self.random.chance(1, 12) { self.any_slot() } else { *self.random.pick(live) };
        let order = self.audit.order(slot).copied();
        let (instrument, owner, leaves) = order.map_or((0, 1, 1), |o| (o.instrument, o.owner, o.leaves));
        let owner = if self.of_1000(self.mix.wrong) { owner ^ 1 } else { owner };
        (slot, self.instrument(instrument), owner, leaves)
    }

    /// A slot that is free, if a few tries find one; sometimes any, sometimes one that does not exist.
    fn free_slot(&mut self) -> u32 {
        let mut slot = self.any_slot();
        if !self.of_1000(self.mix.wrong) {
            for _ in 0..8 {
                if self.audit.order(slot).is_none() {
                    break;
                }
                slot = self.random.below(u64::from(self.mix.limits.slots)) as u32;
            }
        }
        slot
    }

    fn any_slot(&mut self) -> u32 {
        if self.of_1000(self.mix.wrong / 2) {
            return *self.random.pick(&[self.mix.limits.slots, u32::MAX, 1 << 31]);
        }
        self.random.below(u64::from(self.mix.limits.slots)) as u32
    }

    fn owner(&mut self) -> u16 {
        let (first, last) = self.mix.owners;
        self.random.between(u64::from(first), u64::from(last)) as u16
    }

    fn instrument(&mut self, right: u16) -> u16 {
        if !self.of_1000(self.mix.wrong) {
            return right;
        }
        let instruments = self.mix.limits.ticks.len() as u16;
        *self.random.pick(&[instruments, u16::MAX, 0, right ^ 1])
    }

    /// A price: bids below the middle of the band and asks above, but for those that cross.
    fn tick(&mut self, instrument: u16, side: Side) -> u32 {
        let ticks = self.mix.limits.ticks[usize::from(instrument)];
        if self.of_1000(self.mix.wrong) {
            return *self.random.pick(&[ticks, u32::MAX, 0, ticks - 1]);
        }
        let middle = ticks / 2;
        let away = self.random.below(u64::from(self.mix.reach.min(middle)) + 1) as u32;
        let below = (side == Side::Buy) != self.of_1000(self.mix.crossing);
        if below { middle - away } else { (middle + away).min(ticks - 1) }
    }

    /// A quantity: ordinary, one that sweeps, or one that is refused.
    fn qty(&mut self) -> u32 {
        let most = self.mix.limits.max_qty;
        if self.of_1000(self.mix.wrong) {
            return *self.random.pick(&[0, most, most + 1, u32::MAX, 1]);
        }
        let ordinary = self.random.between(1, u64::from(self.mix.qty));
        let (chance, factor) = self.mix.sweep;
        let qty = if self.of_1000(chance) { ordinary * factor } else { ordinary };
        qty.min(u64::from(most)) as u32
    }

    fn of_1000(&mut self, chance: u64) -> bool {
        self.random.chance(chance, 1000)
    }
}
