//! The built binary as a process: started on a port of its own choosing, ended by signal or by kill.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a venue may take to come up, or to go down.
const PATIENCE: Duration = Duration::from_secs(400);

/// A second account and login, beside the example's: self-trade prevention is on, and the line's loss keeps its orders.
const SECOND: &str = r#"
[[account]]
id = 3
name = "second"
owner = 7
self_trade = "cancel-newest"
restricted = []
deposits = { USD = "1000000000.00", AAPL = "1000000" }
[account.limits]
max_order_qty = 999999
max_notional = "10000000000.00"
max_open_orders = 1048576
collar_ticks = 0
messages_per_second = 0
duplicates_per_second = 0

[[session]]
id = 2
username = "wire02"
password = "wirebook"
account = 3
cancel_on_disconnect = false
"#;

/// The repository's top.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stands in the repository").into()
}

/// A committed sample file under `tests/data`.
pub fn sample(name: &str) -> PathBuf {
    repository().join("tests/data").join(name)
}

/// The release binary; `WIREBOOK_BIN` names another.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WIREBOOK_BIN") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let path = target.join("release/wirebook");
    assert!(path.exists(), "{} is not there: build it with `cargo build --release`", path.display());
    path
}

/// Writes `dir/wirebook.toml`: the example file with a port of the system's choice, `edits` (text to replace, replacement), a
/// second account with its login `wire02`, and `more` at the end.
pub fn configure(dir: &Path, edits: &[(&str, &str)], more: &str) -> Result<PathBuf> {
    let example = repository().join("gateway/wirebook.example.toml");
    let mut text = std::fs::read_to_string(&example).with_context(|| example.display().to_string())?;
    for (from, to) in [("listen = \"127.0.0.1:9001\"", "listen = \"127.0.0.1:0\"")].iter().chain(edits) {
        ensure!(text.contains(from), "the example configuration has no {from:?} to replace");
        text = text.replace(from, to);
    }
    text.push_str(SECOND);
    text.push_str(more);
    let config = dir.join("wirebook.toml");
    std::fs::write(&config, text)?;
    Ok(config)
}

/// A command that ran to its end.
pub struct Finished {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Fails, with both outputs, unless the exit code is `code`.
    pub fn exits(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit code {}, wanted {code}\n{}\n{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }
}

/// Runs the binary with these arguments to its end, within a bound.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Result<Finished> {
    let mut child = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the binary")?;
    let mut outputs = [String::new(), String::new()];
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = err.read_to_string(&mut text);
        text
    });
    out.read_to_string(&mut outputs[0])?;
    outputs[1] = reader.join().expect("reader");
    let status = child.wait()?;
    let [stdout, stderr] = outputs;
    Ok(Finished { code: status.code().unwrap_or(-1), stdout, stderr })
}

/// A running `wirebook run`.
pub struct Venue {
    child: Child,
    /// HOST:PORT that it listens on.
    pub address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Venue {
    /// Starts a venue on `dir/wirebook.toml`, which is made by [`configure`] if it is not there or `edits` are given. Everything
    /// that the venue keeps goes under `dir`; the port is the system's choice.
    pub fn start(dir: &Path, edits: &[(&str, &str)]) -> Result<Self> {
        let config = dir.join("wirebook.toml");
        if !config.exists() || !edits.is_empty() {
            configure(dir, edits, "")?;
        }
        Self::start_config(&config)
    }

    /// Starts a venue on a configuration file.
    pub fn start_config(config: &Path) -> Result<Self> {
        let mut child = Command::new(binary())
            .current_dir(config.parent().expect("a file in a directory"))
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the venue")?;
        let stderr = child.stderr.take().expect("piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().expect("lines").push(line);
            }
        });
        let mut venue = Self { child, address: String::new(), lines };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = venue.find("listening on ") {
                venue.address = address;
                return Ok(venue);
            }
            if let Some(status) = venue.child.try_wait()? {
                std::thread::sleep(Duration::from_millis(50));
                bail!("the venue ended with {status} before it listened:\n{}", venue.log());
            }
            ensure!(Instant::now() < deadline, "the venue does not listen:\n{}", venue.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What follows `marker` in the venue's lines, up to the next blank.
    pub fn find(&self, marker: &str) -> Option<String> {
        let lines = self.lines.lock().expect("lines");
        lines.iter().find_map(|line| {
            let at = line.find(marker)? + marker.len();
            line[at..].split_whitespace().next().map(str::to_owned)
        })
    }

    /// Waits until a line has `marker`.
    pub fn wait_for(&self, marker: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.lines.lock().expect("lines").iter().any(|line| line.contains(marker)) {
            ensure!(Instant::now() < deadline, "no line with {marker:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// How many lines have all of `markers`.
    pub fn count(&self, markers: &[&str]) -> usize {
        let lines = self.lines.lock().expect("lines");
        lines.iter().filter(|line| markers.iter().all(|marker| line.contains(marker))).count()
    }

    /// Waits until `count` lines have all of `markers`.
    pub fn wait_for_lines(&self, markers: &[&str], count: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.count(markers) < count {
            ensure!(Instant::now() < deadline, "not {count} lines with {markers:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Everything that it has said.
    pub fn log(&self) -> String {
        self.lines.lock().expect("lines").join("\n")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for a clean end.
    pub fn stop(self) -> Result<String> {
        self.signal("TERM", 0)
    }

    /// Sends a signal and waits for the exit code.
    pub fn signal(mut self, name: &str, code: i32) -> Result<String> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        ensure!(status.success(), "kill -{name} failed");
        self.ends_with(code)
    }

    /// Waits for the venue to end by itself with this exit code.
    pub fn ends_with(&mut self, code: i32) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                std::thread::sleep(Duration::from_millis(50));
                ensure!(status.code() == Some(code), "the venue ended with {status}, wanted {code}:\n{}", self.log());
                return Ok(self.log());
            }
            ensure!(Instant::now() < deadline, "the venue does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
