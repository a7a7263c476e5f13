//! Opening a vault: every frame is checked, a torn tail is cut, damage stops the start.
//!
//! A frame is synced before the next is written. So a crash tears at most the last one, and a frame that does not verify is a torn tail
//! only if no valid frame with its number or a later one stands anywhere behind it. Anything else is damage to what was durable, and
//! is not repaired here.

use std::collections::VecDeque;

use super::VaultError;
use super::log::{Begin, name, number_of};
use super::record::{Frame, LogId, PAGE, Record, read_segment_page};
use super::space::{Rebuild, Space};
use crate::validator::volume::Volume;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Frames read.
    pub frames: u64,
    /// Bytes of blobs.
    pub bytes: u64,
    /// Bytes of a torn tail that were cut, with what an older use of the segment's file had left behind it.
    pub cut: u64,
}

/// Reads a log.
pub(super) fn recover(mut volume: Box<dyn Volume>) -> Result<(Begin, Space, Recovered), VaultError> {
    let failed = |what: &str, error: std::io::Error| VaultError::Failed(format!("the vault cannot {what}: {error}"));
    let files = volume.list().map_err(|error| failed("list its files", error))?;
    let numbers: Vec<u64> = files.iter().filter_map(|file| number_of(file)).collect();
    let spares = files.iter().filter(|file| file.ends_with(".spare")).cloned().collect();
    if let Some(hole) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        let what = format!("segment {} is missing: {} and {} are there", hole[0] + 1, hole[0], hole[1]);
        return Err(VaultError::Damaged { file: volume.describe(&name(hole[0] + 1)), offset: 0, what });
    }
    let mut reader = Reader { log: None, next: None, rebuild: Rebuild::default(), found: Recovered::default() };
    let mut segments = VecDeque::new();
    for &number in &numbers {
        let file = name(number);
        let last = Some(&number) == numbers.last();
        let bytes = volume.read(&file).map_err(|error| failed("read its log", error))?;
        let damaged =
            |(offset, what): (u64, String)| VaultError::Damaged { file: volume.describe(&file), offset, what };
        let end = reader.segment(number, &bytes, last).map_err(damaged)?;
        if end == 0 {
            // Begun, and nothing of it was ever durable.
            volume.remove(&file).map_err(|error| failed("remove a segment that was not begun", error))?;
            continue;
        }
        // What may be torn stays behind in a segment that ends before it; nothing is written to that one any more.
        let torn = bytes[end as usize..].iter().rposition(|&byte| byte != 0).map_or(0, |at| at as u64 + 1);
        if last && torn > 0 {
            reader.found.cut = torn;
            let cut = volume.truncate(&file, end).and_then(|()| volume.sync(&file));
            cut.map_err(|error| failed("cut a torn tail", error))?;
        }
        segments.push_back((number, if last && torn > 0 { end } else { bytes.len() as u64 }));
    }
    let log = reader.log.unwrap_or_else(random);
    let (space, mut found) = (reader.rebuild.space, reader.found);
    found.bytes = space.bytes();
    Ok((Begin { volume, log, segments, spares, next_frame: reader.next.unwrap_or(1) }, space, found))
}

struct Reader {
    log: Option<LogId>,
    /// Number of the frame that is next.
    next: Option<u64>,
    rebuild: Rebuild,
    found: Recovered,
}

impl Reader {
    /// Reads one segment; answers where its frames end, 0 if it has not even a header.
    fn segment(&mut self, number: u64, bytes: &[u8], last: bool) -> Result<u64, (u64, String)> {
        let header = read_segment_page(bytes).filter(|&(log, named, first)| {
            named == number && self.log.is_none_or(|known| known == log) && self.next.is_none_or(|next| next == first)
        });
        let Some((log, _, first)) = header else {
            let log = self.log.or(read_segment_page(bytes).map(|(log, ..)| log));
            let valid = match log {
                Some(log) => self.valid_behind(bytes, 0, &log),
                None => (0..bytes.len()).step_by(PAGE).any(|at| Frame::read_any(&bytes[at..]).is_some()),
            };
            return if last && !valid && (self.log.is_some() || number == 1) {
                Ok(0)
            } else {
                Err((0, "the segment's header does not verify, or is of another log or place".into()))
            };
        };
        self.log = Some(log);
        let mut next = self.next.unwrap_or(first);
        let mut at = PAGE;
        while let Some(frame) =
            bytes.get(at..).and_then(|rest| Frame::read(rest, &log)).filter(|frame| frame.number == next)
        {
            let mut records = frame.payload;
            while !records.is_empty() {
                let record = Record::decode(&mut records)
                    .ok_or_else(|| (at as u64, "a frame verifies and holds what is no record".to_owned()))?;
                self.rebuild.apply(&record, number);
            }
            at += frame.pages();
            next += 1;
            self.found.frames += 1;
        }
        self.next = Some(next);
        if self.valid_behind(bytes, at, &log) {
            return Err((at as u64, format!("frame {next} does not verify, and a valid one stands behind it")));
        }
        Ok(at.min(bytes.len()) as u64)
    }

    /// Whether a frame that must come later stands somewhere from `at` on. Frames of an older use of the file do not count.
    fn valid_behind(&self, bytes: &[u8], at: usize, log: &LogId) -> bool {
        let next = self.next.unwrap_or(0);
        (at.next_multiple_of(PAGE)..bytes.len())
            .step_by(PAGE)
            .any(|at| Frame::read(&bytes[at..], log).is_some_and(|frame| frame.number >= next))
    }
}

/// A new log's id.
fn random() -> LogId {
    use std::io::Read;
    let mut id = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut id));
    read.expect("the system's randomness can be read");
    id
}
