//! `replay` of a file against a running venue is told exactly the fills that `match` computes from it.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use wirebook_tests::{Venue, repository, run, sample};

/// What makes the venue's stages run on threads of their own, on however few cores.
const PIPELINED: (&str, &str) = ("pipeline = \"auto\"", "pipeline = \"pipelined\"");

fn replayed(orders: PathBuf, tick: &str, rate: Option<&str>, edits: &[(&str, &str)]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), edits)?;
    let way = if edits.contains(&PIPELINED) { "pipelined:" } else { "inline:" };
    ensure!(venue.log().lines().any(|line| line == way), "not {way}\n{}", venue.log());
    let (told, wanted) = (dir.path().join("told.csv"), dir.path().join("wanted.csv"));
    let mut arguments: Vec<std::ffi::OsString> = vec!["replay".into(), orders.clone().into(), "--to".into()];
    arguments.extend([
        venue.address.clone().into(),
        "--tick-size".into(),
        tick.into(),
        "--fills".into(),
        told.clone().into(),
    ]);
    if let Some(rate) = rate {
        arguments.extend(["--rate".into(), rate.into()]);
    }
    let finished = run(&arguments)?.exits(0)?;
    run(&[
        "match".as_ref(),
        orders.as_os_str(),
        "--tick-size".as_ref(),
        tick.as_ref(),
        "--fills".as_ref(),
        wanted.as_os_str(),
    ])?
    .exits(0)?;
    ensure!(
        std::fs::read(&told)? == std::fs::read(&wanted)?,
        "the venue told other fills than match computes\n{}\n{}",
        finished.stdout,
        venue.log()
    );
    venue.stop()?;
    run(&["journal".as_ref(), "verify".as_ref(), dir.path().join("wirebook-data/journal").as_os_str()])?.exits(0)?;
    Ok(())
}

#[test]
fn the_lobster_sample() -> Result<()> {
    replayed(sample("lobster_orders.csv"), "100", None, &[])
}

#[test]
fn the_committed_orders_at_a_rate() -> Result<()> {
    replayed(repository().join("fpga-hls/tests/data/sample_orders.csv"), "100", Some("2000"), &[])
}

#[test]
fn the_lobster_sample_through_a_pipeline() -> Result<()> {
    replayed(sample("lobster_orders.csv"), "100", None, &[PIPELINED])
}

#[test]
fn the_committed_orders_through_a_pipeline() -> Result<()> {
    let matched = ("ack = \"journaled\"", "ack = \"matched\"");
    replayed(repository().join("fpga-hls/tests/data/sample_orders.csv"), "100", None, &[PIPELINED, matched])
}

#[test]
fn a_demo_s_orders() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("dump");
    run(&[
        "demo".as_ref(),
        "--seed".as_ref(),
        "11".as_ref(),
        "--seconds".as_ref(),
        "1".as_ref(),
        "--dump".as_ref(),
        dump.as_os_str(),
    ])?
    .exits(0)?;
    replayed(dump.join("orders.csv"), "100", None, &[])
}
