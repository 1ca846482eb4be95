//! Disruption budgets: how many pods may be evicted now.
//!
//! The count of expected pods comes from the scale of the pods' controllers, each counted once by uid, as
//! kube-controller-manager does it; a pod without a controller is healthy capacity but is not expected.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::{Controller, Error, deployment::spec::share};
use crate::{
    objects::{
        DEPLOYMENTS, DISRUPTION_BUDGETS, Fields, JOBS, Key, Meta, Object, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS,
        STATEFUL_SETS, is_ready, stamp,
    },
    selector::Selector,
    view::{Change, View},
};

/// An eviction that was granted counts as a disruption for so long, even if the pod is still there.
const EVICTION_HOLDS: SignedDuration = SignedDuration::from_secs(120);

pub(super) struct Budgets {
    view: View,
}

impl Budgets {
    pub(super) fn new(view: View) -> Self {
        Self { view }
    }
}

impl Controller for Budgets {
    const NAME: &'static str = "disruption";

    fn concerns(&self, change: &Change<'_>) -> Vec<Key> {
        if *change.kind == *DISRUPTION_BUDGETS {
            return change.latest().map(Meta::key).into_iter().collect();
        }
        let Some(namespace) = change.latest().map(Meta::namespace) else { return Vec::new() };
        let budgets = self.view.all(&DISRUPTION_BUDGETS, Some(namespace)).into_iter();
        if *change.kind == *PODS {
            let pods = [change.old, change.new];
            let covers = |budget: &Arc<Object>| {
                let selector = selector(budget);
                pods.iter().flatten().any(|pod| selector.matches(pod.metadata.labels.as_ref()))
            };
            return budgets.filter(covers).map(|budget| budget.key()).collect();
        }
        if [&*DEPLOYMENTS, &*REPLICA_SETS, &*REPLICATION_CONTROLLERS, &*STATEFUL_SETS].contains(&change.kind) {
            return budgets.map(|budget| budget.key()).collect();
        }
        Vec::new()
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let Some(budget) = self.view.get(&DISRUPTION_BUDGETS, key) else { return Ok(None) };
        let selector = selector(&budget);
        let pods = self.view.all(&PODS, Some(budget.namespace()));
        let pods: Vec<_> = pods.into_iter().filter(|pod| selector.matches(pod.metadata.labels.as_ref())).collect();
        let now = Timestamp::now();
        let scale = self.expected(&pods);
        let (status, again) = status(&budget, &pods, &scale, now);
        if budget.data.get("status") != Some(&status) {
            let mut changed = (*budget).clone();
            changed.set(&["status"], status);
            self.view.replace_status(&DISRUPTION_BUDGETS, &changed).await?;
        }
        Ok(again)
    }
}

impl Budgets {
    /// How many pods the controllers of these pods want together; an unknown controller is an error with its name.
    fn expected(&self, pods: &[Arc<Object>]) -> Result<i64, String> {
        let mut scales: HashMap<String, i64> = HashMap::new();
        for pod in pods {
            if let Some(owner) = pod.controller() {
                let none = || match JOBS.is_meant_by(owner) {
                    true => "jobs.batch does not implement the scale subresource".to_owned(),
                    false => format!("found no controllers for pod \"{}\"", pod.name()),
                };
                let (uid, replicas) = self.scale_of(pod.namespace(), owner).ok_or_else(none)?;
                scales.insert(uid, replicas);
            }
        }
        Ok(scales.values().sum())
    }

    fn scale_of(&self, namespace: &str, owner: &OwnerReference) -> Option<(String, i64)> {
        let key = Key::new(namespace, owner.name.clone());
        let kind = [&*REPLICA_SETS, &*DEPLOYMENTS, &*REPLICATION_CONTROLLERS, &*STATEFUL_SETS]
            .into_iter()
            .find(|kind| kind.is_meant_by(owner))?;
        let object = self.view.get(kind, &key).filter(|object| object.uid() == owner.uid)?;
        match object.controller() {
            Some(above) if DEPLOYMENTS.is_meant_by(above) => self.scale_of(namespace, above),
            _ => Some((object.uid().to_owned(), object.int("/spec/replicas").unwrap_or(1))),
        }
    }
}

fn selector(budget: &Object) -> Selector {
    Selector::of_workload(budget.at("/spec/selector"))
}

/// Expected and desired-healthy pods.
fn goal(budget: &Object, pods: usize, scale: &Result<i64, String>) -> Result<(i64, i64), String> {
    let pods = i64::try_from(pods).unwrap_or(i64::MAX);
    if let Some(most) = budget.at("/spec/maxUnavailable") {
        let expected = scale.clone()?;
        let unavailable = share(most, expected, true).ok_or("maxUnavailable is neither a count nor a percentage")?;
        return Ok((expected, (expected - unavailable).max(0)));
    }
    match budget.at("/spec/minAvailable") {
        Some(least) if least.is_string() => {
            let expected = scale.clone()?;
            let healthy = share(least, expected, true).ok_or("minAvailable is neither a count nor a percentage")?;
            Ok((expected, healthy))
        }
        Some(least) => Ok((pods, least.as_i64().unwrap_or(1))),
        None => Ok((0, 0)),
    }
}

