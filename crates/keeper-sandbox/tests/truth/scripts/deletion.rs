//! Deleting with finalizers, by collection and with the namespace.

use serde_json::{Value, json};

use super::super::script::{MERGE, Script};
use super::core;

fn map(name: &str, finalizers: Value) -> Value {
    json!({ "metadata": { "name": name, "labels": { "truth": "1" }, "finalizers": finalizers } })
}

pub(crate) fn finalizers() -> Script {
    let mut script = Script::new("finalizers");
    let one = core("configmaps/one");
    script.post(core("configmaps"), map("one", json!(["example.com/f", "example.com/g"]))).save("made");
    script.delete(&one, json!({ "dryRun": ["All"] }));
    script.get(&one);
    script.delete(&one, json!({}));
    script.delete(&one, json!({}));
    script.delete(&one, json!({ "gracePeriodSeconds": 0 }));
    script.get(&one);
    script.post(core("configmaps"), map("one", json!([])));
    script.patch(&one, MERGE, json!({ "data": { "still": "here" } }));
    script.patch(&one, MERGE, json!({ "metadata": { "finalizers": ["example.com/f", "example.com/new"] } }));
    script.patch(&one, MERGE, json!({ "metadata": { "finalizers": ["example.com/f"] } }));
    script.patch(&one, MERGE, json!({ "metadata": { "deletionTimestamp": null } }));
    script.patch(&one, MERGE, json!({ "metadata": { "finalizers": null } }));
    script.get(&one);
    script.watch(
        core("configmaps?watch=1&fieldSelector=metadata.name%3Done&resourceVersion=${made:/metadata/resourceVersion}"),
        4,
    );
    script.post(core("configmaps"), map("two", json!(["nonsense"])));
    script.post(core("configmaps"), map("two", json!(["example.com/"])));
    script.post(core("configmaps"), map("two", json!(["foregroundDeletion", "orphan"])));
    script.post(core("configmaps"), map("three", json!(["example.com/f"])));
    script.delete(core("configmaps/three"), json!({ "propagationPolicy": "Orphan", "orphanDependents": true }));
    script.delete(core("configmaps/three"), json!({ "gracePeriodSeconds": -1 }));
    script.delete(core("configmaps/three"), json!({ "kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["Some"] }));
    script.delete(core("configmaps/three"), json!({ "kind": "Other", "apiVersion": "v1" }));
    script.delete(core("configmaps/three?propagationPolicy=Nonsense"), json!(null));
    script.delete(core("configmaps/three?gracePeriodSeconds=x"), json!(null));
    script.delete(core("configmaps/three?dryRun=All"), json!(null));
    script.delete(core("configmaps/three?dryRun=All"), json!({}));
    script.get(core("configmaps/three"));
    script.send("DELETE", core("configmaps/three"), "application/json", "{");
    script.send("DELETE", core("configmaps/three"), "text/plain", "{}");
    script.patch(core("configmaps/three"), MERGE, json!({ "metadata": { "finalizers": [] } }));
    script.delete(core("configmaps/three"), json!(null));
    script
}

pub(crate) fn collections() -> Script {
    let mut script = Script::new("collections");
    for name in ["a", "b", "c"] {
        script.post(core("configmaps"), map(name, if name == "c" { json!(["example.com/f"]) } else { json!([]) }));
    }
    let selected = core("configmaps?labelSelector=truth%3D1");
    script.delete(core("configmaps?labelSelector=truth%3D1&dryRun=All"), json!(null));
    script.get(&selected);
    script.delete(core("configmaps?labelSelector=a%20b"), json!(null));
    script.delete(core("configmaps?fieldSelector=metadata.name%3Da"), json!(null));
    script.get(&selected);
    script.delete(&selected, json!({ "propagationPolicy": "Background" }));
    script.get(&selected);
    script.patch(core("configmaps/c"), MERGE, json!({ "metadata": { "finalizers": null } }));
    script.delete(&selected, json!(null));
    script.delete(core("services"), json!(null));
    script.delete("/api/v1/configmaps?labelSelector=truth%3Dnobody", json!(null));
    script.delete(core("configmaps?labelSelector=truth%3Dnobody"), json!({ "preconditions": { "uid": "x" } }));
    script
}

pub(crate) fn namespace() -> Script {
    let mut script = Script::new("namespaces");
    let path = "/api/v1/namespaces/{ns}-b";
    let inside = |rest: &str| format!("{path}/{rest}");
    script.post("/api/v1/namespaces", json!({ "metadata": { "name": "{ns}-b" } })).save("made");
    script.post("/api/v1/namespaces", json!({ "metadata": { "name": "{ns}-b" } }));
    script.get(path);
    script.get(path).accept(super::super::script::TABLE);
    script.patch(path, MERGE, json!({ "metadata": { "labels": { "l": "1" } } }));
    script.patch(path, MERGE, json!({ "metadata": { "labels": { "kubernetes.io/metadata.name": "other" } } }));
    script.post(inside("configmaps"), map("held", json!(["example.com/f"])));
    script.post(inside("configmaps"), map("free", json!([])));
    script.post(inside("configmaps"), json!({ "metadata": { "name": "x", "namespace": "other" } }));
    script.delete(path, json!({ "preconditions": { "uid": "00000000-0000-4000-8000-000000000000" } }));
    script.delete(path, json!({ "dryRun": ["All"] }));
    script.delete(path, json!(null));
    script.get(inside("configmaps/free")).until(404);
    script.post(inside("configmaps"), map("late", json!([])));
    script.get(inside("configmaps/held"));
    script.patch(inside("configmaps/held"), MERGE, json!({ "metadata": { "finalizers": null } }));
    script.get(path).until(404);
    script.post(inside("configmaps"), map("later", json!([])));
    script.get(inside("configmaps?labelSelector=none"));
    script.delete("/api/v1/namespaces/default", json!(null));
    script.delete("/api/v1/namespaces/kube-system", json!(null));
    script.delete("/api/v1/namespaces", json!(null));
    script
}
