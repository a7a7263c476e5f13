//! `wirebook ledger`: balances, history and proofs, from a journal that is re-executed; transfers, through a running
//! venue; what is settled, from a validator.

mod backup;
mod balance;
mod books;
mod committee;
mod prove;
mod reliability;
mod settled;
mod transfer;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::Failure;

/// Balances, their history, proofs of them, transfers, and what validators have settled
///
/// From the validators, believed because a quorum has signed it: balance, check. From one validator, as it says: tip, wait, batch,
/// certificate, metrics. From all of them: reliability. Of a validator's own directory: backup, restore. From a venue's journal at hand,
/// re-executed: balances, history, prove. Through a running venue: transfer.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger balances wirebook-data/journal --account 2
  wirebook ledger history wirebook-data/journal --account 2 | tail
  wirebook ledger prove wirebook-data/journal --account 2 --asset 1 --proof balance.proof
  wirebook ledger check balance.proof --root 5e0c...
  wirebook ledger transfer --admin wirebook-data/admin.sock book 17 0 2 1 5000
  wirebook ledger tip --validator 127.0.0.1:9300
  wirebook ledger balance 2 1 --committee committee/committee.toml
  wirebook ledger reliability --committee committee/committee.toml --within 50
  wirebook ledger backup --dir committee/validator-1 --to validator-1.backup

Exit codes: 0 done and right; 1 ran, and found what it looks for (a broken journal, a proof that does not hold, a transfer that is \
refused, what a validator does not hold); 2 bad use or bad input.")]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum LedgerCommand {
    Balance(balance::BalanceArgs),
    Balances(books::BalancesArgs),
    History(books::HistoryArgs),
    Prove(prove::ProveArgs),
    Check(prove::CheckArgs),
    Transfer(transfer::TransferArgs),
    Tip(settled::TipArgs),
    Wait(settled::WaitArgs),
    Batch(settled::BatchArgs),
    Certificate(settled::CertificateArgs),
    Metrics(settled::MetricsArgs),
    Reliability(reliability::ReliabilityArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
}

/// Runs the command.
///
/// # Errors
/// See the exit codes in its help.
pub fn run(args: &LedgerArgs) -> Result<(), Failure> {
    match &args.command {
        LedgerCommand::Balance(args) => balance::balance(args),
        LedgerCommand::Balances(args) => books::balances(args),
        LedgerCommand::History(args) => books::history(args),
        LedgerCommand::Prove(args) => prove::prove(args),
        LedgerCommand::Check(args) => prove::check(args),
        LedgerCommand::Transfer(args) => transfer::transfer(args),
        LedgerCommand::Tip(args) => settled::tip(args),
        LedgerCommand::Wait(args) => settled::wait(args),
        LedgerCommand::Batch(args) => settled::batch(args),
        LedgerCommand::Certificate(args) => settled::certificate(args),
        LedgerCommand::Metrics(args) => settled::metrics(args),
        LedgerCommand::Reliability(args) => reliability::reliability(args),
        LedgerCommand::Backup(args) => backup::backup(args),
        LedgerCommand::Restore(args) => backup::restore(args),
    }
}

/// Certificates are the consensus engine's to check.
#[cfg(not(feature = "settlement"))]
fn without_engine() -> Failure {
    Failure::bad("this build cannot check certificates")
        .next("build it with the cargo feature `settlement`, the default")
}

/// Which journal, and how far.
#[derive(Clone, Debug, Args)]
struct Journal {
    /// Directory of the journal (its files end in .wbj)
    dir: PathBuf,
    /// Stop behind the record of this seq (decimal, or hexadecimal with 0x); without it, at the end
    #[arg(long, value_name = "SEQ", value_parser = super::journal::parse_seq)]
    at: Option<u64>,
}
