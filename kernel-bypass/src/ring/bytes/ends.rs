//! The two ends of a byte ring: the algorithm, over any [`ByteStorage`].

#![allow(unsafe_code)]

use super::storage::ByteStorage;
use std::ops::{Deref, DerefMut};

/// Bytes of a frame's header; frames start at multiples of it.
const HEADER: usize = 8;
/// The high half of a message's header word.
const MESSAGE: u32 = 0x4d53_4721;
/// The high half of the header word of what is left at the end of the ring.
const SKIP: u32 = 0x534b_4950;

/// Bytes of the frame of a message of `len` bytes.
#[inline(always)]
fn frame_bytes(len: usize) -> usize {
    HEADER + len.next_multiple_of(HEADER)
}

/// The longest message that fits into an empty ring wherever the ring stands: a skip shorter than its frame, and the frame.
fn max_message(capacity: usize) -> usize {
    capacity / 2 - HEADER
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No room now: the consumer is behind.
    #[error("the byte ring is full")]
    Full,
    /// It will never fit.
    #[error("a message of {len} bytes is longer than the {max} that this byte ring takes")]
    TooLong {
        /// Bytes of the message.
        len: usize,
        /// Bytes of the longest.
        max: usize,
    },
}

/// The ring holds what no producer writes: another process broke the file. Nothing more can be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "byte ring: no valid frame at byte {at} (header {header:#018x}, {published} bytes published): delete the file and create it again"
)]
pub struct Corrupt {
    /// Bytes consumed before it.
    pub at: u64,
    /// The header word found.
    pub header: u64,
    /// Bytes published behind `at`.
    pub published: u64,
}

/// The writing end. One per ring.
pub struct Producer<S: ByteStorage> {
    storage: S,
    tail: u64,
    /// The consumer's head as last seen: never ahead of the truth.
    head: u64,
}

/// Room for one message, to be filled and committed. Dropped without a commit it leaves no trace.
pub struct Reservation<'a, S: ByteStorage> {
    producer: &'a mut Producer<S>,
    /// Where the frame starts.
    start: u64,
    len: usize,
}

/// The reading end. One per ring.
pub struct Consumer<S: ByteStorage> {
    storage: S,
    head: u64,
    /// The producer's tail as last seen: never ahead of the truth.
    tail: u64,
}

impl<S: ByteStorage> Producer<S> {
    /// Takes the writing end of `storage`, behind what is published. The caller sees to it that there is no other producer.
    pub fn attach(storage: S) -> Self {
        assert!(storage.capacity().is_power_of_two() && storage.capacity() >= 4 * HEADER);
        let (tail, head) = (storage.tail(), storage.head());
        Self { storage, tail, head }
    }

    /// Publishes one message.
    ///
    /// # Errors
    /// [`PushError::Full`]: nothing was written, try again later. [`PushError::TooLong`]: never.
    #[inline]
    pub fn push(&mut self, message: &[u8]) -> Result<(), PushError> {
        let mut room = self.reserve(message.len())?;
        room.copy_from_slice(message);
        room.commit();
        Ok(())
    }

    /// Room for a message of `len` bytes, whose contents are whatever lay there.
    ///
    /// # Errors
    /// As [`Producer::push`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_, S>, PushError> {
        let capacity = self.storage.capacity();
        let max = max_message(capacity);
        if len > max {
            return Err(PushError::TooLong { len, max });
        }
        let offset = self.offset(self.tail);
        let frame = frame_bytes(len);
        let rest = capacity - offset;
        let skip = if frame > rest { rest } else { 0 };
        if self.room() < skip + frame {
            let seen = self.storage.head();
            // Another process may publish nonsense; it must not make this end write over what is not consumed.
            if seen >= self.head && seen <= self.tail && seen.is_multiple_of(HEADER as u64) {
                self.head = seen;
            }
            if self.room() < skip + frame {
                return Err(PushError::Full);
            }
        }
        let start = self.tail + skip as u64;
        Ok(Reservation { producer: self, start, len })
    }

    /// Bytes of the longest message that this ring takes.
    pub fn max_message(&self) -> usize {
        max_message(self.storage.capacity())
    }

    /// Bytes that the ring holds, headers included.
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    #[inline(always)]
    fn offset(&self, at: u64) -> usize {
        at as usize & (self.storage.capacity() - 1)
    }

    /// Bytes free, as far as this end knows.
    #[inline(always)]
    fn room(&self) -> usize {
        let used = self.tail.wrapping_sub(self.head);
        (self.storage.capacity() as u64).saturating_sub(used) as usize
    }

    #[inline(always)]
    fn write_header(&mut self, at: u64, kind: u32, len: usize) {
        let offset = self.offset(at);
        let word = u64::from(kind) << 32 | len as u64;
        // SAFETY: `at` is a multiple of 8 in the free part of the ring, which `reserve` has checked and only this end touches.
        let bytes = unsafe { self.storage.bytes_mut(offset, HEADER) };
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

impl<S: ByteStorage> Reservation<'_, S> {
    /// Publishes the message.
    #[inline]
    pub fn commit(self) {
        let len = self.len;
        self.commit_len(len);
    }

    /// Publishes the first `len` bytes as the message. Panics if more were asked for than reserved.
    #[inline]
    pub fn commit_len(self, len: usize) {
        assert!(len <= self.len, "committed {len} bytes of {} reserved", self.len);
        let (producer, start) = (self.producer, self.start);
        if start != producer.tail {
            let skip = (start - producer.tail) as usize;
            producer.write_header(producer.tail, SKIP, skip - HEADER);
        }
        producer.write_header(start, MESSAGE, len);
        producer.tail = start + frame_bytes(len) as u64;
        producer.storage.publish_tail(producer.tail);
    }
}

