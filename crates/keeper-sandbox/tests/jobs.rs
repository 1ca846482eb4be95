//! Jobs on the whole sandbox, their pods as processes: what a process ends with is what its Job ends with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "a test may panic")]

mod support;

use std::time::Duration;

use keeper_sandbox::{Sandbox, registry::ImageConfig};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject},
};
use serde_json::{Value, json};

use support::*;

async fn sandbox() -> (Sandbox, Client, Rest) {
    cluster(false, |node| node.crash_backoff = Duration::from_millis(100)).await
}

fn jobs(client: &Client) -> Api<DynamicObject> {
    api(client, "batch", "v1", "Job")
}

/// Runs a line of shell as a Job.
async fn start(sandbox: &Sandbox, client: &Client, line: &str, policy: &str, more: Value) {
    let digest = sandbox.registry().push("check", "1", &ImageConfig::new(["/bin/sh", "-c", line]));
    let mut spec = json!({
        "template": {"metadata": {"labels": {"app": "check"}}, "spec": {
            "restartPolicy": policy,
            "containers": [{"name": "check", "image": sandbox.registry().pinned_spec("check", &digest)}],
        }},
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let body = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "check"}, "spec": spec});
    create(&jobs(client), body).await;
}

async fn ended(client: &Client, kind: &str) -> DynamicObject {
    eventually(&format!("the Job is {kind}"), || async {
        let job = jobs(client).get("check").await.unwrap();
        (condition(&job, kind, "status") == "True").then_some(job)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_exits_with_zero_completes_its_job() {
    let (sandbox, client, _rest) = sandbox().await;
    start(&sandbox, &client, "exit 0", "Never", json!({})).await;
    let job = ended(&client, "Complete").await;
    assert_eq!(int(&job, "/status/succeeded"), 1);
    assert_eq!(condition(&job, "Complete", "reason"), "CompletionsReached");
    let pod = list(&pods(&client)).await.remove(0);
    assert_eq!(text(&pod, "/status/phase"), "Succeeded");
    assert_eq!(text(&pod, "/status/containerStatuses/0/state/terminated/reason"), "Completed");
    assert!(pod.metadata.finalizers.unwrap_or_default().is_empty(), "it was counted");
    jobs(&client).delete("check", &DeleteParams::background()).await.unwrap();
    eventually("its pod goes with it", || async { list(&pods(&client)).await.is_empty().then_some(()) }).await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_exits_with_another_code_fails_its_job() {
    let (sandbox, client, _rest) = sandbox().await;
    start(&sandbox, &client, "exit 3", "Never", json!({"backoffLimit": 0})).await;
    let job = ended(&client, "Failed").await;
    assert_eq!(condition(&job, "Failed", "reason"), "BackoffLimitExceeded");
    let pod = list(&pods(&client)).await.remove(0);
    assert_eq!(int(&pod, "/status/containerStatuses/0/state/terminated/exitCode"), 3);
    assert_eq!(text(&pod, "/status/containerStatuses/0/state/terminated/reason"), "Error");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_of_the_container_count_against_the_limit() {
    let (sandbox, client, _rest) = sandbox().await;
    start(&sandbox, &client, "exit 1", "OnFailure", json!({"backoffLimit": 2})).await;
    let job = ended(&client, "Failed").await;
    assert_eq!(condition(&job, "Failed", "reason"), "BackoffLimitExceeded");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_takes_too_long_is_ended() {
    let (sandbox, client, _rest) = sandbox().await;
    start(&sandbox, &client, "exec sleep 600", "Never", json!({"activeDeadlineSeconds": 2})).await;
    let job = ended(&client, "Failed").await;
    assert_eq!(condition(&job, "Failed", "reason"), "DeadlineExceeded");
    sandbox.stop().await;
}
