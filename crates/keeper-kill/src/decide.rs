use crate::ledger::Spent;
use crate::policy::SHARE_COUNTS_FROM;
use crate::{
    Again, AlertId, Ended, Intent, Ledger, Mode, Outcome, Pod, PodName, Policy, Refusal, Role, Sight, Uid, View,
};
use jiff::Timestamp;
use keeper_alertmanager::{Alert, Status};
use std::collections::{HashMap, HashSet};

/// What a batch of alerts comes to: one ruling for each alert, and what changes in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// For each alert, in the order in which they came.
    pub rulings: Vec<Ruling>,
    /// The pods that are to go, newly decided; each is in the budgets from now on.
    pub orders: Vec<Intent>,
    /// More alerts about pods that are to go already.
    pub joined: Vec<(Uid, AlertId)>,
    /// Alerts that accused pods that are to go, and are resolved.
    pub resolved: Vec<(Uid, AlertId)>,
    /// Refusals worth a record that the ledger doesn't hold yet.
    pub refused: Vec<Ended>,
}

/// What one alert comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The pod that it names, where it names one.
    pub pod: Option<PodName>,
    /// What is so, or is to be done.
    pub ruled: Ruled,
}

/// See [`Ruling`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruled {
    /// The pod is to go.
    Kill(Uid),
    /// The pod is to go already.
    Open(Uid),
    /// The pod is gone, or going: that was the wish.
    Gone,
    /// The pod is spared.
    Refused(Refusal),
}

impl Ruled {
    /// Why the alert has to come again, if it has to.
    #[must_use]
    pub fn comes_again(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) if refusal.again() == Again::ComeAgain => Some(refusal),
            Self::Refused(_) | Self::Kill(_) | Self::Open(_) | Self::Gone => None,
        }
    }
}

impl Decision {
    /// Whether something changes in the ledger, and so has to be stored before anybody is answered.
    #[must_use]
    pub fn changes(&self) -> bool {
        !(self.orders.is_empty() && self.joined.is_empty() && self.resolved.is_empty() && self.refused.is_empty())
    }

    /// Why the first of the alerts that have to come again must: the answer is then 503, after what was decided is stored.
    #[must_use]
    pub fn comes_again(&self) -> Option<&Refusal> {
        self.rulings.iter().find_map(|ruling| ruling.ruled.comes_again())
    }

    /// The ledger after it.
    pub fn enter(&self, ledger: &mut Ledger) {
        for (uid, alert) in &self.resolved {
            for intent in ledger.open.iter_mut().filter(|intent| intent.uid == *uid) {
                intent.alerts.retain(|accusing| accusing != alert);
                intent.withdrawn = intent.alerts.is_empty();
            }
        }
        for (uid, alert) in &self.joined {
            for intent in ledger.open.iter_mut().filter(|intent| intent.uid == *uid) {
                intent.alerts.push(alert.clone());
                intent.withdrawn = false;
            }
        }
        ledger.open.extend(self.orders.iter().cloned());
        ledger.ended.extend(self.refused.iter().cloned());
    }
}

/// What a batch of alerts comes to.
///
/// Every alert is ruled on by itself as far as it can be (what it names, what the pod is); then the pods that are left are
/// taken one by one, the one accused for longest first, and each must pass the workload's share and every budget. Asked
/// again with the ledger that came out of it, nothing more happens.
#[must_use]
pub fn decide(alerts: &[Alert], view: &impl View, ledger: &Ledger, policy: &Policy, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    let mut spent = Spent::new(ledger, &policy.budgets, now);
    let past = Past::of(ledger);
    let mut condemned: HashMap<Uid, Condemned<'_>> = HashMap::new();
    for (index, alert) in alerts.iter().enumerate() {
        let (name, looked) = look(alert, view, policy, now);
        let ruled = match (looked, &name) {
            (Ok(Some(pod)), Some(name)) => {
                spent.accuse(pod.workload.as_ref(), &pod.uid);
                let ruled = past.rules(alert, pod, policy, now);
                if ruled.is_none() {
                    let new = || Condemned { name: name.clone(), pod, alerts: Vec::new() };
                    condemned.entry(pod.uid.clone()).or_insert_with(new).alerts.push(index);
                }
                ruled.unwrap_or_else(|| Ruled::Open(pod.uid.clone()))
            }
            (Ok(_), _) => Ruled::Gone,
            (Err(refusal), _) => Ruled::Refused(refusal),
        };
        decision.rulings.push(Ruling { pod: name, ruled });
    }
    join(&mut decision, alerts, ledger);
    let condemned = in_order(condemned, alerts);
    choose(&mut decision, alerts, &condemned, &mut spent, view, policy, now);
    record(&mut decision, alerts, view, ledger, now);
    decision
}

/// What the ledger says about pods by their uid.
struct Past<'a> {
    open: HashSet<&'a Uid>,
    removed: HashSet<&'a Uid>,
    tried: HashMap<(&'a Uid, &'a str), &'a Ended>,
}

