//! The guards of the protocol as values, so that the model can switch each one off and show that it is needed.

/// A clause of the protocol that looks fussy, named after what it requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `Promoting` is left unsent only behind a fence, and what is sent was noted in the record.
    Fence,
    /// A promotion that production leaves is `RolledBack`, whatever the tag names.
    RolledBackWhateverTheTag,
    /// Observed time is what the record held when the own watch began plus the own watch.
    OwnWatch,
    /// Another `lastTransitionTime` of Ready sets observed time to zero.
    ReadyTransition,
    /// A canary of another run id is deleted, never adopted.
    RunId,
    /// A view of the workload not newer than the last promotion decides nothing.
    NewerView,
    /// `promote` and `retry` of a rolled-back revision need its number.
    RollbackNumber,
    /// The verdict is formed from the record version that the promotion is conditional on.
    VerdictOfThisRecord,
    /// A canary is deleted after its outcome was recorded, or when the record read after it names no live run of it.
    RecordBeforeDelete,
}

/// Which guards are on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards(Option<Guard>);

impl Guards {
    pub(crate) const ALL: Self = Self(None);

    #[cfg(feature = "ablation")]
    pub(crate) const fn without(guard: Guard) -> Self {
        Self(Some(guard))
    }

    pub(crate) fn on(self, guard: Guard) -> bool {
        self.0 != Some(guard)
    }
}
