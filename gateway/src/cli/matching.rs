//! `wirebook match`: orders in, fills out, without a network.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use wirebook_matcher::flow::{CsvError, FlowError, Refused, Summary, match_orders};
use wirebook_matcher::{Reference, Software};

use super::failure::Failure;
use super::output::{Output, is_stdout};
use super::progress;
use super::report::{JsonOption, Lines, Report, grouped, one_stdout, rate, seconds, tell};

/// The matchers that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MatcherChoice {
    /// The fast twin of the hardware
    Software,
    /// The plain one that others are checked against
    Reference,
    /// The hardware's own source, Verilated (needs a build with the cargo feature `rtl`)
    Rtl,
}

impl MatcherChoice {
    /// Its name as typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Reference => "reference",
            Self::Rtl => "rtl",
        }
    }

    /// How a build without the Verilated model answers to `rtl`.
    pub fn rtl_is_missing() -> Failure {
        Failure::bad("this build has no Verilated model of the kernel")
            .field("--matcher")
            .found("rtl")
            .allowed("software, reference")
            .next(
                "the model is built by the cargo feature `rtl` of the package wirebook-matcher; use --matcher software",
            )
    }
}

/// Match a file of orders, without a network: orders in, fills out
///
/// One instrument, price-time priority, fills at the resting order's price. The file is read twice, so it must be a regular file; memory
/// stays bounded by the live orders and the width of the prices. An op on an unknown or dead id, a duplicate live id, a price off
/// the grid and a qty of 0 are counted as rejects and change nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wirebook match orders.csv --fills fills.csv
  wirebook match orders.csv --fills - --tick-size 100 --matcher reference | head
  wirebook match orders.csv --fills fills.csv --json - | jq .orders_per_second

Orders CSV: header op,id,side,price,qty. op: A limit, X immediate or cancel, F fill or kill, P post-only, R reduce by qty, C cancel,
U replace with price and qty (keeps its id, loses its priority). side: 1 buy, -1 sell. price: an integer, a multiple of --tick-size.
Fills CSV: header aggressor,resting_id,price,qty,resting_side, in the order in which they happened.

Exit codes: 0 done (rejects are counted, not an error), 2 bad use or bad input.")]
pub struct MatchArgs {
    /// The orders
    #[arg(value_name = "ORDERS.csv")]
    pub orders: PathBuf,
    /// The fills to write; `-` is standard output
    #[arg(long, value_name = "OUT.csv")]
    pub fills: PathBuf,
    /// What matches
    #[arg(long, value_enum, value_name = "MATCHER", default_value = "software")]
    pub matcher: MatcherChoice,
    /// Distance of two prices, in the file's unit
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub tick_size: i64,
    /// Where the report goes
    #[command(flatten)]
    pub json: JsonOption,
}

/// What a run tells.
#[derive(Debug, Serialize)]
struct Matched {
    matcher: &'static str,
    orders: u64,
    events: u64,
    fills: u64,
    traded: u128,
    live: u64,
    rejects: u64,
    rejects_by_reason: Vec<(String, u64)>,
    elapsed_ns: u64,
    orders_per_second: u64,
}

impl Matched {
    fn new(matcher: MatcherChoice, summary: &Summary, elapsed: Duration) -> Self {
        let reasons = Refused::ALL.iter().map(|reason| (reason.to_string(), summary.refused_by[*reason as usize]));
        Self {
            matcher: matcher.name(),
            orders: summary.lines,
            events: summary.events,
            fills: summary.fills,
            traded: summary.traded,
            live: summary.live,
            rejects: summary.refused,
            rejects_by_reason: reasons.filter(|(_, count)| *count > 0).collect(),
            elapsed_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
            orders_per_second: rate(summary.lines, elapsed),
        }
    }
}

