//! What of a machine costs latency: each cause checked, with the command that mends it.
//!
//! Reads /sys and /proc below a root, and changes nothing. A file that is not there, or cannot be read, makes its check *unknown*:
//! virtual machines and containers hide some.

use super::machine::{Files, Machine, list, numbers};
use std::collections::BTreeSet;
use std::path::Path;

/// The longest exit from an idle state that a trading core may have, in microseconds.
const IDLE_EXIT_US: i64 = 2;
/// Stolen time, in thousandths of a percent of all time, from which on it is a finding.
const STEAL_LIMIT: u64 = 100;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It costs latency.
    Bad,
    /// It cannot be told here.
    Unknown,
}

impl Verdict {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub check: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// The command that mends it, where it is bad.
    pub mend: Option<String>,
}

fn good(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Good, found: found.into(), mend: None }
}

fn bad(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Bad, found: found.into(), mend: Some(mend.into()) }
}

fn unknown(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Unknown, found: found.into(), mend: None }
}

/// The machine, and the cores that the loops are to have.
struct Patient {
    files: Files,
    machine: Machine,
    cores: BTreeSet<usize>,
}

/// Checks the machine whose files lie below `root`. `cores` are those of the loops; none: the isolated ones, or all but the first.
/// `nic` is the interface for the market; none: the first card.
pub fn examine(root: &Path, cores: &[usize], nic: Option<&str>) -> Vec<Finding> {
    let files = Files::below(root);
    let machine = Machine::read(&files, nic);
    let mut wanted: BTreeSet<usize> = cores.iter().copied().collect();
    if wanted.is_empty() {
        wanted = machine.cpus.iter().filter(|cpu| cpu.isolated).map(|cpu| cpu.number).collect();
    }
    if wanted.is_empty() {
        wanted = machine.cpus.iter().skip(1).map(|cpu| cpu.number).collect();
    }
    if wanted.is_empty() {
        wanted.insert(0);
    }
    let patient = Patient { files, machine, cores: wanted };
    vec![
        patient.threads(),
        patient.node(),
        patient.isolation(),
        patient.governor(),
        patient.idle_states(),
        patient.throttling(),
        patient.huge_pages(),
        patient.interrupts(),
        patient.clock(),
        patient.steal(),
    ]
}

impl Patient {
    fn cpu_file(core: usize, name: &str) -> String {
        format!("sys/devices/system/cpu/cpu{core}/{name}")
    }

    fn threads(&self) -> Finding {
        const CHECK: &str = "smt";
        let siblings = |core: usize| self.files.text(&Self::cpu_file(core, "topology/thread_siblings_list"));
        let mut others = BTreeSet::new();
        for &core in &self.cores {
            let Some(list) = siblings(core) else {
                return unknown(CHECK, format!("core {core} does not tell its threads"));
            };
            others.extend(numbers(&list).into_iter().filter(|&other| other != core));
        }
        // Of two loops on one core the higher number goes.
        let others: BTreeSet<usize> = others.iter().copied().filter(|&other| self.is_second(other)).collect();
        if others.is_empty() {
            return good(CHECK, format!("cores {} have one thread each", list(&self.cores)));
        }
        let off: Vec<_> =
            others.iter().map(|cpu| format!("echo 0 > /sys/devices/system/cpu/cpu{cpu}/online")).collect();
        bad(CHECK, format!("processors {} share cores with the loops", list(&others)), off.join("; "))
    }

    /// Whether a processor is not the first thread of its core.
    fn is_second(&self, number: usize) -> bool {
        let found = self.machine.cpus.iter().find(|cpu| cpu.number == number);
        found.is_some_and(|cpu| cpu.threads.first() != Some(&number))
    }

    fn node(&self) -> Finding {
        const CHECK: &str = "numa";
        let Some((nic, node)) = &self.machine.nic else {
            return unknown(CHECK, "there is no network card");
        };
        let Some(node) = *node else {
            return unknown(CHECK, format!("{nic} does not tell its node"));
        };
        let at = |core: &&usize| self.machine.cpus.iter().any(|cpu| cpu.number == **core && cpu.node == node);
        let far: BTreeSet<usize> = self.cores.iter().filter(|core| !at(core)).copied().collect();
        if far.is_empty() {
            return good(CHECK, format!("{nic} and the loops are at node {node}"));
        }
        let near: BTreeSet<usize> =
            self.machine.cpus.iter().filter(|cpu| cpu.node == node).map(|cpu| cpu.number).collect();
        bad(
            CHECK,
            format!("{nic} is at node {node}, and cores {} are not", list(&far)),
            format!("wirebook doctor --cores {}", list(&near)),
        )
    }

    fn isolation(&self) -> Finding {
        const CHECK: &str = "isolation";
        let Some(isolated) = self.files.text("sys/devices/system/cpu/isolated") else {
            return unknown(CHECK, "the kernel does not tell which cores are isolated");
        };
        let isolated = numbers(&isolated);
        let open: BTreeSet<usize> = self.cores.difference(&isolated).copied().collect();
        if open.is_empty() {
            return good(CHECK, format!("cores {} are isolated", list(&self.cores)));
        }
        let cores = list(&self.cores);
        bad(
            CHECK,
            format!("the scheduler puts other work on cores {}", list(&open)),
            format!(
                "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=managed_irq,domain,{cores} nohz_full={cores} \
                 rcu_nocbs={cores} /' /etc/default/grub && update-grub && reboot"
            ),
        )
    }

