//! What scenarios in resource mode have beside a world: the kind, a Canary, and what its status says.

use crate::world::{World, deployments, resource, services};
use keeper_sandbox::api::RequestRecord;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What only something else than time ends.
pub const LONG: &str = "10m";
/// What is over soon.
pub const SHORT: &str = "2s";

pub fn canary_kind() -> ApiResource {
    resource("canary-keeper.dev", "v1alpha1", "Canary", "canaries")
}

pub fn autoscalers() -> ApiResource {
    resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
}

/// Makes the server know Canaries.
pub async fn install(world: &World) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crd/canaries.yaml");
    let definition: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let kind = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
    let api: Api<DynamicObject> = Api::all_with(world.client.clone(), &kind);
    match api.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await {
        Ok(_) => {}
        // Another scenario on the same server was first.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("{error}"),
    }
    world
        .until("Canaries are served", async || world.api(&canary_kind()).list(&ListParams::default()).await.is_ok())
        .await;
}

/// A Service and a Deployment of that name, that nobody manages, rolled out.
pub async fn produce(world: &World, name: &str, image: &str, replicas: usize) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    world.create(&services(), service).await;
    let mut deployment = wanted(world, name, image);
    deployment["spec"]["replicas"] = json!(replicas);
    world.create(&deployments(), deployment).await;
    until_rolled_out(world, name, replicas).await;
}

pub async fn until_rolled_out(world: &World, name: &str, replicas: usize) {
    let available = async || world.workload(name).await.data.pointer("/status/availableReplicas").cloned();
    world.until("the workload is rolled out", async || available().await == Some(json!(replicas))).await;
}

/// The Deployment that is wanted: it says nothing of replicas.
pub fn wanted(world: &World, name: &str, image: &str) -> Value {
    let mut deployment = world.deployment(name, "", 1, &[]);
    deployment["metadata"] = json!({"name": name, "labels": {"app": name}});
    deployment["spec"].as_object_mut().unwrap().remove("replicas");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    deployment
}

/// A Canary for that Deployment.
pub fn canary(name: &str, incubation: &str, wanted: &Value) -> Value {
    json!({
        "apiVersion": "canary-keeper.dev/v1alpha1", "kind": "Canary", "metadata": {"name": name},
        "spec": {"incubation": incubation, "deploymentTemplate": wanted},
    })
}

/// Asks for an image by a Canary `shop`.
pub async fn ask(world: &World, image: &str, incubation: &str) -> DynamicObject {
    world.create(&canary_kind(), canary("shop", incubation, &wanted(world, "shop", image))).await
}

/// Changes a Canary.
pub async fn edit(world: &World, name: &str, patch: Value) {
    let patch = Patch::Merge(&patch);
    world.api(&canary_kind()).patch(name, &PatchParams::default(), &patch).await.unwrap();
}

pub async fn status(world: &World, name: &str) -> Value {
    let canary = world.api(&canary_kind()).get_opt(name).await.unwrap();
    canary.map_or(Value::Null, |canary| canary.data["status"].clone())
}

/// The status of one of its conditions.
pub async fn condition(world: &World, name: &str, kind: &str) -> String {
    let status = status(world, name).await;
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str().map(str::to_owned)).unwrap_or_default()
}

pub async fn until_status(world: &World, name: &str, phase: &str, reason: &str) -> Value {
    let holds = async || {
        let status = status(world, name).await;
        status["phase"] == phase && (reason.is_empty() || status["reason"] == reason)
    };
    let deadline = std::time::Instant::now() + crate::world::PATIENCE;
    while !holds().await {
        let (status, log) = (status(world, name).await, world.log());
        assert!(std::time::Instant::now() < deadline, "{name} never got {phase} {reason}: {status:#}\nlog:\n{log}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    status(world, name).await
}

/// Waits until this generation is promoted and nothing of its canary is left.
pub async fn until_promoted(world: &World, name: &str) -> Value {
    world
        .until(&format!("{name} is promoted"), async || {
            let canary = world.api(&canary_kind()).get(name).await.unwrap();
            canary.data["status"]["observedGeneration"] == json!(canary.metadata.generation)
                && condition(world, name, "Promoted").await == "True"
        })
        .await;
    until_gone(world).await;
    status(world, name).await
}

/// Waits until no canary Deployment, and no pod of one, is left.
pub async fn until_gone(world: &World) {
    world
        .until("nothing of a canary is left", async || {
            canary_deployments(world).await.is_empty() && world.canaries().await.is_empty()
        })
        .await;
}

pub async fn canary_deployments(world: &World) -> Vec<DynamicObject> {
    let params = ListParams::default().labels("canary-keeper.dev/canary");
    world.api(&deployments()).list(&params).await.unwrap().items
}

/// The image of a Deployment's first container.
pub async fn image_of(world: &World, name: &str) -> String {
    let workload = world.workload(name).await;
    workload.data.pointer("/spec/template/spec/containers/0/image").unwrap().as_str().unwrap().to_owned()
}

/// The canary Deployments that were created for real.
pub fn trials(requests: &[RequestRecord]) -> Vec<&RequestRecord> {
    let created = |r: &&RequestRecord| {
        r.resource == "deployments" && r.verb == "create" && r.is_write() && r.code == 201 && is_canary(r)
    };
    requests.iter().filter(created).collect()
}

fn is_canary(request: &RequestRecord) -> bool {
    let name = request.body.as_ref().and_then(|body| body.pointer("/metadata/name")?.as_str().map(str::to_owned));
    name.is_some_and(|name| name.ends_with("-canary"))
}

/// The pod of the canary that runs now.
pub async fn canary_pod(world: &World) -> String {
    world.until("a canary pod is there", async || !world.canaries().await.is_empty()).await;
    world.canaries().await[0].name_any()
}
