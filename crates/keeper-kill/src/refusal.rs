use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// The word for [`Refusal::TooManyAccused`]; it is read back from the ledger.
pub(crate) const TOO_MANY_ACCUSED: &str = "TooManyAccused";

/// Why a pod is not killed, or not now. Its [`reason`](Self::reason) is the same word in events, metrics and the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The alert is resolved.
    Resolved,
    /// No label of the alert names a pod.
    NoPodLabel {
        /// The labels that would.
        among: Vec<String>,
    },
    /// No label of the alert names a namespace.
    NoNamespaceLabel {
        /// The labels that would.
        among: Vec<String>,
    },
    /// A label holds what can't be a name.
    BadName {
        /// Which one.
        label: String,
    },
    /// Two labels name different things.
    Ambiguous {
        /// The one that comes first.
        one: String,
        /// One that says something else.
        other: String,
    },
    /// Pods there are not to be killed.
    NamespaceNotAllowed,
    /// The pod doesn't carry the opt-in label, and it is asked for.
    NotOptedIn,
    /// The alert fires since before the pod was there: it speaks of another pod of that name.
    AlertOlderThanPod {
        /// When the pod was created.
        created: Timestamp,
    },
    /// The pod is a canary: the operator hears of it by its own webhook.
    Canary,
    /// The pod is the killer itself.
    Killer,
    /// The pod is a static pod's shadow: deleting it stops nothing.
    Static,
    /// Nothing would bring another pod in its place.
    Unmanaged,
    /// The pod can't be kept in quarantine: its StatefulSet could make no other of that name.
    NameIsNeeded,
    /// Too many pods of the workload stand accused: they are not the problem.
    TooManyAccused {
        /// How many.
        accused: usize,
        /// Of how many.
        of: usize,
    },
    /// The same alert tried it before, within the window, and the API server refused to the end.
    TriedLately {
        /// When that ended.
        at: Timestamp,
    },
    /// A budget is spent.
    Budget {
        /// Which one.
        scope: Scope,
        /// Its size.
        limit: usize,
    },
    /// The pod has not had its chance yet.
    TooYoung {
        /// How old it must be.
        min_age: SignedDuration,
    },
    /// What is known of the cluster is too little to decide.
    Unseen,
    /// The pod was replaced by another one of that name before it was to go.
    Replaced,
    /// Disruption budgets refused its eviction until the deadline.
    DisruptionBudget {
        /// What the API server said, bounded.
        said: String,
    },
    /// The API server refused its removal.
    ApiServer {
        /// What it said, bounded.
        said: String,
    },
}

/// What a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One workload.
    Workload,
    /// One namespace.
    Namespace,
    /// Everything.
    Overall,
}

/// What a refusal asks of the one who brought the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same alert gets the same answer: counting it is enough.
    Same,
    /// Another moment might answer otherwise, but this is the answer: it is recorded, and given.
    Recorded,
    /// It has to come again.
    ComeAgain,
}

impl Refusal {
    /// One word for it: in events, metrics and the history.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Resolved => "Resolved",
            Self::NoPodLabel { .. } => "NoPodLabel",
            Self::NoNamespaceLabel { .. } => "NoNamespaceLabel",
            Self::BadName { .. } => "BadName",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::NamespaceNotAllowed => "NamespaceNotAllowed",
            Self::NotOptedIn => "NotOptedIn",
            Self::AlertOlderThanPod { .. } => "AlertOlderThanPod",
            Self::Canary => "Canary",
            Self::Killer => "Killer",
            Self::Static => "StaticPod",
            Self::Unmanaged => "Unmanaged",
            Self::NameIsNeeded => "NameIsNeeded",
            Self::TooManyAccused { .. } => TOO_MANY_ACCUSED,
            Self::TriedLately { .. } => "TriedLately",
            Self::Budget { scope: Scope::Workload, .. } => "WorkloadBudget",
            Self::Budget { scope: Scope::Namespace, .. } => "NamespaceBudget",
            Self::Budget { scope: Scope::Overall, .. } => "OverallBudget",
            Self::TooYoung { .. } => "TooYoung",
            Self::Unseen => "Unseen",
            Self::Replaced => "Replaced",
            Self::DisruptionBudget { .. } => "DisruptionBudget",
            Self::ApiServer { .. } => "ApiServer",
        }
    }

    /// Whether the alert has to come again, and if not, whether this is worth a record.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Budget { .. } | Self::TooYoung { .. } | Self::Unseen => Again::ComeAgain,
            Self::TooManyAccused { .. }
            | Self::NotOptedIn
            | Self::AlertOlderThanPod { .. }
            | Self::Unmanaged
            | Self::NameIsNeeded
            | Self::Replaced
            | Self::DisruptionBudget { .. }
            | Self::ApiServer { .. } => Again::Recorded,
            Self::Resolved
            | Self::NoPodLabel { .. }
            | Self::NoNamespaceLabel { .. }
            | Self::BadName { .. }
            | Self::Ambiguous { .. }
            | Self::NamespaceNotAllowed
            | Self::Canary
            | Self::Killer
            | Self::Static
            | Self::TriedLately { .. } => Again::Same,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolved => f.write_str("the alert is resolved"),
            Self::NoPodLabel { among } => {
                write!(f, "the alert names no pod: keep one of the labels {} in the rule", among.join(", "))
            }
            Self::NoNamespaceLabel { among } => {
                write!(f, "the alert names no namespace: keep one of the labels {} in the rule", among.join(", "))
            }
            Self::BadName { label } => write!(f, "the label {label} holds what can't be a name in Kubernetes"),
            Self::Ambiguous { one, other } => write!(
                f,
                "the labels {one} and {other} name different things: say with --pod-labels or --namespace-labels which comes first"
            ),
            Self::NamespaceNotAllowed => f.write_str("pods of this namespace are not to be killed"),
            Self::NotOptedIn => f.write_str("the pod doesn't carry the label canary-keeper.dev/kill: allowed"),
            Self::AlertOlderThanPod { created } => write!(
                f,
                "the alert fires since before the pod was created ({created}): it speaks of another pod of that name"
            ),
            Self::Canary => f.write_str("the pod is a canary: the operator's business, by its own webhook"),
            Self::Killer => f.write_str("the pod is the killer itself"),
            Self::Static => f.write_str("the pod is a static pod's shadow: deleting it stops nothing"),
            Self::Unmanaged => {
                f.write_str("nothing would bring another pod in its place (--allow-unmanaged kills it all the same)")
            }
            Self::NameIsNeeded => {
                f.write_str("kept in quarantine, its StatefulSet could make no other pod of that name")
            }
            Self::TooManyAccused { accused, of } => {
                write!(f, "{accused} of {of} pods of the workload stand accused: they are not the problem")
            }
            Self::TriedLately { at } => {
                write!(
                    f,
                    "this alert tried it before, and was refused to the end at {at}: it is tried again a window later"
                )
            }
            Self::Budget { scope, limit } => write!(f, "the budget of {limit} {scope} is spent for now"),
            Self::TooYoung { min_age } => {
                write!(f, "the pod is not {} s old yet", min_age.as_secs())
            }
            Self::Unseen => f.write_str("what is known of the cluster is too old to decide"),
            Self::Replaced => f.write_str("another pod bears the name by now"),
            Self::DisruptionBudget { said } => {
                write!(f, "disruption budgets refused its eviction until the deadline: {said}")
            }
            Self::ApiServer { said } => write!(f, "the API server refused: {said}"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workload => "per workload",
            Self::Namespace => "per namespace",
            Self::Overall => "overall",
        })
    }
}
