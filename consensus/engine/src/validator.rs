//! One validator in the real world: alone, or one of a committee over encrypted and authenticated TCP.
//!
//! Alone it opens no port: a quorum is its own vote. In a committee it dials its peers and listens for them; who is not a member is not
//! spoken to. Either way it is the same engine, built once (see [`crate::context`]).

use std::any::Any;
use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use commonware_codec::{DecodeExt, Encode};
use commonware_consensus::BoundedBlock;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_cryptography::{ChaCha20Poly1305, Signer};
use commonware_p2p::authenticated::lookup;
use commonware_p2p::{Address, AddressableManager};
use commonware_runtime::{Metrics, Quota, Runner, Spawner, Supervisor, tokio};
use commonware_stream::{cups, sake};
use commonware_utils::ordered::{Map, Set};
use futures::future::{Either, select};

use crate::agreement::Agreement;
use crate::block::Block;
use crate::context::Context;
use crate::identity;
use crate::network::{self, Inlet, NoPeers, Outlet, Peers};
use crate::node::{self, Channels, Identity, Timing};
use crate::shelf::Shelf;

/// Threads that the runtime may use for file operations and look-ups of names.
const FILE_THREADS: usize = 8;

/// How long the engine's tasks may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The most members of a committee.
pub const MAX_MEMBERS: usize = 64;

/// Messages a second and peer on one channel; it sizes mailboxes as well.
const MESSAGE_RATE: NonZeroU32 = NonZeroU32::new(2048).expect("not 0");

/// Messages that an actor of the network holds.
const NETWORK_MAILBOX: NonZeroUsize = NonZeroUsize::new(4096).expect("not 0");

/// Bytes of a message beside the block in it.
const MESSAGE_ROOM: usize = 64 << 10;

/// How far the clocks of two peers may be apart when they meet, and how old a greeting may be.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
const MAX_GREETING_AGE: Duration = Duration::from_secs(10);

/// How often a peer that is away is dialled, and how soon it may come again.
const DIAL_EVERY: Duration = Duration::from_millis(250);
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// Greetings a second from one address, and from one network: several validators may share one.
const GREETINGS: NonZeroU32 = NonZeroU32::new(128).expect("not 0");

/// One member of a committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The public key that it votes with, and is known to its peers by.
    pub key: [u8; 32],
    /// Where it listens for its peers.
    pub address: SocketAddr,
}

/// With whom a validator agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// With nobody but itself.
    Alone,
    /// With these; it is one of them.
    Committee {
        /// Where it listens itself.
        listen: SocketAddr,
        /// All members, itself too.
        members: Vec<Member>,
    },
}

/// How a validator takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// It follows, and does not vote: it may have voted before in views that it has forgotten.
    pub witness: bool,
    /// See [`Identity::floor`].
    pub floor: Option<Bytes>,
}

/// A validator, ready to run.
pub struct Validator {
    storage: PathBuf,
    namespace: String,
    key: PrivateKey,
    membership: Membership,
    participants: Set<PublicKey>,
    timing: Timing,
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl Validator {
    /// Opens a validator's directory: its key is read from there, or made. Votes are signed for `namespace`: votes of one chain mean
    /// nothing on another.
    ///
    /// # Errors
    /// What the operating system reports; a key file that is no key; a timing in which a leader has no time or no view can be certified;
    /// a committee that is too large, names a key that is none, or does not name this validator's.
    pub fn open(dir: &Path, namespace: String, membership: Membership, timing: Timing) -> io::Result<Self> {
        if timing.leader.is_zero() || timing.certification <= timing.leader {
            return Err(invalid(format!(
                "the certification timeout must exceed the leader timeout, and that 0, unlike in {timing:?}"
            )));
        }
        fs::create_dir_all(dir)?;
        let key = identity::load_or_create(dir)?;
        let participants = match &membership {
            Membership::Alone => Set::from_iter_dedup([key.public_key()]),
            Membership::Committee { members, .. } => {
                if members.is_empty() || members.len() > MAX_MEMBERS {
                    return Err(invalid(format!("a committee has 1 to {MAX_MEMBERS} members, not {}", members.len())));
                }
                let keys: Vec<PublicKey> = members.iter().map(public).collect::<io::Result<_>>()?;
                let set = Set::from_iter_dedup(keys);
                if set.len() != members.len() {
                    return Err(invalid("two members of the committee have the same key".into()));
                }
                if set.position(&key.public_key()).is_none() {
                    return Err(invalid(format!("the key in {} is of no member of the committee", dir.display())));
                }
                set
            }
        };
        Ok(Self { storage: dir.join("runtime"), namespace, key, membership, participants, timing })
    }

    /// The public key that it votes with.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key().encode().as_ref().try_into().expect("a public key has 32 bytes")
    }

