//! LOBSTER messages to orders: the four rules.
//!
//! A message file tells what happened to displayed orders. Orders that a matcher answers with just those executions are made of it so:
//!
//! 1. Type 1 rests; 2 reduces; 3 cancels; 5 (hidden), 6 (auction cross) and 7 (halt) are dropped.
//! 2. A run of type 4 rows of one time and side (dropped rows between them skipped) is one immediate-or-cancel order of their
//!    total on the other side, limited at the worst price of the run; aggressor ids are 1, 2, 3 ...
//! 3. An order first seen by a later row (the file begins within the day, and shows only some levels) gets a limit order of all
//!    that is later taken from it, just before the first add with a larger id (ids grow), or at once if none comes before that row.
//! 4. What an add would cross is cancelled first. Before an execution, orders ahead of its maker that no later row names are
//!    cancelled; if the maker is still not first, the row is a reduce. (A file of some levels does not show that an order beyond
//!    them was cancelled, so it must be cleared away when the price comes back.)
//!
//! Where the rules meet one another:
//!
//! - Everything that a run must clear away stands before its one order. An order that the run itself executes in part, and then
//!   passes over, loses its rest by a reduce before the run's order: its execution happens as recorded.
//! - A row about an order that rule 4 has cancelled already has nothing left to act on; it is dropped and counted, as are adds of
//!   ids that are live.
//! - An aggressor id that equals a live order's is skipped: two live orders of one id cannot be told apart.

use rustc_hash::FxHashMap;
use wirebook_matcher::abi::{Limits, Side};
use wirebook_matcher::flow::{Op, OrderLine};

use super::book::Book;
use super::rows::{Kind, Row, Rows};
use crate::cli::failure::Failure;

/// What a conversion did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Limit orders of type 1 rows.
    pub adds: u64,
    /// Limit orders of rule 3.
    pub first_seen_late: u64,
    /// Reduces of type 2 rows.
    pub reduces: u64,
    /// Cancels of type 3 rows.
    pub cancels: u64,
    /// Immediate-or-cancel orders, one a run.
    pub runs: u64,
    /// Type 4 rows in them.
    pub executions: u64,
    /// Type 4 rows whose maker was not first: reduces.
    pub executions_as_reduces: u64,
    /// Orders cancelled because an add would have crossed them.
    pub cancelled_crossed: u64,
    /// Orders cleared away from before a maker.
    pub cancelled_ahead: u64,
    /// Rows about orders that are dead already, and adds of live ids.
    pub rows_without_order: u64,
    /// Rows that take more than is known to be left.
    pub rows_beyond_leaves: u64,
    /// Lines written.
    pub orders: u64,
}

/// What is known of an order before the conversion begins.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The last row that names it.
    last_row: u32,
    /// Its entry among the late ones, or [`NOT_LATE`].
    late: u32,
    /// Whether its add has been seen.
    added: bool,
}

const NOT_LATE: u32 = u32::MAX;

/// An order of rule 3.
#[derive(Clone, Copy, Debug)]
struct Late {
    id: u64,
    price: i64,
    total: u64,
    side: Side,
    placed: bool,
}

/// A conversion under way.
struct Converter<'a, F> {
    rows: &'a [Row],
    known: FxHashMap<u64, Known>,
    late: Vec<Late>,
    /// Entries of `late` by growing id, and how many of them lie behind the adds so far.
    by_id: Vec<u32>,
    passed: usize,
    book: Book,
    aggressor: u64,
    counts: Counts,
    write: F,
}

/// Converts a message file, handing each order to `write`; `progress` hears the rows done.
///
/// # Errors
/// A total beyond what an order can hold, and what `write` says.
pub fn convert(
    name: &str,
    rows: &Rows,
    write: impl FnMut(&OrderLine) -> Result<(), Failure>,
    mut progress: impl FnMut(u64),
) -> Result<Counts, Failure> {
    let mut converter = Converter::new(name, &rows.kept, write)?;
    let mut row = 0;
    while row < rows.kept.len() {
        let next = converter.row(row)?;
        assert!(next > row, "the conversion stands still at row {row}");
        row = next;
        progress(row as u64);
    }
    assert!(converter.late.iter().all(|late| late.placed), "an order that a row names was never placed");
    Ok(converter.counts)
}

