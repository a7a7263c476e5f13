//! Propose and verify: what a validator puts into a block, and what it votes for.
//!
//! **Propose** waits for the batch after the parent's, and while there is none it stays pending: an idle venue makes no blocks. The
//! engine gives up on the view after its leader timeout and asks again in the next. Two things make it propose a block without a batch:
//!
//! - the parent is not finalized although some time has passed. After a crash nothing else would finalize it, for votes cast before the
//!   crash are not counted again; a child that is finalized finalizes its parent.
//! - [`MAX_IDLE_VIEWS`] views have passed since the parent. The engine remembers every view since the last finalized one, in memory and
//!   on disk; an idle weekend must not pile them up.
//!
//! **Verify** checks that the block follows its parent, and that its batch is valid by re-execution (see [`super::replica`]).
//!
//! A proposer never proposes what it would not vote for. A batch of our own gateway that is refused stops this validator; so does one
//! of anybody's that proves the gateway at fault.
//!
//! Re-execution runs on the engine's worker thread, without an await, so that a proposal that is given up leaves nothing half done.

use std::future::pending;
use std::marker::PhantomData;
use std::sync::Arc;
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

use crate::batch::Batch;

use super::block::{Block, DigestedBlock};
use super::core::Core;
use super::replica::{Refusal, lock};
use super::volume::Volume;

/// How long a proposer without a batch waits for its parent to be finalized before it proposes a block without a batch.
const PARENT_PATIENCE: Duration = Duration::from_millis(500);

/// How many views may pass without a block.
const MAX_IDLE_VIEWS: u64 = 64;

/// The most ancestors that are looked back upon to find one that has been executed. Far more than can be in flight: the engine keeps
/// at most a few blocks unfinalized.
const MAX_ANCESTORS: usize = 1024;

/// One validator's application; `S` is the signing scheme of its votes.
pub(super) struct Application<V: Volume, S> {
    core: Arc<Core<V>>,
    scheme: PhantomData<fn() -> S>,
}

impl<V: Volume, S> Clone for Application<V, S> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), scheme: PhantomData }
    }
}

impl<V: Volume, S> Application<V, S> {
    pub(super) fn new(core: Arc<Core<V>>) -> Self {
        Self { core, scheme: PhantomData }
    }

    /// Executes what the block's ancestors, the block included, carry and this replica has not executed. `Err` says which batch is
    /// refused, and why; `None` that the ancestry ended too early to tell.
    async fn catch_up(
        &self,
        newest: &DigestedBlock,
        mut older: impl Ancestry<Block>,
    ) -> Option<Result<(), (Batch, Refusal)>> {
        let executed = lock(&self.core.replica).tip().number;
        let mut missing = Vec::new();
        let mut block = newest.clone();
        while block.inner().settled() > executed {
            if missing.len() >= MAX_ANCESTORS {
                return None;
            }
            missing.extend(block.inner().batch().cloned());
            block = older.next().await?;
        }
        for batch in missing.into_iter().rev() {
            if let Err(refusal) = self.core.check(&batch) {
                return Some(Err((batch, refusal)));
            }
        }
        Some(Ok(()))
    }

    /// The batch with this number: from the gateway, or from our own store if the engine's state is older than it.
    async fn next_batch(&self, number: u64) -> Batch {
        let stored = lock(&self.core.store).read(number).ok();
        match stored {
            Some(batch) => batch,
            None => self.core.inbox.wait(number).await,
        }
    }

    /// What to propose on this parent: a batch, or nothing for one of the two reasons in the module comment.
    async fn choose(&self, clock: &impl Clock, parent: &DigestedBlock, idle_views: u64) -> Option<Batch> {
        let mut batch = std::pin::pin!(self.next_batch(parent.inner().settled() + 1));
        if idle_views <= MAX_IDLE_VIEWS {
            match select(batch.as_mut(), std::pin::pin!(clock.sleep(PARENT_PATIENCE))).await {
                Either::Left((batch, _)) => return Some(batch),
                Either::Right(_) if self.core.applied() >= parent.height().get() => return Some(batch.await),
                Either::Right(_) => {}
            }
        }
        None
    }
}

impl<E, V, S> Automaton<E> for Application<V, S>
where
    E: Clock,
    V: Volume,
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
        if let Err((batch, refusal)) = self.catch_up(&parent, ancestry).await? {
            self.core.refuse(&batch, refusal);
            return pending().await;
        }
        let idle_views = context.round.view().get().saturating_sub(context.parent.0.get());
        let mut batch = self.choose(&clock, &parent, idle_views).await;
        if let Some(refused) = &batch
            && let Err(refusal) = self.core.check(refused)
        {
            // The validator stops as soon as the parent is settled, which happens by itself, or else by a child without a batch.
            self.core.refuse_after(parent.height().get(), refused, refusal);
            clock.sleep(PARENT_PATIENCE).await;
            batch = None;
        }
        let block = Block::child(&parent, batch);
        let digest = block.digest();
        Some(Digested::precomputed(block, digest))
    }

    async fn verify(&mut self, _context: (E, Self::Context), mut ancestry: impl Ancestry<Block>) -> bool {
        let Some(block) = ancestry.next().await else { return false };
        let Some(parent) = ancestry.clone().next().await else { return false };
        if !block.inner().follows(parent.inner()) {
            return false;
        }
        match self.catch_up(&block, ancestry).await {
            Some(Ok(())) => true,
            Some(Err((batch, refusal))) if refusal.blames_gateway() => {
                self.core.refuse(&batch, refusal);
                false
            }
            // What the proposer may have made up is no reason to stop; what this validator cannot judge now, it does not vote on.
            Some(Err((_, Refusal::Halted | Refusal::Store(_)))) | None => pending().await,
            Some(Err(_)) => false,
        }
    }
}
