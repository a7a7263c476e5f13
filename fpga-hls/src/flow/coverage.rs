//! What a run of beats has met: each command's kind and outcome, counted, so that nothing is tested by accident only.

use std::collections::BTreeMap;
use std::fmt;

use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT, SelfTrade, TimeInForce};

/// Counts by outcome. An outcome's name is the kind, what qualifies it (`ioc`, `fok`, `post`, `relative`), and what
/// happened, in the order in which it happened first: `new ioc: fill, own maker, cancelled ImmediateOrCancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
    longest_sweep: usize,
}

impl Coverage {
    /// Nothing met yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a command and its events.
    pub fn count(&mut self, command: &Command, events: &[Event]) {
        let name = outcome(command, events);
        match self.counts.get_mut(&name) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(name, 1);
            }
        }
        self.longest_sweep = self.longest_sweep.max(events.len());
    }

    /// Adds what another run has met.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
        self.longest_sweep = self.longest_sweep.max(other.longest_sweep);
    }

    /// How often an outcome was met.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Every outcome met, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// The most events of one command.
    pub fn longest_sweep(&self) -> usize {
        self.longest_sweep
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(name, count)| writeln!(f, "{count:>10}  {name}"))
    }
}

/// The name of a command's outcome, as [`Coverage`] counts it.
pub fn outcome(command: &Command, events: &[Event]) -> String {
    let mut name = match Kind::from_byte(command.kind) {
        Some(Kind::Nop) => "nop",
        Some(Kind::New) => "new",
        Some(Kind::Cancel) => "cancel",
        Some(Kind::Reduce) => "reduce",
        Some(Kind::Replace) => "replace",
        None => "unknown",
    }
    .to_owned();
    if let [Event { kind: EventKind::Rejected, reason, .. }] = events {
        name.push_str(&format!(": rejected {reason:?}"));
        return name;
    }
    if matches!(Kind::from_byte(command.kind), Some(Kind::New | Kind::Replace)) {
        match command.time_in_force() {
            Some(TimeInForce::Ioc) => name.push_str(" ioc"),
            Some(TimeInForce::Fok) => name.push_str(" fok"),
            _ if command.post_only() => name.push_str(" post"),
            _ => {}
        }
        if command.relative() {
            name.push_str(" relative");
        }
    }
    let mut seen: Vec<String> = Vec::new();
    for event in events {
        let what = match event.kind {
            EventKind::Fill => "fill".to_owned(),
            EventKind::Cancelled if event.maker != NO_SLOT => "own maker".to_owned(),
            EventKind::Cancelled if event.reason == crate::abi::Reason::SelfTrade => {
                let mode = if command.self_trade() == SelfTrade::CancelBoth { "both" } else { "newest" };
                format!("cancelled SelfTrade {mode}")
            }
            EventKind::Cancelled => format!("cancelled {:?}", event.reason),
            kind => format!("{kind:?}").to_lowercase(),
        };
        if !seen.contains(&what) {
            seen.push(what);
        }
    }
    if events.last().is_some_and(|event| event.kind == EventKind::Fill) {
        seen.push("complete".to_owned());
    }
    name.push_str(": ");
    name.push_str(&seen.join(", "));
    name
}
