//! Revisions of a Deployment: history, undo, rollover, adoption of ReplicaSets.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::kubelet::{name, runs};
use crate::run::Run;

const NUMBER: &str = "deployment.kubernetes.io/revision";

/// A Deployment that runs image 1.
async fn running(run: &mut Run, replicas: i64, more: Value) {
    run.create(DEPLOYMENTS, deployment(replicas, more)).await;
    run.settle("created").await;
    run.ready(100, |_| true).await;
    run.settle("all ready").await;
}

/// Makes whatever comes ready until nothing comes any more.
async fn roll(run: &mut Run, tag: &str) {
    for _ in 0..4 {
        run.rest().await;
        run.ready(100, |pod| runs(pod, tag)).await;
    }
}

/// What `kubectl rollout undo` sends.
async fn undo(run: &Run, tag: &str) {
    let sets = run.cluster.list(SETS).await;
    let old = sets.iter().find(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == image(tag)).unwrap();
    let mut template = old["spec"]["template"].clone();
    template["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
    let mut annotations = old["metadata"]["annotations"].clone();
    annotations.as_object_mut().unwrap().retain(|name, _| !name.starts_with("deployment.kubernetes.io/"));
    let web = run.cluster.get(DEPLOYMENTS, "web").await.unwrap();
    annotations[NUMBER] = web["metadata"]["annotations"][NUMBER].clone();
    let patch = json!([
        { "op": "replace", "path": "/spec/template", "value": template },
        { "op": "replace", "path": "/metadata/annotations", "value": annotations },
    ]);
    run.patch(DEPLOYMENTS, "web", patch).await;
}

script!(deployment_undoes, WORKLOAD, |run| {
    running(&mut run, 2, json!({})).await;
    let mut change = set_image("2");
    change["metadata"] = json!({ "annotations": { "note": "two" } });
    run.patch(DEPLOYMENTS, "web", change).await;
    roll(&mut run, "2").await;
    run.settle("updated").await;
    undo(&run, "1").await;
    roll(&mut run, "1").await;
    run.settle("undone").await;
    undo(&run, "2").await;
    roll(&mut run, "2").await;
    run.settle("redone").await;
    undo(&run, "1").await;
    roll(&mut run, "1").await;
    run.settle("undone again").await;
});

script!(deployment_bounds_its_history, WORKLOAD, |run| {
    running(&mut run, 1, json!({ "revisionHistoryLimit": 1 })).await;
    for tag in ["2", "3", "4"] {
        run.patch(DEPLOYMENTS, "web", set_image(tag)).await;
        roll(&mut run, tag).await;
        run.settle(&format!("image {tag}")).await;
    }
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "revisionHistoryLimit": 0 } })).await;
    run.settle("no history").await;
});

script!(deployment_rolls_over, WORKLOAD, |run| {
    running(&mut run, 4, json!({})).await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("image 2").await;
    run.ready(1, |pod| runs(pod, "2")).await;
    run.settle("one of them ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("3")).await;
    run.settle("image 3").await;
    for ready in 1..=4 {
        run.ready(1, |pod| runs(pod, "3")).await;
        run.settle(&format!("{ready} of them ready")).await;
    }
});

script!(deployment_goes_back_half_way, WORKLOAD, |run| {
    running(&mut run, 4, json!({})).await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("image 2").await;
    run.patch(DEPLOYMENTS, "web", set_image("1")).await;
    run.settle("image 1 again").await;
    run.ready(9, |pod| runs(pod, "1")).await;
    run.settle("all ready").await;
});

script!(deployment_restarts, WORKLOAD, |run| {
    running(&mut run, 2, json!({})).await;
    let restarted = json!({ "spec": { "template": { "metadata": { "annotations": { "restarted": "again" } } } } });
    run.patch(DEPLOYMENTS, "web", restarted).await;
    run.settle("restarted").await;
    for round in 1..=2 {
        run.ready(1, |pod| pod["metadata"]["annotations"]["restarted"] == "again").await;
        run.settle(&format!("new ones ready, round {round}")).await;
    }
});

script!(deployment_adopts_and_releases, WORKLOAD, |run| {
    running(&mut run, 2, json!({})).await;
    run.delete(DEPLOYMENTS, "web", json!({ "propagationPolicy": "Orphan" })).await;
    run.until("it is gone", DEPLOYMENTS, <[Value]>::is_empty).await;
    run.settle("orphaned").await;
    run.create(DEPLOYMENTS, deployment(2, json!({}))).await;
    run.settle("a new one").await;
    let set = name(&run.cluster.list(SETS).await[0]);
    run.patch(SETS, &set, json!({ "metadata": { "labels": { "app": "other" } } })).await;
    run.until("another name for the same template", DEPLOYMENTS, |all| all[0]["status"]["collisionCount"] == 1).await;
    run.settle("its ReplicaSet does not match any more").await;
});
