//! One io_uring with one linked write and fdatasync in flight, over buffers that it owns.
//!
//! The ring is set up with cooperative task running: the kernel raises a flag instead of interrupting, so that an idle
//! poll reads two words of shared memory and makes no system call, and a busy one makes one. Buffers are registered
//! when the limit of locked memory allows it. Files are not: the reference that it saves is nothing beside a sync.
//!
//! Why linked write and fdatasync, and not one write with `RWF_DSYNC`: without a disk that has FUA the latter goes
//! through a kernel work queue and waits there behind everything else on a busy machine.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::types::{Fd, FsyncFlags, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

use super::format::ALIGN;
use super::storage::Slot;

/// Entries of the ring: one linked pair is in flight at a time.
const ENTRIES: u32 = 8;
/// `IORING_ENTER_GETEVENTS`: let the kernel finish what is done.
const ENTER_GETEVENTS: u32 = 1;
const WRITE: u64 = 1;
const SYNC: u64 = 2;
/// How often a drop waits for the write in flight, [`DROP_WAIT`] each, before it leaks the buffers instead.
const DROP_ROUNDS: u32 = 500;
const DROP_WAIT: Duration = Duration::from_millis(20);

/// Memory aligned for `O_DIRECT`.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(super) fn new(len: usize) -> Aligned {
        let memory = vec![0; len + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN);
        assert!(start < ALIGN, "bytes can always be aligned");
        Aligned { memory, start, len }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// The write in flight.
#[derive(Debug)]
struct Flight {
    slot: Slot,
    len: u32,
    left: u8,
    error: Option<io::Error>,
}

/// See the module.
pub(super) struct Ring {
    ring: IoUring,
    buffers: [Aligned; 3],
    registered: bool,
    flight: Option<Flight>,
    calls: u64,
}

fn index(slot: Slot) -> usize {
    match slot {
        Slot::Header => 0,
        Slot::A => 1,
        Slot::B => 2,
    }
}

impl Ring {
    /// A ring that signals `wake` on completions and keeps `lock` open until its last request has ended, even when
    /// the process is killed.
    pub(super) fn new(wake: Option<&File>, lock: &File) -> io::Result<Ring> {
        let ring: IoUring = IoUring::builder().setup_coop_taskrun().setup_taskrun_flag().build(ENTRIES)?;
        ring.submitter().register_files(&[lock.as_raw_fd()])?;
        if let Some(wake) = wake {
            ring.submitter().register_eventfd(wake.as_raw_fd())?;
        }
        Ok(Ring { ring, buffers: Default::default(), registered: false, flight: None, calls: 0 })
    }

    /// Makes the buffers: 4 KiB for headers, twice `block`. Tells whether they could be registered.
    pub(super) fn reserve(&mut self, block: usize) -> io::Result<bool> {
        assert!(self.flight.is_none(), "buffers are replaced while the disk reads them");
        if mem::take(&mut self.registered) {
            self.ring.submitter().unregister_buffers()?;
        }
        self.buffers = [Aligned::new(ALIGN), Aligned::new(block), Aligned::new(block)];
        let vectors = self
            .buffers
            .each_ref()
            .map(|buffer| libc::iovec { iov_base: buffer.bytes().as_ptr().cast_mut().cast(), iov_len: buffer.len });
        // SAFETY: the three ranges are live heap memory that `self` owns. They are freed only in `reserve`, after they
        // were unregistered, and in `drop`, when nothing is in flight.
        self.registered = unsafe { self.ring.submitter().register_buffers(&vectors) }.is_ok();
        Ok(self.registered)
    }

    /// A buffer that is not in flight.
    pub(super) fn buffer(&mut self, slot: Slot) -> &mut [u8] {
        // The kernel reads the buffer in flight: handing it out would be a race, and would write torn blocks.
        assert!(self.flight.as_ref().is_none_or(|f| f.slot != slot), "the buffer {slot:?} is in flight");
        self.buffers[index(slot)].bytes_mut()
    }

    /// Whether a write is in flight.
    pub(super) fn busy(&self) -> bool {
        self.flight.is_some()
    }

    /// How many system calls have been made since the start.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Queues the linked pair. No system call yet.
    pub(super) fn queue(&mut self, file: RawFd, slot: Slot, len: usize, offset: u64) -> io::Result<()> {
        assert!(self.flight.is_none(), "one write is in flight at a time");
        let bytes = self.buffers[index(slot)].bytes();
        assert!(
            len <= bytes.len() && len.is_multiple_of(ALIGN) && offset.is_multiple_of(ALIGN as u64),
            "aligned write"
        );
        let (start, count) = (bytes.as_ptr(), len as u32);
        let write = if self.registered {
            opcode::WriteFixed::new(Fd(file), start, count, index(slot) as u16).offset(offset).build()
        } else {
            opcode::Write::new(Fd(file), start, count).offset(offset).build()
        };
        let sync = opcode::Fsync::new(Fd(file)).flags(FsyncFlags::DATASYNC).build();
        let pair = [write.flags(squeue::Flags::IO_LINK).user_data(WRITE), sync.user_data(SYNC)];
        // SAFETY: the buffer lives until both completions are reaped: `flight` keeps `buffer` from handing it out,
        // and `drop` waits or leaks. The descriptor is kept open by the caller until then.
        unsafe { self.ring.submission().push_multiple(&pair) }
            .map_err(|_| io::Error::from_raw_os_error(libc::EBUSY))?;
        self.flight = Some(Flight { slot, len: count, left: 2, error: None });
        Ok(())
    }

    /// One system call when something is queued or done, else none.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        let queued = {
            let mut queue = self.ring.submission();
            queue.sync();
            if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() {
                return Ok(());
            }
            queue.len() as u32
        };
        self.calls += 1;
        // SAFETY: the queued entries are valid as argued in `queue`; no signal mask is passed.
        let entered = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, ENTER_GETEVENTS, None) };
        passing(entered.map(drop))
    }

    /// Waits for a completion, at most `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<()> {
        let time = Timespec::from(limit);
        self.calls += 1;
        passing(self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time)).map(drop))
    }

    /// The result of the pair in flight, once both of its completions are there.
    pub(super) fn reap(&mut self) -> Option<io::Result<()>> {
        let flight = self.flight.as_mut()?;
        for completion in self.ring.completion() {
            let result = completion.result();
            let error = match completion.user_data() {
                _ if result < 0 => Some(io::Error::from_raw_os_error(-result)),
                WRITE if result as u32 != flight.len => {
                    Some(io::Error::new(io::ErrorKind::WriteZero, format!("{result} of {} bytes written", flight.len)))
                }
                _ => None,
            };
            // The first error is the cause; the link then cancels the sync.
            if flight.error.is_none() {
                flight.error = error;
            }
            flight.left = flight.left.saturating_sub(1);
        }
        if flight.left > 0 {
            return None;
        }
        let flight = self.flight.take()?;
        Some(flight.error.map_or(Ok(()), Err))
    }
}

/// What a later call will make good is no error.
fn passing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME)) => Ok(()),
        other => other,
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for _ in 0..DROP_ROUNDS {
            if self.reap().is_some() || self.flight.is_none() {
                return;
            }
            if self.wait(DROP_WAIT).is_err() {
                break;
            }
        }
        // The disk may still read them: better lost than reused.
        mem::forget(mem::take(&mut self.buffers));
    }
}
