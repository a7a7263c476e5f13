//! Waking a poll loop that sleeps in the system, from another thread, cheaply when it does not sleep.
//!
//! One atomic word holds whether the loop is awake, asleep, or woken. The loop says *asleep* before it sleeps, which fails if it was
//! woken since; a waker says *woken*, and only if that found the loop asleep does it make the system call. As both are
//! read-modify-writes of one word, one of them sees the other: whoever publishes work and then wakes is never slept through.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::Arc;

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU32, Ordering};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const WOKEN: u32 = 2;

/// The word, apart from the system call, so that loom can check it.
struct State(AtomicU32);

impl State {
    fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// Called by the loop before it sleeps. `false`: it was woken since it last asked, and must look for work first.
    fn fall_asleep(&self) -> bool {
        let fell = self.0.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !fell {
            self.awake();
        }
        fell
    }

    /// Called by the loop when it is awake again, before it looks for work.
    fn awake(&self) {
        // A swap, not a store: it must see what every waker so far has published.
        self.0.swap(AWAKE, Ordering::AcqRel);
    }

    /// Called by a waker after it has published work. `true`: the loop sleeps, and needs a nudge.
    fn wake(&self) -> bool {
        self.0.swap(WOKEN, Ordering::AcqRel) == ASLEEP
    }
}

struct Shared {
    state: State,
    eventfd: File,
}

/// Wakes a port's `wait`. Cheap to clone, and to call when the loop is awake: one atomic swap.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Makes the loop's current or next `wait` return. Publish the work first.
    #[inline]
    pub fn wake(&self) {
        if self.0.state.wake() {
            // Can only fail if the counter is full, which wakes as well.
            let _ = (&self.0.eventfd).write(&1u64.to_ne_bytes());
        }
    }
}

/// The loop's end.
pub struct Sleeper(Arc<Shared>);

impl Sleeper {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(Arc::new(Shared {
            state: State::new(),
            // SAFETY: a descriptor that was just made, and that nobody else owns.
            eventfd: unsafe { File::from_raw_fd(fd) },
        })))
    }

    pub fn waker(&self) -> Waker {
        Waker(self.0.clone())
    }

    /// The descriptor that becomes readable when a waker finds the loop asleep.
    pub fn fd(&self) -> RawFd {
        self.0.eventfd.as_raw_fd()
    }

    pub fn fall_asleep(&self) -> bool {
        self.0.state.fall_asleep()
    }

    pub fn awake(&self) {
        self.0.state.awake();
    }

    /// Makes the descriptor unreadable again.
    pub fn drain(&self) {
        // Would block if a wake-up was drained already: just as well.
        let _ = (&self.0.eventfd).read(&mut [0; 8]);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::State;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use loom::thread;

    /// A loop that sleeps until it has seen the work of two wakers; the nudge stands for the eventfd.
    fn sleep_for_two(wake: fn(&State) -> bool) {
        let mut builder = loom::model::Builder::new();
        // Three threads: without a bound loom would take hours.
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let state = Arc::new(State::new());
            let nudged = Arc::new(AtomicBool::new(false));
            let work = Arc::new(AtomicU32::new(0));
            let wakers: Vec<_> = (0..2)
                .map(|_| {
                    let (state, nudged, work) = (state.clone(), nudged.clone(), work.clone());
                    thread::spawn(move || {
                        work.fetch_add(1, Ordering::Relaxed);
                        if wake(&state) {
                            nudged.store(true, Ordering::Release);
                        }
                    })
                })
                .collect();
            // Each waker ends at most one sleep.
            let mut sleeps = 0;
            while work.load(Ordering::Relaxed) < 2 {
                if !state.fall_asleep() {
                    continue;
                }
                sleeps += 1;
                assert!(sleeps <= 3, "woken without cause");
                // Exactly one waker finds a sleeper asleep, so nothing is lost between these two.
                while !nudged.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                nudged.store(false, Ordering::Relaxed);
                state.awake();
            }
            for waker in wakers {
                waker.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_work_is_never_slept_through() {
        sleep_for_two(State::wake);
    }

    // A waker that looks before it tells can be slept through: the loop then waits for ever.
    #[test]
    #[should_panic]
    fn loom_sees_a_lost_wake_up() {
        sleep_for_two(|state| {
            let asleep = state.0.load(Ordering::Acquire) == super::ASLEEP;
            state.0.store(super::WOKEN, Ordering::Release);
            asleep
        });
    }
}
