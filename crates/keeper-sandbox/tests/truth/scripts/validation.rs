//! What is refused, field by field, and what is filled in: creates in thought only.

use serde_json::{Value, json};

use super::super::script::Script;
use super::{apps, core, deployment, pod, pod_spec, template};

/// The body with one value at a JSON pointer changed; `null` takes it out.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut at = &mut body;
    for part in parent.split('/').skip(1) {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    match (key.parse::<usize>(), value) {
        (Ok(index), value) => at[index] = value,
        (Err(_), Value::Null) => drop(at.as_object_mut().unwrap().remove(key)),
        (Err(_), value) => at[key] = value,
    }
    body
}

pub(crate) fn each(script: &mut Script, path: &str, body: &Value, changes: Vec<(&str, Value)>) {
    for (pointer, value) in changes {
        script.post(format!("{path}?dryRun=All"), with(body.clone(), pointer, value));
    }
}

pub(crate) fn metadata() -> Script {
    let mut script = Script::new("validate-metadata");
    let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "k": "v" } });
    let owner = |more: Value| {
        let mut owner =
            json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "00000000-0000-4000-8000-000000000000" });
        owner.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        owner
    };
    let changes = vec![
        ("/metadata/name", json!("")),
        ("/metadata/name", json!("A")),
        ("/metadata/name", json!("a.b-c")),
        ("/metadata/name", json!("a..b")),
        ("/metadata/name", json!("-a")),
        ("/metadata/name", json!("a/b")),
        ("/metadata/name", json!("x".repeat(253))),
        ("/metadata/name", json!("x".repeat(254))),
        ("/metadata/name", json!(1)),
        ("/metadata/generateName", json!("Bad_")),
        ("/metadata/namespace", json!("other")),
        ("/metadata/namespace", json!("{ns}")),
        ("/metadata/labels", json!({ "": "v" })),
        ("/metadata/labels", json!({ "a/b/c": "v" })),
        ("/metadata/labels", json!({ "/a": "v" })),
        ("/metadata/labels", json!({ "a/": "v" })),
        ("/metadata/labels", json!({ "UP.example.com/a": "v" })),
        ("/metadata/labels", json!({ "a": "-v" })),
        ("/metadata/labels", json!({ "a": "v".repeat(64) })),
        ("/metadata/labels", json!({ "k".repeat(64): "v" })),
        ("/metadata/labels", json!({ format!("{}/k", "p".repeat(254)): "v" })),
        ("/metadata/labels", json!({ "a": null, "b": "" })),
        ("/metadata/labels", json!({ "a": 1 })),
        ("/metadata/labels", json!([])),
        ("/metadata/labels", json!({})),
        ("/metadata/annotations", json!({ "Bad Key": "v" })),
        ("/metadata/annotations", json!({ "UP.example.com/Ok": "v" })),
        ("/metadata/annotations", json!({ "big": "v".repeat(262_144) })),
        ("/metadata/finalizers", json!(["a"])),
        ("/metadata/finalizers", json!(["a/b", "a/b"])),
        ("/metadata/finalizers", json!(["Bad/Name!"])),
        ("/metadata/finalizers", json!(["orphan"])),
        ("/metadata/ownerReferences", json!([owner(json!({}))])),
        ("/metadata/ownerReferences", json!([owner(json!({ "uid": "" }))])),
        ("/metadata/ownerReferences", json!([owner(json!({ "name": "" }))])),
        ("/metadata/ownerReferences", json!([owner(json!({ "kind": "" }))])),
        ("/metadata/ownerReferences", json!([owner(json!({ "apiVersion": "" }))])),
        ("/metadata/ownerReferences", json!([owner(json!({ "apiVersion": "a/b/c" }))])),
        ("/metadata/ownerReferences", json!([owner(json!({ "kind": "Event" }))])),
        (
            "/metadata/ownerReferences",
            json!([owner(json!({ "controller": true })), owner(json!({ "controller": true, "name": "q" }))]),
        ),
        ("/metadata/uid", json!("00000000-0000-4000-8000-000000000000")),
        ("/metadata/resourceVersion", json!("1")),
        ("/metadata/creationTimestamp", json!("nonsense")),
        ("/metadata/creationTimestamp", json!("2001-01-01T00:00:00Z")),
        ("/metadata/deletionTimestamp", json!("2001-01-01T00:00:00Z")),
        ("/metadata/generation", json!(-1)),
        ("/metadata/generation", json!(5)),
        ("/metadata/selfLink", json!("/x")),
        ("/metadata/unknown", json!(1)),
        ("/metadata", json!(null)),
        ("/metadata", json!("x")),
        ("/apiVersion", json!(null)),
        ("/kind", json!(null)),
        ("/kind", json!("Secret")),
        ("/apiVersion", json!("v2")),
        ("/unknown", json!({ "a": 1 })),
    ];
    each(&mut script, &core("configmaps"), &body, changes);
    script
}

