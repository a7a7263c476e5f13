//! What the engine agrees on, as a trait of ours: numbered bodies, their validity, and their settling.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

pub use bytes::Bytes as Body;

/// 32 bytes that somebody wants to see in a final block.
pub type Note = [u8; 32];

/// Resolves when something has happened; dropping it is always safe.
pub type Moment<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Resolves to a body; dropped when a view is given up.
pub type Next<'a> = Pin<Box<dyn Future<Output = Body> + Send + 'a>>;

/// The engine's own metrics, in Prometheus' text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What is known of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one valid body of its number.
    Valid,
    /// It is not, and never will be.
    Invalid,
    /// It cannot be told here and now: abstain.
    Unknown,
}

/// A block that was agreed on, its body apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its height; blocks without a body have heights too.
    pub height: u64,
    /// Digest of the block before it.
    pub parent: [u8; 32],
    /// Its digest.
    pub digest: [u8; 32],
    /// Number of the last body that it and the blocks before it settle.
    pub settles: u64,
    /// The notes in it.
    pub notes: &'a [Note],
    /// A quorum's signatures over that digest, as [`crate::certificate::verify`] reads them; `None` if this validator has only those of a
    /// later block, which finalize this one too.
    pub certificate: Option<&'a [u8]>,
}

/// The state that bodies are agreed for. Bodies are numbered from 1 and are checked and settled in that order.
///
/// All methods but [`Agreement::next`] return without waiting for the engine; they may take the time that executing a body takes.
pub trait Agreement: Send + Sync + 'static {
    /// Number of the last body that has been found valid here.
    fn checked(&self) -> u64;

    /// The body with this number, once there is one to propose.
    fn next(&self, number: u64) -> Next<'_>;

    /// Whether our own body may be proposed in a child of the block at height `parent`. If not, this validator is expected to stop once
    /// that block is settled, and the engine sees to it that it will be.
    fn may_propose(&self, number: u64, body: &Body, parent: u64) -> bool;

    /// Checks a body that others propose, or that was agreed on before a restart. It is the next after [`Agreement::checked`], or one
    /// that was checked before.
    fn verify(&self, number: u64, body: &Body) -> Verdict;

    /// Says that a quorum has finalized the body with this number. It is not settled here yet.
    fn certified(&self, _number: u64) {}

    /// Settles an agreed block, its body durably, which has the number that the block settles; called in order, and at least once for each.
    /// `false` stops the engine, and the block will be settled again at the next start.
    fn settle(&self, body: Option<&Body>, place: &Place<'_>) -> bool;

    /// Says what was settled before this start, as far as the engine still has it: the newest blocks, in order, without their bodies. There
    /// may be some among them that [`Agreement::settle`] was not called for, and will be.
    fn remember(&self, _place: &Place<'_>) {}

    /// Notes for a block that is about to be proposed, at most [`crate::block::MAX_NOTES`].
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Resolves once there are notes to propose.
    fn noted(&self) -> Moment<'_> {
        Box::pin(pending())
    }

    /// Notes that others are to know of, so that whoever leads next proposes them: all those that were asked for here and are not settled.
    fn asked(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Resolves once something was asked for here since [`Agreement::asked`] was called last.
    fn asks(&self) -> Moment<'_> {
        Box::pin(pending())
    }

    /// What a member says that it was asked for, in place of what it said before. The bytes may be anything.
    fn heard(&self, _member: [u8; 32], _notes: &[u8]) {}

    /// Says that the block at this height, with all before it, is settled here. Blocks without a body have heights too.
    fn settled(&self, height: u64);

    /// Says that a member has contradicted itself: two of its votes, at hand and signed, exclude one another.
    fn witnessed(&self, _member: [u8; 32], _what: &'static str) {}

    /// Says that the engine runs, and where its metrics are.
    fn started(&self, _metrics: Metrics) {}
}
