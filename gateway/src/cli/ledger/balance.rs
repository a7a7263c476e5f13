//! A balance, asked of a validator and believed because a quorum has signed it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use wirebook_settlement::ledger::{MAX_ACCOUNTS, MAX_ASSETS};

use super::super::failure::Failure;
use super::super::report::JsonOption;
use super::committee::CommitteeOption;

/// What an account has of an asset, as a quorum of the validators has agreed: asked of one of them, and believed of none
///
/// The answer comes with its proof: the balance's place under the root, the batch with that root, the block with that batch, and a quorum's
/// signatures over the block, all of which is checked here with the committee's public keys. A validator that lies is refused, with the
/// reason, and the next is asked.
///
/// Reads are linearizable: a number that is drawn for this question must first stand in a final block, so nothing that was final when
/// the question was asked is missing from the answer. That costs a block, some tens of milliseconds. `--stale` does without: the answer is
/// then right for the height that it names, which may be as old as the validator that was asked wants; `--at-least` bounds that.
/// An account or asset that nobody registered has nothing, and that is proven alike.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger balance 2 1 --committee committee/committee.toml
  wirebook ledger balance 2 1 --committee committee/committee.toml --at 127.0.0.1:9301 --stale --at-least 100
  wirebook ledger balance 2 1 --committee committee/committee.toml --json - | jq -r .available
  wirebook ledger balance 2 1 --committee committee/committee.toml --proof balance.proof
  wirebook ledger check balance.proof --committee committee/committee.toml

Exit codes: 0 the balance is proven; 1 no validator that was asked could, or one lied: it is said which and how; 2 bad use or bad input.")]
pub struct BalanceArgs {
    /// Whose
    #[arg(value_parser = clap::value_parser!(u32).range(0..i64::from(MAX_ACCOUNTS)))]
    account: u32,
    /// Of what: the number of the asset
    #[arg(value_parser = clap::value_parser!(u16).range(0..i64::from(MAX_ASSETS)))]
    asset: u16,
    #[command(flatten)]
    committee: CommitteeOption,
    /// Whom to ask; without it each of the committee in turn, until one has proven it
    #[arg(long, value_name = "HOST:PORT")]
    at: Option<SocketAddr>,
    /// Wait until the read is linearizable (the default)
    #[arg(long, conflicts_with = "stale")]
    linearizable: bool,
    /// Take what the validator has at hand
    #[arg(long)]
    stale: bool,
    /// Refuse an answer of an older batch than this
    #[arg(long, value_name = "BATCH", default_value_t = 0)]
    at_least: u64,
    /// How long to wait for the answer of one validator
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
    patience: u64,
    /// Keep the proof
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    #[command(flatten)]
    json: JsonOption,
}

pub(super) fn balance(args: &BalanceArgs) -> Result<(), Failure> {
    let _ = args.linearizable;
    #[cfg(feature = "settlement")]
    {
        engine::balance(args)
    }
    #[cfg(not(feature = "settlement"))]
    {
        let BalanceArgs { account, asset, committee, at, stale, at_least, patience, proof, json, .. } = args;
        let _ = (account, asset, committee.load()?.members.len(), at, stale, at_least, patience, proof, json);
        Err(super::without_engine())
    }
}

#[cfg(feature = "settlement")]
pub(super) use engine::{Proven, trust};

#[cfg(feature = "settlement")]
mod engine {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::time::Duration;

    use serde::Serialize;
    use wirebook_settlement::proof::settled::{Question, SettledProof};
    use wirebook_settlement::validator::reader::{ReadError, Reading, Trust};

    use super::super::super::failure::Failure;
    use super::super::super::journal::hex;
    use super::super::super::output::{Output, is_stdout};
    use super::super::super::report::{Lines, Report, one_stdout, tell};
    use super::super::committee::Committee;
    use super::BalanceArgs;

    /// What was proven. Amounts are text: they may be larger than what JSON readers take for a number.
    #[derive(Clone, Debug, Serialize)]
    pub(in super::super) struct Proven {
        account: u32,
        asset: u16,
        available: String,
        reserved: String,
        batch: u64,
        last_seq: String,
        root: String,
        block_height: u64,
        barrier_height: Option<u64>,
        validator: Option<SocketAddr>,
        committee: usize,
        bytes: usize,
        blocks: usize,
        refused: Vec<String>,
    }

