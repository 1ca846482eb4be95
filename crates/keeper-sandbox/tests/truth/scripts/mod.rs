//! All scripts.

mod collected;
mod containers;
mod custom;
mod deletion;
mod every;
mod garbage;
mod lists;
mod metadata;
mod not_part;
mod patches;
mod pods;
mod recorded;
mod scale;
mod validation;

use serde_json::{Value, json};

use super::script::Script;

pub(crate) fn all() -> Vec<Script> {
    let mut all = every::scripts();
    all.extend([
        lists::selectors(),
        lists::pages(),
        lists::watches(),
        patches::strategic(),
        patches::merge(),
        patches::json(),
        patches::refused(),
        pods::subresources(),
        pods::updates(),
        scale::script(),
        deletion::finalizers(),
        deletion::collections(),
        deletion::namespace(),
        validation::metadata(),
        validation::workloads(),
        validation::pods(),
        containers::containers(),
        containers::pod_fields(),
        containers::templates(),
        validation::services(),
        validation::others(),
        validation::creates(),
        custom::faults(),
        custom::rules(),
        custom::conforming(),
        custom::objects(),
        custom::ratcheting(),
        custom::versions(),
        custom::definitions(),
        custom::removal(),
        garbage::bodies(),
        garbage::paths(),
        garbage::queries(),
        collected::script(),
        recorded::demo(),
        not_part::script(),
        metadata::updates(),
    ]);
    all
}

/// A path in the script's namespace: `core("pods/a")`.
pub(crate) fn core(rest: &str) -> String {
    format!("/api/v1/namespaces/{{ns}}/{rest}")
}

pub(crate) fn apps(rest: &str) -> String {
    format!("/apis/apps/v1/namespaces/{{ns}}/{rest}")
}

/// One container's pod.
pub(crate) fn pod_spec() -> Value {
    json!({ "containers": [{ "name": "c", "image": "example.com/c:1" }] })
}

pub(crate) fn template() -> Value {
    json!({ "metadata": { "labels": { "app": "a" } }, "spec": pod_spec() })
}

pub(crate) fn pod(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "a" } }, "spec": pod_spec() })
}

/// A Deployment that no controller makes pods or ReplicaSets for.
pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "labels": { "app": "a" } },
        "spec": {
            "replicas": 0, "paused": true, "selector": { "matchLabels": { "app": "a" } }, "template": template(),
        },
    })
}
