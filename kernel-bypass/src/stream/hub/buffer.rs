//! The two fixed buffers of a connection.
//!
//! What is received must be one slice, so that a decoder sees whole packets: a straight buffer, whose rest is moved to the front when
//! it nears the end (a rest is usually part of one packet). What is sent need not be: a circle, so that a slow reader's queue is never
//! moved.

use std::io::IoSlice;

/// Received bytes, contiguous.
pub struct RecvBuffer {
    bytes: Box<[u8]>,
    head: usize,
    tail: usize,
}

impl RecvBuffer {
    pub fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), head: 0, tail: 0 }
    }

    pub fn clear(&mut self) {
        (self.head, self.tail) = (0, 0);
    }

    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.head..self.tail]
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.tail - self.head == self.bytes.len()
    }

    /// Where the next bytes go. Moves what is there to the front if less than half of the buffer is behind it.
    #[inline]
    pub fn space(&mut self) -> &mut [u8] {
        if self.head > 0 && self.bytes.len() - self.tail < self.bytes.len() / 2 {
            self.bytes.copy_within(self.head..self.tail, 0);
            self.tail -= self.head;
            self.head = 0;
        }
        &mut self.bytes[self.tail..]
    }

    /// The first `count` bytes of the space are filled.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.tail);
        self.tail += count;
    }

    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.head += count.min(self.tail - self.head);
        if self.head == self.tail {
            self.clear();
        }
    }
}

/// Bytes to be sent, in a circle.
pub struct SendBuffer {
    bytes: Box<[u8]>,
    head: usize,
    len: usize,
}

impl SendBuffer {
    pub fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), head: 0, len: 0 }
    }

    pub fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
    }

    /// All of its memory, which stays where it is as long as the buffer is.
    pub fn memory(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    /// At least half of it is free.
    #[inline]
    pub fn is_roomy(&self) -> bool {
        self.len <= self.bytes.len() / 2
    }

    /// Queues the front of `more`, as much as there is room for; how much.
    #[inline]
    pub fn push(&mut self, more: &[u8]) -> usize {
        let count = more.len().min(self.room());
        let at = self.head + self.len;
        let at = if at >= self.bytes.len() { at - self.bytes.len() } else { at };
        let first = count.min(self.bytes.len() - at);
        self.bytes[at..at + first].copy_from_slice(&more[..first]);
        self.bytes[..count - first].copy_from_slice(&more[first..count]);
        self.len += count;
        count
    }

    /// What is queued, in order. The second is often empty.
    #[inline]
    pub fn slices(&self) -> [IoSlice<'_>; 2] {
        let first = self.len.min(self.bytes.len() - self.head);
        [IoSlice::new(&self.bytes[self.head..self.head + first]), IoSlice::new(&self.bytes[..self.len - first])]
    }

    /// The first `count` bytes are sent.
    #[inline]
    pub fn sent(&mut self, count: usize) {
        assert!(count <= self.len);
        self.len -= count;
        self.head += count;
        if self.head >= self.bytes.len() {
            self.head -= self.bytes.len();
        }
        if self.len == 0 {
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn both_are_queues_of_bytes(capacity in 1usize..40, ops in prop::collection::vec((any::<bool>(), 0usize..50), 1..200)) {
            let (mut recv, mut send) = (RecvBuffer::new(capacity), SendBuffer::new(capacity));
            let (mut in_recv, mut in_send) = (VecDeque::new(), VecDeque::new());
            let mut next = 0u8;
            for (put, count) in ops {
                if put {
                    let bytes: Vec<u8> = (0..count).map(|i| next.wrapping_add(i as u8)).collect();
                    next = next.wrapping_add(count as u8);
                    let queued = send.push(&bytes);
                    prop_assert_eq!(queued, count.min(capacity - in_send.len()));
                    in_send.extend(&bytes[..queued]);
                    let space = recv.space();
                    // A buffer that is not full always has somewhere to receive into.
                    prop_assert_eq!(space.is_empty(), in_recv.len() == capacity);
                    let filled = count.min(space.len());
                    space[..filled].copy_from_slice(&bytes[..filled]);
                    recv.filled(filled);
                    in_recv.extend(&bytes[..filled]);
                } else {
                    let taken = count.min(in_send.len());
                    send.sent(taken);
                    in_send.drain(..taken);
                    recv.consume(count);
                    in_recv.drain(..count.min(in_recv.len()));
                }
                let queued: Vec<u8> = send.slices().iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert_eq!(&queued, &Vec::from(in_send.clone()));
                prop_assert_eq!(send.len(), in_send.len());
                prop_assert_eq!(recv.data(), &Vec::from(in_recv.clone())[..]);
                prop_assert_eq!(recv.is_full(), in_recv.len() == capacity);
            }
        }
    }
}
