//! A world made of one seed: validators on one thread, a network with faults between them, a clock that jumps from event to event.
//!
//! A validator in it is what [`node`] wires up, over a [`Shelf`] and for an [`Agreement`] of the caller's; it may be killed at any moment
//! and started again. Twins are one validator that runs twice under one key, each of them for a part of the others: whatever equivocation
//! two honest states can lead to comes of them. The same seed and the same scenario give the same run, task by task.

use std::future::Future;
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use commonware_codec::Encode;
use commonware_consensus::BoundedBlock;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_cryptography::Signer;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_p2p::Recipients;
use commonware_p2p::simulated::{self, Network, Oracle, Receiver, Sender, SplitOrigin, SplitTarget};
use commonware_runtime::{Clock, Handle, Quota, Runner, Spawner, Supervisor, deterministic};
use commonware_utils::Probability;
use commonware_utils::ordered::Set;

use crate::agreement::Agreement;
use crate::block::Block;
use crate::context::Context;
use crate::network::{self, Inlet, Outlet, Peers};
use crate::node::{self, Channels, Identity, Timing};
use crate::shelf::Shelf;

/// How much time one round of the scheduler takes: it polls every task that is ready once.
const CYCLE: Duration = Duration::from_micros(100);
/// Messages a second and peer on one channel.
const MESSAGE_RATE: NonZeroU32 = NonZeroU32::new(2048).expect("not 0");
/// Bytes of a message beside the block in it.
const MESSAGE_ROOM: usize = 64 << 10;
/// Parts of a link's [`Link::delivers`].
const PARTS: u64 = 1000;

/// Something that runs in the world.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How one member's messages reach another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Mean delay.
    pub latency: Duration,
    /// Its standard deviation.
    pub jitter: Duration,
    /// Of a thousand messages, so many arrive.
    pub delivers: u16,
}

/// With which of two twins another member talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// With the first.
    First,
    /// With the second.
    Second,
    /// With both.
    Both,
}

/// The network and the clock, and the members' keys.
pub struct World {
    context: deterministic::Context,
    oracle: Oracle<PublicKey, deterministic::Context>,
    namespace: String,
    keys: Vec<PrivateKey>,
    participants: Set<PublicKey>,
    lives: u64,
}

/// One life of a validator, from its start to its end or to the end of the world.
pub struct Life {
    handle: Handle<()>,
    ended: Arc<Mutex<Option<String>>>,
}

impl Life {
    /// Kills it. It runs not one step more, and nothing it holds is told so.
    pub fn kill(&self) {
        self.handle.abort();
    }

    /// Why it has ended by itself, if it has.
    pub fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a scenario in a world with this many members, none of which runs yet and none of which is linked to another. Answers a digest of
/// everything that ran, in its order.
///
/// # Panics
/// When anything in it panics, and when it takes longer than `limit` of its own time.
pub fn run(
    seed: u64,
    members: usize,
    namespace: &str,
    limit: Duration,
    scenario: Box<dyn FnOnce(World) -> Task + Send>,
) -> String {
    let config = deterministic::Config::new().with_seed(seed).with_cycle(CYCLE).with_timeout(Some(limit));
    let namespace = namespace.to_owned();
    deterministic::Runner::new(config).start(move |context| async move {
        let auditor = context.auditor();
        scenario(World::new(context, members, namespace).await).await;
        auditor.state()
    })
}

impl World {
    async fn new(context: deterministic::Context, members: usize, namespace: String) -> Self {
        let mut keys: Vec<PrivateKey> = (0..members as u64).map(PrivateKey::from_seed).collect();
        keys.sort_by_key(Signer::public_key);
        let participants = Set::from_iter_dedup(keys.iter().map(Signer::public_key));
        let config = simulated::Config {
            max_size: u32::try_from(Block::max_encode_size(&()) + MESSAGE_ROOM).expect("a few megabytes"),
            max_peers_per_set: NonZeroUsize::new(members).expect("a world has members"),
            // Who is caught lying goes on lying.
            disconnect_on_block: false,
            tracked_peer_sets: NonZeroUsize::MIN,
        };
        let peers: Vec<PublicKey> = participants.iter().cloned().collect();
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, peers).await;
        network.start();
        Self { context, oracle, namespace, keys, participants, lives: 0 }
    }

    /// The members' public keys, in their order.
    pub fn public_keys(&self) -> Vec<[u8; 32]> {
        self.keys.iter().map(|key| bytes(&key.public_key())).collect()
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.context.current().duration_since(SystemTime::UNIX_EPOCH).expect("a world begins at the epoch")
    }

    /// Lets time pass.
    pub async fn sleep(&self, time: Duration) {
        self.context.sleep(time).await;
    }

