//! One log under all blobs: group commit, segments, and getting rid of old ones.
//!
//! Changes are appended to a buffer in memory and numbered by the bytes logged so far: a *mark*. A flush takes all of the buffer as one
//! frame, writes it and syncs it; whoever waits for a mark up to there goes on. The log is therefore a total order of all changes, and
//! what is durable is always a prefix of it.
//!
//! Segments are written in place: they are filled with zeros when they are made, and a segment that is no longer needed becomes the next
//! one, so that no flush waits for the file system's own bookkeeping.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{FRAME_HEADER, LogId, PAGE, Record, finish_frame, segment_page};
use crate::validator::volume::Volume;

/// Bytes of zeros written at a time to a new segment.
const FILL: usize = 1 << 20;

/// Freed segments that are kept for use again.
const MAX_SPARES: usize = 2;

/// Told whether what it waits for is durable.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Flushes, bytes and time since the vault was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames written and synced.
    pub flushes: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Waits for durability that were not answered at once.
    pub waits: u64,
    /// Nanoseconds spent in writes and syncs.
    pub nanos: u64,
    /// Segments that were freed.
    pub freed: u64,
}

struct Pending {
    /// Room for the frame's header, then records.
    buffer: Vec<u8>,
    /// The mark that follows what is in the buffer.
    mark: u64,
    /// Somebody waits for this mark now.
    wanted: u64,
    /// Somebody waits for this mark, but can wait a little.
    lazy: Option<(Instant, u64)>,
    waiters: Vec<(u64, Done)>,
    failed: Option<String>,
}

struct Files {
    volume: Box<dyn Volume>,
    log: LogId,
    /// Numbers and bytes of the segments in use, oldest first.
    segments: VecDeque<(u64, u64)>,
    spares: Vec<String>,
    /// Where in the last one the next frame goes; 0: none is begun yet.
    at: u64,
    next_frame: u64,
    spare_buffer: Vec<u8>,
}