pub(crate) fn workloads() -> Script {
    let mut script = Script::new("validate-workloads");
    let changes = || {
        vec![
            ("/spec/replicas", json!(-1)),
            ("/spec/replicas", json!("1")),
            ("/spec/replicas", json!(null)),
            ("/spec/replicas", json!(1.5)),
            ("/spec/selector", json!(null)),
            ("/spec/selector", json!({})),
            ("/spec/selector", json!({ "matchLabels": { "app": "other" } })),
            ("/spec/selector", json!({ "matchLabels": { "bad key": "v" } })),
            ("/spec/selector", json!({ "matchExpressions": [{ "key": "app", "operator": "In" }] })),
            (
                "/spec/selector",
                json!({ "matchExpressions": [{ "key": "app", "operator": "Exists", "values": ["a"] }] }),
            ),
            ("/spec/selector", json!({ "matchExpressions": [{ "key": "app", "operator": "Nonsense" }] })),
            (
                "/spec/selector",
                json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["a", "b"] }] }),
            ),
            ("/spec/template/metadata", json!(null)),
            ("/spec/template/metadata/labels", json!({ "app": "not valid!" })),
            ("/spec/template/spec/containers", json!([])),
            ("/spec/template/spec/restartPolicy", json!("Never")),
            ("/spec/template/spec/restartPolicy", json!("Nonsense")),
            ("/spec/template/spec/activeDeadlineSeconds", json!(5)),
            ("/spec/template", json!(null)),
            ("/spec/minReadySeconds", json!(-1)),
            ("/spec", json!(null)),
            ("/spec", json!({})),
            ("/status", json!({ "replicas": 4 })),
        ]
    };
    each(&mut script, &apps("deployments"), &deployment("a"), changes());
    each(
        &mut script,
        &apps("deployments"),
        &deployment("a"),
        vec![
            ("/spec/strategy", json!({ "type": "Nonsense" })),
            ("/spec/strategy", json!({ "type": "Recreate", "rollingUpdate": {} })),
            ("/spec/strategy", json!({ "type": "Recreate" })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 0 } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": "0%", "maxUnavailable": "0%" } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": "x" } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": -1 } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxUnavailable": "101%" } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxUnavailable": 3 } })),
            ("/spec/progressDeadlineSeconds", json!(0)),
            ("/spec/progressDeadlineSeconds", json!(-1)),
            ("/spec/minReadySeconds", json!(600)),
            ("/spec/revisionHistoryLimit", json!(-1)),
            ("/spec/revisionHistoryLimit", json!(0)),
        ],
    );
    let mut set = deployment("a");
    set["kind"] = json!("ReplicaSet");
    set["spec"].as_object_mut().unwrap().remove("paused");
    each(&mut script, &apps("replicasets"), &set, changes());
    let controller = json!({ "apiVersion": "v1", "kind": "ReplicationController", "metadata": { "name": "a" }, "spec": { "replicas": 1, "selector": { "app": "a" }, "template": template() } });
    each(
        &mut script,
        &core("replicationcontrollers"),
        &controller,
        vec![
            ("/spec/replicas", json!(-1)),
            ("/spec/replicas", json!(null)),
            ("/spec/selector", json!(null)),
            ("/spec/selector", json!({})),
            ("/spec/selector", json!({ "app": "other" })),
            ("/spec/template", json!(null)),
            ("/spec/template/metadata", json!(null)),
            ("/spec/template/spec/restartPolicy", json!("Never")),
            ("/spec/minReadySeconds", json!(-1)),
            ("/spec", json!(null)),
        ],
    );
    script
}