    /// The public keys of all members.
    pub fn members(&self) -> Vec<[u8; 32]> {
        self.participants
            .iter()
            .map(|key| key.encode().as_ref().try_into().expect("a public key has 32 bytes"))
            .collect()
    }

    /// Runs the validator on the calling thread, with what it must remember on `shelf`, until `halted` resolves.
    ///
    /// # Errors
    /// Why the engine has stopped by itself, which it does when settling fails, or its shelf.
    pub fn run(
        &self,
        part: Part,
        shelf: Arc<dyn Shelf>,
        agreement: Arc<dyn Agreement>,
        halted: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Result<(), String> {
        let workers = if self.membership == Membership::Alone { 1 } else { 2 };
        let runtime = tokio::Config::new()
            .with_worker_threads(workers)
            .with_max_blocking_threads(FILE_THREADS)
            .with_tcp_nodelay(Some(true))
            .with_storage_directory(&self.storage);
        let run =
            || tokio::Runner::new(runtime).start(|context| self.validate(part, context, shelf, agreement, halted));
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(message(panic.as_ref())))
    }

    async fn validate(
        &self,
        part: Part,
        runtime: tokio::Context,
        shelf: Arc<dyn Shelf>,
        agreement: Arc<dyn Agreement>,
        halted: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Result<(), String> {
        let me = self.key.public_key();
        let (peers, channels) = match &self.membership {
            Membership::Alone => nobody(),
            Membership::Committee { listen, members } => self.meet(&runtime, *listen, members)?,
        };
        let (namespace, participants) = (self.namespace.as_bytes(), self.participants.clone());
        let scheme = match part.witness {
            true => Scheme::verifier(namespace, participants),
            false => Scheme::signer(namespace, participants, self.key.clone()).expect("it is among the participants"),
        };
        let metrics = runtime.child("metrics");
        let context = Context::real(runtime, shelf);
        let identity = Identity { me, scheme, peers, floor: part.floor };
        let node = node::start(&context, agreement.clone(), identity, Channels::of(channels), self.timing).await;
        agreement.started(Arc::new(move || metrics.encode()));
        let outcome = match select(halted, pin!(node.ended())).await {
            Either::Left(_) => Ok(()),
            Either::Right((reason, _)) => Err(reason),
        };
        // What does not end in time is dropped with the runtime; everything durable is durable already.
        let _ = context.child("stop").stop(0, Some(STOP_TIMEOUT)).await;
        outcome
    }

    /// Listens for the members of the committee, and dials them.
    fn meet(
        &self,
        runtime: &tokio::Context,
        listen: SocketAddr,
        members: &[Member],
    ) -> Result<(Peers, Vec<(Outlet, Inlet)>), String> {
        let greeting = sake::Sake {
            signer: self.key.clone(),
            synchrony_bound: CLOCK_TOLERANCE,
            max_handshake_age: MAX_GREETING_AGE,
            version: sake::Version::V1,
        };
        let message_bytes = u32::try_from(Block::max_encode_size(&()) + MESSAGE_ROOM).expect("a few megabytes");
        let handshake = cups::Cups::<_, ChaCha20Poly1305>::new(greeting, cups::Version::V1);
        let namespace = format!("{}-peers", self.namespace);
        let committee = NonZeroUsize::new(members.len()).expect("a committee has members");
        let mut config =
            lookup::Config::local(handshake, namespace.as_bytes(), listen, committee, message_bytes, NETWORK_MAILBOX);
        config.peer_connection_cooldown = RECONNECT_AFTER;
        config.dial_frequency = DIAL_EVERY;
        config.allowed_handshake_rate_per_ip = Quota::per_second(GREETINGS);
        config.allowed_handshake_rate_per_subnet = Quota::per_second(GREETINGS);
        let (mut network, mut oracle) = lookup::Network::new(runtime.child("network"), config);
        let addresses = members
            .iter()
            .map(|member| Ok((public(member)?, Address::from(member.address))))
            .collect::<io::Result<Vec<_>>>();
        let addresses: Map<PublicKey, Address> = addresses
            .map_err(|error| error.to_string())?
            .try_into()
            .map_err(|_| "two members of the committee have the same key".to_owned())?;
        oracle.track(0, addresses);
        let quota = Quota::per_second(MESSAGE_RATE);
        let channels = (0..Channels::COUNT).map(|at| network::channel(network.register(at, quota))).collect();
        network.start();
        Ok((Peers::new(oracle.clone(), oracle), channels))
    }
}

fn nobody() -> (Peers, Vec<(Outlet, Inlet)>) {
    let none = NoPeers::default();
    let channels = (0..Channels::COUNT).map(|_| network::channel((none.clone(), none.clone()))).collect();
    (Peers::new(none.clone(), none), channels)
}

fn public(member: &Member) -> io::Result<PublicKey> {
    PublicKey::decode(Bytes::copy_from_slice(&member.key))
        .map_err(|error| invalid(format!("the key of the member at {} is none: {error}", member.address)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
