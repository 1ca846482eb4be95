//! Scaling of Deployments, in and out of an update.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::kubelet::runs;
use crate::run::Run;

async fn in_an_update(run: &mut Run, replicas: i64, bounds: Value) {
    run.create(DEPLOYMENTS, deployment(replicas, json!({ "strategy": { "rollingUpdate": bounds } }))).await;
    run.settle("created").await;
    run.ready(100, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
}

async fn scale(run: &mut Run, replicas: i64) {
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "replicas": replicas } })).await;
    run.settle(&format!("scaled to {replicas}")).await;
}

script!(deployment_scales, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({}))).await;
    run.settle("created").await;
    run.ready(2, |_| true).await;
    run.settle("all ready").await;
    scale(&mut run, 4).await;
    run.ready(2, |_| true).await;
    run.settle("all ready again").await;
    scale(&mut run, 1).await;
    scale(&mut run, 0).await;
    scale(&mut run, 1).await;
});

script!(deployment_scales_in_proportion, WORKLOAD, |run| {
    in_an_update(&mut run, 10, json!({ "maxSurge": 3, "maxUnavailable": 2 })).await;
    scale(&mut run, 15).await;
    scale(&mut run, 5).await;
    scale(&mut run, 20).await;
});

script!(deployment_scales_in_proportion_by_share, WORKLOAD, |run| {
    in_an_update(&mut run, 8, json!({ "maxSurge": "50%", "maxUnavailable": 0 })).await;
    run.ready(2, |pod| runs(pod, "2")).await;
    run.settle("two new ones ready").await;
    scale(&mut run, 3).await;
    scale(&mut run, 12).await;
    scale(&mut run, 0).await;
});

script!(deployment_is_scaled_and_updated_at_once, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(3, json!({}))).await;
    run.settle("created").await;
    run.ready(3, |_| true).await;
    run.settle("all ready").await;
    let mut change = set_image("2");
    change["spec"]["replicas"] = json!(6);
    run.patch(DEPLOYMENTS, "web", change).await;
    run.settle("both").await;
    for round in 1..=4 {
        run.ready(9, |pod| runs(pod, "2")).await;
        run.settle(&format!("new ones ready, round {round}")).await;
    }
});
