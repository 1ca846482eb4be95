//! Objects as rows for a person: the columns that `kubectl get` shows.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::custom::cell;
use super::list::partial;
use super::object::{list, map, number, text};
use super::request::Include;
use super::resources::ResourceType;
use super::selector::LabelSelector;
use super::table_pods as pods;

/// Name, type and priority; priority 1 columns are for `-o wide`.
pub(crate) type Column = (&'static str, &'static str, u8);

/// A table with a row for each object. `headers` is off for all but the first event of a watch.
pub(crate) fn table(
    resource: &ResourceType,
    objects: &[Value],
    metadata: &Value,
    headers: bool,
    include: Include,
    now: Timestamp,
) -> Value {
    let beside = |object: &Value| match include {
        Include::None => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| json!({ "cells": cells(resource, object, now), "object": beside(object) }))
        .collect();
    let columns = if headers { definitions(resource) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn definitions(resource: &ResourceType) -> Value {
    if resource.custom {
        return custom_definitions(resource);
    }
    columns(resource)
        .iter()
        .map(|(name, kind, priority)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({ "name": name, "type": kind, "format": format, "description": "", "priority": priority })
        })
        .collect()
}

const S: &str = "string";
const I: &str = "integer";
const WIDE: [Column; 3] = [("Containers", S, 1), ("Images", S, 1), ("Selector", S, 1)];

fn columns(resource: &ResourceType) -> Vec<Column> {
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
        ("apps", "deployments") => {
            vec![name, ("Ready", S, 0), ("Up-to-date", S, 0), ("Available", S, 0), age]
        }
        ("apps", "replicasets") | ("", "replicationcontrollers") => {
            vec![name, ("Desired", I, 0), ("Current", I, 0), ("Ready", I, 0), age]
        }
        ("apps", "statefulsets") => vec![name, ("Ready", S, 0), age, ("Containers", S, 1), ("Images", S, 1)],
        ("apps", "daemonsets") => vec![
            name,
            ("Desired", I, 0),
            ("Current", I, 0),
            ("Ready", I, 0),
            ("Up-to-date", I, 0),
            ("Available", I, 0),
            ("Node Selector", S, 0),
            age,
        ],
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
        _ => vec![name, ("Created At", "date", 0)],
    };
    if has_template(resource) {
        columns.extend(WIDE);
    }
    columns
}

fn has_template(resource: &ResourceType) -> bool {
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("apps", "deployments" | "replicasets" | "daemonsets") | ("batch", "jobs") | ("", "replicationcontrollers")
    )
}

fn cells(resource: &ResourceType, object: &Value, now: Timestamp) -> Vec<Value> {
    if resource.custom {
        return custom_cells(resource, object, now);
    }
    let name = json!(super::object::name(object));
    let age = json!(age(object, "/metadata/creationTimestamp", now));
    let count = |pointer: &str| json!(number(object, pointer).unwrap_or_default());
    let or_none = |pointer: &str| json!(text(object, pointer).filter(|t| !t.is_empty()).unwrap_or("<none>"));
    let plain = |pointer: &str| json!(text(object, pointer).unwrap_or_default());
    let of_total = |ready: &str, total: &str| {
        json!(format!("{}/{}", number(object, ready).unwrap_or_default(), number(object, total).unwrap_or_default()))
    };
    let any = |pointer: &str, absent: &str| match object.pointer(pointer) {
        Some(Value::String(s)) => json!(s),
        Some(other) if !other.is_null() => json!(other.to_string()),
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
        ("apps", "daemonsets") => vec![
            name,
            count("/status/desiredNumberScheduled"),
            count("/status/currentNumberScheduled"),
            count("/status/numberReady"),
            count("/status/updatedNumberScheduled"),
            count("/status/numberAvailable"),
            json!(labels(map(object, "/spec/template/spec/nodeSelector"))),
            age,
        ],
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
                json!("<unknown>"),
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
        _ => vec![name, plain("/metadata/creationTimestamp")],
    };
    if has_template(resource) {
        let (containers, images) = containers(object);
        let selector = object.pointer("/spec/selector").map(selector_text).unwrap_or_default();
        cells.extend([json!(containers), json!(images), json!(selector)]);
    }
    cells
}