pub(crate) fn pods() -> Script {
    let mut script = Script::new("validate-pods");
    let c = |more: Value| {
        let mut container = pod_spec()["containers"][0].clone();
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([container])
    };
    each(
        &mut script,
        &core("pods"),
        &pod("a"),
        vec![
            ("/spec", json!(null)),
            ("/spec/containers", json!(null)),
            ("/spec/containers", json!([{}])),
            ("/spec/containers", c(json!({ "name": "Bad" }))),
            ("/spec/containers", c(json!({ "name": "x".repeat(64) }))),
            ("/spec/containers", c(json!({ "image": "" }))),
            ("/spec/containers", c(json!({ "image": " x" }))),
            ("/spec/containers", c(json!({ "imagePullPolicy": "Nonsense" }))),
            ("/spec/containers", c(json!({ "ports": [{ "containerPort": 0 }] }))),
            ("/spec/containers", c(json!({ "ports": [{ "containerPort": 70000 }] }))),
            ("/spec/containers", c(json!({ "ports": [{ "containerPort": 80, "protocol": "NONE" }] }))),
            ("/spec/containers", c(json!({ "ports": [{ "containerPort": 80, "name": "Bad_Name" }] }))),
            ("/spec/containers", c(json!({ "env": [{ "value": "x" }] }))),
            (
                "/spec/containers",
                c(
                    json!({ "env": [{ "name": "A", "value": "x", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }] }),
                ),
            ),
            ("/spec/containers", c(json!({ "volumeMounts": [{ "name": "none", "mountPath": "/x" }] }))),
            ("/spec/containers", c(json!({ "volumeMounts": [{ "name": "none" }] }))),
            ("/spec/containers", c(json!({ "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "1" } } }))),
            ("/spec/containers", c(json!({ "resources": { "limits": { "cpu": "nonsense" } } }))),
            ("/spec/containers", c(json!({ "resources": { "limits": { "cpu": "-1" } } }))),
            ("/spec/containers", c(json!({ "livenessProbe": {} }))),
            ("/spec/containers", c(json!({ "readinessProbe": { "httpGet": { "port": 0 } } }))),
            (
                "/spec/containers",
                c(json!({ "readinessProbe": { "httpGet": { "port": 80 }, "tcpSocket": { "port": 80 } } })),
            ),
            ("/spec/containers", c(json!({ "readinessProbe": { "httpGet": { "port": 80 }, "periodSeconds": -1 } }))),
            ("/spec/containers", c(json!({ "livenessProbe": { "httpGet": { "port": 80 }, "successThreshold": 2 } }))),
            ("/spec/containers", c(json!({ "terminationMessagePolicy": "Nonsense" }))),
            ("/spec/containers", json!([pod_spec()["containers"][0], pod_spec()["containers"][0]])),
            ("/spec/initContainers", pod_spec()["containers"].clone()),
            ("/spec/volumes", json!([{ "name": "v" }, { "name": "v" }])),
            ("/spec/volumes", json!([{ "name": "Bad" }])),
            ("/spec/volumes", json!([{}])),
            ("/spec/volumes", json!([{ "name": "v", "emptyDir": {}, "secret": { "secretName": "s" } }])),
            ("/spec/restartPolicy", json!("Nonsense")),
            ("/spec/restartPolicy", json!("")),
            ("/spec/dnsPolicy", json!("Nonsense")),
            ("/spec/activeDeadlineSeconds", json!(0)),
            ("/spec/activeDeadlineSeconds", json!(-1)),
            ("/spec/terminationGracePeriodSeconds", json!(-1)),
            ("/spec/nodeName", json!("Bad Name")),
            ("/spec/nodeSelector", json!({ "bad key": "x" })),
            ("/spec/serviceAccountName", json!("Bad Name")),
            ("/spec/hostname", json!("Bad Name")),
            ("/spec/tolerations", json!([{ "key": "k", "operator": "Nonsense" }])),
            ("/spec/priority", json!(5)),
            ("/spec/unknown", json!({ "x": 1 })),
            ("/metadata/name", json!("a.b")),
        ],
    );
    script
}

pub(crate) fn services() -> Script {
    let mut script = Script::new("validate-services");
    let body = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" }, "spec": { "selector": { "app": "a" }, "ports": [{ "port": 80 }] } });
    each(
        &mut script,
        &core("services"),
        &body,
        vec![
            ("/metadata/name", json!("1a")),
            ("/metadata/name", json!("a.b")),
            ("/metadata/name", json!("a".repeat(64))),
            ("/spec", json!(null)),
            ("/spec/ports", json!([])),
            ("/spec/ports", json!([{ "port": 0 }])),
            ("/spec/ports", json!([{ "port": 70000 }])),
            ("/spec/ports", json!([{ "port": 80, "targetPort": 0 }])),
            ("/spec/ports", json!([{ "port": 80, "targetPort": "http" }])),
            ("/spec/ports", json!([{ "port": 80, "targetPort": "Not_A_Name" }])),
            ("/spec/ports", json!([{ "port": 80, "protocol": "NONE" }])),
            ("/spec/ports", json!([{ "port": 80, "name": "Bad" }])),
            ("/spec/ports", json!([{ "port": 80 }, { "port": 81 }])),
            ("/spec/ports", json!([{ "name": "a", "port": 80 }, { "name": "a", "port": 81 }])),
            ("/spec/ports", json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 80 }])),
            ("/spec/ports", json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 80, "protocol": "UDP" }])),
            ("/spec/selector", json!({ "bad key": "x" })),
            ("/spec/selector", json!({ "a": "not valid!" })),
            ("/spec/type", json!("Nonsense")),
            ("/spec/type", json!("ExternalName")),
            ("/spec/clusterIP", json!("None")),
            ("/spec/clusterIP", json!("nonsense")),
            ("/spec/clusterIP", json!("192.0.2.1")),
            ("/spec/sessionAffinity", json!("Nonsense")),
            ("/spec/sessionAffinity", json!("ClientIP")),
            ("/spec/externalName", json!("x.example.com")),
            ("/spec/publishNotReadyAddresses", json!(true)),
        ],
    );
    script.post(core("services"), body.clone()).save("made");
    let mut other = body.clone();
    other["spec"]["clusterIP"] = json!("10.0.255.250");
    script.put(core("services/a"), other);
    let mut other = body.clone();
    other["spec"]["ports"] = json!([{ "name": "h", "port": 80, "targetPort": 8080 }]);
    script.put(core("services/a"), other);
    script.patch(
        core("services/a"),
        super::super::script::STRATEGIC,
        json!({ "spec": { "ports": [{ "port": 80, "targetPort": 9 }] } }),
    );
    script.patch(core("services/a"), super::super::script::MERGE, json!({ "spec": { "selector": { "app": "b" } } }));
    script.get(core("services/a")).accept(super::super::script::TABLE);
    script.delete(core("services/a"), json!({}));
    script
}

