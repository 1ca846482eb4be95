//! Every kind of patch, as dry-runs on one object.

use serde_json::{Value, json};

use super::super::script::{JSON, JSON_PATCH, MERGE, STRATEGIC, Script};
use super::{apps, core, deployment};

fn subject() -> Value {
    let mut body = deployment("web");
    body["spec"]["template"]["spec"] = json!({
        "containers": [
            { "name": "a", "image": "example.com/a:1", "env": [{ "name": "X", "value": "1" }, { "name": "Y", "value": "2" }],
              "ports": [{ "containerPort": 80 }, { "containerPort": 81, "protocol": "UDP" }], "args": ["one", "two"],
              "volumeMounts": [{ "name": "v", "mountPath": "/v" }] },
            { "name": "b", "image": "example.com/b:1" },
        ],
        "volumes": [{ "name": "v", "emptyDir": {} }, { "name": "s", "secret": { "secretName": "s" } }],
        "tolerations": [{ "key": "t", "operator": "Exists" }], "nodeSelector": { "disk": "ssd", "zone": "z" },
        "imagePullSecrets": [{ "name": "one" }], "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["h"] }],
    });
    body["metadata"]["annotations"] = json!({ "example.com/a": "1", "example.com/b": "2" });
    body["metadata"]["finalizers"] = json!(["example.com/f", "example.com/g"]);
    body
}

const DRY: &str = "deployments/web?dryRun=All";

fn started(name: &str) -> Script {
    let mut script = Script::new(name);
    script.post(apps("deployments"), subject());
    script.get(apps("deployments/web")).settled();
    script
}

fn ended(mut script: Script) -> Script {
    script.patch(apps("deployments/web"), MERGE, json!({ "metadata": { "finalizers": null } }));
    script
}

fn in_pod(spec: Value) -> Value {
    json!({ "spec": { "template": { "spec": spec } } })
}

