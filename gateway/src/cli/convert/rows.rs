//! LOBSTER message files: six columns, no header: time, type, order id, size, price, direction.
//!
//! | column | is |
//! |---|---|
//! | time | seconds after midnight, with up to nanoseconds as decimals |
//! | type | 1 add, 2 partial cancel, 3 delete, 4 execution of a displayed order, 5 of a hidden one, 6 auction cross, 7 halt |
//! | order id | the exchange's reference number |
//! | size | shares |
//! | price | dollars times 10,000 |
//! | direction | 1 buy, -1 sell: the side of the *resting* order |
//!
//! Rows of hidden executions, crosses and halts move no displayed order: they are checked for form, counted, and not kept. A
//! seventh column, which newer files have, is ignored. What is kept of a row takes 32 bytes, so that a day of ten million rows
//! is held in a third of a gigabyte.

use std::io::BufRead;

use wirebook_matcher::abi::{Limits, Side};

use crate::cli::failure::{Failure, describe};

/// Longest line that is read, in bytes. LOBSTER's are under 80.
const MAX_LINE: u64 = 1024;
/// Most rows of a file: rows are numbered with 32 bits.
const MAX_ROWS: usize = u32::MAX as usize;

/// What a kept row does to a displayed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Type 1: a new limit order.
    Add,
    /// Type 2: part of an order is cancelled.
    Reduce,
    /// Type 3: an order is deleted.
    Cancel,
    /// Type 4: a displayed order is executed.
    Execute,
}

/// A row of type 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The order's number.
    pub id: u64,
    /// Dollars times 10,000.
    pub price: i64,
    /// Shares.
    pub qty: u32,
    /// Number of the row's time: equal for rows of one time that follow one another.
    pub instant: u32,
    /// What it does.
    pub kind: Kind,
    /// The side of the resting order.
    pub side: Side,
}

/// A message file, read.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows of types 1 to 4, in order.
    pub kept: Vec<Row>,
    /// Rows by type, 1 to 7; index 0 is unused.
    pub by_type: [u64; 8],
}

impl Rows {
    /// Reads a whole message file. `name` is for messages.
    ///
    /// # Errors
    /// Names file, line, column, what was found and what is allowed.
    pub fn read(name: &str, mut input: impl BufRead) -> Result<Self, Failure> {
        let mut rows = Self::default();
        let mut line = Vec::new();
        let mut number = 0_u64;
        let mut instant = 0_u32;
        let mut previous_time = String::new();
        loop {
            line.clear();
            let mut limited = std::io::Read::take(&mut input, MAX_LINE);
            let read = limited.read_until(b'\n', &mut line).map_err(|error| {
                Failure::bad(format!("cannot read the messages: {}", describe(&error))).file(name).line(number + 1)
            })?;
            if read == 0 {
                return Ok(rows);
            }
            number += 1;
            let here = |what: &str| Failure::bad(what).file(name).line(number);
            if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
                return Err(here("a line is too long for a LOBSTER message")
                    .found(String::from_utf8_lossy(&line[..MAX_LINE as usize / 8]))
                    .allowed(format!("less than {MAX_LINE} bytes in a line")));
            }
            let text = std::str::from_utf8(&line)
                .map_err(|_| {
                    here("a line is not text").found(String::from_utf8_lossy(&line)).next("is the file compressed?")
                })?
                .trim_end_matches(['\n', '\r']);
            if text.is_empty() {
                continue;
            }
            let parsed = Columns::split(text).and_then(|columns| columns.parse());
            let (time, type_number, row) = parsed.map_err(|wrong| wrong.failure(name, number, text))?;
            rows.by_type[usize::from(type_number)] += 1;
            let Some(mut row) = row else { continue };
            if rows.kept.len() == MAX_ROWS {
                return Err(here("the file has too many rows").allowed(format!("{MAX_ROWS} rows of types 1 to 4")));
            }
            if time != previous_time {
                previous_time.clear();
                previous_time.push_str(time);
                instant += 1;
            }
            row.instant = instant;
            rows.kept.push(row);
        }
    }
}

/// What is wrong with a line.
struct Wrong<'a> {
    what: &'static str,
    column: &'static str,
    found: &'a str,
    allowed: &'static str,
}

impl Wrong<'_> {
    fn failure(&self, name: &str, number: u64, line: &str) -> Failure {
        let failure = Failure::bad(self.what).file(name).line(number);
        if self.column.is_empty() {
            return failure.found(line).allowed(self.allowed).next(
                "give the LOBSTER message file (not the order book file): six columns, no header, for example \
                 `34200.004241176,1,16113575,18,5853300,1`",
            );
        }
        failure.field(self.column).found(self.found).allowed(self.allowed)
    }
}

/// A line's six columns.
struct Columns<'a>([&'a str; 6]);

