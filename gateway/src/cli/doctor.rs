//! `wirebook doctor`: what of this machine costs latency, and what mends it.

use std::path::PathBuf;

use serde::Serialize;
use wirebook_bypass::cpu::doctor::{Finding, Verdict, examine};
use wirebook_bypass::cpu::machine::{Files, Machine, numbers};
use wirebook_bypass::cpu::topology::choose;

use super::failure::Failure;
use super::report::{JsonOption, Lines, Report, tell};
use crate::serve::{BACKGROUND, STAGES};

/// Check this machine for what costs latency, and show the command that mends it
///
/// Threads that share a core, the network card's node, isolated cores, frequency governor, idle states, real-time throttling, huge
/// pages, interrupts, clock source, stolen time. Reads /sys and /proc, and changes nothing. What the machine does not tell is `unknown`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wirebook doctor
  wirebook doctor --cores 2-5 --nic eth1
  wirebook doctor --json - | jq '.checks[] | select(.verdict == \"bad\") | .mend'

Exit codes: 0 nothing is bad (unknown is not bad), 1 something is, 2 bad use.")]
pub struct DoctorArgs {
    /// The cores that the venue's loops are to have, like 2-5,8 [default: the isolated ones, or all but the first]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<String>,
    /// The interface that orders come by [default: the first network card]
    #[arg(long, value_name = "NAME")]
    pub nic: Option<String>,
    /// Look at the files of another machine, below DIR/sys and DIR/proc
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Where the report goes
    #[command(flatten)]
    pub json: JsonOption,
}

#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    verdict: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    healthy: bool,
    checks: Vec<Check>,
    /// Where the loops would run, with reasons.
    topology: Vec<String>,
}

impl Report for Diagnosis {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        for check in &self.checks {
            lines.add(format!("{:<13} {}", check.check, check.verdict), &check.found);
            if let Some(mend) = &check.mend {
                lines.add("", format!("mend: {mend}"));
            }
        }
        for (at, line) in self.topology.iter().enumerate() {
            lines.add(if at == 0 { "topology" } else { "" }, line);
        }
        lines
    }
}

/// Runs the command.
///
/// # Errors
/// Something is bad (exit code 1); bad use.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let cores: Vec<usize> = match &args.cores {
        None => Vec::new(),
        Some(list) => {
            let cores = numbers(list);
            if cores.is_empty() {
                return Err(Failure::bad("no cores").field("--cores").found(list).allowed("a list like 2-5,8"));
            }
            cores.into_iter().collect()
        }
    };
    let nic = args.nic.as_deref();
    let findings = examine(&args.root, &cores, nic);
    let machine = Machine::read(&Files::below(&args.root), nic);
    let topology = choose(&machine, &STAGES, &BACKGROUND, None).to_string();
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    let check =
        |Finding { check, verdict, found, mend }: Finding| Check { check, verdict: verdict.as_str(), found, mend };
    let diagnosis = Diagnosis {
        healthy: bad == 0,
        checks: findings.into_iter().map(check).collect(),
        topology: topology.lines().map(str::to_owned).collect(),
    };
    tell(&diagnosis, &args.json, false)?;
    match bad {
        0 => Ok(()),
        1 => Err(Failure::found_it("1 check is bad")),
        bad => Err(Failure::found_it(format!("{bad} checks are bad"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(root: &std::path::Path, cores: Option<&str>) -> DoctorArgs {
        let json = JsonOption { json: Some(root.join("report.json")) };
        DoctorArgs { cores: cores.map(str::to_owned), nic: None, root: root.to_owned(), json }
    }

    #[test]
    fn what_is_bad_is_told_with_its_cure_and_exits_1() {
        let root = tempfile::tempdir().unwrap();
        let report = || -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(root.path().join("report.json")).unwrap()).unwrap()
        };
        // Nothing is known of a machine without files: nothing is bad.
        run(&args(root.path(), None)).unwrap();
        assert_eq!(report()["healthy"], true);
        assert_eq!(report()["checks"].as_array().unwrap().len(), 10);
        std::fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
        std::fs::write(root.path().join("proc/sys/kernel/sched_rt_runtime_us"), "950000\n").unwrap();
        assert_eq!(run(&args(root.path(), Some("2-3"))).unwrap_err().exit_code(), 1);
        assert_eq!(report()["healthy"], false);
        let checks = report()["checks"].as_array().unwrap().clone();
        let bad: Vec<_> = checks.iter().filter(|check| check["verdict"] == "bad").collect();
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0]["mend"], "sysctl -w kernel.sched_rt_runtime_us=-1");
        assert_eq!(run(&args(root.path(), Some("x"))).unwrap_err().exit_code(), 2);
    }
}
