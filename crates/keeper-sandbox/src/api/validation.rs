//! What is refused with 422, field by field, as the real server does for what our product leans on.

use serde_json::Value;

use super::names::{label_fault, label_key_fault, label_value_fault, subdomain_fault};
use super::object;
use super::resources::ResourceType;
use super::selector::LabelSelector;
use super::status::FieldError;
use super::validation_pods as pods;

/// Annotations of one object may take this many bytes, keys and values together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// Everything wrong with an object as it would be stored. `old` is the stored one on an update.
pub(crate) fn faults(resource: &ResourceType, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if old.is_none() {
        name(resource, new, &mut errors);
    }
    metadata(new.get("metadata").unwrap_or(&Value::Null), "metadata", &mut errors);
    added_finalizers(new, old, &mut errors);
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pods::pod(new, old, &mut errors),
        ("", "services") => service(new, old, &mut errors),
        ("", "configmaps" | "secrets") => data(new, old, &mut errors),
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => {
            workload(resource, new, old, &mut errors);
        }
        ("", "replicationcontrollers") => replication_controller(new, &mut errors),
        ("batch", "jobs") => job(new, old, &mut errors),
        ("policy", "poddisruptionbudgets") => budget(new, &mut errors),
        ("discovery.k8s.io", "endpointslices") => endpoint_slice(new, old, &mut errors),
        ("apiextensions.k8s.io", _) => definition(new, &mut errors),
        (group, "events") => event(new, old, group == "events.k8s.io", &mut errors),
        _ => {}
    }
    errors
}

fn name(resource: &ResourceType, new: &Value, errors: &mut Vec<FieldError>) {
    let name = object::name(new);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        return;
    }
    let fault = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => label_fault(name),
        ("", "services") => label_fault(name),
        // The real server looks at these names no further.
        ("", "events") | ("policy", "poddisruptionbudgets") => None,
        _ => subdomain_fault(name),
    };
    if let Some(fault) = fault {
        errors.push(FieldError::invalid("metadata.name", name.into(), fault));
    }
}

/// Labels, annotations and owners, of an object or of a pod template.
pub(crate) fn metadata(metadata: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in object::map(metadata, "/labels").into_iter().flatten() {
        label(&format!("{at}.labels"), key, value, errors);
    }
    let mut bytes = 0;
    for (key, value) in object::map(metadata, "/annotations").into_iter().flatten() {
        if let Some(fault) = label_key_fault(&key.to_lowercase()) {
            errors.push(FieldError::invalid(format!("{at}.annotations"), key.as_str().into(), fault));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > MAX_ANNOTATION_BYTES {
        errors.push(FieldError::too_long(format!("{at}.annotations"), MAX_ANNOTATION_BYTES));
    }
    finalizers(metadata, at, errors);
    owners(metadata, at, errors);
}

/// What is being deleted takes no further finalizer.
fn added_finalizers(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(old) = old.filter(|old| object::is_being_deleted(old)) else { return };
    let known = object::list(old, "/metadata/finalizers");
    let added: Vec<String> = object::list(new, "/metadata/finalizers")
        .iter()
        .filter(|f| !known.contains(f))
        .filter_map(Value::as_str)
        .map(|f| format!("{f:?}"))
        .collect();
    if !added.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        // Found by two checks there, and so named by both.
        let fault = FieldError::forbidden("metadata.finalizers", why);
        errors.extend([fault.clone(), fault]);
    }
}

/// A finalizer is one of Kubernetes' own, or has a prefix.
fn finalizers(metadata: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let names: Vec<&str> = object::list(metadata, "/finalizers").iter().filter_map(Value::as_str).collect();
    for (i, name) in names.iter().enumerate() {
        if let Some(fault) = label_key_fault(name) {
            errors.push(FieldError::invalid(format!("{at}.finalizers"), (*name).into(), fault));
        } else if !name.contains('/') && !matches!(*name, "foregroundDeletion" | "orphan" | "kubernetes") {
            let fault = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("{at}.finalizers[{i}]"), (*name).into(), fault));
        }
    }
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        let fault = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(format!("{at}.finalizers"), names.into(), fault));
    }
}