impl<'a, F: FnMut(&OrderLine) -> Result<(), Failure>> Converter<'a, F> {
    /// Looks through the rows once: who is named last where, and what is taken from orders that were never added.
    fn new(name: &str, rows: &'a [Row], write: F) -> Result<Self, Failure> {
        let mut known: FxHashMap<u64, Known> = FxHashMap::default();
        let mut late: Vec<Late> = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let index = index as u32;
            let entry = known.entry(row.id).or_insert(Known { last_row: index, late: NOT_LATE, added: false });
            entry.last_row = index;
            if row.kind == Kind::Add {
                entry.added = true;
            } else if !entry.added {
                if entry.late == NOT_LATE {
                    entry.late = late.len() as u32;
                    late.push(Late { id: row.id, price: row.price, total: 0, side: row.side, placed: false });
                }
                late[entry.late as usize].total += u64::from(row.qty);
            }
        }
        if let Some(order) = late.iter().find(|late| late.total > u64::from(Limits::MAX_QTY)) {
            return Err(Failure::bad(format!("order {} is never added, and too much is taken from it", order.id))
                .file(name)
                .field("size")
                .found(order.total)
                .allowed(format!("a total of up to {}", Limits::MAX_QTY)));
        }
        let mut by_id: Vec<u32> = (0..late.len() as u32).collect();
        by_id.sort_unstable_by_key(|entry| late[*entry as usize].id);
        let book = Book::default();
        Ok(Self { rows, known, late, by_id, passed: 0, book, aggressor: 0, counts: Counts::default(), write })
    }

    /// Converts the row, or the run that begins there. Gives the row after it.
    fn row(&mut self, index: usize) -> Result<usize, Failure> {
        let row = self.rows[index];
        if row.kind == Kind::Execute {
            return self.run(index);
        }
        if row.kind == Kind::Add {
            self.place_late_before(row.id)?;
        } else {
            self.place_if_late(row.id)?;
        }
        match row.kind {
            Kind::Add if self.book.get(row.id).is_some() => self.counts.rows_without_order += 1,
            Kind::Add => {
                self.place(row.id, row.side, row.price, row.qty)?;
                self.counts.adds += 1;
            }
            _ if self.book.get(row.id).is_none() => self.counts.rows_without_order += 1,
            Kind::Reduce => {
                self.emit(Op::Reduce, row.id, row.side, row.price, row.qty)?;
                self.counts.reduces += 1;
                self.take(&row);
            }
            Kind::Cancel => {
                self.emit(Op::Cancel, row.id, row.side, row.price, row.qty)?;
                self.counts.cancels += 1;
                self.book.remove(row.id);
            }
            Kind::Execute => unreachable!("runs are handled above"),
        }
        self.passed_row(index);
        Ok(index + 1)
    }

    /// A run of executions of one time and side: what must be cleared away, then one order.
    fn run(&mut self, begin: usize) -> Result<usize, Failure> {
        let first = self.rows[begin];
        let same_run = |row: &&Row| row.kind == Kind::Execute && row.instant == first.instant && row.side == first.side;
        let end = begin + self.rows[begin..].iter().take_while(same_run).count();
        let rows: &'a [Row] = &self.rows[begin..end];
        for row in rows {
            self.place_if_late(row.id)?;
        }
        let mut total = 0_u64;
        for (index, row) in (begin..).zip(rows) {
            if self.book.get(row.id).is_none() {
                self.counts.rows_without_order += 1;
                continue;
            }
            self.clear_ahead_of(row.id)?;
            if self.book.first(row.side) == Some(row.id) {
                let taken = self.book.execute(row.id, row.qty);
                self.counts.rows_beyond_leaves += u64::from(taken < row.qty);
                self.counts.executions += 1;
                total += u64::from(taken);
            } else {
                self.emit(Op::Reduce, row.id, row.side, row.price, row.qty)?;
                self.counts.executions_as_reduces += 1;
                self.take(row);
            }
            self.passed_row(index);
        }
        rows.iter().for_each(|row| self.book.settle(row.id));
        if total > 0 {
            self.sweep(rows, total)?;
        }
        Ok(end)
    }

    /// The one order of a run.
    fn sweep(&mut self, rows: &[Row], total: u64) -> Result<(), Failure> {
        let side = rows[0].side;
        let prices = rows.iter().map(|row| row.price);
        let worst = match side {
            Side::Sell => prices.max(),
            Side::Buy => prices.min(),
        };
        let worst = worst.expect("a run has rows");
        let Ok(qty) = u32::try_from(total) else {
            return Err(Failure::bad("the executions of one time add up to more than an order can hold")
                .field("size")
                .found(total)
                .allowed(format!("a total of up to {}", Limits::MAX_QTY)));
        };
        self.aggressor += 1;
        while self.book.get(self.aggressor).is_some() {
            self.aggressor += 1;
        }
        self.counts.runs += 1;
        self.emit(Op::ImmediateOrCancel, self.aggressor, side.opposite(), worst, qty)
    }

    /// Cancels what is ahead of a maker and no later row names.
    fn clear_ahead_of(&mut self, maker: u64) -> Result<(), Failure> {
        while let Some(id) = self.book.unnamed_ahead_of(maker) {
            let order = self.book.remove(id).expect("the book named it");
            let op = if order.pending == 0 { Op::Cancel } else { Op::Reduce };
            self.emit(op, id, order.side, order.price, order.leaves)?;
            self.counts.cancelled_ahead += 1;
        }
        Ok(())
    }

    /// Takes a reduce's quantity off its order.
    fn take(&mut self, row: &Row) {
        let taken = self.book.take(row.id, row.qty);
        self.counts.rows_beyond_leaves += u64::from(taken < row.qty);
    }

    /// A limit order; what it would cross is cancelled first.
    fn place(&mut self, id: u64, side: Side, price: i64, qty: u32) -> Result<(), Failure> {
        while let Some(crossed) = self.book.crossed_by(side, price) {
            let order = self.book.remove(crossed).expect("the book named it");
            self.emit(Op::Cancel, crossed, order.side, order.price, order.leaves)?;
            self.counts.cancelled_crossed += 1;
        }
        self.book.rest(id, side, price, qty);
        self.emit(Op::Limit, id, side, price, qty)
    }

    /// Rule 3: places the late orders with smaller ids than this add's.
    fn place_late_before(&mut self, id: u64) -> Result<(), Failure> {
        while let Some(entry) = self.by_id.get(self.passed).copied() {
            if self.late[entry as usize].id >= id {
                break;
            }
            self.passed += 1;
            self.place_late(entry)?;
        }
        Ok(())
    }

    /// Rule 3: places an order at once if it is late and not placed yet.
    fn place_if_late(&mut self, id: u64) -> Result<(), Failure> {
        match self.known[&id].late {
            NOT_LATE => Ok(()),
            entry => self.place_late(entry),
        }
    }

    fn place_late(&mut self, entry: u32) -> Result<(), Failure> {
        let order = &mut self.late[entry as usize];
        if order.placed {
            return Ok(());
        }
        order.placed = true;
        let Late { id, side, price, total, .. } = *order;
        assert!(self.book.get(id).is_none(), "late order {id} is live before it is placed");
        self.counts.first_seen_late += 1;
        self.place(id, side, price, total as u32)
    }

    /// After a row: its order may have been named for the last time.
    fn passed_row(&mut self, index: usize) {
        let id = self.rows[index].id;
        if self.known[&id].last_row as usize == index {
            self.book.mark_unnamed(id);
        }
    }

    fn emit(&mut self, op: Op, id: u64, side: Side, price: i64, qty: u32) -> Result<(), Failure> {
        self.counts.orders += 1;
        (self.write)(&OrderLine { op, id, side, price, qty })
    }
}
