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

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Processor, cores, kernel.
    pub machine: BTreeMap<&'static str, String>,
    /// Effective configuration.
    pub config: BTreeMap<&'static str, String>,
    /// The cases.
    pub results: Vec<Case>,
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
        Self { machine, config: BTreeMap::new(), results: Vec::new() }
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
        for (name, value) in self.machine.iter().chain(&self.config) {
            println!("{name:<18} {value}");
        }
        println!(
            "\n{:<28} {:>8} {:>9} {:>9} {:>9} {:>10}  {:<22} {:>9} {:>7} {:>7}",
            "case", "samples", "p50 us", "p99 us", "p99.9 us", "max us", "floor", "floor p50", "x p50", "x p99"
        );
        for case in &self.results {
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
        println!("\nTimes are of this machine, now: quote the ratios.");
        Ok(())
    }
}
