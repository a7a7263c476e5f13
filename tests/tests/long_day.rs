//! A long day through `wirebook match`: memory that follows the live orders and not the file, and figures that are told.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wirebook_tests::{binary, deep, run};

/// Lines of the day.
const LINES: u64 = 400_000;
/// Lines of the day in a deep run.
const DEEP_LINES: u64 = 3_000_000;
/// Resident memory that a day may take, in bytes, however long: the program itself, a band of 65,536 ticks, some ten thousand live
/// orders and buffers take far less; a file in memory, or ids of the dead, would take more.
const MOST_MEMORY: u64 = 64 << 20;

/// The laboratory, built beside the binary.
fn laboratory() -> PathBuf {
    binary().with_file_name("wirebook-bench")
}

/// Writes a scenario's orders.
fn write_day(scenario: &str, lines: u64, orders: &Path) -> Result<()> {
    let status = Command::new(laboratory())
        .args(["flow", "--scenario", scenario, "--seed", "5", "--messages", &lines.to_string(), "--out"])
        .arg(orders)
        .status()
        .context("wirebook-bench is built by `cargo build --release -p wirebook-bench`")?;
    ensure!(status.success(), "wirebook-bench flow: {status}");
    Ok(())
}

/// Matches a file, and gives the report.
fn matched(orders: &Path, fills: &Path) -> Result<Value> {
    let finished = run(&[
        "match".as_ref(),
        orders.as_os_str(),
        "--tick-size".as_ref(),
        "50".as_ref(),
        "--fills".as_ref(),
        fills.as_os_str(),
        "--json".as_ref(),
        "-".as_ref(),
    ])?
    .exits(0)?;
    Ok(serde_json::from_str(&finished.stdout)?)
}

#[test]
fn a_long_day_takes_bounded_memory_and_every_engine_finds_its_fills() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (orders, fills) = (dir.path().join("orders.csv"), dir.path().join("fills.csv"));
    let lines = if deep() { DEEP_LINES } else { LINES };
    for scenario in ["swing-40", "calm"] {
        write_day(scenario, lines, &orders)?;
        let report = matched(&orders, &fills)?;
        let told = |field: &str| report[field].as_u64().with_context(|| format!("{field} in {report}"));
        ensure!(told("orders")? >= lines && told("rejects")? == 0, "{report}");
        ensure!(told("orders_per_second")? > 0 && told("matching_ns")? > 0 && told("fills")? > lines / 100, "{report}");
        let peak = told("peak_memory_bytes")?;
        ensure!(peak < MOST_MEMORY, "{scenario}: {peak} bytes for {lines} lines");
        println!("{scenario}: {report}");

        let digest = report["fills_digest"].as_str().context("a digest")?;
        let summed = Command::new("sha256sum").arg(&fills).output().context("sha256sum")?;
        ensure!(String::from_utf8_lossy(&summed.stdout).starts_with(digest), "the digest is that of the file");
    }

    // The laboratory over the same file: the same fills from every engine.
    let output = Command::new(laboratory())
        .args(["matcher", "--tick-size", "50", "--rounds", "2", "--messages", "30000", "--json", "-", "--orders"])
        .arg(&orders)
        .output()?;
    ensure!(output.status.success(), "wirebook-bench: {}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let results = found["results"].as_array().context("results")?;
    ensure!(results.len() == 7, "software twice, yardstick, btree, two crates, floor: {found}");
    let wanted = results[0]["fills_digest"].as_str().context("a digest")?;
    for result in results {
        let engine = result["engine"].as_str().context("an engine")?;
        let case = result["case"].as_str().context("a case")?;
        ensure!(result["bench"] == "matcher" && case == format!("orders/{engine}"), "{result}");
        let cpu = &result["cpu_ns_per_command"];
        ensure!(cpu["min"].as_f64() > Some(0.0) && cpu["median"].as_f64() >= cpu["min"].as_f64(), "{result}");
        ensure!(result["floor_cpu_ns_per_command"].as_f64() > Some(0.0), "{result}");
        let digest = result["fills_digest"].as_str();
        ensure!(digest == (engine != "floor").then_some(wanted), "{engine} makes other fills: {result}");
    }
    Ok(())
}

#[test]
fn the_laboratory_tells_bad_orders_with_file_and_line() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let orders = dir.path().join("bad.csv");
    std::fs::write(&orders, "op,id,side,price,qty\r\nA,1,1,100,10\r\nA,2,1,12x,10\r\n")?;
    for (arguments, parts) in [
        (vec!["matcher", "--orders", orders.to_str().context("a name")?], vec!["bad.csv:3", "price", "12x"]),
        (vec!["matcher", "--orders", "/no/such.csv"], vec!["/no/such.csv"]),
        (vec!["matcher", "--scenario", "storm"], vec!["storm", "swing-40"]),
        (vec!["matcher", "--tick-size", "5"], vec!["--orders"]),
    ] {
        let output = Command::new(laboratory()).args(&arguments).output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{arguments:?} ends with {}", output.status);
        ensure!(parts.iter().all(|part| told.contains(part)), "{arguments:?}: {told}");
    }
    Ok(())
}
