//! The values that the real server fills in on the kinds whose stored form our product compares and copies.

mod pods;
mod workloads;

pub(crate) use pods::status as pod_status;

use serde_json::{Value, json};

use super::object::{self, child, default};
use super::resources::ResourceType;

/// Fills in what was left out.
pub(crate) fn apply(resource: &ResourceType, of: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pods::pod(of),
        ("", "services") => service(child(of, "spec")),
        ("", "replicationcontrollers") => {
            default(child(of, "spec"), "replicas", || json!(1));
            workloads::replication_controller(of);
            pods::template(of);
        }
        ("", "secrets") => default(of, "type", || json!("Opaque")),
        ("", "persistentvolumeclaims") => default(child(of, "spec"), "volumeMode", || json!("Filesystem")),
        ("", "namespaces") => namespace(of),
        ("apps", "deployments") => {
            workloads::deployment(child(of, "spec"));
            child(child(of, "spec"), "template");
            pods::template(of);
        }
        ("apps", "replicasets") => {
            default(child(of, "spec"), "replicas", || json!(1));
            child(child(of, "spec"), "template");
            pods::template(of);
        }
        ("apps", "statefulsets") => {
            workloads::stateful_set(child(of, "spec"));
            pods::template(of);
        }
        ("apps", "daemonsets") => {
            workloads::daemon_set(child(of, "spec"));
            pods::template(of);
        }
        ("batch", "jobs") => {
            workloads::job(child(of, "spec"));
            pods::template(of);
        }
        ("autoscaling", "horizontalpodautoscalers") => default(child(of, "spec"), "minReplicas", || json!(1)),
        ("discovery.k8s.io", "endpointslices") => endpoint_slice(of),
        (_, "events") => event(of),
        ("apiextensions.k8s.io", _) => super::custom::defaults(of),
        ("", "endpoints") => {
            for port in items(of, "subsets").flat_map(|subset| items(subset, "ports")) {
                default(port, "protocol", || json!("TCP"));
            }
        }
        _ => {}
    }
}

fn namespace(of: &mut Value) {
    let name = object::name(of).to_owned();
    default(child(of, "spec"), "finalizers", || json!(["kubernetes"]));
    object::set(child(child(of, "metadata"), "labels"), "kubernetes.io/metadata.name", json!(name));
}

fn items<'a>(of: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    of.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter(|item| item.is_object())
}

fn service(spec: &mut Value) {
    default(spec, "type", || json!("ClusterIP"));
    default(spec, "sessionAffinity", || json!("None"));
    for port in items(spec, "ports") {
        default(port, "protocol", || json!("TCP"));
        let same = port.get("port").cloned().unwrap_or(Value::Null);
        default(port, "targetPort", || same);
    }
    if object::text(spec, "/type") != Some("ExternalName") {
        default(spec, "internalTrafficPolicy", || json!("Cluster"));
        default(spec, "ipFamilies", || json!(["IPv4"]));
        default(spec, "ipFamilyPolicy", || json!("SingleStack"));
    }
    if matches!(object::text(spec, "/type"), Some("NodePort" | "LoadBalancer")) {
        default(spec, "externalTrafficPolicy", || json!("Cluster"));
    }
    if object::text(spec, "/type") == Some("LoadBalancer") {
        default(spec, "allocateLoadBalancerNodePorts", || json!(true));
    }
}

/// Fields that are served also when they say nothing.
fn event(of: &mut Value) {
    for field in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        default(of, field, || Value::Null);
    }
    for field in ["reportingComponent", "reportingInstance"] {
        default(of, field, || json!(""));
    }
    default(of, "source", || json!({}));
}

fn endpoint_slice(of: &mut Value) {
    for endpoint in items(of, "endpoints") {
        default(endpoint, "conditions", || json!({}));
    }
    for port in items(of, "ports") {
        default(port, "name", || json!(""));
        default(port, "protocol", || json!("TCP"));
    }
}