impl<'a> Columns<'a> {
    fn split(line: &'a str) -> Result<Self, Wrong<'a>> {
        let mut columns = [""; 6];
        let mut count = 0;
        for piece in line.split(',') {
            if count < 6 {
                columns[count] = piece.trim();
            }
            count += 1;
        }
        if count == 6 || count == 7 {
            return Ok(Self(columns));
        }
        Err(Wrong {
            what: "a line does not have the columns of a LOBSTER message",
            column: "",
            found: line,
            allowed: "time,type,order id,size,price,direction",
        })
    }

    /// The time without insignificant zeros, the type, and the row if it is kept (its instant is still to be set).
    fn parse(&self) -> Result<(&'a str, u8, Option<Row>), Wrong<'a>> {
        let [time, type_text, id, size, price, direction] = self.0;
        let time = significant(time).ok_or(Wrong {
            what: "a time is no number of seconds",
            column: "time",
            found: time,
            allowed: "seconds after midnight with decimals, such as 34200.004241176",
        })?;
        let kind = match type_text {
            "1" => Kind::Add,
            "2" => Kind::Reduce,
            "3" => Kind::Cancel,
            "4" => Kind::Execute,
            "5" => return Ok((time, 5, None)),
            "6" => return Ok((time, 6, None)),
            "7" => return Ok((time, 7, None)),
            other => {
                return Err(Wrong {
                    what: "a message type is not known",
                    column: "type",
                    found: other,
                    allowed: "1 to 7",
                });
            }
        };
        let id = id.parse::<u64>().ok().filter(|id| *id > 0).ok_or(Wrong {
            what: "an order id is no order's number",
            column: "order id",
            found: id,
            allowed: "an integer from 1",
        })?;
        let qty = size.parse::<u32>().ok().filter(|qty| (1..=Limits::MAX_QTY).contains(qty)).ok_or(Wrong {
            what: "a size is out of range",
            column: "size",
            found: size,
            allowed: "an integer from 1 to 2147483647",
        })?;
        let price = price.parse::<i64>().ok().filter(|price| *price >= 0).ok_or(Wrong {
            what: "a price is out of range",
            column: "price",
            found: price,
            allowed: "an integer from 0: dollars times 10,000",
        })?;
        let side = match direction {
            "1" => Side::Buy,
            "-1" => Side::Sell,
            other => {
                return Err(Wrong {
                    what: "a direction is neither buy nor sell",
                    column: "direction",
                    found: other,
                    allowed: "1 or -1",
                });
            }
        };
        Ok((time, kind as u8 + 1, Some(Row { id, price, qty, instant: 0, kind, side })))
    }
}

/// A decimal number without the zeros that end its fraction, so that equal times are equal text.
fn significant(time: &str) -> Option<&str> {
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let end = if fraction.is_empty() { whole.len() } else { whole.len() + 1 + fraction.len() };
    Some(&time[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rows, Failure> {
        Rows::read("day.csv", text.as_bytes())
    }

    #[test]
    fn a_kept_row_takes_32_bytes() {
        assert_eq!(size_of::<Row>(), 32);
    }

    #[test]
    fn reads_every_type_and_keeps_the_displayed() {
        let rows = read(
            "34200.1,1,7,100,5850000,1\r\n34200.10,2,7,40,5850000,1\n34200.2,3,7,60,5850000,1\n34200.3,4,8,5,5850100,-1\n\
             34200.4,5,0,9,5850100,-1\n34200.5,6,-1,9,5850100,-1\n34200.6,7,0,0,-1,-1\n34200.7,1,9,1,1,1,null",
        )
        .unwrap();
        assert_eq!(rows.by_type, [0, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(rows.kept.len(), 5);
        assert_eq!(
            rows.kept[1],
            Row { id: 7, price: 5_850_000, qty: 40, instant: 1, kind: Kind::Reduce, side: Side::Buy }
        );
        assert_eq!(rows.kept[0].instant, rows.kept[1].instant, "34200.1 and 34200.10 are one time");
        assert_eq!(rows.kept[3].side, Side::Sell);
        assert!(rows.kept[2].instant < rows.kept[3].instant);
    }

    #[test]
    fn names_line_column_found_and_allowed() {
        for (line, column, found) in [
            ("x,1,7,100,585,1", "time", "`x`"),
            ("1.2.3,1,7,100,585,1", "time", "`1.2.3`"),
            ("1,8,7,100,585,1", "type", "`8`"),
            ("1,1,0,100,585,1", "order id", "`0`"),
            ("1,1,-4,100,585,1", "order id", "`-4`"),
            ("1,1,7,0,585,1", "size", "`0`"),
            ("1,1,7,4294967296,585,1", "size", "`4294967296`"),
            ("1,1,7,100,5.85,1", "price", "`5.85`"),
            ("1,1,7,100,-1,1", "price", "`-1`"),
            ("1,1,7,100,585,0", "direction", "`0`"),
        ] {
            let text = read(&format!("1,1,5,1,1,1\n{line}\n")).unwrap_err().to_string();
            assert!(text.contains("day.csv, line 2"), "{text}");
            assert!(text.contains(&format!("field `{column}`")), "{text}");
            assert!(text.contains(&format!("found:   {found}")), "{text}");
            assert!(text.contains("allowed: "), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_message_file() {
        for text in ["op,id,side,price,qty\n", "1,1,7,100,585\n", "5859400,200,5853300,18,1,1,1,1\n"] {
            let text = read(text).unwrap_err().to_string();
            assert!(text.contains("line 1") && text.contains("next:"), "{text}");
        }
        assert!(Rows::read("x", &b"\xff\xfe\x00\n"[..]).unwrap_err().to_string().contains("not text"));
        let endless = vec![b'1'; 1 << 20];
        assert!(Rows::read("x", &endless[..]).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn an_empty_file_has_no_rows() {
        assert!(read("").unwrap().kept.is_empty());
    }
}
