//! ReplicaSet and ReplicationController: keep a number of pods, adopt and release them, report how many are there.
//!
//! As in kube-controller-manager one controller serves both kinds; they differ in the form of their selector.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Controller, Error};
use crate::{
    objects::{
        Fields, Key, Kind, Meta, Object, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, controller_reference,
        is_finished, is_ready, object, stamp,
    },
    selector::Selector,
    view::{Change, View},
};

/// The most pods made or deleted in one go.
const BURST: usize = 500;

/// Of one of the two kinds.
pub(super) struct ReplicaSets {
    view: View,
    kind: &'static Kind,
}

impl ReplicaSets {
    pub(super) fn new(view: View) -> Self {
        Self { view, kind: &REPLICA_SETS }
    }

    pub(super) fn replication_controllers(view: View) -> Self {
        Self { view, kind: &REPLICATION_CONTROLLERS }
    }
}

impl Controller for ReplicaSets {
    const NAME: &'static str = "replicaset";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if change.kind == self.kind {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        if *change.kind != *PODS {
            return Vec::new();
        }
        let mut keys: Vec<Key> =
            [change.old, change.new].into_iter().flatten().filter_map(|pod| self.owning_set(pod)).collect();
        // An orphan may be wanted by any ReplicaSet of its namespace.
        if let Some(pod) = change.new.filter(|pod| pod.controller().is_none() && !pod.deleting()) {
            let sets = self.view.all(self.kind, Some(pod.namespace()));
            keys.extend(
                sets.iter().filter(|set| self.selector(set).matches(pod.metadata.labels.as_ref())).map(|set| set.key()),
            );
        }
        keys.dedup();
        keys
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(set) = self.view.get(self.kind, key) else { return Ok(None) };
        let pods = self.claim(&set).await?;
        let failure = if set.deleting() { None } else { self.scale(&set, &pods).await };
        let pods = self.owned(&set);
        let now = Timestamp::now();
        let status = status(self.kind, &set, &pods, failure.as_ref(), now);
        if set.data.get("status") != Some(&status) {
            let mut changed = (*set).clone();
            changed.set(&["status"], status);
            self.view.replace_status(self.kind, &changed).await?;
        }
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(next_available(&set, &pods, now)),
        }
    }
}

impl ReplicaSets {
    /// The active pods of this set, after taking in orphans that match and letting go of pods that do not match any more.
    async fn claim(&self, set: &Object) -> Result<Vec<Arc<Object>>, Error> {
        let selector = self.selector(set);
        let mut claimed = Vec::new();
        let mut may_adopt = None;
        for pod in self.view.all(&PODS, Some(set.namespace())) {
            if pod.deleting() || is_finished(&pod) {
                continue;
            }
            let matches = selector.matches(pod.metadata.labels.as_ref());
            match pod.controller() {
                Some(owner) if owner.uid == set.uid() && (matches || set.deleting()) => claimed.push(pod),
                Some(owner) if owner.uid == set.uid() => self.release(set, &pod).await?,
                Some(_) => {}
                None if matches && !set.deleting() => {
                    if may_adopt.is_none() {
                        may_adopt = Some(self.still_lives(set).await?);
                    }
                    if may_adopt == Some(true) {
                        claimed.push(self.adopt(set, &pod).await?);
                    }
                }
                None => {}
            }
        }
        Ok(claimed)
    }

    /// Read from the server, not from the copy: an owner being deleted must not gain dependents.
    async fn still_lives(&self, set: &Object) -> Result<bool, Error> {
        let fresh = self.view.api(self.kind, set.namespace()).get_opt(set.name()).await?;
        Ok(fresh.is_some_and(|fresh| fresh.uid() == set.uid() && !fresh.deleting()))
    }

