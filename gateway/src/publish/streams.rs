//! Each session's sequenced messages, kept until the session's day is over.
//!
//! A stream is append-only: messages, numbered from 1 without gaps, that a client may ask for again at any number. Every
//! message stems from a record, and leaves only once the ack policy's watermark has passed that record:
//! [`Streams::release`]. Which message belongs to which record stands in one queue over all streams, so that releasing costs
//! what it releases and not what there is.
//!
//! # Memory
//! A stream keeps a day: a message costs its own bytes (36 an execution, 64 and its options an acceptance) and 4 for where it
//! ends. They lie in chunks of [`CHUNK_MESSAGES`] messages; a chunk is allocated when the last is full, never moved and never
//! copied, so that a stream's growth is no stall. Nothing bounds a day but the message rates that risk allows:
//! [`Streams::bytes`] tells what is kept, for an operator's alarm. The queue holds 24 bytes for each session that a record
//! not yet released speaks to: as many as the journal lags.

use std::collections::VecDeque;

use crate::entry::plain::{ImageError, Reader, Writer};
use crate::session::soup::History;

/// Messages of one chunk.
pub const CHUNK_MESSAGES: usize = 1024;
/// Bytes that a chunk expects: it grows if its messages are longer on average than an acceptance.
const CHUNK_BYTES: usize = CHUNK_MESSAGES * 64;
/// Entries of the release queue there is room for from the start.
const QUEUE: usize = 1 << 14;
/// First bytes of an image.
const MAGIC: &[u8; 8] = b"WBSTRM01";

/// The messages of all sessions.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// By session number.
    streams: Vec<Messages>,
    /// What is not released yet, by record.
    queue: VecDeque<Unreleased>,
    /// Sessions that the last release let something go to; some may stand there more than once.
    fresh: Vec<u32>,
    /// The last watermark.
    released_seq: u64,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unreleased {
    seq: u64,
    session: u32,
    count: u32,
}

#[derive(Clone, Debug, Default)]
struct Messages {
    chunks: Vec<Chunk>,
    count: u64,
    released: u64,
}

#[derive(Clone, Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where each message ends in `bytes`.
    ends: Vec<u32>,
}

impl Chunk {
    fn new() -> Self {
        Self { bytes: Vec::with_capacity(CHUNK_BYTES), ends: Vec::with_capacity(CHUNK_MESSAGES) }
    }
}

impl Messages {
    fn push(&mut self, message: &[u8]) {
        if self.chunks.last().is_none_or(|chunk| chunk.ends.len() == CHUNK_MESSAGES) {
            self.chunks.push(Chunk::new());
        }
        let chunk = self.chunks.last_mut().expect("one was pushed if there was none");
        chunk.bytes.extend_from_slice(message);
        chunk.ends.push(u32::try_from(chunk.bytes.len()).expect("a chunk of OUCH messages is far below 4 GiB"));
        self.count += 1;
    }

    fn get(&self, sequence: u64) -> Option<&[u8]> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        let chunk = self.chunks.get(index / CHUNK_MESSAGES)?;
        let at = index % CHUNK_MESSAGES;
        let end = *chunk.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| chunk.ends[before]);
        Some(&chunk.bytes[start as usize..end as usize])
    }
}

impl Streams {
    /// No messages.
    pub fn new() -> Self {
        Self { queue: VecDeque::with_capacity(QUEUE), fresh: Vec::with_capacity(QUEUE), ..Self::default() }
    }

    /// Adds a message that stems from the record `seq` to a session's stream. Records come in the order of their seq.
    pub fn append(&mut self, session: u32, seq: u64, message: &[u8]) {
        let index = session as usize;
        if index >= self.streams.len() {
            self.streams.resize_with(index + 1, Messages::default);
        }
        self.streams[index].push(message);
        self.bytes += message.len() + size_of::<u32>();
        match self.queue.back_mut() {
            Some(last) if last.seq == seq && last.session == session => last.count += 1,
            _ => {
                debug_assert!(self.queue.back().is_none_or(|last| last.seq <= seq), "records come in order");
                self.queue.push_back(Unreleased { seq, session, count: 1 });
            }
        }
    }

