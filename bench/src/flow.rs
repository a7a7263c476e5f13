//! A scenario as a file of orders, for any engine to be measured with.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use wirebook_matcher::flow::scenario::TICK_SIZE;
use wirebook_matcher::flow::{Flow, OrdersWriter, Scenario};

/// A scenario's orders as Orders CSV
///
/// What `matcher` gives its engines, for others to read: one line a command, the opening (which fills the book of calm and 1m-live,
/// and is not measured there) first.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook-bench flow --scenario swing-40 --messages 2000000 --out orders.csv
  wirebook match orders.csv --tick-size 50 --fills fills.csv
  wirebook-bench matcher --orders orders.csv --tick-size 50

Prices are hundredths of a cent in steps of half a cent: --tick-size 50.")]
pub struct FlowArgs {
    /// static, normal, swing-25, swing-40, crash, calm or 1m-live
    #[arg(long, value_name = "NAME", value_parser = scenario)]
    scenario: Scenario,
    /// Another seed, another flow
    #[arg(long, value_name = "N", default_value_t = 23)]
    seed: u64,
    /// Lines after the opening; by default as many as `matcher` measures
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// Where they go; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
}

/// The scenario of this name.
pub fn scenario(name: &str) -> Result<Scenario, String> {
    let names = Scenario::ALL.map(Scenario::name).join(", ");
    Scenario::from_name(name).ok_or_else(|| format!("found {name}, allowed: {names}"))
}

/// Writes the orders.
pub fn run(args: &FlowArgs) -> Result<()> {
    let out: Box<dyn Write> = if args.out.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(&args.out).with_context(|| format!("{}: cannot be written", args.out.display()))?)
    };
    match write(args, out) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.with_context(|| format!("{}: cannot be written", args.out.display())),
    }
}

fn write(args: &FlowArgs, out: impl Write) -> io::Result<()> {
    let lines = args.scenario.opening() + args.messages.unwrap_or(args.scenario.messages());
    let mut writer = OrdersWriter::new(BufWriter::with_capacity(1 << 16, out))?;
    for sent in Flow::new(args.scenario, args.seed).take(usize::try_from(lines).unwrap_or(usize::MAX)) {
        writer.write(&sent.line)?;
    }
    writer.finish()?;
    if args.out.as_os_str() != "-" {
        eprintln!(
            "{lines} lines of {} (seed {}, tick size {TICK_SIZE}) in {}",
            args.scenario.name(),
            args.seed,
            args.out.display()
        );
    }
    Ok(())
}
