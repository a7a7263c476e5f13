//! `wirebook replay`: a client that sends a flow over OUCH, and writes the fills it was told.

mod run;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use wirebook_bypass::stream::any::PortKind;

use super::failure::Failure;
use super::output::is_stdout;
use super::report::{JsonOption, Lines, Report, grouped, one_stdout, seconds, tell};
use crate::client::{Counts, Refusal};
use crate::session::Alpha;
use crate::session::ouch::ReasonCode;

pub use run::{Latency, Ran, Replay, Step};

/// Highest rate that can be asked for, in lines a second.
const MAX_RATE: u64 = 100_000_000;

/// Send a file of orders to a venue over OUCH, and write the fills it tells
///
/// Logs in over SoupBinTCP, sends every line as OUCH 5.0, pairs the executions that it is told, and writes them as fills. Against a
/// venue whose book is empty and which nobody else trades with, these are exactly the fills of `wirebook match`. Prices are sent as they
/// stand: OUCH's unit is a ten-thousandth of a dollar, as is LOBSTER's.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wirebook run --config gateway/wirebook.example.toml          in one terminal, and in another:
  wirebook replay orders.csv --to 127.0.0.1:9001 --tick-size 100 --fills told.csv
  wirebook replay orders.csv --to 127.0.0.1:9001 --rate 20000 --json - | jq .latency

With --rate, lines are sent by a schedule that waits for nobody, and latency counts from the scheduled time to the answer that the
client hears. Without it, they are sent as fast as answers come. A replace of an order that may have traded meanwhile waits until
everything before it is answered, as OUCH totals include what was executed.

Rejects are counted: here (an unknown or dead id, a duplicate live id, a price off the grid, a qty of 0 or beyond OUCH's 999,999), and
by the venue, with OUCH's reason.

Exit codes: 0 done; 1 done, but some executions were with orders of others, so the fills are not whole; 2 bad use or bad input, or no
venue to talk to.")]
pub struct ReplayArgs {
    /// The orders; `-` is standard input
    #[arg(value_name = "ORDERS.csv")]
    pub orders: PathBuf,
    /// The venue
    #[arg(long, value_name = "HOST:PORT")]
    pub to: String,
    /// Lines a second; without it, as fast as answers come
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_RATE))]
    pub rate: Option<u64>,
    /// Distance of two prices, in the file's unit
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub tick_size: i64,
    /// The fills to write; `-` is standard output
    #[arg(long, value_name = "OUT.csv")]
    pub fills: Option<PathBuf>,
    /// Whom to log in as: up to 6 characters
    #[arg(long, value_name = "NAME", default_value = "wire01", value_parser = alpha::<6>)]
    pub username: Alpha<6>,
    /// The password: up to 10 characters
    #[arg(long, value_name = "WORD", default_value = "wirebook", value_parser = alpha::<10>, hide_default_value = true)]
    pub password: Alpha<10>,
    /// The instrument: up to 8 characters
    #[arg(long, value_name = "SYMBOL", default_value = "AAPL", value_parser = alpha::<8>)]
    pub symbol: Alpha<8>,
    /// What carries the bytes: the venue's port
    #[arg(long, value_name = "PORT", default_value_t = PortKind::Kernel, value_parser = ports())]
    pub port: PortKind,
    /// With `--port shm`: the directory in which the venue is found, its [gateway] shm_dir
    #[arg(long, value_name = "DIR")]
    pub shm_dir: Option<PathBuf>,
    /// With `--port xdp`: the interface to speak through
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// With `--port xdp`: this client's own address, best one that the kernel does not have, and its network
    #[arg(long, value_name = "ADDRESS/PREFIX", value_parser = own_address)]
    pub address: Option<(Ipv4Addr, u8)>,
    /// Where the report goes
    #[command(flatten)]
    pub json: JsonOption,
}

/// Reads a port's name.
pub fn ports() -> impl TypedValueParser<Value = PortKind> {
    let read = |name: String| PortKind::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or_default();
    PossibleValuesParser::new(PortKind::ALL.map(PortKind::name)).map(read)
}

/// Reads an address with the length of its network's prefix.
fn own_address(text: &str) -> Result<(Ipv4Addr, u8), String> {
    text.split_once('/')
        .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok().filter(|bits| *bits <= 32)?)))
        .ok_or_else(|| "use an IPv4 address and the length of its network's prefix, such as 10.77.0.2/24".to_owned())
}

fn alpha<const N: usize>(text: &str) -> Result<Alpha<N>, String> {
    Alpha::new(text)
        .filter(|text| !text.is_blank())
        .ok_or_else(|| format!("allowed are 1 to {N} printable ASCII characters"))
}

/// What a replay tells.
#[derive(Debug, Serialize)]
struct Replayed {
    orders: u64,
    sent: u64,
    accepted: u64,
    fills: u64,
    traded: u128,
    rejects: u64,
    rejects_here: Vec<(String, u64)>,
    rejects_by_venue: Vec<(String, u64)>,
    /// Executions whose other side was not told.
    unpaired: u64,
    foreign_messages: u64,
    barriers: u64,
    elapsed_ns: u64,
    orders_per_second: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
}

