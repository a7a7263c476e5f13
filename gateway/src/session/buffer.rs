//! Bytes on their way from or to a socket, bounded.
//!
//! A [`Buffer`] is a first-in first-out run of bytes that always lies in one piece: what is pending can be decoded or sent as
//! one slice. Room is regained by moving what is left to the front, which happens only when the tail has none; with a
//! connection that keeps up, the buffer empties and nothing moves.

/// Where encoded packets go. Bounded: back-pressure is an answer, not an error.
pub trait Sink {
    /// Appends `head` and then `body`, both whole, and answers `true`; or appends nothing and answers `false`, when there is
    /// no room now. Whoever got `false` tries the same bytes later.
    fn append(&mut self, head: &[u8], body: &[u8]) -> bool;
}

/// A fixed-capacity run of bytes in one piece.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer that holds up to `capacity` bytes, and never grows.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The bytes that wait, oldest first.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes may still be added.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.len()
    }

    /// Drops the `count` oldest bytes.
    ///
    /// # Panics
    /// If fewer wait: the caller has lost count.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consuming {count} of {} bytes", self.len());
        self.start += count;
        if self.start == self.end {
            self.clear();
        }
    }

    /// All the room there is, to be written into; then tell with [`filled`](Self::filled) how much was.
    pub fn spare(&mut self) -> &mut [u8] {
        self.compact();
        &mut self.bytes[self.end..]
    }

    /// Takes the first `count` bytes of [`spare`](Self::spare) as added.
    ///
    /// # Panics
    /// If that is more than there was room for.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "filled {count} bytes beyond the buffer");
        self.end += count;
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }
}

impl Sink for Buffer {
    fn append(&mut self, head: &[u8], body: &[u8]) -> bool {
        let count = head.len() + body.len();
        if count > self.room() {
            return false;
        }
        if count > self.bytes.len() - self.end {
            self.compact();
        }
        let (first, second) = self.bytes[self.end..self.end + count].split_at_mut(head.len());
        first.copy_from_slice(head);
        second.copy_from_slice(body);
        self.end += count;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn an_append_is_whole_or_nothing() {
        let mut buffer = Buffer::with_capacity(5);
        assert!(buffer.append(b"ab", b"c"));
        assert!(!buffer.append(b"d", b"ef"));
        assert_eq!(buffer.pending(), b"abc");
        buffer.consume(2);
        assert!(buffer.append(b"d", b"efg"));
        assert_eq!(buffer.pending(), b"cdefg");
        assert_eq!(buffer.room(), 0);
        assert!(buffer.append(b"", b""), "nothing always fits");
    }

    proptest! {
        /// Against a queue of bytes: whatever the order of operations, the same bytes wait.
        #[test]
        fn behaves_as_a_queue(steps in proptest::collection::vec((0u8..3, 0usize..12, any::<u8>()), 0..200)) {
            let mut buffer = Buffer::with_capacity(16);
            let mut queue: VecDeque<u8> = VecDeque::new();
            for (what, count, byte) in steps {
                match what {
                    0 => {
                        let body = vec![byte; count];
                        let fits = queue.len() + count < 16;
                        prop_assert_eq!(buffer.append(&[byte], &body), fits);
                        if fits {
                            queue.extend(std::iter::repeat_n(byte, count + 1));
                        }
                    }
                    1 => {
                        let spare = buffer.spare();
                        prop_assert_eq!(spare.len(), 16 - queue.len());
                        let count = count.min(spare.len());
                        spare[..count].fill(byte);
                        buffer.filled(count);
                        queue.extend(std::iter::repeat_n(byte, count));
                    }
                    _ => {
                        let count = count.min(queue.len());
                        buffer.consume(count);
                        queue.drain(..count);
                    }
                }
                prop_assert_eq!(buffer.pending(), queue.make_contiguous());
                prop_assert_eq!(buffer.room(), 16 - queue.len());
                prop_assert_eq!(buffer.is_empty(), queue.is_empty());
            }
        }
    }
}
