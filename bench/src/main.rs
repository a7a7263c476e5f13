//! The latency laboratory: every figure beside its floor of the same run.
//!
//! Machines are shared and noisy, so a figure alone says little: each case runs interleaved with its floor, round by round,
//! and what is to be quoted is the ratio.

mod floors;
mod journal;
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
    Journal(journal::JournalArgs),
    Wire(wire::WireArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Floors(args) => floors::run(args),
        Command::Journal(args) => journal::run(args),
        Command::Wire(args) => wire::run(args),
    };
    match result.and_then(|results| results.tell(cli.json.as_deref())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
