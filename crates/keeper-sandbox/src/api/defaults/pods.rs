//! What pods and pod templates are filled in with.

use serde_json::{Value, json};

use super::items;
use crate::api::object::{self, child, default, omit_empty};

/// Fields of a pod's spec for which empty, zero or false is the same as not set.
const POD_FIELDS: &[&str] = &[
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "tolerations",
    "imagePullSecrets",
    "hostAliases",
    "readinessGates",
    "topologySpreadConstraints",
    "nodeSelector",
    "nodeName",
    "serviceAccountName",
    "serviceAccount",
    "schedulerName",
    "restartPolicy",
    "dnsPolicy",
    "hostname",
    "subdomain",
    "priorityClassName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
];

/// Those of a container.
const CONTAINER_FIELDS: &[&str] = &[
    "command",
    "args",
    "workingDir",
    "ports",
    "env",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "resizePolicy",
    "imagePullPolicy",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
];

pub(super) fn pod(of: &mut Value) {
    let spec = child(of, "spec");
    pod_spec(spec);
    default(spec, "enableServiceLinks", || json!(true));
    default(spec, "priority", || json!(0));
    default(spec, "preemptionPolicy", || json!("PreemptLowerPriority"));
    if object::number(spec, "/terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        object::set(spec, "terminationGracePeriodSeconds", json!(1));
    }
    tolerations(spec);
    let on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        for each in items(spec, list) {
            requests(each);
            for port in items(each, "ports").filter(|_| on_host) {
                let own = port.get("containerPort").cloned().unwrap_or_default();
                default(port, "hostPort", || own);
            }
        }
    }
    status(of);
}

/// The nulls and the list of addresses that a pod's status is served with.
pub(crate) fn status(of: &mut Value) {
    let status = child(of, "status");
    for condition in items(status, "conditions") {
        for time in ["lastProbeTime", "lastTransitionTime"] {
            default(condition, time, || Value::Null);
        }
    }
    let address = object::text(status, "/podIP").unwrap_or_default().to_owned();
    if !address.is_empty() && object::text(status, "/podIPs/0/ip") != Some(&address) {
        object::set(status, "podIPs", json!([{ "ip": address }]));
    }
}

pub(super) fn template(of: &mut Value) {
    let Some(template) = of.pointer_mut("/spec/template").filter(|t| t.is_object()) else { return };
    child(template, "metadata");
    pod_spec(child(template, "spec"));
}

fn pod_spec(spec: &mut Value) {
    omit_empty(spec, POD_FIELDS);
    default(spec, "restartPolicy", || json!("Always"));
    default(spec, "dnsPolicy", || json!("ClusterFirst"));
    default(spec, "schedulerName", || json!("default-scheduler"));
    default(spec, "securityContext", || json!({}));
    default(spec, "terminationGracePeriodSeconds", || json!(30));
    // The deprecated twin is served beside the field that replaced it.
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        default(spec, "serviceAccount", || account);
    } else if let Some(account) = spec.get("serviceAccount").cloned() {
        default(spec, "serviceAccountName", || account);
    }
    for list in ["containers", "initContainers"] {
        for each in items(spec, list) {
            container(each);
        }
    }
    for each in items(spec, "volumes") {
        volume(each);
    }
    for each in items(spec, "tolerations") {
        omit_empty(each, &["key", "operator", "value", "effect"]);
    }
}

/// What the DefaultTolerationSeconds admission adds to every pod.
fn tolerations(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let known = object::list(spec, "/tolerations").iter().any(|t| {
            let is = |field: &str, value: &str| object::text(t, field).is_none_or(|v| v.is_empty() || v == value);
            is("/key", key) && is("/effect", "NoExecute")
        });
        if !known {
            default(spec, "tolerations", || json!([]));
            if let Some(Value::Array(list)) = spec.get_mut("tolerations") {
                list.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
                }));
            }
        }
    }
}

