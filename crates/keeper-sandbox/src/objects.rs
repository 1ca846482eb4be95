//! Kubernetes objects as JSON with typed metadata, and the few ways in which the controllers and the node read and change them.
//!
//! Nothing here parses a whole spec: a typed spec would lose every field that is newer than this build.

use std::{fmt, sync::LazyLock};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Map, Value, json};

/// An object of any kind.
pub(crate) type Object = DynamicObject;

/// Where an object is: its namespace (empty for cluster-wide kinds) and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A kind of object: how to ask the API for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
}

impl Kind {
    fn new(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        let gvk = GroupVersionKind::gvk(group, version, kind);
        Self { resource: ApiResource::from_gvk_with_plural(&gvk, plural), namespaced }
    }

    /// `plural.group`, the name under which a [`crate::view::View`] keeps it.
    pub(crate) fn id(&self) -> String {
        format!("{}.{}", self.resource.plural, self.resource.group)
    }

    /// Whether an owner reference with this apiVersion and kind means this kind (any version of the group).
    pub(crate) fn is_meant_by(&self, owner: &OwnerReference) -> bool {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        self.resource.kind == owner.kind && self.resource.group == group
    }
}

macro_rules! kinds {
    ($($name:ident = $group:literal $version:literal $kind:literal $plural:literal $namespaced:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Kind> =
            LazyLock::new(|| Kind::new($group, $version, $kind, $plural, $namespaced));)*
    };
}

kinds! {
    PODS = "" "v1" "Pod" "pods" true;
    NODES = "" "v1" "Node" "nodes" false;
    NAMESPACES = "" "v1" "Namespace" "namespaces" false;
    SERVICES = "" "v1" "Service" "services" true;
    SECRETS = "" "v1" "Secret" "secrets" true;
    CONFIG_MAPS = "" "v1" "ConfigMap" "configmaps" true;
    DEPLOYMENTS = "apps" "v1" "Deployment" "deployments" true;
    REPLICA_SETS = "apps" "v1" "ReplicaSet" "replicasets" true;
    STATEFUL_SETS = "apps" "v1" "StatefulSet" "statefulsets" true;
    JOBS = "batch" "v1" "Job" "jobs" true;
    REPLICATION_CONTROLLERS = "" "v1" "ReplicationController" "replicationcontrollers" true;
    DEPLOYMENT_CONFIGS = "apps.openshift.io" "v1" "DeploymentConfig" "deploymentconfigs" true;
    ENDPOINT_SLICES = "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" true;
    DISRUPTION_BUDGETS = "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" true;
    LEASES = "coordination.k8s.io" "v1" "Lease" "leases" true;
}

/// Reading a JSON value by pointer.
pub(crate) trait Fields {
    /// The value at a JSON pointer; `null` counts as absent.
    fn at(&self, pointer: &str) -> Option<&Value>;

    fn int(&self, pointer: &str) -> Option<i64> {
        self.at(pointer)?.as_i64()
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.at(pointer)?.as_str()
    }

    fn flag(&self, pointer: &str) -> bool {
        self.at(pointer).and_then(Value::as_bool).unwrap_or(false)
    }

    fn items(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn map(&self, pointer: &str) -> Option<&Map<String, Value>> {
        self.at(pointer)?.as_object()
    }

    fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer)?.parse().ok()
    }
}

impl Fields for Value {
    fn at(&self, pointer: &str) -> Option<&Value> {
        self.pointer(pointer).filter(|value| !value.is_null())
    }
}

impl Fields for Object {
    fn at(&self, pointer: &str) -> Option<&Value> {
        self.data.at(pointer)
    }
}

/// Metadata and small changes.
pub(crate) trait Meta {
    fn key(&self) -> Key;
    fn name(&self) -> &str;
    fn namespace(&self) -> &str;
    fn uid(&self) -> &str;
    fn deleting(&self) -> bool;
    fn created(&self) -> Option<Timestamp>;
    /// The resource version as a number; they are comparable on every server since 1.35 and on ours.
    fn version(&self) -> Option<u64>;
    fn label(&self, name: &str) -> Option<&str>;
    fn annotation(&self, name: &str) -> Option<&str>;
    fn annotate(&mut self, name: &str, value: &str);
    /// The owner that manages the object, at most one.
    fn controller(&self) -> Option<&OwnerReference>;
    fn owners(&self) -> &[OwnerReference];
    /// Sets a field, making the objects on the way.
    fn set(&mut self, path: &[&str], value: Value);
    /// `True`, `False` or `Unknown` of a status condition.
    fn condition(&self, kind: &str) -> Option<&Value>;
}

impl Meta for Object {
    fn key(&self) -> Key {
        Key::new(Meta::namespace(self), Meta::name(self))
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    fn version(&self) -> Option<u64> {
        self.metadata.resource_version.as_deref()?.parse().ok()
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    fn annotate(&mut self, name: &str, value: &str) {
        self.metadata.annotations.get_or_insert_default().insert(name.to_owned(), value.to_owned());
    }

    fn controller(&self) -> Option<&OwnerReference> {
        self.owners().iter().find(|owner| owner.controller == Some(true))
    }

    fn owners(&self) -> &[OwnerReference] {
        self.metadata.owner_references.as_deref().unwrap_or_default()
    }

    fn set(&mut self, path: &[&str], value: Value) {
        set(&mut self.data, path, value);
    }

    fn condition(&self, kind: &str) -> Option<&Value> {
        self.items("/status/conditions").iter().find(|condition| condition.text("/type") == Some(kind))
    }
}

/// Sets a field of a JSON value, making the objects on the way; what was no object becomes one.
pub(crate) fn set(value: &mut Value, path: &[&str], new: Value) {
    let mut place = value;
    for step in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(*step).or_insert(Value::Null);
    }
    *place = new;
}

/// A new object of a kind from its JSON, without `apiVersion` and `kind`.
pub(crate) fn object(kind: &Kind, body: Value) -> Result<Object, serde_json::Error> {
    let mut body = body;
    set(&mut body, &["apiVersion"], json!(kind.resource.api_version));
    set(&mut body, &["kind"], json!(kind.resource.kind));
    serde_json::from_value(body)
}

/// The reference by which `owner` controls a dependent.
pub(crate) fn controller_reference(kind: &Kind, owner: &Object) -> Value {
    json!({
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "name": Meta::name(owner),
        "uid": Meta::uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Whether a pod's Ready condition is true.
pub(crate) fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").and_then(|condition| condition.text("/status")) == Some("True")
}

/// Whether a pod has ended for good.
pub(crate) fn is_finished(pod: &Object) -> bool {
    matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"))
}

/// Time as the API writes it: whole seconds, UTC.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_makes_the_way() {
        let mut value = json!({"a": null});
        set(&mut value, &["a", "b", "c"], json!(1));
        assert_eq!(value, json!({"a": {"b": {"c": 1}}}));
    }

    #[test]
    fn an_owner_reference_means_a_kind_in_any_version_of_its_group() {
        let owner = OwnerReference {
            api_version: "apps/v1beta9".into(),
            kind: "ReplicaSet".into(),
            ..OwnerReference::default()
        };
        assert!(REPLICA_SETS.is_meant_by(&owner));
        assert!(!PODS.is_meant_by(&owner));
    }

    #[test]
    fn time_is_written_in_whole_seconds() {
        let time: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(stamp(time), "2026-01-02T03:04:05Z");
    }
}
