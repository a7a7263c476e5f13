//! `wirebook match`: orders in, fills out, without a network.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Serialize;
use wirebook_matcher::flow::{CsvError, FlowError, Matched, Refused, match_orders};
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
    /// A model of the device behind its driver, registers and rings, followed by the software twin (demo only)
    DeviceModel,
}

impl MatcherChoice {
    /// Its name as typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Reference => "reference",
            Self::Rtl => "rtl",
            Self::DeviceModel => "device-model",
        }
    }

    /// How an offline match answers to `device-model`.
    fn not_offline(self) -> Failure {
        Failure::bad("a device needs a gateway to drive it")
            .field("--matcher")
            .found(self.name())
            .allowed("software, reference, rtl")
            .next("use wirebook demo --matcher device-model")
    }

    /// How a build without the Verilated model answers to `rtl`.
    #[cfg(not(feature = "rtl"))]
    pub fn rtl_is_missing() -> Failure {
        Failure::bad("this build has no Verilated model of the kernel")
            .field("--matcher")
            .found("rtl")
            .allowed("software, reference")
            .next(
                "build with the cargo feature `rtl` (it needs Verilator: Debian's package verilator), or use --matcher software",
            )
    }
}

/// Match a file of orders, without a network: orders in, fills out
///
/// One instrument, price-time priority, fills at the resting order's price. The file is read twice, so it must be a regular file; memory
/// follows the orders that live at once and the width of the prices, not the length of the file. An op on an unknown or dead id, a duplicate live id, a price off
/// the grid and a qty of 0 are counted as rejects and change nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wirebook match orders.csv --fills fills.csv
  wirebook match orders.csv --fills - --tick-size 100 --matcher reference | head
  wirebook match orders.csv --fills fills.csv --json - | jq .orders_per_second

Orders CSV: header op,id,side,price,qty. op: A limit, X immediate or cancel, F fill or kill, P post-only, R reduce by qty, C cancel,
U replace with price and qty (keeps its id, loses its priority). side: 1 buy, -1 sell. price: an integer, a multiple of --tick-size.
Fills CSV: header aggressor,resting_id,price,qty,resting_side, in the order in which they happened. fills_digest is its SHA-256, as
sha256sum prints it, and as `wirebook-bench matcher --orders` finds it for each engine.

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
struct Told {
    matcher: &'static str,
    orders: u64,
    events: u64,
    fills: u64,
    fills_digest: String,
    traded: u128,
    live: u64,
    rejects: u64,
    rejects_by_reason: Vec<(String, u64)>,
    elapsed_ns: u64,
    orders_per_second: u64,
    matching_ns: u64,
    matching_ns_per_order: f64,
    peak_memory_bytes: Option<u64>,
}

impl Told {
    fn new(matcher: MatcherChoice, matched: Matched, elapsed: Duration) -> Self {
        let Matched { summary, fills_digest, matching } = matched;
        let reasons = Refused::ALL.iter().map(|reason| (reason.to_string(), summary.refused_by[*reason as usize]));
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            matcher: matcher.name(),
            orders: summary.lines,
            events: summary.events,
            fills: summary.fills,
            fills_digest,
            traded: summary.traded,
            live: summary.live,
            rejects: summary.refused,
            rejects_by_reason: reasons.filter(|(_, count)| *count > 0).collect(),
            elapsed_ns: nanos(elapsed),
            orders_per_second: rate(summary.lines, elapsed),
            matching_ns: nanos(matching),
            matching_ns_per_order: nanos(matching) as f64 / summary.lines.max(1) as f64,
            peak_memory_bytes: peak_memory(),
        }
    }
}

/// The most memory that this process has had resident, in bytes; none where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

impl Report for Told {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines.add("matcher", self.matcher);
        lines.add("orders", grouped(self.orders));
        lines.add("events", grouped(self.events));
        lines.add("fills", format!("{} ({} lots)", grouped(self.fills), grouped(self.traded)));
        lines.add("fills digest", &self.fills_digest);
        lines.add("rejects", grouped(self.rejects));
        for (reason, count) in &self.rejects_by_reason {
            lines.add(format!("  {reason}"), grouped(*count));
        }
        lines.add("orders still live", grouped(self.live));
        let elapsed = Duration::from_nanos(self.elapsed_ns);
        let per_second = grouped(self.orders_per_second);
        lines.add("time", format!("{} ({per_second} orders/s, reading twice and writing included)", seconds(elapsed)));
        let matching = seconds(Duration::from_nanos(self.matching_ns));
        lines
            .add("of it matching", format!("{matching} ({:.1} ns an order, ids included)", self.matching_ns_per_order));
        if let Some(bytes) = self.peak_memory_bytes {
            lines.add("peak memory", format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)));
        }
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
    // Each byte is read twice: for the band of the prices, and to match.
    let bar = progress::bytes_bar("matching", found.len() * 2);
    let place = bar.clone();
    let orders = BufReader::with_capacity(1 << 16, Counted { file, place });
    let mut fills = Output::create(&args.fills)?;
    let quiet = |_lines: u64| {};
    let matched = match args.matcher {
        MatcherChoice::Software => match_orders::<Software>(&name, orders, args.tick_size, &mut fills, quiet),
        MatcherChoice::Reference => match_orders::<Reference>(&name, orders, args.tick_size, &mut fills, quiet),
        #[cfg(feature = "rtl")]
        MatcherChoice::Rtl => {
            match_orders::<wirebook_matcher::rtl::RtlTwin>(&name, orders, args.tick_size, &mut fills, quiet)
        }
        #[cfg(not(feature = "rtl"))]
        MatcherChoice::Rtl => return Err(MatcherChoice::rtl_is_missing()),
        MatcherChoice::DeviceModel => return Err(args.matcher.not_offline()),
    };
    bar.finish_and_clear();
    let matched = matched.map_err(|error| flow_failure(error, &args.orders, &args.fills))?;
    fills.finish()?;
    tell(&Told::new(args.matcher, matched, started.elapsed()), &args.json, is_stdout(&args.fills))
}

