//! What a Job and its pods say. Pure.

use crate::json::{condition, cut, list, number, text, time};
use serde_json::Value;
use std::time::Duration;

/// The longest of the cluster's own words that are passed on, in characters.
pub(super) const LONGEST: usize = 300;
/// How much longer than the time-out we wait for the cluster to end a Job before we do it.
const SLACK: Duration = Duration::from_secs(10);

/// Why a container that waits will not start by itself.
const STUCK: [&str; 9] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Why a container ended that never ran.
const NEVER_RAN: [&str; 3] = ["StartError", "ContainerCannotRun", "ContainerStatusUnknown"];

/// Where a Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Complete,
    /// It ran and failed: how.
    Failed(String),
    Running,
    /// It waits for something that must be mended first.
    Stuck(String),
    /// It was ended from outside, or its container was never started: by what.
    Lost(String),
    /// It is past its time-out.
    Late,
}

/// Whether more than the Job must be read.
pub(super) fn needs_pods(job: &Value) -> bool {
    !is_true(job, "Complete") && reason(job, "FailureTarget") != Some("DeadlineExceeded")
}

/// Reads a Job of that age with its pods.
pub(super) fn read(job: &Value, pods: &[&Value], age: Duration, timeout: Duration) -> Reading {
    if is_true(job, "Complete") {
        return Reading::Complete;
    }
    if [reason(job, "Failed"), reason(job, "FailureTarget")].contains(&Some("DeadlineExceeded")) {
        return Reading::Late;
    }
    if is_true(job, "Failed") {
        return failed(job, pods);
    }
    if age > timeout.saturating_add(SLACK) {
        return Reading::Late;
    }
    pods.iter().find_map(|pod| stuck(pod)).map_or(Reading::Running, Reading::Stuck)
}

fn failed(job: &Value, pods: &[&Value]) -> Reading {
    let last = pods.iter().filter(|pod| text(pod, "/status/phase") == Some("Failed"));
    let last = last.max_by_key(|pod| time(pod, "/status/startTime"));
    if let Some(why) = last.and_then(|pod| lost(pod)) {
        return Reading::Lost(why);
    }
    let message = condition(job, "Failed").and_then(|failed| text(failed, "/message")).unwrap_or("no message");
    let message = cut(message, LONGEST);
    Reading::Failed(match last.and_then(|pod| exit_code(pod)) {
        Some(code) => format!("exit code {code} ({message})"),
        None => message,
    })
}

/// What ended a pod that did not end by itself.
fn lost(pod: &Value) -> Option<String> {
    if is_true(pod, "DisruptionTarget") {
        return Some(format!("was ended by {}", reason(pod, "DisruptionTarget").unwrap_or("a disruption")));
    }
    if let Some(reason) = text(pod, "/status/reason") {
        return Some(format!("was ended by {}", cut(reason, LONGEST)));
    }
    let ended = statuses(pod).find_map(|status| {
        let reason = text(status, "/state/terminated/reason")?;
        NEVER_RAN.contains(&reason).then_some(reason)
    });
    ended.map(|reason| format!("could not be started ({reason})"))
}

fn exit_code(pod: &Value) -> Option<i64> {
    statuses(pod).filter_map(|status| number(status, "/state/terminated/exitCode")).find(|code| *code != 0)
}

fn stuck(pod: &Value) -> Option<String> {
    let waits = |status: &Value| {
        let reason = text(status, "/state/waiting/reason").filter(|reason| STUCK.contains(reason))?;
        Some(with_message(reason, text(status, "/state/waiting/message")))
    };
    statuses(pod).find_map(waits).or_else(|| {
        let scheduled = condition(pod, "PodScheduled").filter(|one| text(one, "/status") == Some("False"))?;
        Some(with_message(text(scheduled, "/reason").unwrap_or("Unschedulable"), text(scheduled, "/message")))
    })
}

fn with_message(reason: &str, message: Option<&str>) -> String {
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", cut(message, LONGEST)),
        None => reason.to_owned(),
    }
}

/// Init containers first: nothing else runs before they have.
fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |pointer| list(pod, pointer).iter();
    of("/status/initContainerStatuses").chain(of("/status/containerStatuses"))
}

fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|one| text(one, "/status") == Some("True"))
}

