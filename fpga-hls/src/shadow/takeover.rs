//! A takeover: why, where, and how long it took.

use std::fmt;

use crate::abi::Event;

/// Why the twin took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The device's driver gave it up.
    Failed {
        /// In the driver's words.
        reason: String,
    },
    /// The device answered otherwise than the twin.
    Different {
        /// What it said.
        said: Event,
        /// What it should have said.
        expected: Event,
    },
    /// The device answered what nobody asked for.
    Unasked {
        /// What it said.
        said: Event,
    },
    /// The device owes an answer for too long.
    Late {
        /// For how long it has been seen to, in nanoseconds.
        waited_ns: u64,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } => f.write_str(reason),
            Self::Different { said, expected } => {
                write!(f, "the device says {said:?}, the twin {expected:?}")
            }
            Self::Unasked { said } => write!(f, "the device says {said:?}, which nobody asked for"),
            Self::Late { waited_ns } => write!(f, "the device owes an answer for {waited_ns} ns"),
        }
    }
}

/// What happened when the twin took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// Why.
    pub cause: Cause,
    /// The seq and index of the first event that was the twin's; `None`: nothing was due.
    pub at: Option<(u64, u32)>,
    /// Nanoseconds from the first poll that found nothing to the decision; 0 when the device was caught by what it said.
    pub waited_ns: u64,
    /// Nanoseconds from the decision until the twin's events were ready to be handed out and the device was stopped.
    pub switch_ns: u64,
}

impl fmt::Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((seq, index)) => write!(f, "the software twin takes over at event {index} of {seq:#018x}")?,
            None => f.write_str("the software twin takes over between commands")?,
        }
        write!(f, ", {} ns after the decision: {}", self.switch_ns, self.cause)
    }
}

/// A bug that a test plants, to see that the fault test would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    /// What the device says is believed.
    SkipsComparison,
    /// The first event after a takeover is left out.
    ResumesLater,
    /// An event of a takeover is handed out twice.
    HandsOutTwice,
    /// A device that says nothing is waited for.
    TrustsSilence,
}

/// Which bug is planted: none, outside of tests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plant {
    #[cfg(test)]
    pub bug: Option<Planted>,
}

impl Plant {
    #[inline]
    pub fn is(self, bug: Planted) -> bool {
        #[cfg(test)]
        if let Some(planted) = self.bug {
            return planted == bug;
        }
        let _ = bug;
        false
    }
}
