//! The venue over a device that dies under load: no client hears of it, and every way to the same fills and root agrees.

use anyhow::{Context, Result, ensure};
use wirebook_tests::run;

/// A demo over the device model; the report, and the directory that it left.
fn demo(fail_after: &str) -> Result<(serde_json::Value, String, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("dump");
    let ran = run(&[
        "demo".as_ref(),
        "--matcher".as_ref(),
        "device-model".as_ref(),
        "--fail-after".as_ref(),
        fail_after.as_ref(),
        "--seconds".as_ref(),
        "2".as_ref(),
        "--rate".as_ref(),
        "4000".as_ref(),
        "--dump".as_ref(),
        dump.as_os_str(),
        "--json".as_ref(),
        "-".as_ref(),
    ])?
    .exits(0)?;
    let report = serde_json::from_str(&ran.stdout).context("one JSON object on standard output")?;
    Ok((report, ran.stderr, dir))
}

#[test]
fn a_device_matches_and_may_die_under_load() -> Result<()> {
    for (fail_after, takeovers) in [("0", 0), ("5000", 1)] {
        let (report, log, dir) = demo(fail_after)?;
        ensure!(report["lost"] == 0 && report["journal_verified"] == true, "{report}");
        ensure!(report["fills"].as_u64() > Some(0), "{report}");
        // A machine that lets nobody run for long enough may make a healthy device late; a dead one is always noticed.
        ensure!(report["takeovers"].as_u64() >= Some(takeovers), "{report}");
        ensure!(takeovers == 0 || log.contains("the software twin takes over at event"), "{log}");
        let fills = dir.path().join("fills");
        let orders = dir.path().join("dump/orders.csv");
        run(&[
            "match".as_ref(),
            orders.as_os_str(),
            "--matcher".as_ref(),
            "reference".as_ref(),
            "--fills".as_ref(),
            fills.as_os_str(),
        ])?
        .exits(0)?;
        ensure!(std::fs::read(&fills)? == std::fs::read(dir.path().join("dump/fills.csv"))?, "other fills: {report}");
    }
    Ok(())
}

#[test]
fn only_a_device_can_be_made_to_fail_and_offline_needs_none() -> Result<()> {
    let refused = run(&["demo", "--fail-after", "5"])?.exits(2)?;
    ensure!(refused.stderr.contains("--fail-after"), "{}", refused.stderr);
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "op,id,side,price,qty\n")?;
    let refused = run(&[
        "match".as_ref(),
        file.path().as_os_str(),
        "--matcher".as_ref(),
        "device-model".as_ref(),
        "--fills".as_ref(),
        "/dev/null".as_ref(),
    ])?
    .exits(2)?;
    ensure!(refused.stderr.contains("device-model"), "{}", refused.stderr);
    Ok(())
}
