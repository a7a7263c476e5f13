//! The publisher's stage: each record meets its events, is booked, and becomes what clients are told.
//!
//! Records come in their order from the sequencer, events from the event ring. Every record has exactly one event marked
//! `last`, a nop's included, so the two streams need no key to be joined: the record that is open takes events until the
//! last. What does not fit (an event of another record, garbage from a device, a record that the books refuse) is a
//! [`Fault`]: the venue stops, because what it told clients would no longer be what the records say.

use thiserror::Error;
use wirebook_bypass::ring::{Consumer, Heap};
use wirebook_matcher::abi::Event;
use wirebook_settlement::machine::{Books, Fault as BooksFault, Refusal};
use wirebook_settlement::record::{Leg, Record, RecordError};

use crate::entry::Entry;
use crate::publish::Publisher;

/// Why the venue must stop. Each is a fault of the gateway or of its matcher, never of a client.
#[derive(Debug, Error)]
pub enum Fault {
    /// The sequencer made a record that does not decode.
    #[error("the sequencer's own record at byte {at} of the burst does not decode: {error}")]
    Record {
        /// Where in the burst.
        at: usize,
        /// What is wrong.
        error: RecordError,
    },
    /// The books refused a record that risk had let through.
    #[error("the books refuse record {seq:#018x}, which risk let through: {refusal}")]
    Refused {
        /// The record.
        seq: u64,
        /// Which rule.
        refusal: Refusal,
    },
    /// The matcher answered with bytes that are no event.
    #[error("the matcher answered record {seq:#018x} with a beat that is no event: {beat:016x?}")]
    Garbage {
        /// The record that was open.
        seq: u64,
        /// The beat.
        beat: [u64; 4],
    },
    /// The matcher answered what cannot be, given the books.
    #[error("the matcher's answer to record {seq:#018x} contradicts the books: {fault}")]
    Contradiction {
        /// The record.
        seq: u64,
        /// What cannot be.
        fault: BooksFault,
    },
    /// The matcher answered another command than the one that is open, or out of order.
    #[error("the matcher's event {index} of {found:#018x} came where event {wanted_index} of {wanted:#018x} was due")]
    OutOfOrder {
        /// The open record.
        wanted: u64,
        /// The event number that was due.
        wanted_index: u32,
        /// The event's seq.
        found: u64,
        /// The event's number.
        index: u32,
    },
    /// The matcher answered although every record has its last event.
    #[error("the matcher gave a beat after the last event of record {seq:#018x}: {beat:016x?}")]
    Unasked {
        /// The last record.
        seq: u64,
        /// The beat.
        beat: [u64; 4],
    },
    /// The matcher has failed, and nobody takes its place.
    #[error("the matcher has failed, with {left} bytes of records not yet booked: {reason}")]
    Matcher {
        /// Bytes of records not yet booked.
        left: usize,
        /// In the matcher's words.
        reason: String,
    },
    /// Neither stage can move although records wait, and the matcher is not busy.
    #[error("the pipeline stands still: {left} bytes of records wait, and the matcher neither takes nor gives")]
    Stalled {
        /// Bytes of records not yet booked.
        left: usize,
    },
}

/// The stage.
pub struct Booking {
    books: Books,
    publisher: Publisher,
    events: Consumer<Heap>,
    /// Bytes of the burst that are booked.
    at: usize,
    /// Event number due within the open record; `None`: no record is open.
    due: Option<u32>,
    booked: u64,
}

impl Booking {
    /// A stage over books and streams as recovery left them.
    pub fn new(books: Books, publisher: Publisher, events: Consumer<Heap>) -> Self {
        Self { books, publisher, events, at: 0, due: None, booked: 0 }
    }

    /// Books records of `burst` from where the last step left it, as far as events are there. Returns how many beats it took.
    /// `entry` hears of every event after books and streams have it.
    ///
    /// # Errors
    /// A [`Fault`]; the stage is not to be used again.
    pub fn step(&mut self, burst: &[u8], entry: &mut Entry) -> Result<usize, Fault> {
        let mut taken = 0;
        while self.at < burst.len() {
            let (record, length) =
                Record::decode(&burst[self.at..]).map_err(|error| Fault::Record { at: self.at, error })?;
            let seq = record.header.seq;
            let mut due = match self.due {
                Some(due) => due,
                None => {
                    self.books.admit(&record).map_err(|refusal| Fault::Refused { seq, refusal })?;
                    self.publisher.record(&record);
                    0
                }
            };
            loop {
                let Some(beat) = self.events.pop() else {
                    self.due = Some(due);
                    return Ok(taken);
                };
                taken += 1;
                let event = Event::from_words(beat).ok_or(Fault::Garbage { seq, beat })?;
                if event.seq != seq || event.index != due {
                    return Err(Fault::OutOfOrder {
                        wanted: seq,
                        wanted_index: due,
                        found: event.seq,
                        index: event.index,
                    });
                }
                let number =
                    self.books.event(&event, &mut |_| {}).map_err(|fault| Fault::Contradiction { seq, fault })?;
                self.publisher.event(&record, &event, number);
                entry.event(&event);
                due += 1;
                if event.last {
                    break;
                }
            }
            self.due = None;
            self.at += length;
            self.booked = seq;
        }
        Ok(taken)
    }

    /// Whether every record of a burst of `length` bytes is booked; if so, the next step begins the next burst. `alone`: the matcher has
    /// been given nothing that comes after it.
    ///
    /// # Errors
    /// When events are left although nothing is open.
    pub fn finish(&mut self, length: usize, alone: bool) -> Result<bool, Fault> {
        if self.at < length || self.due.is_some() {
            return Ok(false);
        }
        if alone && let Some(beat) = self.events.pop() {
            return Err(Fault::Unasked { seq: self.booked, beat });
        }
        self.at = 0;
        Ok(true)
    }

    /// Bytes not yet booked, of `length` that begin with the burst.
    pub fn left(&self, length: usize) -> usize {
        length - self.at
    }

    /// Seq of the last record that is booked.
    pub fn booked(&self) -> u64 {
        self.booked
    }

    /// The books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Why the books would refuse these transfers now; they are as before.
    pub fn refuses(&mut self, time_ns: u64, legs: &[Leg]) -> Option<Refusal> {
        self.books.refuses(time_ns, legs)
    }

    /// What clients are told.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Lets messages up to this seq go out.
    pub fn release(&mut self, watermark: u64) {
        self.publisher.release(watermark);
    }
}
