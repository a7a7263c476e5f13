//! Every command that a tiny book can tell apart.
//!
//! All products of what may be right (slots, sides, ticks, quantities, owners, times in force, self-trade modes, flags) are
//! there; what is wrong is wrong in one way at a time: a field out of range, a reserved bit, flags that do not go together.

use crate::abi::{Command, Kind, Limits, SelfTrade, Side, TimeInForce};

/// A book small enough to see all of it, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiny {
    /// One instrument, a few ticks, a few slots, a few lots.
    pub limits: Limits,
    /// The owners.
    pub owners: [u16; 2],
    /// Of commands that are refused one in so many is tried in a state, by turns, so that in as many states in a row each is; 1 is all. A
    /// command that is not refused is always tried.
    pub one_refusal_in: u64,
}

impl Tiny {
    /// Three ticks, three slots, quantities to two, two owners that are both compared.
    pub fn new() -> Self {
        Self { limits: Limits { ticks: vec![3], slots: 3, max_qty: 2 }, owners: [1, 2], one_refusal_in: 1 }
    }

    /// The same, with the owner that is exempt from self-trade prevention for one of the two.
    pub fn exempt() -> Self {
        Self { owners: [0, 1], ..Self::new() }
    }

    /// The commands, in no order that means anything.
    ///
    /// # Panics
    /// When the limits have not exactly one instrument.
    pub fn commands(&self) -> Vec<Command> {
        assert_eq!(self.limits.ticks.len(), 1, "a tiny book has one instrument");
        let mut commands = Vec::new();
        for owner in self.owners {
            for slot in 0..self.limits.slots {
                self.add_cancels(owner, slot, &mut commands);
                self.add_news(owner, slot, &mut commands);
                self.add_replaces(owner, slot, &mut commands);
            }
        }
        commands.push(Command::default());
        add_wrong(&self.limits, self.owners[0], &mut commands);
        for (at, command) in commands.iter_mut().enumerate() {
            command.seq = at as u64 + 1;
        }
        commands
    }

    /// Cancels, and reduces by every quantity.
    fn add_cancels(&self, owner: u16, slot: u32, commands: &mut Vec<Command>) {
        commands.push(Command { owner, slot, kind: Kind::Cancel as u8, ..Command::default() });
        for qty in 0..=self.limits.max_qty + 1 {
            commands.push(Command { owner, slot, qty, kind: Kind::Reduce as u8, ..Command::default() });
        }
    }

    fn add_news(&self, owner: u16, slot: u32, commands: &mut Vec<Command>) {
        let kind = Kind::New as u8;
        for (tick, qty) in self.prices() {
            for (time_in_force, flags) in manners(true) {
                for side in Side::ALL {
                    let side_tif = Command::side_tif(side, time_in_force);
                    commands.push(Command { owner, slot, tick, qty, kind, side_tif, flags, ..Command::default() });
                }
            }
        }
    }

    /// Replaces, absolute and by every change that is told apart: to nothing and below, down, none, up, and beyond the limit.
    fn add_replaces(&self, owner: u16, slot: u32, commands: &mut Vec<Command>) {
        let kind = Kind::Replace as u8;
        let most = self.limits.max_qty.cast_signed();
        let changes = (-most - 1..=most).chain([i32::MAX, i32::MIN]);
        let changes: Vec<(u32, u8)> = (1..=self.limits.max_qty)
            .map(|qty| (qty, 0))
            .chain(changes.map(|change| (change.cast_unsigned(), Command::RELATIVE)))
            .collect();
        for slot2 in 0..self.limits.slots {
            for tick in 0..self.limits.ticks[0] {
                for (qty, relative) in &changes {
                    for (time_in_force, flags) in manners(false) {
                        let side_tif = Command::side_tif(Side::Buy, time_in_force);
                        let (qty, flags) = (*qty, flags | relative);
                        let base = Command { owner, slot, slot2, tick, qty, ..Command::default() };
                        commands.push(Command { kind, side_tif, flags, ..base });
                    }
                }
            }
        }
    }

    fn prices(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (ticks, most) = (self.limits.ticks[0], self.limits.max_qty);
        (0..ticks).flat_map(move |tick| (1..=most).map(move |qty| (tick, qty)))
    }
}

impl Default for Tiny {
    fn default() -> Self {
        Self::new()
    }
}

/// Times in force and flags that go together.
fn manners(fill_or_kill: bool) -> Vec<(TimeInForce, u8)> {
    let mut manners = Vec::new();
    for self_trade in SelfTrade::ALL {
        manners.push((TimeInForce::Gtc, Command::flags(self_trade, false, false)));
        manners.push((TimeInForce::Gtc, Command::flags(self_trade, true, false)));
        manners.push((TimeInForce::Ioc, Command::flags(self_trade, false, false)));
        if fill_or_kill {
            manners.push((TimeInForce::Fok, Command::flags(self_trade, false, false)));
        }
    }
    manners
}

/// Bits of the side byte and of the flags byte that mean something.
const SIDE_BITS: u32 = Command::SIDE_RESERVED.trailing_zeros();
const FLAG_BITS: u32 = Command::FLAGS_RESERVED.trailing_zeros();

/// What is wrong in one way.
fn add_wrong(limits: &Limits, owner: u16, commands: &mut Vec<Command>) {
    let right = Command { owner, qty: 1, slot2: limits.slots - 1, ..Command::default() };
    for kind in Kind::ALL {
        let right = Command { kind: kind as u8, ..right };
        for slot in 0..limits.slots {
            for wrong in [
                Command { instrument: 1, ..right },
                Command { instrument: u16::MAX, ..right },
                Command { slot: limits.slots, ..right },
                Command { slot: u32::MAX, ..right },
                Command { slot: 1 << 14, ..right },
                Command { slot2: limits.slots, ..right },
                Command { slot2: u32::MAX, ..right },
                Command { tick: limits.ticks[0], ..right },
                Command { tick: u32::MAX, ..right },
                Command { tick: 1 << 12, ..right },
                Command { qty: 0, ..right },
                Command { qty: limits.max_qty + 1, ..right },
                Command { qty: u32::MAX, ..right },
                Command { qty: 1 << 31, ..right },
            ] {
                commands.push(Command { slot: if wrong.slot == 0 { slot } else { wrong.slot }, ..wrong });
            }
        }
        for bit in 0..7 {
            commands.push(Command { ring: 1 << bit, ..right });
        }
        for bit in SIDE_BITS..8 {
            commands.push(Command { side_tif: 1 << bit, ..right });
        }
        for bit in FLAG_BITS..8 {
            commands.push(Command { flags: 1 << bit, ..right });
        }
        // All that the meaningful bits can say, whether it goes together or not.
        for side_tif in 0..1 << SIDE_BITS {
            for flags in 0..1 << FLAG_BITS {
                commands.push(Command { side_tif, flags, ..right });
            }
        }
    }
    for bit in 0..8 {
        commands.push(Command { kind: Kind::ALL.len() as u8 | 1 << bit, ..right });
    }
}
