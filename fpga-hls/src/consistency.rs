//! A contradiction inside a book: what `check` of each twin looks for.

/// The first contradiction that was found. There is none unless the twin has a bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the book contradicts itself: {what}")]
pub struct Broken {
    /// What contradicts what, and where.
    pub what: String,
}

/// An error unless `holds`; the text is made only when it is needed.
pub(crate) fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { what: what() }) }
}
