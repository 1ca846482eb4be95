//! What a node knows about a pod, and how it is written as the pod's status. Pure.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::objects::{Fields, Object, stamp};

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) exit_code: i32,
    pub(crate) reason: String,
    pub(crate) message: Option<String>,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
}

/// What a container does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting { reason: String, message: Option<String> },
    Running { since: Timestamp },
    Ended(Ended),
}

impl State {
    pub(crate) fn waiting(reason: &str, message: Option<String>) -> Self {
        Self::Waiting { reason: reason.to_owned(), message }
    }
}

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) image_id: String,
    pub(crate) state: State,
    pub(crate) last: Option<Ended>,
    /// Passed its readiness probe, or has none.
    pub(crate) ready: bool,
    /// Passed its startup probe, or has none.
    pub(crate) started: bool,
    pub(crate) restarts: i32,
}

impl Container {
    pub(crate) fn new(spec: &Value, waits_for: &str) -> Self {
        Self {
            name: spec.text("/name").unwrap_or_default().to_owned(),
            image: spec.text("/image").unwrap_or_default().to_owned(),
            image_id: String::new(),
            state: State::waiting(waits_for, None),
            last: None,
            ready: false,
            started: false,
            restarts: 0,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready && matches!(self.state, State::Running { .. })
    }

    fn succeeded(&self) -> bool {
        matches!(&self.state, State::Ended(ended) if ended.exit_code == 0)
    }

    fn write(&self) -> Value {
        let state = match &self.state {
            State::Waiting { reason, message } => {
                json!({"waiting": with_message(json!({"reason": reason}), message.as_ref())})
            }
            State::Running { since } => json!({"running": {"startedAt": stamp(*since)}}),
            State::Ended(ended) => json!({"terminated": ended.write()}),
        };
        json!({
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "state": state,
            "lastState": self.last.as_ref().map_or_else(|| json!({}), |last| json!({"terminated": last.write()})),
            "ready": self.is_ready(),
            "started": self.started && matches!(self.state, State::Running { .. }),
            "restartCount": self.restarts,
        })
    }
}

impl Ended {
    fn write(&self) -> Value {
        let ended = json!({
            "exitCode": self.exit_code, "reason": self.reason,
            "startedAt": stamp(self.started), "finishedAt": stamp(self.finished),
        });
        with_message(ended, self.message.as_ref())
    }
}

fn with_message(value: Value, message: Option<&String>) -> Value {
    let mut value = value;
    if let Some(message) = message {
        crate::objects::set(&mut value, &["message"], json!(message));
    }
    value
}

/// A pod as the node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) restart_policy: RestartPolicy,
    pub(crate) host_ip: Ipv4Addr,
    pub(crate) pod_ip: Option<Ipv4Addr>,
    pub(crate) since: Timestamp,
    pub(crate) inits: Vec<Container>,
    pub(crate) containers: Vec<Container>,
    /// The node ended the pod for good: reason and message.
    pub(crate) failed: Option<(String, String)>,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    pub(crate) fn of(pod: &Object) -> Self {
        match pod.text("/spec/restartPolicy") {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    pub(crate) fn restarts_after(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

impl Pod {
    pub(crate) fn of(pod: &Object, host_ip: Ipv4Addr, now: Timestamp) -> Self {
        let inits = pod.items("/spec/initContainers");
        let waits_for = if inits.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        Self {
            restart_policy: RestartPolicy::of(pod),
            host_ip,
            pod_ip: None,
            since: now,
            inits: inits.iter().map(|spec| Container::new(spec, "PodInitializing")).collect(),
            containers: pod.items("/spec/containers").iter().map(|spec| Container::new(spec, waits_for)).collect(),
            failed: None,
        }
    }

    fn initialized(&self) -> bool {
        self.inits.iter().all(Container::succeeded)
    }

    /// As the kubelet computes it.
    fn phase(&self) -> &'static str {
        if self.failed.is_some() {
            return "Failed";
        }
        if !self.initialized() {
            let hopeless = |init: &Container| matches!(&init.state, State::Ended(ended) if !self.restart_policy.restarts_after(ended.exit_code) && ended.exit_code != 0);
            return if self.inits.iter().any(hopeless) { "Failed" } else { "Pending" };
        }
        let never_ran =
            |container: &Container| matches!(container.state, State::Waiting { .. }) && container.last.is_none();
        if self.containers.iter().any(never_ran) {
            return "Pending";
        }
        let for_good = |container: &Container| match &container.state {
            State::Ended(ended) => !self.restart_policy.restarts_after(ended.exit_code),
            State::Waiting { .. } | State::Running { .. } => false,
        };
        if self.restart_policy == RestartPolicy::Always || !self.containers.iter().all(for_good) {
            return "Running";
        }
        if self.containers.iter().all(Container::succeeded) { "Succeeded" } else { "Failed" }
    }

    /// The status to write. Times of conditions come from the pod's present status where nothing changed; conditions that
    /// are others' business are kept.
    pub(crate) fn write(&self, pod: &Object, now: Timestamp) -> Value {
        let phase = self.phase();
        let mut status = json!({
            "phase": phase,
            "hostIP": self.host_ip,
            "hostIPs": [{"ip": self.host_ip}],
            "startTime": stamp(self.since),
            "conditions": self.conditions(pod, phase, now),
            "containerStatuses": self.containers.iter().map(Container::write).collect::<Vec<_>>(),
        });
        let put = |status: &mut Value, field: &str, value: Value| crate::objects::set(status, &[field], value);
        if !self.inits.is_empty() {
            put(&mut status, "initContainerStatuses", self.inits.iter().map(Container::write).collect());
        }
        if let Some(ip) = self.pod_ip {
            put(&mut status, "podIP", json!(ip));
            put(&mut status, "podIPs", json!([{"ip": ip}]));
        }
        if let Some((reason, message)) = &self.failed {
            put(&mut status, "reason", json!(reason));
            put(&mut status, "message", json!(message));
        }
        status
    }

    fn conditions(&self, pod: &Object, phase: &str, now: Timestamp) -> Vec<Value> {
        let unready: Vec<&str> = self
            .containers
            .iter()
            .filter(|container| !container.is_ready())
            .map(|container| container.name.as_str())
            .collect();
        let containers = match phase {
            "Succeeded" => Err(("PodCompleted", String::new())),
            "Failed" => Err(("PodFailed", String::new())),
            _ if unready.is_empty() => Ok(()),
            _ => Err(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))),
        };
        let initialized = if self.initialized() {
            Ok(())
        } else {
            let waiting = self.inits.iter().filter(|init| !init.succeeded()).map(|init| init.name.as_str());
            Err((
                "ContainersNotInitialized",
                format!("containers with incomplete status: [{}]", waiting.collect::<Vec<_>>().join(" ")),
            ))
        };
        let ready = containers.clone().and_then(|()| gates(pod));
        let ours =
            [("Initialized", initialized), ("Ready", ready), ("ContainersReady", containers), ("PodScheduled", Ok(()))];
        let before = pod.items("/status/conditions");
        let others = before.iter().filter(|old| !ours.iter().any(|(kind, _)| old.text("/type") == Some(kind))).cloned();
        let ours = ours.iter().map(|(kind, outcome)| condition(before, kind, outcome.as_ref(), now));
        ours.chain(others).collect()
    }
}

/// Readiness gates: conditions that somebody else has to set before the pod is Ready.
fn gates(pod: &Object) -> Result<(), (&'static str, String)> {
    let gates = pod.items("/spec/readinessGates").iter().filter_map(|gate| gate.text("/conditionType"));
    let holds = |kind: &str| {
        let mut conditions = pod.items("/status/conditions").iter();
        conditions.any(|condition| condition.text("/type") == Some(kind) && condition.text("/status") == Some("True"))
    };
    let missing: Vec<&str> = gates.filter(|kind| !holds(kind)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err((
        "ReadinessGatesNotReady",
        format!("the status of pod readiness gate \"{}\" is not \"True\", but False", missing.join(" ")),
    ))
}

fn condition(before: &[Value], kind: &str, outcome: Result<&(), &(&'static str, String)>, now: Timestamp) -> Value {
    let status = if outcome.is_ok() { "True" } else { "False" };
    let old = before.iter().find(|old| old.text("/type") == Some(kind) && old.text("/status") == Some(status));
    let now = stamp(now);
    let since = old.and_then(|old| old.text("/lastTransitionTime")).unwrap_or(&now);
    let mut condition = json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since});
    if let Err((reason, message)) = outcome {
        crate::objects::set(&mut condition, &["reason"], json!(reason));
        if !message.is_empty() {
            crate::objects::set(&mut condition, &["message"], json!(message));
        }
    }
    condition
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "literal JSON reads better without borrows")]
mod tests {
    use super::*;
    use crate::objects::{Meta, PODS, object};

