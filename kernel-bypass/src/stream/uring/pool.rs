//! Buffers that connections share, and the ring through which the kernel is given them.
//!
//! A buffer is in one of two places: in the ring, where the kernel may take it for any connection's next bytes, or held by a
//! connection until its bytes are consumed. Held buffers are chained by number, so that nothing is allocated.

#![allow(unsafe_code)]

use io_uring::types::BufRingEntry;
use memmap2::MmapMut;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// No buffer.
const NONE: u16 = u16::MAX;

/// The buffers and their ring.
pub(super) struct Pool {
    /// Entries of the ring; the first one's reserved field is the tail.
    ring: MmapMut,
    bytes: MmapMut,
    buffer_bytes: usize,
    count: u16,
    tail: u16,
    /// How many are in the ring and not taken.
    free: u16,
    /// By buffer: how many bytes it holds, and the next of its chain.
    filled: Box<[u32]>,
    next: Box<[u16]>,
}

/// Buffers that one connection holds, oldest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    first: u16,
    last: u16,
    /// How many.
    pub count: u16,
    /// Bytes of the first that are consumed.
    consumed: u32,
}

impl Chain {
    pub const EMPTY: Self = Self { first: NONE, last: NONE, count: 0, consumed: 0 };
}

impl Pool {
    /// All buffers in the ring. `count` is a power of two up to 32,768.
    pub fn new(count: usize, buffer_bytes: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two() && count <= 1 << 15);
        let mut pool = Self {
            // Anonymous maps start on a page, as the kernel wants its ring to.
            ring: MmapMut::map_anon(count * size_of::<BufRingEntry>())?,
            bytes: MmapMut::map_anon(count * buffer_bytes)?,
            buffer_bytes,
            count: count as u16,
            tail: 0,
            free: 0,
            filled: vec![0; count].into_boxed_slice(),
            next: vec![NONE; count].into_boxed_slice(),
        };
        for buffer in 0..count as u16 {
            pool.give(buffer);
        }
        Ok(pool)
    }

    /// Where the ring lies, and its entries: for registering it.
    pub fn ring(&self) -> (u64, u16) {
        (self.ring.as_ptr() as u64, self.count)
    }

    /// Buffers.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Buffers that the kernel may take.
    pub fn free(&self) -> u16 {
        self.free
    }

    /// Gives a buffer to the kernel.
    pub fn give(&mut self, buffer: u16) {
        assert!(buffer < self.count, "the kernel names a buffer that there is not: {buffer}");
        let entries: *mut BufRingEntry = self.ring.as_mut_ptr().cast();
        let at = usize::from(self.tail & (self.count - 1));
        let address = self.bytes.as_ptr() as u64 + u64::from(buffer) * self.buffer_bytes as u64;
        // SAFETY: `at` is below the entries that the map was made for, and the kernel does not read this one before the tail has
        // passed it. The setters leave the reserved field alone, which is the tail in the first entry.
        unsafe {
            let entry = &mut *entries.add(at);
            entry.set_addr(address);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail is an aligned word of the map, which both sides touch as an atomic from here on.
        let tail = unsafe { &*BufRingEntry::tail(entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
        self.free += 1;
    }

    /// The kernel has taken a buffer and put `bytes` into it: it goes to the end of `chain`.
    pub fn hold(&mut self, chain: &mut Chain, buffer: u16, bytes: usize) {
        self.took();
        assert!(buffer < self.count && bytes <= self.buffer_bytes, "buffer {buffer} with {bytes} bytes");
        self.filled[usize::from(buffer)] = bytes as u32;
        self.next[usize::from(buffer)] = NONE;
        match chain.last {
            NONE => chain.first = buffer,
            last => self.next[usize::from(last)] = buffer,
        }
        chain.last = buffer;
        chain.count += 1;
    }

    /// The kernel has taken a buffer that nobody wants.
    pub fn pass(&mut self, buffer: u16) {
        self.took();
        self.give(buffer);
    }

    fn took(&mut self) {
        self.free = self.free.saturating_sub(1);
    }

    /// Moves bytes of a chain into `space`, as many as fit, and gives the kernel the buffers that are empty then; how many bytes.
    pub fn drain(&mut self, chain: &mut Chain, space: &mut [u8]) -> usize {
        let mut at = 0;
        while chain.first != NONE && at < space.len() {
            let buffer = usize::from(chain.first);
            let left = (self.filled[buffer] - chain.consumed) as usize;
            let count = left.min(space.len() - at);
            let start = buffer * self.buffer_bytes + chain.consumed as usize;
            space[at..at + count].copy_from_slice(&self.bytes[start..start + count]);
            at += count;
            chain.consumed += count as u32;
            if count == left {
                self.drop_first(chain);
            }
        }
        at
    }

    /// Gives all of a chain's buffers to the kernel.
    pub fn release(&mut self, chain: &mut Chain) {
        while chain.first != NONE {
            self.drop_first(chain);
        }
    }

    fn drop_first(&mut self, chain: &mut Chain) {
        let buffer = chain.first;
        chain.first = self.next[usize::from(buffer)];
        chain.consumed = 0;
        chain.count -= 1;
        if chain.first == NONE {
            chain.last = NONE;
        }
        self.give(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_gives_its_bytes_in_order_and_its_buffers_back() {
        let mut pool = Pool::new(16, 256).unwrap();
        assert_eq!(pool.free(), 16);
        let mut chain = Chain::EMPTY;
        for (at, buffer) in [3u16, 9, 4].into_iter().enumerate() {
            let start = usize::from(buffer) * 256;
            pool.bytes[start..start + 100].fill(at as u8);
            pool.hold(&mut chain, buffer, 100);
        }
        assert_eq!((pool.free(), chain.count), (13, 3));
        let mut space = [9; 150];
        assert_eq!(pool.drain(&mut chain, &mut space), 150);
        assert!(space[..100].iter().all(|byte| *byte == 0) && space[100..].iter().all(|byte| *byte == 1));
        assert_eq!((pool.free(), chain.count), (14, 2), "an empty buffer goes back at once");
        assert_eq!(pool.drain(&mut chain, &mut space[..60]), 60);
        assert_eq!((space[49], space[50]), (1, 2));
        pool.release(&mut chain);
        assert_eq!((pool.free(), chain.count), (16, 0));
        assert_eq!(pool.drain(&mut chain, &mut space), 0);
        pool.hold(&mut chain, 3, 1);
        pool.pass(5);
        assert_eq!((pool.free(), chain.count), (15, 1));
    }

    #[test]
    #[should_panic(expected = "that there is not")]
    fn a_buffer_that_there_is_not_is_never_given() {
        Pool::new(16, 256).unwrap().give(16);
    }
}
