//! `match` and `convert` on the committed samples, and what they say of bad input.

use anyhow::{Context, Result, ensure};
use wirebook_tests::{repository, run};

#[test]
fn both_matchers_give_the_committed_fills() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for matcher in ["software", "reference"] {
        let fills = dir.path().join(matcher);
        let orders = repository().join("fpga-hls/tests/data/sample_orders.csv");
        run(&[
            "match".as_ref(),
            orders.as_os_str(),
            "--matcher".as_ref(),
            matcher.as_ref(),
            "--tick-size".as_ref(),
            "100".as_ref(),
            "--fills".as_ref(),
            fills.as_os_str(),
        ])?
        .exits(0)?;
        let (found, wanted) =
            (std::fs::read(&fills)?, std::fs::read(repository().join("fpga-hls/tests/data/sample_fills.csv"))?);
        ensure!(found == wanted, "{matcher} gives other fills than the committed ones");
    }
    Ok(())
}

#[test]
fn bad_input_names_file_line_field_and_exits_2() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let orders = dir.path().join("bad.csv");
    std::fs::write(&orders, "op,id,side,price,qty\nA,1,1,100,10\nA,2,1,12x,10\n")?;
    let fills = dir.path().join("fills.csv");
    let finished = run(&["match".as_ref(), orders.as_os_str(), "--fills".as_ref(), fills.as_os_str()])?.exits(2)?;
    for part in ["bad.csv", "3", "price", "12x"] {
        ensure!(finished.stderr.contains(part), "the message lacks {part:?}:\n{}", finished.stderr);
    }
    run(&["match", "/no/such/file.csv", "--fills", "-"])?.exits(2)?;
    run(&["match"])?.exits(2)?;
    Ok(())
}

#[test]
fn a_bad_configuration_names_file_line_field_and_exits_2() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let example = std::fs::read_to_string(repository().join("gateway/wirebook.example.toml"))?;
    let config = dir.path().join("wirebook.toml");
    std::fs::write(&config, example.replace("listen = \"127.0.0.1:9001\"", "listen = \"nowhere\""))?;
    let line = std::fs::read_to_string(&config)?
        .lines()
        .position(|l| l.starts_with("listen = \"nowhere\""))
        .context("the listen line")?
        + 1;
    let finished = run(&["run".as_ref(), "--config".as_ref(), config.as_os_str()])?.exits(2)?;
    for part in ["wirebook.toml", &line.to_string(), "listen", "nowhere"] {
        ensure!(finished.stderr.contains(part), "the message lacks {part:?}:\n{}", finished.stderr);
    }
    std::fs::write(&config, example + "\nno_such_key = 1\n")?;
    let finished = run(&["run".as_ref(), "--config".as_ref(), config.as_os_str()])?.exits(2)?;
    ensure!(finished.stderr.contains("no_such_key"), "{}", finished.stderr);
    Ok(())
}
