//! From a journal on disk to a venue that can go on.
//!
//! Everything that a venue knows is a function of its records, so recovery is one pass: each record goes through the
//! machine, and what comes of it goes to order entry and to the publisher, in the order of the hot path. The same pass
//! takes the records that a start adds (epoch, changes of the configuration, a day's opening).
//!
//! A snapshot ([`image`](VENUE_IMAGE_VERSION)) shortens the pass: [`resume`] begins with the newest good one.

mod image;
mod resume;
#[cfg(test)]
pub(crate) mod tests;

pub use image::{Sealed, VENUE_IMAGE_VERSION, VenueImageError};
pub use resume::{ResumeError, Resumed, resume};

use wirebook_matcher::Twin;
use wirebook_matcher::abi::Event;
use wirebook_settlement::machine::{Books, Machine, Refusal, Sink};
use wirebook_settlement::record::{Record, RecordError};

use crate::entry::Entry;
use crate::publish::Publisher;

/// What a state is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The shard.
    pub shard: u16,
    /// Slots of the matcher.
    pub slots: u32,
    /// The most lots of an order.
    pub max_qty: u32,
}

/// Machine, order entry and publisher, kept in step.
pub struct Replay<T: Twin> {
    machine: Machine<T>,
    entry: Entry,
    publisher: Publisher,
}

/// Why a record could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It does not decode.
    #[error("the record does not decode: {0}")]
    Record(#[from] RecordError),
    /// The machine refuses it.
    #[error("the machine refuses record {seq:#018x}: {refusal}")]
    Refused {
        /// The record.
        seq: u64,
        /// Which rule.
        refusal: Refusal,
    },
}

/// What a record's steps are handed to: first the publisher, then order entry, as in the pipeline.
struct Follow<'a> {
    entry: &'a mut Entry,
    publisher: &'a mut Publisher,
    /// Whether order entry has to learn of the record too: it made those of this life itself.
    replaying: bool,
}

impl Sink for Follow<'_> {
    fn admitted(&mut self, record: &Record<'_>, _: &Books) {
        self.publisher.record(record);
        if self.replaying {
            self.entry.replay(record);
        }
    }

    fn event(&mut self, record: &Record<'_>, event: &Event, number: Option<u64>, _: &Books) {
        self.publisher.event(record, event, number);
        self.entry.event(event);
    }
}

impl<T: Twin> Replay<T> {
    /// The state before the first record.
    pub fn new(sizes: Sizes) -> Self {
        let Sizes { shard, slots, max_qty } = sizes;
        Self { machine: Machine::new(shard), entry: Entry::new(slots, max_qty), publisher: Publisher::new(slots) }
    }

    /// Applies a journaled record, given as its bytes, and answers it.
    ///
    /// # Errors
    /// When it does not decode or does not apply.
    pub fn record<'a>(&mut self, bytes: &'a [u8]) -> Result<Record<'a>, ReplayError> {
        self.apply(bytes, true)
    }

    /// Applies the records that this life's order entry has made: a sequencer's burst.
    ///
    /// # Errors
    /// When one does not apply: a fault of the gateway.
    pub fn burst(&mut self, burst: &[u8]) -> Result<(), ReplayError> {
        let mut at = 0;
        while at < burst.len() {
            let (_, length) = Record::decode(&burst[at..])?;
            self.apply(&burst[at..at + length], false)?;
            at += length;
        }
        Ok(())
    }

    /// Lets messages of records up to this one, which is durable, go out.
    pub fn release(&mut self, seq: u64) {
        self.publisher.release(seq);
    }

    fn apply<'a>(&mut self, bytes: &'a [u8], replaying: bool) -> Result<Record<'a>, ReplayError> {
        let (record, _) = Record::decode(bytes)?;
        let mut follow = Follow { entry: &mut self.entry, publisher: &mut self.publisher, replaying };
        self.machine
            .apply(&record, &mut follow)
            .map_err(|refusal| ReplayError::Refused { seq: record.header.seq, refusal })?;
        Ok(record)
    }

    /// The machine.
    pub fn machine(&self) -> &Machine<T> {
        &self.machine
    }

    /// Who has what.
    pub fn books(&self) -> &Books {
        &self.machine.books
    }

    /// Order entry, which makes records of this life.
    pub fn entry(&mut self) -> &mut Entry {
        &mut self.entry
    }

    /// What clients were told.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The parts, for the pipeline: books, book of orders, order entry, publisher.
    pub fn into_parts(self) -> (Books, T, Entry, Publisher) {
        let (books, twin) = self.machine.into_parts();
        (books, twin, self.entry, self.publisher)
    }
}
