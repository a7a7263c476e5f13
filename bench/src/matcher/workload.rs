//! What the engines are given: commands in memory, in both ways of naming orders, and how to tell fills from events.
//!
//! A workload is a seeded scenario or a user's file of orders. Lines that cannot be carried out (see `wirebook match`) are counted
//! and left out. The digest of an engine's fills is that of the Fills CSV that `wirebook match` writes for the same orders.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wirebook_matcher::abi::{Command, Event, EventKind, Kind, Limits, Side};
use wirebook_matcher::flow::{
    Band, Fill, FillsDigest, Flow, Ids, Offline, Op, OrderLine, OrdersReader, Scenario, Survey,
};
use wirebook_matcher::{Software, Twin};

use super::engine::Names;

/// Bytes over which the floor's accesses are spread, while few orders are live.
const FLOOR_BYTES: usize = 1 << 20;
/// The same for a book of hundreds of thousands of orders.
const WIDE_FLOOR_BYTES: usize = 32 << 20;
/// Live orders from which on a book counts as that.
const MANY_LIVE: u64 = 500_000;

/// Commands, and what is known of them.
#[derive(Debug)]
pub struct Workload {
    /// Its name in the results.
    pub name: String,
    /// Sizes of a matcher that is enough.
    pub limits: Limits,
    /// Commands at the start that only fill the book: executed, and not measured.
    pub opening: usize,
    /// Lines that could not be carried out, and are no commands.
    pub refused: u64,
    /// The most orders live at once.
    pub most_live: u64,
    band: Band,
    slots: Vec<Command>,
    numbers: Vec<Command>,
    /// The file's id by the order's number.
    ids: Vec<u64>,
    /// Ops that occur, by their letters.
    ops: String,
}

/// What an engine's fills are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Answers {
    /// Events.
    pub events: u64,
    /// Fills.
    pub fills: u64,
    /// SHA-256 of the Fills CSV.
    pub digest: String,
}

/// Gathers the commands of a workload.
struct Maker {
    work: Workload,
    /// Number of the order that has an id now.
    current: Ids,
}

impl Maker {
    fn new(name: &str, limits: Limits, band: Band, opening: u64) -> Self {
        let work = Workload {
            name: name.to_owned(),
            limits,
            opening: opening as usize,
            refused: 0,
            most_live: 0,
            band,
            slots: Vec::new(),
            numbers: Vec::new(),
            ids: Vec::new(),
            ops: String::new(),
        };
        Self { work, current: Ids::default() }
    }

    fn add(&mut self, line: &OrderLine, command: Command) {
        let work = &mut self.work;
        if line.op.enters() {
            self.current.insert(line.id, work.ids.len() as u32);
            work.ids.push(line.id);
        }
        let number = self.current.get(line.id).expect("a change that is not refused names an order that came before");
        work.slots.push(command);
        work.numbers.push(Command { slot: number, slot2: number, ..command });
        if !work.ops.contains(line.op.letter()) {
            work.ops.push(line.op.letter());
        }
    }
}

impl Workload {
    /// So many messages of a scenario after its opening.
    pub fn of_scenario(scenario: Scenario, seed: u64, messages: u64) -> Self {
        let mut flow = Flow::new(scenario, seed);
        let mut maker = Maker::new(scenario.name(), flow.limits().clone(), flow.band(), scenario.opening());
        let mut most_live = 0;
        for _ in 0..scenario.opening() + messages {
            let sent = flow.next_sent();
            most_live = most_live.max(flow.book().summary().live);
            maker.add(&sent.line, sent.command);
        }
        Self { most_live, ..maker.work }
    }

