//! The same questions about every resource that is served.

use serde_json::{Value, json};

use super::super::script::{JSON, JSON_PATCH, MERGE, METADATA, METADATA_LIST, STRATEGIC, Script, TABLE};
use super::{apps, core, deployment, pod, pod_spec, template};

/// Who else writes to the objects of a resource, which decides what can be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    /// Nobody: everything is asked.
    Alone,
    /// A controller that both have: compared once it has settled, and no watch.
    Settles,
    /// A controller or admission that the sandbox has not: nothing but dry-runs.
    Dry,
}

use Company::{Alone, Dry, Settles};

pub(crate) fn scripts() -> Vec<Script> {
    let selector = json!({ "matchLabels": { "app": "a" } });
    let workload = |more: Value| {
        let mut spec = json!({ "selector": selector, "template": template() });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "spec": spec })
    };
    let about = json!({ "kind": "Pod", "namespace": "{ns}", "name": "p" });
    let kind = |kind: &str, version: &str, mut body: Value| {
        body["apiVersion"] = json!(version);
        body["kind"] = json!(kind);
        body
    };
    let never = json!({ "metadata": {}, "spec": { "restartPolicy": "Never", "containers": pod_spec()["containers"] } });
    let grouped = |group: &str, plural: &str| format!("/apis/{group}/namespaces/{{ns}}/{plural}");
    [
        (core("configmaps"), Alone, kind("ConfigMap", "v1", json!({ "data": { "k": "v" } }))),
        (core("secrets"), Alone, kind("Secret", "v1", json!({ "data": { "k": "dg==" } }))),
        (core("serviceaccounts"), Alone, kind("ServiceAccount", "v1", json!({}))),
        (core("pods"), Alone, pod("x")),
        (core("services"), Alone, kind("Service", "v1", json!({ "spec": { "ports": [{ "port": 80 }] } }))),
        (core("events"), Alone, kind("Event", "v1", json!({ "involvedObject": about, "reason": "R", "message": "m", "type": "Normal" }))),
        (core("endpoints"), Dry, kind("Endpoints", "v1", json!({ "subsets": [{ "addresses": [{ "ip": "10.1.2.3" }], "ports": [{ "port": 80 }] }] }))),
        (core("replicationcontrollers"), Dry, kind("ReplicationController", "v1", json!({ "spec": { "replicas": 0, "template": template() } }))),
        (core("persistentvolumeclaims"), Dry, kind("PersistentVolumeClaim", "v1", json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }))),
        (apps("deployments"), Settles, deployment("x")),
        (apps("replicasets"), Settles, kind("ReplicaSet", "apps/v1", workload(json!({ "replicas": 0 })))),
        (apps("statefulsets"), Dry, kind("StatefulSet", "apps/v1", workload(json!({ "serviceName": "s", "replicas": 0 })))),
        (grouped("batch/v1", "jobs"), Dry, kind("Job", "batch/v1", json!({ "spec": { "suspend": true, "template": never } }))),
        (
            grouped("autoscaling/v2", "horizontalpodautoscalers"),
            Dry,
            kind("HorizontalPodAutoscaler", "autoscaling/v2", json!({ "spec": { "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" } } })),
        ),
        (grouped("policy/v1", "poddisruptionbudgets"), Settles, kind("PodDisruptionBudget", "policy/v1", json!({ "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "none" } } } }))),
        (grouped("discovery.k8s.io/v1", "endpointslices"), Alone, kind("EndpointSlice", "discovery.k8s.io/v1", json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["10.1.2.3"] }], "ports": [{ "port": 80 }] }))),
        (grouped("coordination.k8s.io/v1", "leases"), Alone, kind("Lease", "coordination.k8s.io/v1", json!({ "spec": { "holderIdentity": "h", "leaseDurationSeconds": 15, "renewTime": "2001-01-01T00:00:00.000000Z" } }))),
        (
            grouped("events.k8s.io/v1", "events"),
            Alone,
            kind("Event", "events.k8s.io/v1", json!({
                "regarding": about, "reason": "R", "note": "n", "type": "Normal", "action": "A", "eventTime": "2001-01-01T00:00:00.000000Z",
                "reportingController": "example.com/c", "reportingInstance": "i",
            })),
        ),
        (
            grouped("rbac.authorization.k8s.io/v1", "roles"),
            Alone,
            kind("Role", "rbac.authorization.k8s.io/v1", json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] })),
        ),
        (
            grouped("rbac.authorization.k8s.io/v1", "rolebindings"),
            Alone,
            kind("RoleBinding", "rbac.authorization.k8s.io/v1", json!({
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r" },
                "subjects": [{ "kind": "ServiceAccount", "name": "a" }, { "kind": "User", "name": "u" }],
            })),
        ),
        ("/api/v1/nodes".to_owned(), Dry, kind("Node", "v1", json!({}))),
        ("/api/v1/namespaces".to_owned(), Dry, kind("Namespace", "v1", json!({}))),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned(), Dry, kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", definition())),
    ]
    .into_iter()
    .map(|(path, company, body)| one(&path, company, body))
    .collect()
}