fn label(at: &str, key: &str, value: &Value, errors: &mut Vec<FieldError>) {
    if let Some(fault) = label_key_fault(key) {
        errors.push(FieldError::invalid(at, key.into(), fault));
    }
    let value = value.as_str().unwrap_or_default();
    if let Some(fault) = label_value_fault(value) {
        errors.push(FieldError::invalid(at, value.into(), fault));
    }
}

fn owners(metadata: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let owners = object::list(metadata, "/ownerReferences");
    for owner in owners {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if object::text(owner, &format!("/{field}")).is_none_or(str::is_empty) {
                errors.push(FieldError::invalid(
                    format!("{at}.ownerReferences.{field}"),
                    "".into(),
                    "must not be empty",
                ));
            }
        }
    }
    let controllers: Vec<&Value> =
        owners.iter().filter(|o| o.get("controller").and_then(Value::as_bool) == Some(true)).collect();
    if controllers.len() > 1 {
        errors.push(FieldError::invalid(
            format!("{at}.ownerReferences"),
            Value::Array(owners.to_vec()),
            "Only one reference can have Controller set to true",
        ));
    }
}

fn immutable(field: &str, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let pointer = format!("/{}", field.replace('.', "/"));
    let (now, was) = (new.pointer(&pointer), old.pointer(&pointer));
    if now != was {
        errors.push(FieldError::immutable(field, now.cloned().unwrap_or(Value::Null)));
    }
}

fn workload(resource: &ResourceType, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        not_negative(new, field, errors);
    }
    selector(new, errors);
    let labels = new.pointer("/spec/template/metadata/labels");
    let selects = new
        .pointer("/spec/selector")
        .is_some_and(|s| LabelSelector::from_object(s).is_ok_and(|s| s.matches(labels.and_then(Value::as_object))));
    if !selects {
        errors.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.cloned().unwrap_or(Value::Null),
            "`selector` does not match template `labels`",
        ));
    }
    pods::template(new, errors);
    if object::text(new, "/spec/template/spec/restartPolicy").is_some_and(|p| p != "Always") {
        let policy = new.pointer("/spec/template/spec/restartPolicy").cloned().unwrap_or(Value::Null);
        errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if new.pointer("/spec/template/spec/activeDeadlineSeconds").is_some_and(|d| !d.is_null()) {
        errors.push(FieldError::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        ));
    }
    if resource.plural == "deployments" {
        strategy(new, errors);
    }
    immutable("spec.selector", new, old, errors);
}

fn selector(new: &Value, errors: &mut Vec<FieldError>) {
    match new.pointer("/spec/selector") {
        None => errors.push(FieldError::required("spec.selector", "")),
        Some(selector) => {
            if let Err(fault) = LabelSelector::from_object(selector) {
                errors.push(FieldError::invalid("spec.selector", selector.clone(), fault));
            } else if LabelSelector::from_object(selector).is_ok_and(|s| s.is_empty()) {
                errors.push(FieldError::invalid(
                    "spec.selector",
                    selector.clone(),
                    "empty selector is invalid for deployment",
                ));
            }
        }
    }
}

fn strategy(new: &Value, errors: &mut Vec<FieldError>) {
    let kind = object::text(new, "/spec/strategy/type").unwrap_or_default();
    if !matches!(kind, "Recreate" | "RollingUpdate") {
        errors.push(FieldError::not_supported("spec.strategy.type", kind.into(), &["Recreate", "RollingUpdate"]));
    }
    let rolling = new.pointer("/spec/strategy/rollingUpdate").filter(|r| !r.is_null());
    if kind == "Recreate" && rolling.is_some() {
        errors.push(FieldError::forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ));
    }
    let zero = |field: &str| {
        let value = rolling.and_then(|r| r.get(field));
        value.is_some_and(|v| v.as_i64() == Some(0) || v.as_str() == Some("0%"))
    };
    if kind == "RollingUpdate" && zero("maxSurge") && zero("maxUnavailable") {
        errors.push(FieldError::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            0.into(),
            "may not be 0 when `maxSurge` is 0",
        ));
    }
    let deadline = object::number(new, "/spec/progressDeadlineSeconds").unwrap_or_default();
    if deadline <= object::number(new, "/spec/minReadySeconds").unwrap_or_default() {
        errors.push(FieldError::invalid(
            "spec.progressDeadlineSeconds",
            deadline.into(),
            "must be greater than minReadySeconds",
        ));
    }
}

