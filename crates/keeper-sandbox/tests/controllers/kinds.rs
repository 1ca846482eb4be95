//! The kinds that scripts write and look at.

use serde_json::{Value, json};

/// A kind and where the API has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `/api/v1` or `/apis/<group>/<version>`.
    pub(crate) root: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
}

pub(crate) const PODS: Kind = Kind { root: "/api/v1", plural: "pods", kind: "Pod" };
pub(crate) const SERVICES: Kind = Kind { root: "/api/v1", plural: "services", kind: "Service" };
pub(crate) const CONFIG_MAPS: Kind = Kind { root: "/api/v1", plural: "configmaps", kind: "ConfigMap" };
pub(crate) const REPLICATIONS: Kind =
    Kind { root: "/api/v1", plural: "replicationcontrollers", kind: "ReplicationController" };
pub(crate) const DEPLOYMENTS: Kind = Kind { root: "/apis/apps/v1", plural: "deployments", kind: "Deployment" };
pub(crate) const SETS: Kind = Kind { root: "/apis/apps/v1", plural: "replicasets", kind: "ReplicaSet" };
pub(crate) const STATEFUL_SETS: Kind = Kind { root: "/apis/apps/v1", plural: "statefulsets", kind: "StatefulSet" };
pub(crate) const JOBS: Kind = Kind { root: "/apis/batch/v1", plural: "jobs", kind: "Job" };
pub(crate) const SLICES: Kind =
    Kind { root: "/apis/discovery.k8s.io/v1", plural: "endpointslices", kind: "EndpointSlice" };
pub(crate) const BUDGETS: Kind =
    Kind { root: "/apis/policy/v1", plural: "poddisruptionbudgets", kind: "PodDisruptionBudget" };

/// The kinds that concern a Deployment.
pub(crate) const WORKLOAD: &[Kind] = &[DEPLOYMENTS, SETS, PODS];

impl Kind {
    pub(crate) fn api_version(self) -> &'static str {
        self.root.trim_start_matches("/apis/").trim_start_matches("/api/")
    }

    /// An object of the kind: its metadata and everything else.
    pub(crate) fn object(self, metadata: Value, rest: Value) -> Value {
        let mut object = json!({ "apiVersion": self.api_version(), "kind": self.kind, "metadata": metadata });
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    }
}

/// An image by its tag.
pub(crate) fn image(tag: &str) -> String {
    format!("example.com/app:{tag}")
}

/// A pod template with one container.
pub(crate) fn template(app: &str, tag: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{ "name": "app", "image": image(tag) }] },
    })
}

/// A Deployment called `web` with image 1, and what else its spec says.
pub(crate) fn deployment(replicas: i64, more: Value) -> Value {
    let mut spec = json!({
        "replicas": replicas,
        "selector": { "matchLabels": { "app": "web" } },
        "template": template("web", "1"),
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    DEPLOYMENTS.object(json!({ "name": "web" }), json!({ "spec": spec }))
}

/// A ReplicaSet called `web`.
pub(crate) fn replica_set(replicas: i64, more: Value) -> Value {
    let mut set = deployment(replicas, more);
    set["kind"] = json!("ReplicaSet");
    set
}

/// A pod that nothing controls.
pub(crate) fn pod(name: &str, labels: Value) -> Value {
    PODS.object(
        json!({ "name": name, "labels": labels }),
        json!({ "spec": { "containers": [{ "name": "app", "image": image("1") }] } }),
    )
}

/// A merge patch that sets the image of a workload's template; JSON merge replaces the whole list.
pub(crate) fn set_image(tag: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "image": image(tag) }] } } } })
}
