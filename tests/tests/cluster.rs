//! Four validators in processes of their own: they agree, bear one that is away, and lose nothing to kill -9.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wirebook_tests::{Client, Cluster, Operator, Random, Venue, deep, enter, run};

const VALIDATORS: u16 = 4;
/// Rounds of kill -9; `deep` has a thousand.
const ROUNDS: u32 = 30;
const DEEP_ROUNDS: u32 = 1_000;
/// How long settlement may stand still while a quorum is up: several views that time out one after another, and a busy machine.
const LONGEST_STALL: Duration = Duration::from_secs(120);

/// Keeps a venue busy until told to stop: pairs of orders that trade.
struct Load {
    stop: Arc<AtomicBool>,
    fills: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Load {
    fn start(address: &str) -> Self {
        let (stop, fills) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (address, stopped, counted) = (address.to_owned(), stop.clone(), fills.clone());
        let thread = std::thread::spawn(move || trade(&address, &stopped, &counted));
        Self { stop, fills, thread }
    }

    fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the client does not panic")?;
        Ok(self.fills.load(Ordering::Acquire))
    }
}

fn trade(address: &str, stop: &AtomicBool, fills: &AtomicU64) -> Result<()> {
    let (mut client, _) = Client::session(address, "wire01", "", 0)?;
    let (_, mut reference) = client.barrier()?;
    while !stop.load(Ordering::Acquire) {
        let mut burst = Vec::new();
        for _ in 0..20 {
            burst.push(enter(reference, b'B', 10, "AAPL", 1_000_000, b'0'));
            burst.push(enter(reference + 1, b'S', 10, "AAPL", 1_000_000, b'3'));
            reference += 2;
        }
        client.send(&burst)?;
        while let Some(message) = client.message_within(Duration::from_millis(5))? {
            fills.fetch_add(u64::from(message.kind() == b'E'), Ordering::AcqRel);
        }
    }
    Ok(())
}

/// The number behind `settled=` in the operator's status.
fn settled(dir: &Path) -> Result<u64> {
    let status = Operator::connect(dir)?.ask("status")?;
    let word = status.split_whitespace().find_map(|word| word.strip_prefix("settled=")).context(status.clone())?;
    Ok(word.parse()?)
}

