//! Subresources: each is a door to a part of an object.

use crate::api_support::{Api, MERGE, STRATEGIC, pod};
use crate::web;
use serde_json::{Value, json};

#[tokio::test]
async fn only_a_binding_assigns_a_node() {
    let api = Api::either().await;
    let created = api.post(&api.core("pods"), pod("p")).await.expect(201);
    api.patch(&api.core("pods/p"), MERGE, json!({ "spec": { "nodeName": "n1" } })).await.expect(422);
    let binding = |uid: &Value, node: &str| json!({ "metadata": { "name": "p", "uid": uid }, "target": { "kind": "Node", "name": node } });
    let path = api.core("pods/p/binding");
    api.post(&path, binding(&json!("abc"), "n1")).await.refused(409, "Conflict", "Precondition failed: UID");
    api.post(&path, binding(&created["metadata"]["uid"], "")).await.expect(500);
    api.post(&path, binding(&created["metadata"]["uid"], "n1")).await.expect(201);
    api.post(&path, binding(&Value::Null, "n2")).await.refused(409, "Conflict", "already assigned to node \"n1\"");
    let bound = api.get(&api.core("pods/p")).await.expect(200);
    assert_eq!((&bound["spec"]["nodeName"], &bound["metadata"]["generation"]), (&json!("n1"), &json!(1)));
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    api.delete(&api.core("pods/p"), json!({ "gracePeriodSeconds": 0 })).await.expect(200);
    let kept = api.delete("/api/v1/namespaces/default", json!({})).await;
    kept.refused(403, "Forbidden", "this namespace may not be deleted");
    api.stop().await;
}

#[tokio::test]
async fn the_status_door_moves_the_status_only() {
    let api = Api::either().await;
    api.post(&api.core("pods"), pod("p")).await.expect(201);
    let path = api.core("pods/p/status");
    let patch = json!({
        "spec": { "activeDeadlineSeconds": 5 },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    let patched = api.patch(&path, STRATEGIC, patch).await.expect(200);
    assert_eq!(patched["status"]["phase"], "Running");
    assert_eq!(patched["spec"]["activeDeadlineSeconds"], Value::Null);
    let second = json!({ "status": { "conditions": [{ "type": "PodScheduled", "status": "True" }] } });
    let patched = api.patch(&path, STRATEGIC, second).await.expect(200);
    assert_eq!(patched["status"]["conditions"].as_array().unwrap().len(), 2, "conditions merge by type");
    let main = api.patch(&api.core("pods/p"), MERGE, json!({ "status": { "phase": "Failed" } })).await.expect(200);
    assert_eq!(main["status"]["phase"], "Running");
    assert_eq!(main["metadata"]["generation"], 1);
    api.stop().await;
}

#[tokio::test]
async fn scale_is_a_door_to_the_replicas() {
    let api = Api::either().await;
    web(&api).await;
    let path = api.apps("deployments/web/scale");
    let scale = api.get(&path).await.expect(200);
    assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(scale["status"]["selector"], "app=web");
    // Paused, so that a real controller doesn't start pods.
    let patched = api.patch(&path, MERGE, json!({ "spec": { "replicas": 2 } })).await.expect(200);
    assert_eq!(patched["spec"]["replicas"], 2);
    api.patch(&path, MERGE, json!({ "spec": { "replicas": -2 } })).await.refused(
        422,
        "Invalid",
        "spec.replicas: Invalid value: -2",
    );
    let old = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "replicas": 3 } });
    api.patch(&path, MERGE, old).await.refused(409, "Conflict", "the object has been modified");
    let mut new = api.get(&path).await.expect(200);
    new["spec"]["replicas"] = json!(0);
    new["metadata"]["resourceVersion"] = Value::Null;
    api.put(&path, &new).await.expect(200);
    assert_eq!(api.get(&api.apps("deployments/web")).await.expect(200)["spec"]["replicas"], 0);
    api.stop().await;
}

#[tokio::test]
async fn an_eviction_spends_the_budget() {
    let api = Api::sandbox().await;
    for name in ["p", "q", "r"] {
        let mut body = pod(name);
        body["spec"]["nodeName"] = json!("n");
        api.post(&api.core("pods"), body).await.expect(201);
        api.patch(&api.core(&format!("pods/{name}/status")), MERGE, json!({ "status": { "phase": "Running" } }))
            .await
            .expect(200);
    }
    let budgets = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", api.namespace);
    let budget = json!({ "metadata": { "name": "b" }, "spec": { "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } } });
    api.post(&budgets, budget.clone()).await.expect(201);
    let evict = |name: &str, options: Value| {
        let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name }, "deleteOptions": options });
        (api.core(&format!("pods/{name}/eviction")), body)
    };
    let status = json!({ "status": { "disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3, "observedGeneration": 1 } });
    let (path, body) = evict("p", json!({}));
    api.post(&path, body).await.refused(429, "TooManyRequests", "disruption budget");
    api.patch(&format!("{budgets}/b/status"), MERGE, status.clone()).await.expect(200);
    let (path, body) = evict("p", json!({ "preconditions": { "uid": "abc" } }));
    api.post(&path, body).await.refused(409, "Conflict", "the UID in the precondition (abc)");
    // As measured on the real server: the failed precondition has spent the budget.
    let spent = api.get(&format!("{budgets}/b")).await.expect(200);
    assert_eq!(spent["status"]["disruptionsAllowed"], 0);
    assert!(spent["status"]["disruptedPods"]["p"].is_string());
    let (path, body) = evict("p", json!({}));
    let refused = api.post(&path, body).await.refused(429, "TooManyRequests", "Cannot evict pod as it would violate");
    assert_eq!(refused["details"]["causes"][0]["reason"], "DisruptionBudget");
    api.patch(&format!("{budgets}/b/status"), MERGE, status).await.expect(200);
    let (path, body) = evict("q", json!({}));
    api.post(&path, body).await.expect(201);
    let going = api.get(&api.core("pods/q")).await.expect(200);
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    let mut second = budget;
    second["metadata"]["name"] = json!("b2");
    api.post(&budgets, second).await.expect(201);
    let (path, body) = evict("r", json!({}));
    api.post(&path, body).await.expect(500);
    let (path, body) = evict("none", json!({}));
    api.post(&path, body).await.refused(404, "NotFound", "pods \"none\" not found");
    api.stop().await;
}
