//! A Deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{revision::Sets, spec::Spec};
use crate::objects::{Fields, Meta, Object, set, stamp};

const PROGRESSING: &str = "Progressing";
pub(super) const AVAILABLE: &str = "NewReplicaSetAvailable";
const EXCEEDED: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// How many pods there are, over all ReplicaSets or in the newest one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    replicas: i64,
    ready: i64,
    available: i64,
    terminating: i64,
    updated: i64,
    unavailable: i64,
    observed: i64,
}

impl Counts {
    fn of(deployment: &Object, sets: &Sets) -> Self {
        let sum = |pointer: &str| sets.all().filter_map(|set| set.int(pointer)).sum::<i64>();
        let available = sum("/status/availableReplicas");
        Self {
            replicas: sum("/status/replicas"),
            ready: sum("/status/readyReplicas"),
            available,
            terminating: sum("/status/terminatingReplicas"),
            updated: sets.newest.as_ref().and_then(|set| set.int("/status/replicas")).unwrap_or(0),
            unavailable: (sum("/spec/replicas") - available).max(0),
            observed: deployment.metadata.generation.unwrap_or(0),
        }
    }

    /// As the status said last.
    fn reported(deployment: &Object) -> Self {
        let count = |field: &str| deployment.int(&format!("/status/{field}")).unwrap_or(0);
        Self {
            replicas: count("replicas"),
            ready: count("readyReplicas"),
            available: count("availableReplicas"),
            updated: count("updatedReplicas"),
            ..Self::default()
        }
    }

    fn complete(&self, spec: &Spec) -> bool {
        [self.updated, self.replicas, self.available] == [spec.replicas; 3]
    }

    fn progressed_since(&self, before: &Self) -> bool {
        self.updated > before.updated
            || self.replicas - self.updated < before.replicas - before.updated
            || self.ready > before.ready
            || self.available > before.available
    }

    fn write(&self, status: &mut Value) {
        let fields = [
            ("replicas", self.replicas),
            ("updatedReplicas", self.updated),
            ("readyReplicas", self.ready),
            ("availableReplicas", self.available),
            ("unavailableReplicas", self.unavailable),
            ("observedGeneration", self.observed),
        ];
        // Zero is left out, as the API does for these fields.
        for (field, count) in fields.into_iter().filter(|(_, count)| *count != 0) {
            set(status, &[field], json!(count));
        }
        set(status, &["terminatingReplicas"], json!(self.terminating));
    }
}

/// Whether every wanted pod is of the newest template and available, and no other is left.
pub(super) fn is_complete(deployment: &Object, sets: &Sets, spec: &Spec) -> bool {
    Counts::of(deployment, sets).complete(spec)
}

/// What happened in this look that the Progressing condition should tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// A ReplicaSet of this name was made.
    Created(String),
    /// Making it failed, with this message.
    CreateFailed(String),
}

/// The status after this look. Progress is told only of a Deployment that `rolls`: not while it is paused, scaled or deleted.
pub(super) fn status(deployment: &Object, sets: &Sets, spec: &Spec, news: &News, rolls: bool, now: Timestamp) -> Value {
    let counts = Counts::of(deployment, sets);
    let mut conditions = Conditions { list: deployment.items("/status/conditions").to_vec(), now };
    conditions.availability(&counts, spec);
    if spec.progress_deadline.is_some() {
        conditions.pause(spec);
        conditions.discovered(sets, news);
    }
    if rolls {
        match spec.progress_deadline {
            Some(_) => conditions.progress(deployment, sets, spec, &counts),
            None => conditions.remove(PROGRESSING),
        }
        conditions.failure(sets, news);
    }
    let mut status = json!({});
    counts.write(&mut status);
    if let Some(collisions) = deployment.int("/status/collisionCount") {
        set(&mut status, &["collisionCount"], json!(collisions));
    }
    if !conditions.list.is_empty() {
        set(&mut status, &["conditions"], Value::Array(conditions.list));
    }
    status
}

/// When the progress deadline will have to be looked at, if nothing changes before.
pub(super) fn deadline(status: &Value, spec: &Spec) -> Option<Timestamp> {
    let seconds = spec.progress_deadline.filter(|_| !spec.paused)?;
    let progressing =
        status.items("/conditions").iter().find(|condition| condition.text("/type") == Some(PROGRESSING))?;
    if matches!(progressing.text("/reason"), Some(AVAILABLE | EXCEEDED)) {
        return None;
    }
    progressing.time("/lastUpdateTime")?.checked_add(SignedDuration::from_secs(seconds + 1)).ok()
}

