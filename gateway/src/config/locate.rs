//! Where in the file a key stands, so that every error can name its line.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step down into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// The way from the top to a key: `instrument[0].tick_size`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// A table or key at the top.
    pub fn top(key: &str) -> Self {
        Self(vec![Step::Key(key.into())])
    }

    /// A key below.
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.into()))
    }

    /// An element below.
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.0.push(step);
        path
    }

    /// The line on which it stands in a text that parses, from 1; the nearest table's line when the key itself is not written.
    pub fn line(&self, text: &str) -> Option<u64> {
        let table = DeTable::parse(text).ok()?;
        let mut nearest: Option<Range<usize>> = None;
        let mut table: &DeTable<'_> = table.get_ref();
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        for step in &self.0 {
            match (step, value.map(|value| value.get_ref())) {
                (Step::Key(key), None) => match table.get_key_value(key.as_str()) {
                    Some((name, found)) => (nearest, value) = (Some(name.span()), Some(found)),
                    None => break,
                },
                (Step::Key(key), Some(DeValue::Table(inner))) => {
                    table = inner;
                    match table.get_key_value(key.as_str()) {
                        Some((name, found)) => (nearest, value) = (Some(name.span()), Some(found)),
                        None => break,
                    }
                }
                (Step::Index(index), Some(DeValue::Array(array))) => match array.get(*index) {
                    Some(found) => (nearest, value) = (Some(found.span()), Some(found)),
                    None => break,
                },
                _ => break,
            }
        }
        nearest.map(|span| line_of(text, span.start))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The line of a byte, from 1.
pub fn line_of(text: &str, offset: usize) -> u64 {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
[gateway]
listen = \"x\"

[[instrument]]
symbol = \"A\"

[[instrument]]
symbol = \"B\"
band = { low = \"0\",
  ticks = 5 }
[instrument.fees]
maker_ppm = 1
";

    #[test]
    fn finds_keys_elements_and_what_is_nearest() {
        let second = Path::top("instrument").index(1);
        for (path, line) in [
            (Path::top("gateway"), Some(2)),
            (Path::top("gateway").key("listen"), Some(3)),
            (Path::top("gateway").key("wait"), Some(2)),
            (Path::top("instrument").index(0).key("symbol"), Some(6)),
            (second.clone(), Some(8)),
            (second.key("symbol"), Some(9)),
            (second.key("band").key("ticks"), Some(11)),
            (second.key("fees").key("maker_ppm"), Some(13)),
            (second.key("fees").key("taker_ppm"), Some(12)),
            (Path::top("journal").key("dir"), None),
        ] {
            assert_eq!(path.line(TEXT), line, "{path}");
        }
    }

    #[test]
    fn shows_itself_as_people_write_it() {
        assert_eq!(Path::top("instrument").index(1).key("band").key("low").to_string(), "instrument[1].band.low");
    }
}