    /// Lets go every message of records up to `watermark_seq`, that one included. A watermark never falls; a lower one is ignored.
    pub fn release(&mut self, watermark_seq: u64) {
        self.released_seq = self.released_seq.max(watermark_seq);
        self.fresh.clear();
        while let Some(first) = self.queue.front()
            && first.seq <= self.released_seq
        {
            self.streams[first.session as usize].released += u64::from(first.count);
            if self.fresh.last() != Some(&first.session) {
                self.fresh.push(first.session);
            }
            self.queue.pop_front();
        }
    }

    /// Sessions that the last [`Streams::release`] let something go to; some may stand there more than once.
    #[inline]
    pub fn fresh(&self) -> &[u32] {
        &self.fresh
    }

    /// A session's stream, also of a session that was told nothing yet.
    pub fn history(&self, session: u32) -> Stream<'_> {
        Stream(self.streams.get(session as usize))
    }

    /// Starts every stream anew at 1, empty, because a day is over. Its messages, sent or not, are gone: end the connections of
    /// the old day first.
    pub fn new_day(&mut self) {
        self.streams.clear();
        self.queue.clear();
        self.bytes = 0;
    }

    /// Bytes kept: messages and where they end.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last watermark.
    pub fn released_seq(&self) -> u64 {
        self.released_seq
    }

    /// Entries that wait for the watermark.
    pub fn unreleased(&self) -> usize {
        self.queue.len()
    }

    /// Everything, for a snapshot: released seq, the streams (messages, how many are released, each message behind its length),
    /// the release queue.
    pub fn image(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, self.bytes + 64 * (1 + self.streams.len()));
        out.u64(self.released_seq);
        out.u64(self.streams.len() as u64);
        for stream in &self.streams {
            out.u64(stream.count);
            out.u64(stream.released);
            for sequence in 1..=stream.count {
                let message = stream.get(sequence).expect("numbers have no gaps");
                out.u16(u16::try_from(message.len()).expect("an OUCH message fits a Soup packet"));
                out.bytes(message);
            }
        }
        out.u64(self.queue.len() as u64);
        for entry in &self.queue {
            out.u64(entry.seq);
            out.u32(entry.session);
            out.u32(entry.count);
        }
        out.finish()
    }

    /// The streams of an image.
    ///
    /// # Errors
    /// When the bytes are no image, or a damaged one; names where.
    pub fn restore(image: &[u8]) -> Result<Self, ImageError> {
        let mut from = Reader::new("streams", MAGIC, image)?;
        let mut streams = Self { released_seq: from.u64("released seq")?, ..Self::new() };
        for _ in 0..from.count(16, "number of streams")? {
            let (count, released) = (from.u64("number of messages")?, from.u64("number of released messages")?);
            if released > count {
                return Err(from.bad("number of released messages", "more than there are"));
            }
            let mut messages = Messages { released, ..Messages::default() };
            for _ in 0..count {
                let length = usize::from(from.u16("length of a message")?);
                messages.push(from.take(length, "message")?);
                streams.bytes += length + size_of::<u32>();
            }
            streams.streams.push(messages);
        }
        let mut waiting = vec![0; streams.streams.len()];
        for _ in 0..from.count(16, "length of the queue")? {
            let seq = from.u64("seq of an entry")?;
            let (session, count) = (from.u32("session of an entry")?, from.u32("count of an entry")?);
            let stream =
                waiting.get_mut(session as usize).ok_or(from.bad("session of an entry", "one without a stream"))?;
            *stream += u64::from(count);
            streams.queue.push_back(Unreleased { seq, session, count });
        }
        let adds_up = |(stream, waiting): (&Messages, &u64)| stream.released + waiting == stream.count;
        if !streams.streams.iter().zip(&waiting).all(adds_up) {
            return Err(from.bad("queue", "another number of unreleased messages than the streams have"));
        }
        from.end()?;
        Ok(streams)
    }
}

/// One session's stream, as a connection reads it.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a>(Option<&'a Messages>);

