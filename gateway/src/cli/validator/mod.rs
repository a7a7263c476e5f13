//! `wirebook validator`: one settlement node of a committee, until it is told to stop.

mod config;

use std::path::PathBuf;

use clap::Args;

pub use config::{Config, Member};

use super::failure::Failure;

/// Run one validator of a committee: re-execute what the gateway signs, agree with the others, keep it
///
/// Takes batches from the gateway and answers readers at `serve`, talks to the other validators, encrypted and authenticated, at `listen`,
/// and serves Prometheus at `metrics`. A batch that re-execution refutes stops it, loudly, with the batch kept as evidence.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook keys committee --validators 4            makes keys and configurations of four, and of their gateway
  wirebook validator --config committee/validator-1.toml

Exit codes: 0 stopped in good order; 1 had to stop by itself (a batch that is refuted, a disk that fails), and said why; 2 bad use, a bad
configuration, or a store that does not verify.")]
pub struct ValidatorArgs {
    /// The configuration (`wirebook keys` writes one for each member)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Filter of the log
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for what cannot start, 1 for a validator that had to stop.
pub fn run(args: &ValidatorArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    super::log::start(&args.log);
    #[cfg(feature = "settlement")]
    {
        engine::run(config)
    }
    #[cfg(not(feature = "settlement"))]
    {
        let _ = config;
        Err(Failure::bad("this build has no validator")
            .next("build it with the cargo feature `settlement`, the default"))
    }
}

#[cfg(feature = "settlement")]
mod engine {
    use std::time::Duration;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use tracing::{error, info, warn};
    use wirebook_settlement::execute::MachineExecutor;
    use wirebook_settlement::validator::embedded;
    use wirebook_settlement::validator::serving::Serving;

    use super::Config;
    use crate::cli::Failure;
    use crate::cli::journal::hex;

    /// How often the main thread looks whether the validator still runs.
    const WATCH: Duration = Duration::from_millis(50);

    pub(super) fn run(config: Config) -> Result<(), Failure> {
        let members: Vec<embedded::Member> =
            config.members.iter().map(|member| embedded::Member { key: member.key, address: member.address }).collect();
        let of = members.len();
        let timing = embedded::Timing { leader: config.leader_timeout, certification: config.certification_timeout };
        let own = config.serve;
        let peers = config.members.iter().filter_map(|member| member.serve).filter(|serve| *serve != own).collect();
        let node = embedded::Config {
            timing,
            keeping: embedded::Keeping {
                every_batches: config.snapshot_every_batches,
                all_batches: config.keep_all_batches,
            },
            peers,
            membership: embedded::Membership::Committee { listen: config.listen, members },
            ..embedded::Config::alone(config.dir.clone(), config.shard, config.gateway)
        };
        let serving = Serving::start(node, MachineExecutor::new(config.shard), config.serve, config.metrics)
            .map_err(|error| Failure::bad(format!("the validator cannot start: {error}")))?;
        let begun = serving.handle().finalized();
        let mut told = Vec::new();
        info!(
            key = %hex(&serving.handle().public_key()),
            height = begun.height,
            root = %hex(&begun.root),
            peers = %config.listen,
            of,
            "validator"
        );
        let mut signals =
            Signals::new([SIGINT, SIGTERM]).map_err(|error| Failure::bad(format!("no signals: {error}")))?;
        eprintln!("serving on {}", serving.address().expect("it is served"));
        loop {
            for what in serving.handle().told() {
                if !told.contains(&what) {
                    warn!("{what}");
                    told.push(what);
                }
            }
            if let Some(signal) = signals.pending().next() {
                info!(signal, "asked to stop");
                break;
            }
            if let Some(fault) = serving.handle().fault() {
                error!("settlement has stopped: {fault}");
                break;
            }
            std::thread::sleep(WATCH);
        }
        match serving.shutdown() {
            Ok(reached) => {
                info!(height = reached.height, root = %hex(&reached.root), "stopped in good order");
                Ok(())
            }
            Err(fault) => Err(Failure::found_it(format!("the validator stopped: {fault}"))),
        }
    }
}
