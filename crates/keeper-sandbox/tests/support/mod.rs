//! What the tests of the whole sandbox share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{future::Future, time::Duration};

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

pub fn api(client: &Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), "default", &resource)
}

pub fn pods(client: &Client) -> Api<DynamicObject> {
    api(client, "", "v1", "Pod")
}

pub fn deployments(client: &Client) -> Api<DynamicObject> {
    api(client, "apps", "v1", "Deployment")
}

pub fn sets(client: &Client) -> Api<DynamicObject> {
    api(client, "apps", "v1", "ReplicaSet")
}

pub fn services(client: &Client) -> Api<DynamicObject> {
    api(client, "", "v1", "Service")
}

pub fn slices(client: &Client) -> Api<DynamicObject> {
    api(client, "discovery.k8s.io", "v1", "EndpointSlice")
}

pub async fn create(api: &Api<DynamicObject>, body: Value) -> DynamicObject {
    let mut body = body;
    if body.get("metadata").is_none() {
        body["metadata"] = json!({});
    }
    api.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap()
}

pub async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) -> DynamicObject {
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

pub async fn list(api: &Api<DynamicObject>) -> Vec<DynamicObject> {
    api.list(&Default::default()).await.unwrap().items
}

/// Asks again until there is an answer, for half a minute at most.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"team": "a"}, "annotations": {"note": image}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}},
        },
    })
}

pub fn int(object: &DynamicObject, pointer: &str) -> i64 {
    object.data.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

pub fn text<'a>(object: &'a DynamicObject, pointer: &str) -> &'a str {
    object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn condition<'a>(object: &'a DynamicObject, kind: &str, field: &str) -> &'a str {
    let conditions =
        object.data.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition[field].as_str()).unwrap_or_default()
}

/// The rollout is over, as `kubectl rollout status` sees it.
pub fn is_rolled_out(deployment: &DynamicObject) -> bool {
    let wanted = int(deployment, "/spec/replicas");
    int(deployment, "/status/observedGeneration") >= deployment.metadata.generation.unwrap_or(0)
        && ["updatedReplicas", "replicas", "availableReplicas"]
            .iter()
            .all(|field| int(deployment, &format!("/status/{field}")) == wanted)
}

pub async fn rolled_out(client: &Client, name: &str) -> DynamicObject {
    eventually(&format!("{name} is rolled out"), || async {
        Some(deployments(client).get(name).await.unwrap()).filter(is_rolled_out)
    })
    .await
}

pub fn set_image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})
}
