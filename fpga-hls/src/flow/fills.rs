//! Fills CSV: header `aggressor,resting_id,price,qty,resting_side`, one fill a line, in the order in which they happened.

use std::fmt;
use std::io::{self, BufRead, Write};

use super::csv::{CsvError, FieldError, Lines, fields, number};
use super::orders::side_number;
use crate::abi::Side;

/// The first line of the file.
pub const FILLS_HEADER: &str = "aggressor,resting_id,price,qty,resting_side";

const ALLOWED_ID: &str = "an integer, 0 to 18446744073709551615";
const ALLOWED_PRICE: &str = "an integer, -9223372036854775808 to 9223372036854775807";
const ALLOWED_QTY: &str = "an integer, 1 to 4294967295";
const ALLOWED_SIDE: &str = "1 (buy) or -1 (sell)";

/// One fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fill {
    /// Id of the order that took.
    pub aggressor: u64,
    /// Id of the order that rested.
    pub resting_id: u64,
    /// The resting order's price, in the unit of the orders.
    pub price: i64,
    /// Lots traded.
    pub qty: u32,
    /// The resting order's side.
    pub resting_side: Side,
}

impl Fill {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// Names the field, what was found and what is allowed.
    pub fn parse(line: &str) -> Result<Self, FieldError> {
        let [aggressor, resting_id, price, qty, side] =
            fields(line, "5 fields: aggressor,resting_id,price,qty,resting_side")?;
        let aggressor = number("aggressor", aggressor, ALLOWED_ID)?;
        let resting_id = number("resting_id", resting_id, ALLOWED_ID)?;
        let price = number("price", price, ALLOWED_PRICE)?;
        let qty: std::num::NonZeroU32 = number("qty", qty, ALLOWED_QTY)?;
        let resting_side = match side {
            "1" => Side::Buy,
            "-1" => Side::Sell,
            _ => return Err(FieldError::new("resting_side", side, ALLOWED_SIDE)),
        };
        Ok(Self { aggressor, resting_id, price, qty: qty.get(), resting_side })
    }
}

impl fmt::Display for Fill {
    /// The line as it stands in the file, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = side_number(self.resting_side);
        write!(f, "{},{},{},{},{side}", self.aggressor, self.resting_id, self.price, self.qty)
    }
}

/// Reads a Fills CSV, line by line.
#[derive(Debug)]
pub struct FillsReader<R> {
    lines: Lines<R>,
}

impl<R: BufRead> FillsReader<R> {
    /// Reads the header. `file` is how errors name the source.
    ///
    /// # Errors
    /// When the first line is not the header, or cannot be read.
    pub fn new(file: impl Into<String>, reader: R) -> Result<Self, CsvError> {
        Ok(Self { lines: Lines::new(file, reader, FILLS_HEADER)? })
    }

    /// The number of the line last read, from 1 (the header).
    pub fn line_number(&self) -> u64 {
        self.lines.line()
    }
}

impl<R: BufRead> Iterator for FillsReader<R> {
    type Item = Result<Fill, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next(Fill::parse)
    }
}

/// Writes a Fills CSV.
#[derive(Debug)]
pub struct FillsWriter<W> {
    writer: W,
}

impl<W: Write> FillsWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// As the writer says.
    pub fn new(mut writer: W) -> io::Result<Self> {
        writeln!(writer, "{FILLS_HEADER}")?;
        Ok(Self { writer })
    }

    /// Writes one fill.
    ///
    /// # Errors
    /// As the writer says.
    pub fn write(&mut self, fill: &Fill) -> io::Result<()> {
        writeln!(self.writer, "{fill}")
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    /// As the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_are_read_and_written_as_they_were() {
        let text = format!("{FILLS_HEADER}\n1,5740544,5857400,40,-1\n2,3647217,-5,1,1\n");
        let fills: Vec<Fill> = FillsReader::new("f.csv", text.as_bytes()).unwrap().map(Result::unwrap).collect();
        assert_eq!(
            fills[0],
            Fill { aggressor: 1, resting_id: 5_740_544, price: 5_857_400, qty: 40, resting_side: Side::Sell }
        );
        let mut writer = FillsWriter::new(Vec::new()).unwrap();
        fills.iter().for_each(|fill| writer.write(fill).unwrap());
        assert_eq!(writer.finish().unwrap(), text.as_bytes());
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (line, field) in [
            ("x,1,1,1,1", "aggressor"),
            ("1,,1,1,1", "resting_id"),
            ("1,1,1e3,1,1", "price"),
            ("1,1,1,0,1", "qty"),
            ("1,1,1,1,0", "resting_side"),
            ("1,1,1,1", "line"),
        ] {
            assert_eq!(Fill::parse(line).unwrap_err().field, field, "{line}");
        }
    }
}
