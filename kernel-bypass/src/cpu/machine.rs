//! What a machine has, as /sys and /proc tell it: cores, threads of one core, nodes of memory, the network card's node.
//!
//! Everything is read below a root that the caller names, so that another machine's files can be looked at; what is not there, or
//! cannot be read, is not known, and no error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A logical processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: usize,
    /// All threads of its core, itself among them.
    pub threads: Vec<usize>,
    /// The node whose memory is near.
    pub node: usize,
    /// The scheduler puts nothing there by itself.
    pub isolated: bool,
}

/// A machine, as far as threads are placed on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its processors, by number.
    pub cpus: Vec<Cpu>,
    /// The network card's interface and its node, if they are known.
    pub nic: Option<(String, Option<usize>)>,
}

/// Files below a root.
#[derive(Debug, Clone)]
pub struct Files(PathBuf);

impl Files {
    /// Below `root`: `/` for this machine.
    pub fn below(root: &Path) -> Self {
        Self(root.to_path_buf())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// A file's text, trimmed; `None` if it is not there or cannot be read.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// A file with one number.
    pub fn number(&self, path: &str) -> Option<i64> {
        self.text(path)?.parse().ok()
    }

    /// The names in a directory, in order.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether there is something there.
    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }
}

/// The numbers of a list like `0-3,8`; what makes no sense is left out.
pub fn numbers(list: &str) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            // No machine has more; a file that says so is no reason to fill the memory.
            all.extend(first..=last.min(first.saturating_add(65_535)));
        }
    }
    all
}

/// Such a list from its numbers.
pub fn list(numbers: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

impl Machine {
    /// Reads a machine's description; `nic` names its interface for the market, else it is the first that is a real card.
    pub fn read(files: &Files, nic: Option<&str>) -> Self {
        let online = files.text("sys/devices/system/cpu/online").unwrap_or_else(|| "0".into());
        let isolated = numbers(&files.text("sys/devices/system/cpu/isolated").unwrap_or_default());
        let nodes: Vec<(usize, BTreeSet<usize>)> = files
            .names("sys/devices/system/node")
            .iter()
            .filter_map(|name| {
                let node = name.strip_prefix("node")?.parse().ok()?;
                Some((node, numbers(&files.text(&format!("sys/devices/system/node/{name}/cpulist"))?)))
            })
            .collect();
        let cpus = numbers(&online)
            .into_iter()
            .map(|number| {
                let siblings = format!("sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list");
                let mut threads = numbers(&files.text(&siblings).unwrap_or_default());
                threads.insert(number);
                let node = nodes.iter().find(|(_, cpus)| cpus.contains(&number)).map_or(0, |(node, _)| *node);
                Cpu { number, threads: threads.into_iter().collect(), node, isolated: isolated.contains(&number) }
            })
            .collect();
        let named = nic.map(str::to_string).or_else(|| {
            let real = |name: &String| files.exists(&format!("sys/class/net/{name}/device"));
            files.names("sys/class/net").into_iter().find(real)
        });
        let nic = named.map(|name| {
            let node = files.number(&format!("sys/class/net/{name}/device/numa_node"));
            // -1: the card is near to everybody, or the machine does not know.
            (name, node.and_then(|node| usize::try_from(node).ok()))
        });
        Self { cpus, nic }
    }

    /// This machine, as far as this process may use it.
    pub fn this(nic: Option<&str>) -> Self {
        let mut machine = Self::read(&Files::below(Path::new("/")), nic);
        let allowed = super::allowed_cores();
        machine.cpus.retain(|cpu| allowed.contains(&cpu.number));
        machine
    }
}
