//! Pods: subresources, and what of them may change.

use serde_json::{Value, json};

use super::super::script::{JSON_PATCH, MERGE, STRATEGIC, Script, TABLE};
use super::{core, pod};

pub(crate) fn subresources() -> Script {
    let mut script = Script::new("pod-subresources");
    let eviction = |name: &str| json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name } });
    let binding = |node: &str| json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "a" }, "target": { "kind": "Node", "name": node } });
    for name in ["a", "b", "c", "d"] {
        script.post(core("pods"), pod(name)).save("pod");
    }
    script.post(core("pods/none/eviction"), eviction("none"));
    script.post(core("pods/a/eviction"), eviction("b"));
    script.post(core("pods/a/eviction"), json!({}));
    script.post(core("pods/b/eviction?dryRun=All"), eviction("b"));
    let mut dry = eviction("c");
    dry["deleteOptions"] = json!({ "dryRun": ["All"] });
    script.post(core("pods/c/eviction"), dry);
    let mut stale = eviction("c");
    stale["deleteOptions"] = json!({ "preconditions": { "uid": "00000000-0000-4000-8000-000000000000" } });
    script.post(core("pods/c/eviction"), stale);
    script.post(core("pods/b/eviction"), eviction("b"));
    script.get(core("pods/b"));
    script.get(core("pods/c/eviction"));
    script.put(core("pods/c/eviction"), eviction("c"));
    script.post(core("pods/c/eviction"), json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "c" } }));
    script.get(core("pods/a/log"));
    script.get(core("pods/none/log"));
    script.get(core("pods/a/log?container=none"));
    script.post(core("pods/a/log"), json!({}));
    script.patch(core("pods/a/status"), MERGE, json!({ "status": { "phase": "Running", "podIP": "10.1.2.3", "conditions": [{ "type": "Ready", "status": "True" }] } }));
    script.patch(core("pods/a/status"), STRATEGIC, json!({ "status": { "conditions": [{ "type": "Initialized", "status": "True" }, { "type": "Ready", "status": "False" }] } }));
    script.patch(core("pods/a/status"), MERGE, json!({ "metadata": { "labels": { "s": "1" }, "annotations": { "s": "1" }, "finalizers": ["example.com/f"] }, "spec": { "restartPolicy": "Never" } }));
    script.patch(core("pods/a"), MERGE, json!({ "status": { "phase": "Failed" } }));
    script.get(core("pods/a")).accept(TABLE);
    script.get(core("pods/a/status"));
    script.get(core("pods?fieldSelector=status.phase%3DRunning"));
    script.get(core("pods?fieldSelector=spec.nodeName%3D"));
    script.post(core("pods/c/binding"), binding(""));
    script.post(core("pods/none/binding"), binding("n"));
    script.post(core("pods/c/binding?dryRun=All"), binding("n"));
    script.post(core("pods/c/binding"), json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "d" }, "target": { "kind": "Node", "name": "n" } }));
    script.post(core("pods/c/binding"), json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "c", "uid": "00000000-0000-4000-8000-000000000000" }, "target": { "kind": "Node", "name": "n" } }));
    script.post(core("pods/c/binding"), json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "c" }, "target": { "kind": "Pod", "name": "n" } }));
    script.get(core("pods/c/binding"));
    script.get(core("pods/c/exec"));
    script
}

