//! Checks of `kind: job`: how a Job beside the canary ends decides, and nothing of it stays.

use crate::bad_images::{inconclusive, rejected};
use crate::canary_world::{canary, canary_kind, install, produce, until_gone, until_promoted, until_status, wanted};
use crate::world::{Start, World, promotions, resource};
use keeper_sandbox::api::RequestRecord;
use keeper_sandbox::faults::{Fault, Matcher, When};
use kube::api::{ApiResource, ListParams};
use serde_json::{Value, json};

/// A world whose workload is checked by a Job of an image that does as scripted, with the operator running; and the
/// digest that production runs.
async fn checked(script: &[(&str, &str)], more: &str, max: &str) -> (World, String) {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    let image = world.image(&world.push_aside("the check", script));
    let checks = format!(
        "- kind: job\n  name: smoke\n{more}  jobTemplate:\n    spec:\n      template:\n        spec:\n          \
         containers:\n          - {{name: smoke, image: '{image}'}}\n"
    );
    world.deploy(&old, 2, &[("canary-keeper.dev/checks", &checks), ("canary-keeper.dev/max-incubation", max)]).await;
    world.start_operator();
    (world, old)
}

const SUCCEEDS: [(&str, &str); 2] = [("exit-after", "1s"), ("exit-code", "0")];
const FAILS: [(&str, &str); 2] = [("exit-after", "500ms"), ("exit-code", "3")];

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_job_succeeds_is_promoted() {
    let (world, _) = checked(&SUCCEEDS, "", "60s").await;
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;
    let requests = world.requests();
    let [started] = &starts(&requests)[..] else { panic!("one Job: {}", world.report().await) };
    let body = started.body.as_ref().unwrap();
    let env = body.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).unwrap();
    let told = |name: &str| env.iter().find(|one| one["name"] == name).map(|one| one["value"].clone()).unwrap();
    assert_eq!((told("CANARY_WORKLOAD"), told("CANARY_NAMESPACE")), ("shop".into(), world.namespace.as_str().into()));
    assert_eq!(told("CANARY_POD"), body["metadata"]["ownerReferences"][0]["name"], "{body}");
    assert!(told("CANARY_ADDRESS").as_str().is_some_and(|address| !address.is_empty()), "{body}");
    let label = |body: &Value| body["metadata"]["labels"]["canary-keeper.dev/run"].clone();
    let canary = crate::world::creations(&requests)[0].body.clone().unwrap();
    assert_eq!(label(body), label(&canary), "of the same run");
    let events = world.events().await;
    assert!(events.iter().any(|(reason, _)| reason == "Promoted"), "it was measured: {events:?}");
    nothing_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_job_fails_is_rejected() {
    let (world, old) = checked(&FAILS, "", "60s").await;
    let new = world.push("2", &[]);
    rejected(&world, &new, &old, "exit code 3").await;
    assert_eq!((starts(&world.requests()).len(), promotions(&world.requests()).len()), (1, 0));
    nothing_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_judge_what_a_canary_resource_asks_for() {
    let world = Start::default().world().await;
    install(&world).await;
    let old = world.image(&world.push("1", &[]));
    let jobs = [&SUCCEEDS, &FAILS].map(|script| world.image(&world.push_aside(&format!("{script:?}"), script)));
    produce(&world, "shop", &old, 2).await;
    world.start_operator();
    let release = |job: &str, image: &str| {
        let template = json!({"spec": {"template": {"spec": {"containers": [{"name": "smoke", "image": job}]}}}});
        let mut asked = canary("shop", "2s", &wanted(&world, "shop", image));
        asked["spec"]["maxIncubation"] = "60s".into();
        asked["spec"]["metrics"] = json!([{"kind": "job", "name": "smoke", "jobTemplate": template}]);
        asked
    };
    let good = world.image(&world.push("2", &[]));
    world.create(&canary_kind(), release(&jobs[0], &good)).await;
    until_promoted(&world, "shop").await;
    nothing_stays(&world).await;
    let bad = world.image(&world.push("3", &[]));
    crate::canary_world::edit(&world, "shop", json!({"spec": release(&jobs[1], &bad)["spec"]})).await;
    let status = until_status(&world, "shop", "Rejected", "Rejected").await;
    assert!(status.to_string().contains("exit code 3"), "{status:#}");
    until_gone(&world).await;
    nothing_stays(&world).await;
    assert_eq!(starts(&world.requests()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_are_borne_are_counted_job_by_job() {
    let (world, old) = checked(&FAILS, "  failureLimit: 1\n  interval: 1s\n", "60s").await;
    let new = world.push("2", &[]);
    rejected(&world, &new, &old, "exit code 3").await;
    assert_eq!(starts(&world.requests()).len(), 2, "{}", world.report().await);
    nothing_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_image_cannot_be_pulled_proves_nothing() {
    let (world, old) = checked(&[("pull-error", "manifest unknown")], "", "5s").await;
    let new = world.push("2", &[]);
    inconclusive(&world, &new, &old, "can't run: ").await;
    assert_eq!(promotions(&world.requests()).len(), 0);
    nothing_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_ends_is_deleted_and_proves_nothing() {
    let (world, old) = checked(&[], "  timeout: 1s\n", "8s").await;
    let new = world.push("2", &[]);
    inconclusive(&world, &new, &old, "did not end within 1 s (timeout); it was deleted").await;
    let requests = world.requests();
    assert_eq!(promotions(&requests).len(), 0);
    let deleted = requests.iter().filter(|r| r.resource == "jobs" && r.verb == "delete" && r.code == 200).count();
    assert!(deleted >= 1, "past its time-out it is deleted: {}", world.report().await);
    nothing_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_server_refuses_proves_nothing() {
    let (world, old) = checked(&SUCCEEDS, "", "4s").await;
    world.faults().add(Matcher::any().verb("create").resource("jobs"), When::Always, Fault::Answer(403));
    let new = world.push("2", &[]);
    inconclusive(&world, &new, &old, "jobTemplate: cannot start a check's Job").await;
    assert_eq!(promotions(&world.requests()).len(), 0);
    nothing_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_finds_the_job_again() {
    let (world, _) = checked(&[("exit-after", "4s"), ("exit-code", "0")], "", "60s").await;
    let new = world.push("2", &[]);
    world.until("a Job runs", async || !jobs(&world).await.is_empty()).await;
    world.kill_operator();
    world.start_operator();
    world.until_promoted(&new).await;
    let requests = world.requests();
    assert_eq!(starts(&requests).len(), 1, "{}", world.report().await);
    assert!(requests.iter().any(|r| r.resource == "jobs" && r.code == 409), "it asked for the same one");
    nothing_stays(&world).await;
}

/// The Jobs that were created.
fn starts(requests: &[RequestRecord]) -> Vec<&RequestRecord> {
    requests.iter().filter(|r| r.resource == "jobs" && r.verb == "create" && r.code == 201).collect()
}

fn kind() -> ApiResource {
    resource("batch", "v1", "Job", "jobs")
}

async fn jobs(world: &World) -> Vec<kube::api::DynamicObject> {
    world.api(&kind()).list(&ListParams::default()).await.unwrap().items
}

/// Neither a Job nor a pod of one, long before its TTL: they go with the canary.
async fn nothing_stays(world: &World) {
    let params = ListParams::default().labels("job-name");
    world
        .until("no Job and no pod of one is left", async || {
            let pods = world.api(&crate::world::pods()).list(&params).await.unwrap().items;
            jobs(world).await.is_empty() && pods.is_empty()
        })
        .await;
}
