//! What a command tells at its end: a table for people, or one JSON object for programs.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::{Failure, describe};
use super::output::{Output, is_stdout};

/// The option that asks for JSON; the same in every command that reports.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct JsonOption {
    /// Write the report as one JSON object to FILE; `-` is standard output, where nothing else is then printed
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A report: its lines, and itself as an object.
pub trait Report: Serialize {
    /// What a person reads.
    fn lines(&self) -> Lines;
}

/// Labelled lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(Vec<(String, String)>);

impl Lines {
    /// Adds a line.
    pub fn add(&mut self, label: impl Into<String>, value: impl Display) -> &mut Self {
        self.0.push((label.into(), value.to_string()));
        self
    }

    /// Adds a line when the number is not 0: for what should not happen, or seldom does.
    pub fn add_some(&mut self, label: impl Into<String>, count: u64) -> &mut Self {
        if count > 0 {
            self.add(label, grouped(count));
        }
        self
    }
}

impl Display for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, value) in &self.0 {
            writeln!(f, "{label:width$}  {value}")?;
        }
        Ok(())
    }
}

/// A number with its thousands apart: `1,234,567`.
pub fn grouped(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Events per second, whole; 0 for no time.
pub fn rate(count: u64, elapsed: std::time::Duration) -> u64 {
    let per_second = (u128::from(count) * 1_000_000_000).checked_div(elapsed.as_nanos()).unwrap_or(0);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

/// Seconds with milliseconds: `1.234 s`.
pub fn seconds(elapsed: std::time::Duration) -> String {
    format!("{}.{:03} s", elapsed.as_secs(), elapsed.subsec_millis())
}

/// Tells a report: as JSON where that was asked for, and as lines on standard output, or on standard error when standard output
/// belongs to something else (`stdout_taken`, or the JSON).
///
/// # Errors
/// When the JSON cannot be written.
pub fn tell(report: &impl Report, json: &JsonOption, stdout_taken: bool) -> Result<(), Failure> {
    let mut stdout_taken = stdout_taken;
    if let Some(path) = &json.json {
        stdout_taken |= is_stdout(path);
        let mut text = serde_json::to_string(report).map_err(|error| Failure::bad(format!("no JSON: {error}")))?;
        text.push('\n');
        let mut output = Output::create(path)?;
        output.write_all(text.as_bytes()).map_err(|error| output.failure(&error))?;
        output.finish()?;
        if is_stdout(path) {
            return Ok(());
        }
    }
    let lines = report.lines().to_string();
    let written = if stdout_taken {
        std::io::stderr().write_all(lines.as_bytes())
    } else {
        std::io::stdout().write_all(lines.as_bytes())
    };
    written.map_err(|error| Failure::bad(format!("cannot print the report: {}", describe(&error))))
}

/// Refuses two results on one standard output.
///
/// # Errors
/// When both are `-`.
pub fn one_stdout(json: &JsonOption, result: Option<&Path>, option: &str) -> Result<(), Failure> {
    match (&json.json, result) {
        (Some(json), Some(result)) if is_stdout(json) && is_stdout(result) => {
            Err(Failure::bad("two results cannot share standard output")
                .field("--json")
                .found("-")
                .allowed("a file, or no --json")
                .next(format!("write one of --json and {option} to a file")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0_u64, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn lines_are_aligned() {
        let mut lines = Lines::default();
        lines.add("orders", 3).add_some("never", 0).add("fills in all", "x");
        assert_eq!(lines.to_string(), "orders        3\nfills in all  x\n");
    }

    #[test]
    fn rates_do_not_overflow() {
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
        assert_eq!(rate(u64::MAX, Duration::from_nanos(1)), u64::MAX);
        assert_eq!(rate(1, Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(12_034)), "12.034 s");
    }

    #[test]
    fn standard_output_is_shared_by_nobody() {
        let dash = JsonOption { json: Some("-".into()) };
        assert!(one_stdout(&dash, Some(Path::new("-")), "--fills").is_err());
        assert!(one_stdout(&dash, Some(Path::new("f")), "--fills").is_ok());
        assert!(one_stdout(&JsonOption::default(), Some(Path::new("-")), "--fills").is_ok());
    }
}
