//! One validator, wired up: simplex agrees, marshal orders and persists, our application proposes and verifies, our applier
//! settles.
//!
//! The same wiring serves one validator inside the gateway, several over a real network, and all of them in a deterministic simulation:
//! runtime and network are what [`crate::context`] and [`crate::network`] hold.

use std::collections::VecDeque;
use std::future::pending;
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use commonware_broadcast::buffered;
use commonware_codec::{Decode, Encode};
use commonware_consensus::Reporters;
use commonware_consensus::marshal::{self, Start, core::Actor as Marshal, resolver, standard::Inline};
use commonware_consensus::simplex::config::{ForwardPolicy, SkipBudget, SkipPolicy};
use commonware_consensus::simplex::elector::RoundRobin;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Finalization;
use commonware_consensus::simplex::{self, Floor};
use commonware_consensus::types::{Epoch, FixedEpocher, Height, ViewDelta};
use commonware_cryptography::blake3::{Blake3, Digest};
use commonware_cryptography::certificate::{ConstantProvider, Scheme as _, Verifier as _};
use commonware_cryptography::ed25519::PublicKey;
use commonware_cryptography::{Digested, Digestible};
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_runtime::{Clock, Handle, Spawner, Supervisor};
use commonware_storage::archive::{Archive, Identifier, prunable};
use commonware_storage::translator::EightCap;
use commonware_utils::NonZeroDuration;
use futures::future::{select, select_all};

use crate::agreement::Agreement;
use crate::application::Application;
use crate::applier::{Applier, place};
use crate::block::Block;
use crate::certificate::Certificates;
use crate::context::Context;
use crate::network::{Inlet, Outlet, Peers};

/// Messages that an actor's mailbox holds.
const MAILBOX: NonZeroUsize = NonZeroUsize::new(1024).expect("not 0");
/// Views behind the last finalized one that the engine remembers.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(32);
/// Items in one section of an archive; sections are pruned as a whole.
const SECTION_ITEMS: NonZeroU64 = NonZeroU64::new(16).expect("not 0");
/// Finalized blocks, and bytes of them, that marshal keeps in memory for peers that fall behind; whoever needs older ones finds the bodies
/// where they were settled.
const KEPT_BLOCKS: usize = 4096;
const KEPT_BYTES: usize = 32 << 20;
/// Bytes that are buffered before an index is written, before values are, and when a journal is read.
const KEY_WRITE_BUFFER: NonZeroUsize = NonZeroUsize::new(64 << 10).expect("not 0");
const VALUE_WRITE_BUFFER: NonZeroUsize = NonZeroUsize::new(1 << 20).expect("not 0");
const REPLAY_BUFFER: NonZeroUsize = NonZeroUsize::new(1 << 20).expect("not 0");
/// Page size and number of pages of the cache over all journals: 4 MiB.
const PAGE_BYTES: NonZeroU16 = NonZeroU16::new(16_372).expect("not 0");
const PAGES: NonZeroUsize = NonZeroUsize::new(256).expect("not 0");
/// Blocks fetched from peers at a time, and blocks delivered and not acknowledged.
const MAX_REPAIR: NonZeroUsize = NonZeroUsize::new(16).expect("not 0");
const MAX_PENDING_ACKS: NonZeroUsize = NonZeroUsize::new(16).expect("not 0");
/// Blocks of one peer that are held before they are agreed on.
const BUFFERED_BLOCKS: usize = 16;
/// How long a peer may take to answer, and the pause before it is asked again.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
const FETCH_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Blocks that the agreement is told of at a start.
const REMEMBERED: u64 = 64;
/// How soon others are told again what this validator is asked for.
const PASS_ON_AGAIN: Duration = Duration::from_millis(500);
/// One consensus epoch lasts for ever: the validators of a chain do not change. (The epochs of seqs are another thing.)
const BLOCKS_PER_EPOCH: NonZeroU64 = NonZeroU64::new(u32::MAX as u64).expect("not 0");

/// When a validator gives up on a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a leader may take to propose. An idle venue changes the view this often, at the price of a few small writes.
    pub leader: Duration,
    /// How long a view may take until its block is certified; more than `leader`. A validator that crashed while a block was being
    /// certified stands still this long when it starts again.
    pub certification: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { leader: Duration::from_secs(4), certification: Duration::from_secs(6) }
    }
}

/// The channels of a validator, each to all of its peers.
pub struct Channels {
    /// Votes.
    pub votes: (Outlet, Inlet),
    /// Certificates.
    pub certificates: (Outlet, Inlet),
    /// Requests for certificates of views that were missed.
    pub views: (Outlet, Inlet),
    /// Proposed blocks.
    pub blocks: (Outlet, Inlet),
    /// Requests for blocks that were missed.
    pub backfill: (Outlet, Inlet),
    /// Notes that members are asked for.
    pub notes: (Outlet, Inlet),
}

impl Channels {
    /// How many there are.
    pub const COUNT: u64 = 6;

