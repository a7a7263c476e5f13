//! `wirebook run`: the real gateway, until it is told to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};
use wirebook_bypass::stream::any::PortKind;

use super::failure::Failure;
use super::journal::hex;
use super::replay::ports;
use crate::admin::{Admin, Desk};
use crate::config::Config;
use crate::pipeline::Control;
use crate::serve::{self, EndError, Ended, StartError};

/// How often the main thread looks whether the pipeline still runs.
const WATCH: Duration = Duration::from_millis(50);

/// Run the gateway: take orders until SIGINT or SIGTERM
///
/// Starts from the journal if there is one: everything acknowledged before is there. Prints its effective configuration, what costs
/// latency on this machine, and where it listens; then a line for whatever an operator would want to know.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook run --config gateway/wirebook.example.toml
  wirebook replay orders.csv --to 127.0.0.1:9001        in another terminal
  wirebook run --config wirebook.toml --port shm        for clients on this host, who name its shm_dir

The operator's line is a Unix socket in the data directory:
  echo status | socat - UNIX:wirebook-data/admin.sock   also: counters, kill, halt, day, stop

Exit codes: 0 stopped in good order; 1 had to stop by itself (a full disk, a fault), and said why; 2 bad use, a bad configuration, or a
journal that does not verify.")]
pub struct RunArgs {
    /// The configuration (gateway/wirebook.example.toml documents every key)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What carries the bytes, instead of the configuration's [gateway] port
    #[arg(long, value_name = "PORT", value_parser = ports())]
    port: Option<PortKind>,
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for what cannot start, 1 for a venue that had to stop.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let mut config = Config::load(&args.config)?;
    if let Some(port) = args.port {
        config.set_port(port);
    }
    super::log::start(&config.log);
    eprint!("{}", config.effective());
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let running = serve::start_configured(&config).map_err(cannot_start)?;
    let started = &running.started;
    eprint!("{}", started.topology);
    info!(
        records = started.records,
        applied = started.applied,
        snapshot = %started.snapshot,
        tail = %started.tail,
        epoch = started.epoch,
        session = %started.session,
        direct = started.direct,
        "recovered"
    );
    for warning in &started.warnings {
        warn!("{warning}");
    }
    let control = running.control.clone();
    let status = Arc::clone(&running.status);
    let symbols = config.instruments.iter().map(|instrument| instrument.symbol.clone()).collect();
    let watch = running.watch();
    let settled = Arc::new(move || {
        let progress = watch.progress();
        format!(
            "sealed={} settled={} settled_seq={:#x} root={}",
            progress.sealed,
            progress.settled.height,
            progress.settled.last_seq,
            hex(&progress.settled.root)
        )
    });
    let socket = config.gateway.data_dir.join("admin.sock");
    let counters = config.gateway.data_dir.join(serve::COUNTERS);
    let desk = Desk { control: control.clone(), status, symbols, counters, settled };
    let _admin = Admin::start(&socket, desk).map_err(|error| Failure::io("open the admin socket", &socket, &error))?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| Failure::bad(format!("no signals: {error}")))?;
    eprintln!("listening on {}", running.address);

    while !running.ended() {
        if let Some(signal) = signals.pending().next() {
            info!(signal, "asked to stop");
            control.ask(Control::Stop);
        }
        std::thread::sleep(WATCH);
    }
    let ended = running.wait().map_err(stopped)?;
    farewell(&ended);
    Ok(())
}

fn farewell(ended: &Ended) {
    info!(
        last_seq = format!("{:#018x}", ended.last_seq),
        fills = ended.fills,
        sealed = ended.progress.sealed,
        settled = ended.progress.settled.height,
        root = %hex(&ended.root()),
        "stopped in good order"
    );
}

/// What kept a venue from starting: bad input, for the user to mend.
pub fn cannot_start(error: StartError) -> Failure {
    Failure::bad(format!("the venue cannot start: {error}"))
}

/// What stopped a venue that ran.
pub fn stopped(error: EndError) -> Failure {
    Failure::found_it(format!("the venue stopped: {error}"))
}