impl<S: ByteStorage> Deref for Reservation<'_, S> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let at = self.producer.offset(self.start) + HEADER;
        // SAFETY: `reserve` has checked that the frame is free and contiguous; only this end touches it until it is published.
        unsafe { self.producer.storage.bytes(at, self.len) }
    }
}

impl<S: ByteStorage> DerefMut for Reservation<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let at = self.producer.offset(self.start) + HEADER;
        // SAFETY: as in `deref`, and the reservation is borrowed uniquely.
        unsafe { self.producer.storage.bytes_mut(at, self.len) }
    }
}

impl<S: ByteStorage> Consumer<S> {
    /// Takes the reading end of `storage`, behind what is consumed. The caller sees to it that there is no other consumer.
    pub fn attach(storage: S) -> Self {
        assert!(storage.capacity().is_power_of_two() && storage.capacity() >= 4 * HEADER);
        let (head, tail) = (storage.head(), storage.tail());
        Self { storage, head, tail }
    }

    /// Gives the next message to `f` and then consumes it; `None` if there is none. If `f` panics, the message stays.
    ///
    /// # Errors
    /// [`Corrupt`], if another process broke a shared file.
    #[inline]
    pub fn pop_with<R>(&mut self, f: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Corrupt> {
        let Some((message, next)) = self.next()? else {
            return Ok(None);
        };
        let answer = f(message);
        self.head = next;
        self.storage.publish_head(self.head);
        Ok(Some(answer))
    }

    /// Gives up to `limit` messages to `f`, and then their room back at once; how many.
    ///
    /// # Errors
    /// [`Corrupt`], if another process broke a shared file; the messages before it were given.
    #[inline]
    pub fn drain(&mut self, limit: usize, mut f: impl FnMut(&[u8])) -> Result<usize, Corrupt> {
        let mut count = 0;
        let mut fault = None;
        while count < limit {
            match self.next() {
                Ok(Some((message, next))) => {
                    f(message);
                    self.head = next;
                    count += 1;
                }
                Ok(None) => break,
                Err(corrupt) => {
                    fault = Some(corrupt);
                    break;
                }
            }
        }
        if count > 0 {
            self.storage.publish_head(self.head);
        }
        fault.map_or(Ok(count), Err)
    }

    /// Whether nothing is published.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail && self.head == self.storage.tail()
    }

    /// Bytes that the ring holds, headers included.
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// The next message, and where the one behind it starts.
    #[inline]
    fn next(&mut self) -> Result<Option<(&[u8], u64)>, Corrupt> {
        if self.head == self.tail {
            self.tail = self.storage.tail();
            if self.head == self.tail {
                return Ok(None);
            }
        }
        let mut at = self.head;
        let (mut kind, mut len) = self.header(at)?;
        if kind == SKIP {
            at += (HEADER + len) as u64;
            // A skip is published with the message behind it, which starts at the front.
            (kind, len) = self.header(at)?;
        }
        if kind != MESSAGE {
            return Err(self.corrupt(at));
        }
        let offset = self.offset(at) + HEADER;
        // SAFETY: `header` has checked that the frame lies in the ring and is published; the producer keeps off it until the head
        // passes it, which happens only after this borrow of `self` has ended.
        let message = unsafe { self.storage.bytes(offset, len) };
        Ok(Some((message, at + frame_bytes(len) as u64)))
    }

    /// The kind and length of the frame at `at`, which is published and inside of the ring.
    #[inline]
    fn header(&self, at: u64) -> Result<(u32, usize), Corrupt> {
        let capacity = self.storage.capacity();
        let published = self.tail.wrapping_sub(at);
        let possible = published >= HEADER as u64 && published <= capacity as u64 && at.is_multiple_of(HEADER as u64);
        if !possible {
            return Err(self.corrupt_with(at, 0));
        }
        let word = self.word(at);
        let (kind, len) = ((word >> 32) as u32, word as u32 as usize);
        let rest = capacity - self.offset(at);
        let frame = len.saturating_add(HEADER).next_multiple_of(HEADER);
        if frame > rest || frame as u64 > published {
            return Err(self.corrupt_with(at, word));
        }
        Ok((kind, len))
    }

    #[inline(always)]
    fn word(&self, at: u64) -> u64 {
        // SAFETY: a multiple of 8, published, and so not written now; inside of the ring, as 8 divides the capacity.
        let bytes = unsafe { self.storage.bytes(self.offset(at), HEADER) };
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }

    #[inline(always)]
    fn offset(&self, at: u64) -> usize {
        at as usize & (self.storage.capacity() - 1)
    }

    #[cold]
    fn corrupt(&self, at: u64) -> Corrupt {
        self.corrupt_with(at, self.word(at))
    }

    #[cold]
    fn corrupt_with(&self, at: u64, header: u64) -> Corrupt {
        Corrupt { at, header, published: self.tail.wrapping_sub(at) }
    }
}
