//! The writer: gathers records, commits them in groups, and says how far they are durable.
//!
//! While one group is in flight the next one gathers in the other buffer (double buffering). [`Journal::poll`] hands
//! over a group whenever none is in flight, so the size of a group follows the speed of the disk. Nothing allocates
//! per commit, and nothing blocks but [`Journal::start`] and [`Journal::flush`].
//!
//! Each start opens the next epoch in a new segment; segments that are history are never written to again, with one
//! exception: `start` first writes the last write of the life before once more, byte for byte, and syncs it. After a
//! kill, or a sync that failed, those bytes may be visible and yet not durable, and the new epoch builds upon them.
//!
//! **Failure is sticky.** After a write or sync has failed nothing more is accepted, `poll` repeats the error, and
//! [`Journal::durable`] stays where it is: true, and final.

use std::os::fd::RawFd;

use super::block::BlockHeader;
use super::config::{BlockMark, JournalConfig, JournalError};
use super::format::{
    ALIGN, BLOCK_HEADER, Defect, RECORD_HEADER, block_len, record_at, segment_name, seq_after, u16_at, u64_at,
};
use super::reader::Chain;
use super::recovered::{LastWrite, Recovered};
use super::segment::SegmentHeader;
use super::storage::{FileId, Slot, Storage, StorageError};

/// How often a blocking call waits for the storage before it gives up; one wait lasts some milliseconds.
const PATIENCE: u32 = 10_000;

/// What the disk is doing.
#[derive(Debug, Clone, Copy)]
enum Flight {
    None,
    /// The header of the segment that comes next; its file.
    Header(FileId),
    Block {
        len: u64,
        mark: BlockMark,
    },
}

/// The segment that comes next.
#[derive(Debug)]
enum Next {
    Making { again: bool },
    Ready(FileId),
    Failed,
}

/// See the module. One thread owns it.
pub struct Journal<S: Storage> {
    storage: S,
    config: JournalConfig,
    /// As of the last block handed to the disk.
    chain: Chain,
    gather: Slot,
    used: usize,
    records: u32,
    appended: u64,
    flight: Flight,
    file: FileId,
    offset: u64,
    next: Next,
    durable: BlockMark,
    failure: Option<JournalError>,
}

impl<S: Storage> Journal<S> {
    /// Opens the epoch after the last one, in a new segment. Blocks until it is durable.
    ///
    /// `after` must come from [`recover`](super::recover()) over the same storage, with nothing written since.
    pub fn start(mut storage: S, config: JournalConfig, after: &Recovered) -> Result<Journal<S>, JournalError> {
        config.check(after)?;
        let epoch = after.next_epoch()?;
        let stopped = |cause| JournalError::Stopped { durable: after.last_seq, cause };
        storage.reserve(config.max_block.max(after.last_write.map_or(0, |last| last.len as usize))).map_err(stopped)?;
        if let Some(last) = after.last_write {
            write_again(&mut storage, last).map_err(stopped)?;
        }
        for name in &after.leftovers {
            storage.remove(name).map_err(stopped)?;
        }
        let segment = after.segments.last().map_or(0, |last| last.segment);
        let mut journal = Journal {
            chain: Chain {
                shard: config.shard,
                epoch,
                segment,
                life: config.life,
                next_block: after.blocks,
                last_seq: after.last_seq,
                hash: after.last_hash,
            },
            gather: Slot::A,
            used: BLOCK_HEADER,
            records: 0,
            appended: after.last_seq,
            flight: Flight::None,
            file: FileId(u32::MAX),
            offset: 0,
            next: Next::Making { again: false },
            durable: BlockMark { seq: after.last_seq, number: after.blocks.saturating_sub(1), hash: after.last_hash },
            failure: None,
            storage,
            config,
        };
        journal.make_next(segment + 1, false).map_err(stopped)?;
        journal.settle(|journal| journal.chain.segment > segment)?;
        Ok(journal)
    }