    fn pod(spec: Value) -> Object {
        object(&PODS, json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn model(pod: &Object) -> Pod {
        Pod::of(pod, Ipv4Addr::LOCALHOST, at(0))
    }

    fn ended(exit_code: i32) -> State {
        State::Ended(Ended { exit_code, reason: "Error".into(), message: None, started: at(1), finished: at(2) })
    }

    fn ready_since(status: &Value) -> (&str, &str) {
        let ready =
            status.items("/conditions").iter().find(|condition| condition.text("/type") == Some("Ready")).unwrap();
        (ready.text("/status").unwrap(), ready.text("/lastTransitionTime").unwrap())
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut pod = pod(json!({"containers": [{"name": "a"}]}));
        let mut model = model(&pod);
        pod.set(&["status"], model.write(&pod, at(10)));
        model.containers[0].state = State::Running { since: at(20) };
        pod.set(&["status"], model.write(&pod, at(20)));
        assert_eq!(ready_since(&pod.data["status"]), ("False", "1970-01-01T00:00:10Z"));
        model.containers[0].ready = true;
        pod.set(&["status"], model.write(&pod, at(30)));
        assert_eq!(ready_since(&pod.data["status"]), ("True", "1970-01-01T00:00:30Z"));
        model.containers[0].restarts = 1;
        pod.set(&["status"], model.write(&pod, at(40)));
        assert_eq!(ready_since(&pod.data["status"]), ("True", "1970-01-01T00:00:30Z"));
        assert!(pod.condition("Ready").is_some());
    }

    #[test]
    fn phases_follow_the_restart_policy() {
        let phase = |policy: &str, state: State| {
            let pod = pod(json!({"restartPolicy": policy, "containers": [{"name": "a"}]}));
            let mut model = model(&pod);
            model.containers[0].state = state;
            model.phase()
        };
        assert_eq!(phase("Always", State::waiting("ErrImagePull", None)), "Pending");
        assert_eq!(phase("Always", ended(1)), "Running");
        assert_eq!(phase("Never", ended(1)), "Failed");
        assert_eq!(phase("OnFailure", ended(0)), "Succeeded");
        assert_eq!(phase("OnFailure", ended(3)), "Running");
    }

    #[test]
    fn others_conditions_are_kept_and_gates_count() {
        let mut pod = pod(json!({"containers": [{"name": "a"}], "readinessGates": [{"conditionType": "traffic"}]}));
        pod.set(&["status"], json!({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}));
        let mut model = model(&pod);
        model.containers[0].state = State::Running { since: at(1) };
        model.containers[0].ready = true;
        let status = model.write(&pod, at(2));
        assert_eq!(ready_since(&status).0, "False");
        assert!(
            status.items("/conditions").iter().any(|condition| condition.text("/type") == Some("DisruptionTarget"))
        );
    }
}
