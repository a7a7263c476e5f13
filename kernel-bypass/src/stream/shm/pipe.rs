//! One direction of a connection: a stream of bytes from one process to another through memory that both map.
//!
//! The writer owns a word, *tail*: how many bytes it has written since the start, and in its top bits how the stream ends. The reader
//! owns *head*: how many it has taken. Each is published with release and read with acquire, and lies on lines of its own.
//!
//! **The other end may be hostile.** It can write anything anywhere in the memory at any time. So bytes are copied out once, word by
//! word through atomics (what is overwritten meanwhile is garbage, but never a torn check), and only the copy is looked at; an index
//! is loaded once, checked against what this end knows by itself, and never used as an address before it is masked. Nonsense is
//! [`Broken`], and ends the connection.

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// The bits of the tail that say how the stream ends.
const END_SHIFT: u32 = 62;
const COUNT_MASK: u64 = (1 << END_SHIFT) - 1;
const ENDED: u64 = 1;
const RESET: u64 = 2;

/// Bytes of the words of one direction: a pair of lines for each end.
pub(super) const WORDS_BYTES: usize = 256;
const HEAD_AT: usize = 128;
/// The writer's wish for room lies beside its tail.
const WISH_AT: usize = 8;

/// The other end has written an index that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// How the stream stands behind what can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It goes on.
    Open,
    /// Nothing more will come.
    Ended,
    /// The writer has given it up.
    Reset,
}

/// Where a direction lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    words: NonNull<u8>,
    bytes: NonNull<u8>,
    /// A power of two.
    capacity: usize,
}

impl Place {
    /// # Safety
    /// As [`Writer::new`].
    unsafe fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: inside of the words, aligned, and everybody touches it as an atomic, by the caller's word.
        unsafe { AtomicU64::from_ptr(self.words.as_ptr().add(at).cast()) }
    }

    #[inline(always)]
    fn tail(&self) -> &AtomicU64 {
        // SAFETY: the words are mapped as long as the place is used, by the word of who made it.
        unsafe { self.word(0) }
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { self.word(HEAD_AT) }
    }

    #[inline(always)]
    fn wish(&self) -> &AtomicU32 {
        // SAFETY: as above; half of a word that nobody touches otherwise.
        unsafe { AtomicU32::from_ptr(self.words.as_ptr().add(WISH_AT).cast()) }
    }

    /// Copies the run from stream position `at`, which ends before the memory does.
    #[inline(always)]
    fn load(&self, at: usize, into: &mut [u8]) {
        debug_assert!(at + into.len() <= self.capacity);
        // SAFETY: inside of the bytes, which are mapped, and which both ends touch by these two functions alone.
        unsafe {
            let from = self.bytes.as_ptr().add(at);
            each_piece(at, into.len(), |at, whole| {
                if whole {
                    let word = AtomicU64::from_ptr(from.add(at).cast()).load(Ordering::Relaxed);
                    into[at..at + 8].copy_from_slice(&word.to_ne_bytes());
                } else {
                    into[at] = AtomicU8::from_ptr(from.add(at)).load(Ordering::Relaxed);
                }
            });
        }
    }

    #[inline(always)]
    fn store(&self, at: usize, from: &[u8]) {
        debug_assert!(at + from.len() <= self.capacity);
        // SAFETY: as in `load`.
        unsafe {
            let into = self.bytes.as_ptr().add(at);
            each_piece(at, from.len(), |at, whole| {
                if whole {
                    let mut word = [0; 8];
                    word.copy_from_slice(&from[at..at + 8]);
                    AtomicU64::from_ptr(into.add(at).cast()).store(u64::from_ne_bytes(word), Ordering::Relaxed);
                } else {
                    AtomicU8::from_ptr(into.add(at)).store(from[at], Ordering::Relaxed);
                }
            });
        }
    }
}

/// Calls `piece` with each aligned word (`true`) or single byte (`false`) of a run that starts at `start` and is `len` long.
#[inline(always)]
fn each_piece(start: usize, len: usize, mut piece: impl FnMut(usize, bool)) {
    let mut at = 0;
    let before = (start.next_multiple_of(8) - start).min(len);
    while at < before {
        piece(at, false);
        at += 1;
    }
    while at + 8 <= len {
        piece(at, true);
        at += 8;
    }
    while at < len {
        piece(at, false);
        at += 1;
    }
}

