//! Releases that a Canary asks for: good ones, bad ones, edited, deleted, undone, and many at once.

use crate::canary_world::*;
use crate::load::Load;
use crate::world::{PATIENCE, Start, World, accusation, deployments, promotions, services};
use keeper_sandbox::registry::{Fault, FaultKind};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A world that knows Canaries, with a production of three, and an operator at work; answers production's image.
async fn begin() -> (World, String) {
    let world = Start::default().world().await;
    install(&world).await;
    let old = world.image(&world.push("1", &[]));
    produce(&world, "shop", &old, 3).await;
    world.start_operator();
    world.operator_ready().await;
    (world, old)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_is_promoted_by_the_digest_that_was_judged() {
    let (world, _) = begin().await;
    let digest = world.push("2", &[]);
    let before = world.proxy.requests().total();
    ask(&world, &world.tag(), SHORT).await;
    let status = until_promoted(&world, "shop").await;

    assert_eq!(image_of(&world, "shop").await, world.image(&digest), "the tag is resolved, and pinned");
    let production = world.workload("shop").await;
    assert_eq!(production.data["spec"]["replicas"], 3, "the template says nothing of it");
    assert_eq!(production.labels()["app"], "shop");
    assert!(production.labels()["canary-keeper.dev/run"].starts_with("1-"), "{:?}", production.labels());
    assert_eq!((&status["phase"], &status["deployment"]), (&json!("Settled"), &json!("shop")));
    assert_eq!(status["reason"], "PromotedRestsOnSilence", "{status:#}");
    assert_eq!(condition(&world, "shop", "Ready").await, "True");
    assert_eq!(condition(&world, "shop", "Progressing").await, "False");
    assert_eq!(status["images"][world.tag()], json!(world.image(&digest)));
    let requests = world.requests();
    let [promotion] = &promotions(&requests)[..] else { panic!("one promotion\n{}", world.report().await) };
    let patch = promotion.body.as_ref().unwrap().to_string();
    for tested in ["/metadata/uid", "/metadata/resourceVersion", "/spec/template"] {
        assert!(patch.contains(tested), "{patch}");
    }
    let [trial] = &trials(&requests)[..] else { panic!("one canary\n{}", world.report().await) };
    let trial = trial.body.as_ref().unwrap();
    assert_eq!(trial["spec"]["replicas"], 1);
    assert_eq!(trial["metadata"]["labels"]["tier"], "canary");
    assert_eq!(trial["spec"]["template"]["metadata"]["labels"]["tier"], "canary");
    assert_eq!(trial["spec"]["template"]["spec"]["containers"][0]["image"], json!(world.image(&digest)));
    println!("API requests of one release: {:#?}", world.counts(before));

    // At rest nothing is asked and nothing written.
    let quiet = world.proxy.requests().total();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let since: Vec<_> = world.proxy.requests().after(quiet).into_iter().filter(|r| r.verb != "watch").collect();
    assert!(since.is_empty(), "{since:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_canary_is_rejected_and_production_is_as_it_was() {
    let (world, old) = begin().await;
    let before = world.workload("shop").await;
    let bad = world.push("2", &[("exit-after", "700ms")]);
    ask(&world, &world.image(&bad), LONG).await;
    let status = until_status(&world, "shop", "Rejected", "Rejected").await;
    until_gone(&world).await;
    let after = world.workload("shop").await;
    assert_eq!((image_of(&world, "shop").await, after.metadata.generation), (old, before.metadata.generation));
    assert_eq!(condition(&world, "shop", "Promoted").await, "False");
    assert!(status["message"].as_str().unwrap().contains("generation 1 is rejected"), "{status:#}");
    assert!(promotions(&world.requests()).is_empty());
    // It isn't tried again by itself, and an edit is another release.
    world.always("no other canary comes", Duration::from_secs(2), async || world.canaries().await.is_empty()).await;
    let good = world.image(&world.push("3", &[]));
    edit(&world, "shop", json!({"spec": {"incubation": SHORT, "deploymentTemplate": wanted(&world, "shop", &good)}}))
        .await;
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_checks_measured_decides_and_stays_in_the_status() {
    let world = Start::default().processes().world().await;
    install(&world).await;
    let old = world.image(&world.push_app("1", &[]));
    produce(&world, "shop", &old, 3).await;
    let load = Load::start(&world, 400).await;
    world.start_operator();
    let check = json!([{"kind": "httpErrorRate", "threshold": 1, "minRequestCount": 100, "port": 8080}]);
    let measured = |image: &str| {
        json!({
            "incubation": "4s", "maxIncubation": "60s", "metrics": check,
            "deploymentTemplate": wanted(&world, "shop", image),
        })
    };
    let bad = world.image(&world.push_app("fails some requests", &[("FAIL_SHARE", "0.05")]));
    let mut asked = canary("shop", "4s", &wanted(&world, "shop", &bad));
    asked["spec"] = measured(&bad);
    world.create(&canary_kind(), asked).await;
    let status = until_status(&world, "shop", "Rejected", "Rejected").await;
    assert!(status["message"].as_str().unwrap().contains("requests failed"), "{status:#}");
    let check = &status["checks"][0];
    assert_eq!((&check["name"], &check["verdict"]), (&json!("httpErrorRate"), &json!("Unhealthy")), "{status:#}");
    until_gone(&world).await;
    assert_eq!(image_of(&world, "shop").await, old);
    assert!(promotions(&world.requests()).is_empty());

    load.until_calm(&world).await;
    let before = load.so_far();
    let good = world.image(&world.push_app("2", &[]));
    edit(&world, "shop", json!({"spec": measured(&good)})).await;
    let status = until_promoted(&world, "shop").await;
    assert_eq!(status["reason"], "Promoted", "measured, so it rests on no silence: {status:#}");
    assert_eq!(status["checks"][0]["verdict"], "Healthy", "{status:#}");
    assert_eq!(image_of(&world, "shop").await, good);
    let after = load.so_far();
    assert!(after.requests > before.requests, "the client works");
    assert_eq!(after.errors, before.errors, "a good release costs the client nothing\n{}", load.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_half_way_starts_over() {
    let (world, _) = begin().await;
    let first = world.image(&world.push("2", &[]));
    ask(&world, &first, LONG).await;
    until_status(&world, "shop", "Incubating", "").await;
    let run = canary_deployments(&world).await[0].labels()["canary-keeper.dev/run"].clone();
    let second = world.image(&world.push("3", &[]));
    let spec = json!({"incubation": SHORT, "deploymentTemplate": wanted(&world, "shop", &second)});
    edit(&world, "shop", json!({"spec": spec})).await;
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, second);
    let requests = world.requests();
    assert_eq!((trials(&requests).len(), promotions(&requests).len()), (2, 1), "{}", world.report().await);
    assert_ne!(world.workload("shop").await.labels()["canary-keeper.dev/run"], run);
    assert!(!promotions(&requests)[0].body.as_ref().unwrap().to_string().contains(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_deleted_half_way_leaves_production_and_nothing_else() {
    let (world, old) = begin().await;
    let before = world.workload("shop").await;
    let new = world.image(&world.push("2", &[]));
    ask(&world, &new, LONG).await;
    until_status(&world, "shop", "Incubating", "").await;
    world.delete(&canary_kind(), "shop").await;
    until_gone(&world).await;
    let after = world.workload("shop").await;
    assert_eq!((image_of(&world, "shop").await, after.metadata.generation), (old, before.metadata.generation));
    assert_eq!(after.data["status"]["availableReplicas"], 3);
    assert!(promotions(&world.requests()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_meanwhile_starts_over() {
    let (world, _) = begin().await;
    let first = world.push("2", &[]);
    ask(&world, &world.tag(), "6s").await;
    until_status(&world, "shop", "Incubating", "").await;
    let second = world.push("3", &[]);
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, world.image(&second));
    let requests = world.requests();
    assert_eq!((trials(&requests).len(), promotions(&requests).len()), (2, 1), "{}", world.report().await);
    let patch = promotions(&requests)[0].body.as_ref().unwrap().to_string();
    assert!(patch.contains(&second) && !patch.contains(&first), "{patch}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_left_out_is_gone_after_the_promotion() {
    let world = Start::default().world().await;
    install(&world).await;
    let old = world.image(&world.push("1", &[]));
    let mut deployment = wanted(&world, "shop", &old);
    let containers = deployment.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap();
    containers.push(json!({"name": "sidecar", "image": old}));
    deployment["spec"]["replicas"] = json!(2);
    world.create(&deployments(), deployment).await;
    until_rolled_out(&world, "shop", 2).await;
    world.start_operator();
    let new = world.image(&world.push("2", &[]));
    ask(&world, &new, SHORT).await;
    until_promoted(&world, "shop").await;
    let workload = world.workload("shop").await;
    let containers = workload.data.pointer("/spec/template/spec/containers").unwrap().as_array().unwrap();
    assert_eq!(containers.len(), 1, "{containers:#?}");
    assert_eq!(containers[0]["image"], json!(new));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_the_autoscalers_where_there_is_one() {
    let (world, _) = begin().await;
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "minReplicas": 1, "maxReplicas": 9,
        },
    });
    world.create(&autoscalers(), scaler).await;
    let with_replicas = |image: &str| {
        let mut wanted = wanted(&world, "shop", image);
        wanted["spec"]["replicas"] = json!(5);
        wanted
    };
    let first = world.image(&world.push("2", &[]));
    world.create(&canary_kind(), canary("shop", SHORT, &with_replicas(&first))).await;
    until_promoted(&world, "shop").await;
    assert_eq!(world.workload("shop").await.data["spec"]["replicas"], 3, "the autoscaler's count survives");

    world.delete(&autoscalers(), "shop").await;
    let second = world.image(&world.push("3", &[]));
    edit(&world, "shop", json!({"spec": {"deploymentTemplate": with_replicas(&second)}})).await;
    until_promoted(&world, "shop").await;
    assert_eq!(world.workload("shop").await.data["spec"]["replicas"], 5, "without one the template's holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_that_does_not_exist_yet_is_created() {
    let world = Start::default().world().await;
    install(&world).await;
    world.start_operator();
    let digest = world.push("1", &[]);
    ask(&world, &world.tag(), LONG).await;
    let status = until_status(&world, "shop", "Settled", "FirstCreated").await;
    assert_eq!(condition(&world, "shop", "Promoted").await, "True", "{status:#}");
    assert_eq!(image_of(&world, "shop").await, world.image(&digest));
    assert!(world.workload("shop").await.owner_references().is_empty(), "it stays when the Canary goes");
    assert!(trials(&world.requests()).is_empty(), "there was nothing to compare with");
    world.delete(&canary_kind(), "shop").await;
    let stays = async || world.api(&deployments()).get_opt("shop").await.unwrap().is_some();
    world.always("production stays", Duration::from_secs(2), stays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_about_the_canary_ends_it() {
    let (world, old) = begin().await;
    let new = world.image(&world.push("2", &[]));
    ask(&world, &new, LONG).await;
    until_status(&world, "shop", "Incubating", "").await;
    let pod = canary_pod(&world).await;
    assert_eq!(world.post_alerts(accusation(&world, &pod)).await, 200);
    let stored = status(&world, "shop").await["record"].to_string();
    assert!(stored.contains("CanaryErrors"), "stored before the answer: {stored}");
    let status = until_status(&world, "shop", "Rejected", "Rejected").await;
    assert!(status["message"].as_str().unwrap().contains("CanaryErrors"), "{status:#}");
    until_gone(&world).await;
    assert_eq!(image_of(&world, "shop").await, old);
    assert!(promotions(&world.requests()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_canaries_do_not_wait_for_each_other() {
    let (world, old) = begin().await;
    produce(&world, "cart", &old, 1).await;
    let new = world.image(&world.push("2", &[]));
    for name in ["shop", "cart"] {
        world.create(&canary_kind(), canary(name, "8s", &wanted(&world, name, &new))).await;
    }
    let incubates = async |name| status(&world, name).await["phase"] == "Incubating";
    world.until("both are watched at once", async || incubates("shop").await && incubates("cart").await).await;
    for name in ["shop", "cart"] {
        until_promoted(&world, name).await;
        assert_eq!(image_of(&world, name).await, new);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_canaries_than_may_run_at_once_all_come_to_an_end() {
    // A real control plane, on the same two cores as everything else, has its own pace.
    let real = std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some();
    let (many, at_once) = if real { (30, 10) } else { (200, 40) };
    let flag = at_once.to_string();
    let start = Start::default().flag("--canaries-per-namespace").flag(&flag);
    let world = start.flag("--canaries-at-once").flag(&flag).world().await;
    install(&world).await;
    let old = world.image(&world.push("1", &[]));
    let new = world.image(&world.push("2", &[]));
    let name = |at: usize| format!("shop-{at}");
    for at in 0..many {
        let mut deployment = wanted(&world, &name(at), &old);
        deployment["spec"]["replicas"] = json!(1);
        world.create(&deployments(), deployment).await;
        let mut asked = canary(&name(at), SHORT, &wanted(&world, &name(at), &new));
        // Two cores look at forty of them more slowly than twice the incubation.
        asked["spec"]["maxIncubation"] = "5m".into();
        world.create(&canary_kind(), asked).await;
    }
    world.start_operator();
    let mut most = 0;
    let deadline = Instant::now() + PATIENCE * 3;
    loop {
        let all = world.api(&canary_kind()).list(&ListParams::default()).await.unwrap().items;
        let ended = |canary: &&DynamicObject| {
            let conditions = canary.data.pointer("/status/conditions").and_then(Value::as_array);
            let promoted = |one: &Value| one["type"] == "Promoted" && one["status"] == "True";
            conditions.is_some_and(|all| all.iter().any(promoted))
        };
        let ended = all.iter().filter(ended).count();
        most = most.max(canary_deployments(&world).await.len());
        if ended == many {
            break;
        }
        assert!(Instant::now() < deadline, "{ended} of {many} have ended\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let default = 5;
    assert!((default + 1..=at_once).contains(&most), "{most} ran at once");
    assert_eq!((trials(&world.requests()).len(), promotions(&world.requests()).len()), (many, many));
    for at in 0..many {
        assert_eq!(image_of(&world, &name(at)).await, new);
    }
    until_gone(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_is_taken_back_by_hand_stays_taken_back() {
    let (world, old) = begin().await;
    let new = world.image(&world.push("2", &[]));
    ask(&world, &new, SHORT).await;
    until_promoted(&world, "shop").await;
    let revision = status(&world, "shop").await["revision"].as_str().unwrap().to_owned();
    assert_eq!(world.workload("shop").await.annotations()["canary-keeper.dev/promoted"], revision);
    // As `kubectl rollout undo` does: the template and the annotations as they were, the labels stay.
    let back = json!({
        "metadata": {"annotations": {"canary-keeper.dev/promoted": null}},
        "spec": {"template": {"spec": {"containers": [{"name": "shop", "image": old}]}}},
    });
    let patch = kube::api::Patch::Strategic(&back);
    world.api(&deployments()).patch("shop", &kube::api::PatchParams::default(), &patch).await.unwrap();
    until_status(&world, "shop", "Held", "RolledBack").await;
    assert_eq!(condition(&world, "shop", "Promoted").await, "False");
    let untouched = async || image_of(&world, "shop").await == old && world.canaries().await.is_empty();
    world.always("nothing fights a person", Duration::from_secs(3), untouched).await;

    // A person wants it after all, by the number that the reason tells.
    edit(&world, "shop", json!({"metadata": {"annotations": {"canary-keeper.dev/retry": "1#1"}}})).await;
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_could_not_be_resolved_at_first_is_not_promoted_by_its_name() {
    let (world, old) = begin().await;
    let digest = world.push("2", &[]);
    let rest = FaultKind::TooManyRequests { retry_after: Some(Duration::from_secs(3600)) };
    world.registry().inject(Fault::of_manifests(rest).times(1));
    ask(&world, &world.tag(), SHORT).await;
    until_promoted(&world, "shop").await;
    assert_eq!(
        image_of(&world, "shop").await,
        world.image(&digest),
        "asked for again before the promotion, and started over"
    );
    assert_ne!(world.image(&digest), old);
    let requests = world.requests();
    assert_eq!((trials(&requests).len(), promotions(&requests).len()), (2, 1), "{}", world.report().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_no_registry_knows_stays_as_written() {
    let (world, _) = begin().await;
    world.push("2", &[]);
    // The node pulls it, and the operator, which speaks TLS to a host of that name, can't ask about it.
    let image = world.tag().replace("127.0.0.1", "localhost");
    if image == world.tag() {
        return crate::world::not_run("the registry is not on 127.0.0.1, so it has no other name");
    }
    ask(&world, &image, SHORT).await;
    until_promoted(&world, "shop").await;
    assert_eq!(image_of(&world, "shop").await, image);
    let events = world.events_of("shop").await;
    let told = |(reason, note): &(String, String)| reason == "CanaryNotes" && note.contains("stays as written");
    assert!(events.iter().any(told), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_served_later_is_found_and_annotation_mode_does_not_wait_for_it() {
    let world = Start::default().world().await;
    if std::env::var_os("KEEPER_E2E_KUBECONFIG").is_some() {
        // There the other scenarios share the server, and have made it know the kind.
        crate::world::not_run("on a shared server Canaries are served before this scenario begins");
        return;
    }
    let old = world.push("1", &[]);
    world.deploy(&old, 2, &[]).await;
    world.start_operator();
    world.operator_ready().await;
    let new = world.push("2", &[]);
    world.until_promoted(&new).await;

    install(&world).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 80}]},
    });
    world.create(&services(), service).await;
    world.create(&deployments(), wanted(&world, "cart", &world.image(&old))).await;
    let image = world.image(&new);
    world.create(&canary_kind(), canary("cart", SHORT, &wanted(&world, "cart", &image))).await;
    until_promoted(&world, "cart").await;
    assert_eq!(image_of(&world, "cart").await, image);
    let nobodys: Vec<Value> = Vec::new();
    assert_eq!(json!(world.canaries().await.iter().map(|pod| pod.name_any()).collect::<Vec<_>>()), json!(nobodys));
}
