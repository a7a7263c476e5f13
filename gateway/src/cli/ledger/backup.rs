//! A validator's state in one file, and back.

use std::path::PathBuf;

use clap::Args;

#[cfg(not(feature = "settlement"))]
use super::super::failure::Failure;
use super::super::report::JsonOption;

/// Write what a stopped validator holds to one file: its key, its newest snapshot, the batches since, and the signatures that make them final
///
/// Every byte is checked and every batch executed on the way; what the file holds is said in the end. **It holds the validator's secret
/// key**: keep it as you keep the key.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger backup --dir committee/validator-1 --to validator-1.backup
  wirebook ledger restore validator-1.backup --dir committee/validator-1 --committee committee/committee.toml

Exit codes: 0 the backup is there, and whole; 1 the validator's state does not hold up; 2 bad use: it runs, there is nothing to back up, \
the file is there already.")]
pub struct BackupArgs {
    /// The validator's directory; the validator does not run
    #[arg(long, value_name = "NODE_STATE")]
    dir: PathBuf,
    /// The backup, a new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    json: JsonOption,
}

/// Make a validator's directory of a backup; everything is checked before anything is written
///
/// A validator that begins from a backup has forgotten what it voted after it was taken, and a validator that votes twice in a view harms the
/// ledger. So it begins in quarantine: it follows the others, signs nothing, and asks them for three barriers, one after another. Then it is
/// beyond every view in which it can have voted before, however old the backup is, and votes. The others have to be a quorum without it
/// until then. What was final after the backup was taken, it gets from them. Never run a validator in two places: destroy the old directory.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger restore validator-1.backup --dir committee/validator-1 --committee committee/committee.toml
  wirebook validator --config committee/validator-1.toml

Exit codes: 0 restored; 1 the backup does not hold up: torn, changed, of another shard, not signed by the committee; 2 bad use: the \
directory holds something already.")]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// The validator's directory: missing, or empty
    #[arg(long, value_name = "NEW_DIR")]
    dir: PathBuf,
    /// The committee (committee.toml of `wirebook keys`): a quorum of it must have signed the state, and the key be of a member. Without it
    /// the backup is checked in itself, and by the other validators once it runs
    #[arg(long, value_name = "FILE")]
    committee: Option<PathBuf>,
    #[command(flatten)]
    json: JsonOption,
}

#[cfg(not(feature = "settlement"))]
pub(super) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    let BackupArgs { dir, to, json } = args;
    let _ = (dir, to, json);
    Err(super::without_engine())
}

#[cfg(not(feature = "settlement"))]
pub(super) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let RestoreArgs { file, dir, committee, json } = args;
    let _ = (file, dir, json, committee.as_deref().map(super::committee::Committee::load).transpose()?);
    Err(super::without_engine())
}

#[cfg(feature = "settlement")]
pub(super) use engine::{backup, restore};

#[cfg(feature = "settlement")]
mod engine {
    use serde::Serialize;
    use wirebook_settlement::execute::MachineExecutor;
    use wirebook_settlement::validator::backup::{self, BackupError, Held};
    use wirebook_settlement::validator::executor::Executor;

    use super::super::super::failure::Failure;
    use super::super::super::journal::hex;
    use super::super::super::report::{Lines, Report, grouped, tell};
    use super::super::balance::trust;
    use super::super::committee::Committee;
    use super::{BackupArgs, RestoreArgs};

    #[derive(Clone, Debug, Serialize)]
    struct Told {
        shard: u16,
        batch: u64,
        height: u64,
        root: String,
        digest: String,
        last_seq: String,
        snapshot_of_batch: u64,
        batches: u64,
        validator: String,
        signatures_checked: bool,
        bytes: u64,
    }

    impl Report for Told {
        fn lines(&self) -> Lines {
            let mut lines = Lines::default();
            lines
                .add("shard", self.shard)
                .add("batch", self.batch)
                .add("signed at height", self.height)
                .add("root", &self.root)
                .add("digest", &self.digest)
                .add("last seq", &self.last_seq)
                .add("snapshot of batch", self.snapshot_of_batch)
                .add("batches since", grouped(self.batches))
                .add("validator", &self.validator)
                .add("bytes", grouped(self.bytes));
            let signed = if self.signatures_checked {
                "a quorum of the committee"
            } else {
                "not checked: no committee was named"
            };
            lines.add("signed by", signed);
            lines
        }
    }

    impl Told {
        fn of(held: &Held, signatures_checked: bool) -> Self {
            Self {
                shard: held.header.shard,
                batch: held.header.number,
                height: held.height,
                root: hex(&held.header.next_root),
                digest: hex(&held.digest),
                last_seq: format!("{:#018x}", held.header.last_seq),
                snapshot_of_batch: held.snapshot,
                batches: held.batches,
                validator: hex(&held.validator),
                signatures_checked,
                bytes: held.bytes,
            }
        }
    }

    fn genesis(shard: u16) -> Box<dyn Executor> {
        Box::new(MachineExecutor::new(shard))
    }

    fn failure(error: &BackupError) -> Failure {
        let bad = matches!(
            error,
            BackupError::Io { .. }
                | BackupError::Runs { .. }
                | BackupError::Key { .. }
                | BackupError::Taken { .. }
                | BackupError::NothingFinal
        );
        if bad { Failure::bad(error.to_string()) } else { Failure::found_it(error.to_string()) }
    }

    pub(in super::super) fn backup(args: &BackupArgs) -> Result<(), Failure> {
        let held = backup::take(&args.dir, &args.to, genesis).map_err(|error| failure(&error))?;
        tell(&Told::of(&held, false), &args.json, false)
    }

    pub(in super::super) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
        let committee = args.committee.as_deref().map(Committee::load).transpose()?;
        let trust = committee.as_ref().map(trust);
        let held = backup::restore(&args.file, &args.dir, trust.as_ref(), genesis)
            .map_err(|error| failure(&error).file(args.file.display()))?;
        tell(&Told::of(&held, trust.is_some()), &args.json, false)
    }
}