/// The writing end.
pub(super) struct Writer {
    place: Place,
    tail: u64,
    /// The reader's head as last seen.
    head: u64,
}

// SAFETY: the memory is shared by design, and all of it is touched through atomics.
unsafe impl Send for Writer {}
// SAFETY: as above.
unsafe impl Send for Reader {}

impl Writer {
    /// A writer at the start of a direction.
    ///
    /// # Safety
    /// `words` starts [`WORDS_BYTES`] and `bytes` starts `capacity` bytes (a power of two) that stay mapped for as long as this is
    /// used, aligned to 128, and in this process no other writer touches them.
    pub unsafe fn new(words: NonNull<u8>, bytes: NonNull<u8>, capacity: usize) -> Self {
        assert!(capacity.is_power_of_two());
        Self { place: Place { words, bytes, capacity }, tail: 0, head: 0 }
    }

    /// Room, as the reader says now.
    #[inline]
    pub fn room(&mut self) -> Result<usize, Broken> {
        let seen = self.place.head().load(Ordering::Acquire);
        if seen < self.head || seen > self.tail {
            return Err(Broken);
        }
        self.head = seen;
        Ok(self.place.capacity - (self.tail - self.head) as usize)
    }

    /// Writes as much of the front of `pieces` as there is room for, and publishes it at once; how much.
    #[inline]
    pub fn write(&mut self, pieces: [&[u8]; 2]) -> Result<usize, Broken> {
        let wanted = pieces[0].len() + pieces[1].len();
        let known = self.place.capacity - (self.tail - self.head) as usize;
        let mut left = if known >= wanted { known } else { self.room()? };
        let before = self.tail;
        for piece in pieces {
            let count = piece.len().min(left);
            let at = self.tail as usize & (self.place.capacity - 1);
            let first = count.min(self.place.capacity - at);
            self.place.store(at, &piece[..first]);
            self.place.store(0, &piece[first..count]);
            self.tail += count as u64;
            left -= count;
        }
        if self.tail != before {
            self.place.tail().store(self.tail, Ordering::Release);
        }
        Ok((self.tail - before) as usize)
    }

    /// Says whether the reader is to ring when it has taken something.
    pub fn wish_for_room(&self, wish: bool) {
        self.place.wish().store(u32::from(wish), Ordering::Relaxed);
    }

    /// Claims what is not so.
    #[cfg(test)]
    pub fn lie(&self, tail: u64) {
        self.place.tail().store(tail, Ordering::Release);
    }

    /// Ends the stream behind what is written.
    pub fn end(&self, reset: bool) {
        let how = if reset { RESET } else { ENDED };
        self.place.tail().store(self.tail | how << END_SHIFT, Ordering::Release);
    }
}

/// The reading end.
pub(super) struct Reader {
    place: Place,
    head: u64,
}

impl Reader {
    /// A reader at the start of a direction.
    ///
    /// # Safety
    /// As [`Writer::new`], for readers.
    pub unsafe fn new(words: NonNull<u8>, bytes: NonNull<u8>, capacity: usize) -> Self {
        assert!(capacity.is_power_of_two());
        Self { place: Place { words, bytes, capacity }, head: 0 }
    }

    /// Whether something can be taken, or the stream has ended.
    #[inline(always)]
    pub fn has_news(&self) -> bool {
        self.place.tail().load(Ordering::Relaxed) != self.head
    }

    /// Takes what fits into `space`: how many bytes, and whether the stream ends behind them.
    #[inline]
    pub fn read(&mut self, space: &mut [u8]) -> Result<(usize, bool, End), Broken> {
        let tail = self.place.tail().load(Ordering::Acquire);
        let end = match tail >> END_SHIFT {
            0 => End::Open,
            ENDED => End::Ended,
            _ => End::Reset,
        };
        let there = (tail & COUNT_MASK).wrapping_sub(self.head);
        if there > self.place.capacity as u64 {
            return Err(Broken);
        }
        let there = there as usize;
        let count = there.min(space.len());
        let at = self.head as usize & (self.place.capacity - 1);
        let first = count.min(self.place.capacity - at);
        let (front, back) = space[..count].split_at_mut(first);
        self.place.load(at, front);
        self.place.load(0, back);
        if count > 0 {
            self.head += count as u64;
            self.place.head().store(self.head, Ordering::Release);
        }
        Ok((count, there > count, end))
    }

