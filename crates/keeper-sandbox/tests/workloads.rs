//! Workloads on the whole sandbox with fake pods: Deployments, ReplicaSets, EndpointSlices, budgets, garbage collection.

mod support;

use std::time::Duration;

use keeper_sandbox::{
    Sandbox, SandboxConfig,
    node::{Delay, FakeScript},
};
use kube::{
    Client,
    api::{DeleteParams, DynamicObject},
};
use serde_json::json;

use support::*;

async fn sandbox() -> (Sandbox, Client, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxConfig::new(directory.path()).with_fake_pods()).await.unwrap();
    let client = sandbox.client().unwrap();
    (sandbox, client, directory)
}

async fn running_pods(client: &Client) -> Vec<DynamicObject> {
    list(&pods(client)).await.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_comes_up_and_says_so() {
    let (sandbox, client, _directory) = sandbox().await;
    create(&deployments(&client), deployment("web", 3, "example.com/app:1")).await;
    let web = rolled_out(&client, "web").await;
    let web = eventually("progress is told", || async {
        let web = deployments(&client).get("web").await.unwrap();
        (condition(&web, "Progressing", "reason") == "NewReplicaSetAvailable").then_some(web)
    })
    .await;
    assert_eq!(condition(&web, "Available", "status"), "True");
    assert_eq!(
        web.metadata.annotations.unwrap().get("deployment.kubernetes.io/revision").map(String::as_str),
        Some("1")
    );
    let set = list(&sets(&client)).await.remove(0);
    assert_eq!(set.metadata.annotations.as_ref().unwrap().get("note").map(String::as_str), Some("example.com/app:1"));
    let pods = running_pods(&client).await;
    assert_eq!(pods.len(), 3);
    assert!(text(&pods[0], "/status/containerStatuses/0/imageID").starts_with("example.com/app@sha256:"));
    assert_eq!(text(&pods[0], "/status/phase"), "Running");
    sandbox.stop().await;
}
