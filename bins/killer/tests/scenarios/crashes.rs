//! The killer ends at any moment, and answers are lost: exactly one eviction, and no alert that was taken is forgotten.

use crate::world::{World, kill};
use keeper_sandbox::faults::{Fault, HookPoint, Matcher, When};
use kube::ResourceExt;

#[tokio::test(flavor = "multi_thread")]
async fn no_2xx_before_it_is_stored() {
    let world = World::start(&[]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    let writes = || Matcher::any().resource("configmaps").writes();
    world.faults().add(writes(), When::First(2), Fault::Answer(500));
    let alerts = [world.accusation(&pod.name_any())];
    assert_eq!(world.post(&alerts).await, 503);
    assert_eq!(world.post(&alerts).await, 503);
    assert_eq!(world.evictions().len(), 0);
    assert_eq!(world.post(&alerts).await, 200);
    world.until_endings(&["evicted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killer_that_dies_after_any_request_evicts_once() {
    // The requests of one kill: the ledger's write, the read of the pod, the eviction, the ledger's write.
    let steps = [("configmaps", "", true), ("pods", "", false), ("pods", "eviction", true), ("configmaps", "", true)];
    for (number, (resource, subresource, writes)) in steps.into_iter().enumerate() {
        let world = World::start(&[]).await;
        let pod = world.deploy("cart", 1).await.remove(0);
        let mut matcher = Matcher::any().resource(resource).subresource(subresource).without_watches();
        if writes {
            matcher = matcher.writes();
        }
        let which = if number == 3 { 2 } else { 1 };
        let killer = world.killer();
        world.faults().at(matcher, which, HookPoint::Committed, move |_| kill(&killer));
        let alerts = [world.accusation(&pod.name_any())];
        // The answer may be lost with the killer; then Alertmanager comes again.
        let url = format!("http://{}/kill", world.listen);
        let body = crate::world::webhook(&alerts);
        let _ = reqwest::Client::new().post(url).body(body).send().await;
        world.until("the killer died", async || world.killer().lock().unwrap().is_none()).await;
        world.start_killer();
        world.killer_ready().await;
        assert_eq!(world.post(&alerts).await, 200, "step {number}");
        world
            .until("the pod was replaced", async || {
                world.pods_of("cart").await.first().is_some_and(|next| next.uid() != pod.uid())
            })
            .await;
        world.until("it is over", async || world.ledger().await["open"].as_array().unwrap().is_empty()).await;
        assert_eq!(world.evictions().len(), 1, "step {number}");
        let endings = world.endings().await;
        assert_eq!(endings.len(), 1, "step {number}: {endings:?}");
        assert!(["evicted", "goneAfterRequest"].contains(&endings[0].as_str()), "step {number}: {endings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_whose_answer_is_lost_is_spent_and_not_sent_again() {
    let world = World::start(&["--overall-budget", "1"]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    let other = world.deploy("desk", 1).await.remove(0);
    let evictions = Matcher::any().resource("pods").subresource("eviction");
    world.faults().add(evictions, When::First(1), Fault::DropReply);
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["goneAfterRequest"]).await;
    assert_eq!(world.post(&[world.accusation(&other.name_any())]).await, 503, "the budget is spent");
}
