//! The columns and cells of the built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::texts::{
    claimed, containers, endpoint_addresses, entries, event, external_address, job_duration, job_status, labels,
    metrics, node_address, node_roles, node_status, ports, selector_text, slice_addresses, slice_ports, subjects,
};
use super::{Column, age, pods};
use crate::api::object::{self, map, number, text};
use crate::api::resources::ResourceType;

pub(super) const S: &str = "string";
const I: &str = "integer";
const WIDE: [Column; 3] = [("Containers", S, 1), ("Images", S, 1), ("Selector", S, 1)];

pub(super) fn columns(resource: &ResourceType) -> Vec<Column> {
    let name = ("Name", S, 0);
    let age = ("Age", S, 0);
    let mut columns: Vec<Column> = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pods::COLUMNS.to_vec(),
        ("", "services") => vec![
            name,
            ("Type", S, 0),
            ("Cluster-IP", S, 0),
            ("External-IP", S, 0),
            ("Port(s)", S, 0),
            age,
            ("Selector", S, 1),
        ],
        ("", "configmaps") => vec![name, ("Data", S, 0), age],
        ("", "secrets") => vec![name, ("Type", S, 0), ("Data", S, 0), age],
        ("", "serviceaccounts") => vec![name, age],
        ("", "namespaces") => vec![name, ("Status", S, 0), age],
        ("", "nodes") => vec![
            name,
            ("Status", S, 0),
            ("Roles", S, 0),
            age,
            ("Version", S, 0),
            ("Internal-IP", S, 1),
            ("External-IP", S, 1),
            ("OS-Image", S, 1),
            ("Kernel-Version", S, 1),
            ("Container-Runtime", S, 1),
        ],
        (_, "events") => vec![
            ("Last Seen", S, 0),
            ("Type", S, 0),
            ("Reason", S, 0),
            ("Object", S, 0),
            ("Subobject", S, 1),
            ("Source", S, 1),
            ("Message", S, 0),
            ("First Seen", S, 1),
            ("Count", S, 1),
            ("Name", S, 1),
        ],
        ("", "endpoints") => vec![name, ("Endpoints", S, 0), age],
        ("", "persistentvolumeclaims") => vec![
            name,
            ("Status", S, 0),
            ("Volume", S, 0),
            ("Capacity", S, 0),
            ("Access Modes", S, 0),
            ("StorageClass", S, 0),
            ("VolumeAttributesClass", S, 0),
            age,
            ("VolumeMode", S, 1),
        ],
        ("apps", "deployments") => {
            vec![name, ("Ready", S, 0), ("Up-to-date", S, 0), ("Available", S, 0), age]
        }
        ("apps", "replicasets") | ("", "replicationcontrollers") => {
            vec![name, ("Desired", I, 0), ("Current", I, 0), ("Ready", I, 0), age]
        }
        ("apps", "statefulsets") => vec![name, ("Ready", S, 0), age, ("Containers", S, 1), ("Images", S, 1)],
        ("batch", "jobs") => vec![name, ("Status", S, 0), ("Completions", S, 0), ("Duration", S, 0), age],
        ("autoscaling", _) => vec![
            name,
            ("Reference", S, 0),
            ("Targets", S, 0),
            ("MinPods", S, 0),
            ("MaxPods", S, 0),
            ("Replicas", S, 0),
            age,
        ],
        ("policy", _) => {
            vec![name, ("Min Available", S, 0), ("Max Unavailable", S, 0), ("Allowed Disruptions", I, 0), age]
        }
        ("discovery.k8s.io", _) => vec![name, ("AddressType", S, 0), ("Ports", S, 0), ("Endpoints", S, 0), age],
        ("coordination.k8s.io", _) => vec![name, ("Holder", S, 0), age],
        (_, "rolebindings") => {
            vec![name, ("Role", S, 0), age, ("Users", S, 1), ("Groups", S, 1), ("ServiceAccounts", S, 1)]
        }
        _ => vec![name, ("Created At", "date", 0)],
    };
    if has_template(resource) {
        columns.extend(WIDE);
    }
    columns
}

