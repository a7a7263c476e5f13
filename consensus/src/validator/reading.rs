//! Answers to readers: what an account has, with everything that makes it final.
//!
//! Readers are answered from a state of their own, a fork of the replica's: the replica executes what is only proposed, a reader gets what
//! is final. The fork follows the store when somebody reads, and is made anew when it is more than [`MAX_LAG`] batches behind; until
//! somebody reads there is none. So reading costs the replica a copy of its state now and then, and memory for that copy.

use std::sync::Mutex;

use crate::proof::anchor::Anchor;
use crate::proof::block::Note;
use crate::proof::settled::SettledProof;

use super::executor::Executor;
use super::recent::{Recent, Settled};
use super::replica::{Replica, SharedStore, lock};
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
    /// Answers a reader, without waiting.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn read<V: Volume>(
        &self,
        replica: &Mutex<Replica<V>>,
        store: &SharedStore<V>,
        recent: &Recent,
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
        let barrier = wanted.barrier.map(|(_, height)| height);
        let chain = recent.chain(state.height(), stored, barrier).ok_or(Unread::NotYet)?;
        let target = chain[0].head.settles;
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
        let anchor = anchor(store, &chain, barrier)?;
        Ok(SettledProof { balance, anchor })
    }
}

/// The anchor of a chain of blocks; with the notes of the block at height `barrier`.
///
/// # Errors
/// A store that cannot be read.
pub fn anchor<V: Volume>(store: &SharedStore<V>, chain: &[Settled], barrier: Option<u64>) -> Result<Anchor, Unread> {
    let prove = |block: &Settled| match block.carries {
        Some(true) => lock(store).read(block.head.settles).map(|batch| block.head.prove(batch.as_bytes())),
        _ => Ok(block.head.prove(&[])),
    };
    let blocks = chain.iter().map(prove).collect::<Result<_, _>>().map_err(Unread::never)?;
    let noted = chain.iter().position(|block| Some(block.head.height) == barrier);
    let noted = noted.map(|at| (at as u8, chain[at].notes.clone()));
    Ok(Anchor { chain: blocks, certificate: chain[0].certificate.clone().unwrap_or_default(), noted })
}