    impl Report for Proven {
        fn lines(&self) -> Lines {
            let mut lines = Lines::default();
            lines
                .add("account", self.account)
                .add("asset", self.asset)
                .add("available", &self.available)
                .add("reserved", &self.reserved)
                .add("after batch", self.batch)
                .add("last seq", &self.last_seq)
                .add("root", &self.root)
                .add("signed at height", self.block_height);
            match self.barrier_height {
                Some(height) => {
                    lines.add("linearizable", format!("the barrier stands in the block at height {height}"))
                }
                None => lines.add("linearizable", "no: newer batches may be final"),
            };
            let quorum = format!("a quorum of {}, over a chain of {} blocks", self.committee, self.blocks);
            lines.add("believed", quorum).add("bytes of the proof", self.bytes);
            if let Some(validator) = self.validator {
                lines.add("asked", validator);
            }
            for why in &self.refused {
                lines.add("refused", why);
            }
            lines
        }
    }

    impl Proven {
        /// What a reading has shown.
        pub(in super::super) fn of(reading: &Reading, trust: &Trust) -> Self {
            let proof = SettledProof::decode(&reading.proof).expect("it was decoded to be checked");
            let header = &reading.at.header;
            Self {
                account: proof.balance.account,
                asset: proof.balance.asset,
                available: reading.balance.available.to_string(),
                reserved: reading.balance.reserved.to_string(),
                batch: header.number,
                last_seq: format!("{:#018x}", header.last_seq),
                root: hex(&header.next_root),
                block_height: reading.at.height,
                barrier_height: reading.at.barrier.map(|behind| behind.height),
                validator: None,
                committee: trust.keys.len(),
                bytes: reading.proof.len(),
                blocks: proof.anchor.chain.len(),
                refused: Vec::new(),
            }
        }
    }

    /// Whom a reader of this committee believes.
    pub(in super::super) fn trust(committee: &Committee) -> Trust {
        Trust { shard: committee.shard, keys: committee.members.iter().map(|member| member.key).collect() }
    }

    /// A number that nobody else can have drawn.
    fn draw() -> Result<[u8; 32], Failure> {
        let mut note = [0; 32];
        let path = std::path::Path::new("/dev/urandom");
        std::fs::File::open(path)
            .and_then(|mut random| std::io::Read::read_exact(&mut random, &mut note))
            .map_err(|error| Failure::io("draw a random number", path, &error))?;
        Ok(note)
    }

    pub(super) fn balance(args: &BalanceArgs) -> Result<(), Failure> {
        one_stdout(&args.json, args.proof.as_deref(), "--proof")?;
        let committee = args.committee.load()?;
        let trust = trust(&committee);
        let ask: Vec<SocketAddr> =
            args.at.map_or_else(|| committee.members.iter().map(|member| member.serve).collect(), |at| vec![at]);
        let mut refused = Vec::new();
        for at in ask {
            // Drawn anew for each: what one has been told, another may have made use of.
            let note = if args.stale { None } else { Some(draw()?) };
            let question = Question {
                shard: trust.shard,
                account: args.account,
                asset: args.asset,
                note,
                at_least: args.at_least,
            };
            match trust.read(at, &question, Duration::from_secs(args.patience)) {
                Ok(reading) => {
                    let proven = Proven { validator: Some(at), refused, ..Proven::of(&reading, &trust) };
                    if let Some(path) = &args.proof {
                        let mut output = Output::create(path)?;
                        output.write_all(&reading.proof).map_err(|error| output.failure(&error))?;
                        output.finish()?;
                    }
                    return tell(&proven, &args.json, args.proof.as_deref().is_some_and(is_stdout));
                }
                Err(why @ (ReadError::Lie(_) | ReadError::No(_) | ReadError::Away(_))) => {
                    refused.push(format!("{at}: {why}"));
                }
            }
        }
        Err(Failure::found_it(format!("no validator has proven it\n  {}", refused.join("\n  "))))
    }
}
