//! The journal's real disk: io_uring, `O_DIRECT`, files filled with zeros ahead by a thread of its own.
//!
//! The directory is locked by one writer. The lock file is registered with the ring, so a killed process keeps the
//! lock until its last write has ended: no bytes of an earlier life can arrive after the next one has looked.
//!
//! A file system that refuses `O_DIRECT` gets plain writes and a warning. The thread that makes files inherits CPU
//! affinity and priority from the one that calls [`DirectStorage::open`]: open before pinning.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::format::ALIGN;
use super::maker::{Job, Maker, open_write, sync_dir};
use super::storage::{Dir, FileEntry, FileId, Media, Slot, Storage, StorageError};
use super::sys;
use super::uring::{Aligned, Ring};

/// The file whose lock is the writer's right to the directory.
pub const LOCK_FILE: &str = "journal.lock";
/// How long one [`Storage::wait`] may last.
const WAIT: Duration = Duration::from_millis(10);
/// How often a held lock is tried again.
const LOCK_STEP: Duration = Duration::from_millis(10);

/// How a [`DirectStorage`] is opened.
#[derive(Debug, Clone, Copy)]
pub struct DirectOptions {
    /// Use `O_DIRECT` where the file system can.
    pub direct: bool,
    /// Signal completions on an eventfd, for a thread that parks. Costs a little for each commit.
    pub wake: bool,
    /// How long to wait for the lock: a killed writer holds it until its last write has ended.
    pub lock_wait: Duration,
}

impl Default for DirectOptions {
    fn default() -> DirectOptions {
        DirectOptions { direct: true, wake: true, lock_wait: Duration::from_secs(5) }
    }
}

/// See the module.
pub struct DirectStorage {
    // First, so that it is dropped first: it waits for what is in flight, and files are open until then.
    ring: Ring,
    dir: Dir,
    files: Vec<Option<File>>,
    maker: Maker,
    direct: bool,
    wake: Option<File>,
    _lock: File,
}

impl DirectStorage {
    /// Opens, and makes if need be, a journal's directory for writing, and locks it. Blocks.
    pub fn open(dir: &Path, options: DirectOptions) -> Result<DirectStorage, StorageError> {
        let place = dir.display().to_string();
        let failed = |what: &'static str| {
            let place = place.clone();
            move |error: io::Error| StorageError::io(what, &place, &error)
        };
        fs::create_dir_all(dir).map_err(failed("make the directory"))?;
        let lock_path = dir.join(LOCK_FILE);
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(failed("open the lock file of"))?;
        take_lock(&lock, options.lock_wait, &place)?;
        let direct = options.direct && accepts_direct(&lock_path).map_err(failed("try O_DIRECT in"))?;
        if options.direct && !direct {
            tracing::warn!(dir = %place, "the file system refuses O_DIRECT: the journal goes through the page cache, and is slower");
        }
        let wake = if options.wake { Some(sys::eventfd().map_err(failed("make an eventfd for"))?) } else { None };
        let ring = Ring::new(wake.as_ref(), &lock).map_err(|error| StorageError {
            what: "set up io_uring for",
            file: place.clone(),
            why: format!("{error} (needs Linux 5.19 or later, and a sandbox that allows io_uring; see /proc/sys/kernel/io_uring_disabled)"),
            code: None,
        })?;
        let signal = wake.as_ref().map(File::try_clone).transpose().map_err(failed("share the eventfd of"))?;
        let maker = Maker::spawn(dir.to_owned(), direct, signal).map_err(failed("start a thread for"))?;
        Ok(DirectStorage { ring, dir: Dir::new(dir), files: Vec::new(), maker, direct, wake, _lock: lock })
    }

    /// Whether writes bypass the page cache.
    #[must_use]
    pub fn direct(&self) -> bool {
        self.direct
    }

    /// How many `io_uring_enter` calls have been made.
    #[must_use]
    pub fn system_calls(&self) -> u64 {
        self.ring.calls()
    }

    fn adopt(&mut self, file: File) -> FileId {
        let free = self.files.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.files.push(None);
            self.files.len() - 1
        });
        self.files[at] = Some(file);
        FileId(at as u32)
    }

    fn failed(&self, what: &'static str, error: &io::Error) -> StorageError {
        StorageError::io(what, &self.dir.path().display().to_string(), error)
    }
}

