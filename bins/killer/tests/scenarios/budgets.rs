//! Budgets, the share of a workload's pods, and disruption budgets.

use crate::world::{World, kill, post, webhook};
use kube::ResourceExt;
use serde_json::Value;
use std::time::Duration;

async fn accusations(world: &World, app: &str, pods: usize) -> Vec<Value> {
    world.ready_pods(app, pods).await.iter().map(|pod| world.accusation(&pod.name_any())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_budget_refuses_comes_again_and_goes_a_window_later() {
    let world = World::start(&["--window", "3s"]).await;
    world.deploy("cart", 2).await;
    let alerts = accusations(&world, "cart", 2).await;
    assert_eq!(world.post(&alerts).await, 503);
    world.until_endings(&["evicted"]).await;
    assert_eq!(world.post(&alerts).await, 503, "the budget is still spent");
    assert_eq!(world.evictions().len(), 1);
    assert!(world.metric("canary_keeper_kill_alerts_total{reason=\"WorkloadBudget\"}").await >= 2);
    // As Alertmanager does: again and again, until it is taken.
    world.until("all of it is taken", async || world.post(&alerts).await == 200).await;
    world.until_endings(&["evicted", "evicted"]).await;
    let times: Vec<String> =
        world.ledger().await["ended"].as_array().unwrap().iter().map(|e| e["at"].to_string()).collect();
    let at = |text: &String| text.trim_matches('"').parse::<jiff::Timestamp>().unwrap();
    assert!(at(&times[1]).duration_since(at(&times[0])).as_secs() >= 3, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_cause_costs_one_pod() {
    let world = World::start(&["--workload-budget", "10", "--namespace-budget", "10"]).await;
    world.deploy("cart", 10).await;
    let alerts = accusations(&world, "cart", 10).await;
    assert_eq!(world.post(&alerts).await, 200, "refused for good, not for now");
    world.until("one went", async || world.evictions().len() == 1).await;
    world.ready_pods("cart", 10).await;
    assert_eq!(world.endings().await.iter().filter(|ending| *ending == "TooManyAccused").count(), 9);
    assert_eq!(world.post(&alerts).await, 200);
    assert_eq!(world.evictions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_body_is_one_write_of_the_ledger_before_the_answer() {
    let world = World::start(&["--workload-budget", "10", "--namespace-budget", "10", "--share", "100"]).await;
    world.deploy("cart", 5).await;
    let alerts = accusations(&world, "cart", 5).await;
    // Nothing may go while the disruption budget forbids it, so that only the decision is written.
    world.disruption_budget("cart", "cart", 0).await;
    assert_eq!(world.post(&alerts).await, 200);
    assert_eq!(world.ledger_writes(), 1);
    assert_eq!(world.ledger().await["open"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disruption_budget_is_obeyed_until_the_deadline_and_then_recorded() {
    let world = World::start(&["--eviction-deadline", "3s"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    world.disruption_budget("cart", "cart", 0).await;
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["DisruptionBudget"]).await;
    assert_eq!(world.ready_pods("cart", 1).await[0].uid(), pod.uid());
    let tries = world.requests().iter().filter(|request| request.subresource == "eviction").count();
    assert!((2..=4).contains(&tries), "{tries} tries: at 0, 1 and 3 s");
    assert!(world.events().await.iter().any(|(_, _, note)| note.contains("disruption budget")));
}

#[tokio::test(flavor = "multi_thread")]
async fn evict_then_delete_deletes_at_the_deadline() {
    let world = World::start(&["--eviction-deadline", "2s", "--mode", "evict-then-delete"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    world.disruption_budget("cart", "cart", 0).await;
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["deleted"]).await;
    assert_ne!(world.ready_pods("cart", 1).await[0].uid(), pod.uid());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_disruption_budgets_on_a_pod_are_a_refusal_like_one() {
    let world = World::start(&["--eviction-deadline", "1s"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    world.disruption_budget("cart", "one", 1).await;
    world.disruption_budget("cart", "two", 1).await;
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["DisruptionBudget"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_killers_share_the_budgets_and_a_high_availability_pair_kills_once() {
    let world = World::start(&[]).await;
    world.deploy("cart", 2).await;
    let alerts = accusations(&world, "cart", 2).await;
    let (second, process) = world.start_second();
    world.until("the second killer is ready", async || reqwest::get(format!("http://{second}/")).await.is_ok()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The same pod through both at once, and then the other pod of the workload.
    let (one, other) = tokio::join!(post(world.listen, webhook(&alerts[..1])), post(second, webhook(&alerts[..1])));
    assert_eq!((one, other), (200, 200));
    world.until_endings(&["evicted"]).await;
    assert_eq!(post(second, webhook(&alerts[1..])).await, 503);
    assert_eq!(post(world.listen, webhook(&alerts[1..])).await, 503);
    assert_eq!(world.evictions().len(), 1);
    kill(&process);
}
