//! Answers to readers: what an account has, with everything that makes it final.
//!
//! Readers are answered from a state of their own, a fork of the replica's: the replica executes what is only proposed, a reader gets what
//! is final. The fork follows the store when somebody reads, and is made anew when it is more than [`MAX_LAG`] batches behind; until
//! somebody reads there is none. So reading costs the replica a copy of its state now and then, and memory for that copy.

use std::sync::Mutex;

use crate::proof::anchor::{Anchor, Barrier};
use crate::proof::block::Note;
use crate::proof::settled::SettledProof;

use super::executor::Executor;
use super::recent::{Recent, Settled};
use super::replica::{Replica, SharedStore, lock};
use super::store::StoreError;
use super::volume::Volume;

/// Batches that the reading state executes to catch up; beyond that it is forked anew.
const MAX_LAG: u64 = 64;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// What it takes is not settled yet, or not signed yet.
    NotYet,
    /// There will be none.
    Never(String),
}

impl Unread {
    fn never(why: impl ToString) -> Self {
        Self::Never(why.to_string())
    }
}

/// What a reader asks of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose balance.
    pub account: u32,
    /// Of what.
    pub asset: u16,
    /// The reader's note, and the height of the block that it was settled in.
    pub barrier: Option<(Note, u64)>,
}

/// The state that readers are answered from.
#[derive(Default)]
pub struct Reader {
    state: Mutex<Option<Box<dyn Executor>>>,
}

impl Reader {
    /// Answers a reader, without waiting. `kept` is the number of a batch and its anchor, for when the newest blocks lead to none.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn read<V: Volume>(
        &self,
        replica: &Mutex<Replica<V>>,
        store: &SharedStore<V>,
        recent: &Recent,
        kept: Option<(u64, Anchor)>,
        wanted: &Wanted,
    ) -> Result<SettledProof, Unread> {
        let stored = lock(store).tip();
        if stored == 0 {
            return Err(Unread::never("no batch is final yet, so there is no root to prove anything against"));
        }
        let mut reading = lock(&self.state);
        if reading.as_ref().is_none_or(|state| state.height() + MAX_LAG < stored) {
            *reading = lock(replica).fork();
        }
        let state = reading.as_mut().ok_or_else(|| Unread::never("this validator cannot prove balances"))?;
        let barrier = match wanted.barrier {
            Some((_, height)) => Some(barrier(store, &recent.barrier(height).ok_or(Unread::NotYet)?)?),
            None => None,
        };
        let (target, anchor) = match recent.anchor(state.height(), stored) {
            Some(chain) => (chain[0].head.settles, anchor(store, &chain)?),
            // The batch was long ago, and the blocks since carry none: the anchor that was kept of it still holds.
            None => kept.filter(|(number, _)| (state.height()..=stored).contains(number)).ok_or(Unread::NotYet)?,
        };
        for number in state.height() + 1..=target {
            let executed = lock(store).read(number).map_err(Unread::never);
            let executed = executed.and_then(|batch| state.execute(&batch).map_err(Unread::never));
            if let Err(why) = executed {
                *reading = None;
                return Err(why);
            }
        }
        let balance = state.prove(wanted.account, wanted.asset);
        drop(reading);
        let balance = balance.ok_or_else(|| Unread::never("there can be no such account, or no such asset"))?;
        Ok(SettledProof { balance, anchor, barrier })
    }
}

/// The anchor of a chain of blocks.
///
/// # Errors
/// A store that cannot be read.
pub fn anchor<V: Volume>(store: &SharedStore<V>, chain: &[Settled]) -> Result<Anchor, Unread> {
    let prove = |block: &Settled| match block.carries {
        Some(true) => lock(store).read(block.head.settles).map(|batch| block.head.prove(batch.as_bytes())),
        Some(false) => Ok(block.head.prove(&[])),
        None => Err(StoreError::Missing { number: block.head.settles, first: 0, tip: 0 }),
    };
    let blocks = chain.iter().map(prove).collect::<Result<_, _>>().map_err(Unread::never)?;
    Ok(Anchor { chain: blocks, certificate: chain[0].certificate.clone().unwrap_or_default() })
}

fn barrier<V: Volume>(store: &SharedStore<V>, chain: &[Settled]) -> Result<Barrier, Unread> {
    let notes = chain.last().map(|block| block.notes.clone()).unwrap_or_default();
    Ok(Barrier { blocks: anchor(store, chain)?, notes })
}
