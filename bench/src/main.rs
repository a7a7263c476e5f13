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
const ALL: &[&[&str]] = &[
    &["floors"],
    &["ring"],
    &["journal"],
    #[cfg(feature = "settlement")]
    &["settle"],
    &["wire", "--sessions", "1000"],
    &["wire", "--port", "uring"],
    &["wire", "--port", "shm"],
    &["wire", "--port", "xdp"],
    &["matcher"],
];

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

/// Every bench, one after another; its configuration goes under its name.
fn all() -> Result<Results> {
    let mut together = Results::new();
    for line in ALL {
        let name = line.join(" ");
        eprintln!("== {name}");
        let cli = Cli::try_parse_from(["wirebook-bench"].iter().chain(*line))?;
        let found = match cli.command.measure() {
            // What only root can measure is left out for others, and they are told.
            Err(error) if line.contains(&"xdp") && !rustix::process::geteuid().is_root() => {
                together.config.insert(name, format!("left out: {error:#}"));
                continue;
            }
            found => found?,
        };
        let Some(mut found) = found else { continue };
        if let ["wire", "--port", port] = line {
            found.results.iter_mut().for_each(|figure| figure.on(port));
        }
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
            let runs = ALL.iter().any(|line| line[0] == command.get_name());
            assert!(runs || ["all", "flow"].contains(&command.get_name()), "{} is not in all", command.get_name());
        }
        for line in ALL {
            Cli::try_parse_from(["wirebook-bench"].iter().chain(*line)).unwrap();
        }
    }
}