    /// The channels of a network that numbers them from 0.
    ///
    /// # Panics
    /// Unless there are [`Channels::COUNT`].
    pub fn of(channels: Vec<(Outlet, Inlet)>) -> Self {
        let count = channels.len();
        let Ok([votes, certificates, views, blocks, backfill, notes]) = <[_; 6]>::try_from(channels) else {
            panic!("{count} channels");
        };
        Self { votes, certificates, views, blocks, backfill, notes }
    }
}

/// Who a validator is and whom it talks to.
pub struct Identity {
    /// Its public key.
    pub me: PublicKey,
    /// What it votes with, and checks the votes of others with. One that cannot sign makes a witness: it follows, and does not vote.
    pub scheme: Scheme,
    /// The others.
    pub peers: Peers,
    /// A certificate of a block, if this validator has got everything before that block by other ways than from its peers' blocks: it goes
    /// on with that block, unless it is further already. See [`crate::certificate::verify`], which it has to pass.
    pub floor: Option<Bytes>,
}

/// A running validator. Its tasks end with the context that it was started in.
pub struct Node {
    tasks: Vec<Handle<()>>,
}

impl Node {
    /// Resolves when one of the validator's tasks has ended, which none does by itself while all is well.
    pub async fn ended(self) -> String {
        match select_all(self.tasks).await {
            (Ok(()), task, _) => format!("task {task} ended"),
            (Err(error), task, _) => format!("task {task}: {error}"),
        }
    }
}

