//! `wirebook journal`: a journal, re-executed and checked, or shown record by record.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;
use wirebook_matcher::Software;
use wirebook_matcher::abi::Event;
use wirebook_settlement::machine::{Books, Machine, Sink};
use wirebook_settlement::record::{Payload, Record, RecordKind, Seq};

use super::failure::Failure;
use super::progress;
use super::report::{JsonOption, Lines, Report, grouped, rate, seconds, tell};
use crate::journal::{Dir, Expect, RecoverError, Recovered, recover};

/// Look into a journal: verify it, or print its records
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook journal verify data/journal
  wirebook journal dump data/journal | less

Exit codes: 0 all of it holds; 1 the journal is broken, and it is said where; 2 bad use, or no journal there.")]
pub struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum JournalCommand {
    Verify(VerifyArgs),
    Dump(DumpArgs),
}

/// Re-execute every record, check every byte, and print the root
///
/// Checks each block's CRC and hash, the chain of hashes, that no seq is missing, and that every record applies. Exit code 0: all of it
/// holds; 1: something does not, and it is said where; 2: there is no journal to read.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook journal verify data/journal
  wirebook journal verify data/journal --json - | jq -r .root")]
struct VerifyArgs {
    /// Directory of the journal (its files end in .wbj)
    dir: PathBuf,
    #[command(flatten)]
    json: JsonOption,
}

/// Print records, one a line, as they stand in the journal
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook journal dump data/journal | less
  wirebook journal dump data/journal --kind order --limit 20")]
struct DumpArgs {
    /// Directory of the journal (its files end in .wbj)
    dir: PathBuf,
    /// Only records of this kind: epoch, order, reject, session, registry, transfer, state, seal
    #[arg(long)]
    kind: Option<String>,
    /// At most this many records
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Begin with the record of this seq (decimal, or hexadecimal with 0x)
    #[arg(long, value_parser = parse_seq, default_value = "0")]
    from: u64,
}

/// What `verify` found to hold.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Records in the journal.
    pub records: u64,
    /// Events that they led to.
    pub events: u64,
    blocks: u64,
    segments: u64,
    last_seq: String,
    epoch: u16,
    /// Fills among them.
    pub fills: u64,
    batches: u64,
    unsealed_records: u64,
    tail: String,
    /// Root after the last sealed batch.
    pub root: String,
    seconds: f64,
    #[serde(skip)]
    elapsed: Duration,
}

impl Report for Verified {
    fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines
            .add("records", grouped(self.records))
            .add("commit blocks", grouped(self.blocks))
            .add("segments", grouped(self.segments))
            .add("last seq", format!("{} (epoch {})", self.last_seq, self.epoch))
            .add("events", grouped(self.events))
            .add("fills", grouped(self.fills))
            .add("sealed batches", grouped(self.batches))
            .add("unsealed records", grouped(self.unsealed_records))
            .add("tail", &self.tail)
            .add("root", &self.root)
            .add("time", format!("{}, {} records/s", seconds(self.elapsed), grouped(rate(self.records, self.elapsed))));
        lines
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 for a broken journal, 2 when there is none.
pub fn run(args: &JournalArgs) -> Result<(), Failure> {
    match &args.command {
        JournalCommand::Verify(args) => verify(args),
        JournalCommand::Dump(args) => dump(args),
    }
}

fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    tell(&check(&args.dir)?, &args.json, false)
}

/// Counts what comes of records.
struct Count(u64);

impl Sink for Count {
    fn event(&mut self, _: &Record<'_>, _: &Event, _: Option<u64>, _: &Books) {
        self.0 += 1;
    }
}

/// Re-executes a journal and checks every byte of it.
///
/// # Errors
/// Exit code 1 for a broken journal, 2 when there is none.
pub fn check(dir: &Path) -> Result<Verified, Failure> {
    let begun = Instant::now();
    let bar = progress::counter("verifying", "records");
    let mut machine: Option<Machine<Software>> = None;
    let mut count = Count(0);
    let mut root = None;
    let mut batches = 0;
    let read = read(dir, &mut |at, bytes| {
        let (record, _) = Record::decode(bytes).map_err(|error| error.to_string())?;
        let machine = machine.get_or_insert_with(|| Machine::new(record.header.shard));
        machine.apply(&record, &mut count).map_err(|refusal| format!("it does not apply: {refusal}"))?;
        if let Payload::Seal(seal) = record.payload {
            root = Some(machine.root());
            batches = seal.number;
        }
        if at % 4096 == 0 {
            bar.set_position(at);
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    let Some(machine) = machine else {
        return Err(Failure::bad("the journal is empty")
            .file(dir.display())
            .next("name the directory of a journal that was written to"));
    };
    let last_seq = machine.last_seq();
    Ok(Verified {
        records: read.records,
        events: count.0,
        blocks: read.blocks,
        segments: read.segments.len() as u64,
        last_seq: format!("{last_seq:#018x}"),
        epoch: Seq::epoch(last_seq),
        fills: machine.books.fills(),
        batches,
        unsealed_records: u64::from(machine.books.seal().records),
        tail: read.tail.to_string(),
        root: hex(&root.unwrap_or_else(|| machine.root())),
        seconds: begun.elapsed().as_secs_f64(),
        elapsed: begun.elapsed(),
    })
}

fn dump(args: &DumpArgs) -> Result<(), Failure> {
    let kind = args.kind.as_deref().map(parse_kind).transpose()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut shown = 0;
    let mut closed = false;
    let result = read(&args.dir, &mut |_, bytes| {
        let (record, _) = Record::decode(bytes).map_err(|error| error.to_string())?;
        let wanted = record.header.seq >= args.from && kind.is_none_or(|kind| kind == record.header.kind);
        if !wanted || closed || shown == args.limit {
            return Ok(());
        }
        shown += 1;
        // A reader that has seen enough (`| head`) is no error.
        closed = writeln!(out, "{record}").is_err();
        Ok(())
    });
    let _ = out.flush();
    result.map(drop)
}

/// What is done with a record: its number, from 1, and its bytes.
pub(super) type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a;

/// Reads and verifies the files; hands over each record with its number.
pub(super) fn read(dir: &Path, visit: &mut Visit<'_>) -> Result<Recovered, Failure> {
    let is_journal = std::fs::read_dir(dir)
        .map_err(|error| Failure::io("read the journal", dir, &error))?
        .filter_map(Result::ok)
        .any(|entry| entry.path().extension().is_some_and(|extension| extension == "wbj"));
    if !is_journal {
        return Err(Failure::bad("no journal stands there")
            .file(dir.display())
            .allowed("a directory with segments, as in 0000000001.wbj"));
    }
    let mut count = 0;
    recover(&mut Dir::new(dir), &Expect { shard: None, abi_hash: None }, &mut |record| {
        count += 1;
        visit(count, record.bytes).map_err(Into::into)
    })
    .map_err(broken)
}

fn broken(error: RecoverError) -> Failure {
    Failure::found_it(format!("the journal does not verify: {error}"))
}

pub(super) fn parse_seq(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("found {text:?}, allowed a number, or 0x and hexadecimal digits"))
}

fn parse_kind(text: &str) -> Result<RecordKind, Failure> {
    RecordKind::ALL.into_iter().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(text)).ok_or_else(|| {
        Failure::bad("no such kind of record")
            .field("--kind")
            .found(text)
            .allowed("epoch, order, reject, session, registry, transfer, state, seal")
    })
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