    /// The epoch of everything appended: its first seq is `epoch << 48 | 1`.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        self.chain.epoch
    }

    /// The seq of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        seq_after(self.appended, self.chain.epoch)
    }

    /// Takes the next record: header, payload and padding. [`JournalError::Full`] means not yet; any other error
    /// means never.
    pub fn append(&mut self, record: &[u8], seq: u64) -> Result<(), JournalError> {
        let wanted = self.next_seq();
        if seq != wanted {
            let defect = Defect::Chain { field: "seq", found: seq, wanted };
            return Err(JournalError::NotNext { wanted, defect });
        }
        self.take(record, true).map(drop)
    }

    /// Takes records that stand one after another, until the group is full, and returns how many bytes it took: the
    /// rest is for after the next poll. An error is about the record behind those taken, see [`Journal::appended`].
    pub fn append_burst(&mut self, burst: &[u8]) -> Result<usize, JournalError> {
        let mut at = 0;
        while at < burst.len() {
            match self.take(&burst[at..], false) {
                Ok(len) => at += len,
                Err(JournalError::Full) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(at)
    }

    /// Takes the record at the front of `bytes`; `alone` when nothing may follow it.
    fn take(&mut self, bytes: &[u8], alone: bool) -> Result<usize, JournalError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let wanted = self.next_seq();
        let most = self.config.max_block - BLOCK_HEADER;
        if alone && bytes.len() > most {
            return Err(JournalError::TooLong { len: bytes.len(), most });
        }
        let not_next = |defect| JournalError::NotNext { wanted, defect };
        let len = record_at(bytes, 0, wanted, self.config.shard).map_err(not_next)?;
        if alone && len != bytes.len() {
            return Err(not_next(Defect::Record { at: 0, what: "bytes follow it" }));
        }
        if len > most {
            return Err(JournalError::TooLong { len, most });
        }
        let end = self.used + len;
        if end > self.config.max_block {
            return Err(JournalError::Full);
        }
        self.storage.buffer(self.gather)[self.used..end].copy_from_slice(&bytes[..len]);
        self.used = end;
        self.records += 1;
        self.appended = wanted;
        Ok(len)
    }

    /// How many bytes of records the group still takes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.config.max_block - self.used
    }

    /// How many records the group holds.
    #[must_use]
    pub fn gathered(&self) -> u32 {
        self.records
    }

    /// Hands the group over when nothing is in flight, and learns what has become durable. Never blocks, and makes one
    /// system call at most: none when nothing is to be done. Returns the last durable seq, 0 for none.
    pub fn poll(&mut self) -> Result<u64, JournalError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        match self.step() {
            Ok(()) => Ok(self.durable.seq),
            Err(cause) => {
                let failure = JournalError::Stopped { durable: self.durable.seq, cause };
                tracing::error!(%failure, "journal stopped");
                self.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// The last durable seq, 0 for none: also after a failure. It never goes back.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.seq
    }

    /// The last durable block, for a snapshot; number and hash are 0 while the journal has none.
    #[must_use]
    pub fn mark(&self) -> BlockMark {
        self.durable
    }

    /// The last seq taken.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Whether the disk has something to do: what is gathered waits for that.
    #[must_use]
    pub fn busy(&self) -> bool {
        !matches!(self.flight, Flight::None)
    }

    /// Whether everything taken is durable: the thread may park.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.records == 0 && !self.busy()
    }

    /// Why the journal stopped, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&JournalError> {
        self.failure.as_ref()
    }

    /// Blocks until everything taken is durable, and returns its seq.
    pub fn flush(&mut self) -> Result<u64, JournalError> {
        self.settle(Journal::idle)?;
        Ok(self.durable.seq)
    }

    /// Blocks until the disk may have finished something, but not long (some milliseconds); [`Journal::poll`] then knows more.
    pub fn wait(&mut self) -> Result<(), JournalError> {
        let waited = self.storage.wait();
        self.stop_on(waited)
    }

    /// A descriptor that is readable after a completion, when the storage was opened with one.
    #[must_use]
    pub fn wake_fd(&self) -> Option<RawFd> {
        self.storage.wake_fd()
    }

    /// Makes [`Journal::wake_fd`] unreadable: after waking, before [`Journal::poll`].
    pub fn drain_wake(&mut self) {
        self.storage.drain_wake();
    }

    /// The storage, to look at.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    fn settle(&mut self, done: impl Fn(&Journal<S>) -> bool) -> Result<(), JournalError> {
        for _ in 0..PATIENCE {
            self.poll()?;
            if done(self) {
                return Ok(());
            }
            self.wait()?;
        }
        self.stop_on(Err(StorageError::other("wait for", "the journal", "the disk does not answer")))
    }

    fn stop_on(&mut self, result: Result<(), StorageError>) -> Result<(), JournalError> {
        result.map_err(|cause| {
            let failure = JournalError::Stopped { durable: self.durable.seq, cause };
            self.failure = Some(failure.clone());
            failure
        })
    }

    fn step(&mut self) -> Result<(), StorageError> {
        self.reap()?;
        if matches!(self.next, Next::Making { .. }) {
            self.take_next()?;
        }
        if matches!(self.flight, Flight::None) {
            self.hand_over()?;
        }
        self.storage.enter()?;
        self.reap()
    }

    fn reap(&mut self) -> Result<(), StorageError> {
        let Some(done) = self.storage.reap() else {
            return Ok(());
        };
        done?;
        match std::mem::replace(&mut self.flight, Flight::None) {
            Flight::Block { len, mark } => {
                assert!(mark.seq > self.durable.seq, "the watermark only rises");
                self.offset += len;
                self.durable = mark;
            }
            Flight::Header(file) => {
                if self.offset > 0 {
                    self.storage.close(self.file);
                }
                self.file = file;
                self.offset = ALIGN as u64;
                self.chain.segment += 1;
                self.make_next(self.chain.segment + 1, false)?;
            }
            Flight::None => {}
        }
        Ok(())
    }

    fn make_next(&mut self, segment: u64, again: bool) -> Result<(), StorageError> {
        self.next = Next::Making { again };
        self.storage.begin_create(&segment_name(segment), self.config.segment_len)
    }

    /// A segment ahead that cannot be made is a warning while there is room in this one, and is tried once more.
    fn take_next(&mut self) -> Result<(), StorageError> {
        let Next::Making { again } = self.next else {
            return Ok(());
        };
        self.next = match self.storage.created() {
            None => return Ok(()),
            Some(Ok(file)) => Next::Ready(file),
            Some(Err(error)) if again || self.offset == 0 => return Err(error),
            Some(Err(error)) => {
                tracing::warn!(%error, "the next journal segment cannot be made: the journal stops when this one is full");
                Next::Failed
            }
        };
        Ok(())
    }

    /// Nothing is in flight: a block if the segment has room for it, else the next segment's header.
    fn hand_over(&mut self) -> Result<(), StorageError> {
        let first = self.offset == 0;
        if self.records == 0 && !first {
            return Ok(());
        }
        let len = block_len(self.used - BLOCK_HEADER) as u64;
        if !first && self.offset + len <= self.config.segment_len {
            return self.commit();
        }
        match &self.next {
            Next::Ready(file) => {
                let file = *file;
                self.open_segment(file)
            }
            Next::Making { .. } => Ok(()),
            Next::Failed => self.make_next(self.chain.segment + 1, true),
        }
    }

    fn open_segment(&mut self, file: FileId) -> Result<(), StorageError> {
        let header = SegmentHeader {
            shard: self.config.shard,
            epoch: self.chain.epoch,
            segment: self.chain.segment + 1,
            length: self.config.segment_len,
            life: self.config.life,
            next_block: self.chain.next_block,
            last_seq: self.chain.last_seq,
            abi_hash: self.config.abi_hash,
            prev_hash: self.chain.hash,
        };
        header.encode(self.storage.buffer(Slot::Header));
        self.storage.queue(file, Slot::Header, ALIGN, 0)?;
        self.flight = Flight::Header(file);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        let mut block = BlockHeader {
            epoch: self.chain.epoch,
            shard: self.config.shard,
            segment: self.chain.segment,
            number: self.chain.next_block,
            life: self.config.life,
            first_seq: self.chain.next_seq(),
            last_seq: self.appended,
            records: self.records,
            payload: (self.used - BLOCK_HEADER) as u32,
            prev_hash: self.chain.hash,
            hash: [0; 32],
        };
        let buffer = self.storage.buffer(self.gather);
        let len = block.seal(buffer);
        let first = &buffer[BLOCK_HEADER..BLOCK_HEADER + RECORD_HEADER];
        assert!(u64_at(first, 0) == block.first_seq && u16_at(first, 24) == block.shard, "the group is the next block");
        self.storage.queue(self.file, self.gather, len, self.offset)?;
        let mark = BlockMark { seq: block.last_seq, number: block.number, hash: block.hash };
        self.flight = Flight::Block { len: len as u64, mark };
        self.chain.advance(&block);
        self.gather = if self.gather == Slot::A { Slot::B } else { Slot::A };
        self.used = BLOCK_HEADER;
        self.records = 0;
        Ok(())
    }
}

/// Writes the last write of the life before once more, as it stands, and syncs. Torn again, it is still itself.
fn write_again<S: Storage>(storage: &mut S, last: LastWrite) -> Result<(), StorageError> {
    let name = segment_name(last.segment);
    let mut image = Vec::new();
    storage.read(&name, &mut image)?;
    let (from, to) = (last.offset as usize, (last.offset + last.len) as usize);
    let Some(bytes) = image.get(from..to) else {
        return Err(StorageError::other("read", &storage.locate(&name), "the file has become shorter"));
    };
    let file = storage.open(&name)?;
    storage.buffer(Slot::A)[..bytes.len()].copy_from_slice(bytes);
    storage.queue(file, Slot::A, bytes.len(), last.offset)?;
    for _ in 0..PATIENCE {
        storage.enter()?;
        if let Some(done) = storage.reap() {
            storage.close(file);
            return done;
        }
        storage.wait()?;
    }
    Err(StorageError::other("wait for", &storage.locate(&name), "the disk does not answer"))
}