impl Stream<'_> {
    /// A message whether it is released or not: what the venue generated.
    pub fn generated(&self, sequence: u64) -> Option<&[u8]> {
        self.0?.get(sequence)
    }
}

impl History for Stream<'_> {
    fn next_sequence(&self) -> u64 {
        self.0.map_or(1, |stream| stream.count + 1)
    }

    fn released(&self) -> u64 {
        self.0.map_or(0, |stream| stream.released)
    }

    fn get(&self, sequence: u64) -> Option<&[u8]> {
        self.0.filter(|stream| sequence <= stream.released)?.get(sequence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_leaves_with_its_record() {
        let mut streams = Streams::new();
        streams.append(3, 10, b"one");
        streams.append(1, 10, b"two");
        streams.append(3, 11, b"three");
        let stream = streams.history(3);
        assert_eq!((stream.next_sequence(), stream.released(), stream.get(1)), (3, 0, None));
        streams.release(10);
        let stream = streams.history(3);
        assert_eq!((stream.released(), stream.get(1), stream.get(2)), (1, Some(&b"one"[..]), None));
        assert_eq!(streams.history(1).get(1), Some(&b"two"[..]));
        streams.release(9);
        assert_eq!(streams.history(3).released(), 1, "a watermark never falls");
        streams.release(11);
        assert_eq!(streams.history(3).get(2), Some(&b"three"[..]));
        assert_eq!((streams.history(3).get(0), streams.history(3).get(3)), (None, None));
        assert_eq!((streams.history(77).next_sequence(), streams.history(77).released()), (1, 0));
        assert_eq!(streams.unreleased(), 0);
    }

    #[test]
    fn a_new_day_starts_at_one() {
        let mut streams = Streams::new();
        streams.append(1, 5, b"yesterday");
        streams.new_day();
        assert_eq!((streams.bytes(), streams.history(1).next_sequence()), (0, 1));
        streams.append(1, 6, b"today");
        streams.release(6);
        assert_eq!(streams.history(1).get(1), Some(&b"today"[..]));
    }

    proptest! {
        /// Against a plain list per session, over several chunks; and an image makes the same streams again, and no damaged or
        /// shortened image passes for another number of messages.
        #[test]
        fn behaves_as_lists(steps in proptest::collection::vec((1u32..4, 0usize..900, 0u64..5, 0u64..9), 1..40), cut in any::<prop::sample::Index>()) {
            let mut streams = Streams::new();
            let mut model: Vec<Vec<(u64, Vec<u8>)>> = vec![Vec::new(); 4];
            let (mut seq, mut watermark) = (1, 0);
            for (session, count, forward, release) in steps {
                seq += forward;
                for number in 0..count {
                    let message = vec![number as u8; number % 40];
                    streams.append(session, seq, &message);
                    model[session as usize].push((seq, message));
                }
                watermark = watermark.max((watermark + release).min(seq));
                streams.release(watermark);
                // What is appended at or below the watermark is released by the next call only.
                streams.release(watermark);
            }
            let image = streams.image();
            let again = Streams::restore(&image).expect("an image of streams");
            prop_assert_eq!(again.image(), image.clone());
            prop_assert_eq!(again.bytes(), streams.bytes());
            for streams in [&streams, &again] {
                for (session, messages) in model.iter().enumerate() {
                    let stream = streams.history(session as u32);
                    prop_assert_eq!(stream.next_sequence(), messages.len() as u64 + 1);
                    let released = messages.iter().filter(|(seq, _)| *seq <= watermark).count() as u64;
                    prop_assert_eq!(stream.released(), released);
                    for (index, (_, message)) in messages.iter().enumerate() {
                        let sequence = index as u64 + 1;
                        prop_assert_eq!(stream.generated(sequence), Some(message.as_slice()));
                        prop_assert_eq!(stream.get(sequence).is_some(), sequence <= released);
                    }
                }
            }
            let cut = cut.index(image.len());
            prop_assert!(Streams::restore(&image[..cut]).is_err());
        }
    }
}
