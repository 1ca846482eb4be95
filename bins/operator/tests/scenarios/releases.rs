//! Good releases, bad ones, and what the API server saw of them.

use crate::world::{Start, creations, deployments, promotions};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_is_promoted_by_digest_in_one_patch() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 3, &[]).await;
    world.start_operator();
    world.operator_ready().await;
    let before = world.proxy.requests().total();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;

    let requests = world.requests();
    assert_eq!(promotions(&requests).len(), 1, "{}", world.report().await);
    assert_eq!(creations(&requests).len(), 1);
    let tests = promotions(&requests)[0].body.as_ref().unwrap().to_string();
    for tested in ["/metadata/uid", "/metadata/resourceVersion"] {
        assert!(tests.contains(tested), "{tests}");
    }
    println!("API requests of one release: {:#?}", world.counts(before));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_exits_is_rejected() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 3, &[]).await;
    world.start_operator();
    let new = world.push("2", &[("exit-after", "500ms")]);
    world.until_rejected(&new, &old).await;
    assert_eq!(promotions(&world.requests()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_follow_each_other_and_the_tag_may_go_back() {
    let world = Start::default().world().await;
    let first = world.push("1", &[]);
    world.deploy(&first, 2, &[]).await;
    world.start_operator();
    let second = world.push("2", &[]);
    world.until_promoted(&second).await;
    let third = world.push("3", &[]);
    world.until_promoted(&third).await;
    // A tag that names an older image asks for that image: it is a release like any other.
    assert!(world.registry().tag("shop", "stable", &second));
    world.until_promoted(&second).await;
    let requests = world.requests();
    assert_eq!((creations(&requests).len(), promotions(&requests).len()), (3, 3), "{}", world.report().await);
    let events = world.events().await;
    assert!(events.iter().all(|(reason, _)| reason != "RolledBack"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_of_two_containers_without_a_service_ships_both() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    let mut deployment = world.deployment("shop", &old, 1, &[("canary-name", "shop, worker")]);
    let containers = deployment.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap();
    let mut worker = containers[0].clone();
    worker["name"] = json!("worker");
    worker["ports"] = json!([]);
    containers.push(worker);
    containers.push(json!({"name": "proxy", "image": world.image(&old)}));
    world.create(&deployments(), deployment).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;
    let (new, old) = (json!(world.image(&new)), json!(world.image(&old)));
    let workload = world.deployment_now().await;
    let image = |at: usize| workload.data.pointer(&format!("/spec/template/spec/containers/{at}/image")).unwrap();
    assert_eq!([image(0), image(1), image(2)], [&new, &new, &old], "a container that wasn't named stays as it is");
    let requests = world.requests();
    let canary = creations(&requests)[0].body.as_ref().unwrap();
    let of_canary = |at: usize| canary.pointer(&format!("/spec/containers/{at}/image")).unwrap();
    assert_eq!([of_canary(0), of_canary(1), of_canary(2)], [&new, &new, &old]);
    assert_eq!(promotions(&requests).len(), 1, "both in one patch");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_start_says_why_and_starts_once_allowed() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    let mut deployment = world.deployment("shop", &old, 2, &[]);
    deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    world.create(&deployments(), deployment).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until("two copies are refused", async || world.shown().await.1 == "NotTwoCopies").await;
    world.patch(json!({"spec": {"replicas": 0}})).await;
    world.until("none is refused too", async || world.shown().await.1 == "ScaledToZero").await;
    world.patch(json!({"spec": {"replicas": 2, "paused": true}})).await;
    world.until("a paused one is left alone", async || world.shown().await.1 == "WorkloadPaused").await;
    assert_eq!(creations(&world.requests()).len(), 0, "{}", world.report().await);

    world.patch(json!({"spec": {"paused": null}})).await;
    world.annotate(json!({"canary-keeper.dev/allow-two-copies": "true"})).await;
    world.until_promoted(&new).await;

    // Another repository is for the operator's owner to allow.
    let image = keeper_sandbox::registry::ImageConfig::new(["fake"]).env("VERSION", "elsewhere");
    world.registry().push("other", "stable", &image);
    world.annotate(json!({"canary-image": world.registry().pull_spec("other", "stable")})).await;
    world.until("another repository is refused", async || world.shown().await.1 == "OtherRepository").await;
    assert_eq!(world.production().await, world.image(&new));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_asked_to_stop_stops_and_its_successor_goes_on() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    let pid = world.operator_pid().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    world.until("the operator has ended", async || !world.operator_lives()).await;
    assert!(world.log().contains("operator stopped"), "{}", world.log());
    assert_eq!(world.canaries().await.len(), 1, "its canary stays for the next one");

    world.start_operator();
    world.until_promoted(&new).await;
    assert_eq!(creations(&world.requests()).len(), 1, "{}", world.report().await);
    assert_eq!(promotions(&world.requests()).len(), 1);
}
