//! Clients and dissectors that nobody here wrote.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use wirebook_tests::{Client, Venue, cancel, enter, repository};

/// Login requests that the Python client sends.
const FOREIGN_LOGINS: usize = 4;

fn python() -> Result<Command> {
    let python = repository().join("tests/.venv/bin/python");
    ensure!(python.exists(), "{} is not there: tests/run makes it", python.display());
    Ok(Command::new(python))
}

fn foreign_session(address: &str) -> Result<()> {
    let (host, port) = address.rsplit_once(':').context("HOST:PORT")?;
    let script = repository().join("tests/clients/nasdaq_client.py");
    let output = python()?.arg(script).args([host, port]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the client found a difference:\n{text}");
    print!("{text}");
    Ok(())
}

#[test]
fn the_python_package_logs_in_trades_and_reconnects() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    foreign_session(&venue.address)?;
    venue.stop()?;
    Ok(())
}

#[test]
fn tshark_dissects_a_captured_session_without_a_malformed_packet() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    let port = venue.address.rsplit_once(':').context("HOST:PORT")?.1.to_owned();
    let file = dir.path().join("session.pcap");
    let mut capture = Command::new("tshark")
        .args(["-i", "lo", "-f", &format!("tcp port {port}"), "-a", "duration:120", "-w"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("tshark (Debian package tshark, as root)")?;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(capture.stderr.take().expect("piped")));
    ensure!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("Capture started")), "no capture started");

    foreign_session(&venue.address)?;
    let (mut client, _) = Client::session(&venue.address, "wire02", "", 1)?;
    let (_, first) = client.barrier()?;
    let burst: Vec<_> =
        (0..200).map(|i| enter(first + i, b'B', 10, "AAPL", 1_000_000 + 100 * u64::from(i), b'0')).collect();
    client.send(&burst)?;
    client.send(&(0..200).map(|i| cancel(first + i, 0)).collect::<Vec<_>>())?;
    client.barrier()?;
    client.logout()?;
    venue.stop()?;

    // The capture is written behind: wait until it holds the session's end, then end the tshark that this test started.
    std::thread::sleep(std::time::Duration::from_secs(2));
    ensure!(Command::new("kill").arg("-INT").arg(capture.id().to_string()).status()?.success(), "kill tshark");
    capture.wait()?;
    let fields = |filter: &str, field: &str| -> Result<Vec<String>> {
        let output = Command::new("tshark")
            .args(["-r"])
            .arg(&file)
            .args(["-d", &format!("tcp.port=={port},soupbintcp"), "-o", "tcp.desegment_tcp_streams:true"])
            .args(["-Y", filter, "-T", "fields", "-e", field])
            .stderr(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "tshark -r failed");
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().flat_map(|line| line.split(',')).map(str::to_owned).collect())
    };
    // The Python package pads the number in its login requests on the right, which tshark does not read as a number. The venue
    // does; those four are not its bytes. Nothing else may be malformed.
    let malformed = fields("_ws.malformed", "soupbintcp.packet_type")?;
    let others: Vec<_> = malformed.iter().filter(|kind| kind.as_str() != "'L'").collect();
    ensure!(others.is_empty() && malformed.len() <= FOREIGN_LOGINS, "malformed packets: {malformed:?}");
    let kinds = fields("soupbintcp", "soupbintcp.packet_type")?;
    let count = |kind: &str| kinds.iter().filter(|k| k.trim_matches('\'') == kind).count();
    println!("tshark: {} packets: L {} A {} U {} S {}", kinds.len(), count("L"), count("A"), count("U"), count("S"));
    ensure!(count("L") >= 4 && count("A") >= 3 && count("U") > 400 && count("S") > 400, "too little: {kinds:?}");
    Ok(())
}
