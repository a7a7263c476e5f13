//! The network of a validator that has no peers: it opens no port, sends nothing and receives nothing.
//!
//! The engine is wired to channels, a peer set and a way to block peers, whatever stands behind them; here nothing does.

use std::convert::Infallible;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    BlockedSubscription, Blocker, CheckedSender, LimitedSender, Message, PeerSetSubscription, Provider, Receiver,
    Recipients, TrackedPeers,
};
use commonware_runtime::IoBufs;
use commonware_utils::channel::{mpsc, ring};

/// A channel to nobody, both ends of it; and the provider and the blocker of its peers, of which there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct NoPeers {
    /// Subscriptions that must not close, although nothing will ever be sent on them.
    open: Arc<std::sync::Mutex<Vec<Subscription>>>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held so that the subscriber sees an open, silent channel")]
enum Subscription {
    Peers(mpsc::UnboundedSender<commonware_p2p::PeerSetUpdate<PublicKey>>),
    Blocked(ring::Sender<commonware_utils::ordered::Set<PublicKey>>),
}

impl NoPeers {
    /// The two ends of a channel.
    pub(super) fn channel(&self) -> (Self, Self) {
        (self.clone(), self.clone())
    }

    fn keep(&self, subscription: Subscription) {
        super::replica::lock(&self.open).push(subscription);
    }
}

impl LimitedSender for NoPeers {
    type PublicKey = PublicKey;
    type Checked<'a> = ToNobody;

    fn check(&mut self, _recipients: Recipients<PublicKey>) -> Result<ToNobody, SystemTime> {
        Ok(ToNobody)
    }
}

/// A send to nobody.
#[derive(Debug)]
pub(super) struct ToNobody;

impl CheckedSender for ToNobody {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        Vec::new()
    }

    fn send(self, _message: impl Into<IoBufs> + Send, _priority: bool) -> Unreliable<Feedback> {
        Unreliable::new(Feedback::Ok)
    }
}

impl Receiver for NoPeers {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Infallible> {
        pending().await
    }

    fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

impl Provider for NoPeers {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, _id: u64) -> Option<TrackedPeers<PublicKey>> {
        Some(TrackedPeers::default())
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.keep(Subscription::Peers(sender));
        receiver
    }
}

impl Blocker for NoPeers {
    type PublicKey = PublicKey;

    fn block(&mut self, _peer: PublicKey) -> Feedback {
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(NonZeroUsize::MIN);
        self.keep(Subscription::Blocked(sender));
        receiver
    }
}
