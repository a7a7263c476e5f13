//! A balance as a file that anyone can check against a root.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wirebook_settlement::ledger::{MAX_ACCOUNTS, MAX_ASSETS};
#[cfg(feature = "settlement")]
use wirebook_settlement::proof::ProofError;
use wirebook_settlement::proof::balance::BalanceProof;
use wirebook_settlement::record::Payload;

use super::super::failure::Failure;
use super::super::journal::hex;
use super::super::output::Output;
use super::super::report::{JsonOption, Lines, Report, tell};
use super::Journal;
use super::books::replay;
use super::committee::Committee;
use crate::hex::decode32;

/// Prove what an account has of an asset, after the last sealed batch: a file of a kilobyte or so
///
/// An account or asset that nobody registered has nothing, and that is proven alike.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger prove wirebook-data/journal --account 2 --asset 1 --proof balance.proof
  wirebook ledger check balance.proof --root $(wirebook journal verify wirebook-data/journal --json - | jq -r .root)")]
pub struct ProveArgs {
    #[command(flatten)]
    journal: Journal,
    /// Whose
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..i64::from(MAX_ACCOUNTS)))]
    account: u32,
    /// Of what
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..i64::from(MAX_ASSETS)))]
    asset: u16,
    /// Where the proof goes
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    json: JsonOption,
}

/// Check a proof against a root that you trust, that of a finalized batch; or one of `ledger balance` against a committee that you trust
///
/// Exit code 0: the balance is what the proof says; 1: the proof is of another root, or damaged, or no quorum has signed it.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger check balance.proof --root 5e0c...
  wirebook ledger check balance.proof --committee committee/committee.toml")]
pub struct CheckArgs {
    /// The proof
    proof: PathBuf,
    /// The root, 64 hexadecimal digits: for a proof of `ledger prove`
    #[arg(long, value_name = "HEX", required_unless_present = "committee", conflicts_with = "committee")]
    root: Option<String>,
    /// The committee: for a proof of `ledger balance`
    #[arg(long, value_name = "FILE")]
    committee: Option<PathBuf>,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Clone, Debug, Serialize)]
struct Proven {
    account: u32,
    asset: u16,
    available: String,
    reserved: String,
    root: String,
    bytes: usize,
}

impl Report for Proven {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines
            .add("account", self.account)
            .add("asset", self.asset)
            .add("available", &self.available)
            .add("reserved", &self.reserved)
            .add("root", &self.root)
            .add("bytes of the proof", self.bytes);
        lines
    }
}

impl Proven {
    fn of(proof: &BalanceProof, bytes: usize) -> Self {
        Self {
            account: proof.account,
            asset: proof.asset,
            available: proof.balance.available.to_string(),
            reserved: proof.balance.reserved.to_string(),
            root: hex(&proof.root()),
            bytes,
        }
    }
}

pub(super) fn prove(args: &ProveArgs) -> Result<(), Failure> {
    super::super::report::one_stdout(&args.json, Some(&args.proof), "--proof")?;
    let mut proof = None;
    replay(&args.journal, &mut (), &mut |record, machine| {
        if matches!(record.payload, Payload::Seal(_)) {
            proof = BalanceProof::of(machine, args.account, args.asset);
        }
        Ok(())
    })?;
    let proof = proof.ok_or_else(|| {
        Failure::bad("no batch is sealed up to there, so there is no root to prove anything against")
            .file(args.journal.dir.display())
            .next("let the venue run a moment longer, or name a later --at")
    })?;
    let bytes = proof.encode();
    let mut output = Output::create(&args.proof)?;
    output.write_all(&bytes).map_err(|error| output.failure(&error))?;
    output.finish()?;
    tell(&Proven::of(&proof, bytes.len()), &args.json, super::super::output::is_stdout(&args.proof))
}

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let bytes = std::fs::read(&args.proof).map_err(|error| Failure::io("read the proof", &args.proof, &error))?;
    let Some(root) = &args.root else {
        let committee = args.committee.as_deref().expect("one of the two is there");
        return check_settled(args, &Committee::load(committee)?, bytes);
    };
    let root = decode32(root.trim())
        .ok_or_else(|| Failure::bad("this is no root").field("--root").found(root).allowed("64 hexadecimal digits"))?;
    let proof = BalanceProof::decode(&bytes)
        .map_err(|error| Failure::found_it(format!("not a proof: {error}")).file(args.proof.display()))?;
    let found = proof.root();
    if found != root {
        return Err(Failure::found_it("the proof leads to another root: the balance is not what it says, there")
            .file(args.proof.display())
            .found(hex(&found))
            .allowed(hex(&root)));
    }
    tell(&Proven::of(&proof, bytes.len()), &args.json, false)
}

#[cfg(feature = "settlement")]
fn check_settled(args: &CheckArgs, committee: &Committee, bytes: Vec<u8>) -> Result<(), Failure> {
    use super::balance::{Proven, trust};
    use wirebook_settlement::proof::settled::{Question, SettledProof};

    let refused =
        |error: ProofError| Failure::found_it(format!("the proof does not hold: {error}")).file(args.proof.display());
    let trust = trust(committee);
    let balance = SettledProof::decode(&bytes).map_err(refused)?.balance;
    let (account, asset) = (balance.account, balance.asset);
    let question = Question { shard: trust.shard, account, asset, note: None, at_least: 0 };
    let reading = trust.check(&question, bytes).map_err(refused)?;
    tell(&Proven::of(&reading, &trust), &args.json, false)
}

#[cfg(not(feature = "settlement"))]
fn check_settled(_: &CheckArgs, _: &Committee, _: Vec<u8>) -> Result<(), Failure> {
    Err(super::without_engine())
}