    /// A file of orders, read whole.
    ///
    /// # Errors
    /// When it cannot be read, a line is wrong (with file and line), or its prices make no band.
    pub fn of_file(path: &Path, tick_size: i64, most: Option<u64>) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("{name}: cannot be read"))?;
        ensure!(file.metadata()?.is_file(), "{name}: is no regular file, and is read twice");
        Self::of_orders(&name, BufReader::with_capacity(1 << 16, file), tick_size, most)
    }

    /// Orders as they stand in a file; `name` is how errors name it.
    ///
    /// # Errors
    /// As [`Workload::of_file`].
    pub fn of_orders(name: &str, mut orders: impl BufRead + Seek, tick_size: i64, most: Option<u64>) -> Result<Self> {
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let mut survey = Survey::new(tick_size).with_context(|| name.to_owned())?;
        for line in OrdersReader::new(name, &mut orders)?.take(most) {
            survey.add(&line?);
        }
        let band = survey.band().with_context(|| format!("{name}: the prices make no book"))?;
        orders.rewind().with_context(|| format!("{name}: cannot be read again"))?;
        let mut book = Offline::<Software>::growing(band, Limits::MAX_SLOTS);
        let mut maker = Maker::new("orders", Limits::single(band.ticks(), 1), band, 0);
        for line in OrdersReader::new(name, &mut orders)?.take(most) {
            let line = line?;
            if let Ok(command) = book.execute(&line, |_| {}) {
                maker.add(&line, command);
            }
            maker.work.most_live = maker.work.most_live.max(book.summary().live);
        }
        ensure!(!maker.work.slots.is_empty(), "{name}: holds no order that can be carried out");
        let limits = book.twin().limits().clone();
        Ok(Self { limits, refused: book.summary().refused, ..maker.work })
    }

    /// The commands as an engine that names orders so takes them, the opening included; the first `measured` after it.
    pub fn commands(&self, names: Names, measured: usize) -> (&[Command], &[Command]) {
        let all = match names {
            Names::Slots => &self.slots,
            Names::Numbers => &self.numbers,
        };
        all[..self.opening + measured].split_at(self.opening)
    }

    /// How many commands are measured.
    pub fn measured(&self) -> usize {
        self.slots.len() - self.opening
    }

    /// How many orders enter: their numbers are below.
    pub fn numbers(&self) -> usize {
        self.ids.len()
    }

    /// Whether this op occurs.
    pub fn has(&self, op: Op) -> bool {
        self.ops.contains(op.letter())
    }

    /// Over how many bytes the floor's accesses are spread.
    pub const fn floor_bytes(&self) -> usize {
        if self.most_live >= MANY_LIVE { WIDE_FLOOR_BYTES } else { FLOOR_BYTES }
    }

    /// A teller of what an engine that names orders so has done.
    pub fn teller(&self, names: Names) -> Teller<'_> {
        let places = match names {
            Names::Slots => self.limits.slots as usize,
            Names::Numbers => self.numbers(),
        };
        Teller {
            work: self,
            holders: vec![(0, Side::Buy); places],
            entered: 0,
            answers: Answers::default(),
            digest: FillsDigest::default(),
        }
    }
}

/// Turns an engine's events back into fills of ids and prices, and digests them.
pub struct Teller<'a> {
    work: &'a Workload,
    /// Whose a slot or a number is: id and side.
    holders: Vec<(u64, Side)>,
    /// Orders that have entered.
    entered: usize,
    answers: Answers,
    digest: FillsDigest,
}

impl Teller<'_> {
    /// The next command, before its events.
    pub fn command(&mut self, command: &Command) {
        if command.kind == Kind::New as u8 {
            self.holders[command.slot as usize] = (self.work.ids[self.entered], command.side());
            self.entered += 1;
        } else if command.kind == Kind::Replace as u8 {
            self.holders[command.slot2 as usize] = self.holders[command.slot as usize];
        }
    }

    /// An event of the last command.
    pub fn event(&mut self, event: &Event) {
        self.answers.events += 1;
        if event.kind == EventKind::Fill {
            self.answers.fills += 1;
            let (aggressor, _) = self.holders[event.taker as usize];
            let (resting_id, resting_side) = self.holders[event.maker as usize];
            let price = self.work.band.price(event.tick);
            self.digest.add(&Fill { aggressor, resting_id, price, qty: event.qty, resting_side });
        }
    }

    /// Everything that was told.
    pub fn finish(self) -> Answers {
        Answers { digest: self.digest.finish(), ..self.answers }
    }
}