impl<'a> Past<'a> {
    fn of(ledger: &'a Ledger) -> Self {
        let removed = |ended: &&Ended| ended.outcome.spends() || ended.outcome == Outcome::GoneBefore;
        let tried = |ended: &&Ended| matches!(ended.outcome, Outcome::Refused { tried: true, .. });
        Self {
            open: ledger.open.iter().map(|intent| &intent.uid).collect(),
            removed: ledger.ended.iter().filter(removed).map(|ended| &ended.uid).collect(),
            tried: ledger
                .ended
                .iter()
                .filter(tried)
                .map(|ended| ((&ended.uid, ended.alert.fingerprint.as_str()), ended))
                .collect(),
        }
    }

    /// What it says of one; `None` when the pod is to be decided about.
    fn rules(&self, alert: &Alert, pod: &Pod, policy: &Policy, now: Timestamp) -> Option<Ruled> {
        if self.open.contains(&pod.uid) {
            return Some(Ruled::Open(pod.uid.clone()));
        }
        // The view may be behind what was accepted.
        if self.removed.contains(&pod.uid) {
            return Some(Ruled::Gone);
        }
        let tried = self.tried.get(&(&pod.uid, alert.fingerprint.as_str()))?;
        let lately = tried.alert.starts_at == alert.starts_at && now.duration_since(tried.at) < policy.budgets.window;
        lately.then_some(Ruled::Refused(Refusal::TriedLately { at: tried.at }))
    }
}

/// A pod that at least one alert accuses with right.
struct Condemned<'a> {
    name: PodName,
    pod: &'a Pod,
    /// The alerts, by their place in the batch.
    alerts: Vec<usize>,
}

/// What one alert comes to by itself: the pod that it accuses with right, `None` when that pod is gone or going.
fn look<'a>(
    alert: &Alert,
    view: &'a impl View,
    policy: &Policy,
    now: Timestamp,
) -> (Option<PodName>, Result<Option<&'a Pod>, Refusal>) {
    let name = match policy.labels.target(alert) {
        Ok(name) => name,
        Err(refusal) => return (None, Err(if alert.status == Status::Resolved { Refusal::Resolved } else { refusal })),
    };
    let looked = look_at(alert, &name, view, policy, now);
    (Some(name), looked)
}

fn look_at<'a>(
    alert: &Alert,
    name: &PodName,
    view: &'a impl View,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<&'a Pod>, Refusal> {
    if alert.status == Status::Resolved {
        return Err(Refusal::Resolved);
    }
    // Before the view is asked: an alert about a forbidden namespace learns nothing of what is in there.
    if !policy.namespaces.allow(name.namespace()) {
        return Err(Refusal::NamespaceNotAllowed);
    }
    match view.pod(name) {
        Sight::Unknown => Err(Refusal::Unseen),
        Sight::Gone => Ok(None),
        Sight::Pod(pod) => match protects(alert, pod, policy, now) {
            Some(refusal) => Err(refusal),
            None => Ok((!pod.leaving).then_some(pod)),
        },
    }
}

/// Why the pod is spared whatever the budgets say.
fn protects(alert: &Alert, pod: &Pod, policy: &Policy, now: Timestamp) -> Option<Refusal> {
    match pod.role {
        Role::Canary => return Some(Refusal::Canary),
        Role::Killer => return Some(Refusal::Killer),
        Role::Static => return Some(Refusal::Static),
        Role::Ordinary => {}
    }
    if policy.opt_in && !pod.opted_in {
        return Some(Refusal::NotOptedIn);
    }
    if alert.starts_at < pod.created {
        return Some(Refusal::AlertOlderThanPod { created: pod.created });
    }
    if pod.leaving {
        return None;
    }
    if pod.workload.is_none() && !policy.unmanaged {
        return Some(Refusal::Unmanaged);
    }
    let stateful = pod.workload.as_ref().is_some_and(|workload| workload.kind == "StatefulSet");
    if policy.mode == Mode::Quarantine && stateful {
        return Some(Refusal::NameIsNeeded);
    }
    let young = now.duration_since(pod.created) < policy.min_age;
    young.then_some(Refusal::TooYoung { min_age: policy.min_age })
}

/// What the batch says about pods that are to go already.
fn join(decision: &mut Decision, alerts: &[Alert], ledger: &Ledger) {
    let open: HashMap<&PodName, &Intent> = ledger.open.iter().map(|intent| (&intent.pod, intent)).collect();
    let mut seen = HashSet::new();
    for (ruling, alert) in decision.rulings.iter().zip(alerts) {
        let Some(intent) = ruling.pod.as_ref().and_then(|pod| open.get(pod)) else { continue };
        let id = identity(alert);
        let knows = intent.alerts.contains(&id);
        if !seen.insert((intent.uid.clone(), id.clone())) {
            continue;
        }
        match &ruling.ruled {
            Ruled::Refused(Refusal::Resolved) if knows => decision.resolved.push((intent.uid.clone(), id)),
            Ruled::Open(uid) if *uid == intent.uid && !knows => {
                let more = decision.joined.iter().filter(|(joined, _)| joined == uid).count();
                if intent.alerts.len() + more < Intent::ALERTS_LIMIT {
                    decision.joined.push((uid.clone(), id));
                }
            }
            Ruled::Open(_) | Ruled::Kill(_) | Ruled::Gone | Ruled::Refused(_) => {}
        }
    }
}

