//! The operator dies, and another one goes on; or none does.

use crate::canary_watch::CanaryWatch;
use crate::sweep::{Release, Strike, sweep};
use crate::world::{Start, World, kill, promotions, resource};
use keeper_sandbox::faults::{HookPoint, Matcher};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_ends_the_same_wherever_the_operator_dies() {
    sweep(Release::Good, Strike::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_ends_the_same_wherever_the_operator_dies() {
    sweep(Release::Bad, Strike::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_ends_the_same_when_a_dead_operators_request_lands_late() {
    sweep(Release::Good, Strike::KilledAndLate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_nobody_watches_ends_itself() {
    let lifetime = ["--launch-deadline=3s", "--canary-grace=1s"];
    let world = lifetime.iter().fold(Start::default(), |start, flag| start.flag(flag)).world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-keeper.dev/max-incubation", "2s")]).await;
    let canaries = CanaryWatch::start(&world);
    // Dies when the canary is Ready and its incubation has begun, and doesn't come back.
    let operator = world.operator();
    let record = Matcher::any().verb("update").resource("configmaps");
    world.faults().at(record, 1, HookPoint::Committed, move |_| kill(&operator));
    world.start_operator();
    let new = world.push("2", &[]);
    world.until("a canary runs behind the Service", async || listed(&world).await).await;
    world.until("the operator is dead", async || !world.operator_lives()).await;

    world.until("the canary has ended itself", async || phase(&world).await == "Failed").await;
    world.until("it is out of the Service", async || !listed(&world).await).await;
    assert_eq!(world.canaries().await[0].data["status"]["reason"], "DeadlineExceeded");
    assert_eq!(world.production().await, world.image(&old));

    world.start_operator();
    world.until_state("inconclusive", &new).await;
    world.until_shown("Inconclusive", "Inconclusive").await;
    world.until("the canary is gone", async || world.canaries().await.is_empty()).await;
    assert_eq!(world.production().await, world.image(&old));
    assert!(promotions(&world.requests()).is_empty());
    assert_eq!((canaries.most(), canaries.ever()), (1, 1), "{}", world.report().await);
}

async fn phase(world: &World) -> String {
    let canaries = world.canaries().await;
    canaries.first().map_or(String::new(), |pod| pod.data["status"]["phase"].as_str().unwrap_or_default().to_owned())
}

/// Whether the canary is a ready endpoint of the Service.
async fn listed(world: &World) -> bool {
    let Some(uid) = world.canaries().await.first().and_then(|pod| pod.metadata.uid.clone()) else { return false };
    let slices = resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
    let slices = world.api(&slices).list(&Default::default()).await.unwrap().items;
    let endpoints = slices.iter().flat_map(|slice| slice.data["endpoints"].as_array().cloned().unwrap_or_default());
    let ready = |endpoint: &Value| endpoint["conditions"]["ready"] == true;
    endpoints.into_iter().any(|endpoint| endpoint["targetRef"]["uid"] == uid.as_str() && ready(&endpoint))
}