/// The reason of a condition that is true.
fn reason<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    condition(object, kind).filter(|one| text(one, "/status") == Some("True")).and_then(|one| text(one, "/reason"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(conditions: &[(&str, &str, &str, &str)]) -> Value {
        let of = |(kind, status, reason, message): &(&str, &str, &str, &str)| json!({"type": kind, "status": status, "reason": reason, "message": message});
        json!({"status": {"conditions": conditions.iter().map(of).collect::<Vec<_>>()}})
    }

    fn container(state: &Value) -> Value {
        json!({"status": {"phase": "Failed", "containerStatuses": [{"name": "smoke", "state": state}]}})
    }

    fn exits(code: i64, reason: &str) -> Value {
        container(&json!({"terminated": {"exitCode": code, "reason": reason}}))
    }

    fn waits(reason: &str) -> Value {
        container(&json!({"waiting": {"reason": reason, "message": "no such tag"}}))
    }

    fn reading(job: &Value, pods: &[Value], age: u64) -> Reading {
        read(job, &pods.iter().collect::<Vec<_>>(), Duration::from_secs(age), Duration::from_secs(60))
    }

    const LIMIT: &str = "Job has reached the specified backoff limit";

    #[test]
    fn how_it_ended_decides() {
        let complete = job(&[("SuccessCriteriaMet", "True", "", ""), ("Complete", "True", "CompletionsReached", "")]);
        assert_eq!(reading(&complete, &[], 1), Reading::Complete);
        assert_eq!(reading(&complete, &[exits(1, "Error")], 9_999), Reading::Complete, "an earlier pod failed");
        let failed = job(&[("Failed", "True", "BackoffLimitExceeded", LIMIT)]);
        let with = |text: &str| Reading::Failed(text.to_owned());
        assert_eq!(reading(&failed, &[exits(3, "Error")], 1), with(&format!("exit code 3 ({LIMIT})")));
        assert_eq!(reading(&failed, &[], 1), with(LIMIT), "its pods are gone");
        let first = json!({"status": {"phase": "Failed", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 7}}}], "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}});
        assert_eq!(reading(&failed, &[first], 1), with(&format!("exit code 7 ({LIMIT})")));
    }

    #[test]
    fn the_last_pod_that_failed_tells_the_code() {
        let at = |code: i64, start: &str| {
            let mut pod = exits(code, "Error");
            pod["status"]["startTime"] = json!(start);
            pod
        };
        let failed = job(&[("Failed", "True", "BackoffLimitExceeded", LIMIT)]);
        let pods = [at(4, "2026-01-01T00:00:09Z"), at(3, "2026-01-01T00:00:01Z")];
        assert_eq!(reading(&failed, &pods, 1), Reading::Failed(format!("exit code 4 ({LIMIT})")));
    }

    #[test]
    fn what_did_not_end_by_itself_says_nothing_of_the_canary() {
        let failed = job(&[("Failed", "True", "BackoffLimitExceeded", LIMIT)]);
        let mut evicted = exits(137, "Error");
        evicted["status"]["reason"] = json!("Evicted");
        assert_eq!(reading(&failed, &[evicted], 1), Reading::Lost("was ended by Evicted".into()));
        let mut drained = exits(143, "Error");
        drained["status"]["conditions"] =
            json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
        assert_eq!(reading(&failed, &[drained], 1), Reading::Lost("was ended by EvictionByEvictionAPI".into()));
        let never = reading(&failed, &[exits(128, "StartError")], 1);
        assert_eq!(never, Reading::Lost("could not be started (StartError)".into()));
    }

    #[test]
    fn past_its_time_out_it_is_late_whoever_says_so() {
        let deadline = ("DeadlineExceeded", "Job was active longer than specified deadline");
        for kind in ["Failed", "FailureTarget"] {
            let late = job(&[(kind, "True", deadline.0, deadline.1)]);
            assert_eq!(reading(&late, &[exits(143, "Error")], 61), Reading::Late, "{kind}");
            let not_so = job(&[(kind, "False", deadline.0, deadline.1)]);
            assert_eq!(reading(&not_so, &[], 1), Reading::Running, "{kind}");
        }
        assert_eq!(reading(&job(&[]), &[], 70), Reading::Running, "the cluster has a moment");
        assert_eq!(reading(&job(&[]), &[], 71), Reading::Late);
    }

    #[test]
    fn what_is_to_be_mended_is_named() {
        for reason in STUCK {
            let stuck = Reading::Stuck(format!("{reason}: no such tag"));
            assert_eq!(reading(&job(&[]), &[waits(reason)], 1), stuck);
        }
        assert_eq!(reading(&job(&[]), &[waits("ContainerCreating")], 1), Reading::Running);
        let unscheduled = json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}});
        assert_eq!(reading(&job(&[]), &[unscheduled], 1), Reading::Stuck("Unschedulable: 0/3 nodes".into()));
    }

    #[test]
    fn what_is_not_over_runs() {
        let announced = job(&[("FailureTarget", "True", "BackoffLimitExceeded", LIMIT)]);
        for job in [job(&[]), json!({}), json!({"status": 3}), announced, job(&[("Complete", "Unknown", "", "")])] {
            assert_eq!(reading(&job, &[json!(null), json!({"status": {"containerStatuses": 1}})], 1), Reading::Running);
        }
    }

    #[test]
    fn pods_are_asked_for_only_where_they_tell_something() {
        assert!(!needs_pods(&job(&[("Complete", "True", "", "")])));
        assert!(!needs_pods(&job(&[("FailureTarget", "True", "DeadlineExceeded", "")])));
        assert!(needs_pods(&job(&[])) && needs_pods(&job(&[("Failed", "True", "BackoffLimitExceeded", LIMIT)])));
    }
}
