//! `wirebook convert`: recorded market data to orders.

mod book;
mod lobster;
mod rows;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use wirebook_matcher::flow::OrdersWriter;

use super::failure::Failure;
use super::output::{Output, is_stdout};
use super::progress;
use super::report::{JsonOption, Lines, Report, grouped, one_stdout, rate, seconds, tell};
pub use lobster::{Counts, convert};
pub use rows::Rows;

/// Rows between two looks at the progress bar.
const PROGRESS_EVERY: u64 = 4096;

/// Formats of recorded market data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// LOBSTER message files: time,type,order id,size,price,direction
    Lobster,
}

/// Turn recorded market data into orders
///
/// The result is an Orders CSV (header op,id,side,price,qty) that `wirebook match` and `wirebook replay` read. Matching it makes the
/// executions that the recording tells of. Prices stay as recorded: in LOBSTER's files they are dollars times 10,000, so a cent is
/// a --tick-size of 100.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wirebook convert --format lobster AAPL_message_10.csv orders.csv
  wirebook match orders.csv --tick-size 100 --fills fills.csv

Rules for LOBSTER: rows of type 1 rest, 2 reduce, 3 cancel; types 5, 6 and 7 are dropped. Executions (type 4) of one time and side
become one immediate-or-cancel order with ids 1, 2, 3 ... Orders that the file never adds are added with what is later taken from
them. Orders that stand in the way of what was recorded, because the file does not show that they left, are cancelled.

Exit codes: 0 done, 2 bad use or bad input.")]
pub struct ConvertArgs {
    /// Format of the recording
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Format,
    /// The recording; for lobster the message file, not the order book file
    #[arg(value_name = "MESSAGES.csv")]
    pub messages: PathBuf,
    /// The orders to write; `-` is standard output
    #[arg(value_name = "ORDERS.csv")]
    pub orders: PathBuf,
    /// Where the report goes
    #[command(flatten)]
    pub json: JsonOption,
}

/// What a conversion tells.
#[derive(Debug, Serialize)]
struct Converted {
    rows: u64,
    hidden_executions: u64,
    auction_crosses: u64,
    halts: u64,
    #[serde(flatten)]
    counts: Counts,
    elapsed_ns: u64,
    rows_per_second: u64,
}

impl Report for Converted {
    fn lines(&self) -> Lines {
        let counts = &self.counts;
        let mut lines = Lines::default();
        lines.add("rows", grouped(self.rows));
        lines.add_some("  hidden executions, dropped", self.hidden_executions);
        lines.add_some("  auction crosses, dropped", self.auction_crosses);
        lines.add_some("  halts, dropped", self.halts);
        lines.add_some("  about orders that are gone, dropped", counts.rows_without_order);
        lines.add_some("  taking more than was known to be left", counts.rows_beyond_leaves);
        lines.add("orders file lines", grouped(counts.orders));
        lines.add("  limit orders", grouped(counts.adds));
        lines.add_some("  limit orders first seen late", counts.first_seen_late);
        lines.add("  reduces", grouped(counts.reduces));
        lines.add("  cancels", grouped(counts.cancels));
        lines.add(
            "  immediate-or-cancel orders",
            format!("{} of {} executions", grouped(counts.runs), grouped(counts.executions)),
        );
        lines.add_some("  executions whose maker was not first: reduces", counts.executions_as_reduces);
        lines.add_some("  cancelled for an add that would cross them", counts.cancelled_crossed);
        lines.add_some("  cancelled from before a maker", counts.cancelled_ahead);
        let elapsed = std::time::Duration::from_nanos(self.elapsed_ns);
        lines.add("time", format!("{} ({} rows/s)", seconds(elapsed), grouped(self.rows_per_second)));
        lines
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input, and files that cannot be read or written.
pub fn run(args: &ConvertArgs) -> Result<(), Failure> {
    one_stdout(&args.json, Some(&args.orders), "ORDERS.csv")?;
    let Format::Lobster = args.format;
    let started = Instant::now();
    let name = args.messages.display().to_string();
    let file = File::open(&args.messages).map_err(|error| Failure::io("read", &args.messages, &error))?;
    let size = file.metadata().map_or(0, |found| found.len());
    let bar = progress::bytes_bar("reading", size);
    let rows = Rows::read(&name, bar.wrap_read(BufReader::with_capacity(1 << 16, file)))?;
    bar.finish_and_clear();
    let bar = progress::bar("converting", "rows", rows.kept.len() as u64);
    let mut writer =
        OrdersWriter::new(Output::create(&args.orders)?).map_err(|error| Failure::io("write", &args.orders, &error))?;
    let mut shown = 0;
    let counts = convert(
        &name,
        &rows,
        |line| writer.write(line).map_err(|error| Failure::io("write", &args.orders, &error)),
        |done| {
            if done - shown >= PROGRESS_EVERY {
                shown = done;
                bar.set_position(done);
            }
        },
    )?;
    let output = writer.finish().map_err(|error| Failure::io("write", &args.orders, &error))?;
    output.finish()?;
    bar.finish_and_clear();
    let elapsed = started.elapsed();
    let total: u64 = rows.by_type.iter().sum();
    let report = Converted {
        rows: total,
        hidden_executions: rows.by_type[5],
        auction_crosses: rows.by_type[6],
        halts: rows.by_type[7],
        counts,
        elapsed_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
        rows_per_second: rate(total, elapsed),
    };
    tell(&report, &args.json, is_stdout(&args.orders))
}
