//! Threads on cores.
//!
//! A new thread inherits its creator's core and scheduler. A pinned loop that spawns would thus put its children on its own core,
//! and a real-time one would let them compete with it: so [`spawn`] gives every child the cores that the process started with
//! and the ordinary scheduler, before it places it, and real-time threads are set to be reset when they spawn by other means.
//!
//! A core that does not exist, or that the process may not use, is an error: the configuration is wrong. A real-time scheduler that
//! the system refuses is a warning: the venue runs, with a longer tail.

#![allow(unsafe_code)]

use core_affinity::CoreId;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

/// Priorities that SCHED_FIFO knows.
pub const FIFO_PRIORITIES: RangeInclusive<u8> = 1..=99;

/// Where a thread runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// The core it is pinned to; `None`: any that the process started with.
    pub core: Option<usize>,
    /// Its SCHED_FIFO priority; `None`: the ordinary scheduler. A loop that spins under it keeps everything else off its core.
    pub fifo: Option<u8>,
}

/// What costs latency on this machine, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a thread could not be placed.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// Not one of the process's cores.
    #[error("core {core} is not one that this process may use: {allowed:?}")]
    NoSuchCore {
        /// The core asked for.
        core: usize,
        /// Those there are.
        allowed: Vec<usize>,
    },
    /// SCHED_FIFO has no such priority.
    #[error("real-time priority {0}: must be from 1 to 99")]
    Priority(u8),
    /// The system refused.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// The cores that the process started with, in order.
///
/// Fixed by the first call from any thread: call it before anything is pinned. ([`spawn`], [`pin_current`] and [`place_current`] do.)
pub fn allowed_cores() -> Vec<usize> {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES
        .get_or_init(|| core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect())
        .clone()
}

/// Pins the calling thread to `core`.
///
/// # Errors
/// A core that the process may not use; what the system refuses.
pub fn pin_current(core: usize) -> Result<(), CpuError> {
    let allowed = allowed_cores();
    if !allowed.contains(&core) {
        return Err(CpuError::NoSuchCore { core, allowed });
    }
    if core_affinity::set_for_current(CoreId { id: core }) {
        Ok(())
    } else {
        Err(CpuError::System { action: "pin a thread", source: io::Error::last_os_error() })
    }
}

/// Places the calling thread: its scheduler, then its core.
///
/// # Errors
/// A placement that makes no sense on this machine. A real-time scheduler that is refused is a warning.
pub fn place_current(placement: Placement) -> Result<Vec<Warning>, CpuError> {
    check(placement)?;
    // In this order: a real-time thread that is not yet pinned could push another off its core.
    set_ordinary_scheduler()?;
    match placement.core {
        Some(core) => pin_current(core)?,
        None => unpin_current(&allowed_cores())?,
    }
    let mut warnings = Vec::new();
    if let Some(priority) = placement.fifo {
        match set_fifo(priority) {
            Ok(()) => warnings.extend(throttling(&read("/proc/sys/kernel/sched_rt_runtime_us"))),
            Err(error) => warnings.push(Warning(format!(
                "real-time priority {priority} refused ({error}): grant CAP_SYS_NICE or raise `ulimit -r`; going on without"
            ))),
        }
    }
    Ok(warnings)
}

/// Runs `f` on a new, named thread that is placed before `f` starts; returns once it is.
///
/// # Errors
/// A placement that makes no sense on this machine; a thread that cannot be made. `f` has not run then.
pub fn spawn<T: Send + 'static>(
    name: &str,
    placement: Placement,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<(JoinHandle<T>, Vec<Warning>), CpuError> {
    check(placement)?;
    let (placed, told) = mpsc::sync_channel(1);
    let handle = Builder::new()
        .name(name.to_string())
        .spawn(move || {
            let outcome = place_current(placement);
            let failed = outcome.is_err();
            // The spawner waits for this, and drops the handle if it is an error.
            let _ = placed.send(outcome);
            if failed {
                // Ends the thread without a value and without a message; nobody joins it.
                std::panic::resume_unwind(Box::new("not placed"));
            }
            f()
        })
        .map_err(|source| CpuError::System { action: "spawn a thread", source })?;
    let warnings = told.recv().unwrap_or_else(|_| {
        Err(CpuError::System { action: "place a thread", source: io::Error::other("it ended before it was placed") })
    })?;
    Ok((handle, warnings))
}

