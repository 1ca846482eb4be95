//! When and how a Job ends. Pure.
//!
//! The end is written in two steps, as Kubernetes does it: `FailureTarget` or `SuccessCriteriaMet` as soon as it is decided,
//! `Failed` or `Complete` when no pod is left to count.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{put_condition, tally::Tally};
use crate::objects::{Fields, Object, set, stamp};

/// Which of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Failed,
}

/// That a Job is to end, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    end: End,
    reason: String,
    message: String,
}

impl Verdict {
    pub(super) fn complete() -> Self {
        let message = "Reached expected number of succeeded pods";
        Self { end: End::Complete, reason: "CompletionsReached".into(), message: message.into() }
    }

    fn failed(reason: &str, message: &str) -> Self {
        Self { end: End::Failed, reason: reason.into(), message: message.into() }
    }

    /// What an earlier look decided.
    fn announced(status: &Value) -> Option<Self> {
        let of = |kind: &str, end: End| {
            let condition = status.items("/conditions").iter().find(|condition| is_true(condition, kind))?;
            let text = |field: &str| condition.text(field).unwrap_or_default().to_owned();
            Some(Self { end, reason: text("/reason"), message: text("/message") })
        };
        of("SuccessCriteriaMet", End::Complete).or_else(|| of("FailureTarget", End::Failed))
    }

    pub(super) fn is_failure(&self) -> bool {
        self.end == End::Failed
    }

    /// Says that it will end.
    pub(super) fn announce(&self, status: &mut Value, now: Timestamp) {
        let kind = match self.end {
            End::Complete => "SuccessCriteriaMet",
            End::Failed => "FailureTarget",
        };
        put_condition(status, kind, true, &self.reason, &self.message, now);
    }

    /// Says that it has ended.
    pub(super) fn enact(&self, status: &mut Value, now: Timestamp) {
        let kind = match self.end {
            End::Complete => "Complete",
            End::Failed => "Failed",
        };
        put_condition(status, kind, true, &self.reason, &self.message, now);
        if self.end == End::Complete {
            set(status, &["completionTime"], json!(stamp(now)));
        }
    }
}

fn is_true(condition: &Value, kind: &str) -> bool {
    condition.text("/type") == Some(kind) && condition.text("/status") == Some("True")
}

/// When a Job that is over ended.
pub(super) fn ended_at(job: &Object) -> Option<Timestamp> {
    let conditions = job.items("/status/conditions");
    let ended = conditions.iter().find(|condition| is_true(condition, "Complete") || is_true(condition, "Failed"))?;
    ended.time("/lastTransitionTime")
}