pub(crate) fn strategic() -> Script {
    let mut script = started("patch-strategic");
    for patch in [
        json!({}),
        json!({ "spec": { "replicas": 0 } }),
        json!({ "spec": { "replicas": null } }),
        json!({ "spec": { "paused": null } }),
        json!({ "metadata": { "labels": { "new": "1" }, "annotations": { "example.com/a": null } } }),
        json!({ "metadata": { "labels": { "$patch": "replace", "only": "1" } } }),
        json!({ "metadata": { "annotations": { "$patch": "delete" } } }),
        json!({ "metadata": { "annotations": null } }),
        json!({ "metadata": { "finalizers": ["example.com/h"] } }),
        json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["example.com/f"] } }),
        json!({ "metadata": { "$setElementOrder/finalizers": ["example.com/g", "example.com/f"] } }),
        in_pod(json!({ "containers": [{ "name": "a", "image": "example.com/a:2" }] })),
        in_pod(json!({ "containers": [{ "name": "c", "image": "example.com/c:1" }] })),
        in_pod(json!({ "containers": [{ "name": "b", "$patch": "delete" }] })),
        in_pod(json!({ "containers": [{ "$patch": "replace" }, { "name": "z", "image": "example.com/z:1" }] })),
        in_pod(json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }] })),
        in_pod(
            json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }], "containers": [{ "name": "b", "image": "example.com/b:2" }] }),
        ),
        in_pod(
            json!({ "containers": [{ "name": "a", "env": [{ "name": "Y", "value": "3" }, { "name": "Z", "value": "4" }] }] }),
        ),
        in_pod(json!({ "containers": [{ "name": "a", "env": [{ "name": "X", "$patch": "delete" }] }] })),
        in_pod(
            json!({ "containers": [{ "name": "a", "env": [{ "name": "X", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } }, "value": null }] }] }),
        ),
        in_pod(json!({ "containers": [{ "name": "a", "env": null }] })),
        in_pod(json!({ "containers": [{ "name": "a", "args": ["three"] }] })),
        in_pod(json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "name": "http" }] }] })),
        in_pod(json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 82 }] }] })),
        in_pod(json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "$patch": "delete" }] }] })),
        in_pod(json!({ "containers": [{ "name": "a", "volumeMounts": [{ "mountPath": "/w", "name": "v" }] }] })),
        in_pod(
            json!({ "containers": [{ "name": "a", "volumeMounts": [{ "mountPath": "/v", "name": "v", "readOnly": true }] }] }),
        ),
        in_pod(json!({ "containers": [{ "name": "a", "resources": { "limits": { "cpu": "100m" } } }] })),
        in_pod(json!({ "volumes": [{ "name": "v", "emptyDir": { "medium": "Memory" } }] })),
        in_pod(json!({ "volumes": [{ "name": "s", "$patch": "delete" }] })),
        in_pod(
            json!({ "volumes": [{ "name": "v", "$retainKeys": ["name", "configMap"], "configMap": { "name": "c" } }] }),
        ),
        in_pod(json!({ "tolerations": [{ "key": "u", "operator": "Exists" }] })),
        in_pod(json!({ "nodeSelector": { "zone": null } })),
        in_pod(json!({ "nodeSelector": { "$patch": "replace", "a": "b" } })),
        in_pod(json!({ "imagePullSecrets": [{ "name": "two" }] })),
        in_pod(json!({ "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["i"] }] })),
        in_pod(json!({ "terminationGracePeriodSeconds": 5, "serviceAccountName": "sa" })),
        json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } }),
        json!({ "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null } } }),
        json!({ "spec": { "strategy": { "type": "Recreate" } } }),
        json!({ "spec": { "strategy": { "rollingUpdate": { "maxSurge": 2 } } } }),
        json!({ "spec": { "selector": { "matchLabels": { "app": "b" } } } }),
        json!({ "status": { "replicas": 5 } }),
        json!({ "unknown": 1 }),
        json!({ "spec": { "unknown": { "deep": 1 } } }),
        json!({ "$patch": "delete" }),
        json!({ "$patch": "nonsense" }),
        in_pod(json!({ "containers": [{ "image": "no-name" }] })),
        in_pod(json!({ "containers": "nonsense" })),
        json!({ "spec": { "replicas": "nonsense" } }),
        json!({ "spec": { "replicas": -1 } }),
        json!({ "spec": null }),
        json!({ "metadata": { "name": "other" } }),
        json!({ "metadata": { "namespace": "other" } }),
        json!({ "metadata": { "uid": "" } }),
        json!({ "metadata": { "resourceVersion": "1" } }),
        json!({ "metadata": { "resourceVersion": "" } }),
        json!({ "metadata": { "generation": 7 } }),
        json!({ "metadata": { "creationTimestamp": null } }),
        json!({ "apiVersion": "apps/v2" }),
        json!({ "kind": "Other" }),
    ] {
        script.patch(apps(DRY), STRATEGIC, patch);
    }
    ended(script)
}

pub(crate) fn merge() -> Script {
    let mut script = started("patch-merge");
    for patch in [
        json!({}),
        json!({ "spec": { "replicas": null } }),
        json!({ "metadata": { "labels": null, "annotations": { "example.com/a": null, "example.com/c": "3" } } }),
        json!({ "metadata": { "finalizers": ["example.com/h"] } }),
        in_pod(json!({ "containers": [{ "name": "a", "image": "example.com/a:2" }] })),
        in_pod(json!({ "containers": null })),
        in_pod(json!({ "containers": [] })),
        in_pod(json!({ "nodeSelector": null })),
        in_pod(json!({ "volumes": [{ "name": "v", "emptyDir": {} }] })),
        json!({ "spec": { "strategy": null } }),
        json!({ "spec": { "strategy": { "type": "Recreate" } } }),
        json!({ "spec": { "template": null } }),
        json!({ "spec": "nonsense" }),
        json!({ "metadata": null }),
        json!({ "metadata": { "labels": "nonsense" } }),
        json!({ "metadata": { "labels": { "n": 1 } } }),
        json!({ "unknown": 1 }),
        json!({ "kind": "Other" }),
        json!({ "apiVersion": null }),
        json!({ "metadata": { "deletionTimestamp": "2001-01-01T00:00:00Z" } }),
        json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "00000000-0000-4000-8000-000000000000" }] } }),
        json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod" }] } }),
    ] {
        script.patch(apps(DRY), MERGE, patch);
    }
    ended(script)
}