pub(crate) fn others() -> Script {
    let mut script = Script::new("validate-others");
    let data =
        |kind: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "a" }, "data": { "k": "dg==" } });
    for (kind, plural) in [("ConfigMap", "configmaps"), ("Secret", "secrets")] {
        each(
            &mut script,
            &core(plural),
            &data(kind),
            vec![
                ("/data", json!({ "bad key": "dg==" })),
                ("/data", json!({ "..": "dg==" })),
                ("/data", json!({ "k".repeat(254): "dg==" })),
                ("/data", json!({ "k": 1 })),
                ("/data", json!({ "k": null })),
                ("/data", json!({ "k": "not base64!" })),
                ("/binaryData", json!({ "b": "dg==" })),
                ("/binaryData", json!({ "k": "dg==" })),
                ("/stringData", json!({ "s": "text" })),
                ("/immutable", json!(true)),
                ("/type", json!("example.com/t")),
            ],
        );
    }
    let big = with(data("ConfigMap"), "/data", json!({ "k": "v".repeat(1_048_577) }));
    script.post(core("configmaps?dryRun=All"), big);
    script.post(core("configmaps"), with(data("ConfigMap"), "/immutable", json!(true)));
    script.patch(core("configmaps/a"), super::super::script::MERGE, json!({ "data": { "k": "other" } }));
    script.patch(core("configmaps/a"), super::super::script::MERGE, json!({ "immutable": false }));
    script.patch(core("configmaps/a"), super::super::script::MERGE, json!({ "metadata": { "labels": { "l": "1" } } }));
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "a" }, "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "a" } } } });
    each(
        &mut script,
        "/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets",
        &budget,
        vec![
            ("/spec/maxUnavailable", json!(1)),
            ("/spec/minAvailable", json!(-1)),
            ("/spec/minAvailable", json!("101%")),
            ("/spec/minAvailable", json!("x")),
            ("/spec/minAvailable", json!(null)),
            ("/spec/selector", json!(null)),
            ("/spec/selector", json!({ "matchLabels": { "bad key": "v" } })),
            ("/spec/unhealthyPodEvictionPolicy", json!("Nonsense")),
            ("/spec/unhealthyPodEvictionPolicy", json!("AlwaysAllow")),
        ],
    );
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "name": "a" }, "addressType": "IPv4", "endpoints": [{ "addresses": ["10.1.2.3"] }], "ports": [{ "port": 80 }] });
    each(
        &mut script,
        "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices",
        &slice,
        vec![
            ("/addressType", json!(null)),
            ("/addressType", json!("Nonsense")),
            ("/endpoints", json!(null)),
            ("/endpoints", json!([{ "addresses": [] }])),
            ("/endpoints", json!([{ "addresses": ["nonsense"] }])),
            (
                "/endpoints",
                json!([{ "addresses": ["10.1.2.3"], "conditions": { "ready": true }, "targetRef": { "kind": "Pod", "name": "p" } }]),
            ),
            ("/ports", json!(null)),
            ("/ports", json!([{ "port": 0 }])),
            ("/ports", json!([{ "port": 80 }, { "port": 81 }])),
            ("/ports", json!([{ "name": "Bad Name", "port": 80 }])),
        ],
    );
    let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "a" }, "spec": { "holderIdentity": "h" } });
    each(
        &mut script,
        "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
        &lease,
        vec![
            ("/spec", json!(null)),
            ("/spec/holderIdentity", json!("")),
            ("/spec/leaseDurationSeconds", json!(0)),
            ("/spec/leaseDurationSeconds", json!(-1)),
            ("/spec/leaseTransitions", json!(-1)),
            ("/spec/renewTime", json!("nonsense")),
            ("/spec/renewTime", json!("2001-01-01T00:00:00Z")),
            ("/spec/acquireTime", json!("2001-01-01T00:00:00.123456Z")),
        ],
    );
    let event = json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": "a" }, "involvedObject": { "namespace": "{ns}" }, "reason": "R" });
    each(
        &mut script,
        &core("events"),
        &event,
        vec![
            ("/involvedObject", json!(null)),
            ("/involvedObject/namespace", json!("other")),
            ("/reason", json!(null)),
            ("/type", json!("Nonsense")),
            ("/count", json!(3)),
            ("/eventTime", json!("2001-01-01T00:00:00.000000Z")),
            ("/series", json!({ "count": 1 })),
        ],
    );
    script
}

