//! Single cells: parts of an object as `kubectl get` words them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, duration};
use crate::api::object::{self, list, map, number, text};
use crate::api::selector::LabelSelector;

pub(super) fn labels(of: Option<&serde_json::Map<String, Value>>) -> String {
    let text: Vec<String> =
        of.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    if text.is_empty() { "<none>".into() } else { text.join(",") }
}

pub(super) fn selector_text(selector: &Value) -> String {
    match selector {
        Value::Object(m) if !m.contains_key("matchLabels") && !m.contains_key("matchExpressions") => labels(Some(m)),
        other => LabelSelector::from_object(other).map(|s| s.to_string()).unwrap_or_default(),
    }
}

pub(super) fn entries(object: &Value, pointer: &str) -> usize {
    map(object, pointer).map_or(0, serde_json::Map::len)
}

pub(super) fn containers(object: &Value) -> (String, String) {
    let all = list(object, "/spec/template/spec/containers");
    let joined = |field: &str| all.iter().filter_map(|c| text(c, field)).collect::<Vec<_>>().join(",");
    (joined("/name"), joined("/image"))
}

pub(super) fn external_address(service: &Value) -> String {
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

pub(super) fn ports(service: &Value) -> String {
    let each = |port: &Value| {
        let number = number(port, "/port").unwrap_or_default();
        let protocol = text(port, "/protocol").unwrap_or("TCP");
        match object::number(port, "/nodePort") {
            Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let all: Vec<String> = list(service, "/spec/ports").iter().map(each).collect();
    if all.is_empty() { "<none>".into() } else { all.join(",") }
}

pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let found = list(object, "/status/conditions").iter().find(|c| text(c, "/type") == Some(kind))?;
    text(found, "/status")
}

pub(super) fn node_status(node: &Value) -> String {
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

pub(super) fn node_roles(node: &Value) -> String {
    let roles: Vec<&str> = map(node, "/metadata/labels")
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

pub(super) fn node_address(node: &Value, kind: &str) -> String {
    let found = list(node, "/status/addresses").iter().find(|a| text(a, "/type") == Some(kind));
    found.and_then(|a| text(a, "/address")).unwrap_or("<none>").to_owned()
}

/// An event in either form: the core names first, those of `events.k8s.io` second.
pub(super) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
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
    let or = |first: &'_ str, second: &'_ str| if first.is_empty() { second.to_owned() } else { first.to_owned() };
    let component = or(
        either("/source/component", "/deprecatedSource/component"),
        either("/reportingComponent", "/reportingController"),
    );
    let instance =
        or(either("/source/host", "/deprecatedSource/host"), text(object, "/reportingInstance").unwrap_or_default());
    let source = if instance.is_empty() { component } else { format!("{component}, {instance}") };
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
        json!(object::name(object)),
    ]
}

pub(super) fn shortened(all: &[String]) -> String {
    match all.len() {
        0 => "<none>".into(),
        n @ 4.. => format!("{} + {} more...", all.get(..3).unwrap_or_default().join(","), n - 3),
        _ => all.join(","),
    }
}

pub(super) fn endpoint_addresses(object: &Value) -> String {
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

pub(super) fn slice_ports(slice: &Value) -> String {
    let all: Vec<String> =
        list(slice, "/ports").iter().filter_map(|p| number(p, "/port")).map(|p| p.to_string()).collect();
    if all.is_empty() { "<unset>".into() } else { shortened(&all) }
}

pub(super) fn slice_addresses(slice: &Value) -> String {
    let all: Vec<String> = list(slice, "/endpoints")
        .iter()
        .flat_map(|e| list(e, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if all.is_empty() { "<unset>".into() } else { shortened(&all) }
}

pub(super) fn job_status(job: &Value) -> &'static str {
    let has = |kind: &str| condition(job, kind) == Some("True");
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if object::is_being_deleted(job) {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else {
        "Running"
    }
}

pub(super) fn job_duration(job: &Value, now: Timestamp) -> String {
    let time = |pointer: &str| text(job, pointer).and_then(|t| t.parse::<Timestamp>().ok());
    match (time("/status/startTime"), time("/status/completionTime")) {
        (Some(start), Some(end)) => duration(end.as_second() - start.as_second()),
        (Some(start), None) => duration(now.as_second() - start.as_second()),
        (None, _) => String::new(),
    }
}

/// Capacity and access modes of a bound claim; an unbound one shows none.
pub(super) fn claimed(claim: &Value) -> (String, String) {
    if text(claim, "/spec/volumeName").is_none_or(str::is_empty) {
        return Default::default();
    }
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    let modes: Vec<&str> =
        list(claim, "/status/accessModes").iter().map(short).filter(|mode| !mode.is_empty()).collect();
    (text(claim, "/status/capacity/storage").unwrap_or_default().to_owned(), modes.join(","))
}

/// What an autoscaler looks at: present and wanted value of each metric.
pub(super) fn metrics(autoscaler: &Value) -> String {
    let current = list(autoscaler, "/status/currentMetrics");
    let all: Vec<String> = list(autoscaler, "/spec/metrics")
        .iter()
        .enumerate()
        .map(|(i, wanted)| metric(wanted, current.get(i).unwrap_or(&Value::Null)))
        .collect();
    match all.as_slice() {
        [] => "<none>".into(),
        [first, second, _, ..] => format!("{first}, {second} + {} more...", all.len() - 2),
        few => few.join(", "),
    }
}

fn metric(wanted: &Value, current: &Value) -> String {
    let kind = text(wanted, "/type").unwrap_or_default();
    let source = match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".into(),
    };
    let is_resource = source.ends_with("esource");
    let average = wanted.pointer(&format!("/{source}/target/averageValue")).is_some();
    let field = match (average, is_resource) {
        (true, _) => "averageValue",
        (false, true) => "averageUtilization",
        (false, false) => "value",
    };
    let value = |of: &Value, part: &str, absent: &str| match of.pointer(&format!("/{source}/{part}/{field}")) {
        Some(Value::String(quantity)) => quantity.clone(),
        Some(Value::Number(percent)) => format!("{percent}%"),
        _ => absent.to_owned(),
    };
    let shares = format!("{}/{}", value(current, "current", "<unknown>"), value(wanted, "target", "<auto>"));
    match text(wanted, &format!("/{source}/name")).filter(|_| is_resource) {
        Some(name) => format!("{name}: {shares}"),
        None if average && source != "pods" => format!("{shares} (avg)"),
        None => shares,
    }
}
/// The subjects of a RoleBinding that are of this kind.
pub(super) fn subjects(binding: &Value, kind: &str) -> String {
    let all = list(binding, "/subjects").iter().filter(|subject| text(subject, "/kind") == Some(kind));
    let name = |subject: &Value| {
        let name = text(subject, "/name").unwrap_or_default();
        if kind == "ServiceAccount" {
            format!("{}/{name}", text(subject, "/namespace").unwrap_or_default())
        } else {
            name.to_owned()
        }
    };
    all.map(name).collect::<Vec<_>>().join(", ")
}
