//! A stage on a thread of its own: how it is started, woken, told to end, and how its end is heard of.
//!
//! The thread runs a body that looks at its [`Orders`] between any two steps. However it ends, by an order, a failure or a panic, it says
//! so and wakes the venue's port: a venue that waits for a stage that is no more finds out in its next turn. A handle that is
//! dropped ends its thread.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;

use wirebook_bypass::cpu::topology::Seat;
use wirebook_bypass::cpu::{CpuError, WaitStrategy, Warning, spawn};
use wirebook_bypass::stream::Waker;

/// What a stage is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Run = 0,
    /// Do what is there to be done, then end: nothing more is to come.
    Finish = 1,
    /// End now.
    Abandon = 2,
}

struct Shared {
    order: AtomicU8,
    ended: AtomicBool,
}

/// The thread's end of the orders.
pub(super) struct Orders(Arc<Shared>);

impl Orders {
    /// What it is told now. Whatever was published before the order is seen after it.
    #[inline]
    pub fn now(&self) -> Order {
        match self.0.order.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Finish,
            _ => Order::Abandon,
        }
    }
}

/// Says that the thread has ended, whatever ended it.
struct Ending {
    shared: Arc<Shared>,
    venue: Waker,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.venue.wake();
    }
}

/// A stage's handle.
pub(super) struct Stage<T> {
    thread: Option<JoinHandle<T>>,
    shared: Arc<Shared>,
    /// Whether its loop sleeps when it has nothing to do.
    sleeps: bool,
}

impl<T: Send + 'static> Stage<T> {
    /// Starts a thread at `seat` whose end wakes `venue`.
    ///
    /// # Errors
    /// A core that the process may not use; a thread that cannot be had.
    pub fn start(
        seat: &Seat,
        venue: Waker,
        body: impl FnOnce(&Orders) -> T + Send + 'static,
    ) -> Result<(Self, Vec<Warning>), CpuError> {
        let shared = Arc::new(Shared { order: AtomicU8::new(Order::Run as u8), ended: AtomicBool::new(false) });
        let ending = Ending { shared: Arc::clone(&shared), venue };
        let orders = Orders(Arc::clone(&shared));
        let (thread, warnings) = spawn(&seat.stage, seat.placement(), move || {
            let _ending = ending;
            body(&orders)
        })?;
        let sleeps = matches!(seat.wait, WaitStrategy::Park { .. });
        Ok((Self { thread: Some(thread), shared, sleeps }, warnings))
    }
}

impl<T> Stage<T> {
    /// Something is there for it to do. Publish that first. Costs a system call only if the thread sleeps.
    #[inline]
    pub fn wake(&self) {
        if self.sleeps
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    /// Whether it has ended. What it had published is seen after this.
    #[inline]
    pub fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Gives the order, waits for the end, and returns what the body did.
    ///
    /// # Errors
    /// In words: it panicked, or its end was heard of before.
    pub fn end(&mut self, order: Order) -> Result<T, String> {
        let Some(thread) = self.thread.take() else {
            return Err("its end was told before".into());
        };
        self.shared.order.store(order as u8, Ordering::Release);
        thread.thread().unpark();
        thread.join().map_err(|panic| format!("it panicked: {}", message(panic.as_ref())))
    }
}

impl<T> Drop for Stage<T> {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // Nobody is left to hear of it.
            let _ = self.end(Order::Abandon);
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wirebook_bypass::stream::StreamPort;
    use wirebook_bypass::stream::kernel::{KernelConfig, KernelPort};

    use super::*;

    fn seat(wait: WaitStrategy) -> Seat {
        Seat { stage: "a stage".into(), core: None, wait }
    }

    fn port() -> KernelPort {
        KernelPort::new(&KernelConfig { max_connections: 1, ..KernelConfig::default() }).unwrap()
    }

    fn until_ended<T>(stage: &Stage<T>, port: &mut KernelPort) {
        for _ in 0..60 {
            if stage.ended() {
                return;
            }
            // A second each, if nobody woke it.
            port.wait(Duration::from_secs(1)).unwrap();
        }
        panic!("its end is not heard of");
    }

    #[test]
    fn orders_end_it_and_what_it_did_comes_back() {
        for (order, wait) in [(Order::Finish, WaitStrategy::default()), (Order::Abandon, WaitStrategy::SpinYield)] {
            let port = port();
            let (mut stage, warnings) = Stage::start(&seat(wait), port.waker(), move |orders| {
                while orders.now() == Order::Run {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                orders.now()
            })
            .unwrap();
            assert!(warnings.is_empty(), "{warnings:?}");
            assert!(!stage.ended());
            assert_eq!(stage.end(order), Ok(order));
            assert!(stage.ended());
            assert!(stage.end(order).unwrap_err().contains("before"), "an end is told once");
        }
    }

    #[test]
    fn an_end_by_itself_and_a_panic_wake_the_venue() {
        for panics in [false, true] {
            let mut port = port();
            let (mut stage, _) = Stage::start(&seat(WaitStrategy::default()), port.waker(), move |_| {
                std::thread::sleep(Duration::from_millis(5));
                assert!(!panics, "a planted panic");
                7
            })
            .unwrap();
            until_ended(&stage, &mut port);
            match stage.end(Order::Abandon) {
                Ok(7) => assert!(!panics),
                Err(why) => assert!(panics && why.contains("a planted panic"), "{why}"),
                Ok(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_dropped_handle_ends_its_thread() {
        let port = port();
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let (stage, _) = Stage::start(&seat(WaitStrategy::default()), port.waker(), move |orders| {
            let _held = held;
            while orders.now() == Order::Run {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        })
        .unwrap();
        drop(stage);
        assert_eq!(Arc::strong_count(&alive), 1, "the thread is gone with what it held");
    }
}
