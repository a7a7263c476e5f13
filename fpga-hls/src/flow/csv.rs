//! Lines of a comma-separated file with a fixed header, one at a time: memory stays bounded however long the file is.
//!
//! The format is the design's: no quotes, no spaces, a header on the first line. Lines end in `\n` or `\r\n`; empty lines
//! are skipped. What does not fit is an error that names file, line, field, what was found and what is allowed.

use std::io::{self, BufRead, Read};

/// Longest line that is read, in bytes: some four times what the longest numbers need.
const MAX_LINE: u64 = 512;

/// Longest piece of the input that an error repeats, in characters.
const MAX_SHOWN: usize = 60;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: found `{found}`, allowed: {allowed}")]
pub struct FieldError {
    /// Name of the column.
    pub field: &'static str,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: &'static str,
}

impl FieldError {
    pub(super) fn new(field: &'static str, found: &str, allowed: &'static str) -> Self {
        Self { field, found: found.chars().take(MAX_SHOWN).collect(), allowed }
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// A field is wrong.
    #[error("{file}:{line}: {error}")]
    Field {
        /// The file, as the reader was told.
        file: String,
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        error: FieldError,
    },
    /// The file could not be read.
    #[error("{file}: after line {line}: {source}")]
    Io {
        /// The file, as the reader was told.
        file: String,
        /// The last line that was read, from 1; 0 when there is none.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
}

/// The lines after the header.
#[derive(Debug)]
pub(super) struct Lines<R> {
    file: String,
    reader: R,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads the header and compares it.
    pub(super) fn new(file: impl Into<String>, reader: R, header: &'static str) -> Result<Self, CsvError> {
        let mut lines = Self { file: file.into(), reader, line: 0, buffer: Vec::with_capacity(MAX_LINE as usize + 1) };
        match lines.read()? {
            Some(found) if found == header => Ok(lines),
            found => {
                let error = FieldError::new("header", found.unwrap_or("the end of the file"), header);
                Err(lines.wrong(error))
            }
        }
    }

    /// The number of the line last read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// An error at the line last read.
    pub(super) fn wrong(&self, error: FieldError) -> CsvError {
        CsvError::Field { file: self.file.clone(), line: self.line, error }
    }

    /// Parses the next line that is not empty; `None` at the end.
    pub(super) fn next<T>(&mut self, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Option<Result<T, CsvError>> {
        loop {
            let parsed = match self.read() {
                Ok(None) => return None,
                Ok(Some("")) => continue,
                Ok(Some(text)) => parse(text),
                Err(error) => return Some(Err(error)),
            };
            return Some(parsed.map_err(|error| self.wrong(error)));
        }
    }

    /// The next line without its end; `None` at the end of the file.
    fn read(&mut self) -> Result<Option<&str>, CsvError> {
        self.buffer.clear();
        let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|source| CsvError::Io { file: self.file.clone(), line: self.line, source })?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        } else if read as u64 == MAX_LINE {
            let found = String::from_utf8_lossy(&self.buffer).into_owned();
            return Err(self.wrong(FieldError::new("line", &found, "a line of at most 511 bytes")));
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                let found = String::from_utf8_lossy(&self.buffer).into_owned();
                Err(CsvError::Field {
                    file: self.file.clone(),
                    line: self.line,
                    error: FieldError::new("line", &found, "ASCII"),
                })
            }
        }
    }
}

/// The fields of a line, exactly as many as there are columns.
pub(super) fn fields<'a, const N: usize>(line: &'a str, allowed: &'static str) -> Result<[&'a str; N], FieldError> {
    let mut fields = [""; N];
    let mut count = 0;
    for field in line.split(',') {
        if count < N {
            fields[count] = field;
        }
        count += 1;
    }
    if count == N { Ok(fields) } else { Err(FieldError::new("line", line, allowed)) }
}

/// A number as its `FromStr` reads it, without a plus sign.
pub(super) fn number<T: std::str::FromStr>(
    field: &'static str,
    found: &str,
    allowed: &'static str,
) -> Result<T, FieldError> {
    let parsed = if found.starts_with('+') { None } else { found.parse().ok() };
    parsed.ok_or_else(|| FieldError::new(field, found, allowed))
}
