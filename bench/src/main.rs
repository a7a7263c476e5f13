//! The latency laboratory: every figure beside its floor of the same run.
//!
//! Machines are shared and noisy, so a figure alone says little: each case runs interleaved with its floor, round by round,
//! and what is to be quoted is the ratio.

mod floors;
mod flow;
mod journal;
mod matcher;
mod report;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Floors(floors::FloorsArgs),
    Flow(flow::FlowArgs),
    Journal(journal::JournalArgs),
    Matcher(matcher::MatcherArgs),
    Wire(wire::WireArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Floors(args) => floors::run(args),
        Command::Flow(args) => return told(flow::run(args).map(|()| true)),
        Command::Journal(args) => journal::run(args),
        Command::Matcher(args) => matcher::run(args),
        Command::Wire(args) => wire::run(args),
    };
    told(result.and_then(|results| results.tell(cli.json.as_deref()).map(|()| results.differences.is_empty())))
}

/// The exit code: 0 done and right, 1 a difference was found, 2 bad use or bad input.
fn told(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