impl Replayed {
    fn new(counts: &Counts, by_venue: &[(ReasonCode, u64)], ran: &run::Ran) -> Self {
        let here = Refusal::ALL.iter().map(|reason| (reason.to_string(), counts.refused[*reason as usize]));
        let name = |code: ReasonCode| match code.get() {
            Some(reason) => reason.text().to_owned(),
            None => format!("reason {:#06x}", code.0),
        };
        Self {
            orders: counts.lines,
            sent: counts.sent,
            accepted: counts.accepted,
            fills: counts.fills,
            traded: counts.traded,
            rejects: counts.rejected + counts.refused.iter().sum::<u64>(),
            rejects_here: here.filter(|(_, count)| *count > 0).collect(),
            rejects_by_venue: by_venue.iter().map(|(code, count)| (name(*code), *count)).collect(),
            unpaired: ran.unpaired,
            foreign_messages: counts.foreign,
            barriers: ran.barriers,
            elapsed_ns: u64::try_from(ran.elapsed.as_nanos()).unwrap_or(u64::MAX),
            orders_per_second: super::report::rate(counts.lines, ran.elapsed),
            latency: ran.latency,
        }
    }
}

impl Report for Replayed {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines.add("orders", grouped(self.orders));
        lines.add("sent", grouped(self.sent));
        lines.add("accepted", grouped(self.accepted));
        lines.add("fills", format!("{} ({} lots)", grouped(self.fills), grouped(self.traded)));
        lines.add("rejects", grouped(self.rejects));
        for (reason, count) in &self.rejects_here {
            lines.add(format!("  not sent or superfluous: {reason}"), grouped(*count));
        }
        for (reason, count) in &self.rejects_by_venue {
            lines.add(format!("  by the venue: {reason}"), grouped(*count));
        }
        lines.add_some("executions with orders of others", self.unpaired);
        lines.add_some("messages about orders not of this run", self.foreign_messages);
        lines.add_some("waits for everything to be answered", self.barriers);
        let elapsed = Duration::from_nanos(self.elapsed_ns);
        lines.add("time", format!("{} ({} orders/s)", seconds(elapsed), grouped(self.orders_per_second)));
        if let Some(latency) = &self.latency {
            latency.add_to(&mut lines);
        }
        lines
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input, no venue to talk to, and fills that are not whole.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    one_stdout(&args.json, args.fills.as_deref(), "--fills")?;
    let peer = resolve(&args.to)?;
    let (report, unpaired) = {
        let (steps, bar) = run::steps(&args.orders)?;
        let mut replay = Replay::open(args, peer)?;
        let ran = replay.run(steps, args)?;
        let (counts, rejects) = replay.finish()?;
        bar.finish_and_clear();
        (Replayed::new(&counts, &rejects, &ran), ran.unpaired)
    };
    tell(&report, &args.json, args.fills.as_deref().is_some_and(is_stdout))?;
    if unpaired > 0 {
        return Err(Failure::found_it(format!(
            "{unpaired} executions were with orders that this run did not send, and are not among the fills"
        ))
        .next("replay against a venue whose book is empty, and which nobody else trades with"));
    }
    Ok(())
}

fn resolve(to: &str) -> Result<SocketAddr, Failure> {
    let wrong = |what: String| {
        Failure::bad(what)
            .field("--to")
            .found(to)
            .allowed("HOST:PORT, such as 127.0.0.1:9001")
            .next("give the address that the venue printed as `listening on`")
    };
    let mut found = to
        .to_socket_addrs()
        .map_err(|error| wrong(format!("the venue's address cannot be found: {}", super::failure::describe(&error))))?;
    found.next().ok_or_else(|| wrong("the venue's name has no address".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn addresses_are_read() {
        assert_eq!(resolve("127.0.0.1:9001").unwrap(), SocketAddr::from(([127, 0, 0, 1], 9001)));
        for wrong in ["127.0.0.1", "nowhere", ":", "127.0.0.1:99999"] {
            let text = resolve(wrong).unwrap_err().to_string();
            assert!(text.contains("--to") && text.contains("HOST:PORT"), "{text}");
        }
    }

    #[test]
    fn names_that_do_not_fit_are_bad_use() {
        let base = ["wirebook", "replay", "o.csv", "--to", "127.0.0.1:1"];
        assert!(Cli::try_parse_from(base).is_ok());
        for wrong in [["--username", "sevenxx"], ["--symbol", "ninechars"], ["--rate", "0"], ["--tick-size", "0"]] {
            assert!(Cli::try_parse_from(base.iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_venue_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let orders = dir.path().join("orders.csv");
        std::fs::write(&orders, "op,id,side,price,qty\n").unwrap();
        // A port that was free a moment ago: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let args = ReplayArgs {
            orders,
            to: format!("127.0.0.1:{port}"),
            rate: None,
            tick_size: 1,
            fills: Some(dir.path().join("fills.csv")),
            username: Alpha::new("wire01").unwrap(),
            password: Alpha::new("wirebook").unwrap(),
            symbol: Alpha::new("AAPL").unwrap(),
            port: PortKind::Kernel,
            shm_dir: None,
            interface: None,
            address: None,
            json: JsonOption::default(),
        };
        let failure = run(&args).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("cannot connect") && failure.to_string().contains("next:"), "{failure}");
        assert!(!dir.path().join("fills.csv").exists());
    }
}