    /// Links one member to another, one way; `None` cuts the link.
    pub async fn link(&self, from: usize, to: usize, link: Option<Link>) {
        let (sender, receiver) = (self.keys[from].public_key(), self.keys[to].public_key());
        // There may be no link yet.
        let _ = self.oracle.remove_link(sender.clone(), receiver.clone()).await;
        if let Some(Link { latency, jitter, delivers }) = link {
            let success_rate = Probability::new(delivers.into(), PARTS).expect("at most a thousand of a thousand");
            let link = simulated::Link { latency, jitter, success_rate };
            self.oracle.add_link(sender, receiver, link).await.expect("the link was cut");
        }
    }

    /// Starts a member, which must not be running.
    pub async fn start(
        &mut self,
        member: usize,
        shelf: Arc<dyn Shelf>,
        agreement: Arc<dyn Agreement>,
        timing: Timing,
    ) -> Life {
        let mut channels = Vec::new();
        for at in 0..Channels::COUNT {
            channels.push(network::channel(self.register(member, at).await));
        }
        self.launch(member, channels, shelf, agreement, timing)
    }

    /// Starts a member twice under its one key; `sides` says with which of the twins each of the others talks.
    pub async fn start_twins(
        &mut self,
        member: usize,
        sides: &[Side],
        twins: [(Arc<dyn Shelf>, Arc<dyn Agreement>); 2],
        timing: Timing,
    ) -> [Life; 2] {
        let sides: Arc<[(PublicKey, Side)]> =
            self.keys.iter().map(Signer::public_key).zip(sides.iter().copied()).collect();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for at in 0..Channels::COUNT {
            let (sender, receiver) = self.register(member, at).await;
            let known = sides.clone();
            let senders = sender.split_with(move |origin, wanted: &Recipients<PublicKey>, _: &_| {
                let reaches = |peer: &PublicKey, side: Side| {
                    let asked = match wanted {
                        Recipients::All => true,
                        Recipients::Some(some) => some.contains(peer),
                        Recipients::One(one) => one == peer,
                    };
                    let other = if origin == SplitOrigin::Primary { Side::Second } else { Side::First };
                    asked && side != other
                };
                let reached = known.iter().filter(|(peer, side)| reaches(peer, *side));
                Some(Recipients::Some(reached.map(|(peer, _)| peer.clone()).collect()))
            });
            let known = sides.clone();
            self.lives += 1;
            let context = self.context.child("twins").with_attribute("life", self.lives);
            let receivers = receiver.split_with(context, move |(from, _): &(PublicKey, _)| {
                match known.iter().find(|(peer, _)| peer == from) {
                    Some((_, Side::First)) => SplitTarget::Primary,
                    Some((_, Side::Second)) => SplitTarget::Secondary,
                    Some((_, Side::Both)) => SplitTarget::Both,
                    None => SplitTarget::None,
                }
            });
            first.push(network::channel((senders.0, receivers.0)));
            second.push(network::channel((senders.1, receivers.1)));
        }
        let [one, other] = twins;
        [self.launch(member, first, one.0, one.1, timing), self.launch(member, second, other.0, other.1, timing)]
    }

    async fn register(
        &self,
        member: usize,
        channel: u64,
    ) -> (Sender<PublicKey, deterministic::Context>, Receiver<PublicKey>) {
        let control = self.oracle.control(self.keys[member].public_key());
        control.register(channel, Quota::per_second(MESSAGE_RATE)).await.expect("the network runs")
    }

    fn launch(
        &mut self,
        member: usize,
        channels: Vec<(Outlet, Inlet)>,
        shelf: Arc<dyn Shelf>,
        agreement: Arc<dyn Agreement>,
        timing: Timing,
    ) -> Life {
        let key = self.keys[member].clone();
        let me = key.public_key();
        let peers = Peers::new(self.oracle.manager(), self.oracle.control(me.clone()));
        let scheme = Scheme::signer(self.namespace.as_bytes(), self.participants.clone(), key);
        let identity = Identity { me, scheme: scheme.expect("a member is a participant"), peers, floor: None };
        self.lives += 1;
        let context = self.context.child("validator").with_attribute("life", self.lives);
        let ended = Arc::new(Mutex::new(None));
        let tell = ended.clone();
        let handle = Context::simulated(context, shelf).spawn(move |context| async move {
            let node = node::start(&context, agreement, identity, Channels::of(channels), timing).await;
            let why = node.ended().await;
            tell.lock().unwrap_or_else(PoisonError::into_inner).replace(why);
        });
        Life { handle, ended }
    }
}

fn bytes(key: &PublicKey) -> [u8; 32] {
    key.encode().as_ref().try_into().expect("a public key has 32 bytes")
}
