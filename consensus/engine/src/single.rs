//! One validator that agrees with nobody but itself: its own runtime with one worker, its own directory, no port.
//!
//! It is the same engine as a validator among several; only its network is nobody, and a quorum is its own vote.

use std::any::Any;
use std::fs;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_cryptography::Signer;
use commonware_cryptography::ed25519::PrivateKey;
use commonware_runtime::{Runner, Spawner, Supervisor, tokio};
use commonware_utils::ordered::Set;
use futures::future::{Either, select};

use crate::agreement::Agreement;
use crate::identity;
use crate::network::NoPeers;
use crate::node::{self, Channels, Identity, Timing};

/// Worker threads of the engine's runtime.
const WORKERS: usize = 1;

/// Threads that the runtime may use for file operations.
const FILE_THREADS: usize = 8;

/// How long the engine's tasks may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A single validator, ready to run.
pub struct Single {
    storage: PathBuf,
    namespace: String,
    key: PrivateKey,
    timing: Timing,
}

impl Single {
    /// Opens a validator's directory: its key is read from there, or made; its engine keeps its files in `engine/` below it. Votes
    /// are signed for `namespace`: votes of one chain mean nothing on another.
    ///
    /// # Errors
    /// What the operating system reports; a key file that is no key; a timing in which a leader has no time or no view can be certified.
    pub fn open(dir: &Path, namespace: String, timing: Timing) -> io::Result<Self> {
        if timing.leader.is_zero() || timing.certification <= timing.leader {
            let what =
                format!("the certification timeout must exceed the leader timeout, and that 0, unlike in {timing:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        fs::create_dir_all(dir)?;
        Ok(Self { storage: dir.join("engine"), namespace, key: identity::load_or_create(dir)?, timing })
    }

    /// Runs the validator on the calling thread until `halted` resolves.
    ///
    /// # Errors
    /// Why the engine has stopped by itself, which it does when settling fails, or its own files.
    pub fn run(
        self,
        agreement: Arc<dyn Agreement>,
        halted: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Result<(), String> {
        let runtime = tokio::Config::new()
            .with_worker_threads(WORKERS)
            .with_max_blocking_threads(FILE_THREADS)
            .with_storage_directory(&self.storage);
        let run = || tokio::Runner::new(runtime).start(|context| self.validate(context, agreement, halted));
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(message(panic.as_ref())))
    }

    async fn validate(
        self,
        context: tokio::Context,
        agreement: Arc<dyn Agreement>,
        halted: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Result<(), String> {
        let me = self.key.public_key();
        let scheme = Scheme::signer(self.namespace.as_bytes(), Set::from_iter_dedup([me.clone()]), self.key);
        let network = NoPeers::default();
        let channels = Channels {
            votes: network.channel(),
            certificates: network.channel(),
            views: network.channel(),
            blocks: network.channel(),
            backfill: network.channel(),
        };
        let identity = Identity {
            me,
            scheme: scheme.expect("the only participant is among the participants"),
            blocker: network.clone(),
            peers: network,
        };
        let node = node::start(&context, agreement, identity, channels, self.timing).await;
        let outcome = match select(halted, pin!(node.ended())).await {
            Either::Left(_) => Ok(()),
            Either::Right((reason, _)) => Err(reason),
        };
        // What does not end in time is dropped with the runtime; everything durable is durable already.
        let _ = context.child("stop").stop(0, Some(STOP_TIMEOUT)).await;
        outcome
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
