//! The validator's own durable store of finalized batches: append only, each entry synced before it is acknowledged.
//!
//! It is what a validator restarts from: the executor is rebuilt by replaying it, and what consensus delivers again (delivery is at
//! least once) is recognised by number and digest. The gateway's journal is never read here.
//!
//! - [`Store::append`] returns only when the batch is durable. After a failed write or sync nothing is appended any more: what the
//!   disk then holds is not known until the next open.
//! - [`Store::open`] reads and checks every byte. A torn tail, which only an unacknowledged append can leave, is cut; anything else
//!   that does not verify stops the start with file and offset (see [`super::segment`] for how the two are told apart).
//! - Segments are removed only where they are asked to be ([`Store::prune`]): then the store begins later than with batch 1, and somebody
//!   else must know the state there.
//!
//! Memory: 4 bytes a batch. Disk: 52 bytes a batch above its own.

use std::io;

use crate::batch::{Batch, BatchError, Digest32};

use super::segment::{self, ENTRY_HEADER_BYTES, End, EntryHeader, SEGMENT_HEADER_BYTES};
use super::volume::{Directory, Volume};

#[cfg(test)]
mod tests;

/// A segment is closed once it is this long; it can exceed this by one entry.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Why the store cannot be opened, read or added to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{file}: cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Durable bytes have changed.
    #[error(
        "{file}, offset {offset}: {what}. The store is not changed; restore this file from a copy, or move the validator's \
             directory away and let the gateway offer its batches again"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A batch that does not follow the last one.
    #[error("batch {found} cannot be stored: {expected} is next")]
    Order {
        /// The number that is next.
        expected: u64,
        /// The number offered.
        found: u64,
    },
    /// A batch that is not in the store.
    #[error("batch {number} is not in the store, which holds {first} to {tip}")]
    Missing {
        /// The number asked for.
        number: u64,
        /// The first number stored.
        first: u64,
        /// The last number stored.
        tip: u64,
    },
    /// An earlier write or sync failed.
    #[error("an earlier write failed, what the disk holds is not known: restart the validator")]
    Failed,
}

/// Finalized batches [`Store::first`] to [`Store::tip`].
pub struct Store<V: Volume = Directory> {
    volume: V,
    shard: u16,
    segments: Vec<Segment>,
    segment_bytes: u64,
    failed: bool,
}

struct Segment {
    name: String,
    first: u64,
    /// Where each entry begins.
    offsets: Vec<u32>,
    length: u64,
}

impl Segment {
    /// Number of the batch that would come next.
    fn next(&self) -> u64 {
        self.first + self.offsets.len() as u64
    }
}

impl<V: Volume> Store<V> {
    /// Opens a store, checks all of it, and cuts a torn tail.
    ///
    /// # Errors
    /// A disk that fails, or bytes that have changed.
    pub fn open(volume: V, shard: u16) -> Result<Self, StoreError> {
        Self::open_with(volume, shard, SEGMENT_BYTES)
    }

    fn open_with(volume: V, shard: u16, segment_bytes: u64) -> Result<Self, StoreError> {
        Self::open_from(volume, shard, segment_bytes, 1)
    }

