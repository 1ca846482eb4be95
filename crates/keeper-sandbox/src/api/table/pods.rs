//! The row of a pod: what state it is really in, told from its containers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Column, age};
use crate::api::object::{self, list, number, text};

pub(crate) const COLUMNS: [Column; 9] = [
    ("Name", "string", 0),
    ("Ready", "string", 0),
    ("Status", "string", 0),
    ("Restarts", "string", 0),
    ("Age", "string", 0),
    ("IP", "string", 1),
    ("Node", "string", 1),
    ("Nominated Node", "string", 1),
    ("Readiness Gates", "string", 1),
];

pub(crate) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let statuses = list(pod, "/status/containerStatuses");
    let ready = statuses.iter().filter(|s| is_true(s, "/ready") && s.pointer("/state/running").is_some()).count();
    let or_none = |pointer: &str| json!(text(pod, pointer).filter(|t| !t.is_empty()).unwrap_or("<none>"));
    vec![
        json!(object::name(pod)),
        json!(format!("{ready}/{}", list(pod, "/spec/containers").len())),
        json!(status(pod)),
        json!(restarts(statuses, now)),
        json!(age(pod, "/metadata/creationTimestamp", now)),
        or_none("/status/podIP"),
        or_none("/spec/nodeName"),
        or_none("/status/nominatedNodeName"),
        json!(gates(pod)),
    ]
}

fn is_true(of: &Value, pointer: &str) -> bool {
    of.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

fn restarts(statuses: &[Value], now: Timestamp) -> String {
    let count: i64 = statuses.iter().filter_map(|s| number(s, "/restartCount")).sum();
    let last = statuses
        .iter()
        .filter(|s| text(s, "/lastState/terminated/finishedAt").is_some())
        .max_by_key(|s| text(s, "/lastState/terminated/finishedAt").unwrap_or_default().to_owned());
    match last {
        Some(last) if count > 0 => format!("{count} ({} ago)", age(last, "/lastState/terminated/finishedAt", now)),
        _ => count.to_string(),
    }
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let conditions = list(pod, "/status/conditions");
    let met = |gate: &&Value| {
        conditions.iter().any(|c| c.get("type") == gate.get("conditionType") && text(c, "/status") == Some("True"))
    };
    format!("{}/{}", gates.iter().filter(met).count(), gates.len())
}

/// The word in the Status column.
fn status(pod: &Value) -> String {
    let mut word = text(pod, "/status/reason").or_else(|| text(pod, "/status/phase")).unwrap_or_default().to_owned();
    match initializing(pod) {
        Some(init) => word = init,
        None => {
            let mut running = false;
            for status in list(pod, "/status/containerStatuses").iter().rev() {
                if let Some(reason) = text(status, "/state/waiting/reason").filter(|r| !r.is_empty()) {
                    word = reason.to_owned();
                } else if let Some(end) = status.pointer("/state/terminated") {
                    word = terminated(end);
                } else if is_true(status, "/ready") && status.pointer("/state/running").is_some() {
                    running = true;
                }
            }
            if word == "Completed" && running {
                let ready = list(pod, "/status/conditions")
                    .iter()
                    .any(|c| text(c, "/type") == Some("Ready") && text(c, "/status") == Some("True"));
                word = if ready { "Running" } else { "NotReady" }.to_owned();
            }
        }
    }
    let over = matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"));
    if object::is_being_deleted(pod) {
        if text(pod, "/status/reason") == Some("NodeLost") {
            return "Unknown".into();
        }
        if !over {
            return "Terminating".into();
        }
    }
    word
}

fn terminated(end: &Value) -> String {
    if let Some(reason) = text(end, "/reason").filter(|r| !r.is_empty()) {
        return reason.to_owned();
    }
    match number(end, "/signal") {
        Some(signal) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", number(end, "/exitCode").unwrap_or_default()),
    }
}

/// What the first init container that isn't done waits for.
fn initializing(pod: &Value) -> Option<String> {
    let statuses = list(pod, "/status/initContainerStatuses");
    let total = list(pod, "/spec/initContainers").len();
    for (i, status) in statuses.iter().enumerate() {
        if number(status, "/state/terminated/exitCode") == Some(0) {
            continue;
        }
        let why = match (status.pointer("/state/terminated"), text(status, "/state/waiting/reason")) {
            (Some(end), _) => terminated(end),
            (None, Some(reason)) if !reason.is_empty() && reason != "PodInitializing" => reason.to_owned(),
            _ => format!("{i}/{total}"),
        };
        return Some(format!("Init:{why}"));
    }
    None
}
