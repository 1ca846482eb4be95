//! What a DeploymentConfig needs beside a new template before it rolls out.

use serde_json::{Value, json};

use crate::patch::set_entry;
use crate::workload::{Workload, WorkloadKind};

/// On a promoted DeploymentConfig without ConfigChange trigger: its latest version when it was promoted. Written in the
/// promotion patch itself, so that it is there exactly when the promotion is.
pub const LATEST_VERSION_ANNOTATION: &str = "canary-keeper.dev/latest-version";

/// Whether a change of the template rolls out without further ado: always for a Deployment, for a DeploymentConfig where
/// it has a ConfigChange trigger or says nothing of triggers.
pub fn rolls_out_by_itself(workload: &Workload<'_>) -> bool {
    let triggers = workload.json().pointer("/spec/triggers").and_then(Value::as_array);
    let on_change = |trigger: &Value| trigger.get("type").and_then(Value::as_str) == Some("ConfigChange");
    workload.kind() == WorkloadKind::Deployment || triggers.is_none_or(|triggers| triggers.iter().any(on_change))
}

fn latest(workload: &Workload<'_>) -> i64 {
    workload.json().pointer("/status/latestVersion").and_then(Value::as_i64).unwrap_or(0)
}

/// What the promotion patch does so that the promotion rolls out: tests the latest version, notes it, raises it by one.
pub(crate) fn raise(workload: &Workload<'_>) -> Vec<Value> {
    if rolls_out_by_itself(workload) {
        return Vec::new();
    }
    let (latest, status) = (latest(workload), workload.json().get("status").filter(|status| !status.is_null()));
    let next = latest.saturating_add(1);
    let mut patch = vec![set_entry(workload, "annotations", LATEST_VERSION_ANNOTATION, &latest.to_string())];
    match status {
        Some(status) if status.get("latestVersion").is_some() => {
            patch.push(json!({"op": "test", "path": "/status/latestVersion", "value": latest}));
            patch.push(json!({"op": "replace", "path": "/status/latestVersion", "value": next}));
        }
        Some(_) => patch.push(json!({"op": "add", "path": "/status/latestVersion", "value": next})),
        None => patch.push(json!({"op": "add", "path": "/status", "value": {"latestVersion": next}})),
    }
    patch
}

/// Whether a promoted workload still waits for somebody to roll it out: the server passed over the raised version, and
/// nobody has raised it since. Only sensible for a workload that carries the run's label.
pub fn not_rolled_out(workload: &Workload<'_>) -> bool {
    let annotations = workload.json().pointer("/metadata/annotations");
    let noted = annotations.and_then(|all| all.get(LATEST_VERSION_ANNOTATION)?.as_str()?.parse::<i64>().ok());
    !rolls_out_by_itself(workload) && noted == Some(latest(workload))
}

/// The body for the `instantiate` subresource: rolls out the present template, whatever the triggers say. Must be sent
/// only while [`not_rolled_out`] holds for the workload as just read.
pub fn instantiate_request(workload: &Workload<'_>) -> Value {
    json!({
        "apiVersion": "apps.openshift.io/v1",
        "kind": "DeploymentRequest",
        "name": workload.name(),
        "latest": false,
        "force": true,
    })
}