/// Starts a validator. What it remembers is on the context's shelf, which no other validator uses.
pub async fn start(
    context: &Context,
    agreement: Arc<dyn Agreement>,
    identity: Identity,
    channels: Channels,
    timing: Timing,
) -> Node {
    let Identity { me, scheme, peers, floor } = identity;
    let floor = floor.map(|bytes| {
        Finalization::<Scheme, Digest>::decode_cfg(bytes, &scheme.certificate_codec_config())
            .expect("whoever gives a floor has checked it")
    });
    let alone = scheme.participants().len() == 1;
    let page_cache = CacheRef::new(PAGE_BYTES, PAGES);
    let genesis = Block::genesis();
    let genesis_digest = genesis.digest();
    let epocher = FixedEpocher::new(BLOCKS_PER_EPOCH);

    let blocks = prunable::Archive::init(context.child("blocks"), archive("blocks", (), &page_cache));
    let blocks = blocks.await.expect("the archive of blocks opens");
    let unbounded = Scheme::certificate_codec_config_unbounded();
    let finalizations = archive("finalizations", unbounded, &page_cache);
    let finalizations = prunable::Archive::init(context.child("finalizations"), finalizations);
    let finalizations = finalizations.await.expect("the archive of finalizations opens");

    remember(agreement.as_ref(), &blocks, &finalizations).await;

    let genesis_block = Digested::precomputed(genesis, genesis_digest);
    let (marshal, mailbox, begun) = Marshal::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: ConstantProvider::new(scheme.clone()),
            epocher: epocher.clone(),
            start: floor.clone().map_or(Start::Genesis(genesis_block), Start::Floor),
            partition_prefix: partition("marshal"),
            mailbox_size: MAILBOX,
            view_retention: VIEW_RETENTION,
            prunable_items_per_section: SECTION_ITEMS,
            page_cache: page_cache.clone(),
            replay_buffer: REPLAY_BUFFER,
            key_write_buffer: KEY_WRITE_BUFFER,
            value_write_buffer: VALUE_WRITE_BUFFER,
            block_codec_config: (),
            max_repair: MAX_REPAIR,
            max_pending_acks: MAX_PENDING_ACKS,
            strategy: Sequential,
        },
    )
    .await;
    let processed = begun.processed().map_or(0, |processed| processed.height().get());
    agreement.settled(processed);
    let settled = Arc::new(AtomicU64::new(processed));

    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: me.clone(),
            mailbox_size: MAILBOX,
            deque_size: BUFFERED_BLOCKS,
            priority: false,
            codec_config: (),
            peer_provider: peers.clone(),
            strategy: Sequential,
        },
    );
    let broadcast = broadcast.start(channels.blocks);
    let backfill = resolver::p2p::init(
        context.child("backfill"),
        resolver::p2p::Config {
            public_key: me,
            peer_provider: peers.clone(),
            blocker: peers.clone(),
            mailbox_size: MAILBOX,
            fetch_timeout: NonZeroDuration::new_panic(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY_DELAY,
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );

    let certificates = Certificates::new(agreement.clone(), scheme.participants().clone());
    // The applier syncs files: it has a thread of its own, and the engine goes on with the next block meanwhile.
    let (applier, deliveries) = Applier::new(agreement.clone(), certificates.clone(), settled.clone());
    let pruning = mailbox.clone();
    let mut kept = Kept::default();
    let applier = context.child("applier").dedicated().spawn(move |_| {
        let looking = pruning.clone();
        let look_up = move |height| {
            let looking = looking.clone();
            async move { looking.get_finalization(Height::new(height)).await.map(|certificate| certificate.encode()) }
        };
        applier.run(look_up, move |height, bytes| {
            if let Some(oldest) = kept.add(height, bytes) {
                pruning.prune(Height::new(oldest));
            }
        })
    });
    let notes = {
        let agreement = agreement.clone();
        context.child("notes").spawn(move |context| pass_on(context, agreement, channels.notes))
    };
    let marshal = marshal.start(deliveries, buffer, backfill);

    let application = Inline::new(
        context.child("application"),
        Application::<Scheme>::new(agreement, settled, certificates.clone()),
        mailbox,
        epocher,
    );
    // A leader that has been silent is not waited for in each of its views.
    let skip = SkipPolicy::Enabled { timeout: timing.certification * 2, budget: SkipBudget::default() };
    let engine = simplex::Engine::new(
        context.child("engine"),
        simplex::Config {
            scheme,
            elector: RoundRobin::<Blake3>::default(),
            blocker: peers,
            automaton: application.clone(),
            relay: application.clone(),
            reporter: Reporters::from((certificates, application)),
            // Without it, equivocation goes unseen once a view has its certificate.
            track_historical_votes: true,
            strategy: Sequential,
            partition: partition("votes"),
            mailbox_size: MAILBOX,
            epoch: Epoch::zero(),
            floor: floor.map_or(Floor::Genesis(genesis_digest), Floor::Finalized),
            replay_buffer: REPLAY_BUFFER,
            write_buffer: VALUE_WRITE_BUFFER,
            page_cache,
            leader_timeout: timing.leader,
            certification_timeout: timing.certification,
            timeout_retry: timing.certification,
            view_retention: VIEW_RETENTION,
            skip: if alone { SkipPolicy::Disabled } else { skip },
            fetch_timeout: NonZeroDuration::new_panic(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY_DELAY,
            forward: ForwardPolicy::Disabled,
        },
    );
    let engine = engine.start(channels.votes, channels.certificates, channels.views);
    Node { tasks: vec![broadcast, marshal, applier, notes, engine] }
}

/// Tells the agreement of the newest blocks that are kept.
async fn remember(
    agreement: &dyn Agreement,
    blocks: &impl Archive<Key = Digest, Value = Arc<Block>>,
    finalizations: &impl Archive<Key = Digest, Value = Finalization<Scheme, Digest>>,
) {
    let Some(last) = blocks.last_index() else { return };
    for height in last.saturating_sub(REMEMBERED)..=last {
        let block = blocks.get(Identifier::Index(height)).await.expect("the archive of blocks reads");
        let Some(block) = block.filter(|_| height > 0) else { continue };
        let certificate = finalizations.get(Identifier::Index(height)).await;
        let certificate =
            certificate.expect("the archive of finalizations reads").map(|certificate| certificate.encode());
        agreement.remember(&place(&block, &block.digest(), certificate.as_deref()));
    }
}

/// Tells the others what this validator is asked for, at once and again while it is not settled, and hears what they are asked for.
async fn pass_on(context: Context, agreement: Arc<dyn Agreement>, (mut outlet, mut inlet): (Outlet, Inlet)) {
    let tell = async {
        loop {
            let again = async {
                match agreement.asked().is_empty() {
                    true => pending().await,
                    false => context.sleep(PASS_ON_AGAIN).await,
                }
            };
            select(agreement.asks(), pin!(again)).await;
            let asked = agreement.asked();
            // Whom it does not reach now hears it again, or hears another.
            let _ = outlet.send(Recipients::All, asked.into_flattened(), false);
        }
    };
    let hear = async {
        while let Ok((member, notes)) = inlet.recv().await {
            let member = member.encode().as_ref().try_into().expect("a public key has 32 bytes");
            agreement.heard(member, notes.as_ref());
        }
    };
    select(pin!(tell), pin!(hear)).await;
}

/// The name under which the engine keeps something of this chain. It changes with the layout of blocks: what was kept of an older layout is
/// not read.
fn partition(name: &str) -> String {
    format!("{name}-2")
}

/// The blocks that marshal keeps, so that their number and their bytes stay bounded.
#[derive(Default)]
struct Kept {
    blocks: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Kept {
    /// A block more; answers the oldest that is to be kept, when it is time to prune.
    fn add(&mut self, height: u64, bytes: usize) -> Option<u64> {
        self.blocks.push_back((height, bytes));
        self.bytes += bytes;
        while self.blocks.len() > KEPT_BLOCKS || (self.bytes > KEPT_BYTES && self.blocks.len() > 1) {
            self.bytes -= self.blocks.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        let oldest = self.blocks.front().map_or(height, |&(oldest, _)| oldest);
        (height % SECTION_ITEMS.get() == 0 && oldest > SECTION_ITEMS.get()).then_some(oldest)
    }
}

/// An archive of marshal's, by its name.
fn archive<C>(name: &str, codec_config: C, page_cache: &CacheRef) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: partition(&format!("{name}-metadata")),
        key_partition: partition(&format!("{name}-keys")),
        key_page_cache: page_cache.clone(),
        value_partition: partition(&format!("{name}-values")),
        compression: None,
        codec_config,
        items_per_section: SECTION_ITEMS,
        key_write_buffer: KEY_WRITE_BUFFER,
        value_write_buffer: VALUE_WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
    }
}
