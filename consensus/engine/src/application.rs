//! Propose and verify: what a validator puts into a block, and what it votes for.
//!
//! **Propose** waits for the body after the parent's, and while there is none it stays pending: an idle venue makes no blocks. The
//! engine gives up on the view after its leader timeout and asks again in the next. Three things make it propose a block without a body:
//!
//! - the parent is not finalized although some time has passed. After a crash nothing else would finalize it, for votes cast before the
//!   crash are not counted again; a child that is finalized finalizes its parent.
//! - [`MAX_IDLE_VIEWS`] views have passed since the parent. The engine remembers every view since the last finalized one, in memory and
//!   on disk; an idle weekend must not pile them up.
//! - somebody waits for a note to become final. Others may ask at the same time: it is given [`GATHERING`], which also bounds how many such
//!   blocks those can cause who never stop asking.
//!
//! A block with a body takes along the notes that wait.
//!
//! **Verify** checks that the block follows its parent, and asks the [`Agreement`] about the body.
//!
//! Both first bring the agreement up to the parent: after a restart, blocks may be agreed on that were not checked in this process.
//! The agreement is called from the engine's worker thread, without an await, so that a proposal that is given up leaves nothing half
//! done.

use std::future::pending;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use commonware_consensus::marshal::ancestry::Ancestry;
use commonware_consensus::simplex::types::Context;
use commonware_consensus::{Application as Automaton, Heightable};
use commonware_cryptography::blake3::Digest;
use commonware_cryptography::certificate::Scheme;
use commonware_cryptography::ed25519::PublicKey;
use commonware_cryptography::{Digested, Digestible};
use commonware_runtime::Clock;
use futures::StreamExt;
use futures::future::{Either, select};

use crate::agreement::{Agreement, Body, Note, Verdict};
use crate::block::{Block, DigestedBlock, MAX_NOTES};
use crate::certificate::Certificates;

/// How long a proposer without a body waits for its parent to be finalized before it proposes a block without a body.
const PARENT_PATIENCE: Duration = Duration::from_millis(500);

/// How long a proposer with notes and without a body waits for more of either.
const GATHERING: Duration = Duration::from_millis(10);

/// How many views may pass without a block.
const MAX_IDLE_VIEWS: u64 = 64;

/// The most ancestors that are looked back upon to find one that has been checked. Far more than can be in flight: the engine keeps
/// at most a few blocks unfinalized.
const MAX_ANCESTORS: usize = 1024;

/// One validator's application; `S` is the signing scheme of its votes.
pub(crate) struct Application<S> {
    agreement: Arc<dyn Agreement>,
    settled: Arc<AtomicU64>,
    certificates: Certificates,
    scheme: PhantomData<fn() -> S>,
}

impl<S> Clone for Application<S> {
    fn clone(&self) -> Self {
        let (agreement, settled) = (self.agreement.clone(), self.settled.clone());
        Self { agreement, settled, certificates: self.certificates.clone(), scheme: PhantomData }
    }
}

impl<S> Application<S> {
    /// `settled` is the height of the last settled block, as the applier counts it.
    pub(crate) fn new(agreement: Arc<dyn Agreement>, settled: Arc<AtomicU64>, certificates: Certificates) -> Self {
        Self { agreement, settled, certificates, scheme: PhantomData }
    }

    /// Remembers which body a block carries.
    fn remember(&self, block: &Block, digest: Digest) {
        if block.body().is_some() {
            self.certificates.seen(digest, block.settles());
        }
    }

    /// Has the agreement check what the block and its ancestors carry and it has not checked yet, oldest first.
    async fn check_up_to(&self, newest: &DigestedBlock, mut older: impl Ancestry<Block>) -> Verdict {
        let checked = self.agreement.checked();
        let mut unchecked = Vec::new();
        let mut block = newest.clone();
        while block.inner().settles() > checked {
            if unchecked.len() >= MAX_ANCESTORS {
                return Verdict::Unknown;
            }
            let (number, body) = (block.inner().settles(), block.inner().body().cloned());
            unchecked.extend(body.map(|body| (number, body)));
            let Some(parent) = older.next().await else { return Verdict::Unknown };
            block = parent;
        }
        for (number, body) in unchecked.into_iter().rev() {
            match self.agreement.verify(number, &body) {
                Verdict::Valid => {}
                other => return other,
            }
        }
        Verdict::Valid
    }

    /// What to propose on this parent: a body, or nothing for one of the three reasons in the module comment.
    async fn choose(&self, clock: &impl Clock, parent: &DigestedBlock, idle_views: u64) -> Option<Body> {
        if idle_views > MAX_IDLE_VIEWS {
            return None;
        }
        let mut body = self.agreement.next(parent.inner().settles() + 1);
        let noted = async {
            self.agreement.noted().await;
            clock.sleep(GATHERING).await;
        };
        let parent_waits = async {
            clock.sleep(PARENT_PATIENCE).await;
            if self.settled.load(Ordering::Acquire) >= parent.height().get() {
                pending::<()>().await;
            }
        };
        match select(body.as_mut(), select(pin!(noted), pin!(parent_waits))).await {
            Either::Left((body, _)) => Some(body),
            Either::Right(_) => None,
        }
    }

    /// What waits to be noted.
    fn notes(&self) -> Vec<Note> {
        let mut notes = self.agreement.notes();
        notes.truncate(MAX_NOTES);
        notes
    }
}

impl<E, S> Automaton<E> for Application<S>
where
    E: Clock,
    S: Scheme<PublicKey = PublicKey>,
{
    type SigningScheme = S;
    type Context = Context<Digest, PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, context): (E, Self::Context),
        mut ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<DigestedBlock> {
        let parent = ancestry.next().await?;
        if self.check_up_to(&parent, ancestry).await != Verdict::Valid {
            // Whatever can be built on a parent that does not hold would not hold either.
            return pending().await;
        }
        let idle_views = context.round.view().get().saturating_sub(context.parent.0.get());
        let mut body = self.choose(&clock, &parent, idle_views).await;
        if let Some(refused) = &body
            && !self.agreement.may_propose(parent.inner().settles() + 1, refused, parent.height().get())
        {
            // This validator stops as soon as the parent is settled, which happens by itself, or else by a child without a body.
            clock.sleep(PARENT_PATIENCE).await;
            body = None;
        }
        let block = parent.inner().child_of(parent.digest(), body, self.notes());
        let digest = block.digest();
        self.remember(&block, digest);
        Some(Digested::precomputed(block, digest))
    }

    async fn verify(&mut self, _context: (E, Self::Context), mut ancestry: impl Ancestry<Block>) -> bool {
        // Without the block or its parent nothing can be told, and there will be nothing to tell.
        let Some(block) = ancestry.next().await else { return pending().await };
        let Some(parent) = ancestry.clone().next().await else { return pending().await };
        if !block.inner().follows(parent.inner()) {
            return false;
        }
        self.remember(block.inner(), block.digest());
        // A body that was checked before may come again, in a block of its own or in one that was made up: it is compared once more.
        let verdict = match block.inner().body() {
            Some(body) if block.inner().settles() <= self.agreement.checked() => {
                self.agreement.verify(block.inner().settles(), body)
            }
            _ => self.check_up_to(&block, ancestry).await,
        };
        match verdict {
            Verdict::Valid => true,
            Verdict::Invalid => false,
            Verdict::Unknown => pending().await,
        }
    }
}
