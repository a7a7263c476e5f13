//! The calm mix: beats for measuring a matcher whose book is busy and stays about the same.
//!
//! First as many passive orders as shall live, then for ever: 46% passive orders, 42% cancels of any live order, 5% replaces,
//! 5% orders that trade, 2% reduces. One instrument of 4096 ticks; prices within some hundred ticks of a middle that walks.
//! The flow executes its own beats, so that every one is valid: nothing is rejected.

use super::audit::Audit;
use super::random::Random;
use crate::abi::{Command, Kind, Limits, SelfTrade, Side, TimeInForce};
use crate::matcher::Twin;
use crate::software::Software;

/// Ticks of the band.
const TICKS: u32 = 4096;
/// Ticks from its middle to where the walk turns back.
const LEASH: i64 = 1000;
/// Ticks behind the middle of the farthest order.
const FARTHEST: u64 = 400;
/// Slots for each order that shall live: live orders may be twice as many at times.
const SLOTS_PER_LIVE: u32 = 2;

/// The endless flow.
#[derive(Clone, Debug)]
pub struct Calm {
    random: Random,
    twin: Software,
    audit: Audit,
    free: Vec<u32>,
    live: u32,
    middle: i64,
    seq: u64,
    warm: bool,
}

impl Calm {
    /// The flow of a seed with about so many live orders.
    ///
    /// # Panics
    /// When `live` is 0 or above 2^26.
    pub fn new(seed: u64, live: u32) -> Self {
        assert!((1..=1 << 26).contains(&live), "live: found {live}, allowed 1 to 2^26");
        let limits = Self::limits_for(live);
        Self {
            random: Random::new(seed),
            audit: Audit::new(&limits),
            free: (0..limits.slots).rev().collect(),
            twin: Software::new(limits),
            live,
            middle: i64::from(TICKS / 2),
            seq: 0,
            warm: false,
        }
    }

    /// Sizes of the matcher that it is for.
    pub fn limits(&self) -> &Limits {
        self.twin.limits()
    }

    fn limits_for(live: u32) -> Limits {
        Limits::single(TICKS, live * SLOTS_PER_LIVE + 2)
    }

    /// The next beat. Its slots are free, or live, by the answers of all before it.
    pub fn next_beat(&mut self) -> Command {
        self.seq += 1;
        if self.random.chance(1, 1000) {
            self.middle += if self.random.chance(1, 2) { 1 } else { -1 };
            let centre = i64::from(TICKS / 2);
            self.middle = self.middle.clamp(centre - LEASH, centre + LEASH);
        }
        let command = Command { seq: self.seq, ..self.choose() };
        let mut events = Vec::new();
        self.twin.execute(&command, |event| events.push(event));
        for event in &events {
            self.free.extend(event.maker_free().then_some(event.maker));
            self.free.extend(event.taker_free().then_some(event.taker));
        }
        self.audit.follow(&command, &events).expect("the twin answers as a matcher may");
        command
    }

    fn choose(&mut self) -> Command {
        let live = self.audit.live().len() as u64;
        self.warm |= live >= u64::from(self.live);
        if !self.warm || live == 0 {
            return self.passive();
        }
        // Where the mix would let the book grow or shrink for good, cancels and orders change places.
        let crowded = live > u64::from(self.live);
        match self.random.below(100) {
            0..42 if live * 10 < u64::from(self.live) * 9 => self.passive(),
            0..42 => self.change(Kind::Cancel),
            42..88 if crowded && self.random.chance(1, 10) => self.change(Kind::Cancel),
            42..88 => self.passive(),
            88..93 => self.change(Kind::Replace),
            93..98 => self.aggressive(),
            _ => self.change(Kind::Reduce),
        }
    }

    fn passive(&mut self) -> Command {
        let side = *self.random.pick(&Side::ALL);
        let behind = 1 + self.random.run(29, 30, FARTHEST) as i64;
        let tick = self.tick(side, -behind);
        let qty = self.random.between(1, 100) as u32;
        self.order(side, TimeInForce::Gtc, tick, qty)
    }

    fn aggressive(&mut self) -> Command {
        let side = *self.random.pick(&Side::ALL);
        let tick = self.tick(side, 3);
        let qty = self.random.between(1, 60) as u32;
        self.order(side, TimeInForce::Ioc, tick, qty)
    }

    fn order(&mut self, side: Side, time_in_force: TimeInForce, tick: u32, qty: u32) -> Command {
        let slot = self.free.pop().expect("half of the slots are free");
        let side_tif = Command::side_tif(side, time_in_force);
        Command { slot, tick, qty, kind: Kind::New as u8, side_tif, ..Command::default() }
    }

    fn change(&mut self, kind: Kind) -> Command {
        let slot = *self.random.pick(self.audit.live());
        let order = *self.audit.order(slot).expect("it is live");
        let command = Command { slot, kind: kind as u8, ..Command::default() };
        match kind {
            Kind::Reduce => Command { qty: self.random.between(1, u64::from(order.leaves)) as u32, ..command },
            Kind::Replace => {
                let slot2 = self.free.pop().expect("half of the slots are free");
                let behind = 1 + self.random.run(29, 30, FARTHEST) as i64;
                let tick = self.tick(order.side, -behind);
                let flags = Command::flags(SelfTrade::Off, false, false);
                Command { slot2, tick, qty: self.random.between(1, 100) as u32, flags, ..command }
            }
            _ => command,
        }
    }

    fn tick(&self, side: Side, across: i64) -> u32 {
        let tick = match side {
            Side::Buy => self.middle + across,
            Side::Sell => self.middle - across,
        };
        u32::try_from(tick).expect("the leash is short enough").min(TICKS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::EventKind;
    use crate::flow::Coverage;

    #[test]
    fn the_mix_is_as_said_and_nothing_is_rejected() {
        let mut calm = Calm::new(5, 10_000);
        let mut twin = Software::new(calm.limits().clone());
        let mut coverage = Coverage::new();
        let mut counts = [0u32; Kind::ALL.len()];
        let mut aggressive = 0;
        for beat in 0..210_000 {
            let command = calm.next_beat();
            let mut events = Vec::new();
            twin.execute(&command, |event| events.push(event));
            assert!(events.iter().all(|event| event.kind != EventKind::Rejected), "{command:?}: {events:?}");
            if beat >= 10_000 {
                coverage.count(&command, &events);
                counts[usize::from(command.kind)] += 1;
                aggressive += u32::from(command.time_in_force() == Some(TimeInForce::Ioc));
            }
        }
        let percent = counts.map(|count| (count + 1000) / 2000);
        assert_eq!(percent[Kind::Nop as usize], 0);
        assert!((48..=52).contains(&percent[Kind::New as usize]), "{percent:?}\n{coverage}");
        assert!((41..=47).contains(&percent[Kind::Cancel as usize]), "{percent:?}");
        assert!((9_000..=11_000).contains(&aggressive), "{aggressive}\n{coverage}");
        assert!((9_000..=11_500).contains(&calm.audit.live().len()), "{} live", calm.audit.live().len());
        assert!(coverage.of("new ioc: fill, complete") > 3000, "{coverage}");
    }
}