impl Report for Matched {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines.add("matcher", self.matcher);
        lines.add("orders", grouped(self.orders));
        lines.add("events", grouped(self.events));
        lines.add("fills", format!("{} ({} lots)", grouped(self.fills), grouped(self.traded)));
        lines.add("rejects", grouped(self.rejects));
        for (reason, count) in &self.rejects_by_reason {
            lines.add(format!("  {reason}"), grouped(*count));
        }
        lines.add("orders still live", grouped(self.live));
        let elapsed = Duration::from_nanos(self.elapsed_ns);
        lines.add(
            "time",
            format!(
                "{} ({} orders/s, reading and writing included)",
                seconds(elapsed),
                grouped(self.orders_per_second)
            ),
        );
        lines
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input, and files that cannot be read or written.
pub fn run(args: &MatchArgs) -> Result<(), Failure> {
    one_stdout(&args.json, Some(&args.fills), "--fills")?;
    let file = File::open(&args.orders).map_err(|error| Failure::io("read", &args.orders, &error))?;
    let found = file.metadata().map_err(|error| Failure::io("read", &args.orders, &error))?;
    if !found.is_file() {
        return Err(Failure::bad("the orders must be a regular file, as they are read twice")
            .file(args.orders.display())
            .next("write them to a file first"));
    }
    let started = Instant::now();
    let name = args.orders.display().to_string();
    let bar = progress::bytes_bar("matching", found.len());
    let orders = bar.wrap_read(BufReader::with_capacity(1 << 16, file));
    let mut fills = Output::create(&args.fills)?;
    let quiet = |_lines: u64| {};
    let summary = match args.matcher {
        MatcherChoice::Software => match_orders::<Software>(&name, orders, args.tick_size, &mut fills, quiet),
        MatcherChoice::Reference => match_orders::<Reference>(&name, orders, args.tick_size, &mut fills, quiet),
        MatcherChoice::Rtl => return Err(MatcherChoice::rtl_is_missing()),
    };
    bar.finish_and_clear();
    let summary = summary.map_err(|error| flow_failure(error, &args.orders, &args.fills))?;
    fills.finish()?;
    tell(&Matched::new(args.matcher, &summary, started.elapsed()), &args.json, is_stdout(&args.fills))
}

/// Why a file of orders or fills cannot be read, as a user's failure.
pub fn csv_failure(error: CsvError) -> Failure {
    match error {
        CsvError::Field { file, line, error } => Failure::bad("a line of the file cannot be read")
            .file(file)
            .line(line)
            .field(error.field)
            .found(error.found)
            .allowed(error.allowed),
        CsvError::Io { file, line, source } => {
            Failure::bad(format!("cannot read the file: {}", super::failure::describe(&source))).file(file).line(line)
        }
    }
}

fn flow_failure(error: FlowError, orders: &std::path::Path, fills: &std::path::Path) -> Failure {
    match error {
        FlowError::Orders(error) => csv_failure(error),
        FlowError::Band { file, error } => Failure::bad(format!("the prices make no book: {error}"))
            .file(file)
            .next("give the distance of two prices as --tick-size; for LOBSTER's prices of a cent it is 100"),
        FlowError::Rewind { source, .. } => Failure::io("read again", orders, &source),
        FlowError::Fills(error) => Failure::io("write the fills", fills, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ORDERS: &str = "op,id,side,price,qty\nA,1,-1,100,5\nA,2,-1,100,5\nX,3,1,101,7\nC,9,1,0,0\nA,4,1,99,0\n";
    const FILLS: &str = "aggressor,resting_id,price,qty,resting_side\n3,1,100,5,-1\n3,2,100,2,-1\n";

    fn args(dir: &std::path::Path, matcher: MatcherChoice) -> MatchArgs {
        fs::write(dir.join("orders.csv"), ORDERS).unwrap();
        MatchArgs {
            orders: dir.join("orders.csv"),
            fills: dir.join("fills.csv"),
            matcher,
            tick_size: 1,
            json: JsonOption { json: Some(dir.join("report.json")) },
        }
    }

    #[test]
    fn both_matchers_answer_and_count() {
        for matcher in [MatcherChoice::Software, MatcherChoice::Reference] {
            let dir = tempfile::tempdir().unwrap();
            run(&args(dir.path(), matcher)).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join("fills.csv")).unwrap(), FILLS);
            let json: serde_json::Value =
                serde_json::from_str(&fs::read_to_string(dir.path().join("report.json")).unwrap()).unwrap();
            assert_eq!(json["orders"], 5);
            assert_eq!(json["fills"], 2);
            assert_eq!(json["rejects"], 2);
            assert_eq!(json["rejects_by_reason"][0][1], 1);
            assert_eq!(json["matcher"], matcher.name());
        }
    }

    #[test]
    fn bad_input_leaves_no_fills() {
        let dir = tempfile::tempdir().unwrap();
        let args = args(dir.path(), MatcherChoice::Software);
        fs::write(&args.orders, "op,id,side,price,qty\nA,1,1,100,5\nA,2,1,1x,5\n").unwrap();
        let failure = run(&args).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        let text = failure.to_string();
        assert!(text.contains("line 3") && text.contains("field `price`") && text.contains("`1x`"), "{text}");
        assert!(!args.fills.exists());
    }

    #[test]
    fn prices_too_far_apart_and_pipes_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = args(dir.path(), MatcherChoice::Software);
        fs::write(&args.orders, "op,id,side,price,qty\nA,1,1,1,5\nA,2,1,1000000000000,5\n").unwrap();
        assert!(run(&args).unwrap_err().to_string().contains("--tick-size"));
        args.orders = "/dev/null".into();
        assert!(run(&args).unwrap_err().to_string().contains("regular file"));
        args.orders = dir.path().join("missing.csv");
        assert_eq!(run(&args).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn rtl_names_the_cargo_feature() {
        let dir = tempfile::tempdir().unwrap();
        let text = run(&args(dir.path(), MatcherChoice::Rtl)).unwrap_err().to_string();
        assert!(text.contains("cargo feature `rtl`"), "{text}");
        assert!(!dir.path().join("fills.csv").exists());
    }
}
