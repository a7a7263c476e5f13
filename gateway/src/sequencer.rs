//! The one place where a record gets its number, its time and its bytes.
//!
//! - **Seq** is the epoch (16 bits) and a counter (48 bits, from 1), without gaps. [`Sequencer::open`] opens an epoch with an
//!   epoch record; the same epoch is never opened twice, because the journal counts them.
//! - **Time** is UTC in nanoseconds and never decreases, whatever the clock does: a clock that is set back stands still here until
//!   it has caught up.
//! - **Batches**: a seal record ends a batch, after so many records, bytes or nanoseconds, or on demand. What an epoch
//!   left unsealed belongs to the first batch of the next. A batch holds at least one record beside its seal.
//!
//! The sequencer refuses nothing: what comes here has passed risk, or is the record of a refusal. Bytes gather in one buffer that
//! [`Sequencer::take`] hands out as they will stand in the journal; it grows to the largest burst and stays.

use wirebook_settlement::record::{EpochOpen, Order, Payload, Record, Seal, Seq};

/// When a batch is sealed: whatever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealPolicy {
    /// Records of a batch, the seal not counted.
    pub records: u32,
    /// Bytes of a batch's records.
    pub bytes: usize,
    /// Age of the batch's first record, in nanoseconds.
    pub after_ns: u64,
}

impl Default for SealPolicy {
    fn default() -> Self {
        Self { records: 4096, bytes: 1 << 20, after_ns: 5_000_000 }
    }
}

/// Where a sequence goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The shard that the sequence belongs to.
    pub shard: u16,
    /// The epoch to be opened: above every epoch before.
    pub epoch: u16,
    /// Time of the last record of the epoch before, ns; 0 for none.
    pub last_time_ns: u64,
    /// Number of the batch that the first record belongs to; 1 is the first.
    pub next_batch: u64,
    /// First record that no batch has sealed yet; 0: all before are sealed.
    pub open_first_seq: u64,
    /// How many records before this epoch are not sealed.
    pub open_records: u32,
    /// When to seal.
    pub policy: SealPolicy,
}

/// Gives numbers and times, and gathers the bytes of a burst.
#[derive(Clone, Debug)]
pub struct Sequencer {
    shard: u16,
    last_seq: u64,
    time_ns: u64,
    burst: Vec<u8>,
    /// Whether the burst has been handed out: the next record starts a new one.
    taken: bool,
    policy: SealPolicy,
    batch: Batch,
}

/// The open batch.
#[derive(Clone, Debug)]
struct Batch {
    number: u64,
    first_seq: u64,
    first_time_ns: u64,
    records: u32,
    bytes: usize,
}

impl Batch {
    fn new(number: u64, first_seq: u64) -> Self {
        Self { number, first_seq, first_time_ns: 0, records: 0, bytes: 0 }
    }
}

impl Sequencer {
    /// Opens an epoch: its first record, the counter 1, is the epoch record. `burst_bytes` is the room reserved for a burst.
    ///
    /// # Panics
    /// When the epoch is 0, which means 'none'.
    pub fn open(opening: Opening, now_ns: u64, epoch: &EpochOpen, burst_bytes: usize) -> Self {
        assert!(opening.epoch > 0, "found epoch 0, allowed 1 and more");
        let last_seq = Seq::make(opening.epoch, 0);
        let mut sequencer = Self {
            shard: opening.shard,
            last_seq,
            time_ns: opening.last_time_ns,
            burst: Vec::with_capacity(burst_bytes),
            taken: false,
            policy: opening.policy,
            batch: Batch::new(opening.next_batch, last_seq + 1),
        };
        sequencer.clock(now_ns);
        if opening.open_first_seq > 0 {
            sequencer.batch.first_seq = opening.open_first_seq;
            sequencer.batch.records = opening.open_records;
            sequencer.batch.first_time_ns = sequencer.time_ns;
        }
        sequencer.push(0, &Payload::Epoch(*epoch));
        sequencer
    }

