use crate::refusal::TOO_MANY_ACCUSED;
use crate::{AlertId, Budgets, PodName, Refusal, Scope, Uid, Workload};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// What is remembered across restarts and shared by all replicas. Every change of it is stored on the condition that
/// nobody changed it meanwhile: what two replicas decide at once is then decided one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The kills decided and not yet ended.
    pub open: Vec<Intent>,
    /// What ended, the oldest first. Those within the window are what budgets count; older ones are for people.
    pub ended: Vec<Ended>,
}

/// A pod that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its name.
    pub pod: PodName,
    /// Its uid: no other pod of that name is meant.
    pub uid: Uid,
    /// What it belongs to.
    pub workload: Option<Workload>,
    /// The alerts that accuse it, at most [`ALERTS_LIMIT`](Self::ALERTS_LIMIT); the first one decided.
    pub alerts: Vec<AlertId>,
    /// The first alert's name.
    pub alert_name: String,
    /// When it was decided.
    pub decided: Timestamp,
    /// Until when a removal that is refused for now is tried again.
    pub deadline: Timestamp,
    /// Every alert that accused it is resolved: it is spared, unless its removal is under way.
    pub withdrawn: bool,
}

impl Intent {
    /// The most alerts remembered with one pod.
    pub const ALERTS_LIMIT: usize = 8;
}

/// A kill or a refusal that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The pod's name.
    pub pod: PodName,
    /// Its uid.
    pub uid: Uid,
    /// What it belonged to.
    pub workload: Option<Workload>,
    /// The alert that accused it.
    pub alert: AlertId,
    /// Its name.
    pub alert_name: String,
    /// When it ended: what counts in a budget counts from here.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
}

/// How a kill ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The API server accepted its eviction.
    Evicted,
    /// The API server accepted its deletion.
    Deleted,
    /// It was taken out of service and kept.
    Quarantined,
    /// It was gone or going, and our request may have been the reason: the answer was lost, or the one who sent it died.
    GoneAfterRequest,
    /// A request was sent and never answered, and the pod was still there at the end: it may go yet.
    Unanswered,
    /// It was gone or going before we asked.
    GoneBefore,
    /// Every alert that accused it was resolved before its turn.
    Withdrawn,
    /// It was spared.
    Refused {
        /// The word for the reason, as [`Refusal::reason`] gives it.
        reason: String,
        /// The reason as a sentence.
        message: String,
        /// Whether its removal was tried: the same alert then tries it again only after a window.
        tried: bool,
    },
}

impl Outcome {
    /// A refusal that came before any try.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        Self::Refused { reason: refusal.reason().to_owned(), message: refusal.to_string(), tried: false }
    }

    /// A refusal of the API server's.
    pub(crate) fn tried(refusal: &Refusal) -> Self {
        Self::Refused { reason: refusal.reason().to_owned(), message: refusal.to_string(), tried: true }
    }

    /// Whether the pod stood accused with right, whether it went or not.
    fn accused(&self) -> bool {
        match self {
            Self::Refused { reason, tried, .. } => *tried || reason == TOO_MANY_ACCUSED,
            Self::Withdrawn => false,
            Self::Evicted
            | Self::Deleted
            | Self::Quarantined
            | Self::GoneAfterRequest
            | Self::Unanswered
            | Self::GoneBefore => true,
        }
    }

    /// Whether it counts in the budgets. What may have been our doing does.
    #[must_use]
    pub fn spends(&self) -> bool {
        match self {
            Self::Evicted | Self::Deleted | Self::Quarantined | Self::GoneAfterRequest | Self::Unanswered => true,
            Self::GoneBefore | Self::Withdrawn | Self::Refused { .. } => false,
        }
    }
}

impl Ledger {
    /// What is open about a pod.
    #[must_use]
    pub fn open_for(&self, uid: &Uid) -> Option<&Intent> {
        self.open.iter().find(|intent| intent.uid == *uid)
    }

    /// What the budgets leave at this moment for a pod of this workload.
    #[must_use]
    pub fn left(
        &self,
        pod: &PodName,
        workload: Option<&Workload>,
        uid: &Uid,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Left {
        Spent::new(self, budgets, now).left(pod, workload, uid)
    }

    /// Forgets what neither a budget nor a person needs: all but the latest `keep` entries, and never one that a budget
    /// still counts.
    pub fn trim(&mut self, budgets: &Budgets, keep: usize, now: Timestamp) {
        let mut surplus = self.ended.len().saturating_sub(keep);
        self.ended.retain(|ended| {
            if surplus == 0 || counts(ended, budgets, now) {
                return true;
            }
            surplus -= 1;
            false
        });
    }
}

/// What budgets leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// For pods of the workload.
    pub workload: usize,
    /// For pods of the namespace.
    pub namespace: usize,
    /// In all.
    pub overall: usize,
}

