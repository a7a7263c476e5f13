//! Orders CSV: header `op,id,side,price,qty`, one order or change of an order a line.
//!
//! | op | means |
//! |---|---|
//! | `A` | limit order, good till cancelled |
//! | `X` | limit order, immediate or cancel |
//! | `F` | limit order, fill or kill |
//! | `P` | limit order, post-only |
//! | `R` | reduce by qty; keeps priority |
//! | `C` | cancel |
//! | `U` | replace with price and qty (its new leaves); loses priority, keeps its id |
//!
//! `id` is 0 to 2^64-1; side `1` buys and `-1` sells; price is a signed 64-bit integer; qty is 0 to 2^31-1 (0 is read,
//! and refused when it is executed). A column that an op does not use may be empty, and is not looked at further than
//! that it is well-formed: the side of `R`, `C` and `U` (also `0`), the price of `R` and `C`, the qty of `C`.

use std::fmt;
use std::io::{self, BufRead, Write};

use super::csv::{CsvError, FieldError, Lines, fields, number};
use crate::abi::{Limits, Side};

/// The first line of the file.
pub const ORDERS_HEADER: &str = "op,id,side,price,qty";

const ALLOWED_OP: &str = "A, X, F, P, R, C or U";
const ALLOWED_ID: &str = "an integer, 0 to 18446744073709551615";
const ALLOWED_SIDE: &str = "1 (buy) or -1 (sell)";
const ALLOWED_PRICE: &str = "an integer, -9223372036854775808 to 9223372036854775807";
const ALLOWED_QTY: &str = "an integer, 0 to 2147483647";

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `A`: limit, good till cancelled.
    Limit,
    /// `X`: limit, immediate or cancel.
    ImmediateOrCancel,
    /// `F`: limit, fill or kill.
    FillOrKill,
    /// `P`: limit, post-only.
    PostOnly,
    /// `R`: reduce by qty.
    Reduce,
    /// `C`: cancel.
    Cancel,
    /// `U`: replace with price and qty.
    Replace,
}

impl Op {
    /// Every op.
    pub const ALL: [Self; 7] = [
        Self::Limit,
        Self::ImmediateOrCancel,
        Self::FillOrKill,
        Self::PostOnly,
        Self::Reduce,
        Self::Cancel,
        Self::Replace,
    ];

    /// Its letter in the file.
    pub const fn letter(self) -> char {
        match self {
            Self::Limit => 'A',
            Self::ImmediateOrCancel => 'X',
            Self::FillOrKill => 'F',
            Self::PostOnly => 'P',
            Self::Reduce => 'R',
            Self::Cancel => 'C',
            Self::Replace => 'U',
        }
    }

    /// The op of this letter.
    pub fn from_letter(letter: &str) -> Option<Self> {
        let mut letters = letter.chars();
        match (letters.next(), letters.next()) {
            (Some(first), None) => Self::ALL.into_iter().find(|op| op.letter() == first),
            _ => None,
        }
    }

    /// Whether it enters a new order: its id must not be live, while the others need it to be.
    pub const fn enters(self) -> bool {
        matches!(self, Self::Limit | Self::ImmediateOrCancel | Self::FillOrKill | Self::PostOnly)
    }

    /// Whether the price means something.
    pub const fn has_price(self) -> bool {
        self.enters() || matches!(self, Self::Replace)
    }

    /// Whether the qty means something.
    pub const fn has_qty(self) -> bool {
        !matches!(self, Self::Cancel)
    }
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderLine {
    /// What it asks for.
    pub op: Op,
    /// The order.
    pub id: u64,
    /// Side of a new order; on the others as it stands in the file, and `Buy` when it does not.
    pub side: Side,
    /// Price, in the file's unit.
    pub price: i64,
    /// Lots.
    pub qty: u32,
}

impl OrderLine {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// Names the field, what was found and what is allowed.
    pub fn parse(line: &str) -> Result<Self, FieldError> {
        let [op, id, side, price, qty] = fields(line, "5 fields: op,id,side,price,qty")?;
        let op = Op::from_letter(op).ok_or_else(|| FieldError::new("op", op, ALLOWED_OP))?;
        let id = number("id", id, ALLOWED_ID)?;
        let side = match side {
            "1" => Side::Buy,
            "-1" => Side::Sell,
            "" | "0" if !op.enters() => Side::Buy,
            _ => return Err(FieldError::new("side", side, ALLOWED_SIDE)),
        };
        let price = if price.is_empty() && !op.has_price() { 0 } else { number("price", price, ALLOWED_PRICE)? };
        let qty = if qty.is_empty() && !op.has_qty() { 0 } else { number("qty", qty, ALLOWED_QTY)? };
        if qty > Limits::MAX_QTY {
            return Err(FieldError::new("qty", &qty.to_string(), ALLOWED_QTY));
        }
        Ok(Self { op, id, side, price, qty })
    }
}

impl fmt::Display for OrderLine {
    /// The line as it stands in the file, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{},{}", self.op.letter(), self.id, side_number(self.side), self.price, self.qty)
    }
}

/// The side's number in both files.
pub(super) const fn side_number(side: Side) -> i8 {
    match side {
        Side::Buy => 1,
        Side::Sell => -1,
    }
}

/// Reads an Orders CSV, line by line. Iteration may go on after an error, at the next line.
#[derive(Debug)]
pub struct OrdersReader<R> {
    lines: Lines<R>,
}