/// What of this machine costs latency for loops on `cores`, in words for an operator. Reads /proc and /sys; not for the hot path.
pub fn latency_warnings(cores: &[usize]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(Warning(text));
    let allowed = allowed_cores();
    if cores.len() >= allowed.len() {
        warn(format!(
            "{} pinned loops on {} cores leave none for the system: expect milliseconds in the tail",
            cores.len(),
            allowed.len()
        ));
    }
    let isolated = read("/sys/devices/system/cpu/isolated");
    for &core in cores {
        if !in_list(&isolated, core) {
            warn(format!(
                "core {core} is not isolated: boot with isolcpus={core} nohz_full={core}, or keep other work off it"
            ));
        }
        let cpu = format!("/sys/devices/system/cpu/cpu{core}");
        let governor = read(&format!("{cpu}/cpufreq/scaling_governor"));
        if !governor.is_empty() && governor != "performance" {
            warn(format!(
                "core {core} runs the {governor} governor: `cpupower -c {core} frequency-set -g performance`"
            ));
        }
        let siblings = read(&format!("{cpu}/topology/thread_siblings_list"));
        for &other in cores.iter().filter(|&&other| other > core) {
            if in_list(&siblings, other) {
                warn(format!("cores {core} and {other} are threads of one core: use one of them"));
            }
        }
    }
    if in_brackets(&read("/sys/kernel/mm/transparent_hugepage/enabled")) == Some("always") {
        warn("transparent huge pages are `always`: compaction stalls; set `madvise`".to_string());
    }
    let clock = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if !clock.is_empty() && clock != "tsc" && clock != "kvm-clock" {
        warn(format!("the clock source is {clock}: reading the time is a system call; `tsc` is faster"));
    }
    warnings
}

/// What the limit of real-time run time (microseconds of each period; -1: none) does to a loop that spins.
fn throttling(limit: &str) -> Option<Warning> {
    (!limit.is_empty() && limit != "-1").then(|| {
        Warning(format!(
            "real-time threads may run {limit} us of each period, and a loop that spins is stopped for the rest: \
             `sysctl kernel.sched_rt_runtime_us=-1` if it has a core of its own"
        ))
    })
}

/// A one-line file; empty where the machine does not have it.
fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).map(|text| text.trim().to_string()).unwrap_or_default()
}

/// Whether a list like `0-3,8` holds `core`.
fn in_list(list: &str, core: usize) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&core),
            _ => false,
        }
    })
}

/// The chosen word of a file like `always [madvise] never`.
fn in_brackets(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word)
}

fn check(placement: Placement) -> Result<(), CpuError> {
    if let Some(core) = placement.core {
        let allowed = allowed_cores();
        if !allowed.contains(&core) {
            return Err(CpuError::NoSuchCore { core, allowed });
        }
    }
    match placement.fifo {
        Some(priority) if !FIFO_PRIORITIES.contains(&priority) => Err(CpuError::Priority(priority)),
        _ => Ok(()),
    }
}

fn unpin_current(cores: &[usize]) -> Result<(), CpuError> {
    // SAFETY: a cpu_set_t is plain bits, for which zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores.iter().filter(|&&core| core < libc::CPU_SETSIZE as usize) {
        // SAFETY: `core` is within the set.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: `set` is a valid set of the size given; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    system(result, "widen a thread's cores")
}

fn set_ordinary_scheduler() -> Result<(), CpuError> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: a valid parameter; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &parameter) };
    system(result, "set the ordinary scheduler")
}

fn set_fifo(priority: u8) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: i32::from(priority) };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: a valid parameter; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn system(result: libc::c_int, action: &'static str) -> Result<(), CpuError> {
    if result == 0 {
        return Ok(());
    }
    Err(CpuError::System { action, source: io::Error::last_os_error() })
}

#[cfg(test)]
mod tests {
    use super::{in_brackets, in_list, throttling};

    #[test]
    fn a_throttled_loop_is_warned_of() {
        assert!(throttling("950000").is_some_and(|warning| warning.0.contains("950000 us")));
        assert_eq!(throttling("-1"), None);
        assert_eq!(throttling(""), None, "a machine without the limit");
    }

    #[test]
    fn lists_and_choices_of_sysfs_are_read() {
        assert!(in_list("0-3,8", 2) && in_list("0-3,8", 8) && in_list("5", 5));
        assert!(!in_list("0-3,8", 4) && !in_list("", 0) && !in_list("a-b,-", 0));
        assert_eq!(in_brackets("always [madvise] never"), Some("madvise"));
        assert_eq!(in_brackets("always"), None);
    }
}
