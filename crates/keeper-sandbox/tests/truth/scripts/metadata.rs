//! Metadata that an update may not have: how often a fault is named depends on how often the kind's own rules look at it.

use serde_json::json;

use super::super::script::{MERGE, Script};
use super::{apps, core, deployment, pod, template};

pub(crate) fn updates() -> Script {
    let mut script = Script::new("metadata-updates");
    let at = |group: &str, plural: &str| format!("/apis/{group}/namespaces/{{ns}}/{plural}");
    let selector = json!({ "matchLabels": { "app": "a" } });
    for (path, mut body) in [
        (core("configmaps"), json!({})),
        (core("secrets"), json!({})),
        (core("serviceaccounts"), json!({})),
        (core("pods"), pod("x")),
        (core("services"), json!({ "spec": { "ports": [{ "port": 80 }] } })),
        (core("endpoints"), json!({})),
        (core("events"), json!({ "involvedObject": { "namespace": "{ns}" } })),
        (core("replicationcontrollers"), json!({ "spec": { "replicas": 0, "template": template() } })),
        (
            core("persistentvolumeclaims"),
            json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }),
        ),
        (apps("deployments"), deployment("x")),
        (apps("replicasets"), json!({ "spec": { "replicas": 0, "selector": selector, "template": template() } })),
        (
            apps("statefulsets"),
            json!({ "spec": { "replicas": 0, "serviceName": "s", "selector": selector, "template": template() } }),
        ),
        (
            at("batch/v1", "jobs"),
            json!({ "spec": { "suspend": true, "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "c" }] } } } }),
        ),
        (
            at("autoscaling/v2", "horizontalpodautoscalers"),
            json!({ "spec": { "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "none" } } }),
        ),
        (
            at("policy/v1", "poddisruptionbudgets"),
            json!({ "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "none" } } } }),
        ),
        (
            at("discovery.k8s.io/v1", "endpointslices"),
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["10.1.2.3"] }] }),
        ),
        (
            at("coordination.k8s.io/v1", "leases"),
            json!({ "spec": { "holderIdentity": "h", "leaseDurationSeconds": 15 } }),
        ),
    ] {
        body["metadata"] = json!({ "name": "m", "labels": { "app": "a" } });
        script.post(&*path, body);
        let faults = json!({ "metadata": {
            "labels": { "a b": "c" }, "annotations": { "a b": "c" }, "finalizers": ["nonsense"],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod" }],
        } });
        script.patch(format!("{path}/m?dryRun=All"), MERGE, faults).until(422);
    }
    script
}
