//! `wirebook demo`: the whole venue in one process, doing its main job on embedded defaults.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use wirebook_bypass::frame::veth::{self, End, Namespace};
use wirebook_bypass::stream::any::PortKind;
use wirebook_matcher::Reference;
use wirebook_matcher::flow::{OrdersWriter, Realistic, RealisticConfig};

use super::failure::Failure;
use super::journal::{self, Verified, hex};
use super::matching::MatcherChoice;
use super::output::Output;
use super::progress;
use super::replay::{Latency, Ran, Replay, ReplayArgs, Step, ports};
use super::report::{JsonOption, Lines, Report, grouped, one_stdout, rate, seconds, tell};
use super::run::{cannot_start, stopped};
use crate::client::Counts;
use crate::config::{Config, EXAMPLE, MatcherKind, Xdp};
use crate::serve::{self, Ended, Running, StartError};

/// The flow's first price, in ten-thousandths of a dollar: $150.
const MID: i64 = 1_500_000;
/// A cent.
const TICK_SIZE: i64 = 100;
/// The two ends of the wire of `--port xdp`: interface and address; and the length of their network's prefix.
const VENUE: (&str, Ipv4Addr) = ("venue", Ipv4Addr::new(10, 77, 0, 1));
const CLIENT: (&str, Ipv4Addr) = ("client", Ipv4Addr::new(10, 77, 0, 2));
const PREFIX: u8 = 24;

/// Run everything once, in this process: gateway, client, matcher, journal, validator
///
/// A client sends a realistic flow over loopback TCP by a schedule that waits for nobody; the venue validates, matches, journals and
/// reports it, and settles every fill. What clients were told, what the journal holds and what was settled is compared at the end.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook demo
  wirebook demo --port xdp      TCP in user space, over a wire of two interfaces of its own (as root)
  wirebook demo --seed 7 --dump D
  wirebook match D/orders.csv --matcher reference --fills F && cmp F D/fills.csv     the same fills, from the plain matcher
  wirebook demo --matcher rtl                                                        on the hardware's own source (cargo feature `rtl`)
  wirebook journal verify D/journal                                                  the same root, from the journal alone

Exit codes: 0 done and right; 1 something was lost, differs or does not verify; 2 bad use or bad input.")]
pub struct DemoArgs {
    /// How long the flow lasts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Orders a second
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// Seed of the flow: the same seed gives the same orders
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Who matches
    #[arg(long, value_enum, default_value_t = MatcherChoice::Software)]
    matcher: MatcherChoice,
    /// With --matcher device-model: the device stalls after this many events, and the software twin takes over
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_after: u32,
    /// What carries the bytes
    #[arg(long, value_name = "PORT", default_value_t = PortKind::Kernel, value_parser = ports())]
    port: PortKind,
    /// Keep orders.csv, fills.csv and journal/ in this directory, which must be new or empty
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    #[command(flatten)]
    json: JsonOption,
}

/// What a demo tells.
#[derive(Debug, Serialize)]
struct Told {
    orders: u64,
    accepted: u64,
    events: u64,
    fills: u64,
    traded_lots: u128,
    /// Orders without an answer, and fills told to one side alone.
    lost: u64,
    rejected: u64,
    orders_per_second: u64,
    scheduled_per_second: u64,
    latency: Option<Latency>,
    journal_records: u64,
    journal_verified: bool,
    settled_height: u64,
    settled_root: String,
    root: String,
    ack: String,
    port: &'static str,
    matcher: &'static str,
    /// How often the software twin has taken over from a device.
    takeovers: u64,
    seed: u64,
    #[serde(skip)]
    asked_to_fail: bool,
    #[serde(skip)]
    settlement: bool,
    #[serde(skip)]
    elapsed: Duration,
}