/// The log of a vault.
pub(super) struct Log {
    segment_bytes: u64,
    laziness: Duration,
    pending: Mutex<Pending>,
    wake: Condvar,
    durable: AtomicU64,
    /// Number of the segment that is written to.
    pub(super) current: AtomicU64,
    files: Mutex<Files>,
    counts: [AtomicU64; 5],
    pub(super) stopping: AtomicBool,
    /// The planted bug: waits are answered before the disk has answered.
    hasty: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file name of a segment. Names sort as the numbers do.
pub(super) fn name(number: u64) -> String {
    format!("{number:020}.log")
}

/// The number in a segment's file name; `None` for any other file.
pub(super) fn number_of(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Where a log goes on.
pub(super) struct Begin {
    pub(super) volume: Box<dyn Volume>,
    pub(super) log: LogId,
    pub(super) segments: VecDeque<(u64, u64)>,
    pub(super) spares: Vec<String>,
    pub(super) next_frame: u64,
}

impl Log {
    pub(super) fn new(begin: Begin, segment_bytes: u64, laziness: Duration, hasty: bool) -> Self {
        let Begin { volume, log, segments, spares, next_frame } = begin;
        let current = segments.back().map_or(0, |&(number, _)| number);
        let pending = Pending {
            buffer: vec![0; FRAME_HEADER],
            mark: 0,
            wanted: 0,
            lazy: None,
            waiters: Vec::new(),
            failed: None,
        };
        let files = Files { volume, log, segments, spares, at: 0, next_frame, spare_buffer: vec![0; FRAME_HEADER] };
        Self {
            segment_bytes,
            laziness,
            pending: Mutex::new(pending),
            wake: Condvar::new(),
            durable: AtomicU64::new(0),
            current: AtomicU64::new(current),
            files: Mutex::new(files),
            counts: Default::default(),
            stopping: AtomicBool::new(false),
            hasty,
        }
    }

    /// Appends a change; answers the mark to wait for.
    pub(super) fn append(&self, record: &Record<'_>) -> u64 {
        let mut pending = lock(&self.pending);
        let before = pending.buffer.len();
        record.encode(&mut pending.buffer);
        pending.mark += (pending.buffer.len() - before) as u64;
        pending.mark
    }

    /// Whether everything up to a mark is durable.
    pub(super) fn is_durable(&self, mark: u64) -> bool {
        self.durable.load(Ordering::Acquire) >= mark
    }

    /// Tells `done` once everything up to `mark` is durable, or that it will not be.
    pub(super) fn when_durable(&self, mark: u64, urgent: bool, done: Done) {
        if self.is_durable(mark) {
            return done(Ok(()));
        }
        let mut pending = lock(&self.pending);
        if let Some(failure) = pending.failed.clone() {
            drop(pending);
            return done(Err(failure));
        }
        if self.is_durable(mark) {
            drop(pending);
            return done(Ok(()));
        }
        self.counts[2].fetch_add(1, Ordering::Relaxed);
        if self.hasty {
            pending.wanted = pending.wanted.max(mark);
            drop(pending);
            return done(Ok(()));
        }
        pending.waiters.push((mark, done));
        if urgent || self.laziness.is_zero() {
            pending.wanted = pending.wanted.max(mark);
        } else if pending.wanted < mark {
            match &mut pending.lazy {
                Some((_, later)) => *later = mark.max(*later),
                None => pending.lazy = Some((Instant::now() + self.laziness, mark)),
            }
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Waits until a flush is due, or `patience` has passed; `true` if one is.
    pub(super) fn wait_due(&self, patience: Duration) -> bool {
        let mut pending = lock(&self.pending);
        if self.due(&mut pending) {
            return true;
        }
        let timeout =
            pending.lazy.map_or(patience, |(at, _)| at.saturating_duration_since(Instant::now()).min(patience));
        let mut pending = self.wake.wait_timeout(pending, timeout).unwrap_or_else(PoisonError::into_inner).0;
        self.due(&mut pending)
    }

    fn due(&self, pending: &mut Pending) -> bool {
        let durable = self.durable.load(Ordering::Acquire);
        if pending.failed.is_some() {
            return false;
        }
        pending.lazy = pending.lazy.filter(|&(_, mark)| mark > durable);
        if let Some((at, mark)) = pending.lazy
            && at <= Instant::now()
        {
            pending.wanted = pending.wanted.max(mark);
            pending.lazy = None;
        }
        pending.wanted > durable
    }

    /// Wakes whoever waits for a flush to be due.
    pub(super) fn nudge(&self) {
        self.wake.notify_all();
    }

    /// Writes and syncs all that is appended, and tells who waits for it.
    pub(super) fn flush(&self) -> Result<(), String> {
        let mut files = lock(&self.files);
        let spare = std::mem::take(&mut files.spare_buffer);
        let (mut frame, mark) = {
            let mut pending = lock(&self.pending);
            if let Some(failure) = &pending.failed {
                return Err(failure.clone());
            }
            (std::mem::replace(&mut pending.buffer, spare), pending.mark)
        };
        let begun = Instant::now();
        let written = if frame.len() > FRAME_HEADER { self.write(&mut files, &mut frame) } else { Ok(()) };
        self.counts[3].fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        frame.clear();
        frame.resize(FRAME_HEADER, 0);
        files.spare_buffer = frame;
        drop(files);
        let written = written.map_err(|error| format!("the vault's log cannot be written: {error}"));
        let told: Vec<(u64, Done)> = {
            let mut pending = lock(&self.pending);
            match &written {
                Ok(()) => self.durable.store(mark, Ordering::Release),
                Err(failure) => pending.failed = Some(failure.clone()),
            }
            let failed = written.is_err();
            pending.waiters.extract_if(.., |(waits, _)| failed || *waits <= mark).collect()
        };
        for (_, done) in told {
            done(written.clone());
        }
        written
    }

    fn write(&self, files: &mut Files, frame: &mut Vec<u8>) -> io::Result<()> {
        finish_frame(frame, &files.log, files.next_frame);
        let length = frame.len() as u64;
        let room = files.segments.back().map_or(0, |&(_, bytes)| bytes);
        if files.at == 0 || files.at + length > room {
            self.next_segment(files, length)?;
        }
        let &(number, _) = files.segments.back().expect("one was begun");
        let name = name(number);
        files.volume.write_at(&name, files.at, frame)?;
        files.volume.sync(&name)?;
        files.at += length;
        files.next_frame += 1;
        self.counts[0].fetch_add(1, Ordering::Relaxed);
        self.counts[1].fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Begins the next segment, with room for `length` bytes. Name and header are durable before a frame is written behind them: a frame
    /// without a header is damage, never a crash.
    fn next_segment(&self, files: &mut Files, length: u64) -> io::Result<()> {
        let number = files.segments.back().map_or(1, |&(number, _)| number + 1);
        let name = name(number);
        let bytes = self.segment_bytes.max(length + PAGE as u64);
        match files.spares.pop() {
            Some(spare) if bytes == self.segment_bytes => files.volume.rename(&spare, &name)?,
            spare => {
                files.spares.extend(spare);
                files.volume.create(&name)?;
                let zeros = vec![0; FILL];
                for at in (0..bytes).step_by(FILL) {
                    let some = (bytes - at).min(FILL as u64) as usize;
                    files.volume.write_at(&name, at, &zeros[..some])?;
                }
                files.volume.sync(&name)?;
            }
        }
        let page = segment_page(&files.log, number, files.next_frame);
        files.volume.write_at(&name, 0, &page)?;
        files.volume.sync(&name)?;
        files.segments.push_back((number, bytes));
        files.at = PAGE as u64;
        self.current.store(number, Ordering::Release);
        Ok(())
    }

    /// Number of the oldest segment, and bytes of all.
    pub(super) fn extent(&self) -> (u64, u64) {
        let files = lock(&self.files);
        let oldest = files.segments.front().map_or(0, |&(number, _)| number);
        (oldest, files.segments.iter().map(|&(_, bytes)| bytes).sum())
    }

    /// Frees the oldest segment, which nothing needs any more.
    pub(super) fn free_oldest(&self) -> Result<(), String> {
        let mut files = lock(&self.files);
        if files.segments.len() < 2 {
            return Ok(());
        }
        let (number, bytes) = files.segments.pop_front().expect("two at least");
        let segment = name(number);
        let freed = if bytes == self.segment_bytes && files.spares.len() < MAX_SPARES {
            let spare = format!("{number:020}.spare");
            files.volume.rename(&segment, &spare).map(|()| files.spares.push(spare))
        } else {
            files.volume.remove(&segment)
        };
        drop(files);
        self.counts[4].fetch_add(1, Ordering::Relaxed);
        freed.map_err(|error| {
            let failure = format!("a segment of the vault's log cannot be freed: {error}");
            lock(&self.pending).failed.get_or_insert(failure).clone()
        })
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        let [flushes, bytes, waits, nanos, freed] =
            [0, 1, 2, 3, 4].map(|at: usize| self.counts[at].load(Ordering::Relaxed));
        Counts { flushes, bytes, waits, nanos, freed }
    }

    /// Why nothing more is written, if so.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.pending).failed.clone()
    }

    /// Refuses all that comes after, and tells who waits.
    pub(super) fn close(&self, why: &str) {
        let waiters = {
            let mut pending = lock(&self.pending);
            pending.failed.get_or_insert(why.to_owned());
            std::mem::take(&mut pending.waiters)
        };
        for (_, done) in waiters {
            done(Err(why.to_owned()));
        }
    }
}
