//! StatefulSet: pods with names of their own, one after the other.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::run::Run;

const LOOKED_AT: &[Kind] = &[STATEFUL_SETS, PODS];

fn stateful_set(replicas: i64, more: Value) -> Value {
    let mut set = deployment(replicas, more);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("web");
    set
}

async fn all_ready(run: &mut Run, replicas: i64, more: Value) {
    run.create(STATEFUL_SETS, stateful_set(replicas, more)).await;
    run.settle("created").await;
    for ready in 1..=replicas {
        run.bind_all().await;
        run.ready(1, |_| true).await;
        run.settle(&format!("{ready} ready")).await;
    }
}

script!(stateful_set_comes_up_in_order, LOOKED_AT, |run| {
    all_ready(&mut run, 3, json!({})).await;
    run.patch(STATEFUL_SETS, "web", json!({ "spec": { "replicas": 1 } })).await;
    run.settle("scaled down: the last one is leaving").await;
    run.see_off().await;
    run.settle("then the one before").await;
    run.see_off().await;
    run.settle("one is left").await;
});

script!(stateful_set_pod_comes_back_under_its_name, LOOKED_AT, |run| {
    all_ready(&mut run, 2, json!({})).await;
    let before = run.cluster.get(PODS, "web-0").await.unwrap();
    run.delete(PODS, "web-0", json!({})).await;
    run.settle("it is leaving").await;
    run.see_off().await;
    run.settle("it is back").await;
    let after = run.cluster.get(PODS, "web-0").await.unwrap();
    run.note("with a new uid", json!(before["metadata"]["uid"] != after["metadata"]["uid"]));
    run.finish("web-1", 1).await;
    run.settle("the other one failed while the first is not ready").await;
    run.ready(1, |_| true).await;
    run.settle("the first is ready").await;
});

script!(stateful_set_updates_from_the_end, LOOKED_AT, |run| {
    all_ready(&mut run, 2, json!({})).await;
    run.patch(STATEFUL_SETS, "web", set_image("2")).await;
    run.settle("updated: the last one is leaving").await;
    for round in 1..=2 {
        run.see_off().await;
        run.settle(&format!("gone, round {round}")).await;
        run.bind_all().await;
        run.ready(1, |_| true).await;
        run.settle(&format!("its successor is ready, round {round}")).await;
    }
});

script!(stateful_set_at_once, LOOKED_AT, |run| {
    run.create(STATEFUL_SETS, stateful_set(3, json!({ "podManagementPolicy": "Parallel" }))).await;
    run.settle("created").await;
    run.patch(STATEFUL_SETS, "web", json!({ "spec": { "replicas": 1 } })).await;
    run.settle("scaled down").await;
});
