use crate::TargetLabels;
use jiff::SignedDuration;
use std::collections::BTreeSet;

/// What the killer's owner allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which labels of an alert name the pod.
    pub labels: TargetLabels,
    /// The namespaces in which pods may be killed.
    pub namespaces: Namespaces,
    /// Whether only pods that carry the opt-in label may be killed. Off.
    pub opt_in: bool,
    /// Whether pods may be killed that nothing would bring another one in place of. Off.
    pub unmanaged: bool,
    /// How many pods may be killed.
    pub budgets: Budgets,
    /// How old a pod must be. 60 s: one that has just started may not have had its chance.
    pub min_age: SignedDuration,
    /// How long a removal that is refused for now is tried again. 10 min.
    pub deadline: SignedDuration,
    /// How a pod is removed. [`Mode::Evict`].
    pub mode: Mode,
}

/// Where pods may be killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Everywhere but in these. None.
    AllBut(BTreeSet<String>),
    /// In these alone.
    Only(BTreeSet<String>),
}

/// How many pods may be killed in any [`window`](Self::window). Each number is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Of one workload: 1. A pod that belongs to nothing counts as a workload of its own.
    pub workload: usize,
    /// In one namespace: 3.
    pub namespace: usize,
    /// In all: 10.
    pub overall: usize,
    /// How long a kill counts. 10 min.
    pub window: SignedDuration,
    /// Which share of a workload's pods may stand accused at once, in percent: 30. Above it the pods are not the
    /// problem, and only the first of a window goes. Counts from [`SHARE_COUNTS_FROM`] pods.
    pub share_percent: usize,
}

/// The size from which a workload has a share: of two pods one is always half.
pub const SHARE_COUNTS_FROM: usize = 3;

/// How a pod is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the eviction API: disruption budgets hold.
    Evict,
    /// By the eviction API; by a deletion when that is still refused at the deadline.
    EvictThenDelete,
    /// By a deletion, whatever disruption budgets say.
    Delete,
    /// Not removed at all, but taken out of its Services and its workload by relabelling, and kept for debugging.
    Quarantine,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            labels: TargetLabels::default(),
            namespaces: Namespaces::AllBut(BTreeSet::new()),
            opt_in: false,
            unmanaged: false,
            budgets: Budgets::default(),
            min_age: SignedDuration::from_secs(60),
            deadline: SignedDuration::from_mins(10),
            mode: Mode::Evict,
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self { workload: 1, namespace: 3, overall: 10, window: SignedDuration::from_mins(10), share_percent: 30 }
    }
}

impl Namespaces {
    /// Whether pods may be killed there.
    #[must_use]
    pub fn allow(&self, namespace: &str) -> bool {
        match self {
            Self::AllBut(spared) => !spared.contains(namespace),
            Self::Only(allowed) => allowed.contains(namespace),
        }
    }
}
