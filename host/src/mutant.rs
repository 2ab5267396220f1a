//! Guards that a test build can be without, one at a time: a suite that stays green without a guard does not test it.
//!
//! Only a build with the feature `mutants` can lose one; the environment variable `SILVERSMITH_MUTANT` names it there. `cargo
//! xtask mutants` takes each away in turn and knows which test must then fail. In every other build [`without`] is a constant.

/// What a mutant of the host does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safeguard {
    /// A log entry is put only where there is none.
    CompareAndSwap,
    /// A commit whose answer was lost is looked for before it is made again.
    CommitIdentity,
    /// A file is synced before it gets its name.
    FileSync,
    /// A name is synced before anything rests on it.
    FolderSync,
    /// An entry of the log that is not whole is refused.
    WholeEntry,
    /// Bronze takes no span that it has.
    OwnSpans,
    /// The index moves after the commit.
    IndexAfterCommit,
    /// A batch is worked on under the digests in force at its Bronze version.
    DigestsInForce,
    /// What lies in Bronze unsettled is settled first.
    CatchUp,
    /// A table that was restored is noticed.
    Contradiction,
    /// Offsets that the log lost halt.
    LostOffsets,
    /// A log that ends too early halts.
    CutOff,
    /// Another topic of the same name halts.
    TopicIdentity,
    /// Records that were delivered before are left out.
    Order,
    /// The client never chooses an offset by itself.
    Reset,
    /// Only the holder of the first partition settles.
    OneSettles,
}

/// Whether this process does without `guard`.
#[cfg(feature = "mutants")]
pub(crate) fn without(guard: Safeguard) -> bool {
    use std::sync::LazyLock;
    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SILVERSMITH_MUTANT").ok());
    NAMED.as_deref() == Some(format!("{guard:?}").as_str())
}

/// Whether this process does without `guard`.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn without(_: Safeguard) -> bool {
    false
}