impl Report for Told {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines
            .add("orders", grouped(self.orders))
            .add("accepted", grouped(self.accepted))
            .add("events", grouped(self.events))
            .add("fills", format!("{} ({} lots)", grouped(self.fills), grouped(self.traded_lots)))
            .add("lost", grouped(self.lost))
            .add_some("rejected", self.rejected);
        let asked = grouped(self.scheduled_per_second);
        lines.add(
            "time",
            format!("{}, {} orders/s (asked: {asked})", seconds(self.elapsed), grouped(self.orders_per_second)),
        );
        if let Some(latency) = &self.latency {
            latency.add_to(&mut lines);
        }
        lines.add_some("takeovers", self.takeovers);
        lines
            .add("port", self.port)
            .add("ack policy", &self.ack)
            .add("journal", format!("verified, {} records re-executed", grouped(self.journal_records)));
        if self.settlement {
            lines.add("settled height", format!("{} (all of it)", grouped(self.settled_height)));
        } else {
            lines.add("settled height", "none: this build has no validator (cargo feature `settlement`)");
        }
        lines.add("root", &self.root);
        lines
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 when something was lost or does not agree.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    one_stdout(&args.json, None, "")?;
    super::log::start("warn");
    // Everything that is not kept goes with this directory.
    let scratch = tempfile_dir()?;
    let dump = match &args.dump {
        Some(dump) => new_dir(dump)?,
        None => scratch.0.clone(),
    };
    let mut config = Config::parse("the demo's configuration", EXAMPLE, &scratch.0)?;
    config.gateway.listen = ([127, 0, 0, 1], 0).into();
    config.set_port(args.port);
    if args.port == PortKind::Xdp {
        a_wire_of_its_own(&mut config)?;
    }
    config.journal.dir = dump.join("journal");
    if args.matcher == MatcherChoice::DeviceModel {
        config.matcher.kind = MatcherKind::DeviceModel;
        config.matcher.drill_after_events = args.fail_after;
    } else if args.fail_after > 0 {
        return Err(Failure::bad("only a device can be made to fail")
            .field("--fail-after")
            .found(args.fail_after)
            .allowed("0, unless --matcher is device-model"));
    }
    let flow = RealisticConfig { seed: args.seed, mid: MID, tick_size: TICK_SIZE, ..RealisticConfig::default() };
    let told = match args.matcher {
        MatcherChoice::Software | MatcherChoice::DeviceModel => {
            demo(args, &config, flow, &dump, serve::start_configured)?
        }
        MatcherChoice::Reference => demo(args, &config, flow, &dump, serve::start::<Reference>)?,
        #[cfg(feature = "rtl")]
        MatcherChoice::Rtl => {
            let narrow = RealisticConfig { half_band: fit_the_kernel(&mut config), ..flow };
            demo(args, &config, narrow, &dump, serve::start::<wirebook_matcher::rtl::RtlTwin>)?
        }
        #[cfg(not(feature = "rtl"))]
        MatcherChoice::Rtl => return Err(MatcherChoice::rtl_is_missing()),
    };
    tell(&told, &args.json, false)?;
    agrees(&told)
}

/// The demo's configuration and flow, cut down to what the kernel holds: one instrument, a band of its ticks around the flow's first price.
#[cfg(feature = "rtl")]
fn fit_the_kernel(config: &mut Config) -> u32 {
    let capacity = wirebook_matcher::rtl::Model::Standard.capacity();
    let half_band = (capacity.ticks - 1) / 2;
    let middle = u64::try_from(MID / TICK_SIZE).expect("the flow's prices are above zero");
    config.instruments.truncate(1);
    for instrument in &mut config.instruments {
        instrument.band_base = middle - u64::from(half_band);
        instrument.band_ticks = 2 * half_band + 1;
    }
    config.gateway.max_live_orders = config.gateway.max_live_orders.min(capacity.orders);
    half_band
}

fn demo(
    args: &DemoArgs,
    config: &Config,
    flow: RealisticConfig,
    dump: &Path,
    start: impl FnOnce(&Config) -> Result<Running, StartError>,
) -> Result<Told, Failure> {
    let running = start(config).map_err(cannot_start)?;
    let status = Arc::clone(&running.status);
    let sent = send(args, config, flow, running.address, dump);
    let settling = progress::counter("settling", "batches");
    let ended = running.stop().map_err(stopped)?;
    settling.finish_and_clear();
    let (counts, ran) = sent?;
    let verified = journal::check(&config.journal.dir)?;
    Ok(Told { takeovers: status.takeovers(), ..told(args, config, &counts, &ran, &ended, &verified) })
}

/// Sends the flow, and writes what was sent and what was told.
fn send(
    args: &DemoArgs,
    config: &Config,
    flow: RealisticConfig,
    address: std::net::SocketAddr,
    dump: &Path,
) -> Result<(Counts, Ran), Failure> {
    let (orders, fills) = (dump.join("orders.csv"), dump.join("fills.csv"));
    let symbol = config.instruments.first().map(|instrument| instrument.symbol.as_str()).unwrap_or_default();
    let login = config.sessions.first().ok_or_else(|| Failure::bad("the demo's configuration has no login"))?;
    let text = |what: &str| Failure::bad(format!("the demo's configuration: {what} is too long"));
    let replay_args = ReplayArgs {
        orders: orders.clone(),
        to: address.to_string(),
        rate: Some(args.rate),
        tick_size: TICK_SIZE,
        fills: Some(fills),
        username: crate::session::Alpha::new(&login.username).ok_or_else(|| text("the username"))?,
        password: crate::session::Alpha::new(&login.password).ok_or_else(|| text("the password"))?,
        symbol: crate::session::Alpha::new(symbol).ok_or_else(|| text("the symbol"))?,
        port: args.port,
        shm_dir: Some(config.gateway.shm_dir.clone()),
        interface: Some(CLIENT.0.into()),
        address: Some((CLIENT.1, PREFIX)),
        json: JsonOption::default(),
    };
    let cannot_write = |error: std::io::Error| Failure::io("write the orders", &orders, &error);
    let writer = RefCell::new(OrdersWriter::new(Output::create(&orders)?).map_err(cannot_write)?);
    let mut flow = Realistic::new(flow);
    let count = args.seconds * args.rate;
    let bar = progress::bar("trading", "orders", count);
    let steps = (0..count).map(|at| {
        let generated = flow.next_line();
        writer.borrow_mut().write(&generated.line).map_err(|error| Failure::io("write the orders", &orders, &error))?;
        if at % 256 == 0 {
            bar.set_position(at);
        }
        // The flow's own book says what an order has executed: nobody else trades here.
        let executed = generated.before.map_or(0, |before| before.executed);
        let executed = u32::try_from(executed).map_err(|_| Failure::bad("an order executed more than OUCH can say"))?;
        Ok(Step { line: generated.line, executed: Some(executed) })
    });
    let mut replay = Replay::open(&replay_args, address)?;
    let ran = replay.run(steps, &replay_args)?;
    let (counts, _) = replay.finish()?;
    bar.finish_and_clear();
    let output = writer.into_inner().finish().map_err(|error| Failure::io("write the orders", &orders, &error))?;
    output.finish()?;
    Ok((counts, ran))
}