fn wait_settled(dir: &Path, height: u64) -> Result<u64> {
    let begun = Instant::now();
    loop {
        let reached = settled(dir)?;
        if reached >= height {
            return Ok(reached);
        }
        ensure!(begun.elapsed() < LONGEST_STALL, "settlement stands at {reached}, {height} was waited for");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Balances by `wirebook ledger balance`: of each validator the same, behind a barrier; stale where that is asked for; and refused where the
/// committee that is trusted is another.
fn read_with_proof(cluster: &Cluster, dir: &Path) -> Result<()> {
    let committee = cluster.committee().to_string_lossy().into_owned();
    let ask = |rest: &[&str]| {
        run(&[&["ledger", "balance", "2", "1", "--committee", &committee, "--json", "-"], rest].concat())
    };
    let value = |said: &str, key: &str| -> Result<String> {
        let at = said.find(&format!("\"{key}\":")).with_context(|| format!("no {key} in {said}"))?;
        Ok(said[at + key.len() + 3..].split([',', '}']).next().unwrap_or_default().trim_matches('"').to_owned())
    };
    let first = ask(&[])?.exits(0)?.stdout;
    ensure!(value(&first, "barrier_height")? != "null" && value(&first, "available")? != "0", "{first}");
    for node in 0..cluster.len() {
        for how in [&[][..], &["--stale"]] {
            let said = ask(&[&["--at", &cluster.address(node)], how].concat())?.exits(0)?.stdout;
            for key in ["available", "reserved", "batch", "root"] {
                ensure!(value(&said, key)? == value(&first, key)?, "{key}: {said} is not {first}");
            }
            ensure!((value(&said, "barrier_height")? == "null") != how.is_empty(), "{said}");
        }
    }
    let stale = ask(&["--at", &cluster.address(1), "--stale", "--at-least", "1000000"])?.exits(1)?.stderr;
    ensure!(stale.contains("stale"), "{stale}");
    // The proof is a file that anybody can check, unless somebody changes a byte of it, or another committee is trusted.
    let (proof, other) = (dir.join("balance.proof"), dir.join("other.toml"));
    let (file, others) = (proof.to_string_lossy().into_owned(), other.to_string_lossy().into_owned());
    ask(&["--proof", &file])?.exits(0)?;
    let check = |committee: &str| run(&["ledger", "check", &file, "--committee", committee]);
    ensure!(check(&committee)?.exits(0)?.stdout.contains("signed at height"), "it is not said what was checked");
    let others_keys = |line: &str| match line.strip_prefix("key = ") {
        Some(key) => format!("key = {}\n", key.chars().rev().collect::<String>()),
        None => format!("{line}\n"),
    };
    let text: String = std::fs::read_to_string(&committee)?.lines().map(others_keys).collect();
    std::fs::write(&other, text)?;
    ensure!(check(&others)?.exits(1)?.stderr.contains("quorum"), "another committee is believed");
    let mut bytes = std::fs::read(&proof)?;
    bytes[20] ^= 1;
    std::fs::write(&proof, bytes)?;
    check(&committee)?.exits(1)?;
    Ok(())
}

#[test]
fn four_processes_settle_what_is_traded_and_one_that_was_away_catches_up() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&dir.path().join("committee"), VALIDATORS)?;
    let config = cluster.configure_venue(dir.path())?;
    let venue = Venue::start_config(&config)?;
    let load = Load::start(&venue.address);
    wait_settled(dir.path(), 5)?;
    // One is away for a while, in good order.
    cluster.stop(3)?;
    let before = settled(dir.path())?;
    wait_settled(dir.path(), before + 10)?;
    cluster.spawn(3)?;
    ensure!(load.end()? > 0, "nothing traded");
    // The gateway ends once its last batch is final; another start goes on from what the validators say.
    venue.stop()?;
    let agreed = cluster.agree(before + 10)?;
    let venue = Venue::start_config(&config)?;
    venue.wait_for("heard=4")?;
    let load = Load::start(&venue.address);
    wait_settled(dir.path(), agreed.height + 5)?;
    load.end()?;
    let said = venue.stop()?;
    let end = cluster.agree(agreed.height + 5)?;
    ensure!(said.contains(&end.root), "the gateway's last root is not the validators' {}:\n{said}", end.root);

    // What a reader is told, he need not believe anybody for.
    read_with_proof(&cluster, dir.path())?;

    // What a reader sees: a batch, its records, a certificate; and what Prometheus sees.
    let batch = cluster.ledger(0, &["batch", "2"])?;
    ensure!(batch == cluster.ledger(3, &["batch", "2"])? && batch.contains("Seal"), "{batch}");
    ensure!(cluster.ledger(1, &["certificate"])?.contains("certificate  "), "no certificate");
    let mut stream = TcpStream::connect(cluster.metrics_address(2))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")?;
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics)?;
    let height = format!("\nwirebook_settlement_height {}\n", end.height);
    ensure!(metrics.starts_with("HTTP/1.1 200") && metrics.contains(&height), "{metrics}");
    for node in 0..cluster.len() {
        cluster.stop(node)?;
    }
    Ok(())
}