fn not_negative(new: &Value, field: &str, errors: &mut Vec<FieldError>) {
    if let Some(n) = object::number(new, &format!("/spec/{field}"))
        && n < 0
    {
        errors.push(FieldError::invalid(format!("spec.{field}"), n.into(), "must be greater than or equal to 0"));
    }
}

fn replication_controller(new: &Value, errors: &mut Vec<FieldError>) {
    not_negative(new, "replicas", errors);
    let selector = object::map(new, "/spec/selector");
    if selector.is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required("spec.selector", ""));
    }
    let labels = object::map(new, "/spec/template/metadata/labels");
    if selector.is_some_and(|s| !LabelSelector::from_map(s).matches(labels)) {
        errors.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.cloned().map_or(Value::Null, Value::Object),
            "`selector` does not match template `labels`",
        ));
    }
    pods::template(new, errors);
}

fn job(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    pods::template(new, errors);
    let policy = object::text(new, "/spec/template/spec/restartPolicy").unwrap_or_default();
    if !matches!(policy, "OnFailure" | "Never") {
        errors.push(FieldError::required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\""));
    }
    immutable("spec.selector", new, old, errors);
    immutable("spec.completions", new, old, errors);
    // A suspended Job's template may still be changed in a few fields; here it is fixed once created.
    immutable("spec.template", new, old, errors);
}

fn service(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = object::text(new, "/spec/type").unwrap_or_default();
    if !matches!(kind, "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort") {
        let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        errors.push(FieldError::not_supported("spec.type", kind.into(), &supported));
    }
    for (key, value) in object::map(new, "/spec/selector").into_iter().flatten() {
        label("spec.selector", key, value, errors);
    }
    let ports = object::list(new, "/spec/ports");
    let headless = object::text(new, "/spec/clusterIP") == Some("None");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    for (i, port) in ports.iter().enumerate() {
        let number = object::number(port, "/port").unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            errors.push(FieldError::invalid(
                format!("spec.ports[{i}].port"),
                number.into(),
                "must be between 1 and 65535, inclusive",
            ));
        }
        if ports.len() > 1 && object::text(port, "/name").is_none_or(str::is_empty) {
            errors.push(FieldError::required(format!("spec.ports[{i}].name"), ""));
        }
        let same =
            |other: &&Value| other.get("port") == port.get("port") && other.get("protocol") == port.get("protocol");
        if ports.iter().take(i).any(|other| same(&other)) {
            errors.push(FieldError::duplicate(format!("spec.ports[{i}]"), port.clone()));
        }
    }
    let address = |v: &Value| object::text(v, "/spec/clusterIP").unwrap_or_default().to_owned();
    if let Some(old) = old
        && !address(old).is_empty()
        && address(old) != address(new)
        && kind != "ExternalName"
    {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", address(new).into(), "may not change once set"));
    }
}