/// Why a Job is to end now, success aside.
pub(super) fn verdict(job: &Object, status: &Value, tally: &Tally, now: Timestamp) -> Option<Verdict> {
    if let Some(announced) = Verdict::announced(status) {
        return Some(announced);
    }
    let limit = job.int("/spec/backoffLimit").unwrap_or(6);
    if tally.all_failed > limit || restarts_exceed(job, tally, limit) {
        return Some(Verdict::failed("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    let late = deadline_left(job, status, now).is_some_and(|left| !left.is_positive());
    late.then(|| Verdict::failed("DeadlineExceeded", "Job was active longer than specified deadline"))
}

/// With `restartPolicy: OnFailure` the restarts of the containers count against the limit.
fn restarts_exceed(job: &Object, tally: &Tally, limit: i64) -> bool {
    if job.text("/spec/template/spec/restartPolicy") != Some("OnFailure") {
        return false;
    }
    let running = tally.pods().iter().filter(|pod| matches!(pod.text("/status/phase"), Some("Running" | "Pending")));
    let of =
        |pod: &Object, list: &str| pod.items(list).iter().filter_map(|status| status.int("/restartCount")).sum::<i64>();
    let restarts: i64 =
        running.map(|pod| of(pod, "/status/initContainerStatuses") + of(pod, "/status/containerStatuses")).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

fn deadline_left(job: &Object, status: &Value, now: Timestamp) -> Option<SignedDuration> {
    let seconds = job.int("/spec/activeDeadlineSeconds").filter(|_| !job.flag("/spec/suspend"))?;
    Some(SignedDuration::from_secs(seconds) - now.duration_since(status.time("/startTime")?))
}

/// How long until `activeDeadlineSeconds` are over.
pub(super) fn deadline(job: &Object, status: &Value, now: Timestamp) -> Option<Duration> {
    deadline_left(job, status, now).filter(|left| left.is_positive()).map(|left| left.unsigned_abs() + super::SLACK)
}

/// Whether enough pods have succeeded, and none is active any more.
pub(super) fn is_complete(job: &Object, tally: &Tally) -> bool {
    let enough = match job.int("/spec/completions") {
        Some(completions) => tally.all_succeeded >= completions,
        None => tally.all_succeeded > 0,
    };
    enough && tally.active.is_empty()
}

/// Says whether the Job is suspended. One that is resumed starts anew, and so does its deadline.
pub(super) fn suspension(job: &Object, status: &mut Value, now: Timestamp) {
    if job.flag("/spec/suspend") {
        if put_condition(status, "Suspended", true, "JobSuspended", "Job suspended", now) {
            clear_start(status);
        }
    } else if put_condition(status, "Suspended", false, "JobResumed", "Job resumed", now) {
        set(status, &["startTime"], json!(stamp(now)));
    }
}

fn clear_start(status: &mut Value) {
    if let Some(fields) = status.as_object_mut() {
        fields.remove("startTime");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{JOBS, PODS, object};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(spec: &Value) -> Object {
        object(&JOBS, json!({"metadata": {"name": "j", "uid": "u"}, "spec": spec})).unwrap()
    }

    fn pods(phases: &[&str]) -> Vec<std::sync::Arc<Object>> {
        let pod = |(number, phase): (usize, &&str)| {
            let metadata =
                json!({"name": number.to_string(), "uid": number.to_string(), "finalizers": [super::super::FINALIZER]});
            std::sync::Arc::new(object(&PODS, json!({"metadata": metadata, "status": {"phase": phase}})).unwrap())
        };
        phases.iter().enumerate().map(pod).collect()
    }

    fn reason(spec: &Value, phases: &[&str], start: i64, now: i64) -> Option<String> {
        let job = job(spec);
        let tally = Tally::of(&job, pods(phases));
        let status = json!({"startTime": stamp(at(start))});
        verdict(&job, &status, &tally, at(now)).map(|verdict| verdict.reason)
    }

    #[test]
    fn failures_count_up_to_the_limit() {
        let spec = json!({"backoffLimit": 1});
        assert_eq!(reason(&spec, &["Failed"], 0, 1), None);
        assert_eq!(reason(&spec, &["Failed", "Failed"], 0, 1).as_deref(), Some("BackoffLimitExceeded"));
    }

    #[test]
    fn the_deadline_runs_from_the_start_and_not_while_suspended() {
        let spec = json!({"activeDeadlineSeconds": 10});
        assert_eq!(reason(&spec, &["Running"], 100, 109), None);
        assert_eq!(reason(&spec, &["Running"], 100, 110).as_deref(), Some("DeadlineExceeded"));
        let suspended = json!({"activeDeadlineSeconds": 10, "suspend": true});
        assert_eq!(reason(&suspended, &[], 100, 200), None);
    }

    #[test]
    fn it_is_complete_when_nothing_runs_any_more() {
        let job = job(&json!({"completions": 1}));
        assert!(is_complete(&job, &Tally::of(&job, pods(&["Succeeded"]))));
        assert!(!is_complete(&job, &Tally::of(&job, pods(&["Succeeded", "Running"]))));
        assert!(!is_complete(&job, &Tally::of(&job, pods(&["Failed"]))));
    }

    #[test]
    fn what_was_announced_stands() {
        let job = job(&json!({"backoffLimit": 0}));
        let mut status = json!({});
        Verdict::complete().announce(&mut status, at(1));
        let verdict = verdict(&job, &status, &Tally::of(&job, pods(&["Failed"])), at(2));
        assert_eq!(verdict, Some(Verdict::complete()));
    }
}