/// A file whose reading moves a bar; going back to its start does not.
struct Counted {
    file: File,
    place: ProgressBar,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes)?;
        self.place.inc(read as u64);
        Ok(read)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
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
        FlowError::Matcher(why) => Failure::bad(format!("the matcher cannot match this file: {why}"))
            .file(orders.display())
            .next("give the distance of two prices as --tick-size, so that the band is narrower, or use --matcher software"),
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
    /// As `sha256sum` says of these fills.
    const FILLS_DIGEST: &str = "064a593c5ef3841fca5996ca2ea33e7a78f7f5f11f87e4f93c97ab7c792b9c7b";

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
        let rtl = cfg!(feature = "rtl").then_some(MatcherChoice::Rtl);
        for matcher in [MatcherChoice::Software, MatcherChoice::Reference].into_iter().chain(rtl) {
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
            assert_eq!(json["fills_digest"], FILLS_DIGEST);
            assert!(json["peak_memory_bytes"].as_u64().unwrap() > 1 << 20 && json["matching_ns"].as_u64().unwrap() > 0);
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

    #[cfg(not(feature = "rtl"))]
    #[test]
    fn rtl_names_the_cargo_feature() {
        let dir = tempfile::tempdir().unwrap();
        let text = run(&args(dir.path(), MatcherChoice::Rtl)).unwrap_err().to_string();
        assert!(text.contains("cargo feature `rtl`"), "{text}");
        assert!(!dir.path().join("fills.csv").exists());
    }

    /// Matches a file, and gives the fills without their header, or what the failure says.
    fn fills_of(orders: &str, tick_size: i64) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let args = MatchArgs { tick_size, ..args(dir.path(), MatcherChoice::Software) };
        fs::write(&args.orders, orders).unwrap();
        run(&args).map_err(|failure| failure.to_string())?;
        let fills = fs::read_to_string(&args.fills).unwrap();
        Ok(fills.split_once('\n').unwrap().1.to_owned())
    }

    #[test]
    fn odd_files_are_matched_or_told() {
        let unix = "op,id,side,price,qty\nA,1,-1,100,5\nX,2,1,100,7\n";
        let fills = Ok("2,1,100,5,-1\n".to_owned());
        assert_eq!(fills_of(unix, 1), fills);
        assert_eq!(fills_of(&unix.replace('\n', "\r\n"), 1), fills, "lines end in either way");
        assert_eq!(fills_of(unix.trim_end(), 1), fills, "the last line needs no end");
        assert_eq!(fills_of(&unix.replace("\nX", "\n\n\nX"), 1), fills, "empty lines are skipped");

        let ids = "op,id,side,price,qty\nA,18446744073709551615,1,-500,2147483647\nX,0,-1,-500,1\nA,0,-1,-400,1\n";
        assert_eq!(fills_of(ids, 100), Ok("0,18446744073709551615,-500,1,1\n".to_owned()));
        let ends = "op,id,side,price,qty\nA,1,1,9223372036854775800,1\nX,2,-1,9223372036854775790,1\n";
        assert_eq!(fills_of(ends, 10), Ok("2,1,9223372036854775800,1,1\n".to_owned()));
        let lowest = "op,id,side,price,qty\nA,1,1,-9223372036854775808,1\nX,2,-1,-9223372036854775808,1\n";
        assert_eq!(fills_of(lowest, 1), Ok("2,1,-9223372036854775808,1,1\n".to_owned()));

        let wide = "op,id,side,price,qty\nA,1,1,-9223372036854775808,1\nA,2,-1,9223372036854775807,1\n";
        assert!(fills_of(wide, 1).unwrap_err().contains("--tick-size"));
        assert_eq!(fills_of("op,id,side,price,qty\n", 1), Ok(String::new()), "no orders, no fills");
        for (orders, parts) in [
            ("", ["the end of the file", "op,id,side,price,qty"]),
            ("op;id;side;price;qty\n", ["line 1", "op;id;side;price;qty"]),
            ("op,id,side,price,qty\nA,18446744073709551616,1,1,1\n", ["line 2", "18446744073709551616"]),
            ("op,id,side,price,qty\nA,1,1,9223372036854775808,1\n", ["line 2", "9223372036854775808"]),
            ("op,id,side,price,qty\nA,1,1,1,1\nA,1,1,1,2147483648\n", ["line 3", "2147483648"]),
            ("op,id,side,price,qty\nA,1,1,1 ,1\n", ["line 2", "field `price`"]),
            ("op,id,side,price,qty\nA,1,1,1,1,\n", ["line 2", "5 fields"]),
        ] {
            let told = fills_of(orders, 1).unwrap_err();
            assert!(parts.iter().all(|part| told.contains(part)), "{orders:?}: {told}");
        }
    }
}
