//! What is done with a finalized block: its body is settled, then its height is made known, and only then is it acknowledged.
//!
//! Marshal delivers in order and at least once: after a crash it delivers again what it had not been told of. If settling fails the
//! applier ends, and with it the validator; the block is then not acknowledged, and is delivered again at the next start.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use commonware_actor::Feedback;
use commonware_consensus::{Block as _, Heightable, Reporter};
use commonware_cryptography::Digestible;
use commonware_cryptography::blake3::Digest;
use commonware_utils::Acknowledgement;
use commonware_utils::acknowledgement::Exact;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::agreement::{Agreement, Place};
use crate::block::{Block, DigestedBlock, Update};
use crate::certificate::Certificates;

/// Marshal's end: hands finalized blocks over. Marshal lets only a few blocks go unacknowledged, which bounds this channel.
#[derive(Clone)]
pub(crate) struct Deliveries {
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

/// Settles finalized blocks, one after another.
pub(crate) struct Applier {
    agreement: Arc<dyn Agreement>,
    certificates: Certificates,
    settled: Arc<AtomicU64>,
    deliveries: UnboundedReceiver<(DigestedBlock, Exact)>,
}

impl Applier {
    /// An applier, and the end that marshal reports to. `settled` is raised to each height that is settled.
    pub(crate) fn new(
        agreement: Arc<dyn Agreement>,
        certificates: Certificates,
        settled: Arc<AtomicU64>,
    ) -> (Self, Deliveries) {
        let (sender, deliveries) = unbounded();
        (Self { agreement, certificates, settled, deliveries }, Deliveries { sender })
    }

    /// Runs until marshal is gone or settling fails. `look_up` finds the certificate of a block at a height that came without one, if marshal
    /// has it; `done` is told the height and the size of each block that is done with.
    pub(crate) async fn run<F: Future<Output = Option<Bytes>>>(
        mut self,
        look_up: impl Fn(u64) -> F,
        mut done: impl FnMut(u64, usize),
    ) {
        while let Some((block, acknowledgement)) = self.deliveries.next().await {
            let height = block.height().get();
            let certificate = match self.certificates.take(&block.digest()) {
                None => look_up(height).await,
                known => known,
            };
            let body = block.inner().body();
            if !self.agreement.settle(body, &place(block.inner(), &block.digest(), certificate.as_deref())) {
                return;
            }
            self.settled.store(height, Ordering::Release);
            self.agreement.settled(height);
            acknowledgement.acknowledge();
            done(height, body.map_or(0, |body| body.len()));
        }
    }
}

/// What the agreement is told of a block.
pub(crate) fn place<'a>(block: &'a Block, digest: &Digest, certificate: Option<&'a [u8]>) -> Place<'a> {
    Place {
        height: block.height().get(),
        parent: bytes(&block.parent()),
        digest: bytes(digest),
        settles: block.settles(),
        notes: block.notes(),
        certificate,
    }
}

fn bytes(digest: &Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("a digest has 32 bytes")
}