fn definition() -> Value {
    json!({ "spec": {
        "group": "{ns}.example.com", "scope": "Namespaced", "names": { "plural": "things", "kind": "Thing", "singular": "thing", "listKind": "ThingList" },
        "versions": [{
            "name": "v1", "served": true, "storage": true,
            "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
        }],
    } })
}

fn one(path: &str, company: Company, mut body: Value) -> Script {
    let plural = path.rsplit('/').next().unwrap();
    let group = path.split('/').nth(2).filter(|group| group.contains('.')).unwrap_or_default();
    let name = if plural == "customresourcedefinitions" { "things.{ns}.example.com" } else { "{ns}-x" };
    let mut script = Script::new(format!("every-{plural}{}{group}", if group.is_empty() { "" } else { "." }));
    body["metadata"]["name"] = json!(name);
    body["metadata"]["labels"]["truth"] = json!("{ns}");
    body["metadata"]["annotations"] = json!({ "example.com/a": "1" });
    let object = format!("{path}/{name}");
    absent(&mut script, path, &object, &body);
    match company {
        Dry => {}
        Alone | Settles => present(&mut script, path, &object, &body, company),
    }
    script
}

/// What is answered when there is no object.
fn absent(script: &mut Script, path: &str, object: &str, body: &Value) {
    let selected = format!("{path}?labelSelector=truth%3D{{ns}}");
    script.post(format!("{path}?dryRun=All"), body.clone());
    script.post(format!("{path}?dryRun=All"), body.clone()).accept(TABLE);
    script.get(object);
    script.get(&selected);
    script.get(&selected).accept(TABLE);
    script.get(&selected).accept(METADATA_LIST);
    script.put(object, body.clone());
    script.patch(object, MERGE, json!({ "metadata": { "labels": { "l": "1" } } }));
    script.delete(object, Value::Null);
    script.get(format!("{object}/status"));
    script.get(format!("{object}/scale"));
    script.get(format!("{object}/nonsense"));
    script.put(path, body.clone());
    script.patch(path, MERGE, json!({}));
    script.post(object, body.clone());
    let mut other = body.clone();
    other["kind"] = json!("Nonsense");
    script.post(format!("{path}?dryRun=All"), other);
    let mut other = body.clone();
    other["apiVersion"] = json!("nonsense/v9");
    script.post(format!("{path}?dryRun=All"), other);
    let mut other = body.clone();
    other["metadata"]["name"] = json!("Not A Name");
    script.post(format!("{path}?dryRun=All"), other);
    let mut other = body.clone();
    other["metadata"]["name"] = json!("n".repeat(300));
    script.post(format!("{path}?dryRun=All"), other);
    let mut other = body.clone();
    other["metadata"].as_object_mut().unwrap().remove("name");
    script.post(format!("{path}?dryRun=All"), other.clone());
    other["metadata"]["generateName"] = json!("gen-");
    if !path.contains("customresourcedefinitions") {
        script.post(format!("{path}?dryRun=All"), other);
    }
    let mut other = body.clone();
    other["metadata"]["labels"] = json!({ "not a key": "not a value!" });
    script.post(format!("{path}?dryRun=All"), other);
    script.send("POST", format!("{path}?dryRun=All"), JSON, "{");
    script.send("POST", format!("{path}?dryRun=All"), JSON, "");
    script.send("POST", path, "text/plain", "hello");
    script.post(format!("{path}?dryRun=Some"), body.clone());
}

