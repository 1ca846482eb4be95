//! The manifest's Role allows what the killer asks for, which every scenario holds it against at its end, and nothing else.

use crate::world::{World, rights};
use keeper_sandbox::faults::{Fault, Matcher, When};
use kube::ResourceExt;

#[tokio::test(flavor = "multi_thread")]
async fn the_role_allows_nothing_that_the_killer_does_not_ask_for() {
    let world = World::start(&[]).await;
    let pod = world.deploy("cart", 1).await.remove(0);
    // Another killer wrote in between: the ledger is read anew.
    let between = Matcher::any().resource("configmaps").verb("update");
    world.faults().add(between, When::First(1), Fault::Answer(409));
    assert_eq!(world.post(&[world.accusation(&pod.name_any())]).await, 200);
    world.until_endings(&["evicted"]).await;
    world.until("the Event is told", async || !world.events().await.is_empty()).await;
    assert_eq!(rights(&[]).unused(&world.all_requests()), Vec::<String>::new());
}