#[test]
fn nothing_final_is_lost_to_kill_9_and_all_roots_are_equal() -> Result<()> {
    let rounds = if deep() { DEEP_ROUNDS } else { ROUNDS };
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&dir.path().join("committee"), VALIDATORS)?;
    let venue = Venue::start_config(&cluster.configure_venue(dir.path())?)?;
    let load = Load::start(&venue.address);
    let mut random = Random(0x5eed);
    let mut told = vec![0; cluster.len()];
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        wait_settled(dir.path(), 1)?;
        let node = random.below(cluster.len() as u64) as usize;
        told[node] = cluster.tip(node)?.height;
        std::thread::sleep(Duration::from_millis(random.below(150)));
        cluster.kill(node)?;
        // Every other round a second one goes too: then nothing can be final until one is back.
        let second = (node + 1 + random.below(3) as usize) % cluster.len();
        let both = round % 2 == 1;
        if both {
            told[second] = cluster.tip(second)?.height;
            cluster.kill(second)?;
            std::thread::sleep(Duration::from_millis(random.below(100)));
            cluster.spawn(second)?;
        }
        let (begun, before) = (Instant::now(), settled(dir.path())?);
        wait_settled(dir.path(), before + 1).with_context(|| format!("round {round}"))?;
        longest = longest.max(begun.elapsed());
        cluster.spawn(node)?;
        for node in if both { vec![node, second] } else { vec![node] } {
            let tip = cluster.wait_up(node)?;
            ensure!(
                tip.height >= told[node],
                "round {round}: validator {node} told {}, has {}",
                told[node],
                tip.height
            );
        }
    }
    let reached = settled(dir.path())?;
    let fills = load.end()?;
    let said = venue.stop()?;
    let end = cluster.agree(reached)?;
    ensure!(said.contains(&end.root), "the gateway's last root is not the validators' {}", end.root);
    println!("{rounds} rounds, {} batches, {fills} fills told, longest stall {longest:?}", end.height);
    Ok(())
}

/// A validator's directory is destroyed and restored from a backup that is older than what it has voted since: it begins in quarantine, gets
/// what it has missed, and votes again, so that another can then be away.
#[test]
fn a_validator_that_was_destroyed_is_restored_from_its_backup_and_votes_again() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&dir.path().join("committee"), VALIDATORS)?;
    let venue = Venue::start_config(&cluster.configure_venue(dir.path())?)?;
    let load = Load::start(&venue.address);
    let before = wait_settled(dir.path(), 5)?;
    let (backup, node) = (dir.path().join("node.backup"), cluster.directory(2));
    let (file, state) = (backup.to_string_lossy().into_owned(), node.to_string_lossy().into_owned());
    let committee = cluster.committee().to_string_lossy().into_owned();
    let taken = run(&["ledger", "backup", "--dir", &state, "--to", &file])?.exits(2)?;
    ensure!(taken.stderr.contains("runs"), "a backup of a validator that runs: {}", taken.stderr);
    cluster.stop(2)?;
    let told = run(&["ledger", "backup", "--dir", &state, "--to", &file])?.exits(0)?.stdout;
    ensure!(told.contains("root") && told.contains("digest") && !backup.metadata()?.permissions().readonly(), "{told}");
    // It goes on, and votes what the backup does not know of.
    cluster.spawn(2)?;
    cluster.wait_up(2)?;
    wait_settled(dir.path(), before + 20)?;
    cluster.kill(2)?;
    std::fs::remove_dir_all(&node)?;

    bad_backups_are_refused(dir.path(), &backup, &committee)?;
    let restore = ["ledger", "restore", &file, "--dir", &state, "--committee", &committee];
    let told = run(&restore)?.exits(0)?.stdout;
    ensure!(told.contains("a quorum of the committee"), "{told}");
    run(&restore)?.exits(2)?;
    ensure!(node.join("quarantine").exists(), "it may vote at once");
    cluster.spawn(2)?;
    let tip = cluster.wait_up(2)?;
    ensure!(tip.height >= before, "it begins with {}, behind its backup", tip.height);
    let begun = Instant::now();
    while node.join("quarantine").exists() {
        ensure!(begun.elapsed() < LONGEST_STALL, "it stays in quarantine:\n{}", cluster.log(2));
        std::thread::sleep(Duration::from_millis(20));
    }
    // Its vote is needed now.
    cluster.kill(0)?;
    let reached = settled(dir.path())?;
    let reached = wait_settled(dir.path(), reached + 20)?;
    cluster.spawn(0)?;
    load.end()?;
    let said = venue.stop()?;
    let end = cluster.agree(reached)?;
    ensure!(said.contains(&end.root), "the gateway's last root is not the validators' {}", end.root);

    // What all this was worth, as figures.
    let ask = ["ledger", "reliability", "--committee", &committee, "--within", "60000", "--json", "-"];
    let figures = run(&ask)?.exits(0)?.stdout;
    for figure in
        ["\"owners_to_stop\":2", "\"owners_to_fork\":2", "\"quorum\":3", "\"finality_p50_us\":", "\"share_within\":1.0"]
    {
        ensure!(figures.contains(figure), "{figure} is not in {figures}");
    }
    Ok(())
}

