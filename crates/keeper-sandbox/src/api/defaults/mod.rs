//! The values that the real server fills in on the kinds whose stored form our product compares and copies.

mod others;
mod pods;
mod services;
mod workloads;

pub(crate) use pods::status as pod_status;

use serde_json::{Value, json};

use super::object::{child, default};
use super::resources::ResourceType;

/// Fills in what was left out.
pub(crate) fn apply(resource: &ResourceType, of: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pods::pod(of),
        ("", "services") => services::service(child(of, "spec")),
        ("", "replicationcontrollers") => {
            default(child(of, "spec"), "replicas", || json!(1));
            workloads::replication_controller(of);
            pods::template(of);
        }
        ("", "secrets") => default(of, "type", || json!("Opaque")),
        ("", "persistentvolumeclaims") => default(child(of, "spec"), "volumeMode", || json!("Filesystem")),
        ("", "namespaces") => others::namespace(of),
        ("", "nodes") => others::node(of),
        ("apps", "deployments") => {
            workloads::deployment(child(of, "spec"));
            child(child(of, "spec"), "template");
            pods::template(of);
        }
        ("apps", "replicasets") => {
            workloads::replica_set(child(of, "spec"));
            child(child(of, "spec"), "template");
            pods::template(of);
        }
        ("apps", "statefulsets") => {
            workloads::stateful_set(child(of, "spec"));
            pods::template(of);
        }
        ("batch", "jobs") => {
            workloads::job(child(of, "spec"));
            pods::template(of);
        }
        ("autoscaling", "horizontalpodautoscalers") => others::autoscaler(child(of, "spec")),
        ("coordination.k8s.io", "leases") => drop(child(of, "spec")),
        ("apiextensions.k8s.io", _) => super::custom::defaults(of),
        ("discovery.k8s.io", "endpointslices") => services::endpoint_slice(of),
        (_, "events") => others::event(of),
        ("", "endpoints") => services::endpoints(of),
        ("rbac.authorization.k8s.io", "rolebindings") => others::role_binding(of),
        _ => {}
    }
}

fn items<'a>(of: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    of.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter(|item| item.is_object())
}