/// A life of an object.
fn present(script: &mut Script, path: &str, object: &str, body: &Value, company: Company) {
    let settles = company == Settles;
    let get = |script: &mut Script, save: &'static str| {
        let step = script.get(object).save(save);
        if settles {
            step.settled();
        }
    };
    script.post(path, body.clone()).save("made");
    script.post(path, body.clone());
    get(script, "first");
    script.get(object).accept(TABLE);
    script.get(object).accept(METADATA);
    script.get(format!("{path}?labelSelector=truth%3D{{ns}}"));
    script.get(format!("{path}?labelSelector=truth%3D{{ns}}")).accept(TABLE);
    script.get(format!("{path}?labelSelector=truth%3D{{ns}}")).accept(METADATA_LIST);
    script.get(format!("{path}?fieldSelector=metadata.name%3D{{ns}}-x"));
    script.get(format!("{path}?fieldSelector=spec.nonsense%3Da"));
    script.patch(format!("{object}?dryRun=All"), MERGE, json!({ "metadata": { "labels": { "dry": "1" } } }));
    get(script, "dry");
    script.patch(object, MERGE, json!({ "metadata": { "labels": { "merge": "1" } } }));
    get(script, "merged");
    script.patch(object, MERGE, json!({ "metadata": { "labels": { "merge": "1" } } }));
    script.patch(object, STRATEGIC, json!({ "metadata": { "annotations": { "example.com/s": "1" } } }));
    get(script, "annotated");
    script.patch(object, JSON_PATCH, json!([{ "op": "add", "path": "/metadata/labels/json", "value": "1" }]));
    script.patch(object, JSON_PATCH, json!([{ "op": "test", "path": "/metadata/uid", "value": "other" }]));
    script.patch(object, MERGE, json!({ "metadata": { "resourceVersion": "1", "labels": { "x": "y" } } }));
    script.patch(object, MERGE, json!({ "metadata": { "uid": "00000000-0000-4000-8000-000000000000" } }));
    script.patch(object, MERGE, json!({ "metadata": { "name": "other" } }));
    let mut replaced = body.clone();
    replaced["metadata"]["labels"]["put"] = json!("1");
    let mut stale = replaced.clone();
    stale["metadata"]["resourceVersion"] = json!("1");
    script.put(object, stale);
    let mut other = replaced.clone();
    other["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    other["metadata"]["resourceVersion"] = json!("${annotated:/metadata/resourceVersion}");
    script.put(object, other);
    script.put(object, replaced.clone());
    get(script, "now");
    replaced["metadata"]["resourceVersion"] = json!("${now:/metadata/resourceVersion}");
    script.put(format!("{object}?dryRun=All"), replaced.clone());
    script.put(object, replaced);
    get(script, "replaced");
    script.delete(object, json!({ "preconditions": { "uid": "00000000-0000-4000-8000-000000000000" } }));
    script.delete(object, json!({ "preconditions": { "resourceVersion": "1" } }));
    script.delete(object, json!({ "dryRun": ["All"] }));
    script.delete(object, json!({ "propagationPolicy": "Nonsense" }));
    script.delete(
        object,
        json!({ "preconditions": { "uid": "${made:/metadata/uid}" }, "propagationPolicy": "Background" }),
    );
    script.get(object).until(404);
    if !settles {
        let watch = format!(
            "{path}?watch=1&fieldSelector=metadata.name%3D{{ns}}-x&resourceVersion=${{made:/metadata/resourceVersion}}"
        );
        script.watch(&watch, 5);
        script.watch(&watch, 2).accept(TABLE);
        script.watch(&watch, 2).accept(METADATA);
    }
}
