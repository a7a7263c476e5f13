//! The one context that everything of the engine runs in: a runtime, real or simulated, over a [`Shelf`].
//!
//! The engine is generic over its context, and is minutes to build for each. One type that holds either runtime makes it one build: the
//! simulator runs the very code that a validator runs.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use commonware_runtime::telemetry::metrics::{Metric, Registered};
use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Spawner, Storage, Supervisor, deterministic, signal, tokio,
};
use futures::future::Either;
use rand_core::{CryptoRng, Rng, TryCryptoRng, TryRng};

use crate::shelf::{self, Blob, Shelf};

/// What drives a context's tasks and clock.
pub(crate) enum Runtime {
    /// Threads, and the system's clock.
    Real(tokio::Context),
    /// One thread, a seed, and a clock that jumps.
    Simulated(deterministic::Context),
}

/// A runtime over a shelf.
pub struct Context {
    runtime: Runtime,
    shelf: Arc<dyn Shelf>,
}

/// The same of whichever runtime it is.
macro_rules! either {
    ($runtime:expr, $inner:ident => $what:expr) => {
        match $runtime {
            Runtime::Real($inner) => $what,
            Runtime::Simulated($inner) => $what,
        }
    };
}

/// The same runtime, of whichever it is, changed.
macro_rules! change {
    ($runtime:expr, $inner:ident => $what:expr) => {
        match $runtime {
            Runtime::Real($inner) => Runtime::Real($what),
            Runtime::Simulated($inner) => Runtime::Simulated($what),
        }
    };
}

impl Context {
    /// A context of the real world.
    pub fn real(runtime: tokio::Context, shelf: Arc<dyn Shelf>) -> Self {
        Self { runtime: Runtime::Real(runtime), shelf }
    }

    /// A context of a simulated one.
    pub fn simulated(runtime: deterministic::Context, shelf: Arc<dyn Shelf>) -> Self {
        Self { runtime: Runtime::Simulated(runtime), shelf }
    }
}

impl Supervisor for Context {
    fn name(&self) -> Name {
        either!(&self.runtime, inner => inner.name())
    }

    fn child(&self, label: &'static str) -> Self {
        Self { runtime: change!(&self.runtime, inner => inner.child(label)), shelf: self.shelf.clone() }
    }

    fn with_attribute(self, key: &'static str, value: impl Display) -> Self {
        Self { runtime: change!(self.runtime, inner => inner.with_attribute(key, value)), shelf: self.shelf }
    }
}

impl Spawner for Context {
    fn shared(self, blocking: bool) -> Self {
        Self { runtime: change!(self.runtime, inner => inner.shared(blocking)), shelf: self.shelf }
    }

    fn dedicated(self) -> Self {
        Self { runtime: change!(self.runtime, inner => inner.dedicated()), shelf: self.shelf }
    }

    fn spawn<F, Fut, T>(self, task: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let shelf = self.shelf;
        match self.runtime {
            Runtime::Real(inner) => inner.spawn(move |inner| task(Self { runtime: Runtime::Real(inner), shelf })),
            Runtime::Simulated(inner) => {
                inner.spawn(move |inner| task(Self { runtime: Runtime::Simulated(inner), shelf }))
            }
        }
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        either!(self.runtime, inner => inner.stop(value, timeout).await)
    }

    fn stopped(&self) -> signal::Signal {
        either!(&self.runtime, inner => inner.stopped())
    }
}

impl Metrics for Context {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(&self, name: N, help: H, metric: M) -> Registered<M> {
        either!(&self.runtime, inner => inner.register(name, help, metric))
    }

    fn encode(&self) -> String {
        either!(&self.runtime, inner => inner.encode())
    }
}

impl governor::clock::Clock for Context {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.current()
    }
}

impl governor::clock::ReasonablyRealtime for Context {}

impl Clock for Context {
    fn current(&self) -> SystemTime {
        either!(&self.runtime, inner => inner.current())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        match &self.runtime {
            Runtime::Real(inner) => Either::Left(inner.sleep(duration)),
            Runtime::Simulated(inner) => Either::Right(inner.sleep(duration)),
        }
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        match &self.runtime {
            Runtime::Real(inner) => Either::Left(inner.sleep_until(deadline)),
            Runtime::Simulated(inner) => Either::Right(inner.sleep_until(deadline)),
        }
    }
}

impl TryRng for Context {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(either!(&mut self.runtime, inner => inner.next_u32()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(either!(&mut self.runtime, inner => inner.next_u64()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        either!(&mut self.runtime, inner => inner.fill_bytes(bytes));
        Ok(())
    }
}

impl TryCryptoRng for Context {}

const _: fn() = || {
    fn is_random<T: CryptoRng>() {}
    is_random::<Context>();
};

impl Storage for Context {
    type Blob = Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        shelf::open(self.shelf.as_ref(), partition, name, versions)
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        shelf::remove(self.shelf.as_ref(), partition, name)
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        shelf::scan(self.shelf.as_ref(), partition)
    }
}
