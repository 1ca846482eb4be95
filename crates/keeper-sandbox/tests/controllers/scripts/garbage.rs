//! Garbage collection: what goes with its owner, and in which order.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::run::Run;

const MAPS: &[Kind] = &[CONFIG_MAPS];

async fn own(run: &Run, name: &str, owners: &[(&str, bool)]) {
    let mut references = Vec::new();
    for (owner, blocks) in owners {
        let uid = match run.cluster.get(CONFIG_MAPS, owner).await {
            Some(owner) => owner["metadata"]["uid"].clone(),
            None => json!("00000000-0000-0000-0000-000000000000"),
        };
        references.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": blocks,
        }));
    }
    let metadata = json!({ "name": name, "ownerReferences": references });
    run.create(CONFIG_MAPS, CONFIG_MAPS.object(metadata, json!({}))).await;
}

/// One that every namespace of a real cluster has, and ours has not.
async fn settled(run: &mut Run, step: &str) {
    let maps = run.rest().await;
    let mut names: Vec<Value> = Vec::new();
    for map in maps.iter().flat_map(|(_, maps)| maps).filter(|map| map["metadata"]["name"] != "kube-root-ca.crt") {
        let owners = map["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let owners: Vec<Value> = owners.iter().map(|owner| owner["name"].clone()).collect();
        let leaving = crate::kubelet::is_leaving(map);
        let finalizers = map["metadata"]["finalizers"].clone();
        names.push(
            json!({ "name": map["metadata"]["name"], "owners": owners, "leaving": leaving, "finalizers": finalizers }),
        );
    }
    names.sort_by_key(Value::to_string);
    run.note(step, json!(names));
}

script!(garbage_goes_by_uid, MAPS, |run| {
    own(&run, "root", &[]).await;
    own(&run, "other", &[]).await;
    own(&run, "child", &[("root", false)]).await;
    own(&run, "grandchild", &[("child", false)]).await;
    own(&run, "shared", &[("root", false), ("other", false)]).await;
    own(&run, "fatherless", &[("nobody", false)]).await;
    own(&run, "half", &[("nobody", false), ("other", false)]).await;
    run.until("the fatherless one is gone", CONFIG_MAPS, |maps| {
        maps.iter().all(|m| m["metadata"]["name"] != "fatherless")
    })
    .await;
    settled(&mut run, "made").await;
    run.delete(CONFIG_MAPS, "root", json!({ "propagationPolicy": "Background" })).await;
    run.until("the child is gone", CONFIG_MAPS, |maps| maps.iter().all(|m| m["metadata"]["name"] != "grandchild"))
        .await;
    settled(&mut run, "the root deleted").await;
});

script!(garbage_goes_first_in_the_foreground, MAPS, |run| {
    own(&run, "root", &[]).await;
    own(&run, "child", &[("root", true)]).await;
    own(&run, "grandchild", &[("child", true)]).await;
    let kept = json!({ "metadata": { "finalizers": ["example.com/kept"] } });
    run.patch(CONFIG_MAPS, "grandchild", kept).await;
    own(&run, "loose", &[("root", false)]).await;
    settled(&mut run, "made").await;
    run.delete(CONFIG_MAPS, "root", json!({ "propagationPolicy": "Foreground" })).await;
    run.until("the loose one is gone", CONFIG_MAPS, |maps| maps.iter().all(|m| m["metadata"]["name"] != "loose")).await;
    settled(&mut run, "the root waits").await;
    run.patch(CONFIG_MAPS, "grandchild", json!({ "metadata": { "finalizers": null } })).await;
    run.until("the root is gone", CONFIG_MAPS, |maps| maps.iter().all(|m| m["metadata"]["name"] != "root")).await;
    settled(&mut run, "all gone").await;
});

script!(garbage_is_orphaned, MAPS, |run| {
    own(&run, "root", &[]).await;
    own(&run, "child", &[("root", true)]).await;
    own(&run, "grandchild", &[("child", true)]).await;
    run.delete(CONFIG_MAPS, "root", json!({ "propagationPolicy": "Orphan" })).await;
    run.until("the root is gone", CONFIG_MAPS, |maps| maps.iter().all(|m| m["metadata"]["name"] != "root")).await;
    settled(&mut run, "the root gone").await;
});

script!(garbage_of_a_deployment_goes_in_the_foreground, &[DEPLOYMENTS, SETS, PODS], |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({}))).await;
    run.settle("created").await;
    run.bind_all().await;
    run.ready(2, |_| true).await;
    run.settle("all ready").await;
    run.delete(DEPLOYMENTS, "web", json!({ "propagationPolicy": "Foreground" })).await;
    run.settle("waits for its pods").await;
    run.see_off().await;
    run.until("it is gone", DEPLOYMENTS, <[Value]>::is_empty).await;
    run.settle("all gone").await;
});