fn container(of: &mut Value) {
    omit_empty(of, CONTAINER_FIELDS);
    default(of, "terminationMessagePath", || json!("/dev/termination-log"));
    default(of, "terminationMessagePolicy", || json!("File"));
    default(of, "resources", || json!({}));
    let policy = pull_policy(object::text(of, "/image").unwrap_or_default());
    default(of, "imagePullPolicy", || json!(policy));
    omit_empty(child(of, "resources"), &["limits", "requests"]);
    for port in items(of, "ports") {
        omit_empty(port, &["name", "protocol", "hostPort", "hostIP"]);
        default(port, "protocol", || json!("TCP"));
    }
    for env in items(of, "env") {
        omit_empty(env, &["value"]);
        references(env);
    }
    for mount in items(of, "volumeMounts") {
        omit_empty(mount, &["readOnly", "subPath", "subPathExpr"]);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(each) = of.get_mut(name).filter(|p| p.is_object()) {
            probe(each);
        }
    }
    for hook in ["/lifecycle/postStart/httpGet", "/lifecycle/preStop/httpGet"] {
        if let Some(get) = of.pointer_mut(hook).filter(|g| g.is_object()) {
            http_get(get);
        }
    }
}

/// What is limited and not requested is requested up to its limit. Pods only: a template stays as it was written.
fn requests(of: &mut Value) {
    if let Some(limits) = of.pointer("/resources/limits").cloned()
        && let Value::Object(limits) = limits
    {
        let requests = child(child(of, "resources"), "requests");
        for (what, limit) in limits {
            default(requests, &what, || limit);
        }
    }
}

/// `Always` for the tag `latest` (also an implied one), else `IfNotPresent`.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map(|(_, tag)| tag);
    // One that can't be read has no tag, not even an implied one.
    let unreadable = image.is_empty() || image.contains(|c: char| !c.is_ascii_alphanumeric() && !"._-/:@".contains(c));
    let pinned = image.contains('@') || tag.is_some_and(|tag| tag != "latest");
    if unreadable || pinned { "IfNotPresent" } else { "Always" }
}

fn probe(of: &mut Value) {
    omit_empty(of, &["initialDelaySeconds"]);
    for (field, seconds) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        let unset = object::number(of, &format!("/{field}")).is_none_or(|n| n == 0);
        if unset {
            object::set(of, field, json!(seconds));
        }
    }
    if let Some(get) = of.get_mut("httpGet").filter(|g| g.is_object()) {
        http_get(get);
    }
    if let Some(grpc) = of.get_mut("grpc").filter(|g| g.is_object()) {
        default(grpc, "service", || json!(""));
    }
}

fn http_get(of: &mut Value) {
    default(of, "path", || json!("/"));
    default(of, "scheme", || json!("HTTP"));
}

fn volume(of: &mut Value) {
    let sources = of.as_object().map_or(0, |m| m.keys().filter(|k| *k != "name").count());
    if sources == 0 {
        object::set(of, "emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = of.get_mut(source).filter(|s| s.is_object()) {
            default(source, "defaultMode", || json!(420));
        }
    }
    if let Some(path) = of.get_mut("hostPath").filter(|p| p.is_object()) {
        default(path, "type", || json!(""));
    }
    for source in of.pointer_mut("/projected").into_iter().flat_map(|projected| items(projected, "sources")) {
        if let Some(token) = source.get_mut("serviceAccountToken").filter(|token| token.is_object()) {
            default(token, "expirationSeconds", || json!(3600));
        }
    }
    references(of);
}

/// Fields of the pod that a variable or a file shows.
fn references(of: &mut Value) {
    match of {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "fieldRef" => default(value, "apiVersion", || json!("v1")),
                    "resourceFieldRef" => default(value, "divisor", || json!("0")),
                    _ => references(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(references),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pull_policy_depends_on_the_tag() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
            ("nginx:latest@sha256:00", "IfNotPresent"),
            (" nginx", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn defaults_are_stable() {
        let mut spec = json!({ "containers": [{ "name": "c", "image": "x", "readinessProbe": { "httpGet": { "port": 1 } } }],
            "volumes": [{ "name": "v" }] });
        pod_spec(&mut spec);
        let once = spec.clone();
        pod_spec(&mut spec);
        assert_eq!(spec, once);
        assert_eq!(spec["volumes"][0]["emptyDir"], json!({}));
    }
}
