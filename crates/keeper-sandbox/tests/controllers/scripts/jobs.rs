//! Jobs: pods until enough have succeeded or too many have failed.

use serde_json::{Value, json};

use super::script;
use crate::kinds::*;
use crate::kubelet::name;
use crate::run::Run;

const LOOKED_AT: &[Kind] = &[JOBS, PODS];

fn job(more: Value) -> Value {
    let mut template = template("check", "1");
    template["spec"]["restartPolicy"] = json!("Never");
    let mut spec = json!({ "template": template });
    for (key, value) in more.as_object().unwrap() {
        if key == "restartPolicy" {
            spec["template"]["spec"][key] = value.clone();
        } else {
            spec[key] = value.clone();
        }
    }
    JOBS.object(json!({ "name": "check" }), json!({ "spec": spec }))
}

async fn start(run: &mut Run, more: Value) {
    run.create(JOBS, job(more)).await;
    run.settle("created").await;
}

async fn only_pod(run: &Run) -> String {
    name(&run.pods(|_| true).await[0])
}

script!(job_completes, LOOKED_AT, |run| {
    start(&mut run, json!({})).await;
    let pod = only_pod(&run).await;
    run.set_ready(&pod, true).await;
    run.settle("its pod runs").await;
    run.finish(&pod, 0).await;
    run.settle("its pod succeeded").await;
});

script!(job_fails, LOOKED_AT, |run| {
    start(&mut run, json!({ "backoffLimit": 0 })).await;
    let pod = only_pod(&run).await;
    run.set_ready(&pod, true).await;
    run.finish(&pod, 3).await;
    run.settle("its pod failed").await;
});

script!(job_tries_again, LOOKED_AT, |run| {
    start(&mut run, json!({ "backoffLimit": 1 })).await;
    let pod = only_pod(&run).await;
    run.finish(&pod, 1).await;
    run.settle("its pod failed: not tried again at once").await;
    run.until("a second pod", PODS, |pods| pods.len() == 2).await;
    run.settle("a second pod").await;
    let pod = only_pod(&run).await;
    run.finish(&pod, 0).await;
    run.settle("it succeeded").await;
});

script!(job_runs_out_of_time, LOOKED_AT, |run| {
    run.create(JOBS, job(json!({ "activeDeadlineSeconds": 3 }))).await;
    run.until("its pod", PODS, |pods| pods.len() == 1).await;
    run.bind_all().await;
    let pod = only_pod(&run).await;
    run.set_ready(&pod, true).await;
    run.until("its pod is leaving", PODS, |pods| pods.iter().all(crate::kubelet::is_leaving)).await;
    run.settle("its pod is leaving").await;
    run.see_off().await;
    run.until_reason(JOBS, "check", "DeadlineExceeded").await;
    run.settle("its pod is gone").await;
});

script!(job_is_removed_after_its_end, LOOKED_AT, |run| {
    start(&mut run, json!({ "ttlSecondsAfterFinished": 1 })).await;
    run.finish(&only_pod(&run).await, 0).await;
    run.until("it is gone", JOBS, <[Value]>::is_empty).await;
    run.settle("gone with its pods").await;
});

script!(job_needs_several_completions, LOOKED_AT, |run| {
    start(&mut run, json!({ "completions": 3, "parallelism": 2 })).await;
    for done in 1..=3 {
        run.finish(&only_pod(&run).await, 0).await;
        run.settle(&format!("{done} succeeded")).await;
    }
});

script!(job_without_completions, LOOKED_AT, |run| {
    let mut several = job(json!({ "parallelism": 2 }));
    several["spec"]["completions"] = Value::Null;
    run.create(JOBS, several).await;
    run.settle("created").await;
    run.finish(&only_pod(&run).await, 0).await;
    run.settle("one succeeded").await;
    run.finish(&only_pod(&run).await, 0).await;
    run.settle("both succeeded").await;
});

script!(job_is_suspended, LOOKED_AT, |run| {
    start(&mut run, json!({ "suspend": true })).await;
    run.patch(JOBS, "check", json!({ "spec": { "suspend": false } })).await;
    run.settle("resumed").await;
    run.patch(JOBS, "check", json!({ "spec": { "suspend": true } })).await;
    run.settle("suspended").await;
    run.patch(JOBS, "check", json!({ "spec": { "suspend": false } })).await;
    run.settle("resumed again").await;
    run.finish(&only_pod(&run).await, 0).await;
    run.settle("its pod succeeded").await;
});

script!(job_counts_restarts, LOOKED_AT, |run| {
    start(&mut run, json!({ "restartPolicy": "OnFailure", "backoffLimit": 2 })).await;
    let pod = only_pod(&run).await;
    run.restarted(&pod, 1).await;
    run.settle("restarted once").await;
    run.restarted(&pod, 2).await;
    run.settle("restarted twice").await;
});

script!(job_is_deleted, LOOKED_AT, |run| {
    start(&mut run, json!({})).await;
    run.bind_all().await;
    run.set_ready(&only_pod(&run).await, true).await;
    run.delete(JOBS, "check", json!({ "propagationPolicy": "Background" })).await;
    run.settle("its pod is leaving").await;
    run.see_off().await;
    run.settle("its pod is gone").await;
});

script!(job_is_deleted_in_the_foreground, LOOKED_AT, |run| {
    start(&mut run, json!({})).await;
    run.bind_all().await;
    run.delete(JOBS, "check", json!({ "propagationPolicy": "Foreground" })).await;
    run.settle("waits for its pod").await;
    run.see_off().await;
    run.settle("both are gone").await;
});

script!(job_replaces_a_deleted_pod, LOOKED_AT, |run| {
    start(&mut run, json!({})).await;
    run.bind_all().await;
    let pod = only_pod(&run).await;
    run.set_ready(&pod, true).await;
    run.settle("its pod runs").await;
    run.delete(PODS, &pod, json!({})).await;
    run.settle("its pod is leaving").await;
    run.see_off().await;
    run.until("another pod", PODS, |pods| pods.iter().any(|other| name(other) != pod)).await;
    run.settle("another pod").await;
});

script!(job_changes_its_parallelism, LOOKED_AT, |run| {
    start(&mut run, json!({ "completions": 4, "parallelism": 3 })).await;
    run.patch(JOBS, "check", json!({ "spec": { "parallelism": 1 } })).await;
    run.settle("one at a time").await;
    run.patch(JOBS, "check", json!({ "spec": { "parallelism": 0 } })).await;
    run.settle("none at a time").await;
});