pub(crate) fn json() -> Script {
    let mut script = started("patch-json");
    let image = "/spec/template/spec/containers/0/image";
    for patch in [
        json!([]),
        json!([{ "op": "replace", "path": image, "value": "example.com/a:2" }]),
        json!([{ "op": "test", "path": image, "value": "example.com/a:1" }, { "op": "replace", "path": image, "value": "example.com/a:3" }]),
        json!([{ "op": "test", "path": image, "value": "other" }]),
        json!([{ "op": "test", "path": "/spec/nothing", "value": null }]),
        json!([{ "op": "test", "path": "/spec/replicas", "value": 0 }]),
        json!([{ "op": "test", "path": "/spec/replicas", "value": 0.0 }]),
        json!([{ "op": "add", "path": "/metadata/labels/x~1y", "value": "1" }]),
        json!([{ "op": "add", "path": "/metadata/nothing/x", "value": "1" }]),
        json!([{ "op": "add", "path": "/spec/template/spec/containers/-", "value": { "name": "c", "image": "example.com/c:1" } }]),
        json!([{ "op": "add", "path": "/spec/template/spec/containers/0", "value": { "name": "c", "image": "example.com/c:1" } }]),
        json!([{ "op": "add", "path": "/spec/template/spec/containers/9", "value": { "name": "c", "image": "example.com/c:1" } }]),
        json!([{ "op": "remove", "path": "/spec/template/spec/containers/1" }]),
        json!([{ "op": "remove", "path": "/spec/template/spec/containers/-1" }]),
        json!([{ "op": "remove", "path": "/spec/nothing" }]),
        json!([{ "op": "replace", "path": "/spec/nothing", "value": 1 }]),
        json!([{ "op": "move", "from": "/metadata/annotations/example.com~1a", "path": "/metadata/annotations/moved" }]),
        json!([{ "op": "copy", "from": "/metadata/annotations/example.com~1a", "path": "/metadata/annotations/copied" }]),
        json!([{ "op": "move", "from": "/metadata/nothing", "path": "/metadata/annotations/moved" }]),
        json!([{ "op": "replace", "path": "/spec/replicas", "value": "nonsense" }]),
        json!([{ "op": "replace", "path": "/spec/replicas", "value": -1 }]),
        json!([{ "op": "replace", "path": "/metadata/name", "value": "other" }]),
        json!([{ "op": "replace", "path": "", "value": {} }]),
        json!([{ "op": "nonsense", "path": "/spec/replicas", "value": 1 }]),
        json!([{ "op": "replace", "value": 1 }]),
        json!([{ "op": "replace", "path": "/spec/replicas" }]),
        json!([{ "path": "/spec/replicas", "value": 1 }]),
        json!([{ "op": "remove", "path": "/metadata/labels" }, { "op": "add", "path": "/metadata/labels", "value": { "a": "b" } }]),
        json!({ "op": "test" }),
        json!([1]),
        json!("nonsense"),
    ] {
        script.patch(apps(DRY), JSON_PATCH, patch);
    }
    ended(script)
}

pub(crate) fn refused() -> Script {
    let mut script = started("patch-refused");
    for media in [JSON_PATCH, MERGE, STRATEGIC] {
        for body in ["", "{", "[", "null", "1", "\"x\"", "[]", "{}"] {
            script.send("PATCH", apps(DRY), media, body);
        }
    }
    for media in [JSON, "", "text/plain", "application/yaml", "application/nonsense+json"] {
        script.send("PATCH", apps(DRY), media, "{}");
    }
    script.patch(apps("deployments/web/status?dryRun=All"), MERGE, json!({ "status": { "replicas": 1 }, "spec": { "replicas": 3 }, "metadata": { "labels": { "s": "1" }, "annotations": { "s": "1" } } }));
    script.patch(apps("deployments/web/scale?dryRun=All"), MERGE, json!({ "spec": { "replicas": 0 } }));
    script.patch(apps("deployments/web/scale?dryRun=All"), STRATEGIC, json!({ "spec": { "replicas": 2 } }));
    script.patch(
        apps("deployments/web/scale?dryRun=All"),
        JSON_PATCH,
        json!([{ "op": "replace", "path": "/spec/replicas", "value": 3 }]),
    );
    let many: Vec<Value> = (0..10_001).map(|_| json!({ "op": "test", "path": "/spec/replicas", "value": 0 })).collect();
    script.patch(apps(DRY), JSON_PATCH, json!(many));
    script.patch(core("secrets/none"), "application/apply-patch+json", json!({}));
    ended(script)
}