fn status(
    budget: &Object,
    pods: &[Arc<Object>],
    scale: &Result<i64, String>,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let (evicted, again) = recent_evictions(budget, pods, now);
    let healthy = |pod: &&Arc<Object>| is_ready(pod) && !pod.deleting() && !evicted.contains_key(pod.name());
    let current = i64::try_from(pods.iter().filter(healthy).count()).unwrap_or(i64::MAX);
    let generation = budget.metadata.generation.unwrap_or(0);
    let (expected, desired, allowed, reason, message) = match goal(budget, pods.len(), scale) {
        Ok((expected, desired)) => {
            let allowed = if expected > 0 { (current - desired).max(0) } else { 0 };
            let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
            (expected, desired, allowed, reason, String::new())
        }
        // Failing safe: what can't be counted must not be disrupted.
        Err(message) => (count(budget, "expectedPods"), count(budget, "desiredHealthy"), 0, "SyncFailed", message),
    };
    let mut status = json!({
        "currentHealthy": current,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": generation,
        "conditions": [condition(budget, allowed > 0, reason, &message, now)],
    });
    if !evicted.is_empty() {
        crate::objects::set(&mut status, &["disruptedPods"], json!(evicted));
    }
    (status, again)
}

fn count(budget: &Object, field: &str) -> i64 {
    budget.int(&format!("/status/{field}")).unwrap_or(0)
}

/// Pods whose eviction was granted and who are still there, and when the first of them is forgiven.
fn recent_evictions(
    budget: &Object,
    pods: &[Arc<Object>],
    now: Timestamp,
) -> (serde_json::Map<String, Value>, Option<Duration>) {
    let mut kept = serde_json::Map::new();
    let mut again: Option<Duration> = None;
    for (name, time) in budget.map("/status/disruptedPods").into_iter().flatten() {
        let still_there = pods.iter().any(|pod| pod.name() == name && !pod.deleting());
        let since: Option<Timestamp> = time.as_str().and_then(|time| time.parse().ok());
        let left = since.map(|since| EVICTION_HOLDS - now.duration_since(since)).filter(|left| left.is_positive());
        if let (true, Some(left)) = (still_there, left) {
            kept.insert(name.clone(), time.clone());
            let left = left.unsigned_abs() + Duration::from_millis(100);
            again = Some(again.map_or(left, |again| again.min(left)));
        }
    }
    (kept, again)
}

fn condition(budget: &Object, allowed: bool, reason: &str, message: &str, now: Timestamp) -> Value {
    let status = if allowed { "True" } else { "False" };
    let before = budget.condition("DisruptionAllowed").filter(|condition| condition.text("/status") == Some(status));
    let now = stamp(now);
    let since = before.and_then(|condition| condition.text("/lastTransitionTime")).unwrap_or(&now);
    json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since, "observedGeneration": budget.metadata.generation.unwrap_or(0),
    })
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use super::*;
    use crate::objects::object;

    fn budget(spec: Value) -> Object {
        object(&DISRUPTION_BUDGETS, json!({"metadata": {"name": "b", "namespace": "n"}, "spec": spec})).unwrap()
    }

    fn ready(count: usize) -> Vec<Arc<Object>> {
        let pod = |index: usize| {
            let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
            Arc::new(
                object(&PODS, json!({"metadata": {"name": format!("p{index}"), "namespace": "n"}, "status": status}))
                    .unwrap(),
            )
        };
        (0..count).map(pod).collect()
    }

    fn counts(budget: &Object, pods: &[Arc<Object>], scale: Result<i64, String>) -> (i64, i64, i64) {
        let (status, _) = status(budget, pods, &scale, Timestamp::UNIX_EPOCH);
        (
            status["expectedPods"].as_i64().unwrap(),
            status["currentHealthy"].as_i64().unwrap(),
            status["disruptionsAllowed"].as_i64().unwrap(),
        )
    }

    #[test]
    fn a_clone_is_capacity_and_not_expected() {
        // Measured on Kubernetes 1.36: three wanted, four healthy, two may go.
        assert_eq!(counts(&budget(json!({"maxUnavailable": 1})), &ready(4), Ok(3)), (3, 4, 2));
    }

    #[test]
    fn a_least_count_is_of_the_pods_there_are() {
        assert_eq!(counts(&budget(json!({"minAvailable": 2})), &ready(3), Ok(9)), (3, 3, 1));
        assert_eq!(counts(&budget(json!({"minAvailable": "50%"})), &ready(3), Ok(3)), (3, 3, 1));
    }

    #[test]
    fn what_cannot_be_counted_is_not_disrupted() {
        assert_eq!(counts(&budget(json!({"maxUnavailable": 1})), &ready(3), Err("no controller".into())).2, 0);
    }

    #[test]
    fn a_granted_eviction_counts_for_two_minutes() {
        let mut budget = budget(json!({"maxUnavailable": 2}));
        budget
            .set(&["status"], json!({"disruptedPods": {"p0": "1970-01-01T00:00:00Z", "gone": "1970-01-01T00:00:00Z"}}));
        let soon: Timestamp = "1970-01-01T00:01:00Z".parse().unwrap();
        let (status, again) = status(&budget, &ready(3), &Ok(3), soon);
        assert_eq!(
            (status["currentHealthy"].as_i64(), status["disruptedPods"].as_object().map(|map| map.len())),
            (Some(2), Some(1))
        );
        assert!(again.is_some_and(|again| again > Duration::from_secs(59)));
        let late: Timestamp = "1970-01-01T00:02:01Z".parse().unwrap();
        assert_eq!(super::status(&budget, &ready(3), &Ok(3), late).0["currentHealthy"], 3);
    }
}
