//! What a team would have applied: a workload behind a Service, with the label and annotations that ask for canaries.

use serde_json::{Value, json};

/// The namespace of the demo.
pub(crate) const NAMESPACE: &str = "shop";
/// The name of the workload, its Service and its container.
pub(crate) const APP: &str = "app";
/// The port that each copy of the application listens on.
pub(crate) const PORT: u16 = 8080;
/// The Service's port: above 1023, so that nobody needs to be root to listen there.
pub(crate) const SERVICE_PORT: u16 = 8080;
/// The image's repository in the sandbox's registry.
pub(crate) const REPOSITORY: &str = "shop/app";
/// The tag that is watched.
pub(crate) const TAG: &str = "stable";

/// The Namespace.
pub(crate) fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

/// The Service.
pub(crate) fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {"selector": {"app": APP}, "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": PORT}]},
    })
}

/// The Deployment. Its check begins to judge at a hundred requests: the canary of ten replicas gets about ninety a second.
pub(crate) fn deployment(image: &str, watched: &str, replicas: u32, incubation: u32) -> Value {
    let checks =
        format!("- kind: httpErrorRate\n  port: {PORT}\n  path: /metrics\n  threshold: 1\n  minRequestCount: 100\n");
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": APP, "namespace": NAMESPACE,
            "labels": {"app": APP, "canary": "true"},
            "annotations": {
                "canary-image": watched,
                "canary-name": APP,
                "canary-duration": format!("{incubation}s"),
                "canary-keeper.dev/checks": checks,
            },
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "template": {
                "metadata": {"labels": {"app": APP}},
                "spec": {"containers": [{
                    "name": APP,
                    "image": image,
                    "ports": [{"name": "http", "containerPort": PORT}],
                    "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

/// The same as a DeploymentConfig that rolls out each change of its template.
fn deployment_config(image: &str, watched: &str, replicas: u32, incubation: u32) -> Value {
    let mut config = deployment(image, watched, replicas, incubation);
    let changes = [
        ("/apiVersion", json!("apps.openshift.io/v1")),
        ("/kind", json!("DeploymentConfig")),
        ("/spec/selector", json!({"app": APP})),
    ];
    for (pointer, value) in changes {
        replace(&mut config, pointer, value);
    }
    if let Some(spec) = config.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.insert("triggers".into(), json!([{"type": "ConfigChange"}]));
    }
    config
}

/// The same check as JSON, on what the pods themselves tell or on what a Prometheus scraped from them.
pub(super) fn check(prometheus: bool) -> Value {
    let mut check = json!({"kind": "httpErrorRate", "threshold": 1, "minRequestCount": 100});
    let source = if prometheus {
        vec![("provider", json!(super::prometheus::NAME))]
    } else {
        vec![("port", json!(PORT)), ("path", json!("/metrics"))]
    };
    for (field, value) in source {
        if let Some(place) = check.as_object_mut() {
            place.insert(field.into(), value);
        }
    }
    check
}

/// Makes a workload's check one on what a Prometheus scraped.
pub(super) fn ask_prometheus(workload: &mut Value) {
    // YAML reads JSON.
    let checks = json!([check(true)]).to_string();
    replace(workload, "/metadata/annotations/canary-keeper.dev~1checks", checks.into());
}

/// Puts a value in the place of one that is there.
pub(super) fn replace(manifest: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = manifest.pointer_mut(pointer) {
        *place = value;
    }
}

/// All of them with a DeploymentConfig, behind a Service as `oc new-app` makes it.
pub(crate) fn all_with_config(image: &str, watched: &str, replicas: u32, incubation: u32) -> [Value; 3] {
    let mut service = service();
    replace(&mut service, "/spec/selector", json!({"deploymentconfig": APP}));
    [namespace(), service, deployment_config(image, watched, replicas, incubation)]
}

/// All of them without what asks for canaries.
pub(crate) fn plain(image: &str, replicas: u32) -> [Value; 3] {
    let [namespace, service, mut deployment] = all(image, image, replicas, 60);
    replace(&mut deployment, "/metadata/labels", json!({"app": APP}));
    replace(&mut deployment, "/metadata/annotations", json!({}));
    [namespace, service, deployment]
}

/// All of them, as they are applied.
pub(crate) fn all(image: &str, watched: &str, replicas: u32, incubation: u32) -> [Value; 3] {
    [namespace(), service(), deployment(image, watched, replicas, incubation)]
}
