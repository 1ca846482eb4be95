//! One pod at a time: who goes, who is spared, and what is told of it.

use crate::world::{World, pods};
use jiff::{SignedDuration, Timestamp};
use keeper_sandbox::faults::{HookPoint, Matcher};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn one_hung_pod_of_a_single_replica_goes_once_and_is_replaced() {
    let world = World::start(&["--log-format", "json"]).await;
    let hung = world.deploy("cart", 1).await.remove(0);
    let alerts = [world.accusation(&hung.name_any())];
    for _ in 0..3 {
        assert_eq!(world.post(&alerts).await, 200);
    }
    world.until_endings(&["evicted"]).await;
    let next = world.ready_pods("cart", 1).await.remove(0);
    assert_ne!(next.uid(), hung.uid());
    assert_eq!(world.post(&alerts).await, 200, "gone is what was wished for");
    assert_eq!(world.evictions().len(), 1);
    let body = world.evictions()[0].body.clone().unwrap();
    assert_eq!(body["deleteOptions"]["preconditions"]["uid"], json!(hung.uid().unwrap()));

    let note = format!("pod {} evicted for alert NoProgress", hung.name_any());
    let told = ("Deployment/cart".to_owned(), "PodKilled".to_owned(), note);
    world.until("the Deployment is told", async || world.events().await.contains(&told)).await;
    assert_eq!(world.metric("canary_keeper_kills_total{how=\"Evicted\"}").await, 1);
    let line = world.log().lines().find(|line| line.contains("\"decision\":\"Kill\"")).unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["caller"], &line["alert"]), (&json!("anybody"), &json!("NoProgress")));
    assert_eq!((&line["uid"], &line["left_workload"]), (&json!(hung.uid().unwrap()), &json!(0)));
    assert_eq!((&line["left_namespace"], &line["left_overall"]), (&json!(2), &json!(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_reused_is_spared_and_costs_no_budget() {
    let world = World::start(&["--allow-unmanaged", "--overall-budget", "1"]).await;
    let before = Timestamp::now() - SignedDuration::from_mins(5);
    let pod = world.bare_pod("db-0", json!({})).await;
    let other = world.deploy("cart", 1).await.remove(0);
    assert_eq!(world.post(&[world.alert("db-0", before), world.accusation(&other.name_any())]).await, 200);
    world.until_endings(&["AlertOlderThanPod", "evicted"]).await;
    assert_eq!(world.api(&pods()).get("db-0").await.unwrap().uid(), pod.uid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_replaced_before_its_turn_is_spared() {
    let world = World::start(&["--allow-unmanaged", "--overall-budget", "1"]).await;
    world.bare_pod("db-0", json!({})).await;
    world.disruption_budget("db-0", "db", 0).await;
    assert_eq!(world.post(&[world.accusation("db-0")]).await, 200);
    world
        .until("the eviction was refused", async || {
            world.requests().iter().any(|request| request.subresource == "eviction" && request.code == 429)
        })
        .await;
    world.api(&pods()).delete("db-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    world.until("it is gone", async || world.pods_of("db-0").await.is_empty()).await;
    // Whether it was seen gone or replaced, what took its name is not touched, and the budget is whole.
    world.bare_pod("db-0", json!({})).await;
    world.until("it is over", async || !world.endings().await.is_empty()).await;
    assert!(["goneBefore", "Replaced"].contains(&world.endings().await[0].as_str()));
    assert_eq!(world.evictions().len(), 0);
    let other = world.deploy("cart", 1).await.remove(0);
    assert_eq!(world.post(&[world.accusation(&other.name_any())]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_protected_is_spared_and_the_reason_told() {
    let world = World::start(&["--opt-in"]).await;
    let plain = world.deploy("cart", 1).await.remove(0);
    let agreed = world.deploy("desk", 1).await.remove(0);
    let label = json!({"metadata": {"labels": {"canary-keeper.dev/kill": "allowed"}}});
    let patch = Patch::Merge(&label);
    world.api(&pods()).patch(&agreed.name_any(), &PatchParams::default(), &patch).await.unwrap();
    let canary = world
        .bare_pod("canary", json!({"canary-keeper.dev/canary": "cart", "canary-keeper.dev/kill": "allowed"}))
        .await;
    let alone = world.bare_pod("alone", json!({"canary-keeper.dev/kill": "allowed"})).await;
    // The labels are seen by a watch.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let all = [&plain, &agreed, &canary, &alone].map(|pod| world.accusation(&pod.name_any()));
    assert_eq!(world.post(&all).await, 200);
    world.until("one went", async || world.evictions().len() == 1).await;
    world.until_endings(&["NotOptedIn", "Unmanaged", "evicted"]).await;
    assert_eq!(world.evictions()[0].name, agreed.name_any());
    assert_eq!(world.metric("canary_keeper_kill_alerts_total{reason=\"Canary\"}").await, 1);
    let told = world.events().await;
    let spared = |about: &str| told.iter().find(|(told, reason, _)| told == about && reason == "PodSpared").cloned();
    assert!(spared("Deployment/cart").unwrap().2.contains("canary-keeper.dev/kill: allowed"), "{told:?}");
    assert!(spared("Pod/alone").unwrap().2.contains("--allow-unmanaged"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolved_alert_takes_back_what_is_not_under_way() {
    let world = World::start(&[]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    world.disruption_budget("cart", "cart", 0).await;
    let mut alert = world.accusation(&pod.name_any());
    assert_eq!(world.post(std::slice::from_ref(&alert)).await, 200);
    world
        .until("the eviction was refused", async || {
            world.requests().iter().any(|request| request.subresource == "eviction" && request.code == 429)
        })
        .await;
    alert["status"] = json!("resolved");
    alert["endsAt"] = json!(Timestamp::now().to_string());
    assert_eq!(world.post(&[alert]).await, 200);
    world.until_endings(&["withdrawn"]).await;
    assert_eq!(world.ready_pods("cart", 1).await[0].uid(), pod.uid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_pod_leaves_its_services_and_stays() {
    let world = World::start(&["--quarantine"]).await;
    let hung = world.deploy("cart", 1).await.remove(0);
    assert_eq!(world.post(&[world.accusation(&hung.name_any())]).await, 200);
    world.until_endings(&["quarantined"]).await;
    let next = world.ready_pods("cart", 1).await.remove(0);
    assert_ne!(next.uid(), hung.uid());
    let kept = world.api(&pods()).get(&hung.name_any()).await.unwrap();
    assert_eq!(kept.uid(), hung.uid());
    assert_eq!(kept.labels().keys().collect::<Vec<_>>(), ["canary-keeper.dev/quarantined"]);
    let before = &kept.annotations()["canary-keeper.dev/labels-before-quarantine"];
    assert!(before.contains("\"app\":\"cart\""), "{before}");
    assert_eq!(world.evictions().len(), 1, "the question to the disruption budgets, as a dry run");
    assert_eq!(world.evictions()[0].body.clone().unwrap()["deleteOptions"]["dryRun"], json!(["All"]));
    assert_eq!(world.post(&[world.accusation(&hung.name_any())]).await, 200);
    assert_eq!(world.endings().await, ["quarantined"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_and_does_nothing() {
    let world = World::start(&["--dry-run"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    assert!(world.log().contains("dry run: the pod would go"));
    assert!(world.requests().iter().all(|request| !request.is_write()), "{:?}", world.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_what_was_killed_and_refused_and_why() {
    let world = World::start(&[]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    world.bare_pod("alone", json!({})).await;
    assert_eq!(world.post(&[world.accusation(&pod.name_any()), world.accusation("alone")]).await, 200);
    world.until_endings(&["Unmanaged", "evicted"]).await;
    let told = |namespace: &str| {
        let output = world.command().args(["history", "-n", namespace]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines: Vec<String> = told(&world.namespace).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("Unmanaged") && lines[1].contains("--allow-unmanaged"), "{lines:?}");
    assert!(lines[2].contains("Evicted") && lines[2].contains("Deployment cart"), "{lines:?}");
    assert!(told("elsewhere").starts_with("nothing was killed or refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_that_meets_the_kubelets_write_is_tried_again() {
    let world = World::start(&["--quarantine"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    let (api, name) = (world.api(&pods()), pod.name_any());
    // Between the look at the pod and the relabelling somebody writes it, as a kubelet does all the time.
    let relabelling = Matcher::any().resource("pods").verb("patch");
    world.faults().at(relabelling, 1, HookPoint::Before, move |_| {
        tokio::task::block_in_place(|| {
            let patch = json!({"metadata": {"annotations": {"example.com/written": "in between"}}});
            let write = async { api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await };
            tokio::runtime::Handle::current().block_on(write).unwrap();
        });
    });
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["quarantined"]).await;
    let patches = world.requests().into_iter().filter(|request| request.verb == "patch").map(|request| request.code);
    assert_eq!(patches.collect::<Vec<_>>(), [422, 200]);
}