fn bad_backups_are_refused(dir: &Path, backup: &Path, committee: &str) -> Result<()> {
    let whole = std::fs::read(backup)?;
    let (bad, to) = (dir.join("bad.backup"), dir.join("never"));
    let (bad_file, to_dir) = (bad.to_string_lossy().into_owned(), to.to_string_lossy().into_owned());
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let other_shard = dir.join("other-shard.toml");
    std::fs::write(&other_shard, std::fs::read_to_string(committee)?.replace("shard = 0", "shard = 1"))?;
    let other_shard = other_shard.to_string_lossy().into_owned();
    for (bytes, committee) in [(&whole[..whole.len() / 2], committee), (&flipped, committee), (&whole, &other_shard)] {
        std::fs::write(&bad, bytes)?;
        run(&["ledger", "restore", &bad_file, "--dir", &to_dir, "--committee", committee])?.exits(1)?;
        ensure!(!to.exists(), "something was restored of a bad backup");
    }
    Ok(())
}

/// Validators make snapshots, and one that is restored goes on from the snapshot in its backup.
#[test]
fn snapshots_are_made_and_a_backup_begins_with_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&dir.path().join("committee"), VALIDATORS)?;
    // Snapshots come often, so that a short test sees them.
    for node in 0..cluster.len() {
        cluster.stop(node)?;
        cluster.edit(node, "snapshot_every_batches = 1000", "snapshot_every_batches = 20")?;
        cluster.spawn(node)?;
    }
    (0..cluster.len()).try_for_each(|node| cluster.wait_up(node).map(drop))?;
    let venue = Venue::start_config(&cluster.configure_venue(dir.path())?)?;
    let load = Load::start(&venue.address);
    wait_settled(dir.path(), 50)?;
    for node in 0..cluster.len() {
        let kept = std::fs::read_dir(cluster.directory(node).join("snapshots"))?.count();
        ensure!(kept > 0, "validator {node} has made no snapshot:\n{}", cluster.log(node));
    }
    // A backup that holds a snapshot takes a validator back as well.
    let (backup, node) = (dir.path().join("node.backup"), cluster.directory(1));
    let (file, state) = (backup.to_string_lossy().into_owned(), node.to_string_lossy().into_owned());
    cluster.stop(1)?;
    let told = run(&["ledger", "backup", "--dir", &state, "--to", &file, "--json", "-"])?.exits(0)?.stdout;
    ensure!(!told.contains("\"snapshot_of_batch\":0,"), "{told}");
    std::fs::remove_dir_all(&node)?;
    run(&["ledger", "restore", &file, "--dir", &state])?.exits(0)?;
    cluster.spawn(1)?;
    cluster.wait_up(1)?;
    let reached = settled(dir.path())?;
    let reached = wait_settled(dir.path(), reached + 30)?;
    load.end()?;
    let said = venue.stop()?;
    let end = cluster.agree(reached)?;
    ensure!(said.contains(&end.root), "the gateway's last root is not the validators' {}", end.root);
    Ok(())
}
