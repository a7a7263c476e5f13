//! What clients are told.
//!
//! - [`Fold`]: the one function from records and their events to the messages of each session; used live and by replay alike.
//! - [`Streams`]: each session's messages of the day, numbered, let go when the ack policy's watermark passes their record.
//! - [`Publisher`]: both together.

mod echo;
mod fold;
mod image;
mod streams;
#[cfg(test)]
mod tests;

use wirebook_matcher::abi::Event;
use wirebook_settlement::record::{DayPhase, Payload, Record, State};

pub use fold::Fold;
pub use streams::{CHUNK_MESSAGES, Stream, Streams};

use crate::entry::ImageError;
use crate::entry::plain::{Reader, Writer};

const MAGIC: &[u8; 8] = b"WBPUBL01";

/// Folds records and events into the sessions' streams.
#[derive(Clone, Debug)]
pub struct Publisher {
    fold: Fold,
    streams: Streams,
}

impl Publisher {
    /// For a shard with this many slots.
    pub fn new(slots: u32) -> Self {
        Self { fold: Fold::new(slots), streams: Streams::new() }
    }

    /// Takes a record that the books have admitted, before its events. The opening of a day starts every stream anew.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>) {
        if let Payload::State(State::Day { phase: DayPhase::Open, .. }) = record.payload {
            self.streams.new_day();
        }
        let (streams, seq) = (&mut self.streams, record.header.seq);
        self.fold.record(record, &mut |session, message| streams.append(session, seq, message));
    }

    /// Takes an event of the record, after the books have booked it; `match_number` is theirs, of a fill.
    #[inline]
    pub fn event(&mut self, record: &Record<'_>, event: &Event, match_number: Option<u64>) {
        let (streams, seq) = (&mut self.streams, record.header.seq);
        self.fold.event(record, event, match_number, &mut |session, message| streams.append(session, seq, message));
    }

    /// Lets go what stems from records up to this one.
    #[inline]
    pub fn release(&mut self, watermark_seq: u64) {
        self.streams.release(watermark_seq);
    }

    /// The sessions' streams.
    #[inline]
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Everything, for a snapshot that ends with the last record, all of whose events are here.
    pub fn image(&self) -> Vec<u8> {
        let (fold, streams) = (self.fold.image(), self.streams.image());
        let mut out = Writer::new(MAGIC, fold.len() + streams.len() + 16);
        out.part(&fold);
        out.part(&streams);
        out.finish()
    }

    /// The publisher of an image, for a shard with this many slots.
    ///
    /// # Errors
    /// When the bytes are no image, or a damaged one; names where.
    pub fn restore(image: &[u8], slots: u32) -> Result<Self, ImageError> {
        let mut from = Reader::new("publisher", MAGIC, image)?;
        let fold = Fold::restore(from.part("fold")?, slots)?;
        let streams = Streams::restore(from.part("streams")?)?;
        from.end()?;
        Ok(Self { fold, streams })
    }
}
