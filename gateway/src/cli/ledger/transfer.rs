//! A transfer through the operator's line of a running venue.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::failure::Failure;

/// How long the venue may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Move money in a running venue: all legs, or none of them
///
/// A leg is ACTION ID FROM TO ASSET AMOUNT, numbers all; several are joined by `;`. ACTION is book (moves now), pend (holds; add the
/// seconds after which it expires), post or void (ends a pend; add its ID). Account 0 is the outside world. The same ID again, for two
/// days, moves nothing.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  wirebook ledger transfer --admin wirebook-data/admin.sock book 17 0 2 1 5000
  wirebook ledger transfer --admin wirebook-data/admin.sock 'pend 18 2 3 1 40 60'
  wirebook ledger transfer --admin wirebook-data/admin.sock 'post 19 2 3 1 40 18; book 20 3 2 0 7'")]
pub struct TransferArgs {
    /// The venue's admin socket, in its data directory
    #[arg(long, value_name = "SOCKET")]
    admin: PathBuf,
    /// The legs
    #[arg(required = true, num_args = 1.., allow_hyphen_values = true)]
    legs: Vec<String>,
}

pub(super) fn transfer(args: &TransferArgs) -> Result<(), Failure> {
    let io = |doing: &'static str| {
        let admin = args.admin.clone();
        move |error: std::io::Error| {
            Failure::io(doing, &admin, &error)
                .next("name the admin.sock of a venue that runs: `wirebook run` says where it is")
        }
    };
    let stream = UnixStream::connect(&args.admin).map_err(io("reach the venue"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(io("wait for the venue"))?;
    let mut reader = BufReader::new(stream);
    let legs = args.legs.join(" ").replace(['\n', '\r'], " ");
    writeln!(reader.get_mut(), "transfer {legs}").map_err(io("ask the venue"))?;
    let mut answer = String::new();
    reader.read_line(&mut answer).map_err(io("hear the venue"))?;
    let answer = answer.trim();
    match answer.split_once(' ') {
        Some(("ok", seq)) => {
            println!("{seq}");
            Ok(())
        }
        Some(("error", why)) if why.starts_with("transfer:") => {
            Err(Failure::found_it(format!("the venue refuses the {why}")).next("nothing was moved"))
        }
        Some(("error", why)) => Err(Failure::bad(format!("the venue does not understand: {why}"))),
        _ => Err(Failure::bad("the venue gave no answer")
            .found(answer)
            .next("ask again with the same ids: they move nothing twice")),
    }
}
