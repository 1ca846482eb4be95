//! Deployment: coming up, rolling updates, the progress deadline, pause.

use serde_json::json;

use super::script;
use crate::kinds::*;
use crate::kubelet::{name, runs};

script!(deployment_comes_up, WORKLOAD, |run| {
    let mut web = deployment(3, json!({}));
    web["metadata"]["labels"] = json!({ "team": "a" });
    web["metadata"]["annotations"] =
        json!({ "note": "hello", "kubectl.kubernetes.io/last-applied-configuration": "{}" });
    run.create(DEPLOYMENTS, web).await;
    run.settle("created").await;
    for ready in 1..=3 {
        run.ready(1, |_| true).await;
        run.settle(&format!("{ready} ready")).await;
    }
    let first = name(&run.pods(|_| true).await[0]);
    run.set_ready(&first, false).await;
    run.settle("one not ready any more").await;
    run.set_ready(&first, true).await;
    run.settle("ready again").await;
    run.patch(DEPLOYMENTS, "web", json!({ "metadata": { "annotations": { "note": "changed", "more": "1" } } })).await;
    run.settle("annotations changed").await;
    run.patch(
        DEPLOYMENTS,
        "web",
        json!({ "metadata": { "annotations": { "more": null }, "labels": { "team": "b" } } }),
    )
    .await;
    run.settle("annotation removed, label changed").await;
});

script!(deployment_rolls_one_by_one, WORKLOAD, |run| {
    let bounds = json!({ "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 1 } } });
    run.create(DEPLOYMENTS, deployment(4, bounds)).await;
    run.settle("created").await;
    run.ready(4, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
    for ready in 1..=4 {
        run.ready(1, |pod| runs(pod, "2")).await;
        run.settle(&format!("{ready} new ones ready")).await;
    }
});

script!(deployment_rolls_by_share, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(10, json!({}))).await;
    run.settle("created").await;
    run.ready(10, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
    for ready in 1..=10 {
        run.ready(1, |pod| runs(pod, "2")).await;
        run.settle(&format!("{ready} new ones ready")).await;
    }
});

script!(deployment_rolls_by_surge_alone, WORKLOAD, |run| {
    let bounds = json!({ "strategy": { "rollingUpdate": { "maxSurge": "100%", "maxUnavailable": 0 } } });
    run.create(DEPLOYMENTS, deployment(3, bounds)).await;
    run.settle("created").await;
    run.ready(3, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
    for ready in 1..=3 {
        run.ready(1, |pod| runs(pod, "2")).await;
        run.settle(&format!("{ready} new ones ready")).await;
    }
});

script!(deployment_rolls_by_unavailability_alone, WORKLOAD, |run| {
    let bounds = json!({ "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 2 } } });
    run.create(DEPLOYMENTS, deployment(4, bounds)).await;
    run.settle("created").await;
    run.ready(4, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
    for ready in 1..=4 {
        run.ready(1, |pod| runs(pod, "2")).await;
        run.settle(&format!("{ready} new ones ready")).await;
    }
});

script!(deployment_sheds_what_does_not_work, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(4, json!({}))).await;
    run.settle("created").await;
    run.ready(2, |_| true).await;
    run.settle("half of them ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
    run.ready(2, |pod| runs(pod, "2")).await;
    run.settle("two new ones ready").await;
    run.ready(4, |pod| runs(pod, "2")).await;
    run.settle("the others ready").await;
    run.ready(4, |pod| runs(pod, "2")).await;
    run.settle("all ready").await;
});

script!(deployment_exceeds_its_deadline, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({ "progressDeadlineSeconds": 3 }))).await;
    run.settle("created").await;
    run.ready(2, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("bad")).await;
    run.until_reason(DEPLOYMENTS, "web", "ProgressDeadlineExceeded").await;
    run.settle("updated and late").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    for ready in 1..=2 {
        run.until("new ones", PODS, |pods| pods.iter().filter(|pod| runs(pod, "2")).count() >= ready).await;
        run.ready(1, |pod| runs(pod, "2")).await;
    }
    run.until_reason(DEPLOYMENTS, "web", "NewReplicaSetAvailable").await;
    run.settle("corrected and ready").await;
});

script!(deployment_without_deadline, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(1, json!({ "progressDeadlineSeconds": 2_147_483_647_i64 }))).await;
    run.settle("created").await;
    run.ready(1, |_| true).await;
    run.settle("ready").await;
});

script!(deployment_pauses, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({}))).await;
    run.settle("created").await;
    run.ready(2, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "paused": true } })).await;
    run.settle("paused").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("template changed").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "replicas": 3 } })).await;
    run.settle("scaled").await;
    run.ready(1, |_| true).await;
    run.settle("the third ready").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "paused": false } })).await;
    run.settle("resumed").await;
    for round in 1..=3 {
        run.ready(9, |pod| runs(pod, "2")).await;
        run.settle(&format!("new ones ready, round {round}")).await;
    }
});

script!(deployment_pauses_in_an_update, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(4, json!({}))).await;
    run.settle("created").await;
    run.ready(4, |_| true).await;
    run.settle("all ready").await;
    run.patch(DEPLOYMENTS, "web", set_image("2")).await;
    run.settle("updated").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "paused": true } })).await;
    run.settle("paused").await;
    run.ready(4, |pod| runs(pod, "2")).await;
    run.settle("new ones ready").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "replicas": 6 } })).await;
    run.settle("scaled").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "paused": false } })).await;
    run.settle("resumed").await;
});

script!(deployment_created_paused, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({ "paused": true }))).await;
    run.settle("created").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "paused": false } })).await;
    run.settle("resumed").await;
});

script!(deployment_waits_min_ready_seconds, WORKLOAD, |run| {
    run.create(DEPLOYMENTS, deployment(2, json!({ "minReadySeconds": 4 }))).await;
    run.settle("created").await;
    run.ready(1, |_| true).await;
    run.until("one ready", DEPLOYMENTS, |all| all[0]["status"]["readyReplicas"] == 1).await;
    let early = &run.cluster.list(DEPLOYMENTS).await[0]["status"];
    run.note("one ready", json!({ "ready": early["readyReplicas"], "available": early["availableReplicas"] }));
    run.until("one available", DEPLOYMENTS, |all| all[0]["status"]["availableReplicas"] == 1).await;
    run.settle("one available").await;
    run.patch(DEPLOYMENTS, "web", json!({ "spec": { "minReadySeconds": null } })).await;
    run.settle("no wait any more").await;
});