pub(crate) fn creates() -> Script {
    let mut script = Script::new("create-twice");
    let map = json!({ "metadata": { "generateName": "gen-" }, "data": { "k": "v" } });
    script.post(core("configmaps"), map.clone()).save("one");
    script.post(core("configmaps"), map);
    script.get(core("configmaps/${one:/metadata/name}"));
    let named = json!({ "metadata": { "name": "a", "generateName": "gen-" } });
    script.post(core("configmaps"), named.clone());
    script.post(core("configmaps"), named);
    script.post(core("configmaps"), json!({ "metadata": { "generateName": "g".repeat(100) } }));
    script.post("/api/v1/namespaces/none-such/configmaps", json!({ "metadata": { "name": "a" } }));
    script.get("/api/v1/namespaces/none-such/configmaps");
    script.get("/api/v1/namespaces/none-such/configmaps/a");
    script.post("/api/v1/configmaps", json!({ "metadata": { "name": "a", "namespace": "{ns}" } }));
    script.send("POST", core("configmaps"), "application/yaml", "metadata:\n  name: yaml\ndata:\n  k: 'v'\n");
    script.put(core("configmaps/fresh"), json!({ "metadata": { "name": "fresh" } }));
    script.put(core("configmaps/yaml"), json!({ "metadata": { "name": "other" } }));
    script.put(core("configmaps/yaml"), json!({ "metadata": {} }));
    script.put(core("configmaps/yaml"), json!({ "metadata": { "name": "yaml", "namespace": "other" } }));
    script.put(core("configmaps/yaml"), json!({ "metadata": { "name": "yaml" } })).save("yaml");
    script.put(
        core("configmaps/yaml"),
        json!({ "metadata": { "name": "yaml", "creationTimestamp": "2001-01-01T00:00:00Z" } }),
    );
    script
        .put(core("configmaps/yaml"), json!({ "kind": "Secret", "apiVersion": "v1", "metadata": { "name": "yaml" } }));
    script.put(core("configmaps/yaml/status"), json!({ "metadata": { "name": "yaml" } }));
    script.send("HEAD", core("configmaps/yaml"), "", "");
    script.send("OPTIONS", core("configmaps/yaml"), "", "");
    script
}
