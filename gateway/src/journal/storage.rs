//! What the journal needs from a disk, as two traits: [`Media`] reads, [`Storage`] writes.
//!
//! The writer's side is made so that the hot thread never blocks: a write followed by a sync is *queued*, handed to
//! the kernel by [`Storage::enter`], and *reaped* later; files are created ahead on another thread. One write is in
//! flight at a time, because the journal's recovery rests on it: only the last write of a life can be torn.
//! Buffers belong to the storage, aligned and registered once, so that no commit allocates.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::MAX_SEGMENT_LEN;

/// A storage operation that failed. Cheap to clone, because the journal's failure is sticky and told many times.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} {file}: {why}{}", hint(.code))]
pub struct StorageError {
    /// What was being done.
    pub what: &'static str,
    /// The file, or the directory.
    pub file: String,
    /// The operating system's words.
    pub why: String,
    /// The operating system's error number, when there is one.
    pub code: Option<i32>,
}

fn hint(code: &Option<i32>) -> &'static str {
    match *code {
        Some(libc::ENOSPC | libc::EDQUOT) => " (make room on this disk, or remove finalized segments, then restart)",
        Some(libc::EIO) => " (the disk is failing: look at the kernel's log before a restart)",
        Some(libc::EACCES | libc::EPERM) => " (check the owner and the mode of the directory)",
        Some(libc::EROFS) => " (the file system is read-only, often after a disk error: look at the kernel's log)",
        _ => "",
    }
}

impl StorageError {
    /// An error of the operating system while doing `what` to `file`.
    #[must_use]
    pub fn io(what: &'static str, file: &str, error: &io::Error) -> StorageError {
        StorageError { what, file: file.to_owned(), why: error.to_string(), code: error.raw_os_error() }
    }

    /// An error without a number.
    #[must_use]
    pub fn other(what: &'static str, file: &str, why: &str) -> StorageError {
        StorageError { what, file: file.to_owned(), why: why.to_owned(), code: None }
    }

    /// Whether the disk, or the quota, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.code, Some(libc::ENOSPC | libc::EDQUOT))
    }
}

/// A file of the journal's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Its length, in bytes.
    pub len: u64,
}

/// Reads a journal's directory. Never writes.
pub trait Media {
    /// The regular files, in the order of their names.
    fn list(&mut self) -> Result<Vec<FileEntry>, StorageError>;
    /// Replaces `into` by the whole file. Files longer than [`MAX_SEGMENT_LEN`] are an error.
    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError>;
    /// Replaces `into` by the file's first `len` bytes, or fewer when it is shorter.
    fn head(&mut self, name: &str, len: usize, into: &mut Vec<u8>) -> Result<(), StorageError> {
        self.read(name, into)?;
        into.truncate(len);
        Ok(())
    }
    /// The path of a file, for messages.
    fn locate(&self, name: &str) -> String;
}

/// A storage's own number for a file that is open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(pub u32);

/// One of the storage's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// 4 KiB, for segment headers.
    Header,
    /// A whole block; one of two that take turns.
    A,
    /// The other block.
    B,
}

/// Writes a journal's directory. Calls that may block say so; the others never do.
pub trait Storage: Media {
    /// Makes the two block buffers, `block` bytes each, and the header's. Once, before any [`Storage::buffer`]. Blocks.
    fn reserve(&mut self, block: usize) -> Result<(), StorageError>;
    /// Opens an existing file for writing. Blocks.
    fn open(&mut self, name: &str) -> Result<FileId, StorageError>;
    /// Removes a file, durably. Blocks.
    fn remove(&mut self, name: &str) -> Result<(), StorageError>;

    /// Starts to make a file of `len` zeros, allocated and durable under its name before it is handed out. One at a
    /// time. A name that exists is an error.
    fn begin_create(&mut self, name: &str, len: u64) -> Result<(), StorageError>;
    /// The file begun, once: `None` while it is not ready.
    fn created(&mut self) -> Option<Result<FileId, StorageError>>;
    /// Forgets an open file, off the hot path where closing may take time.
    fn close(&mut self, file: FileId);

    /// A buffer.
    ///
    /// # Panics
    /// When it was not reserved, or is in flight: its bytes belong to the disk then.
    fn buffer(&mut self, slot: Slot) -> &mut [u8];
    /// Queues a write of the first `len` bytes of the slot at `offset`, then a sync of the file. Both are multiples of
    /// 4 KiB. One at a time.
    fn queue(&mut self, file: FileId, slot: Slot, len: usize, offset: u64) -> Result<(), StorageError>;
    /// Hands to the system what is queued and lets it finish what is done: one system call at most, and none when
    /// there is nothing to do.
    fn enter(&mut self) -> Result<(), StorageError>;
    /// The end of the write and sync in flight, once, without a system call. `Ok` means durable.
    fn reap(&mut self) -> Option<Result<(), StorageError>>;
    /// Blocks until something may have ended, but not long (some milliseconds).
    fn wait(&mut self) -> Result<(), StorageError>;

    /// A descriptor that is readable after a completion, when the storage was asked for one.
    fn wake_fd(&self) -> Option<RawFd> {
        None
    }
    /// Makes [`Storage::wake_fd`] unreadable again.
    fn drain_wake(&mut self) {}
}

/// A directory of plain files: the read side for everybody, without a lock and without `O_DIRECT`.
#[derive(Debug, Clone)]
pub struct Dir {
    path: PathBuf,
}

impl Dir {
    /// A journal's directory; nothing is opened yet.
    #[must_use]
    pub fn new(path: &Path) -> Dir {
        Dir { path: path.to_owned() }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Media for Dir {
    fn list(&mut self) -> Result<Vec<FileEntry>, StorageError> {
        let place = self.path.display().to_string();
        let failed = |error: &io::Error| StorageError::io("list the directory", &place, error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|e| failed(&e))? {
            let entry = entry.map_err(|e| failed(&e))?;
            let meta = match entry.metadata() {
                // A writer has renamed or removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta.map_err(|e| failed(&e))?,
            };
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                files.push(FileEntry { name, len: meta.len() });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError> {
        let place = self.locate(name);
        let failed = |error: &io::Error| StorageError::io("read", &place, error);
        let mut file = File::open(self.path.join(name)).map_err(|e| failed(&e))?;
        let len = file.metadata().map_err(|e| failed(&e))?.len();
        if len > MAX_SEGMENT_LEN {
            return Err(StorageError::other("read", &place, "longer than any segment may be"));
        }
        into.clear();
        into.reserve(len as usize);
        Read::by_ref(&mut file).take(MAX_SEGMENT_LEN).read_to_end(into).map_err(|e| failed(&e))?;
        Ok(())
    }

    fn head(&mut self, name: &str, len: usize, into: &mut Vec<u8>) -> Result<(), StorageError> {
        into.clear();
        let read = File::open(self.path.join(name)).and_then(|file| file.take(len as u64).read_to_end(into));
        read.map(drop).map_err(|e| StorageError::io("read", &self.locate(name), &e))
    }

    fn locate(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}
