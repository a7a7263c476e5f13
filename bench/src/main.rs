//! The latency laboratory: every figure beside its floor of the same run.
//!
//! Machines are shared and noisy, so a figure alone says little: each case runs interleaved with its floor, round by round,
//! and what is to be quoted is the ratio.

mod floors;
mod flow;
mod journal;
mod matcher;
mod report;
mod ring;
#[cfg(feature = "settlement")]
mod settle;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::Results;

/// The latency laboratory: every figure beside its floor of the same run
#[derive(Debug, Parser)]
#[command(name = "wirebook-bench", version, max_term_width = 120, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Also write the results as one JSON object to FILE; `-` is standard output, where nothing else is then printed
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every bench, one after another, each as it comes by default
    All,
    Floors(floors::FloorsArgs),
    Flow(flow::FlowArgs),
    Journal(journal::JournalArgs),
    Matcher(matcher::MatcherArgs),
    Ring(ring::RingArgs),
    #[cfg(feature = "settlement")]
    Settle(settle::SettleArgs),
    Wire(wire::WireArgs),
}

/// What `all` runs.
#[cfg(not(feature = "settlement"))]
const ALL: &[&str] = &["floors", "ring", "journal", "wire", "matcher"];
#[cfg(feature = "settlement")]
const ALL: &[&str] = &["floors", "ring", "journal", "settle", "wire", "matcher"];

impl Command {
    /// Runs a bench; none for a command that measures nothing.
    fn measure(&self) -> Result<Option<Results>> {
        match self {
            Self::All => all().map(Some),
            Self::Floors(args) => floors::run(args).map(Some),
            Self::Flow(args) => flow::run(args).map(|()| None),
            Self::Journal(args) => journal::run(args).map(Some),
            Self::Matcher(args) => matcher::run(args).map(Some),
            Self::Ring(args) => ring::run(args).map(Some),
            #[cfg(feature = "settlement")]
            Self::Settle(args) => settle::run(args).map(Some),
            Self::Wire(args) => wire::run(args).map(Some),
        }
    }
}

/// Every bench, with its defaults; its configuration goes under its name.
fn all() -> Result<Results> {
    let mut together = Results::new();
    for name in ALL {
        eprintln!("== {name}");
        let cli = Cli::try_parse_from(["wirebook-bench", name])?;
        let Some(found) = cli.command.measure()? else { continue };
        together.config.extend(found.config.into_iter().map(|(key, value)| (format!("{name}: {key}"), value)));
        together.results.extend(found.results);
        together.differences.extend(found.differences);
    }
    Ok(together)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let told = cli.command.measure().and_then(|results| {
        let Some(results) = results else { return Ok(true) };
        results.tell(cli.json.as_deref())?;
        Ok(results.differences.is_empty())
    });
    match told {
        Ok(true) => ExitCode::SUCCESS,
        // A difference was found.
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound_and_all_runs_every_bench() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            let runs = ALL.contains(&command.get_name());
            assert!(runs || ["all", "flow"].contains(&command.get_name()), "{} is not in all", command.get_name());
        }
        for name in ALL {
            Cli::try_parse_from(["wirebook-bench", name]).unwrap();
        }
    }
}
