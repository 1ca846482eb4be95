//! A DeploymentConfig's status: counts, and the conditions Available and Progressing.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::replication::Phase;
use crate::{
    controllers::deployment::spec::Spec,
    objects::{Fields, Meta, Object, stamp},
};

/// The status after this look.
pub(super) fn status(
    config: &Object,
    all: &[Arc<Object>],
    newest: Option<&Object>,
    spec: &Spec,
    now: Timestamp,
) -> Value {
    let sum = |field: &str| -> i64 { all.iter().filter_map(|one| one.int(&format!("/status/{field}"))).sum() };
    let (replicas, available) = (sum("replicas"), sum("availableReplicas"));
    let mut conditions = config.items("/status/conditions").to_vec();
    let enough = available > 0 && available >= spec.replicas - spec.unavailable();
    let words = if enough { "has" } else { "does not have" };
    let message = format!("Deployment config {words} minimum availability.");
    put(&mut conditions, "Available", if enough { "True" } else { "False" }, "", &message, now);
    if let Some(newest) = newest {
        let (status, reason, words) = match Phase::of(newest) {
            Phase::New => ("Unknown", "NewReplicationControllerCreated", "is waiting to run"),
            Phase::Running => ("True", "ReplicationControllerUpdated", "is progressing"),
            Phase::Complete => ("True", "NewReplicationControllerAvailable", "successfully rolled out"),
            Phase::Failed => ("False", "ProgressDeadlineExceeded", "has failed progressing"),
        };
        let message = format!("replication controller \"{}\" {words}", newest.name());
        put(&mut conditions, "Progressing", status, reason, &message, now);
    }
    let mut status = json!({
        "latestVersion": config.int("/status/latestVersion").unwrap_or(0),
        "observedGeneration": config.metadata.generation,
        "replicas": replicas,
        "updatedReplicas": newest.and_then(|newest| newest.int("/status/replicas")).unwrap_or(0),
        "readyReplicas": sum("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": (replicas - available).max(0),
        "conditions": conditions,
    });
    if let Some(details) = config.at("/status/details") {
        crate::objects::set(&mut status, &["details"], details.clone());
    }
    status
}

/// Sets a condition; the same again changes nothing, and the time of the transition moves with the status only.
fn put(conditions: &mut Vec<Value>, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let place = conditions.iter().position(|condition| condition.text("/type") == Some(kind));
    let was = place.map(|place| conditions.remove(place));
    let same =
        |field: &str, wanted: &str| was.as_ref().is_some_and(|was| was.text(field).unwrap_or_default() == wanted);
    if same("/status", status) && same("/reason", reason) && same("/message", message) {
        conditions.extend(was);
    } else {
        let now = stamp(now);
        let since = was.as_ref().filter(|_| same("/status", status)).and_then(|was| was.text("/lastTransitionTime"));
        let mut condition = json!({
            "type": kind, "status": status, "message": message,
            "lastTransitionTime": since.unwrap_or(&now), "lastUpdateTime": now,
        });
        if !reason.is_empty() {
            crate::objects::set(&mut condition, &["reason"], json!(reason));
        }
        conditions.push(condition);
    }
    conditions.sort_by_key(|condition| condition.text("/type").map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_stays_keeps_its_times() {
        let early: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut conditions = Vec::new();
        put(&mut conditions, "Progressing", "True", "a", "one", early);
        let first = conditions.clone();
        put(&mut conditions, "Progressing", "True", "a", "one", late);
        assert_eq!(conditions, first);
        put(&mut conditions, "Progressing", "True", "b", "two", late);
        assert_eq!(conditions[0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(conditions[0]["lastUpdateTime"], "2026-01-01T00:01:00Z");
        put(&mut conditions, "Progressing", "False", "c", "three", late);
        assert_eq!((conditions.len(), &conditions[0]["lastTransitionTime"]), (1, &json!("2026-01-01T00:01:00Z")));
    }
}
