//! What a bench tells: a table for people, `{machine, config, results}` for programs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// Name of the bench.
    pub bench: &'static str,
    /// Name of the case.
    pub case: String,
    /// Samples.
    pub n: u64,
    /// Median, in nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// Largest.
    pub max_ns: u64,
    /// Name of the floor; the floor names itself.
    pub floor: String,
    /// The floor's median.
    pub floor_p50_ns: u64,
    /// Median over the floor's median: the median of the rounds' ratios.
    pub ratio_p50: f64,
    /// 99th percentile over the floor's: the median of the rounds' ratios.
    pub ratio_p99: f64,
}

/// The best and the middle of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MinMedian {
    /// The best.
    pub min: f64,
    /// The middle.
    pub median: f64,
}

/// One engine over one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Throughput {
    /// Name of the bench.
    pub bench: &'static str,
    /// `scenario/engine`.
    pub case: String,
    /// The workload: a scenario's name, or `orders`.
    pub scenario: String,
    /// The engine.
    pub engine: &'static str,
    /// Commands measured, in each round.
    pub commands: u64,
    /// Commands before them that only fill the book.
    pub opening: u64,
    /// Events of all these commands.
    pub events: u64,
    /// Fills of all these commands.
    pub fills: u64,
    /// SHA-256 of these fills as a Fills CSV; null for the floor, which has none.
    pub fills_digest: Option<String>,
    /// Whether they are the software twin's; null for itself and for the floor.
    pub fills_agree: Option<bool>,
    /// Rounds.
    pub rounds: u32,
    /// CPU nanoseconds of a command.
    pub cpu_ns_per_command: MinMedian,
    /// The floor's best.
    pub floor_cpu_ns_per_command: f64,
    /// The yardstick's median over this one's: how many times as fast this is. Null without a yardstick.
    pub speed_over_yardstick: Option<f64>,
    /// Median of single commands, the reading of the counter taken off.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// What was taken off.
    pub timer_ns: u64,
}

/// How much is done in a second, beside how much of the floor.
#[cfg(feature = "settlement")]
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    /// Name of the bench.
    pub bench: &'static str,
    /// Name of the case.
    pub case: String,
    /// What is counted.
    pub unit: &'static str,
    /// How many in all.
    pub n: u64,
    /// A second: the rounds' median.
    pub per_second: f64,
    /// CPU microseconds of one: the rounds' median.
    pub cpu_us: f64,
    /// Name of the floor; the floor names itself.
    pub floor: String,
    /// This over the floor, a second: the median of the rounds' ratios.
    pub ratio: f64,
}

/// A figure: of latencies, of a throughput, or of a rate.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Figure {
    /// Latencies beside their floor.
    Latency(Case),
    /// An engine over a workload.
    Throughput(Throughput),
    /// A rate beside its floor.
    #[cfg(feature = "settlement")]
    Rate(Rate),
}

impl Figure {
    /// Says on which port it was measured, where results of several stand together.
    pub fn on(&mut self, port: &str) {
        if let Self::Latency(case) = self {
            case.case = format!("{} on {port}", case.case);
            case.floor = format!("{} on {port}", case.floor);
        }
    }
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Processor, cores, kernel.
    pub machine: BTreeMap<&'static str, String>,
    /// Effective configuration.
    pub config: BTreeMap<String, String>,
    /// The figures.
    pub results: Vec<Figure>,
    /// What a comparison was to find, and found: what must be equal, and is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// The rounds of one case: a histogram each, in nanoseconds.
pub type Rounds = Vec<Histogram<u64>>;

/// An empty histogram: 1 ns to 100 s, three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("bounds and digits are in range")
}