    /// The time that the next records get: `now_ns` (UTC), or the last time when that is later.
    #[inline]
    pub fn clock(&mut self, now_ns: u64) -> u64 {
        self.time_ns = self.time_ns.max(now_ns);
        self.time_ns
    }

    /// Appends a record, and a seal behind it when the batch is full. Answers the record's seq; the beat of an order gets it too.
    #[inline]
    pub fn push(&mut self, session: u32, payload: &Payload<'_>) -> u64 {
        let seq = self.append(session, payload);
        if self.batch.records >= self.policy.records || self.batch.bytes >= self.policy.bytes {
            self.seal();
        }
        seq
    }

    /// Ends the batch now. Answers the seal's seq; `None` when there is nothing to seal.
    pub fn seal(&mut self) -> Option<u64> {
        if self.batch.records == 0 {
            return None;
        }
        let Batch { number, first_seq, records, .. } = self.batch;
        let seq = self.append(0, &Payload::Seal(Seal { number, first_seq, records: records + 1 }));
        self.batch = Batch::new(number + 1, seq + 1);
        Some(seq)
    }

    /// Ends the batch when its first record is old enough.
    #[inline]
    pub fn tick(&mut self, now_ns: u64) -> Option<u64> {
        let now = self.clock(now_ns);
        let due = self.batch.records > 0 && now - self.batch.first_time_ns >= self.policy.after_ns;
        if due { self.seal() } else { None }
    }

    /// The bytes of all records since the last call, as they stand in the journal. The next record starts a new burst.
    #[inline]
    pub fn take(&mut self) -> &[u8] {
        if self.taken {
            self.burst.clear();
        }
        self.taken = true;
        &self.burst
    }

    /// Hands out what [`Sequencer::take`] would, in exchange for a buffer that the next burst is gathered in.
    #[inline]
    pub fn exchange(&mut self, buffer: &mut Vec<u8>) {
        if self.taken {
            self.burst.clear();
        }
        buffer.clear();
        std::mem::swap(&mut self.burst, buffer);
        self.taken = false;
    }

    /// Whether there is nothing to take.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taken || self.burst.is_empty()
    }

    /// The last seq given.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The time of the last record or call of [`Sequencer::clock`], ns.
    pub fn last_time_ns(&self) -> u64 {
        self.time_ns
    }

    /// The number of the open batch.
    pub fn batch(&self) -> u64 {
        self.batch.number
    }

    #[inline]
    fn append(&mut self, session: u32, payload: &Payload<'_>) -> u64 {
        if self.taken {
            self.burst.clear();
            self.taken = false;
        }
        self.last_seq += 1;
        let seq = self.last_seq;
        debug_assert_ne!(Seq::counter(seq), 0, "an epoch has 2^48 numbers");
        let payload = match payload {
            Payload::Order(order) => {
                let mut command = order.command;
                command.seq = seq;
                Payload::Order(Order { command, ..*order })
            }
            other => *other,
        };
        let record = Record::new(seq, self.time_ns, session, self.shard, payload);
        let start = self.burst.len();
        record.encode_into(&mut self.burst);
        if self.batch.records == 0 {
            self.batch.first_time_ns = self.time_ns;
        }
        self.batch.records += 1;
        self.batch.bytes += self.burst.len() - start;
        seq
    }
}

#[cfg(test)]
mod tests {
    use wirebook_settlement::record::{RecordKind, State, records};

    use super::*;
    use crate::entry::harness::epoch;

    const MARK: Payload<'_> = Payload::State(State::Mark { instrument: 0, price_ticks: 1 });

    fn opening(policy: SealPolicy) -> Opening {
        Opening { shard: 3, epoch: 2, last_time_ns: 500, next_batch: 7, open_first_seq: 0, open_records: 0, policy }
    }

    /// Seq (counter), time and kind of each record of a burst.
    fn burst(sequencer: &mut Sequencer) -> Vec<(u64, u64, RecordKind)> {
        let decoded = records(sequencer.take()).map(|item| item.expect("a record").1.header);
        decoded
            .map(|header| {
                assert_eq!((Seq::epoch(header.seq), header.shard), (2, 3));
                (Seq::counter(header.seq), header.time_ns, header.kind)
            })
            .collect()
    }