/// How long ago, as `kubectl` writes it; `<unknown>` without a time.
pub(crate) fn age(object: &Value, pointer: &str, now: Timestamp) -> String {
    let Some(then) = text(object, pointer).and_then(|t| t.parse::<Timestamp>().ok()) else {
        return "<unknown>".into();
    };
    duration(now.as_second() - then.as_second())
}

/// Seconds in one or two units, as `kubectl` rounds them.
pub(crate) fn duration(seconds: i64) -> String {
    let (s, m, h, d) = (seconds, seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: char, small: i64, small_unit: char| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match s {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{s}s"),
        120..600 => two(m, 'm', s % 60, 's'),
        600..10_800 => format!("{m}m"),
        10_800..28_800 => two(h, 'h', m % 60, 'm'),
        28_800..172_800 => format!("{h}h"),
        172_800..691_200 => two(d, 'd', h % 24, 'h'),
        691_200..63_072_000 => format!("{d}d"),
        63_072_000..252_288_000 => two(d / 365, 'y', d % 365, 'd'),
        _ => format!("{}y", d / 365),
    }
}

fn labels(of: Option<&serde_json::Map<String, Value>>) -> String {
    let text: Vec<String> =
        of.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    if text.is_empty() { "<none>".into() } else { text.join(",") }
}

fn selector_text(selector: &Value) -> String {
    match selector {
        Value::Object(m) if !m.contains_key("matchLabels") && !m.contains_key("matchExpressions") => labels(Some(m)),
        other => LabelSelector::from_object(other).map(|s| s.to_string()).unwrap_or_default(),
    }
}

fn entries(object: &Value, pointer: &str) -> usize {
    map(object, pointer).map_or(0, serde_json::Map::len)
}

fn containers(object: &Value) -> (String, String) {
    let all = list(object, "/spec/template/spec/containers");
    let joined = |field: &str| all.iter().filter_map(|c| text(c, field)).collect::<Vec<_>>().join(",");
    (joined("/name"), joined("/image"))
}

fn external_address(service: &Value) -> String {
    let ingress: Vec<&str> = list(service, "/status/loadBalancer/ingress")
        .iter()
        .filter_map(|i| text(i, "/ip").or_else(|| text(i, "/hostname")))
        .collect();
    let listed: Vec<&str> = list(service, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    match text(service, "/spec/type") {
        Some("ExternalName") => text(service, "/spec/externalName").unwrap_or_default().to_owned(),
        Some("LoadBalancer") if ingress.is_empty() && listed.is_empty() => "<pending>".into(),
        _ if ingress.is_empty() && listed.is_empty() => "<none>".into(),
        _ => [ingress, listed].concat().join(","),
    }
}

fn ports(service: &Value) -> String {
    let each = |port: &Value| {
        let number = number(port, "/port").unwrap_or_default();
        let protocol = text(port, "/protocol").unwrap_or("TCP");
        match super::object::number(port, "/nodePort") {
            Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let all: Vec<String> = list(service, "/spec/ports").iter().map(each).collect();
    if all.is_empty() { "<none>".into() } else { all.join(",") }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let found = list(object, "/status/conditions").iter().find(|c| text(c, "/type") == Some(kind))?;
    text(found, "/status")
}

fn node_status(node: &Value) -> String {
    let ready = match condition(node, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        return format!("{ready},SchedulingDisabled");
    }
    ready.into()
}

fn node_roles(node: &Value) -> String {
    let roles: Vec<&str> = map(node, "/metadata/labels")
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn node_address(node: &Value, kind: &str) -> String {
    let found = list(node, "/status/addresses").iter().find(|a| text(a, "/type") == Some(kind));
    found.and_then(|a| text(a, "/address")).unwrap_or("<none>").to_owned()
}

/// An event in either form: the core names first, those of `events.k8s.io` second.
fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, events: &str| text(object, core).or_else(|| text(object, events)).unwrap_or_default();
    let first = ["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"];
    let last = ["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp"];
    let when = |pointers: &[&str]| {
        let found = pointers.iter().find(|p| text(object, p).is_some());
        found.map_or_else(|| "<unknown>".into(), |p| age(object, p, now))
    };
    let subject = if object.get("regarding").is_some() { "/regarding" } else { "/involvedObject" };
    let of_subject = |field: &str| text(object, &format!("{subject}/{field}")).unwrap_or_default();
    let count = ["/series/count", "/count", "/deprecatedCount"].iter().find_map(|p| number(object, p)).unwrap_or(1);
    let source = match either("/source/component", "/deprecatedSource/component") {
        "" => either("/reportingComponent", "/reportingController"),
        component => component,
    };
    let all_last: Vec<&str> = last.iter().chain(&first).copied().collect();
    vec![
        json!(when(&all_last)),
        json!(text(object, "/type").unwrap_or_default()),
        json!(text(object, "/reason").unwrap_or_default()),
        json!(format!("{}/{}", of_subject("kind").to_lowercase(), of_subject("name"))),
        json!(of_subject("fieldPath")),
        json!(source),
        json!(either("/message", "/note").trim()),
        json!(when(&first)),
        json!(count),
        json!(super::object::name(object)),
    ]
}

fn shortened(all: &[String]) -> String {
    match all.len() {
        0 => "<none>".into(),
        n @ 4.. => format!("{} + {} more...", all.get(..3).unwrap_or_default().join(","), n - 3),
        _ => all.join(","),
    }
}

fn endpoint_addresses(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        for port in list(subset, "/ports") {
            for address in list(subset, "/addresses") {
                let ip = text(address, "/ip").unwrap_or_default();
                all.push(format!("{ip}:{}", number(port, "/port").unwrap_or_default()));
            }
        }
    }
    shortened(&all)
}

fn slice_ports(slice: &Value) -> String {
    let all: Vec<String> =
        list(slice, "/ports").iter().filter_map(|p| number(p, "/port")).map(|p| p.to_string()).collect();
    if all.is_empty() { "<unset>".into() } else { shortened(&all) }
}

fn slice_addresses(slice: &Value) -> String {
    let all: Vec<String> = list(slice, "/endpoints")
        .iter()
        .flat_map(|e| list(e, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if all.is_empty() { "<unset>".into() } else { shortened(&all) }
}

fn job_status(job: &Value) -> &'static str {
    let has = |kind: &str| condition(job, kind) == Some("True");
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if super::object::is_being_deleted(job) {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else {
        "Running"
    }
}

fn job_duration(job: &Value, now: Timestamp) -> String {
    let time = |pointer: &str| text(job, pointer).and_then(|t| t.parse::<Timestamp>().ok());
    match (time("/status/startTime"), time("/status/completionTime")) {
        (Some(start), Some(end)) => duration(end.as_second() - start.as_second()),
        (Some(start), None) => duration(now.as_second() - start.as_second()),
        (None, _) => String::new(),
    }
}

fn custom_definitions(resource: &ResourceType) -> Value {
    let name = json!({ "name": "Name", "type": S, "format": "name", "description": "", "priority": 0 });
    let mut all = vec![name];
    if resource.columns.is_empty() {
        all.push(json!({ "name": "Age", "type": "date", "format": "", "description": "", "priority": 0 }));
    }
    for (column, _) in &resource.columns {
        let of = |field: &str| text(column, field).unwrap_or_default();
        let path = format!("Custom resource definition column (in JSONPath format): {}", of("/jsonPath"));
        all.push(json!({
            "name": of("/name"), "type": of("/type"), "format": of("/format"),
            "description": if of("/description").is_empty() { &path } else { of("/description") },
            "priority": number(column, "/priority").unwrap_or_default(),
        }));
    }
    Value::Array(all)
}

fn custom_cells(resource: &ResourceType, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![json!(super::object::name(object))];
    if resource.columns.is_empty() {
        cells.push(json!(age(object, "/metadata/creationTimestamp", now)));
    }
    for (column, path) in &resource.columns {
        let age = |since: Timestamp| duration(now.as_second() - since.as_second());
        cells.push(cell(text(column, "/type").unwrap_or_default(), path.find(object), age));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_writes_them() {
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (3600, "60m"),
            (3 * 3600 + 60, "3h1m"),
            (24 * 3600, "24h"),
            (3 * 86_400 + 3600, "3d1h"),
            (10 * 86_400, "10d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }
}
