//! The replay itself: a schedule or a window, one connection, bounded waits.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use rustc_hash::FxHashMap;
use serde::Serialize;
use wirebook_bypass::stream::any::{AnyConfig, AnyPort, PortKind};
use wirebook_bypass::stream::kernel::KernelConfig;
use wirebook_bypass::stream::shm::ShmConfig;
use wirebook_bypass::stream::smoltcp::SmoltcpConfig;
use wirebook_bypass::stream::uring::UringConfig;
use wirebook_matcher::flow::{FillsWriter, OrderLine, OrdersReader};

use super::ReplayArgs;
use crate::cli::failure::Failure;
use crate::cli::matching::csv_failure;
use crate::cli::output::{Output, is_stdout};
use crate::cli::progress;
use crate::cli::report::{Lines, grouped};
use crate::client::{Counts, Heard, Link, LinkConfig, LinkError, OuchOrders, Outgoing, Plan, Told};
use crate::session::Alpha;
use crate::session::ouch::{Outbound, ReasonCode};
use crate::session::soup::{ClientEnd, RejectReason};

/// Messages between two queries.
const STRETCH: u32 = 128;
/// Queries that may be unanswered: with [`STRETCH`], the window of unanswered messages.
const STRETCHES: usize = 8;
/// How long a connection may take to come up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a venue that is alive may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// The longest sleep while waiting for an answer.
const NAP: Duration = Duration::from_millis(1);
/// Closer to a scheduled time than this, the loop does not sleep.
const AWAKE: Duration = Duration::from_micros(150);
/// The longest latency that is told apart: an hour, in nanoseconds.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// How long the venue may take to close after a logout.
const GOODBYE: Duration = Duration::from_secs(5);

/// Percentiles of a replay's latencies, in nanoseconds from the scheduled time to the answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Samples.
    pub n: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90%.
    pub p90_ns: u64,
    /// 99%.
    pub p99_ns: u64,
    /// 99.9%.
    pub p999_ns: u64,
    /// 99.99%.
    pub p9999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Latency {
    /// Of a histogram of nanoseconds; `None` when it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            n: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            p9999_ns: histogram.value_at_quantile(0.9999),
            max_ns: histogram.max(),
        })
    }

    /// As lines of a report, in microseconds.
    pub fn add_to(&self, lines: &mut Lines) {
        let micros = |ns: u64| format!("{}.{} us", grouped(ns / 1000), ns % 1000 / 100);
        lines.add("latency from the scheduled time", format!("{} samples", grouped(self.n)));
        for (name, ns) in [
            ("  p50", self.p50_ns),
            ("  p90", self.p90_ns),
            ("  p99", self.p99_ns),
            ("  p99.9", self.p999_ns),
            ("  p99.99", self.p9999_ns),
            ("  max", self.max_ns),
        ] {
            lines.add(name, micros(ns));
        }
    }
}

/// How a replay went, besides its counts.
#[derive(Debug)]
pub struct Ran {
    /// From the first line to the last answer.
    pub elapsed: Duration,
    /// Waits for everything to be answered.
    pub barriers: u64,
    /// Executions whose other side was not told.
    pub unpaired: u64,
    /// From the scheduled time to the answer, when there was a schedule.
    pub latency: Option<Latency>,
}

/// When what was sent, and how long the answer took.
struct Stopwatch {
    base: u32,
    /// The scheduled time of each number's message; 0 once it is answered.
    sent: Vec<u64>,
    /// The scheduled times of cancels and reduces, by the number they named.
    lowered: FxHashMap<u32, VecDeque<u64>>,
    histogram: Histogram<u64>,
}

impl Stopwatch {
    fn new(base: u32) -> Result<Self, Failure> {
        let histogram =
            // Fixed bounds: a histogram that grows by itself does so only when values are recorded unsaturated.
            Histogram::new_with_bounds(1, LONGEST_NS, 3).map_err(|error| Failure::bad(format!("no histogram can be made: {error}")))?;
        Ok(Self { base, sent: Vec::new(), lowered: FxHashMap::default(), histogram })
    }

    fn sent(&mut self, user_ref: u32, at: u64) {
        let index = user_ref.wrapping_sub(self.base) as usize;
        if index == self.sent.len() {
            self.sent.push(at.max(1));
        } else {
            self.lowered.entry(user_ref).or_default().push_back(at);
        }
    }