fn take_lock(lock: &File, limit: Duration, place: &str) -> Result<(), StorageError> {
    let start = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < limit => thread::sleep(LOCK_STEP),
            Err(TryLockError::WouldBlock) => {
                return Err(StorageError::other(
                    "lock",
                    place,
                    "another process writes this journal: stop it, or use another directory",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(StorageError::io("lock", place, &error)),
        }
    }
}

/// Tries a real write: some file systems refuse only then.
fn accepts_direct(path: &Path) -> io::Result<bool> {
    let tried = open_write(path, true).and_then(|file| file.write_all_at(Aligned::new(ALIGN).bytes(), 0));
    match tried {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Media for DirectStorage {
    fn list(&mut self) -> Result<Vec<FileEntry>, StorageError> {
        self.dir.list()
    }
    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError> {
        self.dir.read(name, into)
    }
    fn locate(&self, name: &str) -> String {
        self.dir.locate(name)
    }
}

impl Storage for DirectStorage {
    fn reserve(&mut self, block: usize) -> Result<(), StorageError> {
        let registered = self.ring.reserve(block).map_err(|e| self.failed("make buffers for", &e))?;
        if !registered {
            tracing::warn!("journal buffers cannot be registered (RLIMIT_MEMLOCK): every commit pins its pages anew");
        }
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<FileId, StorageError> {
        let file = open_write(&self.dir.path().join(name), self.direct);
        let file = file.map_err(|e| StorageError::io("open", &self.locate(name), &e))?;
        Ok(self.adopt(file))
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        let removed = fs::remove_file(self.dir.path().join(name)).and_then(|()| sync_dir(self.dir.path()));
        removed.map_err(|e| StorageError::io("remove", &self.locate(name), &e))
    }

    fn begin_create(&mut self, name: &str, len: u64) -> Result<(), StorageError> {
        assert!(!self.maker.busy, "one file is made at a time");
        let place = self.locate(name);
        let sent = self.maker.send(Job::Make { name: name.to_owned(), len });
        self.maker.busy = sent;
        if sent { Ok(()) } else { Err(StorageError::other("make", &place, "the thread that makes files has ended")) }
    }

    fn created(&mut self) -> Option<Result<FileId, StorageError>> {
        let made = self.maker.take()?;
        Some(made.map(|file| self.adopt(file)))
    }

    fn close(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(file.0 as usize).and_then(Option::take) {
            self.maker.send(Job::Close(file));
        }
    }

    fn buffer(&mut self, slot: Slot) -> &mut [u8] {
        self.ring.buffer(slot)
    }

    fn queue(&mut self, file: FileId, slot: Slot, len: usize, offset: u64) -> Result<(), StorageError> {
        let Some(Some(open)) = self.files.get(file.0 as usize) else {
            return Err(StorageError::other("write to", &self.dir.path().display().to_string(), "the file is closed"));
        };
        self.ring.queue(open.as_raw_fd(), slot, len, offset).map_err(|e| self.failed("queue a write to", &e))
    }

    fn enter(&mut self) -> Result<(), StorageError> {
        self.ring.enter().map_err(|e| self.failed("hand a write to the kernel for", &e))
    }

    fn reap(&mut self) -> Option<Result<(), StorageError>> {
        let done = self.ring.reap()?;
        Some(done.map_err(|e| self.failed("write and sync a block in", &e)))
    }

    fn wait(&mut self) -> Result<(), StorageError> {
        if self.ring.busy() {
            return self.ring.wait(WAIT).map_err(|e| self.failed("wait for the disk of", &e));
        }
        self.maker.wait(WAIT);
        Ok(())
    }

    fn wake_fd(&self) -> Option<RawFd> {
        self.wake.as_ref().map(AsRawFd::as_raw_fd)
    }

    fn drain_wake(&mut self) {
        if let Some(mut wake) = self.wake.as_ref() {
            // It does not block; that there was nothing to read is fine.
            let _ = wake.read(&mut [0; 8]);
        }
    }
}