/// The one accused for longest first; of two the one whose name comes first, so that every replica chooses alike.
fn in_order<'a>(condemned: HashMap<Uid, Condemned<'a>>, alerts: &[Alert]) -> Vec<Condemned<'a>> {
    let since = |condemned: &Condemned<'_>| {
        condemned.alerts.iter().filter_map(|index| alerts.get(*index)).map(|alert| alert.starts_at).min()
    };
    let mut condemned: Vec<_> = condemned.into_values().collect();
    condemned.sort_by_cached_key(|condemned| (since(condemned), condemned.name.clone()));
    condemned
}

/// Takes the condemned pods one by one.
fn choose(
    decision: &mut Decision,
    alerts: &[Alert],
    condemned: &[Condemned<'_>],
    spent: &mut Spent<'_>,
    view: &impl View,
    policy: &Policy,
    now: Timestamp,
) {
    for condemned in condemned {
        let ruled = match forbids(condemned, spent, view, policy) {
            Some(refusal) => Ruled::Refused(refusal),
            None => {
                spent.spend(&condemned.name, condemned.pod.workload.as_ref(), &condemned.pod.uid);
                decision.orders.extend(order(condemned, alerts, policy, now));
                Ruled::Kill(condemned.pod.uid.clone())
            }
        };
        for index in &condemned.alerts {
            if let Some(ruling) = decision.rulings.get_mut(*index) {
                ruling.ruled = ruled.clone();
            }
        }
    }
}

/// Why the pod is spared for the sake of the others. One of a workload may always go, as far as the wider budgets reach.
fn forbids(condemned: &Condemned<'_>, spent: &Spent<'_>, view: &impl View, policy: &Policy) -> Option<Refusal> {
    let (workload, uid) = (condemned.pod.workload.as_ref(), &condemned.pod.uid);
    if let (Some(owner), false) = (workload, spent.first_of(workload, uid)) {
        let accused = spent.accused(workload, uid);
        let of = view.size(condemned.name.namespace(), owner).max(accused);
        if of >= SHARE_COUNTS_FROM && accused * 100 > policy.budgets.share_percent * of {
            return Some(Refusal::TooManyAccused { accused, of });
        }
    }
    spent.exhausted(&condemned.name, workload, uid)
}

fn order(condemned: &Condemned<'_>, alerts: &[Alert], policy: &Policy, now: Timestamp) -> Option<Intent> {
    let mut accusing: Vec<&Alert> = condemned.alerts.iter().filter_map(|index| alerts.get(*index)).collect();
    accusing.sort_by_key(|alert| (alert.starts_at, alert.fingerprint.clone()));
    accusing.dedup_by_key(|alert| identity(alert));
    let first = accusing.first()?;
    Some(Intent {
        pod: condemned.name.clone(),
        uid: condemned.pod.uid.clone(),
        workload: condemned.pod.workload.clone(),
        alerts: accusing.iter().take(Intent::ALERTS_LIMIT).map(|alert| identity(alert)).collect(),
        alert_name: first.name().chars().take(NAME_LIMIT).collect(),
        decided: now,
        deadline: now.checked_add(policy.deadline).unwrap_or(Timestamp::MAX),
        withdrawn: false,
    })
}

/// The longest name of an alert that is kept, in characters.
const NAME_LIMIT: usize = 100;

/// Notes the refusals that are worth it, each once.
fn record(decision: &mut Decision, alerts: &[Alert], view: &impl View, ledger: &Ledger, now: Timestamp) {
    let known: HashSet<(&Uid, &AlertId)> = ledger.ended.iter().map(|ended| (&ended.uid, &ended.alert)).collect();
    let mut noted: HashSet<(Uid, AlertId)> = HashSet::new();
    for (ruling, alert) in decision.rulings.iter().zip(alerts) {
        let (Some(name), Ruled::Refused(refusal)) = (&ruling.pod, &ruling.ruled) else { continue };
        if refusal.again() != Again::Recorded || decision.refused.len() >= RECORDED_LIMIT {
            continue;
        }
        let (Sight::Pod(pod), alert_id) = (view.pod(name), identity(alert)) else { continue };
        if known.contains(&(&pod.uid, &alert_id)) || !noted.insert((pod.uid.clone(), alert_id.clone())) {
            continue;
        }
        decision.refused.push(Ended {
            pod: name.clone(),
            uid: pod.uid.clone(),
            workload: pod.workload.clone(),
            alert: alert_id,
            alert_name: alert.name().chars().take(NAME_LIMIT).collect(),
            at: now,
            outcome: Outcome::refused(refusal),
        });
    }
}

/// The most refusals of one batch that are recorded; more are counted only.
pub const RECORDED_LIMIT: usize = 100;

fn identity(alert: &Alert) -> AlertId {
    AlertId { fingerprint: alert.fingerprint.clone(), starts_at: alert.starts_at }
}
