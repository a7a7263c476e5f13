//! The thread that makes files ahead of their use, and closes them: both may take long.
//!
//! A file is made under the name `….wbj.new`, allocated, filled with zeros, synced, renamed, and the directory synced:
//! so under its own name it is always whole. Filling matters: a sync after a write into unwritten space must commit
//! metadata too, and takes many times as long.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::recover::UNFINISHED;
use super::storage::StorageError;
use super::sys;
use super::uring::Aligned;

/// Bytes of zeros per write while a file is filled: small enough not to delay a commit by much.
const FILL_CHUNK: usize = 256 << 10;

pub(super) enum Job {
    Make { name: String, len: u64 },
    Close(File),
}

/// The thread that makes files ahead and closes them.
pub(super) struct Maker {
    jobs: Option<Sender<Job>>,
    made: Receiver<Result<File, StorageError>>,
    ready: Option<Result<File, StorageError>>,
    pub(super) busy: bool,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Maker {
    pub(super) fn spawn(dir: PathBuf, direct: bool, wake: Option<File>) -> io::Result<Maker> {
        let (jobs, inbox) = channel();
        let (outbox, made) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("journal-files".to_owned()).spawn(move || {
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
        Ok(Maker { jobs: Some(jobs), made, ready: None, busy: false, stop, thread: Some(thread) })
    }

    pub(super) fn send(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }

    pub(super) fn take(&mut self) -> Option<Result<File, StorageError>> {
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

    pub(super) fn wait(&mut self, limit: Duration) {
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
    OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
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

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn open_write(path: &Path, direct: bool) -> io::Result<File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}
