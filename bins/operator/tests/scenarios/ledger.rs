//! What is remembered, and what people and newer images do to a rollout under way.

use crate::world::{Start, World, creations, deployments, pods, promotions};
use jiff::Timestamp;
use keeper_sandbox::api::RequestRecord;
use keeper_sandbox::faults::{HookPoint, Matcher};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_digest_is_tried_again_only_when_a_person_says_so() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let bad = world.push("2", &[("exit-after", "300ms")]);
    world.until_rejected(&bad, &old).await;
    world.registry_intervals(3).await;

    world.kill_operator();
    world.start_operator();
    world.operator_ready().await;
    world.registry_intervals(2).await;

    world.annotate(json!({"team": "shop"})).await;
    edit_template(&world, "EDIT", "1").await;
    rolled_out(&world, 2).await;
    world.registry_intervals(2).await;

    assert!(world.registry().tag("shop", "stable", &old));
    world.until_shown("Settled", "UpToDate").await;
    assert!(world.registry().tag("shop", "stable", &bad));
    world.until_shown("Rejected", "Rejected").await;
    world.registry_intervals(2).await;
    assert_eq!(creations(&world.requests()).len(), 1, "{}", world.report().await);

    world.annotate(json!({"canary-keeper.dev/retry": bad})).await;
    world.until("it is tried again", async || creations(&world.requests()).len() == 2).await;
    world.until_state("rejected", &bad).await;
    world.registry_intervals(2).await;
    assert_eq!(creations(&world.requests()).len(), 2, "{}", world.report().await);
    assert_eq!(promotions(&world.requests()).len(), 0);
    assert_eq!(world.production().await, world.image(&old));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_tried_again_and_then_held() {
    let world = Start::default().flag("--retry-after=1s,2s").world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-keeper.dev/launch-deadline", "1s")]).await;
    world.start_operator();
    let new = world.push("2", &[("pull-error", "the node has no credentials")]);
    world.until_state("held", &new).await;
    world.until_shown("Held", "Inconclusive").await;
    world.until("no canary is left", async || world.canaries().await.is_empty()).await;
    world.registry_intervals(3).await;

    let tried = creations(&world.requests()).len();
    assert_eq!(tried, 3, "once, and again after each pause\n{}", world.report().await);
    let (first, second, third) = three(&world);
    // A second to start and a pause of one, then of two; a create comes a little after its attempt began.
    assert!(second.duration_since(first).as_millis() >= 1700, "{first} {second}");
    assert!(third.duration_since(second).as_millis() >= 2700, "{second} {third}");
    assert_eq!(world.production().await, world.image(&old));

    world.annotate(json!({"canary-keeper.dev/retry": format!("{new} the node has them now")})).await;
    world.until("it is tried again", async || creations(&world.requests()).len() == 4).await;
}

