//! Pods and templates with the fields that few set: what is filled in, what is left out, what is refused.

use serde_json::{Value, json};

use super::super::script::Script;
use super::validation::each;
use super::{apps, core, deployment, pod, pod_spec, template};

/// The one container with more fields.
fn with(more: Value) -> Value {
    let mut container = pod_spec()["containers"][0].clone();
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([container])
}

pub(crate) fn containers() -> Script {
    let mut script = Script::new("validate-containers");
    let changes = vec![
        ("/spec/containers", with(json!({ "command": [], "args": [], "env": [], "ports": [], "volumeMounts": [] }))),
        ("/spec/containers", with(json!({ "stdin": false, "tty": false, "stdinOnce": false, "workingDir": "" }))),
        ("/spec/containers", with(json!({ "stdin": true, "tty": true, "workingDir": "/w", "command": ["x"] }))),
        ("/spec/containers", with(json!({ "image": "Not/An Image" }))),
        ("/spec/containers", with(json!({ "image": "registry.example.com:5000/c@sha256:0" }))),
        (
            "/spec/containers",
            with(json!({ "ports": [{ "containerPort": 80, "hostPort": 0, "name": "", "protocol": "" }] })),
        ),
        ("/spec/containers", with(json!({ "ports": [{ "containerPort": 80, "hostPort": 70000 }] }))),
        (
            "/spec/containers",
            with(
                json!({ "ports": [{ "containerPort": 80, "hostPort": 8080 }, { "containerPort": 81, "hostPort": 8080 }] }),
            ),
        ),
        (
            "/spec/containers",
            with(json!({ "ports": [{ "containerPort": 80, "name": "a" }, { "containerPort": 81, "name": "a" }] })),
        ),
        ("/spec/containers", with(json!({ "ports": [{ "containerPort": 80, "name": "1-" }] }))),
        ("/spec/containers", with(json!({ "env": [{ "name": "a=b" }] }))),
        ("/spec/containers", with(json!({ "env": [{ "name": "A", "valueFrom": {} }] }))),
        ("/spec/containers", with(json!({ "env": [{ "name": "A", "valueFrom": { "fieldRef": {} } }] }))),
        (
            "/spec/containers",
            with(json!({ "env": [{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "c" } } }] })),
        ),
        (
            "/spec/containers",
            with(
                json!({ "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "Bad Name", "key": "k" } } }] }),
            ),
        ),
        (
            "/spec/containers",
            with(
                json!({ "env": [{ "name": "A", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } }] }),
            ),
        ),
        (
            "/spec/containers",
            with(
                json!({ "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" }, "secretKeyRef": { "name": "s", "key": "k" } } }] }),
            ),
        ),
        ("/spec/containers", with(json!({ "envFrom": [{}] }))),
        (
            "/spec/containers",
            with(
                json!({ "envFrom": [{ "configMapRef": { "name": "c" } }, { "prefix": "P_", "secretRef": { "name": "s", "optional": false } }] }),
            ),
        ),
        ("/spec/containers", with(json!({ "envFrom": [{ "configMapRef": { "name": "" } }] }))),
        ("/spec/containers", with(json!({ "volumeMounts": [{ "mountPath": "/x" }] }))),
        (
            "/spec/containers",
            with(
                json!({ "resources": { "limits": { "cpu": "1", "memory": "128Mi" }, "requests": { "cpu": "250m" } } }),
            ),
        ),
        ("/spec/containers", with(json!({ "resources": { "limits": {}, "requests": {} } }))),
        ("/spec/containers", with(json!({ "resources": { "limits": { "cpu": "0.0001", "memory": "1.5Gi" } } }))),
        ("/spec/containers", with(json!({ "resources": { "requests": { "memory": "1500Ki", "cpu": 2 } } }))),
        ("/spec/containers", with(json!({ "resources": { "requests": { "nonsense": 1 } } }))),
        (
            "/spec/containers",
            with(
                json!({ "resources": { "requests": { "cpu": "1k", "memory": "2000M" }, "limits": { "cpu": "1000", "memory": "2G" } } }),
            ),
        ),
        ("/spec/containers", with(json!({ "livenessProbe": { "exec": {} } }))),
        ("/spec/containers", with(json!({ "livenessProbe": { "httpGet": { "port": "" } } }))),
        ("/spec/containers", with(json!({ "livenessProbe": { "httpGet": { "port": "http", "scheme": "FTP" } } }))),
        (
            "/spec/containers",
            with(
                json!({ "livenessProbe": { "tcpSocket": { "port": 70000 }, "initialDelaySeconds": -1, "timeoutSeconds": -1, "failureThreshold": -1 } }),
            ),
        ),
        (
            "/spec/containers",
            with(json!({ "livenessProbe": { "grpc": { "port": 0 }, "terminationGracePeriodSeconds": 0 } })),
        ),
        (
            "/spec/containers",
            with(
                json!({ "readinessProbe": { "tcpSocket": { "port": 1 }, "terminationGracePeriodSeconds": 5, "successThreshold": 3, "initialDelaySeconds": 0 } }),
            ),
        ),
        ("/spec/containers", with(json!({ "startupProbe": { "tcpSocket": { "port": 1 }, "successThreshold": 3 } }))),
        ("/spec/containers", with(json!({ "lifecycle": {} }))),
        ("/spec/containers", with(json!({ "lifecycle": { "preStop": {} } }))),
        ("/spec/containers", with(json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 31 } } } }))),
        (
            "/spec/containers",
            with(
                json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 5 } }, "postStart": { "exec": { "command": ["x"] }, "httpGet": { "port": 1 } } } }),
            ),
        ),
        ("/spec/containers", with(json!({ "restartPolicy": "Nonsense" }))),
        (
            "/spec/initContainers",
            json!([{ "name": "i", "image": "x:1", "livenessProbe": { "tcpSocket": { "port": 1 } }, "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } } }]),
        ),
        (
            "/spec/initContainers",
            json!([{ "name": "i", "image": "x:1", "restartPolicy": "Always", "startupProbe": { "tcpSocket": { "port": 0 } } }]),
        ),
        ("/spec/initContainers", json!([])),
    ];
    each(&mut script, &core("pods"), &pod("a"), changes);
    script
}

pub(crate) fn pod_fields() -> Script {
    let mut script = Script::new("validate-pod-fields");
    let mounting = |mounts: Value| {
        json!({
            "containers": with(json!({ "volumeMounts": mounts })), "volumes": [{ "name": "v" }, { "name": "w", "emptyDir": { "sizeLimit": "1024Ki", "medium": "Memory" } }],
        })
    };
    let changes = vec![
        ("/spec", mounting(json!([{ "name": "v", "mountPath": "/x", "readOnly": false, "subPath": "" }]))),
        (
            "/spec",
            mounting(json!([{ "name": "v", "mountPath": "/x" }, { "name": "w", "mountPath": "/x", "readOnly": true }])),
        ),
        ("/spec", mounting(json!([{ "name": "v", "mountPath": "/x", "subPath": "../y" }]))),
        ("/spec", mounting(json!([{ "name": "v", "mountPath": "/x", "subPath": "/y" }]))),
        ("/spec/volumes", json!([{ "name": "v", "secret": {} }])),
        ("/spec/volumes", json!([{ "name": "v", "configMap": {} }])),
        ("/spec/volumes", json!([{ "name": "v", "hostPath": { "path": "" } }])),
        ("/spec/volumes", json!([{ "name": "v", "persistentVolumeClaim": {} }])),
        ("/spec/volumes", json!([{ "name": "v", "secret": { "secretName": "s", "defaultMode": 512 } }])),
        (
            "/spec/volumes",
            json!([{ "name": "v", "secret": { "secretName": "s", "items": [{ "key": "k", "path": "p" }] } }]),
        ),
        (
            "/spec/volumes",
            json!([{ "name": "v", "projected": { "sources": [{ "downwardAPI": { "items": [{ "path": "p", "fieldRef": { "fieldPath": "metadata.labels" } }] } }] } }]),
        ),
        ("/spec/volumes", json!([{ "name": "v", "nonsense": {} }])),
        ("/spec/hostNetwork", json!(false)),
        ("/spec/nodeSelector", json!({})),
        ("/spec/nodeSelector", json!({ "a": "not valid!" })),
        ("/spec/subdomain", json!("a.b")),
        ("/spec/hostname", json!("h")),
        ("/spec/preemptionPolicy", json!("Nonsense")),
        ("/spec/preemptionPolicy", json!("Never")),
        ("/spec/schedulerName", json!("")),
        ("/spec/serviceAccount", json!("s")),
        ("/spec/serviceAccountName", json!("")),
        ("/spec/imagePullSecrets", json!([{ "name": "s" }])),
        ("/spec/terminationGracePeriodSeconds", json!(0)),
        ("/spec/activeDeadlineSeconds", json!(2_147_483_648_i64)),
        ("/spec/automountServiceAccountToken", json!(false)),
        ("/spec/enableServiceLinks", json!(false)),
        ("/spec/shareProcessNamespace", json!(true)),
        ("/spec/dnsPolicy", json!("")),
        ("/spec/ephemeralContainers", json!([{ "name": "e", "image": "x:1" }])),
        ("/spec/tolerations", json!([{ "key": "bad key" }])),
        ("/spec/tolerations", json!([{ "operator": "Equal" }])),
        ("/spec/tolerations", json!([{ "key": "k", "operator": "Exists", "value": "v" }])),
        ("/spec/tolerations", json!([{ "key": "k", "value": "not valid!" }])),
        ("/spec/tolerations", json!([{ "key": "k", "tolerationSeconds": 5 }])),
        ("/spec/tolerations", json!([{ "key": "k", "effect": "Nonsense" }])),
        ("/spec/tolerations", json!([{ "key": "k", "operator": "", "value": "", "effect": "" }])),
        (
            "/spec/tolerations",
            json!([{ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5 }]),
        ),
        ("/spec/tolerations", json!([])),
        ("/metadata/labels", json!({ "a": "not valid!" })),
        ("/metadata/annotations", json!({ "Bad Key": "v" })),
    ];
    each(&mut script, &core("pods"), &pod("a"), changes);
    script
}

pub(crate) fn templates() -> Script {
    let mut script = Script::new("validate-templates");
    let template = |more: Value| {
        let mut template = template();
        template["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        template
    };
    let changes = || {
        vec![
            ("/spec/template", template(json!({ "containers": with(json!({ "image": " x " })) }))),
            (
                "/spec/template",
                template(json!({ "containers": with(json!({ "resources": { "limits": { "cpu": "1000m" } } })) })),
            ),
            (
                "/spec/template",
                template(
                    json!({ "containers": with(json!({ "ports": [{ "containerPort": 80 }] })), "hostNetwork": true }),
                ),
            ),
            (
                "/spec/template",
                template(
                    json!({ "containers": with(json!({ "ports": [{ "containerPort": 80, "hostPort": 81 }] })), "hostNetwork": true }),
                ),
            ),
            ("/spec/template", template(json!({ "terminationGracePeriodSeconds": -1 }))),
            ("/spec/template", template(json!({ "priority": 5 }))),
            ("/spec/template", template(json!({ "ephemeralContainers": [{ "name": "e", "image": "x:1" }] }))),
            (
                "/spec/template",
                template(json!({ "volumes": [{ "name": "v", "emptyDir": {}, "hostPath": { "path": "/" } }] })),
            ),
            ("/spec/template", template(json!({ "restartPolicy": "", "dnsPolicy": "", "nodeSelector": {} }))),
            (
                "/spec/template/metadata",
                json!({ "labels": { "app": "a", "bad key": "v" }, "annotations": { "bad key": "v" } }),
            ),
            (
                "/spec/template/metadata",
                json!({ "name": "Ignored Name", "creationTimestamp": null, "labels": { "app": "a" }, "finalizers": ["x"] }),
            ),
            ("/spec/minReadySeconds", json!(0)),
            (
                "/spec/selector",
                json!({ "matchLabels": { "app": "a" }, "matchExpressions": [{ "key": "app", "operator": "In", "values": ["not valid!"] }] }),
            ),
            ("/spec/selector", json!({ "matchLabels": { "app": "not valid!" } })),
            ("/spec/selector", json!({ "matchExpressions": [{ "key": "bad key", "operator": "Exists" }] })),
            ("/spec/selector", json!({ "matchLabels": {}, "matchExpressions": [] })),
        ]
    };
    let mut set = deployment("a");
    set["kind"] = json!("ReplicaSet");
    set["spec"].as_object_mut().unwrap().remove("paused");
    each(&mut script, &apps("deployments"), &deployment("a"), changes());
    each(&mut script, &apps("replicasets"), &set, changes());
    each(
        &mut script,
        &apps("deployments"),
        &deployment("a"),
        vec![
            ("/spec/paused", json!(false)),
            ("/spec/strategy", json!({})),
            ("/spec/strategy", json!({ "type": "" })),
            ("/spec/strategy", json!({ "type": "Nonsense", "rollingUpdate": { "maxSurge": 1 } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": "150%" } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": 0 } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": "1" } })),
            ("/spec/strategy", json!({ "rollingUpdate": { "maxSurge": "", "maxUnavailable": 0 } })),
            ("/spec/progressDeadlineSeconds", json!(2_147_483_647)),
        ],
    );
    let controller = json!({ "apiVersion": "v1", "kind": "ReplicationController", "metadata": { "name": "a" }, "spec": { "replicas": 0, "selector": { "app": "a" }, "template": super::template() } });
    each(
        &mut script,
        &core("replicationcontrollers"),
        &controller,
        vec![
            ("/spec/template/spec/activeDeadlineSeconds", json!(5)),
            ("/spec/template/spec/containers", json!([])),
            ("/spec/selector", json!({ "bad key": "x" })),
            ("/spec/minReadySeconds", json!(0)),
        ],
    );
    made_by_kubectl(&mut script);
    script
}

/// What `kubectl create` and `kubectl run` send, with the empty parts that they write.
fn made_by_kubectl(script: &mut Script) {
    script.post(
        apps("deployments?dryRun=All"),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "creationTimestamp": null, "labels": { "app": "web" }, "name": "web" },
            "spec": {
                "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "strategy": {},
                "template": {
                    "metadata": { "creationTimestamp": null, "labels": { "app": "web" } },
                    "spec": { "containers": [{ "image": "example.com/c:1", "name": "c", "ports": [{ "containerPort": 80 }], "resources": {} }] },
                },
            },
            "status": {},
        }),
    );
    script.post(
        core("pods?dryRun=All"),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "creationTimestamp": null, "labels": { "run": "p" }, "name": "p" },
            "spec": {
                "containers": [{ "args": ["x"], "env": [{ "name": "A", "value": "b" }], "image": "example.com/c:1", "name": "p", "resources": {}, "stdin": true }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Never",
            },
            "status": {},
        }),
    );
    script.post(
        "/apis/batch/v1/namespaces/{ns}/jobs?dryRun=All",
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "creationTimestamp": null, "name": "j" },
            "spec": { "template": {
                "metadata": { "creationTimestamp": null },
                "spec": { "containers": [{ "command": ["true"], "image": "example.com/c:1", "name": "j", "resources": {} }], "restartPolicy": "Never" },
            } },
            "status": {},
        }),
    );
}
