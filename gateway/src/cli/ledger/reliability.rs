//! How reliable settlement is, as figures: how long finality takes, and how many owners can stop the ledger or fork it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use wirebook_settlement::validator::client::Client;
use wirebook_settlement::validator::wire::{Answer, Request};

use super::super::failure::Failure;
use super::super::report::{JsonOption, Lines, Report, grouped, tell};
use super::committee::{Committee, CommitteeOption};
use crate::settle::faulty;

/// How long finality takes, how likely it comes within a window, and how many owners can stop or fork the ledger
///
/// Asks every validator how long its newest batches took from the gateway's offer to being final and durable there, by its own clock (up to
/// 8,192 batches each, since it was started). A batch's finality is the time until a quorum of the validators had it. Owners are those that the
/// committee's file names; a validator without one is its own. More than n - q of n validators, q a quorum, stop the ledger; two quorums that
/// share only liars fork it, which takes 2q - n.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger reliability --committee committee/committee.toml --within 50
  wirebook ledger reliability --committee committee/committee.toml --json - | jq .finality_p99_us

Exit codes: 0 done; 1 fewer than a quorum of the validators answer, so nothing can be measured; 2 bad use.")]
pub struct ReliabilityArgs {
    #[command(flatten)]
    committee: CommitteeOption,
    /// The window: what share of the batches became final within so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100)]
    within: u64,
    /// Only the newest batches, so many
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Clone, Debug, Serialize)]
struct Reliability {
    validators: usize,
    answered: usize,
    away: Vec<String>,
    quorum: usize,
    owners: usize,
    validators_to_stop: usize,
    validators_to_fork: usize,
    owners_to_stop: usize,
    owners_to_fork: usize,
    batches: usize,
    finality_p50_us: Option<u32>,
    finality_p99_us: Option<u32>,
    finality_p999_us: Option<u32>,
    finality_max_us: Option<u32>,
    within_ms: u64,
    share_within: Option<f64>,
}

impl Report for Reliability {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines
            .add("validators", format!("{}, {} answer; a quorum is {}", self.validators, self.answered, self.quorum))
            .add("owners", self.owners)
            .add("stop the ledger", format!("{} owners ({} validators)", self.owners_to_stop, self.validators_to_stop))
            .add("fork the ledger", format!("{} owners ({} validators)", self.owners_to_fork, self.validators_to_fork))
            .add("batches measured", grouped(self.batches as u64));
        let times = [
            ("finality p50", self.finality_p50_us),
            ("finality p99", self.finality_p99_us),
            ("finality p99.9", self.finality_p999_us),
            ("finality max", self.finality_max_us),
        ];
        for (label, micros) in times {
            lines.add(label, micros.map_or("-".into(), |micros| format!("{} us", grouped(micros))));
        }
        let share = self.share_within.map_or("-".into(), |share| format!("{:.4} %", share * 100.0));
        lines.add(format!("final within {} ms", self.within_ms), share);
        for why in &self.away {
            lines.add("away", why);
        }
        lines
    }
}

pub(super) fn reliability(args: &ReliabilityArgs) -> Result<(), Failure> {
    let committee = args.committee.load()?;
    let (mut told, mut away) = (Vec::new(), Vec::new());
    for member in &committee.members {
        let answer = Client::connect(member.serve, committee.shard, Some(&member.key))
            .and_then(|mut client| client.ask(&Request::Timings));
        match answer {
            Ok(Answer::Timings(timings)) => told.push(timings),
            Ok(_) => away.push(format!("{}: its answer is of another kind", member.serve)),
            Err(error) => away.push(format!("{}: {error}", member.serve)),
        }
    }
    let validators = committee.members.len();
    let quorum = validators - faulty(validators);
    let answered = told.len();
    let finality = finality(&told, quorum, args.last);
    let report = measured(&committee, quorum, &finality, args.within, (answered, away));
    tell(&report, &args.json, false)?;
    if answered < quorum {
        return Err(Failure::found_it(format!("{answered} of {validators} validators answer, a quorum is {quorum}")));
    }
    Ok(())
}