/// Whether a budget still counts it.
fn counts(ended: &Ended, budgets: &Budgets, now: Timestamp) -> bool {
    ended.outcome.spends() && now.duration_since(ended.at) < budgets.window
}

/// What budgets count at one moment: what is open counts as spent, what was accepted counts for a window from then on.
/// So no window ever holds more acceptances than the budget, however long one of them took.
#[derive(Debug)]
pub(crate) struct Spent<'a> {
    budgets: &'a Budgets,
    workloads: HashMap<Uid, usize>,
    namespaces: HashMap<String, usize>,
    overall: usize,
    /// The pods of each workload that stood accused within the window, killed or spared.
    accused: HashMap<Uid, HashSet<Uid>>,
}

impl<'a> Spent<'a> {
    pub(crate) fn new(ledger: &Ledger, budgets: &'a Budgets, now: Timestamp) -> Self {
        let mut spent = Self {
            budgets,
            workloads: HashMap::new(),
            namespaces: HashMap::new(),
            overall: 0,
            accused: HashMap::new(),
        };
        for intent in &ledger.open {
            spent.accuse(intent.workload.as_ref(), &intent.uid);
            spent.spend(&intent.pod, intent.workload.as_ref(), &intent.uid);
        }
        for ended in &ledger.ended {
            if ended.outcome.accused() && now.duration_since(ended.at) < budgets.window {
                spent.accuse(ended.workload.as_ref(), &ended.uid);
            }
            if counts(ended, budgets, now) {
                spent.spend(&ended.pod, ended.workload.as_ref(), &ended.uid);
            }
        }
        spent
    }

    /// Takes a token of every budget.
    pub(crate) fn spend(&mut self, pod: &PodName, workload: Option<&Workload>, uid: &Uid) {
        *self.workloads.entry(owner(workload, uid).clone()).or_default() += 1;
        *self.namespaces.entry(pod.namespace().to_owned()).or_default() += 1;
        self.overall += 1;
    }

    /// Notes that a pod stands accused.
    pub(crate) fn accuse(&mut self, workload: Option<&Workload>, uid: &Uid) {
        self.accused.entry(owner(workload, uid).clone()).or_default().insert(uid.clone());
    }

    /// How many pods of the workload stand accused.
    pub(crate) fn accused(&self, workload: Option<&Workload>, uid: &Uid) -> usize {
        self.accused.get(owner(workload, uid)).map_or(0, HashSet::len)
    }

    /// Whether nothing of the workload went within the window.
    pub(crate) fn first_of(&self, workload: Option<&Workload>, uid: &Uid) -> bool {
        !self.workloads.contains_key(owner(workload, uid))
    }

    /// The first budget that has nothing left.
    pub(crate) fn exhausted(&self, pod: &PodName, workload: Option<&Workload>, uid: &Uid) -> Option<Refusal> {
        let left = self.left(pod, workload, uid);
        let all = [
            (Scope::Workload, left.workload, self.budgets.workload),
            (Scope::Namespace, left.namespace, self.budgets.namespace),
            (Scope::Overall, left.overall, self.budgets.overall),
        ];
        let (scope, _, limit) = all.into_iter().find(|(_, left, _)| *left == 0)?;
        Some(Refusal::Budget { scope, limit })
    }

    fn left(&self, pod: &PodName, workload: Option<&Workload>, uid: &Uid) -> Left {
        let namespace = self.namespaces.get(pod.namespace()).copied().unwrap_or_default();
        let workload = self.workloads.get(owner(workload, uid)).copied().unwrap_or_default();
        Left {
            workload: self.budgets.workload.saturating_sub(workload),
            namespace: self.budgets.namespace.saturating_sub(namespace),
            overall: self.budgets.overall.saturating_sub(self.overall),
        }
    }
}

/// A pod that belongs to nothing is a workload of its own.
fn owner<'a>(workload: Option<&'a Workload>, pod: &'a Uid) -> &'a Uid {
    workload.map_or(pod, |workload| &workload.uid)
}
