//! A whole file of orders through a twin, its fills written: what `wirebook match` does.
//!
//! The orders are read twice: for the band of their prices, and to match them. Memory follows the width of the band and the
//! orders that live at once, however long the file is. Lines are matched some thousands at a time, so that the time that
//! matching takes can be told from that of reading and writing without a look at the clock for each.

use std::io::{self, BufRead, BufWriter, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::band::{BandError, Survey};
use super::csv::CsvError;
use super::digest::Digesting;
use super::fills::{Fill, FillsWriter};
use super::offline::{Offline, Summary};
use super::orders::{OrderLine, OrdersReader};
use crate::matcher::Twin;

/// Lines that are matched together, and between two calls of the progress hook.
const BATCH: usize = 8192;

/// Why the orders could not be matched. What was written of the fills is not whole.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The orders cannot be read.
    #[error(transparent)]
    Orders(#[from] CsvError),
    /// The prices make no band.
    #[error("{file}: {error}")]
    Band {
        /// The orders.
        file: String,
        /// What is wrong.
        error: BandError,
    },
    /// The orders cannot be read twice.
    #[error("{file}: cannot go back to the start: {source}")]
    Rewind {
        /// The orders.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The matcher is too small, or has failed.
    #[error("the matcher: {0}")]
    Matcher(String),
    /// The fills cannot be written.
    #[error("the fills cannot be written: {0}")]
    Fills(#[source] io::Error),
}

/// A file that is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// What happened.
    pub summary: Summary,
    /// SHA-256 of the fills as written, in hexadecimal digits: what `sha256sum` says of the file.
    pub fills_digest: String,
    /// Time between lines and fills in memory: ids to slots, the matcher, slots to ids.
    pub matching: Duration,
}

/// Matches a whole Orders CSV and writes its Fills CSV. `progress` hears, from time to time and at the end of each pass, how many
/// lines were seen in the first pass and the second together.
///
/// # Errors
/// When the orders cannot be read or make no band, or the fills cannot be written.
pub fn match_orders<T: Twin>(
    file: &str,
    mut orders: impl BufRead + Seek,
    tick_size: i64,
    fills: impl Write,
    mut progress: impl FnMut(u64),
) -> Result<Matched, FlowError> {
    let no_band = |error| FlowError::Band { file: file.to_owned(), error };
    let mut survey = Survey::new(tick_size).map_err(no_band)?;
    for line in OrdersReader::new(file, &mut orders)? {
        survey.add(&line?);
        if survey.lines().is_multiple_of(BATCH as u64) {
            progress(survey.lines());
        }
    }
    orders.seek(SeekFrom::Start(0)).map_err(|source| FlowError::Rewind { file: file.to_owned(), source })?;

    let band = survey.band().map_err(no_band)?;
    let too_wide = || FlowError::Matcher(format!("its book has fewer ticks than the {} of this file", band.ticks()));
    let mut offline = Offline::<T>::growing(band, T::most_slots(band.ticks()).ok_or_else(too_wide)?);
    let mut writer = FillsWriter::new(BufWriter::new(Digesting::new(fills))).map_err(FlowError::Fills)?;
    let mut reader = OrdersReader::new(file, &mut orders)?;
    let mut lines: Vec<OrderLine> = Vec::with_capacity(BATCH);
    let mut made: Vec<Fill> = Vec::new();
    let mut matching = Duration::ZERO;
    loop {
        lines.clear();
        for line in reader.by_ref().take(BATCH) {
            lines.push(line?);
        }
        if lines.is_empty() {
            break;
        }
        made.clear();
        let begun = Instant::now();
        for line in &lines {
            // A refusal is in the summary.
            let _ = offline.apply(line, |fill| made.push(fill));
        }
        matching += begun.elapsed();
        if let Some(why) = offline.twin().failure() {
            return Err(FlowError::Matcher(why));
        }
        for fill in &made {
            writer.write(fill).map_err(FlowError::Fills)?;
        }
        progress(survey.lines() + offline.summary().lines);
    }
    let buffered = writer.finish().map_err(FlowError::Fills)?;
    let digesting = buffered.into_inner().map_err(|error| FlowError::Fills(error.into_error()))?;
    let (mut fills, fills_digest) = digesting.finish();
    fills.flush().map_err(FlowError::Fills)?;
    Ok(Matched { summary: offline.summary(), fills_digest, matching })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{OrdersWriter, Scenario, scenario};
    use crate::{Reference, Software};

    #[test]
    fn a_file_is_matched_whole_and_its_errors_are_told() {
        let orders = "op,id,side,price,qty\r\nA,1,1,-20,5\r\nA,2,-1,-10,5\r\nX,3,1,0,7\r\n";
        let mut fills = Vec::new();
        let mut heard = 0;
        let matched =
            match_orders::<Software>("o.csv", io::Cursor::new(orders), 10, &mut fills, |lines| heard = lines).unwrap();
        assert_eq!(fills, b"aggressor,resting_id,price,qty,resting_side\n3,2,-10,5,-1\n");
        assert_eq!((matched.summary.lines, heard, matched.summary.traded), (3, 6, 5));
        let error = |orders: &'static str, tick| {
            match_orders::<Software>("o.csv", io::Cursor::new(orders), tick, io::sink(), |_| {})
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(orders, 0), "o.csv: tick size: found 0, allowed 1 to 9223372036854775807");
        assert!(error("op,id,side,price,qty\nA,1,1,0,5\nA,1,1,99999999,5\n", 1).contains("is the tick size right?"));
        assert!(error("op,id,side,price,qty\nA,1,1,0\n", 1).starts_with("o.csv:2: "));
    }

    /// A book that has grown several times answers like one that was large from the start.
    #[test]
    fn a_growing_book_makes_the_same_fills() {
        let flow = scenario::Flow::new(Scenario::Calm, 3);
        let (band, slots) = (flow.band(), flow.limits().slots);
        let lines: Vec<OrderLine> = flow.take(60_000).map(|sent| sent.line).collect();
        let mut whole = Offline::<Software>::new(band, slots);
        let mut growing = Offline::<Software>::growing(band, slots);
        let mut small = Offline::<Software>::growing(band, 5000);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for line in &lines {
            assert_eq!(whole.apply(line, |fill| expected.push(fill)), Ok(()));
            assert_eq!(growing.apply(line, |fill| found.push(fill)), Ok(()));
            let _ = small.apply(line, |_| {});
        }
        assert_eq!(expected, found);
        assert_eq!((whole.summary(), whole.twin().digest()), (growing.summary(), growing.twin().digest()));
        assert!((10_000..slots).contains(&growing.twin().limits().slots) || growing.twin().limits().slots == slots);
        assert_eq!(small.twin().limits().slots, 5000, "it grows up to what it may");
        assert!(small.summary().refused > 0);

        let mut writer = OrdersWriter::new(Vec::new()).unwrap();
        lines.iter().for_each(|line| writer.write(line).unwrap());
        let file = writer.finish().unwrap();
        let of = |fills: &mut Vec<u8>| {
            match_orders::<Reference>("o.csv", io::Cursor::new(&file), scenario::TICK_SIZE, fills, |_| {}).unwrap()
        };
        let mut written = Vec::new();
        let matched = of(&mut written);
        assert_eq!(matched.summary.fills, expected.len() as u64);
        let mut digest = crate::flow::FillsDigest::default();
        expected.iter().for_each(|fill| digest.add(fill));
        assert_eq!(matched.fills_digest, digest.finish());
    }
}