fn measured(
    committee: &Committee,
    quorum: usize,
    finality: &[u32],
    within: u64,
    (answered, away): (usize, Vec<String>),
) -> Reliability {
    let validators = committee.members.len();
    let (stop, fork) = (validators - quorum + 1, 2 * quorum - validators);
    let owners = owners(committee);
    // The smallest rank that so many thousandths of the batches do not exceed.
    let rank = |thousandths: usize| {
        let at = (finality.len() * thousandths).div_ceil(1000).saturating_sub(1);
        finality.get(at).copied()
    };
    let window = Duration::from_millis(within).as_micros();
    let inside = finality.partition_point(|micros| u128::from(*micros) <= window);
    Reliability {
        validators,
        answered,
        away,
        quorum,
        owners: owners.len(),
        validators_to_stop: stop,
        validators_to_fork: fork,
        owners_to_stop: fewest(&owners, stop),
        owners_to_fork: fewest(&owners, fork),
        batches: finality.len(),
        finality_p50_us: rank(500),
        finality_p99_us: rank(990),
        finality_p999_us: rank(999),
        finality_max_us: finality.last().copied(),
        within_ms: within,
        share_within: (!finality.is_empty()).then(|| inside as f64 / finality.len() as f64),
    }
}

/// The times until a quorum had each batch, shortest first; of batches that fewer have told of, nothing is known.
fn finality(told: &[Vec<(u64, u32)>], quorum: usize, last: Option<usize>) -> Vec<u32> {
    let mut batches: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (number, micros) in told.iter().flatten() {
        batches.entry(*number).or_default().push(*micros);
    }
    let newest = batches.into_values().rev().filter(|times| times.len() >= quorum).take(last.unwrap_or(usize::MAX));
    let mut finality: Vec<u32> = newest
        .map(|mut times| {
            times.sort_unstable();
            times[quorum - 1]
        })
        .collect();
    finality.sort_unstable();
    finality
}

/// How many validators each owner has, most first.
fn owners(committee: &Committee) -> Vec<usize> {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    let mut owners = Vec::new();
    for member in &committee.members {
        match &member.owner {
            Some(owner) => *named.entry(owner).or_default() += 1,
            None => owners.push(1),
        }
    }
    owners.extend(named.into_values());
    owners.sort_unstable_by_key(|validators| std::cmp::Reverse(*validators));
    owners
}

/// The fewest owners that have so many validators together; `owners` is ordered, most first.
fn fewest(owners: &[usize], validators: usize) -> usize {
    let mut together = 0;
    for (at, own) in owners.iter().enumerate() {
        together += own;
        if together >= validators {
            return at + 1;
        }
    }
    owners.len()
}

#[cfg(test)]
mod tests {
    use super::super::committee::Member;
    use super::*;

    fn committee(owners: &[Option<&str>]) -> Committee {
        let member = |(at, owner): (usize, &Option<&str>)| Member {
            key: [at as u8; 32],
            serve: ([127, 0, 0, 1], 1).into(),
            owner: owner.map(str::to_owned),
        };
        Committee { shard: 0, members: owners.iter().enumerate().map(member).collect() }
    }

    #[test]
    fn owners_that_run_several_are_fewer_to_stop_and_to_fork_it() {
        for (owners, stop, fork) in [
            (&[None; 4][..], 2, 2),
            (&[None; 1], 1, 1),
            (&[None; 7], 3, 3),
            (&[Some("a"), Some("a"), None, None], 1, 1),
            (&[Some("a"), Some("a"), Some("b"), Some("b"), None, None, None], 2, 2),
            (&[Some("a"), Some("b"), Some("c"), None, None], 2, 3),
        ] {
            let committee = committee(owners);
            let quorum = owners.len() - faulty(owners.len());
            let report = measured(&committee, quorum, &[], 1, (0, Vec::new()));
            assert_eq!((report.owners_to_stop, report.owners_to_fork), (stop, fork), "{owners:?}");
        }
    }

    #[test]
    fn a_batch_is_final_when_a_quorum_has_it() {
        let told =
            [vec![(1, 10), (2, 40)], vec![(1, 20), (2, 30), (3, 1)], vec![(2, 20), (1, 90)], vec![(1, 15), (2, 10)]];
        assert_eq!(finality(&told, 3, None), [20, 30], "the third batch is known by one");
        assert_eq!(finality(&told, 3, Some(1)), [30], "the newest");
        let times: Vec<u32> = (1..=1000).map(|at| at * 1000).collect();
        let report = measured(&committee(&[None; 4]), 3, &times, 250, (4, Vec::new()));
        assert_eq!((report.finality_p50_us, report.finality_p99_us), (Some(500_000), Some(990_000)));
        assert_eq!((report.finality_p999_us, report.finality_max_us), (Some(999_000), Some(1_000_000)));
        assert_eq!(report.share_within, Some(0.25));
        assert_eq!(measured(&committee(&[None]), 1, &[], 1, (0, Vec::new())).share_within, None);
    }
}
