//! What pods and pod templates are filled in with.

use serde_json::{Value, json};

use super::items;
use crate::api::object::{self, child, default};

pub(super) fn pod(spec: &mut Value) {
    pod_spec(spec);
    default(spec, "enableServiceLinks", || json!(true));
    default(spec, "priority", || json!(0));
    default(spec, "preemptionPolicy", || json!("PreemptLowerPriority"));
    tolerations(spec);
    for list in ["containers", "initContainers"] {
        for each in items(spec, list) {
            requests(each);
        }
    }
}

pub(super) fn template(of: &mut Value) {
    let Some(template) = of.pointer_mut("/spec/template").filter(|t| t.is_object()) else { return };
    child(template, "metadata");
    pod_spec(child(template, "spec"));
}

fn pod_spec(spec: &mut Value) {
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
    default(of, "terminationMessagePath", || json!("/dev/termination-log"));
    default(of, "terminationMessagePolicy", || json!("File"));
    default(of, "resources", || json!({}));
    let policy = pull_policy(object::text(of, "/image").unwrap_or_default());
    default(of, "imagePullPolicy", || json!(policy));
    for port in items(of, "ports") {
        default(port, "protocol", || json!("TCP"));
    }
    for env in items(of, "env") {
        if let Some(field) = env.pointer_mut("/valueFrom/fieldRef").filter(|f| f.is_object()) {
            default(field, "apiVersion", || json!("v1"));
        }
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
    if image.contains('@') || tag.is_some_and(|tag| tag != "latest") { "IfNotPresent" } else { "Always" }
}

fn probe(of: &mut Value) {
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
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn defaults_are_stable() {
        let mut spec = json!({ "containers": [{ "name": "c", "image": "x", "readinessProbe": { "httpGet": { "port": 1 } } }],
            "volumes": [{ "name": "v" }] });
        pod(&mut spec);
        let once = spec.clone();
        pod(&mut spec);
        assert_eq!(spec, once);
        assert_eq!(spec["volumes"][0]["emptyDir"], json!({}));
    }
}
