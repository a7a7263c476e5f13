//! The main job, and that every other way to the same fills and the same root agrees with it.

use anyhow::{Context, Result, ensure};
use wirebook_tests::run;

#[test]
fn the_demo_settles_everything_and_offline_tools_agree() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("dump");
    let demo = run(&[
        "demo".as_ref(),
        "--seed".as_ref(),
        "7".as_ref(),
        "--seconds".as_ref(),
        "3".as_ref(),
        "--dump".as_ref(),
        dump.as_os_str(),
        "--json".as_ref(),
        "-".as_ref(),
    ])?
    .exits(0)?;
    let report: serde_json::Value = serde_json::from_str(&demo.stdout).context("one JSON object on standard output")?;
    ensure!(report["lost"] == 0, "lost: {}", report["lost"]);
    ensure!(report["orders"].as_u64() > Some(1_000), "orders: {}", report["orders"]);
    ensure!(report["fills"].as_u64() > Some(0), "fills: {}", report["fills"]);
    let root = report["root"].as_str().context("root")?.to_owned();

    for matcher in ["reference", "software"] {
        let fills = dir.path().join(matcher);
        run(&[
            "match".as_ref(),
            dump.join("orders.csv").as_os_str(),
            "--matcher".as_ref(),
            matcher.as_ref(),
            "--fills".as_ref(),
            fills.as_os_str(),
        ])?
        .exits(0)?;
        ensure!(
            std::fs::read(&fills)? == std::fs::read(dump.join("fills.csv"))?,
            "{matcher}: the fills of the demo's orders differ from what clients were told"
        );
    }
    let verified = run(&["journal".as_ref(), "verify".as_ref(), dump.join("journal").as_os_str()])?.exits(0)?;
    ensure!(verified.stdout.contains(&root), "verify does not print the demo's root {root}:\n{}", verified.stdout);

    // One flipped byte anywhere is found.
    let segment = std::fs::read_dir(dump.join("journal"))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "wbj"))
        .min()
        .context("a segment")?;
    let mut bytes = std::fs::read(&segment)?;
    bytes[4096 + 300] ^= 1;
    std::fs::write(&segment, bytes)?;
    let broken = run(&["journal".as_ref(), "verify".as_ref(), dump.join("journal").as_os_str()])?.exits(1)?;
    ensure!((broken.stdout + &broken.stderr).contains(".wbj"), "the broken file is not named");
    Ok(())
}