    /// Whether the writer waits for room.
    #[inline]
    pub fn room_is_wished(&self) -> bool {
        self.place.wish().load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[repr(align(128))]
    struct Memory([u8; WORDS_BYTES + 64]);

    fn pipe() -> (Box<Memory>, Writer, Reader) {
        let mut memory = Box::new(Memory([0; WORDS_BYTES + 64]));
        let words = NonNull::new(memory.0.as_mut_ptr()).unwrap();
        // SAFETY: both parts lie in the box, which outlives both ends in these tests.
        unsafe {
            let bytes = words.add(WORDS_BYTES);
            (memory, Writer::new(words, bytes, 64), Reader::new(words, bytes, 64))
        }
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes(ops in prop::collection::vec((any::<bool>(), 0usize..90, 0usize..40), 1..200)) {
            let (_memory, mut writer, mut reader) = pipe();
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (write, first, second) in ops {
                if write {
                    let bytes: Vec<u8> = (0..first + second).map(|i| next.wrapping_add(i as u8)).collect();
                    next = next.wrapping_add(100);
                    let taken = writer.write([&bytes[..first], &bytes[first..]]).unwrap();
                    prop_assert_eq!(taken, bytes.len().min(64 - model.len()));
                    model.extend(&bytes[..taken]);
                } else {
                    let mut space = vec![0; first];
                    let news = reader.has_news();
                    prop_assert_eq!(news, !model.is_empty());
                    let (count, more, end) = reader.read(&mut space).unwrap();
                    let wanted: Vec<u8> = model.drain(..first.min(model.len())).collect();
                    prop_assert_eq!(&space[..count], &wanted[..]);
                    prop_assert_eq!((more, end), (!model.is_empty(), End::Open));
                }
            }
            writer.end(false);
            prop_assert_eq!(reader.read(&mut [0; 64]).unwrap(), (model.len(), false, End::Ended));
        }

        #[test]
        fn a_hostile_end_gets_garbage_or_an_end_and_nothing_else(words in prop::collection::vec(any::<u64>(), 1..60)) {
            let (_memory, mut writer, mut reader) = pipe();
            for word in words {
                // The other end writes anything, near the truth or far from it.
                let near = if word.is_multiple_of(2) { word } else { (word >> 8) % 200 };
                reader.place.tail().store(near, Ordering::Relaxed);
                let mut space = [0; 50];
                if let Ok((count, _, _)) = reader.read(&mut space) {
                    prop_assert!(count <= 50);
                }
                writer.place.head().store(near, Ordering::Relaxed);
                if let Ok(count) = writer.write([&[7; 30], &[8; 50]]) {
                    prop_assert!(count <= 64);
                }
            }
        }
    }

    #[test]
    fn an_index_that_cannot_be_is_broken() {
        let (_memory, mut writer, mut reader) = pipe();
        writer.write([&[1; 10], &[]]).unwrap();
        reader.place.tail().store(65, Ordering::Relaxed);
        assert_eq!(reader.read(&mut [0; 100]), Err(Broken), "more than there can be");
        reader.place.tail().store(10, Ordering::Relaxed);
        assert_eq!(reader.read(&mut [0; 100]).unwrap().0, 10);
        reader.place.tail().store(9, Ordering::Relaxed);
        assert_eq!(reader.read(&mut [0; 100]), Err(Broken), "back");
        writer.place.head().store(11, Ordering::Relaxed);
        assert_eq!(writer.room(), Err(Broken), "more taken than written");
        writer.place.head().store(10, Ordering::Relaxed);
        assert_eq!(writer.room(), Ok(64));
        writer.place.head().store(9, Ordering::Relaxed);
        assert_eq!(writer.room(), Err(Broken), "untaken");
    }
}
