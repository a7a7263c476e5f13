//! The operator's line into a venue: one command a line, one answer a line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long an answer, or what it asks for, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the admin socket.
pub struct Operator {
    reader: BufReader<UnixStream>,
}

impl Operator {
    /// Connects to the venue that keeps its data in `dir/wirebook-data`.
    pub fn connect(dir: &Path) -> Result<Self> {
        let path = dir.join("wirebook-data/admin.sock");
        let stream = UnixStream::connect(&path).with_context(|| path.display().to_string())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Sends a command and answers the line that comes back.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.reader.get_mut(), "{command}")?;
        let mut answer = String::new();
        self.reader.read_line(&mut answer).with_context(|| format!("the answer to {command:?}"))?;
        ensure!(answer.ends_with('\n'), "no whole line came to {command:?}: {answer:?}");
        Ok(answer.trim_end().to_owned())
    }

    /// Sends a command that must be taken.
    pub fn order(&mut self, command: &str) -> Result<()> {
        let answer = self.ask(command)?;
        ensure!(answer == "ok", "{command:?} was answered {answer:?}");
        Ok(())
    }

    /// Waits until everything that was booked is durable and sealed; answers the status line.
    pub fn settled(&mut self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        loop {
            let status = self.ask("status")?;
            let value = |key: &str| {
                status.split_whitespace().find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned()
            };
            // A batch is sealed a moment after its first record, and the seal is a record too: twice the same is the end.
            if value("booked=") == value("durable=") && status == last {
                return Ok(status);
            }
            last = status;
            ensure!(Instant::now() < deadline, "the venue does not come to rest: {last}");
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}
