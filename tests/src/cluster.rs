//! A committee of `wirebook validator` processes on loopback, made by `wirebook keys`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::venue::{binary, configure, run};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a validator says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The last final batch.
    pub height: u64,
    /// Root after it.
    pub root: String,
}

/// The processes, some of them perhaps not running.
pub struct Cluster {
    dir: PathBuf,
    port: u16,
    nodes: Vec<Option<Child>>,
}

impl Cluster {
    /// Makes keys and configurations in `dir`, and starts every validator.
    pub fn start(dir: &Path, validators: u16) -> Result<Self> {
        let port = free_ports(validators)?;
        let path = dir.to_string_lossy().into_owned();
        let (count, at) = (validators.to_string(), port.to_string());
        run(&["keys", &path, "--validators", &count, "--port", &at])?.exits(0)?;
        let mut cluster = Self { dir: dir.to_owned(), port, nodes: (0..validators).map(|_| None).collect() };
        for node in 0..cluster.nodes.len() {
            cluster.spawn(node)?;
        }
        for node in 0..cluster.nodes.len() {
            cluster.wait_up(node)?;
        }
        Ok(cluster)
    }

    /// Writes a venue's configuration that names these validators, with the gateway's key in place, into `dir`.
    pub fn configure_venue(&self, dir: &Path) -> Result<PathBuf> {
        let named = std::fs::read_to_string(self.dir.join("gateway.toml"))?;
        let data = dir.join("wirebook-data");
        std::fs::create_dir_all(&data)?;
        std::fs::copy(self.dir.join("gateway.key"), data.join("gateway.key"))?;
        configure(dir, &[("segment_mib = 64", "segment_mib = 8")], &named)
    }

    /// How many validators there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Starts a validator that is not running.
    pub fn spawn(&mut self, node: usize) -> Result<()> {
        ensure!(self.nodes[node].is_none(), "validator {node} runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path(node))?;
        let child = Command::new(binary())
            .args(["validator", "--config"])
            .arg(self.dir.join(format!("validator-{}.toml", node + 1)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .context("starting a validator")?;
        self.nodes[node] = Some(child);
        Ok(())
    }

    /// Changes a line of a validator's configuration, for its next start.
    pub fn edit(&self, node: usize, from: &str, to: &str) -> Result<()> {
        let path = self.dir.join(format!("validator-{}.toml", node + 1));
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains(from), "no {from:?} in {}", path.display());
        Ok(std::fs::write(&path, text.replace(from, to))?)
    }

    /// kill -9.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        let mut child = self.nodes[node].take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM; the validator must end in good order.
    pub fn stop(&mut self, node: usize) -> Result<()> {
        let mut child = self.nodes[node].take().context("it does not run")?;
        let told = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status()?;
        ensure!(told.success(), "kill -TERM failed");
        let status = child.wait()?;
        ensure!(status.success(), "validator {node} ended with {status}:\n{}", self.log(node));
        Ok(())
    }

    /// Whether a validator is running.
    pub fn runs(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    /// Where a validator keeps everything.
    pub fn directory(&self, node: usize) -> PathBuf {
        self.dir.join(format!("validator-{}", node + 1))
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.dir.join(format!("validator-{}.log", node + 1))
    }

    /// Everything that a validator has said.
    pub fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.log_path(node)).unwrap_or_default()
    }

    /// What a reader must know of the committee.
    pub fn committee(&self) -> PathBuf {
        self.dir.join("committee.toml")
    }

    /// Where a validator serves.
    pub fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.port + 100 + node as u16)
    }

    /// Where Prometheus asks it.
    pub fn metrics_address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.port + 200 + node as u16)
    }

    /// Asks a validator by `wirebook ledger`: the subcommand, and what follows it.
    pub fn ledger(&self, node: usize, question: &[&str]) -> Result<String> {
        let address = self.address(node);
        let (subcommand, rest) = question.split_first().context("nothing is asked")?;
        let arguments = [&["ledger", subcommand, "--validator", &address], rest].concat();
        Ok(run(&arguments)?.exits(0)?.stdout)
    }

    /// How far a validator is.
    pub fn tip(&self, node: usize) -> Result<Tip> {
        let said = self.ledger(node, &["tip"])?;
        let value = |key: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|value| value.trim().to_owned())
                .context(said.clone())
        };
        Ok(Tip { height: value("height ")?.parse()?, root: value("root ")? })
    }

    /// Waits until a validator answers; says how far it is then.
    pub fn wait_up(&mut self, node: usize) -> Result<Tip> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(tip) = self.tip(node) {
                return Ok(tip);
            }
            let ended = match &mut self.nodes[node] {
                Some(child) => child.try_wait()?,
                None => bail!("validator {node} was not started"),
            };
            if let Some(status) = ended {
                bail!("validator {node} ended with {status}:\n{}", self.log(node));
            }
            ensure!(Instant::now() < deadline, "validator {node} does not come up:\n{}", self.log(node));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every running validator is at least at `height`, and all at the same; answers where.
    pub fn agree(&self, height: u64) -> Result<Tip> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tips = (0..self.len()).filter(|&node| self.runs(node)).map(|node| self.tip(node));
            let tips = tips.collect::<Result<Vec<_>>>()?;
            if tips[0].height >= height && tips.iter().all(|tip| *tip == tips[0]) {
                return Ok(tips[0].clone());
            }
            for pair in tips.windows(2) {
                ensure!(pair[0].height != pair[1].height || pair[0].root == pair[1].root, "two roots: {tips:?}");
            }
            ensure!(Instant::now() < deadline, "the validators do not come to {height}: {tips:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port from which on all that a committee listens at are free now.
fn free_ports(validators: u16) -> Result<u16> {
    for attempt in 0..200u32 {
        let port = 20_000 + ((std::process::id().wrapping_mul(7919) + attempt * 311) % 20_000) as u16;
        let free = |at: u16| TcpListener::bind(("127.0.0.1", at)).is_ok();
        if (0..validators).all(|node| [0, 100, 200].iter().all(|kind| free(port + kind + node))) {
            return Ok(port);
        }
    }
    bail!("no free ports")
}