    async fn adopt(&self, set: &Object, pod: &Object) -> Result<Arc<Object>, Error> {
        let mut owners: Vec<Value> = pod.owners().iter().map(|owner| json!(owner)).collect();
        owners.push(controller_reference(self.kind, set));
        let adopted = self.view.merge(&PODS, pod, json!({"metadata": {"ownerReferences": owners}})).await?;
        tracing::debug!(set = %set.key(), pod = pod.name(), "adopted a pod");
        Ok(Arc::new(adopted))
    }

    async fn release(&self, set: &Object, pod: &Object) -> Result<(), Error> {
        let owners: Vec<Value> =
            pod.owners().iter().filter(|owner| owner.uid != set.uid()).map(|owner| json!(owner)).collect();
        self.view.merge(&PODS, pod, json!({"metadata": {"ownerReferences": owners}})).await?;
        tracing::debug!(set = %set.key(), pod = pod.name(), "released a pod");
        Ok(())
    }

    /// Makes or deletes pods until the count is right; answers what kept it from that.
    async fn scale(&self, set: &Object, pods: &[Arc<Object>]) -> Option<kube::Error> {
        let wanted = usize::try_from(wanted(set)).unwrap_or(0);
        let missing = wanted.saturating_sub(pods.len()).min(BURST);
        for _ in 0..missing {
            let made = match new_pod(self.kind, set) {
                Ok(pod) => self.view.create(&PODS, &pod).await,
                Err(error) => Err(kube::Error::SerdeError(error)),
            };
            if let Err(error) = made {
                return Some(error);
            }
        }
        let surplus = pods.len().saturating_sub(wanted).min(BURST);
        let mut ranked: Vec<Arc<Object>> = pods.to_vec();
        let crowd = self.crowds(set);
        let now = Timestamp::now();
        ranked.sort_by_cached_key(|pod| deletion_rank(pod, crowd.get(node_of(pod)).copied().unwrap_or(0), now));
        for pod in ranked.iter().take(surplus) {
            if let Err(error) = self.view.delete(&PODS, pod, None).await {
                return Some(error);
            }
        }
        None
    }

    /// How many active pods of the same owner's sets each node runs: pods doubled up on a node go first.
    fn crowds(&self, set: &Object) -> HashMap<String, usize> {
        let owner = set.controller().map(|owner| owner.uid.clone());
        let related = |other: &Object| {
            other.uid() == set.uid() || (owner.is_some() && other.controller().map(|owner| owner.uid.clone()) == owner)
        };
        let sets = self.view.all(self.kind, Some(set.namespace()));
        let uids: Vec<&str> = sets.iter().filter(|other| related(other)).map(|other| other.uid()).collect();
        let mut crowds = HashMap::new();
        for pod in self.view.all(&PODS, Some(set.namespace())) {
            let ours = pod.controller().is_some_and(|owner| uids.contains(&owner.uid.as_str()));
            if ours && !pod.deleting() && !is_finished(&pod) {
                *crowds.entry(node_of(&pod).to_owned()).or_insert(0) += 1;
            }
        }
        crowds
    }

    /// A ReplicationController's selector is a plain map.
    fn selector(&self, set: &Object) -> Selector {
        let selector = set.at("/spec/selector");
        if *self.kind == *REPLICATION_CONTROLLERS {
            Selector::of_map(selector)
        } else {
            Selector::of_workload(selector)
        }
    }

    fn owning_set(&self, pod: &Object) -> Option<Key> {
        let owner = pod.controller().filter(|owner| self.kind.is_meant_by(owner))?;
        Some(Key::new(pod.namespace(), owner.name.clone()))
    }

    /// The pods that the set controls now, terminating ones included.
    fn owned(&self, set: &Object) -> Vec<Arc<Object>> {
        let pods = self.view.all(&PODS, Some(set.namespace()));
        pods.into_iter().filter(|pod| pod.controller().is_some_and(|owner| owner.uid == set.uid())).collect()
    }
}

fn wanted(set: &Object) -> i64 {
    set.int("/spec/replicas").unwrap_or(1).max(0)
}

