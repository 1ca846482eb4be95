//! What the tests of the whole sandbox share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "each test file uses a part of it"
)]

use std::{future::Future, time::Duration};

use keeper_sandbox::{AttachConfig, Sandbox, SandboxConfig, node::NodeConfig};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

/// What a test keeps until its end.
pub struct Rest {
    pub directory: tempfile::TempDir,
    /// Where the test's objects are.
    pub namespace: String,
    _turn: Option<tokio::sync::MutexGuard<'static, ()>>,
}

/// A cluster: the sandbox, or the real control plane whose admin kubeconfig `KEEPER_E2E_KUBECONFIG` names, with the sandbox's
/// node, proxy and registry. There the tests take turns, since they share the node's name.
pub async fn cluster(fake_pods: bool, node: fn(&mut NodeConfig)) -> (Sandbox, Client, Rest) {
    let directory = tempfile::tempdir().unwrap();
    let Some(kubeconfig) = std::env::var_os("KEEPER_E2E_KUBECONFIG") else {
        let config = SandboxConfig { fake_pods, node, ..SandboxConfig::new(directory.path()) };
        let sandbox = Sandbox::start(config).await.unwrap();
        let client = sandbox.client().unwrap();
        return (sandbox, client, Rest { directory, namespace: "default".into(), _turn: None });
    };
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    let config = AttachConfig { fake_pods, node, ..AttachConfig::new(&kubeconfig, directory.path()) };
    let sandbox = Sandbox::attach(config).await.unwrap();
    let namespace = fresh_namespace(&sandbox.client().unwrap()).await;
    let options = KubeConfigOptions::default();
    let file = Kubeconfig::read_from(std::path::Path::new(&kubeconfig)).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    config.default_namespace.clone_from(&namespace);
    let client = Client::try_from(config).unwrap();
    (sandbox, client, Rest { directory, namespace, _turn: Some(turn) })
}

async fn fresh_namespace(client: &Client) -> String {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    for old in list(&namespaces).await {
        let name = old.metadata.name.unwrap();
        if name.starts_with("sandbox-test-") && old.metadata.deletion_timestamp.is_none() {
            namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "sandbox-test-"}});
    create(&namespaces, body).await.metadata.name.unwrap()
}

pub fn api(client: &Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::default_namespaced_with(client.clone(), &resource)
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

/// Asks again until there is an answer, for half a minute at most; a real control plane's controllers may back off longer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let limit = if std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some() { 120 } else { 30 };
    let deadline = std::time::Instant::now() + Duration::from_secs(limit);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "not within {limit} s: {what}");
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
