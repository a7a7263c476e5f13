//! The ring itself: made, entered, reaped.
//!
//! It is made disabled, and enabled by the first thread that enters it, which is then the only one that may: so a port can be made
//! here and driven there, and the kernel need not interrupt anybody (single issuer, deferred task running). An entry is one system
//! call that both submits and collects; when nothing is queued and the kernel's flag says that nothing has happened, there is none.

#![allow(unsafe_code)]

use super::config::{SubmissionThread, UringConfig};
use io_uring::types::{CancelBuilder, Napi, SubmitArgs, Timespec};
use io_uring::{IoUring, squeue};
use std::io;
use std::time::Duration;

/// `IORING_ENTER_GETEVENTS`: let the kernel finish what is done.
const ENTER_GETEVENTS: u32 = 1;
/// `IORING_ENTER_SQ_WAKEUP`: the submission thread sleeps.
const ENTER_SQ_WAKEUP: u32 = 2;
/// Entries of the submission queue, at most; more sends than that in one flush are submitted in parts.
const MAX_ENTRIES: usize = 4096;
/// Requests that are not a connection's: accepts, polls, cancels.
const OTHERS: usize = 128;
/// Completions for each entry: received bursts come without a submission of their own.
const COMPLETIONS: u32 = 4;
/// How long a cancellation may take.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
/// Looks at the submission thread's progress before a close gives up waiting for it.
const DRAIN_LOOKS: u32 = 10_000;

pub(super) struct Ring {
    ring: IoUring,
    enabled: bool,
    submission_thread: bool,
}

impl Ring {
    pub fn new(config: &UringConfig) -> io::Result<Self> {
        let entries = (config.max_connections + OTHERS).next_power_of_two().min(MAX_ENTRIES) as u32;
        let mut builder = IoUring::builder();
        builder.setup_r_disabled().setup_single_issuer().setup_cqsize(entries * COMPLETIONS).setup_submit_all();
        match config.submission_thread {
            None => {
                builder.setup_defer_taskrun().setup_taskrun_flag();
            }
            Some(SubmissionThread { idle_ms, core }) => {
                builder.setup_sqpoll(idle_ms);
                if let Some(core) = core {
                    builder.setup_sqpoll_cpu(core);
                }
            }
        }
        let ring = builder.build(entries)?;
        if config.napi_busy_poll_us > 0 {
            let mut napi = Napi::new().set_busy_poll_timeout(config.napi_busy_poll_us).set_prefer_busy_poll(true);
            ring.submitter().register_napi(&mut napi)?;
        }
        Ok(Self { ring, enabled: false, submission_thread: config.submission_thread.is_some() })
    }

    /// The most completions that one reaping gives.
    pub fn most_completions(&self) -> usize {
        self.ring.params().cq_entries() as usize
    }

    /// For registering files and buffers.
    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    /// Queues a request. Without a system call, unless the queue is full.
    ///
    /// # Safety
    /// What the request points to stays valid until its completion is reaped or the ring is gone.
    pub unsafe fn push(&mut self, request: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's word.
        if unsafe { self.ring.submission().push(request) }.is_ok() {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller's word.
        unsafe { self.ring.submission().push(request) }.map_err(|_| io::Error::from_raw_os_error(libc::EBUSY))
    }

    /// Whether an entry would do nothing.
    #[inline]
    pub fn is_idle(&mut self) -> bool {
        let mut queue = self.ring.submission();
        queue.sync();
        if self.submission_thread {
            return !queue.cq_overflow() && (queue.is_empty() || !queue.need_wakeup());
        }
        queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
    }

    /// One system call: submits what is queued, and collects what is done.
    pub fn enter(&mut self) -> io::Result<()> {
        self.enable()?;
        let queued = self.ring.submission().len() as u32;
        let flags = if self.submission_thread { ENTER_GETEVENTS | ENTER_SQ_WAKEUP } else { ENTER_GETEVENTS };
        // SAFETY: requests are valid by the word of those who pushed them; no signal mask is passed.
        let entered = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, flags, None) };
        passing(entered.map(drop))
    }

    /// Submits what is queued, and sleeps until something is done, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> io::Result<()> {
        self.enable()?;
        let time = Timespec::from(limit);
        passing(self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time)).map(drop))
    }

    /// The next that is done: its result, flags and user data.
    #[inline]
    pub fn completion(&mut self) -> Option<(i32, u32, u64)> {
        let done = self.ring.completion().next()?;
        Some((done.result(), done.flags(), done.user_data()))
    }

    /// Ends requests and waits for that. What they pointed to is touched no more.
    pub fn cancel(&mut self, which: CancelBuilder) -> io::Result<()> {
        // What is queued and not submitted would escape.
        for _ in 0..DRAIN_LOOKS {
            if self.ring.submission().is_empty() {
                break;
            }
            self.enter()?;
        }
        self.enable()?;
        match self.ring.submitter().register_sync_cancel(Some(Timespec::from(CANCEL_LIMIT)), which) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        Ok(())
    }
}

/// What a later call will make good is no error.
fn passing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME)) => Ok(()),
        other => other,
    }
}
