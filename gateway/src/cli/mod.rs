//! The command line: what a user asks for, and how it is answered.
//!
//! Exit codes: 0 done and right; 1 ran, and found what it looks for; 2 bad use or bad input. Results go to standard output or to
//! the files that were named, progress and errors to standard error.

pub mod convert;
pub mod demo;
pub mod doctor;
pub mod failure;
pub mod journal;
#[cfg(all(test, feature = "rtl"))]
mod kernel_tests;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod matching;
pub mod output;
pub mod progress;
pub mod replay;
pub mod report;
pub mod run;
pub mod sim;
pub mod validator;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

/// A trading venue's core: order entry, matching, journal, settlement
///
/// Orders arrive over SoupBinTCP and OUCH 5.0, are validated once, matched in price-time priority by an FPGA kernel's software twin,
/// journaled, and settled by a replicated ledger.
#[derive(Debug, Parser)]
#[command(name = "wirebook", version, max_term_width = 120, arg_required_else_help = true)]
#[command(after_help = "\
Start here:
  wirebook demo                                    the whole venue in one process, for a few seconds
  wirebook match orders.csv --fills fills.csv      orders in, fills out, without a network
  wirebook help match                              what a command does, with examples

Exit codes: 0 done and right; 1 ran, and found what it looks for (a difference, a broken journal); 2 bad use or bad input.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The commands. A command is listed here once it works, and not before.
#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Run(run::RunArgs),
    Match(matching::MatchArgs),
    Convert(convert::ConvertArgs),
    Replay(replay::ReplayArgs),
    Journal(journal::JournalArgs),
    Validator(validator::ValidatorArgs),
    Ledger(ledger::LedgerArgs),
    Keys(keys::KeysArgs),
    Sim(sim::SimArgs),
}

impl Command {
    fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Demo(args) => demo::run(args),
            Self::Doctor(args) => doctor::run(args),
            Self::Run(args) => run::run(args),
            Self::Match(args) => matching::run(args),
            Self::Convert(args) => convert::run(args),
            Self::Replay(args) => replay::run(args),
            Self::Journal(args) => journal::run(args),
            Self::Validator(args) => validator::run(args),
            Self::Ledger(args) => ledger::run(args),
            Self::Keys(args) => keys::run(args),
            Self::Sim(args) => sim::run(args),
        }
    }
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { failure::EXIT_BAD } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound_and_every_command_teaches() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let help = sub.clone().render_long_help().to_string();
            assert!(help.contains("Examples:"), "{} shows no example", sub.get_name());
            assert!(help.contains("Exit codes:"), "{} does not tell its exit codes", sub.get_name());
        }
    }

    #[test]
    fn bad_use_is_told_apart_from_help() {
        assert!(Cli::try_parse_from(["wirebook", "match"]).unwrap_err().use_stderr());
        assert!(!Cli::try_parse_from(["wirebook", "--help"]).unwrap_err().use_stderr());
        assert!(!Cli::try_parse_from(["wirebook", "--version"]).unwrap_err().use_stderr());
    }
}
