//! The network as the engine sees it, whatever stands behind: peers over authenticated TCP, a simulated network, or nobody.
//!
//! The engine is generic over its channels. These are boxed, so that it is built once for all of them.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::pending;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    BlockedSubscription, Blocker, CheckedSender, LimitedSender, Message, PeerSetSubscription, Provider, Receiver,
    Recipients, Sender, TrackedPeers,
};
use commonware_runtime::IoBufs;
use commonware_utils::channel::{mpsc, ring};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The sending end of a channel.
pub struct Outlet(Box<dyn AnySender>);

/// The receiving end of a channel.
#[derive(Debug)]
pub struct Inlet(Box<dyn AnyReceiver>);

/// The peers, and a way to block one.
#[derive(Debug)]
pub struct Peers(Box<dyn AnyPeers>);

/// A message that may be sent now.
pub struct Ticket<'a>(Box<dyn AnyTicket + 'a>);

/// The channel is closed.
#[derive(Debug)]
pub struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the network is closed")
    }
}

impl std::error::Error for Closed {}

trait AnySender: Send + Sync {
    fn check<'a>(&'a mut self, recipients: Recipients<PublicKey>) -> Result<Box<dyn AnyTicket + 'a>, SystemTime>;
    fn another(&self) -> Box<dyn AnySender>;
}

trait AnyTicket: Send {
    fn recipients(&self) -> Vec<PublicKey>;
    fn send(self: Box<Self>, message: IoBufs, priority: bool) -> Unreliable<Feedback>;
}

trait AnyReceiver: Debug + Send {
    fn recv(&mut self) -> Boxed<'_, Result<Message<PublicKey>, Closed>>;
    fn capacity(&self) -> NonZeroUsize;
}

trait AnyPeers: Debug + Send {
    fn peer_set(&mut self, id: u64) -> Boxed<'_, Option<TrackedPeers<PublicKey>>>;
    fn subscribe(&mut self) -> Boxed<'_, PeerSetSubscription<PublicKey>>;
    fn block(&mut self, peer: PublicKey) -> Feedback;
    fn blocked(&mut self) -> BlockedSubscription<PublicKey>;
    fn another(&self) -> Box<dyn AnyPeers>;
}

impl<S: Sender<PublicKey = PublicKey>> AnySender for S {
    fn check<'a>(&'a mut self, recipients: Recipients<PublicKey>) -> Result<Box<dyn AnyTicket + 'a>, SystemTime> {
        Ok(Box::new(LimitedSender::check(self, recipients)?))
    }

    fn another(&self) -> Box<dyn AnySender> {
        Box::new(self.clone())
    }
}

impl<C: CheckedSender<PublicKey = PublicKey>> AnyTicket for C {
    fn recipients(&self) -> Vec<PublicKey> {
        CheckedSender::recipients(self)
    }

    fn send(self: Box<Self>, message: IoBufs, priority: bool) -> Unreliable<Feedback> {
        CheckedSender::send(*self, message, priority)
    }
}

impl<R: Receiver<PublicKey = PublicKey>> AnyReceiver for R {
    fn recv(&mut self) -> Boxed<'_, Result<Message<PublicKey>, Closed>> {
        Box::pin(async move { Receiver::recv(self).await.map_err(|_| Closed) })
    }

    fn capacity(&self) -> NonZeroUsize {
        Receiver::capacity(self)
    }
}

/// A provider of peers and a blocker are often two halves of one thing.
#[derive(Clone)]
struct Both<P, B>(P, B);

impl<P: Debug, B> Debug for Both<P, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<P: Provider<PublicKey = PublicKey>, B: Blocker<PublicKey = PublicKey>> AnyPeers for Both<P, B> {
    fn peer_set(&mut self, id: u64) -> Boxed<'_, Option<TrackedPeers<PublicKey>>> {
        Box::pin(self.0.peer_set(id))
    }

    fn subscribe(&mut self) -> Boxed<'_, PeerSetSubscription<PublicKey>> {
        Box::pin(self.0.subscribe())
    }

    fn block(&mut self, peer: PublicKey) -> Feedback {
        self.1.block(peer)
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.1.blocked()
    }

    fn another(&self) -> Box<dyn AnyPeers> {
        Box::new(self.clone())
    }
}

/// A channel of the engine over any channel.
pub fn channel(
    (sender, receiver): (impl Sender<PublicKey = PublicKey>, impl Receiver<PublicKey = PublicKey>),
) -> (Outlet, Inlet) {
    (Outlet(Box::new(sender)), Inlet(Box::new(receiver)))
}

impl Peers {
    /// The peers of any network.
    pub fn new(provider: impl Provider<PublicKey = PublicKey>, blocker: impl Blocker<PublicKey = PublicKey>) -> Self {
        Self(Box::new(Both(provider, blocker)))
    }
}

impl Clone for Outlet {
    fn clone(&self) -> Self {
        Self(self.0.another())
    }
}

impl Clone for Peers {
    fn clone(&self) -> Self {
        Self(self.0.another())
    }
}

impl LimitedSender for Outlet {
    type PublicKey = PublicKey;
    type Checked<'a> = Ticket<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Ticket<'_>, SystemTime> {
        self.0.check(recipients).map(Ticket)
    }
}

impl CheckedSender for Ticket<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        self.0.recipients()
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        self.0.send(message.into(), priority)
    }
}

impl Receiver for Inlet {
    type Error = Closed;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Closed> {
        self.0.recv().await
    }

    fn capacity(&self) -> NonZeroUsize {
        self.0.capacity()
    }
}

impl Provider for Peers {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.0.peer_set(id).await
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        self.0.subscribe().await
    }
}

impl Blocker for Peers {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        self.0.block(peer)
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.0.blocked()
    }
}

/// A channel to nobody, both ends of it; and the provider and the blocker of its peers, of which there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoPeers {
    /// The senders of subscriptions that must not close, although nothing will ever be sent on them.
    open: Arc<Mutex<Vec<Box<dyn std::any::Any + Send>>>>,
}

impl NoPeers {
    fn keep(&self, subscription: impl std::any::Any + Send) {
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