    fn answered(&mut self, user_ref: u32, now: u64) {
        let index = user_ref.wrapping_sub(self.base) as usize;
        if let Some(at) = self.sent.get_mut(index).filter(|at| **at > 0) {
            self.histogram.saturating_record(now.saturating_sub(std::mem::take(at)));
        }
    }

    fn lowered(&mut self, user_ref: u32, now: u64) {
        if let Some(times) = self.lowered.get_mut(&user_ref) {
            if let Some(at) = times.pop_front() {
                self.histogram.saturating_record(now.saturating_sub(at));
            }
            if times.is_empty() {
                self.lowered.remove(&user_ref);
            }
        }
    }
}

/// A replay under way.
pub struct Replay {
    link: Link<AnyPort>,
    orders: OuchOrders,
    fills: Option<FillsWriter<Output>>,
    watch: Option<Stopwatch>,
    barriers: u64,
    heard: Instant,
    stop: Arc<AtomicBool>,
}

/// A line to send.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// It.
    pub line: OrderLine,
    /// What its order has executed by then, for a sender that knows; otherwise the replay waits until it is certain.
    pub executed: Option<u32>,
}

impl Replay {
    /// Opens the file of fills, connects, logs in, and learns the next UserRefNum.
    pub fn open(args: &ReplayArgs, peer: SocketAddr) -> Result<Self, Failure> {
        let fills = args.fills.as_deref().map(|path| {
            FillsWriter::new(Output::create(path)?).map_err(|error| Failure::io("write the fills", path, &error))
        });
        let fills = fills.transpose()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))
                .map_err(|error| Failure::bad(format!("signals cannot be caught: {error}")))?;
        }
        let max_connections = 4;
        let port = match args.port {
            PortKind::Kernel => AnyConfig::Kernel(KernelConfig { max_connections, ..KernelConfig::default() }),
            PortKind::Uring => AnyConfig::Uring(UringConfig { max_connections, ..UringConfig::default() }),
            PortKind::Xdp => {
                let (Some(interface), Some((address, prefix))) = (&args.interface, args.address) else {
                    return Err(Failure::bad("user-space TCP needs to know where it stands")
                        .field("--interface, --address")
                        .next("name the interface that leads to the venue, and an address of its network"));
                };
                let tcp = SmoltcpConfig { address, prefix, max_connections, ..SmoltcpConfig::default() };
                AnyConfig::xdp(interface, tcp)
            }
            PortKind::Shm => {
                let dir = args.shm_dir.clone().ok_or_else(|| {
                    Failure::bad("shared memory needs to know where the venue is found")
                        .field("--shm-dir")
                        .next("name the venue's [gateway] shm_dir")
                })?;
                AnyConfig::Shm(ShmConfig { dir, max_connections, ..ShmConfig::default() })
            }
        };
        let port = AnyPort::new(&port).map_err(|error| Failure::bad(error.to_string()))?;
        let config = LinkConfig {
            peer,
            username: args.username,
            password: args.password,
            session: Alpha::BLANK,
            sequence: LinkConfig::ONLY_NEW,
        };
        let link = Link::open(port, &config).map_err(|error| link_failure(&error, &args.to))?;
        let orders = OuchOrders::new(args.symbol, args.tick_size, 1);
        let heard = Instant::now();
        let mut replay = Self { link, orders, fills, watch: None, barriers: 0, heard, stop };
        let next = replay.log_in(&args.to)?;
        replay.orders = OuchOrders::new(args.symbol, args.tick_size, next);
        if args.rate.is_some() {
            replay.watch = Some(Stopwatch::new(next.max(1))?);
        }
        Ok(replay)
    }

    /// Waits for the login, asks for the next number, and waits for it.
    fn log_in(&mut self, to: &str) -> Result<u32, Failure> {
        let begun = Instant::now();
        let mut asked = false;
        let mut next = None;
        while next.is_none() {
            let turn = self.link.turn(|heard| {
                if let Heard::Message { payload, .. } = heard
                    && let Ok(Outbound::AccountQueryResponse(answer)) = Outbound::decode(payload)
                {
                    next = Some(answer.next_user_ref_num);
                }
            });
            turn.map_err(|error| link_failure(&error, to))?;
            if self.link.is_active() && !asked {
                asked = self.link.send(Outgoing::query().as_bytes());
            }
            let patience = if asked { ANSWER_PATIENCE } else { CONNECT_PATIENCE };
            if begun.elapsed() > patience {
                return Err(silence(to, if asked { "the query for the next number" } else { "the login" }));
            }
            self.check_stop()?;
            self.link.wait(NAP).map_err(|error| link_failure(&error, to))?;
        }
        next.ok_or_else(|| silence(to, "the login"))
    }

    /// Sends every line and hears every answer.
    ///
    /// # Errors
    /// The first line that cannot be read, and a venue that does not answer.
    pub fn run(
        &mut self,
        steps: impl Iterator<Item = Result<Step, Failure>>,
        args: &ReplayArgs,
    ) -> Result<Ran, Failure> {
        let begun = Instant::now();
        let start = self.link.now();
        for (index, step) in steps.enumerate() {
            let step = step?;
            let due = args.rate.map(|rate| {
                let offset = u128::from(index as u64) * 1_000_000_000 / u128::from(rate);
                start + u64::try_from(offset).unwrap_or(u64::MAX - start)
            });
            if let Some(due) = due {
                self.wait_until(due, &args.to)?;
            }
            self.line(&step, due, &args.to)?;
            self.check_stop()?;
        }
        self.barrier(&args.to)?;
        let elapsed = begun.elapsed();
        self.say_goodbye(&args.to)?;
        let latency = self.watch.as_ref().and_then(|watch| Latency::of(&watch.histogram));
        Ok(Ran { elapsed, barriers: self.barriers, unpaired: self.orders.unpaired() as u64, latency })
    }

    /// Completes the fills.
    pub fn finish(self) -> Result<(Counts, Vec<(ReasonCode, u64)>), Failure> {
        if let Some(fills) = self.fills {
            let written = fills.finish().map_err(|error| Failure::bad(format!("cannot write the fills: {error}")));
            written?.finish()?;
        }
        Ok((self.orders.counts(), self.orders.rejects()))
    }

    /// One line, sent or refused; may wait for answers first.
    fn line(&mut self, step: &Step, due: Option<u64>, to: &str) -> Result<(), Failure> {
        let (message, user_ref) = loop {
            let plan = match step.executed {
                Some(executed) => self.orders.plan_knowing(&step.line, executed),
                None => self.orders.plan(&step.line),
            };
            match plan {
                Plan::Send { message, user_ref } => break (message, user_ref),
                Plan::Refused(_) => return Ok(()),
                Plan::Barrier => {
                    self.barriers += 1;
                    self.barrier(to)?;
                }
            }
        };
        if let (Some(watch), Some(due)) = (&mut self.watch, due) {
            watch.sent(user_ref, due);
        }
        self.send(&message, to)?;
        if due.is_some() {
            self.link.flush().map_err(|error| link_failure(&error, to))?;
        }
        if self.orders.since_query() >= STRETCH {
            let query = self.orders.query();
            self.send(&query, to)?;
            self.turn(to)?;
            self.until(to, |orders| orders.queries() < STRETCHES)?;
        }
        Ok(())
    }

    fn send(&mut self, message: &Outgoing, to: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        while !self.link.send(message.as_bytes()) {
            if self.turn(to)? == 0 {
                self.link.wait(NAP).map_err(|error| link_failure(&error, to))?;
            }
            if begun.elapsed() > ANSWER_PATIENCE {
                return Err(silence(to, "what was sent: it takes no more bytes"));
            }
            self.check_stop()?;
        }
        Ok(())
    }

    /// Waits until everything sent has been answered.
    fn barrier(&mut self, to: &str) -> Result<(), Failure> {
        if self.orders.since_query() > 0 {
            let query = self.orders.query();
            self.send(&query, to)?;
        }
        self.until(to, |orders| orders.unanswered() == 0)
    }

    fn until(&mut self, to: &str, done: impl Fn(&OuchOrders) -> bool) -> Result<(), Failure> {
        self.heard = Instant::now();
        while !done(&self.orders) {
            if self.turn(to)? == 0 {
                self.link.wait(NAP).map_err(|error| link_failure(&error, to))?;
            }
            if self.heard.elapsed() > ANSWER_PATIENCE {
                return Err(silence(to, "what was sent"));
            }
            self.check_stop()?;
        }
        Ok(())
    }

    fn wait_until(&mut self, due: u64, to: &str) -> Result<(), Failure> {
        loop {
            let heard = self.turn(to)?;
            let left = Duration::from_nanos(due.saturating_sub(self.link.now()));
            if left.is_zero() {
                return Ok(());
            }
            if heard == 0 && left > AWAKE {
                self.link.wait((left - AWAKE).min(NAP)).map_err(|error| link_failure(&error, to))?;
            }
            self.check_stop()?;
        }
    }

    /// Hears what has come.
    fn turn(&mut self, to: &str) -> Result<usize, Failure> {
        let Self { link, orders, fills, watch, .. } = self;
        let clock = link.clock();
        let mut failure = None;
        let heard = link.turn(|heard| {
            let Heard::Message { payload, sequence } = heard else { return };
            let told = orders.told(payload).map_err(|wrong| {
                Failure::bad(format!("the venue's message {sequence} makes no sense: {wrong}"))
                    .next("is the venue an OUCH 5.0 one, and does this client alone use the login?")
            });
            let done = told.and_then(|told| match (told, &mut *watch, &mut *fills) {
                (Told::Fill(fill), _, Some(fills)) => {
                    fills.write(&fill).map_err(|error| Failure::bad(format!("cannot write the fills: {error}")))
                }
                (Told::Answer { user_ref }, Some(watch), _) => {
                    watch.answered(user_ref, clock.now());
                    Ok(())
                }
                (Told::Lowered { user_ref }, Some(watch), _) => {
                    watch.lowered(user_ref, clock.now());
                    Ok(())
                }
                _ => Ok(()),
            });
            if let Err(wrong) = done {
                failure.get_or_insert(wrong);
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        let heard = heard.map_err(|error| self.broken(&error, to))?;
        if heard > 0 {
            self.heard = Instant::now();
        }
        Ok(heard)
    }

    /// Logs out and waits, shortly, for the venue to close.
    fn say_goodbye(&mut self, to: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        while !self.link.logout() && begun.elapsed() < GOODBYE {
            self.link.wait(NAP).map_err(|error| link_failure(&error, to))?;
        }
        while begun.elapsed() < GOODBYE {
            match self.link.turn(|_| {}) {
                Ok(_) => self.link.wait(NAP).map_err(|error| link_failure(&error, to))?,
                // Whatever ends it now: everything has been answered.
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn broken(&self, error: &LinkError, to: &str) -> Failure {
        let counts = self.orders.counts();
        let failure = link_failure(error, to);
        match self.orders.unanswered() {
            0 => failure,
            unanswered => failure
                .found(format!("after {} messages sent, of which up to {unanswered} were not answered", counts.sent)),
        }
    }

    fn check_stop(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::bad("interrupted; the venue keeps what it was sent"));
        }
        Ok(())
    }
}

/// The lines of a file of orders, with a bar over its bytes.
pub(super) fn steps(
    path: &Path,
) -> Result<(impl Iterator<Item = Result<Step, Failure>> + use<>, ProgressBar), Failure> {
    let (source, bar): (Box<dyn BufRead>, _) = if is_stdout(path) {
        let bar = progress::bytes_bar("sending", 0);
        (Box::new(io::stdin().lock()), bar)
    } else {
        let file = File::open(path).map_err(|error| Failure::io("read", path, &error))?;
        let bar = progress::bytes_bar("sending", file.metadata().map_or(0, |found| found.len()));
        (Box::new(bar.wrap_read(BufReader::with_capacity(1 << 16, file))), bar)
    };
    let reader = OrdersReader::new(path.display().to_string(), source).map_err(csv_failure)?;
    let steps = reader.map(|line| line.map(|line| Step { line, executed: None }).map_err(csv_failure));
    Ok((steps, bar))
}
fn silence(to: &str, what: &str) -> Failure {
    Failure::bad(format!("the venue does not answer {what}"))
        .field("--to")
        .found(to)
        .next("is that a SoupBinTCP port with OUCH 5.0? the venue's log says what it heard")
}

fn link_failure(error: &LinkError, to: &str) -> Failure {
    let failure = Failure::bad(error.to_string()).field("--to").found(to);
    match error {
        LinkError::Connect { .. } => {
            failure.next("start the venue first: wirebook run --config gateway/wirebook.example.toml")
        }
        LinkError::Ended(ClientEnd::Rejected(RejectReason::NotAuthorized)) => {
            Failure::bad(format!("the venue at {to} does not know this login"))
                .field("--username and --password")
                .next("give them as a [[session]] of the venue's configuration has them")
        }
        LinkError::Ended(ClientEnd::Rejected(RejectReason::SessionNotAvailable)) => {
            Failure::bad(format!("the venue at {to} has no session to log in to now")).next("is its day over?")
        }
        LinkError::Ended(ClientEnd::Disconnected) | LinkError::Broken(_) => {
            failure.next("the venue's log says why it closed the connection")
        }
        _ => failure,
    }
}