pub(crate) fn updates() -> Script {
    let mut script = Script::new("pod-updates");
    script.post(core("pods"), pod("a")).save("a");
    let dry = core("pods/a?dryRun=All");
    for patch in [
        json!({ "spec": { "restartPolicy": "Never" } }),
        json!({ "spec": { "nodeName": "n" } }),
        json!({ "spec": { "activeDeadlineSeconds": 10 } }),
        json!({ "spec": { "activeDeadlineSeconds": 0 } }),
        json!({ "spec": { "terminationGracePeriodSeconds": 1 } }),
        json!({ "spec": { "hostname": "h" } }),
        json!({ "spec": { "tolerations": [] } }),
        json!({ "spec": { "nodeSelector": { "a": "b" } } }),
        json!({ "spec": { "unknown": true } }),
        json!({ "metadata": { "labels": { "pod-template-hash": "1" } } }),
        json!({ "metadata": { "labels": null } }),
        json!({ "metadata": { "finalizers": ["nonsense"] } }),
        json!({ "metadata": { "finalizers": ["example.com/f"] } }),
        json!({ "metadata": { "generateName": "g-" } }),
    ] {
        script.patch(&dry, MERGE, patch);
    }
    for patch in [
        json!({ "spec": { "containers": [{ "name": "c", "image": "example.com/c:2" }] } }),
        json!({ "spec": { "containers": [{ "name": "c", "command": ["x"] }] } }),
        json!({ "spec": { "containers": [{ "name": "d", "image": "example.com/d:2" }] } }),
        json!({ "spec": { "containers": [{ "name": "c", "image": "" }] } }),
        json!({ "spec": { "tolerations": [{ "key": "x", "operator": "Exists" }] } }),
    ] {
        script.patch(&dry, STRATEGIC, patch);
    }
    let more = json!([{ "op": "add", "path": "/spec/tolerations/-", "value": { "key": "x", "operator": "Exists" } }]);
    script.patch(&dry, JSON_PATCH, more);
    script.patch(core("pods/a"), MERGE, json!({ "spec": { "activeDeadlineSeconds": 10 } }));
    script.patch(core("pods/a"), MERGE, json!({ "spec": { "activeDeadlineSeconds": 5 } }));
    script.patch(core("pods/a"), MERGE, json!({ "spec": { "activeDeadlineSeconds": 6 } }));
    script.patch(core("pods/a"), MERGE, json!({ "spec": { "activeDeadlineSeconds": null } }));
    script.patch(
        core("pods/a"),
        STRATEGIC,
        json!({ "spec": { "containers": [{ "name": "c", "image": "example.com/c:2" }] } }),
    );
    script.get(core("pods/a"));
    script.delete(core("pods/a"), json!({ "gracePeriodSeconds": 0 }));
    script.get(core("pods/a"));
    for (name, more) in [
        (
            "probe",
            json!({ "livenessProbe": { "httpGet": { "port": "http" } }, "startupProbe": { "tcpSocket": { "port": 1 } }, "readinessProbe": { "exec": { "command": ["x"] } } }),
        ),
        (
            "grpc",
            json!({ "readinessProbe": { "grpc": { "port": 1 } }, "lifecycle": { "preStop": { "httpGet": { "port": 1 } }, "postStart": { "exec": { "command": ["x"] } } } }),
        ),
        ("resources", json!({ "resources": { "limits": { "cpu": "0.1", "memory": "1Gi" } } })),
        (
            "quantities",
            json!({ "resources": { "limits": { "cpu": "1000m", "memory": "1024Mi" }, "requests": { "cpu": 0.5, "memory": "1e3" } } }),
        ),
        (
            "env",
            json!({ "env": [{ "name": "A" }, { "name": "B", "value": "" }, { "name": "C", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }] }),
        ),
        ("latest", json!({ "image": "example.com/c" })),
        (
            "digest",
            json!({ "image": "example.com/c@sha256:0000000000000000000000000000000000000000000000000000000000000000" }),
        ),
        (
            "ports",
            json!({ "ports": [{ "containerPort": 80 }, { "name": "m", "containerPort": 81, "protocol": "UDP" }] }),
        ),
        ("unknown", json!({ "nobodyKnows": 1 })),
    ] {
        let mut body = pod(name);
        body["spec"]["containers"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        script.post(core("pods?dryRun=All"), body);
    }
    for (name, more) in [
        (
            "volumes",
            json!({ "volumes": [{ "name": "a" }, { "name": "b", "configMap": { "name": "c" } }, { "name": "d", "projected": { "sources": [{ "configMap": { "name": "c" } }] } }, { "name": "e", "downwardAPI": { "items": [{ "path": "p", "fieldRef": { "fieldPath": "metadata.name" } }] } }, { "name": "f", "hostPath": { "path": "/x" } }] }),
        ),
        ("account", json!({ "serviceAccountName": "default" })),
        (
            "host",
            json!({ "hostNetwork": true, "containers": [{ "name": "c", "image": "x:1", "ports": [{ "containerPort": 80 }] }] }),
        ),
        ("tolerates", json!({ "tolerations": [{ "operator": "Exists" }] })),
        ("init", json!({ "initContainers": [{ "name": "i", "image": "x:1", "restartPolicy": "Always" }] })),
        (
            "placed",
            json!({ "nodeSelector": { "a": "b" }, "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "k", "operator": "Exists" }] }] } } }, "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "t", "whenUnsatisfiable": "ScheduleAnyway" }] }),
        ),
        (
            "null",
            json!({ "nodeName": null, "securityContext": null, "containers": [{ "name": "c", "image": "x:1", "env": null, "command": [] }] }),
        ),
    ] {
        let mut body = pod(name);
        body["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        script.post(core("pods?dryRun=All"), body);
    }
    let mut body = pod("stated");
    body["status"] = json!({ "phase": "Running" });
    body["metadata"]["generation"] = Value::from(9);
    script.post(core("pods?dryRun=All"), body);
    script
}
