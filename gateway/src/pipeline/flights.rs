//! Bursts on their way: sequenced, and not yet matched, booked and handed to the journal.
//!
//! A burst is the records of one turn, one after another, as they will stand in the journal. It has three readers: the journal, the
//! matcher (who gets a beat for each record) and the books (who join records and events). Each goes through the bursts in order and at its
//! own pace; a burst that all have read gives its buffer to the next. The number of bursts is bounded: while there is no room,
//! clients are not read, and that is the back-pressure of the whole pipeline.

use std::collections::VecDeque;

use crate::sequencer::Sequencer;

/// Room that a burst's buffer begins with; it grows to the largest burst, and stays.
const BURST_BYTES: usize = 1 << 16;

/// Who reads bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Makes them durable.
    Journal,
    /// Gets a beat for each record.
    Matcher,
    /// Books each record when its events are there.
    Books,
}

/// How many there are.
const READERS: usize = 3;

/// How far a reader is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Number of the burst, counted from the first.
    burst: u64,
    /// Bytes of it that are read.
    at: usize,
}

/// The bursts.
pub(super) struct Flights {
    queue: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    most: usize,
    /// Number of the burst at the front.
    first: u64,
    places: [Place; READERS],
}

impl Flights {
    /// Room for `most` bursts at a time.
    pub fn new(most: usize) -> Self {
        assert!(most > 0, "found room for no burst, allowed one and more");
        Self {
            queue: VecDeque::with_capacity(most),
            spare: (0..most).map(|_| Vec::with_capacity(BURST_BYTES)).collect(),
            most,
            first: 0,
            places: [Place::default(); READERS],
        }
    }

    /// Whether no burst more fits.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.most
    }

    /// Takes what the sequencer has gathered, and gives it an empty buffer for more. There is room above the bound for what a stop, or
    /// the act of an operator, adds to it.
    pub fn launch(&mut self, sequencer: &mut Sequencer) -> &[u8] {
        let mut burst = self.spare.pop().unwrap_or_default();
        sequencer.exchange(&mut burst);
        debug_assert!(!burst.is_empty(), "a burst has a record");
        self.queue.push_back(burst);
        self.queue.back().map_or(&[], Vec::as_slice)
    }

    /// What a reader has not read of the burst that it is at; `None`: it has read everything.
    #[inline]
    pub fn rest(&self, reader: Reader) -> Option<&[u8]> {
        let Place { burst, at } = self.places[reader as usize];
        self.queue.get((burst - self.first) as usize).map(|bytes| &bytes[at..])
    }

    /// The reader has read so many bytes more of its burst.
    pub fn advance(&mut self, reader: Reader, bytes: usize) {
        let place = &mut self.places[reader as usize];
        let Some(burst) = self.queue.get((place.burst - self.first) as usize) else {
            debug_assert_eq!(bytes, 0, "nothing is left to read");
            return;
        };
        place.at += bytes;
        assert!(place.at <= burst.len(), "read {} of {} bytes", place.at, burst.len());
        if place.at == burst.len() {
            *place = Place { burst: place.burst + 1, at: 0 };
            self.recycle();
        }
    }

    /// Whether the reader is at the last burst that there is, or behind it.
    pub fn at_last(&self, reader: Reader) -> bool {
        self.places[reader as usize].burst + 1 >= self.first + self.queue.len() as u64
    }

    /// Bytes that a reader has not read, in all bursts.
    pub fn left(&self, reader: Reader) -> usize {
        let Place { burst, at } = self.places[reader as usize];
        let bytes: usize = self.queue.iter().skip((burst - self.first) as usize).map(Vec::len).sum();
        bytes - at
    }

    /// Buffers of bursts that everybody has read are for those to come.
    fn recycle(&mut self) {
        let read = self.places.iter().map(|place| place.burst).min().unwrap_or(self.first);
        while self.first < read {
            if let Some(burst) = self.queue.pop_front()
                && self.spare.len() < self.most
            {
                self.spare.push(burst);
            }
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use wirebook_settlement::record::{Payload, State};

    use super::*;
    use crate::entry::harness::epoch;
    use crate::sequencer::{Opening, SealPolicy};

    const MARK: Payload<'_> = Payload::State(State::Mark { instrument: 0, price_ticks: 1 });

    fn sequencer() -> Sequencer {
        let opening = Opening {
            shard: 0,
            epoch: 1,
            last_time_ns: 0,
            next_batch: 1,
            open_first_seq: 0,
            open_records: 0,
            policy: SealPolicy::default(),
        };
        Sequencer::open(opening, 1, &epoch(0), 256)
    }

    #[test]
    fn each_reader_reads_every_byte_once_and_in_order() {
        let (mut sequencer, mut flights) = (sequencer(), Flights::new(3));
        let mut sent = Vec::new();
        let mut read = [const { Vec::new() }; READERS];
        // The slowest reads one byte where the quickest reads all.
        let pace = |reader| match reader {
            Reader::Journal => 1,
            Reader::Matcher => 50,
            Reader::Books => usize::MAX,
        };
        let mut turns = 0;
        for round in 0..20 {
            while flights.is_full() {
                turns += 1;
                assert!(turns < 100_000, "the slowest holds up for ever");
                for reader in [Reader::Journal, Reader::Matcher, Reader::Books] {
                    let Some(rest) = flights.rest(reader) else { continue };
                    let bytes = rest.len().min(pace(reader));
                    read[reader as usize].extend_from_slice(&rest[..bytes]);
                    flights.advance(reader, bytes);
                }
            }
            for _ in 0..=round % 4 {
                sequencer.push(0, &MARK);
            }
            sent.extend_from_slice(flights.launch(&mut sequencer));
            assert!(sequencer.is_empty());
        }
        for reader in [Reader::Journal, Reader::Matcher, Reader::Books] {
            let left = flights.left(reader);
            let mut rest = Vec::new();
            while let Some(bytes) = flights.rest(reader) {
                rest.extend_from_slice(bytes);
                let length = bytes.len();
                assert_eq!(flights.at_last(reader), flights.left(reader) == length);
                flights.advance(reader, length);
            }
            assert_eq!(rest.len(), left, "{reader:?}");
            read[reader as usize].extend_from_slice(&rest);
            assert!(read[reader as usize] == sent, "{reader:?}");
        }
        assert_eq!(
            (flights.queue.len(), flights.spare.len()),
            (0, 3),
            "buffers come back, and not more than there were"
        );
    }
}