impl Case {
    /// A case from its rounds beside those of its floor, round by round.
    pub fn of(bench: &'static str, case: &str, rounds: &Rounds, floor: &str, floors: &Rounds) -> Self {
        let all = rounds.iter().fold(histogram(), |mut all, round| {
            all.add(round).expect("same bounds");
            all
        });
        let floor_all = floors.iter().fold(histogram(), |mut all, round| {
            all.add(round).expect("same bounds");
            all
        });
        let ratio = |quantile: f64| {
            let mut ratios: Vec<f64> = rounds
                .iter()
                .zip(floors)
                .map(|(round, floor)| {
                    round.value_at_quantile(quantile) as f64 / floor.value_at_quantile(quantile).max(1) as f64
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            bench,
            case: case.into(),
            n: all.len(),
            p50_ns: all.value_at_quantile(0.5),
            p99_ns: all.value_at_quantile(0.99),
            p999_ns: all.value_at_quantile(0.999),
            max_ns: all.max(),
            floor: floor.into(),
            floor_p50_ns: floor_all.value_at_quantile(0.5),
            ratio_p50: ratio(0.5),
            ratio_p99: ratio(0.99),
        }
    }
}

impl Results {
    /// Results with what this machine is.
    pub fn new() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let machine = BTreeMap::from([
            ("cpu", model.trim_start_matches([' ', '\t', ':']).to_owned()),
            ("cores", std::thread::available_parallelism().map_or(0, usize::from).to_string()),
            ("kernel", std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
        ]);
        Self { machine, config: BTreeMap::new(), results: Vec::new(), differences: Vec::new() }
    }

    /// Tells the results.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn tell(&self, json: Option<&Path>) -> Result<()> {
        match json {
            Some(path) if path.as_os_str() == "-" => {
                println!("{}", serde_json::to_string(self)?);
                return Ok(());
            }
            Some(path) => std::fs::write(path, serde_json::to_string_pretty(self)?)
                .with_context(|| format!("writing {}", path.display()))?,
            None => {}
        }
        let machine = self.machine.iter().map(|(name, value)| (*name, value));
        for (name, value) in machine.chain(self.config.iter().map(|(name, value)| (name.as_str(), value))) {
            println!("{name:<18} {value}");
        }
        let latencies: Vec<&Case> = self.results.iter().filter_map(Figure::latency).collect();
        if !latencies.is_empty() {
            latency_table(&latencies);
        }
        #[cfg(feature = "settlement")]
        rate_table(&self.results.iter().filter_map(Figure::rate).collect::<Vec<&Rate>>());
        let throughputs: Vec<&Throughput> = self.results.iter().filter_map(Figure::throughput).collect();
        if !throughputs.is_empty() {
            throughput_table(&throughputs);
        }
        for difference in &self.differences {
            println!("DIFFERENCE: {difference}");
        }
        println!("\nTimes are of this machine, now: quote the ratios.");
        Ok(())
    }
}

impl Figure {
    const fn latency(&self) -> Option<&Case> {
        match self {
            Self::Latency(case) => Some(case),
            _ => None,
        }
    }

    const fn throughput(&self) -> Option<&Throughput> {
        match self {
            Self::Throughput(found) => Some(found),
            _ => None,
        }
    }

    #[cfg(feature = "settlement")]
    const fn rate(&self) -> Option<&Rate> {
        match self {
            Self::Rate(found) => Some(found),
            _ => None,
        }
    }
}

#[cfg(feature = "settlement")]
fn rate_table(rates: &[&Rate]) {
    if rates.is_empty() {
        return;
    }
    println!(
        "\n{:<28} {:>8} {:<10} {:>12} {:>12}  {:<22} {:>7}",
        "case", "n", "of", "a second", "CPU us each", "floor", "x floor"
    );
    for Rate { case, n, unit, per_second, cpu_us, floor, ratio, .. } in rates {
        println!("{case:<28} {n:>8} {unit:<10} {per_second:>12.1} {cpu_us:>12.1}  {floor:<22} {ratio:>7.2}");
    }
}

fn latency_table(cases: &[&Case]) {
    println!(
        "\n{:<28} {:>8} {:>9} {:>9} {:>9} {:>10}  {:<22} {:>9} {:>7} {:>7}",
        "case", "samples", "p50 us", "p99 us", "p99.9 us", "max us", "floor", "floor p50", "x p50", "x p99"
    );
    for case in cases {
        println!(
            "{:<28} {:>8} {:>9.2} {:>9.2} {:>9.2} {:>10.2}  {:<22} {:>9.2} {:>7.2} {:>7.2}",
            case.case,
            case.n,
            case.p50_ns as f64 / 1e3,
            case.p99_ns as f64 / 1e3,
            case.p999_ns as f64 / 1e3,
            case.max_ns as f64 / 1e3,
            case.floor,
            case.floor_p50_ns as f64 / 1e3,
            case.ratio_p50,
            case.ratio_p99
        );
    }
}

fn throughput_table(found: &[&Throughput]) {
    println!(
        "\n{:<10} {:<20} {:>9} {:>8} {:>8} {:>7} {:>7} {:>6} {:>6} {:>7}  {:>8}  {:<10} agree",
        "scenario",
        "engine",
        "commands",
        "ns min",
        "median",
        "x floor",
        "speed",
        "p50",
        "p99",
        "p99.9",
        "fills",
        "digest"
    );
    let mut scenario = "";
    for at in found {
        if at.scenario != scenario {
            scenario = &at.scenario;
            println!();
        }
        let MinMedian { min, median } = at.cpu_ns_per_command;
        let agree = match at.fills_agree {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        println!(
            "{:<10} {:<20} {:>9} {:>8.1} {:>8.1} {:>7.2} {:>7} {:>6} {:>6} {:>7}  {:>8}  {:<10} {agree}",
            at.scenario,
            at.engine,
            at.commands,
            min,
            median,
            min / at.floor_cpu_ns_per_command,
            at.speed_over_yardstick.map_or(String::new(), |speed| format!("{speed:.2}x")),
            at.p50_ns,
            at.p99_ns,
            at.p999_ns,
            at.fills,
            at.fills_digest.as_deref().map_or("", |digest| &digest[..10]),
        );
    }
    println!(
        "\nns: CPU of a command. x floor: best over the floor's best. speed: the yardstick's median over this one's."
    );
}
