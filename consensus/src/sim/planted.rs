//! Bugs that are put into a simulated cluster on purpose: each must be caught, or the checks are worth nothing.

use super::checks::Check;
use super::plan::{Fault, Lie};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The vault says that votes are durable before they are.
    SkipSync,
    /// The store says that batches are durable before they are.
    SkipStoreSync,
    /// A validator that starts again has forgotten its votes.
    ForgetVotes,
    /// What is claimed of a batch's root is believed.
    AcceptWrongRoot,
    /// Whoever signed it, a batch is taken.
    AcceptForged,
    /// Two of four members lie: a quorum holds one honest vote less than it must.
    QuorumLessOne,
    /// A batch that comes while a validator catches up is not stored.
    DropInCatchUp,
    /// A batch that is delivered again is executed again.
    ApplyTwice,
    /// Readers are told what is executed, as if it were final.
    TellExecuted,
    /// Readers take what a member has at hand, and do not wait for their barrier.
    StaleRead,
    /// A validator that starts again cuts the last batch from its store as if it were torn.
    CutOneMore,
    /// Something depends on what the seed does not decide.
    RealClock,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::SkipSync,
        Self::SkipStoreSync,
        Self::ForgetVotes,
        Self::AcceptWrongRoot,
        Self::AcceptForged,
        Self::QuorumLessOne,
        Self::DropInCatchUp,
        Self::ApplyTwice,
        Self::TellExecuted,
        Self::StaleRead,
        Self::CutOneMore,
        Self::RealClock,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SkipSync => "skip-sync",
            Self::SkipStoreSync => "skip-store-sync",
            Self::ForgetVotes => "forget-votes",
            Self::AcceptWrongRoot => "accept-wrong-root",
            Self::AcceptForged => "accept-forged",
            Self::QuorumLessOne => "quorum-less-one",
            Self::DropInCatchUp => "drop-in-catch-up",
            Self::ApplyTwice => "apply-twice",
            Self::TellExecuted => "tell-executed",
            Self::StaleRead => "stale-read",
            Self::CutOneMore => "cut-one-more",
            Self::RealClock => "real-clock",
        }
    }

    /// The bug of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|planted| planted.name() == name)
    }

    /// The checks that may catch it: another one that fails would be a bug of its own.
    pub const fn caught_by(self) -> &'static [Check] {
        use Check::{Agreement, Durability, Progress, Reads, Rerun, Restart, Validity, Votes};
        match self {
            Self::SkipSync | Self::ForgetVotes => &[Votes, Agreement],
            Self::SkipStoreSync | Self::CutOneMore => &[Durability],
            Self::AcceptWrongRoot | Self::AcceptForged => &[Validity],
            Self::QuorumLessOne => &[Agreement],
            Self::DropInCatchUp | Self::ApplyTwice => &[Progress, Restart],
            Self::TellExecuted | Self::StaleRead => &[Reads],
            Self::RealClock => &[Rerun],
        }
    }

    /// Faults without which it does no harm: they are always on with it.
    pub(super) const fn needs(self) -> &'static [Fault] {
        match self {
            Self::SkipSync | Self::SkipStoreSync | Self::ForgetVotes | Self::CutOneMore => &[Fault::Crash],
            Self::AcceptWrongRoot | Self::QuorumLessOne => &[Fault::Gateway],
            Self::AcceptForged => &[Fault::Roots],
            Self::DropInCatchUp | Self::ApplyTwice => &[Fault::Crash, Fault::Partition],
            Self::TellExecuted | Self::StaleRead => &[Fault::Partition],
            Self::RealClock => &[],
        }
    }

    /// The lie that it falls for.
    pub(super) const fn lie(self) -> Option<Lie> {
        match self {
            Self::AcceptWrongRoot => Some(Lie::Root),
            Self::QuorumLessOne => Some(Lie::Twice),
            _ => None,
        }
    }
}