fn three(world: &World) -> (Timestamp, Timestamp, Timestamp) {
    let requests = world.requests();
    let created = creations(&requests);
    (created[0].time, created[1].time, created[2].time)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_image_supersedes_the_one_that_incubates() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let passed_over = world.push("2", &[]);
    world.until_state("incubating", &passed_over).await;
    let new = world.push("3", &[]);
    world.until_promoted(&new).await;

    let requests = world.requests();
    let created = creations(&requests);
    assert_eq!(created.len(), 2, "{}", world.report().await);
    let images: Vec<String> = created.iter().map(|r| canary_image(r)).collect();
    assert_eq!(images, [world.image(&passed_over), world.image(&new)]);
    let removed = requests.iter().find(|r| r.resource == "pods" && r.verb == "delete").unwrap();
    assert!(removed.sequence < created[1].sequence, "the old canary must be gone first");
    let promoted = promotions(&requests);
    assert_eq!(promoted.len(), 1);
    let watched = promoted[0].time.duration_since(created[1].time);
    assert!(watched.as_millis() >= 2000, "the newer one needs a whole incubation: {watched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_template_starts_over_and_stands() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    edit_template(&world, "EDIT", "theirs").await;
    world.until_promoted(&new).await;

    let requests = world.requests();
    let created = creations(&requests);
    assert_eq!(created.len(), 2, "{}", world.report().await);
    assert!(created[1].body.as_ref().unwrap().to_string().contains("theirs"), "the canary is of the new template");
    assert!(world.deployment_now().await.data.to_string().contains("theirs"), "their edit stands");
    assert_eq!(promotions(&requests).len(), 1);
    assert!(told(&world, "TemplateChanged").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_meanwhile_is_harmless_and_not_lost() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    world.until_shown("Incubating", "CanaryIncubating").await;
    scale(&world, 3).await;
    // And once more at the worst moment: between the fresh read and the patch.
    let (client, namespace) = (world.client.clone(), world.namespace.clone());
    let (runtime, patched) = (tokio::runtime::Handle::current(), Matcher::any().verb("patch").resource("deployments"));
    let only_promotions = patched.writes().name("shop");
    world.faults().at(only_promotions, 1, HookPoint::Before, move |_| {
        tokio::task::block_in_place(|| runtime.block_on(scale_with(client, &namespace, 4)));
    });
    world.until_promoted(&new).await;
    rolled_out(&world, 4).await;

    let requests = world.requests();
    assert_eq!(creations(&requests).len(), 1, "{}", world.report().await);
    assert_eq!(promotions(&requests).len(), 1, "{}", world.report().await);
    let refused = |r: &&RequestRecord| r.verb == "patch" && r.resource == "deployments" && [409, 422].contains(&r.code);
    let refused = requests.iter().filter(refused).count();
    assert!(refused > 0, "the patch tests the version it was decided upon\n{}", world.report().await);
    let replicas = world.deployment_now().await.data.pointer("/spec/replicas").cloned();
    assert_eq!(replicas, Some(json!(4)), "what an autoscaler wrote stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn opting_out_removes_the_canary_and_opting_in_starts_again() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    world.patch(json!({"metadata": {"labels": {"canary": null}}})).await;
    world.until("the canary is gone", async || world.canaries().await.is_empty()).await;
    world.until("the record is settled", async || world.state().await.0 == "settled").await;
    world.until_shown("Settled", "OptedOut").await;
    assert_eq!(world.production().await, world.image(&old));

    let then = world.proxy.requests().total();
    world
        .always("nothing is done to a workload that opted out", Duration::from_secs(2), async || {
            world.proxy.requests().after(then).iter().all(|r| !r.is_write() || r.resource == "events")
        })
        .await;
    world.patch(json!({"metadata": {"labels": {"canary": "true"}}})).await;
    world.until_promoted(&new).await;
    assert_eq!(promotions(&world.requests()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_stops_every_write_but_records_and_removals() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-keeper.dev/max-incubation", "5m")]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    world.annotate(json!({"canary-keeper.dev/pause": "true"})).await;
    world.until_shown("Incubating", "Paused").await;
    world.registry_intervals(1).await;
    let then = world.proxy.requests().total();
    world
        .always("nothing is written once it was said", Duration::from_secs(3), async || {
            world.proxy.requests().after(then).iter().all(|r| !r.is_write() || r.resource == "configmaps")
        })
        .await;
    let paused = world.events().await.into_iter().filter(|(reason, _)| reason == "Paused").count();
    assert_eq!(paused, 1);
    assert_eq!(world.canaries().await.len(), 1);
    world.annotate(json!({"canary-keeper.dev/pause": null})).await;
    world.until_promoted(&new).await;

    // A paused workload doesn't start anything either, and says so.
    world.annotate(json!({"canary-keeper.dev/pause": "until Monday"})).await;
    let next = world.push("3", &[]);
    world.until_shown("Held", "Paused").await;
    world.registry_intervals(2).await;
    assert_eq!(creations(&world.requests()).len(), 1, "{}", world.report().await);
    world.annotate(json!({"canary-keeper.dev/pause": "false"})).await;
    world.until_promoted(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_promotes_or_aborts_before_time() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[("canary-duration", "1h")]).await;
    world.start_operator();
    let good = world.push("2", &[]);
    world.until_state("incubating", &good).await;
    world.annotate(json!({"canary-keeper.dev/promote": good})).await;
    world.until_promoted(&good).await;
    assert!(told(&world, "PromotedByPerson").await, "{}", world.report().await);

    let unwanted = world.push("3", &[]);
    world.until_state("incubating", &unwanted).await;
    world.annotate(json!({"canary-keeper.dev/abort": unwanted.trim_start_matches("sha256:")[..12]})).await;
    world.until_rejected(&unwanted, &good).await;
    let events = world.events().await;
    assert!(
        events.iter().any(|(reason, note)| reason == "Rejected" && note.contains("aborted by a person")),
        "{events:?}"
    );
    assert_eq!(creations(&world.requests()).len(), 2);
    assert_eq!(promotions(&world.requests()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workloads_behind_one_service_take_turns() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"tier": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    world.create(&crate::world::services(), service).await;
    for name in ["shop", "cart"] {
        let mut deployment = world.deployment(name, &old, 2, &[]);
        deployment["spec"]["template"]["metadata"]["labels"]["tier"] = json!("web");
        world.create(&deployments(), deployment).await;
    }
    rolled_out(&world, 2).await;
    world.start_operator();
    let new = world.push("2", &[]);
    for name in ["shop", "cart"] {
        let image = world.image(&new);
        world.until(&format!("{name} is promoted"), async || image_of(&world, name).await == image).await;
    }
    world.until("no canary is left", async || world.canaries().await.is_empty()).await;

    let requests = world.requests();
    let created = creations(&requests);
    assert_eq!(created.len(), 2, "{}", world.report().await);
    let first = &created[0].name;
    let left = requests.iter().find(|r| r.resource == "pods" && r.verb == "delete" && r.name == *first).unwrap();
    assert!(left.sequence < created[1].sequence, "one canary behind a Service at a time\n{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_named_by_tag_is_promoted_by_digest() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy_tagged(2).await;
    world.start_operator();
    world.until_asked().await;
    assert_eq!(creations(&world.requests()).len(), 0, "production runs what the tag names ({old})");
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;
    assert_eq!(creations(&world.requests()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_somebody_deletes_is_made_again_and_not_blamed() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    let canary = world.canaries().await.remove(0);
    world.delete(&pods(), &canary.name_any()).await;
    world.until_promoted(&new).await;
    assert_eq!(creations(&world.requests()).len(), 2, "{}", world.report().await);
    assert!(told(&world, "CanaryRecreated").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_workload_takes_its_canary_along() {
    let world = Start::default().world().await;
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    let new = world.push("2", &[]);
    world.until_state("incubating", &new).await;
    world.delete(&deployments(), "shop").await;
    world
        .until("nothing is left of it", async || {
            let left = world.api(&pods()).list(&kube::api::ListParams::default()).await.unwrap();
            left.items.is_empty() && world.record().await.is_none()
        })
        .await;
    assert_eq!(promotions(&world.requests()).len(), 0);
    assert!(world.operator_lives(), "{}", world.log());
}

async fn edit_template(world: &World, name: &str, value: &str) {
    let container = json!({"name": "shop", "env": [{"name": name, "value": value}]});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    world.api(&deployments()).patch("shop", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
}

async fn scale(world: &World, replicas: u32) {
    scale_with(world.client.clone(), &world.namespace, replicas).await;
}

/// As an autoscaler does: over the scale subresource.
async fn scale_with(client: kube::Client, namespace: &str, replicas: u32) {
    let api: kube::Api<k8s_openapi::api::apps::v1::Deployment> = kube::Api::namespaced(client, namespace);
    let patch = json!({"spec": {"replicas": replicas}});
    api.patch_scale("shop", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

async fn rolled_out(world: &World, replicas: usize) {
    world
        .until("the workload is rolled out", async || {
            let deployment = world.deployment_now().await;
            let status = |key: &str| deployment.data["status"][key].clone();
            status("observedGeneration") == json!(deployment.metadata.generation)
                && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|key| status(key) == json!(replicas))
        })
        .await;
}

async fn told(world: &World, reason: &str) -> bool {
    world.events().await.iter().any(|(told, _)| told == reason)
}

async fn image_of(world: &World, name: &str) -> String {
    let image = world.workload(name).await.data.pointer("/spec/template/spec/containers/0/image").cloned();
    image.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn canary_image(request: &RequestRecord) -> String {
    let image = request.body.as_ref().and_then(|body| body.pointer("/spec/containers/0/image").cloned());
    image.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}
