//! The one way in which a command fails: what, where, what was found, what is allowed, what to do next.
//!
//! Every error that a user can cause or meet ends here. [`Failure`] renders as a few plain lines; it never shows a backtrace or a
//! debug dump. Its exit code follows the command line's contract: 1 for a command that ran and found what it looks for, 2 for
//! bad use or bad input.

use std::fmt;
use std::path::Path;

/// Exit code of a command that ran, and found what it looks for: a difference, a violation, a broken journal.
pub const EXIT_FOUND: u8 = 1;
/// Exit code of bad use or bad input.
pub const EXIT_BAD: u8 = 2;

/// Longest piece of foreign text that is shown, in characters: a file of one endless line must not flood a terminal.
const MAX_SHOWN: usize = 80;

/// Why a command stopped. One pointer wide, as it travels in every result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    exit: u8,
    what: String,
    file: Option<String>,
    line: Option<u64>,
    field: Option<String>,
    found: Option<String>,
    allowed: Option<String>,
    next: Option<String>,
}

impl Failure {
    fn new(exit: u8, what: impl Into<String>) -> Self {
        let what = what.into();
        Self(Box::new(Parts {
            exit,
            what,
            file: None,
            line: None,
            field: None,
            found: None,
            allowed: None,
            next: None,
        }))
    }

    /// Bad use or bad input: exit code 2.
    pub fn bad(what: impl Into<String>) -> Self {
        Self::new(EXIT_BAD, what)
    }

    /// The command ran, and found what it looks for: exit code 1.
    pub fn found_it(what: impl Into<String>) -> Self {
        Self::new(EXIT_FOUND, what)
    }

    /// An operation on a file that the system refused.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::bad(format!("cannot {doing}: {}", describe(error))).file(path.display())
    }

    /// The file it is about.
    pub fn file(mut self, file: impl fmt::Display) -> Self {
        self.0.file = Some(file.to_string());
        self
    }

    /// The line in that file, from 1.
    pub fn line(mut self, line: u64) -> Self {
        self.0.line = Some(line);
        self
    }

    /// The field, key or option.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// What stood there. Foreign text is cut to a line's length and its control characters are escaped.
    pub fn found(mut self, found: impl fmt::Display) -> Self {
        self.0.found = Some(shown(&found.to_string()));
        self
    }

    /// What may stand there.
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.0.allowed = Some(allowed.into());
        self
    }

    /// What to do about it.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = Some(next.into());
        self
    }

    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        self.0.exit
    }
}

/// Foreign text as it may be shown: short, and without control characters.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > MAX_SHOWN {
        short.push_str("...");
    }
    format!("`{short}`")
}

/// A system error in words, without the `(os error 2)` of its number.
pub(crate) fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0;
        write!(f, "error: {}", parts.what)?;
        let place: Vec<String> = [
            parts.file.clone(),
            parts.line.map(|line| format!("line {line}")),
            parts.field.as_ref().map(|field| format!("field `{field}`")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !place.is_empty() {
            write!(f, "\n  where:   {}", place.join(", "))?;
        }
        for (label, value) in [("found:  ", &parts.found), ("allowed:", &parts.allowed), ("next:   ", &parts.next)] {
            if let Some(value) = value {
                write!(f, "\n  {label} {value}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_where_found_allowed_and_next() {
        let failure = Failure::bad("a price is no integer")
            .file("orders.csv")
            .line(12)
            .field("price")
            .found("12x")
            .allowed("an integer")
            .next("correct the line");
        assert_eq!(
            failure.to_string(),
            "error: a price is no integer\n  where:   orders.csv, line 12, field `price`\n  found:   `12x`\n  \
             allowed: an integer\n  next:    correct the line"
        );
        assert_eq!(failure.exit_code(), 2);
        assert_eq!(Failure::found_it("a difference").exit_code(), 1);
    }

    #[test]
    fn leaves_out_what_is_not_known() {
        assert_eq!(Failure::bad("no").to_string(), "error: no");
        assert_eq!(Failure::bad("no").line(3).to_string(), "error: no\n  where:   line 3");
    }

    #[test]
    fn foreign_text_is_short_and_printable() {
        let text = Failure::bad("x").found(format!("a\u{1b}[31m\n{}", "y".repeat(1000))).to_string();
        assert!(text.len() < 200, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn system_errors_lose_their_numbers() {
        let missing = std::fs::File::open("no/such/file").unwrap_err();
        let text = Failure::io("read the orders", Path::new("no/such/file"), &missing).to_string();
        assert_eq!(text, "error: cannot read the orders: no such file or directory\n  where:   no/such/file");
    }
}
