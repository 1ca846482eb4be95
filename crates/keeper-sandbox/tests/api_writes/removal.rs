//! What goes, and what it waits for.

use crate::api_support::{Api, MERGE, pod};
use serde_json::json;

#[tokio::test]
async fn deletes_keep_their_preconditions_and_finalizers() {
    let api = Api::either().await;
    let body = json!({ "metadata": { "name": "f", "finalizers": ["example.com/wait"] } });
    let created = api.post(&api.core("configmaps"), body).await.expect(201);
    let path = api.core("configmaps/f");
    let foreign = json!({ "preconditions": { "uid": "abc" } });
    api.delete(&path, foreign).await.refused(409, "Conflict", "Operation cannot be fulfilled on");
    api.delete(&path, json!({ "preconditions": { "resourceVersion": "1" } })).await.refused(409, "Conflict", "");
    let right = json!({ "preconditions": { "uid": created["metadata"]["uid"] } });
    let going = api.delete(&path, right).await.expect(200);
    assert!(going["metadata"]["deletionTimestamp"].is_string(), "{going:#}");
    api.get(&path).await.expect(200);
    api.patch(&path, MERGE, json!({ "metadata": { "finalizers": null } })).await.expect(200);
    api.get(&path).await.expect(404);
    api.delete(&path, json!({})).await.refused(404, "NotFound", "configmaps \"f\" not found");

    for name in ["a", "b", "c"] {
        let labels = if name == "c" { json!({}) } else { json!({ "gone": "yes" }) };
        api.post(&api.core("configmaps"), json!({ "metadata": { "name": name, "labels": labels } })).await.expect(201);
    }
    api.delete(&format!("{}?labelSelector=gone%3Dyes", api.core("configmaps")), json!({})).await.expect(200);
    let left = api.get(&api.core("configmaps")).await.expect(200);
    let names: Vec<&str> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metadata"]["name"].as_str().unwrap())
        .filter(|name| *name != "kube-root-ca.crt")
        .collect();
    assert_eq!(names, ["c"]);
    api.stop().await;
}

#[tokio::test]
async fn a_pod_on_a_node_goes_in_two_steps() {
    let api = Api::either().await;
    let mut body = pod("p");
    body["spec"]["nodeName"] = json!("n1");
    body["spec"]["terminationGracePeriodSeconds"] = json!(20);
    api.post(&api.core("pods"), body).await.expect(201);
    let path = api.core("pods/p");
    let going = api.delete(&path, json!({})).await.expect(200);
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 20);
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(going["metadata"]["generation"], 2);
    let again = api.delete(&path, json!({ "gracePeriodSeconds": 25 })).await.expect(200);
    assert_eq!(again["metadata"]["deletionGracePeriodSeconds"], 20, "grace is never prolonged");
    let shorter = api.delete(&path, json!({ "gracePeriodSeconds": 5 })).await.expect(200);
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    api.delete(&path, json!({ "gracePeriodSeconds": 0 })).await.expect(200);
    api.get(&path).await.expect(404);
    api.post(&api.core("pods"), pod("q")).await.expect(201);
    let gone = api.delete(&api.core("pods/q"), json!({})).await.expect(200);
    assert_eq!(gone["kind"], "Pod", "a pod without a node goes at once and is shown");
    api.get(&api.core("pods/q")).await.expect(404);
    api.stop().await;
}

#[tokio::test]
async fn a_deleted_namespace_takes_nothing_more_and_waits_for_its_finalizer() {
    let api = Api::sandbox().await;
    api.config_map("x", json!({})).await;
    let path = format!("/api/v1/namespaces/{}", api.namespace);
    let mut going = api.delete(&path, json!({})).await.expect(200);
    assert_eq!(going["status"]["phase"], "Terminating");
    // Emptying it is a controller's work, and this server has none.
    api.get(&api.core("configmaps/x")).await.expect(200);
    let late = api.post(&api.core("configmaps"), json!({ "metadata": { "name": "y" } })).await;
    let body = late.refused(403, "Forbidden", "because it is being terminated");
    assert_eq!(body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    going["spec"]["finalizers"] = json!([]);
    api.put(&path, &going).await.expect(200);
    assert_eq!(
        api.get(&path).await.expect(200)["spec"]["finalizers"],
        json!(["kubernetes"]),
        "not by an ordinary write"
    );
    api.put(&format!("{path}/finalize"), &going).await.expect(200);
    api.get(&path).await.expect(404);
    api.stop().await;
}
