//! `wirebook keys`: the keys and configurations of a committee of validators and of its gateway, in one folder.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::journal::hex;
use crate::settle::signing_key;

/// The ports of one member's peers, service and metrics are this far apart from the next kind.
const PORTS_APART: u16 = 100;

/// Make the keys and configurations of a committee of validators, and of its gateway
///
/// The folder gets a directory and a configuration for each validator (validator-1.toml ...), with a key of its own, the gateway's signing key
/// and a piece for its configuration (gateway.toml), and the public keys for whoever reads the ledger (committee.toml). What is there already is kept: keys are never overwritten. On several machines,
/// change the addresses, and move each validator's directory to where it runs: its key must be in one place only.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook keys committee --validators 4 --port 9200
  wirebook validator --config committee/validator-1.toml      and 2, 3, 4, each in a terminal of its own
  cat gateway/wirebook.example.toml committee/gateway.toml > venue.toml
  wirebook run --config venue.toml                            with gateway.key moved to its data_dir

Exit codes: 0 done; 2 bad use, or a folder that cannot be written.")]
pub struct KeysArgs {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Validators: 3f + 1 of them bear f that lie or are away
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    validators: u16,
    /// Where they are
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port at which the first listens for its peers; the others follow, services are 100 higher, metrics 200
    #[arg(long, default_value_t = 9200)]
    port: u16,
    /// The shard that they settle
    #[arg(long, default_value_t = 0)]
    shard: u16,
}

/// Runs the command.
///
/// # Errors
/// Exit code 2: bad use, or a folder that cannot be written.
pub fn run(args: &KeysArgs) -> Result<(), Failure> {
    let KeysArgs { dir, validators, host, port, shard } = args;
    let last = u32::from(*port) + 2 * u32::from(PORTS_APART) + u32::from(*validators);
    if *port == 0 || last > u32::from(u16::MAX) {
        let allowed = format!("1 to {}", u16::MAX - 2 * PORTS_APART - validators);
        return Err(Failure::bad("the ports do not fit").field("--port").found(port).allowed(allowed));
    }
    fs::create_dir_all(dir).map_err(|error| Failure::io("make the folder", dir, &error))?;
    let gateway = signing_key(&dir.join("gateway.key")).map_err(|error| Failure::bad(error.to_string()))?;
    let gateway = hex(&gateway.verifying_key().to_bytes());
    let keys: Vec<String> = (1..=*validators)
        .map(|at| Ok(hex(&validator_key(&dir.join(format!("validator-{at}")))?)))
        .collect::<Result<_, Failure>>()?;

    let at = |kind: u16, index: usize| format!("{host}:{}", port + kind * PORTS_APART + index as u16);
    let mut members = String::new();
    let mut named = String::from("\n# The validators of `wirebook keys`.\n");
    let mut known = format!(
        "# The validators of a shard: what a reader of the ledger must know. `owner` (a name) says which are run by the same people.\n\
         shard = {shard}\n"
    );
    for (index, key) in keys.iter().enumerate() {
        let _ = write!(
            members,
            "\n[[member]]\nkey = \"{key}\"\naddress = \"{}\"\nserve = \"{}\"\n",
            at(0, index),
            at(1, index)
        );
        let _ = write!(known, "\n[[member]]\nkey = \"{key}\"\nserve = \"{}\"\n", at(1, index));
        let _ = write!(named, "[[settlement.validator]]\nkey = \"{key}\"\naddress = \"{}\"\n", at(1, index));
    }
    for index in 0..keys.len() {
        let (number, listen, serve, metrics) = (index + 1, at(0, index), at(1, index), at(2, index));
        let text = format!(
            "# Validator {number} of {validators}: wirebook validator --config FILE\n\
             shard = {shard}\n\
             # Its directory: key, votes, batches, evidence. Relative to this file's.\n\
             dir = \"validator-{number}\"\n\
             # Public key of the gateway whose batches are settled.\n\
             gateway = \"{gateway}\"\n\
             # Where it listens for its peers, serves the gateway and readers, and serves Prometheus.\n\
             listen = \"{listen}\"\n\
             serve = \"{serve}\"\n\
             metrics = \"{metrics}\"\n\
             # How long a leader may take to propose, and a view to be certified, before the next leader's turn.\n\
             leader_timeout_ms = 1000\n\
             certification_timeout_ms = 2000\n\
             # Batches between two snapshots of the state; 0: none. Whoever is further behind than its peers remember begins with theirs.\n\
             snapshot_every_batches = 1000\n\
             # Whether batches before the last snapshot but one stay on disk; if not, they go, 64 MiB at a time.\n\
             keep_all_batches = false\n\
             {members}"
        );
        write_new(&dir.join(format!("validator-{number}.toml")), &text)?;
    }
    write_new(&dir.join("gateway.toml"), &named)?;
    write_new(&dir.join("committee.toml"), &known)?;
    println!("gateway      {gateway}");
    for (index, key) in keys.iter().enumerate() {
        println!("validator-{:<3}{key}  {}", index + 1, at(1, index));
    }
    Ok(())
}

/// A validator's key, made if there is none; answers the public one. The file holds 32 secret bytes, as the validator reads them.
fn validator_key(dir: &Path) -> Result<[u8; 32], Failure> {
    let path = dir.join("validator.key");
    fs::create_dir_all(dir).map_err(|error| Failure::io("make the directory", dir, &error))?;
    let key = signing_key(&path).map_err(|error| Failure::bad(error.to_string()))?;
    Ok(key.verifying_key().to_bytes())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    match made.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut known = String::new();
            let read = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut known));
            read.map_err(|error| Failure::io("read the file", path, &error))?;
            if known == text {
                return Ok(());
            }
            Err(Failure::bad("the file is there already, and is another")
                .file(path.display())
                .next("remove it, or choose another folder"))
        }
        other => other.map_err(|error| Failure::io("write the file", path, &error)),
    }
}