pub(super) fn cells(resource: &ResourceType, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(object::name(object));
    let age = json!(age(object, "/metadata/creationTimestamp", now));
    let count = |pointer: &str| json!(number(object, pointer).unwrap_or_default());
    let or_none = |pointer: &str| json!(text(object, pointer).filter(|t| !t.is_empty()).unwrap_or("<none>"));
    let plain = |pointer: &str| json!(text(object, pointer).unwrap_or_default());
    let of_total = |ready: &str, total: &str| {
        json!(format!("{}/{}", number(object, ready).unwrap_or_default(), number(object, total).unwrap_or_default()))
    };
    let any = |pointer: &str, absent: &str| match object.pointer(pointer) {
        Some(Value::String(s)) if !s.is_empty() => json!(s),
        Some(other) if other.is_number() => json!(other.to_string()),
        _ => json!(absent),
    };
    let mut cells = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pods::cells(object, now),
        ("", "services") => vec![
            name,
            plain("/spec/type"),
            or_none("/spec/clusterIP"),
            json!(external_address(object)),
            json!(ports(object)),
            age,
            json!(labels(map(object, "/spec/selector"))),
        ],
        ("", "configmaps") => vec![name, json!(entries(object, "/data") + entries(object, "/binaryData")), age],
        ("", "secrets") => vec![name, plain("/type"), json!(entries(object, "/data")), age],
        ("", "serviceaccounts") => vec![name, age],
        ("", "namespaces") => vec![name, plain("/status/phase"), age],
        ("", "nodes") => vec![
            name,
            json!(node_status(object)),
            json!(node_roles(object)),
            age,
            plain("/status/nodeInfo/kubeletVersion"),
            json!(node_address(object, "InternalIP")),
            json!(node_address(object, "ExternalIP")),
            any("/status/nodeInfo/osImage", "<unknown>"),
            any("/status/nodeInfo/kernelVersion", "<unknown>"),
            any("/status/nodeInfo/containerRuntimeVersion", "<unknown>"),
        ],
        (_, "events") => event(object, now),
        ("", "endpoints") => vec![name, json!(endpoint_addresses(object)), age],
        ("", "persistentvolumeclaims") => {
            let (capacity, modes) = claimed(object);
            vec![
                name,
                plain("/status/phase"),
                plain("/spec/volumeName"),
                json!(capacity),
                json!(modes),
                plain("/spec/storageClassName"),
                any("/spec/volumeAttributesClassName", "<unset>"),
                age,
                any("/spec/volumeMode", "<unset>"),
            ]
        }
        ("apps", "deployments") => vec![
            name,
            of_total("/status/readyReplicas", "/spec/replicas"),
            count("/status/updatedReplicas"),
            count("/status/availableReplicas"),
            age,
        ],
        ("apps", "replicasets") | ("", "replicationcontrollers") => {
            vec![name, count("/spec/replicas"), count("/status/replicas"), count("/status/readyReplicas"), age]
        }
        ("apps", "statefulsets") => {
            let (containers, images) = containers(object);
            vec![name, of_total("/status/readyReplicas", "/spec/replicas"), age, json!(containers), json!(images)]
        }
        ("batch", "jobs") => vec![
            name,
            json!(job_status(object)),
            of_total("/status/succeeded", "/spec/completions"),
            json!(job_duration(object, now)),
            age,
        ],
        ("autoscaling", _) => {
            let target = format!(
                "{}/{}",
                text(object, "/spec/scaleTargetRef/kind").unwrap_or_default(),
                text(object, "/spec/scaleTargetRef/name").unwrap_or_default()
            );
            vec![
                name,
                json!(target),
                json!(metrics(object)),
                any("/spec/minReplicas", "<unset>"),
                count("/spec/maxReplicas"),
                count("/status/currentReplicas"),
                age,
            ]
        }
        ("policy", _) => vec![
            name,
            any("/spec/minAvailable", "N/A"),
            any("/spec/maxUnavailable", "N/A"),
            count("/status/disruptionsAllowed"),
            age,
        ],
        ("discovery.k8s.io", _) => {
            vec![name, plain("/addressType"), json!(slice_ports(object)), json!(slice_addresses(object)), age]
        }
        ("coordination.k8s.io", _) => vec![name, plain("/spec/holderIdentity"), age],
        (_, "rolebindings") => {
            let role = ["/roleRef/kind", "/roleRef/name"].map(|part| text(object, part).unwrap_or_default());
            let bound = ["User", "Group", "ServiceAccount"].map(|kind| json!(subjects(object, kind)));
            [vec![name, json!(role.join("/")), age], bound.to_vec()].concat()
        }
        _ => vec![name, plain("/metadata/creationTimestamp")],
    };
    if has_template(resource) {
        let (containers, images) = containers(object);
        let selector = object.pointer("/spec/selector").map(selector_text).unwrap_or_default();
        cells.extend([json!(containers), json!(images), json!(selector)]);
    }
    cells
}

fn has_template(resource: &ResourceType) -> bool {
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("apps", "deployments" | "replicasets") | ("batch", "jobs") | ("", "replicationcontrollers")
    )
}