fn node_of(pod: &Object) -> &str {
    pod.text("/spec/nodeName").unwrap_or_default()
}

pub(super) fn new_pod(kind: &Kind, set: &Object) -> serde_json::Result<Object> {
    let mut metadata = json!({
        "generateName": format!("{}-", set.name()),
        "namespace": set.namespace(),
        "ownerReferences": [controller_reference(kind, set)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = set.at(&format!("/spec/template/metadata/{field}")) {
            crate::objects::set(&mut metadata, &[field], value.clone());
        }
    }
    let spec = set.at("/spec/template/spec").cloned().unwrap_or_else(|| json!({}));
    object(&PODS, json!({"metadata": metadata, "spec": spec}))
}

/// The order in which surplus pods go, first to last, as kube-controller-manager ranks them: unassigned, pending, not ready,
/// cheap to delete, doubled up on a node, ready for the shortest time, restarted most often, youngest. Of two times the
/// order of magnitude counts; within one it is chance that decides, so that not all pods of one start go together.
pub(super) fn deletion_rank(pod: &Object, crowd: usize, now: Timestamp) -> impl Ord + use<> {
    let phase = match pod.text("/status/phase") {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    };
    let cost = pod.annotation("controller.kubernetes.io/pod-deletion-cost").and_then(|cost| cost.parse::<i32>().ok());
    let ready_since = pod.condition("Ready").and_then(|condition| condition.time("/lastTransitionTime"));
    let ready_since = ready_since.filter(|_| is_ready(pod));
    let restarts: i64 = pod
        .items("/status/containerStatuses")
        .iter()
        .filter_map(|status| status.int("/restartCount"))
        .max()
        .unwrap_or(0);
    (
        !node_of(pod).is_empty(),
        phase,
        is_ready(pod),
        cost.unwrap_or(0),
        Reverse(crowd),
        ready_since.map(|since| magnitude(since, now)),
        Reverse(restarts),
        pod.created().map(|created| magnitude(created, now)),
        pod.uid().to_owned(),
    )
}

/// The binary logarithm of an age in nanoseconds; -1 for none.
fn magnitude(since: Timestamp, now: Timestamp) -> i64 {
    let age = u128::try_from(now.duration_since(since).as_nanos()).unwrap_or(0);
    age.checked_ilog2().map_or(-1, i64::from)
}

/// When the pod became, or will become, available: Ready for `minReadySeconds`.
pub(super) fn available_at(set: &Object, pod: &Object) -> Option<Timestamp> {
    let since = pod.condition("Ready").filter(|_| is_ready(pod))?.time("/lastTransitionTime");
    let wait = set.int("/spec/minReadySeconds").unwrap_or(0).clamp(0, 1 << 30);
    if wait == 0 {
        return Some(Timestamp::UNIX_EPOCH);
    }
    since?.checked_add(jiff::SignedDuration::from_secs(wait)).ok()
}

fn next_available(set: &Object, pods: &[Arc<Object>], now: Timestamp) -> Option<Duration> {
    let next = pods.iter().filter_map(|pod| available_at(set, pod)).filter(|at| *at > now).min()?;
    Some(next.duration_since(now).unsigned_abs() + Duration::from_millis(20))
}

fn status(kind: &Kind, set: &Object, pods: &[Arc<Object>], failure: Option<&kube::Error>, now: Timestamp) -> Value {
    let template_labels = Selector::of_map(set.at("/spec/template/metadata/labels"));
    let (gone, active): (Vec<&Arc<Object>>, Vec<_>) = pods.iter().partition(|pod| pod.deleting() || is_finished(pod));
    let count = |wanted: &dyn Fn(&Object) -> bool| active.iter().filter(|pod| wanted(pod)).count();
    let mut status = json!({
        "replicas": active.len(),
        "observedGeneration": set.metadata.generation,
    });
    // A ReplicationController has no such field.
    if *kind == *REPLICA_SETS {
        let leaving = gone.iter().filter(|pod| pod.deleting() && !is_finished(pod)).count();
        crate::objects::set(&mut status, &["terminatingReplicas"], json!(leaving));
    }
    let counts = [
        ("fullyLabeledReplicas", count(&|pod| template_labels.matches(pod.metadata.labels.as_ref()))),
        ("readyReplicas", count(&is_ready)),
        ("availableReplicas", count(&|pod| available_at(set, pod).is_some_and(|at| at <= now))),
    ];
    // Zero is left out, as the API does for these fields.
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        crate::objects::set(&mut status, &[field], json!(count));
    }
    let conditions = conditions(set, failure, now);
    if !conditions.is_empty() {
        crate::objects::set(&mut status, &["conditions"], Value::Array(conditions));
    }
    status
}

fn conditions(set: &Object, failure: Option<&kube::Error>, now: Timestamp) -> Vec<Value> {
    let mut conditions: Vec<Value> = set.items("/status/conditions").to_vec();
    let known = set.condition("ReplicaFailure").is_some();
    match failure {
        Some(_) if known => {}
        Some(error) => conditions.push(json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": message(error), "lastTransitionTime": stamp(now),
        })),
        None => conditions.retain(|condition| condition.text("/type") != Some("ReplicaFailure")),
    }
    conditions
}

fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, phase: &str, ready: bool, created: &str) -> Object {
        let status = if ready { "True" } else { "False" };
        object(&PODS, json!({
            "metadata": {"name": name, "namespace": "n", "creationTimestamp": created},
            "spec": {"nodeName": "node"},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": created}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_least_useful_pod_goes_first() {
        let old = pod("old", "Running", true, "2026-01-01T00:00:00Z");
        let young = pod("young", "Running", true, "2026-01-03T00:00:00Z");
        let unready = pod("unready", "Running", false, "2026-01-01T00:00:00Z");
        let pending = pod("pending", "Pending", false, "2026-01-01T00:00:00Z");
        let mut dear = pod("dear", "Running", true, "2026-01-03T00:00:00Z");
        dear.annotate("controller.kubernetes.io/pod-deletion-cost", "10");
        let mut pods = [old, dear, young, unready, pending];
        let now: Timestamp = "2026-01-03T12:00:00Z".parse().unwrap();
        pods.sort_by_cached_key(|pod| deletion_rank(pod, 1, now));
        let order: Vec<&str> = pods.iter().map(Meta::name).collect();
        assert_eq!(order, ["pending", "unready", "young", "old", "dear"]);
    }

    #[test]
    fn only_a_replica_set_counts_pods_that_terminate() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let set = object(&REPLICA_SETS, json!({"metadata": {"name": "s"}})).unwrap();
        assert_eq!(status(&REPLICA_SETS, &set, &[], None, now).int("/terminatingReplicas"), Some(0));
        assert_eq!(status(&REPLICATION_CONTROLLERS, &set, &[], None, now).int("/terminatingReplicas"), None);
    }

    #[test]
    fn a_pod_is_available_after_min_ready_seconds() {
        let set = object(&REPLICA_SETS, json!({"metadata": {"name": "s"}, "spec": {"minReadySeconds": 10}})).unwrap();
        let pod = Arc::new(pod("p", "Running", true, "2026-01-01T00:00:00Z"));
        let early: Timestamp = "2026-01-01T00:00:04Z".parse().unwrap();
        assert_eq!(status(&REPLICA_SETS, &set, &[Arc::clone(&pod)], None, early).int("/availableReplicas"), None);
        assert_eq!(next_available(&set, &[Arc::clone(&pod)], early), Some(Duration::from_millis(6020)));
        let late: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(status(&REPLICA_SETS, &set, &[pod], None, late).int("/availableReplicas"), Some(1));
    }
}
