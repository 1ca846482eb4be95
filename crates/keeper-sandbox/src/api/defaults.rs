//! The values that the real server fills in on the kinds whose stored form our product compares and copies.

use serde_json::{Value, json};

use super::object::{self, child, default};
use super::resources::ResourceType;

/// Fills in what was left out.
pub(crate) fn apply(resource: &ResourceType, of: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pod(child(of, "spec")),
        ("", "services") => service(child(of, "spec")),
        ("", "replicationcontrollers") => {
            default(child(of, "spec"), "replicas", || json!(1));
            replication_controller(of);
            template(of);
        }
        ("", "secrets") => default(of, "type", || json!("Opaque")),
        ("", "persistentvolumeclaims") => default(child(of, "spec"), "volumeMode", || json!("Filesystem")),
        ("", "namespaces") => namespace(of),
        ("apps", "deployments") => {
            deployment(child(of, "spec"));
            child(child(of, "spec"), "template");
            template(of);
        }
        ("apps", "replicasets") => {
            default(child(of, "spec"), "replicas", || json!(1));
            child(child(of, "spec"), "template");
            template(of);
        }
        ("apps", "statefulsets") => {
            stateful_set(child(of, "spec"));
            template(of);
        }
        ("apps", "daemonsets") => {
            daemon_set(child(of, "spec"));
            template(of);
        }
        ("batch", "jobs") => {
            job(child(of, "spec"));
            template(of);
        }
        ("autoscaling", "horizontalpodautoscalers") => default(child(of, "spec"), "minReplicas", || json!(1)),
        ("discovery.k8s.io", "endpointslices") => endpoint_slice(of),
        (_, "events") => event(of),
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

fn deployment(spec: &mut Value) {
    default(spec, "replicas", || json!(1));
    default(spec, "revisionHistoryLimit", || json!(10));
    default(spec, "progressDeadlineSeconds", || json!(600));
    let strategy = child(spec, "strategy");
    default(strategy, "type", || json!("RollingUpdate"));
    if object::text(strategy, "/type") == Some("RollingUpdate") {
        let rolling = child(strategy, "rollingUpdate");
        default(rolling, "maxSurge", || json!("25%"));
        default(rolling, "maxUnavailable", || json!("25%"));
    }
}

fn stateful_set(spec: &mut Value) {
    default(spec, "replicas", || json!(1));
    default(spec, "revisionHistoryLimit", || json!(10));
    default(spec, "podManagementPolicy", || json!("OrderedReady"));
    default(spec, "updateStrategy", || json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } }));
}

fn daemon_set(spec: &mut Value) {
    default(spec, "revisionHistoryLimit", || json!(10));
    default(
        spec,
        "updateStrategy",
        || json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 } }),
    );
}

fn job(spec: &mut Value) {
    default(spec, "parallelism", || json!(1));
    default(spec, "completions", || json!(1));
    default(spec, "backoffLimit", || json!(6));
    default(spec, "completionMode", || json!("NonIndexed"));
    default(spec, "suspend", || json!(false));
    default(spec, "podReplacementPolicy", || json!("TerminatingOrFailed"));
}

/// Selector and labels of a ReplicationController are taken from its template.
fn replication_controller(of: &mut Value) {
    let labels = of.pointer("/spec/template/metadata/labels").cloned();
    if let Some(labels) = labels {
        default(child(of, "spec"), "selector", || labels.clone());
        default(child(of, "metadata"), "labels", || labels);
    }
}

fn template(of: &mut Value) {
    let Some(template) = of.pointer_mut("/spec/template").filter(|t| t.is_object()) else { return };
    child(template, "metadata");
    pod_spec(child(template, "spec"));
}

fn pod(spec: &mut Value) {
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

fn items<'a>(of: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    of.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter(|item| item.is_object())
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