    /// As [`Store::open`], where the state is known after a batch `known`: what comes before that batch need not be there.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_behind(volume: V, shard: u16, known: u64) -> Result<Self, StoreError> {
        Self::open_from(volume, shard, SEGMENT_BYTES, known.max(1))
    }

    fn open_from(volume: V, shard: u16, segment_bytes: u64, begins_by: u64) -> Result<Self, StoreError> {
        let mut store = Self { volume, shard, segments: Vec::new(), segment_bytes, failed: false };
        let names = store.volume.list().map_err(|source| store.io("list", "", source))?;
        let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment::first_of(name)).collect();
        firsts.sort_unstable();
        let last = firsts.last().copied();
        for (at, first) in firsts.into_iter().enumerate() {
            let expected = if at == 0 { first.min(begins_by) } else { store.tip() + 1 };
            store.load(first, expected, Some(first) == last)?;
        }
        Ok(store)
    }

    /// Checks one segment and takes it in.
    fn load(&mut self, first: u64, expected: u64, is_last: bool) -> Result<(), StoreError> {
        let name = segment::name(first);
        if first != expected {
            return Err(self.corrupt(&name, 0, format!("batches from {expected} are missing before this segment")));
        }
        let bytes = self.volume.read(&name).map_err(|source| self.io("read", &name, source))?;
        let scan = segment::scan(&bytes, self.shard, first);
        let length = match scan.end {
            End::Clean(length) => length,
            End::Torn(length) if is_last => {
                self.cut(&name, first, length)?;
                length.max(SEGMENT_HEADER_BYTES as u64)
            }
            End::Torn(offset) => {
                return Err(self.corrupt(&name, offset, "the segment ends early, and another follows it".to_owned()));
            }
            End::Damaged(offset, what) => return Err(self.corrupt(&name, offset, what.to_owned())),
        };
        self.segments.push(Segment { name, first, offsets: scan.offsets, length });
        Ok(())
    }

    /// Cuts a torn tail; a segment whose very header is torn begins anew.
    fn cut(&mut self, name: &str, first: u64, length: u64) -> Result<(), StoreError> {
        if length < SEGMENT_HEADER_BYTES as u64 {
            return self.begin(name, first);
        }
        self.volume
            .truncate(name, length)
            .and_then(|()| self.volume.sync(name))
            .map_err(|source| self.io("cut the torn tail of", name, source))
    }

    /// Makes a segment that holds nothing but its header, durably.
    fn begin(&mut self, name: &str, first: u64) -> Result<(), StoreError> {
        let header = segment::segment_header(self.shard, first);
        self.volume
            .create(name)
            .and_then(|()| self.volume.write_at(name, 0, &header))
            .and_then(|()| self.volume.sync(name))
            .map_err(|source| self.io("begin", name, source))
    }

    /// Number of the last batch stored; 0 if there is none.
    pub fn tip(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.next() - 1)
    }

    /// Number of the first batch stored; 1 if there is none yet.
    pub fn first(&self) -> u64 {
        self.segments.first().map_or(1, |segment| segment.first)
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Lets go of segments that hold nothing but batches before `number`; the last segment always stays.
    ///
    /// # Errors
    /// A disk that fails. What was removed is removed.
    pub fn prune(&mut self, number: u64) -> Result<(), StoreError> {
        while self.segments.len() > 1 && self.segments[0].next() <= number {
            let name = self.segments[0].name.clone();
            self.volume.remove(&name).map_err(|source| self.io("remove", &name, source))?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Begins anew with this batch, which the caller knows to be final, and after which he knows the state: all others go. After a crash on
    /// the way some of them are still there, and the caller does it again.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn begin_with(&mut self, batch: &Batch) -> Result<(), StoreError> {
        while let Some(segment) = self.segments.pop() {
            self.volume.remove(&segment.name).map_err(|source| self.io("remove", &segment.name, source))?;
        }
        let stored = self.append_entry(batch);
        self.failed = stored.is_err();
        stored
    }

    /// Adds the next batch; it is durable on return.
    ///
    /// # Errors
    /// A batch that is not next, or a disk that fails: then the batch must not be acknowledged, and nothing more is taken.
    pub fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let expected = self.tip() + 1;
        if self.failed {
            return Err(StoreError::Failed);
        }
        if batch.number() != expected {
            return Err(StoreError::Order { expected, found: batch.number() });
        }
        let stored = self.append_entry(batch);
        self.failed = stored.is_err();
        stored
    }

    fn append_entry(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let number = batch.number();
        if self.segments.last().is_none_or(|segment| segment.length >= self.segment_bytes) {
            let name = segment::name(number);
            self.begin(&name, number)?;
            let length = SEGMENT_HEADER_BYTES as u64;
            self.segments.push(Segment { name, first: number, offsets: Vec::new(), length });
        }
        let current = self.segments.last_mut().expect("pushed above if there was none");
        let entry = segment::entry(number, batch.digest(), batch.as_bytes());
        let written =
            self.volume.write_at(&current.name, current.length, &entry).and_then(|()| self.volume.sync(&current.name));
        if let Err(source) = written {
            let file = self.volume.describe(&current.name);
            return Err(StoreError::Io { what: "append a batch to", file, source });
        }
        current.offsets.push(u32::try_from(current.length).expect("segments are far shorter than 4 GiB"));
        current.length += entry.len() as u64;
        Ok(())
    }

    /// Reads a stored batch back.
    ///
    /// # Errors
    /// A number that is not stored, or bytes that have changed since the store was opened.
    pub fn read(&self, number: u64) -> Result<Batch, StoreError> {
        let (name, offset, header) = self.entry_header(number)?;
        let bytes = self
            .volume
            .read_at(name, offset + ENTRY_HEADER_BYTES as u64, header.length)
            .map_err(|source| self.io("read", name, source))?;
        let damaged = |error: BatchError| self.corrupt(name, offset, error.to_string());
        let batch = Batch::decode(&bytes).map_err(damaged)?;
        if batch.number() != number || *batch.digest() != header.digest {
            return Err(self.corrupt(name, offset, format!("the entry of batch {number} holds another batch")));
        }
        Ok(batch)
    }

    /// Digest of a stored batch, without reading the batch.
    ///
    /// # Errors
    /// As for [`Store::read`].
    pub fn digest(&self, number: u64) -> Result<Digest32, StoreError> {
        Ok(self.entry_header(number)?.2.digest)
    }

    fn entry_header(&self, number: u64) -> Result<(&str, u64, EntryHeader), StoreError> {
        if number < self.first() || number > self.tip() {
            return Err(StoreError::Missing { number, first: self.first(), tip: self.tip() });
        }
        let at = self.segments.partition_point(|segment| segment.first <= number) - 1;
        let segment = &self.segments[at];
        let offset = u64::from(segment.offsets[(number - segment.first) as usize]);
        let bytes = self
            .volume
            .read_at(&segment.name, offset, ENTRY_HEADER_BYTES)
            .map_err(|source| self.io("read", &segment.name, source))?;
        let header = EntryHeader::read(&bytes)
            .filter(|header| header.number == number)
            .ok_or_else(|| self.corrupt(&segment.name, offset, format!("the entry of batch {number} has changed")))?;
        Ok((&segment.name, offset, header))
    }

    fn io(&self, what: &'static str, name: &str, source: io::Error) -> StoreError {
        StoreError::Io { what, file: self.volume.describe(name), source }
    }

    fn corrupt(&self, name: &str, offset: u64, what: String) -> StoreError {
        StoreError::Corrupt { file: self.volume.describe(name), offset, what }
    }
}