    #[test]
    fn numbers_have_no_gaps_and_time_never_decreases() {
        let mut sequencer = Sequencer::open(opening(SealPolicy::default()), 400, &epoch(9), 256);
        assert_eq!(sequencer.push(0, &MARK), Seq::make(2, 2));
        assert_eq!(sequencer.clock(600), 600);
        sequencer.push(0, &MARK);
        assert_eq!(sequencer.clock(590), 600, "a clock that is set back stands still");
        sequencer.push(0, &MARK);
        let times = burst(&mut sequencer);
        assert_eq!(
            times.iter().map(|(counter, time, _)| (*counter, *time)).collect::<Vec<_>>(),
            [(1, 500), (2, 500), (3, 600), (4, 600)]
        );
        assert!(sequencer.is_empty() && sequencer.take().is_empty(), "a burst is taken once");
        sequencer.push(0, &MARK);
        assert_eq!(burst(&mut sequencer).len(), 1);
        let mut buffer = vec![1, 2, 3];
        sequencer.exchange(&mut buffer);
        assert!(buffer.is_empty() && sequencer.is_empty(), "nor exchanged after that");
        sequencer.push(0, &MARK);
        sequencer.push(0, &MARK);
        sequencer.exchange(&mut buffer);
        assert_eq!((records(&buffer).count(), sequencer.is_empty()), (2, true));
        sequencer.push(0, &MARK);
        assert_eq!(burst(&mut sequencer).len(), 1);
    }

    fn seal(sequencer: &mut Sequencer) -> Option<Seal> {
        let last = records(sequencer.take()).last()?.expect("a record").1;
        match last.payload {
            Payload::Seal(seal) => Some(seal),
            _ => None,
        }
    }

    #[test]
    fn batches_end_by_count_by_bytes_by_age_and_on_demand() {
        let policy = SealPolicy { records: 3, bytes: 10_000, after_ns: 1_000 };
        let mut sequencer = Sequencer::open(opening(policy), 1_000, &epoch(9), 256);
        sequencer.push(0, &MARK);
        assert_eq!(seal(&mut sequencer), None);
        sequencer.push(0, &MARK);
        let first = Seal { number: 7, first_seq: Seq::make(2, 1), records: 4 };
        assert_eq!(seal(&mut sequencer), Some(first), "the epoch record counts");
        assert_eq!(sequencer.seal(), None, "an empty batch is not sealed");
        assert_eq!(sequencer.tick(10_000), None);
        sequencer.push(0, &MARK);
        assert_eq!(sequencer.tick(10_999), None);
        assert_eq!(sequencer.tick(11_000), Some(Seq::make(2, 6)));
        assert_eq!(seal(&mut sequencer), Some(Seal { number: 8, first_seq: Seq::make(2, 5), records: 2 }));
        sequencer.push(0, &MARK);
        assert!(sequencer.seal().is_some());
        assert_eq!(seal(&mut sequencer), Some(Seal { number: 9, first_seq: Seq::make(2, 7), records: 2 }));
        let small = SealPolicy { bytes: 1, ..policy };
        let mut sequencer = Sequencer::open(opening(small), 1_000, &epoch(9), 256);
        assert_eq!(seal(&mut sequencer).map(|seal| seal.records), Some(2), "by bytes, at once");
    }

    #[test]
    fn what_an_epoch_left_unsealed_is_in_the_first_batch_of_the_next() {
        let left = Opening { open_first_seq: Seq::make(1, 90), open_records: 5, ..opening(SealPolicy::default()) };
        let mut sequencer = Sequencer::open(left, 1_000, &epoch(9), 256);
        sequencer.seal();
        assert_eq!(seal(&mut sequencer), Some(Seal { number: 7, first_seq: Seq::make(1, 90), records: 7 }));
    }
}
