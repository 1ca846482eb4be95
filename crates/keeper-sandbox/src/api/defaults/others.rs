//! Defaults of the kinds without a file of their own.

use serde_json::{Value, json};

use crate::api::object::{self, child, default};

pub(super) fn namespace(of: &mut Value) {
    let name = object::name(of).to_owned();
    default(child(of, "spec"), "finalizers", || json!(["kubernetes"]));
    object::set(child(child(of, "metadata"), "labels"), "kubernetes.io/metadata.name", json!(name));
}

/// Parts of a node that are served also when they say nothing.
pub(super) fn node(of: &mut Value) {
    child(of, "spec");
    let status = child(of, "status");
    default(child(child(status, "daemonEndpoints"), "kubeletEndpoint"), "Port", || json!(0));
    let info = child(status, "nodeInfo");
    for field in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        default(info, field, || json!(""));
    }
}

pub(super) fn autoscaler(spec: &mut Value) {
    default(spec, "minReplicas", || json!(1));
    let cpu = json!({ "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } });
    default(spec, "metrics", || json!([{ "type": "Resource", "resource": cpu }]));
}

/// Fields that are served also when they say nothing.
pub(super) fn event(of: &mut Value) {
    for field in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        default(of, field, || Value::Null);
    }
    for field in ["reportingComponent", "reportingInstance"] {
        default(of, field, || json!(""));
    }
    default(of, "source", || json!({}));
    if let Some(series) = of.get_mut("series").filter(|series| series.is_object()) {
        default(series, "lastObservedTime", || Value::Null);
    }
}

/// A subject's group follows from its kind.
pub(super) fn role_binding(of: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    if of.get("roleRef").is_some_and(Value::is_object) {
        default(child(of, "roleRef"), "apiGroup", || json!(GROUP));
    }
    for subject in super::items(of, "subjects") {
        if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            default(subject, "apiGroup", || json!(GROUP));
        }
    }
}
