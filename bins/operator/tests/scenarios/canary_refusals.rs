//! Canaries for which nothing may be started, and what their status says.

use crate::canary_world::*;
use crate::world::{Start, World, deployments, promotions};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;

async fn begin() -> (World, String) {
    let world = Start::default().world().await;
    install(&world).await;
    let old = world.image(&world.push("1", &[]));
    produce(&world, "shop", &old, 2).await;
    world.start_operator();
    world.operator_ready().await;
    (world, old)
}

/// Nothing was started, and production is as it was.
async fn untouched(world: &World, old: &str) {
    let requests = world.requests();
    assert!(trials(&requests).is_empty() && promotions(&requests).is_empty(), "{}", world.report().await);
    assert_eq!(image_of(world, "shop").await, old);
}

fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_cannot_change_is_refused_before_anything_starts() {
    let (world, old) = begin().await;
    let mut wanted = wanted(&world, "shop", &world.image(&world.push("2", &[])));
    wanted["spec"]["template"]["metadata"]["labels"]["new"] = json!("yes");
    wanted["spec"]["selector"]["matchLabels"]["new"] = json!("yes");
    world.create(&canary_kind(), canary("shop", SHORT, &wanted)).await;
    let status = until_status(&world, "shop", "Inconclusive", "Inconclusive").await;
    assert!(message(&status).contains("immutable"), "{status:#}");
    assert_eq!(condition(&world, "shop", "Promoted").await, "False");
    untouched(&world, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_deployment_of_the_canarys_name_is_left_alone() {
    let (world, old) = begin().await;
    let mut theirs = wanted(&world, "shop-canary", &old);
    theirs["spec"]["replicas"] = json!(1);
    let theirs = world.create(&deployments(), theirs).await;
    let new = world.image(&world.push("2", &[]));
    ask(&world, &new, SHORT).await;
    let status = until_status(&world, "shop", "Settled", "CloneRefused").await;
    assert!(message(&status).contains("shop-canary"), "{status:#}");
    untouched(&world, &old).await;
    assert_eq!(world.workload("shop-canary").await.uid(), theirs.uid());
    // Once it is gone, nothing stands against it any more.
    world.delete(&deployments(), "shop-canary").await;
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_canaries_for_one_deployment_the_older_acts() {
    let (world, _) = begin().await;
    let (first, second) = (world.image(&world.push("2", &[])), world.image(&world.push("3", &[])));
    world.create(&canary_kind(), canary("first", SHORT, &wanted(&world, "shop", &first))).await;
    // Creation is told to the second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.create(&canary_kind(), canary("second", SHORT, &wanted(&world, "shop", &second))).await;
    let status = until_status(&world, "second", "Held", "OtherCanary").await;
    assert!(message(&status).contains("first"), "{status:#}");
    until_promoted(&world, "first").await;
    assert_eq!(image_of(&world, "shop").await, first);
    world.delete(&canary_kind(), "first").await;
    until_promoted(&world, "second").await;
    assert_eq!(image_of(&world, "shop").await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_for_a_workload_in_annotation_mode_is_refused() {
    let world = Start::default().world().await;
    install(&world).await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.image(&world.push_aside("2", &[]));
    ask(&world, &new, SHORT).await;
    let status = until_status(&world, "shop", "Held", "AnnotationMode").await;
    assert!(message(&status).contains("annotation mode"), "{status:#}");
    untouched(&world, &world.image(&old)).await;
    world.patch(json!({"metadata": {"labels": {"canary": null}}})).await;
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_its_service_would_not_reach_is_refused() {
    let (world, old) = begin().await;
    // The Service asks for more than the template that is wanted has.
    let patch = json!({"spec": {"template": {"metadata": {"labels": {"zone": "a"}}}}});
    world.patch_named("shop", patch).await;
    let service = json!({"spec": {"selector": {"app": "shop", "zone": "a"}}});
    let patch = kube::api::Patch::Merge(&service);
    let services = world.api(&crate::world::services());
    services.patch("shop", &kube::api::PatchParams::default(), &patch).await.unwrap();
    ask(&world, &world.image(&world.push("2", &[])), SHORT).await;
    let status = until_status(&world, "shop", "Settled", "CloneRefused").await;
    assert!(message(&status).contains("zone=a"), "{status:#}");
    untouched(&world, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_told_by_its_field() {
    let (world, old) = begin().await;
    let mut wrong = canary("shop", SHORT, &wanted(&world, "shop", &world.image(&world.push("2", &[]))));
    wrong["metadata"]["annotations"] = json!({"canary-keeper.dev/canary-duration": "5m"});
    world.create(&canary_kind(), wrong).await;
    let status = until_status(&world, "shop", "Held", "InvalidPlan").await;
    assert!(message(&status).contains("canary-keeper.dev/canary-duration"), "{status:#}");
    untouched(&world, &old).await;
    let gone = json!({"metadata": {"annotations": {"canary-keeper.dev/canary-duration": null}}});
    edit(&world, "shop", gone).await;
    until_promoted(&world, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_pauses_aborts_and_asks_again() {
    let (world, old) = begin().await;
    let new = world.image(&world.push("2", &[]));
    let say = async |annotations: Value| edit(&world, "shop", json!({"metadata": {"annotations": annotations}})).await;
    ask(&world, &new, LONG).await;
    until_status(&world, "shop", "Incubating", "").await;
    say(json!({"canary-keeper.dev/abort": "1"})).await;
    until_status(&world, "shop", "Rejected", "Rejected").await;
    until_gone(&world).await;
    say(json!({"canary-keeper.dev/pause": "true", "canary-keeper.dev/retry": "1"})).await;
    until_status(&world, "shop", "Held", "Paused").await;
    assert_eq!(trials(&world.requests()).len(), 1);
    say(json!({"canary-keeper.dev/pause": null})).await;
    until_status(&world, "shop", "Incubating", "").await;
    assert_eq!(image_of(&world, "shop").await, old);
    say(json!({"canary-keeper.dev/promote": "1"})).await;
    let status = until_promoted(&world, "shop").await;
    assert_eq!(status["reason"], "PromotedByPerson", "{status:#}");
    assert_eq!(image_of(&world, "shop").await, new);
}