impl<R: BufRead> OrdersReader<R> {
    /// Reads the header. `file` is how errors name the source.
    ///
    /// # Errors
    /// When the first line is not the header, or cannot be read.
    pub fn new(file: impl Into<String>, reader: R) -> Result<Self, CsvError> {
        Ok(Self { lines: Lines::new(file, reader, ORDERS_HEADER)? })
    }

    /// The number of the line last read, from 1 (the header).
    pub fn line_number(&self) -> u64 {
        self.lines.line()
    }
}

impl<R: BufRead> Iterator for OrdersReader<R> {
    type Item = Result<OrderLine, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next(OrderLine::parse)
    }
}

/// Writes an Orders CSV.
#[derive(Debug)]
pub struct OrdersWriter<W> {
    writer: W,
}

impl<W: Write> OrdersWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// As the writer says.
    pub fn new(mut writer: W) -> io::Result<Self> {
        writeln!(writer, "{ORDERS_HEADER}")?;
        Ok(Self { writer })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// As the writer says.
    pub fn write(&mut self, line: &OrderLine) -> io::Result<()> {
        writeln!(self.writer, "{line}")
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

    fn read(text: &str) -> Result<Vec<OrderLine>, CsvError> {
        OrdersReader::new("o.csv", text.as_bytes())?.collect()
    }

    #[test]
    fn lines_are_read_with_either_end_and_written_as_they_were() {
        let unix =
            "op,id,side,price,qty\nA,1,1,-100,5\nX,18446744073709551615,-1,0,2147483647\nU,1,1,7,0\nC,1,-1,7,3\n";
        let lines = read(unix).unwrap();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], OrderLine { op: Op::Limit, id: 1, side: Side::Buy, price: -100, qty: 5 });
        assert_eq!(read(&unix.replace('\n', "\r\n")).unwrap(), lines);
        assert_eq!(read(&unix.trim_end().replace("\nU", "\n\nU")).unwrap(), lines, "an empty line, no last end");
        let mut writer = OrdersWriter::new(Vec::new()).unwrap();
        lines.iter().for_each(|line| writer.write(line).unwrap());
        assert_eq!(writer.finish().unwrap(), unix.as_bytes());
    }

    #[test]
    fn columns_that_an_op_does_not_use_may_be_empty() {
        assert_eq!(
            OrderLine::parse("C,4,,,").unwrap(),
            OrderLine { op: Op::Cancel, id: 4, side: Side::Buy, price: 0, qty: 0 }
        );
        assert_eq!(OrderLine::parse("R,4,0,,9").unwrap().qty, 9);
        assert_eq!(OrderLine::parse("U,4,,8,9").unwrap().price, 8);
        for (line, field) in [("A,4,,8,9", "side"), ("A,4,1,,9", "price"), ("R,4,1,8,", "qty"), ("U,4,1,,9", "price")] {
            assert_eq!(OrderLine::parse(line).unwrap_err().field, field, "{line}");
        }
    }

    #[test]
    fn errors_name_file_line_field_found_and_allowed() {
        for (line, text) in [
            ("B,1,1,5,5", "o.csv:3: field `op`: found `B`, allowed: A, X, F, P, R, C or U"),
            ("AA,1,1,5,5", "o.csv:3: field `op`: found `AA`, allowed: A, X, F, P, R, C or U"),
            ("A,-1,1,5,5", "o.csv:3: field `id`: found `-1`, allowed: an integer, 0 to 18446744073709551615"),
            ("A,1,2,5,5", "o.csv:3: field `side`: found `2`, allowed: 1 (buy) or -1 (sell)"),
            (
                "A,1,1,5.5,5",
                "o.csv:3: field `price`: found `5.5`, allowed: an integer, -9223372036854775808 to 9223372036854775807",
            ),
            (
                "A,1,1,+5,5",
                "o.csv:3: field `price`: found `+5`, allowed: an integer, -9223372036854775808 to 9223372036854775807",
            ),
            ("A,1,1,5,2147483648", "o.csv:3: field `qty`: found `2147483648`, allowed: an integer, 0 to 2147483647"),
            ("A,1,1,5,5,5", "o.csv:3: field `line`: found `A,1,1,5,5,5`, allowed: 5 fields: op,id,side,price,qty"),
            ("A,1,1,5", "o.csv:3: field `line`: found `A,1,1,5`, allowed: 5 fields: op,id,side,price,qty"),
        ] {
            let file = format!("op,id,side,price,qty\nA,1,1,5,5\n{line}\nA,2,1,5,5\n");
            assert_eq!(read(&file).unwrap_err().to_string(), text);
        }
        let header = "op,id,side,qty,price";
        let expected = format!("o.csv:1: field `header`: found `{header}`, allowed: {ORDERS_HEADER}");
        assert_eq!(read(header).unwrap_err().to_string(), expected);
        assert_eq!(
            read("").unwrap_err().to_string(),
            format!("o.csv:0: field `header`: found `the end of the file`, allowed: {ORDERS_HEADER}")
        );
        let long = format!("{ORDERS_HEADER}\n{}\n", "9".repeat(10_000));
        assert!(read(&long).unwrap_err().to_string().contains("a line of at most 511 bytes"));
        let mut bytes = format!("{ORDERS_HEADER}\nA,1,1,5,").into_bytes();
        bytes.push(0xff);
        let error = OrdersReader::new("o.csv", &bytes[..]).unwrap().next().unwrap().unwrap_err();
        assert!(error.to_string().ends_with("allowed: ASCII"), "{error}");
    }
}
