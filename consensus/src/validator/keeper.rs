//! What a validator does beside settling, on a thread of its own: it keeps snapshots, lets go of what they make superfluous, and keeps the
//! newest anchor for backups.
//!
//! A snapshot is due every so many batches. It is made of a fork of the replica's state, which costs the replica a copy in memory, once that
//! state can be shown to be final; the rest is done here. A snapshot that cannot be written is told and tried again at the next: settlement
//! goes on without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::core::Core;
use super::replica::lock;
use super::snapshots::Snapshots;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// How often the newest anchor is kept, if there is a newer one.
const ANCHOR_EVERY: Duration = Duration::from_secs(1);

/// When snapshots are made, and what they let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Batches between two snapshots; 0: none are made.
    pub every_batches: u64,
    /// Whether all batches are kept, although snapshots make the oldest superfluous. If not, those before the last snapshot but one go.
    pub all_batches: bool,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { every_batches: 0, all_batches: true }
    }
}

/// The thread.
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    told: Arc<Mutex<Option<String>>>,
}

impl Keeper {
    pub(super) fn start(core: Arc<Core>, snapshots: Snapshots, keeping: Keeping) -> std::io::Result<Self> {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (stopping, telling) = (stop.clone(), told.clone());
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || {
            let mut last = snapshots.numbers().ok().and_then(|numbers| numbers.first().copied()).unwrap_or(0);
            let (mut anchored, mut looked) = (0, Instant::now());
            if let Ok(Some(anchor)) = snapshots.anchor() {
                core.keep_anchor(&anchor);
            }
            loop {
                let ends = stopping.load(Ordering::Acquire);
                let height = core.status.finalized().height;
                if (ends || looked.elapsed() >= ANCHOR_EVERY) && height > anchored {
                    looked = Instant::now();
                    let kept = core.newest_anchor().map(|anchor| {
                        core.keep_anchor(&anchor);
                        snapshots.keep_anchor(&anchor)
                    });
                    match kept {
                        Ok(Ok(())) => anchored = height,
                        Ok(Err(error)) => tell(&telling, format!("the newest anchor cannot be kept: {error}")),
                        // Nothing signed is at hand.
                        Err(_) => {}
                    }
                }
                if ends {
                    return;
                }
                if keeping.every_batches > 0 && height >= last + keeping.every_batches {
                    match core.snapshot(|| stopping.load(Ordering::Acquire)) {
                        Ok(Some(snapshot)) => {
                            last = snapshot.number();
                            let kept = snapshots.keep(&snapshot).map_err(|error| error.to_string());
                            let pruned = kept.and_then(|()| match keeping.all_batches {
                                true => Ok(()),
                                false => prune(&core, &snapshots),
                            });
                            if let Err(why) = pruned {
                                tell(&telling, format!("no snapshot of batch {last}: {why}"));
                            }
                        }
                        Ok(None) => {}
                        Err(why) => {
                            last = height;
                            tell(&telling, format!("no snapshot at batch {height}: {why}"));
                        }
                    }
                }
                std::thread::sleep(LOOK);
            }
        })?;
        Ok(Self { stop, thread: Some(thread), told })
    }

    /// What has gone wrong last, if something has.
    pub(super) fn told(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it; the newest anchor is kept then.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn tell(told: &Mutex<Option<String>>, what: String) {
    *lock(told) = Some(what);
}

/// Lets go of the batches before the last snapshot but one.
fn prune(core: &Core, snapshots: &Snapshots) -> Result<(), String> {
    let numbers = snapshots.numbers().map_err(|error| error.to_string())?;
    let Some(&kept) = numbers.get(1) else { return Ok(()) };
    core.prune(kept).map_err(|error| error.to_string())
}