    fn governor(&self) -> Finding {
        const CHECK: &str = "governor";
        let mut slow = BTreeSet::new();
        for &core in &self.cores {
            match self.files.text(&Self::cpu_file(core, "cpufreq/scaling_governor")) {
                None => return unknown(CHECK, format!("core {core} does not tell how its frequency is governed")),
                Some(governor) if governor == "performance" => {}
                Some(_) => {
                    slow.insert(core);
                }
            }
        }
        match slow.is_empty() {
            true => good(CHECK, "performance"),
            false => bad(
                CHECK,
                format!("cores {} change their frequency", list(&slow)),
                format!("cpupower -c {} frequency-set -g performance", list(&slow)),
            ),
        }
    }

    fn idle_states(&self) -> Finding {
        const CHECK: &str = "c-states";
        let (mut deep, mut worst, mut told) = (BTreeSet::new(), 0, false);
        for &core in &self.cores {
            for state in self.files.names(&Self::cpu_file(core, "cpuidle")) {
                let file = |name: &str| self.files.number(&Self::cpu_file(core, &format!("cpuidle/{state}/{name}")));
                let (Some(latency), Some(disabled)) = (file("latency"), file("disable")) else {
                    continue;
                };
                told = true;
                if latency > IDLE_EXIT_US && disabled == 0 {
                    deep.insert(core);
                    worst = worst.max(latency);
                }
            }
        }
        match (told, deep.is_empty()) {
            (false, _) => unknown(CHECK, "idle states are not told"),
            (true, true) => good(CHECK, format!("every idle state ends within {IDLE_EXIT_US} us")),
            (true, false) => bad(
                CHECK,
                format!("waking from idle takes up to {worst} us on cores {}", list(&deep)),
                format!("cpupower -c {} idle-set -D {IDLE_EXIT_US}", list(&deep)),
            ),
        }
    }

    fn throttling(&self) -> Finding {
        const CHECK: &str = "rt-throttling";
        match self.files.number("proc/sys/kernel/sched_rt_runtime_us") {
            None => unknown(CHECK, "the limit of real-time threads is not told"),
            Some(-1) => good(CHECK, "real-time threads are not stopped"),
            Some(limit) => bad(
                CHECK,
                format!("a real-time loop is stopped after {limit} us of each period"),
                "sysctl -w kernel.sched_rt_runtime_us=-1",
            ),
        }
    }

    fn huge_pages(&self) -> Finding {
        const CHECK: &str = "huge-pages";
        let Some(text) = self.files.text("sys/kernel/mm/transparent_hugepage/enabled") else {
            return unknown(CHECK, "the kernel does not tell of transparent huge pages");
        };
        match text.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
            Some(("always", _)) => bad(
                CHECK,
                "every process gets them: compaction stalls it",
                "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
            ),
            Some((chosen, _)) => good(CHECK, format!("transparent ones only as `{chosen}` says")),
            None => unknown(CHECK, format!("`{text}` makes no sense")),
        }
    }

    fn interrupts(&self) -> Finding {
        const CHECK: &str = "irq-affinity";
        let (mut told, mut here) = (false, Vec::new());
        for irq in self.files.names("proc/irq").into_iter().filter(|name| name.parse::<u32>().is_ok()) {
            let file = |name: &str| self.files.text(&format!("proc/irq/{irq}/{name}"));
            let effective = file("effective_affinity_list").filter(|list| !list.is_empty());
            let Some(cpus) = effective.or_else(|| file("smp_affinity_list")) else {
                continue;
            };
            told = true;
            if !numbers(&cpus).is_disjoint(&self.cores) {
                here.push(irq);
            }
        }
        if !told {
            return unknown(CHECK, "interrupts do not tell where they are served");
        }
        if here.is_empty() {
            return good(CHECK, format!("no interrupt is served on cores {}", list(&self.cores)));
        }
        let others: BTreeSet<usize> =
            self.machine.cpus.iter().map(|cpu| cpu.number).filter(|cpu| !self.cores.contains(cpu)).collect();
        let others = if others.is_empty() { "0".to_string() } else { list(&others) };
        bad(
            CHECK,
            format!("{} interrupts may be served on cores {}: {}", here.len(), list(&self.cores), here.join(" ")),
            format!("for i in {}; do echo {others} > /proc/irq/$i/smp_affinity_list; done", here.join(" ")),
        )
    }

    fn clock(&self) -> Finding {
        const CHECK: &str = "clock-source";
        const FILE: &str = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        match self.files.text(FILE).as_deref() {
            None | Some("") => unknown(CHECK, "the clock source is not told"),
            Some(clock @ ("tsc" | "kvm-clock")) => good(CHECK, clock),
            Some(clock) => bad(
                CHECK,
                format!("{clock}: reading the time is a system call"),
                format!("echo tsc > /{FILE}  # if not offered: boot with tsc=reliable"),
            ),
        }
    }

    fn steal(&self) -> Finding {
        const CHECK: &str = "steal";
        let text = self.files.text("proc/stat").unwrap_or_default();
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("cpu ")) else {
            return unknown(CHECK, "times are not told");
        };
        // user nice system idle iowait irq softirq steal; the two of guests are in user and nice already.
        let times: Vec<u64> = line.split_whitespace().map_while(|number| number.parse().ok()).take(8).collect();
        let total: u64 = times.iter().fold(0, |sum, &time| sum.saturating_add(time));
        let (Some(&stolen), 1..) = (times.get(7), total) else {
            return unknown(CHECK, "stolen time is not told");
        };
        let share = (u128::from(stolen) * 100_000 / u128::from(total)) as u64;
        let text = format!("{}.{:03} % of all time since boot went to other machines", share / 1000, share % 1000);
        match share < STEAL_LIMIT {
            true => good(CHECK, text),
            false => bad(
                CHECK,
                text,
                format!("virsh vcpupin DOMAIN VCPU HOST-CPU  # on the host, for processors {}", list(&self.cores)),
            ),
        }
    }
}