fn data(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for field in ["data", "binaryData", "stringData"] {
        for (key, value) in object::map(new, &format!("/{field}")).into_iter().flatten() {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if key.is_empty() || key.len() > 253 || !key.chars().all(good) || key == "." || key == ".." {
                errors.push(FieldError::invalid(
                    format!("{field}[{key}]"),
                    key.as_str().into(),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                     'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                ));
            }
            bytes += value.as_str().map_or(0, str::len);
        }
    }
    if bytes > 1024 * 1024 {
        errors.push(FieldError::too_long("", 1024 * 1024));
    }
    if let Some(old) = old
        && old.get("immutable").and_then(Value::as_bool) == Some(true)
    {
        for field in ["data", "binaryData", "immutable"] {
            if old.get(field) != new.get(field) {
                errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
}

fn budget(new: &Value, errors: &mut Vec<FieldError>) {
    let set = |field: &str| new.pointer(&format!("/spec/{field}")).is_some_and(|v| !v.is_null());
    if set("minAvailable") && set("maxUnavailable") {
        errors.push(FieldError::invalid(
            "spec",
            new.get("spec").cloned().unwrap_or(Value::Null),
            "minAvailable and maxUnavailable cannot be both set",
        ));
    }
    if let Some(selector) = new.pointer("/spec/selector")
        && let Err(fault) = LabelSelector::from_object(selector)
    {
        errors.push(FieldError::invalid("spec.selector", selector.clone(), fault));
    }
}

fn endpoint_slice(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = object::text(new, "/addressType").unwrap_or_default();
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !matches!(kind, "IPv4" | "IPv6" | "FQDN") {
        errors.push(FieldError::not_supported("addressType", kind.into(), &["FQDN", "IPv4", "IPv6"]));
    }
    // The real server also refuses loopback addresses. The sandbox's pods live on them, so here they pass.
    for (i, endpoint) in object::list(new, "/endpoints").iter().enumerate() {
        if object::list(endpoint, "/addresses").is_empty() {
            errors.push(FieldError::required(format!("endpoints[{i}].addresses"), "must contain at least 1 address"));
        }
    }
    immutable("addressType", new, old, errors);
}

/// Events that carry an `eventTime` are of the newer kind, which must be complete and of which only the series moves.
fn event(new: &Value, old: Option<&Value>, by_new_group: bool, errors: &mut Vec<FieldError>) {
    let about = object::text(new, "/involvedObject/namespace").unwrap_or_default();
    let own = object::namespace(new);
    if about != own && !(about.is_empty() && matches!(own, "default" | "kube-system")) {
        errors.push(FieldError::invalid("involvedObject.namespace", about.into(), "does not match event.namespace"));
    }
    let newer = |of: &Value| object::text(of, "/eventTime").is_some();
    if !newer(new) && by_new_group && old.is_none() {
        errors.push(FieldError::required("eventTime", ""));
    }
    if newer(new) {
        for field in ["reportingComponent", "reportingInstance", "action", "reason"] {
            if object::text(new, &format!("/{field}")).is_none_or(str::is_empty) {
                errors.push(FieldError::required(field.replace("Component", "Controller"), ""));
            }
        }
        let kind = object::text(new, "/type").unwrap_or_default();
        if !matches!(kind, "Normal" | "Warning") {
            errors.push(FieldError::invalid("type", kind.into(), format!("has invalid value: {kind}")));
        }
    }
    if newer(new) || by_new_group {
        for field in [
            "involvedObject",
            "reason",
            "message",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "count",
            "type",
            "eventTime",
            "action",
            "related",
            "reportingComponent",
            "reportingInstance",
        ] {
            immutable(field, new, old, errors);
        }
    }
}

fn definition(new: &Value, errors: &mut Vec<FieldError>) {
    let group = object::text(new, "/spec/group").unwrap_or_default();
    let plural = object::text(new, "/spec/names/plural").unwrap_or_default();
    for (field, value) in [
        ("spec.group", group),
        ("spec.names.plural", plural),
        ("spec.names.kind", object::text(new, "/spec/names/kind").unwrap_or_default()),
    ] {
        if value.is_empty() {
            errors.push(FieldError::required(field, ""));
        }
    }
    let scope = object::text(new, "/spec/scope").unwrap_or_default();
    if !matches!(scope, "Cluster" | "Namespaced") {
        errors.push(FieldError::not_supported("spec.scope", scope.into(), &["Cluster", "Namespaced"]));
    }
    if object::name(new) != format!("{plural}.{group}") {
        let wanted = format!("must be spec.names.plural+\".\"+spec.group: {plural}.{group}");
        errors.push(FieldError::invalid("metadata.name", object::name(new).into(), wanted));
    }
    let stored = |v: &&Value| v.get("storage").and_then(Value::as_bool) == Some(true);
    if object::list(new, "/spec/versions").iter().filter(stored).count() != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            new.pointer("/spec/versions").cloned().unwrap_or(Value::Null),
            "must have exactly one version marked as storage version",
        ));
    }
}
