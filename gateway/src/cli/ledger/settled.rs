//! What a validator says is settled, asked over its port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use wirebook_settlement::batch::Batch;
use wirebook_settlement::record::records;
use wirebook_settlement::validator::client::Client;
use wirebook_settlement::validator::wire::{Answer, Request, Tip};

use super::super::failure::Failure;
use super::super::journal::hex;

/// How long one wait is; longer ones are several.
const WAIT: Duration = Duration::from_secs(10);

/// The validator that is asked.
#[derive(Clone, Debug, Args)]
struct Whom {
    /// Where the validator serves
    #[arg(long, value_name = "HOST:PORT")]
    validator: SocketAddr,
    /// The shard that it settles
    #[arg(long, default_value_t = 0)]
    shard: u16,
}

/// The last final batch, its root, and which validator says so
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger tip --validator 127.0.0.1:9300")]
pub struct TipArgs {
    #[command(flatten)]
    whom: Whom,
}

/// Wait until a batch is final
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger wait --validator 127.0.0.1:9300 1000")]
pub struct WaitArgs {
    #[command(flatten)]
    whom: Whom,
    /// Number of the batch
    height: u64,
}

/// A final batch: its header, and its records one a line
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger batch --validator 127.0.0.1:9300 17")]
pub struct BatchArgs {
    #[command(flatten)]
    whom: Whom,
    /// Number of the batch
    number: u64,
}

/// The newest block that a quorum's certificate is at hand of
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger certificate --validator 127.0.0.1:9300")]
pub struct CertificateArgs {
    #[command(flatten)]
    whom: Whom,
}

/// A validator's metrics, in Prometheus' text format
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger metrics --validator 127.0.0.1:9300 | grep height")]
pub struct MetricsArgs {
    #[command(flatten)]
    whom: Whom,
}

fn away(whom: &Whom) -> impl Fn(std::io::Error) -> Failure {
    let address = whom.validator;
    move |error| Failure::bad(format!("{address}: {error}"))
}

fn connect(whom: &Whom) -> Result<Client, Failure> {
    Client::connect(whom.validator, whom.shard, None).map_err(away(whom))
}

fn ask(whom: &Whom, request: &Request) -> Result<Answer, Failure> {
    connect(whom)?.ask(request).map_err(away(whom))
}

pub(super) fn tip(args: &TipArgs) -> Result<(), Failure> {
    tell(&connect(&args.whom)?.tip);
    Ok(())
}

pub(super) fn wait(args: &WaitArgs) -> Result<(), Failure> {
    let mut client = connect(&args.whom)?;
    while client.tip.finalized.height < args.height {
        let stopped = |error| Failure::found_it(format!("{}: {error}", args.whom.validator));
        client.wait(args.height, WAIT).map_err(stopped)?;
    }
    tell(&client.tip);
    Ok(())
}

pub(super) fn batch(args: &BatchArgs) -> Result<(), Failure> {
    match ask(&args.whom, &Request::Batch(args.number))? {
        Answer::Batch(bytes) => show(&bytes),
        other => Err(refused(other)),
    }
}

pub(super) fn certificate(args: &CertificateArgs) -> Result<(), Failure> {
    match ask(&args.whom, &Request::Certified)? {
        Answer::Certified(number, height, parent, digest, certificate) => {
            println!("batch        {number}\nheight       {height}\nparent       {}", hex(&parent));
            println!("digest       {}\ncertificate  {}", hex(&digest), hex(&certificate));
            Ok(())
        }
        other => Err(refused(other)),
    }
}

pub(super) fn metrics(args: &MetricsArgs) -> Result<(), Failure> {
    match ask(&args.whom, &Request::Metrics)? {
        Answer::Text(text) => {
            print!("{text}");
            Ok(())
        }
        other => Err(refused(other)),
    }
}

fn refused(answer: Answer) -> Failure {
    match answer {
        Answer::No(why) | Answer::Refused(why) => Failure::found_it(why),
        _ => Failure::bad("the validator's answer is of another kind than was asked for"),
    }
}

fn tell(tip: &Tip) {
    let finalized = &tip.finalized;
    println!("height     {}", finalized.height);
    println!("root       {}", hex(&finalized.root));
    println!("last_seq   {:#018x}", finalized.last_seq);
    println!("digest     {}", hex(&finalized.digest));
    println!("validator  {}", hex(&tip.validator));
}

fn show(bytes: &[u8]) -> Result<(), Failure> {
    let batch =
        Batch::decode(bytes).map_err(|error| Failure::bad(format!("what was answered is no batch: {error}")))?;
    let header = batch.header();
    println!("number         {}", header.number);
    println!("digest         {}", hex(batch.digest()));
    println!("previous       {}", hex(&header.previous));
    println!("events         {}", hex(&header.events));
    println!("previous_root  {}", hex(&header.previous_root));
    println!("next_root      {}", hex(&header.next_root));
    for record in records(batch.records()) {
        let (_, record) = record.map_err(|error| Failure::bad(error.to_string()))?;
        println!("{:#018x}  {:?}", record.header.seq, record.payload);
    }
    Ok(())
}
