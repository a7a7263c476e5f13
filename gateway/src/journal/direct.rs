//! The journal's real disk: io_uring, `O_DIRECT`, files filled with zeros ahead by a thread of its own.
//!
//! A file is made under the name `….wbj.new`, allocated, filled, synced, renamed, and the directory synced: so under
//! its own name it is always whole. Filling matters: a sync after a write into unwritten space must commit metadata
//! too and takes many times as long.
//!
//! The directory is locked by one writer. The lock file is registered with the ring, so a killed process keeps the
//! lock until its last write has ended: no bytes of an earlier life can arrive after the next one has looked.
//!
//! A file system that refuses `O_DIRECT` gets plain writes and a warning. The thread that makes files inherits CPU
//! affinity and priority from the one that calls [`DirectStorage::open`]: open before pinning.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::format::ALIGN;
use super::recover::UNFINISHED;
use super::storage::{Dir, FileEntry, FileId, Media, Slot, Storage, StorageError};
use super::sys;
use super::uring::{Aligned, Ring};

/// The file whose lock is the writer's right to the directory.
pub const LOCK_FILE: &str = "journal.lock";
/// Bytes of zeros per write while a file is filled: small enough not to delay a commit by much.
const FILL_CHUNK: usize = 256 << 10;
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
        DirectOptions {
            direct: true,
            wake: true,
            lock_wait: Duration::from_secs(5),
        }
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
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path);
        let lock = lock.map_err(failed("open the lock file of"))?;
        take_lock(&lock, options.lock_wait, &place)?;
        let direct =
            options.direct && accepts_direct(&lock_path).map_err(failed("try O_DIRECT in"))?;
        if options.direct && !direct {
            tracing::warn!(dir = %place, "the file system refuses O_DIRECT: the journal goes through the page cache, and is slower");
        }
        let wake = if options.wake {
            Some(sys::eventfd().map_err(failed("make an eventfd for"))?)
        } else {
            None
        };
        let ring = Ring::new(wake.as_ref(), &lock).map_err(|error| StorageError {
            what: "set up io_uring for",
            file: place.clone(),
            why: format!("{error} (needs Linux 5.19 or later, and a sandbox that allows io_uring; see /proc/sys/kernel/io_uring_disabled)"),
            code: None,
        })?;
        let signal = wake
            .as_ref()
            .map(File::try_clone)
            .transpose()
            .map_err(failed("share the eventfd of"))?;
        let maker =
            Maker::spawn(dir.to_owned(), direct, signal).map_err(failed("start a thread for"))?;
        Ok(DirectStorage {
            ring,
            dir: Dir::new(dir),
            files: Vec::new(),
            maker,
            direct,
            wake,
            _lock: lock,
        })
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
    let tried =
        open_write(path, true).and_then(|file| file.write_all_at(Aligned::new(ALIGN).bytes(), 0));
    match tried {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn open_write(path: &Path, direct: bool) -> io::Result<File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
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
        let registered = self
            .ring
            .reserve(block)
            .map_err(|e| self.failed("make buffers for", &e))?;
        if !registered {
            tracing::warn!(
                "journal buffers cannot be registered (RLIMIT_MEMLOCK): every commit pins its pages anew"
            );
        }
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<FileId, StorageError> {
        let file = open_write(&self.dir.path().join(name), self.direct);
        let file = file.map_err(|e| StorageError::io("open", &self.locate(name), &e))?;
        Ok(self.adopt(file))
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        let removed =
            fs::remove_file(self.dir.path().join(name)).and_then(|()| sync_dir(self.dir.path()));
        removed.map_err(|e| StorageError::io("remove", &self.locate(name), &e))
    }

    fn begin_create(&mut self, name: &str, len: u64) -> Result<(), StorageError> {
        assert!(!self.maker.busy, "one file is made at a time");
        let place = self.locate(name);
        let sent = self.maker.send(Job::Make {
            name: name.to_owned(),
            len,
        });
        self.maker.busy = sent;
        if sent {
            Ok(())
        } else {
            Err(StorageError::other(
                "make",
                &place,
                "the thread that makes files has ended",
            ))
        }
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

    fn queue(
        &mut self,
        file: FileId,
        slot: Slot,
        len: usize,
        offset: u64,
    ) -> Result<(), StorageError> {
        let Some(Some(open)) = self.files.get(file.0 as usize) else {
            return Err(StorageError::other(
                "write to",
                &self.dir.path().display().to_string(),
                "the file is closed",
            ));
        };
        self.ring
            .queue(open.as_raw_fd(), slot, len, offset)
            .map_err(|e| self.failed("queue a write to", &e))
    }

    fn enter(&mut self) -> Result<(), StorageError> {
        self.ring
            .enter()
            .map_err(|e| self.failed("hand a write to the kernel for", &e))
    }

    fn reap(&mut self) -> Option<Result<(), StorageError>> {
        let done = self.ring.reap()?;
        Some(done.map_err(|e| self.failed("write and sync a block in", &e)))
    }

    fn wait(&mut self) -> Result<(), StorageError> {
        if self.ring.busy() {
            return self
                .ring
                .wait(WAIT)
                .map_err(|e| self.failed("wait for the disk of", &e));
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

enum Job {
    Make { name: String, len: u64 },
    Close(File),
}

/// The thread that makes files ahead and closes them.
struct Maker {
    jobs: Option<Sender<Job>>,
    made: Receiver<Result<File, StorageError>>,
    ready: Option<Result<File, StorageError>>,
    busy: bool,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Maker {
    fn spawn(dir: PathBuf, direct: bool, wake: Option<File>) -> io::Result<Maker> {
        let (jobs, inbox) = channel();
        let (outbox, made) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("journal-files".to_owned())
            .spawn(move || {
                for job in inbox {
                    let (name, len) = match job {
                        Job::Make { name, len } => (name, len),
                        Job::Close(file) => {
                            drop(file);
                            continue;
                        }
                    };
                    let path = dir.join(&name);
                    let file = make(&dir, &path, len, direct, &stopped)
                        .map_err(|e| StorageError::io("make", &path.display().to_string(), &e));
                    if outbox.send(file).is_err() {
                        return;
                    }
                    if let Some(mut wake) = wake.as_ref() {
                        // It fails only when the counter is full, and then the reader wakes anyway.
                        let _ = wake.write(&1u64.to_ne_bytes());
                    }
                }
            })?;
        Ok(Maker {
            jobs: Some(jobs),
            made,
            ready: None,
            busy: false,
            stop,
            thread: Some(thread),
        })
    }

    fn send(&self, job: Job) -> bool {
        self.jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok())
    }

    fn take(&mut self) -> Option<Result<File, StorageError>> {
        if !self.busy {
            return None;
        }
        let made = self.ready.take().or_else(|| match self.made.try_recv() {
            Ok(made) => Some(made),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(gone())),
        });
        self.busy = made.is_none();
        made
    }

    fn wait(&mut self, limit: Duration) {
        if self.busy && self.ready.is_none() {
            self.ready = match self.made.recv_timeout(limit) {
                Ok(made) => Some(made),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Err(gone())),
            };
        }
    }
}

fn gone() -> StorageError {
    StorageError::other("make", "a segment", "the thread that makes files has ended")
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

fn make(dir: &Path, path: &Path, len: u64, direct: bool, stop: &AtomicBool) -> io::Result<File> {
    if path.try_exists()? {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let made = fill(&unfinished, len, direct, stop).and_then(|file| {
        fs::rename(&unfinished, path)?;
        sync_dir(dir)?;
        Ok(file)
    });
    if made.is_err() {
        // So that a full disk is not fuller for it. If this fails too, the next start removes the file.
        let _ = fs::remove_file(&unfinished);
    }
    made
}

fn fill(path: &Path, len: u64, direct: bool, stop: &AtomicBool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let file = open_write(path, direct)?;
    sys::allocate(&file, len)?;
    let zeros = Aligned::new(FILL_CHUNK);
    let mut at = 0;
    while at < len {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let chunk = (len - at).min(FILL_CHUNK as u64);
        file.write_all_at(&zeros.bytes()[..chunk as usize], at)?;
        at += chunk;
    }
    file.sync_all()?;
    Ok(file)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
