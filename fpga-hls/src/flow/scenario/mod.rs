//! Flows to measure and compare matchers by: seeded, endless, every line valid, each also as the beat that a host makes of it.
//!
//! | scenario | what |
//! |---|---|
//! | `static` | the middle stands still; the deepest book of the five |
//! | `normal` | the middle swings over 2% of the price |
//! | `swing-25`, `swing-40` | over 25% and 40% of it: thousands of ticks, in no order |
//! | `crash` | a routine day in which the price falls by 60% and wins back half |
//! | `calm` | about 10,000 live orders, cancels of any of them |
//! | `1m-live` | a million live orders, cancels of any of them |
//!
//! The first five follow the public benchmark (see `burst`); nearly every cancel there names the order just sent, so that they
//! hardly touch cold memory but for the price levels. The last two (see `mix`) are the fairer tests of a busy book.
//!
//! A tick is half a cent: prices are in hundredths of a cent, and multiples of 50. Slots are a host's: the one freed last is taken
//! first, and freed when the matcher's answer says so.

mod burst;
mod mix;
mod path;
#[cfg(test)]
mod tests;

use super::band::Band;
use super::offline::Offline;
use super::orders::OrderLine;
use super::random::Random;
use crate::abi::{Command, Limits};
use crate::matcher::Twin;
use crate::software::Software;
use burst::Burst;
use mix::{Mix, Size};
use path::Shape;

/// The distance of two prices: half a cent, in hundredths of a cent.
pub const TICK_SIZE: i64 = 50;
/// Ticks of the band of the five scenarios: from half a cent to 327.68 dollars.
const BURST_TICKS: i64 = 1 << 16;

/// The flow's own book.
type Book = Offline<Software>;

/// A kind of flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scenario {
    /// The middle stands still.
    Static,
    /// The middle swings over 2% of the price.
    Normal,
    /// The middle swings over 25% of the price.
    Swing25,
    /// The middle swings over 40% of the price.
    Swing40,
    /// The price falls by 60%, and wins back half.
    Crash,
    /// About ten thousand live orders.
    Calm,
    /// A million live orders.
    Million,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 7] =
        [Self::Static, Self::Normal, Self::Swing25, Self::Swing40, Self::Crash, Self::Calm, Self::Million];
    /// The five in the spirit of the public benchmark: a score is that of the worst.
    pub const PUBLIC: [Self; 5] = [Self::Static, Self::Normal, Self::Swing25, Self::Swing40, Self::Crash];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Normal => "normal",
            Self::Swing25 => "swing-25",
            Self::Swing40 => "swing-40",
            Self::Crash => "crash",
            Self::Calm => "calm",
            Self::Million => "1m-live",
        }
    }

    /// The scenario of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// Lines at the start that only fill the book: to be sent, and not to be measured.
    pub const fn opening(self) -> u64 {
        match self {
            Self::Calm => 10_000,
            Self::Million => 1_000_000,
            _ => 0,
        }
    }

    /// Lines after the opening that are usually measured.
    pub const fn messages(self) -> u64 {
        match self {
            Self::Calm => 3_000_000,
            _ => 2_000_000,
        }
    }

    /// The size of the book of a mix.
    const fn size(self) -> Size {
        match self {
            Self::Million => Size { live: 1_000_000, farthest: 1900, even: true, leash: 100 },
            _ => Size { live: 10_000, farthest: 401, even: false, leash: 1000 },
        }
    }
}

/// A line, and the beat that a host makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The line. Ids are 1, 2, 3 ... in the order in which orders enter.
    pub line: OrderLine,
    /// The beat: `seq` is the line's number, from 1.
    pub command: Command,
}

#[derive(Clone, Debug)]
enum Source {
    Burst(Burst),
    Mix(Mix),
}

/// The endless flow of a scenario: an iterator over [`Sent`].
#[derive(Clone, Debug)]
pub struct Flow {
    random: Random,
    source: Source,
    book: Book,
}

impl Flow {
    /// The flow of a seed, at its start.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut walk = |shape| Source::Burst(Burst::new(shape, &mut random));
        let source = match scenario {
            Scenario::Static => walk(Shape::Flat),
            Scenario::Normal => walk(Shape::Walk(20)),
            Scenario::Swing25 => walk(Shape::Walk(250)),
            Scenario::Swing40 => walk(Shape::Walk(400)),
            Scenario::Crash => walk(Shape::Crash(600)),
            Scenario::Calm | Scenario::Million => Source::Mix(Mix::new(scenario.size())),
        };
        let (ticks, most_live) = match source {
            Source::Burst(_) => (BURST_TICKS, burst::MOST_LIVE as u32),
            Source::Mix(_) => (i64::from(mix::TICKS), scenario.size().live),
        };
        let band = Band::new(TICK_SIZE, ticks * TICK_SIZE, TICK_SIZE).expect("the band is fixed");
        // A tenth more than shall live, one order that comes, one that replaces.
        Self { random, source, book: Offline::new(band, most_live + most_live / 10 + 2) }
    }

    /// Every price of the flow lies in this band.
    pub const fn band(&self) -> Band {
        self.book.band()
    }

    /// Sizes of the matcher that the beats are for.
    pub fn limits(&self) -> &Limits {
        self.book.twin().limits()
    }

    /// The flow's own book.
    pub const fn book(&self) -> &Offline<Software> {
        &self.book
    }

    /// The next line and its beat.
    pub fn next_sent(&mut self) -> Sent {
        let Self { random, source, book } = self;
        let line = match source {
            Source::Burst(burst) => burst.choose(random, book),
            Source::Mix(mix) => mix.choose(random, book),
        };
        let mut makers = Vec::new();
        let command = book
            .execute(&line, |fill| makers.push(fill.resting_id))
            .unwrap_or_else(|refused| panic!("the flow refuses its own {line:?}: {refused}"));
        let rests = book.order(line.id).is_some();
        match source {
            Source::Burst(burst) if rests && line.op.enters() => burst.rested(line.id, random),
            Source::Burst(_) => {}
            Source::Mix(mix) => {
                makers.retain(|id| book.order(*id).is_none());
                makers.iter().for_each(|id| mix.died(*id));
                if rests { mix.rested(line.id) } else { mix.died(line.id) }
            }
        }
        Sent { line, command }
    }
}

impl Iterator for Flow {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        Some(self.next_sent())
    }
}
