//! What is done with a finalized block: check it (which executes it, if propose and verify have not), store its batch durably, publish
//! how far settlement is, and only then acknowledge it.
//!
//! Marshal delivers in order and at least once: after a crash it delivers again what it had not been told of. A batch that the store
//! holds already is compared by digest and acknowledged quietly. Whatever goes wrong stops the validator; the block is then not
//! acknowledged, and is delivered again at the next start.

use std::sync::Arc;

use commonware_actor::Feedback;
use commonware_consensus::{Heightable, Reporter};
use commonware_utils::Acknowledgement;
use commonware_utils::acknowledgement::Exact;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::batch::Batch;

use super::block::{DigestedBlock, Update};
use super::core::Core;
use super::replica::{Refusal, Tip, lock};
use super::status::{Fault, Finalized};
use super::volume::Volume;

/// Marshal's end: hands finalized blocks over. Marshal lets only a few blocks go unacknowledged, which bounds this channel.
#[derive(Clone)]
pub(super) struct Deliveries {
    sender: UnboundedSender<(DigestedBlock, Exact)>,
}

impl Reporter for Deliveries {
    type Activity = Update;

    fn report(&mut self, update: Update) -> Feedback {
        let Update::Block(block, acknowledgement) = update else { return Feedback::Ok };
        match self.sender.unbounded_send((block, acknowledgement)) {
            Ok(()) => Feedback::Ok,
            Err(_) => Feedback::Closed,
        }
    }
}

/// Applies finalized blocks, one after another.
pub(super) struct Applier<V: Volume> {
    core: Arc<Core<V>>,
    deliveries: UnboundedReceiver<(DigestedBlock, Exact)>,
}

impl<V: Volume> Applier<V> {
    /// An applier, and the end that marshal reports to.
    pub(super) fn new(core: Arc<Core<V>>) -> (Self, Deliveries) {
        let (sender, deliveries) = unbounded();
        (Self { core, deliveries }, Deliveries { sender })
    }

    /// Runs until marshal is gone or something is wrong. `applied` is told each height that is done with.
    pub(super) async fn run(mut self, mut applied: impl FnMut(u64)) {
        while let Some((block, acknowledgement)) = self.deliveries.next().await {
            if let Some(batch) = block.inner().batch()
                && !self.apply(batch)
            {
                return;
            }
            let height = block.height().get();
            self.core.set_applied(height);
            acknowledgement.acknowledge();
            applied(height);
        }
    }

    /// Applies a finalized batch; `false` if the validator has to stop.
    fn apply(&self, batch: &Batch) -> bool {
        let core = &self.core;
        if let Err(refusal) = core.check(batch) {
            match refusal {
                Refusal::Store(error) => core.fail(Fault::Store(error)),
                // The fault that halted the replica is published already.
                Refusal::Halted => core.halt(),
                refusal => drop(core.refuse(batch, refusal)),
            }
            return false;
        }
        let mut store = lock(&core.store);
        if batch.number() <= store.tip() {
            return true;
        }
        if let Err(error) = store.append(batch) {
            drop(store);
            core.fail(Fault::Store(error.to_string()));
            return false;
        }
        drop(store);
        lock(&core.replica).stored(batch.number());
        core.inbox.settled(batch.number());
        core.status.publish(Finalized::from(Tip::of(batch)));
        true
    }
}