fn told(args: &DemoArgs, config: &Config, counts: &Counts, ran: &Ran, ended: &Ended, verified: &Verified) -> Told {
    let answers = ran.latency.map_or(0, |latency| latency.n);
    let settlement = ended.progress.settled.height > 0;
    Told {
        orders: counts.lines,
        accepted: counts.accepted,
        events: verified.events,
        fills: counts.fills,
        traded_lots: counts.traded,
        lost: counts.sent.saturating_sub(answers + counts.rejected) + ran.unpaired,
        rejected: counts.rejected + counts.refused.iter().sum::<u64>(),
        orders_per_second: rate(counts.lines, ran.elapsed),
        scheduled_per_second: args.rate,
        latency: ran.latency,
        journal_records: verified.records,
        journal_verified: verified.root == hex(&ended.root()) && verified.fills == counts.fills,
        settled_height: ended.progress.settled.height,
        settled_root: hex(&ended.progress.settled.root),
        root: hex(&ended.root()),
        ack: config.gateway.ack.to_string(),
        port: args.port.name(),
        matcher: args.matcher.name(),
        takeovers: 0,
        asked_to_fail: args.fail_after > 0,
        seed: args.seed,
        settlement,
        elapsed: ran.elapsed,
    }
}

/// Everything that the demo shows must be one truth.
fn agrees(told: &Told) -> Result<(), Failure> {
    let found = |what: String| Err(Failure::found_it(what));
    if told.asked_to_fail && told.takeovers == 0 {
        return found("the device was to fail, and nobody took over: were there too few events?".into());
    }
    if told.lost > 0 {
        return found(format!("{} answers were lost", told.lost));
    }
    if !told.journal_verified {
        return found("the journal, re-executed, gives another root or other fills than the venue".into());
    }
    if told.settlement && told.settled_root != told.root {
        return found(format!("settled root {} is not the venue's {}", told.settled_root, told.root));
    }
    Ok(())
}

/// Moves the process into a network namespace of its own, where the venue and its client stand at the two ends of a wire. It goes when
/// the process does.
fn a_wire_of_its_own(config: &mut Config) -> Result<(), Failure> {
    let made = Namespace::new().and_then(|namespace| namespace.enter()).and_then(|()| veth::loopback_up());
    made.and_then(|()| veth::pair([VENUE, CLIENT].map(|(name, _)| End { name, address: None }), 1)).map_err(
        |error| {
            Failure::bad(format!("no network of its own can be made: {error}"))
                .next("run it as root, with the command `ip` (Debian package iproute2)")
        },
    )?;
    config.gateway.listen = (VENUE.1, 0).into();
    config.gateway.xdp = Xdp { interface: VENUE.0.into(), prefix: PREFIX, gateway: None };
    Ok(())
}

/// A directory for this run's files.
fn new_dir(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(path).map_err(|error| Failure::io("make the directory", path, &error))?;
    let mut entries = std::fs::read_dir(path).map_err(|error| Failure::io("read the directory", path, &error))?;
    if entries.next().is_some() {
        return Err(Failure::bad("the directory is not empty")
            .field("--dump")
            .found(path.display())
            .next("name a new directory: a demo does not mix with what another left"));
    }
    std::path::absolute(path).map_err(|error| Failure::io("find the directory", path, &error))
}

/// A directory that goes when this value does.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempfile_dir() -> Result<Scratch, Failure> {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let path = std::env::temp_dir().join(format!("wirebook-demo-{}-{nanos}", std::process::id()));
    std::fs::create_dir(&path).map_err(|error| Failure::io("make a directory for the run", &path, &error))?;
    Ok(Scratch(path))
}