struct Conditions {
    list: Vec<Value>,
    now: Timestamp,
}

impl Conditions {
    fn get(&self, kind: &str) -> Option<&Value> {
        self.list.iter().find(|condition| condition.text("/type") == Some(kind))
    }

    fn reason(&self, kind: &str) -> Option<&str> {
        self.get(kind)?.text("/reason")
    }

    fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.text("/type") != Some(kind));
    }

    /// Sets a condition; the same status and reason again changes nothing.
    fn put(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let same =
            |condition: &Value| condition.text("/status") == Some(status) && condition.text("/reason") == Some(reason);
        if !self.get(kind).is_some_and(same) {
            self.renew(kind, status, reason, message);
        }
    }

    /// Sets a condition and the time of its update; the time of the transition moves with the status only.
    fn renew(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let now = stamp(self.now);
        let since = self.get(kind).filter(|condition| condition.text("/status") == Some(status));
        let since = since.and_then(|condition| condition.text("/lastTransitionTime")).unwrap_or(&now).to_owned();
        self.remove(kind);
        self.list.push(json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since, "lastUpdateTime": now,
        }));
    }

    fn availability(&mut self, counts: &Counts, spec: &Spec) {
        if counts.available >= spec.replicas - spec.unavailable() {
            self.put("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.");
        } else {
            self.put(
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            );
        }
    }

    /// The clock of the progress deadline does not run while the Deployment is paused.
    fn pause(&mut self, spec: &Spec) {
        let was_paused = self.reason(PROGRESSING) == Some(PAUSED);
        if self.reason(PROGRESSING) == Some(EXCEEDED) {
            return;
        }
        if spec.paused && !was_paused {
            self.put(PROGRESSING, "Unknown", PAUSED, "Deployment is paused");
        } else if !spec.paused && was_paused {
            self.put(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed");
        }
    }

    fn discovered(&mut self, sets: &Sets, news: &News) {
        match news {
            News::Created(name) => {
                self.put(PROGRESSING, "True", "NewReplicaSetCreated", &format!("Created new replica set \"{name}\""));
            }
            News::CreateFailed(message) => self.put(PROGRESSING, "False", "ReplicaSetCreateError", message),
            News::Nothing => {
                if let (None, Some(set)) = (self.get(PROGRESSING), &sets.newest) {
                    self.put(
                        PROGRESSING,
                        "True",
                        "FoundNewReplicaSet",
                        &format!("Found new replica set \"{}\"", set.name()),
                    );
                }
            }
        }
    }

    fn progress(&mut self, deployment: &Object, sets: &Sets, spec: &Spec, counts: &Counts) {
        let settled = counts.replicas == counts.updated && self.reason(PROGRESSING) == Some(AVAILABLE);
        if settled {
            return;
        }
        let subject = match &sets.newest {
            Some(set) => format!("ReplicaSet \"{}\"", set.name()),
            None => format!("Deployment \"{}\"", deployment.name()),
        };
        if counts.complete(spec) {
            self.put(PROGRESSING, "True", AVAILABLE, &format!("{subject} has successfully progressed."));
        } else if counts.progressed_since(&Counts::reported(deployment)) {
            self.renew(PROGRESSING, "True", "ReplicaSetUpdated", &format!("{subject} is progressing."));
        } else if self.timed_out(spec) {
            self.put(PROGRESSING, "False", EXCEEDED, &format!("{subject} has timed out progressing."));
        }
    }

    fn timed_out(&self, spec: &Spec) -> bool {
        let Some((condition, seconds)) = self.get(PROGRESSING).zip(spec.progress_deadline) else { return false };
        match condition.text("/reason") {
            Some(AVAILABLE | PAUSED) => false,
            Some(EXCEEDED) => true,
            _ => condition
                .time("/lastUpdateTime")
                .and_then(|since| since.checked_add(SignedDuration::from_secs(seconds)).ok())
                .is_some_and(|deadline| deadline < self.now),
        }
    }

    fn failure(&mut self, sets: &Sets, news: &News) {
        let failing = sets.newest.iter().chain(&sets.old).find_map(|set| set.condition("ReplicaFailure"));
        let reported = failing.map(|condition| {
            let text = |field: &str| condition.text(field).unwrap_or_default().to_owned();
            (text("/reason"), text("/message"))
        });
        let failed = match news {
            News::CreateFailed(message) => Some(("FailedCreate".to_owned(), message.clone())),
            News::Nothing | News::Created(_) => reported,
        };
        match failed {
            Some((reason, message)) => self.put("ReplicaFailure", "True", &reason, &message),
            None => self.remove("ReplicaFailure"),
        }
    }
}
