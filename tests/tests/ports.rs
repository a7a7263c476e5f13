//! The venue on every port: sessions, fills and roots do not know what carried the bytes.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wirebook_tests::{Venue, binary, repository, run};

/// A venue on this port is told the committed orders by a client on the same, and tells the fills that `match` computes.
fn replayed(port: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let on = format!("port = \"{port}\"");
    let venue = Venue::start(dir.path(), &[("port = \"kernel\"", &on)])?;
    let (told, wanted) = (dir.path().join("told.csv"), dir.path().join("wanted.csv"));
    let orders = repository().join("fpga-hls/tests/data/sample_orders.csv");
    let mut arguments: Vec<OsString> = vec!["replay".into(), orders.clone().into(), "--to".into()];
    arguments.extend([venue.address.clone().into(), "--tick-size".into(), "100".into()]);
    arguments.extend(["--fills".into(), told.clone().into(), "--port".into(), port.into()]);
    arguments.extend(["--shm-dir".into(), dir.path().join("wirebook-data/shm").into()]);
    let finished = run(&arguments)?.exits(0)?;
    let mut arguments: Vec<OsString> = vec!["match".into(), orders.into(), "--tick-size".into(), "100".into()];
    arguments.extend(["--fills".into(), wanted.clone().into()]);
    run(&arguments)?.exits(0)?;
    let (told, wanted) = (std::fs::read(&told)?, std::fs::read(&wanted)?);
    ensure!(!wanted.is_empty() && told == wanted, "{port}: other fills\n{}\n{}", finished.stdout, venue.log());
    venue.stop()?;
    verified(&dir.path().join("wirebook-data/journal"))?;
    Ok(())
}

fn verified(journal: &Path) -> Result<String> {
    Ok(run(&["journal".as_ref(), "verify".as_ref(), journal.as_os_str()])?.exits(0)?.stdout)
}

#[test]
fn a_replay_over_io_uring() -> Result<()> {
    replayed("uring")
}

#[test]
fn a_replay_over_shared_memory() -> Result<()> {
    replayed("shm")
}

#[test]
fn the_demo_is_the_same_on_every_port() -> Result<()> {
    for port in ["uring", "xdp", "shm"] {
        let dir = tempfile::tempdir()?;
        let dump = dir.path().join("dump");
        let mut arguments: Vec<OsString> =
            ["demo", "--seed", "5", "--seconds", "2", "--json", "-"].map(Into::into).into();
        arguments.extend(["--port".into(), port.into(), "--dump".into(), dump.clone().into()]);
        let demo = run(&arguments)?.exits(0)?;
        let report: serde_json::Value = serde_json::from_str(&demo.stdout).context("one JSON object")?;
        ensure!(report["port"] == port && report["lost"] == 0, "{port}: {report}");
        ensure!(report["fills"].as_u64() > Some(0), "{port}: {report}");
        let root = report["root"].as_str().context("root")?;
        ensure!(verified(&dump.join("journal"))?.contains(root), "{port}: another root than {root}");
    }
    Ok(())
}

/// The client library and its example: an order, its report, its cancel, on shared memory.
#[test]
fn the_strategy_of_the_example_trades() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[("port = \"kernel\"", "port = \"shm\"")])?;
    let example = binary().with_file_name("examples").join("shm_strategy");
    ensure!(example.exists(), "{}: build it with `cargo build --release --examples`", example.display());
    let built = Command::new(example).arg(dir.path().join("wirebook-data/shm")).arg(&venue.address).output()?;
    let said = String::from_utf8_lossy(&built.stdout).into_owned() + &String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "{said}\n{}", venue.log());
    for word in ["Accepted", "Canceled"] {
        ensure!(said.contains(word), "no {word}:\n{said}");
    }
    venue.stop()?;
    Ok(())
}

#[test]
fn a_port_that_is_none_is_refused() -> Result<()> {
    let refused = run(&["demo", "--port", "pigeon"])?.exits(2)?;
    ensure!(refused.stderr.contains("kernel") && refused.stderr.contains("shm"), "{}", refused.stderr);
    Ok(())
}
