//! Balances and history, from the records.

use std::io::{BufWriter, Write};

use clap::Args;
use serde::Serialize;
use wirebook_matcher::Software;
use wirebook_settlement::ledger::{Cause, FEES, OUTSIDE, Posting};
use wirebook_settlement::machine::{Machine, RegistryBook, Sink};
use wirebook_settlement::record::Record;

use super::super::failure::Failure;
use super::super::journal::{hex, read};
use super::super::progress;
use super::super::report::{JsonOption, Lines, Report, tell};
use super::Journal;

/// What accounts have, of each asset: available, and reserved for live orders and pending transfers
///
/// Re-executes the journal. Amounts are in the asset's smallest unit. Account 0 is the outside world, account 1 the venue's fees.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger balances wirebook-data/journal
  wirebook ledger balances wirebook-data/journal --account 2 --json - | jq .balances")]
pub struct BalancesArgs {
    #[command(flatten)]
    journal: Journal,
    /// Only this account
    #[arg(long)]
    account: Option<u32>,
    #[command(flatten)]
    json: JsonOption,
}

/// Every movement of money, oldest first: seq, cause, from, to, asset, amount
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger history wirebook-data/journal --account 2 | tail")]
pub struct HistoryArgs {
    #[command(flatten)]
    journal: Journal,
    /// Only what this account pays or gets
    #[arg(long)]
    account: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    account: u32,
    name: String,
    asset: u16,
    asset_name: String,
    available: String,
    reserved: String,
}

/// What `balances` tells. Amounts are text: they may be larger than what JSON readers take for a number.
#[derive(Clone, Debug, Serialize)]
struct Balances {
    last_seq: String,
    batch: u64,
    root: String,
    history: String,
    pending: usize,
    balances: Vec<Row>,
}

impl Report for Balances {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines.add("last seq", &self.last_seq).add("sealed batches", self.batch).add("root", &self.root);
        lines.add("history of transfers", &self.history).add("pending transfers", self.pending);
        for row in &self.balances {
            let label = format!("account {} {}, asset {} {}", row.account, row.name, row.asset, row.asset_name);
            lines.add(label, format!("{} available, {} reserved", row.available, row.reserved));
        }
        lines
    }
}

pub(super) fn balances(args: &BalancesArgs) -> Result<(), Failure> {
    let machine = replay(&args.journal, &mut (), &mut |_, _| Ok(()))?;
    let ledger = machine.books.ledger();
    let wanted = |account: u32| args.account.is_none_or(|only| only == account);
    let rows = ledger.balances().filter(|(account, ..)| wanted(*account)).map(|(account, asset, balance)| Row {
        account,
        name: account_name(machine.books.registry(), account),
        asset,
        asset_name: asset_name(machine.books.registry(), asset),
        available: balance.available.to_string(),
        reserved: balance.reserved.to_string(),
    });
    let report = Balances {
        last_seq: format!("{:#018x}", machine.last_seq()),
        batch: machine.books.last_batch(),
        root: hex(&machine.root()),
        history: hex(&ledger.history()),
        pending: ledger.pending.iter().len(),
        balances: rows.collect(),
    };
    tell(&report, &args.json, false)
}

/// Writes postings as they come.
struct Print<W> {
    out: W,
    account: Option<u32>,
    closed: bool,
}

impl<W: Write> Sink for Print<W> {
    fn posting(&mut self, posting: &Posting) {
        let Posting { seq, from, to, asset, amount, cause } = *posting;
        if self.closed || self.account.is_some_and(|only| only != from && only != to) {
            return;
        }
        let cause = match cause {
            Cause::Transfer => "transfer",
            Cause::Payment => "payment",
            Cause::Delivery => "delivery",
            Cause::Fee => "fee",
            Cause::Rebate => "rebate",
        };
        // A reader that has seen enough (`| head`) is no error.
        self.closed = writeln!(self.out, "{seq:#018x} {cause} from {from} to {to} asset {asset} {amount}").is_err();
    }
}

pub(super) fn history(args: &HistoryArgs) -> Result<(), Failure> {
    let out = BufWriter::new(std::io::stdout().lock());
    let mut print = Print { out, account: args.account, closed: false };
    let result = replay(&args.journal, &mut print, &mut |_, _| Ok(()));
    let _ = print.out.flush();
    result.map(drop)
}

/// What is done behind each record.
type Behind<'a> = dyn FnMut(&Record<'_>, &Machine<Software>) -> Result<(), String> + 'a;

/// Re-executes a journal up to where it is asked to.
pub(super) fn replay(
    journal: &Journal,
    sink: &mut impl Sink,
    behind: &mut Behind<'_>,
) -> Result<Machine<Software>, Failure> {
    let bar = progress::counter("re-executing", "records");
    let mut machine: Option<Machine<Software>> = None;
    read(&journal.dir, &mut |at, bytes| {
        let (record, _) = Record::decode(bytes).map_err(|error| error.to_string())?;
        if journal.at.is_some_and(|end| record.header.seq > end) {
            return Ok(());
        }
        let machine = machine.get_or_insert_with(|| Machine::new(record.header.shard));
        machine.apply(&record, sink).map_err(|refusal| format!("it does not apply: {refusal}"))?;
        if at % 4096 == 0 {
            bar.set_position(at);
        }
        behind(&record, machine)
    })?;
    bar.finish_and_clear();
    machine.ok_or_else(|| {
        Failure::bad("the journal has no record up to there")
            .file(journal.dir.display())
            .next("name a later --at, or the directory of a journal that was written to")
    })
}

fn account_name(registry: &RegistryBook, account: u32) -> String {
    match account {
        OUTSIDE => "(outside)".into(),
        FEES => "(fees)".into(),
        _ => registry.account(account).and_then(|entry| entry.account).map_or_else(String::new, |a| text(&a.name)),
    }
}

fn asset_name(registry: &RegistryBook, asset: u16) -> String {
    text(registry.assets().get(usize::from(asset)).map_or(&[][..], |asset| &asset.name))
}

/// A name without its padding; what is not printable is escaped.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != b' ' && *byte != 0).map_or(0, |at| at + 1);
    bytes[..end].escape_ascii().to_string()
}
