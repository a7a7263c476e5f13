//! From a record appended to the journal to the record durable, beside a raw write and fdatasync of one block.
//!
//! One record at a time, so that every commit is one block: what the journal adds is the copy, the CRC, the hash and io_uring.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use wirebook::journal::{DirectOptions, DirectStorage, Expect, Journal, JournalConfig, recover};
use wirebook_matcher::abi::abi_hash;
use wirebook_settlement::record::{Payload, Record, State};

use crate::floors::{disk, round_trips};
use crate::report::{Case, Figure, Results, Rounds};

/// How long a record may take to become durable before the bench gives up, in seconds.
const PATIENCE_S: u64 = 30;

/// Append to durable, beside a raw write and fdatasync
#[derive(Clone, Debug, Args)]
pub struct JournalArgs {
    /// Rounds; in each, journal and floor run once
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Records in a round
    #[arg(long, default_value_t = 200)]
    samples: u32,
}

/// Runs the bench.
pub fn run(args: &JournalArgs) -> Result<Results> {
    let dir = tempfile::tempdir()?;
    let mut storage = DirectStorage::open(dir.path(), DirectOptions::default())?;
    let direct = storage.direct();
    let recovered = recover(&mut storage, &Expect { shard: Some(0), abi_hash: Some(abi_hash()) }, &mut |_| Ok(()))?;
    let mut journal = Journal::start(storage, JournalConfig::new(0, abi_hash()), &recovered)?;
    let mut results = Results::new();
    results.config.insert("O_DIRECT".into(), direct.to_string());
    results.config.insert("rounds x samples".into(), format!("{} x {}", args.rounds, args.samples));

    let (mut floors, mut rounds): (Rounds, Rounds) = (Vec::new(), Vec::new());
    let mut bytes = Vec::with_capacity(256);
    for round in 0..=args.rounds {
        let synced = disk(args.samples)?;
        let durable = round_trips(args.samples, |_| {
            let seq = journal.next_seq();
            let mark = Payload::State(State::Mark { instrument: 0, price_ticks: seq });
            bytes.clear();
            Record::new(seq, seq, 0, 0, mark).encode_into(&mut bytes);
            journal.append(&bytes, seq)?;
            let begun = Instant::now();
            while journal.poll()? < seq {
                if begun.elapsed().as_secs() > PATIENCE_S {
                    bail!("a record is not durable after {PATIENCE_S} s");
                }
                std::hint::spin_loop();
            }
            Ok(())
        })?;
        if round > 0 {
            floors.push(synced);
            rounds.push(durable);
        }
    }
    let floor = "write+fdatasync 4 KiB";
    results.results.push(Figure::Latency(Case::of("journal", floor, &floors, floor, &floors)));
    results.results.push(Figure::Latency(Case::of("journal", "append-to-durable", &rounds, floor, &floors)));
    Ok(results)
}
