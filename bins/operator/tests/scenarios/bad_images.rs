//! Images that are bad in one way or another: each ends as it should, and production never notices.

use crate::load::Load;
use crate::world::{Start, World, creations, promotions};
use keeper_sandbox::registry::{Fault, FaultKind};

const CHECKS: (&str, &str) =
    ("canary-keeper.dev/checks", "- {kind: httpErrorRate, threshold: 1, minRequestCount: 100, port: 8080}");

#[tokio::test(flavor = "multi_thread")]
async fn releases_that_fail_requests_are_rejected_and_a_good_one_costs_the_client_nothing() {
    let world = Start::default().processes().world().await;
    let old = world.push_app("1", &[]);
    world.deploy(&old, 3, &[CHECKS, ("canary-duration", "4s"), ("canary-keeper.dev/max-incubation", "60s")]).await;
    let load = Load::start(&world, 400).await;
    world.start_operator();

    let all = world.push_app("fails every request", &[("FAIL_SHARE", "1")]);
    rejected(&world, &all, &old, "requests failed").await;
    let late = world.push_app("fails after 2 s", &[("FAIL_AFTER", "2")]);
    rejected(&world, &late, &old, "requests failed").await;
    let some = world.push_app("fails some requests", &[("FAIL_SHARE", "0.03")]);
    rejected(&world, &some, &old, "requests failed").await;
    assert!(load.so_far().errors > 0, "the canaries had traffic");
    assert_eq!(promotions(&world.requests()).len(), 0);

    load.until_calm(&world).await;
    let before = load.so_far();
    let good = world.push_app("2", &[]);
    world.until_promoted(&good).await;
    let (events, after) = (world.events().await, load.so_far());
    assert!(events.iter().any(|(reason, _)| reason == "Promoted"), "measured, so it rests on no silence: {events:?}");
    assert!(after.requests > before.requests, "the client works");
    assert_eq!(after.errors, before.errors, "{}\n{}", load.lines(), world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_that_do_not_run_are_rejected() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-keeper.dev/launch-deadline", "2s")]).await;
    world.start_operator();
    let unready = world.push("never ready", &[("ready-after", "never")]);
    rejected(&world, &unready, &old, "not Ready within 2s").await;
    let exits = world.push("exits", &[("exit-after", "500ms"), ("exit-code", "3")]);
    rejected(&world, &exits, &old, "exit code 3").await;
    let exits_early = world.push("exits before it is ready", &[("ready-after", "never"), ("exit-after", "300ms")]);
    rejected(&world, &exits_early, &old, "the container was restarted").await;
    let memory = world
        .push("needs too much memory", &[("exit-after", "500ms"), ("exit-code", "137"), ("exit-reason", "OOMKilled")]);
    rejected(&world, &memory, &old, "OOMKilled, exit code 137").await;
    assert_eq!(creations(&world.requests()).len(), 4, "{}", world.report().await);
    assert_eq!(promotions(&world.requests()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_cannot_be_measured_is_not_promoted() {
    let world = Start::default().processes().world().await;
    let old = world.push_app("1", &[]);
    world.deploy(&old, 2, &[CHECKS, ("canary-keeper.dev/max-incubation", "4s")]).await;
    let load = Load::start(&world, 100).await;
    world.start_operator();
    let dead = world.push_app("tells nothing", &[("METRICS", "dead")]);
    inconclusive(&world, &dead, &old, "httpErrorRate cannot tell").await;
    let hangs = world.push_app("never answers for metrics", &[("METRICS", "hang")]);
    inconclusive(&world, &hangs, &old, "httpErrorRate cannot tell").await;
    drop(load);
    // Measured, and yet without requests there is nothing to judge by.
    let idle = world.push_app("gets no requests", &[]);
    inconclusive(&world, &idle, &old, "of the 100 requests needed").await;
    assert_eq!(promotions(&world.requests()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_gone_is_rejected_and_one_that_cannot_be_pulled_waits() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-keeper.dev/launch-deadline", "2s")]).await;
    world.start_operator();

    let gone = fails_by_digest(&world, "gone", 404);
    rejected(&world, &gone, &old, "the registry has no such image").await;
    let asked = world.registry().heads("shop", &gone);
    assert!(asked > 0, "our own HEAD decides, not the kubelet's text");

    let refused = fails_by_digest(&world, "refused", 403);
    inconclusive(&world, &refused, &old, "the image cannot be pulled").await;
    let broken = fails_by_digest(&world, "broken", 503);
    inconclusive(&world, &broken, &old, "the image cannot be pulled").await;
    assert_eq!(promotions(&world.requests()).len(), 0);
}

/// An image whose tag resolves, and whose digest is answered with that status, to the node and to us.
fn fails_by_digest(world: &World, salt: &str, status: u16) -> String {
    let digest = world.push_aside(salt, &[]);
    let path = format!("/manifests/{digest}");
    world.registry().inject(Fault { kind: FaultKind::Status(status), method: None, path, times: None });
    assert!(world.registry().tag("shop", "stable", &digest));
    digest
}

pub async fn rejected(world: &World, digest: &str, production: &str, why: &str) {
    ended(world, "rejected", "Rejected", digest, production, why).await;
}

pub async fn inconclusive(world: &World, digest: &str, production: &str, why: &str) {
    ended(world, "inconclusive", "Inconclusive", digest, production, why).await;
}

/// It ends so, for that reason, told in an Event; the canary is gone and production untouched.
async fn ended(world: &World, state: &str, reason: &str, digest: &str, production: &str, why: &str) {
    world.until_state(state, digest).await;
    world.until("no canary is left", async || world.canaries().await.is_empty()).await;
    assert_eq!(world.production().await, world.image(production), "production was touched");
    let short: String = digest.chars().take(19).collect();
    world
        .until(&format!("an Event says that {short} is {reason}: {why}"), async || {
            let events = world.events().await;
            events.iter().any(|(told, note)| told == reason && note.contains(&short) && note.contains(why))
        })
        .await;
    let ledger = world.record().await.unwrap()["ledger"].clone();
    assert_eq!(ledger.get(digest).is_some(), state == "rejected", "{ledger}");
}
