//! What is made: defaults, refusals, dry-runs.

use crate::api_support::{Api, JSON, MERGE, STRATEGIC, deployment, pod};
use crate::web;
use serde_json::{Value, json};

#[tokio::test]
async fn a_deployment_gets_the_real_servers_defaults() {
    let api = Api::either().await;
    let mut body = deployment();
    body["spec"]["template"]["spec"]["containers"][0] = json!({
        "name": "c", "image": "nginx", "ports": [{ "containerPort": 80 }],
        "readinessProbe": { "httpGet": { "port": 80 } },
        "env": [{ "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
        "resources": { "limits": { "cpu": "1" } },
    });
    body["spec"]["template"]["spec"]["volumes"] =
        json!([{ "name": "v" }, { "name": "s", "secret": { "secretName": "x" } }]);
    let created = api.post(&api.apps("deployments"), body).await.expect(201);
    let expected = json!({
        "progressDeadlineSeconds": 600, "replicas": 0, "revisionHistoryLimit": 10,
        "selector": { "matchLabels": { "app": "web" } },
        "strategy": { "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" }, "type": "RollingUpdate" },
        "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": {
                "containers": [{
                    "name": "c", "image": "nginx", "imagePullPolicy": "Always",
                    "ports": [{ "containerPort": 80, "protocol": "TCP" }],
                    "readinessProbe": {
                        "failureThreshold": 3, "httpGet": { "path": "/", "port": 80, "scheme": "HTTP" },
                        "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
                    },
                    "env": [{ "name": "IP", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIP" } } }],
                    "resources": { "limits": { "cpu": "1" } },
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30,
                "volumes": [
                    { "name": "v", "emptyDir": {} },
                    { "name": "s", "secret": { "secretName": "x", "defaultMode": 420 } },
                ],
            },
        },
    });
    assert_eq!(created["spec"], expected);
    assert_eq!(created["status"], json!({}));
    assert_eq!(created["metadata"]["generation"], 1);
    api.stop().await;
}

#[tokio::test]
async fn a_pod_gets_the_real_servers_defaults() {
    let api = Api::either().await;
    let mut body = pod("p");
    body["spec"]["containers"][0]["resources"] = json!({ "limits": { "cpu": "1" } });
    let created = api.post(&api.core("pods"), body).await.expect(201);
    let spec = &created["spec"];
    assert_eq!(spec["containers"][0]["resources"], json!({ "limits": { "cpu": "1" }, "requests": { "cpu": "1" } }));
    assert_eq!(spec["enableServiceLinks"], true);
    assert_eq!(spec["priority"], 0);
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(created["status"], json!({ "phase": "Pending", "qosClass": "Burstable" }));
    assert_eq!(created["metadata"]["generation"], 1);
    api.stop().await;
}

#[tokio::test]
async fn invalid_objects_are_refused_field_by_field() {
    let api = Api::either().await;
    let (_, path) = web(&api).await;
    for (patch, fault) in [
        (
            json!({ "spec": { "selector": { "matchLabels": { "app": "x" } } } }),
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable",
        ),
        (
            json!({ "spec": { "template": { "metadata": { "labels": { "app": "x" } } } } }),
            "`selector` does not match template `labels`",
        ),
        (
            json!({ "spec": { "template": { "spec": { "activeDeadlineSeconds": 5 } } } }),
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        ),
        (json!({ "spec": { "replicas": -1 } }), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c" }] } } } }),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            json!({ "spec": { "template": { "spec": { "restartPolicy": "Never" } } } }),
            "Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            json!({ "metadata": { "labels": { "a b": "c" } } }),
            "metadata.labels: Invalid value: \"a b\": name part must consist of",
        ),
        (
            json!({ "metadata": { "labels": { "a": "c d" } } }),
            "metadata.labels: Invalid value: \"c d\": a valid label must be",
        ),
        (
            json!({ "metadata": { "annotations": { "a": "b".repeat(270_000) } } }),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (json!({ "spec": { "replicas": "many" } }), "patch: Invalid value"),
    ] {
        let body = api.patch(&path, MERGE, patch).await.refused(422, "Invalid", fault);
        let cause = &body["details"]["causes"][0];
        assert!(cause["field"].is_string() && cause["reason"].is_string(), "{body:#}");
    }
    let pods = api.core("pods");
    let mut bad = pod("A_b");
    bad["spec"]["containers"] =
        json!([{ "name": "X" }, { "image": "i" }, { "name": "d", "image": "i" }, { "name": "d", "image": "i" }]);
    let body = api.post(&pods, bad).await.refused(
        422,
        "Invalid",
        "Pod \"A_b\" is invalid: [metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain",
    );
    let fields: Vec<&str> =
        body["details"]["causes"].as_array().unwrap().iter().map(|c| c["field"].as_str().unwrap()).collect();
    let expected = [
        "metadata.name",
        "spec.containers[0].name",
        "spec.containers[0].image",
        "spec.containers[1].name",
        "spec.containers[3].name",
    ];
    assert_eq!(fields, expected);
    let body = api.post(&api.core("configmaps"), json!({ "metadata": {} })).await;
    body.refused(422, "Invalid", "metadata.name: Required value: name or generateName is required");
    api.stop().await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let api = Api::either().await;
    let (_, path) = web(&api).await;
    let deployments = api.apps("deployments");
    api.send("POST", &deployments, JSON, "{\"spec\":").await.refused(
        400,
        "BadRequest",
        "the object provided is unrecognized",
    );
    api.send("PATCH", &path, MERGE, "{\"spec\":").await.refused(400, "BadRequest", "error decoding patch");
    api.send("PATCH", &path, "text/plain", "{}").await.refused(
        415,
        "UnsupportedMediaType",
        "415: Unsupported Media Type",
    );
    api.send("POST", &deployments, "text/plain", "{}").await.refused(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format",
    );
    api.post(&deployments, json!({ "kind": "Pod", "apiVersion": "v1" })).await.refused(
        400,
        "BadRequest",
        "Pod in version \"v1\" cannot be handled as a Deployment",
    );
    let mut wrong_type = deployment();
    wrong_type["spec"]["replicas"] = json!("many");
    api.post(&deployments, wrong_type).await.refused(400, "BadRequest", "cannot be handled as a Deployment");
    let large = json!({ "metadata": { "name": "l" }, "data": { "a": "b".repeat(3_500_000) } });
    api.post(&api.core("configmaps"), large).await.refused(413, "RequestEntityTooLarge", "limit is 3145728");
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: \"1\"\n";
    let created = api.send("POST", &api.core("configmaps"), "application/yaml", yaml).await.expect(201);
    assert_eq!(created["data"], json!({ "a": "1" }));
    api.stop().await;
}

#[tokio::test]
async fn names_and_namespaces_are_checked() {
    let api = Api::either().await;
    let maps = api.core("configmaps");
    api.config_map("x", json!({})).await;
    let twice = api.post(&maps, json!({ "metadata": { "name": "x" } })).await;
    let body = twice.refused(409, "AlreadyExists", "configmaps \"x\" already exists");
    assert_eq!(body["details"], json!({ "name": "x", "kind": "configmaps" }));
    let elsewhere = json!({ "metadata": { "name": "y", "namespace": "default" } });
    api.post(&maps, elsewhere).await.refused(400, "BadRequest", "the namespace of the provided object does not match");
    let nowhere = api.post("/api/v1/namespaces/nope/configmaps", json!({ "metadata": { "name": "x" } })).await;
    nowhere.refused(404, "NotFound", "namespaces \"nope\" not found");
    let versioned = json!({ "metadata": { "name": "y", "resourceVersion": "1" } });
    api.post(&maps, versioned).await.expect(500);
    let generated = api.post(&maps, json!({ "metadata": { "generateName": "gen-" } })).await.expect(201);
    let name = generated["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("gen-") && name.len() == 9, "{name}");
    api.get(&api.core("configmaps/none")).await.refused(404, "NotFound", "configmaps \"none\" not found");
    assert_eq!(api.get("/apis/foo.bar/v1/things").await.code, 404);
    api.stop().await;
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_stores_nothing() {
    let api = Api::either().await;
    let deployments = format!("{}?dryRun=All", api.apps("deployments"));
    let path = api.apps("deployments/web");
    let thought = api.post(&deployments, deployment()).await.expect(201);
    assert!(thought["metadata"]["uid"].is_string());
    assert_eq!(thought["metadata"]["resourceVersion"], Value::Null);
    assert_eq!(thought["spec"]["revisionHistoryLimit"], 10);
    api.get(&path).await.expect(404);
    let mut bad = deployment();
    bad["spec"]["template"]["metadata"]["labels"]["app"] = json!("x");
    api.post(&deployments, bad).await.expect(422);
    web(&api).await;
    let dry = format!("{path}?dryRun=All");
    let patched = api.patch(&dry, MERGE, json!({ "spec": { "minReadySeconds": 7 } })).await.expect(200);
    assert_eq!(patched["spec"]["minReadySeconds"], 7);
    api.post(&deployments, deployment()).await.refused(409, "AlreadyExists", "already exists");
    api.send("DELETE", &dry, JSON, "").await.expect(200);
    api.delete(&path, json!({ "dryRun": ["All"] })).await.expect(200);
    let after = api.get(&path).await.expect(200);
    assert_eq!(after["spec"]["minReadySeconds"], Value::Null);
    assert_eq!(after["metadata"]["deletionTimestamp"], Value::Null);
    // With a body, a delete's query counts for nothing: this one is meant.
    api.delete(&dry, json!({ "kind": "DeleteOptions", "apiVersion": "v1" })).await.expect(200);
    api.get(&path).await.expect(404);
    api.post(&format!("{}?dryRun=Some", api.core("configmaps")), json!({ "metadata": { "name": "x" } }))
        .await
        .expect(422);
    api.stop().await;
}

#[tokio::test]
async fn services_get_addresses_from_the_range() {
    let api = Api::sandbox().await;
    let services = api.core("services");
    let service = |name: &str, spec: Value| json!({ "metadata": { "name": name }, "spec": spec });
    let ports = json!([{ "port": 80 }]);
    let a =
        api.post(&services, service("a", json!({ "ports": ports, "selector": { "app": "web" } }))).await.expect(201);
    assert_eq!(a["spec"]["clusterIP"], "127.96.0.1");
    assert_eq!(a["spec"]["ports"], json!([{ "port": 80, "protocol": "TCP", "targetPort": 80 }]));
    assert_eq!(a["spec"]["type"], "ClusterIP");
    let b = api.post(&services, service("b", json!({ "ports": ports }))).await.expect(201);
    assert_eq!(b["spec"]["clusterIP"], "127.96.0.2");
    let taken = service("c", json!({ "ports": ports, "clusterIP": "127.96.0.1" }));
    api.post(&services, taken).await.refused(422, "Invalid", "provided IP is already allocated");
    let outside = service("c", json!({ "ports": ports, "clusterIP": "10.0.0.1" }));
    api.post(&services, outside).await.refused(422, "Invalid", "not in the valid range");
    let headless = api.post(&services, service("h", json!({ "ports": ports, "clusterIP": "None" }))).await.expect(201);
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    api.post(&services, service("x.", json!({ "ports": ports }))).await.refused(422, "Invalid", "RFC 1123 label");
    api.post(&services, service("n", json!({}))).await.refused(422, "Invalid", "spec.ports: Required value");
    let node = api.post(&services, service("np", json!({ "ports": ports, "type": "NodePort" }))).await.expect(201);
    assert_eq!(node["spec"]["ports"][0]["nodePort"], 30_000);
    let put = service("a", json!({ "ports": ports, "selector": { "app": "other" } }));
    let put = api.put(&api.core("services/a"), &put).await.expect(200);
    assert_eq!(put["spec"]["clusterIP"], "127.96.0.1", "an update that leaves it out keeps it");
    api.delete(&api.core("services/a"), json!({})).await.expect(200);
    let again = api.post(&services, service("d", json!({ "ports": ports }))).await.expect(201);
    assert_eq!(again["spec"]["clusterIP"], "127.96.0.1");
    api.stop().await;
}

#[tokio::test]
async fn definitions_bring_their_resources() {
    let api = Api::sandbox().await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let crd = json!({
        "metadata": { "name": "things.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "things", "kind": "Thing", "shortNames": ["th"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                "additionalPrinterColumns": [{ "name": "Size", "type": "integer", "jsonPath": ".spec.size" }],
            }],
        },
    });
    let created = api.post(crds, crd.clone()).await.expect(201);
    assert_eq!(created["status"]["conditions"], Value::Null, "as on the real server, it is looked at only then");
    let settled = api.get(&format!("{crds}/things.example.com")).await.expect(200);
    assert_eq!(settled["status"]["conditions"][1]["type"], "Established");
    api.post(crds, crd).await.refused(409, "AlreadyExists", "customresourcedefinitions.apiextensions.k8s.io");
    let things = format!("/apis/example.com/v1/namespaces/{}/things", api.namespace);
    let thing = json!({
        "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": "t" },
        "spec": { "size": 1 }, "status": { "ignored": true },
    });
    let created = api.post(&things, thing).await.expect(201);
    assert_eq!(created["status"], Value::Null);
    let path = format!("{things}/t");
    let status = api
        .patch(&format!("{path}/status"), MERGE, json!({ "spec": { "size": 9 }, "status": { "ok": true } }))
        .await
        .expect(200);
    assert_eq!((&status["spec"]["size"], &status["status"]["ok"]), (&json!(1), &json!(true)));
    assert_eq!(status["metadata"]["generation"], 1);
    let bigger = api.patch(&path, MERGE, json!({ "spec": { "size": 2 }, "status": null })).await.expect(200);
    assert_eq!((&bigger["metadata"]["generation"], &bigger["status"]["ok"]), (&json!(2), &json!(true)));
    api.patch(&path, STRATEGIC, json!({})).await.refused(415, "UnsupportedMediaType", "accepted media types include");
    api.patch(&path, "application/apply-patch+yaml", json!({})).await.refused(
        415,
        "UnsupportedMediaType",
        "server-side apply",
    );
    let blind = json!({ "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": "t" }, "spec": {} });
    api.put(&path, &blind).await.refused(
        422,
        "Invalid",
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update",
    );
    let table = api.get_as(&things, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert_eq!(table["columnDefinitions"][1]["name"], "Size");
    assert_eq!(table["rows"][0]["cells"], json!(["t", 2]));
    api.delete(&format!("{crds}/things.example.com"), json!({})).await.expect(200);
    api.get(&things).await.expect(404);
    api.stop().await;
}

#[tokio::test]
async fn events_are_the_same_under_both_groups() {
    let api = Api::either().await;
    let name = &api.namespace;
    let event = json!({
        "metadata": { "name": "e" }, "regarding": { "kind": "Pod", "namespace": name, "name": "p" }, "note": "hello",
        "reason": "Tested", "action": "Test", "type": "Normal", "reportingController": "tester", "reportingInstance": "t-1",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    });
    let events = format!("/apis/events.k8s.io/v1/namespaces/{name}/events");
    let created = api.post(&events, event).await.expect(201);
    assert_eq!(created["apiVersion"], "events.k8s.io/v1");
    let core = api.get(&api.core("events/e")).await.expect(200);
    assert_eq!((&core["message"], &core["involvedObject"]["name"]), (&json!("hello"), &json!("p")));
    assert_eq!(core["reportingComponent"], "tester");
    let listed = api
        .get(&format!("{}?fieldSelector=involvedObject.name%3Dp,reason%3DTested", api.core("events")))
        .await
        .expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let path = format!("{events}/e");
    let series = json!({ "series": { "count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z" } });
    api.patch(&path, MERGE, series).await.expect(200);
    assert_eq!(api.get(&api.core("events/e")).await.expect(200)["series"]["count"], 2);
    api.patch(&path, MERGE, json!({ "note": "again" })).await.refused(
        422,
        "Invalid",
        "message: Invalid value: \"again\"",
    );
    let core = json!({ "metadata": { "name": "c" }, "involvedObject": { "namespace": name }, "count": 1 });
    api.post(&api.core("events"), core).await.expect(201);
    let patched = api.patch(&api.core("events/c"), MERGE, json!({ "count": 2, "message": "x" })).await.expect(200);
    assert_eq!(patched["count"], 2, "events of the old kind may change");
    api.stop().await;
}

#[tokio::test]
async fn unknown_fields_are_dropped() {
    let api = Api::sandbox().await;
    let mut body = deployment();
    body["metadata"]["fromTheFuture"] = json!(1);
    body["spec"]["template"]["spec"]["fromTheFuture"] = json!({ "deep": [1, 2] });
    body["spec"]["template"]["spec"]["containers"][0]["fromTheFuture"] = json!(true);
    let made = api.post(&api.apps("deployments"), body).await.expect(201);
    assert!(!made.to_string().contains("fromTheFuture"), "{made}");
    let patch = json!({ "spec": { "fromTheFuture": 1, "paused": true } });
    let after = api.patch(&api.apps("deployments/web"), MERGE, patch).await.expect(200);
    assert!(!after.to_string().contains("fromTheFuture"), "{after}");
    assert_eq!(after["spec"]["paused"], true);
    api.stop().await;
}

#[tokio::test]
async fn every_request_is_logged_with_its_client() {
    let api = Api::sandbox().await;
    let before = api.server.as_ref().unwrap().requests().total();
    api.config_map("x", json!({ "a": "1" })).await;
    let path = api.core("configmaps/x");
    api.patch(&format!("{path}?fieldManager=me&dryRun=All"), MERGE, json!({ "data": { "a": "2" } })).await.expect(200);
    api.get(&api.core("configmaps/none")).await.expect(404);
    drop(api.open(&format!("{}?watch=true&timeoutSeconds=1", api.core("configmaps"))).await);
    let log = api.server.as_ref().unwrap().requests();
    let seen: Vec<(String, String, u16, bool, bool)> = log
        .after(before)
        .into_iter()
        .map(|r| (r.verb.clone(), r.name.clone(), r.code, r.dry_run, r.body.is_some()))
        .collect();
    let expected = [
        ("create", "x", 201, false, true),
        ("patch", "x", 200, true, true),
        ("get", "none", 404, false, false),
        ("watch", "", 200, false, false),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(v, n, c, d, b)| ((*v).to_owned(), (*n).to_owned(), *c, *d, *b)).collect();
    assert_eq!(seen, expected);
    assert_eq!(log.records()[2].field_manager.as_deref(), Some("me"));
    assert_eq!(log.counts()["tester"]["patch"], 1);
    assert!(!log.counts()["tester"].contains_key("watch"));
    assert_eq!(log.watches()["tester"], 1);
    let page = api.get("/sandbox/requests?after=1").await.expect(200);
    assert_eq!(page["requests"].as_array().unwrap().len(), seen.len());
    assert_eq!(page["requests"][0]["body"]["data"]["a"], "1");
    api.stop().await;
}
