//! The network of a validator that has no peers: it opens no port, sends nothing and receives nothing.
//!
//! The engine is wired to channels, a peer set and a way to block peers, whatever stands behind them; here nothing does.

use std::any::Any;
use std::convert::Infallible;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
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
pub(crate) struct NoPeers {
    /// The senders of subscriptions that must not close, although nothing will ever be sent on them.
    open: Arc<Mutex<Vec<Box<dyn Any + Send>>>>,
}

impl NoPeers {
    /// The two ends of a channel.
    pub(crate) fn channel(&self) -> (Self, Self) {
        (self.clone(), self.clone())
    }

    fn keep(&self, subscription: impl Any + Send) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(subscription));
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
pub(crate) struct ToNobody;

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
        self.keep(sender);
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
        self.keep(sender);
        receiver
    }
}
