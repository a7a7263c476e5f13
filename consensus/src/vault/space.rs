//! What a vault holds: partitions of named blobs, all in memory, and how a log's records change them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::record::Record;

/// One blob. Its content is locked before the log is, so that the log's order is the content's order.
pub(super) struct Blob {
    pub(super) id: u64,
    pub(super) version: u16,
    pub(super) partition: String,
    pub(super) name: Vec<u8>,
    pub(super) state: RwLock<State>,
    /// Where the log must have got to for all of the blob to be durable.
    pub(super) mark: AtomicU64,
    /// Whether somebody has it open.
    pub(super) open: AtomicBool,
}

/// What of a blob changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) content: Vec<u8>,
    /// Its name is gone; who has it open still reads it, and nothing of it is logged any more.
    pub(super) removed: bool,
    /// The oldest segment that may hold a record that the content is rebuilt from.
    pub(super) base: u64,
}

impl State {
    /// Writes as a file is written: a gap is filled with zeros.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if offset == self.content.len() {
            self.content.extend_from_slice(bytes);
            return;
        }
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
    }
}

/// A partition.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) blobs: BTreeMap<Vec<u8>, Arc<Blob>>,
    /// As a blob's.
    pub(super) base: u64,
}

/// All partitions.
#[derive(Default)]
pub(super) struct Space {
    pub(super) partitions: BTreeMap<String, Partition>,
    /// The number of the next blob; no number is given twice.
    pub(super) next: u64,
}

impl Space {
    /// A new, empty blob, which is to be logged.
    pub(super) fn create(&mut self, partition: &str, name: &[u8], version: u16, base: u64) -> Arc<Blob> {
        let id = self.next;
        self.insert(id, partition, name, version, Vec::new(), base)
    }

    fn insert(
        &mut self,
        id: u64,
        partition: &str,
        name: &[u8],
        version: u16,
        content: Vec<u8>,
        base: u64,
    ) -> Arc<Blob> {
        self.next = self.next.max(id + 1);
        let entry =
            self.partitions.entry(partition.to_owned()).or_insert_with(|| Partition { base, ..Default::default() });
        let blob = Arc::new(Blob {
            id,
            version,
            partition: partition.to_owned(),
            name: name.to_vec(),
            state: RwLock::new(State { content, removed: false, base }),
            mark: AtomicU64::new(0),
            open: AtomicBool::new(false),
        });
        entry.blobs.insert(name.to_vec(), Arc::clone(&blob));
        blob
    }

    /// Bytes of all blobs.
    pub(super) fn bytes(&self) -> u64 {
        let blobs = self.partitions.values().flat_map(|partition| partition.blobs.values());
        blobs.map(|blob| read(&blob.state).content.len() as u64).sum()
    }
}

/// Rebuilds a space from a log's records.
#[derive(Default)]
pub(super) struct Rebuild {
    pub(super) space: Space,
    by_id: HashMap<u64, Arc<Blob>>,
}

impl Rebuild {
    /// Applies one record, which stands in segment `segment`. A record of a blob that is not known is of one whose creation stood in
    /// a segment that was freed: the blob is gone, or its image follows.
    pub(super) fn apply(&mut self, record: &Record<'_>, segment: u64) {
        match *record {
            Record::Create { blob, version, partition, name } => {
                let created = self.space.insert(blob, partition, name, version, Vec::new(), segment);
                self.by_id.insert(blob, created);
            }
            Record::Image { blob, version, partition, name, content } => {
                let image = self.space.insert(blob, partition, name, version, content.to_vec(), segment);
                self.by_id.insert(blob, image);
            }
            Record::Write { blob, offset, bytes } => {
                if let Some(blob) = self.by_id.get(&blob) {
                    write(&blob.state).write(offset as usize, bytes);
                }
            }
            Record::Resize { blob, length } => {
                if let Some(blob) = self.by_id.get(&blob) {
                    write(&blob.state).content.resize(length as usize, 0);
                }
            }
            Record::Remove { blob } => {
                if let Some(blob) = self.by_id.remove(&blob)
                    && let Some(partition) = self.space.partitions.get_mut(&blob.partition)
                    && partition.blobs.get(&blob.name).is_some_and(|named| named.id == blob.id)
                {
                    partition.blobs.remove(&blob.name);
                }
            }
            Record::Partition { name } => {
                self.space.partitions.entry(name.to_owned()).or_default().base = segment;
            }
            Record::Drop { name } => {
                for blob in self.space.partitions.remove(name).unwrap_or_default().blobs.into_values() {
                    self.by_id.remove(&blob.id);
                }
            }
        }
    }
}

/// Locks what a panic elsewhere cannot leave half changed.
pub(super) fn read(state: &RwLock<State>) -> std::sync::RwLockReadGuard<'_, State> {
    state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As [`read`], to change it.
pub(super) fn write(state: &RwLock<State>) -> std::sync::RwLockWriteGuard<'_, State> {
    state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Blob {
    /// Raises the blob's mark.
    pub(super) fn marked(&self, mark: u64) {
        self.mark.fetch_max(mark, Ordering::AcqRel);
    }
}
